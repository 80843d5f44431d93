/**
 * VIEW: from a layout to a class whose accessors go straight to the bytes. The class is generated as source, one
 * per layout and mode, because closures shared between classes go megamorphic (30 times slower once twenty
 * struct classes are alive). Its prototype inherits from the user's class, so methods and `instanceof` hold,
 * while the user's constructor never runs.
 *
 * Names from a class or a schema enter the source only as JSON strings, so no name can break out of it.
 */

import { ArrayType, AtomicType, type FieldType, StructType } from "../declare/composite.ts";
import type { Struct } from "../declare/struct.ts";
import {
  type CType,
  type Inline,
  isNumeric,
  isOwnType,
  isScalar,
  type ScalarType,
  typedArrays,
} from "../declare/types.ts";
import { inOrder, type Layout, layoutOfClass, type Member, modeOf, sizeOfType } from "../layout/layout.ts";
import { BARRIER_SOURCE, barrierWord } from "../memory/barrier.ts";
import { AT_START, BIG_ENDIAN, FRESH, READ_ONLY, Region } from "../memory/memory.ts";
import { at, readOnlyHere, unreadableAt } from "../validation-error.ts";
import { CArray, normalIndex, type Owner, PLACE, placeOf } from "./arrays.ts";
import { Atomic } from "./atomic.ts";
import { readBits } from "./bits.ts";
import { LAYOUT, OFFSET, REGION, type View } from "./internals.ts";
import { fillArray, forJson, readableElements, storeElements, storeMember } from "./values.ts";

export type ViewClass = new (region: Region, byteOffset: number) => View;
type ArrayClass = new (
  region: Region,
  byteOffset: number,
  length: number,
  owner: Owner,
  row: number,
) => CArray<unknown>;

const viewClasses = new WeakMap<Layout, (ViewClass | undefined)[]>();
const arrayClasses = new WeakMap<FieldType, (ArrayClass | undefined)[]>();

/** The class of views with this layout and mode (see memory.ts), generated at its first use. */
export function viewClass(layout: Layout, mode: number): ViewClass {
  return cached(viewClasses, layout, mode, () => new Generator(layout.name, mode).viewClass(layout));
}

/** A view of `layout` at `byteOffset` of the region, in the region's mode. */
export function makeView<T extends Struct>(layout: Layout, region: Region, byteOffset: number): T {
  const memory = inOrder(region, layout);
  const mode = byteOffset === 0 ? memory.mode | AT_START : memory.mode;
  return new (viewClass(layout, mode))(memory, byteOffset) as unknown as T;
}

function cached<K extends object, V>(
  cache: WeakMap<K, (V | undefined)[]>,
  key: K,
  mode: number,
  make: () => V,
): V {
  const perMode = cache.get(key) ?? [];
  const known = perMode[mode] ?? make();
  perMode[mode] = known;
  cache.set(key, perMode);
  return known;
}

const arrayClass = (element: FieldType, mode: number): ArrayClass =>
  cached(arrayClasses, element, mode, () => new Generator("array", mode).arrayClass(element));

/** Elements of a flexible array: as many as the memory behind it holds. */
const flexibleLength = (region: Region, byteOffset: number, size: number): number =>
  Math.max(0, Math.floor((region.byteLength - byteOffset) / size));

/** More composite members than this are not kept in slots of the view, which would make every view large. */
const MAX_SLOTS = 16;

/** Writes the source of one class. */
class Generator {
  readonly name: string;
  readonly #constants: unknown[] = [];
  readonly #littleEndian: boolean;
  readonly #readOnly: boolean;
  readonly #fresh: boolean;
  /** The region's mode, without AT_START. */
  readonly mode: number;
  /** What stands before an offset in the source. */
  readonly #start: string;

  constructor(name: string, mode: number) {
    this.name = name;
    this.mode = mode & ~AT_START;
    this.#start = this.mode === mode ? "this.#o + " : "";
    this.#littleEndian = (mode & BIG_ENDIAN) === 0;
    this.#readOnly = (mode & READ_ONLY) !== 0;
    this.#fresh = (mode & FRESH) !== 0;
  }

