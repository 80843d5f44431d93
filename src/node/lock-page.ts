/**
 * For Node.js in the place of src/sync/lock-page.ts: the lock's page by positioned reads and writes. Its words are hints, so
 * where two processes add to a count at once and it loses one, a sleeper finds out when its time is over. Node.js cannot call
 * futex(2): it says so on the page (`cannotWake`), and those who sleep look every 4 ms from then on. The first one to say
 * so waits 0.1 s if others sleep: in that time they find out.
 */
import { UnsupportedError } from "../errors/errors.ts";
import { sleepMs } from "../sync/deadline.ts";
import {
  CANNOT_WAKE,
  CHANGES,
  GENERATIONS,
  isAhead,
  LOOK_ALONE_MS,
  LOOKS,
  MAX_GENERATIONS,
  openIfPossible,
  POLLING,
  preparePage,
  RELEASED,
  TURNSTILE_LEFT,
  WAITING,
  WAKE_UNTIL,
} from "../sync/lock-page-format.ts";
import type { OpenOptions } from "../sync/open.ts";
import { closeFile } from "../sys/file.ts";
import { prepareLocks } from "./libc.ts";
import { OwnedFd } from "./owned-fd.ts";
import { readAt, writeAt, writeByte } from "./positioned.ts";
import { dropLateLocks } from "./record-lock.ts";

export { lockPagePath } from "../sync/lock-page-format.ts";

/** How long to sleep between two looks at most, in milliseconds: no process can wake us. */
const SLEEP_MS_MAX = 1;
/** A wait for a lock looks that much more often than those who are woken. */
const LOOKS_MORE = 4;

/** What the page of a lock of kind "fcntl" is called. */
const RECORD_LOCK_PAGE = ".lockfile-page";

const noRecordLocks = (path: string): UnsupportedError =>
  new UnsupportedError(
    `'${path.slice(0, -"-page".length)}' is a lock of kind "fcntl", which Node.js cannot take: run this program with Bun (https://bun.sh), or make the file with lock: "flock"`,
  );

export class LockPage {
  readonly #file: OwnedFd;
  readonly #path: string;
  readonly writable: boolean;
  readonly hasSilentReaders: boolean;
  readonly #word = new Int32Array(1);
  readonly #bytes = new Uint8Array(this.#word.buffer);

  private constructor(fd: number, path: string, writable: boolean, fileMode: number) {
    this.#file = new OwnedFd(fd);
    this.#path = path;
    this.writable = writable;
    this.hasSilentReaders = (fileMode & 0o044 & ~((fileMode & 0o022) << 1)) !== 0;
  }

  /** See src/sync/lock-page.ts. */
  static open(path: string, options: OpenOptions = {}): LockPage | undefined {
    if (path.endsWith(RECORD_LOCK_PAGE)) throw noRecordLocks(path);
    prepareLocks();
    const opened = openIfPossible(path, options);
    if (opened === undefined) return undefined;
    const { fd, writable, status } = opened;
    let isReady = false;
    try {
      isReady = preparePage(opened, path);
    } finally {
      if (!isReady) closeFile(fd);
    }
    if (!isReady) return undefined;
    const page = new LockPage(fd, path, writable, status.mode);
    page.#comeIn();
    return page;
  }

  /** Says that no wake comes from here. Those who sleep at this moment find out before there is a commit that they would miss. */
  #comeIn(): void {
    if (!this.writable || this.#load(CANNOT_WAKE) !== 0) return;
    this.#setFlag(CANNOT_WAKE, true);
    if (isAhead(this.#load(WAKE_UNTIL), this.changes + 1)) sleepMs(LOOK_ALONE_MS + SLEEP_MS_MAX);
  }

  #load(word: number): number {
    readAt(this.#file.fd, this.#bytes, word * 4, this.#path);
    return this.#word[0] as number;
  }

  #store(word: number, value: number): void {
    if (!this.writable) return;
    this.#word[0] = value;
    writeAt(this.#file.fd, this.#bytes, word * 4, this.#path);
  }

  #setFlag(word: number, value: boolean): void {
    if (this.writable && (this.#load(word) !== 0) !== value)
      writeByte(this.#file.fd, Number(value), word * 4, this.#path);
  }

  get waiting(): boolean {
    dropLateLocks();
    return this.#load(WAITING) !== 0;
  }

  set waiting(value: boolean) {
    this.#setFlag(WAITING, value);
  }

  get polling(): boolean {
    return this.#load(POLLING) !== 0;
  }

  set polling(value: boolean) {
    this.#setFlag(POLLING, value);
  }

  get looks(): number {
    return this.#load(LOOKS);
  }

  countLook(): void {
    this.#store(LOOKS, this.looks + 1);
  }

  get released(): number {
    return this.#load(RELEASED);
  }

  /** Those who sleep are not woken: they look after some milliseconds. */
  announceRelease(): void {
    this.#store(RELEASED, this.released + 1);
  }

  sleepUntilReleased(_seen: number, timeoutMs: number): void {
    sleepMs(Math.min(timeoutMs / LOOKS_MORE, SLEEP_MS_MAX));
  }

  get turnstileLeft(): number {
    return this.#load(TURNSTILE_LEFT);
  }

  announceTurnstileLeft(): void {
    this.#store(TURNSTILE_LEFT, this.turnstileLeft + 1);
  }

  sleepUntilTurnstileLeft(_seen: number, timeoutMs: number): void {
    sleepMs(Math.min(timeoutMs / LOOKS_MORE, SLEEP_MS_MAX));
  }

  get generations(): number {
    const count = this.#load(GENERATIONS) >>> 0;
    return count <= MAX_GENERATIONS ? count : 0;
  }

  set generations(count: number) {
    this.#store(GENERATIONS, count | 0);
  }

  get changes(): number {
    return this.#load(CHANGES);
  }

  announceChange(): void {
    this.#store(CHANGES, this.changes + 1);
  }

  sleepUntilChange(_seen: number, timeoutMs: number): void {
    sleepMs(Math.min(timeoutMs, SLEEP_MS_MAX));
  }

  close(): void {
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
