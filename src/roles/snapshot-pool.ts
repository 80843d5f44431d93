/** Private memory for snapshots: several share one buffer, as allocating one costs more than the copy. */
import { inOrder, type Layout } from "../struct/layout.ts";
import { Region } from "../struct/memory.ts";
import type { Struct } from "../struct/struct.ts";
import { type ViewClass, viewClass } from "../struct/view.ts";

/** Snapshots of one buffer; it lives as long as any of them. Large structs get one each. */
const PER_BUFFER = 16;
const SHARED_UP_TO_BYTES = 4096;

/** Memory for one snapshot. */
export interface Slot<T> {
  readonly bytes: Uint8Array;
  readonly byteOffset: number;
  view(): T;
}

export class SnapshotPool<T extends Struct> {
  readonly #layout: Layout;
  readonly #stride: number;
  readonly #count: number;
  #region: Region | undefined;
  #bytes = new Uint8Array(0);
  #class: ViewClass | undefined;
  #next = 0;

  constructor(layout: Layout) {
    this.#layout = layout;
    // Slots start 16-aligned, as any member may need.
    this.#stride = Math.ceil(layout.size / 16) * 16;
    this.#count = layout.size <= SHARED_UP_TO_BYTES ? PER_BUFFER : 1;
  }

  /** Memory that nobody has had yet. */
  take(): Slot<T> {
    if (this.#region === undefined || this.#next === this.#count) this.#refill();
    const byteOffset = this.#next++ * this.#stride;
    const region = this.#region as Region;
    const View = this.#class as ViewClass;
    return { bytes: this.#bytes, byteOffset, view: () => new View(region, byteOffset) as unknown as T };
  }

  #refill(): void {
    const buffer = new ArrayBuffer(this.#stride * this.#count);
    this.#bytes = new Uint8Array(buffer);
    this.#region = inOrder(new Region(buffer, 0, buffer.byteLength, 0), this.#layout);
    this.#class ??= viewClass(this.#layout, this.#region.mode);
    this.#next = 0;
  }
}