  viewClass(layout: Layout): ViewClass {
    const slots: string[] = [];
    const accessors = layout.members.map((member) => this.#accessors(layout, member, slots));
    const source = `
      #r; #d; #o; ${slots.map((slot) => `${slot};`).join(" ")}
      constructor(r, o) { this.#r = r; this.#d = r.view; this.#o = o; }
      get [${this.#constant(REGION)}]() { return this.#r; }
      get [${this.#constant(OFFSET)}]() { return this.#o; }
      ${accessors.join("\n")}`;
    const View = this.#evaluate<ViewClass>(source);
    Object.setPrototypeOf(View.prototype, layout.cls.prototype);
    Object.defineProperty(View.prototype, LAYOUT, { value: layout });
    // So that `view.constructor` is the user's class, as instanceof suggests.
    Object.defineProperty(View.prototype, "constructor", {
      value: layout.cls,
      writable: true,
      configurable: true,
    });
    return View;
  }

  arrayClass(element: FieldType): ArrayClass {
    const size = sizeOfType(element);
    const read = (index: string) => this.#read(element, `this.#o + ${index} * ${size}`, `this, ${index}`);
    const type = this.#constant(element);
    const place = `this[${this.#constant(PLACE)}]`;
    const isPlain = isScalar(element) || !("check" in element);
    const readOne = isPlain ? `return ${read("i")};` : this.#guarded(read("i"), `${place} + "[" + i + "]"`);
    const store = (name: string, parameters: string, body: string) =>
      `${name}(${parameters}) { ${this.#readOnly ? `${this.#constant(refuseArray)}(${place})` : body}; }`;
    // Once the compiler knows that i is an integer, two unsigned numbers take one comparison, not two. Only of single
    // bytes there may be so many elements that a negative index, unsigned, is one of them.
    const isOutside = size > 1 ? "i >>> 0 >= this.#n >>> 0" : "i < 0 || i >= this.#n";
    const source = `
      #r; #d; #o; #n; #w; #i;
      constructor(r, o, n, w, i) { this.#r = r; this.#d = r.view; this.#o = o; this.#n = n; this.#w = w; this.#i = i; }
      get [${this.#constant(PLACE)}]() { return ${this.#constant(placeOf)}(this.#w, this.#i); }
      get length() { return this.#n; }
      at(i) { if ((i | 0) !== i || ${isOutside}) i = ${this.#constant(normalIndex)}(i, this.#n, this); ${readOne} }
      *[Symbol.iterator]() { for (let i = 0; i < this.#n; i++) yield ${isPlain ? read("i") : "this.at(i)"}; }
      ${store("set", "values, offset = 0", `${this.#constant(storeElements)}(${type}, this.#r, this.#o, this.#n, values, offset, this)`)}
      ${store("fill", "value", `${this.#constant(fillArray)}(${type}, this.#r, this.#o, this.#n, value, this); return this`)}
      toJSON() { return Array.from(this, ${this.#constant(forJson)}); }
      [Symbol.for("nodejs.util.inspect.custom")]() { return ${this.#constant(readableElements)}(this, this.#r); }`;
    const Class = this.#evaluate<ArrayClass>(source);
    Object.setPrototypeOf(Class.prototype, CArray.prototype);
    Object.defineProperty(Class.prototype, "constructor", {
      value: CArray,
      writable: true,
      configurable: true,
    });
    return Class;
  }

  #evaluate<C>(body: string): C {
    // Constants come in by position; B is the barrier's word.
    const names = this.#constants.map((_, i) => `k${i}`);
    const make = new Function("B", ...names, `"use strict"; return class { ${body} };`);
    const Class = make(barrierWord, ...this.#constants) as C & object;
    Object.defineProperty(Class, "name", { value: this.name });
    return Class;
  }

  /** The name under which the source reaches a value. */
  #constant(value: unknown): string {
    const known = this.#constants.indexOf(value);
    return `k${known >= 0 ? known : this.#constants.push(value) - 1}`;
  }

  #accessors(layout: Layout, member: Member, slots: string[]): string {
    // A string, not a computed key, which would take half as long again to define.
    const key = JSON.stringify(member.name);
    if (member.via !== undefined) {
      const inner = `this[${JSON.stringify(member.via)}][${key}]`;
      return `get ${key}() { return ${inner}; } set ${key}(v) { ${inner} = v; }`;
    }
    return `get ${key}() { ${this.#getter(layout, member, slots)} }
      set ${key}(v) { ${this.#readOnly ? `${this.#constant(refuseWrite)}(${this.#constant(layout)}, ${JSON.stringify(member.name)})` : this.#setter(layout, member)}; }`;
  }

  #getter(layout: Layout, member: Member, slots: string[]): string {
    const { type, bits } = member;
    const value = bits
      ? this.#readBits(member)
      : this.#read(
          type,
          `${this.#start}${member.offset}`,
          `${JSON.stringify(`${layout.name}.${member.name}`)}, 0`,
        );
    const isComposite = type instanceof StructType || type instanceof ArrayType || type instanceof AtomicType;
    if (!isComposite && !isScalar(type))
      return this.#guarded(value, JSON.stringify(`${layout.name}.${member.name}`));
    if (!isComposite || slots.length >= MAX_SLOTS) return `return ${value};`;
    const slot = `#s${slots.length}`;
    slots.push(slot);
    // A typed array over unmapped memory would quietly read as undefined; touching the DataView throws instead.
    const alive = type instanceof ArrayType ? "this.#d.byteLength;" : "";
    const barrier = this.#fresh ? `${BARRIER_SOURCE};` : "";
    return `${alive}${barrier} const s = this.${slot}; return s === undefined ? this.${slot} = ${value} : s;`;
  }

  /** Returns a value that its type may refuse to show; the message then names the place. */
  #guarded(value: string, place: string): string {
    return `try { return ${value}; } catch (e) { throw ${this.#constant(unreadableAt)}(${place}, e, this.#r); }`;
  }

  /** An expression that reads a value of `type` at `offset`; `owner` tells an array where it stands. */
  #read(type: FieldType, offset: string, owner: string): string {
    if (type instanceof StructType) {
      const layout = layoutOfClass(type.cls);
      const mode = modeOf(layout, this.mode);
      const region = mode === this.mode ? "this.#r" : "this.#r.swapped";
      return `new ${this.#constant(viewClass(layout, mode))}(${region}, ${offset})`;
    }
    if (type instanceof ArrayType) return this.#readArray(type, offset, owner);
    if (type instanceof AtomicType)
      return `new ${this.#constant(Atomic)}(this.#r, ${offset}, ${this.#constant(type.integer)}, ${owner})`;
    const value = isScalar(type) ? this.#readInline(type.inline, offset) : this.#readValue(type, offset);
    return this.#fresh ? `(${BARRIER_SOURCE}, ${value})` : value;
  }

  /** What somebody else's type hands out may be the memory itself, through which a store would kill the process. */
  #readValue(type: CType<unknown>, offset: string): string {
    const known = this.#constant(type);
    return this.#readOnly && !isOwnType(type)
      ? `${this.#constant(readCopy)}(${known}, this.#r, ${offset})`
      : `${known}.read(this.#r, ${offset})`;
  }

  #readInline({ accessor, boolean }: Inline, offset: string): string {
    const value = `this.#d.get${accessor}(${offset}, ${this.#littleEndian})`;
    return boolean ? `${value} !== 0` : value;
  }

  #readArray({ element, length }: ArrayType, offset: string, owner: string): string {
    const size = sizeOfType(element);
    const count = length ?? `${this.#constant(flexibleLength)}(this.#r, ${offset}, ${size})`;
    const general = `new ${this.#constant(arrayClass(element, this.mode))}(this.#r, ${offset}, ${count}, ${owner})`;
    if (!isNumeric(element) || this.#readOnly || !this.#littleEndian) return general;
    const TypedArray = this.#constant(typedArrays[element.inline.accessor]);
    const aligned = `(this.#r.byteOffset + ${offset}) % ${size} === 0`;
    return `${aligned} ? new ${TypedArray}(this.#r.buffer, this.#r.byteOffset + ${offset}, ${count}) : ${general}`;
  }

  #setter(layout: Layout, member: Member): string {
    const { type, bits, name } = member;
    const place = `${this.#start}${member.offset}`;
    if (bits === undefined && isScalar(type)) return this.#storeInline(layout, name, type, place);
    if (bits === undefined && "write" in type) return this.#storeValue(`${layout.name}.${name}`, type, place);
    return `${this.#constant(storeMember)}(${this.#constant(layout)}, ${this.#constant(member)}, this.#r, this.#o, v)`;
  }

