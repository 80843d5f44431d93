/**
 * A reader-writer lock between processes and threads, on a lock file: the kernel's lock for safety, a queue in front
 * of it for fairness.
 *
 * The kernel alone would let overlapping readers starve a writer, and a busy writer starve all others. So a caller that
 * has to wait first enters the *turnstile*, a lock of the other kind on the same file (flock and record locks do not
 * see each other): writers alone, readers together. Inside they raise a flag on the lock page, wait for the lock,
 * lower the flag, leave. Callers that see the flag go through the turnstile as well instead of overtaking. So a writer waits
 * only for those that hold the lock when it enters, and a reader for one writer at most.
 *
 * No wait sleeps in the kernel's lock calls, which know neither time limits nor the end of a worker. It sleeps on a word of
 * the lock page, for some milliseconds at most, and looks again. A waiter in the turnstile counts its looks on the page; when
 * the count stands still for a while, that waiter does not run (it was stopped, or its event loop is busy), and others pass it.
 */
import { checkOptions } from "../errors/check-options.ts";
import { ClosedError, DeadlockError, LockTimeoutError, type LockUsers, ShmError } from "../errors/errors.ts";
import { monotonicMs } from "../sys/clock.ts";
import { OwnedFd } from "../sys/owned-fd.ts";
import { isUnlinkedOrReplaced } from "../sys/status.ts";
import { checkSignal, Deadline } from "./deadline.ts";
import { type FileLock, fileLock, type LockKind, type LockMode } from "./file-lock.ts";
import { describeUsers, findUsers, findUsersAsync, isHeldByThisProcess } from "./holders.ts";
import { LockPage, lockPagePath } from "./lock-page.ts";
import { type OpenOptions, openLockFile } from "./open.ts";
import { heldInOtherRealm, markAsOurs, ThreadLocks } from "./this-thread.ts";
import { Turnstile } from "./turnstile.ts";
import { WaitLine } from "./wait-line.ts";

export interface RwLockOptions extends OpenOptions {
  /** The lock file. */
  path: string;
  /** Which of the kernel's locks; all who share the file must use the same. Default `"flock"`. */
  kind?: LockKind | undefined;
}

/** How long to wait for a lock. @example editor.lock({ timeoutMs: 500 }) */
export interface LockOptions {
  /** Milliseconds after which `LockTimeoutError` is thrown; 0 tries once. Default: no limit. */
  timeoutMs?: number | undefined;
}

/** The same without blocking. @example await editor.lockAsync({ timeoutMs: 500, signal }) */
export interface AsyncLockOptions extends LockOptions {
  /** Aborting it rejects with `signal.reason`; nothing stays held. */
  signal?: AbortSignal | undefined;
}

/** What `LockOptions` has, for `checkOptions`. */
export const LOCK_OPTIONS = { timeoutMs: "number" } as const;
const ASYNC_LOCK_OPTIONS = { ...LOCK_OPTIONS, signal: "any" } as const;

/** What a lock object is doing. `"queued"`: it stands in the turnstile. */
export type LockState = "idle" | "queued" | "held" | "closed";

/**
 * All changes of state. `interrupted` is an exception at any point of a call, a stack overflow for instance: the next call of
 * the thread on the same file first gives back what the kernel may still have given.
 */
export const LOCK_TRANSITIONS: readonly (readonly [from: LockState, event: string, to: LockState])[] = [
  ["idle", "acquire: free", "held"],
  ["idle", "acquire: not free", "queued"],
  ["idle", "tryAcquire: not free", "idle"],
  ["idle", "close", "closed"],
  ["queued", "look: free", "held"],
  ["queued", "look: not free", "queued"],
  ["queued", "timeout, abort, interrupted", "idle"],
  ["queued", "close", "closed"],
  ["held", "release", "idle"],
  ["held", "release fails", "idle"],
  ["held", "acquire", "held"],
  ["held", "close", "closed"],
  ["closed", "close", "closed"],
];

const NO_DEADLINE = new Deadline(undefined);

