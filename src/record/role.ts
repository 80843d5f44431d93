import { refuseAsync, refusePromise, type SyncResult } from "../errors/sync-only.ts";
import type { SegmentInfo } from "../segment/info.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import type { MmapStructure } from "../struct/declare/header.ts";
import type { CheckedPath, Copied, DeepReadonly, PathValue } from "../struct/declare/type-utils.ts";
import type { Layout } from "../struct/layout/layout.ts";
import type { ChangesOptions, WaitOptions } from "../sync/notifier.ts";
import type { LockOptions } from "../sync/rw-lock.ts";
import type { Core } from "./core.ts";
import { files, opening } from "./lazily.ts";
import type { RoleOptions } from "./options.ts";

/**
 * What a Reader, an Editor and a Manager have in common. The three are told apart by the compiler: an Editor does not stand
 * in for a Reader, as its lock excludes others and its sessions commit.
 */
export abstract class Role<T extends MmapStructure, V> implements Disposable {
  /** Only for the roles themselves, and not for those who enumerate: `JSON.stringify` and the like. */
  declare protected readonly core: Core<T>;
  /** Absolute path of the data file. */
  readonly path: string;

  /**
   * Opens and maps the file.
   * @param cls the class, or its name after `loadStructs`
   * @throws FileMissingError, FileFormatError, LayoutMismatchError, HeaderNotFoundError, SystemError
   * @throws TypeError for options there are not, a struct with a flexible array, or impossible names; RangeError for names
   *   too long; UnsupportedError for `name` outside Linux
   * @example const reader = new Reader(Robot, { dir: "/run/robot" });
   */
  constructor(cls: StructClass<T> | string, options: RoleOptions = {}) {
    const { checkRoleOptions, roleLayout } = opening();
    checkRoleOptions(`new ${new.target.name}`, options);
    const core = this.open(roleLayout(cls), options);
    Object.defineProperty(this, "core", { value: core });
    this.path = core.path;
  }

  /** Opens the file as this role does. */
  protected abstract open(layout: Layout, options: RoleOptions): Core<T>;

  /** Whether `close()` was called. Never throws. */
  get closed(): boolean {
    return this.core.closed;
  }

  /**
   * Runs `fn` under the reader lock. Returns what it returns, which should be no view: that changes once the lock is gone.
   * @throws LockTimeoutError after `timeoutMs`; DeadlockError when this thread holds a conflicting lock itself;
   *   ClosedError; FileMissingError, FileFormatError or LayoutMismatchError when the file was removed, truncated or
   *   replaced; TypeError or RangeError for options that are none; TypeError for an async function; what `fn` throws
   * @example const total = reader.read((data) => data.a + data.b);
   */
  read<R>(fn: (data: DeepReadonly<T>) => SyncResult<R, "use lockAsync">, options?: LockOptions): R {
    refuseAsync(fn, "read", "lockAsync");
    const { core } = this;
    const { ReadSession } = opening();
    const holding = core.acquire("shared", "call", options);
    try {
      const session = new ReadSession<T, DeepReadonly<T>>(core, holding);
      holding.session = session.held;
      return refusePromise(fn(session.data) as R, "read", "lockAsync");
    } finally {
      holding.isOver = true;
      core.end(holding);
    }
  }

  /**
   * The value at a dotted path, under the lock (or in the session that this role has open). Nested structs and
   * arrays come as plain copies.
   * @throws TypeError or RangeError for a path that does not exist; LockTimeoutError after `timeoutMs`; DeadlockError
   *   when this thread holds a conflicting lock itself; ClosedError; FileMissingError, FileFormatError or
   *   LayoutMismatchError when the file was removed, truncated or replaced
   * @example reader.get("path.3.x")
   */
  get<P extends string>(path: CheckedPath<T, P>, options?: LockOptions): Copied<PathValue<T, P>> {
    const { plainPath, resolvePath } = opening();
    const resolved = resolvePath(this.core.layout, path);
    return this.core.underLock((data) => plainPath(data, resolved), options) as Copied<PathValue<T, P>>;
  }

