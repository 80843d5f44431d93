/** Which bytes of a struct belong to a transaction: all but its atomics, which processes change without a lock. */
import { ArrayType, AtomicType, type FieldType, StructType } from "./composite.ts";
import { type Layout, layoutOfClass, sizeOfType } from "./layout.ts";

/** Bytes from `start` up to, not including, `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The bytes of the struct's atomics, in order. */
export function atomicRanges(layout: Layout, base = 0): Range[] {
  if (layout.atomicAlign === 1) return [];
  return layout.members
    .filter((member) => member.via === undefined)
    .flatMap(({ type, offset }) => rangesIn(type, base + offset));
}

function rangesIn(type: FieldType, start: number): Range[] {
  if (type instanceof AtomicType) return [{ start, end: start + type.integer.size }];
  if (type instanceof StructType) return atomicRanges(layoutOfClass(type.cls), start);
  if (!(type instanceof ArrayType) || rangesIn(type.element, 0).length === 0) return [];
  const size = sizeOfType(type.element);
  return Array.from({ length: type.length ?? 0 }, (_, i) => rangesIn(type.element, start + i * size)).flat();
}

/** What lies between the ranges, up to `end`. Ranges may overlap, as the members of a union do. */
export function rangesBetween(ranges: readonly Range[], end: number): Range[] {
  const between: Range[] = [];
  let start = 0;
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    if (range.start > start) between.push({ start, end: range.start });
    start = Math.max(start, range.end);
  }
  return start < end ? [...between, { start, end }] : between;
}
