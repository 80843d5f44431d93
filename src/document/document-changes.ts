/** The documents of a JsonMap as they come. */

import type { ChangesOptions, CommitSignal } from "../sync/commit-signal.ts";
import { timers } from "../sys/builtin.ts";

/** Where the documents come from. */
export interface ChangeSource<T> {
  /** Tells commits; undefined as long as there is no file, which nobody tells about. */
  signal(): CommitSignal | undefined;
  /** Differs after every commit, and when another file has taken the name. */
  state(): string;
  /** The newest document, and the state that it belongs to. */
  read(): { state: string; value: T | undefined };
}

/** How often a file that does not exist yet is looked for, in milliseconds. */
const LOOK_EVERY_MS = 10;

/** An iteration that can be ended from outside while somebody waits for its next turn. */
export class DocumentChanges<T> implements AsyncIterableIterator<T>, AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #turns: AsyncGenerator<T, undefined>;

  /**
   * @param seen the state that is no news
   * @param onEnd called once
   */
  constructor(source: ChangeSource<T>, seen: string | undefined, options: ChangesOptions, onEnd: () => void) {
    const { signal, spinMs } = options;
    const signals = signal === undefined ? [this.#stop.signal] : [this.#stop.signal, signal];
    this.#turns = turnsOf(source, seen, AbortSignal.any(signals), spinMs);
    this.#stop.signal.addEventListener("abort", onEnd, { once: true });
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    try {
      const turn = await this.#turns.next();
      if (turn.done) this.#stop.abort();
      return turn;
    } catch (error) {
      const ended = this.#stop.signal.aborted;
      this.#stop.abort();
      if (ended) return { done: true, value: undefined };
      throw error;
    }
  }

  /** Ends the iteration; a turn that is waited for is the end. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#stop.abort();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

async function* turnsOf<T>(
  source: ChangeSource<T>,
  seen: string | undefined,
  signal: AbortSignal,
  spinMs: number | undefined,
): AsyncGenerator<T, undefined> {
  let last = seen;
  const commits = (await appearance(source, signal)).changes({ signal, spinMs });
  // Commits are counted from here on, and only then is looked: none can be missed in between.
  for (;;) {
    signal.throwIfAborted();
    if (source.state() === last) {
      const turn = await commits.next();
      if (turn.done) return undefined;
      continue;
    }
    const { state, value } = source.read();
    last = state;
    if (value !== undefined) yield value;
  }
}

/** The signal, once there is a file. */
async function appearance<T>(source: ChangeSource<T>, signal: AbortSignal): Promise<CommitSignal> {
  for (;;) {
    signal.throwIfAborted();
    const commits = source.signal();
    if (commits !== undefined) return commits;
    const pause = timers().setTimeout(LOOK_EVERY_MS, undefined, { signal });
    await pause.catch(() => signal.throwIfAborted());
  }
}
