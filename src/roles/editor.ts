import { ClosedError } from "../errors.ts";
import type { AsyncLockOptions, LockOptions } from "../locks/rw-lock.ts";
import type { StructClass } from "../struct/composite.ts";
import { bytesOf } from "../struct/functions.ts";
import type { MmapStructure } from "../struct/header.ts";
import type { Struct } from "../struct/struct.ts";
import type { InitValue, Path, PathValue } from "../struct/type-utils.ts";
import { refuseAsync, refusePromise, type SyncResult } from "../sync-only.ts";
import { Core } from "./core.ts";
import { checkRoleOptions, type RoleOptions, roleLayout } from "./options.ts";
import { Reader } from "./reader.ts";
import { WriteSession } from "./session.ts";

/** The header's first member: it tells what the file is, so it is never anything else, not even for a moment. */
const HEADER_CODE_BYTES = 2;

/**
 * Reads and writes a shared struct. Its sessions exclude all others and are transactions: a session's stores
 * become visible together at its end, and are undone when its function throws or its process is killed.
 * @throws as Reader
 * @example
 * using editor = new Editor(Robot, { dir: "/run/robot" });
 * editor.edit((data) => { data.speed = 3; data.pose.x += 1; });
 */
export class Editor<T extends Struct> extends Reader<T, T> {
  /** @param cls the class, or its name after `loadStructs`; `core` is for Managers only */
  constructor(cls: StructClass<T> | string, options: RoleOptions = {}, core?: Core<T>) {
    if (core === undefined) checkRoleOptions("new Editor", options);
    super(cls, options, core ?? new Core<T>(roleLayout(cls), options, true));
  }

  /**
   * Takes the lock for itself alone; the session commits at `release()` or the end of the `using` scope, also when an
   * exception ends the scope, as JavaScript does not tell `using` of it: to undo on an error use `edit`.
   * @throws LockTimeoutError after `timeoutMs`, DeadlockError, ClosedError
   * @example { using session = editor.lock(); session.data.speed = 3; }
   */
  override lock(options?: LockOptions): WriteSession<T> {
    this.core.acquire("exclusive", options);
    return new WriteSession<T>(this.core, false);
  }

  /** Takes the lock if it is free, else undefined. @throws ClosedError, DeadlockError */
  override tryLock(): WriteSession<T> | undefined {
    return this.core.tryAcquire("exclusive") ? new WriteSession<T>(this.core, false) : undefined;
  }

  /** Waits for the lock without blocking the event loop. @throws LockTimeoutError, ClosedError, or the signal's reason */
  override async lockAsync(options?: AsyncLockOptions): Promise<WriteSession<T>> {
    await this.core.acquireAsync("exclusive", options);
    return new WriteSession<T>(this.core, true);
  }

  /**
   * Runs `fn` under the writer lock: commits when it returns, rolls back and rethrows when it throws (on a file
   * made with `transactional: false` there is nothing to go back to, and the stores stay).
   * @returns what `fn` returns; a view should not leave it, as stores to it would come after the commit, without a lock
   * @throws as `lock`; TypeError for an async function; ClosedError when `fn` closes the role
   * @example const before = editor.edit((data) => { const old = data.count; data.count = old + 1; return old; });
   */
  edit<R>(fn: (data: T, session: WriteSession<T>) => SyncResult<R>, options?: LockOptions): R {
    refuseAsync(fn, "edit", "editAsync");
    const session = this.lock(options);
    try {
      const result = refusePromise(fn(session.data, session) as R, "edit", "editAsync");
      this.#finish(session);
      return result;
    } catch (error) {
      session.abandon();
      throw error;
    }
  }

  /**
   * The same for a function that awaits; the lock is held until its promise is settled.
   * @example await editor.editAsync(async (data) => { data.speed = await askOperator(); });
   */
  async editAsync<R>(
    fn: (data: T, session: WriteSession<T>) => R | Promise<R>,
    options?: AsyncLockOptions,
  ): Promise<R> {
    const session = await this.lockAsync(options);
    try {
      const result = await this.core.inside(() => fn(session.data, session));
      this.#finish(session);
      return result;
    } catch (error) {
      session.abandon();
      throw error;
    }
  }

  /** Commits, unless the function has ended the session itself. */
  #finish(session: WriteSession<T>): void {
    if (session.abandoned) {
      throw new ClosedError(
        `the edit of '${this.path}' was rolled back: the role was closed before it ended`,
      );
    }
    session.release();
  }

  /**
   * Sets the field at a dotted path, under the lock (or in the session that this editor has open).
   * @throws TypeError or RangeError naming the field; nothing changes then
   * @example editor.set("path.3.x", 1.5)
   */
  set<P extends Path<T>>(path: P, value: InitValue<PathValue<T, P>>): void {
    this.#inSession((session) => session.set(path, value));
  }

  /** Sets the header's time stamp to now (IPMMAP's `updateLastUpdate`). */
  touch(): void {
    this.#inSession((session) => {
      (session.data as unknown as MmapStructure).header.time_stamp = Date.now() / 1000;
    });
  }

  /** Sets every byte of the struct to zero, the time stamp too; the header code stays. */
  clear(): void {
    const open = this.#openSession;
    const session = open ?? this.lock();
    bytesOf(session.data).fill(0, HEADER_CODE_BYTES);
    if (open === undefined) session.commit(false);
  }

  /** Waits until the file on the disk holds what is in memory (msync). Other processes see every commit without it. */
  flush(): void {
    this.core.file.flush();
  }

  get #openSession(): WriteSession<T> | undefined {
    const { holding } = this.core;
    return holding instanceof WriteSession && !holding.isAsync ? holding : undefined;
  }

  /** In the open session, or in one of its own. */
  #inSession(fn: (session: WriteSession<T>) => void): void {
    const open = this.#openSession;
    if (open !== undefined) fn(open);
    else this.edit((_, session) => fn(session));
  }
}
