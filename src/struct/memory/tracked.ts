/**
 * Memory of which something is kept before it is stored to: a large shared struct saves each block of its bytes before the
 * first store into it. Generated setters look themselves whether it is in the stretch that was saved last, as a call would cost more than the store.
 */
import { BufferRegion, type Region, TRACKED } from "./memory.ts";

/** Who is told of stores. */
export interface Tracker {
  /** From this byte offset on, so many bytes may be stored to: those that were prepared last. For others `willStore` is called first. */
  readonly from: number;
  readonly room: number;
  /** Prepares these bytes of the region for stores. @throws TypeError once the memory is unmapped */
  willStore(byteOffset: number, byteLength: number): void;
}

export class TrackedRegion extends BufferRegion {
  readonly tracker: Tracker;

  constructor(
    buffer: ArrayBufferLike,
    byteOffset: number,
    byteLength: number,
    { traits, tracker }: { readonly traits: number; readonly tracker: Tracker },
  ) {
    super(buffer, byteOffset, byteLength, traits | TRACKED);
    this.tracker = tracker;
  }

  override willStore(byteOffset: number, byteLength: number): void {
    this.tracker.willStore(byteOffset, byteLength);
  }

  protected override sibling(traits: number): Region {
    const { tracker } = this;
    return new TrackedRegion(this.buffer, this.byteOffset, this.byteLength, { traits, tracker });
  }
}
