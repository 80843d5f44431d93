/** What the current JavaScript thread does with each lock file: what would be a wait for oneself shows here. */
import type { LockMode } from "./file-lock.ts";
import type { Pause } from "./wait-line.ts";

const LOOK_EVERY_MS = 1;

/** An asynchronous reader that waits longer than this for a writer in line may be the one that the writer waits for. */
const NESTED_AFTER_MS = 100;

/** Of one lock file (device and inode), through whichever descriptors, in this thread. */
export class ThreadLocks {
  /** Locks held now. */
  readonly held = { shared: 0, exclusive: 0 };
  /** Asynchronous waits, each by what lets it try again. */
  readonly waits = new Set<() => void>();
  /** After how long a reader of this thread goes past the queue, while the thread holds the lock shared. */
  nestedAfterMs = NESTED_AFTER_MS;
  readonly #key: string;
  #users = 0;
  #isWaking = false;

  private constructor(key: string) {
    this.#key = key;
  }

  /** The kernel's locks cannot wake an event loop: a line looks now and then, and when this thread gave one back. */
  readonly pause: Pause = (wake) => {
    this.waits.add(wake);
    const timer = setTimeout(wake, LOOK_EVERY_MS);
    return () => {
      clearTimeout(timer);
      this.waits.delete(wake);
    };
  };

  /** The record of the file with that `FileStatus.id`. Call `drop()` when it is closed. */
  static of(key: string): ThreadLocks {
    // A worker is a thread with modules, hence with a map, of its own.
    const locks = byFile.get(key) ?? new ThreadLocks(key);
    byFile.set(key, locks);
    locks.#users += 1;
    return locks;
  }

  drop(): void {
    this.#users -= 1;
    if (this.#users === 0) byFile.delete(this.#key);
  }

  /** A lock is no longer held. */
  forget(mode: LockMode): void {
    this.held[mode] -= 1;
    if (this.held.shared === 0) this.nestedAfterMs = NESTED_AFTER_MS;
  }

  /** The held mode that excludes `mode`, if there is one. */
  conflictWith(mode: LockMode): LockMode | undefined {
    if (this.held.exclusive > 0) return "exclusive";
    return mode === "exclusive" && this.held.shared > 0 ? "shared" : undefined;
  }

  /** A lock was given back: whoever waits in this thread tries again, after the code that runs now. */
  wake(): void {
    if (this.#isWaking) return;
    this.#isWaking = true;
    setImmediate(() => {
      this.#isWaking = false;
      for (const retry of [...this.waits]) retry();
    });
  }
}

const byFile = new Map<string, ThreadLocks>();
