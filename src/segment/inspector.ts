/** A segment opened by what it says of itself, for tools that look at any: each content's room makes its own. */
import { UnsupportedError } from "../errors/errors.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import type { SchemaLimits } from "../struct/declare/limits.ts";
import type { StructSchema } from "../struct/schema/schema.ts";
import type { Changes, ChangesOptions } from "../sync/notifier.ts";
import type { Trust } from "../sys/trust.ts";
import { backupSegment, restoreSegment } from "./backup.ts";
import type { Content, ContentType } from "./content.ts";
import { removeSegment } from "./create.ts";
import type { ContentKind } from "./footer.ts";
import { type SegmentInfo, segmentInfo } from "./info.ts";
import type { Place } from "./place.ts";
import { purgeSegment } from "./purge.ts";
import { Segment } from "./segment.ts";
import { SegmentFile } from "./segment-file.ts";

/** One committed state. */
export interface Look {
  readonly version: number;
  /** Plain values: objects, arrays, numbers, bigints, text. Undefined for a document that was never written. */
  readonly value: unknown;
  /** The bytes of the struct; undefined for what is no struct. */
  readonly bytes: Uint8Array | undefined;
  /** Bytes of what is not one struct: the newest message, each job, the text. */
  readonly parts?: readonly BytesPart[] | undefined;
}

/** A part of a content. */
export interface BytesPart {
  /** @example "job 7" */
  readonly title: string;
  /** A struct of the inspector's schema, if it has one. */
  readonly bytes: Uint8Array;
}

/** A message of a content that is a stream of them. */
export interface LookedAtMessage {
  readonly index: number;
  /** Messages that were not seen between the one before and this. */
  readonly missed: number;
  /** Milliseconds since 1970, with a fraction. */
  readonly sentAt: number;
  readonly type: number;
  /** Bytes. */
  readonly length: number;
  /** Made at each use. */
  readonly value: unknown;
}

/** @example using inspector = inspect(path); inspector.look().value */
export interface Inspector extends Disposable {
  readonly path: string;
  readonly kind: ContentKind;
  /** How far the content has come. Without a lock, and without a system call. */
  readonly version: number;
  /** The struct that it is, or that its messages are; undefined for documents and raw bytes. */
  readonly schema: StructSchema | undefined;
  /** The last committed state. Takes no lock where the content can be read without. */
  look(): Look;
  info(): SegmentInfo;
  /** @returns the version of the copy */
  backup(path: string): number;
  changes(options?: ChangesOptions): Changes;
  /** What there is to know at a glance, as numbers: the depth of a queue, say. */
  readonly gauges?: (() => Readonly<Record<string, number>>) | undefined;
  /** Processes that have a part in the content, as far as it tells; beside those that hold its lock or have it mapped. */
  readonly users?: (() => readonly ContentUser[]) | undefined;
  /** The messages that are there, from the oldest, and all that come; undefined for contents without any. */
  readonly messages?: ((options: MessagesOptions) => AsyncIterable<LookedAtMessage>) | undefined;
}

/** Which messages. */
export interface MessagesOptions {
  readonly from: "oldest" | "newest" | "next";
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds between looks. Default: none, each message wakes the reader, which costs the writer some hundred
   * nanoseconds.
   */
  readonly everyMs?: number | undefined;
}

/** An inspector that may write, under the lock. */
export interface EditingInspector extends Inspector {
  /**
   * Sets what stands at a dotted path.
   * @throws TypeError, RangeError that name the field; UnsupportedError for contents that are not set
   */
  set(path: string, value: unknown): void;
  /**
   * Replaces the whole value in one transaction, unless there was a commit after `version`.
   * @returns whether it was replaced
   */
  replace(value: unknown, version: number): boolean;
}

export interface InspectOptions extends Trust {
  /** Milliseconds to wait for the lock. Default: no limit. */
  readonly timeoutMs?: number | undefined;
  /** How much the schema in a file may make; see `SchemaLimits`. */
  readonly limits?: SchemaLimits | undefined;
}

/** A process that has a part in a content. */
export interface ContentUser {
  /** As the file says: any process that may write it can name any. */
  readonly pid: number;
  /** What it does there, in a few words. @example "publishes" */
  readonly does: string;
  /** It died, and what it had has not gone back yet. */
  readonly isDead?: boolean | undefined;
}

/** A job of a content that has some. */
export interface LookedAtJob {
  /** Its number, unique among the jobs that are there. */
  readonly job: number;
  readonly state: "ready" | "delayed" | "taken";
  /** Attempts that failed. */
  readonly attempt: number;
  /** Milliseconds since 1970 before which it is not taken; 0: at once. */
  readonly notBefore: number;
  /** Milliseconds since 1970. */
  readonly takenAt: number | undefined;
  /** The process that has taken it, as it said itself. */
  readonly pid: number | undefined;
  /** The user's text: the reason of the last failure, as a rule. */
  readonly note: string;
  readonly value: unknown;
}

