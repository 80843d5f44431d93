/**
 * Who owns parts of a segment, as the kernel knows it: owner k lives as long as its open file description has a write lock on
 * byte k of the file `<name>.owners`. The lock dies with its process, `kill -9` included, so no clock decides who is dead.
 *
 *     byte k           lock of owner k, 1 to 1022 (no byte need be there)
 *     bytes 4k..4k+4   process id of owner k, u32, for people
 */
import { TooManyOwnersError } from "../errors/errors.ts";
import { openLockFile } from "../sync/open.ts";
import { fs } from "../sys/builtin.ts";
import { allocate } from "../sys/file.ts";
import { lastErrno, systemError } from "../sys/libc/call.ts";
import { E, F_OFD_SETLK, F_UNLCK, F_WRLCK, SEEK_SET } from "../sys/libc/constants.ts";
import { libc } from "../sys/libc/symbols.ts";
import { OwnedFd } from "../sys/owned-fd.ts";
import { exists, throughFs } from "../sys/paths.ts";
import { isUnlinkedOrReplaced } from "../sys/status.ts";
import type { Trust } from "../sys/trust.ts";
import { readSideFile } from "./side-file.ts";

/** So many owners there may be at once. */
export const MAX_OWNERS = 1022;

const PIDS_BYTES = 4 * (MAX_OWNERS + 1);

/** PID_MAX_LIMIT of Linux. */
const MAX_PID = 2 ** 22;

/**
 * The process ids in an owners' file; undefined for a file of another program.
 * @throws SystemError ENOENT, EACCES …; UntrustedFileError
 */
export function readPids(path: string, trust?: Trust): Uint32Array | undefined {
  const bytes = readSideFile(path, PIDS_BYTES, trust);
  if (bytes === undefined || bytes.length % 4 !== 0) return undefined;
  const pids = new Uint32Array(bytes.slice().buffer);
  return pids.every((pid) => pid <= MAX_PID) ? pids : undefined;
}

/**
 * struct flock of Linux on 64-bit machines, for one byte.
 *
 *     0         2         4         8               16              24        28      32
 *     | l_type  | l_whence| padding | l_start (i64) | l_len (i64)   | l_pid   | pad   |
 */
const request = new Int16Array(16);
const requestWords = new Int32Array(request.buffer);

export class Owners implements Disposable {
  readonly path: string;
  readonly #file: OwnedFd;
  readonly #id: string;

  /**
   * Opens the file, and makes it where it is missing.
   * @param mode permissions of a file that is made, not reduced by the umask
   * @param trust whose file it may be
   * @throws UntrustedFileError; FileFormatError for what is no regular file; SystemError EACCES …
   */
  constructor(path: string, mode: number, trust: Trust = {}) {
    this.path = path;
    const isNew = !exists(path);
    const { fd, status } = openLockFile(path, { create: true, mode, trust, isMapped: false });
    this.#file = new OwnedFd(fd);
    this.#id = status.id;
    if (isNew) this.#prepare(mode);
  }

  /** Storage for all process ids: a full disk must not keep a process from becoming an owner. */
  #prepare(mode: number): void {
    const { fd } = this.#file;
    try {
      throughFs(() => fs().fchmodSync(fd, mode), this.path);
      allocate(fd, PIDS_BYTES, this.path);
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /** Whether the file was deleted or replaced: then its locks prove nothing to those who come later. */
  get isUnlinkedOrReplaced(): boolean {
    return isUnlinkedOrReplaced(this.#file.fd, this.path, this.#id);
  }

  /**
   * Becomes an owner: the first of `isPreferred` that is free, else any that is free.
   * @param pid for those who ask who it is
   * @throws TooManyOwnersError; SystemError ENOLCK …
   */
  claim(pid: number, isPreferred: (owner: number) => boolean): number {
    const owner = this.#claimOne(isPreferred) ?? this.#claimOne(() => true);
    if (owner === undefined) {
      throw new TooManyOwnersError(
        this.path,
        `'${this.path}': all ${MAX_OWNERS} owners are alive; close those that are not needed`,
      );
    }
    throughFs(() => fs().writeSync(this.#file.fd, Uint32Array.of(pid), 0, 4, 4 * owner), this.path);
    return owner;
  }

  #claimOne(isPreferred: (owner: number) => boolean): number | undefined {
    for (let owner = 1; owner <= MAX_OWNERS; owner++) {
      if (isPreferred(owner) && this.tryLock(owner)) return owner;
    }
    return undefined;
  }

  /**
   * Takes the lock of an owner, if it is dead. Never ask for one's own: the kernel would grant it.
   * @throws SystemError ENOLCK …
   */
  tryLock(owner: number): boolean {
    for (;;) {
      if (this.#set(F_WRLCK, owner)) return true;
      const errno = lastErrno();
      if (errno === E.EAGAIN || errno === E.EACCES) return false;
      if (errno !== E.EINTR) throw systemError("fcntl", errno, this.path);
    }
  }

  /** Gives the lock of an owner back. */
  unlock(owner: number): void {
    this.#set(F_UNLCK, owner);
  }

  #set(type: number, owner: number): boolean {
    request[0] = type;
    request[1] = SEEK_SET;
    requestWords[2] = owner;
    requestWords[4] = 1;
    // SAFETY: the kernel reads 32 bytes of `request`, which is passed as an array and so kept alive.
    return libc().fcntl(this.#file.fd, F_OFD_SETLK, request) >= 0;
  }

  /** The process ids that owners have left, by owner; 0 where there was none. */
  pids(): Uint32Array {
    const pids = new Uint32Array(MAX_OWNERS + 1);
    throughFs(() => fs().readSync(this.#file.fd, pids, 0, pids.byteLength, 0), this.path);
    return pids;
  }

  /** Gives all locks back. */
  close(): void {
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
