/**
 * Field types: plain values that say how many bytes a field takes, how it is aligned, and how its value is
 * read, checked and written. A type of your own is an object of the same interface (or `convert` of a built-in one).
 */
import { checkOptions } from "../../errors/check-options.ts";
import { StructDefinitionError } from "../../errors/errors.ts";
import { show } from "../../errors/show.ts";
import { type Memory, Region } from "../memory/memory.ts";
import { loadNumber, storeNumber } from "../memory/number.ts";
import { at, outOfRange, wrongType } from "../validation-error.ts";
import { MAX_NAME_LENGTH } from "./limits.ts";

declare const ARRAY: unique symbol;

/**
 * How a type is written down in a schema: everything that JSON can carry back to a working type.
 * @example layoutOf(Robot).fields.name.type   // { chars: 16 }
 */
export type TypeSchema =
  | string
  | { readonly chars: number | null; readonly encoding?: string }
  | { readonly array: TypeSchema; readonly length: number | null; readonly count?: string }
  | { readonly struct: unknown }
  | { readonly wchars: number }
  | { readonly atomic: TypeSchema; readonly owner?: true }
  | {
      readonly converted: string;
      readonly base: TypeSchema;
      readonly labels?: Readonly<Record<string, string>>;
    }
  | { readonly custom: string; readonly size: number; readonly align: number };

/**
 * What a type with a value of its own is: a number of C that generated code reads without a call, text, the bytes of a
 * type that is not known here, or one that is read and written by its own functions.
 * @example c_int32.kind   // "scalar"
 */
export type ValueKind = "scalar" | "text" | "bytes" | "own";

/**
 * The type of one field, whose value is a `T`.
 * @example
 * // 16.16 fixed point: the same interface that the built-in types have
 * const fixed16: CType<number> = {
 *   name: "fixed16", size: 4, align: 4,
 *   read: (memory, byteOffset) => memory.view.getInt32(byteOffset, memory.littleEndian) / 65536,
 *   write: (memory, byteOffset, value) => memory.view.setInt32(byteOffset, value * 65536, memory.littleEndian),
 *   check: (value) => {
 *     if (typeof value !== "number") throw new TypeError("expected a number");
 *     if (!(Math.abs(value) < 32768)) throw new RangeError("expected a number from -32768 to 32768");
 *     return value;
 *   },
 * };
 */
export interface CType<T> {
  /** What the library's own types are by; a type of your own is `"own"`, or says nothing. */
  readonly kind?: ValueKind | undefined;
  /** Its name in messages, schemas and mismatch reports, e.g. `"c_int32"`. */
  readonly name: string;
  /** Bytes of one value, 1 or more. */
  readonly size: number;
  /** Natural alignment in bytes: 1, 2, 4, 8 or 16. */
  readonly align: number;
  /**
   * The value at `byteOffset`, bytes from the start of `memory`. Any bytes may stand there. Where the struct is
   * read-only it gets a private copy of the field's bytes, as a store to the memory itself would kill the process; else
   * hand out copies yourself, unless stores to what you hand out shall reach the field. What it throws reaches those who
   * read the field as what `check` throws does: with the field's name in front.
   * @example read: ({ view }, byteOffset) => view.getUint8(byteOffset) / 100
   */
  read(memory: Memory, byteOffset: number): T;
  /**
   * Stores a value that `check` returned. Must not throw, or what was stored before it stays.
   * @example write: ({ view }, byteOffset, value) => view.setUint8(byteOffset, value * 100)
   */
  write(memory: Memory, byteOffset: number, value: T): void;
  /**
   * The value in the form that `write` stores.
   * @throws TypeError (wrong kind) or RangeError (does not fit) saying what was expected
   * @example check: (value) => { if (typeof value !== "number") throw new TypeError("expected a number"); … }
   */
  check(value: unknown): T;
  /** How a schema spells this type; left out, a schema knows its name and size only. */
  readonly schema?: TypeSchema | undefined;
}