  /**
   * One member or element of the last committed state, at a dotted path, without a copy of the rest: a value, or a struct or array in
   * private memory of yours. On files that Python's IPMMAP edits too, or that are not transactional, it costs as much as a
   * whole snapshot.
   * @throws ClosedError; FileMissingError, FileFormatError or LayoutMismatchError once a Manager has removed or replaced
   *   the file; TypeError or RangeError for a path that does not exist
   * @example const { x, y } = reader.snapshot("path.500");
   */
  snapshot<P extends string>(path: CheckedPath<T, P>): PathValue<T, P>;
  /**
   * The last committed state, in private memory of yours. Takes no lock, makes no system call and waits for no
   * writer, not even for one that was killed halfway; only on files that Python's IPMMAP edits too, or that are not
   * transactional, it takes the reader lock for a moment.
   * @throws ClosedError; FileMissingError, FileFormatError or LayoutMismatchError once a Manager has removed or replaced
   *   the file; on files that take the lock also LockTimeoutError and DeadlockError
   * @param into an earlier snapshot that is not needed any more: it is overwritten, which is three times as fast as
   *   new memory
   * @throws TypeError when `into` is anything else than a snapshot of this class
   * @example const { speed } = reader.snapshot();
   */
  snapshot(into?: T): T;
  snapshot(what?: T | string): unknown {
    return typeof what === "string" ? this.core.snapshotAt(what) : this.core.snapshot(what);
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
   * How far the struct has come: one more with each commit. A file that replaces another (`force`, `remove()` and a new
   * file, a restore) goes on 2^32 higher, so it never goes back. 0 for IPMMAP's files, which do not count. Two of it tell
   * how many commits there were in between, in one file.
   * @throws ClosedError; FileMissingError, FileFormatError or LayoutMismatchError once a Manager has removed or replaced
   *   the file; FileFormatError when it was truncated
   */
  get version(): number {
    return this.core.wholeContent().version;
  }

  /**
   * When the struct was last written, by the header's time stamp (IPMMAP's `getLastUpdate`); undefined when that is 0
   * (never), or no time at all.
   * @throws ClosedError; FileMissingError, FileFormatError or LayoutMismatchError once a Manager has removed or replaced
   *   the file; FileFormatError when it was truncated
   */
  get lastUpdate(): Date | undefined {
    const date = new Date(this.core.wholeContent().timeStamp * 1000);
    // Anybody may have stored anything there.
    return date.getTime() === 0 || Number.isNaN(date.getTime()) ? undefined : date;
  }

  /**
   * One turn per observed commit, its number being the `version` (-1 while there is no file); commits in a burst become one
   * turn. The first is
   * the first after this call. Wakes within a fraction of a millisecond, without polling; without write permission
   * on the lock file, and for files shared with Python's IPMMAP (whose commits show only by their time stamp), it
   * looks every 5 ms instead. With `spinMs` it looks again and again for so many milliseconds before it sleeps: some
   * microseconds of delay for a whole core. Ends when the role is closed.
   * @throws the signal's reason when it is aborted; ClosedError
   * @example for await (const version of reader.changes()) console.log(version, reader.snapshot().speed);
   */
  changes(options: ChangesOptions = {}): AsyncIterableIterator<number> {
    return this.core.segment.changes(options);
  }

  /**
   * Blocks this thread until there is a commit that no earlier call has reported (the first call: one since the role
   * was opened), so a loop misses none. For scripts and threads of their own; a service uses `changes()`. `spinMs` as there.
   * @returns false after `timeoutMs` milliseconds without any
   * @throws DeadlockError while this role holds the lock, ClosedError
   * @example while (reader.waitForChange({ timeoutMs: 1000 })) console.log(reader.snapshot().speed);
   */
  waitForChange(options: WaitOptions = {}): boolean {
    return this.core.segment.waitForChange(options);
  }

  /**
   * Writes a copy of the committed struct to `path`, in one step: a file that describes itself, which `openReader` opens
   * under any name without a lock, and `Manager.restore` puts back. Writers are not stopped, where `snapshot()` stops none.
   * A backup that is there is replaced; another file is not.
   * @param options how long to wait for the lock, where the file keeps no committed state (`transactional: false`)
   * @returns the version of the copy
   * @throws FileFormatError when something else than a backup is at `path`, or for a file of IPMMAP; LockTimeoutError;
   *   SystemError ENOSPC …
   * @example role.backup("/backups/robot");
   */
  backup(path: string, options?: LockOptions): number {
    return files().backup(this.core, path, options);
  }

  /**
   * What is known of the file, its lock and its users. Looks through /proc, which takes some milliseconds.
   * @throws ClosedError, FileMissingError, FileFormatError
   * @example for (const { pid, command, state } of role.info().lock?.holders ?? []) console.log(pid, command, state);
   */
  info(): SegmentInfo {
    return files().segmentInfo(this.core.segment);
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
