/** Which bytes of a struct belong to a transaction: all but its atomics, which processes change without a lock. */
import { StructDefinitionError } from "../../errors/errors.ts";
import type { ArrayType, FieldType } from "../declare/composite.ts";
import { forValues, type Visitor, visit } from "../declare/visit.ts";
import { atomicAlignOf, type Layout, layoutOfClass, sizeOfType } from "./layout.ts";

/** Bytes from `start` up to, not including, `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Each is an object: a file whose atomics lie in more places would take all memory there is. */
const MAX_RANGES = 2 ** 20;

const known = new WeakMap<Layout, readonly Range[]>();

/**
 * The bytes of the struct's atomics, in order, those that touch each other as one range.
 * @throws StructDefinitionError when they are too many
 */
export function atomicRanges(layout: Layout): readonly Range[] {
  const ranges = known.get(layout) ?? findRanges(layout);
  known.set(layout, ranges);
  return ranges;
}

function findRanges({ name, members, atomicAlign }: Layout): Range[] {
  const found: Range[] = [];
  if (atomicAlign === 0) return found;
  for (const { type, offset, via } of members) {
    if (via === undefined) addMoved(found, rangesIn(type, name), offset);
    checkCount(found.length, name);
  }
  return joined(found);
}

/** Of the atomics in a type; `where` is for messages. */
const ranges: Visitor<readonly Range[], string> = {
  ...forValues(() => []),
  bits: () => [],
  array: rangesInArray,
  struct: ({ cls }) => atomicRanges(layoutOfClass(cls)),
  atomic: ({ integer }) => [{ start: 0, end: integer.size }],
};

const rangesIn = (type: FieldType, where: string): readonly Range[] =>
  atomicAlignOf(type) === 0 ? [] : visit(type, ranges, where);

function rangesInArray({ element, length }: ArrayType, where: string): Range[] {
  const inner = rangesIn(element, where);
  const size = sizeOfType(element);
  const count = length ?? 0;
  if (inner.length === 1 && inner[0]?.start === 0 && inner[0].end === size)
    return [{ start: 0, end: size * count }];
  checkCount(inner.length * count, where);
  const found: Range[] = [];
  for (let i = 0; i < count; i++) addMoved(found, inner, i * size);
  return joined(found);
}

function checkCount(count: number, where: string): void {
  if (count <= MAX_RANGES) return;
  throw new StructDefinitionError(
    `${where}: its atomics lie in more than ${MAX_RANGES} places; put them beside each other, in an array of their own`,
  );
}

function addMoved(to: Range[], ranges: readonly Range[], by: number): void {
  for (const { start, end } of ranges) to.push({ start: start + by, end: end + by });
}

/** Mostly they are so already, and sorting a million takes half a second. */
function inOrder(ranges: readonly Range[]): readonly Range[] {
  const isSorted = ranges.every(({ start }, i) => i === 0 || start >= (ranges[i - 1] as Range).start);
  return isSorted ? ranges : [...ranges].sort((a, b) => a.start - b.start);
}

/** The same bytes in order, with ranges that overlap or touch as one. */
export function joined(ranges: readonly Range[]): Range[] {
  const result: Range[] = [];
  for (const range of inOrder(ranges)) {
    const last = result.at(-1);
    if (last === undefined || range.start > last.end) result.push(range);
    else if (range.end > last.end) result[result.length - 1] = { start: last.start, end: range.end };
  }
  return result;
}

/** What lies between the ranges, up to `end`. Ranges may overlap, as the members of a union do. */
export function rangesBetween(ranges: readonly Range[], end: number): Range[] {
  const between: Range[] = [];
  let start = 0;
  for (const range of inOrder(ranges)) {
    if (range.start > start) between.push({ start, end: range.start });
    start = Math.max(start, range.end);
  }
  return start < end ? [...between, { start, end }] : between;
}
