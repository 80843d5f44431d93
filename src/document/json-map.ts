import { checkOptions } from "../errors/check-options.ts";
import {
  ClosedError,
  FileFormatError,
  FileMissingError,
  LockTimeoutError,
  TooLargeError,
  WaitTimeoutError,
} from "../errors/errors.ts";
import { refuseAsync, refusePromise } from "../errors/sync-only.ts";
import { backupSegment } from "../segment/backup.ts";
import { createSegment, putFile, removeSegment } from "../segment/create.ts";
import { type SegmentInfo, segmentInfo } from "../segment/info.ts";
import type { Place } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import { SegmentFile } from "../segment/segment-file.ts";
import { type WaitForFileOptions, waitForFile } from "../segment/wait-for-file.ts";
import { after, checkSignal, checkSpin, checkTimeout, Deadline } from "../sync/deadline.ts";
import type { ChangesOptions, SpinOptions } from "../sync/notifier.ts";
import { LOCK_OPTIONS, type LockOptions } from "../sync/rw-lock.ts";
import { checkMode } from "../sys/arguments.ts";
import { absolutePath, exists } from "../sys/paths.ts";
import { TRUST_OPTIONS, type Trust } from "../sys/trust.ts";
import { DocumentChanges } from "./document-changes.ts";
import {
  type Committed,
  type DocumentContent,
  documentPlan,
  documentType,
  firstVersion,
} from "./document-content.ts";
import { documentWords, MAX_DOCUMENT_BYTES, parseDocument } from "./document-format.ts";
import { checkJson, type Json } from "./json-value.ts";
import { documentPlace, type PlaceOptions } from "./place.ts";
import {
  checkSchema,
  type InputOf,
  type OutputOf,
  type StandardSchema,
  validate,
} from "./standard-schema.ts";

/**
 * Options of a follower: which document.
 * @example const options: FollowerOptions = { role: "follower", file: "config.json.mmap" };
 */
export interface FollowerOptions extends PlaceOptions, Trust {
  /** A follower only reads. */
  readonly role: "follower";
  /** Types what is read, and checks it. */
  readonly schema?: StandardSchema | undefined;
}

/**
 * Options of a master: which document, and how its file is made.
 * @example const options: MasterOptions = { role: "master", file: "config.json.mmap", grow: true };
 */
export interface MasterOptions extends PlaceOptions, Trust {
  /** A master makes the document, writes and reads it. There may be several. */
  readonly role: "master";
  /** Types what is written and read, and checks both. */
  readonly schema?: StandardSchema | undefined;
  /** Make the file when it is missing. Default true. */
  readonly create?: boolean | undefined;
  /** Recreate it without a document (or with `initial`) even when there is one, which erases that. Default false. */
  readonly force?: boolean | undefined;
  /** Room for a document, in bytes of UTF-8, in a file that is made: 1 to 2^30. Default 65,536. The file takes three times that. */
  readonly maxBytes?: number | undefined;
  /** Replace the file by a larger one when a document does not fit. Default false: `TooLargeError`. */
  readonly grow?: boolean | undefined;
  /** Permissions of a file that is made, and of its lock files, 0 to 0o777, not reduced by the umask. Default 0o600. */
  readonly mode?: number | undefined;
  /** Milliseconds for which the constructor waits for the writer lock. Default: no limit. */
  readonly timeoutMs?: number | undefined;
  /** The document that a file begins with when it is made; no follower ever sees the file without it. Default: none. */
  readonly initial?: unknown;
}

/**
 * Options of `changes`.
 * @example const options: DocumentChangesOptions = { initial: true, spinMs: 5 };
 */
export interface DocumentChangesOptions extends SpinOptions {
  /** Aborting it ends the iteration with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** Begin with the document there is, if there is one. Default false: with the first change after the call. */
  readonly initial?: boolean | undefined;
}

/**
 * Options of `waitForFirst`.
 * @example const options: WaitForFirstOptions = { timeoutMs: 5000 };
 */
