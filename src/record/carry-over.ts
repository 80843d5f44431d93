/**
 * From the values of one struct to those of another: what happens to each field when a file gets a new struct. Fields of
 * one path and type are copied as bytes; others are converted where nothing is lost by it.
 */
import type { ArrayType, BitsType, FieldType } from "../struct/declare/composite.ts";
import type { Struct } from "../struct/declare/struct.ts";
import { type CType, schemaOfType } from "../struct/declare/types.ts";
import { type Layout, layoutOfClass, type Member, typeName, valueMembers } from "../struct/layout/layout.ts";
import { READ_ONLY, Region } from "../struct/memory/memory.ts";
import { schemaOf } from "../struct/schema/schema.ts";
import { Atomic } from "../struct/view/atomic.ts";
import { makeView } from "../struct/view/view.ts";

/**
 * What happens to a field: `"same"` bytes, `"converted"` without loss, `"new"` (zero), `"dropped"` (it was zero), or
 * `"lost"`: its value does not fit, or the new struct has no such field.
 * @example const fate: FieldFate = "converted";
 */
export type FieldFate = "same" | "converted" | "new" | "dropped" | "lost";

/** One field of a migration. @example { path: "pose.x", fate: "converted", detail: "c_float to c_double" } */
export interface MigratedField {
  /** Dotted path from the root struct, elements of arrays as `points[3].x`. */
  readonly path: string;
  readonly fate: FieldFate;
  /** Types and value, in words. */
  readonly detail: string;
}

