/**
 * The state before a transaction, on plain typed arrays: kept as a whole, or by blocks, each saved before the first store
 * into it. Nothing here knows of files, locks or the loop of those who read without a lock; the caller publishes the sequence.
 *
 *     begin       all marks := 0 if the sequence wraps; then the caller makes the sequence e, which is odd
 *     store       mark[b] != e: pre[b] := live[b], StoreStore, mark[b] := e, StoreStore; then the store
 *     roll back   each b with mark[b] = e: live[b] := pre[b]; then the caller makes the sequence even
 *     read        copy live[b], LoadLoad, mark[b] = e: LoadLoad, copy pre[b] over it
 *
 * Neither roll back nor repair changes pre-image or marks, so both can die and be repeated. Atomics belong to no transaction.
 * tests/model/blocks.ts tries every interleaving of it.
 */
import { type Range, rangesBetween } from "../struct/layout/plain-ranges.ts";
import { loadFence } from "../struct/memory/barrier.ts";
import type { Tracker } from "../struct/memory/tracked.ts";

/** Where in the file's bytes what lies. */
export interface PreImagePlan {
  /** All of the file; the struct begins at 0. */
  readonly bytes: Uint8Array;
  readonly structBytes: number;
  readonly preImageOffset: number;
  /** Bytes of the struct that belong to no transaction, in order. */
  readonly atomics: readonly Range[];
}

export interface PreImage {
  /** What comes before the sequence becomes `odd`. */
  prepare(odd: number): void;
  /** The sequence is `odd`: stores follow. */
  open(odd: number): void;
  /** The last store was made. */
  close(): void;
  /** Makes the live struct what it was before the transaction `odd`. */
  restore(odd: number): void;
  /** Prepares bytes for stores. */
  willStore(byteOffset: number, byteLength: number): void;
  /** Copies bytes from `start` on, as they were before the transaction `odd`; atomics as they are now. */
  copy(odd: number, target: Uint8Array, start: number): void;
  /** Where the bytes of a range are that were committed before `odd`; what is "mixed" must be copied. To be asked after `live` was read. */
  sideOf(odd: number, start: number, end: number): "live" | "pre-image" | "mixed";
}

/** What the two kinds have in common. */
abstract class Kept {
  protected readonly bytes: Uint8Array;
  protected readonly structBytes: number;
  protected readonly preImageOffset: number;
  /** All bytes but those of atomics. */
  protected readonly transactional: readonly Range[];

  constructor({ bytes, structBytes, preImageOffset, atomics }: PreImagePlan) {
    this.bytes = bytes;
    this.structBytes = structBytes;
    this.preImageOffset = preImageOffset;
    this.transactional = rangesBetween(atomics, structBytes);
  }

  /** Copies back what lies between, but for atomics. */
  protected restoreRange(start: number, end: number): void {
    const { bytes, preImageOffset } = this;
    eachWithin(this.transactional, start, end, (from, to) => {
      bytes.copyWithin(from, preImageOffset + from, preImageOffset + to);
    });
  }

  /** Copies the saved state of what lies between, but for atomics, into a copy of the bytes from `base` on. */
  protected copySaved(target: Uint8Array, base: number, start: number, end: number): void {
    const { bytes, preImageOffset } = this;
    eachWithin(this.transactional, start, end, (from, to) => {
      target.set(bytes.subarray(preImageOffset + from, preImageOffset + to), from - base);
    });
  }
}

/** All of it, at the beginning of each transaction: a struct that is small is copied faster than stores are counted. */
export class WholePreImage extends Kept implements PreImage {
  prepare(): void {
    this.bytes.copyWithin(this.preImageOffset, 0, this.structBytes);
  }

  open(): void {}

  close(): void {}

  willStore(): void {}

  restore(): void {
    this.restoreRange(0, this.structBytes);
  }

  copy(_odd: number, target: Uint8Array, start: number): void {
    const { length } = target;
    const isAllPlain = this.transactional.length === 1 && this.transactional[0]?.end === this.structBytes;
    if (!isAllPlain) target.set(this.bytes.subarray(start, start + length));
    this.copySaved(target, start, start, start + length);
  }

  sideOf(): "pre-image" {
    return "pre-image";
  }
}

/** Where the marks are, in the file's words. */
export interface BlocksPlan extends PreImagePlan {
  readonly marks: Int32Array;
  /** A power of two. */
  readonly blockBytes: number;
  /** Stores a mark between all stores before it and all after it. */
  readonly publish: (block: number, mark: number) => void;
}

/** No transaction is open: stores that come all the same, with a view that outlived its session, are their maker's alone. */
const NO_EPOCH = 0;

/** A stretch of so many blocks grows by half of its length at once. */
const BLOCKS_OF_A_RUN = 8;

/** So far the marks beside a block that was saved before are looked at. */
const BLOCKS_LOOKED_AT = 16;

/**
 * Block by block, so that a transaction costs what it touches. `from` and `room` are a stretch of saved blocks, so that a loop that
 * stores one number after the other looks at no marks, and one that fills the struct saves more and more blocks at a time.
 */
export class BlockPreImage extends Kept implements PreImage, Tracker {
  from = 0;
  room = 0;
  readonly #marks: Int32Array;
  readonly #shift: number;
  #epoch = NO_EPOCH;
  readonly #blockBytes: number;
  readonly #publish: BlocksPlan["publish"];

