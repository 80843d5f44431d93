/**
 * LAYOUT: from what a class declares to sizes and offsets, exactly as gcc lays out C structs on this ABI
 * (abi.ts). Pure: no memory, no I/O. Computed once per class and frozen.
 *
 * A derived class is laid out like `struct Derived { struct Base base; … }` with the base's members in reach.
 */
import { StructDefinitionError } from "../../errors/errors.ts";
import { show } from "../../errors/show.ts";
import {
  type ArrayType,
  type BitsType,
  type FieldType,
  isOpen,
  type StructClass,
  type StructType,
} from "../declare/composite.ts";
import {
  type Declaration,
  isStructName,
  MAX_ALIGN,
  nameMust,
  ownDeclarations,
  ownOptions,
  type StructOptions,
} from "../declare/decorators.ts";
import { MAX_STRUCT_NAME_LENGTH } from "../declare/limits.ts";
import { Struct, Union } from "../declare/struct.ts";
import { integerOf, isCType } from "../declare/types.ts";
import { forValues, type Visitor, visit } from "../declare/visit.ts";
import { BIG_ENDIAN, type Region } from "../memory/memory.ts";
import { abi } from "./abi.ts";
import { type BitAccess, movedAccess, withAccess } from "./bit-access.ts";

/** One member with its place. */
export interface Member {
  readonly name: string;
  readonly type: FieldType;
  /** Bytes from the start of the struct; for a bit-field, of the byte its first bit is in. */
  readonly offset: number;
  /** Bytes; for a bit-field, of its declared type. A flexible array has 0. */
  readonly size: number;
  /** Only for bit-fields: its first bit counted from the start of the struct, and its width. */
  readonly bits?: {
    readonly offset: number;
    readonly width: number;
    /** Behind a zero-width bit-field: never loaded and stored together with the bit-fields before. */
    readonly apart?: true;
  };
  /** Only for bit-fields: the bytes through which it is read and written. */
  readonly access?: BitAccess;
  /** The member through which a flattened member of an anonymous struct or union is reached. */
  readonly via?: string;
  readonly anonymous?: true;
  /** What `alignas` gives this member alone, in bytes. */
  readonly align?: number;
  /** The byte order of this member alone. */
  readonly endian?: "little" | "big";
}

export interface Layout {
  readonly cls: StructClass;
  readonly name: string;
  readonly kind: "struct" | "union";
  /** Bytes. */
  readonly size: number;
  readonly align: number;
  /** Bytes up to the end of the last member, where that is known: what `reuseTail` begins behind. */
  readonly dataSize?: number;
  /** The order given by `@struct({ endian })`, if any. */
  readonly endian?: "little" | "big";
  /** In declaration order, bases first; members of anonymous members follow theirs. */
  readonly members: readonly Member[];
  readonly byName: ReadonlyMap<string, Member>;
  /** It ends in something that takes all the memory behind it: an array without a length, for one. */
  readonly flexible: boolean;
  /** Bytes that the atomics in it must be aligned to; 0 when there are none. */
  readonly atomicAlign: number;
}

const layouts = new WeakMap<StructClass, Layout>();
/** Classes whose layout is being computed: one that turns up again contains itself. */
const underway = new Set<StructClass>();

/** Gives a class a layout that was not computed from its declarations (one read from a schema). */
export function registerLayout(given: Layout): void {
  layouts.set(given.cls, finished(given));
}

/** The layout with the ways to its bit-fields, which depend on where all members lie. */
function finished(layout: Layout): Layout {
  const members = withAccess(layout.members, layout);
  const byName = new Map(members.map((member) => [member.name, member]));
  return Object.freeze({ ...layout, members: Object.freeze(members), byName });
}

/**
 * The layout of a class.
 * @throws StructDefinitionError when the class cannot be laid out; the message names the member
 */
export function layoutOfClass(cls: StructClass): Layout {
  const known = layouts.get(cls);
  if (known !== undefined) return known;
  if (underway.has(cls))
    throw new StructDefinitionError(`${cls.name} contains itself; a struct nests by value`);
  underway.add(cls);
  try {
    const layout = finished(new Placement(cls).finish());
    layouts.set(cls, layout);
    return layout;
  } finally {
    underway.delete(cls);
  }
}

