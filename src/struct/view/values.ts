/**
 * Values going in and out of memory as a whole: assignment checks everything first and then stores, so a bad
 * value anywhere leaves the memory as it was.
 */

import type { ArrayType, FieldType } from "../declare/composite.ts";
import { isOpenText } from "../declare/text.ts";
import { isCType, isNumeric, type TypedArray, typedArrays, valueClassOf } from "../declare/types.ts";
import { forValues, type Visitor, visit } from "../declare/visit.ts";
import {
  atomicAlignOf,
  inOrder,
  inOrderOf,
  isFlexible,
  type Layout,
  layoutOfClass,
  type Member,
  sizeOfType,
  typeName,
  valueMembers,
} from "../layout/layout.ts";
import { copyMembers } from "../layout/member-bytes.ts";
import { assertAttached, Region } from "../memory/memory.ts";
import {
  at,
  itHas,
  outOfRange,
  rangeRefusal,
  readOnlyHere,
  typeRefusal,
  wrongType,
} from "../validation-error.ts";
import { PLACE } from "./arrays.ts";
import { AtomicValue } from "./atomic.ts";
import { checkBits, isBitMember, writeBits } from "./bits.ts";
import { isView, LAYOUT, OFFSET, REGION, type View } from "./internals.ts";
import { carriedBy, type Overlap, overlapsOf } from "./overlap.ts";
import { isSame } from "./same-value.ts";

declare const PREPARED: unique symbol;
/** A checked value in the form that `store` takes; only `prepare` and `store` know which for which type. */
type Prepared = { readonly [PREPARED]: true };

/** Members to store. */
type PreparedMembers = readonly (readonly [Member, Prepared])[];
/** Or the bytes of a struct of the same class, and what of it stands behind them. */
type PreparedStruct = { readonly bytes: Uint8Array; readonly rest: PreparedMembers } | PreparedMembers;

/** What a value is checked against besides its type. */
interface Room {
  readonly value: unknown;
  readonly region: Region;
  /** Bytes from the start of the region to where it is to be stored; what takes the rest of the memory asks. */
  readonly base: number;
}

const preparing: Visitor<unknown, Room> = {
  ...forValues((type, { value }) => type.check(value)),
  text: (type, { value, region, base }) =>
    isOpenText(type) ? type.checkIn(value, region.byteLength - base) : type.check(value),
  bits: (type, { value }) => checkBits(type, value),
  array: (type, { value, region, base }) => prepareArray(type, value, region, base),
  struct: ({ cls }, { value, region, base }) => prepareStruct(layoutOfClass(cls), value, region, base),
  atomic: (type, { value }) => type.check(value instanceof AtomicValue ? value.load() : value),
};

/**
 * Checks `value` for a field of `type`.
 * @throws TypeError, RangeError
 */
const prepare = (type: FieldType, room: Room): Prepared => visit(type, preparing, room) as Prepared;

/** Where a prepared value goes. */
interface Target {
  readonly region: Region;
  readonly byteOffset: number;
  readonly value: Prepared;
}

const storing: Visitor<void, Target> = {
  ...forValues((type, { region, byteOffset, value }) => {
    region.willStore(byteOffset, type.size);
    type.write(region, byteOffset, value);
  }),
  text: (type, { region, byteOffset, value }) => {
    region.willStore(byteOffset, isOpenText(type) ? region.byteLength - byteOffset : type.size);
    type.write(region, byteOffset, value as unknown as string);
  },
  // Only its member knows where in the struct it lies.
  bits: () => {},
  array: ({ element }, { region, byteOffset, value }) =>
    storeArray(element, region, byteOffset, value as unknown as PreparedArray),
  struct: ({ cls }, { region, byteOffset, value }) =>
    storeStruct(layoutOfClass(cls), region, byteOffset, value as unknown as PreparedStruct),
  atomic: (type, { region, byteOffset, value }) =>
    void new AtomicValue(region, byteOffset, type).store(type.decode(value as unknown as number)),
};

/** Stores what `prepare` returned for the same type. */
const store = (type: FieldType, target: Target): void => visit(type, storing, target);

/** A misaligned atomic would be refused in the middle of storing, when others are stored already. */
function checkAlignment(align: number, region: Region, byteOffset: number): void {
  if (align === 0 || (region.byteOffset + byteOffset) % align === 0) return;
  throw rangeRefusal(
    `atomics must be aligned to their ${align} bytes; this memory begins ${(region.byteOffset + byteOffset) % align} bytes off`,
  );
}

