/**
 * How a language can be made to lay out a struct that lies as it lies: as it would by itself, with padding spelt out,
 * or packed with padding spelt out. Each language says how it aligns; what it then declares is checked by its compiler.
 */
import { CodegenError } from "./error.ts";
import { type Declaration, type Item, isOpen, type Spec } from "./plan.ts";

/** What stands in a declaration, in order. */
export type Part =
  | { readonly kind: "member"; readonly item: Item }
  /** What belongs to no member, and the language would not leave out by itself: from one bit to another. */
  | { readonly kind: "space"; readonly from: number; readonly to: number }
  /** Bit-fields that a language without them declares as bytes. */
  | {
      readonly kind: "run";
      readonly name: string;
      readonly offset: number;
      readonly size: number;
      readonly items: readonly Item[];
    };

/** A struct as a language declares it. */
export interface Placed {
  readonly declaration: Declaration;
  readonly parts: readonly Part[];
  /** The cap on alignments, in bytes, if it needs one. */
  readonly pack?: number;
  /** What the members alone would align it to. */
  readonly align: number;
}

/** How a language lays out structs. */
export interface Rules {
  readonly language: string;
  /** Natural alignment of a type in bytes. */
  alignOf(spec: Spec): number;
  /** Whether it has gcc's bit-fields; otherwise they become runs of bytes. */
  readonly bitFields: boolean;
  /** Whether a bit-field begins right behind the one before also where it crosses a unit of its type. Default: only when packed. */
  readonly denseBits?: boolean;
  /** The caps on alignment that it has, largest first. */
  readonly packs: readonly number[];
  /** Whether a struct can be aligned to more than its members are; when it is packed, too. */
  readonly aligns: { readonly natural: boolean; readonly packed: boolean };
  /** Whether the alignment itself must be right, or only offsets and size. */
  readonly exactAlign: boolean;
  /** False: a struct that ends in a flexible array may lack the padding behind it. */
  readonly exactSize?: boolean;
}

/** The prefix of padding's names, which an import knows and leaves out. */
export const PADDING = "shms_padding_";

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/**
 * The parts of a struct.
 * @throws CodegenError when the language has no way to lay it out so
 */
export function place(declaration: Declaration, rules: Rules): Placed {
  for (const pack of [undefined, ...rules.packs]) {
    const placed = new Attempt(declaration, rules, pack).run();
    if (placed !== undefined) return placed;
  }
  throw new CodegenError(
    declaration.path,
    `${rules.language} cannot lay out ${declaration.name} with ${declaration.size} bytes aligned to ${declaration.align}`,
  );
}

class Attempt {
  readonly #declaration: Declaration;
  readonly #rules: Rules;
  readonly #pack: number | undefined;
  readonly #parts: Part[] = [];
  /** Bits. */
  #position = 0;
  #end = 0;
  #align = 1;
  #runs = 0;

  constructor(declaration: Declaration, rules: Rules, pack: number | undefined) {
    this.#declaration = declaration;
    this.#rules = rules;
    this.#pack = pack;
  }

  run(): Placed | undefined {
    const { items, kind } = this.#declaration;
    for (const group of this.#groups(items)) {
      if (kind === "union") this.#position = 0;
      if (!this.#group(group)) return undefined;
      this.#end = Math.max(this.#end, this.#position);
    }
    return this.#finish();
  }

  /** Bit-fields side by side, in a language without them; else each item alone. */
  #groups(items: readonly Item[]): Item[][] {
    const groups: Item[][] = [];
    for (const item of items) {
      const last = groups.at(-1)?.at(-1);
      const joins = !this.#rules.bitFields && item.bits && last?.bits && this.#declaration.kind === "struct";
      if (joins) groups.at(-1)?.push(item);
      else groups.push([item]);
    }
    return groups;
  }

