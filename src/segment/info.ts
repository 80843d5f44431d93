/** What is known of a segment that is open: for programs that look after others, and for tools. */
import type { LockUser } from "../errors/errors.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { fs } from "../sys/builtin.ts";
import { statusAt } from "../sys/status.ts";
import type { Content } from "./content.ts";
import type { ContentKind } from "./footer.ts";
import { type MirrorInfo, mirrorInfo } from "./mirror-state.ts";
import type { Segment } from "./segment.ts";

/** What `info()` gives. @example const { version, lock, deadWriter } = role.info(); */
export interface SegmentInfo {
  /** Absolute path of the file. */
  readonly path: string;
  readonly kind: ContentKind;
  /** Which of the files that had this name this one is, counted from 0. */
  readonly generation: number;
  readonly version: number;
  /** Of the whole file. */
  readonly bytes: number;
  /** When the file was made, milliseconds since 1970; undefined for a file of another library. */
  readonly createdAt: number | undefined;
  /** What the file says of its content, parsed; undefined for a file of another library. */
  readonly schema: unknown;
  /** Writers keep the state before them in the file. */
  readonly transactional: boolean;
  readonly isBackup: boolean;
  /** Undefined for a backup, which is read without a lock. */
  readonly lock: LockInfo | undefined;
  /** The last writer died before it could commit; readers see the state before, and the next writer repairs it. */
  readonly deadWriter: boolean;
  /**
   * How many processes have the file mapped when this is read first, as far as this one may look; undefined where the system does
   * not tell.
   */
  readonly users: number | undefined;
  /** How old the state is, where the file follows another machine's or is sent to others; undefined for all others. */
  readonly mirror: MirrorInfo | undefined;
}

/** Who uses a segment's lock. @example role.info().lock?.holders[0]?.command */
export interface LockInfo {
  readonly path: string;
  readonly kind: LockKind;
  /** Who holds it now, as far as the kernel tells. */
  readonly holders: readonly LockUser[];
  /** Who waits for it and is next. */
  readonly waiting: readonly LockUser[];
}

/**
 * Looks through /proc, which takes some milliseconds.
 * @throws ClosedError; FileMissingError when there is no file; FileFormatError for a truncated one
 */
export function segmentInfo<C extends Content>(segment: Segment<C>): SegmentInfo {
  const content = segment.whole() ?? segment.content;
  const { file, version } = content;
  const { footer } = file;
  const isBackup = footer?.isBackup === true;
  const lock = isBackup ? undefined : lockInfo(segment);
  const info: SegmentInfo = {
    path: file.path,
    kind: footer?.content ?? segment.type.kind,
    generation: file.generation,
    version,
    bytes: file.byteLength,
    createdAt: footer && Number(footer.createdAt) / 1e6,
    schema: footer && parsed(file.schemaBytes),
    transactional: footer?.transactional === true,
    isBackup,
    lock,
    // A writer that lives holds the lock.
    deadWriter: (file.sequence & 1) === 1 && lock?.holders.every(({ mode }) => mode === "shared") === true,
    users: undefined,
    mirror: mirrorInfo(file.path, segment.trust),
  };
  return withUsers(info);
}

/** By that console.log and util.inspect ask how an object is shown. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** The maps of all processes are read when they are asked for: of 500 segments that would take seconds. */
function withUsers(info: SegmentInfo): SegmentInfo {
  let users: number | undefined;
  let isKnown = false;
  return Object.defineProperties(info, {
    users: {
      get() {
        if (!isKnown) users = processesOf(info.path)?.length;
        isKnown = true;
        return users;
      },
      enumerable: true,
    },
    // console.log would print `[Getter]`.
    [INSPECT]: { value: () => ({ ...info }) },
  });
}

function lockInfo<C extends Content>({ lock }: Segment<C>): LockInfo {
  const { holders, waiters } = lock.users();
  return { path: lock.path, kind: lock.kind, holders, waiting: waiters };
}

/** A schema is hostile input: what is no JSON is nothing. */
function parsed(schema: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(schema).toString());
  } catch {
    return undefined;
  }
}

/** Processes that have a file mapped, by the inode in /proc/<pid>/maps (proc(5)); undefined where there is no /proc. */
export function processesOf(path: string): number[] | undefined {
  const inode = statusAt(path)?.id.split(":").at(-1);
  if (inode === undefined) return undefined;
  const line = new RegExp(` ${inode} +/`);
  try {
    return fs()
      .readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && line.test(mapsOf(name)))
      .map(Number);
  } catch {
    return undefined;
  }
}

function mapsOf(pid: string): string {
  try {
    return fs().readFileSync(`/proc/${pid}/maps`, "latin1");
  } catch {
    // It has ended, or is another user's.
    return "";
  }
}
