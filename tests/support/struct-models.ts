/** Random struct declarations and values for them: the model from which C, Python and TypeScript are written. */
import { type Random, randomFrom } from "./random.ts";

export type Order = "little" | "big";
type Value = number | bigint | boolean | string;

/** The types without parts, by their names in TypeScript. `c` and `py` are their names there. */
export interface Scalar {
  readonly c: string;
  readonly py: string;
  readonly bits: number;
  readonly kind: "signed" | "unsigned" | "float" | "bool" | "char" | "wchar" | "pointer";
}

const integer = (c: string, py: string, bits: number): Scalar => ({
  c,
  py,
  bits,
  kind: c.startsWith("u") || c === "size_t" ? "unsigned" : "signed",
});

export const scalars: Record<string, Scalar> = {
  c_int8: integer("int8_t", "c_int8", 8),
  c_uint8: integer("uint8_t", "c_uint8", 8),
  c_int16: integer("int16_t", "c_int16", 16),
  c_uint16: integer("uint16_t", "c_uint16", 16),
  c_int32: integer("int32_t", "c_int32", 32),
  c_uint32: integer("uint32_t", "c_uint32", 32),
  c_int64: integer("int64_t", "c_int64", 64),
  c_uint64: integer("uint64_t", "c_uint64", 64),
  c_byte: integer("signed char", "c_byte", 8),
  c_ubyte: integer("unsigned char", "c_ubyte", 8),
  c_short: integer("short", "c_short", 16),
  c_ushort: integer("unsigned short", "c_ushort", 16),
  c_int: integer("int", "c_int", 32),
  c_uint: integer("unsigned int", "c_uint", 32),
  c_long: integer("long", "c_long", 64),
  c_ulong: integer("unsigned long", "c_ulong", 64),
  c_longlong: integer("long long", "c_longlong", 64),
  c_ulonglong: integer("unsigned long long", "c_ulonglong", 64),
  c_size_t: integer("size_t", "c_size_t", 64),
  c_ssize_t: integer("ssize_t", "c_ssize_t", 64),
  c_time_t: integer("time_t", "c_int64", 64),
  c_bool: { c: "_Bool", py: "c_bool", bits: 8, kind: "bool" },
  c_float: { c: "float", py: "c_float", bits: 32, kind: "float" },
  c_double: { c: "double", py: "c_double", bits: 64, kind: "float" },
  c_longdouble: { c: "long double", py: "c_longdouble", bits: 128, kind: "float" },
  c_char: { c: "unsigned char", py: "c_char", bits: 8, kind: "char" },
  c_wchar: { c: "wchar_t", py: "c_wchar", bits: 32, kind: "wchar" },
  c_void_p: { c: "void *", py: "c_void_p", bits: 64, kind: "pointer" },
};

export type TypeModel =
  | { readonly kind: "scalar"; readonly name: string }
  | { readonly kind: "enum"; readonly name: string; readonly values: readonly (number | bigint)[] }
  | { readonly kind: "asNumber"; readonly name: string }
  | { readonly kind: "atomic"; readonly name: string }
  | { readonly kind: "chars"; readonly size: number; readonly encoding: "utf8" | "latin1" | "utf16le" }
  | { readonly kind: "wchars"; readonly length: number }
  | { readonly kind: "array"; readonly element: TypeModel; readonly length: number }
  | { readonly kind: "struct"; readonly struct: StructModel };

export interface MemberModel {
  readonly name: string;
  readonly type: TypeModel;
  readonly bits?: number;
  readonly anonymous?: boolean;
  /** `alignas` of this member alone. */
  readonly align?: number;
  /** The byte order of this member alone, other than that of its struct. */
  readonly endian?: Order;
}

export interface StructModel {
  readonly name: string;
  readonly isUnion: boolean;
  readonly base?: StructModel;
  readonly pack?: number;
  readonly align?: number;
  readonly endian?: Order;
  /** The order that the members are in, wherever it comes from. */
  readonly order: Order;
  readonly members: readonly MemberModel[];
  /** Elements of the flexible array behind the last member, if there is one. */
  readonly flexible?: { readonly member: MemberModel; readonly length: number };
}

/** What one field holds, with its path from the outermost struct in each language. */
export interface Leaf {
  readonly path: readonly (string | number)[];
  readonly c: string;
  readonly py: string;
  /** A bit-field has no address. */
  readonly bits?: number;
  readonly type: Exclude<TypeModel, { kind: "array" } | { kind: "struct" }>;
  /** Through a C array of char that Python reaches as an element, not as a member. */
  readonly isElement: boolean;
  readonly value: Value;
}

