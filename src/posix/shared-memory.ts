/** POSIX shared memory objects: memory with a name, opened as a descriptor and mapped. */
import { checkOptions } from "../errors/check-options.ts";
import { ClosedError } from "../errors/errors.ts";
import { MemoryMap, shownAs } from "../mmap/memory-map.ts";
import { type Struct, type StructClass, sizeof, viewOf } from "../struct/index.ts";
import { allocate, closeFile, truncate } from "../sys/file.ts";
import { type Hints, systemError } from "../sys/libc/call.ts";
import { E, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC } from "../sys/libc/constants.ts";
import { type Access, MAX_MAPPING_BYTES } from "../sys/mapping.ts";
import { OwnedFd } from "../sys/owned-fd.ts";
import {
  openOrMakeSharedMemory,
  openSharedMemory,
  sharedMemoryFile,
  unlinkSharedMemoryFile,
} from "../sys/shared-memory-file.ts";
import { statusOf } from "../sys/status.ts";
import { checkTrust, TRUST_OPTIONS, type Trust, trustedOwners } from "../sys/trust.ts";
import { asPosixErrors, sharedNameHints } from "./errors.ts";
import { checkFlags, checkInteger, OBJECT_OPTIONS, type ObjectOptions, openObject } from "./names.ts";

/**
 * What `new SharedMemory` takes, as `posix_ipc.SharedMemory` does.
 * @example const options: SharedMemoryOptions = { name: "/robot", flags: O_CREAT, size: PAGE_SIZE };
 */
export interface SharedMemoryOptions extends ObjectOptions, Trust {
  /**
   * In bytes. A new object, and an existing one that is shorter, is made so long; 0 (the default) takes an existing one as
   * it is. One that is longer is not cut: others may have it mapped, and are killed where they touch what is gone.
   */
  size?: number | undefined;
  /** Cuts an existing object that is longer than `size`, as ftruncate does, default false. */
  shrink?: boolean | undefined;
  /** Opens without the right to write, default false. Cannot go with `size` or `O_TRUNC`, which write. */
  readOnly?: boolean | undefined;
}

/**
 * How `SharedMemory.map` maps.
 * @example const options: SharedMapOptions = { byteOffset: PAGE_SIZE, access: "read" };
 */
export interface SharedMapOptions {
  /** Bytes to map, up to 4 GiB; 0 (default) means all from `byteOffset` on. */
  byteLength?: number | undefined;
  /** Where in the object the map starts, in bytes: a multiple of PAGE_SIZE. Default 0. */
  byteOffset?: number | undefined;
  /** What stores do; `"read"` for a handle that is `readOnly`, else `"write"`. */
  access?: Access | undefined;
}

const OPTIONS = {
  ...OBJECT_OPTIONS,
  ...TRUST_OPTIONS,
  size: "number",
  shrink: "boolean",
  readOnly: "boolean",
} as const;
const MAP_OPTIONS = { byteLength: "number", byteOffset: "number", access: "string" } as const;

/**
 * A handle to a shared memory object (shm_open(3), shm_overview(7); `posix_ipc.SharedMemory`, Python's
 * `multiprocessing.shared_memory`). The memory lives until its name is unlinked and no process has it open or mapped.
 *
 * Handles do not close themselves when they are garbage collected: use `using`, or call `close()`; afterwards what maps
 * or asks throws `ClosedError`.
 * @example
 * using memory = new SharedMemory({ name: "/robot", flags: O_CREAT, size: PAGE_SIZE });
 * memory.viewOf(Robot).speed = 3;
 */
export class SharedMemory {
  readonly #name: string;
  readonly #readOnly: boolean;
  readonly #viewMaps: MemoryMap[] = [];
  readonly #file: OwnedFd;

