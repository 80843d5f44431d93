/**
 * Arrays over shared memory whose elements no typed array can stand for: structs, text, rows, and numbers on
 * read-only, packed or byte-swapped memory. Only what is here is fixed; `at`, iteration and stores are generated
 * per element type (view.ts), so that access to elements compiles to what the hand would write.
 */
import { type ScalarType, type TypedArray, typedArrays } from "../declare/types.ts";
import { bytesBackend } from "../memory/bytes-backend.ts";
import type { Region } from "../memory/memory.ts";
import { at, outOfRange, rangeRefusal } from "../validation-error.ts";

declare const OF: unique symbol;

/** What generated code provides. */
interface Generated {
  readonly [PLACE]: string;
  readonly length: number;
  at(index: number): unknown;
  set(values: Iterable<unknown>, offset?: number): void;
}

/** `3`, but also `-1` and `1.5`: what a number becomes as a property key. No member of an array is called so. */
const isNumeric = (key: string | symbol): key is string =>
  typeof key === "string" && String(Number(key)) === key;

const isIndex = (index: number, length: number): boolean =>
  Number.isInteger(index) && index >= 0 && index < length;

/** @internal The index that a key spells, -1 for any other key: by its digits, as a loop over `[i]` comes here each time. */
export function indexOfKey(key: string): number {
  const { length } = key;
  if (length > 15 || length === 0 || (length > 1 && key.charCodeAt(0) === ZERO)) return -1;
  let index = 0;
  for (let i = 0; i < length; i++) {
    const digit = key.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    index = index * 10 + digit;
  }
  return index;
}

const ZERO = 48;

/** Behind the prototypes of all arrays: only keys that nothing else answers get here, so `[i]` costs no other access. */
const indexer = new Proxy(Object.prototype, {
  get(target, key, receiver: Generated) {
    const index = typeof key === "string" ? indexOfKey(key) : -1;
    if (index < 0) return Reflect.get(target, key, receiver);
    return index < receiver.length ? receiver.at(index) : undefined;
  },
  set(_target, key, value, receiver: Generated) {
    if (!isNumeric(key))
      throw new TypeError(`${receiver[PLACE]} has elements only, no ${String(key)} to store to`);
    const index = Number(key);
    const { length } = receiver;
    // For set() the end of the array is an offset like others.
    if (!isIndex(index, length)) throw at(receiver[PLACE], noElement(index, length));
    receiver.set([value], index);
    return true;
  },
});

/**
 * A fixed number of elements in shared memory. Elements that are structs or rows are views on the same memory.
 * Assigning (`array[3] = …`, `set`, or to the whole field) checks every value first and is all or nothing. Stores
 * throw TypeError for a value of another kind, on a Reader's memory and once the memory is unmapped, RangeError for
 * a value that does not fit and beyond the array; reads throw TypeError once the memory is unmapped.
 * @example for (const point of data.points) console.log(point.x);   data.points.at(-1).y = 2;
 */
export abstract class CArray<T> implements Iterable<T> {
  /** Only for the compiler. */
  declare readonly [OF]?: T;
  /** The element, undefined beyond the end. `at(index)` is faster. */
  [index: number]: T;
  /** Elements. */
  abstract readonly length: number;
  /**
   * The element at `index`, counted from the end when negative.
   * @throws RangeError beyond the array and for what is no whole number, TypeError once the memory is unmapped
   * @example data.points.at(-1).x
   */
  abstract at(index: number): T;
  /**
   * Stores `values` from element `offset` on, or nothing at all when it throws.
   * @param offset elements, 0 unless given
   * @throws TypeError for what is no iterable, for a value of another kind and on a Reader's memory, RangeError for a
   * value that does not fit and for an offset or more values than there are elements
   * @example data.points.set([{ x: 1, y: 2 }, { x: 3 }], 4);
   */
  abstract set(values: Iterable<unknown>, offset?: number): void;
  /**
   * Stores `value` into every element.
   * @throws TypeError for a value of another kind and on a Reader's memory, RangeError for one that does not fit
   * @example data.points.fill({ x: 0, y: 0 });
   */
  abstract fill(value: unknown): this;
  /** The elements in order. @throws TypeError once the memory is unmapped @example [...data.names] */
  abstract [Symbol.iterator](): IterableIterator<T>;

