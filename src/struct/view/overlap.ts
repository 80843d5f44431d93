/**
 * Unions as plain objects. Their members share bytes, and what one member shows need not be all that is there: a
 * number that is no text, text behind a NUL, the payload of a NaN. So a plain object of a union carries the bytes that
 * it was made from, out of sight, and copying it back stores those, and then the members that were changed since.
 * Where nothing is carried (JSON, an object written by hand) members that contradict each other are refused.
 */
import { type Layout, layoutOfClass, type Member, valueMembers } from "../layout/layout.ts";

/** The bytes of a union, or of an anonymous member that has one in it. */
export interface Carried {
  readonly layout: Layout;
  readonly littleEndian: boolean;
  readonly bytes: Uint8Array;
  /** What its members showed, decoded again: parts of the plain object may have been changed in place. */
  readonly decode: () => Readonly<Record<string, unknown>>;
}

/** By object, so that neither JSON nor a comparison sees it: by the name of the anonymous member, "" for the union. */
const carried = new WeakMap<object, ReadonlyMap<string, Carried>>();

/** Members of one struct that overlap: of a union itself, or those of an anonymous member. */
export interface Overlap {
  /** The anonymous member; none where the struct itself is the union. */
  readonly holder: Member | undefined;
  readonly layout: Layout;
  /** The names that its members have in the struct. */
  readonly names: readonly string[];
}

const overlaps = new WeakMap<Layout, readonly Overlap[]>();

/** True for a union, and for a struct with an anonymous one in it. */
const hasOverlap = (layout: Layout): boolean => layout.kind === "union" || overlapsOf(layout).length > 0;

/** The unions whose members are members of this struct. */
export function overlapsOf(layout: Layout): readonly Overlap[] {
  const known = overlaps.get(layout) ?? findOverlaps(layout);
  overlaps.set(layout, known);
  return known;
}

function findOverlaps(layout: Layout): Overlap[] {
  if (layout.kind === "union")
    return [{ holder: undefined, layout, names: valueMembers(layout).map(({ name }) => name) }];
  return layout.members.flatMap((holder): Overlap[] => {
    if (!holder.anonymous || holder.via !== undefined || holder.type.kind !== "struct") return [];
    const inner = layoutOfClass(holder.type.cls);
    if (!hasOverlap(inner)) return [];
    return [{ holder, layout: inner, names: valueMembers(inner).map(({ name }) => name) }];
  });
}

/** Remembers what a plain object was made from. */
export function carry(plain: object, key: string, what: Carried): void {
  const all = new Map(carried.get(plain));
  carried.set(plain, all.set(key, what));
}

/** What the plain object of a union was made from, if it is one of ours. */
export const carriedBy = (plain: object, key: string): Carried | undefined => carried.get(plain)?.get(key);
