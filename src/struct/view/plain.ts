/** Values going out of memory as plain ones: objects, JSON, and what is shown. */
import type { FieldType } from "../declare/composite.ts";
import { type ConvertedType, type CType, isCType, type TypedArray } from "../declare/types.ts";
import { forValues, type Visitor, visit } from "../declare/visit.ts";
import { type Member, valueMembers } from "../layout/layout.ts";
import { isAttached, type Memory, Region } from "../memory/memory.ts";
import { seenFrom } from "../validation-error.ts";
import { ELEMENT, PLACE } from "./arrays.ts";
import type { AtomicValue } from "./atomic.ts";
import { checkArrayCost, checkCost, MAX_VALUES } from "./cost.ts";
import { ANEW, isView, LAYOUT, OFFSET, REGION, type View } from "./internals.ts";
import { carry, type Overlap, overlapsOf } from "./overlap.ts";

/**
 * What JSON has no form of its own for: bigints, typed arrays, and views with a member of the name toJSON. Others, and
 * `CArray`s, bring a toJSON.
 */
export function forJson(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (isView(value) && typeof (value as { toJSON?: unknown }).toJSON !== "function") return jsonOf(value);
  const isTypedArray = ArrayBuffer.isView(value) && Symbol.iterator in value && !("toJSON" in value);
  return isTypedArray ? Array.from(value as Iterable<unknown>, forJson) : value;
}

/** A struct for JSON.stringify, which asks the structs, arrays and atomics in it for theirs. */
export function jsonOf(view: View): Record<string, unknown> {
  checkCost(
    view,
    MAX_VALUES,
    (values) => `JSON.stringify(toObject(view, { maxValues: ${values} })) makes them`,
  );
  const source = view as unknown as Record<string, unknown>;
  return Object.fromEntries(valueMembers(view[LAYOUT]).map(({ name }) => [name, forJson(source[name])]));
}

/** A `CArray` for JSON.stringify. */
export function jsonOfArray(array: Iterable<unknown> & TypedElements): unknown[] {
  checkArrayCost(
    array[ELEMENT],
    array.length,
    MAX_VALUES,
    (values) => `JSON.stringify(toObject(array, { maxValues: ${values} })) makes them`,
  );
  return Array.from(array, forJson);
}

/** How the values of a struct are turned into plain ones. */
export interface PlainOptions {
  /** Stands for a value that cannot be read, such as an `asNumber` beyond 2^53; without it the error is thrown. */
  readonly unreadable?: (error: unknown) => unknown;
  /** Values of enums by their names, where they have one. */
  readonly labels?: boolean;
}

/** Text for a value that cannot be read. */
export const unreadable = (error: unknown): string =>
  `[${error instanceof Error ? error.message : String(error)}]`;

/** A copy of the view as plain objects and arrays. */
export function plainView(view: View, options: PlainOptions): Record<string, unknown> {
  const layout = view[LAYOUT];
  const overlaps = overlapsOf(layout);
  if (overlaps.length === 0 || layout.flexible) return plainMembers(view, valueMembers(layout), options);
  // All members from the same bytes, which others may be changing.
  const copy = privateCopy(view);
  const plain = plainMembers(copy, valueMembers(layout), options);
  for (const overlap of overlaps) carryBytes(plain, copy, overlap, options);
  return plain;
}

function privateCopy(view: View): View {
  const { [REGION]: region, [OFFSET]: start, [LAYOUT]: layout } = view;
  const bytes = region.bytes.slice(start, start + layout.size);
  return view[ANEW](new Region(bytes.buffer, 0, bytes.length, region.traits), 0);
}

function carryBytes(
  plain: object,
  copy: View,
  { holder, layout, names }: Overlap,
  options: PlainOptions,
): void {
  const { [REGION]: region, [LAYOUT]: outer } = copy;
  const start = holder?.offset ?? 0;
  carry(plain, holder?.name ?? "", {
    layout,
    littleEndian: region.littleEndian,
    bytes: region.bytes.slice(start, start + layout.size),
    decode: () =>
      plainMembers(
        copy,
        valueMembers(outer).filter(({ name }) => names.includes(name)),
        options,
      ),
  });
}

