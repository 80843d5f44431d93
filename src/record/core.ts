/**
 * What all roles share: the open data file, its lock, and the rule that whoever gets the lock works on the file
 * that is current *then* (a Manager may have replaced it meanwhile).
 */
import type { AsyncLocalStorage } from "node:async_hooks";
import { ClosedError, DeadlockError, FileFormatError, LockTimeoutError } from "../errors/errors.ts";
import type { Struct } from "../struct/declare/struct.ts";
import type { Layout } from "../struct/layout/layout.ts";
import type { Region } from "../struct/memory/memory.ts";
import { OFFSET, REGION } from "../struct/view/internals.ts";
import type { LockMode } from "../sync/file-lock.ts";
import type { AsyncLockOptions, LockOptions, RwLock } from "../sync/rw-lock.ts";
import { asyncHooks } from "../sys/builtin.ts";
import { LOOK_FOR_DELETED_MS } from "../sys/status.ts";
import type { ChangeWatch } from "./changes.ts";
import { DataFile } from "./data-file.ts";
import { makeLock, openLock } from "./lock-files.ts";
import { type ManagerOptions, type Place, placeOf, type RoleOptions } from "./options.ts";
import { SnapshotPool } from "./snapshot-pool.ts";

/** Loaded by the first who waits for changes: together with what it needs it is a tenth of the library. */
const changes = (): typeof import("./changes.ts") => require("./changes.ts");

/** Which role it is: what it may do with the file, and whether it makes a lock file that is missing (a Manager does). */
export type RoleKind = "reader" | "editor" | "manager";

/** What a held lock is used for, until it is given back. */
export interface Holding {
  readonly mode: LockMode;
  readonly isAsync: boolean;
  readonly session: object;
  /** Ends the session, as `close()` must: without a commit, where that is possible. */
  abandon(): void;
  /** Whether that was done. */
  isAbandoned: boolean;
}

interface Attachment {
  readonly file: DataFile;
  readonly lock: RwLock;
}

/** What there was when a role was opened: from there on `waitForChange` counts. */
export interface StartingPoint {
  readonly file: DataFile;
  readonly commits: number;
  readonly mark: string;
}

/** An `editAsync` at work. What it has started may outlive it. */
interface Edit {
  readonly path: string;
  isOver: boolean;
}

/** Those that the present asynchronous call is inside of. Made at the first use: few need it. */
let edits: AsyncLocalStorage<readonly Edit[]> | undefined;
function insideEdits(): AsyncLocalStorage<readonly Edit[]> {
  edits ??= new (asyncHooks().AsyncLocalStorage)<readonly Edit[]>();
  return edits;
}

