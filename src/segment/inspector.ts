/** A segment opened by what it says of itself, for tools that look at any: each content's room makes its own. */
import { UnsupportedError } from "../errors/errors.ts";
import type { StructSchema } from "../struct/schema/schema.ts";
import type { Changes, ChangesOptions } from "../sync/notifier.ts";
import type { Trust } from "../sys/trust.ts";
import { backupSegment } from "./backup.ts";
import type { Content, ContentType } from "./content.ts";
import type { ContentKind } from "./footer.ts";
import { type SegmentInfo, segmentInfo } from "./info.ts";
import type { Segment } from "./segment.ts";
import { SegmentFile } from "./segment-file.ts";

/** One committed state. */
export interface Look {
  readonly version: number;
  /** Plain values: objects, arrays, numbers, bigints, text. Undefined for a document that was never written. */
  readonly value: unknown;
  /** The bytes of the struct; undefined for what is none. */
  readonly bytes: Uint8Array | undefined;
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
  /** The messages that are there, from the oldest, and all that come; undefined for contents without any. */
  readonly messages?: ((options: MessagesOptions) => AsyncIterable<LookedAtMessage>) | undefined;
}

/** Which messages. */
export interface MessagesOptions {
  readonly from: "oldest" | "newest" | "next";
  readonly signal?: AbortSignal | undefined;
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
}

/** How a room opens its content for inspection. */
export interface InspectorType {
  read(path: string, options: InspectOptions): Inspector;
  write(path: string, options: InspectOptions): EditingInspector;
  /** How far the content has come, for listings: where that is not in the footer. Undefined: the footer has it. */
  readonly version?: ((path: string, trust: Trust) => number) | undefined;
}

/** The version of a content that counts for itself. */
export function versionAt<C extends Content>(path: string, type: ContentType<C>, trust: Trust): number {
  const { words, leastBytes } = type;
  using file = SegmentFile.open(path, { access: "read", words, leastBytes, trust });
  return type.open(file).version;
}

/** An inspector of an open segment whose content says what it holds. */
export const segmentInspector = <C extends Content>(
  segment: Segment<C>,
  parts: Pick<Inspector, "kind" | "schema" | "look" | "messages">,
): Inspector => ({
  ...parts,
  path: segment.path,
  get version() {
    return segment.current()?.version ?? segment.content.version;
  },
  info: () => segmentInfo(segment),
  backup: (path) => backupSegment(segment, path),
  changes: (options = {}) => segment.changes(options),
  [Symbol.dispose]: () => segment.close(),
});

/** For contents whose values are put in by their own rules. */
export function refuseWriting(path: string, why: string): never {
  throw new UnsupportedError(`'${path}' ${why}`);
}