  #storeInline(layout: Layout, name: string, type: ScalarType<unknown, unknown>, place: string): string {
    const { accessor, refuses, boolean } = type.inline;
    const refuse = `${this.#constant(refuseValue)}(${this.#constant(layout)}, ${JSON.stringify(name)}, ${this.#constant(type)}, v)`;
    return `if (${refuses("v")}) ${refuse}; this.#d.set${accessor}(${place}, ${boolean ? "v ? 1 : 0" : "v"}, ${this.#littleEndian})`;
  }

  /** Text, and types of one's own; through `storeMember` it would take half as long again. */
  #storeValue(where: string, type: CType<unknown>, place: string): string {
    const known = this.#constant(type);
    const refuse = `throw ${this.#constant(at)}(${JSON.stringify(where)}, error)`;
    return `this.#d.byteLength; let c; try { c = ${known}.check(v); } catch (error) { ${refuse}; } ${known}.write(this.#r, ${place}, c)`;
  }

  #readBits(member: Member): string {
    const value = `${this.#constant(readBits)}(${this.#constant(member)}, this.#r, this.#o)`;
    return this.#fresh ? `(${BARRIER_SOURCE}, ${value})` : value;
  }
}

/** What a type makes of a private copy of a field's bytes. */
function readCopy(type: CType<unknown>, region: Region, byteOffset: number): unknown {
  const copy = new Uint8Array(region.bytes.subarray(byteOffset, byteOffset + type.size));
  return type.read(new Region(copy.buffer, 0, type.size, region.mode & BIG_ENDIAN), 0);
}

/** Out of line, so that accessors stay small enough to be inlined. */
function refuseValue(layout: Layout, name: string, type: CType<unknown>, value: unknown): never {
  try {
    type.check(value);
  } catch (error) {
    throw at(`${layout.name}.${name}`, error);
  }
  throw new TypeError(`${layout.name}.${name}: ${type.name} refuses this value`);
}

function refuseWrite(layout: Layout, name: string): never {
  throw readOnlyHere(`${layout.name}.${name}`);
}

function refuseArray(place: string): never {
  throw readOnlyHere(place);
}