/** How a schema spells a type; one that does not say is known by its name and size only. */
export const schemaOfType = ({ schema, name, size, align }: CType<unknown>): TypeSchema =>
  schema ?? { custom: name, size, align };

const isFunction = (value: unknown): boolean => typeof value === "function";

const VALUE_KINDS: readonly unknown[] = ["scalar", "text", "bytes", "own"] satisfies ValueKind[];

/** What each part of a type must be. */
const parts: [name: keyof CType<unknown>, must: string, fits: (value: unknown) => boolean][] = [
  ["name", "a string", (value) => typeof value === "string"],
  ["size", "a positive whole number of bytes", (value) => Number.isSafeInteger(value) && Number(value) >= 1],
  ["align", "1, 2, 4, 8 or 16", (value) => [1, 2, 4, 8, 16].includes(value as number)],
  ["read", "a function", isFunction],
  ["write", "a function", isFunction],
  ["check", "a function", isFunction],
];

/** Types that were looked at, and are frozen: every field asks. */
const sound = new WeakSet<object>();

/**
 * True for a type like those here, built in or of one's own.
 * @throws StructDefinitionError for an object that nearly is one, naming what is wrong, and for one whose name is too
 * long
 */
export function isCType(type: unknown): type is CType<unknown> {
  if (typeof type !== "object" || type === null) return false;
  if (!sound.has(type)) {
    if (!isSound(type)) return false;
    if (Object.isFrozen(type)) sound.add(type);
  }
  return true;
}

/** Takes a type of the library's own that has another size than those of others must have. */
export function madeSound<C extends object>(type: C): C {
  sound.add(type);
  return type;
}

function isSound(type: object): boolean {
  const given = type as Partial<CType<unknown>>;
  const { name } = given;
  const isLong = typeof name === "string" && name.length > MAX_NAME_LENGTH;
  const where = `type ${isLong || typeof name !== "string" ? show(name) : name}`;
  const wrong = parts.find(([part, , fits]) => !fits(given[part]));
  if (wrong !== undefined) {
    const [part, must] = wrong;
    // Many objects have a name or a size.
    if (parts.filter(([known]) => known in given).length < 4) return false;
    throw new StructDefinitionError(`${where}: ${part} must be ${must}, got ${show(given[part])}`);
  }
  if (isLong)
    throw new StructDefinitionError(`${where}: a name must have at most ${MAX_NAME_LENGTH} characters`);
  const { kind = "own" } = given;
  // A copy of a type of ours, with another alignment perhaps, is of its kind.
  if (VALUE_KINDS.includes(kind) && (kind !== "scalar" || "inline" in given)) return true;
  throw new StructDefinitionError(
    `${where}: kind must be "own" or left out in a type of one's own, got ${show(kind)}`,
  );
}

/** The constructors of values, as far as a type tells. */
type ValueClass = NumberConstructor | BigIntConstructor | BooleanConstructor | StringConstructor;

const own = new WeakSet<object>();
const valueClasses = new WeakMap<object, ValueClass | undefined>();

/** Marks a type as made here: what its `read` gives is no way into the memory. */
export function ownType<C extends object>(type: C, values?: ValueClass): Readonly<C> {
  own.add(type);
  return reading(type, values);
}

/** Says what the values of a type are at run time, if that is known. */
function reading<C extends object>(type: C, values: ValueClass | undefined): Readonly<C> {
  valueClasses.set(type, values);
  return Object.freeze(type);
}

/** False for a type of another author's, whose `read` might hand out the memory that it gets. */
export const isOwnType = (type: CType<unknown>): boolean => own.has(type);

/** What the values of a type are instances of, if that is known. */
export const valueClassOf = (type: CType<unknown>): ValueClass | undefined => valueClasses.get(type);

/** What reading a field of this type gives. @example TypeOf<typeof c_int64> is bigint */
export type TypeOf<C> = C extends CType<infer T> ? T : never;