  /**
   * Opens or creates an object. Storage stands behind every byte from the start: when nothing is left it fails
   * here, where a plain ftruncate would succeed and a later store kill the process.
   * @throws TypeError, RangeError for wrong options (names are at most 255 bytes after the slash), and RangeError for an
   *   existing object that is longer than `size`, unless `shrink` or `O_TRUNC` says that it may be cut
   * @throws ExistentialError when it does not exist, or does although `O_EXCL` was given; PermissionsError
   * @throws UntrustedFileError when another user could truncate it, unless `trustOwner` or `shared` accepts that
   * @throws PosixError ENOSPC for a size beyond the storage; nothing is left behind then
   * @example using memory = new SharedMemory({ name: "/robot", flags: O_CREAT, size: PAGE_SIZE });
   */
  constructor(options: SharedMemoryOptions) {
    checkOptions("new SharedMemory", options, OPTIONS, true);
    checkFlags(options, O_CREAT | O_EXCL | O_TRUNC);
    const { size = 0, readOnly = false, flags = 0 } = options;
    trustedOwners(options);
    checkInteger("size", size, 0, Number.MAX_SAFE_INTEGER);
    if (readOnly && (size > 0 || (flags & O_TRUNC) !== 0)) {
      throw new TypeError("readOnly cannot go with a size or O_TRUNC: both change the object");
    }
    const access = readOnly ? O_RDONLY : O_RDWR;
    const { name, opened } = openObject(options, (name, flags) =>
      asPosixErrors(name, () => openSized(name, flags | access, options), sharedNameHints(flags)),
    );
    this.#name = name;
    this.#readOnly = readOnly;
    this.#file = new OwnedFd(opened);
  }

  /** The name, the random one if none was given. Never throws. */
  get name(): string {
    return this.#name;
  }

  /** Whether it was opened without the right to write. Never throws. */
  get readOnly(): boolean {
    return this.#readOnly;
  }

  /** The descriptor, for anything that takes one; -1 after `closeFd()`: never throws. Child processes do not inherit it. */
  get fd(): number {
    return this.#file.fd;
  }

