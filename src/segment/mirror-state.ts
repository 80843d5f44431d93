/** What a segment's file says of its mirror, if another machine's state is kept in it or its own is sent to others. */
import { fs } from "../sys/builtin.ts";
import type { Trust } from "../sys/trust.ts";
import { mirrorPath } from "./place.ts";
import { readSideFile } from "./side-file.ts";

/** What every note begins with: by that it is told from another program's file of its name. */
export const NOTE_MARKER: Uint8Array = new TextEncoder().encode('{"role":');
/** A longer one is another program's file. */
const MAX_NOTE_BYTES = 65_536;

/** Whether the first bytes of a file are those of a note. */
export const isNote = (start: Uint8Array): boolean => NOTE_MARKER.every((byte, i) => byte === start[i]);

/**
 * The bytes of `<file>.mirror`, as far as it is a note.
 * @throws SystemError ENOENT …; UntrustedFileError
 */
export function readNoteFile(path: string, trust?: Trust): Uint8Array | undefined {
  const bytes = readSideFile(path, MAX_NOTE_BYTES, trust);
  return bytes !== undefined && isNote(bytes) ? bytes : undefined;
}

/** What is noted of a file; undefined where nothing is, or nonsense, or another user's word in a directory of all. */
export function readState(path: string, trust?: Trust): MirrorState | undefined {
  try {
    const note = readNoteFile(mirrorPath(path), trust);
    return note && parseMirrorState(new TextDecoder().decode(note));
  } catch {
    return undefined;
  }
}

/** What stands in `<file>.mirror`, as JSON. */
export interface MirrorState {
  /** Whether the file is sent to others, or follows them. */
  readonly role: "publish" | "follow";
  /** Which publisher of the key, counted from 1. */
  readonly epoch: number;
  /** By the origin's count: the last state that reached the bucket, or that came from there. */
  readonly version: number;
  /** Generations by which versions of the local file are higher. */
  readonly lift: number;
  /** The bucket that the epoch counts in. */
  readonly bucketLife: string;
  /** The process that mirrors, and when it wrote this, in ms since 1970. */
  readonly pid: number;
  readonly at: number;
  /** Since when the state may be old, in ms since 1970; undefined while there is a connection and a publisher. */
  readonly staleSince?: number | undefined;
  readonly lagVersions?: number | undefined;
  readonly lagMs?: number | undefined;
  /** Of a channel: which file of the origin, which log, and the last entry that was stored. */
  readonly life?: string | undefined;
  readonly logLife?: string | undefined;
  readonly entry?: number | undefined;
}

/** What is known of the mirror of a segment. @example reader.info().mirror?.staleSince */
export interface MirrorInfo {
  readonly role: "publish" | "follow";
  /** The process that mirrors. */
  readonly pid: number;
  /** Which publisher of the key, counted from 1. */
  readonly epoch: number;
  /**
   * Since when the state may be old, in ms since 1970: no connection, no publisher, or no process that mirrors. Undefined:
   * connected.
   */
  readonly staleSince: number | undefined;
  /** Versions that are known and not stored (follow), or not confirmed (publish). */
  readonly lagVersions: number;
  /** Milliseconds that the last state took, by the clocks of two machines. */
  readonly lagMs: number | undefined;
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

/** Undefined for nonsense: any program may have written it. */
function parseMirrorState(text: string): MirrorState | undefined {
  const state = JSON.parse(text) as Partial<MirrorState> | null;
  const { role, epoch, version, lift, bucketLife, pid, at } = state ?? {};
  const isSound =
    (role === "publish" || role === "follow") &&
    [epoch, version, lift, pid].every(isCount) &&
    typeof bucketLife === "string" &&
    typeof at === "number";
  return isSound ? (state as MirrorState) : undefined;
}

/** What the file beside a segment says; undefined for one that is not mirrored. */
export function mirrorInfo(path: string, trust?: Trust): MirrorInfo | undefined {
  const state = readState(path, trust);
  if (state === undefined) return undefined;
  const { role, epoch, at, pid, staleSince, lagVersions = 0, lagMs } = state;
  const isAlive = fs().existsSync(`/proc/${pid}`);
  return { role, pid, epoch, staleSince: staleSince ?? (isAlive ? undefined : at), lagVersions, lagMs };
}