/** A DataView accessor and a JavaScript expression that is true for values the type refuses. */
export interface Inline {
  readonly accessor:
    | "Int8"
    | "Uint8"
    | "Int16"
    | "Uint16"
    | "Int32"
    | "Uint32"
    | "BigInt64"
    | "BigUint64"
    | "Float32"
    | "Float64";
  /** Generated code refuses `v` where this is true, then asks `check` for the message. */
  readonly refuses: (v: string) => string;
  readonly boolean?: true;
}

/**
 * A number, bigint or boolean of C, which generated code reads and writes without a call; `A` is the typed array over
 * several of them. The library makes these; a type of your own is a `CType`.
 * @example const counter = (type: ScalarType<number, IntegerArray>) => field(atomic(type));
 */
export interface ScalarType<T, A = never> extends CType<T> {
  readonly kind: "scalar";
  /** Only for the compiler. */
  readonly [ARRAY]?: A;
  /** @internal How generated code gets at it. */
  readonly inline: Inline;
  /** For integers and c_bool: what a bit-field or an atomic needs to know. */
  readonly integer?: { readonly bits: number; readonly signed: boolean } | undefined;
}

/** A scalar that bit-fields and atomics can be of. */
export type IntegerScalar = ScalarType<number | bigint | boolean, unknown> & {
  readonly integer: NonNullable<ScalarType<unknown>["integer"]>;
};

/** What a type of one's own makes of the stored value, and of a value the one to store. */
export interface Conversion {
  readonly decode: (stored: never) => unknown;
  readonly encode: (value: unknown) => unknown;
}

/** What `convert` returns. */
export interface ConvertedType<T> extends CType<T> {
  /** @internal */
  readonly base: CType<unknown>;
  /** @internal */
  readonly conversion: Conversion;
  /** @internal The names of an enum's values. */
  readonly labels?: ReadonlyMap<unknown, string> | undefined;
  /** @internal A bigint type that is seen as a number, and as nothing else. */
  readonly asNumber?: boolean | undefined;
}

/** The integer that a type is stored as, and what the type makes of it; nothing where it is no integer. */
export function integerOf(
  type: CType<unknown> & Partial<ConvertedType<unknown>>,
): { readonly scalar: IntegerScalar; readonly conversion?: Conversion } | undefined {
  if (isScalar(type)) return type.integer === undefined ? undefined : { scalar: type as IntegerScalar };
  const { base, conversion: outer } = type;
  const inner = base === undefined ? undefined : integerOf(base);
  if (inner === undefined || outer === undefined) return undefined;
  const { scalar, conversion } = inner;
  if (conversion === undefined) return { scalar, conversion: outer };
  const decode = (stored: never) => outer.decode(conversion.decode(stored) as never);
  const encode = (value: unknown) => conversion.encode(outer.encode(value));
  return { scalar, conversion: { decode, encode } };
}

/**
 * What `enumOf` and `asNumber` return: a type that is stored as an integer, so that bit-fields and atomics can be of it.
 * @example const mode: IntegerType<Mode> = enumOf(c_uint8, Mode);
 */
export interface IntegerType<T> extends ConvertedType<T> {
  /** What tells these from other types. */
  readonly storedAs: "integer";
}

/**
 * The typed arrays that stand for arrays of numbers and bigints.
 * @example function sum(numbers: TypedArray): number
 */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** The typed arrays of integers. @example ScalarType<number, IntegerArray> is the type of c_int8 … c_uint32 */
export type IntegerArray = Exclude<TypedArray, Float32Array | Float64Array>;

/** The typed array that stands for an array of numbers stored with each accessor. */
export const typedArrays = {
  Int8: Int8Array,
  Uint8: Uint8Array,
  Int16: Int16Array,
  Uint16: Uint16Array,
  Int32: Int32Array,
  Uint32: Uint32Array,
  BigInt64: BigInt64Array,
  BigUint64: BigUint64Array,
  Float32: Float32Array,
  Float64: Float64Array,
} satisfies Record<Inline["accessor"], unknown>;

/** Of whatever a field can be of. */
type HasKind = { readonly kind?: string | undefined };

export const isScalar = (type: HasKind): type is ScalarType<unknown, unknown> => type.kind === "scalar";