export interface WaitForFirstOptions {
  /** Milliseconds, fractions allowed, after which `WaitTimeoutError` is thrown. Default: no limit. */
  readonly timeoutMs?: number | undefined;
  /** Aborting it rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What every `JsonMap` can do; all that one with `role: "follower"` can. As the reading half of jsonmmap's `ObjectMmap`.
 * @example
 * using follower: JsonFollower<Config> = new JsonMap<Config>({ file: "config", role: "follower" });
 * follower.read();
 */
export interface JsonFollower<T> extends Disposable {
  /** As the options said. */
  readonly role: "master" | "follower";
  /** Absolute path of the file. */
  readonly path: string;
  /** Whether `close()` was called. Never throws. */
  readonly closed: boolean;
  /**
   * Room for a document in bytes of UTF-8; undefined as long as there is no file.
   * @throws ClosedError after `close()`; FileFormatError for a file that is no JsonMap's, is damaged or truncated;
   *   SystemError EACCES …
   */
  readonly maxBytes: number | undefined;
  /**
   * Grows with every write, from 1 on, and 2^32 further when the file is recreated, or grows; 0 as long as there is no file. Cheap:
   * compare it before you read again.
   * @throws ClosedError after `close()`; FileFormatError for a file that is no JsonMap's, is damaged or truncated;
   *   SystemError EACCES …
   */
  readonly version: number;

  /**
   * The newest document, parsed afresh: it is yours to change, and no later write changes it. Takes no lock and waits
   * for no writer, not even for one that was killed halfway. Undefined before the first write.
   * @throws FileFormatError for a damaged file, InvalidDocumentError when the schema refuses it, ClosedError, SystemError
   * @example const { port } = follower.read() ?? defaults;
   */
  read(): T | undefined;

  /**
   * Every new document as it comes; when they come faster than they are taken, the newest. An iteration that waits
   * keeps the process alive. Ended by `break`, `return()`, `signal` or `close()`.
   * @throws TypeError, RangeError for wrong options; ClosedError after `close()`; FileFormatError for a file that is no
   *   JsonMap's, is damaged or truncated; SystemError EACCES …
   * @throws (while it iterates) the signal's reason; ClosedError; FileFormatError for a damaged file;
   *   InvalidDocumentError when the schema refuses the document; SystemError
   * @example for await (const config of follower.changes({ initial: true })) apply(config);
   */
  changes(options?: DocumentChangesOptions): AsyncIterableIterator<T> & AsyncDisposable;

  /**
   * The document, once there is one; also when not even the file exists yet.
   * @throws (rejects with) WaitTimeoutError after `timeoutMs`, the signal's reason, ClosedError when `close()` is called
   *   meanwhile; TypeError, RangeError for wrong options; FileFormatError for a damaged file;
   *   InvalidDocumentError when the schema refuses the document; SystemError
   * @example const config = await follower.waitForFirst({ timeoutMs: 5000 });
   */
  waitForFirst(options?: WaitForFirstOptions): Promise<T>;

  /**
   * What is known of the file, its lock and its users. Looks through /proc, which takes some milliseconds.
   * @throws ClosedError, FileMissingError when there is no file, FileFormatError
   * @example follower.info().lock?.holders
   */
  info(): SegmentInfo;

  /**
   * Writes a copy of the newest document to `path`, in one step: a file that describes itself, which a follower opens
   * without a lock, and `JsonMap.restore` puts back. Writers are not stopped. A backup that is there is replaced; another
   * file is not.
   * @param options how long to wait for the lock, should writers be too busy for a whole copy
   * @returns the version of the copy
   * @throws FileMissingError when there is no file; FileFormatError when something else than a backup is at `path`;
   *   LockTimeoutError; SystemError ENOSPC …
   * @example follower.backup("/backups/config");
   */
  backup(path: string, options?: LockOptions): number;

