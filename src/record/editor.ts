import { ClosedError } from "../errors/errors.ts";
import { checkFunction, refuseAsync, refusePromise, type SyncResult } from "../errors/sync-only.ts";
import type { WaitForFileOptions } from "../segment/wait-for-file.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import type { MmapStructure } from "../struct/declare/header.ts";
import type { CheckedPath, InitValue, PathValue } from "../struct/declare/type-utils.ts";
import type { Layout } from "../struct/layout/layout.ts";
import type { AsyncLockOptions, LockOptions } from "../sync/rw-lock.ts";
import type { Core, Holding } from "./core.ts";
import { files, opening } from "./lazily.ts";
import type { RoleOptions } from "./options.ts";
import { Role } from "./role.ts";
import type { WriteSession } from "./session.ts";

/**
 * Reads and writes a shared struct (IPMMAP's `DataStructMmapEditor`). Its sessions exclude all others and are transactions: a session's stores
 * become visible together at its end, and are undone when its function throws or its process is killed.
 * @throws FileMissingError when no Manager has made the file; FileFormatError; LayoutMismatchError; HeaderNotFoundError
 *   for a class that does not extend MmapStructure; SystemError
 * @example
 * using editor = new Editor(Robot, { dir: "/run/robot" });
 * editor.edit((data) => { data.speed = 3; data.pose.x += 1; });
 */
export class Editor<T extends MmapStructure> extends Role<T, T> {
  /** Of the newest `edit`. */
  #editing: WriteSession<T> | undefined;

  /**
   * Opens the file once a Manager has made it.
   * @throws WaitTimeoutError after `waitMs`; the signal's reason; FileMissingError when no Manager has made the file;
   *   FileFormatError; LayoutMismatchError; HeaderNotFoundError for a class that does not extend MmapStructure; SystemError
   * @example const editor = await Editor.open(Robot, { dir: "/run/robot", waitMs: 5000 });
   */
  static open<T extends MmapStructure>(
    cls: StructClass<T> | string,
    { waitMs, signal, ...options }: RoleOptions & WaitForFileOptions = {},
  ): Promise<Editor<T>> {
    return files().waitForFile("Editor.open", () => new Editor<T>(cls, options), { waitMs, signal });
  }

  protected override open(layout: Layout, options: RoleOptions): Core<T> {
    const { Core, refuseManagerOptions } = opening();
    refuseManagerOptions(`new ${this.constructor.name}`, options);
    return new Core<T>(layout, options, "editor");
  }

  /**
   * Takes the lock for itself alone; the session commits at `release()` or the end of the `using` scope, also when an
   * exception ends the scope, as JavaScript does not tell `using` of it: to undo on an error use `edit`.
   * @throws LockTimeoutError after `timeoutMs`, DeadlockError, ClosedError
   * @example { using session = editor.lock(); session.data.speed = 3; }
   */
  lock(options?: LockOptions): WriteSession<T> {
    return this.#open(this.core.acquire("exclusive", "session", options));
  }

  /**
   * Takes the lock if it is free, else undefined.
   * @throws ClosedError; DeadlockError when this role has a session open; FileMissingError, FileFormatError or
   *   LayoutMismatchError when the file was removed, truncated or replaced
   * @example using session = editor.tryLock(); if (session === undefined) return "busy";
   */
  tryLock(): WriteSession<T> | undefined {
    const holding = this.core.tryAcquire("exclusive");
    return holding && this.#open(holding);
  }

  /**
   * Waits for the lock without blocking the event loop; the session ends as that of `lock`.
   * @throws (rejects with) LockTimeoutError, ClosedError, or the signal's reason
   * @example using session = await editor.lockAsync({ timeoutMs: 500 });
   */
  async lockAsync(options?: AsyncLockOptions): Promise<WriteSession<T>> {
    return this.#open(await this.core.acquireAsync("exclusive", options));
  }

