/**
 * The document under its name: the file that has the name now, and the lock of those who write it. A master may
 * replace the file (to make it larger), so everybody looks for the current one before each use.
 */
import { ClosedError, FileFormatError, FileMissingError, TooLargeError } from "../errors/errors.ts";
import type { LockMode } from "../sync/file-lock.ts";
import { makeLock, permit } from "../sync/permit.ts";
import { type LockOptions, RwLock } from "../sync/rw-lock.ts";
import { unlink } from "../sys/new-file.ts";
import { directoryOf, exists, makeDirectory } from "../sys/paths.ts";
import { LOOK_FOR_DELETED_MS, statusAt } from "../sys/status.ts";
import { type Committed, DocumentFile, retire } from "./document-file.ts";
import { MAX_DOCUMENT_BYTES } from "./document-format.ts";
import { putFile, sweep } from "./new-file.ts";
import type { Place } from "./place.ts";

/** How a master treats the file. */
export interface FileOptions {
  readonly create: boolean;
  readonly force: boolean;
  readonly grow: boolean;
  readonly maxBytes: number;
  readonly mode: number;
}

const NOTHING: Committed = { version: 0, text: undefined };

export class DocumentStore {
  readonly path: string;
  readonly #place: Place;
  /** Undefined for a follower. */
  readonly #master: FileOptions | undefined;
  #file: DocumentFile | undefined;
  #lock: RwLock | undefined;
  #closed = false;
  /** How many files were opened so far. */
  #opened = 0;
  /** The newest version of files that were let go of: the lock's page may have gone with them. */
  #newest = 0;
  /** When a deleted file was last looked for, by `performance.now()`. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Called when another lock has taken the place of the one before, which is still open then. */
  onNewLock: (lock: RwLock) => void = () => {};

