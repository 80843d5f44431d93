import { type Words, wordsOf } from "./words.ts";

/**
 * A stretch of memory as the generated views see it: one DataView, the byte order, and what may be done with it.
 * Views hold a Region and a byte offset into it; they neither know nor care whether it is a mapped file.
 */

/**
 * What a field type gets to read from and write to. `view` and `bytes` cover the same memory.
 * @example read: ({ view, littleEndian }, byteOffset) => view.getUint16(byteOffset, littleEndian)
 */
export interface Memory {
  /** The whole region that the struct stands in. */
  readonly view: DataView;
  /** The same bytes, for text and copies. */
  readonly bytes: Uint8Array;
  /** The byte order of the struct the field stands in. */
  readonly littleEndian: boolean;
}

/** Bits of `Region.traits`. A view class is generated per layout and traits. */
export const READ_ONLY = 1;
/** Every read is preceded by a compiler barrier, so that a loop sees what other processes write. */
export const FRESH = 2;
export const BIG_ENDIAN = 4;
/**
 * Only of view classes: the view is at the region's very beginning, and on fresh memory at the buffer's. An offset would double the
 * time of an access.
 */
export const AT_START = 8;

/** Only of view classes: what lies in the struct is not aligned as it would be by itself. */
export const UNALIGNED = 16;
/** The region is an `OwnRegion`: private memory whose ArrayBuffer is made at its first use. */
export const OWN = 32;

/** Each store is announced to a tracker before it happens (tracked.ts). */
export const TRACKED = 64;

/** What views reach memory through. */
export interface Region extends Memory {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Bits of the constants above. */
  readonly traits: number;
  readonly readOnly: boolean;
  /** Of fresh memory the whole buffer as typed arrays: an element is loaded and stored at once. */
  readonly words: Words | undefined;
  /** The same memory in the other byte order. */
  readonly swapped: Region;
  /** The same memory, with other rights or freshness. */
  with(traits: number): Region;
  /** To be called before these bytes are stored to, or handed out so that others can. Only a tracked region minds. */
  willStore(byteOffset: number, byteLength: number): void;
}

/** A part of a buffer. */
export class BufferRegion implements Region {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly traits: number;
  readonly view: DataView;
  // A property and not a getter: through one a view made for one access would take ten times as long.
  readonly words: Words | undefined;
  #bytes: Uint8Array | undefined;
  #swapped: Region | undefined;

  constructor(buffer: ArrayBufferLike, byteOffset: number, byteLength: number, traits: number) {
    this.buffer = buffer;
    this.byteOffset = byteOffset;
    this.byteLength = byteLength;
    this.traits = traits & ~OWN;
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.words = (traits & FRESH) === 0 ? undefined : wordsOf(buffer);
  }

  get littleEndian(): boolean {
    return (this.traits & BIG_ENDIAN) === 0;
  }

  get readOnly(): boolean {
    return (this.traits & READ_ONLY) !== 0;
  }

  get bytes(): Uint8Array {
    assertAttached(this);
    this.#bytes ??= new Uint8Array(this.buffer, this.byteOffset, this.byteLength);
    return this.#bytes;
  }

  get swapped(): Region {
    this.#swapped ??= this.sibling(this.traits ^ BIG_ENDIAN);
    return this.#swapped;
  }

  protected sibling(traits: number): Region {
    return new BufferRegion(this.buffer, this.byteOffset, this.byteLength, traits);
  }

  willStore(_byteOffset: number, _byteLength: number): void {}

  with(traits: number): Region {
    return traits === this.traits ? this : new Region(this.buffer, this.byteOffset, this.byteLength, traits);
  }
}

/** @param traits bits of the constants above */
export const Region: new (
  buffer: ArrayBufferLike,
  byteOffset: number,
  byteLength: number,
  traits: number,
) => Region = BufferRegion;

/**
 * Throws TypeError once the memory was unmapped: DataView methods do by themselves, typed array
 * indexing would quietly give undefined.
 */
export function assertAttached(memory: Memory): void {
  void memory.view.byteLength;
}

/** False once the memory was unmapped. */
export function isAttached(memory: Memory): boolean {
  try {
    assertAttached(memory);
    return true;
  } catch {
    return false;
  }
}
