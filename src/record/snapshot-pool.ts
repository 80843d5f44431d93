/** Private memory for snapshots: several share one buffer, as allocating one costs more than the copy. */
import { show } from "../errors/show.ts";
import type { Struct } from "../struct/declare/struct.ts";
import { type Layout, modeOf } from "../struct/layout/layout.ts";
import { Region } from "../struct/memory/memory.ts";
import { isView, LAYOUT, REGION, type View } from "../struct/view/internals.ts";
import { type ViewClass, viewClass } from "../struct/view/view.ts";

/** Bytes of one buffer, which lives as long as any snapshot in it. Larger structs get one each. */
const BUFFER_BYTES = 32768;

/** Memory that holds nothing but snapshots. */
class SnapshotMemory extends Region {}

export class SnapshotPool<T extends Struct> {
  readonly #layout: Layout;
  readonly #stride: number;
  readonly #count: number;
  #memory: SnapshotMemory | undefined;
  #class: ViewClass | undefined;
  #next = 0;

  constructor(layout: Layout) {
    this.#layout = layout;
    // Snapshots start 16-aligned, as any member may need.
    this.#stride = Math.ceil(layout.size / 16) * 16;
    this.#count = Math.max(1, Math.floor(BUFFER_BYTES / this.#stride));
  }

  /** A struct in memory that nobody has had yet. */
  take(): T & View {
    if (this.#memory === undefined || this.#next === this.#count) this.#refill();
    const byteOffset = this.#next++ * this.#stride;
    return new (this.#class as ViewClass)(this.#memory as Region, byteOffset) as T & View;
  }

  /** An earlier snapshot, to be overwritten. @throws TypeError for anything else, which may be shared memory */
  again(snapshot: T): T & View {
    if (isView(snapshot) && snapshot[LAYOUT] === this.#layout && snapshot[REGION] instanceof SnapshotMemory)
      return snapshot;
    throw new TypeError(
      `snapshot(into): expected an earlier snapshot of ${this.#layout.name}, got ${show(snapshot)}`,
    );
  }

  #refill(): void {
    const mode = modeOf(this.#layout, 0);
    const byteLength = this.#stride * this.#count;
    this.#memory = new SnapshotMemory(new ArrayBuffer(byteLength), 0, byteLength, mode);
    this.#class ??= viewClass(this.#layout, mode);
    this.#next = 0;
  }
}
