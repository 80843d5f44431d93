/** What segments a directory has, without opening any: for tools. */

import { FileFormatError, SystemError } from "../errors/errors.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";
import { fileLock } from "../sync/file-lock.ts";
import { fs } from "../sys/builtin.ts";
import { closeFile, openFile, readAt } from "../sys/file.ts";
import { O_NONBLOCK, O_RDONLY } from "../sys/libc/constants.ts";
import { absolutePath, throughFs } from "../sys/paths.ts";
import { statusOf } from "../sys/status.ts";
import {
  AT,
  type ContentKind,
  FOOTER_BYTES,
  type Footer,
  formatAtEnd,
  MAX_SCHEMA_BYTES,
  parseFooter,
} from "./footer.ts";
import { isSideFile, isTemporary, placeOfPath } from "./place.ts";

/**
 * `"ok"`; `"busy"`: a writer is at work; `"dead writer"`: it died at it, readers see the state before, and the next writer
 * repairs; `"superseded"`: another file has its
 * name, or is about to; `"backup"`; `"damaged"`; `"other format"`; `"leftover"` of a creator that was killed.
 */
export type SegmentState =
  | "ok"
  | "busy"
  | "dead writer"
  | "superseded"
  | "backup"
  | "damaged"
  | "other format"
  | "leftover";

/** One segment of a listing. @example for (const { path, struct, version } of listSegments("/run/robot")) … */
export interface ListedSegment {
  /** Absolute path. */
  readonly path: string;
  /** Undefined for what is damaged or of another format. */
  readonly kind: ContentKind | undefined;
  /** The struct's or message's name; undefined for documents, and where the schema has none. */
  readonly struct: string | undefined;
  readonly version: number;
  /** Of the whole file. */
  readonly bytes: number;
  /** When the file was made, milliseconds since 1970; undefined where it does not say. */
  readonly createdAt: number | undefined;
  /** Permissions, and the user id of the owner. */
  readonly mode: number;
  readonly owner: number;
  readonly state: SegmentState;
  /** What is wrong, for a damaged file or one of another format. */
  readonly problem: string | undefined;
}

/**
 * The segments of a directory, by name; other files are passed over. Nothing is mapped, and no lock is
 * held; one is tried where a writer has begun and not ended, to tell whether it lives.
 * @param directory default `"./.mmap"`; `"/dev/shm"` has those that were opened by `name`
 * @throws SystemError ENOENT, EACCES …
 * @example listSegments("/dev/shm").filter(({ state }) => state !== "ok")
 */
export function listSegments(directory = "./.mmap"): ListedSegment[] {
  const names = throughFs(() => fs().readdirSync(directory)).sort();
  return names
    .filter((name) => !isSideFile(name))
    .map((name) => segmentAt(absolutePath(directory, name)))
    .filter((segment) => segment !== undefined);
}

/**
 * What a listing says of one file; undefined when it is no segment, or cannot be read.
 * @example segmentAt("./.mmap/Robot_.mmap")?.state
 */
export function segmentAt(path: string): ListedSegment | undefined {
  try {
    const fd = openFile(path, O_RDONLY | O_NONBLOCK);
    try {
      return describe(fd, path);
    } finally {
      closeFile(fd);
    }
  } catch (error) {
    // Gone meanwhile, a link, or another user's.
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

function describe(fd: number, path: string): ListedSegment | undefined {
  const status = statusOf(fd);
  const { isFile, byteLength } = status;
  if (!isFile || byteLength < FOOTER_BYTES || byteLength % 64 !== 0) return undefined;
  const end = new Uint8Array(FOOTER_BYTES);
  readAt(fd, end, byteLength - FOOTER_BYTES, path);
  const format = formatAtEnd(end);
  if (format === undefined) return undefined;
  const common = { path, bytes: byteLength, mode: status.mode & 0o777, owner: status.owner };
  try {
    const footer = parseFooter(end, byteLength, path, (schemaOffset, schemaBytes) =>
      schemaOf(fd, path, schemaOffset, schemaBytes),
    );
    const told = summary(footer.footer, footer.schema, end, path);
    const isDead = told.state === "busy" && isWriterDead(fd, path, footer.footer, end);
    return { ...common, ...told, ...(isDead && { state: "dead writer" as const }), problem: undefined };
  } catch (error) {
    if (!(error instanceof FileFormatError)) throw error;
    const state = format === 2 ? "damaged" : "other format";
    return { ...common, ...NOTHING, state, problem: error.message };
  }
}

/**
 * A writer that lives has the lock. It is tried for a moment, shared, and only where a writer has begun and not ended; after
 * that the sequence must still be the same.
 */
function isWriterDead(fd: number, path: string, { lockKind, fileBytes }: Footer, end: Uint8Array): boolean {
  const lockPath = placeOfPath(path).lockPath[lockKind];
  let lockFd: number;
  try {
    lockFd = openFile(lockPath, O_RDONLY | O_NONBLOCK);
  } catch (error) {
    // Missing, or another user's: then it cannot be told.
    if (error instanceof SystemError) return false;
    throw error;
  }
  try {
    if (!fileLock(lockKind, lockFd, lockPath).tryLock("shared")) return false;
    const now = new Uint8Array(SEQUENCE_BYTES);
    readAt(fd, now, fileBytes - FOOTER_BYTES + AT.sequence, path);
    return now.every((byte, i) => byte === end[AT.sequence + i]);
  } finally {
    // Closing gives the lock back.
    closeFile(lockFd);
  }
}

const SEQUENCE_BYTES = 4;

const NOTHING = { kind: undefined, struct: undefined, version: 0, createdAt: undefined } as const;

function schemaOf(fd: number, path: string, byteOffset: number, byteLength: number): Uint8Array {
  const schema = new Uint8Array(Math.min(byteLength, MAX_SCHEMA_BYTES));
  const read = readAt(fd, schema, byteOffset, path);
  return schema.subarray(0, read);
}

function summary(
  footer: Footer,
  schema: Uint8Array,
  end: Uint8Array,
  path: string,
): Pick<ListedSegment, "kind" | "struct" | "version" | "createdAt" | "state"> {
  const view = new DataView(end.buffer);
  const word = (at: number): number => view.getUint32(at, true);
  // While a writer is at work the version before it is the committed one.
  const isOdd = footer.content === "record" && (word(AT.sequence) & 1) === 1;
  const at = isOdd ? AT.before : AT.commits;
  return {
    kind: footer.content,
    struct: nameIn(schema),
    version: word(at) + word(at + 4) * 2 ** 32,
    createdAt: Number(footer.createdAt) / 1e6,
    state: stateOf(footer, path, isOdd, word(AT.superseded) !== 0),
  };
}

function stateOf(footer: Footer, path: string, isOdd: boolean, isSuperseded: boolean): SegmentState {
  if (isTemporary(path)) return "leftover";
  if (footer.isBackup) return "backup";
  if (isSuperseded) return "superseded";
  return isOdd ? "busy" : "ok";
}

/** The name of the struct that a schema describes, or of the messages. */
function nameIn(schema: Uint8Array): string | undefined {
  try {
    const parsed = parseSchemaJson(schema) as { name?: unknown; payload?: { name?: unknown } } | null;
    const name = parsed?.name ?? parsed?.payload?.name;
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}
