/** How long to wait, checked; one deadline for all waits of the library, and timers that fake timers do not stop. */

import { show } from "../errors/show.ts";
import { monotonicMs } from "../sys/clock.ts";
import { INT_MAX } from "../sys/libc/constants.ts";

/**
 * The moment at which a wait ends without success. Made once when a call begins and handed down, so that no part of the
 * call begins to count again.
 * @example
 * const deadline = new Deadline(options.timeoutMs);
 * while (!tryIt()) { if (deadline.isOver) throw …; sleep(Math.min(1, deadline.leftMs)); }
 */
export class Deadline {
  /** As the caller gave it, in milliseconds; Infinity for none. */
  readonly timeoutMs: number;
  readonly #start: number;

  /**
   * @param timeoutMs milliseconds from now; no limit when undefined
   * @throws TypeError for what is not a number, NaN included; RangeError for a negative number
   */
  constructor(timeoutMs: number | undefined) {
    this.timeoutMs = checkTimeout(timeoutMs);
    // The clock is read only where it matters: most waits have no limit, or do not wait.
    this.#start = this.isLimited ? monotonicMs() : 0;
  }

  /** Whether there is a limit that is worth a clock. */
  get isLimited(): boolean {
    return this.timeoutMs > 0 && this.timeoutMs !== Number.POSITIVE_INFINITY;
  }

  /** Milliseconds that are left, 0 at the end, Infinity without a limit. */
  get leftMs(): number {
    if (!this.isLimited) return this.timeoutMs;
    return Math.max(0, this.timeoutMs - (monotonicMs() - this.#start));
  }

  /** Whether the time is over. Never early. */
  get isOver(): boolean {
    return this.leftMs === 0;
  }
}

/**
 * The timeout in milliseconds, Infinity for none.
 * @throws TypeError for what is not a number, NaN included; RangeError for a negative number
 */
export function checkTimeout(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) return Number.POSITIVE_INFINITY;
  checkMilliseconds("timeoutMs", timeoutMs);
  // setTimeout takes no more (24 days): longer is the same as no limit.
  return timeoutMs > INT_MAX ? Number.POSITIVE_INFINITY : timeoutMs;
}

/**
 * How long to look again and again before sleeping, in milliseconds: 0 unless told.
 * @throws TypeError for what is not a number, NaN included; RangeError for a negative number
 */
export function checkSpin(spinMs: number | undefined): number {
  if (spinMs !== undefined) checkMilliseconds("spinMs", spinMs);
  return spinMs ?? 0;
}

/** @throws TypeError for what is not a number, NaN included; RangeError for a negative number */
export function checkMilliseconds(name: string, value: number): void {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new TypeError(`${name} must be a number of milliseconds, not ${show(value)}`);
  }
  if (value < 0) throw new RangeError(`${name} must not be negative, as ${value} is`);
}

/**
 * The signal of an options object, as it is. Told by its shape, as signals come from other realms and polyfills too.
 * @param where what the message begins with
 * @throws TypeError for what is no AbortSignal
 */
export function checkSignal(where: string, signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || typeof (signal as AbortSignal | null)?.throwIfAborted === "function")
    return signal;
  throw new TypeError(`${where}: option signal must be an AbortSignal, got ${show(signal)}`);
}

/** `Promise.withResolvers`, which Node.js has from version 22 on. */
export function withResolvers<T>(): PromiseWithResolvers<T> {
  let [resolve, reject]: unknown[] = [];
  const promise = new Promise<T>((...settle) => {
    [resolve, reject] = settle;
  });
  return { promise, resolve, reject } as PromiseWithResolvers<T>;
}

const neverWoken = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread for some milliseconds. */
export function sleepMs(milliseconds: number): void {
  Atomics.wait(neverWoken, 0, 0, milliseconds);
}

/** `Atomics.waitAsync` of ES2024, which the type library does not know for this target. */
type WaitAsync = (
  words: Int32Array,
  index: number,
  expected: number,
  timeoutMs?: number,
) => { async: false } | { async: true; value: Promise<string> };

/** Resolves when another thread notifies the word, or after the timeout. Does not keep the process alive. */
export const waitAsync = (Atomics as unknown as { waitAsync: WaitAsync }).waitAsync;

/**
 * Calls `callback` on the event loop after some milliseconds, at most a millisecond early, even while fake timers of a test
 * runner are in charge. Keeps the process alive meanwhile.
 * @returns what calls it off
 */
export function after(milliseconds: number, callback: () => void): () => void {
  return areTimersFake() ? afterInFact(milliseconds, callback) : afterTimer(milliseconds, callback);
}

function afterTimer(milliseconds: number, callback: () => void): () => void {
  const timer = setTimeout(callback, Math.min(milliseconds, INT_MAX));
  return () => clearTimeout(timer);
}

/** Like `after`, but does not keep the process alive. */
export function afterInFact(milliseconds: number, callback: () => void): () => void {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const wait = waitAsync(word, 0, 0, Math.max(milliseconds, 0.01));
  let isCalledOff = false;
  const run = (): void => {
    if (!isCalledOff) callback();
  };
  if (wait.async) void wait.value.then(run);
  return () => {
    isCalledOff = true;
    Atomics.notify(word, 0);
  };
}

/** Resolves after some milliseconds, as `after` counts them, or as soon as the signal is aborted. */
export function pauseFor(milliseconds: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = withResolvers<void>();
  const callOff = after(milliseconds, resolve);
  const onAbort = (): void => {
    callOff();
    resolve();
  };
  signal?.addEventListener("abort", onAbort);
  return promise.finally(() => signal?.removeEventListener("abort", onAbort));
}

/** Fake timers also freeze `performance.now()`, which otherwise counts nanoseconds. */
function areTimersFake(): boolean {
  const before = performance.now();
  const start = monotonicMs();
  while (monotonicMs() - start < 0.001);
  return performance.now() === before;
}
