/**
 * A reader-writer lock between processes and threads, on a lock file: the kernel's lock for safety, a queue in front
 * of it for fairness.
 *
 * The kernel alone would let overlapping readers starve a writer, and a busy writer starve everybody. So whoever
 * has to wait first enters the *gate*, a lock of the other kind on the same file (flock and record locks do not
 * see each other): writers alone, readers together. Inside they raise a flag on the lock page, wait for the lock,
 * lower the flag, leave. Who sees the flag goes through the gate as well instead of overtaking. So a writer waits
 * only for those that hold the lock when it enters, and a reader for one writer at most.
 */
import { checkOptions } from "../errors/check-options.ts";
import { ClosedError, DeadlockError, LockTimeoutError, ShmError } from "../errors/errors.ts";
import { closeFile } from "../sys/file.ts";
import { isDisplaced } from "../sys/status.ts";
import { type FileLock, fileLock, type LockKind, type LockMode } from "./file-lock.ts";
import { LockPage, lockPagePath } from "./lock-page.ts";
import { type OpenOptions, openLockFile } from "./open.ts";
import { ThreadLocks } from "./this-thread.ts";
import { checkSignal, checkTimeout, rest } from "./timeout.ts";
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

/** Loaded for the message of the first timeout. */
const heldBy = (): typeof import("./holders.ts") => require("./holders.ts");

/** What `LockOptions` has, for `checkOptions`. */
export const LOCK_OPTIONS = { timeoutMs: "number" } as const;
const ASYNC_LOCK_OPTIONS = { ...LOCK_OPTIONS, signal: "any" } as const;

/**
 * How long somebody that stood in the queue may overtake those who stand there now. Two processes that take
 * turns at every lock pay two context switches each time; in batches of this length they pay hardly anything.
 */
const OVERTAKE_MS = 1;

/** Nobody who runs leaves a free lock alone for so long. */
const GATE_STUCK_MS = 20;

/** Most locks are held for less time than it takes to fall asleep and wake up: so often is it tried before. */
const TRIES_BEFORE_SLEEP = 4;

/**
 * One lock on one file. Opened once, then taken and released as often as needed: one system call each as long as
 * nobody is in the way. Not reentrant: one `RwLock` holds at most one lock at a time.
 *
 * Locks die with the process, `kill -9` included, and child processes do not inherit them. Two `RwLock`s exclude
 * each other wherever they are: in two processes, in two workers, in one thread.
 * @example
 * using lock = new RwLock({ path: "data.lock", create: true });
 * lock.acquire("exclusive", { timeoutMs: 1000 });
 * try { … } finally { lock.release(); }
 */
export class RwLock {
  readonly path: string;
  readonly kind: LockKind;
  /** Shared hints, and the wake-up call for commits. None when it is missing, or this process may not open it. */
  readonly page: LockPage | undefined;
  readonly #fd: number;
  readonly #id: string;
  readonly #writable: boolean;
  readonly #lock: FileLock;
  readonly #gate: FileLock;
  readonly #thread: ThreadLocks;
  readonly #line: WaitLine;
  #held: LockMode | undefined;
  /** How this object stands in the gate now. */
  #inGate: LockMode | undefined;
  /** When the gate was last entered, by `performance.now()`. */
  #queuedAt = Number.NEGATIVE_INFINITY;
  /** Since when every look past the gate has found the lock free. */
  #idleSince: number | undefined;
  #closed = false;

