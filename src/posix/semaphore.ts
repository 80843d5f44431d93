/** Named POSIX semaphores: a counter that processes take from and give to, and wait for. */
import { checkOptions } from "../errors/check-options.ts";
import { ClosedError, UnsupportedError } from "../errors/errors.ts";
import { Deadline } from "../sync/deadline.ts";
import { WaitLine } from "../sync/wait-line.ts";
import { monotonicMs } from "../sys/clock.ts";
import { cstring, type Hints, lastErrno } from "../sys/libc/call.ts";
import { E, isLinux, O_CREAT, O_EXCL } from "../sys/libc/constants.ts";
import { callOwned } from "../sys/libc/ffi.ts";
import { polling, semaphores, timedSemaphores } from "../sys/libc/posix.ts";
import { isMusl } from "../sys/libc/symbols.ts";
import { checkObjectName } from "../sys/shared-memory-file.ts";
import { TRUST_OPTIONS, type Trust, trustedOwners } from "../sys/trust.ts";
import { timespecIn } from "./c-structs.ts";
import { SEMAPHORE_TIMEOUT_SUPPORTED, SEMAPHORE_VALUE_MAX, SEMAPHORE_VALUE_SUPPORTED } from "./constants.ts";
import {
  ExistentialError,
  letSignalThrough,
  posixCheck,
  posixError,
  sharedNameHints,
  timedOut,
} from "./errors.ts";
import { checkFlags, checkInteger, OBJECT_OPTIONS, type ObjectOptions, openObject } from "./names.ts";
import { checkSemaphoreFile, isStill, semaphoreNameBytesMax } from "./semaphore-file.ts";
import {
  ASYNC_WAIT_OPTIONS,
  type AsyncWait,
  nap,
  napMs,
  TIMEOUT_OPTIONS,
  type Timeout,
  timeoutMsOf,
  waitFor,
} from "./waiting.ts";

/**
 * What `new Semaphore` takes, as `posix_ipc.Semaphore` does.
 * @example const options: SemaphoreOptions = { name: "/ready", flags: O_CREAT, initialValue: 1 };
 */
export interface SemaphoreOptions extends ObjectOptions, Trust {
  /** The value of a semaphore that is created, in units: 0 (default) to SEMAPHORE_VALUE_MAX. Ignored for existing ones. */
  initialValue?: number | undefined;
}

const OPTIONS = { ...OBJECT_OPTIONS, ...TRUST_OPTIONS, initialValue: "number" } as const;

/**
 * A unit of a semaphore that is given back when its scope ends: what `hold` and `holdAsync` give.
 * @throws PosixError EOVERFLOW at SEMAPHORE_VALUE_MAX, ClosedError when the semaphore's handle is closed: both at its end
 * @example { using _ = semaphore.hold(); … }
 */
export class SemaphoreHold {
  #semaphore: Semaphore | undefined;

  /**
   * For a unit that was taken already; takes none, and never throws.
   * @example semaphore.acquire(); using _ = new SemaphoreHold(semaphore);
   */
  constructor(semaphore: Semaphore) {
    this.#semaphore = semaphore;
  }

  /**
   * Gives the unit back; a second call does nothing.
   * @throws PosixError EOVERFLOW at SEMAPHORE_VALUE_MAX; ClosedError when the semaphore's handle is closed
   * @example hold.release();
   */
  release(): void {
    const semaphore = this.#semaphore;
    this.#semaphore = undefined;
    semaphore?.release();
  }

  /**
   * `release()`, at the end of a scope that says `using`.
   * @throws PosixError EOVERFLOW at SEMAPHORE_VALUE_MAX; ClosedError when the semaphore's handle is closed
   */
  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * A handle to a named semaphore (sem_overview(7); `posix_ipc.Semaphore`).
 *
 * A semaphore is not a lock: a process that is killed between `acquire()` and `release()` takes its unit with it,
 * and it is not given back. For mutual exclusion that survives crashes use a role's lock, which the kernel frees.
 *
 * Handles do not close themselves when they are garbage collected, only when their worker ends: use `using`, or call
 * `close()`; afterwards what takes, gives or asks throws `ClosedError`.
 * @example
 * using ready = new Semaphore({ name: "/ready", flags: O_CREAT, initialValue: 0 });
 * ready.acquire(500); // half a second at most
 */
export class Semaphore {
  readonly #name: string;
  readonly #line = new WaitLine(nap);
  /** A terminated worker gives it back. */
  #semaphore: OpenSemaphore | undefined;

