/** The values of bit-fields: checked, stored, and the source of generated accessors. */
import type { BitsType } from "../declare/composite.ts";
import { checkBigInt, checkInteger } from "../declare/types.ts";
import { type Piece, piecesOf } from "../layout/bit-access.ts";
import type { Member } from "../layout/layout.ts";
import type { Memory, Region } from "../memory/memory.ts";

/** A member that is a bit-field. */
export type BitMember = Member & Required<Pick<Member, "bits" | "access">> & { readonly type: BitsType };

export const isBitMember = (member: Member): member is BitMember => member.access !== undefined;

/** The least and the most that the bits hold. */
function limitsOf({ base, width }: BitsType): [least: bigint, most: bigint] {
  const bits = BigInt(width);
  return base.integer.signed ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
}

/**
 * The value in the form that `writeBits` stores.
 * @throws TypeError, RangeError for what the width cannot hold (C would cut it silently)
 */
export function checkBits(type: BitsType, value: unknown): number | bigint {
  const stored = type.conversion === undefined ? value : type.conversion.encode(value);
  if (type.values === "boolean") return Number(type.base.check(stored));
  const [least, most] = limitsOf(type);
  return type.values === "bigint"
    ? checkBigInt(stored, least, most)
    : checkInteger(stored, Number(least), Number(most));
}

/** Stores a value that `checkBits` returned, leaving the neighbours' bits as they are. */
export function writeBits(member: BitMember, memory: Region, base: number, value: number | bigint): void {
  const bits = BigInt(value);
  for (const piece of piecesOf(member.bits, member.access.store, memory.littleEndian)) {
    const at = base + piece.byteOffset;
    const mask = ((1n << BigInt(piece.width)) - 1n) << BigInt(piece.shift);
    memory.willStore(at, piece.size);
    const placed = ((bits >> BigInt(piece.valueShift)) << BigInt(piece.shift)) & mask;
    put(memory, at, piece.size, (got(memory, at, piece.size) & ~mask) | placed);
  }
}

function got({ view, littleEndian }: Memory, at: number, size: number): bigint {
  if (size === 8) return view.getBigUint64(at, littleEndian);
  if (size === 4) return BigInt(view.getUint32(at, littleEndian));
  return BigInt(size === 2 ? view.getUint16(at, littleEndian) : view.getUint8(at));
}

function put({ view, littleEndian }: Memory, at: number, size: number, word: bigint): void {
  if (size === 8) view.setBigUint64(at, word, littleEndian);
  else if (size === 4) view.setUint32(at, Number(word), littleEndian);
  else if (size === 2) view.setUint16(at, Number(word), littleEndian);
  else view.setUint8(at, Number(word));
}

/** How generated code reaches the bytes: expressions and statements for one access. */
export interface BitSource {
  readonly littleEndian: boolean;
  readonly load: (accessor: WordAccessor, byteOffset: number) => string;
  readonly store: (accessor: WordAccessor, byteOffset: number, word: string) => string;
}

type WordAccessor = "Uint8" | "Uint16" | "Uint32" | "BigUint64";

const accessors: Readonly<Record<number, WordAccessor>> = {
  1: "Uint8",
  2: "Uint16",
  4: "Uint32",
  8: "BigUint64",
};
const accessor = (size: number): WordAccessor => accessors[size] as WordAccessor;

const load = ({ byteOffset, size }: Piece, source: BitSource): string =>
  source.load(accessor(size), byteOffset);

/** More bits than the operators for numbers take. */
const isWide = ({ width }: BitsType): boolean => width > 32;

/** An expression for the bits as a number, a bigint or a boolean. */
export function bitsExpression(member: BitMember, source: BitSource): string {
  const { type, bits, access } = member;
  const pieces = piecesOf(bits, access.load, source.littleEndian);
  if (isWide(type) || pieces.some(({ size }) => size === 8)) return wideExpression(type, pieces, source);
  const [first] = pieces as [Piece];
  const value =
    pieces.length === 1 ? extracted(type, first, load(first, source)) : combined(type, pieces, source);
  if (type.values === "boolean") return `${value} !== 0`;
  return type.values === "bigint" ? `BigInt(${value})` : value;
}

/** The bits of one word, with their sign. */
function extracted({ base, width }: BitsType, { shift }: Piece, word: string): string {
  if (base.integer.signed) return `(${word} << ${32 - shift - width} >> ${32 - width})`;
  if (width === 32) return word;
  return shift === 0 ? `(${word} & ${2 ** width - 1})` : `(${word} >>> ${shift} & ${2 ** width - 1})`;
}

