/**
 * What all roles share: the open data file, its lock, and the rule that whoever gets the lock works on the file
 * that is current *then* (a Manager may have replaced it meanwhile).
 */
import type { AsyncLocalStorage } from "node:async_hooks";
import { asyncHooks } from "../builtin.ts";
import { ClosedError, DeadlockError, FileFormatError } from "../errors.ts";
import type { LockMode } from "../locks/file-lock.ts";
import type { AsyncLockOptions, LockOptions, RwLock } from "../locks/rw-lock.ts";
import { OFFSET, REGION } from "../struct/internals.ts";
import type { Layout } from "../struct/layout.ts";
import type { Region } from "../struct/memory.ts";
import type { Struct } from "../struct/struct.ts";
import type { ChangeWatch } from "./changes.ts";
import { DataFile } from "./data-file.ts";
import { makeLock, openLock } from "./lock-files.ts";
import { type Place, placeOf, type RoleOptions } from "./options.ts";
import { SnapshotPool } from "./snapshot-pool.ts";

/** Loaded by the first who waits for changes: together with what it needs it is a tenth of the library. */
const changes = (): typeof import("./changes.ts") => require("./changes.ts");

/** What a held lock is used for, until it is given back. */
export interface Holding {
  readonly mode: LockMode;
  readonly isAsync: boolean;
  /** Ends the session that holds the lock, as `close()` must. */
  abandon(): void;
}

interface Attachment {
  readonly file: DataFile;
  readonly lock: RwLock;
}

/** What there was when a role was opened: from there on `waitForChange` counts. */
export interface StartingPoint {
  readonly file: DataFile;
  readonly mark: number;
}

/** The files whose `editAsync` the present asynchronous call is inside of. Made at the first use: few need it. */
let edits: AsyncLocalStorage<readonly string[]> | undefined;
function insideEdits(): AsyncLocalStorage<readonly string[]> {
  edits ??= new (asyncHooks().AsyncLocalStorage)<readonly string[]>();
  return edits;
}

/** How soon after the last look a deleted file is noticed, at the next lock. */
const LOOK_EVERY_MS = 100;
/** A writer that is busy looks earlier, after a commit, when nobody waits for it: a look takes up to 100 µs. */
const LOOK_AFTER_COMMIT_MS = 50;

/** Open roles of a worker: its end closes no descriptor, and their locks would stay until the process ends. */
const openInWorker = new Set<{ close(): void }>();
if (!Bun.isMainThread) {
  process.on("exit", () => {
    for (const core of openInWorker) core.close();
  });
}

export class Core<T extends Struct> {
  readonly layout: Layout;
  readonly options: RoleOptions;
  readonly writable: boolean;
  /** Whether a missing lock file is made. */
  readonly makesLock: boolean;
  readonly place: Place;
  /** The open session, if any: a role has one lock. */
  holding: Holding | undefined;
  #attached: Attachment | undefined;
  #closed = false;
  /** When a deleted file was last looked for, and when the lock was last taken. */
  #lookedAt = 0;
  #lockedAt = 0;
  #live: { file: DataFile; view: T } | undefined;
  /** Views for sessions, by the memory they are on; they go when the file goes. */
  #views = new WeakMap<Region, T>();
  #watch: ChangeWatch<T> | undefined;
  readonly #start: StartingPoint;
  readonly #pool: SnapshotPool<T>;

  constructor(layout: Layout, options: RoleOptions, writable: boolean, makesLock = false) {
    this.layout = layout;
    this.options = options;
    this.writable = writable;
    this.makesLock = makesLock;
    this.place = placeOf(layout, options);
    this.#pool = new SnapshotPool<T>(layout);
    this.#attached = this.#attach(DataFile.open(this.place, layout, writable));
    const { file } = this.#attached;
    this.#start = { file, mark: file.mark };
    if (!Bun.isMainThread) openInWorker.add(this);
  }

