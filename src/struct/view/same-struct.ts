/**
 * What `equals` does: two structs are compared a stretch at a time, in private copies. Bytes that are the same need no
 * more; where they differ it may be padding, the sign of a zero, or text behind its NUL, so the element is read then.
 */
import { type FieldType, StructType } from "../declare/composite.ts";
import { type CType, isNumeric, type ScalarType } from "../declare/types.ts";
import { forValues, type Visitor, visit } from "../declare/visit.ts";
import {
  inOrder,
  inOrderOf,
  type Layout,
  layoutOfClass,
  type Member,
  sizeOfType,
  unwrap,
} from "../layout/layout.ts";
import { copyMembers } from "../layout/member-bytes.ts";
import { bytesBackend } from "../memory/bytes-backend.ts";
import { BIG_ENDIAN, Region } from "../memory/memory.ts";
import { LAYOUT, OFFSET, REGION, type View } from "./internals.ts";
import { plainValue, unreadable } from "./plain.ts";
import { isSame } from "./same-value.ts";
import { makeArray, makeView } from "./view.ts";

/** What is copied at once; a larger element is compared by its parts. */
const CHUNK_BYTES = 64 * 1024;

/** One side: memory in the byte order of what lies there. */
interface Side {
  readonly region: Region;
  readonly byteOffset: number;
}

type Sides = readonly [Side, Side];

/** Whether two structs of one class hold the same values. */
export function isSameStruct(a: View, b: View): boolean {
  const layout = a[LAYOUT];
  const sides = [a, b].map((view) => ({ region: view[REGION], byteOffset: view[OFFSET] }));
  return layout.flexible || layout.size > CHUNK_BYTES
    ? isSameByMembers(layout, a, b)
    : isSameRun(new StructType(layout.cls), 1, sides as unknown as Sides);
}

/** Of a struct that is too large for one copy, or ends in what takes the memory behind it. */
function isSameByMembers(layout: Layout, a: View, b: View): boolean {
  return layout.members
    .filter(({ via }) => via === undefined)
    .every((member) => visit(member.type, comparing, { member, a, b }));
}

interface Members {
  readonly member: Member;
  readonly a: View;
  readonly b: View;
}

const fieldOf = (view: View, { name }: Member): unknown => (view as unknown as Record<string, unknown>)[name];

const sidesOf = ({ member, a, b }: Members): Sides => {
  const side = (view: View): Side => ({
    region: inOrderOf(view[REGION], member),
    byteOffset: view[OFFSET] + member.offset,
  });
  return [side(a), side(b)];
};

const isSameMember = (type: FieldType, { member, a, b }: Members): boolean => {
  const plain = (view: View) => plainValue(type, () => fieldOf(view, member), { unreadable });
  return isSame(plain(a), plain(b));
};

const comparing: Visitor<boolean, Members> = {
  ...forValues(isSameMember),
  bits: isSameMember,
  atomic: isSameMember,
  struct: (_, { member, a, b }) => isSameStruct(fieldOf(a, member) as View, fieldOf(b, member) as View),
  array: ({ element }, members) => {
    const { member, a, b } = members;
    const [one, other] = [a, b].map((view) => (fieldOf(view, member) as { readonly length: number }).length);
    return one === other && isSameRun(element, one as number, sidesOf(members));
  },
};

/** Whether `count` elements on the one side are those on the other. */
function isSameRun(element: FieldType, count: number, sides: Sides): boolean {
  const size = sizeOfType(element);
  if (size === 0) return true;
  if (size > CHUNK_BYTES) return isSameByElements(element, count, sides);
  const atOnce = Math.min(count, Math.floor(CHUNK_BYTES / size));
  const chunks = new Chunks(element, atOnce);
  for (let i = 0; i < count; i += atOnce)
    if (!chunks.areSame(moved(sides, i * size), Math.min(atOnce, count - i))) return false;
  return true;
}

const moved = ([a, b]: Sides, by: number): Sides => [
  { ...a, byteOffset: a.byteOffset + by },
  { ...b, byteOffset: b.byteOffset + by },
];

/** Of elements that are too large for one copy: rows and structs. */
function isSameByElements(element: FieldType, count: number, sides: Sides): boolean {
  const size = sizeOfType(element);
  for (let i = 0; i < count; i++) {
    const isOne = isSameLarge(element, moved(sides, i * size));
    if (!isOne) return false;
  }
  return true;
}

function isSameLarge(element: FieldType, [a, b]: Sides): boolean {
  if (element.kind === "array") return isSameRun(element.element, element.length ?? 0, [a, b]);
  if (element.kind === "struct") {
    const layout = layoutOfClass(element.cls);
    const view = ({ region, byteOffset }: Side) => makeView(layout, region, byteOffset) as View;
    return isSameStruct(view(a), view(b));
  }
  const plain = ({ region, byteOffset }: Side) => plainElement(element, region, byteOffset);
  return isSame(plain(a), plain(b));
}

