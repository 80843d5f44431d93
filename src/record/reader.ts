import { refuseAsync, refusePromise, type SyncResult } from "../errors/sync-only.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import type { Struct } from "../struct/declare/struct.ts";
import type { CheckedPath, DeepReadonly, PathValue, PlainValue } from "../struct/declare/type-utils.ts";
import type { Layout } from "../struct/layout/layout.ts";
import { plainPath, resolvePath } from "../struct/view/path.ts";
import type { ChangesOptions, WaitOptions } from "../sync/commit-signal.ts";
import type { AsyncLockOptions, LockOptions } from "../sync/rw-lock.ts";
import { Core } from "./core.ts";
import { checkRoleOptions, type RoleOptions, refuseManagerOptions, roleLayout } from "./options.ts";
import { ReadSession } from "./session.ts";

/**
 * Reads a shared struct (IPMMAP's `DataStructMmapReader`), and cannot write it by any way: the compiler, the views (TypeError) and the kernel
 * (PROT_READ) all refuse. Only a Manager makes the file; a Reader without one gets a FileMissingError.
 *
 * @throws FileMissingError when no Manager has made the file, FileFormatError, LayoutMismatchError,
 *   HeaderNotFoundError for a class that does not extend MmapStructure, SystemError
 * @example
 * using reader = new Reader(Robot, { dir: "/run/robot" });
 * console.log(reader.get("pose.x"), reader.snapshot().speed);
 */
export class Reader<T extends Struct, V = DeepReadonly<T>> implements Disposable {
  /** Only for the roles themselves, and not for those who enumerate: `JSON.stringify` and the like. */
  declare protected readonly core: Core<T>;
  /** Absolute path of the data file. */
  readonly path: string;

  /**
   * Opens and maps the file, read-only.
   * @param cls the class, or its name after `loadStructs`
   * @throws as the class says; TypeError for options there are not, a struct with a flexible array, or impossible names;
   *   RangeError for names too long; UnsupportedError for `name` outside Linux
   * @example const reader = new Reader(Robot, { dir: "/run/robot" });
   */
  constructor(cls: StructClass<T> | string, options: RoleOptions = {}) {
    checkRoleOptions(`new ${new.target.name}`, options);
    const core = this.open(roleLayout(cls), options);
    Object.defineProperty(this, "core", { value: core });
    this.path = core.path;
  }

  /** Opens the file as this role does. */
  protected open(layout: Layout, options: RoleOptions): Core<T> {
    refuseManagerOptions(`new ${this.constructor.name}`, options);
    return new Core<T>(layout, options, "reader");
  }

  /** Whether `close()` was called. Never throws. */
  get closed(): boolean {
    return this.core.closed;
  }

  /**
   * Takes the lock, shared with other Readers; waits for a writer.
   * @param options `timeoutMs` in milliseconds; without it there is no limit
   * @throws LockTimeoutError after `timeoutMs`; DeadlockError when this thread holds a conflicting lock itself; ClosedError
   * @throws FileMissingError, FileFormatError or LayoutMismatchError when the file was removed, cut short or replaced
   * @throws TypeError or RangeError for options that are none
   * @example { using session = reader.lock(); console.log(session.data.pose.x); }
   */
  lock(options?: LockOptions): ReadSession<T, V> {
    this.core.acquire("shared", options);
    return new ReadSession<T, V>(this.core, { isAsync: false });
  }

  /**
   * Takes the lock if it is free, else undefined.
   * @throws ClosedError; DeadlockError when this role has a session open; as `lock` for a file that is gone or cut short
   * @example using session = reader.tryLock(); if (session === undefined) return "busy";
   */
  tryLock(): ReadSession<T, V> | undefined {
    return this.core.tryAcquire("shared") ? new ReadSession<T, V>(this.core, { isAsync: false }) : undefined;
  }

  /**
   * Waits for the lock without blocking the event loop.
   * @throws LockTimeoutError, ClosedError, or the signal's reason
   * @example using session = await reader.lockAsync({ signal: AbortSignal.timeout(100) });
   */
  async lockAsync(options?: AsyncLockOptions): Promise<ReadSession<T, V>> {
    await this.core.acquireAsync("shared", options);
    return new ReadSession<T, V>(this.core, { isAsync: true });
  }

