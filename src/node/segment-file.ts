/**
 * For Node.js in the place of src/segment/segment-file.ts: one file of a segment, opened and checked. There is no mapping:
 * `bytes` are a copy of the file in private memory.
 *
 *     take in     the file is read into the copy; with the lock held, or between two equal looks at the sequence
 *     stores      go to the copy, and to nothing else
 *     publish     what differs from what was read is written to the file, then the sequence
 *     give out    what is left is written
 *
 * So the file sees the writes of a protocol in its order, and a writer that is killed leaves what one with a mapping does.
 */

import { type Footer, readFooter, type WordIndices, wordIndices } from "../segment/footer.ts";
import { FooterWords } from "../segment/footer-words.ts";
import {
  checkedStatus,
  type OpenSegmentOptions,
  openData,
  type SegmentAccess,
} from "../segment/open-data.ts";
import { barrier } from "../struct/memory/barrier.ts";
import { provideStoreGuard } from "../struct/view/atomic.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { fs } from "../sys/builtin.ts";
import { fileSize } from "../sys/file.ts";
import { throughFs } from "../sys/paths.ts";
import { isUnlinkedOrReplaced, statusAt } from "../sys/status.ts";
import { needsMapping } from "./libc.ts";
import { OwnedFd } from "./owned-fd.ts";
import { readAt, writeAt } from "./positioned.ts";
import { storeSequence } from "./sequence.ts";

/** How much is compared at once, in bytes, when what was stored is looked for. */
const CHUNK_BYTES = 4096;
/** What is written together: a member of up to 8 bytes is written by one call. */
const UNIT_BYTES = 8;

const filesByWords = new WeakMap<Int32Array, SegmentFile>();
const copies = new WeakSet<ArrayBufferLike>();

provideStoreGuard((memory) => {
  if (copies.has(memory)) throw needsMapping("a store to an atomic");
});

/** The file that the words are of. */
export const fileOfWords = (words: Int32Array): SegmentFile => filesByWords.get(words) as SegmentFile;

export class SegmentFile extends FooterWords {
  readonly path: string;
  readonly access: SegmentAccess;
  readonly footer: Footer | undefined;
  readonly schemaBytes: Uint8Array;
  readonly lockKind: LockKind;
  readonly mode: number;
  /** The copy. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;
  readonly at: WordIndices;
  readonly #file: OwnedFd;
  readonly #id: string;
  /** What was read from the file or written to it: what differs in the copy was stored since. */
  readonly #known: Uint8Array<ArrayBuffer>;
  /** Stores are under way: nothing is read in. */
  #isStoring = false;
  /** The copy is whole, and stays so while a function runs. */
  #standsStill = false;

