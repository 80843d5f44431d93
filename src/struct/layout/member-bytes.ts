/**
 * Which bytes of a struct are its members'. The rest is padding to this class, but where it is only a prefix of the
 * struct in a file, other members lie there: behind the last one, in the same byte as a bit-field, anywhere.
 */

import type { AtomicType, StructType } from "../declare/composite.ts";
import { type IntegerArray, typedArrays } from "../declare/types.ts";
import { forValues, type Visitor, visit } from "../declare/visit.ts";
import { bytesBackend } from "../memory/bytes-backend.ts";
import { piecesOf } from "./bit-access.ts";
import { type Layout, layoutOfClass, type Member, unwrap } from "./layout.ts";
import { joined, type Range } from "./plain-ranges.ts";

/** Bytes that are copied as they are. */
interface Dense extends Range {
  readonly of: "bytes";
}

/** Bytes that are loaded and stored at once, of which bit-fields take some bits. */
interface Bits {
  readonly of: "bits";
  readonly at: number;
  readonly size: number;
  /** Of the bytes as a big-endian number. */
  readonly mask: bigint;
}

/** Structs with padding of their own, one after another. */
interface Structs {
  readonly of: "structs";
  readonly parts: readonly Part[];
  readonly start: number;
  readonly count: number;
  /** Bytes from one to the next. */
  readonly stride: number;
}

/** Atomics, one after another. */
interface Atoms {
  readonly of: "atomics";
  readonly Words: new (buffer: ArrayBufferLike, byteOffset: number, length: number) => IntegerArray;
  readonly start: number;
  readonly count: number;
}

type Part = Dense | Bits | Structs | Atoms;

const known = new WeakMap<Layout, { little?: readonly Part[]; big?: readonly Part[] }>();

/** Two stretches of bytes: what lies at `i` in the one belongs to `i + shift` in the other. */
export interface Copying {
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  readonly shift: number;
}

/**
 * Copies the members of a struct, and not a bit between them. Its atomics must be aligned in the target.
 * @param littleEndian the byte order of the two sides, which bit-fields ask for
 */
export function copyMembers(layout: Layout, littleEndian: boolean, copying: Copying): void {
  copyParts(partsOf(layout, littleEndian), copying, 0);
}

function copyParts(parts: readonly Part[], copying: Copying, at: number): void {
  for (const part of parts) {
    if (part.of === "bytes") copyRange(copying, at + part.start, at + part.end);
    else if (part.of === "bits") copyBits(copying, part, at + part.at);
    else if (part.of === "atomics") copyAtoms(part, copying, at + part.start);
    else copyStructs(part, copying, at + part.start);
  }
}

function copyStructs({ parts, count, stride }: Structs, copying: Copying, at: number): void {
  for (let i = 0; i < count; i++) copyParts(parts, copying, at + i * stride);
}

function copyRange({ source, target, shift }: Copying, start: number, end: number): void {
  bytesBackend.copy(source, target, start + shift, start, end);
}

/** Each by a store of its own, as others change them meanwhile. */
function copyAtoms({ Words, count }: Atoms, { source, target, shift }: Copying, start: number): void {
  const to = new Words(target.buffer, target.byteOffset + start + shift, count);
  const { buffer } = new Uint8Array(source.subarray(start, start + to.byteLength));
  const from = new Words(buffer, 0, count);
  for (let i = 0; i < count; i++) Atomics.store(to as Int32Array, i, from[i] as number);
}

/** By the accesses that a store to each of them takes, so that others see each whole. */
function copyBits({ source, target, shift }: Copying, { size, mask }: Bits, at: number): void {
  const from = new DataView(source.buffer, source.byteOffset + at, size);
  const to = new DataView(target.buffer, target.byteOffset + at + shift, size);
  const bits = Number(mask);
  if (size === 8) to.setBigUint64(0, mixed64(to.getBigUint64(0), from.getBigUint64(0), mask));
  else if (size === 4) to.setUint32(0, (to.getUint32(0) & ~bits) | (from.getUint32(0) & bits));
  else if (size === 2) to.setUint16(0, (to.getUint16(0) & ~bits) | (from.getUint16(0) & bits));
  else to.setUint8(0, (to.getUint8(0) & ~bits) | (from.getUint8(0) & bits));
}

