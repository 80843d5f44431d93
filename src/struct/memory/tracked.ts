/**
 * Memory of which something is kept before it is stored to: a large shared struct saves each block of its bytes before the
 * first store into it. Generated setters ask the block's mark themselves, as a call would cost more than the store.
 */
import { BufferRegion, type Region, TRACKED } from "./memory.ts";

/** Who is told of stores. */
export interface Tracker {
  /** One word a block. A block whose mark is `epoch` may be stored to; for any other `willStore` is called first. */
  readonly marks: Int32Array;
  /** The number of a block is its byte offset, shifted right by so many bits. */
  readonly shift: number;
  readonly epoch: number;
  /** Prepares these bytes of the region for stores. @throws TypeError once the memory is unmapped */
  willStore(byteOffset: number, byteLength: number): void;
}

export class TrackedRegion extends BufferRegion {
  readonly tracker: Tracker;

  constructor(
    buffer: ArrayBufferLike,
    byteOffset: number,
    byteLength: number,
    { mode, tracker }: { readonly mode: number; readonly tracker: Tracker },
  ) {
    super(buffer, byteOffset, byteLength, mode | TRACKED);
    this.tracker = tracker;
  }

  override willStore(byteOffset: number, byteLength: number): void {
    this.tracker.willStore(byteOffset, byteLength);
  }

  protected override sibling(mode: number): Region {
    const { tracker } = this;
    return new TrackedRegion(this.buffer, this.byteOffset, this.byteLength, { mode, tracker });
  }
}