  #open(holding: Holding): WriteSession<T> {
    try {
      const { WriteSession } = opening();
      const session = new WriteSession<T>(this.core, holding);
      holding.session = session.held;
      return session;
    } catch (error) {
      holding.isOver = true;
      this.core.drop(holding);
      throw error;
    }
  }

  /**
   * Runs `fn` under the writer lock: commits when it returns, rolls back and rethrows when it throws (on a file
   * made with `transactional: false` there is nothing to go back to, and the stores stay).
   * @returns what `fn` returns; a view should not leave it, as stores to it would come after the commit, without a lock
   * @throws LockTimeoutError after `timeoutMs`; DeadlockError when this thread holds a conflicting lock itself;
   *   ClosedError; FileMissingError, FileFormatError or LayoutMismatchError when the file was removed, truncated or
   *   replaced; TypeError or RangeError for options that are none; TypeError for an async function; ClosedError when `fn`
   *   closes the role; what `fn` throws
   * @example const before = editor.edit((data) => { const old = data.count; data.count = old + 1; return old; });
   */
  edit<R>(
    fn: (data: T, session: WriteSession<T>) => SyncResult<R, "use editAsync">,
    options?: LockOptions,
  ): R {
    refuseAsync(fn, "edit", "editAsync");
    return this.#edit(
      (session) => refusePromise(fn(session.data, session) as R, "edit", "editAsync"),
      options,
    );
  }

  #edit<R>(fn: (session: WriteSession<T>) => R, options?: LockOptions): R {
    const holding = this.core.acquire("exclusive", "call", options);
    try {
      const session = this.#open(holding);
      this.#editing = session;
      const result = fn(session);
      this.#finish(session, holding);
      return result;
    } catch (error) {
      holding.isOver = true;
      this.core.end(holding);
      // The runtime's error for memory that is gone says nothing of the role.
      throw holding.isAbandoned && error instanceof TypeError ? this.#rolledBack({ cause: error }) : error;
    }
  }

  /**
   * The same for a function that awaits; the lock is held until its promise is settled.
   * @throws (rejects with) LockTimeoutError, ClosedError, the signal's reason, what `fn` throws; DeadlockError for an
   *   `editAsync` of the same file in it
   * @example await editor.editAsync(async (data) => { data.speed = await askOperator(); });
   */
  async editAsync<R>(
    fn: (data: T, session: WriteSession<T>) => R | Promise<R>,
    options?: AsyncLockOptions,
  ): Promise<R> {
    checkFunction(fn, "editAsync");
    const holding = await this.core.acquireAsync("exclusive", options);
    const session = this.#open(holding);
    try {
      const result = await this.core.inside(() => fn(session.data, session));
      this.#finish(session, holding);
      return result;
    } catch (error) {
      holding.isOver = true;
      this.core.end(holding);
      // The runtime's error for memory that is gone says nothing of the role.
      throw holding.isAbandoned && error instanceof TypeError ? this.#rolledBack({ cause: error }) : error;
    }
  }

  /** The session of the `edit` that is at work. */
  get #openEdit(): WriteSession<T> | undefined {
    return this.core.openCall?.mode === "exclusive" ? this.#editing : undefined;
  }

  /** Commits, unless the function has ended the session itself. */
  #finish(session: WriteSession<T>, { isAbandoned }: Holding): void {
    if (isAbandoned) throw this.#rolledBack();
    session.release();
  }

  #rolledBack(options?: ErrorOptions): ClosedError {
    return new ClosedError(
      `the edit of '${this.path}' was rolled back: the role was closed before it ended`,
      options,
    );
  }

  /**
   * Sets the field at a dotted path, under the lock (or as part of the `edit` that is at work).
   * @throws TypeError or RangeError naming the field; nothing changes then
   * @example editor.set("path.3.x", 1.5)
   */
  set<P extends string>(
    path: CheckedPath<T, P>,
    value: InitValue<PathValue<T, P>>,
    options?: LockOptions,
  ): void {
    this.#inSession((session) => session.set(path, value), options);
  }

  /**
   * Sets the header's time stamp to now (IPMMAP's `updateLastUpdate`), under the lock.
   * @throws LockTimeoutError after `timeoutMs`; DeadlockError when this thread holds a conflicting lock itself;
   *   ClosedError; FileMissingError, FileFormatError or LayoutMismatchError when the file was removed, truncated or
   *   replaced; TypeError or RangeError for options that are none
   * @example editor.touch(); editor.lastUpdate; // a moment ago
   */
  touch(options?: LockOptions): void {
    this.#inSession((session) => session.touch(), options);
  }

  /**
   * Sets every byte of the file's struct to zero, the time stamp too; the header code stays (IPMMAP's
   * `clearMappedBuffer`). Under the lock, or as part of the `edit` that is at work.
   * @throws LockTimeoutError after `timeoutMs`; DeadlockError when this thread holds a conflicting lock itself;
   *   ClosedError; FileMissingError, FileFormatError or LayoutMismatchError when the file was removed, truncated or
   *   replaced; TypeError or RangeError for options that are none
   * @example editor.clear(); editor.lastUpdate; // undefined
   */
  clear(options?: LockOptions): void {
    this.#inSession((session) => session.clear(), options);
  }

  /**
   * The number under which this role owns things, from its first use until it is closed or its process dies.
   * @throws TooManyOwnersError when 1022 others live; SystemError
   * @example editor.live.devices.at(0).user.load() === editor.ownerId
   */
  get ownerId(): number {
    return this.core.ownership.id;
  }

  /**
   * Makes the `owner()` field at a path this role's, if it is free or its owner is dead, without any lock.
   * @returns whether it is this role's now
   * @throws TypeError for another field; TooManyOwnersError, SystemError
   * @example if (editor.claim("devices.3.user")) use(3);
   */
  claim<P extends string>(path: CheckedPath<T, P>): boolean {
    const { words, index } = this.core.ownerField(path);
    return this.core.ownership.claim(words, index);
  }

  /**
   * Frees the `owner()` field at a path, if it is this role's.
   * @returns whether it was
   * @throws TypeError for another field
   * @example editor.disclaim("devices.3.user");
   */
  disclaim<P extends string>(path: CheckedPath<T, P>): boolean {
    const { words, index } = this.core.ownerField(path);
    return this.core.ownership.free(words, index);
  }

  /**
   * Whether the owner that the `owner()` field at a path names lives; false for a free one. The kernel tells: the owner's
   * lock dies with it, `kill -9` included.
   * @throws TypeError for another field; SystemError
   * @example editor.isAlive("devices.3.user")
   */
  isAlive<P extends string>(path: CheckedPath<T, P>): boolean {
    const { words, index } = this.core.ownerField(path);
    return this.core.ownership.isAlive(Atomics.load(words, index));
  }

  /**
   * Waits until the file on the disk holds what is in memory (msync(2)). Other processes see every commit without it.
   * @throws SystemError EIO when the disk fails; FileFormatError when the file was truncated; ClosedError
   * @example editor.edit((data) => { data.count += 1; }); editor.flush();
   */
  flush(): void {
    this.core.wholeContent().file.flush();
  }

  /** As part of the edit that is at work, or in one of its own. */
  #inSession(fn: (session: WriteSession<T>) => void, options: LockOptions | undefined): void {
    const open = this.#openEdit;
    if (open !== undefined) fn(open);
    else this.#edit(fn, options);
  }
}
