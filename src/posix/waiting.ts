/** How long to wait, and waiting without blocking: callers of one object stand in line and try in turn. */

import { checkMilliseconds, checkSignal } from "../locks/timeout.ts";

/** How long a call may wait. */
export interface Timeout {
  /** Milliseconds, fractions allowed; undefined or Infinity waits forever, 0 never waits. */
  timeoutMs?: number | undefined;
  /** The same, under the name posix_ipc uses. Milliseconds too. */
  timeout?: number | undefined;
}

/** How long an asynchronous call may wait, and what may end it early. */
export interface AsyncWait extends Timeout {
  /** Aborting rejects with `signal.reason`. What was not taken by then is not taken at all. */
  signal?: AbortSignal | undefined;
}

/** What they have, for `checkOptions`. */
export const TIMEOUT_OPTIONS = { timeoutMs: "number", timeout: "number" } as const;
export const ASYNC_WAIT_OPTIONS = { ...TIMEOUT_OPTIONS, signal: "any" } as const;

/**
 * The checked timeout in milliseconds, `Infinity` for none.
 * @throws TypeError for another type or two different timeouts, RangeError for a negative one
 */
export function timeoutMsOf(wait: Timeout): number {
  if (wait.timeoutMs !== undefined && wait.timeout !== undefined && wait.timeoutMs !== wait.timeout) {
    throw new TypeError("timeoutMs and timeout mean the same (milliseconds): give one of them");
  }
  const timeoutMs = wait.timeoutMs ?? wait.timeout ?? Number.POSITIVE_INFINITY;
  checkMilliseconds("timeoutMs", timeoutMs);
  return timeoutMs;
}

/** Arranges for `wake` to be called when it is worth trying again; returns what calls that off. */
export type Pause = (wake: () => void, waitedMs: number) => () => void;

/** The next nap of somebody who polls: a sixteenth of the time already waited, at least 1 ms and at most 10. */
export const napMs = (waitedMs: number): number => Math.min(10, Math.max(1, waitedMs / 16));

/** Polling by timer, for what no descriptor tells about. */
export const nap: Pause = (wake, waitedMs) => {
  const timer = setTimeout(wake, napMs(waitedMs));
  return () => clearTimeout(timer);
};

/** setTimeout takes no more; what waits longer than 24 days waits again. */
const TIMER_MS_MAX = 2 ** 31 - 1;

interface Waiter {
  /** Tries once; true when it has settled its promise. */
  attempt(): boolean;
  fail(reason: unknown): void;
}

/**
 * Callers of one object, first come first served. Each attempt is synchronous and settles its promise on the
 * spot, so there is no moment at which something is taken and its caller gone: aborting cannot lose a message.
 */
export class WaitLine {
  readonly #line: Waiter[] = [];
  readonly #pause: Pause;
  #cancelPause: (() => void) | undefined;
  #pauseBegan = 0;

  constructor(pause: Pause) {
    this.#pause = pause;
  }

  /**
   * Resolves with the first result of `attempt` that is not undefined.
   * @param busy makes the error for a wait that took longer than its timeout
   */
  wait<T>(attempt: () => T | undefined, wait: AsyncWait, busy: (timeoutMs: number) => Error): Promise<T> {
    const timeoutMs = timeoutMsOf(wait);
    const signal = checkSignal("waiting", wait.signal);
    signal?.throwIfAborted();
    if (this.#line.length === 0) {
      const result = attempt();
      if (result !== undefined) return Promise.resolve(result);
    }
    if (timeoutMs === 0) throw busy(0);
    return new Promise<T>((resolve, reject) => {
      const waiter = this.#enter(attempt, resolve, reject, () => cleanUp());
      const cleanUp = this.#limit(waiter, timeoutMs, signal, busy);
      this.#armPause(performance.now());
    });
  }

  /** Rejects everybody. */
  failAll(reason: unknown): void {
    for (const waiter of [...this.#line]) this.#leave(waiter, reason);
  }

  #enter<T>(
    attempt: () => T | undefined,
    resolve: (result: T) => void,
    reject: (reason: unknown) => void,
    cleanUp: () => void,
  ): Waiter {
    const waiter: Waiter = {
      attempt() {
        const result = attempt();
        if (result === undefined) return false;
        cleanUp();
        resolve(result);
        return true;
      },
      fail(reason) {
        cleanUp();
        reject(reason);
      },
    };
    this.#line.push(waiter);
    return waiter;
  }

  /** Ends the wait at its timeout or its signal; returns what forgets both. */
  #limit(
    waiter: Waiter,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    busy: (timeoutMs: number) => Error,
  ): () => void {
    const deadline = performance.now() + timeoutMs;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onTime = () => {
      const leftMs = deadline - performance.now();
      if (leftMs > 0) timer = setTimeout(onTime, Math.min(leftMs, TIMER_MS_MAX));
      else this.#lastTry(waiter, busy(timeoutMs));
    };
    const onAbort = () => this.#leave(waiter, signal?.reason);
    if (timeoutMs !== Number.POSITIVE_INFINITY) timer = setTimeout(onTime, Math.min(timeoutMs, TIMER_MS_MAX));
    signal?.addEventListener("abort", onAbort);
    return () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
  }

  /** A timer may come late: whoever is at the head of the line may try once more before giving up. */
  #lastTry(waiter: Waiter, error: Error): void {
    if (this.#line[0] === waiter) this.#turn();
    this.#leave(waiter, error);
  }

  #leave(waiter: Waiter, reason: unknown): void {
    const index = this.#line.indexOf(waiter);
    if (index < 0) return;
    this.#line.splice(index, 1);
    if (this.#line.length === 0) this.#disarmPause();
    waiter.fail(reason);
  }

  /** Serves the line from its head for as long as attempts succeed. */
  #turn(): void {
    this.#disarmPause();
    let now = this.#pauseBegan;
    while (this.#line.length > 0) {
      const waiter = this.#line[0]!;
      if (!this.#serve(waiter)) break;
      this.#line.shift();
      now = performance.now();
    }
    if (this.#line.length > 0) this.#armPause(now);
  }

  /** Whether the waiter is done, one way or the other. */
  #serve(waiter: Waiter): boolean {
    try {
      return waiter.attempt();
    } catch (error) {
      waiter.fail(error);
      return true;
    }
  }

  #armPause(began: number): void {
    if (this.#cancelPause !== undefined) return;
    this.#pauseBegan = began;
    this.#cancelPause = this.#pause(() => this.#turn(), performance.now() - began);
  }

  #disarmPause(): void {
    this.#cancelPause?.();
    this.#cancelPause = undefined;
  }
}