const mixed64 = (old: bigint, given: bigint, mask: bigint): bigint => (old & ~mask) | (given & mask);

function partsOf(layout: Layout, littleEndian: boolean): readonly Part[] {
  const order = littleEndian ? "little" : "big";
  const both = known.get(layout) ?? {};
  known.set(layout, both);
  both[order] ??= findParts(layout, littleEndian);
  return both[order];
}

function findParts({ members }: Layout, littleEndian: boolean): Part[] {
  const own = members.filter(({ via }) => via === undefined);
  const found = own.flatMap((member) => partsOfMember(member, littleEndian));
  const bits = joinedBits(found.filter((part) => part.of === "bits"));
  const others = [...found.filter((part) => part.of !== "bits"), ...bits];
  const ranges = joined(others.filter((part) => part.of === "bytes"));
  return [...ranges.map(dense), ...others.filter((part) => part.of !== "bytes")];
}

interface MemberInOrder {
  readonly member: Member;
  readonly littleEndian: boolean;
}

const dense = ({ start, end }: Range): Dense => ({ of: "bytes", start, end });

const wholeOf = ({ offset, size }: Member): Dense => dense({ start: offset, end: offset + size });

const parts: Visitor<Part[], MemberInOrder> = {
  ...forValues((_, { member }) => [wholeOf(member)]),
  bits: (_, { member, littleEndian }) => partsOfBits(member, littleEndian),
  // Of the elements, however many there are.
  array: (type, place) => visit(unwrap(type).innermost, parts, place),
  struct: partsOfStructs,
  atomic: (type, { member: { offset, size } }) => [atomsOf(type, offset, size)],
};

function partsOfMember(member: Member, littleEndian: boolean): Part[] {
  const { endian } = member;
  return visit(member.type, parts, {
    member,
    littleEndian: endian === undefined ? littleEndian : endian === "little",
  });
}

function partsOfStructs({ cls }: StructType, { member, littleEndian }: MemberInOrder): Part[] {
  const layout = layoutOfClass(cls);
  const inner = partsOf(layout, layout.endian === undefined ? littleEndian : layout.endian === "little");
  if (isDense(inner, layout.size)) return [wholeOf(member)];
  const count = member.size / layout.size;
  return [{ of: "structs", parts: inner, start: member.offset, count, stride: layout.size }];
}

function atomsOf({ integer }: AtomicType, start: number, size: number): Atoms {
  const Words = typedArrays[integer.inline.accessor] as Atoms["Words"];
  return { of: "atomics", Words, start, count: size / integer.size };
}

function partsOfBits({ bits, access }: Member, littleEndian: boolean): Part[] {
  if (bits === undefined || access === undefined) return [];
  return piecesOf(bits, access.store, littleEndian).map(({ byteOffset, size, shift, width }) => {
    const mask = ((1n << BigInt(width)) - 1n) << BigInt(shift);
    return { of: "bits", at: byteOffset, size, mask: littleEndian ? swapped(mask, size) : mask };
  });
}

/** A mask of `size` bytes with its bytes turned around: the masks are those of big-endian numbers. */
const swapped = (mask: bigint, size: number): bigint => {
  let turned = 0n;
  for (let i = 0; i < size; i++) turned = (turned << 8n) | ((mask >> BigInt(8 * i)) & 0xffn);
  return turned;
};

/** Masks of the same bytes become one, and a whole one is a range like others. */
function joinedBits(parts: readonly Bits[]): Part[] {
  const masks = new Map<string, Bits>();
  for (const part of parts) {
    const key = `${part.at}:${part.size}`;
    masks.set(key, { ...part, mask: part.mask | (masks.get(key)?.mask ?? 0n) });
  }
  return [...masks.values()].map((part) =>
    part.mask === (1n << BigInt(8 * part.size)) - 1n
      ? dense({ start: part.at, end: part.at + part.size })
      : part,
  );
}

const isDense = ([first, ...rest]: readonly Part[], size: number): boolean =>
  rest.length === 0 && first?.of === "bytes" && first.end - first.start === size;
