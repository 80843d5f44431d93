/** Private memory for snapshots: each has its own, which its owner may transfer or keep. */
import { show } from "../errors/show.ts";
import type { Struct } from "../struct/declare/struct.ts";
import { type Layout, modeOf } from "../struct/layout/layout.ts";
import { Region } from "../struct/memory/memory.ts";
import { isView, LAYOUT, REGION, type View } from "../struct/view/internals.ts";
import { makeView } from "../struct/view/view.ts";

/** Memory that holds nothing but a snapshot. */
class SnapshotMemory extends Region {
  readonly copied: Uint8Array;

  constructor(layout: Layout) {
    super(new ArrayBuffer(layout.size), 0, layout.size, modeOf(layout, 0));
    this.copied = new Uint8Array(this.buffer);
  }
}

export class Snapshots<T extends Struct> {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** A struct in memory of its own. */
  make(): T & View {
    return makeView<T>(this.#layout, new SnapshotMemory(this.#layout), 0) as T & View;
  }

  /** An earlier snapshot, to be overwritten. @throws TypeError for anything else, which may be shared memory */
  again(snapshot: T): T & View {
    const isOurs = isView(snapshot) && snapshot[LAYOUT] === this.#layout;
    if (isOurs && snapshot[REGION] instanceof SnapshotMemory) return snapshot;
    throw new TypeError(
      `snapshot(into): expected an earlier snapshot of ${this.#layout.name}, got ${show(snapshot)}`,
    );
  }

  /** The bytes of a snapshot that `make` or `again` gave. */
  bytesOf({ [REGION]: memory }: View): Uint8Array {
    return (memory as SnapshotMemory).copied;
  }
}