  // What JavaScript's arrays have; each may throw what `at` throws. Generated classes replace the first two.

  /** Calls `f` with each element. @throws TypeError once the memory is unmapped @example data.path.forEach((p) => draw(p)) */
  forEach(f: (value: T, index: number, array: this) => void, self?: unknown): void {
    for (let i = 0; i < this.length; i++) f.call(self, this.at(i), i, this);
  }

  /**
   * Copies the elements into another array from its start on, as many as both have; numbers into their typed array as
   * fast as memory is copied.
   * @returns `target`
   * @throws TypeError once the memory is unmapped
   * @example const pixels = data.pixels.copyTo(new Uint8Array(data.pixels.length));
   */
  copyTo<A extends { readonly length: number; [index: number]: T }>(target: A): A {
    const count = Math.min(this.length, target.length);
    for (let i = 0; i < count; i++) target[i] = this.at(i);
    return target;
  }

  /** The elements as an Array; those that are structs stay views. @throws TypeError once the memory is unmapped @example data.names.toArray() */
  toArray(): T[] {
    return this.slice();
  }

  /** The elements from `start` up to `end`, negative ones from the end, as an Array. @throws TypeError once the memory is unmapped @example data.path.slice(-2) */
  slice(start = 0, end: number = this.length): T[] {
    const [from, to] = [start, end].map((i) =>
      i < 0 ? Math.max(0, i + this.length) : Math.min(i, this.length),
    );
    const result: T[] = [];
    for (let i = Math.trunc(from as number); i < (to as number); i++) result.push(this.at(i));
    return result;
  }

  /** An Array of what `f` makes of each element. @throws TypeError once the memory is unmapped @example data.path.map((p) => p.x) */
  map<U>(f: (value: T, index: number, array: this) => U): U[] {
    const result: U[] = [];
    this.forEach((value, i) => void result.push(f(value, i, this)));
    return result;
  }

  /** The elements for which `f` is true. @throws TypeError once the memory is unmapped @example data.path.filter((p) => p.x > 0) */
  filter(f: (value: T, index: number, array: this) => unknown): T[] {
    const result: T[] = [];
    this.forEach((value, i) => {
      if (f(value, i, this)) result.push(value);
    });
    return result;
  }

  /** One value out of all elements, from the first on. @throws TypeError once the memory is unmapped, and without `initial` for an array of nothing @example data.joints.reduce((a, b) => a + b, 0) */
  reduce<U = T>(f: (result: U, value: T, index: number, array: this) => U, ...initial: [] | [initial: U]): U {
    if (initial.length === 0 && this.length === 0)
      throw new TypeError("reduce of no elements needs an initial value");
    let result = (initial.length > 0 ? initial[0] : this.at(0)) as U;
    for (let i = 1 - initial.length; i < this.length; i++) result = f(result, this.at(i), i, this);
    return result;
  }

  /** The first element for which `f` is true. @throws TypeError once the memory is unmapped @example data.path.find((p) => p.x > 0) */
  find(f: (value: T, index: number, array: this) => unknown): T | undefined {
    const i = this.findIndex(f);
    return i < 0 ? undefined : this.at(i);
  }

  /** Its index, or -1. @throws TypeError once the memory is unmapped @example data.names.findIndex((name) => name === "") */
  findIndex(f: (value: T, index: number, array: this) => unknown): number {
    for (let i = 0; i < this.length; i++) if (f(this.at(i), i, this)) return i;
    return -1;
  }