/** The layout of a base class, if it or a base of its own has fields. */
function layoutOfBase(cls: StructClass): Layout | undefined {
  for (let base = cls; base !== Struct; base = Object.getPrototypeOf(base)) {
    if (layouts.has(base) || ownDeclarations(base).length > 0) return layoutOfClass(cls);
  }
  return undefined;
}

const sizes: Visitor<number> = {
  ...forValues(({ size }) => size),
  bits: ({ base }) => base.size,
  array: ({ element, length }) => sizeOfType(element) * (length ?? 0),
  struct: ({ cls }) => layoutOfClass(cls).size,
  atomic: ({ integer }) => integer.size,
};

/** Bytes a value of this type takes (a flexible array: 0; a bit-field: those of its declared type). */
export const sizeOfType = (type: FieldType): number => visit(type, sizes);

const aligns: Visitor<number> = {
  ...forValues(({ align }) => align),
  bits: ({ base }) => base.align,
  array: ({ element }) => alignOfType(element),
  struct: ({ cls }) => layoutOfClass(cls).align,
  atomic: ({ integer }) => integer.align,
};

/** Natural alignment in bytes. */
const alignOfType = (type: FieldType): number => visit(type, aligns);

const names: Visitor<string> = {
  ...forValues(({ name }) => name),
  bits: ({ declared, width }) => `${declared.name}:${width}`,
  array(type) {
    const { innermost, dimensions } = unwrap(type);
    return typeName(innermost) + dimensions;
  },
  struct: ({ cls }) => layoutOfClass(cls).name,
  atomic: ({ declared }) => `atomic(${declared.name})`,
};

/** A type's name in messages and mismatch reports: `c_int32`, `Point2D`, `c_float[3][4]`, `c_uint8:3`. */
export const typeName = (type: FieldType): string => visit(type, names);

/** What an array, of however many dimensions, is an array of; `dimensions` as C writes them, `""` for no array. */
export function unwrap(type: FieldType): { innermost: FieldType; dimensions: string } {
  let dimensions = "";
  let innermost = type;
  for (; innermost.kind === "array"; innermost = innermost.element)
    dimensions += `[${innermost.length ?? ""}]`;
  return { innermost, dimensions };
}

/** The traits of a nested struct: an order of its own beats the one it stands in. */
export function traitsOf({ endian }: Pick<Layout, "endian">, traits: number): number {
  if (endian === undefined) return traits;
  return endian === "big" ? traits | BIG_ENDIAN : traits & ~BIG_ENDIAN;
}

/** The traits in which a member with an order of its own is read. */
export const traitsOfMember = ({ endian }: Pick<Member, "endian">, traits: number): number =>
  traitsOf({ endian }, traits);

/** The region as a member sees it. */
export const inOrderOf = (region: Region, member: Pick<Member, "endian">): Region =>
  traitsOfMember(member, region.traits) === region.traits ? region : region.swapped;

/** Whether what lies there in memory that its struct's alignment holds for is aligned by itself. */
export const isAligned = (type: FieldType, offset: number, struct: Pick<Layout, "align">): boolean => {
  const align = alignOfType(type);
  return offset % align === 0 && struct.align % align === 0;
};

/** The region as a struct of this layout sees it. */
export function inOrder(region: Region, layout: Layout): Region {
  return traitsOf(layout, region.traits) === region.traits ? region : region.swapped;
}

const atomicAligns: Visitor<number> = {
  ...forValues(() => 0),
  bits: () => 0,
  array: ({ element }) => atomicAlignOf(element),
  struct: ({ cls }) => layoutOfClass(cls).atomicAlign,
  atomic: ({ integer }) => integer.align,
};

/** Alignment in bytes that the atomics in a type need; 0 when there are none. */
export const atomicAlignOf = (type: FieldType): number => visit(type, atomicAligns);