  #group(group: Item[]): boolean {
    const [first] = group as [Item];
    if (first.bits === undefined) return this.#member(first);
    return this.#rules.bitFields ? this.#bits(first, first.bits) : this.#bitRun(group, first.bits.offset);
  }

  #member(item: Item): boolean {
    const align = Math.min(this.#rules.alignOf(item.spec), this.#pack ?? Number.POSITIVE_INFINITY);
    const byte = Math.ceil(this.#position / 8);
    if (item.offset < byte) throw overlaps(item);
    if (item.offset % align !== 0) return false;
    if (roundUp(byte, align) !== item.offset) this.#padTo(item.offset * 8);
    this.#align = Math.max(this.#align, align);
    this.#parts.push({ kind: "member", item });
    this.#position = (item.offset + item.size) * 8;
    return true;
  }

  #bits(item: Item, { offset, width }: { offset: number; width: number }): boolean {
    const unit = item.size * 8;
    if (offset < this.#position) throw overlaps(item);
    const crosses = (at: number) => Math.floor(at / unit) !== Math.floor((at + width - 1) / unit);
    const isFree = this.#pack !== undefined || this.#rules.denseBits === true;
    const natural = crosses(this.#position) && !isFree ? roundUp(this.#position, unit) : this.#position;
    if (natural !== offset) this.#padTo(offset);
    if (crosses(offset) && !isFree) return false;
    this.#align = Math.max(this.#align, Math.min(this.#rules.alignOf(item.spec), this.#pack ?? unit));
    this.#parts.push({ kind: "member", item });
    this.#position = offset + width;
    return true;
  }

  #bitRun(items: Item[], firstBit: number): boolean {
    const offset = Math.floor(firstBit / 8);
    const end = Math.max(...items.map(({ bits }) => (bits ? bits.offset + bits.width : 0)));
    if (offset * 8 < this.#position) throw overlaps(items[0] as Item);
    if (offset * 8 > this.#position) this.#padTo(offset * 8);
    const size = Math.ceil(end / 8) - offset;
    this.#parts.push({ kind: "run", name: `shms_bits_${this.#runs++}`, offset, size, items });
    this.#position = (offset + size) * 8;
    return true;
  }

  /** Spells out what lies between here and a bit. */
  #padTo(bit: number): void {
    this.#parts.push({ kind: "space", from: this.#position, to: bit });
    this.#position = bit;
  }

  #finish(): Placed | undefined {
    const { size, align } = this.#declaration;
    const { aligns, exactAlign } = this.#rules;
    if (this.#align > align && (exactAlign || size % this.#align !== 0)) return undefined;
    const isRaised = this.#align < align && (this.#pack === undefined ? aligns.natural : aligns.packed);
    if (exactAlign && this.#align < align && !isRaised) return undefined;
    const reached = isRaised ? align : this.#align;
    this.#position = this.#declaration.kind === "union" ? 0 : this.#end;
    const natural = roundUp(Math.ceil(this.#end / 8), reached);
    if (natural > size || size % reached !== 0) return undefined;
    const endsOpen = natural < size && isOpen(this.#declaration.items.at(-1)?.spec);
    if (endsOpen && this.#rules.exactSize !== false) return undefined;
    if (natural < size && !endsOpen) this.#padTo(size * 8);
    return {
      declaration: this.#declaration,
      parts: this.#parts,
      align: this.#align,
      ...(this.#pack !== undefined && { pack: this.#pack }),
    };
  }
}

const overlaps = (item: Item): CodegenError =>
  new CodegenError(item.path, "it overlaps the member before it, which only a union can declare");

/** A space as bits up to the next byte, whole bytes, and bits again. */
export function piecesOf({ from, to }: { readonly from: number; readonly to: number }): {
  readonly bitsBefore: number;
  readonly bytes: number;
  readonly bitsAfter: number;
} {
  const bitsBefore = Math.min(to, roundUp(from, 8)) - from;
  const bytes = Math.max(0, Math.floor(to / 8) - Math.ceil((from + bitsBefore) / 8));
  return { bitsBefore, bytes, bitsAfter: to - from - bitsBefore - bytes * 8 };
}
