/**
 * The current segment of a place, and its lock. Whatever holds the lock works on the file that is current *then*: the
 * file may have been replaced, recreated or deleted since the last look. This is the one place that knows it.
 */
import { ClosedError, FileFormatError, FileMissingError, SystemError } from "../errors/errors.ts";
import { loadPart } from "../errors/load.ts";
import { Deadline } from "../sync/deadline.ts";
import type { LockMode } from "../sync/file-lock.ts";
import type { Changes, ChangesOptions, WaitOptions } from "../sync/notifier.ts";
import { type AsyncLockOptions, type LockOptions, RwLock, type RwLockOptions } from "../sync/rw-lock.ts";
import { coarseMonotonicMs, monotonicMs } from "../sys/clock.ts";
import { exists } from "../sys/paths.ts";
import { keepSpareFd } from "../sys/spare-fd.ts";
import { LOOK_FOR_DELETED_MS, statusAt } from "../sys/status.ts";
import type { Trust } from "../sys/trust.ts";
import type { ChangeWatch } from "./change-watch.ts";
import { type Content, type ContentType, NO_FILE, type State } from "./content.ts";
import { type Closable, closeAtWorkerEnd } from "./lifetime.ts";
import type { SegmentAccess } from "./open-data.ts";
import type { Place } from "./place.ts";
import { SegmentFile } from "./segment-file.ts";

type Creating = typeof import("./create.ts");
type Watching = typeof import("./change-watch.ts");
let creating: Creating | undefined;
let watching: Watching | undefined;

/** Loaded by those who make what is missing. */
function loadCreating(): Creating {
  creating ??= loadPart(() => require("./create.ts") as Creating);
  return creating;
}

/** Loaded by those who wait for changes. */
function loadWatching(): Watching {
  watching ??= loadPart(() => require("./change-watch.ts") as Watching);
  return watching;
}

export interface SegmentOptions {
  readonly access: SegmentAccess;
  /** Make a lock file that is missing. A file without a footer always gets one: its users expect that. */
  readonly makesLock: boolean;
  /** Permissions that the user asked for, of a lock file that is made where there is no file yet. Default 0o600. */
  readonly mode?: number | undefined;
  /** Whose files are used, besides one's own and root's. */
  readonly trust?: Trust | undefined;
  /** The file may come later, and go: then there is no content. Default false: FileMissingError. */
  readonly mayBeMissing?: boolean | undefined;
  /** Look whether the lock file was deleted whenever the lock is taken: a system call. Default: every 100 ms. */
  readonly checksEachLock?: boolean | undefined;
}

/** A writer that is busy looks earlier, after a commit, when no process waits for it: a look takes up to 100 µs. */
const LOOK_AFTER_COMMIT_MS = 50;

/** Reading the clock takes 24 ns, a lock-free look at one number about as long. */
const CALLS_PER_LOOK = 32;

/** So long, at most, since the clock was read last: then more calls come at once. */
const BURST_MS = 0.05;

/** What a segment has: a file that is attached, none, or nothing any more. */
export type SegmentStanding = "attached" | "missing" | "closed";

/**
 * All changes of what a segment has, and the error that the event throws, if any. To look is `current()`, `whole()` or to take
 * the lock; `optional`: the segment may do without a file.
 */
export const SEGMENT_TRANSITIONS: readonly (readonly [
  from: SegmentStanding,
  event: string,
  to: SegmentStanding,
  error?: string,
])[] = [
  ["attached", "look: the same file", "attached"],
  ["attached", "look: superseded", "attached"],
  ["attached", "look: superseded by a process that died", "attached"],
  ["attached", "look: replaced by hand", "attached"],
  ["attached", "look: its lock file was deleted", "attached"],
  ["attached", "look: truncated", "attached", "FileFormatError"],
  ["attached", "look: truncated, then recreated", "attached"],
  ["attached", "look: deleted", "attached", "FileMissingError"],
  ["attached", "look: deleted, optional", "missing"],
  ["attached", "look: the lock is held", "attached"],
  ["attached", "close", "closed"],
  ["attached", "close: its memory is in use", "attached", "ShmError"],
  ["missing", "look: no file", "missing"],
  ["missing", "look: a file", "attached"],
  ["missing", "close", "closed"],
  ["closed", "look", "closed", "ClosedError"],
  ["closed", "close", "closed"],
];

