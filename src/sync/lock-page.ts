/**
 * One page of memory that all users of a lock share: hints that make waiting fair and waking cheap. Nothing in it
 * decides who holds the lock: only the kernel does. A page full of nonsense costs time, never safety.
 *
 * It is a file of its own beside the lock file, not a part of it: shell scripts open lock files with
 * `exec 9>file.lock`, which truncates them, and touching a truncated mapping kills the process.
 */

import { ClosedError } from "../errors/errors.ts";
import { barrier } from "../struct/memory/barrier.ts";
import { closeFile, duplicateFd } from "../sys/descriptor.ts";
import { check } from "../sys/libc/call.ts";
import { futexWait, futexWake } from "../sys/libc/futex.ts";
import { Mapping } from "../sys/mapping.ts";
import { statusOf } from "../sys/status.ts";
import { type CommitNaps, CommitSleep, type OwnSleep, wakeFirstSleeper } from "./hand-on.ts";
import {
  CANNOT_WAKE,
  CHANGES,
  GENERATIONS,
  isAhead,
  LOOKS,
  MAX_GENERATIONS,
  openIfPossible,
  PAGE_BYTES,
  POLLING,
  preparePage,
  RELEASED,
  TURNSTILE_LEFT,
  WAITING,
  WAKE_UNTIL,
} from "./lock-page-format.ts";
import type { OpenOptions } from "./open.ts";

export { lockPagePath } from "./lock-page-format.ts";

/**
 * No sleeper sleeps longer than this without a look, in milliseconds: a writer that is killed between counting its
 * commit and waking has woken no sleeper.
 */
const SLEEP_MS_MAX = 1000;

/** The same once a writer came that cannot wake: one without futex(2), such as Node.js. */
const SLEEP_MS_UNWOKEN = 4;

/** An open page of one thread, for another: the descriptor stays the first one's, so that it goes when that thread ends. */
export interface PageHandle {
  readonly fd: number;
  /** As `FileStatus.id`. */
  readonly id: string;
  readonly path: string;
}

/** The mapped page. On a read-only one all reads work; the stores are left out, as they would kill the process. */
export class LockPage {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #mapping: Mapping;
  readonly #sleep: CommitSleep;
  /** Whether this process may store to the page. */
  readonly writable: boolean;
  /** Whether, going by the file's mode, others may read the page but not store to it: they wait unseen. */
  readonly hasSilentReaders: boolean;

  private constructor(mapping: Mapping, fileMode: number) {
    this.#mapping = mapping;
    this.#words = new Int32Array(mapping.buffer);
    this.#sleep = new CommitSleep(this.#words);
    this.writable = mapping.access === "write";
    this.hasSilentReaders = (fileMode & 0o044 & ~((fileMode & 0o022) << 1)) !== 0;
  }

  /**
   * Maps the page at `path`. Any number of processes may create it at once: all write the same bytes.
   * @returns undefined when there is no whole page and this process may or should not make one
   * @throws FileFormatError for a file that is larger than a page and does not begin like one; it is left as it is
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

  /**
   * Maps the page of another thread of this process a second time, on a descriptor of its own.
   * @returns undefined when that thread has closed it, or ended
   */
  static share({ fd, id, path }: PageHandle): LockPage | undefined {
    const own = duplicateFd(fd);
    if (own < 0) return undefined;
    const status = statusOf(own);
    if (status.id === id) return LockPage.#map(own, true, path, status.mode);
    // The number belongs to another file by now.
    closeFile(own);
    return undefined;
  }