  /**
   * Opens or creates a semaphore.
   * @throws TypeError, RangeError for wrong options (names are at most 251 bytes after the slash, on musl 255)
   * @throws ExistentialError when it does not exist, or does although `O_EXCL` was given; PermissionsError; PosixError
   *   ENOSPC, EMFILE …
   * @throws FileFormatError (Linux) for a file under that name that is no semaphore: too short, or with an impossible value
   * @throws UntrustedFileError when another user could truncate it, unless `trustOwner` or `shared` accepts that
   * @example using ready = new Semaphore({ name: "/ready", flags: O_CREAT });
   */
  constructor(options: SemaphoreOptions) {
    checkOptions("new Semaphore", options, OPTIONS, true);
    checkFlags(options, O_CREAT | O_EXCL);
    const { initialValue = 0 } = options;
    trustedOwners(options);
    checkInteger("initialValue", initialValue, 0, SEMAPHORE_VALUE_MAX);
    const { name, opened } = openObject(options, (name, flags) => open(name, flags, options));
    this.#name = name;
    this.#semaphore = opened;
    openHandles.add(opened.buffer);
  }

  /** The name, the random one if none was given. Never throws. */
  get name(): string {
    return this.#name;
  }

  /**
   * Takes one unit, waiting in this thread until there is one: the event loop stands still. See `acquireAsync`. As
   * sem_wait(3) and sem_timedwait(3).
   * @param wait milliseconds, fractions allowed, or `{ timeoutMs }`; undefined waits forever, 0 never waits
   * @throws BusyError when none comes in time
   * @throws SignalError when a signal arrives that JavaScript listens for: its handler runs once the caller returns
   *   to the event loop. A signal that has no listener ends the process, as always
   * @throws ClosedError after `close()`; TypeError, RangeError for a wrong timeout
   * @throws UnsupportedError for a timeout above 0 on macOS
   * @example semaphore.acquire(500); // half a second at most
   */
  acquire(wait?: number | Timeout): void {
    const limitMs = limitOf("acquire", wait);
    if (this.tryAcquire()) return;
    if (limitMs === 0) throw timedOut("sem_trywait", this.#name, 0);
    if (limitMs !== Number.POSITIVE_INFINITY && !SEMAPHORE_TIMEOUT_SUPPORTED) {
      throw new UnsupportedError(
        "this system has no sem_timedwait; acquireAsync({ timeoutMs }) works everywhere",
      );
    }
    if (isLinux && !isMusl()) timedWait(this.#open(), this.#name, limitMs);
    else pollingWait(() => this.tryAcquire(), this.#name, limitMs);
  }

  /**
   * Takes one unit without ever blocking the event loop. Callers of one object are served in order. It tries, then
   * polls every 1 to 10 ms (a sixteenth of the time already waited), as no descriptor tells of a semaphore.
   * A unit is taken only at the moment the promise is resolved: aborting or a timeout never loses one.
   * @throws (rejects with) BusyError when none comes in time; `signal.reason` when aborted; ClosedError when closed
   *   before or meanwhile; TypeError, RangeError for wrong options
   * @example await semaphore.acquireAsync({ timeoutMs: 500 });
   */
  async acquireAsync(wait: AsyncWait = {}): Promise<void> {
    checkOptions("acquireAsync", wait, ASYNC_WAIT_OPTIONS);
    const attempt = () => this.tryAcquire() || undefined;
    await this.#line.wait(waitFor(attempt, wait, (ms) => timedOut("sem_trywait", this.#name, ms)));
  }

  /**
   * Takes one unit if there is one at once (sem_trywait(3)).
   * @returns whether it did
   * @throws ClosedError after `close()`
   * @example if (semaphore.tryAcquire()) work();
   */
  tryAcquire(): boolean {
    if (semaphores().sem_trywait(this.#open()) === 0) return true;
    const errno = lastErrno();
    if (errno === E.EAGAIN || errno === E.EINTR) return false;
    throw posixError("sem_trywait", errno, this.#name);
  }

  /**
   * Gives one unit, waking one waiter (sem_post(3)). Any process may, whether it has taken one before or not.
   * @throws PosixError EOVERFLOW at SEMAPHORE_VALUE_MAX; ClosedError after `close()`
   * @example semaphore.release();
   */
  release(): void {
    posixCheck("sem_post", semaphores().sem_post(this.#open()), this.#name, RELEASE_HINTS);
  }

  /**
   * Takes one unit until the end of the scope.
   * @param wait as for `acquire`
   * @throws BusyError when none comes in time; SignalError when a signal arrives that JavaScript listens for; ClosedError;
   *   TypeError, RangeError for a wrong timeout; UnsupportedError for a timeout above 0 on macOS
   * @example { using _ = semaphore.hold(); … }
   */
  hold(wait?: number | Timeout): SemaphoreHold {
    this.acquire(wait);
    return new SemaphoreHold(this);
  }

  /**
   * The same without blocking the event loop.
   * @throws (rejects with) BusyError when none comes in time; `signal.reason` when aborted; ClosedError; TypeError,
   *   RangeError for wrong options
   * @example { using _ = await semaphore.holdAsync({ timeoutMs: 500 }); … }
   */
  async holdAsync(wait: AsyncWait = {}): Promise<SemaphoreHold> {
    await this.acquireAsync(wait);
    return new SemaphoreHold(this);
  }

  /**
   * How many units there are, 0 when there are waiters; it may have changed by the time you look (sem_getvalue(3)).
   * @throws UnsupportedError on macOS; ClosedError after `close()`
   */
  get value(): number {
    const semaphore = this.#open();
    if (!SEMAPHORE_VALUE_SUPPORTED) throw new UnsupportedError("this system cannot tell a semaphore's value");
    const value = new Int32Array(1);
    // SAFETY: libc writes 4 bytes. The semaphore came from sem_open, and after close() gave it back #open throws.
    posixCheck("sem_getvalue", semaphores().sem_getvalue(semaphore, value), this.#name);
    return value[0]!;
  }

  /** Whether `close()` was called. Never throws. */
  get closed(): boolean {
    return this.#semaphore === undefined;
  }

  /**
   * Ends the use of this handle; waiting `acquireAsync` calls reject with ClosedError. The semaphore lives on. A second
   * call does nothing. As sem_close(3).
   * @example semaphore.close();
   */
  close(): void {
    if (this.#semaphore === undefined) return;
    const { buffer } = this.#semaphore;
    this.#semaphore = undefined;
    openHandles.delete(buffer);
    buffer.transfer(0);
    this.#line.failAll(closedError(this.#name));
  }

  /**
   * Removes the name, also after `close()`. Those who have the semaphore open keep it; a new one of that name is another
   * one. As sem_unlink(3).
   * @throws ExistentialError when it is gone, or never was, PermissionsError
   * @example semaphore.unlink();
   */
  unlink(): void {
    unlinkSemaphore(this.#name);
  }

  /** `close()`, at the end of a scope that says `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Semaphore '${this.#name}'${this.closed ? " (closed)" : ""}`;
  }

  #open(): number {
    if (this.#semaphore === undefined) throw closedError(this.#name);
    return this.#semaphore.address;
  }
}

/** Of all open handles of this thread, so that the collector never closes one. */
const openHandles = new Set<ArrayBuffer>();

/**
 * Removes a semaphore's name without opening it; see `Semaphore.unlink`.
 * @throws ExistentialError, PermissionsError; TypeError, RangeError for a wrong name
 * @example unlinkSemaphore("/ready");
 */
export function unlinkSemaphore(name: string): void {
  checkObjectName(name, semaphoreNameBytesMax(), "semaphore");
  posixCheck("sem_unlink", semaphores().sem_unlink(cstring(name)), name);
}

function limitOf(where: string, wait: number | Timeout | undefined): number {
  if (typeof wait === "number") return timeoutMsOf({ timeoutMs: wait });
  checkOptions(where, wait, TIMEOUT_OPTIONS);
  return timeoutMsOf(wait ?? {});
}

const closedError = (name: string) => new ClosedError(`the semaphore '${name}' is closed`);
const RELEASE_HINTS: Hints = { [E.EOVERFLOW]: `the highest value is ${SEMAPHORE_VALUE_MAX}` };

/** A handle of libc. The buffer is never indexed; its deallocator is sem_close(3). */
interface OpenSemaphore {
  readonly address: number;
  readonly buffer: ArrayBuffer;
}

/** Opens what was looked at, or makes a new one; neither is replaced by another in between. */
function open(name: string, flags: number, options: SemaphoreOptions): OpenSemaphore {
  checkObjectName(name, semaphoreNameBytesMax(), "semaphore");
  if (!isLinux || (flags & O_EXCL) !== 0) return semaphoreOpen(name, flags, options);
  for (;;) {
    const known = checkSemaphoreFile(name, options.mode ?? 0, options);
    const opened =
      known === undefined ? openNew(name, flags, options) : openKnown(name, flags & ~O_CREAT, known);
    if (opened !== undefined) return opened;
    // It was made or replaced meanwhile: it must be looked at again.
  }
}

function openNew(name: string, flags: number, options: SemaphoreOptions): OpenSemaphore | undefined {
  if ((flags & O_CREAT) === 0) return semaphoreOpen(name, flags, options);
  try {
    return semaphoreOpen(name, flags | O_EXCL, options);
  } catch (error) {
    if (error instanceof ExistentialError) return undefined;
    throw error;
  }
}

function openKnown(name: string, flags: number, known: string): OpenSemaphore | undefined {
  const opened = call(name, flags, 0, 0);
  if (opened === undefined) {
    const errno = lastErrno();
    if (errno !== E.ENOENT) throw posixError("sem_open", errno, name);
    return undefined;
  }
  if (isStill(name, known)) return opened;
  opened.buffer.transfer(0);
  return undefined;
}

function semaphoreOpen(
  name: string,
  flags: number,
  { mode = 0o600, initialValue = 0 }: SemaphoreOptions,
): OpenSemaphore {
  const opened = call(name, flags, mode, initialValue);
  if (opened !== undefined) return opened;
  const errno = lastErrno();
  throw posixError("sem_open", errno, name, sharedNameHints(flags)[errno]);
}

/** @returns undefined when it failed: errno says why */
function call(name: string, flags: number, mode: number, initialValue: number): OpenSemaphore | undefined {
  const { sem_open: make, sem_close: free } = semaphores();
  // SAFETY: libc keeps the semaphore mapped until sem_close, which the buffer calls once.
  const opened = callOwned({ make, free, args: [cstring(name), flags, mode, initialValue] });
  return opened === undefined ? undefined : { address: opened.result, buffer: opened.buffer as ArrayBuffer };
}

/** The wall clock may be set while we wait for a moment of it: never trust it for longer than this. */
const SLICE_MS = 60_000;

/**
 * Waits in the kernel. Bun installs its signal handlers with SA_RESTART, which makes sem_wait go on as if nothing had
 * happened; sem_timedwait comes back with EINTR all the same, so it serves for waiting forever too.
 */
function timedWait(semaphore: number, name: string, timeoutMs: number): void {
  const deadline = new Deadline(timeoutMs);
  for (;;) {
    const { leftMs } = deadline;
    if (leftMs === 0) throw timedOut("sem_timedwait", name, timeoutMs);
    // SAFETY: the semaphore is open, and this thread is busy until it returns; libc reads the 16 bytes of `until`.
    const until = timespecIn(Math.min(leftMs, SLICE_MS));
    if (timedSemaphores().sem_timedwait(semaphore, until) === 0) return;
    const errno = lastErrno();
    if (errno === E.EINTR) letSignalThrough("sem_timedwait", name);
    else if (errno !== E.ETIMEDOUT) throw posixError("sem_timedwait", errno, name);
  }
}

/**
 * Waits by trying again and again. For macOS, which has no sem_timedwait, and musl, whose one hides EINTR: no other
 * way lets a signal through there. poll(2) is never restarted after a signal.
 */
export function pollingWait(tryTake: () => boolean, name: string, timeoutMs: number): void {
  const began = monotonicMs();
  while (!tryTake()) {
    const waitedMs = monotonicMs() - began;
    if (waitedMs >= timeoutMs) throw timedOut("sem_trywait", name, timeoutMs);
    const pauseMs = Math.ceil(Math.min(napMs(waitedMs), timeoutMs - waitedMs));
    if (polling().poll(null, 0, pauseMs) < 0) letSignalThrough("poll", name);
  }
}