const integerNames = Object.keys(scalars).filter((name) => /signed/.test(scalars[name]?.kind ?? ""));
const bitNames = [...integerNames, "c_bool"];
const MAX_LEAVES = 40;

/** Makes random structs; all names in one batch differ. */
export class Models {
  readonly #random: Random;
  readonly #prefix: string;
  #names = 0;

  constructor(seed: number, prefix: string) {
    this.#random = randomFrom(seed);
    this.#prefix = prefix;
  }

  /** A whole struct, small enough for its leaves to be written out. */
  struct(): StructModel {
    for (;;) {
      const order = this.#random.oneIn(4) ? "big" : "little";
      const model = this.#struct(order, order === "big" ? "big" : undefined, 3, true);
      if (countLeaves(model) <= MAX_LEAVES) return model;
    }
  }

  #struct(order: Order, endian: Order | undefined, depth: number, isOutermost = false): StructModel {
    const r = this.#random;
    const isUnion = r.oneIn(6);
    const base = depth > 0 && r.oneIn(5) ? this.#base(order, isUnion, depth) : undefined;
    const pack = r.oneIn(4) ? r.pick([1, 2, 4, 8]) : undefined;
    const align = r.oneIn(8) ? r.pick([1, 2, 4, 8, 16, 32]) : undefined;
    const members = this.#members(order, depth, isOutermost && pack === undefined && order === "little");
    const open = isOutermost && !isUnion && r.oneIn(10);
    const last = open ? { name: this.#name("m"), type: this.#type(order, 0) } : undefined;
    const flexible = last && { member: last, length: r.whole(0, 3) };
    return {
      name: this.#name("S"),
      isUnion,
      ...(base && { base }),
      ...(pack && { pack }),
      ...(align && { align }),
      ...(endian && { endian }),
      order,
      members,
      ...(flexible && { flexible }),
    };
  }