/** True for scalars that a typed array can stand for: all but c_bool. */
export const isNumeric = (type: HasKind): type is ScalarType<number | bigint, TypedArray> =>
  isScalar(type) && !type.inline.boolean;

function scalar<T extends number | bigint, A>(
  name: string,
  size: number,
  inline: Inline,
  check: (value: unknown) => T,
  integer?: ScalarType<T>["integer"],
): ScalarType<T, A> {
  const type = {
    kind: "scalar" as const,
    name,
    size,
    align: size,
    schema: name,
    inline,
    integer,
    check,
    read: loadNumber<T>(inline.accessor),
    write: storeNumber<T>(inline.accessor),
  };
  return ownType(type, inline.accessor.startsWith("Big") ? BigInt : Number);
}

function int<A>(name: string, bits: 8 | 16 | 32, signed: boolean): ScalarType<number, A> {
  const min = signed ? -(2 ** (bits - 1)) : 0;
  const max = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  const wrap = (v: string) =>
    signed ? `(${v} << ${32 - bits} >> ${32 - bits})` : `(${v} << ${32 - bits} >>> ${32 - bits})`;
  const inline: Inline = {
    accessor: `${signed ? "Int" : "Uint"}${bits}`,
    refuses: (v) => `typeof ${v} !== "number" || ${wrap(v)} !== ${v}`,
  };
  return scalar(name, bits / 8, inline, (value) => checkInteger(value, min, max), { bits, signed });
}

/** A number that is an integer from `min` to `max`. */
export function checkInteger(value: unknown, min: number, max: number): number {
  const expected = `an integer from ${min} to ${max}`;
  if (typeof value !== "number") throw wrongType(expected, value);
  if (!Number.isInteger(value) || value < min || value > max) throw outOfRange(expected, value);
  return value;
}

/** A bigint from `min` to `max`. */
export function checkBigInt(value: unknown, min: bigint, max: bigint): bigint {
  const expected = `a bigint from ${min}n to ${max}n`;
  if (typeof value !== "bigint") throw wrongType(expected, value);
  if (value < min || value > max) throw outOfRange(expected, value);
  return value;
}

function bigint<A>(name: string, signed: boolean): ScalarType<bigint, A> {
  const min = signed ? -(2n ** 63n) : 0n;
  const max = signed ? 2n ** 63n - 1n : 2n ** 64n - 1n;
  const inline: Inline = {
    accessor: signed ? "BigInt64" : "BigUint64",
    refuses: (v) => `typeof ${v} !== "bigint" || ${v} < ${min}n || ${v} > ${max}n`,
  };
  return scalar(name, 8, inline, (value) => checkBigInt(value, min, max), { bits: 64, signed });
}

/** From here on a finite number rounds to an infinite float. */
const FLOAT_LIMIT = 2 ** 128 - 2 ** 103;

function checkNumber(value: unknown): number {
  if (typeof value !== "number") throw wrongType("a number", value);
  return value;
}

/**
 * C's `_Bool`, 1 byte: a boolean; any byte but 0 reads as true (ctypes.c_bool).
 * @example @field(c_bool) on!: boolean
 */
export const c_bool: ScalarType<boolean> = ownType(
  {
    kind: "scalar" as const,
    name: "c_bool",
    size: 1,
    align: 1,
    schema: "c_bool",
    inline: {
      accessor: "Uint8" as const,
      refuses: (v: string) => `typeof ${v} !== "boolean"`,
      boolean: true as const,
    },
    integer: { bits: 8, signed: false },
    read: (memory: Memory, o: number) => memory.view.getUint8(o) !== 0,
    write: (memory: Memory, o: number, value: boolean) => memory.view.setUint8(o, value ? 1 : 0),
    check: (value: unknown) => {
      if (typeof value !== "boolean") throw wrongType("a boolean", value);
      return value;
    },
  },
  Boolean,
);