  /** Whether `f` is true for an element. @throws TypeError once the memory is unmapped @example data.flags.some((on) => on) */
  some(f: (value: T, index: number, array: this) => unknown): boolean {
    return this.findIndex(f) >= 0;
  }

  /** Whether `f` is true for all elements. @throws TypeError once the memory is unmapped @example data.flags.every((on) => on) */
  every(f: (value: T, index: number, array: this) => unknown): boolean {
    return this.findIndex((value, i) => !f(value, i, this)) < 0;
  }

  /** The index of the first element that is `value`, or -1. Structs are new views each time, so none is another. @throws TypeError once the memory is unmapped @example data.names.indexOf("") */
  indexOf(value: T, start = 0): number {
    for (let i = Math.max(0, start < 0 ? start + this.length : start); i < this.length; i++)
      if (this.at(i) === value) return i;
    return -1;
  }

  /** Whether an element is `value`; NaN is NaN. @throws TypeError once the memory is unmapped @example data.names.includes("R2") */
  includes(value: T): boolean {
    return this.some((element) => element === value || (Number.isNaN(element) && Number.isNaN(value)));
  }

  /** The elements as text with `separator` between them. @throws TypeError once the memory is unmapped @example data.names.join(", ") */
  join(separator = ","): string {
    return this.map(String).join(separator);
  }

  /** Indices with their elements. @throws TypeError once the memory is unmapped @example for (const [i, name] of data.names.entries()) … */
  *entries(): IterableIterator<[number, T]> {
    for (let i = 0; i < this.length; i++) yield [i, this.at(i)];
  }
}

/** What iterators inherit from: `map`, `filter` and the like. */
export const IteratorPrototype: object = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));

/** @internal `copyTo` of numbers: as memory where the target is their typed array, which holds them in the machine's order. */
export function copyNumbers<A extends { readonly length: number; [index: number]: unknown }>(
  { inline, size }: ScalarType<number | bigint, TypedArray>,
  region: Region,
  byteOffset: number,
  length: number,
  target: A,
  array: CArray<unknown>,
): A {
  const TypedArray = typedArrays[inline.accessor];
  const isSame = target instanceof TypedArray && (size === 1 || region.littleEndian);
  if (!isSame) return CArray.prototype.copyTo.call(array, target as never) as A;
  const byteLength = Math.min(length, target.length) * size;
  const bytes = new Uint8Array(target.buffer, target.byteOffset, byteLength);
  bytesBackend.copy(region.bytes, bytes, 0, byteOffset, byteOffset + byteLength);
  return target;
}

Object.setPrototypeOf(CArray.prototype, indexer);

/**
 * An array of structs: `at(i)` and `[i]` give views on the same memory.
 * @example @nested(Point2D, 24) path!: StructArray<Point2D>
 */
export type StructArray<T> = CArray<T>;

/** Where an array stands: the member it is, or the array it is a row of, and which row. */
export type Owner = string | { readonly [PLACE]: string };
export const PLACE = Symbol("shmstruct:place");
/** The memory, for those that meet the Proxy in front of an array and not the array. */
export const MEMORY = Symbol("shmstruct:memory");
/** The type of the elements. */
export const ELEMENT = Symbol("shmstruct:element");

/** The place of an array for messages, put together only when a value is refused. */
export const elementPath = (owner: Owner, row: number): string =>
  typeof owner === "string" ? owner : `${owner[PLACE]}[${row}]`;

/** The index from the start, for one that is negative or wrong. */
export function normalIndex(index: number, length: number, array: { readonly [PLACE]: string }): number {
  if (!Number.isInteger(index)) throw at(array[PLACE], outOfRange("a whole number as index", index));
  const i = index < 0 ? index + length : index;
  if (i < 0 || i >= length) throw at(array[PLACE], noElement(index, length));
  return i;
}

const noElement = (index: number, length: number): Error =>
  rangeRefusal(`index ${index} is outside an array of ${length} elements`);
