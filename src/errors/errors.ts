/**
 * Every error of the library that a caller may want to catch by class. Wrong *values* (a string into a
 * `c_int32`, 300 into a `c_uint8`) are plain `TypeError` and `RangeError`, as JavaScript users expect.
 */
import { escapeLines, escapeText } from "./show.ts";

/**
 * Base of the errors below. Thrown itself with the codes `"NOT_TRANSACTIONAL"` (`rollback` of a file that keeps no
 * earlier state), `"NOT_LOCKED"` (a lock released that is not held) and `"BUSY"` (a map closed while an asynchronous
 * operation uses it).
 * @example if (error instanceof ShmError) console.error(error.code, error.message);
 */
export class ShmError extends Error {
  /** What went wrong, stable between versions: `"LOCK_TIMEOUT"`, or the errno name of a `SystemError`. */
  readonly code: string;

  /**
   * @param code see `code`
   * @param options the `cause`, if there is one
   */
  constructor(code: string, message: string, options?: ErrorOptions) {
    // Names of files, types and processes come from anywhere.
    super(escapeLines(message), options);
    this.name = new.target.name;
    this.code = code;
  }
}

/**
 * A struct class is declared wrongly, or a schema describes no struct. Thrown while the class is being defined or at
 * its first use, when it is laid out. Code `"STRUCT_DEFINITION"`.
 * @example try { structFromSchema(JSON.parse(text)) } catch (error) { if (error instanceof StructDefinitionError) … }
 */
export class StructDefinitionError extends ShmError {
  /** @param options the `cause`, if there is one */
  constructor(message: string, options?: ErrorOptions) {
    super("STRUCT_DEFINITION", message, options);
  }
}

/**
 * The operating system refused a call. `code` is the errno name (`"ENOSPC"`), as in Node's own errors; what each
 * means for a call is in its manual page, section 2.
 * @example if (error instanceof SystemError && error.code === "EACCES") console.error(error.path, error.syscall);
 */
export class SystemError extends ShmError {
  /** The libc function that failed, e.g. `"mmap"`. */
  readonly syscall: string;
  /** The positive errno number. */
  readonly errno: number;
  /** The file or object concerned, when there is one. */
  readonly path: string | undefined;

  /**
   * @param syscall see `syscall`
   * @param errno see `errno`
   * @param errnoName the name of `errno`, e.g. `"EACCES"`
   * @param path see `path`
   * @param hint what to do about it, appended to the message
   */
  constructor(syscall: string, errno: number, errnoName: string, path?: string, hint?: string) {
    const where = path === undefined ? "" : ` '${path}'`;
    super(errnoName, `${syscall}${where} failed: ${errnoName} (errno ${errno})${hint ? `; ${hint}` : ""}`);
    this.syscall = syscall;
    this.errno = errno;
    this.path = path;
  }
}

/**
 * This platform, or this feature on this platform, is not supported. Code `"UNSUPPORTED"`.
 * @example if (error instanceof UnsupportedError) useAnotherWay();
 */
export class UnsupportedError extends ShmError {
  /** @param message the whole text */
  constructor(message: string) {
    super("UNSUPPORTED", message);
  }
}

/** A process that holds a lock or waits for it, as far as the kernel tells. @example error.holders[0]?.command */
export interface LockUser {
  /** Its process id; 0 when it cannot be seen from here (another pid namespace, or another user's process). */
  readonly pid: number;
  /** Its command line, up to 200 characters; empty when it cannot be seen from here. */
  readonly command: string;
  /** `"stopped"` by a signal or a debugger; `"running"` also means asleep. */
  readonly state: "running" | "stopped" | "unknown";
  /** The mode in which it holds the lock, or waits for it. */
  readonly mode: "shared" | "exclusive";
}

/** Who uses a lock. */
export interface LockUsers {
  /** Those who hold the lock in a mode that was in the way. */
  readonly holders: readonly LockUser[];
  /** Those who wait for it and are next. */
  readonly waiters: readonly LockUser[];
}

/**
 * The lock was not free within `timeoutMs`. Code `"LOCK_TIMEOUT"`.
 * @example
 * try { using session = editor.lock({ timeoutMs: 100 }); } catch (error) {
 *   if (!(error instanceof LockTimeoutError)) throw error;
 *   for (const { pid, command, state } of error.holders) console.error(pid, command, state);
 * }
 */
export class LockTimeoutError extends ShmError implements LockUsers {
  /** The lock file. */
  readonly path: string;
  /** How long the call waited, in milliseconds. */
  readonly timeoutMs: number;
  /** Who held the lock at the end of the wait, as far as the kernel tells. */
  readonly holders: readonly LockUser[];
  /** Who else waited and was first in the queue. */
  readonly waiters: readonly LockUser[];