/** C's `int8_t`, 1 byte: a whole number from -128 to 127 (ctypes.c_int8). @example @field(c_int8) n!: number */
export const c_int8: ScalarType<number, Int8Array> = int("c_int8", 8, true);
/** C's `uint8_t`, 1 byte: a whole number from 0 to 255 (ctypes.c_uint8). @example @field(c_uint8) n!: number */
export const c_uint8: ScalarType<number, Uint8Array> = int("c_uint8", 8, false);
/**
 * C's `int16_t`, 2 bytes: a whole number from -32768 to 32767 (ctypes.c_int16).
 * @example @field(c_int16) n!: number
 */
export const c_int16: ScalarType<number, Int16Array> = int("c_int16", 16, true);
/** C's `uint16_t`, 2 bytes: a whole number from 0 to 65535 (ctypes.c_uint16). @example @field(c_uint16) n!: number */
export const c_uint16: ScalarType<number, Uint16Array> = int("c_uint16", 16, false);
/**
 * C's `int32_t`, 4 bytes: a whole number from -2^31 to 2^31-1 (ctypes.c_int32).
 * @example @field(c_int32) n!: number
 */
export const c_int32: ScalarType<number, Int32Array> = int("c_int32", 32, true);
/**
 * C's `uint32_t`, 4 bytes: a whole number from 0 to 2^32-1 (ctypes.c_uint32).
 * @example @field(c_uint32) n!: number
 */
export const c_uint32: ScalarType<number, Uint32Array> = int("c_uint32", 32, false);
/**
 * C's `int64_t`, 8 bytes: a bigint from -2^63 to 2^63-1 (ctypes.c_int64). `asNumber` makes it a number.
 * @example @field(c_int64) n!: bigint
 */
export const c_int64: ScalarType<bigint, BigInt64Array> = bigint("c_int64", true);
/**
 * C's `uint64_t`, 8 bytes: a bigint from 0 to 2^64-1 (ctypes.c_uint64). `asNumber` makes it a number.
 * @example @field(c_uint64) n!: bigint
 */
export const c_uint64: ScalarType<bigint, BigUint64Array> = bigint("c_uint64", false);

/**
 * C's `float`, 4 bytes: a number, rounded to the nearest float; a finite one beyond its range is a RangeError
 * (ctypes.c_float).
 * @example @field(c_float) x!: number
 */
export const c_float: ScalarType<number, Float32Array> = scalar(
  "c_float",
  4,
  {
    accessor: "Float32",
    refuses: (v) =>
      `typeof ${v} !== "number" || (Math.abs(${v}) >= ${FLOAT_LIMIT} && Math.abs(${v}) !== Infinity)`,
  },
  (value) => {
    const number = checkNumber(value);
    if (Math.abs(number) >= FLOAT_LIMIT && Math.abs(number) !== Infinity) {
      throw outOfRange("a number within ±3.4028234663852886e38 (or an infinity)", value);
    }
    return number;
  },
);

/** C's `double`, 8 bytes: any number (ctypes.c_double). @example @field(c_double) x!: number */
export const c_double: ScalarType<number, Float64Array> = scalar(
  "c_double",
  8,
  { accessor: "Float64", refuses: (v) => `typeof ${v} !== "number"` },
  checkNumber,
);