/** `view.member = value`, for the members that generated code does not store inline. */
export function storeMember(
  layout: Layout,
  member: Member,
  region: Region,
  base: number,
  value: unknown,
): void {
  assertAttached(region);
  let checked: PreparedMembers;
  try {
    checkAlignment(atomicAlignOf(member.type), region, base + member.offset);
    checked = withCounts(layout, [[member, prepareMember(member, value, region, base)]], region, base);
  } catch (error) {
    throw at(`${layout.name}.${member.name}`, error);
  }
  for (const [stored, prepared] of checked) writeMember(stored, region, base, prepared);
}

const prepareMember = (member: Member, value: unknown, region: Region, base: number): Prepared =>
  prepare(member.type, { value, region: inOrderOf(region, member), base: base + member.offset });

function writeMember(member: Member, region: Region, base: number, value: Prepared): void {
  if (isBitMember(member)) writeBits(member, region, base, value as unknown as number);
  else store(member.type, { region: inOrderOf(region, member), byteOffset: base + member.offset, value });
}

/**
 * The same members, and behind them those that count the elements of the flexible arrays among them: a whole array
 * sets its count. One that is given as well must agree.
 */
function withCounts(layout: Layout, members: PreparedMembers, region: Region, base: number): PreparedMembers {
  const counts = members.flatMap(([{ type }, value]): PreparedMembers => {
    if (type.kind !== "array" || type.count === undefined) return [];
    const holder = layout.byName.get(type.count) as Member;
    const elements = value as unknown as PreparedArray;
    return [[holder, prepareCount(holder, countOf(type.element, elements), region, base)]];
  });
  if (counts.length === 0) return members;
  const given = members.filter(([member, value]) => {
    const count = counts.find(([holder]) => holder === member);
    if (count !== undefined && count[1] !== value)
      throw at(
        `.${member.name}`,
        outOfRange(`${String(count[1])}, the number of elements that are given`, value),
      );
    return count === undefined;
  });
  return [...given, ...counts];
}

/** The number of elements as a value of the member that holds it. */
function prepareCount(holder: Member, count: number, region: Region, base: number): Prepared {
  try {
    return prepareMember(holder, takesBigInt(holder.type) ? BigInt(count) : count, region, base);
  } catch (error) {
    throw at(`.${holder.name}`, error);
  }
}

function takesBigInt(type: FieldType): boolean {
  if (type.kind === "bits") return type.values === "bigint";
  return isCType(type) && valueClassOf(type) === BigInt;
}

/** Assigns the members of `init` to the view: all, or none when one of them is refused. */
export function assignView(view: View, init: unknown): void {
  const layout = view[LAYOUT];
  const region = view[REGION];
  assertAttached(region);
  if (region.readOnly) throw readOnlyHere(layout.name);
  let checked: PreparedStruct;
  try {
    checkAlignment(layout.atomicAlign, region, view[OFFSET]);
    checked = prepareStruct(layout, init, region, view[OFFSET]);
  } catch (error) {
    throw at(layout.name, error);
  }
  storeStruct(layout, region, view[OFFSET], checked);
}

function prepareStruct(layout: Layout, value: unknown, region: Region, base: number): PreparedStruct {
  if (isView(value)) return prepareView(layout, value, region, base);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongType(`an object with members of ${layout.name}`, value);
  }
  const names = Object.keys(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  // A Map or a Date has no members of its own and would be a silent no-op.
  if (names.length === 0 && prototype !== Object.prototype && prototype !== null)
    throw wrongType(`an object with members of ${layout.name}`, value);
  return prepareObject(layout, names, value, region, base);
}

/** Of an object whose members may overlap in memory. */
function prepareObject(
  layout: Layout,
  names: string[],
  source: object,
  region: Region,
  base: number,
): PreparedStruct {
  const exact: [Member, Prepared][] = [];
  const done = new Set<string>();
  for (const overlap of overlapsOf(layout)) {
    const given = names.filter((name) => overlap.names.includes(name));
    if (given.length < 2) continue;
    const copy = prepareCarried(overlap, given, source, region, base);
    if (copy === undefined) assertConsistent(layout, given, source, region, base);
    else if (overlap.holder === undefined) return copy;
    else {
      exact.push([overlap.holder, copy as unknown as Prepared]);
      for (const name of given) done.add(name);
    }
  }
  const others = names.filter((name) => !done.has(name));
  return [...exact, ...prepareMembers(layout, others, source, region, base)];
}

/**
 * The bytes that a whole plain object of a union was made from, and what was changed in it since; undefined when it
 * does not carry them, or only some of its members are given.
 */