const plainElement = (element: FieldType, region: Region, byteOffset: number): unknown =>
  plainValue(element, () => makeArray(element, region, byteOffset, 1).at(0), { unreadable });

/** A struct may have an order of its own, whatever stands around it. */
function isLittleIn(element: FieldType, region: Region): boolean {
  const { innermost } = unwrap(element);
  return innermost.kind === "struct"
    ? inOrder(region, layoutOfClass(innermost.cls)).littleEndian
    : region.littleEndian;
}

/** Compares elements in private copies of so many, which serve again and again. */
class Chunks {
  readonly #element: FieldType;
  readonly #size: number;
  /** The struct that the elements are, if any: it may have padding. */
  readonly #layout: Layout | undefined;
  readonly #one: Uint8Array<ArrayBuffer>;
  readonly #other: Uint8Array<ArrayBuffer>;

  constructor(element: FieldType, atOnce: number) {
    this.#element = element;
    this.#size = sizeOfType(element);
    const { innermost } = unwrap(element);
    this.#layout = innermost.kind === "struct" ? layoutOfClass(innermost.cls) : undefined;
    this.#one = new Uint8Array(atOnce * this.#size);
    this.#other = new Uint8Array(atOnce * this.#size);
  }

  areSame([a, b]: Sides, count: number): boolean {
    const byteLength = count * this.#size;
    const [one, other] = [copied(a, this.#one, byteLength), copied(b, this.#other, byteLength)];
    const isSameOrder = isLittleIn(this.#element, one) === isLittleIn(this.#element, other);
    if (!isSameOrder) return this.#areSameValues(one, other);
    if (firstDifference(one.bytes, other.bytes, 0) < 0) return true;
    return isNumeric(this.#element as CType<unknown>)
      ? areSameNumbers(this.#element as ScalarType<unknown, unknown>, one, other)
      : this.#areSameWhereBytesDiffer(one, other);
  }

  #areSameValues(one: Region, other: Region): boolean {
    for (let at = 0; at < one.byteLength; at += this.#size)
      if (!this.#isSameElement(one, other, at)) return false;
    return true;
  }

  #isSameElement(one: Region, other: Region, byteOffset: number): boolean {
    const [a, b] = [one, other].map((region) => plainElement(this.#element, region, byteOffset));
    return isSame(a, b);
  }

  /** Reads the elements that differ in a byte that is not padding. */
  #areSameWhereBytesDiffer(one: Region, other: Region): boolean {
    const [left, right] = [this.#withoutPadding(one), this.#withoutPadding(other)];
    for (let at = 0; ; ) {
      at = firstDifference(left, right, at);
      if (at < 0) return true;
      const start = at - (at % this.#size);
      if (!this.#isSameElement(one, other, start)) return false;
      at = start + this.#size;
    }
  }

  /** The bytes with zeros for padding. */
  #withoutPadding(region: Region): Uint8Array {
    const { bytes } = region;
    if (this.#layout === undefined) return bytes;
    const { size } = this.#layout;
    const isLittle = isLittleIn(this.#element, region);
    const target = new Uint8Array(bytes.length);
    for (let shift = 0; shift < bytes.length; shift += size)
      copyMembers(this.#layout, isLittle, { source: bytes.subarray(shift, shift + size), target, shift });
    return target;
  }
}

/** So many bytes of a side in `copy`. */
function copied(
  { region, byteOffset }: Side,
  { buffer }: Uint8Array<ArrayBuffer>,
  byteLength: number,
): Region {
  const copy = new Region(buffer, 0, byteLength, region.traits & BIG_ENDIAN);
  bytesBackend.copy(region.bytes, copy.bytes, 0, byteOffset, byteOffset + byteLength);
  return copy;
}

/** Numbers whose bytes differ: of integers that is enough, of floating-point numbers there are two zeros and many NaN. */
function areSameNumbers(type: ScalarType<unknown, unknown>, one: Region, other: Region): boolean {
  if (type.integer !== undefined) return false;
  for (let at = 0; at < one.byteLength; at += type.size) {
    const [a, b] = [type.read(one, at), type.read(other, at)];
    if (a !== b && !(Number.isNaN(a) && Number.isNaN(b))) return false;
  }
  return true;
}

/** Which byte is the first that differs, from one on; -1 when all are equal. Both begin aligned. */
function firstDifference(a: Uint8Array, b: Uint8Array, from: number): number {
  const words = a.length >> 2;
  const [one, other] = [wordsOf(a, words), wordsOf(b, words)];
  let i = from;
  for (; i < a.length && (i & 3) !== 0; i++) if (a[i] !== b[i]) return i;
  let word = i >> 2;
  while (word < words && one[word] === other[word]) word++;
  for (i = Math.max(i, word * 4); i < a.length; i++) if (a[i] !== b[i]) return i;
  return -1;
}

const wordsOf = ({ buffer, byteOffset }: Uint8Array, count: number): Int32Array =>
  new Int32Array(buffer, byteOffset, count);