  constructor(plan: BlocksPlan) {
    super(plan);
    this.#marks = plan.marks;
    this.#blockBytes = plan.blockBytes;
    this.#shift = 31 - Math.clz32(plan.blockBytes);
    this.#publish = plan.publish;
  }

  prepare(odd: number): void {
    // It wraps, or will if the last number is passed over: marks of 2^32 sequences ago must not look like those of now.
    if ((odd | 0) === 1 || (odd | 0) === -1) this.#marks.fill(0);
  }

  open(odd: number): void {
    this.#epoch = odd | 0;
    this.room = 0;
  }

  close(): void {
    this.#epoch = NO_EPOCH;
    this.room = 0;
  }

  willStore(byteOffset: number, byteLength: number): void {
    if (this.#epoch === NO_EPOCH || byteLength <= 0) return;
    const first = byteOffset >>> this.#shift;
    const end = ((byteOffset + byteLength - 1) >>> this.#shift) + 1;
    const behind = (this.from + this.room) >>> this.#shift;
    const isRun = this.room > 0 && first === behind;
    const more = isRun ? this.#growth(end - (this.from >>> this.#shift)) : 0;
    const stop = Math.min(end + more, this.#blocks);
    this.#saveAll(first, stop);
    if (isRun) this.#setRun(this.from >>> this.#shift, stop);
    else this.#setRun(this.#firstSaved(first), this.#endOfSaved(stop));
  }

  get #blocks(): number {
    return Math.ceil(this.structBytes / this.#blockBytes);
  }

  /** @param blocks how many the stretch has by now */
  #growth(blocks: number): number {
    return blocks < BLOCKS_OF_A_RUN ? 0 : blocks >>> 1;
  }

  #setRun(first: number, end: number): void {
    const from = first * this.#blockBytes;
    const room = Math.min(end * this.#blockBytes, this.structBytes) - from;
    // No call stands between these two: half of a stretch would let stores into blocks that were not saved.
    this.from = from;
    this.room = room;
  }

  #firstSaved(block: number): number {
    const least = Math.max(0, block - BLOCKS_LOOKED_AT);
    let first = block;
    while (first > least && this.#marks[first - 1] === this.#epoch) first--;
    return first;
  }

  #endOfSaved(block: number): number {
    const most = Math.min(this.#blocks, block + BLOCKS_LOOKED_AT);
    let end = block;
    while (end < most && this.#marks[end] === this.#epoch) end++;
    return end;
  }

  /** Saves those blocks between that were not saved yet. */
  #saveAll(from: number, end: number): void {
    const marks = this.#marks;
    const epoch = this.#epoch;
    for (let first = from; first < end; first++) {
      if (marks[first] === epoch) continue;
      let stop = first + 1;
      while (stop < end && marks[stop] !== epoch) stop++;
      this.#save(first, stop);
      first = stop - 1;
    }
  }

  /** Blocks that lie beside each other: one copy, then their marks. */
  #save(first: number, end: number): void {
    const start = first * this.#blockBytes;
    const stop = Math.min(end * this.#blockBytes, this.structBytes);
    this.bytes.copyWithin(this.preImageOffset + start, start, stop);
    this.#publish(first, this.#epoch);
    if (end - first === 1) return;
    this.#marks.fill(this.#epoch, first + 1, end - 1);
    this.#publish(end - 1, this.#epoch);
  }

  restore(odd: number): void {
    this.#eachSaved(odd, 0, this.structBytes, (start, end) => this.restoreRange(start, end));
  }

  copy(odd: number, target: Uint8Array, start: number): void {
    const end = start + target.length;
    target.set(this.bytes.subarray(start, end));
    // All marks behind the whole copy: a block that is saved meanwhile is taken from the pre-image, which is right as well.
    loadFence();
    this.#eachSaved(odd, start, end, (from, to) => {
      loadFence();
      this.copySaved(target, start, from, to);
    });
  }

  sideOf(odd: number, start: number, end: number): "live" | "pre-image" | "mixed" {
    loadFence();
    let saved = 0;
    const [first, last] = [start >>> this.#shift, (end - 1) >>> this.#shift];
    for (let block = first; block <= last; block++) if (this.#marks[block] === (odd | 0)) saved++;
    loadFence();
    if (saved === 0) return "live";
    return saved === last - first + 1 ? "pre-image" : "mixed";
  }

  /** Calls `use` with each stretch of bytes between that was saved in the transaction `odd`. */
  #eachSaved(odd: number, start: number, end: number, use: (start: number, end: number) => void): void {
    if (end <= start) return;
    const marks = this.#marks;
    const shift = this.#shift;
    const mark = odd | 0;
    const last = (end - 1) >>> shift;
    for (let block = start >>> shift; block <= last; block++) {
      if (marks[block] !== mark) continue;
      const from = block * this.#blockBytes;
      use(Math.max(from, start), Math.min(from + this.#blockBytes, end));
    }
  }
}

/** Calls `use` with each part of the ranges, which are in order, that lies between. */
function eachWithin(
  ranges: readonly Range[],
  start: number,
  end: number,
  use: (start: number, end: number) => void,
): void {
  for (let i = firstBehind(ranges, start); i < ranges.length; i++) {
    const range = ranges[i] as Range;
    if (range.start >= end) return;
    use(Math.max(range.start, start), Math.min(range.end, end));
  }
}

/** The index of the first range that ends behind `start`: there may be a million of them. */
function firstBehind(ranges: readonly Range[], start: number): number {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as Range).end > start) high = middle;
    else low = middle + 1;
  }
  return low;
}
