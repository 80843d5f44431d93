/** Text in fixed-size fields, and C's long double: types whose bytes need more than one DataView call. */
import { checkOptions } from "../../errors/check-options.ts";
import { assertAttached, type Memory } from "../memory/memory.ts";
import { readText, type TextFormat } from "../memory/private-text.ts";
import { outOfRange, wrongType } from "../validation-error.ts";
import { type CType, ownType } from "./types.ts";

/** How `chars` stores text. @example chars(32, { encoding: "latin1" }) */
export type TextEncoding = "utf8" | "latin1" | "utf16le";

/**
 * What `toString` and `write` of a Buffer do once they know the encoding; for short text that takes most of the time.
 */
type EncodingMethods = {
  [M in `${"utf8" | "latin1" | "ucs2"}Slice`]: (start: number, end: number) => string;
} & {
  [M in `${"utf8" | "latin1" | "ucs2"}Write`]: (
    text: string,
    byteOffset: number,
    byteLength: number,
  ) => number;
};

const methodsOf = (bytes: Buffer): EncodingMethods => bytes as never;

interface Codec extends TextFormat {
  /** The most bytes that one unit of a JavaScript string takes. */
  readonly most: number;
  readonly byteLength: (text: string) => number;
  /** Returns the bytes written. */
  readonly encode: (bytes: Buffer, text: string, byteOffset: number, byteLength: number) => number;
  /** Why the encoding cannot hold the text, if it cannot. */
  readonly problem: (text: string) => string | undefined;
}

const malformed = (text: string) =>
  text.isWellFormed() ? undefined : "well-formed text (no lone surrogate)";

const codecs: Record<TextEncoding, Codec> = {
  utf8: {
    unit: 1,
    most: 3,
    byteLength: (text) => Buffer.byteLength(text),
    decode: (bytes, start, end) => methodsOf(bytes).utf8Slice(start, end),
    encode: (bytes, text, byteOffset, byteLength) => methodsOf(bytes).utf8Write(text, byteOffset, byteLength),
    problem: malformed,
  },
  latin1: {
    unit: 1,
    most: 1,
    byteLength: (text) => text.length,
    decode: (bytes, start, end) => methodsOf(bytes).latin1Slice(start, end),
    encode: (bytes, text, byteOffset, byteLength) =>
      methodsOf(bytes).latin1Write(text, byteOffset, byteLength),
    problem: (text) => (/^[\0-\xff]*$/.test(text) ? undefined : "characters up to U+00FF (Latin-1)"),
  },
  utf16le: {
    unit: 2,
    most: 2,
    byteLength: (text) => text.length * 2,
    decode: (bytes, start, end) => methodsOf(bytes).ucs2Slice(start, end),
    encode: (bytes, text, byteOffset, byteLength) => methodsOf(bytes).ucs2Write(text, byteOffset, byteLength),
    problem: malformed,
  },
};

// Buffer's own takes anything as a value, and time to find out what it is.
const { fill } = Uint8Array.prototype;

/**
 * `char[size]` as text up to the first NUL, in UTF-8 unless told otherwise.
 * Text that fills the field to its last byte has no NUL, as in C and ctypes; the bytes behind the text are zeroed.
 * Longer text is refused (never cut), and so are a NUL inside it and lone surrogates. Bytes that are not valid
 * in the encoding read as U+FFFD.
 * @param size bytes (not characters) of the field
 * @param options.encoding `"utf8"` unless given, `"latin1"` (a byte a character), or `"utf16le"` (two bytes a unit)
 * @throws TypeError for an option or encoding there is not, RangeError for a size that is none
 * @example @field(chars(32)) name!: string
 */
export function chars(size: number, options: { encoding?: TextEncoding | undefined } = {}): CType<string> {
  checkOptions(`chars(${size})`, options, { encoding: "string" });
  const { encoding = "utf8" } = options;
  const codec = Object.hasOwn(codecs, encoding) ? codecs[encoding] : undefined;
  if (codec === undefined)
    throw new TypeError(
      `chars: unknown encoding ${JSON.stringify(encoding)}; use ${Object.keys(codecs).join(", ")}`,
    );
  if (!Number.isSafeInteger(size) || size < 1 || size % codec.unit !== 0) {
    throw new RangeError(
      `chars(${size}): expected a positive whole number of bytes${codec.unit === 2 ? ", even for utf16le" : ""}`,
    );
  }
  const name = encoding === "utf8" ? `chars(${size})` : `chars(${size}, ${encoding})`;
  return ownType(
    {
      kind: "text" as const,
      name,
      size,
      align: 1,
      schema: { chars: size, ...(encoding !== "utf8" && { encoding }) },
      read: (memory: Memory, o: number) => readText(memory, o, size, codec),
      write: (memory: Memory, o: number, value: string) => {
        const { bytes } = memory;
        const written = codec.encode(bytes, value, o, size);
        fill.call(bytes, 0, o + written, o + size);
      },
      check: (value: unknown) => checkText(value, size, codec),
    },
    String,
  );
}

function checkText(value: unknown, size: number, codec: Codec): string {
  if (typeof value !== "string") throw wrongType("a string", value);
  const problem = codec.problem(value);
  if (problem !== undefined) throw outOfRange(problem, value);
  if (value.includes("\0"))
    throw outOfRange("text without NUL (U+0000), which would end it when read", value);
  if (value.length * codec.most <= size) return value;
  const byteLength = codec.byteLength(value);
  if (byteLength > size) throw outOfRange(`text of at most ${size} bytes (this takes ${byteLength})`, value);
  return value;
}

