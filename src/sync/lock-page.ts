/**
 * One page of memory that all users of a lock share: hints that make waiting fair and waking cheap. Nothing in it
 * decides who holds the lock, that is the kernel's business; a page full of nonsense costs time, never safety.
 *
 * It is a file of its own beside the lock file, not a part of it: shell scripts open lock files with
 * `exec 9>file.lock`, which cuts them to nothing, and a mapping that is cut short kills every process that looks.
 */

import { ClosedError, FileFormatError, FileMissingError, SystemError } from "../errors/errors.ts";
import { barrier } from "../struct/memory/barrier.ts";
import { fs } from "../sys/builtin.ts";
import { allocate, closeFile, readStart } from "../sys/file.ts";
import { check } from "../sys/libc/call.ts";
import { F_DUPFD_CLOEXEC } from "../sys/libc/constants.ts";
import { futexWait, futexWake } from "../sys/libc/futex.ts";
import { libc } from "../sys/libc/symbols.ts";
import { Mapping } from "../sys/mapping.ts";
import { throughFs } from "../sys/paths.ts";
import { statusOf } from "../sys/status.ts";
import { type OpenedFile, type OpenOptions, openLockFile } from "./open.ts";

/**
 * The page, native byte order, 4096 bytes. In its initial state all but the header is zero.
 *
 *     0         4         8        64        68        72      128       132         136           140    4096
 *     | magic   | version | zero   | waiting | polling | zero  | changes | wakeUntil | generations | zero  |
 *     | "SHLK"  | u32 = 1 |        | i32     | i32     |       | i32     | i32       | u32         |       |
 *
 * waiting: not 0 while somebody stands in the lock's queue.  polling: not 0 while some of them cannot sleep in the
 * kernel.  changes: one more at every commit, wraps.  wakeUntil: commits numbered below it wake the sleepers.
 * generations: how many files the lock has protected so far, one after another.
 */
const PAGE_BYTES = 4096;
const HEADER_BYTES = 8;
const MAGIC = 0x4b4c4853;
const VERSION = 1;
const WAITING = 64 / 4;
const POLLING = 68 / 4;
const CHANGES = 128 / 4;
const WAKE_UNTIL = 132 / 4;
const GENERATIONS = 136 / 4;

/** Versions are exact in JavaScript up to here; a larger number is nonsense. */
const MAX_GENERATIONS = 2 ** 21 - 1;

/**
 * Nobody sleeps longer than this without a look, in milliseconds: a writer that is killed between counting its
 * commit and waking has woken nobody.
 */
const SLEEP_MS_MAX = 1000;

/** Where the page of a lock file lives. */
export const lockPagePath = (lockPath: string): string => `${lockPath}-page`;

/** The mapped page. On a read-only one all reads work; the stores are left out, as they would kill the process. */
export class LockPage {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #mapping: Mapping;
  /** Whether this process may store to the page. */
  readonly writable: boolean;
  /** Whether, going by the file's mode, others may read the page but not store to it: they wait unseen. */
  readonly hasSilentReaders: boolean;

  private constructor(mapping: Mapping, fileMode: number) {
    this.#mapping = mapping;
    this.#words = new Int32Array(mapping.buffer);
    this.writable = mapping.access === "write";
    this.hasSilentReaders = (fileMode & 0o044 & ~((fileMode & 0o022) << 1)) !== 0;
  }

  /**
   * Maps the page at `path`. Any number of processes may create it at once: all write the same bytes.
   * @returns undefined when there is no page and this process may or should not make one
   * @throws FileFormatError for a file that is none of ours, or was cut short; it is left as it is
   * @throws SystemError ENOSPC on a full disk, ELOOP for a symbolic link, EISDIR for a directory …
   */
  static open(path: string, options: OpenOptions = {}): LockPage | undefined {
    const opened = openIfPossible(path, options);
    if (opened === undefined) return undefined;
    const { fd, writable, status } = opened;
    let isReady = false;
    try {
      isReady = preparePage(opened, path);
    } finally {
      if (!isReady) closeFile(fd);
    }
    return isReady ? LockPage.#map(fd, writable, path, status.mode) : undefined;
  }

  /** Maps the checked page behind a descriptor, which then belongs to the object. */
  static adopt(fd: number, writable: boolean, path: string): LockPage {
    return LockPage.#map(fd, writable, path, statusOf(fd).mode);
  }

