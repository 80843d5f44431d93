/** Private memory for snapshots: each has its own, which its owner may transfer or keep. */
import { show } from "../errors/show.ts";
import type { Struct } from "../struct/declare/struct.ts";
import { type Layout, traitsOf } from "../struct/layout/layout.ts";
import { AT_START, BIG_ENDIAN, OWN, Region } from "../struct/memory/memory.ts";
import { mayBeOwn, OwnRegion } from "../struct/memory/own-region.ts";
import { LAYOUT, REGION, type View } from "../struct/view/internals.ts";
import { makeView, type ViewClass, viewClass } from "../struct/view/view.ts";

/** Memory that holds nothing but a snapshot, where `OwnRegion` cannot. */
class SnapshotMemory extends Region {
  constructor(layout: Layout) {
    super(new ArrayBuffer(layout.size), 0, layout.size, traitsOf(layout, 0));
  }
}

export class Snapshots<T extends Struct> {
  readonly #layout: Layout;
  readonly #isOwn: boolean;
  /** Looked up once: that takes a third of the time of a snapshot. */
  #View: ViewClass | undefined;

  constructor(layout: Layout) {
    this.#layout = layout;
    this.#isOwn = mayBeOwn(layout.size) && (traitsOf(layout, 0) & BIG_ENDIAN) === 0;
  }

  /** A struct in memory of its own. */
  make(): T & View {
    const layout = this.#layout;
    if (!this.#isOwn) return makeView<T>(layout, new SnapshotMemory(layout), 0) as T & View;
    this.#View ??= viewClass(layout, OWN | AT_START);
    return new this.#View(new OwnRegion(layout.size, 0), 0) as T & View;
  }

  /** An earlier snapshot, to be overwritten. @throws TypeError for anything else, which may be shared memory */
  again(snapshot: T): T & View {
    const view = snapshot as T & View;
    const isOurs = typeof view === "object" && view !== null && view[LAYOUT] === this.#layout;
    if (isOurs && isSnapshotMemory(view[REGION])) return view;
    throw new TypeError(
      `snapshot(into): expected an earlier snapshot of ${this.#layout.name}, got ${show(snapshot)}`,
    );
  }
}

const isSnapshotMemory = (region: Region): boolean =>
  region instanceof OwnRegion || region instanceof SnapshotMemory;

/** The memory of a snapshot in whole words, where it is of its own. */
export const cellsOf = ({ [REGION]: region }: View): Int32Array | undefined =>
  region instanceof OwnRegion ? region.cells : undefined;

/** The bytes of a snapshot. */
export const bytesOf = ({ [REGION]: region }: View): Uint8Array => region.bytes;