  /**
   * Ends all iterations and unmaps the file. Afterwards everything but `role`, `path` and `closed` throws ClosedError. A
   * second call does nothing, and neither throws.
   * @example follower.close();
   */
  close(): void;
}

/**
 * What a `JsonMap` with `role: "master"` can do besides. `Input` is what the schema takes, `T` what it makes of it. As
 * the writing half of jsonmmap's `ObjectMmap`.
 * @example
 * using master: JsonMaster<Config> = new JsonMap<Config>({ file: "config", role: "master" });
 * master.write({ port: 8080 });
 */
export interface JsonMaster<T, Input = T> extends JsonFollower<T> {
  /** As the options said. */
  readonly role: "master";
  /**
   * Room for a document in bytes of UTF-8: of the file there is, else (after `remove()`) of the one it would make.
   * @throws ClosedError after `close()`; FileFormatError, SystemError
   */
  readonly maxBytes: number;

  /**
   * Makes `value` the document: all of it or nothing, for every reader at once.
   * @returns its version
   * @throws TypeError with the path of a value that JSON cannot hold (`$.a[3].b`)
   * @throws InvalidDocumentError when the schema refuses it, or what it makes of it; TooLargeError with the bytes there are and the bytes needed
   * @throws LockTimeoutError after `timeoutMs`, DeadlockError within an `update`, ClosedError, FileFormatError, SystemError
   * @example master.write({ port: 8080 })
   */
  write(value: Input, options?: LockOptions): number;

  /**
   * Reads, changes and writes under one lock, so that no change of another master gets lost in between.
   * @param fn gets the document (undefined before the first write), and returns the new one, or nothing after changing
   *   the one it got. When it throws, nothing is written
   * @returns the new version
   * @throws TypeError with the path of a value that JSON cannot hold; InvalidDocumentError when the schema refuses it;
   *   TooLargeError; LockTimeoutError after `timeoutMs`; DeadlockError within an `update`; ClosedError; FileFormatError;
   *   SystemError; what `fn` throws
   * @example master.update((config = { port: 80 }) => ({ ...config, port: config.port + 1 }))
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a function that changes its argument returns nothing
  update(fn: (current: T | undefined) => Input | void, options?: LockOptions): number;

  /**
   * Waits until the file on the disk holds what is in memory (msync(2)). Other processes see every write without it.
   * @throws ClosedError after `close()`; FileFormatError; SystemError EIO …
   * @example master.flush();
   */
  flush(): void;