  /**
   * @param path the lock file
   * @param timeoutMs milliseconds
   * @param users see `holders` and `waiters`
   */
  constructor(path: string, timeoutMs: number, message: string, users?: LockUsers) {
    super("LOCK_TIMEOUT", message);
    this.path = path;
    this.timeoutMs = timeoutMs;
    this.holders = users?.holders ?? [];
    this.waiters = users?.waiters ?? [];
  }
}

/**
 * Waiting would never end: this thread already holds a lock that conflicts with the one it asks for. Code
 * `"DEADLOCK"`.
 * @example editor.edit(() => editor.lock());   // throws it
 */
export class DeadlockError extends ShmError {
  /** The file whose lock it is. */
  readonly path: string;

  /** @param path the file whose lock it is */
  constructor(path: string, message: string) {
    super("DEADLOCK", message);
    this.path = path;
  }
}

/**
 * A role, session, map, lock, semaphore or queue was used after it was closed or released. Code `"CLOSED"`.
 * @example reader.close(); reader.snapshot();   // throws it
 */
export class ClosedError extends ShmError {
  /**
   * @param message the whole text
   * @param options the `cause`, if there is one
   */
  constructor(message: string, options?: ErrorOptions) {
    super("CLOSED", message, options);
  }
}

/**
 * There is no such shared file (yet), and only a Manager, or the master of a `JsonMap`, creates one. Code
 * `"FILE_MISSING"`.
 * @example catch (error) { if (error instanceof FileMissingError) await Bun.sleep(100); else throw error; }
 */
export class FileMissingError extends ShmError {
  /** The file. */
  readonly path: string;

  /** @param path the file */
  constructor(path: string, message: string) {
    super("FILE_MISSING", message);
    this.path = path;
  }
}

/**
 * The file is not one of ours, is damaged, was truncated, or is under another kind of lock than the one asked for.
 * Code `"FILE_FORMAT"`.
 * @example if (error instanceof FileFormatError && error.isOurs) new Manager(Robot, { create: true, force: true });
 */
export class FileFormatError extends ShmError {
  /** The file. */
  readonly path: string;
  /** It was made by this library, so that a Manager told to `force` may replace it. */
  readonly isOurs: boolean;

  /**
   * @param path the file
   * @param isOurs see `isOurs`
   * @param options the `cause`, if there is one
   */
  constructor(path: string, message: string, isOurs = false, options?: ErrorOptions) {
    super("FILE_FORMAT", message, options);
    this.path = path;
    this.isOurs = isOurs;
  }
}

/**
 * A file or shared memory object belongs to another user, or other users may write to it, so that they could truncate it:
 * that kills every process that touches the memory behind the new end. Thrown by constructors, before anything is read.
 * `trustOwner` names users to trust, `shared: true` accepts that all who may write can do this.
 * @example catch (error) { if (error instanceof UntrustedFileError) console.error(error.path, error.owner); }
 */
export class UntrustedFileError extends ShmError {
  /** The file, or the name of the object. */
  readonly path: string;
  /** The user id of its owner. */
  readonly owner: number;
  /** Its permission bits, e.g. 0o666. */
  readonly mode: number;

  /**
   * @param path see `path`
   * @param owner see `owner`
   * @param mode see `mode`
   */
  constructor(path: string, owner: number, mode: number, message: string) {
    super("UNTRUSTED_FILE", message);
    this.path = path;
    this.owner = owner;
    this.mode = mode;
  }
}

/**
 * The class has no shared header, as it does not extend `MmapStructure`: no role can work on it. Code
 * `"HEADER_NOT_FOUND"`.
 * @example new Reader(Point2D)   // throws it where Point2D extends Struct
 */
export class HeaderNotFoundError extends ShmError {
  /** @param message the whole text */
  constructor(message: string) {
    super("HEADER_NOT_FOUND", message);
  }
}

/**
 * The file holds another struct than the class describes; the message lists the differences field by field. Code
 * `"LAYOUT_MISMATCH"`.
 * @example if (error instanceof LayoutMismatchError) for (const line of error.differences) console.error(line);
 */
export class LayoutMismatchError extends ShmError {
  /** The file. */
  readonly path: string;
  /** Each with the field's path, types, offsets and sizes in bytes; the message tells the first 20. */
  readonly differences: readonly string[];

  /**
   * @param path the file
   * @param differences see `differences`
   */
  constructor(path: string, differences: readonly string[], message: string) {
    super("LAYOUT_MISMATCH", message);
    this.path = path;
    this.differences = differences.map(escapeText);
  }
}

/**
 * A migration, or the restore of a backup of an older struct, would lose values; the file stays as it was. Code
 * `"MIGRATION"`.
 * @example if (error instanceof MigrationError) for (const line of error.losses) console.error(line);
 */
export class MigrationError extends ShmError {
  /** The file. */
  readonly path: string;
  /** Each with the field's path, value and types; the message tells the first 20. */
  readonly losses: readonly string[];

  /**
   * @param path the file
   * @param losses see `losses`
   */
  constructor(path: string, losses: readonly string[], message: string) {
    super("MIGRATION", message);
    this.path = path;
    this.losses = losses;
  }
}

