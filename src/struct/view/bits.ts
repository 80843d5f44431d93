/**
 * Bit-fields. On little-endian structs bit n of the struct is bit n%8 of byte n/8, counted from the least
 * significant; on big-endian ones from the most significant. A field is read and written through the smallest
 * power-of-two unit around it, byte-wise where none fits.
 */

import type { BitScalar, BitsType, BitValue } from "../declare/composite.ts";
import { checkBigInt, checkInteger } from "../declare/types.ts";
import type { Member } from "../layout/layout.ts";
import type { Memory } from "../memory/memory.ts";

interface Span {
  /** Bytes from the start of the struct, and how many. */
  readonly start: number;
  readonly byteLength: number;
  /** Bits between the field's least significant bit and that of the span. */
  readonly shift: bigint;
  readonly mask: bigint;
}

function spanOf({ offset, width }: NonNullable<Member["bits"]>, littleEndian: boolean): Span {
  const start = Math.floor(offset / 8);
  const byteLength = Math.ceil((offset + width) / 8) - start;
  const first = offset - start * 8;
  const shift = littleEndian ? first : byteLength * 8 - first - width;
  return { start, byteLength, shift: BigInt(shift), mask: (1n << BigInt(width)) - 1n };
}

/** The bits of a field as a mask of each byte that they are in, in the order of the memory. */
export function masksOf(bits: NonNullable<Member["bits"]>, littleEndian: boolean): number[] {
  const { byteLength, shift, mask } = spanOf(bits, littleEndian);
  const bytes = Array.from({ length: byteLength }, (_, i) =>
    Number(((mask << shift) >> BigInt(8 * i)) & 0xffn),
  );
  return littleEndian ? bytes : bytes.reverse();
}

const scalarOf = (member: Member): BitScalar => (member.type as BitsType).base;

/** The value of a bit-field of the struct at `base`. */
export function readBits(member: Member, memory: Memory, base: number): BitValue {
  const bits = member.bits as NonNullable<Member["bits"]>;
  const { inline, integer } = scalarOf(member);
  const value =
    readSmall(bits, memory, base, integer.signed) ?? readLarge(bits, memory, base, integer.signed);
  if (inline.boolean) return Number(value) !== 0;
  return inline.accessor.startsWith("Big") ? BigInt(value) : Number(value);
}

/** The common case: at most four bytes, no bigint. */
function readSmall(
  bits: NonNullable<Member["bits"]>,
  memory: Memory,
  base: number,
  signed: boolean,
): number | undefined {
  const { offset, width } = bits;
  // No shift: from 512 MiB on the offset has more than 32 bits.
  const start = Math.floor(offset / 8);
  const first = offset - start * 8;
  const byteLength = (first + width + 7) >>> 3;
  if (byteLength > 4) return undefined;
  const { view, littleEndian } = memory;
  let word = 0;
  for (let i = 0; i < byteLength; i++) {
    word |= view.getUint8(base + start + i) << (8 * (littleEndian ? i : byteLength - 1 - i));
  }
  const shift = littleEndian ? first : byteLength * 8 - first - width;
  const top = (word << (32 - shift - width)) | 0;
  return signed ? top >> (32 - width) : top >>> (32 - width);
}

function readLarge(bits: NonNullable<Member["bits"]>, memory: Memory, base: number, signed: boolean): bigint {
  const { shift, mask } = spanOf(bits, memory.littleEndian);
  const value = (readSpan(spanOf(bits, memory.littleEndian), memory, base) >> shift) & mask;
  return signed ? BigInt.asIntN(bits.width, value) : value;
}

function readSpan({ start, byteLength }: Span, { view, littleEndian }: Memory, base: number): bigint {
  let word = 0n;
  for (let i = 0; i < byteLength; i++) {
    const byte = view.getUint8(base + start + (littleEndian ? byteLength - 1 - i : i));
    word = (word << 8n) | BigInt(byte);
  }
  return word;
}

/** Stores a value that `checkBits` returned, leaving the neighbours' bits as they are. */
export function writeBits(bits: Member["bits"], memory: Memory, base: number, value: BitValue): void {
  const span = spanOf(bits as NonNullable<Member["bits"]>, memory.littleEndian);
  const { start, byteLength, shift, mask } = span;
  let word = (readSpan(span, memory, base) & ~(mask << shift)) | ((BigInt(value) & mask) << shift);
  for (let i = 0; i < byteLength; i++) {
    memory.view.setUint8(base + start + (memory.littleEndian ? i : byteLength - 1 - i), Number(word & 0xffn));
    word >>= 8n;
  }
}

/** @throws TypeError, RangeError for what the width cannot hold (C would cut it silently) */
export function checkBits({ inline, integer, check }: BitScalar, bits: number, value: unknown): BitValue {
  if (inline.boolean) return check(value);
  const width = BigInt(bits);
  const min = integer.signed ? -(1n << (width - 1n)) : 0n;
  const max = integer.signed ? (1n << (width - 1n)) - 1n : (1n << width) - 1n;
  return inline.accessor.startsWith("Big")
    ? checkBigInt(value, min, max)
    : checkInteger(value, Number(min), Number(max));
}
