/** Asynchronous waits on one lock, first come first served. */
import type { ThreadLocks } from "./this-thread.ts";

/** One caller of `acquireAsync`. */
export interface Wait {
  /** Tries once, without sleeping; true when it has what it wants. */
  attempt(): boolean;
  /** It was at the head and ends without success: gives up what its attempts may have gathered. */
  giveUp(): void;
  timeoutMs: number;
  timeoutError(): Error;
  signal: AbortSignal | undefined;
}

interface Waiter {
  readonly wait: Wait;
  /** Ends its promise and forgets its timer and signal. */
  settle(reason?: { error: unknown }): void;
}

/** The kernel's locks cannot wake an event loop: the head of the line looks this often, others not at all. */
const LOOK_EVERY_MS = 1;

/**
 * The callers that wait for one `RwLock`. Attempts are synchronous and settle the promise on the spot, so at no
 * moment is a lock taken whose caller is gone. While somebody waits, the process stays alive.
 */
export class WaitLine {
  readonly #line: Waiter[] = [];
  readonly #thread: ThreadLocks;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(thread: ThreadLocks) {
    this.#thread = thread;
  }

  get isEmpty(): boolean {
    return this.#line.length === 0;
  }

  /** Waits until `wait.attempt()` is true. Rejects with the signal's reason or the timeout's error. */
  enter(wait: Wait): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const forget = this.#limit(wait, () => waiter);
    const waiter: Waiter = {
      wait,
      settle: (reason) => {
        forget();
        if (reason === undefined) resolve();
        else reject(reason.error);
      },
    };
    this.#line.push(waiter);
    this.#thread.waits.add(this.#serve);
    if (this.#line.length === 1) this.#timer = setTimeout(this.#serve, LOOK_EVERY_MS);
    return promise;
  }

  /** Rejects everybody. */
  failAll(error: unknown): void {
    for (const waiter of [...this.#line]) this.#leave(waiter, error);
  }

  /** Arranges for the wait's end by time or signal; returns what forgets both. */
  #limit({ timeoutMs, signal }: Wait, waiter: () => Waiter): () => void {
    const onAbort = (): void => this.#leave(waiter(), signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = Number.isFinite(timeoutMs)
      ? setTimeout(() => this.#expire(waiter()), timeoutMs)
      : undefined;
    return () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
  }

  /** A timer may come late, after much other work: the head of the line may look once more. */
  #expire(waiter: Waiter): void {
    if (this.#line[0] === waiter) this.#serve();
    if (this.#line.includes(waiter)) this.#leave(waiter, waiter.wait.timeoutError());
  }

  #leave(waiter: Waiter, error: unknown): void {
    const index = this.#line.indexOf(waiter);
    if (index < 0) return;
    this.#line.splice(index, 1);
    if (index === 0) waiter.wait.giveUp();
    waiter.settle({ error });
    this.#rest();
  }

  /** Serves the line from its head for as long as attempts succeed. */
  readonly #serve = (): void => {
    while (this.#line.length > 0 && this.#serveHead(this.#line[0]!));
    this.#rest();
  };

  /** Whether the head is done, one way or the other. */
  #serveHead(head: Waiter): boolean {
    try {
      if (!head.wait.attempt()) return false;
      this.#line.shift();
      head.settle();
    } catch (error) {
      this.#leave(head, error);
    }
    return true;
  }

  /** One timer while there is a line, none otherwise. */
  #rest(): void {
    clearTimeout(this.#timer);
    if (this.#line.length > 0) {
      this.#timer = setTimeout(this.#serve, LOOK_EVERY_MS);
      return;
    }
    this.#timer = undefined;
    this.#thread.waits.delete(this.#serve);
  }
}
