/**
 * Private memory that is cheap to have. A typed array of its own takes a fifth of the time of an ArrayBuffer with a DataView
 * on it: the engine keeps small ones among its objects, and makes the ArrayBuffer only at its first use. So views of
 * such memory read numbers from the typed array itself, and all else from the ArrayBuffer, at whose first use the engine
 * moves the bytes: the typed array then is a window on it.
 */
import { OWN, Region } from "./memory.ts";

/** Numbers wider or narrower than a word on their way out of one. All of them lie over each other. */
const wide = new ArrayBuffer(8);
export const own = {
  words: new Int32Array(wide),
  Float32: new Float32Array(wide),
  Float64: new Float64Array(wide),
  BigInt64: new BigInt64Array(wide),
  BigUint64: new BigUint64Array(wide),
} as const;

/** Memory may be of its own if its size is in whole words. */
export const mayBeOwn = (byteLength: number): boolean => byteLength > 0 && byteLength % 4 === 0;

export class OwnRegion implements Region {
  /** All of the memory. */
  readonly cells: Int32Array<ArrayBuffer>;
  readonly traits: number;
  /** It is never fresh. */
  readonly words = undefined;
  #all: Region | undefined;

  /** @param byteLength a multiple of 4, as `mayBeOwn` says */
  constructor(byteLength: number, traits: number) {
    this.cells = new Int32Array(byteLength >> 2);
    this.traits = traits | OWN;
  }

  /** The same memory as a part of its ArrayBuffer, which is made now. */
  get #region(): Region {
    this.#all ??= new Region(this.cells.buffer, 0, this.cells.byteLength, this.traits);
    return this.#all;
  }

  get byteOffset(): number {
    return 0;
  }

  get byteLength(): number {
    return this.cells.byteLength;
  }

  get buffer(): ArrayBufferLike {
    return this.#region.buffer;
  }

  get view(): DataView {
    return this.#region.view;
  }

  get bytes(): Uint8Array {
    return this.#region.bytes;
  }

  get littleEndian(): boolean {
    return true;
  }

  get readOnly(): boolean {
    return false;
  }

  get swapped(): Region {
    return this.#region.swapped;
  }

  willStore(): void {}

  with(traits: number): Region {
    return traits === this.traits ? this : this.#region.with(traits);
  }
}