/**
 * A document does not fit into the file of its `JsonMap`; the one before stays as it was. Code `"TOO_LARGE"`.
 * @example if (error instanceof TooLargeError) console.error(error.bytesNeeded, "of", error.bytesAvailable);
 */
export class TooLargeError extends ShmError {
  /** The file. */
  readonly path: string;
  /** How long a document may be, in bytes of UTF-8. */
  readonly bytesAvailable: number;
  /** How long this one is, in bytes of UTF-8. */
  readonly bytesNeeded: number;

  /**
   * @param path the file
   * @param bytesAvailable see `bytesAvailable`
   * @param bytesNeeded see `bytesNeeded`
   */
  constructor(path: string, bytesAvailable: number, bytesNeeded: number, message: string) {
    super("TOO_LARGE", message);
    this.path = path;
    this.bytesAvailable = bytesAvailable;
    this.bytesNeeded = bytesNeeded;
  }
}

/**
 * A document of a `JsonMap` is not what its schema demands. Code `"INVALID_DOCUMENT"`.
 * @example if (error instanceof InvalidDocumentError) for (const issue of error.issues) console.error(issue);
 */
export class InvalidDocumentError extends ShmError {
  /** The file. */
  readonly path: string;
  /** What is wrong, each with the path of the value: `"$.port: Expected number"`. */
  readonly issues: readonly string[];

  /**
   * @param path the file
   * @param issues see `issues`
   */
  constructor(path: string, issues: readonly string[], message: string) {
    super("INVALID_DOCUMENT", message);
    this.path = path;
    this.issues = issues.map(escapeText);
  }
}

/**
 * What was waited for did not happen within `timeoutMs`. Code `"WAIT_TIMEOUT"`.
 * @example await map.waitForFirst({ timeoutMs: 1000 }).catch((error) => error instanceof WaitTimeoutError)
 */
export class WaitTimeoutError extends ShmError {
  /** The file. */
  readonly path: string;
  /** How long it was waited for, in milliseconds. */
  readonly timeoutMs: number;

  /**
   * @param path the file
   * @param timeoutMs milliseconds
   */
  constructor(path: string, timeoutMs: number, message: string) {
    super("WAIT_TIMEOUT", message);
    this.path = path;
    this.timeoutMs = timeoutMs;
  }
}

/**
 * The file was replaced, migrated or removed while a thread slept on an atomic in it: no process will wake it there. Take the
 * atomic from the role's `live` again. Code `"SUPERSEDED"`.
 * @example
 * for (;;) {
 *   try { editor.live.ready.wait(0); } catch (error) { if (!(error instanceof SupersededError)) throw error; }
 * }
 */
export class SupersededError extends ShmError {
  /** The file. */
  readonly path: string;

  /** @param path the file */
  constructor(path: string, message: string) {
    super("SUPERSEDED", message);
    this.path = path;
  }
}

/**
 * A job is no longer this worker's: its lease was over and another worker has it, or its file was recreated. What was done
 * for it may be done again. Code `"LEASE_LOST"`.
 * @example try { job.done(); } catch (error) { if (error instanceof LeaseLostError) undo(job); else throw error; }
 */
export class LeaseLostError extends ShmError {
  /** The queue's file. */
  readonly path: string;

  /** @param path the file */
  constructor(path: string, message: string) {
    super("LEASE_LOST", message);
    this.path = path;
  }
}

/**
 * So many processes use a segment at once that there is no number left for another owner. Code `"TOO_MANY_OWNERS"`.
 * @example try { queue.push(job); } catch (error) { if (error instanceof TooManyOwnersError) … }
 */
export class TooManyOwnersError extends ShmError {
  /** The file with the owners' locks. */
  readonly path: string;

  /** @param path the file */
  constructor(path: string, message: string) {
    super("TOO_MANY_OWNERS", message);
    this.path = path;
  }
}

/**
 * Another process publishes this key now: nothing more of this one's reaches the bucket. The file keeps what was committed
 * since. Code `"FENCED"`.
 * @example publisher.ended.catch((error) => { if (error instanceof FencedError) alert(error.message); });
 */
export class FencedError extends ShmError {
  /** The local file. */
  readonly path: string;
  /** The last version of it that reached the bucket; undefined when none did. */
  readonly confirmedVersion: number | undefined;

  /** @param path the local file */
  constructor(path: string, confirmedVersion: number | undefined, message: string) {
    super("FENCED", message);
    this.path = path;
    this.confirmedVersion = confirmedVersion;
  }
}

/**
 * A value from another machine cannot become a local file: it is damaged, of another machine's layout, or of a kind that is
 * not mirrored. Code `"MIRROR"`.
 * @example mirror.ended.catch((error) => { if (error instanceof MirrorError) … });
 */
export class MirrorError extends ShmError {
  /** @param message the whole text */
  constructor(message: string) {
    super("MIRROR", message);
  }
}