/** Most locks are held for less time than it takes to fall asleep and wake up: so often is it tried before. */
const TRIES_BEFORE_SLEEP = 4;

/** Bounds of one sleep, in milliseconds; in between it is a quarter of the time that the call waits already. */
const SLEEP_MS_MIN = 0.05;
const SLEEP_MS_MAX = 5;

/** How often a blocked thread looks whether it waits for another realm of its own, beginning with the first such time. */
const LOOK_FOR_OWN_MS = 50;

/**
 * One lock on one file. Opened once, then taken and released as often as needed: one system call each as long as
 * no other is in the way. Not reentrant: one `RwLock` holds at most one lock at a time.
 *
 * Locks die with the process, `kill -9` included, and with the worker, `terminate()` included; child processes do not
 * inherit them. Two `RwLock`s exclude each other wherever they are: in two processes, in two workers, in one thread.
 * @example
 * using lock = new RwLock({ path: "data.lock", create: true });
 * lock.acquire("exclusive", { timeoutMs: 1000 });
 * try { … } finally { lock.release(); }
 */
export class RwLock {
  readonly path: string;
  readonly kind: LockKind;
  /** Shared hints, and the wake-up call for commits. Undefined when it is missing, or this process may not open it. */
  readonly page: LockPage | undefined;
  readonly #file: OwnedFd;
  readonly #id: string;
  readonly #lock: FileLock;
  readonly #turnstile: Turnstile;
  readonly #thread: ThreadLocks;
  readonly #line: WaitLine;
  #held: LockMode | undefined;
  /** A call is changing what the kernel gave us: set before, cleared after. Set at the begin of a call, it tells of a call that was interrupted. */
  #isChanging = false;
  #closed = false;
  /**
   * Set by an owner that is about to close this lock: a store, which no full stack can prevent. Should `close()` not be reached, or
   * not come to its end, the next call of the thread on the same file does it.
   */
  isEnding = false;

