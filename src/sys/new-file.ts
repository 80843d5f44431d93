/** Making a file whole under a temporary name, before it gets its own: no process ever sees half of one. */
import { fs } from "./builtin.ts";
import { allocate, closeFile, openFile, readAt, readStart } from "./file.ts";
import { fillFile } from "./fill-file.ts";
import { check, cstring, lastErrno, systemError } from "./libc/call.ts";
import { E, LOCK_EX, LOCK_NB, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR } from "./libc/constants.ts";
import { libc } from "./libc/symbols.ts";
import { directoryOf, exists, throughFs } from "./paths.ts";
import { statusOf } from "./status.ts";

/** What a new file is like. */
export interface NewFile {
  readonly byteLength: number;
  /** Permissions, not reduced by the umask. */
  readonly mode: number;
  /** What the file begins with before it is filled: it tells leftovers of a killed creator from other files. */
  readonly marker: Uint8Array;
  /** Writes what tells leftovers at the file's end, while the marker is still there: a creator may be killed at any store. */
  sign?(bytes: Uint8Array<ArrayBuffer>): void;
  /** Writes the content into the zeroed bytes, the marker's too. */
  fill(bytes: Uint8Array<ArrayBuffer>, path: string): void;
}

/**
 * A bit of the mode that a file has from its first moment on until its content tells whose it is: the sticky bit, which Linux
 * gives no meaning on a regular file. An empty file without it may be any program's.
 */
export const BEING_MADE = 0o1000;

/** Bytes at the end of a temporary file that a sweeper looks at. */
const END_BYTES = 128;

/**
 * Makes a file `<path>.new-<16 random digits>`, with storage behind every byte, so that no store can fail later, and
 * calls `publish` with its path, which gives it another name. The kernel's lock on it is held until then, so that a
 * sweeper leaves it alone.
 * @returns what `publish` returns
 * @throws SystemError ENOSPC, EACCES …, what `fill` and `publish` throw; nothing is left behind then
 */
export function makeTemporary<R>(
  path: string,
  { byteLength, mode, marker, sign, fill }: NewFile,
  publish: (temporary: string) => R,
): R {
  const { fd, temporary } = openTemporary(path);
  try {
    prepare(fd, temporary, { byteLength, mode, marker });
    const fillAll = (bytes: Uint8Array<ArrayBuffer>): void => {
      sign?.(bytes);
      bytes.fill(0, 0, marker.length);
      fill(bytes, temporary);
    };
    return fillFile({ fd, byteLength, path: temporary }, fillAll, () => publish(temporary));
  } catch (error) {
    if (exists(temporary)) unlink(temporary);
    throw error;
  }
}

/**
 * A new file whose lock we hold. A sweeper that met it before it was locked may have taken it away: it holds the lock
 * while it does so.
 */
function openTemporary(path: string): { fd: number; temporary: string } {
  for (;;) {
    const temporary = `${path}.new-${randomDigits()}`;
    const fd = openFile(temporary, O_RDWR | O_CREAT | O_EXCL, BEING_MADE | 0o600);
    if (isOurs(fd, temporary)) return { fd, temporary };
  }
}

/** Locks a new file. Should that fail, nothing is left of it. @returns false when a sweeper has it */
function isOurs(fd: number, temporary: string): boolean {
  let isReady = false;
  try {
    // File systems without locks: better without this protection than not at all.
    const isLocked = libc().flock(fd, LOCK_EX | LOCK_NB) === 0 || lastErrno() !== E.EAGAIN;
    isReady = isLocked && statusOf(fd).links > 0;
    return isReady;
  } finally {
    if (!isReady) {
      // The sweeper may have left it, as there was nothing in it that it knows.
      libc().unlink(cstring(temporary));
      closeFile(fd);
    }
  }
}

/** The descriptor is closed when it fails: afterwards it is the mapping's. */
function prepare(
  fd: number,
  path: string,
  { byteLength, mode, marker }: Omit<NewFile, "sign" | "fill">,
): void {
  try {
    throughFs(() => fs().writeSync(fd, marker, 0, marker.length, 0), path);
    throughFs(() => fs().fchmodSync(fd, mode), path);
    allocate(fd, byteLength, path);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

const randomDigits = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );

/**
 * Removes what killed creators have left beside `path`: files with a temporary name of it that no living creator has
 * locked, and which `isOurs` recognises by their content, or `BEING_MADE` while they are empty. Files of others stay. With the writer lock held.
 */
export function sweepTemporaries(
  path: string,
  isOurs: (start: Uint8Array, end: Uint8Array) => boolean,
): void {
  for (const temporary of temporariesOf(path)) {
    try {
      sweep(temporary, isOurs);
    } catch (error) {
      // It is gone, or not ours to take away: it disturbs no process.
      if (!(error instanceof Error && "syscall" in error)) throw error;
    }
  }
}

/** The files beside `path` that have a temporary name of it. */
export function temporariesOf(path: string): string[] {
  const directory = directoryOf(path);
  const start = `${path.slice(path.lastIndexOf("/") + 1)}.new-`;
  const names = throughFs(() => fs().readdirSync(directory));
  return names
    .filter((name) => name.startsWith(start) && /^[0-9a-f]{16}$/.test(name.slice(start.length)))
    .map((name) => `${directory === "/" ? "" : directory}/${name}`);
}

function sweep(path: string, isOurs: (start: Uint8Array, end: Uint8Array) => boolean): void {
  const fd = openFile(path, O_RDONLY | O_NONBLOCK);
  try {
    const { isFile, byteLength, mode } = statusOf(fd);
    if (!isFile || libc().flock(fd, LOCK_EX | LOCK_NB) < 0) return;
    if (byteLength === 0) {
      if ((mode & BEING_MADE) !== 0) unlink(path);
      return;
    }
    const start = new Uint8Array(8);
    const end = new Uint8Array(END_BYTES);
    const startBytes = readStart(fd, start, path);
    if (byteLength >= END_BYTES) readAt(fd, end, byteLength - END_BYTES, path);
    if (isOurs(start.subarray(0, startBytes), end)) unlink(path);
  } finally {
    closeFile(fd);
  }
}

/**
 * Gives a new file its name where nothing has it.
 * @returns false when something has; the temporary name is gone either way
 * @throws SystemError
 */
export function linkNew(from: string, to: string): boolean {
  const errno = libc().link(cstring(from), cstring(to)) < 0 ? lastErrno() : 0;
  // File systems without hard links: better without this protection than not at all.
  if (errno === E.EPERM || errno === E.EOPNOTSUPP) {
    rename(from, to);
    return true;
  }
  if (errno !== 0 && errno !== E.EEXIST) throw systemError("link", errno, to);
  unlink(from);
  return errno === 0;
}

/** Gives a file another name, in the place of what has it now. @throws SystemError EACCES … */
export function rename(from: string, to: string): void {
  check("rename", libc().rename(cstring(from), cstring(to)), to);
}

/** Removes a name. @throws SystemError ENOENT, EACCES … */
export function unlink(path: string): void {
  check("unlink", libc().unlink(cstring(path)), path);
}
