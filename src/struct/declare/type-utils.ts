/** Types that follow from a struct class: what it is built from, what it looks like as plain data, its paths. */
import type { CArray } from "../view/arrays.ts";
import type { AtomicValue } from "../view/atomic.ts";
import type { IsStruct } from "./struct.ts";
import type { TypedArray } from "./types.ts";

type Method = (...args: never[]) => unknown;
type Same<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false;
/** Getters of the user's class are read-only members to the compiler; fields are not. */
type IsWritable<T, K extends keyof T> = Same<{ [P in K]: T[P] }, { -readonly [P in K]: T[P] }>;

declare const ANONYMOUS: unique symbol;
declare const WRITABLE: unique symbol;

/**
 * What an `@anonymous` member is declared as: a struct whose members are members of the one around it, so that it is
 * no value itself.
 * @example @anonymous(Payload) payload!: Anonymous<Payload>
 */
export type Anonymous<T> = T & { readonly [ANONYMOUS]: true };

/**
 * All members of a struct but the handles of its anonymous members, which C does not have: for an interface that takes in
 * several structs whose handles are called alike.
 * @example interface Both extends Members<First>, Members<Second> {}
 */
export type Members<T> = { [K in keyof T as T[K] extends Anonymous<unknown> ? never : K]: T[K] };

/** Of a read-only struct the one it was, in which fields can be told from getters. */
type Writable<T> = typeof WRITABLE extends keyof T ? NonNullable<T[typeof WRITABLE]> : T;

/**
 * The names of a struct's fields: its own members but for methods and getters.
 * @example FieldNames<Point2D> is "x" | "y"
 */
export type FieldNames<T> = FieldNamesOf<Writable<T>>;

/** The names of its members in a layout, anonymous ones included. */
export type MemberNames<T> = FieldNamesOf<Writable<T>, Method>;

type FieldNamesOf<T, Others = Method | Anonymous<unknown>> = {
  [K in keyof T]-?: K extends string
    ? T[K] extends Others
      ? never
      : IsWritable<T, K> extends true
        ? K
        : never
    : never;
}[keyof T];

type Scalar = number | bigint | string | boolean;
type NumberIn<T> = T extends BigInt64Array | BigUint64Array ? bigint : number;
type ElementOf<T> = T extends TypedArray
  ? NumberIn<T>
  : T extends ReadonlyNumbers<infer N>
    ? N
    : T extends CArray<infer E> | ReadonlyCArray<infer E>
      ? E
      : never;

/**
 * What a field of type `T` can be set from: a plain value, an object with some of its members, any iterable.
 * @example const path: InitValue<Robot["path"]> = [{ x: 1, y: 2 }];
 */
export type InitValue<T> = T extends Scalar
  ? T
  : T extends AtomicValue<infer N>
    ? N | AtomicValue<N> | ReadonlyAtomic<N>
    : T extends TypedArray
      ? Iterable<NumberIn<T>>
      : T extends CArray<infer E>
        ? Iterable<InitValue<E>>
        : IsStruct<T> extends true
          ? Init<T>
          : T;

/**
 * What `get(path)` of a role gives for a field: as in plain data, but numbers in their typed array.
 * @example Copied<Float32Array> is Float32Array, Copied<StructArray<Point>> is Plain<Point>[]
 */
export type Copied<T> = T extends TypedArray ? T : PlainValue<T>;

/**
 * What a struct can be assigned from: any of its fields, nested structs as objects, arrays as iterables.
 * @example const init: Init<Robot> = { speed: 1, path: [{ x: 0, y: 0 }, …] }
 */
export type Init<T> = InitOf<Writable<T>>;

type InitOf<T> = { readonly [K in FieldNamesOf<T>]?: InitValue<T[K]> };

/** What a field becomes in plain data. @example PlainValue<Float32Array> is number[] */
export type PlainValue<T> = T extends Scalar
  ? T
  : T extends AtomicValue<infer N>
    ? N
    : T extends TypedArray | CArray<unknown>
      ? PlainValue<ElementOf<T>>[]
      : IsStruct<T> extends true
        ? Plain<T>
        : T;

/**
 * What `toObject` makes of a struct: plain objects and arrays.
 * @example const robot: Plain<Robot> = toObject(view);
 */
export type Plain<T> = T extends unknown
  ? { [K in keyof Writable<T> as K & FieldNamesOf<Writable<T>>]: PlainValue<Writable<T>[K]> }
  : never;

/**
 * An array that can only be read, as in a Reader's data.
 * @example (path: ReadonlyCArray<Point2D>) => path.at(-1).x
 */
export interface ReadonlyCArray<T>
  extends Iterable<T>,
    Pick<
      CArray<T>,
      | "copyTo"
      | "entries"
      | "every"
      | "filter"
      | "find"
      | "findIndex"
      | "forEach"
      | "includes"
      | "indexOf"
      | "join"
      | "map"
      | "reduce"
      | "slice"
      | "some"
      | "toArray"
    > {
  /** The element, undefined beyond the end. `at(index)` is faster. */
  readonly [index: number]: T;
  /** Elements. */
  readonly length: number;
  /**
   * The element at `index`, counted from the end when negative.
   * @throws RangeError beyond the array, TypeError once the memory is unmapped
   * @example reader.live.path.at(-1)
   */
  at(index: number): T;
}

/**
 * Numbers that can only be read: a typed array in private memory, a `CArray` on a Reader's. Of what the two have in
 * common, `at` alone differs: beyond the end a typed array gives undefined, a `CArray` throws RangeError.
 * @example const mean = (values: ReadonlyNumbers<number>) => [...values].reduce((a, b) => a + b) / values.length;
 */