// C's own names, by their sizes on the platforms supported (LP64): the very same types under another name.
/** C's `signed char`, 1 byte: `c_int8` (ctypes.c_byte). @example @field(c_byte) n!: number */
export const c_byte = c_int8;
/** C's `unsigned char`, 1 byte: `c_uint8` (ctypes.c_ubyte). @example @field(c_ubyte) n!: number */
export const c_ubyte = c_uint8;
/** C's `short`, 2 bytes: `c_int16` (ctypes.c_short). @example @field(c_short) n!: number */
export const c_short = c_int16;
/** C's `unsigned short`, 2 bytes: `c_uint16` (ctypes.c_ushort). @example @field(c_ushort) n!: number */
export const c_ushort = c_uint16;
/** C's `int`, 4 bytes: `c_int32` (ctypes.c_int). @example @field(c_int) n!: number */
export const c_int = c_int32;
/** C's `unsigned int`, 4 bytes: `c_uint32` (ctypes.c_uint). @example @field(c_uint) n!: number */
export const c_uint = c_uint32;
/** C's `long`, 8 bytes: `c_int64` (ctypes.c_long). @example @field(c_long) n!: bigint */
export const c_long = c_int64;
/** C's `unsigned long`, 8 bytes: `c_uint64` (ctypes.c_ulong). @example @field(c_ulong) n!: bigint */
export const c_ulong = c_uint64;
/** C's `long long`, 8 bytes: `c_int64` (ctypes.c_longlong). @example @field(c_longlong) n!: bigint */
export const c_longlong = c_int64;
/** C's `unsigned long long`, 8 bytes: `c_uint64` (ctypes.c_ulonglong). @example @field(c_ulonglong) n!: bigint */
export const c_ulonglong = c_uint64;
/** C's `size_t`, 8 bytes: `c_uint64` (ctypes.c_size_t). @example @field(c_size_t) n!: bigint */
export const c_size_t = c_uint64;
/** C's `ssize_t`, 8 bytes: `c_int64` (ctypes.c_ssize_t). @example @field(c_ssize_t) n!: bigint */
export const c_ssize_t = c_int64;
/**
 * C's `time_t`, 8 bytes: `c_int64`, seconds since 1970 (ctypes.c_time_t).
 * @example @field(c_time_t) since!: bigint
 */
export const c_time_t = c_int64;

/**
 * C's `void *`, 8 bytes: a bigint (ctypes.c_void_p). An address means nothing in another process: store offsets or
 * indices instead.
 * @example @field(c_void_p) next!: bigint
 */
export const c_void_p: ScalarType<bigint, BigUint64Array> = ownType(
  {
    ...c_uint64,
    name: "c_void_p",
    schema: "c_void_p",
    integer: undefined,
  },
  BigInt,
);

/**
 * C's `char`, 1 byte: a string of one Latin-1 character, U+0000 to U+00FF (ctypes.c_char, but for the string). Text
 * of several is `chars(n)`.
 * @example @field(c_char) grade!: string
 */
export const c_char: CType<string> = ownType(
  {
    kind: "text" as const,
    name: "c_char",
    size: 1,
    align: 1,
    schema: "c_char",
    read: (memory: Memory, o: number) => String.fromCharCode(memory.view.getUint8(o)),
    write: (memory: Memory, o: number, value: string) => memory.view.setUint8(o, value.charCodeAt(0)),
    check: (value: unknown) => {
      const expected = "a string of one Latin-1 character";
      if (typeof value !== "string") throw wrongType(expected, value);
      if (value.length !== 1 || value.charCodeAt(0) > 255) throw outOfRange(expected, value);
      return value;
    },
  },
  String,
);

/**
 * C's `wchar_t`, 4 bytes: a string of one code point (ctypes.c_wchar). Memory that holds none reads as U+FFFD.
 * @example @field(c_wchar) sign!: string
 */
export const c_wchar: CType<string> = ownType(
  {
    kind: "text" as const,
    name: "c_wchar",
    size: 4,
    align: 4,
    schema: "c_wchar",
    read: (memory: Memory, o: number) => {
      const code = c_uint32.read(memory, o);
      return code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? "\ufffd" : String.fromCodePoint(code);
    },
    write: (memory: Memory, o: number, value: string) =>
      c_uint32.write(memory, o, value.codePointAt(0) as number),
    check: (value: unknown) => {
      const expected = "a string of one code point";
      if (typeof value !== "string") throw wrongType(expected, value);
      const code = value.codePointAt(0);
      const one = code !== undefined && value.length === (code > 0xffff ? 2 : 1) && value.isWellFormed();
      if (!one) throw outOfRange(expected, value);
      return value;
    },
  },
  String,
);