  /** @throws FileMissingError; FileFormatError for what is no segment or is damaged; SystemError EACCES … */
  static open(path: string, options: OpenSegmentOptions): SegmentFile {
    const fd = openData(path, options);
    const { byteLength, id, mode } = checkedStatus(fd, path, options);
    const file = new OwnedFd(fd);
    try {
      return new SegmentFile(file, { byteLength, id, mode }, path, options);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  private constructor(
    file: OwnedFd,
    { byteLength, id, mode }: { byteLength: number; id: string; mode: number },
    path: string,
    options: OpenSegmentOptions,
  ) {
    super();
    this.path = path;
    this.access = options.access;
    this.mode = mode & 0o777;
    this.#file = file;
    this.#id = id;
    this.bytes = new Uint8Array(Math.ceil(byteLength / 8) * 8).subarray(0, byteLength);
    this.words = new Int32Array(this.bytes.buffer, 0, Math.floor(byteLength / 4));
    this.#known = new Uint8Array(options.access === "write" ? byteLength : 0);
    this.at = wordIndices(byteLength);
    this.#read();
    const read = readFooter(this.bytes, path, options.words.recreate);
    this.footer = read?.footer;
    this.schemaBytes = read?.schema ?? new Uint8Array();
    this.lockKind = this.footer?.lockKind ?? "fcntl";
    filesByWords.set(this.words, this);
    copies.add(this.bytes.buffer);
  }

  get byteLength(): number {
    return this.bytes.length;
  }

  /** All of the file, as it is now. */
  #read(): void {
    readAt(this.#file.fd, this.bytes, 0, this.path);
    this.#known.set(this.bytes.subarray(0, this.#known.length));
  }

  takeIn(): void {
    if (!this.#isStoring) this.#read();
  }

  takeInToStore(): void {
    this.#read();
    this.#isStoring = true;
  }

  /** Writes what was stored. */
  giveOut(): void {
    this.#isStoring = false;
    this.#writeStores();
  }

  /**
   * Reads the file between two looks at its sequence.
   * @returns whether these were equal, so that the copy is whole
   */
  takeInWhole(): boolean {
    if (this.#isStoring || this.footer === undefined) {
      this.takeIn();
      return true;
    }
    const before = this.#readWord(this.at.sequence);
    this.#read();
    return this.words[this.at.sequence] === before && this.#readWord(this.at.sequence) === before;
  }

  /** Runs `fn` while all that is asked of the file is answered by the copy. */
  standingStill<R>(fn: () => R): R {
    const before = this.#standsStill;
    this.#standsStill = true;
    try {
      return fn();
    } finally {
      this.#standsStill = before;
    }
  }

  readonly takeInPart = (byteOffset: number, byteLength: number): void =>
    readAt(this.#file.fd, this.bytes.subarray(byteOffset, byteOffset + byteLength), byteOffset, this.path);

  readonly #word = new Int32Array(1);
  readonly #wordBytes = new Uint8Array(this.#word.buffer);

  /** A word of the file, as it is now. */
  #readWord(index: number): number {
    readAt(this.#file.fd, this.#wordBytes, index * 4, this.path);
    return this.#word[0] as number;
  }

  load(index: number): number {
    barrier();
    if (!this.#isStoring && !this.#standsStill) this.words[index] = this.#readWord(index);
    return this.words[index] as number;
  }

  /** Writes what was stored before it, then the word. */
  publish(index: number, value: number): void {
    if (index !== this.at.sequence) {
      this.words[index] = value;
      this.#writeStores();
      return;
    }
    const current = this.#readWord(index);
    this.words[index] = current;
    this.#note(index * 4, 4);
    this.#writeStores();
    this.words[index] = storeSequence(this.#file.fd, index * 4, { current, value }, this.path);
    this.#note(index * 4, 4);
  }

  publishByte(byteOffset: number, value: number): void {
    this.#writeStores();
    this.bytes[byteOffset] = value;
    this.#writeStores();
  }

  #note(byteOffset: number, byteLength: number): void {
    this.#known.set(this.bytes.subarray(byteOffset, byteOffset + byteLength), byteOffset);
  }

  /** Writes what differs from what was read. */
  #writeStores(): void {
    const { bytes } = this;
    const known = this.#known;
    for (let start = 0; start < known.length; start += CHUNK_BYTES) {
      const end = Math.min(start + CHUNK_BYTES, known.length);
      if (Buffer.compare(bytes.subarray(start, end), known.subarray(start, end)) !== 0)
        this.#writeChunk(start, end);
    }
  }

  #writeChunk(from: number, end: number): void {
    let start = from;
    while (start < end) {
      if (!this.#isStored(start)) {
        start += UNIT_BYTES;
        continue;
      }
      let stop = start + UNIT_BYTES;
      while (stop < end && this.#isStored(stop)) stop += UNIT_BYTES;
      this.#writeRange(start, Math.min(stop, end));
      start = stop;
    }
  }

  /** Whether a unit differs. */
  #isStored(start: number): boolean {
    const end = Math.min(start + UNIT_BYTES, this.#known.length);
    for (let i = start; i < end; i++) if (this.bytes[i] !== this.#known[i]) return true;
    return false;
  }

  /** The ends are narrowed: what was not stored may be another's, who needs no lock (atomics, live). */
  #writeRange(from: number, to: number): void {
    let [start, end] = [from, to];
    while (this.bytes[start] === this.#known[start]) start++;
    while (this.bytes[end - 1] === this.#known[end - 1]) end--;
    writeAt(this.#file.fd, this.bytes.subarray(start, end), start, this.path);
    this.#note(start, end - start);
  }

  requireMapping(what: string): void {
    throw needsMapping(what);
  }

  countCommit(): void {
    this.storeVersion(this.at.commits, this.loadVersion(this.at.commits) + 1);
  }

  get excessBytes(): number {
    return fileSize(this.#file.fd, this.path) - this.byteLength;
  }

  get isSuperseded(): boolean {
    if (this.footer !== undefined) return this.#readWord(this.at.superseded) !== 0;
    return statusAt(this.path)?.id !== this.#id;
  }

  setSuperseded(superseded: boolean): void {
    if (this.footer === undefined) return;
    this.words[this.at.superseded] = superseded ? 1 : 0;
    writeAt(this.#file.fd, Uint8Array.of(superseded ? 1 : 0, 0, 0, 0), this.at.superseded * 4, this.path);
    this.#note(this.at.superseded * 4, 4);
  }

  get isUnlinkedOrReplaced(): boolean {
    return isUnlinkedOrReplaced(this.#file.fd, this.path, this.#id);
  }

  get id(): string {
    return this.#id;
  }

  isSameAs(other: SegmentFile): boolean {
    return other.#id === this.#id;
  }

  /** Waits until the disk holds what was written (fsync(2)). @throws SystemError EIO */
  flush(): void {
    throughFs(() => fs().fsyncSync(this.#file.fd), this.path);
  }

  close(): void {
    this.#file.close();
  }
}
