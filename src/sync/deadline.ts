/** Until when to wait: one count for all the steps of one wait. */
import { checkTimeout } from "./timeout.ts";

export class Deadline {
  readonly #until: number;

  /**
   * @param timeoutMs milliseconds from now; none for no limit
   * @throws TypeError for what is not a number; RangeError for a negative number
   */
  constructor(timeoutMs: number | undefined) {
    this.#until = performance.now() + checkTimeout(timeoutMs);
  }

  /** Milliseconds that are left, 0 when the time is over; undefined when there is no limit. */
  get leftMs(): number | undefined {
    if (this.#until === Number.POSITIVE_INFINITY) return undefined;
    return Math.max(0, this.#until - performance.now());
  }
}
