/** One mapping of the process: the address, the buffer over it and, usually, the descriptor behind it. */
import { ClosedError, FileFormatError, ShmError } from "../errors/errors.ts";
import { pageSize } from "./file.ts";
import { check, type Hints, lastErrno, systemError } from "./libc/call.ts";
import {
  E,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_SHARED,
  MS_SYNC,
  PROT_READ,
  PROT_WRITE,
} from "./libc/constants.ts";
import { callOwned } from "./libc/ffi.ts";
import { libc } from "./libc/symbols.ts";
import { type Claim, claims } from "./other-mappings.ts";
import { OwnedFd } from "./owned-fd.ts";
import { statusOf } from "./status.ts";
import { reserveStorage } from "./storage.ts";

/**
 * What stores to a mapping do: are impossible, reach the file and its other users, or stay private. As ACCESS_READ,
 * ACCESS_WRITE and ACCESS_COPY of Python's `mmap`.
 * @example const access: Access = "copy";
 */
export type Access = "read" | "write" | "copy";

export interface MapOptions {
  /** Bytes to map, 1 to 4 GiB. */
  byteLength: number;
  /** Where in the file the mapping starts, a multiple of `pageSize()`. Default 0. */
  byteOffset?: number | undefined;
  /** Default `"write"`. */
  access?: Access | undefined;
  /** Only for messages. */
  path?: string | undefined;
  /** Whether `close()`, and a failure to map, closes the descriptor too. Default true. */
  ownsFd?: boolean | undefined;
  /** Gives storage to the holes of the file first: see `reserveStorage`. Default false. */
  reserve?: boolean | undefined;
  /** Instead of the MAP_* flags that `access` implies. */
  flags?: number | undefined;
  /** Instead of the PROT_* bits that `access` implies. */
  prot?: number | undefined;
}

/** One `ArrayBuffer` cannot be longer. */
export const MAX_MAPPING_BYTES = 2 ** 32;

/** The PROT_* bits and the MAP_* flags of an access. */
export const protOf = (access: Access): number => (access === "read" ? PROT_READ : PROT_READ | PROT_WRITE);
export const flagsOf = (access: Access): number => (access === "copy" ? MAP_PRIVATE : MAP_SHARED);

const MMAP_HINTS: Hints = {
  [E.EACCES]: 'the file must be open for reading, and with access "write" for writing too',
  [E.ENODEV]: "this kind of file cannot be mapped",
};

/** What the kernel will let happen, whatever the words were. */
export function accessOf(prot: number, flags: number): Access {
  if ((prot & PROT_WRITE) === 0) return "read";
  return (flags & (MAP_SHARED | MAP_PRIVATE)) === MAP_PRIVATE ? "copy" : "write";
}

/**
 * Mapped memory as an `ArrayBuffer`, for as long as it is open. Owns the address and, unless told otherwise, the
 * descriptor. After `close()` every view on it has length 0 or throws `TypeError`; none crashes. Both are also given back
 * when no object refers to them any more, and when the worker ends.
 *
 * Beware of `access: "read"`: a store to `bytes` kills the process with SIGSEGV, and so does `Atomics.load` once
 * it is compiled. Hand out read-only wrappers, never these.
 * @example
 * using mapping = Mapping.map(openFile("data.bin", O_RDWR), { byteLength: 4096, path: "data.bin" });
 * mapping.bytes[0] = 1;
 */
export class Mapping {
  /** The mapped memory itself. */
  readonly buffer: ArrayBuffer;
  /** All of it as bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly byteLength: number;
  /** Where the memory starts, for system calls that want an address. Invalid after `close()`. */
  readonly address: number;
  readonly access: Access;
  readonly path: string | undefined;
  /** What it has of its file; none of anonymous memory. */
  readonly claim: Claim | undefined;
  readonly #file: OwnedFd | undefined;
  readonly #fd: number;
  #closed = false;

