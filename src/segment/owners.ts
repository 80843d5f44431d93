/**
 * Who owns parts of a segment, as the kernel knows it: owner k lives as long as its open file description has a write lock on
 * byte k of the file `<name>.owners`. The lock dies with its process, `kill -9` included, so no clock decides who is dead.
 *
 *     byte k           lock of owner k, 1 to 1022 (no byte need be there)
 *     bytes 4k..4k+4   process id of owner k, u32, for people
 */
import { FileFormatError, TooManyOwnersError } from "../errors/errors.ts";
import { openLockFile } from "../sync/open.ts";
import { fs } from "../sys/builtin.ts";
import { allocate } from "../sys/file.ts";
import { lastErrno, systemError } from "../sys/libc/call.ts";
import { E, F_OFD_SETLK, F_UNLCK, F_WRLCK, SEEK_SET } from "../sys/libc/constants.ts";
import { libc } from "../sys/libc/symbols.ts";
import { BEING_MADE } from "../sys/new-file.ts";
import { OwnedFd } from "../sys/owned-fd.ts";
import { throughFs } from "../sys/paths.ts";
import { unless } from "../sys/shared-memory-file.ts";
import { type FileStatus, isUnlinkedOrReplaced } from "../sys/status.ts";
import type { Trust } from "../sys/trust.ts";
import { contentOf, readSideFile } from "./side-file.ts";

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
  return pidsIn(readSideFile(path, PIDS_BYTES, trust));
}

/** A file of full length without an owner 0, who is never there, is one also where a peer has stored nonsense. */
function pidsIn(bytes: Uint8Array | undefined): Uint32Array | undefined {
  if (bytes === undefined || bytes.length % 4 !== 0) return undefined;
  const pids = new Uint32Array(bytes.slice().buffer);
  const isWhole = bytes.length === PIDS_BYTES && pids[0] === 0;
  return isWhole || pids.every((pid) => pid <= MAX_PID) ? pids : undefined;
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
   * Opens the file, and makes it where it is missing. Until it has its length it is known by `BEING_MADE`.
   * @param mode permissions of a file that is made, not reduced by the umask
   * @param trust whose file it may be
   * @throws UntrustedFileError; FileFormatError for what is no owners' file: it stays as it is; SystemError EACCES …
   */
  constructor(path: string, mode: number, trust: Trust = {}) {
    this.path = path;
    const { fd, status } = openLockFile(path, {
      create: true,
      mode,
      trust,
      isMapped: false,
      firstMode: BEING_MADE | mode,
    });
    this.#file = new OwnedFd(fd);
    this.#id = status.id;
    try {
      this.#recognise(status);
      if (status.byteLength === 0) this.#prepare(mode);
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  #recognise(status: FileStatus): void {
    const { path } = this;
    if (pidsIn(contentOf(this.#file.fd, status, PIDS_BYTES, path)) !== undefined) return;
    throw new FileFormatError(
      path,
      `'${path}' is no owners' file of a shared file, so it may be another program's and is left alone: move it away, or delete it if no program needs it`,
    );
  }

  /** Storage for all process ids: a full disk must not keep a process from becoming an owner. */
  #prepare(mode: number): void {
    const { fd } = this.#file;
    allocate(fd, PIDS_BYTES, this.path);
    // Another user may just be making it, and does this, too.
    unless("EPERM", () => throughFs(() => fs().fchmodSync(fd, mode), this.path));
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