export class Segment<C extends Content> implements Closable {
  readonly place: Place;
  readonly type: ContentType<C>;
  readonly #options: SegmentOptions;
  /** Undefined while there is no file. */
  #content: C | undefined;
  #lock: RwLock | undefined;
  /** A backup is read without a lock: no process writes to it. */
  #isReadingBackup = false;
  #closed = false;
  /** When a deleted file was last looked for, and when the lock was last taken, by `monotonicMs()`. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #lockedAt = 0;
  /** So many calls of `current()` do without the clock. */
  #callsWithoutClock = 0;
  #isBurstToEnd = false;
  #watch: ChangeWatch | undefined;
  /** One more than the generation of the newest file that was left. */
  #generations = 0;
  /** What there was when the segment was opened: `waitForChange` counts from there. */
  readonly #opened: State;

  /** @throws FileMissingError, FileFormatError, LayoutMismatchError, SystemError */
  constructor(place: Place, type: ContentType<C>, options: SegmentOptions) {
    this.place = place;
    this.type = type;
    this.#options = options;
    keepSpareFd();
    this.#content = this.#open();
    try {
      const needsLock = !options.mayBeMissing || options.makesLock;
      if (needsLock && !this.#isBackup) this.#lock = this.#openLock();
      const content = this.#content;
      this.#opened = { version: content?.version ?? NO_FILE, mark: content?.mark, content };
    } catch (error) {
      // A damaged file may show only when its version is read, with the lock open already.
      this.#lock?.close();
      this.#content?.file.close();
      throw error;
    }
    closeAtWorkerEnd(this);
  }

  get path(): string {
    return this.place.dataPath;
  }

  /** Whose files its user accepts. */
  get trust(): Trust | undefined {
    return this.#options.trust;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The content that is attached. @throws ClosedError; FileMissingError when there is no file */
  get content(): C {
    return this.attached ?? this.#throwMissing();
  }

  /** Whether this is still the content that is attached: not once the segment is closed. For calls that take less time than `attached`. */
  isAttached(content: C): boolean {
    return content === this.#content;
  }

  /** The same, undefined when there is no file. @throws ClosedError */
  get attached(): C | undefined {
    this.#checkOpen();
    return this.#content;
  }

  /** How many files had the name, as far as this object knows: the lock's page may have been deleted with them. */
  get generations(): number {
    return Math.max(this.#generations, generationsOf(this.#content?.file));
  }

  /** The lock that is held now. */
  get held(): LockMode | undefined {
    return this.#isReadingBackup ? "shared" : this.#lock?.held;
  }

  get #isBackup(): boolean {
    return this.#content?.file.footer?.isBackup === true;
  }

  /** Whether this thread holds the lock, through this object or another. */
  get isHeldInThread(): boolean {
    return !this.#isBackup && this.lock.isHeldInThread;
  }

  /** @throws ClosedError; FileMissingError when there is no lock file and this process does not make one */
  get lock(): RwLock {
    this.#checkOpen();
    this.#lock ??= this.#openLock();
    return this.#lock;
  }

  /**
   * The content to look at without a lock: the current one, as far as its file tells; what tells no one (mv, rm) is found
   * by a look at the disk every 100 ms.
   */
  current(): C | undefined {
    const content = this.attached;
    if (this.held !== undefined) return content;
    const isToLeave =
      content === undefined ||
      content.file.isSuperseded ||
      (this.#isTimeToLookInBurst() && content.file.isUnlinkedOrReplaced);
    if (isToLeave) this.#moveOn();
    return this.#content;
  }

  /**
   * The same for those who have the time for a system call: a truncated file kills the process that touches it, and one
   * that was deleted by hand tells no one.
   * @throws FileFormatError for a truncated file
   */
  whole(): C | undefined {
    const content = this.attached;
    if (this.held !== undefined) {
      if (content?.file.isWhole === false) throw this.#truncated("a session is open on it");
    } else if (!this.#isCurrent()) this.#moveOn();
    return this.#content;
  }

  /** Takes the lock and makes sure that the file under it is the current one. */
  acquire(mode: LockMode, options?: LockOptions): void {
    if (this.#isBackup) {
      this.#readBackup();
      return;
    }
    const deadline = deadlineOf(options);
    this.lock.acquire(mode, options, deadline);
    while (!this.#settle()) this.lock.acquire(mode, options, deadline);
  }

  /** The same without waiting; false when the lock is taken. */
  tryAcquire(mode: LockMode): boolean {
    if (this.#isBackup) {
      this.#readBackup();
      return true;
    }
    do {
      if (!this.lock.tryAcquire(mode)) return false;
    } while (!this.#settle());
    return true;
  }

  /** The same without blocking the event loop. */
  async acquireAsync(mode: LockMode, options?: AsyncLockOptions): Promise<void> {
    if (this.#isBackup) {
      this.#readBackup();
      return;
    }
    const deadline = deadlineOf(options);
    await this.#awaitLock(mode, options, deadline);
    while (!this.#settle()) await this.#awaitLock(mode, options, deadline);
  }

  /** Should the segment move on to another lock meanwhile, it is that one which is waited for. */
  async #awaitLock(
    mode: LockMode,
    options: AsyncLockOptions | undefined,
    deadline: Deadline | undefined,
  ): Promise<void> {
    for (;;) {
      const { lock } = this;
      try {
        return await lock.acquireAsync(mode, options, deadline);
      } catch (error) {
        const isLeft = error instanceof ClosedError && !this.#closed && this.#lock !== lock;
        if (!isLeft) throw error;
      }
    }
  }

  #readBackup(): void {
    this.#checkOpen();
    this.#isReadingBackup = true;
  }

  /** Gives the lock back if it is held. */
  releaseIfHeld(): void {
    this.#isReadingBackup = false;
    if (this.#lock?.held !== undefined) this.#lock.release();
  }

  /** With the lock held: true when the file is current; otherwise moves on to the one that is, and lets go of the lock. */
  #settle(): boolean {
    const { lock } = this;
    try {
      if (this.#isCurrent()) return true;
      if (!this.#moveOn()) {
        // The process that superseded it died before it was replaced; with the lock held no other can be at work on it.
        if (this.#options.access === "write") this.#content?.file.setSuperseded(false);
        return true;
      }
    } catch (error) {
      lock.release();
      throw error;
    }
    if (!lock.closed) lock.release();
    return false;
  }

  #isCurrent(): boolean {
    const file = this.#content?.file;
    if (file === undefined) return !exists(this.path) && !this.#isLockLost();
    const excess = file.excessBytes;
    // What was added hides the footer from a creator, which then cannot tell us that it replaces the file.
    const isToBeLookedFor = this.#isTimeToLook(coarseMonotonicMs()) || excess > 0;
    if (isToBeLookedFor && file.isUnlinkedOrReplaced) return false;
    if ((isToBeLookedFor || this.#checksLock) && this.#isLockLost()) return false;
    return excess >= 0 && !file.isSuperseded;
  }

  get #checksLock(): boolean {
    return this.#options.checksEachLock === true && this.held !== undefined;
  }

  #isLockLost(): boolean {
    return this.#lock?.isUnlinkedOrReplaced === true;
  }

  /** Deleted files are looked for now and then only: at every lock it would cost as much as the lock itself. */
  #isTimeToLook(now: number): boolean {
    this.#lockedAt = now;
    if (this.#lockedAt - this.#lookedAt < LOOK_FOR_DELETED_MS) return false;
    this.#lookedAt = this.#lockedAt;
    return true;
  }

  /**
   * The same for calls that take less time than the clock: while they follow each other closely, within one synchronous run of
   * code, only one of `CALLS_PER_LOOK` reads it.
   */
  #isTimeToLookInBurst(): boolean {
    if (this.#callsWithoutClock > 0) {
      this.#callsWithoutClock--;
      return false;
    }
    const before = this.#lockedAt;
    const isTime = this.#isTimeToLook(monotonicMs());
    if (this.#lockedAt - before < BURST_MS) this.#expectBurst();
    return isTime;
  }

  #expectBurst(): void {
    this.#callsWithoutClock = CALLS_PER_LOOK;
    if (this.#isBurstToEnd) return;
    this.#isBurstToEnd = true;
    queueMicrotask(this.#endBurst);
  }

  readonly #endBurst = (): void => {
    this.#isBurstToEnd = false;
    this.#callsWithoutClock = 0;
  };

  /** Leaves file and lock for those that are there now; false when these still are the ones. */
  #moveOn(): boolean {
    // Should it be missing, it is looked for every time from now on.
    this.#lookedAt = Number.NEGATIVE_INFINITY;
    if (this.#content?.file.isTransferred) throw this.#transferred();
    const next = this.#openInsteadOf(this.#content);
    try {
      return this.#moveTo(next);
    } catch (error) {
      if (next !== this.#content) next?.file.close();
      throw error;
    }
  }

  /** @param next what is at the path now; closed when it is open already */
  #moveTo(next: C | undefined): boolean {
    const [old, lock] = [this.#content, this.#lock];
    const keepsLock =
      lock === undefined || (lock.kind === (next?.file.lockKind ?? lock.kind) && !this.#isLockLost());
    const isSame =
      next !== undefined && old !== undefined && next.file.isSameAs(old.file) && old.file.isWhole;
    if (isSame) next.file.close();
    const current = isSame ? old : next;
    if (current === old && keepsLock) return false;
    this.#attach(current, keepsLock ? lock : this.#openLockFor(current));
    return true;
  }

  /** Goes over to another file and lock. Should the old memory be in use (`"BUSY"`), nothing changes, and the new lock is closed. */
  #attach(next: C | undefined, lock: RwLock | undefined): void {
    const [old, oldLock] = [this.#content, this.#lock];
    let generations: number;
    try {
      generations = generationsOf(old?.file);
      if (next !== old) old?.file.close();
    } catch (error) {
      if (lock !== oldLock) lock?.close();
      throw error;
    }
    this.#content = next;
    this.#generations = Math.max(this.#generations, generations);
    if (lock === oldLock) return;
    this.#lock = lock;
    if (lock !== undefined) this.#watch?.follow(lock);
    // Who waits for the old lock's page looks, and finds out too.
    oldLock?.page?.announceChange();
    oldLock?.close();
  }

  /** The current file, opened; undefined without one and that is allowed. */
  #open(): C | undefined {
    const { words, leastBytes } = this.type;
    const { access, mayBeMissing, trust, mode } = this.#options;
    const file = missingAllowed(mayBeMissing === true, this.path, () =>
      SegmentFile.open(this.path, { access, words, leastBytes, trust, mode }),
    );
    if (file === undefined) return undefined;
    try {
      this.#checkKind(file);
      return this.type.open(file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  #checkKind({ footer }: SegmentFile): void {
    const { kind } = this.type;
    if (footer === undefined) return;
    if (footer.content !== kind)
      throw new FileFormatError(
        this.path,
        `'${this.path}' holds a ${footer.content}, not a ${kind}: choose another tag, name or directory`,
      );
    if (footer.isBackup && this.#options.access === "write")
      throw new FileFormatError(
        this.path,
        `'${this.path}' is a backup, which is only read: restore it to write`,
      );
  }

  #openInsteadOf(old: C | undefined): C | undefined {
    try {
      return this.#open();
    } catch (error) {
      if (old === undefined || old.file.isWhole) throw error;
      throw this.#truncated(String(error));
    }
  }

  #truncated(why: string): FileFormatError {
    const { path } = this;
    const { recreate } = this.type.words;
    // A creator leaves an empty file alone: it does not tell whose it was.
    const message =
      statusAt(path)?.byteLength === 0
        ? `'${path}' was truncated to 0 bytes while it was in use: delete it (rm '${path}'), as an empty file may be any program's; then ${recreate}`
        : `'${path}' was truncated while it was in use; ${recreate} (${why})`;
    return new FileFormatError(path, message, true);
  }

  #transferred(): ClosedError {
    const { words } = this.type;
    return new ClosedError(
      `the memory of '${this.path}' was transferred away (structuredClone, postMessage or transfer() with its buffer): close ${words.owner} and open it again`,
    );
  }

  #openLock(): RwLock {
    return this.#openLockFor(this.#content);
  }

  /** The lock that users of the file go by, made where it is missing and this process may make it. */
  #openLockFor(content: C | undefined): RwLock {
    const file = content?.file;
    const { makesLock, mode = 0o600, trust } = this.#options;
    const kind = file?.lockKind ?? "flock";
    // Another library's lock file is made by the first who comes. Ours was made with the file; if it is missing, then
    // beside the file it can only have been deleted, but in a lockDir it may be that the others' is another one.
    const makes = file !== undefined && file.footer === undefined ? true : makesLock && kind === "flock";
    // Who may truncate the file was accepted when it was opened, and may do no more with its lock's page.
    const files = { mode: file?.mode ?? mode, trust };
    if (makes) return loadCreating().makeLockOf(this.place, kind, files.mode, trust);
    return openLockOf(
      { ...files, path: this.place.lockPath[kind], kind },
      this.path,
      this.type.words.lockFile,
    );
  }

  /** After a commit, without the lock: wakes those who wait for changes. Without any it is one addition. */
  notify(): void {
    if (this.#closed) return;
    this.#lock?.page?.announceChange();
    if (this.#lockedAt - this.#lookedAt < LOOK_AFTER_COMMIT_MS) return;
    // Should it be gone, the next lock looks again, and moves on.
    const isGone = this.#content?.file.isUnlinkedOrReplaced || this.#isLockLost();
    this.#lookedAt = isGone ? Number.NEGATIVE_INFINITY : this.#lockedAt;
  }

  /** Makes the segment look for another file at the next call, as after a replacement of its own. */
  lookAgain(): void {
    if (!this.#closed && this.held === undefined) this.#moveOn();
  }

  get #changeWatch(): ChangeWatch {
    if (this.#isBackup)
      throw new FileFormatError(
        this.path,
        `'${this.path}' is a backup, which does not change: there is nothing to wait for`,
      );
    this.#watch ??= new (loadWatching().ChangeWatch)(this, this.#opened);
    return this.#watch;
  }

  /** A number that tells the states of the content apart, also where a version comes round again. */
  get state(): number {
    return this.#changeWatch.state;
  }

  /** One turn per observed commit, its value the version; see ChangeWatch. */
  changes(options: ChangesOptions): Changes {
    return this.#changeWatch.changes(options);
  }

  /** Blocks until there is a commit that no earlier call has reported. @returns false after `timeoutMs` */
  waitForChange(options: WaitOptions): boolean {
    return this.#changeWatch.wait(options);
  }

  /** Goes on with the lock that is there now, should its file have been deleted: for those who wait for changes. */
  followLock(): void {
    if (this.held === undefined && this.#isLockLost() && exists(this.lock.path)) this.#moveOn();
  }

  /** Unmaps, and lets the lock go. @throws ShmError "BUSY" while an asynchronous operation uses the memory */
  close(): void {
    if (this.#closed) return;
    // By a store, as what follows may be interrupted by a full stack.
    const lock = this.#lock;
    if (lock !== undefined) lock.isEnding = true;
    this.#closeFile();
    this.#closed = true;
    this.#content = undefined;
    closeAtWorkerEnd.forget(this);
    try {
      this.#watch?.close();
    } finally {
      this.#lock?.close();
    }
  }

  /** It may refuse, when its memory is in use: then the segment stays open, for another try. */
  #closeFile(): void {
    try {
      this.#content?.file.close();
    } catch (error) {
      if (!(error instanceof RangeError) && this.#lock !== undefined) this.#lock.isEnding = false;
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new ClosedError(`${this.type.words.owner} on '${this.path}' is closed`);
  }

  #throwMissing(): never {
    const { file, create } = this.type.words;
    throw new FileMissingError(this.path, `there is no ${file} '${this.path}'; ${create}`);
  }
}

/** One more than the generation of a file; 0 of one that must not be touched any more. */
const generationsOf = (file: SegmentFile | undefined): number =>
  file?.isWhole === true ? file.generations : 0;

/** What `open` gives; undefined when the file at `path` is missing and that is allowed. */
function missingAllowed<T>(isAllowed: boolean, path: string, open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    const isMissing =
      error instanceof FileMissingError || (error instanceof SystemError && error.code === "ENOTDIR");
    if (isAllowed && isMissing && error.path === path) return undefined;
    throw error;
  }
}

function openLockOf(options: RwLockOptions, dataPath: string, advice: string): RwLock {
  const { path } = options;
  try {
    return new RwLock(options);
  } catch (error) {
    if (!(error instanceof FileMissingError)) throw error;
    throw new FileMissingError(path, `the lock file '${path}' of '${dataPath}' does not exist: ${advice}`);
  }
}

/** Undefined without a time limit. @throws TypeError, RangeError for a wrong one */
function deadlineOf(options: LockOptions | undefined): Deadline | undefined {
  return options?.timeoutMs === undefined ? undefined : new Deadline(options.timeoutMs);
}
