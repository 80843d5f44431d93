/**
 * Arrays over shared memory whose elements no typed array can stand for: structs, text, rows, and numbers on
 * read-only, packed or byte-swapped memory. Only what is here is fixed; `at`, iteration and stores are generated
 * per element type (view.ts), so that access to elements compiles to what the hand would write.
 */
import { at, outOfRange } from "./refusal.ts";

declare const ELEMENT: unique symbol;

/** What generated code provides. */
interface Generated {
  readonly length: number;
  at(index: number): unknown;
  set(values: Iterable<unknown>, offset?: number): void;
}

/** Array indices as property keys are the canonical spellings of whole numbers. */
const INDEX = /^(0|[1-9]\d*)$/;

/** Behind the prototypes of all arrays: only keys that nothing else answers get here, so `[i]` costs nobody else. */
const indexer = new Proxy(Object.prototype, {
  get(target, key, receiver: Generated) {
    if (typeof key !== "string" || !INDEX.test(key)) return Reflect.get(target, key, receiver);
    const index = Number(key);
    return index < receiver.length ? receiver.at(index) : undefined;
  },
  has(target, key) {
    return Reflect.has(target, key);
  },
  set(target, key, value, receiver: Generated) {
    if (typeof key !== "string" || !INDEX.test(key)) return Reflect.set(target, key, value, receiver);
    receiver.set([value], Number(key));
    return true;
  },
});

/**
 * A fixed number of elements in shared memory. Elements that are structs or rows are views on the same memory.
 * Assigning (`array[3] = …`, `set`, or to the whole field) checks every value first and is all or nothing.
 * @example for (const point of data.points) console.log(point.x);   data.points.at(-1).y = 2;
 */
export abstract class CArray<T> implements Iterable<T> {
  declare readonly [ELEMENT]?: T;
  /** The element, undefined beyond the end. `at(index)` is faster. */
  [index: number]: T;
  /** Elements. */
  abstract readonly length: number;
  /** The element at `index`, counted from the end when negative. @throws RangeError beyond the array */
  abstract at(index: number): T;
  /** Stores `values` from element `offset` on. @throws TypeError, RangeError; then nothing is stored */
  abstract set(values: Iterable<unknown>, offset?: number): void;
  /** Stores `value` into every element. @throws TypeError, RangeError */
  abstract fill(value: unknown): this;
  abstract [Symbol.iterator](): IterableIterator<T>;
}

Object.setPrototypeOf(CArray.prototype, indexer);

/** An array of structs: `at(i)` and `[i]` give views on the same memory. */
export type StructArray<T> = CArray<T>;

/** The index from the start, for one that is negative or wrong. */
export function normalIndex(index: number, length: number): number {
  if (!Number.isInteger(index)) throw at("at", outOfRange("a whole number", index));
  const i = index < 0 ? index + length : index;
  if (i < 0 || i >= length) throw new RangeError(`index ${index} is outside an array of ${length} elements`);
  return i;
}
