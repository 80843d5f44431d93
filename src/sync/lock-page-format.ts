/** The file of a lock's page: where it is, what stands in it, and how one is made. */
import { FileFormatError, FileMissingError, SystemError } from "../errors/errors.ts";
import { fs } from "../sys/builtin.ts";
import { allocate, readStart } from "../sys/file.ts";
import { throughFs } from "../sys/paths.ts";
import { type OpenedFile, type OpenOptions, openLockFile } from "./open.ts";

/**
 * The page, version 2: 4096 bytes, native byte order, all words 32 bits. In its initial state all but the header is zero.
 * docs/internals/locking.md tells programs in other languages how to use each word.
 *
 *     0       4           8      64        68        72      76         80              84     128
 *     | magic | version   | zero | waiting | polling | looks | released | turnstileLeft | zero |
 *     | SHLK  | 2         |      |         |         |       | futex    | futex         |      |
 *
 *     128       132         136          140       144       148    192           196    1024     3072   4096
 *     | changes | wakeUntil | cannotWake | watched | sleeper | zero | generations | zero | owners | zero |
 *     | futex   |           |            |         |         |      |             |      | not used yet  |
 *
 * waiting: not 0 while a waiter stands in the turnstile.  polling: not 0 while one that an event loop keeps from sleeping looks
 * for its turn in front of it.  looks: one more at each look of a waiter in the turnstile; it stands still while that waiter
 * does not run.  released: one more when the lock was given back while `waiting` was set.  turnstileLeft: one more when a waiter
 * has left the turnstile.  changes: one more at every commit.  wakeUntil: commits numbered below it wake the sleepers.
 * cannotWake: not 0 once a writer came that cannot wake sleepers.  watched: when one of the sleepers last looked whether a wake was
 * handed on; 0 while none does.  sleeper: a number of its own, of the sleeper that went to sleep last.  generations: files made so far under the lock's name: the
 * newest one's generation + 1. The other counts wrap.
 */
export const PAGE_BYTES = 4096;
const HEADER_BYTES = 8;
const MAGIC = 0x4b4c4853;
const VERSION = 2;
// Its words.
export const WAITING = 64 / 4;
export const POLLING = 68 / 4;
export const LOOKS = 72 / 4;
export const RELEASED = 76 / 4;
export const TURNSTILE_LEFT = 80 / 4;
export const CHANGES = 128 / 4;
export const WAKE_UNTIL = 132 / 4;
export const CANNOT_WAKE = 136 / 4;
export const WATCHED = 140 / 4;
export const SLEEPER = 144 / 4;
export const GENERATIONS = 192 / 4;

/** How often a sleeper without a watcher looks whether a writer has come that cannot wake, in milliseconds. */
export const LOOK_ALONE_MS = 100;

/**
 * Whether `wakeUntil` is at `number` or a little beyond. Numbers wrap, and perhaps no sleeper has asked for a wake for billions
 * of commits: what is far ahead is far behind.
 */
export const isAhead = (wakeUntil: number, number: number): boolean =>
  ((wakeUntil - number) | 0) >>> 16 === 0;

/** Versions are exact in JavaScript up to here; a larger number is nonsense. */
export const MAX_GENERATIONS = 2 ** 21 - 1;

/** Where the page of a lock file lives. */
export const lockPagePath = (lockPath: string): string => `${lockPath}-page`;

/** Opens the page; undefined when it is missing and may not be made. */
export function openIfPossible(path: string, options: OpenOptions): OpenedFile | undefined {
  try {
    return openLockFile(path, { ...options, isMapped: true });
  } catch (error) {
    if (error instanceof FileMissingError) return undefined;
    if (error instanceof SystemError && ["EACCES", "EROFS", "EPERM"].includes(error.code)) return undefined;
    throw error;
  }
}

/**
 * Makes sure that a whole, valid page is there; false when it is missing or damaged and this process may not write it. Nothing
 * in a page is worth an error, as it holds only hints, so a damaged one is recreated in place: those who have it mapped go on.
 */
export function preparePage({ fd, writable, status }: OpenedFile, path: string): boolean {
  const header = new Uint32Array(HEADER_BYTES / 4);
  readStart(fd, new Uint8Array(header.buffer), path);
  const hasMagic = header[0] === MAGIC;
  if (status.byteLength > PAGE_BYTES && !hasMagic) {
    throw new FileFormatError(
      path,
      `'${path}' is not a lock page: it has ${status.byteLength} bytes and starts with ${hex(header[0]!)}, not ${hex(MAGIC)}; delete it if you do not need it, and a lock page takes its place`,
    );
  }
  if (hasMagic && header[1] === VERSION && status.byteLength >= PAGE_BYTES) return true;
  // A header of zeros: another process is making the page at this moment, and may have counted something already.
  const isNew = header.every((word) => word === 0);
  if (writable) writePage(fd, path, hasMagic || isNew);
  return writable;
}

/** Storage first, as a store to a hole on a full disk would kill the process; the header makes the page valid. */
function writePage(fd: number, path: string, keepsWords: boolean): void {
  allocate(fd, PAGE_BYTES, path);
  const bytes = new Uint8Array(keepsWords ? HEADER_BYTES : PAGE_BYTES);
  new Uint32Array(bytes.buffer).set([MAGIC, VERSION]);
  throughFs(() => fs().writeSync(fd, bytes, 0, bytes.length, 0), path);
}

/** Whether a file that begins with these bytes is a lock page, damaged or of another version perhaps. */
export const beginsAsPage = (bytes: Uint8Array | undefined): boolean =>
  bytes !== undefined && bytes.length >= 4 && new Uint32Array(bytes.slice(0, 4).buffer)[0] === MAGIC;

const hex = (value: number): string => `0x${value.toString(16).padStart(8, "0")}`;