function prepareCarried(
  { holder, layout, names }: Overlap,
  given: readonly string[],
  source: object,
  region: Region,
  base: number,
): PreparedStruct | undefined {
  const carried = carriedBy(source, holder?.name ?? "");
  if (carried === undefined || given.length < names.length) return undefined;
  const isSameForm =
    carried.layout === layout && carried.littleEndian === inOrder(region, layout).littleEndian;
  if (!isSameForm) return undefined;
  const before = carried.decode();
  const changed = given.filter((name) => !isSame(before[name], (source as Record<string, unknown>)[name]));
  const start = base + (holder?.offset ?? 0);
  return { bytes: carried.bytes, rest: prepareMembers(layout, changed, source, region, start) };
}

/**
 * Members that overlap may be given together only if they say the same: the last one would silently win.
 * @throws RangeError
 */
function assertConsistent(
  layout: Layout,
  given: readonly string[],
  source: object,
  region: Region,
  base: number,
): void {
  const bounded = given.filter((name) => !isFlexible((layout.byName.get(name) as Member).type));
  const members = prepareMembers(layout, bounded, source, region, base);
  const trial = new Region(new ArrayBuffer(layout.size), 0, layout.size, inOrder(region, layout).traits);
  const storeAll = (some: PreparedMembers) => {
    for (const [member, value] of some) writeMember(member, trial, 0, value);
  };
  storeAll(members);
  const together = trial.bytes.slice();
  for (const one of members) {
    storeAll([one]);
    if (isSame(together, trial.bytes)) continue;
    throw at(
      `.${one[0].name}`,
      rangeRefusal(
        `it shares its bytes with ${bounded.filter((name) => name !== one[0].name).join(", ")}, which say something else: give one of them, or copy the struct itself (assign and create take structs, and what toObject and get made of them)`,
      ),
    );
  }
}

/** Of a struct of the same class, or of one derived from it, the bytes: they need not be values one could store. */
function prepareView(layout: Layout, value: View, region: Region, base: number): PreparedStruct {
  const { [LAYOUT]: own, [REGION]: source } = value;
  const isSame = own === layout || own.cls.prototype instanceof layout.cls;
  const members = valueMembers(isSame ? layout : own);
  if (!isSame || source.littleEndian !== inOrder(region, layout).littleEndian)
    return prepareObject(layout, namesOf(members), value, region, base);
  const bytes = copyOf(value, layout.size);
  if (!layout.flexible) return { bytes, rest: [] };
  const flexible = members.filter(({ type }) => isFlexible(type)).slice(0, 1);
  return { bytes, rest: prepareMembers(layout, namesOf(flexible), value, region, base) };
}

const namesOf = (members: readonly Member[]): string[] => members.map(({ name }) => name);

const copyOf = ({ [REGION]: { bytes }, [OFFSET]: start }: View, byteLength: number): Uint8Array =>
  bytes.slice(start, start + byteLength);

function prepareMembers(
  layout: Layout,
  names: readonly string[],
  source: object,
  region: Region,
  base: number,
): PreparedMembers {
  const members = names.map((name) => {
    const member = layout.byName.get(name);
    if (member === undefined)
      throw typeRefusal(`has no member ${JSON.stringify(name)}; ${itHas(layout.members)}`);
    try {
      return [
        member,
        prepareMember(member, (source as Record<string, unknown>)[name], region, base),
      ] as const;
    } catch (error) {
      throw at(`.${name}`, error);
    }
  });
  return withCounts(layout, members, region, base);
}

function storeStruct(layout: Layout, region: Region, base: number, value: PreparedStruct): void {
  const memory = inOrder(region, layout);
  const isCopy = "bytes" in value;
  if (isCopy) {
    memory.willStore(base, layout.size);
    copyMembers(layout, memory.littleEndian, { source: value.bytes, target: region.bytes, shift: base });
  }
  for (const [member, checked] of isCopy ? value.rest : value) writeMember(member, memory, base, checked);
}

/** Numbers of the right typed array are kept as a copy of their bytes; everything else value by value. */
type PreparedArray = { readonly numbers: Uint8Array } | readonly Prepared[];

function prepareArray(type: ArrayType, value: unknown, region: Region, base: number): PreparedArray {
  const { element, count: counted } = type;
  const length = type.length ?? roomFor(element, region, base);
  const expected = `an iterable of ${counted === undefined ? "" : "at most "}${length} ${typeName(element)}`;
  if (!isIterable(value)) throw wrongType(expected, value);
  const elements = prepareElements(element, value, region, length);
  const count = countOf(element, elements);
  const fits = counted === undefined ? count === length : count <= length;
  if (fits) return elements;
  throw rangeRefusal(
    `expected ${expected}, got ${count > length ? "more than" : "only"} ${Math.min(count, length)}${roomHint(type, length)}`,
  );
}

