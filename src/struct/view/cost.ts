/** What a copy of a struct as plain values costs, known before it is made. */
import type { FieldType } from "../declare/composite.ts";
import { forValues, type Visitor, visit } from "../declare/visit.ts";
import { type Layout, layoutOfClass, sizeOfType, typeName, valueMembers } from "../layout/layout.ts";
import { LAYOUT, OFFSET, REGION, type View } from "./internals.ts";

/** Some 8 MiB of numbers in arrays, and three times as much while they are made: 1024 × 1024 of them, and the arrays around. */
export const MAX_VALUES = 2 ** 20 + 2 ** 14;

/** An object, an array, a string or a bigint takes as much as so many numbers. */
const OBJECT_VALUES = 4;
/** So many bytes of text take as much as one number. */
const BYTES_A_VALUE = 8;

const known = new WeakMap<Layout, number>();

const costs: Visitor<number> = {
  ...forValues(({ size }) => OBJECT_VALUES + size / BYTES_A_VALUE),
  scalar: ({ inline }) => (inline.accessor.startsWith("Big") ? OBJECT_VALUES : 1),
  bits: () => 1,
  atomic: () => 1,
  array: ({ element, length }) => OBJECT_VALUES + (length ?? 0) * visit(element, costs),
  struct: ({ cls }) => costOf(layoutOfClass(cls)),
};

function costOf(layout: Layout): number {
  const cost =
    known.get(layout) ??
    valueMembers(layout).reduce((sum, { type }) => sum + visit(type, costs), OBJECT_VALUES);
  known.set(layout, cost);
  return cost;
}

/** The elements of a flexible array are counted in the memory that is there. */
function flexibleCost({ [LAYOUT]: layout, [REGION]: region, [OFFSET]: offset }: View): number {
  const last = layout.members.at(-1);
  if (!layout.flexible || last?.type.kind !== "array") return 0;
  const { element }: { readonly element: FieldType } = last.type;
  const count = Math.floor((region.byteLength - offset - last.offset) / sizeOfType(element));
  return count * visit(element, costs);
}

/**
 * Refuses to make more plain values than that of a struct: a file of a few bytes can describe gigabytes.
 * @param advice how to get them all the same
 * @throws RangeError
 */
export function checkCost(view: View, maxValues: number, advice: (values: number) => string): void {
  const { [LAYOUT]: layout } = view;
  refuseAbove(maxValues, costOf(layout) + flexibleCost(view), layout.name, advice);
}

/** Refuses to make more plain values than that of an array. @throws RangeError */
export function checkArrayCost(
  element: FieldType,
  length: number,
  maxValues: number,
  advice: (values: number) => string,
): void {
  const cost = OBJECT_VALUES + length * visit(element, costs);
  refuseAbove(maxValues, cost, `an array of ${length} ${typeName(element)}`, advice);
}

function refuseAbove(
  maxValues: number,
  cost: number,
  what: string,
  advice: (values: number) => string,
): void {
  const values = Math.ceil(cost);
  if (values <= maxValues) return;
  throw new RangeError(
    `${what} takes as much as ${values} numbers as a plain object, more than ${maxValues}; ${advice(values)}`,
  );
}
