/**
 * Every error of the library that a caller may want to catch by class. Wrong *values* (a string into a
 * `c_int32`, 300 into a `c_uint8`) are plain `TypeError` and `RangeError`, as JavaScript users expect.
 */

/** Base of all errors below. `code` is stable and meant for tests: `error.code === "LOCK_TIMEOUT"`. */
export class ShmError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A struct class is declared wrongly: thrown while the class is being defined or first laid out. */
export class StructDefinitionError extends ShmError {
  constructor(message: string, options?: ErrorOptions) {
    super("STRUCT_DEFINITION", message, options);
  }
}

/** The operating system refused a call. `code` is the errno name (`"ENOSPC"`), as in Node's own errors. */
export class SystemError extends ShmError {
  /** The libc function that failed, e.g. `"mmap"`. */
  readonly syscall: string;
  /** The positive errno number. */
  readonly errno: number;
  /** The file or object concerned, when there is one. */
  readonly path: string | undefined;

  /** @param errnoName the name of `errno`, e.g. `"EACCES"` */
  constructor(syscall: string, errno: number, errnoName: string, path?: string, hint?: string) {
    const where = path === undefined ? "" : ` '${path}'`;
    super(errnoName, `${syscall}${where} failed: ${errnoName} (errno ${errno})${hint ? `; ${hint}` : ""}`);
    this.syscall = syscall;
    this.errno = errno;
    this.path = path;
  }
}

/** This platform, or this feature on this platform, is not supported. */
export class UnsupportedError extends ShmError {
  constructor(message: string) {
    super("UNSUPPORTED", message);
  }
}

/** A lock was not to be had within `timeoutMs`. */
export class LockTimeoutError extends ShmError {
  readonly path: string;
  readonly timeoutMs: number;

  constructor(path: string, timeoutMs: number, message: string) {
    super("LOCK_TIMEOUT", message);
    this.path = path;
    this.timeoutMs = timeoutMs;
  }
}

/** Waiting would never end: this thread already holds a lock that conflicts with the one it asks for. */
export class DeadlockError extends ShmError {
  readonly path: string;

  constructor(path: string, message: string) {
    super("DEADLOCK", message);
    this.path = path;
  }
}

/** A role, map, lock or queue was used after `close()`. */
export class ClosedError extends ShmError {
  constructor(message: string) {
    super("CLOSED", message);
  }
}

/** There is no such shared file yet, and only a Manager creates one. */
export class FileMissingError extends ShmError {
  readonly path: string;

  constructor(path: string, message: string) {
    super("FILE_MISSING", message);
    this.path = path;
  }
}

/** The file is not one of ours, is damaged, or was cut short. */
export class FileFormatError extends ShmError {
  readonly path: string;
  /** It was made by this library, so that a Manager told to `force` may replace it. */
  readonly isOurs: boolean;

  constructor(path: string, message: string, isOurs = false) {
    super("FILE_FORMAT", message);
    this.path = path;
    this.isOurs = isOurs;
  }
}

/** The class has no shared header: it does not extend `MmapStructure`. */
export class HeaderNotFoundError extends ShmError {
  constructor(message: string) {
    super("HEADER_NOT_FOUND", message);
  }
}

/** The file holds another struct than the class describes; the message lists the differences field by field. */
export class LayoutMismatchError extends ShmError {
  readonly path: string;
  readonly differences: readonly string[];

  constructor(path: string, differences: readonly string[], message: string) {
    super("LAYOUT_MISMATCH", message);
    this.path = path;
    this.differences = differences;
  }
}

/** A document does not fit into its file; the one before stays as it was. */
export class TooLargeError extends ShmError {
  readonly path: string;
  /** How long a document may be, in bytes of UTF-8. */
  readonly bytesAvailable: number;
  /** How long this one is. */
  readonly bytesNeeded: number;

  constructor(path: string, bytesAvailable: number, bytesNeeded: number, message: string) {
    super("TOO_LARGE", message);
    this.path = path;
    this.bytesAvailable = bytesAvailable;
    this.bytesNeeded = bytesNeeded;
  }
}

/** A document is not what its schema demands. */
export class InvalidDocumentError extends ShmError {
  readonly path: string;
  /** What is wrong, each with the path of the value: `"$.port: Expected number"`. */
  readonly issues: readonly string[];

  constructor(path: string, issues: readonly string[], message: string) {
    super("INVALID_DOCUMENT", message);
    this.path = path;
    this.issues = issues;
  }
}

/** What was waited for did not happen within `timeoutMs`. */
export class WaitTimeoutError extends ShmError {
  readonly path: string;
  readonly timeoutMs: number;

  constructor(path: string, timeoutMs: number, message: string) {
    super("WAIT_TIMEOUT", message);
    this.path = path;
    this.timeoutMs = timeoutMs;
  }
}
