/**
 * Arrays over shared memory whose elements no typed array can stand for: structs, text, rows, and numbers on
 * read-only, packed or byte-swapped memory. Only what is here is fixed; `at`, iteration and stores are generated
 * per element type (view.ts), so that access to elements compiles to what the hand would write.
 */
import { at, outOfRange, rangeRefusal } from "../validation-error.ts";

declare const ELEMENT: unique symbol;

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

/** Behind the prototypes of all arrays: only keys that nothing else answers get here, so `[i]` costs nobody else. */
const indexer = new Proxy(Object.prototype, {
  get(target, key, receiver: Generated) {
    if (!isNumeric(key)) return Reflect.get(target, key, receiver);
    const index = Number(key);
    return isIndex(index, receiver.length) ? receiver.at(index) : undefined;
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
  declare readonly [ELEMENT]?: T;
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

/** The place of an array for messages, put together only when a value is refused. */
export const placeOf = (owner: Owner, row: number): string =>
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