  /**
   * Runs `fn` under the reader lock. Returns what it returns, which should be no view: that changes once the lock is gone.
   * @throws as `lock`; TypeError for an async function
   * @example const total = reader.read((data) => data.a + data.b);
   */
  read<R>(fn: (data: DeepReadonly<T>) => SyncResult<R>, options?: LockOptions): R {
    refuseAsync(fn, "read", "lockAsync");
    this.core.acquire("shared", options);
    using session = new ReadSession<T, DeepReadonly<T>>(this.core, { isAsync: false });
    return refusePromise(fn(session.data) as R, "read", "lockAsync");
  }

  /**
   * The value at a dotted path, under the lock (or in the session that this role has open). Nested structs and
   * arrays come as plain copies.
   * @throws TypeError or RangeError for a path that does not exist; as `lock`
   * @example reader.get("path.3.x")
   */
  get<P extends string>(path: CheckedPath<T, P>, options?: LockOptions): PlainValue<PathValue<T, P>> {
    const resolved = resolvePath(this.core.layout, path);
    return this.core.underLock((data) => plainPath(data, resolved), options) as PlainValue<PathValue<T, P>>;
  }

  /**
   * The last committed state, in private memory of yours. Takes no lock, makes no system call and waits for no
   * writer, not even for one that was killed halfway; only on files that Python's IPMMAP edits too, or that are not
   * transactional, it takes the reader lock for a moment.
   * @throws as `live`; on such files also as `lock`
   * @param into an earlier snapshot that nobody needs any more: it is overwritten, which is three times as fast as
   *   new memory
   * @throws TypeError when `into` is anything else than a snapshot of this class
   * @example const { speed } = reader.snapshot();
   */
  snapshot(into?: T): T {
    return this.core.snapshot(into);
  }

  /**
   * The struct in shared memory without any lock. Every read is fresh, even in a loop, but two reads may belong
   * to two commits. For flags, counters and atomics.
   * @throws ClosedError; FileMissingError, FileFormatError or LayoutMismatchError once a Manager has removed or replaced the file
   * @example while (!reader.live.ready) await Bun.sleep(1);
   */
  get live(): V {
    return this.core.live as unknown as V;
  }

  /**
   * How many times the struct was committed so far (modulo 2^32); 0 for IPMMAP's files, which do not count.
   * @throws as `live`, and FileFormatError when somebody has cut the file short
   */
  get version(): number {
    return this.core.wholeFile().commits;
  }

  /**
   * When the struct was last written, by the header's time stamp (IPMMAP's `getLastUpdate`); undefined when that is 0
   * (never), or no time at all.
   * @throws as `version`
   */
  get lastUpdate(): Date | undefined {
    const date = new Date(this.core.wholeFile().timeStamp * 1000);
    // Anybody may have stored anything there.
    return date.getTime() === 0 || Number.isNaN(date.getTime()) ? undefined : date;
  }

  /**
   * One turn per observed commit, its number being the `version` (2^32 more for each time a Manager has replaced the
   * file since, and -1 while there is none); commits in a burst become one turn. The first is
   * the first after this call. Wakes within a fraction of a millisecond, without polling; without write permission
   * on the lock file, and for files shared with Python's IPMMAP (whose commits show only by their time stamp), it
   * looks every 5 ms instead. With `spinMs` it looks again and again for so many milliseconds before it sleeps: some
   * microseconds of delay for a whole core. Ends when the role is closed.
   * @throws the signal's reason when it is aborted; ClosedError
   * @example for await (const version of reader.changes()) console.log(version, reader.snapshot().speed);
   */
  changes(options: ChangesOptions = {}): AsyncIterableIterator<number> {
    return this.core.watch.changes(options);
  }

  /**
   * Blocks this thread until there is a commit that no earlier call has reported (the first call: one since the role
   * was opened), so a loop misses none. For scripts and threads of their own; a service uses `changes()`. `spinMs` as there.
   * @returns false after `timeoutMs` milliseconds without any
   * @throws DeadlockError while this role holds the lock, ClosedError
   * @example while (reader.waitForChange({ timeoutMs: 1000 })) console.log(reader.snapshot().speed);
   */
  waitForChange(options: WaitOptions = {}): boolean {
    return this.core.watch.wait(options);
  }

  /**
   * Unmaps the file and gives an open session's lock back. Afterwards every view that was handed out throws a
   * TypeError, and every method here a ClosedError. A second call does nothing.
   * @throws ShmError `"BUSY"` while Bun still uses the memory in the background: await that, close again
   * @example const reader = new Reader(Robot); try { … } finally { reader.close(); } // or: using reader = …
   */
  close(): void {
    this.core.close();
  }

  /** The same as `close()`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { layout, path, closed } = this.core;
    return `${this.constructor.name} of ${layout.name} '${path}'${closed ? " (closed)" : ""}`;
  }
}
