/**
 * One data file, opened and mapped: its bytes, the transaction protocol of writers and the lock-free copy of
 * readers. It knows nothing of locks; whoever calls `begin`, `commit` or `rollBack` holds the exclusive one.
 *
 * The sequence word is odd while a writer is at work. A writer keeps the state before it in the pre-image:
 *
 *     begin     live -> pre-image, commits -> before, then sequence + 1 (odd)
 *     stores    straight to the live struct
 *     commit    commits + 1, then sequence + 1 (even);   roll back: pre-image -> live, then sequence + 1
 *     repair    the last writer died (odd): pre-image -> live, before -> commits, then the next even number,
 *               absolutely, so that two repairs in a row cannot invert the parity
 *
 * So the committed state is the live struct while the sequence is even, and the pre-image while it is odd (nobody
 * writes that then). A copy without a lock reads the sequence, copies the one or the other, reads the sequence
 * again, and is whole when both are equal. Under a shared lock the sequence stands still: odd means a dead writer.
 */

import { FileFormatError, FileMissingError, SystemError } from "../errors/errors.ts";
import { HEADER_CODE } from "../struct/declare/header.ts";
import type { Struct } from "../struct/declare/struct.ts";
import { viewAt } from "../struct/functions.ts";
import type { Layout } from "../struct/layout/layout.ts";
import { atomicRanges, type Range, rangesBetween } from "../struct/layout/plain-ranges.ts";
import { barrier, loadFence } from "../struct/memory/barrier.ts";
import { FRESH, READ_ONLY, Region } from "../struct/memory/memory.ts";
import { fingerprintOf, type StructSchema } from "../struct/schema/schema.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { fs } from "../sys/builtin.ts";
import { closeFile, fileSize, openFile, readStart } from "../sys/file.ts";
import { systemError } from "../sys/libc/call.ts";
import { O_NONBLOCK, O_RDONLY, O_RDWR } from "../sys/libc/constants.ts";
import { MAX_MAPPING_BYTES, Mapping } from "../sys/mapping.ts";
import { exists, throughFs } from "../sys/paths.ts";
import { type FileStatus, isDisplaced, statusAt, statusOf } from "../sys/status.ts";
import {
  beginsWithHeaderCode,
  checkLayout,
  type FileFormat,
  FOOTER_BYTES,
  layoutInFile,
  readFormat,
  readSchema,
  wordIndices,
} from "./file-format.ts";
import type { Place } from "./options.ts";

/** Tries of a copy without a lock before the caller should take the shared lock. */
const MAX_TRIES = 100;

export class DataFile {
  readonly path: string;
  /** Undefined for a file of IPMMAP, which has no footer. */
  readonly format: FileFormat | undefined;
  readonly lockKind: LockKind;
  /** Bytes of the struct in the file, at least those of the class. */
  readonly structBytes: number;
  /** The live struct, for a writer's session, and for views without any lock. */
  readonly plain: Region;
  readonly fresh: Region;
  /** The live struct and the pre-image, for readers under a lock. */
  readonly #readable: { readonly live: Region; readonly preImage: Region };
  readonly #mapping: Mapping;
  /** Permissions. */
  readonly mode: number;
  readonly #id: string;
  readonly #words: Int32Array;
  readonly #at: ReturnType<typeof wordIndices>;
  readonly #live: Uint8Array;
  readonly #preImage: Uint8Array | undefined;
  readonly #atomics: readonly Range[];
  readonly #transactional: readonly Range[];
  /** The part that the class knows, of both. */
  readonly #ofClass: { readonly live: Uint8Array; readonly preImage: Uint8Array };

  /**
   * Opens and maps the file for reading or for writing, and checks that it holds the struct of `layout`; without a
   * layout it may hold any.
   * @throws FileMissingError, FileFormatError, LayoutMismatchError, SystemError
   */
  static open(place: Place, layout: Layout | undefined, access: "read" | "write"): DataFile {
    const path = place.dataPath;
    const fd = openData(path, layout?.name ?? "Class", access);
    const status = checkedStatus(fd, path);
    const mapping = Mapping.map(fd, { byteLength: status.byteLength, access, path, reserve: true });
    try {
      return new DataFile(mapping, status, place, layout);
    } catch (error) {
      mapping.close();
      throw error;
    }
  }

