/**
 * Where threads of any process sleep until something is there for one of them.
 *
 *     word      counts the wakes
 *     word + 1  how many sleep, or are about to
 *
 * Who sleeps enters, looks once more, and sleeps while the first word is what it was. Who has something looks at the second
 * word, so nothing that is there before the last look is slept through. A sleeper that is killed stays counted, which
 * costs its wakers a system call each, until enough of them have found that no one was there.
 */
import { futexWait, futexWake } from "../sys/libc/futex.ts";

/** So many wakes in a row without a sleeper mean that the count is of the dead. */
const VAIN_WAKES_MAX = 16;

export class Sleepers {
  readonly #words: Int32Array;
  readonly #word: number;
  #vain = 0;

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
      this.#vain = 0;
      return;
    }
    if (++this.#vain < VAIN_WAKES_MAX) return;
    this.#vain = 0;
    Atomics.compareExchange(this.#words, this.#word + 1, count, 0);
  }

  /** Counts this thread. @returns what `sleep` is to be given */
  enter(): number {
    Atomics.add(this.#words, this.#word + 1, 1);
    return Atomics.load(this.#words, this.#word);
  }

  /** Sleeps, unless there was a wake since `enter`. */
  sleep(seen: number, timeoutMs: number): void {
    futexWait(this.#words, this.#word, seen, timeoutMs);
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
