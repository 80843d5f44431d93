/**
 * Where threads of any process sleep until something is there for one of them.
 *
 *     word      counts the wakes
 *     word + 1  how many sleep, or are about to
 *
 * Who sleeps enters, looks once more, and sleeps while the first word is what it was. Who has something looks at the second
 * word, so nothing that is there before the last look is slept through. A sleeper that is killed stays counted, which
 * costs its wakers a system call each, until they have found no one for some seconds: all who live have entered again by then.
 */
import { monotonicMs } from "../sys/clock.ts";
import { futexWait, futexWake } from "../sys/libc/futex.ts";

/**
 * Wakes that find no one for so long, in milliseconds, mean that the count is of the dead: the living look each second. One
 * wake in vain means nothing, as a thread that is about to sleep notices it in time, and does not.
 */
const VAIN_MS_MAX = 5000;

export class Sleepers {
  readonly #words: Int32Array;
  readonly #word: number;
  /** Since when no wake has found a sleeper. */
  #vainSince: number | undefined;

  constructor(words: Int32Array, word: number) {
    this.#words = words;
    this.#word = word;
  }

  /** Wakes one sleeper, if there is any. */
  wake(): void {
    const count = Atomics.load(this.#words, this.#word + 1);
    if (count !== 0) this.#wake(count);
  }

  #wake(count: number): void {
    Atomics.add(this.#words, this.#word, 1);
    if (futexWake(this.#words, this.#word, 1) > 0) {
      this.#vainSince = undefined;
      return;
    }
    const now = monotonicMs();
    const since = this.#vainSince ?? now;
    this.#vainSince = since;
    if (now - since < VAIN_MS_MAX) return;
    this.#vainSince = undefined;
    Atomics.compareExchange(this.#words, this.#word + 1, count, 0);
  }

  /** Counts this thread. @returns what `sleep` is to be given */
  enter(): number {
    Atomics.add(this.#words, this.#word + 1, 1);
    return Atomics.load(this.#words, this.#word);
  }

  /** Sleeps, unless there was a wake since `enter`. @returns false when the time is over */
  sleep(seen: number, timeoutMs: number): boolean {
    return futexWait(this.#words, this.#word, seen, timeoutMs) !== "timed-out";
  }

  leave(): void {
    const at = this.#word + 1;
    for (;;) {
      const count = Atomics.load(this.#words, at);
      // The dead, and this thread among them, may have been written off.
      if (count <= 0 || Atomics.compareExchange(this.#words, at, count, count - 1) === count) return;
    }
  }
}