/**
 * A type stored as `base` and seen as something else. What `decode` throws reaches those who read the field, what
 * `encode` throws those who write it: as a RangeError or else a TypeError with the field's name in front, whose `cause`
 * it is.
 * @param options.name shown in messages and schemas
 * @param options.decode from the stored value to yours; must not throw for any stored value
 * @param options.encode from yours to the stored one; throw TypeError or RangeError for what cannot be stored
 * @param options.labels names of stored values, for the schema: `{ Idle: "0" }`
 * @throws TypeError for what is no type, an option there is not, and one that is missing or of another kind;
 * StructDefinitionError for an object that nearly is a type
 * @example
 * const date_ms = convert(c_int64, {
 *   name: "date_ms",
 *   decode: (ms) => new Date(Number(ms)),
 *   encode: (value) => {
 *     if (!(value instanceof Date) || Number.isNaN(value.getTime())) throw new TypeError("expected a valid Date");
 *     return BigInt(value.getTime());
 *   },
 * });
 */
export function convert<B, T>(
  base: CType<B>,
  options: {
    name: string;
    decode: (stored: B) => T;
    encode: (value: unknown) => B;
    labels?: Readonly<Record<string, string>> | undefined;
  },
): CType<T> {
  checkConversion(base, options);
  return converted(base, options);
}

/** What a conversion is made from, and what is known of one that the library makes. */
interface ConversionParts<B, T> {
  readonly name: string;
  readonly decode: (stored: B) => T;
  readonly encode: (value: unknown) => B;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly storedAs?: "integer";
  readonly asNumber?: boolean;
  readonly values?: ValueClass | undefined;
  /** The names of an enum's values. */
  readonly names?: ReadonlyMap<unknown, string>;
}

function converted<B, T>(base: CType<B>, parts: ConversionParts<B, T>): ConvertedType<T> {
  const { name, decode, encode, labels, storedAs, asNumber, values, names } = parts;
  // What check returns is what write stores, so the encoded value travels between them under the type T.
  const type = {
    kind: "own" as const,
    base,
    conversion: { decode, encode } as Conversion,
    ...(storedAs && { storedAs, asNumber }),
    ...(names && { labels: names }),
    name,
    size: base.size,
    align: base.align,
    schema: { converted: name, base: schemaOfType(base), ...(labels && { labels }) },
    read: (memory: Memory, o: number) => decode(base.read(memory, o)),
    check: (value: unknown) => base.check(encode(value)) as unknown as T,
    write: (memory: Memory, o: number, value: T) => base.write(memory, o, value as unknown as B),
  };
  return isOwnType(base) ? ownType(type, values) : reading(type, values);
}

function checkConversion(base: unknown, options: unknown): void {
  if (!isCType(base)) throw new TypeError(`convert: expected a type such as c_int32, got ${show(base)}`);
  const needed = { name: "string", decode: "function", encode: "function" } as const;
  checkOptions("convert", options, { ...needed, labels: "object" });
  for (const [name, kind] of Object.entries(needed)) {
    if ((options as Partial<Record<string, unknown>> | undefined)?.[name] === undefined)
      throw new TypeError(`convert: option ${name} must be a ${kind}, got undefined`);
  }
}

/**
 * A 64-bit integer seen as a number.
 * Reading or writing one outside ±(2^53 - 1) throws RangeError: nothing is rounded.
 * @throws TypeError for a type whose values are no bigints
 * @example @field(asNumber(c_int64)) nanoseconds!: number
 */
export function asNumber(type: CType<bigint>): IntegerType<number> {
  if (!isCType(type) || !readsBigInt(type))
    throw new TypeError(
      `asNumber: expected a type whose values are bigints, such as c_int64, got ${isCType(type) ? (type as CType<unknown>).name : show(type)}`,
    );
  const expected = "a safe integer (within ±(2^53 - 1)); use the bigint type itself for larger ones";
  const isUnsigned = isScalar(type) && type.inline.accessor === "BigUint64";
  const parts: ConversionParts<bigint, number> = {
    ...integerOfNumbers,
    name: `asNumber(${type.name})`,
    decode: (stored) => {
      const number = Number(stored);
      if (!Number.isSafeInteger(number)) throw outOfRange(expected, stored);
      return number;
    },
    encode: (value) => {
      if (typeof value !== "number") throw wrongType("a number", value);
      if (!Number.isSafeInteger(value)) throw outOfRange(expected, value);
      // The type itself would ask for a bigint, which is refused here.
      if (isUnsigned && value < 0) throw outOfRange("a whole number from 0 on", value);
      return BigInt(value);
    },
  };
  return converted(type, parts) as IntegerType<number>;
}