  private constructor(
    address: number,
    buffer: ArrayBuffer,
    {
      fd,
      access,
      path,
      file,
    }: { fd: number; access: Access; path: string | undefined; file?: OwnedFd | undefined },
    claim: Claim | undefined,
  ) {
    const { byteLength } = buffer;
    this.buffer = buffer;
    // Structs ask: a loop that looks at this memory must see what other processes store.
    Object.defineProperty(this.buffer, Symbol.for("shmstruct.mappedMemory"), { value: true });
    this.bytes = new Uint8Array(this.buffer);
    this.address = address;
    this.byteLength = byteLength;
    this.access = access;
    this.path = path;
    this.claim = claim;
    this.#file = file;
    this.#fd = fd;
    if (claim !== undefined) claims.add(claim);
  }

  /** The descriptor behind the memory, -1 for anonymous memory and, if it is our own, after `close()`. */
  get fd(): number {
    return this.#file?.fd ?? this.#fd;
  }

  /**
   * Maps a part of an open file (mmap(2)). If it fails nothing leaks: an owned descriptor is closed.
   * @throws RangeError for a length that is no whole number of 1 to 4 GiB bytes, an offset that is no multiple of
   *   `pageSize()`, or a `prot` that is not readable
   * @throws FileFormatError when the file is shorter than the mapping would be: touching its end would kill the process
   * @throws SystemError EACCES when the descriptor was not opened for that access, ENOMEM, ENODEV …
   */
  static map(fd: number, options: MapOptions): Mapping {
    const file = (options.ownsFd ?? true) ? new OwnedFd(fd) : undefined;
    try {
      checkRange(options.byteLength, options.byteOffset ?? 0, options.path);
      if (options.reserve === true) reserveStorage(fd, options.access ?? "write", options.path ?? `fd ${fd}`);
      return Mapping.#mmap(file?.fd ?? fd, options, file, checkedClaim(file?.fd ?? fd, options));
    } catch (error) {
      file?.close();
      throw error;
    }
  }

  /**
   * Zeroed memory with no file behind it, this process's own.
   * @throws RangeError for a length that is no whole number of 1 to 4 GiB bytes
   * @throws SystemError ENOMEM
   */
  static anonymous(byteLength: number, options: Omit<MapOptions, "byteLength" | "byteOffset"> = {}): Mapping {
    checkRange(byteLength, 0);
    const flags = (options.flags ?? flagsOf(options.access ?? "write")) | MAP_ANONYMOUS;
    return Mapping.#mmap(-1, { ...options, byteLength, flags });
  }

  static #mmap(fd: number, options: MapOptions, file?: OwnedFd, claim?: Claim): Mapping {
    const { byteLength, byteOffset = 0, access = "write", path } = options;
    const { prot = protOf(access), flags = flagsOf(access) } = options;
    if ((prot & PROT_READ) === 0)
      throw new RangeError(`prot ${prot} lacks PROT_READ: a read would kill the process`);
    // SAFETY: the memory is unmapped by the buffer's deallocator, so only when no JavaScript object reaches it.
    const mapped = callOwned({
      make: libc().mmap,
      args: [null, byteLength, prot, flags, fd, byteOffset],
      free: libc().munmap,
      byteLength,
      context: byteLength,
    });
    if (mapped?.buffer === undefined) {
      const errno = lastErrno();
      throw systemError("mmap", errno, path, MMAP_HINTS[errno]);
    }
    const how = { fd, access: accessOf(prot, flags), path, file };
    return new Mapping(mapped.result, mapped.buffer, how, claim);
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Waits until the changed bytes of the range are on the disk (msync(2) with MS_SYNC). Sharing needs no flush:
   * other processes see every store at once.
   * @param byteOffset start, rounded down to a page
   * @param byteLength how many; the rest by default
   * @throws RangeError for a range outside the mapping, ClosedError after `close()`, SystemError EIO …
   */
  flush(byteOffset = 0, byteLength = this.byteLength - byteOffset): void {
    const [start, length] = this.#pages(byteOffset, byteLength);
    // SAFETY: whole pages of the mapping, which is open: #pages checked both.
    check("msync", libc().msync(start, length, MS_SYNC), this.path);
  }

