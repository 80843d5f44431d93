/** Types made of other types: structs, arrays, atomics. Descriptions only; layout.ts gives them sizes. */
import { checkOptions } from "../../errors/check-options.ts";
import { StructDefinitionError } from "../../errors/errors.ts";
import { show } from "../../errors/show.ts";
import type { CArray } from "../view/arrays.ts";
import type { Atomic, AtomicValue } from "../view/atomic.ts";
import { Struct, type StructClassMark } from "./struct.ts";
import { isOpenText } from "./text.ts";
import {
  type Conversion,
  type ConvertedType,
  type CType,
  c_uint8,
  c_uint32,
  type IntegerArray,
  type IntegerScalar,
  type IntegerType,
  integerOf,
  isCType,
  isScalar,
  type ScalarType,
} from "./types.ts";

declare const DECLARED: unique symbol;

/**
 * A class that extends `Struct`. Its constructor is never run; views are made by `create`, `viewOf` and the roles.
 * @example function zeros<T extends Struct>(cls: StructClass<T>): T { return create(cls); }
 */
export type StructClass<T extends Struct = Struct> = (abstract new () => T) & StructClassMark;

/** A struct as a member of another. */
export class StructType<T extends Struct = Struct> {
  declare readonly [DECLARED]?: T;
  readonly kind = "struct";
  readonly cls: StructClass<T>;

  constructor(cls: StructClass<T>) {
    this.cls = cls;
  }
}

/**
 * What `array` returns: `element[length]`; a flexible array member (`element[]`) has length null.
 * @example const rgb: ArrayType<Uint8Array | CArray<number>> = array(c_uint8, 3)
 */
export class ArrayType<Declared = unknown> {
  /** Only for the compiler. */
  declare readonly [DECLARED]?: Declared;
  /** What types are told apart by. */
  readonly kind = "array";
  /** The type of each element. */
  readonly element: FieldType;
  /** Elements. */
  readonly length: number | null;
  /** Of a flexible array: the member of the same struct that holds the number of its elements. */
  readonly count: string | undefined;

  /** @internal `array` makes them. */
  constructor(element: FieldType, length: number | null, count?: string) {
    this.element = element;
    this.length = length;
    this.count = count;
  }
}

/** What a member of an atomic type is: an `Atomic` of numbers and bigints, an `AtomicValue` of anything else. */
type AtomicOf<T> = unknown extends T
  ? unknown
  : [T] extends [boolean]
    ? AtomicValue<boolean>
    : `${number}` extends `${T & number}`
      ? Atomic<number>
      : bigint extends T
        ? Atomic<bigint>
        : AtomicValue<T>;

/**
 * What `atomic` returns: an integer that processes change without a lock.
 * @example const count: AtomicType<number> = atomic(c_int32)
 */
export class AtomicType<T = unknown> {
  /** Only for the compiler. */
  declare readonly [DECLARED]?: AtomicOf<T>;
  /** What types are told apart by. */
  readonly kind = "atomic";
  /** The declared type. */
  readonly declared: CType<T>;
  /** The integer that it is stored as. */
  readonly integer: ScalarType<number | bigint | boolean, unknown>;
  /** Whether it counts: a boolean and an enum do not. */
  readonly isNumber: boolean;
  /** It holds the number of an owner: see `owner`. */
  readonly isOwner: boolean;
  readonly #conversion: Conversion | undefined;

  /** @internal `atomic` and `owner` make them. */
  constructor(
    declared: CType<T>,
    integer: ScalarType<number | bigint | boolean, unknown>,
    { conversion, isOwner = false }: { conversion?: Conversion | undefined; isOwner?: boolean } = {},
  ) {
    this.isOwner = isOwner;
    this.declared = declared;
    this.integer = integer;
    this.#conversion = conversion;
    const { asNumber }: Partial<ConvertedType<unknown>> = declared;
    this.isNumber = integer.inline.boolean !== true && (conversion === undefined || asNumber === true);
  }

  /** @internal The value that the stored number means. @throws RangeError for an `asNumber` beyond 2^53 */
  decode(stored: number | bigint): T {
    if (this.integer.inline.boolean) return (stored !== 0) as T;
    return (this.#conversion === undefined ? stored : this.#conversion.decode(stored as never)) as T;
  }

  /** @internal The number that is stored for a value. @throws TypeError, RangeError */
  check(value: unknown): number | bigint {
    const given = this.#conversion === undefined ? value : this.#conversion.encode(value);
    const checked = this.integer.check(given);
    return typeof checked === "boolean" ? Number(checked) : checked;
  }
}

/** What a bit-field's bits are as a value, before a type of its own makes something else of it. */
export type BitValue = number | bigint | boolean;

/** A bit-field: `width` bits of an integer. `@bits` makes them. */
export class BitsType {
  declare readonly [DECLARED]?: unknown;
  readonly kind = "bits";
  /** The declared type. */
  readonly declared: CType<unknown>;
  /** The integer it is stored as, whose alignment and units gcc packs the bits by. */
  readonly base: IntegerScalar;
  /** Bits; with 0 it closes the current unit and has no value. */
  readonly width: number;
  /** What the bits are read as. */
  readonly values: "number" | "bigint" | "boolean";
  /** What the declared type makes of that; nothing where it takes it as it is. */
  readonly conversion: Conversion | undefined;

