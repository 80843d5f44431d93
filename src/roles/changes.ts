/** How a role learns that the struct has changed. */
import { DeadlockError, ShmError } from "../errors.ts";
import { type Changes, type ChangesOptions, CommitSignal, type WaitOptions } from "../locks/commit-signal.ts";
import type { RwLock } from "../locks/rw-lock.ts";
import type { Struct } from "../struct/struct.ts";
import type { Core } from "./core.ts";
import type { DataFile } from "./data-file.ts";

/** What `version` is while there is no file: a Manager has removed it. */
const NO_FILE = -1;

/** What each replacement of the file adds to the numbers seen here: more than there can be commits. */
const REPLACED = 2 ** 32;

/** Watches the file of a role. Opened at the first wait; those who never wait pay nothing. */
export class ChangeWatch<T extends Struct> {
  readonly lock: RwLock;
  readonly #core: Core<T>;
  readonly #signal: CommitSignal;
  /** What `wait` has reported; it begins with the first call. */
  #lastSeen: number | undefined;
  /** For files whose writers count no commits: how often something else was seen, and what it was. */
  #seen = { times: 0, stamp: Number.NaN };

  #file: DataFile | undefined;
  #replaced = 0;

  constructor(core: Core<T>, lock: RwLock) {
    this.lock = lock;
    this.#core = core;
    this.#signal = new CommitSignal({ lock, read: () => this.#version() });
  }

  changes(options: ChangesOptions): Changes {
    return this.#signal.changes(options);
  }

  /** Blocks until there is a version that no earlier call has reported. */
  wait(options: WaitOptions): boolean {
    if (this.#core.holding !== undefined) {
      throw new DeadlockError(
        this.#core.path,
        "waitForChange: nobody can commit while this role holds the lock; release the session first",
      );
    }
    this.#lastSeen ??= this.#version();
    const changed = this.#signal.wait(this.#lastSeen, options);
    this.#lastSeen = this.#version();
    return changed;
  }

  close(): void {
    this.#signal.close();
  }

  #version(): number {
    try {
      const file = this.#core.currentFile;
      // A new file may have as many commits as the old one had; it is another state all the same.
      if (file !== this.#file) this.#replaced += this.#file === undefined ? 0 : REPLACED;
      this.#file = file;
      return this.#replaced + (file.isSequenced ? file.commits : this.#countStamps(file));
    } catch (error) {
      // Looked at from a timer or a thread's message: the user gets the error from what they call next.
      if (error instanceof ShmError) return NO_FILE;
      throw error;
    }
  }

  /** IPMMAP's processes leave no trace but the time stamp, and that only when they set it. */
  #countStamps(file: DataFile): number {
    const stamp = file.timeStamp + file.commits;
    if (!Object.is(stamp, this.#seen.stamp)) this.#seen = { times: this.#seen.times + 1, stamp };
    return this.#seen.times;
  }
}
