/**
 * Through which bytes a bit-field is read and written. Bit n of a little-endian struct is bit n%8 of byte n/8, counted
 * from the least significant; in a big-endian struct from the most significant.
 *
 * A bit-field is stored by one access of 1, 2, 4 or 8 bytes, the smallest that covers it and touches no member that is
 * not a bit-field (C11's memory location, which a zero-width bit-field ends, too). Then another program sees either
 * the old value or the new one. Where there is no such access the bits are stored in parts, as gcc does.
 */
import type { Member } from "./layout.ts";

/** Bytes that are loaded or stored at once: 1, 2, 4 or 8, from `byteOffset` of the struct on. */
export interface Access {
  readonly byteOffset: number;
  readonly size: number;
}

/** How a bit-field is reached. */
export interface BitAccess {
  readonly load: readonly Access[];
  readonly store: readonly Access[];
  /** Another program may see some of its bits old and others new. */
  readonly tears: boolean;
}

/** The bits of one access that belong to a field. */
export interface Piece extends Access {
  /** Bits between the least significant bit of the access and the first of these. */
  readonly shift: number;
  readonly width: number;
  /** Bits of the value below these. */
  readonly valueShift: number;
}

type Bits = NonNullable<Member["bits"]>;

const firstByte = ({ offset }: Bits): number => Math.floor(offset / 8);
const endByte = ({ offset, width }: Bits): number => Math.ceil((offset + width) / 8);

const SIZES = [1, 2, 4, 8];

/** Bytes from `start` up to, not including, `end`. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** The smallest aligned access that covers the bits and stays within the span. */
function alignedAccess(bits: Bits, { start, end }: Span): Access | undefined {
  for (const size of SIZES) {
    const byteOffset = Math.floor(firstByte(bits) / size) * size;
    const covers = byteOffset + size >= endByte(bits);
    if (covers && byteOffset >= start && byteOffset + size <= end) return { byteOffset, size };
  }
  return undefined;
}

/** Some access that covers the bits and stays within the span: packed structs put them anywhere. */
function anyAccess(bits: Bits, { start, end }: Span): Access | undefined {
  const needed = endByte(bits) - firstByte(bits);
  const size = SIZES.find((bytes) => bytes >= needed);
  if (size === undefined || end - start < size) return undefined;
  return { byteOffset: Math.min(firstByte(bits), end - size), size };
}

/** Several aligned accesses, one behind the other, of exactly the bytes that hold the bits. */
function parts(bits: Bits): Access[] {
  const accesses: Access[] = [];
  for (let byteOffset = firstByte(bits); byteOffset < endByte(bits); ) {
    const fits = (size: number) => byteOffset % size === 0 && byteOffset + size <= endByte(bits);
    const size = SIZES.findLast(fits) as number;
    accesses.push({ byteOffset, size });
    byteOffset += size;
  }
  return accesses;
}

const accessIn = (bits: Bits, span: Span): Access[] =>
  [alignedAccess(bits, span) ?? anyAccess(bits, span) ?? parts(bits)].flat();

/**
 * How the bit-field is reached.
 * @param own the bytes that hold bit-fields and padding only
 */
function accessOf(bits: Bits, own: Span, struct: Extent): BitAccess {
  const store = accessIn(bits, own);
  const [first] = store as [Access, ...Access[]];
  const isWhole = store.length === 1 && first.size <= struct.align && first.byteOffset % first.size === 0;
  // A load touches nothing, so it may take in other members.
  const load = store.length === 1 ? store : accessIn(bits, { start: 0, end: struct.size });
  return { load, store, tears: !isWhole };
}

interface Extent {
  readonly kind: "struct" | "union";
  readonly size: number;
  readonly align: number;
}

/** The members of a struct in order, each bit-field with the way it is reached. */
export function withAccess(members: readonly Member[], struct: Extent): Member[] {
  const ends = struct.kind === "union" ? [] : endsOfRuns(members, struct.size);
  let start = 0;
  let before = 0;
  return members.map((member, i) => {
    const { bits, via, offset, size } = member;
    if (via !== undefined) return member;
    if (bits === undefined) {
      start = struct.kind === "union" ? 0 : offset + size;
      return member;
    }
    if (bits.apart) start = before;
    before = endByte(bits);
    const own = {
      start: Math.min(start, firstByte(bits)),
      end: Math.max(ends[i] ?? struct.size, endByte(bits)),
    };
    return Object.freeze({ ...member, access: accessOf(bits, own, struct) });
  });
}

/**
 * For each bit-field where the next member that is not one begins, or bit-fields behind a zero-width one. Gone through
 * from the end, as a struct may have very many.
 */
function endsOfRuns(members: readonly Member[], size: number): number[] {
  const ends: number[] = [];
  let end = size;
  for (let i = members.length - 1; i >= 0; i--) {
    const { bits, offset, via } = members[i] as Member;
    if (via !== undefined) continue;
    ends[i] = end;
    if (bits === undefined) end = offset;
    else if (bits.apart) end = firstByte(bits);
  }
  return ends;
}

/** The pieces of the bit-field that lie in each access. */
export function piecesOf(bits: Bits, accesses: readonly Access[], littleEndian: boolean): Piece[] {
  const [fieldStart, fieldEnd] = [bits.offset, bits.offset + bits.width];
  return accesses.map(({ byteOffset, size }) => {
    const [accessStart, accessEnd] = [byteOffset * 8, (byteOffset + size) * 8];
    const start = Math.max(fieldStart, accessStart);
    const end = Math.min(fieldEnd, accessEnd);
    return {
      byteOffset,
      size,
      width: end - start,
      shift: littleEndian ? start - accessStart : accessEnd - end,
      valueShift: littleEndian ? start - fieldStart : fieldEnd - end,
    };
  });
}

/** The access of a bit-field of a nested struct, `byteOffset` bytes into the one around it. */
export const movedAccess = ({ load, store, tears }: BitAccess, byteOffset: number): BitAccess => {
  const move = (access: Access): Access => ({ ...access, byteOffset: access.byteOffset + byteOffset });
  return { load: load.map(move), store: store.map(move), tears };
};
