/** Numbers for states that have none: one more each time that another one is seen. */
export class MarkCounter {
  #seen: string | undefined;
  #times = 0;

  /** @param seen the state that counts as 0 */
  constructor(seen?: string) {
    this.#seen = seen;
  }

  /** How many states were seen up to this one. */
  count(mark: string | undefined): number {
    if (mark !== this.#seen) this.#times++;
    this.#seen = mark;
    return this.#times;
  }
}