/** True for what takes all the memory behind its struct: a flexible array, flexible text, a struct that ends in one. */
export const isFlexible = (type: FieldType): boolean =>
  isOpen(type) || (type.kind === "struct" && layoutOfClass(type.cls).flexible);

const valueMembersOf = (members: readonly Member[]): readonly Member[] =>
  members.filter((member) => !member.anonymous);

const withValues = new WeakMap<Layout, readonly Member[]>();

/** The members that have values of their own: all but the anonymous ones, whose members stand beside them. */
export function valueMembers(layout: Layout): readonly Member[] {
  const members = withValues.get(layout) ?? valueMembersOf(layout.members);
  withValues.set(layout, members);
  return members;
}

/** The members of an anonymous member as members of the struct around it. */
export const flattened = (via: string, { members }: Layout, offset: number): Member[] =>
  // The names of anonymous members within it are handles of its own: C has no such names.
  valueMembersOf(members).map((inner) => {
    const bits = inner.bits && { ...inner.bits, offset: inner.bits.offset + offset * 8 };
    const access = inner.access && movedAccess(inner.access, offset);
    return { ...inner, offset: inner.offset + offset, via, ...(bits && { bits, access }) };
  });

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** The largest struct or array that one ArrayBuffer can hold. */
const MAX_BYTES = 2 ** 32;

function noStructClass(given: unknown): string {
  if (given instanceof Struct) return `${show(given)} is not a struct class but a struct: pass its class`;
  const name = typeof given === "function" && given.name !== "" ? given.name : show(given);
  const foreign = typeof given === "function" ? baseOfOtherCopy(given) : undefined;
  if (foreign !== undefined)
    return `${name} is not a struct class of this copy of shmstruct: its ${foreign} comes from another one; let the program have one copy (npm ls shmstruct, npm dedupe)`;
  return `${name} is not a struct class: it must extend Struct, Union or MmapStructure`;
}

/** The library may be there twice, in the program and in what it depends on. */
function baseOfOtherCopy(cls: object): string | undefined {
  for (let base = Object.getPrototypeOf(cls); typeof base === "function"; base = Object.getPrototypeOf(base))
    if (["Struct", "Union", "MmapStructure"].includes(base.name)) return base.name;
  return undefined;
}

/** True for a member whose value can be a number of elements. */
export const holdsCount = (type: FieldType): boolean => {
  if (type.kind === "bits") return type.values !== "boolean";
  const scalar = isCType(type) ? integerOf(type)?.scalar : undefined;
  return scalar !== undefined && scalar.inline.boolean !== true;
};

/** Places member after member, counting in bits as gcc does. */
class Placement {
  readonly cls: StructClass;
  readonly #options: StructOptions;
  readonly #name: string;
  readonly #isUnion: boolean;
  readonly #members: Member[] = [];
  readonly #byName = new Map<string, Member>();
  #endian: Layout["endian"];
  /** Bits: where the next member may begin, and where the furthest one ends. */
  #position = 0;
  #end = 0;
  #align = 1;
  #flexible = false;
  #atomicAlign = 0;
  /** A zero-width bit-field came last. */
  #apart = false;

  constructor(cls: StructClass) {
    if (typeof cls !== "function" || !(cls.prototype instanceof Struct)) {
      throw new StructDefinitionError(noStructClass(cls));
    }
    this.cls = cls;
    this.#options = ownOptions(cls);
    this.#name = this.#options.name ?? cls.name;
    if (!isStructName(this.#name))
      throw new StructDefinitionError(
        `the name of a struct class ${nameMust(this.#name, MAX_STRUCT_NAME_LENGTH)}, not ${show(this.#name)}; give it one with @struct({ name })`,
      );
    this.#isUnion = cls.prototype instanceof Union;
    this.#endian = this.#options.endian;
    const base = layoutOfBase(Object.getPrototypeOf(cls));
    if (base !== undefined) this.#placeBase(base);
    for (const declaration of ownDeclarations(cls)) this.#place(declaration);
    for (const name of Object.getOwnPropertyNames(cls.prototype)) this.#checkNotHidden(name);
  }

  /** The accessor of a field stands in front of the class's own prototype. */
  #checkNotHidden(name: string): void {
    const member = this.#byName.get(name);
    if (member === undefined) return;
    throw new StructDefinitionError(
      `${this.#name}.${name} is a getter, setter or method, which the field ${this.#ownerOf(member)}.${name} would hide; give it another name`,
    );
  }

  /** The name of the class that declares a member. */
  #ownerOf({ name, via }: Member): string {
    const holder = via === undefined ? undefined : this.#byName.get(via);
    if (holder?.type.kind === "struct") return layoutOfClass(holder.type.cls).name;
    let owner = this.#name;
    for (let base = layoutOfBase(Object.getPrototypeOf(this.cls)); base?.byName.has(name); ) {
      owner = base.name;
      base = layoutOfBase(Object.getPrototypeOf(base.cls));
    }
    return owner;
  }