/** A content of jobs, for people who put things right. */
export interface JobControl extends Disposable {
  /** The file whose jobs these are. */
  readonly path: string;
  list(): LookedAtJob[];
  /** Lets a job be taken at once: its delay ends, its worker loses it, a dead letter goes back. @returns false: it has gone */
  requeue(job: number): boolean;
  /** Takes a job away for good, unless a worker has it. @returns false: it has gone, or was taken */
  drop(job: number): boolean;
}

export interface JobControlOptions extends InspectOptions {
  /** The jobs whose attempts are used up. */
  readonly isDead: boolean;
}

/** What puts recorded messages into a content. */
export interface MessageSender extends Disposable {
  /** A message of zeros, as plain values: it tells the types. */
  readonly blank: unknown;
  send(value: unknown, options: { readonly type: number }): void;
}

/** How a room opens its content for inspection. */
export interface InspectorType {
  read(path: string, options: InspectOptions): Inspector;
  write(path: string, options: InspectOptions): EditingInspector;
  /**
   * Puts a backup in the place of the file.
   * @throws FileMissingError; FileFormatError, LayoutMismatchError; LockTimeoutError; SystemError
   */
  restore(backup: string, path: string, options: InspectOptions): void;
  /** @returns whether there was a file @throws FileFormatError for another program's file; LockTimeoutError; SystemError */
  remove(path: string, options: InspectOptions): boolean;
  /** Removes what `remove` leaves: the files beside it. @returns their paths */
  purge(path: string): string[];
  /** Jobs; undefined for contents without any. */
  readonly jobs?: ((path: string, options: JobControlOptions) => JobControl) | undefined;
  /** Sends messages; undefined for contents that take none from tools. */
  readonly sender?: ((path: string, options: InspectOptions) => MessageSender) | undefined;
  /** Gives the file another struct. @returns whether it had another one @throws MigrationError */
  readonly migrate?: ((path: string, cls: StructClass, options: MigrateOptions) => boolean) | undefined;
  /** How far the content has come, for listings: where that is not in the footer. Undefined: the footer has it. */
  readonly version?: ((path: string, trust: Trust) => number) | undefined;
}

export interface MigrateOptions extends InspectOptions {
  /** Drop what the new struct has no place for. Default: MigrationError. */
  readonly isLossy: boolean;
}

/** How the files of a content are removed and restored, where nothing but its type makes a difference. */
export const fileCommands = <C extends Content>(
  placeAt: (path: string) => Place,
  typeAt: (place: Place) => ContentType<C>,
  { transactional = false }: { readonly transactional?: boolean } = {},
): Pick<InspectorType, "restore" | "remove" | "purge"> => ({
  restore: (backup, path, { timeoutMs, ...trust }) => {
    const place = placeAt(path);
    restoreSegment(place, typeAt(place), backup, { transactional, timeoutMs, trust });
  },
  remove: (path, { timeoutMs, ...trust }) => {
    const place = placeAt(path);
    return removeSegment(place, typeAt(place), { mode: 0o600, timeoutMs, trust });
  },
  purge: (path) => purgeSegment(placeAt(path)),
});

/** The version of a content that counts for itself. */
export function versionAt<C extends Content>(path: string, type: ContentType<C>, trust: Trust): number {
  const { words, leastBytes } = type;
  using file = SegmentFile.open(path, { access: "read", words, leastBytes, trust });
  return type.open(file).version;
}

/** What a content adds to an inspector of its segment. */
export type InspectorParts = Pick<Inspector, "kind" | "schema" | "look" | "messages" | "gauges" | "users">;

/**
 * Opens a segment whose content says what it holds.
 * @param partsOf what it throws closes the segment again
 */
export function inspectSegment<C extends Content>(
  place: Place,
  type: ContentType<C>,
  { trustOwner, shared, timeoutMs }: InspectOptions,
  partsOf: (segment: Segment<C>) => InspectorParts,
): Inspector {
  const trust = { trustOwner, shared };
  const segment = new Segment(place, type, { access: "read", makesLock: false, trust });
  try {
    return inspectorOf(segment, partsOf(segment), timeoutMs);
  } catch (error) {
    segment.close();
    throw error;
  }
}

const inspectorOf = <C extends Content>(
  segment: Segment<C>,
  parts: InspectorParts,
  timeoutMs: number | undefined,
): Inspector => ({
  ...parts,
  path: segment.path,
  get version() {
    return segment.current()?.version ?? segment.content.version;
  },
  info: () => segmentInfo(segment),
  backup: (path) => backupSegment(segment, path, { timeoutMs }),
  changes: (options = {}) => segment.changes(options),
  [Symbol.dispose]: () => segment.close(),
});

/** For contents whose values are put in by their own rules. */
export function refuseWriting(path: string, why: string): never {
  throw new UnsupportedError(`'${path}' ${why}`);
}