  /**
   * Opens the lock file, and its page `<path>-page`; with `create` it makes what is missing.
   * Read permission suffices, except for exclusive locks of kind `"fcntl"`; but a process without write permission
   * cannot raise the flag, and so may wait longer than others.
   * @throws FileMissingError when there is no such file and `create` is not set
   * @throws FileFormatError for a FIFO or a device, or a page that is none
   * @throws SystemError EACCES, ELOOP for a symbolic link, EISDIR, ENOSPC …; UnsupportedError outside Linux
   */
  constructor({ path, kind = "flock", create, mode }: RwLockOptions) {
    const { fd, writable, status } = openLockFile(path, { create, mode });
    try {
      this.#lock = fileLock(kind, fd, path);
      this.#gate = fileLock(kind === "flock" ? "fcntl" : "flock", fd, path);
      this.page = LockPage.open(lockPagePath(path), { create, mode });
    } catch (error) {
      closeFile(fd);
      throw error;
    }
    this.path = path;
    this.kind = kind;
    this.#fd = fd;
    this.#id = status.id;
    this.#writable = writable;
    this.#thread = ThreadLocks.of(status.id);
    this.#line = new WaitLine(this.#thread.pause);
  }

  /** The mode in which this object holds the lock now. */
  get held(): LockMode | undefined {
    return this.#held;
  }

  /** Whether this thread holds the lock in any mode, through this object or another: nobody writes meanwhile. */
  get isHeldInThread(): boolean {
    return this.#thread.conflictWith("exclusive") !== undefined;
  }

