/** Asynchronous waits for one thing, first come first served. */
import { INT_MAX } from "../sys/libc/constants.ts";

/** Arranges for `wake` to be called when it is worth trying again; returns what calls that off. */
export type Pause = (wake: () => void, waitedMs: number) => () => void;

/** What somebody waits for, and until when. */
export interface Wait<T> {
  /** Tries once, without sleeping; undefined when it has to wait. */
  attempt(): T | undefined;
  /** It was at the head and ends without success: gives up what its attempts may have gathered. */
  giveUp?(): void;
  /** Infinity for no limit. */
  timeoutMs: number;
  timeoutError(): Error;
  signal: AbortSignal | undefined;
}

interface Waiter {
  /** Tries once; true when it has settled its promise. */
  attempt(): boolean;
  giveUp(): void;
  fail(reason: unknown): void;
}

/**
 * Those who wait for one object: a lock, a semaphore, a queue. Each attempt is synchronous and settles its promise on
 * the spot, so at no moment is something taken whose caller is gone: aborting cannot lose a message.
 */
export class WaitLine {
  readonly #line: Waiter[] = [];
  readonly #pause: Pause;
  #callOffPause: (() => void) | undefined;
  #pauseBegan = 0;

  constructor(pause: Pause) {
    this.#pause = pause;
  }

  /**
   * Resolves with the first result of `attempt` that is not undefined.
   * @throws what `attempt` throws, `timeoutError()` at once for a timeout of 0, the reason of an aborted signal;
   *   later the promise rejects with them
   */
  wait<T>(wait: Wait<T>): Promise<T> {
    wait.signal?.throwIfAborted();
    if (this.#line.length === 0) {
      const result = firstAttempt(wait);
      if (result !== undefined) return Promise.resolve(result);
    }
    if (wait.timeoutMs === 0) throw wait.timeoutError();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const forget = this.#limit(wait, () => waiter);
    const waiter: Waiter = {
      attempt() {
        const result = wait.attempt();
        if (result === undefined) return false;
        forget();
        resolve(result);
        return true;
      },
      giveUp: () => wait.giveUp?.(),
      fail(reason) {
        forget();
        reject(reason);
      },
    };
    this.#line.push(waiter);
    this.#startPause(performance.now());
    return promise;
  }

  /** Rejects everybody. */
  failAll(reason: unknown): void {
    for (const waiter of [...this.#line]) this.#leave(waiter, reason);
  }

  /** Ends the wait at its timeout or its signal; returns what forgets both. */
  #limit<T>({ timeoutMs, timeoutError, signal }: Wait<T>, waiter: () => Waiter): () => void {
    const deadline = performance.now() + timeoutMs;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onTime = () => {
      const leftMs = deadline - performance.now();
      // setTimeout takes no more than 24 days; what waits longer waits again.
      if (leftMs > 0) timer = setTimeout(onTime, Math.min(leftMs, INT_MAX));
      else this.#expire(waiter(), timeoutError);
    };
    const onAbort = () => this.#leave(waiter(), signal?.reason);
    if (timeoutMs !== Number.POSITIVE_INFINITY) timer = setTimeout(onTime, Math.min(timeoutMs, INT_MAX));
    signal?.addEventListener("abort", onAbort);
    return () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
  }

  /** A timer may come late, after much other work: whoever is at the head of the line may try once more. */
  #expire(waiter: Waiter, timeoutError: () => Error): void {
    if (this.#line[0] === waiter) this.#serve();
    if (this.#line.includes(waiter)) this.#leave(waiter, timeoutError());
  }

  #leave(waiter: Waiter, reason: unknown): void {
    const index = this.#line.indexOf(waiter);
    if (index < 0) return;
    this.#line.splice(index, 1);
    if (index === 0) waiter.giveUp();
    if (this.#line.length === 0) this.#endPause();
    waiter.fail(reason);
  }

  /** Serves the line from its head for as long as attempts succeed. */
  readonly #serve = (): void => {
    let began = this.#pauseBegan;
    while (this.#line.length > 0 && this.#serveHead(this.#line[0]!)) began = performance.now();
    this.#endPause();
    if (this.#line.length > 0) this.#startPause(began);
  };

  /** Whether the head is done, one way or the other. */
  #serveHead(head: Waiter): boolean {
    try {
      if (!head.attempt()) return false;
      this.#line.shift();
    } catch (error) {
      this.#leave(head, error);
    }
    return true;
  }

  #startPause(began: number): void {
    if (this.#callOffPause !== undefined) return;
    this.#pauseBegan = began;
    this.#callOffPause = this.#pause(this.#serve, performance.now() - began);
  }

  #endPause(): void {
    this.#callOffPause?.();
    this.#callOffPause = undefined;
  }
}

/** Of somebody who finds the line empty; gives up what it gathered when it will not wait. */
function firstAttempt<T>(wait: Wait<T>): T | undefined {
  let isToStay = false;
  try {
    const result = wait.attempt();
    isToStay = result !== undefined || wait.timeoutMs > 0;
    return result;
  } finally {
    if (!isToStay) wait.giveUp?.();
  }
}
