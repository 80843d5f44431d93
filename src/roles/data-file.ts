/**
 * One data file, opened and mapped: its bytes, the transaction protocol of writers and the lock-free copy of
 * readers. It knows nothing of locks; whoever calls `begin`, `commit` or `rollBack` holds the exclusive one.
 *
 * The sequence word is odd while a writer is at work. A writer keeps the state before it in the pre-image:
 *
 *     begin     live -> pre-image, then sequence + 1 (odd)
 *     stores    straight to the live struct
 *     commit    sequence + 1 (even);   roll back: pre-image -> live, then sequence + 1
 *     repair    the last writer died (odd): pre-image -> live, then the next even number, absolutely,
 *               so that two repairs in a row cannot invert the parity
 *
 * A copy without a lock reads the sequence, copies the live struct (even) or the pre-image (odd, nobody writes it
 * then), reads the sequence again, and is whole when both are equal.
 */
import { fstatSync, lstatSync, type Stats, statSync } from "node:fs";
import { FileFormatError, FileMissingError, SystemError } from "../errors.ts";
import { O_NONBLOCK, O_RDONLY, O_RDWR } from "../libc/constants.ts";
import type { LockKind } from "../locks/file-lock.ts";
import { closeFile, fileSize, openFile } from "../memory/file.ts";
import { Mapping } from "../memory/mapping.ts";
import { barrier, loadFence } from "../struct/barrier.ts";
import { viewAt } from "../struct/functions.ts";
import { HEADER_CODE } from "../struct/header.ts";
import type { Layout } from "../struct/layout.ts";
import { FRESH, READ_ONLY, Region } from "../struct/memory.ts";
import type { Struct } from "../struct/struct.ts";
import { checkLayout, type FileFormat, isIpmmapFile, readFormat, wordIndices } from "./file-format.ts";
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
  /** The live struct, for views under a lock, and for views without one. */
  readonly plain: Region;
  readonly fresh: Region;
  readonly #mapping: Mapping;
  readonly #identity: Pick<Stats, "dev" | "ino">;
  readonly #words: Int32Array;
  readonly #at: ReturnType<typeof wordIndices>;
  readonly #live: Uint8Array;
  readonly #preImage: Uint8Array | undefined;
  /** The part that the class knows, of both. */
  readonly #ofClass: { readonly live: Uint8Array; readonly preImage: Uint8Array };

  /**
   * Opens and maps the file for reading or for writing, and checks that it holds the struct of `layout`; without a
   * layout it may hold any.
   * @throws FileMissingError, FileFormatError, LayoutMismatchError, SystemError
   */
  static open(place: Place, layout: Layout | undefined, writable: boolean): DataFile {
    const path = place.dataPath;
    const fd = openData(path, layout?.name ?? "Class", writable);
    const stat = checkedStat(fd, path);
    const mapping = Mapping.map(fd, { byteLength: stat.size, access: writable ? "write" : "read", path });
    try {
      return new DataFile(mapping, stat, place, layout);
    } catch (error) {
      mapping.close();
      throw error;
    }
  }

  private constructor(mapping: Mapping, identity: Stats, place: Place, layout: Layout | undefined) {
    const { bytes, buffer, byteLength } = mapping;
    this.path = place.dataPath;
    this.#mapping = mapping;
    this.#identity = identity;
    this.format = readFormat(bytes, this.path);
    this.lockKind = this.format?.lockKind ?? "fcntl";
    this.structBytes = this.format?.structBytes ?? layout?.size ?? byteLength;
    if (this.format === undefined) checkIpmmap(bytes, place, this.structBytes, layout?.name ?? "any class");
    else if (layout !== undefined) checkLayout(layout, this.format, bytes, this.path);
    const mode = mapping.access === "read" ? READ_ONLY : 0;
    this.plain = new Region(buffer, 0, this.structBytes, mode);
    this.fresh = new Region(buffer, 0, this.structBytes, mode | FRESH);
    this.#live = bytes.subarray(0, this.structBytes);
    this.#words = new Int32Array(buffer, 0, Math.floor(byteLength / 4));
    this.#at = wordIndices(byteLength);
    this.#preImage = this.format?.transactional
      ? bytes.subarray(this.format.preImageOffset, this.format.preImageOffset + this.structBytes)
      : undefined;
    this.#ofClass = {
      live: this.#live.subarray(0, layout?.size),
      preImage: (this.#preImage ?? this.#live).subarray(0, layout?.size),
    };
    if (layout !== undefined) checkHeaderCode(this.plain.view.getInt16(0, true), this.path);
  }

  get writable(): boolean {
    return this.#mapping.access === "write";
  }

  get transactional(): boolean {
    return this.#preImage !== undefined;
  }

  /** True when a writer session keeps the sequence, so that copies need no lock. IPMMAP's processes do not. */
  get isSequenced(): boolean {
    return this.transactional && this.lockKind === "flock";
  }

  /** How many transactions were committed; 0 in a file without a footer. */
  get commits(): number {
    return this.format === undefined ? 0 : this.#load(this.#at.commits) >>> 0;
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
    return fileSize(this.#mapping.fd, this.path) >= this.#mapping.byteLength;
  }

  /** A Manager replaced or removed the file, or was killed while doing so. */
  get isRetired(): boolean {
    if (this.format !== undefined) return this.#load(this.#at.retired) !== 0;
    const stat = statSync(this.path, { throwIfNoEntry: false });
    return stat === undefined || !this.isSameFile(stat);
  }

  isSameFile({ dev, ino }: Pick<Stats, "dev" | "ino">): boolean {
    return dev === this.#identity.dev && ino === this.#identity.ino;
  }

  /** The same file on the disk, opened a second time. */
  isSameAs(other: DataFile): boolean {
    return this.isSameFile(other.#identity);
  }

  /** Tells (or takes back) that this file is no longer the one under its name. */
  setRetired(retired: boolean): void {
    if (this.format !== undefined) Atomics.store(this.#words, this.#at.retired, retired ? 1 : 0);
  }

  /** Undoes what a killed writer left half done. */
  repair(): void {
    const sequence = this.sequence;
    if ((sequence & 1) === 0) return;
    if (this.#preImage !== undefined) this.#live.set(this.#preImage);
    this.#publish((sequence | 1) + 1);
  }

  /** Starts a transaction. */
  begin(): void {
    if (this.format === undefined) return;
    if ((this.sequence & 1) === 1) this.repair();
    this.#preImage?.set(this.#live);
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
    if (this.#preImage !== undefined) this.#live.set(this.#preImage);
    this.#publish(this.sequence + 1);
  }

  /** The whole live struct in private memory, for files that keep no pre-image themselves. */
  saveLive(): Uint8Array {
    return this.#live.slice();
  }

  restoreLive(copy: Uint8Array): void {
    this.#live.set(copy);
  }

  /** Copies the class's part of the live struct; with a lock held. */
  copyLive(target: Uint8Array, byteOffset: number): void {
    target.set(this.#ofClass.live, byteOffset);
  }

  /**
   * Copies the last committed state to `target` without a lock; false when writers were too busy for a whole copy.
   */
  copyCommitted(target: Uint8Array, byteOffset: number): boolean {
    const words = this.#words;
    const { sequence } = this.#at;
    const { live, preImage } = this.#ofClass;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      barrier();
      const before = words[sequence] as number;
      loadFence();
      target.set((before & 1) === 0 ? live : preImage, byteOffset);
      loadFence();
      barrier();
      if (words[sequence] === before) return true;
    }
    return false;
  }

  /** A view of the class on the live struct. */
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

function openData(path: string, className: string, writable: boolean): number {
  try {
    // O_NONBLOCK: a FIFO in the place of the file must not make us wait for its other end.
    return openFile(path, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK);
  } catch (error) {
    if (!(error instanceof SystemError) || (error.code !== "ENOENT" && error.code !== "ENOTDIR")) throw error;
    throw new FileMissingError(
      path,
      `there is no shared file '${path}' yet; a Manager makes it: new Manager(${className}, { create: true })`,
    );
  }
}

/** Any file of ours, or of IPMMAP, has at least the header. */
const LEAST_BYTES = 16;

function checkedStat(fd: number, path: string): Stats {
  const stat = fstatSync(fd);
  const problem = !stat.isFile() ? "is no regular file" : `is only ${stat.size} bytes long`;
  if (stat.isFile() && stat.size >= LEAST_BYTES) return stat;
  closeFile(fd);
  throw new FileFormatError(path, `'${path}' ${problem}: it is no shared file, or was cut short`);
}

function checkIpmmap(
  bytes: Uint8Array,
  { dataPath: path, lockPath }: Place,
  structBytes: number,
  name: string,
): void {
  if (lstatSync(lockPath.flock, { throwIfNoEntry: false }) !== undefined) {
    throw new FileFormatError(
      path,
      `'${path}' has lost its footer (it had one, as there is '${lockPath.flock}'): it was cut short or overwritten; a Manager with { create: true, force: true } makes it anew`,
      true,
    );
  }
  if (isIpmmapFile(bytes, structBytes)) return;
  throw new FileFormatError(
    path,
    `'${path}' (${bytes.length} bytes) is no shared file of ${name} (${structBytes} bytes): it has no footer of shmstruct, and is too short for IPMMAP's or does not begin with its header code 0x${HEADER_CODE.toString(16)}`,
  );
}

function checkHeaderCode(code: number, path: string): void {
  if (code !== HEADER_CODE) {
    throw new FileFormatError(
      path,
      `'${path}' has header code 0x${(code & 0xffff).toString(16)}, expected 0x${HEADER_CODE.toString(16)}; a Manager with { create: true, force: true } makes it anew`,
    );
  }
}