/** How long a snapshot that writers let no whole copy through waits for them, before it tries again to copy. */
const LOCKED_OUT = { timeoutMs: 10 };

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
  readonly kind: RoleKind;
  readonly place: Place;
  /** The open session, if any: a role has one lock. */
  holding: Holding | undefined;
  #attached: Attachment | undefined;
  /** When a deleted file was last looked for, and when the lock was last taken, by `performance.now()`. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #lockedAt = 0;
  #live: { file: DataFile; view: T } | undefined;
  /** Views for sessions, by the memory they are on; they go when the file goes. */
  #views = new WeakMap<Region, T>();
  #watch: ChangeWatch<T> | undefined;
  readonly #start: StartingPoint;
  readonly #pool: SnapshotPool<T>;

  constructor(layout: Layout, options: RoleOptions, kind: RoleKind) {
    this.layout = layout;
    this.options = options;
    this.kind = kind;
    this.place = placeOf(layout, options);
    this.#pool = new SnapshotPool<T>(layout);
    this.#attached = this.#attach(this.#open());
    const { file } = this.#attached;
    try {
      checkAgreement(file, options);
    } catch (error) {
      this.close();
      throw error;
    }
    this.#start = { file, commits: file.commits, mark: file.mark };
    if (!Bun.isMainThread) openInWorker.add(this);
  }

  get path(): string {
    return this.place.dataPath;
  }

  get closed(): boolean {
    return this.#attached === undefined;
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

  /** The file to look at without a lock: the current one, as far as one can know. May have to open it. */
  currentFile(): DataFile {
    const { file, lock } = this.#attachment;
    if (file.isRetired && lock.held === undefined) this.#moveOn();
    return this.file;
  }

  /**
   * The same for whoever has the time to look first: a file that was cut short kills who touches it, and one that was
   * deleted by hand tells nobody.
   */
  wholeFile(): DataFile {
    const { file, lock } = this.#attachment;
    if (lock.held === undefined) {
      if (!this.#isCurrent(file, lock)) this.#moveOn();
    } else if (!file.isWhole) throw cutShort(file.path, "a session is open on it");
    return this.file;
  }

  /** The view that reads shared memory without any lock. */
  get live(): T {
    const file = this.currentFile();
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
    const file = this.currentFile();
    const copy = into === undefined ? this.#pool.take() : this.#pool.again(into);
    const { bytes } = copy[REGION];
    if (!file.isSequenced) this.underLock(() => this.file.copyCommitted(bytes, copy[OFFSET]));
    else while (!file.copyCommitted(bytes, copy[OFFSET]) && !this.#copyLocked(file, bytes, copy[OFFSET]));
    return copy;
  }

  /**
   * The same for a struct so large that busy writers let no whole copy through: they are locked out for a moment.
   * False when that cannot be soon: who holds the lock for longer than that lets a copy through.
   */
  #copyLocked(file: DataFile, target: Uint8Array, byteOffset: number): boolean {
    try {
      this.lock.acquire("shared", LOCKED_OUT);
    } catch (error) {
      if (error instanceof LockTimeoutError) return false;
      throw error;
    }
    try {
      return file.copyCommitted(target, byteOffset);
    } finally {
      this.lock.release();
    }
  }

  /** Takes the lock and makes sure that the file under it is the current one. */
  acquire(mode: LockMode, options?: LockOptions): void {
    this.#refuseSecond();
    const start = options === undefined ? 0 : performance.now();
    this.lock.acquire(mode, options);
    while (!this.#settle()) this.lock.acquire(mode, remaining(options, start));
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
    if (edits?.getStore()?.some(({ path, isOver }) => path === this.path && !isOver)) {
      throw new DeadlockError(
        this.path,
        `the lock of '${this.path}' would never be free: this runs inside an editAsync of it; use that session`,
      );
    }
    const start = performance.now();
    await this.#awaitLock(mode, options);
    while (!this.#settle()) await this.#awaitLock(mode, remaining(options, start));
  }

  /** Should the role move on to another lock meanwhile, it is that one which is waited for. */
  async #awaitLock(mode: LockMode, options: AsyncLockOptions | undefined): Promise<void> {
    const start = performance.now();
    for (let wait = options; ; wait = remaining(options, start)) {
      const { lock } = this.#attachment;
      try {
        return await lock.acquireAsync(mode, wait);
      } catch (error) {
        const isLeft = error instanceof ClosedError && this.#attached !== undefined && this.lock !== lock;
        if (!isLeft) throw error;
      }
    }
  }

  #refuseSecond(): void {
    if (this.holding === undefined) return;
    const what = this.holding.isAsync
      ? "an asynchronous session of this role holds it; use that session, or lockAsync"
      : "this role holds it already; use the open session";
    throw new DeadlockError(this.path, `the lock of '${this.path}' would never be free: ${what}`);
  }

  /** With the lock held: true when the file is current; otherwise moves on to the one that is, and lets go of the lock. */
  #settle(): boolean {
    const { file, lock } = this.#attachment;
    try {
      if (this.#isCurrent(file, lock)) return true;
      if (!this.#moveOn()) {
        // The Manager that retired it died before it was replaced; we hold the lock, so it is nobody's now.
        if (this.kind !== "reader") file.setRetired(false);
        return true;
      }
    } catch (error) {
      lock.release();
      throw error;
    }
    if (!lock.closed) lock.release();
    return false;
  }

  #isCurrent(file: DataFile, lock: RwLock): boolean {
    const excess = file.excessBytes;
    // What was added hides the footer from a Manager, which then cannot tell us that it replaces the file.
    const isToBeLookedFor = this.#isTimeToLook() || excess > 0;
    if (isToBeLookedFor && (file.isDisplaced || lock.isDisplaced)) return false;
    return excess >= 0 && !file.isRetired;
  }

  /** Deleted files are looked for now and then only: at every lock it would cost as much as the lock itself. */
  #isTimeToLook(): boolean {
    // Not the time of day: that may be set back, by hours.
    this.#lockedAt = performance.now();
    if (this.#lockedAt - this.#lookedAt < LOOK_FOR_DELETED_MS) return false;
    this.#lookedAt = this.#lockedAt;
    return true;
  }

  /** Leaves file and lock for those that are there now; false when these still are the ones. */
  #moveOn(): boolean {
    // Should it be missing, it is looked for every time from now on.
    this.#lookedAt = Number.NEGATIVE_INFINITY;
    const { file, lock } = this.#attachment;
    const next = this.#openInsteadOf(file);
    const keepsLock = next.lockKind === lock.kind && !lock.isDisplaced;
    if (next.isSameAs(file) && file.isWhole && keepsLock) {
      next.close();
      return false;
    }
    const moved = keepsLock ? { file: next, lock } : this.#attach(next);
    closeInFavourOf(file, moved, lock);
    this.#attached = moved;
    if (moved.lock !== lock) {
      this.#watch?.follow(moved.lock);
      lock.close();
    }
    return true;
  }

  #open(): DataFile {
    return DataFile.open(this.place, this.layout, this.kind === "reader" ? "read" : "write");
  }

  #openInsteadOf(file: DataFile): DataFile {
    try {
      return this.#open();
    } catch (error) {
      if (file.isWhole) throw error;
      throw cutShort(file.path, String(error));
    }
  }

  #attach(file: DataFile): Attachment {
    try {
      const { lockKind, mode, format } = file;
      // IPMMAP's lock file is made by whoever comes first. Ours was made with the file; if it is missing, then beside the
      // file it can only have been deleted, but in a lockDir it may be that this is another one than the others'.
      const makesLock = format === undefined || (this.kind === "manager" && lockKind === "flock");
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
  async inside<R>(fn: () => R | Promise<R>): Promise<R> {
    const edit = { path: this.path, isOver: false };
    try {
      return await insideEdits().run([...(insideEdits().getStore() ?? []), edit], fn);
    } finally {
      edit.isOver = true;
    }
  }

  /** After a commit, without the lock: wakes those who wait for changes. Without any it is one addition. */
  notify(): void {
    if (this.#attached === undefined) return;
    const { file, lock } = this.#attached;
    lock.page?.announceChange();
    if (this.#lockedAt - this.#lookedAt < LOOK_AFTER_COMMIT_MS) return;
    // Should it be gone, the next lock looks again, and moves on.
    this.#lookedAt = file.isDisplaced || lock.isDisplaced ? Number.NEGATIVE_INFINITY : this.#lockedAt;
  }

  get watch(): ChangeWatch<T> {
    this.#watch ??= new (changes().ChangeWatch)(this, this.#start);
    return this.#watch;
  }

  /** Runs `fn` on the struct in the session that is open, or under the lock for as long as it takes. */
  underLock<R>(fn: (data: T) => R, options?: LockOptions): R {
    const { holding } = this;
    if (holding !== undefined && !holding.isAsync) return fn(this.lockedView(holding.mode));
    this.acquire("shared", options);
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
    openInWorker.delete(this);
    this.#live = undefined;
    this.#watch?.close();
    lock.close();
  }
}

const cutShort = (path: string, why: string): FileFormatError =>
  new FileFormatError(
    path,
    `'${path}' was cut short by somebody while it was in use; a Manager with { create: true, force: true } makes it anew (${why})`,
  );

/** What is left of a wait that began at `start`. */
function remaining<O extends LockOptions>(options: O | undefined, start: number): O | undefined {
  if (options?.timeoutMs === undefined) return options;
  return { ...options, timeoutMs: Math.max(0, options.timeoutMs - (performance.now() - start)) };
}

/** What an existing file was made with must be what the options say, if they say it. @throws FileFormatError */
function checkAgreement({ path, lockKind, transactional }: DataFile, options: ManagerOptions): void {
  const made = { lock: lockKind, transactional };
  for (const name of ["lock", "transactional"] as const) {
    if (options[name] === undefined || options[name] === made[name]) continue;
    const [is, wanted] = [made[name], options[name]].map((value) => JSON.stringify(value));
    throw new FileFormatError(
      path,
      `'${path}' was made with ${name}: ${is}, not ${wanted}; leave the option out, or make it anew with force: true`,
    );
  }
}

/** Closes `old`; should it refuse (`"BUSY"`), what was opened to take its place goes instead. */
function closeInFavourOf(old: DataFile, next: Attachment, lock: RwLock): void {
  try {
    old.close();
  } catch (error) {
    next.file.close();
    if (next.lock !== lock) next.lock.close();
    throw error;
  }
}