/** A struct in private memory, or in memory that no other process sees. */
export interface StructMemory {
  readonly layout: Layout;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Carries the values over, and tells what happened to each field. Fields that are lost stay zero. */
export function carryOver(from: StructMemory, to: StructMemory): MigratedField[] {
  const fields: MigratedField[] = [];
  carryStruct({ ...from, byteOffset: 0 }, { ...to, byteOffset: 0 }, "", fields);
  return fields;
}

interface StructAt extends StructMemory {
  readonly byteOffset: number;
}

function carryStruct(from: StructAt, to: StructAt, prefix: string, fields: MigratedField[]): void {
  const [old, next] = [viewOf(from, true), viewOf(to, false)];
  for (const member of valueMembers(to.layout)) {
    const path = prefix + member.name;
    const before = valueMembers(from.layout).find(({ name }) => name === member.name);
    if (before === undefined) fields.push({ path, fate: "new", detail: typeName(member.type) });
    else
      carryMember(
        { place: from, member: before, view: old },
        { place: to, member, view: next },
        path,
        fields,
      );
  }
  for (const member of valueMembers(from.layout)) {
    if (valueMembers(to.layout).some(({ name }) => name === member.name)) continue;
    const isLost = !isZero({ place: from, member, view: old });
    const detail = isLost
      ? `the new struct has no such field; it holds ${shown(old[member.name])}`
      : "was zero";
    fields.push({ path: prefix + member.name, fate: isLost ? "lost" : "dropped", detail });
  }
}

type AnyView = Record<string, unknown>;

/** A member of a struct in memory. */
interface Slot {
  readonly place: StructAt;
  readonly member: Member;
  readonly view: AnyView;
}

const viewOf = ({ layout, bytes, byteOffset }: StructAt, readOnly: boolean): AnyView => {
  const region = new Region(bytes.buffer, bytes.byteOffset, bytes.byteLength, readOnly ? READ_ONLY : 0);
  return makeView<Struct>(layout, region, byteOffset) as unknown as AnyView;
};

function carryMember(from: Slot, to: Slot, path: string, fields: MigratedField[]): void {
  const [oldType, newType] = [from.member.type, to.member.type];
  if (isSameType(from, to)) {
    copyBytes(from, to);
    fields.push({ path, fate: "same", detail: typeName(newType) });
  } else if (oldType.kind === "struct" && newType.kind === "struct" && !isUnion(newType.cls)) {
    const [a, b] = [layoutOfClass(oldType.cls), layoutOfClass(newType.cls)];
    carryStruct(placeIn(from, a), placeIn(to, b), `${path}.`, fields);
  } else if (oldType.kind === "array" && newType.kind === "array") {
    carryArray({ ...from, type: oldType }, { ...to, type: newType }, path, fields);
  } else {
    const set = (value: unknown): void => {
      to.view[to.member.name] = value;
    };
    const get = (): unknown => plain(to.view[to.member.name]);
    const value = plain(from.view[from.member.name]);
    fields.push({ path, ...carryValue(value, { oldType, newType, get, set }) });
  }
}

const isUnion = (cls: Parameters<typeof layoutOfClass>[0]): boolean => layoutOfClass(cls).kind === "union";

const placeIn = ({ place, member }: Slot, layout: Layout): StructAt => ({
  layout,
  bytes: place.bytes,
  byteOffset: place.byteOffset + member.offset,
});

/** Of one spelling in the schema, and of one byte order. */
function isSameType(from: Slot, to: Slot): boolean {
  if (from.member.type.kind === "bits" || to.member.type.kind === "bits") return false;
  const spelling = ({ place: { layout }, member }: Slot): string =>
    JSON.stringify([schemaOf(layout).fields[member.name]?.type, layout.endian]);
  return from.member.size === to.member.size && spelling(from) === spelling(to);
}

function copyBytes(from: Slot, to: Slot): void {
  const start = from.place.byteOffset + from.member.offset;
  const bytes = from.place.bytes.subarray(start, start + from.member.size);
  to.place.bytes.set(bytes, to.place.byteOffset + to.member.offset);
}

interface ArraySlot extends Slot {
  readonly type: ArrayType;
}

interface Elements {
  readonly length: number;
  at(index: number): unknown;
}

/** Element by element, up to the shorter length; what is beyond it must be zero. */
function carryArray(from: ArraySlot, to: ArraySlot, path: string, fields: MigratedField[]): void {
  const [oldElement, newElement] = [from.type.element, to.type.element];
  const old = from.view[from.member.name] as Elements;
  const next = to.view[to.member.name] as Elements & { set(values: unknown[], offset: number): void };
  const count = Math.min(old.length, next.length);
  const [oldSize, newSize] = [from.member.size / old.length, to.member.size / next.length];
  const element = (slot: Slot, i: number, size: number, layout: Layout): StructAt => ({
    ...placeIn(slot, layout),
    byteOffset: slot.place.byteOffset + slot.member.offset + i * size,
  });
  const before = fields.length;
  for (let i = 0; i < count; i++) {
    const at = `${path}[${i}]`;
    if (oldElement.kind === "struct" && newElement.kind === "struct" && !isUnion(newElement.cls)) {
      const [a, b] = [layoutOfClass(oldElement.cls), layoutOfClass(newElement.cls)];
      carryStruct(element(from, i, oldSize, a), element(to, i, newSize, b), `${at}.`, fields);
    } else if (oldElement.kind === "array" || newElement.kind === "array" || newElement.kind === "struct") {
      fields.push({ path: at, fate: "lost", detail: `${typeName(oldElement)} to ${typeName(newElement)}` });
    } else {
      const set = (value: unknown): void => next.set([value], i);
      const get = (): unknown => plain(next.at(i));
      const done = carryValue(plain(old.at(i)), { oldType: oldElement, newType: newElement, get, set });
      if (done.fate === "lost") fields.push({ path: at, ...done });
    }
  }
  const start = from.place.byteOffset + from.member.offset + count * oldSize;
  const rest = from.place.bytes.subarray(start, start + (old.length - count) * oldSize);
  if (rest.some((byte) => byte !== 0))
    fields.push({
      path: `${path}[${count}]`,
      fate: "lost",
      detail: `the new array has ${next.length} elements`,
    });
  const isWhole = !fields.slice(before).some(({ fate }) => fate === "lost");
  if (isWhole)
    fields.push({ path, fate: "converted", detail: `${typeName(from.type)} to ${typeName(to.type)}` });
}

/** How one value is carried over. */
interface Conversion {
  readonly oldType: FieldType;
  readonly newType: FieldType;
  readonly set: (value: unknown) => void;
  readonly get: () => unknown;
}

function carryValue(value: unknown, conversion: Conversion): Pick<MigratedField, "fate" | "detail"> {
  const { oldType, newType } = conversion;
  const types = `${typeName(oldType)} to ${typeName(newType)}`;
  const zero = conversion.get();
  for (const candidate of candidates(value, conversion)) {
    try {
      conversion.set(candidate);
    } catch {
      continue;
    }
    if (isSameValue(conversion.get(), candidate)) return { fate: "converted", detail: types };
    conversion.set(zero);
  }
  return { fate: "lost", detail: `${shown(value)} does not fit (${types})` };
}

/** The forms that a value may have in the new type; enums go by their labels. */
function candidates(value: unknown, { oldType, newType }: Conversion): unknown[] {
  const [oldLabels, newLabels] = [labelsOf(oldType), labelsOf(newType)];
  if (oldLabels !== undefined && newLabels !== undefined) {
    const label = Object.keys(oldLabels).find((name) => oldLabels[name] === String(value));
    if (label !== undefined) {
      const next = newLabels[label];
      return next === undefined ? [] : [Number(next), BigInt(next)];
    }
  }
  if (typeof value === "bigint") return [value, Number(value)];
  if (typeof value === "boolean") return [value, Number(value), BigInt(value)];
  if (typeof value !== "number") return [value];
  const forms: unknown[] = [value];
  if (Number.isSafeInteger(value)) forms.push(BigInt(value));
  if (value === 0 || value === 1) forms.push(value === 1);
  return forms;
}

function labelsOf(type: FieldType): Readonly<Record<string, string>> | undefined {
  const base = type.kind === "bits" ? (type as BitsType).base : type;
  if (base.kind === "array" || base.kind === "struct" || base.kind === "atomic") return undefined;
  const schema = schemaOfType(base as CType<unknown>);
  return typeof schema === "object" && "labels" in schema ? schema.labels : undefined;
}

/** Atomics as what they hold. */
const plain = (value: unknown): unknown => (value instanceof Atomic ? value.load() : value);

function isSameValue(a: unknown, b: unknown): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  const isNumeric = (value: unknown): boolean => ["number", "bigint", "boolean"].includes(typeof value);
  // `==` compares a bigint with a number exactly.
  // biome-ignore lint/suspicious/noDoubleEquals: the two may be of different types
  return isNumeric(a) && isNumeric(b) && (a as number) == (b as number);
}

function isZero({ place, member, view }: Slot): boolean {
  if (member.type.kind === "bits") return Number(view[member.name]) === 0;
  const start = place.byteOffset + member.offset;
  return place.bytes.subarray(start, start + member.size).every((byte) => byte === 0);
}

const SHOWN_CHARACTERS = 40;

function shown(value: unknown): string {
  const known = plain(value);
  const isSingle = typeof known !== "object" && typeof known !== "string";
  const text = isSingle
    ? String(known)
    : JSON.stringify(known, (_, v) => (typeof v === "bigint" ? String(v) : v));
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