function plainMembers(
  view: View,
  members: readonly Member[],
  options: PlainOptions,
): Record<string, unknown> {
  const source = view as unknown as Record<string, unknown>;
  const { name: owner } = view[LAYOUT];
  const entries = members.map(({ name, type }) => {
    try {
      return [name, plainValue(type, () => source[name], options)];
    } catch (error) {
      // A nested struct knows nothing of where it is.
      throw seenFrom(type.kind === "struct" ? `${owner}.${name}` : owner, error);
    }
  });
  return Object.fromEntries(entries);
}

/** What to turn into a plain value; `read` gives it as a view does. */
interface Source {
  readonly read: () => unknown;
  readonly options: PlainOptions;
}

const plainOf: Visitor<unknown, Source> = {
  ...forValues((type, source) => labelled(type, source)),
  bits: ({ declared }, source) => labelled(declared, source),
  array: ({ element }, { read, options }) => plainArray(element, read() as Elements, options),
  struct: (_, { read, options }) => plainView(read() as View, options),
  atomic: ({ declared }, { read, options }) =>
    labelled(declared, { read: () => (read() as AtomicValue<unknown>).load(), options }),
};

function labelled(type: CType<unknown>, { read, options }: Source): unknown {
  const value = readOr(options.unreadable, read);
  return options.labels === true ? (labelOf(type, value) ?? value) : value;
}

/** The name of an enum's value. */
export const labelOf = (
  type: CType<unknown> & Partial<ConvertedType<unknown>>,
  value: unknown,
): string | undefined => type.labels?.get(value);

/** The value of a field of `type` as a plain one; `read` gives it as a view does. */
export const plainValue = (type: FieldType, read: () => unknown, options: PlainOptions): unknown =>
  visit(type, plainOf, { read, options });

export function plainArray(element: FieldType, array: Elements, options: PlainOptions): unknown[] {
  return Array.from({ length: array.length }, (_, i) => {
    try {
      return plainValue(element, () => array.at(i), options);
    } catch (error) {
      throw element.kind === "struct" ? seenFrom(`${array[PLACE]}[${i}]`, error) : error;
    }
  });
}

interface Elements {
  /** A typed array has none. */
  readonly [PLACE]?: string;
  readonly length: number;
  at(index: number): unknown;
}

/** What generated arrays say of themselves. */
export interface TypedElements extends Elements {
  readonly [ELEMENT]: FieldType;
}

/** Elements of an array that are shown; of a mapping of gigabytes not all are of interest. */
const MAX_SHOWN = 64;

/** What is shown of an array: its first elements, and how many more there are. */
function shownElements(length: number, at: (index: number) => unknown): unknown[] {
  const shown = Array.from({ length: Math.min(length, MAX_SHOWN) }, (_, i) => at(i));
  return length > MAX_SHOWN ? [...shown, `… ${length - MAX_SHOWN} more`] : shown;
}

/** The elements for showing them, which must not throw. */
export function readableElements(array: TypedElements, memory: Memory): unknown {
  if (!isAttached(memory)) return goneFor(array[PLACE]);
  return shownElements(array.length, (i) =>
    readableValue(
      readOr(unreadable, () => array.at(i)),
      array[ELEMENT],
    ),
  );
}

/**
 * What is shown of a value. What may lie in shared memory is not given to the runtime's functions, which trust that it
 * stays as it is: of typed arrays it is a copy.
 */
export function readableValue(value: unknown, type?: FieldType): unknown {
  const declared = type?.kind === "bits" ? type.declared : type;
  const label = declared !== undefined && isCType(declared) ? labelOf(declared, value) : undefined;
  if (label !== undefined) return shownAs(`${label} (${String(value)})`);
  if (!ArrayBuffer.isView(value) || value instanceof DataView) return value;
  const numbers = value as TypedArray;
  return numbers.length > MAX_SHOWN
    ? shownElements(numbers.length, (i) => numbers[i])
    : Uint8Array.prototype.slice.call(value);
}

/** Shown as this text, without quotes. */
const shownAs = (text: string): object => ({ [Symbol.for("nodejs.util.inspect.custom")]: () => text });

/** Shown instead of values that are gone, once and not for each. */
export const goneFor = (place: string | undefined): string =>
  `${place} (its memory was unmapped: the role or map was closed)`;

export function readOr(instead: PlainOptions["unreadable"], read: () => unknown): unknown {
  if (instead === undefined) return read();
  try {
    return read();
  } catch (error) {
    return instead(error);
  }
}
