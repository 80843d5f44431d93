/** One file of a segment, opened, checked and mapped. It knows nothing of locks. */
import { barrier, loadFence } from "../struct/memory/barrier.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { fs } from "../sys/builtin.ts";
import { fileSize } from "../sys/file.ts";
import { Mapping } from "../sys/mapping.ts";
import { throughFs } from "../sys/paths.ts";
import { type FileStatus, fileSystemOf, isUnlinkedOrReplaced, statusAt } from "../sys/status.ts";
import { AT, FOOTER_BYTES, type Footer, readFooter, type WordIndices, wordIndices } from "./footer.ts";
import { FooterWords } from "./footer-words.ts";
import { checkedStatus, type OpenSegmentOptions, openData, type SegmentAccess } from "./open-data.ts";

export class SegmentFile extends FooterWords {
  readonly path: string;
  readonly access: SegmentAccess;
  /** Undefined for a file of another library. */
  readonly footer: Footer | undefined;
  /** The schema's JSON in private memory; empty without a footer. */
  readonly schemaBytes: Uint8Array;
  readonly lockKind: LockKind;
  /** Permissions. */
  readonly mode: number;
  /** All of the file, mapped. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The same as 32-bit words. */
  readonly words: Int32Array<ArrayBuffer>;
  readonly at: WordIndices;
  readonly #mapping: Mapping;
  readonly #id: string;
  readonly #isOverlaid: boolean;

  /**
   * Opens and maps a file.
   * @throws FileMissingError; FileFormatError for what is no segment or is damaged; SystemError EACCES …
   */
  static open(path: string, options: OpenSegmentOptions): SegmentFile {
    const fd = openData(path, options);
    const status = checkedStatus(fd, path, options);
    const mapping = Mapping.map(fd, {
      byteLength: status.byteLength,
      access: options.access,
      path,
      reserve: true,
    });
    try {
      return new SegmentFile(mapping, status, path, options);
    } catch (error) {
      mapping.close();
      throw error;
    }
  }

  private constructor(mapping: Mapping, status: FileStatus, path: string, options: OpenSegmentOptions) {
    super();
    const { bytes, buffer, byteLength } = mapping;
    this.path = path;
    this.access = options.access;
    this.#mapping = mapping;
    this.#id = status.id;
    this.mode = status.mode & 0o777;
    const read = readFooter(bytes, path, options.words.recreate);
    this.footer = read?.footer;
    this.schemaBytes = read?.schema ?? new Uint8Array();
    this.lockKind = this.footer?.lockKind ?? "fcntl";
    this.bytes = bytes;
    this.words = new Int32Array(buffer, 0, Math.floor(byteLength / 4));
    this.at = wordIndices(byteLength);
    this.#isOverlaid = options.access === "read" && fileSystemOf(mapping.fd) === OVERLAYFS;
  }

  get byteLength(): number {
    return this.#mapping.byteLength;
  }

  /** A word of the footer, as it is now. */
  load(index: number): number {
    // Never Atomics here: on a read-only map they kill the process once compiled.
    barrier();
    return this.words[index] as number;
  }

  /** Stores a word between all stores before it and all after it, on every processor. */
  publish(index: number, value: number): void {
    Atomics.store(this.words, index, value);
    // The load keeps later stores behind the store (arm64 may move them up otherwise).
    Atomics.load(this.words, index);
  }

  /** The same for a byte of the file. */
  publishByte(byteOffset: number, value: number): void {
    Atomics.store(this.bytes, byteOffset, value);
  }

  /**
   * To be called before `bytes` are read with the lock held. A mapping shows what is in the file at any time; on a runtime
   * without mappings the bytes are a copy, which is read anew here.
   */
  takeIn(): void {}

  /** The same before stores: nothing is read anew until `giveOut`. */
  takeInToStore(): void {}

  /** To be called after the last store, with the lock still held. */
  giveOut(): void {}

  /** Reads a part of `bytes` anew; undefined where they are mapped. */
  readonly takeInPart: ((byteOffset: number, byteLength: number) => void) | undefined;

  /**
   * To be called for what only a mapping can do.
   * @param _what for the message: `"live"`
   * @throws UnsupportedError where the file is not mapped
   */
  requireMapping(_what: string): void {}

  /** Counts a commit: commits + 1, which carries into the generation. */
  countCommit(): void {
    const { commits, generation } = this.at;
    if (Atomics.add(this.words, commits, 1) === -1) Atomics.add(this.words, generation, 1);
  }

  /**
   * How many bytes were added to the file since it was opened; negative when it was truncated. One lseek.
   * @throws SystemError
   */
  get excessBytes(): number {
    return fileSize(this.#mapping.fd, this.path) - this.#mapping.byteLength;
  }

  /** Another file has the name now, or a process was killed while it gave it one. */
  get isSuperseded(): boolean {
    if (this.footer !== undefined) return this.load(this.at.superseded) !== 0;
    return statusAt(this.path)?.id !== this.#id;
  }

  /** Tells the users of this file to look for another one, or takes that back. */
  setSuperseded(superseded: boolean): void {
    if (this.footer !== undefined) Atomics.store(this.words, this.at.superseded, superseded ? 1 : 0);
  }

  /**
   * Whether the file was deleted, or its name was given to another file, without this library: a look at the disk.
   * @throws SystemError EBADF
   */
  get isUnlinkedOrReplaced(): boolean {
    return (
      isUnlinkedOrReplaced(this.#mapping.fd, this.path, this.#id) || (this.#isOverlaid && this.#isCopiedUp())
    );
  }

  /**
   * overlayfs copies a file of a lower layer at its first writer: who had it mapped before goes on seeing the old bytes,
   * while reads of the descriptor give the new ones.
   */
  #isCopiedUp(): boolean {
    const { footer, byteLength } = this;
    if (footer === undefined) return false;
    const starts = [0, byteLength - FOOTER_BYTES + AT.commits];
    const parts = [Math.min(HEAD_BYTES, byteLength - FOOTER_BYTES), FOOTER_BYTES - AT.commits];
    const onDisk = parts.map((bytes) => new Int32Array(bytes / 4));
    const mapped = (): string => {
      loadFence();
      return starts.map((start, i) => this.words.slice(start / 4, (start + parts[i]!) / 4).join()).join();
    };
    const mappedBefore = mapped();
    for (const [i, part] of onDisk.entries())
      throughFs(() => fs().readSync(this.#mapping.fd, part, 0, part.byteLength, starts[i]!), this.path);
    return mapped() === mappedBefore && mappedBefore !== onDisk.map((part) => part.join()).join();
  }

  /** The user has moved the memory elsewhere: `structuredClone` or `postMessage` with a transfer, or `transfer()`. */
  get isTransferred(): boolean {
    return this.bytes.buffer.detached;
  }

  /** What tells the file on the disk from all others that there are now. */
  get id(): string {
    return this.#id;
  }

  /** The same file on the disk, opened a second time. */
  isSameAs(other: SegmentFile): boolean {
    return other.#id === this.#id && !this.#isOverlaid;
  }

  /** Waits until the disk holds what is in memory (msync(2)). @throws SystemError EIO */
  flush(): void {
    this.#mapping.flush();
  }

  /** @throws ShmError "BUSY" while an asynchronous operation uses the memory */
  close(): void {
    this.#mapping.close();
  }
}

/** OVERLAYFS_SUPER_MAGIC of <linux/magic.h>. */
const OVERLAYFS = 0x794c7630;

/** So much of a content's start is looked at too: channels and queues count there, and not in the footer. */
const HEAD_BYTES = 256;