  /** @throws TypeError for a type that is not stored as an integer */
  constructor(declared: CType<unknown> & Partial<ConvertedType<unknown>>, width: number) {
    const integer = integerOf(declared);
    if (integer === undefined) throw new TypeError(`${declared.name} is not stored as an integer`);
    this.declared = declared;
    this.base = integer.scalar;
    this.width = width;
    // So few bits are a safe integer: no bigint is needed on the way.
    const isSafe = declared.asNumber === true && width <= SAFE_BITS;
    this.conversion = isSafe ? undefined : integer.conversion;
    this.values = isSafe ? "number" : valuesOf(this.base);
  }
}

const SAFE_BITS = 53;

function valuesOf({ inline }: IntegerScalar): BitsType["values"] {
  if (inline.boolean) return "boolean";
  return inline.accessor.startsWith("Big") ? "bigint" : "number";
}

/**
 * Whatever a field can be of: a `CType` such as c_int32 or chars(8), `array(…)`, `atomic(…)`. `Declared` is what the
 * class member may be declared as.
 * @example const column = <T>(type: FieldType<T>) => field(type);
 */
export type FieldType<Declared = unknown> =
  | CType<Declared>
  | ((StructType | ArrayType | BitsType | AtomicType) & { readonly [DECLARED]?: Declared });

type ElementOf<C> =
  C extends StructClass<infer S>
    ? S
    : C extends CType<infer T>
      ? T
      : C extends { readonly [DECLARED]?: infer T }
        ? T
        : never;

/** What an array of `C` may be declared as: the typed array of its numbers, or the general array. */
type ArrayOf<C> = C extends ScalarType<infer T, infer A> ? A | CArray<T> : CArray<ElementOf<C>>;

/** The same for several dimensions: an array of rows. */
type NestedArrayOf<C, Dims extends readonly unknown[]> = Dims extends readonly [
  unknown,
  unknown,
  ...infer Rest,
]
  ? CArray<NestedArrayOf<C, readonly [unknown, ...Rest]>>
  : ArrayOf<C>;

/**
 * Where the number of elements of a flexible array stands.
 * @example @field(array(Entry, { count: "n" })) entries!: StructArray<Entry>
 */
export interface ArrayOptions {
  /** The name of an integer member of the same struct, declared before the array. */
  readonly count: string;
}

/**
 * A flexible array member, `type[]`, last in its struct, which has as many elements as another member says.
 * @param options which member
 * @throws StructDefinitionError for what is no type, for elements that are flexible themselves and for a count that is no
 * member's name
 * @example @field(array(Sample, { count: "n" })) samples!: StructArray<Sample>
 */
export function array<C extends FieldType | StructClass>(
  type: C,
  options: ArrayOptions,
): ArrayType<NestedArrayOf<C, []>>;
/**
 * A C array, `type[n]` or `type[n][m]…`; without a length a flexible array member (`type[]`, last in its struct), which
 * has as many elements as the memory behind the struct holds.
 *
 * Numbers come back as the typed array over the same memory (`Int32Array` for c_int32 …), or as a read-only or
 * checked `CArray` where a raw typed array is impossible (read-only map, other byte order, packed); structs as a
 * `StructArray`; several dimensions as a `CArray` of rows. As ctypes' `type * n`, and C's arrays.
 * @param dims elements in each dimension, outermost first (0: GNU C's `type[0]`, which takes no bytes)
 * @throws RangeError for a length that is no whole number from 0 on, StructDefinitionError for what is no type and for
 * elements that are flexible themselves
 * @example @field(array(c_float, 3)) position!: Float32Array
 * @example @field(array(chars(16), 8)) names!: CArray<string>
 * @example @field(array(c_double, 4, 4)) matrix!: CArray<Float64Array>
 * @example @field(array(Sample)) samples!: StructArray<Sample>   // last member: struct Sample samples[]
 */
export function array<C extends FieldType | StructClass, const Dims extends readonly number[]>(
  type: C,
  ...dims: Dims
): ArrayType<NestedArrayOf<C, Dims>>;
export function array(
  type: FieldType | StructClass,
  ...dims: readonly (number | ArrayOptions)[]
): ArrayType<never> {
  const element = fieldType(type, "array");
  if (isOpen(element))
    throw new StructDefinitionError(
      "array: the elements must have a length; only the outermost may be flexible",
    );
  const [options] = dims;
  if (typeof options === "object") return new ArrayType(element, null, countOf(options));
  return arrayOf(element, dims as readonly number[]) as ArrayType<never>;
}

function arrayOf(element: FieldType, dims: readonly number[]): FieldType {
  for (const n of dims) {
    if (!Number.isSafeInteger(n) || n < 0)
      throw new RangeError(`array: a length must be a whole number from 0 on, got ${show(n)}`);
  }
  const outermost = dims.reduceRight<FieldType>((inner, n) => new ArrayType(inner, n), element);
  return dims.length === 0 ? new ArrayType(element, null) : outermost;
}

function countOf(options: ArrayOptions): string {
  checkOptions("array", options, { count: "string" });
  if (typeof options.count === "string") return options.count;
  throw new StructDefinitionError(
    'array: count must be the name of the member that holds the number of elements, as in array(type, { count: "n" })',
  );
}

/** True for what ends where the memory does: a flexible array, and text without a size. */
export const isOpen = (type: FieldType): boolean =>
  (type.kind === "array" && type.length === null) || (type.kind === "text" && isOpenText(type));

/**
 * `unsigned char[size]`: a `Uint8Array` over the same memory, the same as `array(c_uint8, size)`.
 * @param size bytes
 * @throws RangeError for a size that is no positive whole number
 * @example @field(bytes(16)) key!: Uint8Array
 */
export const bytes = (size: number) => array(c_uint8, size);

/**
 * An integer of 8 to 64 bits that processes change without taking a lock, C11's `_Atomic type`; the member is an
 * `Atomic`. Of a boolean, an enum, a pointer or an `asNumber` as well: a boolean and an enum are an `AtomicValue`, which
 * does not count. It has the machine's byte order and must be aligned to its size.
 * @throws StructDefinitionError for another type; where it is misaligned or big-endian, when the struct is laid out
 * @example @field(atomic(c_int32)) counter!: Atomic<number>;   data.counter.add(1)
 * @example @field(atomic(enumOf(c_int32, Mode))) mode!: AtomicValue<Mode>;   data.mode.store(Mode.Run)
 */
export function atomic<T extends number | bigint | boolean>(
  type: ScalarType<T, IntegerArray> | IntegerType<T>,
): AtomicType<T> {
  const known: CType<unknown> | undefined = isCType(type) ? type : undefined;
  // A pointer is an address, and so no integer to other types; its bits are.
  const isPointer = known !== undefined && isScalar(known) && known.inline.accessor === "BigUint64";
  const found = isPointer ? { scalar: known } : known && integerOf(known);
  if (known === undefined || found === undefined) {
    throw new StructDefinitionError(
      `atomic(${known?.name ?? show(type)}): expected an integer type, c_int8 … c_uint64, c_bool, c_void_p, or an enumOf or asNumber of an integer`,
    );
  }
  const { scalar, conversion } = found as { scalar: IntegerScalar; conversion?: Conversion };
  return new AtomicType<T>(known as CType<T>, scalar, { conversion });
}

/**
 * `uint32_t` that says who owns something: the number of an owner (1 to 1022), 0 for free. An Editor claims it with
 * `claim(path)`; a number whose owner has died counts as free, as the kernel tells it.
 * @example
 * class Device extends Struct { @field(owner()) user!: Atomic<number>; @field(chars(16)) name!: string }
 * if (editor.claim("devices.3.user")) …
 */
export const owner = (): AtomicType<number> =>
  new AtomicType<number>(c_uint32, c_uint32 as IntegerScalar, { isOwner: true });

export const extendsStruct = (value: unknown): value is StructClass =>
  typeof value === "function" && value.prototype instanceof Struct;

/** Anything may be given; these are known by who made them, and a type of one's own by its parts. */
const composites = [StructType, ArrayType, AtomicType, BitsType];

/** A type as given to `field`, `array` or `nested`, or an error that says what is wrong with it. */
export function fieldType(type: unknown, where: string): FieldType {
  if (composites.some((Composite) => type instanceof Composite)) return type as FieldType;
  if (extendsStruct(type)) return new StructType(type);
  if (isCType(type)) return type;
  const hint = type === undefined ? " (undefined often means a circular import)" : "";
  throw new StructDefinitionError(
    `${where}: expected a type such as c_int32, chars(8) or a struct class, got ${show(type)}${hint}`,
  );
}