  /**
   * Opens the document; a master makes it if there is none, a follower will find it once it is made.
   * @throws FileMissingError for a master that must not make it; FileFormatError, SystemError
   */
  constructor(place: Place, master?: FileOptions) {
    this.path = place.dataPath;
    this.#place = place;
    this.#master = master;
    try {
      if (master === undefined) this.#look();
      else this.#openAsMaster(master);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get isMaster(): boolean {
    return this.#master !== undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** How long a document may be; as long as there is no file, in the one that a master would make. */
  get maxBytes(): number | undefined {
    return this.#look()?.maxBytes ?? this.#master?.maxBytes;
  }

  /** The newest version; 0 when there is none. @throws ClosedError, FileFormatError */
  get version(): number {
    return this.#use((file) => file.version) ?? 0;
  }

  /**
   * Tells the states of the document apart: another file may have the version that one before it had.
   * @throws as `version`
   */
  get state(): string {
    return this.stateAt(this.version);
  }

  /** The state in which the file that was used last had this version. */
  stateAt(version: number): string {
    return `${this.#opened} ${version}`;
  }

  /** Whether there is a file, hence a lock. @throws ClosedError, FileFormatError, SystemError */
  get exists(): boolean {
    return this.#look() !== undefined;
  }

  /** The newest document. @throws ClosedError, FileFormatError, SystemError */
  read(): Committed {
    return this.#use((file) => file.tryRead() ?? this.#readLocked()) ?? NOTHING;
  }

  /**
   * Replaces the document under the writer lock.
   * @param textOf the new one, from the one before; called with the lock held
   * @returns its version
   * @throws TooLargeError; LockTimeoutError, DeadlockError, ClosedError, FileFormatError, SystemError; what `textOf` throws
   */
  commit(textOf: (before: () => Committed) => string, options?: LockOptions): number {
    const version = this.#exclusively(options, (master) => {
      const text = textOf(() => this.#settle(master).tryRead() ?? NOTHING);
      this.#checkOpen();
      return this.#remember(this.#put(this.#settleAnew(master), text, master));
    });
    this.lock.page?.announceChange();
    return version;
  }

  /** Removes the file, if there is one. Others find out at their next look. */
  remove(options?: LockOptions): void {
    this.#exclusively(options, () => {
      sweep(this.path);
      try {
        this.#unlink(this.#current());
      } catch (error) {
        if (!isOurs(error)) throw error;
        unlink(this.path);
      }
    });
    this.lock.page?.announceChange();
  }

  #unlink(file: DocumentFile | undefined): void {
    if (file === undefined) return;
    this.#remember(versionOf(file));
    retire(file, () => unlink(this.path));
  }

  /** Waits until the disk holds what is in memory. */
  flush(): void {
    this.#look()?.flush();
  }

  close(): void {
    this.#closed = true;
    this.#lock?.close();
    this.#file?.close();
    this.#file = undefined;
  }

  /** The lock of the writers; a follower may open it as soon as there is a file. @throws FileMissingError, SystemError */
  get lock(): RwLock {
    this.#checkOpen();
    this.#lock ??= this.#openLock(this.#place.lockPath);
    return this.#lock;
  }

  /** A lock file that is missing beside a document gets the document's permissions. */
  #openLock(path: string): RwLock {
    if (this.#master === undefined) return openTheirLock(path, this.path);
    return makeLock({ path, mode: (statusAt(this.path)?.mode ?? this.#master.mode) & 0o777 });
  }

  /**
   * For who waits for documents: goes on with the lock under which they are told now, should somebody have deleted the
   * file of the one before.
   */
  followLock(): void {
    if (this.#lock?.isDisplaced && exists(this.#lock.path)) this.#replaceLock(this.#lock);
  }

  /** Takes the lock: the one that everybody takes, even when somebody deleted the file of the one before. */
  #acquire(mode: LockMode, options?: LockOptions): RwLock {
    for (;;) {
      const { lock } = this;
      lock.acquire(mode, options);
      if (!lock.isDisplaced) return lock;
      lock.release();
      this.#replaceLock(lock);
    }
  }

  #replaceLock(old: RwLock): void {
    this.#lock = this.#openLock(old.path);
    this.onNewLock(this.#lock);
    // Who waits for its page looks, and finds out too.
    old.page?.announceChange();
    old.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new ClosedError(`the JsonMap of '${this.path}' is closed`);
  }

  /** What `fn` makes of the current file. Who has a damaged one open moves on, once a master has made it anew. */
  #use<R>(fn: (file: DocumentFile) => R): R | undefined {
    const file = this.#look();
    if (file === undefined) return undefined;
    try {
      return fn(file);
    } catch (error) {
      if (!(error instanceof FileFormatError) || this.#lookAgain() === file) throw error;
      return this.#use(fn);
    }
  }

  /** The file that has the name now, as far as one can know without the lock. */
  #look(): DocumentFile | undefined {
    this.#checkOpen();
    // Not in the middle of an update, which reads and writes one file.
    if (this.#lock?.held === undefined) this.#letGoOfDeleted();
    const file = this.#file;
    // The size comes first: nothing of a file that was cut short may be touched.
    return file?.isWhole && !file.isRetired ? file : this.#lookAgain();
  }

  /** Who deletes a file by hand, or puts another one in its place, tells nobody. */
  #letGoOfDeleted(): void {
    const now = performance.now();
    if (this.#file === undefined || now - this.#lookedAt < LOOK_FOR_DELETED_MS) return;
    this.#lookedAt = now;
    if (!this.#file.isDisplaced) return;
    // Of a file that was cut short before, nothing may be touched.
    if (this.#file.isWhole) this.#newest = Math.max(this.#newest, versionOf(this.#file));
    this.#file.close();
    this.#file = undefined;
  }

  #lookAgain(): DocumentFile | undefined {
    const old = this.#file;
    const cut = old?.cut;
    if (cut !== undefined) throw cut;
    const next = DocumentFile.open(this.path, this.#master !== undefined);
    if (next !== undefined && old?.isWhole && next.isSameAs(old)) {
      // It still has the name: somebody was killed between retiring it and replacing it, or is about to replace it.
      next.close();
      return old;
    }
    old?.close();
    this.#file = next;
    if (next !== undefined) this.#opened++;
    return next;
  }

  #readLocked(): Committed {
    const lock = this.#acquire("shared");
    try {
      return this.#look()?.tryRead() ?? NOTHING;
    } finally {
      lock.release();
    }
  }

  #exclusively<R>(options: LockOptions | undefined, work: (master: FileOptions) => R): R {
    const lock = this.#acquire("exclusive", options);
    try {
      this.#letGoOfDeleted();
      return work(this.#master as FileOptions);
    } finally {
      if (!lock.closed) lock.release();
    }
  }

  #openAsMaster(master: FileOptions): void {
    if (master.create) makeDirectory(directoryOf(this.path));
    // Before the lock's files are made beside it: what is not ours is left alone.
    const found = master.force && master.create ? this.#replaceable() : this.#look();
    if (found === undefined && !master.create) throw this.#missing();
    this.#exclusively(undefined, () => {
      sweep(this.path);
      if (master.force) this.#makeAnew(master);
      this.#settle(master).repair();
    });
  }

  /** The current file, with the lock held: now it is certain. */
  #settle(master: FileOptions): DocumentFile {
    const file = this.#look() ?? this.#create(master);
    // Whoever retired it died before it was replaced; we hold the lock, so it is nobody's business now.
    if (file.isRetired) file.isRetired = false;
    return file;
  }

  /** The same for who needs nothing of it: one that somebody cut short while we had it open is made anew. */
  #settleAnew(master: FileOptions): DocumentFile {
    try {
      return this.#settle(master);
    } catch (error) {
      if (this.#file?.cut === undefined) throw error;
      return this.#makeAnew(this.#file);
    }
  }

  #create(master: FileOptions): DocumentFile {
    if (!master.create) throw this.#missing();
    return this.#putNew(master, 0);
  }

  #missing(): FileMissingError {
    return new FileMissingError(this.path, `there is no '${this.path}'; leave out create: false to make it`);
  }

  /** A file in the place of the one there is. @throws FileFormatError when that is none of ours */
  #makeAnew(like: FileLike): DocumentFile {
    const old = this.#replaceable();
    const file = this.#putNew(like, old === undefined ? 0 : versionOf(old), old);
    this.lock.page?.announceChange();
    return file;
  }

  /** A new file without a document; versions go on where those of any file before end, even of one that was deleted. */
  #putNew({ maxBytes, mode }: FileLike, lastVersion: number, old?: DocumentFile): DocumentFile {
    const last = this.#remember(lastVersion);
    // One more than was told: a writer may have been killed before it told its last.
    const start = { version: last === 0 ? 0 : last + 1, text: undefined };
    permit(this.lock, mode);
    putFile(this.path, { maxBytes, mode, start }, old);
    return this.#lookAgain() as DocumentFile;
  }

  /** Notes on the lock's page, which outlives the file, that a version was there. @returns the newest there was */
  #remember(version: number): number {
    const { page } = this.lock;
    this.#newest = Math.max(version, this.#newest, page?.documentVersion ?? 0);
    if (page !== undefined) page.documentVersion = this.#newest;
    return this.#newest;
  }

  /** The file that would be replaced; undefined also for one of ours that is damaged. @throws FileFormatError for others */
  #replaceable(): DocumentFile | undefined {
    try {
      return this.#current();
    } catch (error) {
      if (isOurs(error)) return undefined;
      throw error;
    }
  }

  /** The file that has the name now, for who is about to take that away from it. @throws FileFormatError */
  #current(): DocumentFile | undefined {
    const file = this.#look();
    return file?.isDisplaced ? this.#lookAgain() : file;
  }

  #put(file: DocumentFile, text: string, master: FileOptions): number {
    // UTF-8 takes at most three bytes for a UTF-16 unit: most documents need not be measured.
    if (3 * text.length <= file.maxBytes) return file.commit(text);
    const needed = Buffer.byteLength(text);
    if (needed <= file.maxBytes) return file.commit(text);
    const available = master.grow ? MAX_DOCUMENT_BYTES : file.maxBytes;
    if (needed > available) throw tooLarge(this.path, available, needed);
    // Only now, as it takes a while: another file in its place must not be replaced.
    if (file.isDisplaced) return this.#put(this.#lookAgain() ?? this.#create(master), text, master);
    const maxBytes = Math.min(Math.max(needed, 2 * file.maxBytes), MAX_DOCUMENT_BYTES);
    const start = { version: file.version + 1, text };
    putFile(this.path, { maxBytes, mode: file.mode, start }, file);
    this.#lookAgain();
    return start.version;
  }
}

/** How a file is made. */
type FileLike = Pick<FileOptions, "maxBytes" | "mode">;

/** Whether it is about a file that we made, and may make anew or remove. */
const isOurs = (error: unknown): boolean => error instanceof FileFormatError && error.isOurs;

/** The version of a file that may be damaged. */
function versionOf(file: DocumentFile): number {
  try {
    return file.version;
  } catch {
    return 0;
  }
}

/** Only masters make a lock. */
function openTheirLock(path: string, documentPath: string): RwLock {
  try {
    return new RwLock({ path });
  } catch (error) {
    if (!(error instanceof FileMissingError)) throw error;
    throw new FileMissingError(
      path,
      `who waits for documents in '${documentPath}' needs its lock file '${path}', which is missing; the next master makes it (read() works without)`,
    );
  }
}

function tooLarge(path: string, available: number, needed: number): TooLargeError {
  const remedy =
    needed > MAX_DOCUMENT_BYTES
      ? "split it into several"
      : "open the JsonMap with grow: true, or make the file anew with force: true and a larger maxBytes";
  return new TooLargeError(
    path,
    available,
    needed,
    `the document needs ${needed} bytes, '${path}' has room for ${available}; ${remedy}`,
  );
}