  get path(): string {
    return this.place.dataPath;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws ClosedError */
  get file(): DataFile {
    return this.#attachment.file;
  }

  get lock(): RwLock {
    return this.#attachment.lock;
  }

  get #attachment(): Attachment {
    if (this.#attached === undefined) throw new ClosedError(`the role on '${this.path}' is closed`);
    return this.#attached;
  }

  /** The file to look at without a lock: the current one, as far as one can know. */
  get currentFile(): DataFile {
    const { file } = this.#attachment;
    if (file.isRetired && this.lock.held === undefined) this.#moveFrom(file);
    return this.file;
  }

  /** The view that reads shared memory without any lock. */
  get live(): T {
    const file = this.currentFile;
    if (this.#live?.file !== file) this.#live = { file, view: file.view<T>(this.layout, file.fresh) };
    return this.#live.view;
  }

  /** The view to hand out while the lock is held: a writer's is on the live struct, a reader's on what is committed. */
  lockedView(mode: LockMode): T {
    const { file } = this.#attachment;
    const region = mode === "exclusive" ? file.plain : file.committed;
    const known = this.#views.get(region);
    if (known !== undefined) return known;
    const view = file.view<T>(this.layout, region);
    this.#views.set(region, view);
    return view;
  }

  /** The last committed state in private memory: new memory, or that of an earlier snapshot. */
  snapshot(into?: T): T {
    const file = this.currentFile;
    const copy = into === undefined ? this.#pool.take() : this.#pool.again(into);
    const { bytes } = copy[REGION];
    const copied = file.isSequenced && file.copyCommitted(bytes, copy[OFFSET]);
    // Writers that keep no sequence, or that are too busy to let a whole copy through, are locked out for a moment.
    if (!copied) this.underLock(() => this.file.copyCommitted(bytes, copy[OFFSET]));
    return copy;
  }

  /** Takes the lock and makes sure that the file under it is the current one. */
  acquire(mode: LockMode, options?: LockOptions): void {
    this.#refuseSecond();
    do this.lock.acquire(mode, options);
    while (!this.#settle());
  }

  /** The same without waiting; false when the lock is taken. */
  tryAcquire(mode: LockMode): boolean {
    this.#refuseSecond();
    do {
      if (!this.lock.tryAcquire(mode)) return false;
    } while (!this.#settle());
    return true;
  }

  /** The same without blocking the event loop. */
  async acquireAsync(mode: LockMode, options?: AsyncLockOptions): Promise<void> {
    if (insideEdits().getStore()?.includes(this.path)) {
      throw new DeadlockError(
        this.path,
        `the lock of '${this.path}' would never be free: this runs inside an editAsync of it; use that session`,
      );
    }
    do await this.lock.acquireAsync(mode, options);
    while (!this.#settle());
  }

  #refuseSecond(): void {
    if (this.holding === undefined) return;
    const what = this.holding.isAsync
      ? "an asynchronous session of this role holds it; use that session, or lockAsync"
      : "this role holds it already; use the open session";
    throw new DeadlockError(this.path, `the lock of '${this.path}' would never be free: ${what}`);
  }

  /** With the lock held: true when the file is current; otherwise lets go of it and moves on to the one that is. */
  #settle(): boolean {
    const { file, lock } = this.#attachment;
    try {
      const excess = file.excessBytes;
      const whole = excess >= 0;
      // What was added hides the footer from a Manager, which then cannot tell us that it replaces the file.
      if ((excess > 0 || this.#isTimeToLook()) && (file.isDisplaced || lock.isDisplaced)) {
        this.#openAnew();
        return false;
      }
      if (whole && !file.isRetired) return true;
      if (!this.#isReplaced(file, whole)) return true;
    } catch (error) {
      lock.release();
      throw error;
    }
    lock.release();
    this.#moveFrom(file);
    return false;
  }

  /** Deleted files are looked for now and then only: at every lock it would cost as much as the lock itself. */
  #isTimeToLook(): boolean {
    this.#lockedAt = Date.now();
    if (this.#lockedAt - this.#lookedAt < LOOK_EVERY_MS) return false;
    this.#lookedAt = this.#lockedAt;
    return true;
  }

  /** Leaves a file or a lock that was deleted or replaced by hand for those that are there now. */
  #openAnew(): void {
    const { file, lock } = this.#attachment;
    this.#attached = this.#attach(DataFile.open(this.place, this.layout, this.writable));
    this.#watch?.close();
    closeInFavourOf(file, this.#attached.file);
    lock.close();
  }

  #isReplaced(file: DataFile, whole: boolean): boolean {
    const next = this.#reopen(file, whole);
    const same = next.isSameAs(file);
    next.close();
    if (whole && same) {
      // The Manager that retired it died before it was replaced; we hold the lock, so it is nobody's now.
      if (this.writable) file.setRetired(false);
      return false;
    }
    return true;
  }

  #reopen(file: DataFile, whole: boolean): DataFile {
    try {
      return DataFile.open(this.place, this.layout, this.writable);
    } catch (error) {
      if (whole) throw error;
      throw new FileFormatError(
        file.path,
        `'${file.path}' was cut short by somebody while it was in use; a Manager with { create: true, force: true } makes it anew (${String(error)})`,
      );
    }
  }

  #moveFrom(old: DataFile): void {
    const next = DataFile.open(this.place, this.layout, this.writable);
    if (next.isSameAs(old) && old.isWhole) {
      next.close();
      return;
    }
    const { lock } = this.#attachment;
    const moved = next.lockKind === old.lockKind ? { file: next, lock } : this.#attach(next);
    closeInFavourOf(old, next);
    this.#attached = moved;
    if (moved.lock === lock) return;
    this.#watch?.close();
    lock.close();
  }

  #attach(file: DataFile): Attachment {
    try {
      const { lockKind, mode, format } = file;
      // IPMMAP's lock file is made by whoever comes first; our Manager makes it with the file, in the same lockDir.
      const makesLock = this.makesLock || format === undefined;
      return {
        file,
        lock: makesLock ? makeLock(this.place, lockKind, mode) : openLock(this.place, lockKind),
      };
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Runs the function of an `editAsync`, so that one that waits for its own lock is told. */
  inside<R>(fn: () => R): R {
    return insideEdits().run([...(insideEdits().getStore() ?? []), this.path], fn);
  }

  /** After a commit, without the lock: wakes those who wait for changes. Without any it is one addition. */
  notify(): void {
    if (this.#attached === undefined) return;
    const { file, lock } = this.#attached;
    lock.page?.announceChange();
    if (this.#lockedAt - this.#lookedAt < LOOK_AFTER_COMMIT_MS) return;
    // Should it be gone, the next lock looks again, and moves on.
    this.#lookedAt = file.isDisplaced || lock.isDisplaced ? 0 : this.#lockedAt;
  }

  get watch(): ChangeWatch<T> {
    const { lock } = this.#attachment;
    if (this.#watch?.lock !== lock) this.#watch = new (changes().ChangeWatch)(this, lock, this.#start);
    return this.#watch;
  }

  /** Runs `fn` on the struct in the session that is open, or under the lock for as long as it takes. */
  underLock<R>(fn: (data: T) => R): R {
    const { holding } = this;
    if (holding !== undefined && !holding.isAsync) return fn(this.lockedView(holding.mode));
    this.acquire("shared");
    try {
      return fn(this.lockedView("shared"));
    } finally {
      this.lock.release();
    }
  }

  /** Ends an open session (a writer's is rolled back), lets the lock go, unmaps. */
  close(): void {
    if (this.#attached === undefined) return;
    this.holding?.abandon();
    const { file, lock } = this.#attached;
    // First, as it may refuse (`"BUSY"`): then the role stays open, for another try.
    file.close();
    this.#attached = undefined;
    this.#closed = true;
    openInWorker.delete(this);
    this.#live = undefined;
    this.#watch?.close();
    lock.close();
  }
}

/** Closes `old`; should it refuse (`"BUSY"`), `next` goes instead. */
function closeInFavourOf(old: DataFile, next: DataFile): void {
  try {
    old.close();
  } catch (error) {
    next.close();
    throw error;
  }
}
