/** What the words of a footer say, however they are read: shared by the files of a segment with a mapping and without one. */
import type { Footer, WordIndices } from "./footer.ts";

const TWO_TO_THE_32 = 2 ** 32;

/** The versions of the next generation are exact in JavaScript, too. */
const MAX_GENERATION = 2 ** 21 - 2;

export abstract class FooterWords implements Disposable {
  /** Undefined for a file of another library. */
  abstract readonly footer: Footer | undefined;
  /** All of the file as 32-bit words. */
  abstract readonly words: Int32Array<ArrayBuffer>;
  abstract readonly at: WordIndices;
  abstract readonly byteLength: number;

  /** A word of the footer, as it is now. */
  abstract load(index: number): number;

  /**
   * How many bytes were added to the file since it was opened; negative when it was truncated. One lseek.
   * @throws SystemError
   */
  abstract readonly excessBytes: number;

  abstract close(): void;

  /** How many bytes the content has; of a file without a footer all of it is content. */
  get contentBytes(): number {
    return this.footer?.contentBytes ?? this.byteLength;
  }

  /** The sequence now; 0 in a file without a footer. */
  get sequence(): number {
    return this.footer === undefined ? 0 : this.load(this.at.sequence);
  }

  /** The 64-bit number at a pair of words, exact up to 2^53. */
  loadVersion(index: number): number {
    return (this.load(index) >>> 0) + (this.load(index + 1) >>> 0) * TWO_TO_THE_32;
  }

  /** Stores a 64-bit number, exact up to 2^53, at a pair of words. */
  storeVersion(index: number, version: number): void {
    this.words[index] = (version % TWO_TO_THE_32) | 0;
    this.words[index + 1] = Math.floor(version / TWO_TO_THE_32) | 0;
  }

  /** Copies one 64-bit number of the footer to another place in it. */
  copyVersion(from: number, to: number): void {
    this.words[to] = this.load(from);
    this.words[to + 1] = this.load(from + 1);
  }

  /** Which of the files that had this name this one is, counted from 0; 0 in a file without a footer. */
  get generation(): number {
    return this.footer === undefined ? 0 : this.load(this.at.generation) >>> 0;
  }

  /** How many files had the name up to this one; 0 when the number is nonsense, as versions would not be exact. */
  get generations(): number {
    const { generation } = this;
    return this.footer === undefined || generation > MAX_GENERATION ? 0 : generation + 1;
  }

  /**
   * Whether the bytes may be touched at all: a truncated file kills the process that does. One lseek.
   * @throws SystemError
   */
  get isWhole(): boolean {
    return this.excessBytes >= 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
