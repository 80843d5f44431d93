/**
 * What one does with structs: functions rather than methods, so that no member name of a struct can collide.
 */
import { checkOptions } from "../errors/check-options.ts";
import { StructDefinitionError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import type { StructClass } from "./declare/composite.ts";
import { Struct } from "./declare/struct.ts";
import type { CheckedPath, Init, MemberNames, Plain, PlainValue } from "./declare/type-utils.ts";
import { bytesFor, bytesOfInit, flexibleMember } from "./layout/flexible.ts";
import { type Layout, layoutOfClass, traitsOf, valueMembers } from "./layout/layout.ts";
import { AT_START, assertAttached, FRESH, isAttached, READ_ONLY, Region } from "./memory/memory.ts";
import { isShared, type MemorySource, memorySource } from "./memory/source.ts";
import { type MemberSchema, type StructSchema, schemaOf } from "./schema/schema.ts";
import { CArray, ELEMENT } from "./view/arrays.ts";
import { checkArrayCost, checkCost, MAX_VALUES } from "./view/cost.ts";
import { isView, LAYOUT, OFFSET, REGION, type View } from "./view/internals.ts";
import { resolvePath } from "./view/path.ts";
import {
  goneFor,
  jsonOf,
  plainArray,
  plainView,
  readableValue,
  readOr,
  type TypedElements,
  unreadable,
} from "./view/plain.ts";
import { isSameStruct } from "./view/same-struct.ts";
import { assignView } from "./view/values.ts";
import { makeView, sourceOf } from "./view/view.ts";

/**
 * Size of a struct in bytes, trailing padding included, as C's `sizeof`; a flexible array counts nothing.
 * @throws StructDefinitionError for what is no struct class, or a class that cannot be laid out
 * @example sizeof(Point2D)   // 16
 */
export const sizeof = (cls: StructClass): number => layoutOfClass(cls).size;

/**
 * Alignment of a struct in bytes, as C's `_Alignof`.
 * @throws StructDefinitionError for what is no struct class, or a class that cannot be laid out
 * @example alignof(Point2D)   // 8
 */
export const alignof = (cls: StructClass): number => layoutOfClass(cls).align;

/**
 * Offset of a member in bytes, as C's `offsetof`; for a bit-field that of the byte its first bit is in.
 * @example offsetof(Robot, "path.3.x")
 * @throws TypeError for a path that does not exist, RangeError for an index beyond its array, StructDefinitionError
 * for a class that cannot be laid out
 */
export const offsetof = <T extends Struct, P extends string>(
  cls: StructClass<T>,
  path: CheckedPath<T, P>,
): number => resolvePath(layoutOfClass(cls), path).offset;

/**
 * The layout as frozen plain data, offsets and sizes in bytes. It can be stored as JSON and given to
 * `structFromSchema`. Members of anonymous members are found by their names, too, but not listed.
 * @throws StructDefinitionError for what is no struct class, or a class that cannot be laid out
 * @example layoutOf(Point2D).fields.y.offset   // 8
 */
export const layoutOf = <T extends Struct>(
  cls: StructClass<T>,
): StructSchema & { readonly fields: { readonly [K in MemberNames<T>]: MemberSchema } } =>
  schemaOf(layoutOfClass(cls)) as never;

/**
 * The generated source of a struct's accessors, as a view in private memory has them: to read, or to look for what is
 * slow. The text may be another one in each version of the library.
 * @throws StructDefinitionError for what is no struct class, or a class that cannot be laid out
 * @example console.log(viewSource(Point2D))
 */
export function viewSource(cls: StructClass): string {
  const layout = layoutOfClass(cls);
  return sourceOf(layout, traitsOf(layout, AT_START));
}

/**
 * A struct in private memory, all zero but for what `init` gives.
 * @param options.length elements of the flexible array that it ends in. Default: as many as `init` gives
 * @example const p = create(Point2D, { x: 1 })
 * @example const packet = create(Packet, { kind: 1 }, { length: 512 })
 * @throws StructDefinitionError for a class that cannot be laid out and a length where there is no flexible array,
 * TypeError or RangeError that names the member for a value in `init`, TypeError for an option there is not
 */
export function create<T extends Struct>(
  cls: StructClass<T>,
  init?: Init<T>,
  options: { readonly length?: number | undefined } = {},
): T {
  checkOptions("create", options, { length: "number" });
  const layout = layoutOfClass(cls);
  const byteLength =
    options.length === undefined ? bytesOfInit(layout, init) : bytesFor(layout, options.length);
  const view = viewAt(cls, new Region(new ArrayBuffer(byteLength), 0, byteLength, 0), 0);
  if (init !== undefined) assignView(view as unknown as View, init);
  return view;
}

/**
 * Memory that a view can lie on, a `MemoryMap` included.
 * @example (memory: BufferSource) => viewOf(Robot, memory).speed
 */
export type BufferSource = ArrayBufferLike | ArrayBufferView<ArrayBufferLike> | MemorySource;

/**
 * How `viewOf` lays a struct over memory.
 * @example viewOf(Frame, map, { byteOffset: 64, fresh: false })
 */
export interface ViewOptions {
  /** Bytes from the start of the memory. Default 0. */
  readonly byteOffset?: number | undefined;
  /** Elements of the flexible array that the struct ends in. Default: as many as the memory holds. */
  readonly length?: number | undefined;
  /**
   * Whether every read looks at the memory again, so that a loop sees what another process or thread stores. Default:
   * true on mapped memory (a `MemoryMap`, its bytes, a `SharedMemory`) and on a SharedArrayBuffer, false on others. On
   * mapped memory false is for loops that hold a lock: reads then cost 0.3 to 0.6 ns less.
   */
  readonly fresh?: boolean | undefined;
}

/**
 * A struct over memory you have: an ArrayBuffer, SharedArrayBuffer, typed array, DataView, Buffer or `MemoryMap`. On
 * a read-only `MemoryMap` the struct refuses stores. Any alignment will do, but for atomics. A flexible array at the
 * end has as many elements as the memory behind it holds. On mapped and shared memory the view is *fresh*: a loop
 * sees what others store.
 * @param at bytes from the start of `buffer`, or options
 * @throws RangeError when `buffer` is too short or `byteOffset` no whole number from 0 on, TypeError when it is no
 * memory and for an option there is not, StructDefinitionError for a class that cannot be laid out
 * @example const header = viewOf(PacketHeader, socketData, 14)
 */
export function viewOf<T extends Struct>(
  cls: StructClass<T>,
  buffer: BufferSource,
  at: number | ViewOptions = 0,
): T {
  const layout = layoutOfClass(cls);
  const memory = memoryOf(buffer);
  const { byteOffset = 0, length, fresh = isShared(memory.buffer) } = viewOptions(at);
  if (!Number.isSafeInteger(byteOffset) || byteOffset < 0)
    throw new RangeError(`viewOf: byteOffset must be a whole number from 0 on, got ${show(byteOffset)}`);
  const room = memory.byteLength - byteOffset;
  const size = length === undefined ? layout.size : bytesFor(layout, length);
  if (size > room)
    throw new RangeError(
      `viewOf: ${layout.name} takes ${size} bytes from ${byteOffset} on, but there are ${memory.byteLength}`,
    );
  const traits = (memory.readOnly === true ? READ_ONLY : 0) | (fresh ? FRESH : 0);
  const end = length === undefined ? room : size;
  // The struct at the very beginning of its region: that is the faster place.
  return viewAt(cls, new Region(memory.buffer, memory.byteOffset + byteOffset, end, traits), 0);
}

function viewOptions(at: number | ViewOptions): ViewOptions {
  if (typeof at !== "object") return { byteOffset: at };
  checkOptions("viewOf", at, { byteOffset: "any", length: "number", fresh: "boolean" }, true);
  return at;
}

interface MemorySpan {
  buffer: ArrayBufferLike;
  byteOffset: number;
  byteLength: number;
  readOnly?: boolean;
}

/** A browser page may have no SharedArrayBuffer. */
const isBuffer = (source: unknown): source is ArrayBufferLike =>
  source instanceof ArrayBuffer ||
  (typeof SharedArrayBuffer !== "undefined" && source instanceof SharedArrayBuffer);

function memoryOf(source: BufferSource): MemorySpan {
  if (ArrayBuffer.isView(source)) return source;
  if (isBuffer(source)) return { buffer: source, byteOffset: 0, byteLength: source.byteLength };
  if (typeof source?.[memorySource] === "function") return source[memorySource]();
  throw new TypeError(
    `viewOf: expected an ArrayBuffer, a SharedArrayBuffer or a view on one, got ${show(source)}`,
  );
}

/** The view of a class in a region, in the region's traits. */
export function viewAt<T extends Struct>(cls: StructClass<T>, region: Region, byteOffset: number): T {
  return makeView(layoutOfClass(cls), region, byteOffset);
}

function asView(value: unknown, where: string): View {
  if (isView(value)) return value;
  throw new TypeError(`${where}: expected a struct made by create, viewOf or a role, got ${show(value)}`);
}

/**
 * How `toObject` copies.
 * @example toObject(robot, { labels: true }).mode   // "Run"
 */
export interface ObjectOptions {
  /**
   * How many numbers the copy may have; an object, an array, a string or a bigint counts as 4, and 8 bytes of text as 1.
   * Default 2^20 + 2^14: 1024 rows of 1024 numbers fit.
   */
  readonly maxValues?: number | undefined;
  /** Values of enums by their names, where they have one: to show them, not to assign them. */
  readonly labels?: boolean | undefined;
}

/**
 * A copy as plain objects and arrays, of a struct or a `CArray`; atomics as their value, 64-bit integers as bigint.
 * @param options how many values it may have (a file of a few bytes can describe gigabytes), and names of enums
 * @throws TypeError for what is no struct and for memory that was unmapped, RangeError for an `asNumber` beyond 2^53 and
 * for a struct with more values
 * @example toObject(create(Point2D, { x: 1 }))   // { x: 1, y: 0 }
 * @example console.table(toObject(robot.path))
 */
export function toObject<T extends Struct>(view: T, options?: ObjectOptions): Plain<T>;
export function toObject<T>(array: CArray<T>, options?: ObjectOptions): PlainValue<T>[];
export function toObject(given: Struct | CArray<unknown>, options: ObjectOptions = {}): unknown {
  checkOptions("toObject", options, { maxValues: "number", labels: "boolean" });
  const { labels = false, maxValues = MAX_VALUES } = options;
  const advice = (what: string) => (values: number) =>
    `toObject(${what}, { maxValues: ${values} }) makes them`;
  if (given instanceof CArray) {
    const array = given as CArray<unknown> & TypedElements;
    checkArrayCost(array[ELEMENT], array.length, maxValues, advice("array"));
    return plainArray(array[ELEMENT], array, { labels });
  }
  const known = asView(given, "toObject");
  checkCost(known, maxValues, advice("view"));
  return plainView(known, { labels });
}

/**
 * Sets the given members, nested ones too: all of them, or none when one is refused.
 * Members that are not given stay as they are; another struct gives its members, never its padding.
 * @throws TypeError or RangeError that names the member; the struct is then unchanged. TypeError on a Reader's
 * memory, for what is no struct and for memory that was unmapped
 * @example assign(robot, { speed: 2, pose: { x: 1 } })
 */
export function assign<T extends Struct>(view: T, init: Init<T>): T {
  assignView(asView(view, "assign"), init);
  return view;
}

/**
 * The bytes of a struct: a Uint8Array over the same memory, or a copy where that memory is read-only (a stray store
 * there would kill the process). As long as the struct, padding included, or up to the end of its flexible array. In
 * a file whose struct is a larger one that padding may hold members: change single bytes, do not `fill` them.
 * @throws TypeError for what is no struct and for memory that was unmapped
 * @example socket.write(bytesOf(header));
 */
export function bytesOf(view: Struct): Uint8Array {
  const { [REGION]: region, [OFFSET]: offset, [LAYOUT]: layout } = asView(view, "bytesOf");
  const length = layout.flexible ? endOf(layout, view) : layout.size;
  const bytes = new Uint8Array(region.buffer, region.byteOffset + offset, length);
  region.willStore(offset, length);
  return region.readOnly ? bytes.slice() : bytes;
}

/** Bytes up to the end of the flexible array, or of the memory where it ends in text. */
function endOf(layout: Layout, view: object): number {
  const { [REGION]: region, [OFFSET]: start } = view as View;
  const { name, offset, type } = flexibleMember(layout);
  const value = (view as Record<string, unknown>)[name];
  if (type.kind === "struct") return offset + endOf(layoutOfClass(type.cls), value as object);
  if (type.kind !== "array") return region.byteLength - start;
  const { length } = value as { readonly length: number };
  return type.count === undefined ? region.byteLength - start : bytesFor(layout, length);
}

/**
 * True when two structs of one class hold the same values: padding does not count, 0 equals -0 and NaN equals NaN.
 * @throws TypeError for what is no struct and for memory that was unmapped
 * @example equals(reader.snapshot(), before)
 */
export function equals(a: Struct, b: Struct): boolean {
  const [left, right] = [asView(a, "equals"), asView(b, "equals")];
  for (const view of [left, right]) assertAttached(view[REGION]);
  if (left[LAYOUT] !== right[LAYOUT]) return false;
  return isSameStruct(left, right);
}

const registry = new Map<string, StructClass>();

/**
 * Makes struct classes known by name, so that a role takes the name instead of the class (IPMMAP's
 * `setUserStructs`). Takes module namespaces, arrays or classes; exports that are no structs are passed over.
 * @returns the classes that it found
 * @throws StructDefinitionError when two different classes have one name, one cannot be laid out, or nothing in it
 * is a struct class; TypeError for what cannot hold any
 * @example import * as structs from "./structs.ts"; loadStructs(structs); new Reader("Robot")
 */
export function loadStructs(...modules: readonly object[]): StructClass[] {
  for (const module of modules) checkModule(module);
  const found = modules
    .flatMap((module) => (typeof module === "function" ? [module] : Object.values(module)))
    .filter(isStructClass);
  if (found.length === 0) throw new StructDefinitionError("loadStructs: no struct class among the exports");
  for (const cls of found) {
    const { name } = layoutOfClass(cls);
    const known = registry.get(name);
    if (known !== undefined && known !== cls)
      throw new StructDefinitionError(
        `loadStructs: two different classes are named ${name}; give one another with @struct({ name })`,
      );
    registry.set(name, cls);
  }
  return found;
}

function checkModule(module: unknown): void {
  if (typeof module === "function" || (typeof module === "object" && module !== null)) return;
  throw new TypeError(
    `loadStructs: expected modules, arrays or struct classes, as in loadStructs(await import("./structs.ts")), got ${show(module)}`,
  );
}

const isStructClass = (value: unknown): value is StructClass =>
  typeof value === "function" &&
  value.prototype instanceof Struct &&
  hasFields(value as unknown as StructClass);

/** An abstract base without fields is a legitimate export, but nothing to load. */
function hasFields(cls: StructClass): boolean {
  try {
    return layoutOfClass(cls).members.length > 0;
  } catch (error) {
    if (error instanceof StructDefinitionError && error.message.includes("has no fields")) return false;
    throw error;
  }
}

/** The class loaded under a name. @throws StructDefinitionError when it is missing */
export function structByName(name: string): StructClass {
  const cls = registry.get(name);
  if (cls !== undefined) return cls;
  const known = [...registry.keys()].join(", ") || "none";
  throw new StructDefinitionError(
    `no struct class named ${JSON.stringify(name)} is loaded (loaded: ${known}); call loadStructs(module) first`,
  );
}

// JSON.stringify and console.log see the fields, unless the user's class brings its own. Both may meet the
// prototype of a class, which is no view.
Object.defineProperty(Struct.prototype, "toJSON", {
  value(this: Struct) {
    return isView(this) ? jsonOf(this) : this;
  },
  writable: true,
  configurable: true,
});
Object.defineProperty(Struct.prototype, Symbol.for("nodejs.util.inspect.custom"), {
  value(this: Struct) {
    if (!isView(this)) return Object.create(null);
    return isGone(this) ? goneFor(this[LAYOUT].name) : inspectable(this);
  },
  writable: true,
  configurable: true,
});

/**
 * A view as text, as by JavaScript's own rules, but a member of the name toString or valueOf is no method: then the text
 * names the class.
 */
Object.defineProperty(Struct.prototype, Symbol.toPrimitive, {
  value(this: Record<string, unknown>, hint: string) {
    for (const name of hint === "string" ? ["toString", "valueOf"] : ["valueOf", "toString"]) {
      const method = this[name];
      const value: unknown = typeof method === "function" ? method.call(this) : this;
      if (typeof value !== "object" || value === null) return value;
    }
    return `[object ${isView(this) ? this[LAYOUT].name : "Struct"}]`;
  },
  writable: true,
  configurable: true,
});

/** The prototype of generated views has a layout, but no memory that could be gone. */
const isGone = (view: View): boolean =>
  readOr(
    () => false,
    () => !isAttached(view[REGION]),
  ) as boolean;

/** The fields as own properties of an object that is named like the struct. */
function inspectable(view: View): object {
  const { name } = view[LAYOUT];
  const Named = class {};
  // Bun's console looks at the one, node:util at the other.
  for (const key of ["displayName", "name"]) Object.defineProperty(Named, key, { value: name });
  const source = view as unknown as Record<string, unknown>;
  const fields = valueMembers(view[LAYOUT]);
  // Showing a struct must not throw, even when a value cannot be read.
  const entries = fields.map((m) => [
    m.name,
    readableValue(
      readOr(unreadable, () => source[m.name]),
      m.type,
    ),
  ]);
  return Object.assign(new Named(), Object.fromEntries(entries));
}