  /**
   * Opens the lock file, and its page `<path>-page`; with `create` it makes what is missing.
   * Read permission suffices, except for exclusive locks of kind `"fcntl"`; but a process without write permission
   * cannot raise the flag, and so may wait longer than others.
   * @throws FileMissingError when there is no such file and `create` is not set
   * @throws FileFormatError for a FIFO or a device, or a large file in the place of the page
   * @throws UntrustedFileError when another user made the file or the page, or could truncate the page
   * @throws SystemError EACCES, ELOOP for a symbolic link, EISDIR, ENOSPC …; UnsupportedError outside Linux
   */
  constructor({ path, kind = "flock", create, mode, trust }: RwLockOptions) {
    const { fd, writable, status } = openLockFile(path, { create, mode, trust });
    this.#file = new OwnedFd(fd);
    try {
      this.#lock = fileLock(kind, this.#fd, path);
      const gate = fileLock(kind === "flock" ? "fcntl" : "flock", this.#fd, path);
      this.page = LockPage.open(lockPagePath(path), { create, mode, trust });
      // A writer that may only read the file cannot close the turnstile behind it: record locks want write permission.
      const mayExclude = writable || kind === "fcntl";
      this.#turnstile = new Turnstile(gate, this.page, { mayExclude, mayJudge: writable });
      this.path = path;
      this.kind = kind;
      this.#id = status.id;
      this.#thread = new ThreadLocks(status.id, this);
      this.#thread.heal();
      this.#line = new WaitLine(this.#thread.pause);
      markAsOurs(this.#fd);
    } catch (error) {
      this.page?.close();
      this.#file.close();
      throw error;
    }
  }

  /** The mode in which this object holds the lock now. */
  get held(): LockMode | undefined {
    return this.#held;
  }

  /** What this object is doing. */
  get state(): LockState {
    if (this.#closed) return "closed";
    if (this.#held !== undefined) return "held";
    return this.#turnstile.entered === undefined ? "idle" : "queued";
  }

  /** Whether this thread holds the lock in any mode, through this object or another: no other process writes meanwhile. */
  get isHeldInThread(): boolean {
    return this.#held !== undefined || this.#thread.conflictWith("exclusive") !== undefined;
  }

  /** Whether the lock file was unlinked or replaced: who opens the path next gets another lock than this one. */
  get isUnlinkedOrReplaced(): boolean {
    return !this.#closed && isUnlinkedOrReplaced(this.#fd, this.path, this.#id);
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Who holds the lock now and who waits for it, as far as the kernel tells. Takes up to some 20 ms, as it may have to look through
   * the open files of all processes.
   * @throws ClosedError after `close()`
   */
  users(): LockUsers {
    this.#checkOpen();
    return findUsers(this.#question("exclusive"));
  }

  /**
   * Takes the lock if that is possible at once, without overtaking a waiter.
   * @returns false when it is not, also when this object itself holds it
   * @throws ClosedError after `close()`
   */
  tryAcquire(mode: LockMode): boolean {
    this.#begin();
    if (this.#held !== undefined) return false;
    this.#isChanging = true;
    if (this.#tryOnce(mode)) this.#held = mode;
    this.#isChanging = false;
    return this.#held !== undefined;
  }

  /**
   * Takes the lock, waiting as long as it takes or up to `timeoutMs`. Signal handlers of JavaScript run only after the wait.
   * @throws LockTimeoutError with the holders, where the kernel tells
   * @throws DeadlockError when this thread holds a lock on the same file that would never be released meanwhile
   * @throws ClosedError after `close()`; TypeError or RangeError for a wrong timeout, TypeError for other options
   * @param begun counts the time instead of `options`, for a wait that began with another lock
   */
  acquire(mode: LockMode, options?: LockOptions, begun?: Deadline): void {
    if (options !== undefined) checkOptions("lock", options, LOCK_OPTIONS);
    const deadline = begun ?? (options === undefined ? NO_DEADLINE : new Deadline(options.timeoutMs));
    this.#begin();
    if (this.#held !== undefined) throw this.#heldError(this.#held);
    this.#isChanging = true;
    try {
      if (!this.#seize(mode)) this.#wait(mode, deadline);
    } catch (error) {
      this.#healNow();
      throw error;
    }
    // No call stands between these two, so that no exception does.
    this.#held = mode;
    this.#isChanging = false;
  }

  /**
   * Takes the lock without ever blocking the event loop. Callers of one object are served in the order of their
   * calls; a lock that this thread holds itself is waited for as any other.
   * @throws (rejects with) `signal.reason`, LockTimeoutError, ClosedError when `close()` is called meanwhile
   * @param begun counts the time instead of `options`, for a wait that began with another lock
   */
  async acquireAsync(mode: LockMode, options: AsyncLockOptions = {}, begun?: Deadline): Promise<void> {
    checkOptions("lockAsync", options, ASYNC_LOCK_OPTIONS);
    const deadline = begun ?? new Deadline(options.timeoutMs);
    const signal = checkSignal("lockAsync", options.signal);
    this.#begin();
    const start = monotonicMs();
    await this.#line.wait({
      attempt: () => this.#attemptAsync(mode, monotonicMs() - start) || undefined,
      giveUp: () => this.#turnstile.leave(),
      deadline,
      timeoutError: async () =>
        this.#timeoutError(mode, deadline.timeoutMs, await findUsersAsync(this.#question(mode))),
      signal,
    });
  }

  /**
   * Gives the lock back.
   * @throws ShmError `"NOT_LOCKED"` when it is not held; ClosedError after `close()`, which gives it back too
   * @throws SystemError should the kernel refuse; this object does not hold the lock afterwards all the same
   */
  release(): void {
    this.#checkOpen();
    if (this.#held === undefined) throw new ShmError("NOT_LOCKED", `the lock '${this.path}' is not held`);
    this.#isChanging = true;
    this.#held = undefined;
    this.#lock.unlock();
    this.#isChanging = false;
    this.#tellReleased();
  }

  /** Gives back what is held, rejects who waits with `ClosedError`, closes the file. A second call does nothing. */
  close(): void {
    // Not judged by `#closed`: the first call may have been interrupted.
    if (this.#file.closed) return;
    const isFirst = !this.#closed;
    this.#closed = true;
    this.#held = undefined;
    this.#line.failAll(this.#closedError());
    try {
      this.#turnstile.leave();
      this.#lock.unlock();
      if (isFirst) this.#tellReleased();
    } catch (error) {
      // The file is closed next, and all locks on it are given back with it.
      if (!(error instanceof ShmError)) throw error;
    } finally {
      this.#thread.drop();
      this.page?.close();
      this.#file.close();
    }
  }

  /**
   * Gives back what an interrupted call may have left held. Called by itself at the begin of each call, and for all objects of
   * the thread before a wait; of use only to code that knows that it was interrupted.
   */
  heal(): void {
    if (this.isEnding || this.#closed) {
      this.close();
      return;
    }
    if (!this.#isChanging) return;
    if (this.#held === undefined) this.#unlockQuietly();
    this.#turnstile.heal();
    this.#isChanging = false;
    this.#tellReleased();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const state = this.#closed ? " (closed)" : this.#held === undefined ? "" : ` (held ${this.#held})`;
    return `RwLock ${this.kind} '${this.path}'${state}`;
  }

  get #fd(): number {
    return this.#file.fd;
  }

  #begin(): void {
    if (this.#closed) throw this.#closedError();
    if (this.#isChanging) this.heal();
  }

  /** Where the stack is full this fails as well; then the next call does it. */
  #healNow(): void {
    try {
      this.heal();
    } catch {}
  }

  /** A lock that the kernel does not take back is one that it did not give. */
  #unlockQuietly(): void {
    try {
      this.#lock.unlock();
    } catch (error) {
      if (error instanceof RangeError) throw error;
    }
  }

  #tellReleased(): void {
    this.#turnstile.tellReleased();
    this.#thread.released();
  }

  #seize(mode: LockMode): boolean {
    for (let tries = 0; tries < TRIES_BEFORE_SLEEP; tries++) {
      if (!this.#overtakes(mode)) return false;
      if (this.#lock.tryLock(mode)) return true;
    }
    return false;
  }

  /** Whether to go straight for the lock, past the queue. */
  #overtakes(mode: LockMode, asyncMs?: number): boolean {
    return this.#turnstile.isOpenTo(mode) || this.#skipsQueue(mode, asyncMs);
  }

  /**
   * A waiter in the turnstile may wait for this very thread: for a shared lock that it holds, or, in an
   * asynchronous wait, for the event loop that is about to block. Then the queue would be a deadlock.
   * @param asyncMs how long an asynchronous wait has lasted: the event loop goes on, so that only a task that holds the
   *   lock already waits for itself. Others in line must not overtake, or a thread with always a reader in it would
   *   keep writers out
   */
  #skipsQueue(mode: LockMode, asyncMs?: number): boolean {
    const holdsShared = mode === "shared" && this.#thread.holds("shared");
    if (asyncMs !== undefined) return holdsShared && asyncMs > this.#thread.nestedAfterMs;
    return holdsShared || this.#thread.hasWaits;
  }

  #wait(mode: LockMode, deadline: Deadline): void {
    // Only the other objects: nothing is held here yet.
    this.#isChanging = false;
    this.#thread.heal();
    this.#isChanging = true;
    this.#checkDeadlock(mode, this.#thread.conflictWith(mode));
    if (deadline.timeoutMs === 0) {
      if (this.#tryOnce(mode)) return;
    } else if (this.#waitUntil(mode, deadline)) return;
    this.#turnstile.leave();
    throw this.#timeoutError(mode, deadline.timeoutMs, findUsers(this.#question(mode)));
  }

  /** Looks and sleeps in turn; false when the time is over. */
  #waitUntil(mode: LockMode, deadline: Deadline): boolean {
    const start = monotonicMs();
    let lookForOwnMs = LOOK_FOR_OWN_MS;
    let skips = false;
    for (;;) {
      this.#turnstile.prepareSleep();
      if (this.#attempt(mode, skips || this.#overtakes(mode))) return true;
      const { leftMs } = deadline;
      if (leftMs === 0) return false;
      const waitedMs = monotonicMs() - start;
      if (waitedMs > lookForOwnMs && leftMs > LOOK_FOR_OWN_MS) {
        lookForOwnMs = waitedMs + Math.max(1000, waitedMs);
        skips = this.#waitsForOwnThread(mode);
      }
      this.#turnstile.sleep(Math.min(leftMs, SLEEP_MS_MAX, Math.max(SLEEP_MS_MIN, waitedMs / 4)));
    }
  }

  #attemptAsync(mode: LockMode, waitedMs: number): boolean {
    this.#begin();
    if (this.#held !== undefined) return false;
    this.#isChanging = true;
    const overtakes = this.#overtakes(mode, waitedMs);
    const isTaken = this.#attempt(mode, overtakes);
    if (isTaken) this.#held = mode;
    this.#isChanging = false;
    if (!isTaken) this.#turnstile.announcePolling();
    // Readers that follow each other forever so let the writer through in the end.
    else if (overtakes && this.#skipsQueue(mode, waitedMs)) this.#thread.nestedAfterMs *= 2;
    return isTaken;
  }

  /** One look of a caller that looks again later. The place in the turnstile, once won, is kept meanwhile. */
  #attempt(mode: LockMode, overtakes: boolean): boolean {
    if (this.#turnstile.entered === undefined) {
      if (overtakes && this.#lock.tryLock(mode)) return true;
      if (!this.#turnstile.tryEnter(mode)) return false;
    }
    this.#turnstile.countLook();
    if (!this.#lock.tryLock(mode)) return false;
    this.#turnstile.leave();
    return true;
  }

  /** One look of a caller that will not wait. */
  #tryOnce(mode: LockMode): boolean {
    if (this.#overtakes(mode)) return this.#lock.tryLock(mode);
    // A reader that leaves the turnstile has it for itself for an instant: that is no reason to give up.
    for (let tries = 1; !this.#turnstile.tryEnter(mode); tries++)
      if (tries === TRIES_BEFORE_SLEEP) return this.#turnstile.isOpenTo(mode) && this.#lock.tryLock(mode);
    const isTaken = this.#lock.tryLock(mode);
    this.#turnstile.leave();
    return isTaken;
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): ClosedError {
    return new ClosedError(`the lock '${this.path}' is closed`);
  }

  #question(mode: LockMode) {
    return { fd: this.#fd, kind: this.kind, mode };
  }

  /**
   * Whether another copy of this library, which the registry does not know, holds the lock shared in this thread, so that a
   * waiter in the turnstile waits for us. @throws DeadlockError when it excludes us
   */
  #waitsForOwnThread(mode: LockMode): boolean {
    const question = this.#question(mode);
    if (!isHeldByThisProcess({ ...question, mode: "exclusive" })) return false;
    const held = heldInOtherRealm(question);
    if (held === "exclusive" || mode === "exclusive") this.#checkDeadlock(mode, held);
    return held === "shared";
  }

  #checkDeadlock(mode: LockMode, other: LockMode | undefined): void {
    if (other === undefined) return;
    throw new DeadlockError(
      this.path,
      `this thread would wait for itself: it already holds the ${other} lock on '${this.path}', and now wants it ` +
        `${mode}; release the first one, or wait without blocking the thread (lockAsync, editAsync)`,
    );
  }

  #heldError(held: LockMode): DeadlockError {
    return new DeadlockError(
      this.path,
      `the lock '${this.path}' is already held by this object (${held}): release it first`,
    );
  }

  #timeoutError(mode: LockMode, timeoutMs: number, users: LockUsers): LockTimeoutError {
    return new LockTimeoutError(
      this.path,
      timeoutMs,
      `no ${mode} lock on '${this.path}' within ${timeoutMs} ms: ${describeUsers(users)}`,
      users,
    );
  }
}
