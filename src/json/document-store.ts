/**
 * The document under its name: the file that has the name now, and the lock of those who write it. A master may
 * replace the file (to make it larger), so everybody looks for the current one before each use.
 */
import { ClosedError, FileFormatError, FileMissingError, TooLargeError } from "../errors.ts";
import { makeLock, permit } from "../locks/permit.ts";
import { type LockOptions, RwLock } from "../locks/rw-lock.ts";
import { unlink } from "../memory/new-file.ts";
import { directoryOf, makeDirectory } from "../memory/paths.ts";
import { statusAt } from "../memory/status.ts";
import { type Committed, DocumentFile, retire } from "./document-file.ts";
import { MAX_DOCUMENT_BYTES } from "./document-format.ts";
import { putFile } from "./new-file.ts";
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
      const file = this.#settle(master);
      const text = textOf(() => file.tryRead() ?? NOTHING);
      this.#checkOpen();
      return this.#put(file, text, master);
    });
    this.lock.page?.announceChange();
    return version;
  }

  /** Removes the file. Others find out at their next look. */
  remove(options?: LockOptions): void {
    this.#exclusively(options, (master) => retire(this.#settle(master), () => unlink(this.path)));
    this.lock.page?.announceChange();
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
    if (this.#master === undefined) return new RwLock({ path });
    return makeLock({ path, mode: (statusAt(this.path)?.mode ?? this.#master.mode) & 0o777 });
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
    const file = this.#file;
    // The size comes first: nothing of a file that was cut short may be touched.
    return file?.isWhole && !file.isRetired ? file : this.#lookAgain();
  }

  #lookAgain(): DocumentFile | undefined {
    const next = DocumentFile.open(this.path, this.#master !== undefined);
    const old = this.#file;
    if (next !== undefined && old?.isWhole && next.isSameAs(old)) {
      // It still has the name: somebody was killed between retiring it and replacing it, or is about to replace it.
      next.close();
      return old;
    }
    old?.close();
    this.#file = next;
    return next;
  }

  #readLocked(): Committed {
    this.lock.acquire("shared");
    try {
      return this.#look()?.tryRead() ?? NOTHING;
    } finally {
      this.lock.release();
    }
  }

  #exclusively<R>(options: LockOptions | undefined, work: (master: FileOptions) => R): R {
    const { lock } = this;
    lock.acquire("exclusive", options);
    try {
      return work(this.#master as FileOptions);
    } finally {
      if (!lock.closed) lock.release();
    }
  }

  #openAsMaster(master: FileOptions): void {
    if (master.create) makeDirectory(directoryOf(this.path));
    else if (!this.exists) throw this.#missing();
    this.#exclusively(undefined, () => {
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

  #create(master: FileOptions): DocumentFile {
    if (!master.create) throw this.#missing();
    permit(this.lock, master.mode);
    putFile(this.path, { ...master, start: NOTHING });
    return this.#lookAgain() as DocumentFile;
  }

  #missing(): FileMissingError {
    return new FileMissingError(this.path, `there is no '${this.path}'; leave out create: false to make it`);
  }

  /** A new file without a document; versions go on where the old one's end. */
  #makeAnew(master: FileOptions): void {
    const old = this.#openOld();
    const version = old === undefined ? 0 : versionOf(old) + 1;
    permit(this.lock, master.mode);
    putFile(this.path, { ...master, start: { version, text: undefined } }, old);
    old?.close();
    this.lock.page?.announceChange();
  }

  /** The file to be replaced. @throws FileFormatError for what is none of ours, which nobody asked us to destroy */
  #openOld(): DocumentFile | undefined {
    try {
      return DocumentFile.open(this.path, true);
    } catch (error) {
      if (error instanceof FileFormatError && error.isOurs) return undefined;
      throw error;
    }
  }

  #put(file: DocumentFile, text: string, master: FileOptions): number {
    // UTF-8 takes at most three bytes for a UTF-16 unit: most documents need not be measured.
    if (3 * text.length <= file.maxBytes) return file.commit(text);
    const needed = Buffer.byteLength(text);
    if (needed <= file.maxBytes) return file.commit(text);
    const available = master.grow ? MAX_DOCUMENT_BYTES : file.maxBytes;
    if (needed > available) throw tooLarge(this.path, available, needed, master.grow);
    const maxBytes = Math.min(Math.max(needed, 2 * file.maxBytes), MAX_DOCUMENT_BYTES);
    const start = { version: file.version + 1, text };
    putFile(this.path, { maxBytes, mode: file.mode, start }, file);
    this.#lookAgain();
    return start.version;
  }
}

/** The version of a file that may be damaged. */
function versionOf(file: DocumentFile): number {
  try {
    return file.version;
  } catch {
    return 0;
  }
}

function tooLarge(path: string, available: number, needed: number, grow: boolean): TooLargeError {
  const remedy = grow
    ? "split it into several"
    : "open the JsonMap with a larger maxBytes, or with grow: true";
  return new TooLargeError(
    path,
    available,
    needed,
    `the document needs ${needed} bytes, '${path}' has room for ${available}; ${remedy}`,
  );
}