  /** Whether somebody deleted or replaced the lock file: whoever opens the path next gets another lock than this one. */
  get isDisplaced(): boolean {
    return !this.#closed && isDisplaced(this.#fd, this.path, this.#id);
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Takes the lock if that is possible at once, without overtaking anybody who waits.
   * @returns false when it is not, also when this object itself holds it
   * @throws ClosedError after `close()`
   */
  tryAcquire(mode: LockMode): boolean {
    this.#checkOpen();
    if (this.#held !== undefined || !this.#tryOnce(mode)) return false;
    this.#hold(mode);
    return true;
  }

  /**
   * Takes the lock, waiting as long as it takes or up to `timeoutMs`. Without a timeout the thread sleeps in the
   * kernel, where Ctrl-C still ends the process, but a JavaScript handler for it runs only afterwards.
   * @throws LockTimeoutError with the holder's process id, where the kernel tells
   * @throws DeadlockError when this thread holds a lock on the same file that would never be released meanwhile
   * @throws ClosedError after `close()`; TypeError or RangeError for a timeout that is none, TypeError for other options
   */
  acquire(mode: LockMode, options?: LockOptions): void {
    if (options !== undefined) checkOptions("lock", options, LOCK_OPTIONS);
    const timeoutMs = checkTimeout(options?.timeoutMs);
    this.#checkOpen();
    this.#checkDeadlock(mode);
    if (!this.#seize(mode)) this.#wait(mode, timeoutMs);
    this.#hold(mode);
  }

  /**
   * Takes the lock without ever blocking the event loop. Callers of one object are served in the order of their
   * calls; a lock that this thread holds itself is waited for like anybody else's.
   * @throws (rejects with) `signal.reason`, LockTimeoutError, ClosedError when `close()` is called meanwhile
   */
  async acquireAsync(mode: LockMode, options: AsyncLockOptions = {}): Promise<void> {
    checkOptions("lockAsync", options, ASYNC_LOCK_OPTIONS);
    const timeoutMs = checkTimeout(options.timeoutMs);
    const signal = checkSignal("lockAsync", options.signal);
    this.#checkOpen();
    const start = performance.now();
    await this.#line.wait({
      attempt: () => this.#attemptAsync(mode, performance.now() - start) || undefined,
      giveUp: () => this.#leaveGate(),
      timeoutMs,
      timeoutError: () => this.#timeoutError(mode, timeoutMs),
      signal,
    });
  }

  /**
   * Gives the lock back.
   * @throws ShmError `"NOT_LOCKED"` when it is not held; ClosedError after `close()`, which gives it back too
   */
  release(): void {
    this.#checkOpen();
    if (this.#held === undefined) throw new ShmError("NOT_LOCKED", `the lock '${this.path}' is not held`);
    this.#lock.unlock();
    this.#forgetHeld();
  }

  /** Gives back what is held, rejects who waits with `ClosedError`, closes the file. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#line.failAll(this.#closedError());
    if (this.#held !== undefined) this.#forgetHeld();
    this.page?.close();
    this.#thread.drop();
    // The kernel drops all locks with the last descriptor of an open file, and ours has only this one.
    closeFile(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const state = this.#closed ? " (closed)" : this.#held === undefined ? "" : ` (held ${this.#held})`;
    return `RwLock ${this.kind} '${this.path}'${state}`;
  }

  #hold(mode: LockMode): void {
    this.#idleSince = undefined;
    this.#held = mode;
    this.#thread.held[mode] += 1;
  }

  #forgetHeld(): void {
    this.#thread.forget(this.#held!);
    this.#held = undefined;
    if (this.#thread.waits.size > 0) this.#thread.wake();
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
    const { page } = this;
    if (page !== undefined && !page.waiting && !page.hasSilentReaders) return true;
    if (this.#skipsQueue(mode, asyncMs)) return true;
    // Readers that see the flag never overtake; without a flag to see, all behave as if there were a queue.
    if (page?.waiting && mode === "shared") return false;
    return performance.now() - this.#queuedAt < OVERTAKE_MS;
  }

  /**
   * Whoever stands in the gate may wait for this very thread: for a shared lock that it holds, or, in an
   * asynchronous wait, for the event loop that is about to block. Then the queue would be a deadlock.
   * @param asyncMs how long an asynchronous wait has lasted: the event loop goes on, so that only a task that holds the
   *   lock already waits for itself. Others in line must not overtake, or a thread with always a reader in it would
   *   keep writers out
   */
  #skipsQueue(mode: LockMode, asyncMs?: number): boolean {
    const holdsShared = mode === "shared" && this.#thread.held.shared > 0;
    if (asyncMs !== undefined) return holdsShared && asyncMs > this.#thread.nestedAfterMs;
    return holdsShared || this.#thread.waits.size > 0;
  }

  #wait(mode: LockMode, timeoutMs: number): void {
    if (timeoutMs === 0) {
      if (!this.#tryOnce(mode)) throw this.#timeoutError(mode, 0);
    } else if (timeoutMs !== Number.POSITIVE_INFINITY || this.page?.polling) this.#poll(mode, timeoutMs);
    else if (this.#skipsQueue(mode)) this.#lock.lock(mode);
    else this.#sleep(mode);
  }

  /** Waits in the kernel: first for the gate, then for the lock. */
  #sleep(mode: LockMode): void {
    const gateMode = this.#gateMode(mode);
    this.#gate.lock(gateMode);
    this.#enterGate(gateMode);
    try {
      this.#lock.lock(mode);
    } finally {
      this.#leaveGate();
    }
  }

  /** Waits by looking again and again: the kernel's waits know no timeout. */
  #poll(mode: LockMode, timeoutMs: number): void {
    const start = performance.now();
    let waitedMs = 0;
    try {
      for (let turn = 0; !this.#attempt(mode, waitedMs, this.#overtakes(mode)); turn++) {
        if (timeoutMs !== Number.POSITIVE_INFINITY) this.#announcePolling();
        waitedMs = performance.now() - start;
        if (waitedMs >= timeoutMs) throw this.#timeoutError(mode, timeoutMs);
        rest(turn, timeoutMs - waitedMs);
      }
    } finally {
      this.#leaveGate();
    }
  }