  finish(): Layout {
    if (this.#members.length === 0 && this.#options.empty !== true) {
      throw new StructDefinitionError(
        `${this.#name} has no fields: declare them with @field(type), @nested(Class) or @bits(type, width); one that is meant to have none says @struct({ empty: true })`,
      );
    }
    const align = Math.max(this.#align, this.#options.align ?? 1);
    const size = roundUp(Math.ceil(this.#end / 8), align);
    if (this.#members.length > 0 && this.#options.empty === true)
      throw new StructDefinitionError(`${this.#name} has members, but @struct says empty: true`);
    if (size > MAX_BYTES)
      throw new StructDefinitionError(`${this.#name} takes ${size} bytes; the most is ${MAX_BYTES}`);
    const dataSize = Math.ceil(this.#end / 8);
    const result = { dataSize, kind: this.#isUnion ? ("union" as const) : ("struct" as const), size, align };
    return {
      cls: this.cls,
      name: this.#name,
      ...result,
      ...(this.#endian && { endian: this.#endian }),
      members: Object.freeze(this.#members),
      byName: this.#byName,
      flexible: this.#flexible,
      atomicAlign: this.#atomicAlign,
    };
  }

  #placeBase(base: Layout): void {
    const where = `${this.#name} extends ${base.name}`;
    const adds = ownDeclarations(this.cls).length > 0;
    if (base.flexible && adds)
      throw new StructDefinitionError(`${where}, whose flexible array must stay the last member`);
    this.#flexible = base.flexible;
    this.#endian ??= base.endian;
    if (base.endian !== undefined && base.endian !== this.#endian)
      throw new StructDefinitionError(
        `${where}, which is ${base.endian}-endian; one object cannot have two byte orders, nest it instead`,
      );
    this.#checkAtomics(base.atomicAlign, 0, where);
    for (const member of base.members) this.#add(member);
    this.#align = Math.min(base.align, this.#options.pack ?? base.align);
    // Without members of its own it is the base under another name.
    const reuses = this.#options.reuseTail === true && base.dataSize !== undefined && !this.#isUnion;
    this.#end = (reuses ? base.dataSize : base.size) * 8;
    this.#position = this.#isUnion ? 0 : this.#end;
  }

  #place(declaration: Declaration): void {
    const where = `${this.#name}.${declaration.name}`;
    if (this.#flexible && !this.#isUnion)
      throw new StructDefinitionError(`${where} follows a flexible array, which must be the last member`);
    const { name, type } = declaration;
    if (type.kind === "bits") this.#placeBits(name, type);
    else this.#placeMember(declaration, where);
    this.#end = Math.max(this.#end, this.#position);
    if (this.#isUnion) this.#position = 0;
  }

  #placeMember({ name, type, anonymous, align: wanted = 1, endian }: Declaration, where: string): void {
    const align = Math.min(Math.max(alignOfType(type), wanted), this.#options.pack ?? MAX_ALIGN);
    const offset = roundUp(Math.ceil(this.#position / 8), align);
    const size = sizeOfType(type);
    this.#apart = false;
    this.#checkType(type, where, offset, endian);
    this.#align = Math.max(this.#align, align);
    this.#position = (offset + size) * 8;
    const own = { ...(wanted > 1 && { align: wanted }), ...(endian && { endian }) };
    this.#add({ name, type, offset, size, ...(anonymous && { anonymous: true }), ...own });
    if (anonymous) this.#flatten(name, type as StructType, offset);
  }

  #placeBits(name: string, type: BitsType): void {
    const { base, width } = type;
    const unit = base.size * 8;
    const align = Math.min(base.align, this.#options.pack ?? base.align);
    if (width === 0) {
      this.#position = roundUp(this.#position, unit);
      this.#apart = true;
      if (abi.zeroWidthAligns) this.#align = Math.max(this.#align, base.align);
      return;
    }
    // A bit-field may not straddle units of its type, unless the struct is packed.
    const straddles = Math.floor(this.#position / unit) !== Math.floor((this.#position + width - 1) / unit);
    if (straddles && this.#options.pack === undefined) this.#position = roundUp(this.#position, unit);
    this.#align = Math.max(this.#align, align);
    this.#add({
      name,
      type,
      offset: Math.floor(this.#position / 8),
      size: base.size,
      bits: { offset: this.#position, width, ...(this.#apart && { apart: true }) },
    });
    this.#apart = false;
    this.#position += width;
  }

  #checkType(type: FieldType, where: string, offset: number, endian: Layout["endian"]): void {
    if (isFlexible(type)) this.#flexible = true;
    const { innermost } = unwrap(type);
    if (type.kind === "array") this.#checkElements(type, where);
    const atomicAlign = atomicAlignOf(innermost);
    if (atomicAlign === 0) return;
    const stride = type.kind === "array" ? sizeOfType(innermost) : 0;
    const littleInside = innermost.kind === "struct" && layoutOfClass(innermost.cls).endian === "little";
    this.#checkAtomics(atomicAlign, offset, where, { stride, littleInside, endian });
  }

  #checkElements(type: ArrayType, where: string): void {
    const { element, count } = type;
    if (isFlexible(element))
      throw new StructDefinitionError(
        `${where}: ${typeName(element)} ends in a flexible array, so there cannot be several in a row`,
      );
    if (type.length === null && sizeOfType(element) === 0)
      throw new StructDefinitionError(`${where}: a flexible array of elements that take no bytes has no end`);
    if (count === undefined) return;
    const holder = this.#byName.get(count);
    if (holder === undefined || !holdsCount(holder.type))
      throw new StructDefinitionError(
        `${where}: its count ${JSON.stringify(count)} must be an integer member that is declared before it`,
      );
  }

  /** @param stride bytes from one element to the next, when there are several */
  #checkAtomics(
    align: number,
    offset: number,
    where: string,
    {
      stride = 0,
      littleInside = false,
      endian = this.#endian,
    }: { stride?: number; littleInside?: boolean; endian?: Layout["endian"] } = {},
  ): void {
    this.#atomicAlign = Math.max(this.#atomicAlign, align);
    // Single bytes lie right everywhere and have no order.
    if (align <= 1) return;
    if (offset % align !== 0 || stride % align !== 0)
      throw new StructDefinitionError(
        `${where}: an atomic must be aligned to its ${align} bytes, and packing puts it at ${offset}`,
      );
    if (endian === "big" && !littleInside)
      throw new StructDefinitionError(
        `${where}: atomics work in the machine's byte order only, not in a big-endian struct`,
      );
  }

  #flatten(via: string, type: StructType, offset: number): void {
    const inner = layoutOfClass(type.cls);
    if (inner.endian !== undefined && inner.endian !== this.#endian) {
      throw new StructDefinitionError(
        `${this.#name}.${via}: the anonymous member ${inner.name} has another byte order; make it a @nested one`,
      );
    }
    for (const member of flattened(via, inner, offset)) this.#add(member);
  }

  #add(member: Member): void {
    if (this.#byName.has(member.name))
      throw new StructDefinitionError(
        `${this.#name}.${member.name} is declared twice${member.via ? ` (once by the anonymous member ${member.via})` : ""}`,
      );
    this.#members.push(Object.freeze(member));
    this.#byName.set(member.name, member);
  }
}