/** Up to 32 bits from several words. */
function combined({ base, width }: BitsType, pieces: readonly Piece[], source: BitSource): string {
  const parts = pieces.map(
    (piece) => `(${load(piece, source)} >>> ${piece.shift} & ${2 ** piece.width - 1}) << ${piece.valueShift}`,
  );
  return `((${parts.join(" | ")}) << ${32 - width} ${base.integer.signed ? ">>" : ">>>"} ${32 - width})`;
}

/** By bigints. */
function wideExpression(
  { base, width, values }: BitsType,
  pieces: readonly Piece[],
  source: BitSource,
): string {
  const parts = pieces.map((piece) => {
    const word = piece.size === 8 ? load(piece, source) : `BigInt(${load(piece, source)})`;
    return `BigInt.asUintN(${piece.width}, ${word} >> ${piece.shift}n) << ${piece.valueShift}n`;
  });
  const value = `BigInt.as${base.integer.signed ? "Int" : "Uint"}N(${width}, ${parts.join(" | ")})`;
  if (values === "boolean") return `${value} !== 0n`;
  return values === "bigint" ? value : `Number(${value})`;
}

/** A bigint that a number can stand for: as one it is checked and stored without bigints of its own. */
const isNarrowBigInt = (type: BitsType): boolean =>
  type.values === "bigint" && type.conversion === undefined && !isWide(type);

/** The statement, if any, that makes the number `n` of `v`: NaN of what is no bigint. */
export const bitsNumber = (type: BitsType): string[] =>
  isNarrowBigInt(type) ? ['const n = typeof v === "bigint" ? Number(v) : NaN;'] : [];

/** An expression that is true for a value `v` that the bits cannot hold. */
export function bitsRefuse(type: BitsType): string {
  if (type.values === "boolean") return 'typeof v !== "boolean"';
  if (isNarrowBigInt(type)) return isOutside("n", type);
  const [least, most] = limitsOf(type);
  if (type.values === "bigint") return `typeof v !== "bigint" || v < ${least}n || v > ${most}n`;
  if (isWide(type)) return `!Number.isInteger(v) || v < ${least} || v > ${most}`;
  return `typeof v !== "number" || ${isOutside("v", type)}`;
}

/** Of a number, whether it is more than these bits hold. */
const isOutside = (number: string, { base, width }: BitsType): string =>
  `(${number} << ${32 - width} ${base.integer.signed ? ">>" : ">>>"} ${32 - width}) !== ${number}`;

/** Statements that store the checked value `v`. */
export function bitsStatements({ type, bits, access }: BitMember, source: BitSource): string[] {
  const pieces = piecesOf(bits, access.store, source.littleEndian);
  return pieces.map((piece) => {
    const { byteOffset, size } = piece;
    const word = size === 8 ? wideWord(type, piece, source) : word32(type, piece, source);
    return source.store(accessor(size), byteOffset, word);
  });
}

function word32(type: BitsType, piece: Piece, source: BitSource): string {
  const { shift, width, size } = piece;
  const mask = 2 ** width - 1;
  const value = valueBits(type, piece);
  if (width === size * 8) return value;
  const placed = shift === 0 ? `${value} & ${mask}` : `(${value} & ${mask}) << ${shift}`;
  return `${load(piece, source)} & ${~(mask << shift)} | ${placed}`;
}

/** The bits of `v` from the piece's first on, as a number. */
function valueBits(type: BitsType, { valueShift, width }: Piece): string {
  if (isNarrowBigInt(type)) return valueShift === 0 ? "n" : `(n >>> ${valueShift})`;
  if (type.values === "bigint" || isWide(type)) {
    const bits = type.values === "bigint" ? "v" : "BigInt(v)";
    return `Number(BigInt.asUintN(${width}, ${shifted(bits, valueShift)}))`;
  }
  return valueShift === 0 ? "v" : `(v >>> ${valueShift})`;
}

const shifted = (bits: string, by: number): string => (by === 0 ? bits : `${bits} >> ${by}n`);

function wideWord(type: BitsType, piece: Piece, source: BitSource): string {
  const { shift, width, valueShift } = piece;
  const value = type.values === "bigint" ? "v" : "BigInt(v)";
  const bits = `BigInt.asUintN(${width}, ${shifted(value, valueShift)})`;
  if (width === 64) return type.base.integer.signed ? bits : value;
  const others = BigInt.asUintN(64, ~(((1n << BigInt(width)) - 1n) << BigInt(shift)));
  return `${load(piece, source)} & ${others}n | ${bits} << ${shift}n`;
}