const integerOfNumbers = { storedAs: "integer", asNumber: true, values: Number } as const;

/** A type shows what its values are by what it makes of zeros: it must read any bytes. */
function readsBigInt(type: CType<unknown>): boolean {
  const zeros = new Region(new ArrayBuffer(type.size), 0, type.size, 0);
  return typeof type.read(zeros, 0) === "bigint";
}

/**
 * An integer that takes the values of a TypeScript enum or a const object.
 * Writing a value that the enum does not have throws RangeError; reading one (another program may know more)
 * gives the bare number, as a C enum does.
 * @throws StructDefinitionError for anything but a type and then an enum, an enum without members or with one that
 * is a string; TypeError or RangeError for a member that does not fit the type
 * @example
 * enum Mode { Idle, Run }
 * class Robot extends Struct { @field(enumOf(c_uint8, Mode)) mode!: Mode }
 */
export function enumOf<B extends number | bigint, const E extends Readonly<Record<string, B | string>>>(
  type: CType<B>,
  Enum: E,
): IntegerType<Extract<E[keyof E], B>> {
  checkEnum(type, Enum);
  const where = `enumOf(${type.name})`;
  const members = Object.entries(Enum).filter(([name]) => !isReverseMapping(Enum, name));
  if (members.length === 0) throw new StructDefinitionError(`${where}: the enum has no members`);
  const labels = Object.fromEntries(
    members.map(([name, value]) => [name, labelOf(type, value, where, name)]),
  );
  const values = new Set<unknown>(members.map(([, value]) => value));
  const parts: ConversionParts<B, Extract<E[keyof E], B>> = {
    storedAs: "integer",
    values: valueClassOf(type),
    // Of two names for one value the first.
    names: new Map(members.map(([label, value]) => [value as unknown, label] as const).reverse()),
    name: where,
    labels,
    decode: (stored) => stored as Extract<E[keyof E], B>,
    encode: (value) => {
      if (values.has(value)) return value as B;
      const expected = `one of ${members.map(([name, member]) => `${name} (${show(member)})`).join(", ")}`;
      throw typeof value === "number" || typeof value === "bigint"
        ? outOfRange(expected, value)
        : wrongType(expected, value);
    },
  };
  return converted(type, parts) as IntegerType<Extract<E[keyof E], B>>;
}

/** A numeric enum of TypeScript also maps its values back to names: `Mode[5] === "Run"`. */
function isReverseMapping(Enum: Readonly<Record<string, unknown>>, key: string): boolean {
  const name = Enum[key];
  if (typeof name !== "string") return false;
  const value = Enum[name];
  return typeof value === "number" && String(value) === key;
}

function labelOf(type: CType<unknown>, value: unknown, where: string, name: string): string {
  if (typeof value === "string")
    throw new StructDefinitionError(
      `${where}: member ${name} is ${show(value)}; only numbers and bigints can be stored`,
    );
  try {
    return String(type.check(value));
  } catch (error) {
    throw at(`${where}.${name}`, error);
  }
}

function checkEnum(type: unknown, Enum: unknown): void {
  if (typeof (type as CType<unknown> | undefined)?.check !== "function")
    throw new StructDefinitionError(
      `enumOf: expected an integer type and then an enum, as in enumOf(c_uint8, Mode), got ${show(type)} first`,
    );
  const isType = typeof (Enum as Partial<CType<unknown>> | undefined)?.check === "function";
  if (typeof Enum === "object" && Enum !== null && !isType) return;
  throw new StructDefinitionError(
    `enumOf: expected an enum or an object of its members after the type, got ${show(Enum)}`,
  );
}