/** Elements of a flexible array: as many as the memory behind its struct holds. */
export const roomFor = (element: FieldType, region: Region, byteOffset: number): number =>
  Math.max(0, Math.floor((region.byteLength - byteOffset) / sizeOfType(element)));

/** A flexible array without room mostly comes from memory that is as long as the struct alone. */
const roomHint = ({ length, element }: ArrayType, room: number): string =>
  length === null && room === 0
    ? `; the memory ends where the array begins: create(Cls, init, { length }) and viewOf(Cls, new ArrayBuffer(sizeof(Cls) + n * ${sizeOfType(element)})) have room for it`
    : "";

const isIterable = (value: unknown): value is Iterable<unknown> =>
  typeof value === "object" && value !== null ? Symbol.iterator in value : typeof value === "string";

/** Checks the elements of `values`, reading at most one more than `limit` of them; `first` is for messages. */
function prepareElements(
  element: FieldType,
  values: Iterable<unknown>,
  region: Region,
  limit: number,
  first = 0,
): PreparedArray {
  if (isSameNumbers(element, values)) return { numbers: copyOfNumbers(values, limit + 1) };
  const result: Prepared[] = [];
  try {
    for (const value of values) {
      if (result.length > limit) break;
      result.push(prepare(element, { value, region, base: 0 }));
    }
  } catch (error) {
    throw at(`[${first + result.length}]`, error);
  }
  return result;
}

/** A typed array of the very element type needs no check: it can hold nothing else. */
function isSameNumbers(element: FieldType, values: unknown): values is TypedArray {
  return isNumeric(element) && values instanceof typedArrays[element.inline.accessor];
}

/** Not the array's own `slice`, which a Buffer, for one, has replaced by one that shares the memory. */
const copyOfNumbers = (values: TypedArray, atMost: number): Uint8Array => {
  const byteLength = Math.min(values.length, atMost) * values.BYTES_PER_ELEMENT;
  return new Uint8Array(values.buffer, values.byteOffset, byteLength).slice();
};

function storeArray(element: FieldType, region: Region, base: number, value: PreparedArray): void {
  const size = sizeOfType(element);
  if (!("numbers" in value)) {
    for (const [i, checked] of value.entries())
      store(element, { region, byteOffset: base + i * size, value: checked });
    return;
  }
  if (!region.littleEndian && size > 1) reverseEach(value.numbers, size);
  region.willStore(base, value.numbers.length);
  region.bytes.set(value.numbers, base);
}

/** Turns the bytes of each element around, in a copy that is ours. */
function reverseEach(bytes: Uint8Array, size: number): void {
  for (let start = 0; start < bytes.length; start += size) bytes.subarray(start, start + size).reverse();
}

/** `array.set(values, offset)` */
export function storeElements(
  element: FieldType,
  region: Region,
  base: number,
  length: number,
  values: unknown,
  offset: number,
  array: { readonly [PLACE]: string },
): void {
  assertAttached(region);
  let elements: PreparedArray;
  try {
    if (!isIterable(values)) throw wrongType(`an iterable of ${typeName(element)}`, values);
    if (!Number.isInteger(offset) || offset < 0 || offset > length) {
      throw outOfRange(`an index from 0 to ${length}`, offset);
    }
    checkAlignment(atomicAlignOf(element), region, base);
    elements = prepareElements(element, values, region, length - offset, offset);
    const count = countOf(element, elements);
    if (offset + count > length)
      throw rangeRefusal(
        `expected at most ${length - offset} values from index ${offset} on (the array has ${length})`,
      );
  } catch (error) {
    throw at(array[PLACE], error);
  }
  storeArray(element, region, base + offset * sizeOfType(element), elements);
}

/** `array.fill(value)` */
export function fillArray(
  element: FieldType,
  region: Region,
  base: number,
  length: number,
  value: unknown,
  array: { readonly [PLACE]: string },
): void {
  assertAttached(region);
  let checked: Prepared;
  try {
    checkAlignment(atomicAlignOf(element), region, base);
    checked = prepare(element, { value, region, base: 0 });
  } catch (error) {
    throw at(array[PLACE], error);
  }
  const size = sizeOfType(element);
  region.willStore(base, length * size);
  for (let i = 0; i < length; i++) store(element, { region, byteOffset: base + i * size, value: checked });
}

const countOf = (element: FieldType, elements: PreparedArray): number =>
  "numbers" in elements ? elements.numbers.byteLength / sizeOfType(element) : elements.length;