export interface ReadonlyNumbers<T extends number | bigint> extends Iterable<T> {
  /** The element, undefined beyond the end. */
  readonly [index: number]: T;
  /** Elements. */
  readonly length: number;
  /**
   * The element at `index`, counted from the end when negative.
   * @throws RangeError beyond a `CArray`, TypeError once its memory is unmapped
   * @example reader.snapshot().joints.at(-1)
   */
  at(index: number): T | undefined;
  /** Calls `f` with each number. @throws TypeError once the memory is unmapped @example joints.forEach((n) => sum(n)) */
  forEach(f: (value: T, index: number) => void): void;
  /** One value out of all numbers. @throws TypeError once the memory is unmapped @example joints.reduce((a, b) => a + b, 0) */
  reduce<U>(f: (result: U, value: T, index: number) => U, initial: U): U;
  /** The first number for which `f` is true. @throws TypeError once the memory is unmapped @example joints.find((n) => n > 0) */
  find(f: (value: T, index: number) => unknown): T | undefined;
  /** Its index, or -1. @throws TypeError once the memory is unmapped @example joints.findIndex((n) => n > 0) */
  findIndex(f: (value: T, index: number) => unknown): number;
  /** Whether `f` is true for a number. @throws TypeError once the memory is unmapped @example joints.some((n) => n > 0) */
  some(f: (value: T, index: number) => unknown): boolean;
  /** Whether `f` is true for all. @throws TypeError once the memory is unmapped @example joints.every((n) => n > 0) */
  every(f: (value: T, index: number) => unknown): boolean;
  /** Whether `value` is there. @throws TypeError once the memory is unmapped @example joints.includes(0) */
  includes(value: T): boolean;
  /** The index of the first that is `value`, or -1. @throws TypeError once the memory is unmapped @example joints.indexOf(0) */
  indexOf(value: T): number;
  /** The numbers as text. @throws TypeError once the memory is unmapped @example joints.join(" ") */
  join(separator?: string): string;
}

/** An atomic that can only be loaded and waited for. @example (counter: ReadonlyAtomic<number>) => counter.load() */
export type ReadonlyAtomic<T> = Pick<AtomicValue<T>, "load" | "wait">;

type ReadonlyValue<T> = T extends Scalar | Method
  ? T
  : T extends AtomicValue<infer N>
    ? ReadonlyAtomic<N>
    : T extends TypedArray
      ? ReadonlyNumbers<NumberIn<T>>
      : T extends CArray<unknown>
        ? ReadonlyCArray<ReadonlyValue<ElementOf<T>>>
        : IsStruct<T> extends true
          ? DeepReadonly<T>
          : T;

/**
 * The struct as a Reader sees it: nothing in it can be assigned, at any depth.
 * @example (robot: DeepReadonly<Robot>) => robot.at.x
 */
export type DeepReadonly<T> = T extends unknown
  ? { readonly [K in keyof Branded<T>]: K extends typeof WRITABLE ? T : ReadonlyValue<Branded<T>[K]> }
  : never;

/** With what the struct was before its fields became read-only. */
type Branded<T> = T & { readonly [WRITABLE]?: T };

// Paths are followed this deep; structs nest by value, so none is infinitely deep, but the compiler cannot know.
type Depth = [never, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

type Below<T, D extends number> = T extends Scalar | AtomicValue<never>
  ? never
  : T extends TypedArray
    ? `.${number}`
    : T extends CArray<infer E>
      ? `.${number}` | `.${number}${Below<E, Depth[D]>}`
      : IsStruct<T> extends true
        ? `.${Path<T, Depth[D]>}`
        : never;

/**
 * The dotted paths of a struct's fields, listed; of a struct with hundreds of nested ones they are more than the
 * compiler can list, while `get`, `set` and `offsetof` take them all the same.
 * @example "data_xy" | "data_xy.x" | `multi_points.${number}.x`
 */
export type Path<T, D extends number = 10> = [D] extends [never] ? never : PathOf<Writable<T>, D>;

type PathOf<T, D extends number> = {
  [K in FieldNamesOf<T>]: K | `${K}${Below<T[K], D>}`;
}[FieldNamesOf<T>];

/** What may stand as the first step of a path: a field, an index; anything where the compiler knows nothing. */
type Step<T> = unknown extends T
  ? string
  : T extends AnyArray
    ? `${number}`
    : IsStruct<T> extends true
      ? FieldNames<T>
      : never;

/**
 * `P` where it is a path of `T`, else the paths that go on from its last right step. Only the given path is followed,
 * as a struct may have more paths than the compiler can list.
 * @example CheckedPath<Robot, "path.3.x"> is "path.3.x", CheckedPath<Robot, "path.3.z"> is "path.3.x" | "path.3.y"
 */
export type CheckedPath<
  T,
  P extends string,
  Before extends string = "",
> = P extends `${infer Head}.${infer Rest}`
  ? Head extends Step<T>
    ? CheckedPath<Child<T, Head>, Rest, `${Before}${Head}.`>
    : `${Before}${Step<T>}`
  : P extends Step<T>
    ? `${Before}${P}`
    : `${Before}${Step<T>}`;

type Child<T, K extends string> = unknown extends T
  ? T
  : T extends AnyArray
    ? K extends `${number}`
      ? ElementOf<T>
      : never
    : K extends keyof T
      ? T[K]
      : never;

type AnyArray =
  | TypedArray
  | CArray<unknown>
  | ReadonlyCArray<unknown>
  | ReadonlyNumbers<number>
  | ReadonlyNumbers<bigint>;

/** The type of the field at a path. @example PathValue<Robot, "path.3.x"> is number */
export type PathValue<T, P extends string> = P extends `${infer Head}.${infer Rest}`
  ? PathValue<Child<T, Head>, Rest>
  : Child<T, P>;
