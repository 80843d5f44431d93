/** How a role learns that the struct has changed. */
import { DeadlockError, ShmError } from "../errors/errors.ts";
import type { Struct } from "../struct/declare/struct.ts";
import { type Changes, type ChangesOptions, CommitSignal, type WaitOptions } from "../sync/commit-signal.ts";
import { MarkCounter } from "../sync/mark-counter.ts";
import type { RwLock } from "../sync/rw-lock.ts";
import type { Core, StartingPoint } from "./core.ts";
import type { DataFile } from "./data-file.ts";

/** What `version` is while there is no file: a Manager has removed it. */
const NO_FILE = -1;

/** What each replacement of the file adds to the numbers seen here: more than there can be commits. */
const REPLACED = 2 ** 32;

/** Watches what is the file of a role at any time. Opened at the first wait; those who never wait pay nothing. */
export class ChangeWatch<T extends Struct> {
  readonly #core: Core<T>;
  readonly #signal: CommitSignal;
  /** What `wait` has reported. */
  #lastSeen: number;
  /** For files whose writers count no commits: IPMMAP's processes leave no trace but the time stamp, if they set it. */
  readonly #marks: MarkCounter;
  #file: DataFile;
  #replaced = 0;

  constructor(core: Core<T>, { file, commits, mark }: StartingPoint) {
    this.#core = core;
    this.#file = file;
    this.#lastSeen = file.isSequenced ? commits : 0;
    this.#marks = new MarkCounter(mark);
    this.#signal = new CommitSignal({ lock: core.lock, read: () => this.#version() });
  }

  changes(options: ChangesOptions): Changes {
    return this.#signal.changes(options);
  }

  /** Blocks until there is a version that no earlier call has reported. */
  wait(options: WaitOptions): boolean {
    if (this.#core.lock.isHeldInThread) {
      throw new DeadlockError(
        this.#core.path,
        "waitForChange: nobody can commit while this thread holds the lock; release the session first",
      );
    }
    if (!this.#signal.wait(this.#lastSeen, options)) return false;
    this.#lastSeen = this.#version();
    return true;
  }

  /** The role goes by another lock now. To be called before the old one is closed. */
  follow(lock: RwLock): void {
    this.#signal.follow(lock);
  }

  close(): void {
    this.#signal.close();
  }

  #version(): number {
    try {
      const file = this.#core.wholeFile();
      // A new file may have as many commits as the old one had; it is another state all the same.
      if (file !== this.#file) this.#replaced += REPLACED;
      this.#file = file;
      return this.#replaced + (file.isSequenced ? file.commits : this.#marks.count(file.mark));
    } catch (error) {
      // Looked at from a timer or a thread's message: the user gets the error from what they call next.
      if (error instanceof ShmError) return NO_FILE;
      throw error;
    }
  }
}