  /**
   * Removes the file, if there is one, under the lock. Others have no document from then on; the lock files stay, as they
   * may hold them open, and tell the next write, which makes the file again, where versions go on.
   * @throws LockTimeoutError after `timeoutMs`, DeadlockError within an `update`; ClosedError
   * @throws FileFormatError when another program's file has the name by now, which stays as it is
   * @throws SystemError EACCES, EPERM where the directory does not let it be removed: then it stays in use
   * @example master.remove();
   */
  remove(options?: LockOptions): void;
}

/**
 * The constructor; the role decides what comes out of it, the schema, or else a type argument, which documents.
 * @example const open: JsonMapConstructor = JsonMap;
 */
export interface JsonMapConstructor {
  /** A master whose documents the schema types and checks. */
  new <S extends StandardSchema>(
    options: MasterOptions & { readonly schema: S },
  ): JsonMaster<OutputOf<S>, InputOf<S>>;
  /** A follower whose documents the schema types and checks. */
  new <S extends StandardSchema>(
    options: FollowerOptions & { readonly schema: S },
  ): JsonFollower<OutputOf<S>>;
  /** A master of documents that are `T`, as far as the compiler is told. */
  new <T = Json>(options: MasterOptions & { readonly schema?: undefined }): JsonMaster<T>;
  /** A follower of documents that are `T`, as far as the compiler is told. */
  new <T = Json>(options: FollowerOptions & { readonly schema?: undefined }): JsonFollower<T>;
  /**
   * Opens a document once its file is there.
   * @throws WaitTimeoutError after `waitMs`, the signal's reason; TypeError, RangeError for wrong options; FileFormatError;
   *   UntrustedFileError; SystemError
   * @example const follower = await JsonMap.open<Config>({ file: "config", role: "follower", waitMs: 5000 });
   */
  open<T = Json>(options: FollowerOptions & WaitForFileOptions): Promise<JsonFollower<T>>;
  open<T = Json>(options: MasterOptions & WaitForFileOptions): Promise<JsonMaster<T>>;
  /**
   * Puts the document of a backup in the place of the live one, in one step; its users move over, and versions go on. The
   * file is made if it is missing.
   * @param backup path of a file that `backup()` wrote
   * @throws FileMissingError, FileFormatError for what is no backup of a document; LockTimeoutError; SystemError
   * @example JsonMap.restore("/backups/config", { file: "/run/app/config" });
   */
  restore(backup: string, options: DocumentRestoreOptions): void;
}

/** Options of `JsonMap.restore`. @example { file: "/run/app/config", mode: 0o640 } */
export interface DocumentRestoreOptions
  extends PlaceOptions,
    Trust,
    Pick<MasterOptions, "maxBytes" | "mode" | "timeoutMs"> {}

const DEFAULT_MAX_BYTES = 65_536;

/** How long a read that writers let no whole copy through waits for them, before it tries again to copy. */
const LOCKED_OUT = { timeoutMs: 10 } as const;

const NOTHING: Committed = { version: 0, text: undefined };

/** How a master treats the file. */
interface FileOptions {
  readonly create: boolean;
  readonly force: boolean;
  readonly grow: boolean;
  readonly maxBytes: number;
  readonly mode: number;
  readonly timeoutMs: number | undefined;
}

const FOLLOWER_OPTIONS = {
  role: "any",
  file: "string",
  dir: "string",
  name: "string",
  schema: "any",
  ...TRUST_OPTIONS,
} as const;
const MASTER_OPTIONS = {
  ...FOLLOWER_OPTIONS,
  create: "boolean",
  force: "boolean",
  maxBytes: "number",
  grow: "boolean",
  mode: "number",
  timeoutMs: "number",
  initial: "any",
} as const;

const RESTORE_OPTIONS = {
  file: "string",
  dir: "string",
  name: "string",
  maxBytes: "number",
  mode: "number",
  timeoutMs: "number",
  ...TRUST_OPTIONS,
} as const;

class SharedDocument<T, Input> implements JsonFollower<T> {
  readonly #segment: Segment<DocumentContent>;
  /** Undefined for a follower. */
  readonly #master: FileOptions | undefined;
  readonly #trust: Trust;
  readonly #schema: StandardSchema | undefined;
  readonly #iterations = new Set<DocumentChanges<T>>();

  constructor(options: MasterOptions | FollowerOptions) {
    checkOptions("new JsonMap", options, MASTER_OPTIONS, true);
    const role = checkRole(options.role);
    if (role === "follower") checkOptions("new JsonMap (a follower)", options, FOLLOWER_OPTIONS);
    this.#schema = checkSchema(options.schema);
    this.#master = options.role === "master" ? fileOptions(options) : undefined;
    this.#trust = { trustOwner: options.trustOwner, shared: options.shared };
    const place = documentPlace(options);
    const deadline = new Deadline(this.#master?.timeoutMs);
    if (options.role === "master") this.#make(place, options.initial, deadline);
    this.#segment = new Segment(place, documentType, {
      access: this.#master === undefined ? "read" : "write",
      makesLock: this.#master !== undefined,
      mode: this.#master?.mode,
      trust: this.#trust,
      mayBeMissing: true,
      checksEachLock: true,
    });
    if (this.#master !== undefined) this.#repair(deadline);
  }

