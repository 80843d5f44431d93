/** Python's `mmap` object: mapped memory as a file with a position, and as a sequence of bytes. */
import { checkOptions } from "../errors/check-options.ts";
import { ClosedError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import { barrier } from "../struct/memory/barrier.ts";
import { type MemorySource, memorySource } from "../struct/memory/source.ts";
import {
  type BytesLike,
  bits,
  byte,
  checkMode,
  descriptor,
  integer,
  integers,
  pageStart,
  place,
  resolveIndex,
  resolvePosition,
  resolveSlice,
  type Slice,
  toBytes,
} from "../sys/arguments.ts";
import { allocate, truncate } from "../sys/file.ts";
import {
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MAP_ANONYMOUS,
  MAP_DENYWRITE,
  MAP_EXECUTABLE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
} from "../sys/libc/constants.ts";
import { type Access, accessOf, flagsOf, MAX_MAPPING_BYTES, Mapping, protOf } from "../sys/mapping.ts";
import { isMappedElsewhereBeyond } from "../sys/other-mappings.ts";
import { TRUST_OPTIONS, type Trust, trustedOwners } from "../sys/trust.ts";
import { Backing } from "./backing.ts";
import { removeTagged } from "./named.ts";
import { copyLine, findFirst, findLast } from "./search.ts";

/** Key of an option for the library's own use. */
export const shownAs: unique symbol = Symbol("shownAs");

/**
 * What `new MemoryMap` takes besides what to map and how much of it: the arguments of Python's `mmap.mmap`.
 * @example const options: MemoryMapOptions = { access: "read", offset: pageSize() };
 */
export interface MemoryMapOptions {
  /** Where in the file the map starts, in bytes: a multiple of `pageSize()`. Default 0. */
  offset?: number | undefined;
  /**
   * What stores do: `"write"` (default) changes the file and what others see, `"read"` refuses them with TypeError,
   * `"copy"` keeps them private. May not be combined with `flags` or `prot`.
   */
  access?: Access | undefined;
  /** The `MAP_*` constants of `shmstruct/mmap`, joined with `|`. Default MAP_SHARED; with MAP_PRIVATE stores stay private. */
  flags?: number | undefined;
  /**
   * PROT_* bits of mmap(2); PROT_READ must be among them. Default PROT_READ | PROT_WRITE; PROT_READ alone refuses stores.
   */
  prot?: number | undefined;
  /**
   * The same memory for every process that opens the name (POSIX shared memory, shm_open(3); target must be -1). Made
   * at the first opening that may write, `offset + length` bytes long and zeroed; with length 0 it must exist. It stays
   * after `close()` until `MemoryMap.removeTag(tagName)`. Every access but `"read"` opens it for writing.
   */
  tagName?: string | undefined;
  /** Permissions of shared memory that `tagName` makes, 0 to 0o777, before the umask. Default 0o600. */
  mode?: number | undefined;
  /** Of `tagName`: see `Trust`. */
  trustOwner?: Trust["trustOwner"];
  /** Of `tagName`: see `Trust`. */
  shared?: Trust["shared"];
  /**
   * false keeps no descriptor of the file: then `size()` and `resize()` throw UnsupportedError, and a file that is cut
   * short is not noticed. Default true.
   */
  trackFd?: boolean | undefined;
  /** @internal What messages call a descriptor. */
  [shownAs]?: string | undefined;
}

/**
 * How `seek` counts: from the start, from the position, from the end (SEEK_SET, SEEK_CUR, SEEK_END of lseek(2)).
 * @example const whence: Whence = "end";
 */
export type Whence = "set" | "current" | "end";

/** What mmap is asked for. */
interface Protection {
  prot: number;
  flags: number;
}

const OPTIONS = {
  access: "string",
  offset: "number",
  flags: "number",
  prot: "number",
  tagName: "string",
  mode: "number",
  trackFd: "boolean",
  ...TRUST_OPTIONS,
} as const;

const SAFE_FLAGS =
  MAP_SHARED |
  MAP_PRIVATE |
  MAP_ANONYMOUS |
  MAP_NORESERVE |
  MAP_POPULATE |
  MAP_DENYWRITE |
  MAP_EXECUTABLE |
  MAP_LOCKED |
  MAP_STACK;

/** Advice after which every byte can still be read and written. What a platform lacks is -1. */
const SAFE_ADVICE = new Set(
  [
    MADV_NORMAL,
    MADV_RANDOM,
    MADV_SEQUENTIAL,
    MADV_WILLNEED,
    MADV_DONTNEED,
    MADV_FREE,
    MADV_DONTFORK,
    MADV_DOFORK,
    MADV_MERGEABLE,
    MADV_UNMERGEABLE,
    MADV_HUGEPAGE,
    MADV_NOHUGEPAGE,
    MADV_DONTDUMP,
    MADV_DODUMP,
    MADV_COLD,
    MADV_PAGEOUT,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
  ].filter((advice) => advice >= 0),
);

const ITERATION_CHECK_BYTES = 4096;

/**
 * A file, or anonymous or named memory, mapped into this process: the counterpart of Python's `mmap.mmap`, whose
 * documentation (Unix part) it follows, ValueError, IndexError and OverflowError being RangeError here and OSError
 * `SystemError`. Reads give copies; `bytes` is the memory itself.
 *
 * If the file is truncated, touching what is gone kills the process; no handler helps. Everything that
 * takes or gives more than one byte therefore looks at the file's size first and throws `FileFormatError`; iteration
 * looks every 4096 bytes. After `close()` everything but `closed`, `access`, `offset` and `close()` throws
 * `ClosedError`.
 * @example
 * using map = new MemoryMap("hello.txt", 0);
 * map.readLine(); // Uint8Array of "Hello Python!\n"
 * map.setSlice(" world!\n", 6);
 */
export class MemoryMap implements MemorySource, Iterable<number> {
  readonly #access: Access;
  readonly #offset: number;
  /** undefined: memory without a file. */
  readonly #backing: Backing | undefined;
  readonly #how: Protection;
  /** undefined once closed. */
  #mapping: Mapping | undefined;
  #position = 0;

  /**
   * @param target the path of a file, a descriptor (it is duplicated; close yours whenever you like), or -1 for
   *   memory without a file. A path's file must exist; it is opened for what `access` needs.
   * @param length bytes to map, up to 4 GiB; 0 means all of the file from `offset` on
   * @throws RangeError when the file is shorter than `offset + length`, or empty; when the offset is no multiple of
   *   `pageSize()`; when -1 comes with length 0; for a length above 4 GiB, an unknown access, a wrong mode,
   *   MAP_FIXED or an unknown bit among the flags
   * @throws UntrustedFileError when another user could truncate the memory of `tagName`, unless `trustOwner` or `shared`
   *   accepts that
   * @throws TypeError for options that exclude each other, or that there are not, and for what is no integer
   * @throws SystemError ENOENT, EACCES (a descriptor not opened for what `access` needs), EBADF, ENOSPC …; nothing is
   *   left behind then
   * @throws UnsupportedError outside Linux and macOS
   * @example using map = new MemoryMap("data.bin", 4096, { access: "read" });
   */
  constructor(target: string | number, length = 0, options: MemoryMapOptions = {}) {
    checkOptions("new MemoryMap", options, OPTIONS);
    const how = protection(options);
    const access = accessOf(how.prot, how.flags);
    const offset = pageStart(options.offset ?? 0, "offset");
    if (integer(length, "length") < 0 || length > MAX_MAPPING_BYTES) {
      throw new RangeError(`length must be from 0 to ${MAX_MAPPING_BYTES} (4 GiB), not ${length}`);
    }
    checkMode(options.mode);
    trustedOwners(options);
    const backing = openBacking(target, length === 0 ? 0 : offset + length, access, options);
    try {
      this.#mapping = mapBacking(backing, length, offset, how);
    } catch (error) {
      backing?.giveUp();
      throw error;
    }
    if (options.trackFd === false) backing?.release();
    this.#offset = offset;
    this.#backing = backing;
    this.#how = how;
    // Without a file, private memory is as good as shared: no other process could see it.
    const isOwn = backing === undefined && access === "copy";
    this.#access = options.access ?? (isOwn ? "write" : access);
  }

  /**
   * Removes named memory. Maps that have it open keep it; the next `new MemoryMap(-1, n, { tagName })` makes another.
   * As shm_unlink(3).
   * @returns whether there was one
   * @throws TypeError, RangeError for an impossible name; SystemError EACCES when it is another user's
   * @example MemoryMap.removeTag("weather");
   */
  static removeTag(tagName: string): boolean {
    return removeTagged(tagName);
  }

  /** What stores do: see `MemoryMapOptions.access`. Never throws. */
  get access(): Access {
    return this.#access;
  }

  /** Where in the file the map starts, in bytes. Never throws. */
  get offset(): number {
    return this.#offset;
  }

  /** How many bytes are mapped, Python's `len()`. @throws ClosedError after `close()` */
  get length(): number {
    return this.#open().byteLength;
  }

  /** Whether `close()` was called. Never throws. */
  get closed(): boolean {
    return this.#mapping === undefined;
  }

  /**
   * The mapped memory itself, for `viewOf`, typed arrays and `set`. Detached (length 0) by `resize()` and `close()`.
   *
   * **Give a decoder, parser, sort, search or hash a copy, never these bytes, if another process may write to them
   * meanwhile.** The functions of the runtime look at their bytes twice: `TextDecoder` and `toString` of a Buffer
   * measure, then convert, and write past their own memory when the text has changed in between; the process
   * crashes. `text(start, end)`, `slice(start, end)` and `copy(target, start, end)` are safe.
   *
   * A read-only map has none: JavaScript has no read-only typed array, and one stray store to read-only memory kills
   * the process. Use `slice()` or `read()` for a copy and `viewOf(Struct, map)` for a struct, or open the map with
   * `access: "copy"`: that is the same memory without copying, and stores stay private. A file need not be writable for
   * that; memory by `tagName` must be.
   * @throws TypeError when `access` is "read"; ClosedError after `close()`; FileFormatError when the file was truncated
   * @example map.bytes[0] = 1;
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#access !== "read") return this.#checked();
    this.#open();
    throw new TypeError(
      'a read-only MemoryMap hands out no bytes, as a store to them would kill the process; take slice() for a copy, viewOf(Struct, map) for a struct, or open it with access: "copy"',
    );
  }

  /** What `viewOf(Struct, map)` lays structs on. @throws ClosedError after `close()`; FileFormatError */
  [memorySource]() {
    const { buffer, byteLength } = this.#checked();
    return { buffer, byteOffset: 0, byteLength, readOnly: this.#access === "read" };
  }

  // ---- as a file ----

  /**
   * The position, in bytes from the start of the map. It is past the end after `resize()` to less.
   * @throws ClosedError after `close()`
   * @example map.read(4); map.tell(); // 4
   */
  tell(): number {
    this.#open();
    return this.#position;
  }

  /**
   * Whether `seek()` works: always.
   * @throws ClosedError after `close()`
   * @example map.seekable(); // true
   */
  seekable(): true {
    this.#open();
    return true;
  }

  /**
   * Moves the position.
   * @param offset bytes, counted as `whence` says; negative goes backwards
   * @returns the new position, in bytes from the start
   * @throws RangeError when it would be before the start or after the end; nothing moves then. TypeError for what is
   *   no integer; ClosedError after `close()`
   * @example map.seek(-4, "end");
   */
  seek(offset: number, whence: Whence = "set"): number {
    const bases = { set: 0, current: this.#position, end: this.length };
    integer(offset, "offset");
    if (!Object.hasOwn(bases, whence)) {
      throw new RangeError(`whence must be "set", "current" or "end", not ${JSON.stringify(whence)}`);
    }
    const position = bases[whence] + offset;
    if (position < 0 || position > bases.end) {
      throw new RangeError(`position ${position} is not within the ${bases.end} mapped bytes`);
    }
    this.#position = position;
    return position;
  }

  /**
   * A copy of the next `size` bytes, fewer at the end of the map, and moves past them.
   * @param size in bytes; undefined, null or negative: all that is left
   * @throws ClosedError after `close()`; FileFormatError when the file was truncated; TypeError for what is no integer
   * @example const header = map.read(16);
   */
  read(size?: number | null): Uint8Array<ArrayBuffer> {
    const bytes = this.#checked();
    const left = Math.max(0, bytes.length - this.#position);
    const wanted = size === undefined || size === null ? -1 : place(size, "size");
    return this.#take(bytes, wanted < 0 ? left : Math.min(wanted, left));
  }

  /**
   * A copy of the bytes up to and with the next newline (or the end), and moves past them.
   * @throws ClosedError after `close()`; FileFormatError when the file was truncated
   * @example new TextDecoder().decode(map.readLine());
   */
  readLine(): Uint8Array<ArrayBuffer> {
    const line = copyLine(this.#checked(), this.#position);
    this.#position += line.length;
    return line;
  }

  #take(bytes: Uint8Array<ArrayBuffer>, count: number): Uint8Array<ArrayBuffer> {
    const taken = bytes.slice(this.#position, this.#position + count);
    this.#position += count;
    return taken;
  }

  /**
   * The next byte, 0 to 255, and moves past it. Does not look at the file's size.
   * @throws RangeError at the end; ClosedError after `close()`
   * @example const version = map.readByte();
   */
  readByte(): number {
    const byte = this.#open().bytes[this.#position];
    if (byte === undefined)
      throw new RangeError(`there is no byte to read at ${this.#position}, the end of the map`);
    this.#position++;
    return byte;
  }

  /**
   * Writes all of `data` at the position and moves past it; text as UTF-8.
   * @returns how many bytes that were
   * @throws RangeError when it does not fit; nothing is written then
   * @throws TypeError on a read-only map, and for what is neither bytes nor text; ClosedError after `close()`;
   *   FileFormatError when the file was truncated
   * @example map.write("hello\n"); // 6
   */
  write(data: BytesLike): number {
    this.#open();
    const source = toBytes(data);
    const bytes = this.#writable();
    const room = bytes.length - this.#position;
    if (source.length > room) {
      throw new RangeError(
        `${source.length} bytes do not fit at ${this.#position}: the map has ${bytes.length}`,
      );
    }
    bytes.set(source, this.#position);
    this.#position += source.length;
    return source.length;
  }

  /**
   * Writes one byte, 0 to 255, and moves past it. Does not look at the file's size.
   * @throws RangeError at the end, or for another value; TypeError on a read-only map, and for what is no integer;
   *   ClosedError after `close()`
   * @example map.writeByte(10);
   */
  writeByte(value: number): void {
    this.#open();
    byte(value);
    const bytes = this.#writable(false);
    if (this.#position >= bytes.length)
      throw new RangeError(`there is no room at ${this.#position}, the end of the map`);
    bytes[this.#position++] = value;
  }

  /**
   * Where the first match is, in bytes from the start of the map, or -1. Text is searched for as UTF-8, a number as
   * that byte.
   * @param start first byte to look at; negative counts from the end. Default: the position
   * @param end byte to stop before; negative counts from the end. Default: the end
   * @throws ClosedError after `close()`; FileFormatError when the file was truncated; TypeError, RangeError for what is
   *   neither bytes, text nor a byte, and for positions that are no integers
   * @example map.find("\0");
   */
  find(what: BytesLike | number, start = this.#position, end = this.length): number {
    return this.#search(what, start, end, findFirst);
  }

  /**
   * Where the last match is, or -1; else like `find`, and with its errors.
   * @throws ClosedError after `close()`; FileFormatError when the file was truncated; TypeError, RangeError for what is
   *   neither bytes, text nor a byte, and for positions that are no integers
   * @example map.rfind("\n", 0);
   */
  rfind(what: BytesLike | number, start = this.#position, end = this.length): number {
    return this.#search(what, start, end, findLast);
  }

  #search(
    what: BytesLike | number,
    start: number,
    end: number,
    search: (bytes: Uint8Array<ArrayBuffer>, needle: Uint8Array) => number,
  ): number {
    const bytes = this.#checked();
    // A copy of what is searched for, too: it may be a part of a map.
    const needle = typeof what === "number" ? Uint8Array.of(byte(what)) : toBytes(what).slice();
    const from = resolvePosition(start, "start", bytes.length);
    const to = resolvePosition(end, "end", bytes.length);
    if (to - from < needle.length) return -1;
    const index = search(bytes.subarray(from, to), needle);
    return index < 0 ? -1 : from + index;
  }

  /**
   * Copies `count` bytes from `source` to `destination`, both in bytes from the start of the map; they may overlap.
   * @throws RangeError when that is not within the map; TypeError on a read-only map, and for what is no integer;
   *   ClosedError after `close()`; FileFormatError when the file was truncated
   * @example map.move(0, 512, 256);
   */
  move(destination: number, source: number, count: number): void {
    this.#open();
    integers({ destination, source, count });
    const bytes = this.#writable();
    if (Math.min(destination, source, count) < 0 || Math.max(destination, source) + count > bytes.length) {
      throw new RangeError(
        `cannot move ${count} bytes from ${source} to ${destination}: the map has ${bytes.length}`,
      );
    }
    bytes.copyWithin(destination, source, source + count);
  }

  // ---- as a sequence of bytes ----

  /**
   * One byte, 0 to 255; negative counts from the end. Does not look at the file's size. A loop sees what others store.
   * @throws RangeError when it is missing; TypeError for what is no integer; ClosedError after `close()`
   * @example map.at(-1); // the last
   */
  at(index: number): number {
    const { bytes } = this.#open();
    const i = resolveIndex(index, bytes.length);
    barrier();
    return bytes[i]!;
  }

  /**
   * Sets one byte, 0 to 255; a negative index counts from the end. Does not look at the file's size.
   * @throws RangeError when it is missing, or for another value; TypeError on a read-only map, and for what is no
   *   integer; ClosedError after `close()`
   * @example map.set(0, 255);
   */
  set(index: number, value: number): void {
    const bytes = this.#writable(false);
    bytes[resolveIndex(index, bytes.length)] = byte(value);
  }

  /**
   * A copy of what Python's `m[start:end:step]` means: negative positions count from the end, a negative step goes
   * backwards, what is out of range is cut off.
   * @param start first byte. Default: the first, or for a negative step the last
   * @param end byte to stop before. Default: as far as there are any
   * @param step bytes from one to the next, default 1
   * @throws RangeError for step 0; TypeError for what is no integer; ClosedError after `close()`; FileFormatError when
   *   the file was truncated
   * @example map.slice(0, 5);
   */
  slice(start?: number, end?: number, step?: number): Uint8Array<ArrayBuffer> {
    const bytes = this.#checked();
    const slice = resolveSlice(start, end, step, bytes.length);
    if (slice.step === 1) return bytes.slice(slice.first, slice.first + slice.count);
    const copy = new Uint8Array(slice.count);
    for (let i = 0; i < slice.count; i++) copy[i] = bytes[slice.first + i * slice.step]!;
    return copy;
  }

  /**
   * The UTF-8 text of a range, decoded from a copy, so that other processes may write to it meanwhile. Bytes that are
   * no UTF-8 become U+FFFD, NULs stay.
   * @param start first byte; negative counts from the end. Default: the first
   * @param end byte to stop before; negative counts from the end. Default: the end
   * @throws TypeError for what is no integer; ClosedError after `close()`; FileFormatError when the file was truncated
   * @example map.text(0, map.find("\0", 0));
   */
  text(start?: number, end?: number): string {
    const copy = this.slice(start, end);
    return Buffer.from(copy.buffer).toString();
  }

  /**
   * Copies a range into `target`, memory of yours that can be used again for the next copy: as `slice`, without a new
   * array each time.
   * @param target where the copy goes, from its start
   * @param start first byte; negative counts from the end. Default: the first
   * @param end byte to stop before; negative counts from the end. Default: the end
   * @returns how many bytes were copied
   * @throws RangeError when `target` is too short, nothing is copied then; TypeError for what is no integer;
   *   ClosedError after `close()`; FileFormatError when the file was truncated
   * @example const length = map.copy(scratch, 0, 64); decoder.decode(scratch.subarray(0, length));
   */
  copy(target: Uint8Array, start?: number, end?: number): number {
    const bytes = this.#checked();
    const { first, count } = resolveSlice(start, end, 1, bytes.length);
    if (count > target.length)
      throw new RangeError(`${count} bytes do not fit into a target of ${target.length}`);
    target.set(bytes.subarray(first, first + count));
    return count;
  }

  /**
   * Python's `m[start:end:step] = data`; text as UTF-8.
   * @param start as for `slice`; so are `end` and `step`
   * @throws RangeError when `data` has not exactly as many bytes as are to be replaced, or for step 0; nothing is
   *   written then
   * @throws TypeError on a read-only map, for what is neither bytes nor text, and for what is no integer; ClosedError
   *   after `close()`; FileFormatError when the file was truncated
   * @example map.setSlice("hello", 0, 5);
   */
  setSlice(data: BytesLike, start?: number, end?: number, step?: number): void {
    const bytes = this.#writable();
    const slice = resolveSlice(start, end, step, bytes.length);
    const source = toBytes(data);
    if (source.length !== slice.count) {
      throw new RangeError(`${source.length} bytes cannot replace ${slice.count}: a map keeps its length`);
    }
    if (slice.step === 1) bytes.set(source, slice.first);
    else scatter(bytes, slice, source.slice()); // a copy, as it may be a part of this map
  }

  /**
   * The bytes as numbers, each as it is when its turn comes.
   * @throws ClosedError after `close()`; FileFormatError when the file was truncated, which it looks for every 4096 bytes
   * @example for (const byte of map) sum += byte;
   */
  *[Symbol.iterator](): Generator<number, void, void> {
    for (let i = 0; i < this.length; i++) {
      if (i % ITERATION_CHECK_BYTES === 0) this.#checked();
      yield this.at(i);
    }
  }

  // ---- the file behind it ----

  /**
   * The file's length in bytes, which may be more than is mapped; of anonymous memory, its own.
   * @throws UnsupportedError with `trackFd: false`; ClosedError after `close()`
   * @example map.size() - map.offset;
   */
  size(): number {
    const { byteLength } = this.#open();
    return this.#backing?.size ?? byteLength;
  }

  /**
   * Makes the file end where the map is to end, cutting or extending it, and maps it anew: `bytes` that were handed
   * out are detached. Other maps of the file stay right. The position stays, even past the new end.
   * @param newLength of the map, in bytes: 1 to 4 GiB. The file gets `offset` more
   * @throws TypeError on a read-only or copy-on-write map, and for what is no integer; ClosedError after `close()`
   * @throws RangeError when `newLength` is less than 1, or when another mapping in this process needs what would be
   *   cut off (of another thread's last page it may cut a part: that map's methods then throw FileFormatError).
   *   Mappings of other processes are not known: they would be killed at their next touch
   * @throws SystemError ENOSPC …; ShmError "BUSY" while an asynchronous operation uses `bytes`. The map is as before
   *   then, and nothing was cut off (only of a file sealed against it, EPERM, the map is short already)
   * @throws UnsupportedError with `trackFd: false`, and on macOS when the file would become shorter
   * @example map.resize(2 * map.length);
   */
  resize(newLength: number): void {
    const old = this.#open();
    if (this.#access !== "write")
      throw new TypeError(`a MemoryMap with access "${this.#access}" cannot be resized`);
    if (integer(newLength, "newLength") < 1 || newLength > MAX_MAPPING_BYTES) {
      throw new RangeError(`newLength must be from 1 to ${MAX_MAPPING_BYTES} (4 GiB), not ${newLength}`);
    }
    if (this.#backing === undefined) this.#mapping = resizeAnonymous(old, newLength, this.#how);
    else this.#resizeFile(old, newLength, this.#backing);
  }

  #resizeFile(old: Mapping, newLength: number, backing: Backing): void {
    const { size, fd, path } = backing;
    const newSize = this.#offset + newLength;
    if (newSize < size && isMappedElsewhereBeyond(old, newSize)) {
      throw new RangeError(
        `'${path}' cannot be cut from ${size} to ${newSize} bytes: another mapping in this process needs them; close it first`,
      );
    }
    allocate(fd, newSize, path, size);
    this.#mapping = replace(old, mapBacking(backing, newLength, this.#offset, this.#how));
    if (newSize < size) truncate(fd, newSize, path);
  }

  /**
   * Waits until the changes in the range are on the disk (msync(2) with MS_SYNC). Other processes see them at once
   * without that. Does nothing when `access` is not "write": there are no changes then.
   * @param offset in bytes from the start of the map, a multiple of `pageSize()`. Default 0
   * @param size in bytes, default: the rest
   * @throws RangeError for a range outside the map, and when `access` is "write" for another offset; TypeError for what
   *   is no integer; ClosedError after `close()`; SystemError EIO …
   * @example map.flush();
   */
  flush(offset = 0, size = Math.max(0, this.length - offset)): void {
    const mapping = this.#open();
    integers({ offset, size });
    if (offset < 0 || size < 0 || offset + size > mapping.byteLength) {
      throw new RangeError(`range ${offset} + ${size} is not within the ${mapping.byteLength} mapped bytes`);
    }
    if (this.#access !== "write") return;
    pageStart(offset, "offset");
    mapping.flush(offset, size);
  }

  /**
   * Tells the kernel how the memory will be used (madvise(2)).
   * @param advice one of the `MADV_*` constants but `MADV_REMOVE`, which takes the storage away: the next access would
   *   kill the process when the disk is full by then
   * @param start in bytes from the start of the map, a multiple of `pageSize()`. Default 0
   * @param length in bytes; default, and at most: the rest
   * @throws RangeError for other advice, for another start, or one that is not within the map; TypeError for what is no
   *   integer; ClosedError after `close()`; SystemError EINVAL for advice that the kernel does not want here
   * @example map.madvise(MADV_SEQUENTIAL);
   */
  madvise(advice: number, start = 0, length = this.length): void {
    const mapping = this.#open();
    integers({ advice, start, length });
    checkAdvice(advice);
    if (start < 0 || start >= mapping.byteLength || length < 0) {
      throw new RangeError(
        `range ${start} + ${length} does not start within the ${mapping.byteLength} mapped bytes`,
      );
    }
    pageStart(start, "start");
    mapping.advise(advice, start, Math.min(length, mapping.byteLength - start));
  }

  /**
   * Unmaps the memory (munmap(2)); afterwards everything but `closed` and `close()` throws `ClosedError`, and what
   * `bytes` handed out is empty. Does not flush: the kernel writes in its own time. A second call does nothing.
   * @throws ShmError "BUSY" while an asynchronous operation uses `bytes`: await it and close again
   * @example map.close();
   */
  close(): void {
    if (this.#mapping === undefined) return;
    this.#mapping.close();
    this.#mapping = undefined;
    this.#backing?.release();
  }

  /** `close()`, at the end of a scope that says `using`. @throws ShmError "BUSY" while an asynchronous operation uses `bytes` */
  [Symbol.dispose](): void {
    this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const what = `MemoryMap of ${this.#backing?.path ?? "anonymous memory"}`;
    if (this.#mapping === undefined) return `${what} (closed)`;
    return `${what}, ${this.#mapping.byteLength} bytes from ${this.#offset}, access "${this.#access}"`;
  }

  #open(): Mapping {
    if (this.#mapping !== undefined) return this.#mapping;
    throw new ClosedError(`the MemoryMap of ${this.#backing?.path ?? "anonymous memory"} is closed`);
  }

  /** The bytes, all of which the file still has. */
  #checked(): Uint8Array<ArrayBuffer> {
    const mapping = this.#open();
    this.#backing?.guardSize(this.#offset + mapping.byteLength);
    return mapping.bytes;
  }

  /** The bytes for a store. For a single byte the file is not asked: that would cost 50 times the store. */
  #writable(checked = true): Uint8Array<ArrayBuffer> {
    const { bytes } = this.#open();
    if (this.#access === "read") throw new TypeError("a read-only MemoryMap cannot be written to");
    return checked ? this.#checked() : bytes;
  }
}

/** What `access`, or else `prot` and `flags`, ask of mmap. */
function protection({ access, prot, flags }: MemoryMapOptions): Protection {
  if (access !== undefined && (prot !== undefined || flags !== undefined)) {
    throw new TypeError("give either access or prot and flags, not both");
  }
  if (access !== undefined && !["read", "write", "copy"].includes(access)) {
    throw new RangeError(`access must be "read", "write" or "copy", not ${JSON.stringify(access)}`);
  }
  checkFlags(flags ?? 0);
  return {
    prot: bits(prot ?? protOf(access ?? "write"), "prot"),
    flags: bits(flags ?? flagsOf(access ?? "write"), "flags"),
  };
}

/** What some other flags make of the memory cannot be unmapped as a whole, or grows by itself. */
function checkFlags(flags: number): void {
  if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0) {
    throw new RangeError(
      `flags ${flags} has MAP_FIXED: with no address it would map over page 0; the kernel finds a place by itself`,
    );
  }
  const unknown = flags & ~SAFE_FLAGS;
  if (unknown !== 0)
    throw new RangeError(`flags ${flags} has bits other than the MAP_* constants: ${unknown}`);
}

function checkAdvice(advice: number): void {
  if (SAFE_ADVICE.has(advice)) return;
  const name = advice === MADV_REMOVE ? " (MADV_REMOVE)" : "";
  throw new RangeError(
    `advice ${advice}${name} is not one of the MADV_* constants that leave the memory usable; others can make the next access kill the process`,
  );
}

/** The file that is meant, opened no further than the map needs; undefined for anonymous memory. */
function openBacking(
  target: string | number,
  byteLength: number,
  access: Access,
  options: MemoryMapOptions,
): Backing | undefined {
  const { tagName, trustOwner, shared, [shownAs]: name } = options;
  if (tagName !== undefined) {
    if (target !== -1)
      throw new TypeError(`tagName names memory without a file: the target must be -1, not ${target}`);
    return Backing.fromName(tagName, byteLength, access !== "read", options);
  }
  if (trustOwner !== undefined || shared !== undefined)
    throw new TypeError(
      "trustOwner and shared go with tagName: whose files and descriptors to map is the caller's choice",
    );
  if (typeof target === "string") return Backing.fromPath(target, access === "write");
  if (typeof target !== "number") {
    throw new TypeError(
      `new MemoryMap: expected a path as string, a descriptor, or -1 for memory without a file, got ${show(target)}`,
    );
  }
  return descriptor(target) === -1 ? undefined : Backing.fromDescriptor(target, name);
}

function mapBacking(
  backing: Backing | undefined,
  length: number,
  byteOffset: number,
  how: Protection,
): Mapping {
  if (backing === undefined) return Mapping.anonymous(length, how);
  const byteLength = backing.lengthToMap(length, byteOffset);
  return Mapping.map(backing.fd, { ...how, byteLength, byteOffset, path: backing.path, ownsFd: false });
}

function scatter(bytes: Uint8Array, { first, count, step }: Slice, values: Uint8Array): void {
  for (let i = 0; i < count; i++) bytes[first + i * step] = values[i]!;
}

function resizeAnonymous(old: Mapping, newLength: number, how: Protection): Mapping {
  const next = Mapping.anonymous(newLength, how);
  next.bytes.set(old.bytes.subarray(0, newLength));
  return replace(old, next);
}

/** Closes `old`; if that is refused, `next` is given up. */
function replace(old: Mapping, next: Mapping): Mapping {
  try {
    old.close();
  } catch (error) {
    next.close();
    throw error;
  }
  return next;
}