  /**
   * Tells the kernel how the range will be used (madvise(2)).
   * @param advice one of the MADV_* numbers
   * @throws RangeError for a range outside the mapping, ClosedError after `close()`, SystemError EINVAL …
   */
  advise(advice: number, byteOffset = 0, byteLength = this.byteLength - byteOffset): void {
    const [start, length] = this.#pages(byteOffset, byteLength);
    // SAFETY: the same. The pages stay mapped whatever the advice.
    check("madvise", libc().madvise(start, length, advice), this.path, {
      [E.EINVAL]: `advice ${advice}`,
    });
  }

  /** The checked range as whole pages: address of the first, bytes up to the range's end. */
  #pages(byteOffset: number, byteLength: number): [address: number, byteLength: number] {
    if (this.#closed) throw new ClosedError(`the mapping${named(this.path)} is closed`);
    const end = byteOffset + byteLength;
    if (
      !Number.isInteger(byteOffset) ||
      !Number.isInteger(byteLength) ||
      byteOffset < 0 ||
      byteLength < 0 ||
      end > this.byteLength
    ) {
      throw new RangeError(
        `range ${byteOffset} + ${byteLength} is not within the mapping's ${this.byteLength} bytes`,
      );
    }
    const first = byteOffset - (byteOffset % pageSize());
    return [this.address + first, end - first];
  }

  /**
   * Detaches every view, unmaps the memory, closes an owned descriptor. A second call does nothing.
   * @throws ShmError `"BUSY"` while an asynchronous operation of Bun (`fs.write`, for one) still uses the memory:
   *   nothing is closed then; await the operation and close again
   */
  close(): void {
    if (this.#closed) return;
    // A buffer that was transferred away elsewhere lives on there, and with it the memory, until it is collected.
    const mine = !this.buffer.detached;
    if (mine) this.#detach();
    this.#closed = true;
    if (mine && this.claim !== undefined) claims.delete(this.claim);
    this.#file?.close();
  }

  #detach(): void {
    this.buffer.transfer(0);
    // A buffer that is pinned by work on another thread is copied instead of being detached.
    if (this.buffer.detached) return;
    throw new ShmError(
      "BUSY",
      `the mapping${named(this.path)} is still used by an asynchronous operation; await that before close()`,
    );
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const named = (path: string | undefined): string => (path === undefined ? "" : ` of '${path}'`);

/** Guards what mmap would take wrongly or with a bare EINVAL. */
function checkRange(byteLength: number, byteOffset: number, path?: string): void {
  if (!Number.isInteger(byteLength) || byteLength < 1 || byteLength > MAX_MAPPING_BYTES) {
    throw new RangeError(
      `the length of a mapping${named(path)} must be a whole number of bytes from 1 to ${MAX_MAPPING_BYTES} (4 GiB), not ${byteLength}`,
    );
  }
  if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || byteOffset % pageSize() !== 0) {
    throw new RangeError(`byteOffset must be a multiple of the page size ${pageSize()}, not ${byteOffset}`);
  }
}

/** Memory past the end of a file can be mapped but not touched: SIGBUS ends the process, and no handler helps. */
function checkedClaim(fd: number, { byteLength, byteOffset = 0, path = `fd ${fd}` }: MapOptions): Claim {
  const status = statusOf(fd);
  const needed = byteOffset + byteLength;
  if (!status.isFile || status.byteLength >= needed) return { file: status.id, end: needed };
  throw new FileFormatError(
    path,
    `'${path}' is ${status.byteLength} bytes long, too short to map ${byteLength} bytes from offset ${byteOffset} (${needed} needed)`,
  );
}