  static #map(fd: number, writable: boolean, path: string, mode: number): LockPage {
    const access = writable ? "write" : "read";
    return new LockPage(Mapping.map(fd, { byteLength: PAGE_BYTES, access, path, reserve: true }), mode);
  }

  /** Another descriptor of the page, for the thread that will adopt it. @throws ClosedError, SystemError EMFILE */
  duplicateFd(): number {
    // The number may be somebody else's file by now.
    if (this.#mapping.closed) throw new ClosedError(`the lock page '${this.#mapping.path}' is closed`);
    return check("fcntl", libc().fcntl(this.#mapping.fd, F_DUPFD_CLOEXEC, null));
  }

  /** Somebody stands in the queue: do not overtake. */
  get waiting(): boolean {
    barrier();
    return this.#words[WAITING] !== 0;
  }

  set waiting(value: boolean) {
    if (this.writable) Atomics.store(this.#words, WAITING, Number(value));
  }

  /** Somebody in the queue can only look now and then: do not sleep in the kernel, which would always be faster. */
  get polling(): boolean {
    barrier();
    return this.#words[POLLING] !== 0;
  }

  set polling(value: boolean) {
    if (this.writable) Atomics.store(this.#words, POLLING, Number(value));
  }

  /** Commits so far, as an int32 that wraps. */
  get changes(): number {
    barrier();
    return this.#words[CHANGES]!;
  }

  /** How many files had the name that the lock is for, as far as it was told: the generation of the next one. */
  get generations(): number {
    barrier();
    const count = this.#words[GENERATIONS]! >>> 0;
    return count <= MAX_GENERATIONS ? count : 0;
  }

  set generations(count: number) {
    if (this.writable) Atomics.store(this.#words, GENERATIONS, count);
  }

  /** Counts a commit. A system call is made only if somebody asked for it in `sleepUntilChange`. */
  announceChange(): void {
    if (!this.writable) return;
    const number = Atomics.add(this.#words, CHANGES, 1);
    if (isAhead(Atomics.load(this.#words, WAKE_UNTIL), number + 1)) futexWake(this.#words, CHANGES);
  }

  /**
   * Sleeps while `changes` is `seen`, for a second at most; look again afterwards. Needs a writable page, as a commit
   * wakes only those that asked for it.
   */
  sleepUntilChange(seen: number, timeoutMs: number): void {
    this.#askForWake(seen);
    // The kernel compares once more before it sleeps: a commit after `seen` was read cannot be missed.
    futexWait(this.#words, CHANGES, seen, Math.min(timeoutMs, SLEEP_MS_MAX));
  }

  /** Wakes all sleepers of all processes without a commit; they look and sleep again. */
  wakeSleepers(): void {
    futexWake(this.#words, CHANGES);
  }

  /** Raises wakeUntil, never lowers it: others sleep too. */
  #askForWake(seen: number): void {
    const wanted = (seen + 1) | 0;
    let current = Atomics.load(this.#words, WAKE_UNTIL);
    while (!isAhead(current, wanted)) {
      const found = Atomics.compareExchange(this.#words, WAKE_UNTIL, current, wanted);
      if (found === current) return;
      current = found;
    }
  }

  /** Unmaps the page. */
  close(): void {
    this.#mapping.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Whether `wakeUntil` is at `number` or a little beyond. Numbers wrap, and nobody may have asked for a wake for billions of
 * commits: what is far ahead is far behind.
 */
const isAhead = (wakeUntil: number, number: number): boolean => ((wakeUntil - number) | 0) >>> 16 === 0;

function openIfPossible(path: string, options: OpenOptions): OpenedFile | undefined {
  try {
    return openLockFile(path, options);
  } catch (error) {
    if (error instanceof FileMissingError) return undefined;
    if (error instanceof SystemError && ["EACCES", "EROFS", "EPERM"].includes(error.code)) return undefined;
    throw error;
  }
}

/** Makes sure that a whole, valid page is there; false when it is yet to be made and that is not up to us. */
function preparePage({ fd, writable, status }: OpenedFile, path: string): boolean {
  const content = new Uint8Array(PAGE_BYTES);
  const byteLength = readStart(fd, content, path);
  if (status.byteLength <= PAGE_BYTES && content.every((byte) => byte === 0)) {
    if (writable) writeNewPage(fd, path);
    return writable;
  }
  const header = new Uint32Array(content.buffer, 0, HEADER_BYTES / 4);
  if (header[0] !== MAGIC) {
    throw new FileFormatError(
      path,
      `'${path}' is not a lock page: it starts with ${hex(header[0]!)}, not ${hex(MAGIC)}; if it is nothing you need, delete it: a new one is made`,
    );
  }
  if (header[1] !== VERSION) {
    throw new FileFormatError(
      path,
      `'${path}' is a lock page of version ${header[1]}; this library knows ${VERSION}`,
    );
  }
  if (byteLength < PAGE_BYTES) {
    throw new FileFormatError(
      path,
      `the lock page '${path}' was cut to ${byteLength} of ${PAGE_BYTES} bytes; remove it`,
    );
  }
  return true;
}

/** Storage first, as a store to a hole on a full disk would kill the process; the header makes the page valid. */
function writeNewPage(fd: number, path: string): void {
  allocate(fd, PAGE_BYTES, path);
  throughFs(() => fs().writeSync(fd, new Uint32Array([MAGIC, VERSION]), 0, HEADER_BYTES, 0), path);
}

const hex = (value: number): string => `0x${value.toString(16).padStart(8, "0")}`;