/**
 * `long double`: 16 bytes; the 80-bit x87 format on x64, IEEE binary128 on arm64 Linux.
 * A number: reading rounds to the nearest double, as C converts (so 11 bits of an x87 value are lost, and what is
 * beyond a double's range reads as infinity or 0); writing is exact (ctypes.c_longdouble).
 * @example @field(c_longdouble) precise!: number
 */
export const c_longdouble: CType<number> = ownType(
  {
    kind: "own" as const,
    name: "c_longdouble",
    size: 16,
    align: 16,
    schema: "c_longdouble",
    read: (memory: Memory, o: number) => {
      assertAttached(memory);
      const low = memory.view.getBigUint64(memory.littleEndian ? o : o + 8, memory.littleEndian);
      const high = memory.view.getBigUint64(memory.littleEndian ? o + 8 : o, memory.littleEndian);
      return process.arch === "arm64" ? fromBinary128(low, high) : fromX87(low, high);
    },
    write: (memory: Memory, o: number, value: number) => {
      const [low, high] = process.arch === "arm64" ? toBinary128(value) : toX87(value);
      memory.view.setBigUint64(memory.littleEndian ? o : o + 8, low, memory.littleEndian);
      memory.view.setBigUint64(memory.littleEndian ? o + 8 : o, high, memory.littleEndian);
    },
    check: (value: unknown) => {
      if (typeof value !== "number") throw wrongType("a number", value);
      return value;
    },
  },
  Number,
);

const scratch = new DataView(new ArrayBuffer(8));

/** The bits of a double: sign, unbiased exponent and 52-bit fraction; a subnormal is normalised first. */
function split(value: number): { sign: bigint; exponent: bigint; fraction: bigint } {
  const subnormal = value !== 0 && Math.abs(value) < 2 ** -1022;
  scratch.setFloat64(0, subnormal ? value * 2 ** 64 : value);
  const bits = scratch.getBigUint64(0);
  const exponent = ((bits >> 52n) & 0x7ffn) - 1023n - (subnormal ? 64n : 0n);
  return { sign: bits >> 63n, exponent, fraction: bits & 0xf_ffff_ffff_ffffn };
}

/** ±significand * 2^exponent as the nearest double, ties to even, as C converts. */
function toDouble(sign: bigint, significand: bigint, exponent: number): number {
  const factor = sign ? -1 : 1;
  const bits = significand.toString(2).length;
  // Below the normal range a double has fewer bits, so the rounding must happen before the scaling.
  const excess = -1074 - exponent;
  if (bits + exponent <= -1022 && excess > 0)
    return factor * Number(roundOff(significand, BigInt(Math.min(excess, 200)))) * 2 ** -1074;
  if (bits + exponent > 1025) return factor * Infinity;
  // Two steps keep the scale itself within the range of doubles.
  const half = Math.trunc(exponent / 2);
  return factor * Number(significand) * 2 ** half * 2 ** (exponent - half);
}

/** value / 2^count, to the nearest whole number, ties to even. */
function roundOff(value: bigint, count: bigint): bigint {
  const half = 1n << (count - 1n);
  const rest = value & ((1n << count) - 1n);
  const floor = value >> count;
  return rest > half || (rest === half && (floor & 1n) === 1n) ? floor + 1n : floor;
}

function fromX87(low: bigint, high: bigint): number {
  const sign = (high >> 15n) & 1n;
  const exponent = Number(high & 0x7fffn);
  const integerBit = low >> 63n === 1n;
  if (exponent === 0x7fff) return low === 1n << 63n ? (sign ? -Infinity : Infinity) : NaN;
  // Without the integer bit only exponent 0 is a number, and a much too small one for a double.
  if (!integerBit) return exponent === 0 ? (sign ? -0 : 0) : NaN;
  return toDouble(sign, low, exponent - 16383 - 63);
}

function toX87(value: number): [low: bigint, high: bigint] {
  if (Number.isNaN(value)) return [0xc000_0000_0000_0000n, 0x7fffn];
  const { sign, exponent, fraction } = split(value);
  if (value === 0) return [0n, sign << 15n];
  if (exponent === 1024n) return [1n << 63n, (sign << 15n) | 0x7fffn];
  return [(1n << 63n) | (fraction << 11n), (sign << 15n) | (exponent + 16383n)];
}

function fromBinary128(low: bigint, high: bigint): number {
  const sign = high >> 63n;
  const exponent = Number((high >> 48n) & 0x7fffn);
  const fraction = ((high & 0xffff_ffff_ffffn) << 64n) | low;
  if (exponent === 0x7fff) return fraction === 0n ? (sign ? -Infinity : Infinity) : NaN;
  if (exponent === 0) return sign ? -0 : 0;
  return toDouble(sign, (1n << 112n) | fraction, exponent - 16383 - 112);
}

function toBinary128(value: number): [low: bigint, high: bigint] {
  if (Number.isNaN(value)) return [0n, 0x7fff_8000_0000_0000n];
  const { sign, exponent, fraction } = split(value);
  if (value === 0) return [0n, sign << 63n];
  const biased = exponent === 1024n ? 0x7fffn : exponent + 16383n;
  return [(fraction & 0xfn) << 60n, (sign << 63n) | (biased << 48n) | (fraction >> 4n)];
}