  private constructor(mapping: Mapping, status: FileStatus, place: Place, layout: Layout | undefined) {
    const { bytes, buffer, byteLength } = mapping;
    this.path = place.dataPath;
    this.#mapping = mapping;
    this.#id = status.id;
    this.mode = status.mode & 0o777;
    this.format = readFormat(bytes, this.path);
    this.lockKind = this.format?.lockKind ?? "fcntl";
    this.structBytes = this.format?.structBytes ?? layout?.size ?? byteLength;
    if (this.format === undefined) checkIpmmap(bytes, place, this.structBytes, layout?.name ?? "any class");
    else if (layout !== undefined) checkLayout(layout, this.format, bytes, this.path);
    const mode = mapping.access === "read" ? READ_ONLY : 0;
    this.plain = new Region(buffer, 0, this.structBytes, mode);
    this.fresh = this.plain.with(mode | FRESH);
    this.#live = bytes.subarray(0, this.structBytes);
    this.#words = new Int32Array(buffer, 0, Math.floor(byteLength / 4));
    this.#at = wordIndices(byteLength);
    this.#preImage = this.format?.transactional
      ? bytes.subarray(this.format.preImageOffset, this.format.preImageOffset + this.structBytes)
      : undefined;
    this.#atomics = layout === undefined ? [] : atomicRanges(this.#wholeLayout(layout));
    this.#transactional = rangesBetween(this.#atomics, this.structBytes);
    this.#ofClass = {
      live: this.#live.subarray(0, layout?.size),
      preImage: (this.#preImage ?? this.#live).subarray(0, layout?.size),
    };
    this.#readable = {
      live: this.plain.with(READ_ONLY),
      preImage: new Region(buffer, this.format?.preImageOffset ?? 0, this.structBytes, READ_ONLY),
    };
  }

  /** The layout of the file's struct: a class that is only a prefix of it does not know of all atomics. */
  #wholeLayout(layout: Layout): Layout {
    if (this.format === undefined || this.format.fingerprint === fingerprintOf(layout)) return layout;
    return layoutInFile(this.#mapping.bytes, this.format, this.path);
  }

  /** What the file says of its struct; undefined for a file of IPMMAP. @throws FileFormatError */
  get schema(): StructSchema | undefined {
    return this.format && readSchema(this.#mapping.bytes, this.format, this.path);
  }

  get transactional(): boolean {
    return this.#preImage !== undefined;
  }

  /** True when a writer session keeps the sequence, so that copies need no lock. IPMMAP's processes do not. */
  get isSequenced(): boolean {
    return this.transactional && this.lockKind === "flock";
  }

  /** The committed struct, read-only, for as long as a lock keeps writers out. */
  get committed(): Region {
    return this.#hasDeadWriter ? this.#readable.preImage : this.#readable.live;
  }

  /** The committed header's time stamp, seconds since 1970. */
  get timeStamp(): number {
    const { live, preImage } = this.#readable;
    return this.#readCommitted((isLive) => (isLive ? live : preImage).view.getFloat64(TIME_STAMP_AT, true));
  }

  /** How many transactions were committed, up to the state that a snapshot gives; 0 in a file without a footer. */
  get commits(): number {
    if (this.format === undefined) return 0;
    const { before, commits } = this.#at;
    return this.#readCommitted((isLive) => this.#load(isLive ? commits : before)) >>> 0;
  }

  /** What commits change in files whose users need not count them: the count of those who do, the time stamp of the others. */
  get mark(): string {
    return `${this.commits} ${this.timeStamp}`;
  }

  /** Under a lock: whether the last writer died before it could commit or roll back. */
  get #hasDeadWriter(): boolean {
    return this.#preImage !== undefined && (this.sequence & 1) === 1;
  }

  /** The sequence as it is now; 0 in a file without a footer. */
  get sequence(): number {
    return this.format === undefined ? 0 : this.#load(this.#at.sequence);
  }

  /**
   * Whether the bytes may be touched at all: a file that somebody cut short kills whoever does. One lseek.
   * @throws SystemError
   */
  get isWhole(): boolean {
    return this.excessBytes >= 0;
  }

  /**
   * How many bytes somebody has added to the file since it was opened; negative when it was cut short. One lseek.
   * @throws SystemError
   */
  get excessBytes(): number {
    return fileSize(this.#mapping.fd, this.path) - this.#mapping.byteLength;
  }

  /** A Manager replaced or removed the file, or was killed while doing so. */
  get isRetired(): boolean {
    if (this.format !== undefined) return this.#load(this.#at.retired) !== 0;
    return statusAt(this.path)?.id !== this.#id;
  }

  /** Somebody deleted the file without a Manager's `remove()`, or put another one in its place. */
  get isDisplaced(): boolean {
    return isDisplaced(this.#mapping.fd, this.path, this.#id);
  }

  /** The same file on the disk, opened a second time. */
  isSameAs(other: DataFile): boolean {
    return other.#id === this.#id;
  }

  /** Tells (or takes back) that this file is no longer the one under its name. */
  setRetired(retired: boolean): void {
    if (this.format !== undefined) Atomics.store(this.#words, this.#at.retired, retired ? 1 : 0);
  }

  /** Undoes what a killed writer left half done. */
  repair(): void {
    const sequence = this.sequence;
    if ((sequence & 1) === 0) return;
    if (this.#preImage !== undefined) this.restoreLive(this.#preImage);
    this.#words[this.#at.commits] = this.#load(this.#at.before);
    this.#publish((sequence | 1) + 1);
  }

  /** Starts a transaction. */
  begin(): void {
    if (this.format === undefined) return;
    this.repair();
    this.#preImage?.set(this.#live);
    this.#words[this.#at.before] = this.#load(this.#at.commits);
    this.#publish(this.sequence + 1);
  }

  /** Makes the stores since `begin` the committed state. */
  commit(): void {
    if (this.format === undefined) return;
    Atomics.add(this.#words, this.#at.commits, 1);
    this.#publish(this.sequence + 1);
  }

  /** Undoes the stores since `begin`. */
  rollBack(): void {
    if (this.format === undefined) return;
    if (this.#preImage !== undefined) this.restoreLive(this.#preImage);
    this.#publish(this.sequence + 1);
  }

  /** The whole live struct in private memory, for files that keep no pre-image themselves. */
  saveLive(): Uint8Array {
    return this.#live.slice();
  }

  /** Back to an earlier state, but for the atomics: others may have changed them since, without any lock. */
  restoreLive(earlier: Uint8Array): void {
    for (const { start, end } of this.#transactional) this.#live.set(earlier.subarray(start, end), start);
  }

  /**
   * Copies the last committed state to `target` without a lock; false when writers were too busy for a whole copy,
   * which cannot be with a lock held.
   */
  copyCommitted(target: Uint8Array, byteOffset: number): boolean {
    const words = this.#words;
    const { sequence } = this.#at;
    const { live, preImage } = this.#ofClass;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      barrier();
      const before = words[sequence] as number;
      loadFence();
      if ((before & 1) === 0) target.set(live, byteOffset);
      else this.#copyPreImage(target, byteOffset, preImage);
      loadFence();
      barrier();
      if (words[sequence] === before) return true;
    }
    return false;
  }

  /** The state before the writer that is at work; its atomics as they are now, as they belong to no transaction. */
  #copyPreImage(target: Uint8Array, byteOffset: number, preImage: Uint8Array): void {
    target.set(preImage, byteOffset);
    for (const { start, end } of this.#atomics) {
      if (end <= preImage.length) target.set(this.#live.subarray(start, end), byteOffset + start);
    }
  }

  /** Zeroes the whole live struct, also what a class that is only a prefix of it does not know. The header code stays. */
  clearLive(): void {
    this.#live.fill(0, HEADER_CODE_BYTES);
  }

  /** A view of the class on a region of the file. */
  view<T extends Struct>(layout: Layout, region: Region): T {
    return viewAt<T>(layout.cls as never, region, 0);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  flush(): void {
    this.#mapping.flush();
  }

  close(): void {
    this.#mapping.close();
  }

  /** What `read` gives for the committed state, live or pre-image; read again should that change meanwhile. */
  #readCommitted(read: (isLive: boolean) => number): number {
    for (let tries = 1; ; tries++) {
      const before = this.sequence;
      loadFence();
      const value = read((before & 1) === 0);
      loadFence();
      // Only a writer that is busier than any could be is given up on, with a value that was right a moment ago.
      if (this.sequence === before || tries === MAX_TRIES) return value;
    }
  }

  #load(index: number): number {
    // Never Atomics here: on a read-only map they kill the process once compiled.
    barrier();
    return this.#words[index] as number;
  }

  /** Stores the sequence between all stores before it and all after it, on every processor. */
  #publish(sequence: number): void {
    Atomics.store(this.#words, this.#at.sequence, sequence);
    // The load keeps later stores behind the store (arm64 may move them up otherwise).
    Atomics.load(this.#words, this.#at.sequence);
  }
}

/**
 * The same for a file that is damaged, so that nobody can open it: those who have it open look at its last word.
 * @throws SystemError
 */
export function retireDamaged(path: string): void {
  const fd = openFile(path, O_RDWR | O_NONBLOCK);
  try {
    const { byteLength } = statusOf(fd);
    if (byteLength >= FOOTER_BYTES) throughFs(() => fs().writeSync(fd, RETIRED, 0, 4, byteLength - 4));
  } finally {
    closeFile(fd);
  }
}

const RETIRED = new Uint8Array(Int32Array.of(1).buffer);

function openData(path: string, className: string, access: "read" | "write"): number {
  try {
    // O_NONBLOCK: a FIFO in the place of the file must not make us wait for its other end.
    return openFile(path, (access === "write" ? O_RDWR : O_RDONLY) | O_NONBLOCK);
  } catch (error) {
    throw error instanceof SystemError ? openingError(error, path, className) : error;
  }
}

function openingError(error: SystemError, path: string, className: string): Error {
  const { code, syscall, errno } = error;
  if (code === "EACCES") {
    const hint = `neither the file nor its directories may keep this user out; the file is the owner's alone unless new Manager(${className}, { create: true, mode: 0o660 }) has made it for the group, or chmod has changed that`;
    return systemError(syscall, errno, path, hint);
  }
  if (code !== "ENOENT") return error;
  return new FileMissingError(
    path,
    `there is no shared file '${path}' yet; a Manager makes it: new Manager(${className}, { create: true })`,
  );
}

/** Any file of ours, or of IPMMAP, has at least the header. */
const LEAST_BYTES = 16;

/** Where the header keeps it. */
const TIME_STAMP_AT = 8;

/** The header's first member: it tells what the file is, so it is never anything else, not even for a moment. */
const HEADER_CODE_BYTES = 2;

function checkedStatus(fd: number, path: string): FileStatus {
  const status = statusOf(fd);
  const problem = problemWith(status);
  if (problem === undefined) return status;
  try {
    // In an empty file there is nothing that `force` could destroy.
    const isOurs = status.isFile && (status.byteLength === 0 || beginsWithHeaderCode(twoBytes(fd, path)));
    throw new FileFormatError(path, `'${path}' ${problem}`, isOurs);
  } finally {
    closeFile(fd);
  }
}

function problemWith({ isFile, byteLength }: FileStatus): string | undefined {
  if (!isFile) return "is no regular file, so it is no shared file";
  if (byteLength < LEAST_BYTES)
    return `is only ${byteLength} bytes long: it is no shared file, or was cut short`;
  if (byteLength > MAX_MAPPING_BYTES) return `is ${byteLength} bytes long: one mapping holds at most 4 GiB`;
  return undefined;
}

function twoBytes(fd: number, path: string): Uint8Array {
  const start = new Uint8Array(2);
  readStart(fd, start, path);
  return start;
}

function checkIpmmap(
  bytes: Uint8Array,
  { dataPath: path, lockPath }: Place,
  structBytes: number,
  name: string,
): void {
  const code = `0x${HEADER_CODE.toString(16)}`;
  if (!beginsWithHeaderCode(bytes)) {
    throw new FileFormatError(
      path,
      `'${path}' is no shared file: it has no footer of shmstruct, and does not begin with the header code ${code} of IPMMAP's`,
    );
  }
  // Users of a file that lost its footer go by the flock; as a file of IPMMAP it would be used under the other lock.
  if (exists(lockPath.flock)) {
    throw new FileFormatError(
      path,
      `'${path}' has lost its footer (it had one, as there is '${lockPath.flock}'): it was cut short or overwritten; a Manager with { create: true, force: true } makes it anew`,
      true,
    );
  }
  if (bytes.length >= structBytes) return;
  throw new FileFormatError(
    path,
    `'${path}' (${bytes.length} bytes) has no footer of shmstruct, and as a file of IPMMAP is too short for ${name} (${structBytes} bytes): it holds another struct, or was cut short`,
    true,
  );
}
