/** C's long double, in the format of this platform. */
import { type Abi, abi } from "../layout/abi.ts";
import { assertAttached, type Memory } from "../memory/memory.ts";
import { wrongType } from "../validation-error.ts";
import { type CType, ownType } from "./types.ts";

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
      return format.read(low, high);
    },
    write: (memory: Memory, o: number, value: number) => {
      const [low, high] = format.write(value);
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

interface Format {
  readonly read: (low: bigint, high: bigint) => number;
  readonly write: (value: number) => [low: bigint, high: bigint];
}

const formats: Record<Abi["longDouble"], Format> = {
  x87: { read: fromX87, write: toX87 },
  binary128: { read: fromBinary128, write: toBinary128 },
};

const format = formats[abi.longDouble];
