/** Asynchronous waits for one thing, first come first served. */
import { monotonicMs } from "../sys/clock.ts";
import { after, type Deadline, withResolvers } from "./deadline.ts";

/** Arranges for `wake` to be called when it is worth trying again; returns what calls that off. */
export type Pause = (wake: () => void, waitedMs: number) => () => void;

/** What a caller waits for, and until when. */
export interface Wait<T> {
  /** Tries once, without sleeping; undefined when it has to wait. */
  attempt(): T | undefined;
  /** It was at the head and ends without success: gives up what its attempts may have gathered. */
  giveUp?(): void;
  /** With no time at all it tries once. */
  deadline: Deadline;
  /** A promise where finding out who is in the way takes its time. */
  timeoutError(): Error | Promise<Error>;
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
   * @throws what `attempt` throws and the reason of an aborted signal; later, and with `timeoutError()` at once for a timeout
   *   of 0, the promise rejects with them
   */
  wait<T>(wait: Wait<T>): Promise<T> {
    wait.signal?.throwIfAborted();
    const isPatient = !wait.deadline.isOver;
    if (this.#line.length === 0) {
      const result = firstAttempt(wait, isPatient);
      if (result !== undefined) return Promise.resolve(result);
    }
    if (!isPatient) return rejection(wait.timeoutError());
    const { promise, resolve, reject } = withResolvers<T>();
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
    this.#startPause(monotonicMs());
    return promise;
  }

  /** Rejects all who wait. */
  failAll(reason: unknown): void {
    for (const waiter of [...this.#line]) this.#leave(waiter, () => waiter.fail(reason));
  }

  /** Ends the wait at its timeout or its signal; returns what forgets both. */
  #limit<T>({ deadline, timeoutError, signal }: Wait<T>, waiter: () => Waiter): () => void {
    let callOff: (() => void) | undefined;
    const onTime = () => {
      const { leftMs } = deadline;
      // A timer may come early, and none lasts for more than 24 days.
      if (leftMs > 0) callOff = after(leftMs, onTime);
      else this.#expire(waiter(), timeoutError);
    };
    const onAbort = () => this.#leave(waiter(), () => waiter().fail(signal?.reason));
    if (deadline.isLimited) callOff = after(deadline.leftMs, onTime);
    signal?.addEventListener("abort", onAbort);
    return () => {
      callOff?.();
      signal?.removeEventListener("abort", onAbort);
    };
  }

  /** A timer may come late, after much other work: the head of the line may try once more. */
  #expire(waiter: Waiter, timeoutError: () => Error | Promise<Error>): void {
    if (this.#line[0] === waiter) this.#serve();
    // It leaves the line first: while the error is made it takes nothing any more.
    this.#leave(waiter, () => {
      const error = timeoutError();
      if (error instanceof Error) waiter.fail(error);
      else void error.then(waiter.fail, waiter.fail);
    });
  }

  #leave(waiter: Waiter, end: () => void): void {
    const index = this.#line.indexOf(waiter);
    if (index < 0) return;
    this.#line.splice(index, 1);
    if (index === 0) waiter.giveUp();
    if (this.#line.length === 0) this.#endPause();
    end();
  }

  /** Serves the line from its head for as long as attempts succeed. */
  readonly #serve = (): void => {
    let began = this.#pauseBegan;
    while (this.#line.length > 0 && this.#serveHead(this.#line[0]!)) began = monotonicMs();
    this.#endPause();
    if (this.#line.length > 0) this.#startPause(began);
  };

  /** Whether the head is done, one way or the other. */
  #serveHead(head: Waiter): boolean {
    try {
      if (!head.attempt()) return false;
      this.#line.shift();
    } catch (error) {
      this.#leave(head, () => head.fail(error));
    }
    return true;
  }

  #startPause(began: number): void {
    if (this.#callOffPause !== undefined) return;
    this.#pauseBegan = began;
    this.#callOffPause = this.#pause(this.#serve, monotonicMs() - began);
  }

  #endPause(): void {
    this.#callOffPause?.();
    this.#callOffPause = undefined;
  }
}

function rejection(error: Error | Promise<Error>): Promise<never> {
  return Promise.resolve(error).then((made) => Promise.reject(made));
}

/** Of a caller that finds the line empty; gives up what it gathered when it will not wait. */
function firstAttempt<T>(wait: Wait<T>, isPatient: boolean): T | undefined {
  let isToStay = false;
  try {
    const result = wait.attempt();
    isToStay = result !== undefined || isPatient;
    return result;
  } finally {
    if (!isToStay) wait.giveUp?.();
  }
}
