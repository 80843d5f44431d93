/** The documents of a JsonMap as they come. */

import { pauseFor } from "../sync/deadline.ts";
import type { Changes, ChangesOptions } from "../sync/notifier.ts";

/** Where the documents come from. */
export interface ChangeSource<T> {
  /** The commits; undefined as long as there is no file, of which no one is told. */
  commits(options: ChangesOptions): Changes | undefined;
  /** Differs for each state of the document. */
  state(): number;
  /** Of the newest document. */
  version(): number;
  /** The newest document, and its version. */
  read(): { version: number; value: T | undefined };
}

/** How often a file that does not exist yet is looked for, in milliseconds. */
const LOOK_EVERY_MS = 10;

/** An iteration that can be ended from outside while its next turn is awaited. */
export class DocumentChanges<T> implements AsyncIterableIterator<T>, AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #turns: AsyncGenerator<T, undefined>;

  /**
   * @param seen the state that is no news
   * @param onEnd called once
   */
  constructor(source: ChangeSource<T>, seen: number | undefined, options: ChangesOptions, onEnd: () => void) {
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
  seen: number | undefined,
  signal: AbortSignal,
  spinMs: number | undefined,
): AsyncGenerator<T, undefined> {
  const commits = await appearance(source, { signal, spinMs });
  let last = seen;
  // Commits are counted from here on, and only then is looked: none can be missed in between.
  for (;;) {
    signal.throwIfAborted();
    const state = source.state();
    if (state === last) {
      const turn = await commits.next();
      if (turn.done) return undefined;
      continue;
    }
    const { version, value } = source.read();
    // What was read may be newer than the state that was seen before: then it is no news later.
    const now = source.state();
    last = source.version() === version ? now : state;
    if (value !== undefined) yield value;
  }
}

/** The commits, once there is a file. */
async function appearance<T>(
  source: ChangeSource<T>,
  options: { signal: AbortSignal; spinMs: number | undefined },
): Promise<Changes> {
  const { signal } = options;
  for (;;) {
    signal.throwIfAborted();
    const commits = source.commits(options);
    if (commits !== undefined) return commits;
    await pauseFor(LOOK_EVERY_MS, signal);
  }
}