  /** Bytes in the object now. @throws ClosedError after `closeFd()` */
  get size(): number {
    return statusOf(this.#open()).byteLength;
  }

  /** Permission bits of the object, e.g. 0o600. @throws ClosedError after `closeFd()` */
  get mode(): number {
    return statusOf(this.#open()).mode & 0o777;
  }

  /**
   * Maps the object (mmap(2)). The map is yours: close it; it needs neither this handle nor the name.
   * @throws RangeError for an object of size 0, a range beyond its end, or a `byteOffset` that is no multiple of
   *   PAGE_SIZE; TypeError for wrong options
   * @throws PermissionsError for access `"write"` to a `readOnly` handle; ClosedError after `closeFd()`; PosixError ENOMEM
   * @example using map = memory.map(); map.bytes[0] = 1;
   */
  map(options: SharedMapOptions = {}): MemoryMap {
    checkOptions("map", options, MAP_OPTIONS);
    const { byteLength = 0, byteOffset = 0, access = this.#readOnly ? "read" : "write" } = options;
    const fd = this.#open();
    const hints = { [E.EACCES]: this.#readOnly ? "this handle was opened with readOnly: true" : undefined };
    return asPosixErrors(
      this.#name,
      () => new MemoryMap(fd, byteLength, { offset: byteOffset, access, [shownAs]: this.#name }),
      hints,
    );
  }

  /**
   * A typed struct on the memory; stores are seen by everybody who has it mapped, without any lock. It belongs to
   * this handle and throws after `close()`. On a `readOnly` handle stores to it throw TypeError.
   * @param byteOffset where the struct starts, in bytes: any whole number. Default 0
   * @throws RangeError when the object is too short, or longer than one map can be (4 GiB); TypeError for what is no
   *   number, or no struct class; ClosedError after `closeFd()`
   * @example const robot = memory.viewOf(Robot); robot.pose.x = 1;
   */
  viewOf<T extends Struct>(cls: StructClass<T>, byteOffset = 0): T {
    const end = checkInteger("byteOffset", byteOffset, 0, MAX_MAPPING_BYTES) + sizeof(cls);
    const { size } = this;
    if (end > size) {
      throw new RangeError(
        `'${this.#name}' is ${size} bytes long, ${cls.name} takes ${sizeof(cls)} from ${byteOffset} on: open it with size: ${end}`,
      );
    }
    return viewOf(cls, this.#mapFor(end, size), byteOffset);
  }

  /**
   * Closes the descriptor; maps and views made from it live on. A second call does nothing.
   * @throws SystemError EBADF when `fd` was closed elsewhere
   * @example memory.closeFd();
   */
  closeFd(): void {
    const { fd } = this.#file;
    if (!this.#file.closeKnown()) throw systemError("close", E.EBADF, `fd ${fd}`);
  }

  /**
   * Closes the descriptor and ends the views that `viewOf` gave: they throw from then on. Maps live on. A second call
   * does nothing.
   * @throws ShmError "BUSY" while an asynchronous operation of Bun (`fs.write`, for one) uses the memory of a view: the
   *   descriptor is open then; await the operation and close again
   * @example memory.close();
   */
  close(): void {
    while (this.#viewMaps.length > 0) {
      this.#viewMaps[0]!.close();
      // Only now: a close that is refused must be possible again.
      this.#viewMaps.shift();
    }
    this.closeFd();
  }

  /**
   * Removes the name, also after `close()`. The memory goes when no process has it open or mapped; until then a new object
   * of that name is another one. As shm_unlink(3).
   * @throws ExistentialError when it is gone, or never was, PermissionsError
   * @example memory.unlink();
   */
  unlink(): void {
    unlinkSharedMemory(this.#name);
  }

  /**
   * `close()`, at the end of a scope that says `using`.
   * @throws ShmError "BUSY" while an asynchronous operation uses the memory of a view
   */
  [Symbol.dispose](): void {
    this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const rest =
      this.#file.fd < 0 ? " (closed)" : `, ${this.size} bytes${this.#readOnly ? ", readOnly" : ""}`;
    return `SharedMemory '${this.#name}'${rest}`;
  }

  /** One map serves all views, until the object has grown past it, or was made smaller. */
  #mapFor(end: number, size: number): MemoryMap {
    const known = this.#viewMaps.at(-1);
    if (known !== undefined && known.length >= end && known.length <= size) return known;
    const map = this.map();
    this.#viewMaps.push(map);
    return map;
  }

  #open(): number {
    if (this.#file.fd < 0)
      throw new ClosedError(`the descriptor of the shared memory '${this.#name}' is closed`);
    return this.#file.fd;
  }
}

/**
 * Removes a shared memory object's name without opening it; see `SharedMemory.unlink`.
 * @throws ExistentialError, PermissionsError; TypeError, RangeError for a wrong name
 * @example unlinkSharedMemory("/robot");
 */
export function unlinkSharedMemory(name: string): void {
  asPosixErrors(name, () => unlinkSharedMemoryFile(name));
}

/** What was made for a size that cannot be had is removed again. */
function openSized(name: string, flags: number, options: SharedMemoryOptions): number {
  const { mode, size = 0 } = options;
  // Another user's object is not emptied before it is known whose it is.
  const { fd, made } = open(name, flags & ~O_TRUNC, mode);
  try {
    const path = sharedMemoryFile(name);
    if (!made) checkTrust({ path, status: statusOf(fd), wantedMode: mode }, options);
    if ((flags & O_TRUNC) !== 0) truncate(fd, 0, name);
    if (size > 0) asPosixErrors(name, () => resize(fd, name, options), sizeHints(size));
    return fd;
  } catch (error) {
    // Another process may have found it meanwhile, and given it a smaller size: then it is in use.
    const isOurs = made && statusOf(fd).byteLength === 0;
    closeFile(fd);
    if (isOurs) unlinkSharedMemoryFile(name);
    throw error;
  }
}

function open(name: string, flags: number, mode: number | undefined): { fd: number; made: boolean } {
  const how = flags & (O_CREAT | O_EXCL);
  if (how === O_CREAT) return openOrMakeSharedMemory(name, flags & ~O_CREAT, mode);
  return { fd: openSharedMemory(name, flags, mode), made: how === (O_CREAT | O_EXCL) };
}

const sizeHints = (size: number): Hints => {
  const wanted = `${size} bytes wanted`;
  return { [E.ENOSPC]: wanted, [E.EFBIG]: wanted, [E.EINVAL]: wanted, [E.ENOMEM]: wanted };
};

function resize(fd: number, name: string, { size = 0, shrink = false }: SharedMemoryOptions): void {
  // Not by lseek: the descriptor, and where it stands, are the user's.
  const { byteLength } = statusOf(fd);
  if (byteLength > size && !shrink)
    throw new RangeError(
      `'${name}' is ${byteLength} bytes long, and size: ${size} would cut it while others may have it mapped: they would be killed where they touch what is gone. ` +
        "Open it without a size, or say shrink: true (or O_TRUNC) when no process uses the rest",
    );
  if (byteLength > size) truncate(fd, size, name);
  allocate(fd, size, name);
}