  /** Makes the file if it is to be made, so that the document can be opened. */
  #make(place: Place, initial: unknown, deadline: Deadline): void {
    const { create, force, maxBytes, mode } = this.#master as FileOptions;
    if (!create) {
      if (exists(place.dataPath)) return;
      throw new FileMissingError(place.dataPath, `there is no '${place.dataPath}'; ${documentWords.create}`);
    }
    const text =
      initial === undefined ? undefined : this.#fitting(this.#textOf(initial, place.dataPath), place);
    const { leftMs: timeoutMs } = deadline;
    createSegment(place, documentPlan(maxBytes, text), documentType, {
      force,
      mode,
      timeoutMs,
      trust: this.#trust,
    });
  }

  #fitting(text: string, { dataPath }: Place): string {
    const { maxBytes } = this.#master as FileOptions;
    const needed = Buffer.byteLength(text);
    if (needed > maxBytes) throw tooLarge(dataPath, maxBytes, needed);
    return text;
  }

  /** What a killed master has left half done is set right by the next one. */
  #repair(deadline: Deadline): void {
    try {
      // Most often there is nothing to do: no need to wait for a writer that may have been stopped.
      if (this.#segment.attached?.needsRepair !== true) return;
      this.#segment.acquire("exclusive", { timeoutMs: deadline.leftMs });
      try {
        this.#segment.attached?.repair();
      } finally {
        this.#segment.releaseIfHeld();
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get role(): "master" | "follower" {
    return this.#master === undefined ? "follower" : "master";
  }

  get path(): string {
    return this.#segment.path;
  }

  get closed(): boolean {
    return this.#segment.closed;
  }

  get maxBytes(): number | undefined {
    return this.#look()?.maxBytes ?? this.#master?.maxBytes;
  }

  get version(): number {
    return this.#use((content) => content.version) ?? 0;
  }

  read(): T | undefined {
    return this.#parse(this.#read());
  }

  #read(): Committed {
    return this.#use((content) => content.tryRead() ?? this.#readLocked()) ?? NOTHING;
  }

  /** Locks writers out for a moment. One that holds the lock for longer than that lets a copy through. */
  #readLocked(): Committed {
    for (;;) {
      try {
        this.#segment.acquire("shared", LOCKED_OUT);
      } catch (error) {
        if (!(error instanceof LockTimeoutError)) throw error;
        const committed = this.#look()?.tryRead();
        if (committed !== undefined) return committed;
        continue;
      }
      try {
        return this.#segment.attached?.tryRead() ?? NOTHING;
      } finally {
        this.#segment.releaseIfHeld();
      }
    }
  }

  /** The current content; undefined when there is no file. In the middle of an update, the one that it works on. */
  #look(): DocumentContent | undefined {
    return this.#segment.whole();
  }

  /** What `fn` makes of the current content. Who has a damaged file open moves on, once it is recreated. */
  #use<R>(fn: (content: DocumentContent) => R): R | undefined {
    const content = this.#look();
    if (content === undefined) return undefined;
    try {
      return fn(content);
    } catch (error) {
      if (!(error instanceof FileFormatError)) throw error;
      this.#segment.lookAgain();
      if (this.#segment.attached === content) throw error;
      return this.#use(fn);
    }
  }

  write(value: Input, options?: LockOptions): number {
    this.#checkMaster("write", options);
    const text = this.#textOf(value);
    return this.#commit(() => text, options, true);
  }

  update(fn: (current: T | undefined) => unknown, options?: LockOptions): number {
    this.#checkMaster("update", options);
    refuseAsync(fn, "update");
    return this.#commit((content) => {
      const current = this.#parse(content.tryRead() ?? NOTHING);
      const next = refusePromise(fn(current), "update");
      return this.#textOf(next === undefined ? current : next);
    }, options);
  }

  /**
   * Replaces the document under the writer lock; makes the file if it is gone.
   * @param needsNothing the document before is not looked at: a file that was truncated may be recreated
   * @returns the new version
   */
  #commit(textOf: (content: DocumentContent) => string, options?: LockOptions, needsNothing = false): number {
    const segment = this.#segment;
    const deadline = new Deadline(options?.timeoutMs);
    for (;;) {
      this.#acquire(deadline, needsNothing);
      const version = this.#commitLocked(textOf, needsNothing);
      if (version !== undefined) {
        segment.notify();
        return version;
      }
      segment.lookAgain();
      if (segment.attached === undefined) this.#recreate(deadline);
    }
  }

  /** With the lock, which is given back. @returns undefined when there is no file, or another one than `textOf` has seen */
  #commitLocked(textOf: (content: DocumentContent) => string, needsNothing: boolean): number | undefined {
    try {
      const content = this.#segment.attached;
      if (content === undefined) return undefined;
      const text = textOf(content);
      // Meanwhile the map may have been closed, or the file truncated.
      if (!needsNothing) this.#segment.whole();
      return this.#put(content, text);
    } finally {
      this.#segment.releaseIfHeld();
    }
  }

  #acquire(deadline: Deadline, needsNothing: boolean): void {
    const segment = this.#segment;
    try {
      segment.acquire("exclusive", { timeoutMs: deadline.leftMs });
    } catch (error) {
      const isTruncated = error instanceof FileFormatError && error.isOurs;
      if (!isTruncated || !needsNothing || segment.attached === undefined) throw error;
      this.#recreate(deadline, segment.attached);
      segment.acquire("exclusive", { timeoutMs: deadline.leftMs });
    }
  }

  /** @param like instead of the options: the file that is to be replaced, as it was opened */
  #recreate(deadline: Deadline, like?: DocumentContent): void {
    const master = this.#master as FileOptions;
    const maxBytes = like?.maxBytes ?? master.maxBytes;
    const mode = like?.file.mode ?? master.mode;
    if (!master.create)
      throw new FileMissingError(this.path, `there is no '${this.path}'; ${documentWords.create}`);
    createSegment(this.#segment.place, documentPlan(maxBytes, undefined), documentType, {
      force: like !== undefined,
      mode,
      timeoutMs: deadline.leftMs,
      trust: this.#trust,
      leastGeneration: this.#segment.generations,
      knownId: like?.file.id,
    });
    this.#segment.lookAgain();
  }

  /** @returns the version; undefined when another file has the name by now */
  #put(content: DocumentContent, text: string): number | undefined {
    // UTF-8 takes at most three bytes for a UTF-16 unit: most documents need not be measured.
    if (3 * text.length <= content.maxBytes) return content.commit(text);
    const needed = Buffer.byteLength(text);
    if (needed <= content.maxBytes) return content.commit(text);
    const available = this.#master?.grow ? MAX_DOCUMENT_BYTES : content.maxBytes;
    if (needed > available) throw tooLarge(this.path, available, needed);
    // To make a text takes a while: a file that was put there meanwhile must not be replaced.
    if (content.file.isUnlinkedOrReplaced) return undefined;
    return this.#grow(content, text, Math.min(Math.max(needed, 2 * content.maxBytes), MAX_DOCUMENT_BYTES));
  }

  #grow({ file }: DocumentContent, text: string, maxBytes: number): number {
    const { page } = this.#segment.lock;
    const options = { mode: file.mode, page, old: file, replaces: true };
    const generation = putFile(this.path, documentPlan(maxBytes, text), options) as number;
    return firstVersion(generation);
  }

  info(): SegmentInfo {
    return segmentInfo(this.#segment);
  }

  backup(path: string, options?: LockOptions): number {
    return backupSegment(this.#segment, absolutePath(".", path), options);
  }

  static open(
    options: (MasterOptions | FollowerOptions) & WaitForFileOptions,
  ): Promise<SharedDocument<unknown, unknown>> {
    const { waitMs, signal, ...rest } = options;
    const { dataPath } = documentPlace(rest);
    return waitForFile(
      "JsonMap.open",
      () => {
        if (!exists(dataPath)) throw new FileMissingError(dataPath, `there is no document '${dataPath}'`);
        return new SharedDocument(rest);
      },
      { waitMs, signal },
    );
  }

  static restore(backup: string, options: DocumentRestoreOptions): void {
    checkOptions("JsonMap.restore", options, RESTORE_OPTIONS, true);
    const place = documentPlace(options);
    const { timeoutMs, ...trust } = options;
    using file = SegmentFile.open(absolutePath(".", backup), {
      access: "read",
      words: documentWords,
      leastBytes: documentType.leastBytes,
      trust,
    });
    const content = documentType.open(file);
    const { text } = content.tryRead() ?? NOTHING;
    const { maxBytes = content.maxBytes, mode = file.mode } = options;
    const how = { force: true, mode: checkMode(mode), timeoutMs, trust };
    createSegment(place, documentPlan(maxBytes, text), documentType, how);
  }

  flush(): void {
    this.#checkMaster("flush");
    this.#look()?.file.flush();
  }

  remove(options?: LockOptions): void {
    this.#checkMaster("remove", options);
    this.#checkOpen();
    removeSegment(this.#segment.place, documentType, {
      mode: (this.#master as FileOptions).mode,
      trust: this.#trust,
      knownId: this.#segment.attached?.file.id,
      ...options,
    });
    this.#segment.notify();
  }

  changes(options: DocumentChangesOptions = {}): DocumentChanges<T> {
    checkOptions("changes", options, { signal: "any", initial: "boolean", spinMs: "number" });
    const { initial = false } = options;
    const signal = checkSignal("changes", options.signal);
    const spinMs = checkSpin(options.spinMs);
    const isThere = this.#look() !== undefined;
    signal?.throwIfAborted();
    const source = {
      commits: (how: ChangesOptions) =>
        this.#master === undefined && this.#look() === undefined ? undefined : this.#segment.changes(how),
      state: () => this.#segment.state,
      version: () => this.version,
      read: () => {
        const committed = this.#read();
        return { version: committed.version, value: this.#parse(committed) };
      },
    };
    const seen = initial || !isThere ? undefined : this.#stateIfTold();
    const changes = new DocumentChanges(source, seen, { signal, spinMs }, () =>
      this.#iterations.delete(changes),
    );
    this.#iterations.add(changes);
    return changes;
  }

  /** Without a lock file no commit is told: the iteration says so when it waits. */
  #stateIfTold(): number | undefined {
    try {
      return this.#segment.state;
    } catch (error) {
      if (error instanceof FileMissingError) return undefined;
      throw error;
    }
  }

  async waitForFirst(options: WaitForFirstOptions = {}): Promise<T> {
    checkOptions("waitForFirst", options, { timeoutMs: "number", signal: "any" });
    const limitMs = checkTimeout(options.timeoutMs);
    const signal = checkSignal("waitForFirst", options.signal);
    const tooLate = new AbortController();
    const either = signal === undefined ? tooLate.signal : AbortSignal.any([signal, tooLate.signal]);
    await using changes = this.changes({ signal: either, initial: true });
    const callOff = Number.isFinite(limitMs)
      ? after(limitMs, () => giveUp(tooLate, this.path, limitMs))
      : undefined;
    try {
      const turn = await changes.next();
      if (turn.done) throw new ClosedError(`the JsonMap of '${this.path}' was closed`);
      return turn.value;
    } finally {
      callOff?.();
    }
  }

  close(): void {
    for (const changes of [...this.#iterations]) void changes.return();
    this.#segment.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `JsonMap (${this.role}) of '${this.path}'${this.closed ? " (closed)" : ""}`;
  }

  #checkOpen(): void {
    if (this.closed) throw new ClosedError(`the JsonMap of '${this.path}' is closed`);
  }

  /** The document as text, if it is one. */
  #textOf(value: unknown, path = this.path): string {
    const output = this.#schema === undefined ? value : this.#outputOf(this.#schema, value, path);
    checkJson(output);
    return JSON.stringify(output);
  }

  /** What the schema makes of a value, if it would accept that when it is read. */
  #outputOf(schema: StandardSchema, value: unknown, path: string): unknown {
    const what = `the document to write to '${path}'`;
    const output = validate(schema, value, path, what);
    if (output !== value)
      validate(schema, output, path, `${what} could not be read again: what its schema makes of it`);
    return output;
  }

  #parse({ text }: Committed): T | undefined {
    if (text === undefined) return undefined;
    const value = parseDocument(text, this.path);
    if (this.#schema === undefined) return value as T;
    return validate(this.#schema, value, this.path, `the document in '${this.path}'`) as T;
  }

  #checkMaster(method: string, options?: LockOptions): void {
    checkOptions(method, options, LOCK_OPTIONS);
    if (this.#master !== undefined) return;
    throw new TypeError(
      `${method}: the JsonMap of '${this.path}' only reads; open it with { role: "master" } to write`,
    );
  }
}

/**
 * One JSON document that processes share: masters write it, followers read it, always a whole one. It lives in a
 * mapped file, or in named shared memory, and begins there with `<length>:<json>`, so that others can read it too.
 *
 * A follower may come before the file: it has no document then, and finds it once a master has made it. The idea, and
 * the text at the start, are jsonmmap's.
 * @throws TypeError for options that there are not, or that make no sense (neither `file` nor `name`, an unknown role, no Standard Schema …)
 * @throws RangeError for `maxBytes` or `mode` out of range, or a `name` that is too long
 * @throws FileFormatError when the file is no JsonMap's, damaged or truncated; FileMissingError for a master with
 *   `create: false`; SystemError ENOSPC, EACCES …; UnsupportedError outside Linux
 * @example
 * using master = new JsonMap<Config>({ file: "/run/app/config", role: "master" });
 * master.write({ port: 8080 });
 * using follower = new JsonMap<Config>({ file: "/run/app/config", role: "follower" });
 * follower.read()?.port;      // 8080, in any process
 */
export const JsonMap = SharedDocument as JsonMapConstructor;

/**
 * A `JsonMap` of either role: the reading half.
 * @example const show = (map: JsonMap<Config>) => console.log(map.read());
 */
export type JsonMap<T = Json> = JsonFollower<T>;

function checkRole(role: unknown): "master" | "follower" {
  if (role === "master" || role === "follower") return role;
  throw new TypeError(`role must be "master" or "follower", not ${JSON.stringify(role)}`);
}

function fileOptions(options: MasterOptions): FileOptions {
  const { create = true, force = false, grow = false, maxBytes = DEFAULT_MAX_BYTES, mode } = options;
  if (!Number.isInteger(maxBytes) || maxBytes < 1 || maxBytes > MAX_DOCUMENT_BYTES) {
    throw new RangeError(`maxBytes must be a whole number from 1 to ${MAX_DOCUMENT_BYTES}, not ${maxBytes}`);
  }
  return { create, force, grow, maxBytes, mode: checkMode(mode), timeoutMs: options.timeoutMs };
}

function tooLarge(path: string, available: number, needed: number): TooLargeError {
  const remedy =
    needed > MAX_DOCUMENT_BYTES
      ? "split it into several"
      : "open the JsonMap with grow: true, or recreate the file with a larger maxBytes and force: true, which erases the document";
  return new TooLargeError(
    path,
    available,
    needed,
    `the document needs ${needed} bytes, '${path}' has room for ${available}; ${remedy}`,
  );
}

function giveUp(tooLate: AbortController, path: string, timeoutMs: number): void {
  tooLate.abort(
    new WaitTimeoutError(path, timeoutMs, `there was no document in '${path}' within ${timeoutMs} ms`),
  );
}