  /** A base keeps the kind and takes the order of what is derived from it. */
  #base(order: Order, isUnion: boolean, depth: number): StructModel {
    for (;;) {
      const base = this.#struct(order, undefined, depth - 1);
      if (base.isUnion === isUnion) return base;
    }
  }

  #members(order: Order, depth: number, atomics: boolean): MemberModel[] {
    const runs = Array.from({ length: this.#random.whole(0, 3) }, () => this.#some(order, depth, atomics));
    // One plain member there must be: C has no struct of nothing but zero-width bit-fields.
    runs.splice(this.#random.whole(0, runs.length), 0, [this.#member(order, depth)]);
    return runs.flat();
  }

  #some(order: Order, depth: number, atomics: boolean): MemberModel[] {
    const r = this.#random;
    if (r.oneIn(4)) return Array.from({ length: r.whole(1, 6) }, () => this.#bits());
    if (atomics && r.oneIn(12))
      return [{ name: this.#name("m"), type: { kind: "atomic", name: r.pick(integerNames) } }];
    if (depth > 0 && r.oneIn(10)) {
      const struct = this.#struct(order, undefined, depth - 1);
      return [{ name: this.#name("m"), type: { kind: "struct", struct }, anonymous: true }];
    }
    return [this.#member(order, depth)];
  }

  #member(order: Order, depth: number): MemberModel {
    const r = this.#random;
    const align = r.oneIn(12) ? { align: r.pick([1, 2, 4, 8, 16, 32]) } : {};
    // C has an order for structs only, so an own one is that of a struct around a single number there.
    if (r.oneIn(15)) {
      const endian = order === "big" ? ("little" as const) : ("big" as const);
      const type: TypeModel = { kind: "scalar", name: r.pick(integerNames) };
      return { name: this.#name("m"), type, endian, ...align };
    }
    return { name: this.#name("m"), type: this.#type(order, depth), ...align };
  }

  #bits(): MemberModel {
    const r = this.#random;
    const name = r.pick(bitNames);
    const most = name === "c_bool" ? 1 : (scalars[name]?.bits ?? 1);
    if (r.oneIn(5)) return this.#bitsOfOther();
    const bits = r.oneIn(7) ? 0 : r.oneIn(2) ? r.whole(1, Math.min(most, 7)) : r.whole(1, most);
    return { name: this.#name("m"), type: { kind: "scalar", name }, bits };
  }

  /** Of an enum, or of an `asNumber`. */
  #bitsOfOther(): MemberModel {
    const r = this.#random;
    if (r.oneIn(2)) {
      const type: TypeModel = { kind: "asNumber", name: r.pick(["c_int64", "c_uint64"]) };
      return { name: this.#name("m"), type, bits: r.whole(1, 53) };
    }
    const name = r.pick(integerNames);
    const bits = r.whole(1, scalars[name]?.bits ?? 8);
    const values = Array.from({ length: r.whole(1, 4) }, () => this.#integer(name, bits));
    return { name: this.#name("m"), type: { kind: "enum", name, values }, bits };
  }

  #type(order: Order, depth: number): TypeModel {
    const r = this.#random;
    if (depth > 0 && r.oneIn(4)) {
      const own = r.oneIn(4) ? r.pick(["little", "big"] as const) : undefined;
      return { kind: "struct", struct: this.#struct(own ?? order, own, depth - 1) };
    }
    if (r.oneIn(4)) return { kind: "array", element: this.#type(order, depth - 1), length: r.whole(1, 4) };
    if (r.oneIn(7)) return this.#chars();
    if (r.oneIn(20)) return { kind: "wchars", length: r.whole(1, 4) };
    if (r.oneIn(10)) return this.#enum();
    if (r.oneIn(15)) return { kind: "asNumber", name: r.pick(["c_int64", "c_uint64"]) };
    // gcc has no long double in another byte order, and leaves pointers in the machine's.
    const names = Object.keys(scalars).filter(
      (name) => order === "little" || (name !== "c_longdouble" && name !== "c_void_p"),
    );
    return { kind: "scalar", name: r.pick(names) };
  }

  #chars(): TypeModel {
    const encoding = this.#random.pick(["utf8", "utf8", "latin1", "utf16le"] as const);
    return { kind: "chars", size: this.#random.whole(1, 6) * 2, encoding };
  }

  #enum(): TypeModel {
    const name = this.#random.pick(integerNames);
    const values = Array.from({ length: this.#random.whole(1, 4) }, () => this.#integer(name));
    return { kind: "enum", name, values };
  }

  #name(prefix: string): string {
    return `${prefix}${prefix === "S" ? this.#prefix : ""}${this.#names++}`;
  }

  #integer(name: string, bits = scalars[name]?.bits ?? 8): number | bigint {
    const value = this.#wide(bits, scalars[name]?.kind === "signed");
    return scalars[name]?.bits === 64 ? value : Number(value);
  }

  #wide(bits: number, signed: boolean): bigint {
    const r = this.#random;
    const top = 1n << BigInt(signed ? bits - 1 : bits);
    const edges = [0n, 1n, top - 1n, signed ? -top : top / 2n, signed ? -1n : top - 1n];
    const random = [0, 0, 0, 0].reduce((sum) => (sum << 16n) | BigInt(r.whole(0, 0xffff)), 0n);
    const one = r.oneIn(4) ? r.pick(edges) : random;
    return signed ? BigInt.asIntN(bits, one) : BigInt.asUintN(bits, one);
  }

  /** Random values for all fields that can be set together: of a union, those of one member. */
  leaves(model: StructModel): Leaf[] {
    const own = this.#leavesOfStruct(model, [], "v", "v");
    const { flexible } = model;
    if (flexible === undefined) return own;
    const { member, length } = flexible;
    const elements = Array.from({ length }, (_, i) => {
      const c = `v.${member.name}[${i}]`;
      return this.#leavesOfType(member.type, [member.name, i], c, c, true);
    });
    return [...own, ...elements.flat()];
  }

  /** @param inlined the struct is anonymous and reached without its handle, as those of its own members are then, too */
  #leavesOfStruct(
    model: StructModel,
    path: (string | number)[],
    c: string,
    py: string,
    inlined = false,
  ): Leaf[] {
    const { base, members, isUnion } = model;
    const fields = members.filter(({ bits }) => bits !== 0);
    const ofBase = base
      ? [() => this.#leavesOfStruct(base, path, `${c}.base_${model.name}`, py, inlined)]
      : [];
    const parts = [...ofBase, ...fields.map((m) => () => this.#leavesOfMember(m, path, c, py, inlined))];
    if (isUnion) return this.#random.pick(parts)();
    return parts.flatMap((part) => part());
  }

  #leavesOfMember(
    { name, type, bits, anonymous, endian }: MemberModel,
    path: (string | number)[],
    c: string,
    py: string,
    inlined: boolean,
  ): Leaf[] {
    const inPython = `${py}.${name}`;
    if (anonymous && type.kind === "struct") {
      const flat = inlined || this.#random.oneIn(2);
      return this.#leavesOfStruct(type.struct, flat ? path : [...path, name], c, inPython, flat);
    }
    const here = [...path, name];
    // In C it is a member of a struct of its own order.
    const inC = endian === undefined ? `${c}.${name}` : `${c}.${name}.one`;
    if (bits === undefined) return this.#leavesOfType(type, here, inC, inPython, false);
    const scalar = type as Extract<TypeModel, { kind: "scalar" | "enum" | "asNumber" }>;
    const value = this.#bitValue(scalar, bits);
    return [{ path: here, c: `${c}.${name}`, py: inPython, bits, type: scalar, isElement: false, value }];
  }

  #bitValue(type: Extract<TypeModel, { kind: "scalar" | "enum" | "asNumber" }>, bits: number): Value {
    if (type.kind === "enum") return this.#random.pick(type.values);
    if (type.kind === "asNumber") return Number(this.#wide(bits, type.name === "c_int64"));
    return type.name === "c_bool" ? this.#random.oneIn(2) : this.#integer(type.name, bits);
  }

  #leavesOfType(
    type: TypeModel,
    path: (string | number)[],
    c: string,
    py: string,
    isElement: boolean,
  ): Leaf[] {
    if (type.kind === "struct") return this.#leavesOfStruct(type.struct, path, c, py);
    if (type.kind !== "array") return [{ path, c, py, type, isElement, value: this.#value(type) }];
    return Array.from({ length: type.length }, (_, i) =>
      this.#leavesOfType(type.element, [...path, i], `${c}[${i}]`, `${py}[${i}]`, true),
    ).flat();
  }

  #value(type: Leaf["type"]): Value {
    const r = this.#random;
    if (type.kind === "enum") return r.pick(type.values);
    if (type.kind === "asNumber") return Number(this.#wide(53, false));
    if (type.kind === "chars") return this.#text(type.size, type.encoding);
    if (type.kind === "wchars")
      return [..."a\u00e9\u20ac\u{1f600}"].slice(0, r.whole(0, type.length)).join("");
    const { kind } = scalars[type.name] as Scalar;
    if (kind === "bool") return r.oneIn(2);
    if (kind === "char") return String.fromCharCode(r.whole(1, 255));
    if (kind === "wchar")
      return String.fromCodePoint(r.oneIn(2) ? r.whole(1, 0xd7ff) : r.whole(0x10000, 0x10ffff));
    if (kind === "pointer") return this.#wide(64, false);
    if (kind === "float") return this.#float(type.name === "c_float");
    return this.#integer(type.name);
  }

  #float(single: boolean): number {
    const r = this.#random;
    const scale = 2 ** r.whole(single ? -150 : -1080, single ? 100 : 1000);
    const value = r.pick([0, -0, 1, Infinity, -Infinity, ...Array(8).fill(r.whole(-1e6, 1e6) * scale)]);
    return single ? Math.fround(value) : value;
  }

  #text(size: number, encoding: BufferEncoding): string {
    const letters = encoding === "latin1" ? "aB3 ~\u00e9\u00ff" : "aB3 ~\u00e9\u20ac\u{1f600}\ufeff";
    let text = "";
    for (let n = this.#random.whole(0, size); n > 0; n--) {
      const more = text + this.#random.pick([...letters]);
      if (Buffer.byteLength(more, encoding) <= size) text = more;
    }
    return text;
  }
}

function countLeaves({ base, members }: StructModel): number {
  const ofType = (type: TypeModel): number =>
    type.kind === "array"
      ? type.length * ofType(type.element)
      : type.kind === "struct"
        ? countLeaves(type.struct)
        : 1;
  return (base ? countLeaves(base) : 0) + members.reduce((sum, { type }) => sum + ofType(type), 0);
}

/** Every struct in the model, those that others need first. */
export function declarationsOf(model: StructModel): StructModel[] {
  const ofType = (type: TypeModel): StructModel[] =>
    type.kind === "array" ? ofType(type.element) : type.kind === "struct" ? declarationsOf(type.struct) : [];
  const { base, members, flexible } = model;
  const inner = [...members, ...(flexible ? [flexible.member] : [])].flatMap(({ type }) => ofType(type));
  return [...(base ? declarationsOf(base) : []), ...inner, model];
}
