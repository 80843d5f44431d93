/**
 * The kernel's lock on one open file, of two kinds behind the same signatures. Both belong to the open file
 * description: a second `open` in the same process, or in another thread, is another holder, and the kernel gives
 * the lock back when the last descriptor is closed, `kill -9` included.
 */
import { UnsupportedError } from "../errors/errors.ts";
import { type Hints, lastErrno, systemError } from "../sys/libc/call.ts";
import {
  E,
  F_OFD_SETLK,
  F_OFD_SETLKW,
  F_RDLCK,
  F_UNLCK,
  F_WRLCK,
  isLinux,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  LOCK_UN,
  SEEK_SET,
} from "../sys/libc/constants.ts";
import { libc } from "../sys/libc/symbols.ts";

/**
 * `"flock"`: flock(2), the faster one, seen by flock(1) and by fs-ext's `flock`.
 * `"fcntl"`: open file description locks of fcntl(2) on the whole file, seen by `fcntl.lockf` of Python, thus by
 * fasteners and IPMMAP. The two do not see each other.
 * @example new Manager(Robot, { create: true, lock: "fcntl" })
 */
export type LockKind = "flock" | "fcntl";

/** Many may hold a shared lock at once; an exclusive one excludes all others. */
export type LockMode = "shared" | "exclusive";

/** One system call per method, no allocation. */
export interface FileLock {
  /**
   * Takes the lock, or changes its mode, if that is possible at once.
   * @throws SystemError EBADF (exclusive "fcntl" locks need a descriptor open for writing), ENOLCK …
   */
  tryLock(mode: LockMode): boolean;
  /** The same, but sleeps in the kernel until it is possible. Signal handlers of JavaScript run only afterwards. */
  lock(mode: LockMode): void;
  /** Gives the lock back; without one it does nothing. */
  unlock(): void;
}

/**
 * The lock of `kind` on an open file.
 * @param path only for messages
 * @throws UnsupportedError for anything but Linux
 * @example
 * const lock = fileLock("flock", fd, path);
 * if (lock.tryLock("exclusive")) lock.unlock();
 */
export function fileLock(kind: LockKind, fd: number, path: string): FileLock {
  if (!isLinux) throw new UnsupportedError(`locks need Linux, this is ${process.platform}`);
  return kind === "flock" ? new Flock(fd, path) : new RecordLock(fd, path);
}

class Flock implements FileLock {
  readonly #fd: number;
  readonly #path: string;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  tryLock(mode: LockMode): boolean {
    const operation = mode === "exclusive" ? LOCK_EX | LOCK_NB : LOCK_SH | LOCK_NB;
    while (libc().flock(this.#fd, operation) < 0) {
      if (busy("flock", this.#path)) return false;
    }
    return true;
  }

  lock(mode: LockMode): void {
    const operation = mode === "exclusive" ? LOCK_EX : LOCK_SH;
    while (libc().flock(this.#fd, operation) < 0) busy("flock", this.#path);
  }

  unlock(): void {
    while (libc().flock(this.#fd, LOCK_UN) < 0) interrupted("flock", this.#path);
  }
}

class RecordLock implements FileLock {
  readonly #fd: number;
  readonly #path: string;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  tryLock(mode: LockMode): boolean {
    const request = mode === "exclusive" ? WRITE_LOCK : READ_LOCK;
    while (libc().fcntl(this.#fd, F_OFD_SETLK, request) < 0) {
      if (busy("fcntl", this.#path, RECORD_LOCK_HINTS[mode])) return false;
    }
    return true;
  }

  lock(mode: LockMode): void {
    const request = mode === "exclusive" ? WRITE_LOCK : READ_LOCK;
    while (libc().fcntl(this.#fd, F_OFD_SETLKW, request) < 0)
      busy("fcntl", this.#path, RECORD_LOCK_HINTS[mode]);
  }

  unlock(): void {
    while (libc().fcntl(this.#fd, F_OFD_SETLK, NO_LOCK) < 0) interrupted("fcntl", this.#path);
  }
}

/** Record locks ask for what the file was opened for; flock does not. */
const RECORD_LOCK_HINTS: Readonly<Record<LockMode, Hints>> = {
  exclusive: { [E.EBADF]: "an exclusive lock needs write permission on the file" },
  shared: {},
};

/** After a call that failed: it is to be repeated when a signal came. @throws SystemError otherwise */
function interrupted(syscall: string, path: string): void {
  const errno = lastErrno();
  if (errno !== E.EINTR) throw systemError(syscall, errno, path);
}

/** After a failed call: true when another holds the lock, false when a signal came and it is to be repeated. */
function busy(syscall: string, path: string, hints: Hints = {}): boolean {
  const errno = lastErrno();
  if (errno === E.EINTR) return false;
  if (errno === E.EAGAIN || errno === E.EACCES) return true;
  throw systemError(syscall, errno, path, hints[errno]);
}

/**
 * struct flock of Linux on 64-bit machines. Start 0 and length 0 mean the whole file, also what is appended.
 *
 *     0         2         4         8               16              24        28      32
 *     | l_type  | l_whence| padding | l_start (i64) | l_len (i64)   | l_pid   | pad   |
 *     | i16     | i16     |         | 0             | 0             | i32, 0  |       |
 */
function structFlock(type: number): Int16Array {
  const words = new Int16Array(16);
  words[0] = type;
  words[1] = SEEK_SET;
  return words;
}

// The kernel only reads these, so all locks of the thread share them. They are passed as arrays, not as addresses:
// an address does not keep the garbage collector away.
const READ_LOCK = structFlock(F_RDLCK);
const WRITE_LOCK = structFlock(F_WRLCK);
const NO_LOCK = structFlock(F_UNLCK);