  static #map(fd: number, writable: boolean, path: string, mode: number): LockPage {
    const access = writable ? "write" : "read";
    return new LockPage(Mapping.map(fd, { byteLength: PAGE_BYTES, access, path, reserve: true }), mode);
  }

  /** What another thread needs to `share` the page, as long as it is open here. @throws ClosedError */
  get handle(): PageHandle {
    const { closed, fd, path = "" } = this.#mapping;
    if (closed) throw new ClosedError(`the lock page '${path}' is closed`);
    return { fd, id: statusOf(fd).id, path };
  }

  /** Another descriptor of the page. @throws ClosedError, SystemError EMFILE */
  duplicateFd(): number {
    return check("fcntl", duplicateFd(this.handle.fd));
  }

  /** A waiter stands in the turnstile: do not overtake. */
  get waiting(): boolean {
    barrier();
    return this.#words[WAITING] !== 0;
  }

  set waiting(value: boolean) {
    if (this.writable) Atomics.store(this.#words, WAITING, Number(value));
  }

  /** A waiter in front of the turnstile can only look now and then: wake no sleeper, which would always be faster. */
  get polling(): boolean {
    barrier();
    return this.#words[POLLING] !== 0;
  }

  set polling(value: boolean) {
    if (this.writable) Atomics.store(this.#words, POLLING, Number(value));
  }

  /** How often waiters in the turnstile have looked. While it stands still, they do not run. */
  get looks(): number {
    barrier();
    return this.#words[LOOKS]!;
  }

  /** For a waiter in the turnstile, at each look: at least every 10 ms. */
  countLook(): void {
    if (this.writable) Atomics.add(this.#words, LOOKS, 1);
  }

  /** A number that differs after the lock was given back. To be read before the look that a sleep follows. */
  get released(): number {
    barrier();
    return this.#words[RELEASED]!;
  }

  /** After the lock was given back, if `waiting` is set: wakes those who stand in the turnstile. */
  announceRelease(): void {
    if (!this.writable) return;
    Atomics.add(this.#words, RELEASED, 1);
    futexWake(this.#words, RELEASED);
  }

  /** In the turnstile: sleeps while `released` is `seen`, or until the time is over. */
  sleepUntilReleased(seen: number, timeoutMs: number): void {
    futexWait(this.#words, RELEASED, seen, timeoutMs);
  }

  /** A number that differs after a waiter has left the turnstile. */
  get turnstileLeft(): number {
    barrier();
    return this.#words[TURNSTILE_LEFT]!;
  }

  /** After the turnstile was left: wakes one of those who wait in front of it. */
  announceTurnstileLeft(): void {
    if (!this.writable) return;
    Atomics.add(this.#words, TURNSTILE_LEFT, 1);
    futexWake(this.#words, TURNSTILE_LEFT, 1);
  }

  /** In front of the turnstile: sleeps while `turnstileLeft` is `seen`, or until the time is over. */
  sleepUntilTurnstileLeft(seen: number, timeoutMs: number): void {
    futexWait(this.#words, TURNSTILE_LEFT, seen, timeoutMs);
  }

  /** How many files were made so far under the name that the lock protects: the newest one's generation + 1; 0 for none. */
  get generations(): number {
    barrier();
    const count = this.#words[GENERATIONS]! >>> 0;
    return count <= MAX_GENERATIONS ? count : 0;
  }

  /** To be set under the exclusive lock. */
  set generations(count: number) {
    if (this.writable) Atomics.store(this.#words, GENERATIONS, count | 0);
  }

  /** Commits so far, as an int32 that wraps. */
  get changes(): number {
    barrier();
    return this.#words[CHANGES]!;
  }

  /** Counts a commit. A system call is made only if a sleeper asked for it in `sleepUntilChange`, and one however many did. */
  announceChange(): void {
    if (!this.writable) return;
    const number = Atomics.add(this.#words, CHANGES, 1);
    if (isAhead(Atomics.load(this.#words, WAKE_UNTIL), number + 1)) wakeFirstSleeper(this.#words);
  }

  /**
   * Sleeps while `changes` is `seen`, for a second at most; look again afterwards. Hands a wake on to other sleepers. Needs a
   * writable page, as a commit wakes only those that asked for it.
   * @param awake called after the sleep, before the wake is handed on: must be quick, and not throw
   */
  sleepUntilChange(seen: number, timeoutMs: number, awake?: () => void): void {
    this.#askForWake(seen);
    // The kernel compares once more before it sleeps: a commit after `seen` was read cannot be missed.
    this.#sleep.until(seen, Math.min(timeoutMs, this.#sleepAtMostMs()), awake);
  }

  /** `sleepUntilChange` for one who sleeps by other means: the sleeps, after which `handOn` is to be called. See `CommitSleep.naps`. */
  napsUntilChange(seen: number, own: OwnSleep): CommitNaps {
    this.#askForWake(seen);
    return this.#sleep.naps(seen, this.#sleepAtMostMs(), own);
  }

  /** After `napsUntilChange`: hands a wake on to other sleepers. */
  handOn(seen: number, hasWatched: boolean): void {
    this.#sleep.handOn(seen, hasWatched);
  }

  #sleepAtMostMs(): number {
    barrier();
    return this.#words[CANNOT_WAKE] === 0 ? SLEEP_MS_MAX : SLEEP_MS_UNWOKEN;
  }

  /** Wakes all sleepers of all processes, for a thread among them that is to end. */
  wakeAllSleepers(): void {
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
