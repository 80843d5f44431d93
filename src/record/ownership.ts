/** Who owns parts of a struct: the fields of type `owner()`, and the owners whose locks the kernel keeps. */
import { Owners } from "../segment/owners.ts";
import { ownersPath } from "../segment/place.ts";
import type { FieldType } from "../struct/declare/composite.ts";
import { forValues, type Visitor, visit } from "../struct/declare/visit.ts";
import { type Layout, layoutOfClass, sizeOfType } from "../struct/layout/layout.ts";
import type { Trust } from "../sys/trust.ts";
import type { RecordContent } from "./record-content.ts";

/** Where the owner fields of a type are, in bytes from its start. */
const offsets: Visitor<readonly number[]> = {
  ...forValues(() => []),
  bits: () => [],
  atomic: ({ isOwner }) => (isOwner ? [0] : []),
  struct: ({ cls }) => ownerOffsets(layoutOfClass(cls)),
  array({ element, length }) {
    const inner = offsetsIn(element);
    const size = sizeOfType(element);
    const elements = inner.length === 0 ? 0 : (length ?? 0);
    return Array.from({ length: elements }, (_, i) => inner.map((offset) => offset + i * size)).flat();
  },
};

const offsetsIn = (type: FieldType): readonly number[] => visit(type, offsets);

const known = new WeakMap<Layout, readonly number[]>();

function ownerOffsets(layout: Layout): readonly number[] {
  const found =
    known.get(layout) ??
    layout.members
      .filter(({ via }) => via === undefined)
      .flatMap(({ type, offset }) => offsetsIn(type).map((inner) => offset + inner));
  known.set(layout, found);
  return found;
}

/** What one role owns. Opened by the first claim, and given back with `close()` or the process. */
export class Ownership {
  readonly #owners: Owners;
  /** The number of this owner. */
  readonly id: number;

  /** @throws TooManyOwnersError, UntrustedFileError, SystemError */
  constructor(content: RecordContent, layout: Layout, trust: Trust) {
    const { path, mode } = content.file;
    this.#owners = new Owners(ownersPath(path), mode, trust);
    try {
      this.id = this.#become(content, ownerOffsets(layout));
    } catch (error) {
      this.#owners.close();
      throw error;
    }
  }

  /** A number that no field names yet, if there is one: else what its dead owner had is freed first. */
  #become({ file: { words } }: RecordContent, fields: readonly number[]): number {
    const named = new Set(fields.map((offset) => words[offset / 4]));
    const id = this.#owners.claim(process.pid, (owner) => !named.has(owner));
    for (const offset of fields) Atomics.compareExchange(words, offset / 4, id, 0);
    return id;
  }

  /** Whether the owner of that number lives. */
  isAlive(id: number): boolean {
    if (id === 0) return false;
    if (id === this.id) return true;
    if (!this.#owners.tryLock(id)) return true;
    this.#owners.unlock(id);
    return false;
  }

  /** Makes a field ours if it is free or its owner is dead. @returns whether it is ours now */
  claim(words: Int32Array, index: number): boolean {
    const holder = Atomics.compareExchange(words, index, 0, this.id);
    if (holder === 0 || holder === this.id) return true;
    // With its lock held a dead owner's number cannot become a living one's meanwhile.
    if (!this.#owners.tryLock(holder)) return false;
    try {
      return Atomics.compareExchange(words, index, holder, this.id) === holder;
    } finally {
      this.#owners.unlock(holder);
    }
  }

  /** Frees a field that is ours. @returns whether it was */
  free(words: Int32Array, index: number): boolean {
    return Atomics.compareExchange(words, index, this.id, 0) === this.id;
  }

  close(): void {
    this.#owners.close();
  }
}