  #attemptAsync(mode: LockMode, waitedMs: number): boolean {
    if (this.#held !== undefined) return false;
    if (!this.#attempt(mode, waitedMs, this.#overtakes(mode, waitedMs))) {
      this.#announcePolling();
      return false;
    }
    // Readers that follow each other forever so let the writer through in the end.
    if (this.#skipsQueue(mode, waitedMs)) this.#thread.nestedAfterMs *= 2;
    this.#hold(mode);
    return true;
  }

  /** One look of somebody who looks again later. The place in the gate, once won, is kept meanwhile. */
  #attempt(mode: LockMode, waitedMs: number, overtakes: boolean): boolean {
    if (this.#inGate === undefined) {
      if (overtakes && this.#lock.tryLock(mode)) return true;
      if (!this.#tryEnterGate(mode)) return waitedMs > GATE_STUCK_MS && this.#seizeIdle(mode);
    }
    if (!this.#lock.tryLock(mode)) return false;
    this.#leaveGate();
    return true;
  }

  /**
   * Takes the lock past the gate when nobody at all has held it for a while: then whoever stands in the gate does not run
   * (it was stopped, or its event loop is busy), and loses nothing.
   */
  #seizeIdle(mode: LockMode): boolean {
    // Record locks want write permission for that.
    const mayExclude = this.#writable || this.kind === "flock";
    if (!mayExclude || !this.#lock.tryLock("exclusive")) {
      this.#idleSince = undefined;
      return false;
    }
    this.#idleSince ??= performance.now();
    if (performance.now() - this.#idleSince < GATE_STUCK_MS) {
      this.#lock.unlock();
      return false;
    }
    return mode === "exclusive" || this.#lock.tryLock(mode);
  }

  /** One look of somebody who will not wait. */
  #tryOnce(mode: LockMode): boolean {
    if (this.#overtakes(mode)) return this.#lock.tryLock(mode);
    // A reader that leaves the gate has it for itself for an instant: that is no reason to give up.
    for (let tries = 1; !this.#tryEnterGate(mode); tries++) if (tries === TRIES_BEFORE_SLEEP) return false;
    try {
      return this.#lock.tryLock(mode);
    } finally {
      this.#leaveGate();
    }
  }

  #tryEnterGate(mode: LockMode): boolean {
    const gateMode = this.#gateMode(mode);
    if (!this.#gate.tryLock(gateMode)) return false;
    this.#enterGate(gateMode);
    return true;
  }

  /** A writer that may only read the lock file cannot close the gate behind it (record locks want write permission). */
  #gateMode(mode: LockMode): LockMode {
    return this.#writable || this.kind === "fcntl" ? mode : "shared";
  }

  #enterGate(gateMode: LockMode): void {
    this.#inGate = gateMode;
    this.#queuedAt = performance.now();
    if (this.page !== undefined) this.page.waiting = true;
  }

  #leaveGate(): void {
    if (this.#inGate === undefined) return;
    const { page } = this;
    if (page?.waiting && this.#isAloneInGate()) {
      page.waiting = false;
      // Who looks from in front of the gate says so again at the next look.
      if (page.polling) page.polling = false;
    }
    this.#gate.unlock();
    this.#inGate = undefined;
  }

  /** Writers are. Of the readers the last one out is, who gets the gate exclusively. */
  #isAloneInGate(): boolean {
    return this.#inGate === "exclusive" || (this.#writable && this.#gate.tryLock("exclusive"));
  }

  /**
   * For somebody who will look again. In front of the gate, who sleeps in the kernel would always be faster; in it, who
   * sleeps in front of it could not look past somebody who does not run.
   */
  #announcePolling(): void {
    if (this.page !== undefined) this.page.polling = true;
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): ClosedError {
    return new ClosedError(`the lock '${this.path}' is closed`);
  }

  #checkDeadlock(mode: LockMode): void {
    if (this.#held !== undefined) {
      throw new DeadlockError(
        this.path,
        `the lock '${this.path}' is already held by this object (${this.#held}): release it first`,
      );
    }
    const other = this.#thread.conflictWith(mode);
    if (other === undefined) return;
    throw new DeadlockError(
      this.path,
      `this thread would wait for itself: it already holds the ${other} lock on '${this.path}', and now wants it ` +
        `${mode}; release the first one, or wait without blocking the thread (lockAsync, editAsync, acquireAsync)`,
    );
  }

  #timeoutError(mode: LockMode, timeoutMs: number): LockTimeoutError {
    const holders = heldBy().describeHolders(this.#fd, this.kind, mode);
    return new LockTimeoutError(
      this.path,
      timeoutMs,
      `no ${mode} lock on '${this.path}' within ${timeoutMs} ms: ${holders}`,
    );
  }
}
