/** From the types that a compiler found to schemas. */
import { isMemberName } from "../../struct/declare/decorators.ts";
import type { MemberSchema, StructSchema } from "../../struct/index.ts";
import { CodegenError } from "../error.ts";
import { PADDING } from "../place.ts";
import type { Comments } from "./comments.ts";
import {
  type DebugEnum,
  type DebugMember,
  type DebugStruct,
  type DebugType,
  resolved,
} from "./debug-types.ts";

/** What was found out about a unit. */
export interface Facts {
  /** The C name of a struct: its tag, or the typedef of one without. */
  readonly names: ReadonlyMap<DebugStruct, string>;
  /** Alignments that the compiler told. */
  readonly aligns: ReadonlyMap<DebugStruct, number>;
  readonly constants: ReadonlyMap<string, bigint>;
  readonly enums: ReadonlyMap<string, DebugEnum>;
  readonly typedefs: ReadonlyMap<string, DebugType>;
  readonly comments: Comments;
  /** Whether it may have structs in the other byte order, whose enums debug information does not mark. */
  readonly reverses: boolean;
}

type Json = Record<string, unknown>;

interface FieldNotes {
  readonly path: string;
  readonly notes: string[];
}

/** The struct around a type, and its place in it. */
interface Holder {
  readonly own: string;
  readonly called: string;
  readonly isLast: boolean;
  /** The byte order of the struct around it. */
  readonly endian?: StructSchema["endian"];
  /** The named struct whose member it is, through anonymous ones. */
  readonly holder: string;
  readonly around?: Around;
}

/** What an anonymous member takes from the struct around it. */
interface Around {
  readonly endian: StructSchema["endian"];
  readonly holder: string;
}

/** Builds schemas; what it says about members beside them is in `comments` and `enumNames`. */
export class SchemaBuilder {
  readonly #facts: Facts;
  readonly #made = new Map<DebugStruct, StructSchema>();
  readonly #labels = new Map<string, Json>();
  readonly #someBig: boolean;
  /** Handles of anonymous members: those of inner ones stand beside those around them. */
  #unnamed = 0;
  /** By `Robot` and `Robot.at`. */
  readonly comments = new Map<string, string>();
  /** The name of an enum by its labels. */
  readonly enumNames = new Map<unknown, string>();

  constructor(facts: Facts, all: Iterable<DebugStruct>) {
    this.#facts = facts;
    const isMarked = [...facts.constants.keys()].some((name) => name.endsWith("_BIG_ENDIAN"));
    const seen = new Set<DebugStruct>();
    this.#someBig = isMarked || [...all].some((struct) => this.#hasBig(struct, seen));
  }

  /**
   * The schema of a struct.
   * @param name what it is called if C has no name for it
   * @param around the struct whose anonymous member it is
   * @throws CodegenError for a member that has no counterpart, which `path` names
   */
  struct(struct: DebugStruct, name: string, around?: Around): StructSchema {
    const known = this.#made.get(struct);
    if (known !== undefined) return known;
    const own = this.#facts.names.get(struct) ?? name;
    const endian = around === undefined ? this.#endianOf(struct, own) : around.endian;
    const holder = around?.holder ?? own;
    const fields: Record<string, MemberSchema> = {};
    const members = struct.members.filter(
      (member) => !member.name.startsWith(PADDING) && !isMark(member, struct),
    );
    this.#checkTold(struct, own, holder);
    for (const member of members) {
      const called = member.name === "" ? this.#handleOf(member) : member.name;
      if (!isMemberName(called))
        throw new CodegenError(
          `${own}.${called}`,
          "JavaScript gives this name a meaning of its own, or it is too long",
        );
      fields[called] = this.#member(member, {
        own,
        called,
        isLast: member === struct.members.at(-1),
        endian,
        holder,
        ...(member.name === "" && { around: { endian, holder } }),
      });
    }
    const comment = this.#facts.comments.of(struct);
    if (comment !== undefined) this.comments.set(own, comment);
    const align =
      this.#facts.aligns.get(struct) ?? likelyAlign(struct, (inner) => this.struct(inner, own).align);
    const schema: StructSchema = {
      name: own,
      kind: struct.kind,
      size: struct.size,
      align,
      ...(endian && { endian }),
      fields,
    };
    this.#made.set(struct, schema);
    return schema;
  }

  /** The byte order that a member alone has, as far as macros of an export or its type tell. */
  #orderOf(member: string, type: DebugType): StructSchema["endian"] {
    const isMarked = (order: string) => this.#facts.constants.get(`${member}_${order}_ENDIAN`) === 1n;
    if (isMarked("LITTLE")) return "little";
    return isMarked("BIG") || isBigByName(type) ? "big" : undefined;
  }

  /** C has no name for an anonymous member: an export of this library says in a comment what its class calls it. */
  #handleOf(member: DebugMember): string {
    const { type } = resolved(member.type);
    const place = type.kind === "struct" || type.kind === "union" ? type : member;
    const comment = this.#facts.comments.of(place) ?? "";
    const [, called] = /^anonymous: (.+)$/.exec(comment) ?? [];
    return called ?? `anonymous_${this.#unnamed++}`;
  }

  /** Spelt out for every struct of a unit that has big-endian ones. */
  #endianOf(struct: DebugStruct, name: string): StructSchema["endian"] {
    if (!this.#someBig) return undefined;
    return this.#isBig(struct, name) ? "big" : "little";
  }

  #isBig({ members }: DebugStruct, name: string): boolean {
    return this.#isMarkedBig(name) || members.some(({ type }) => orderTold(type) === "big");
  }

  #isMarkedBig(name: string): boolean {
    return this.#facts.constants.get(`${name}_BIG_ENDIAN`) === 1n;
  }

  /** Whether a struct or one inside it is big-endian. */
  #hasBig(struct: DebugStruct, seen: Set<DebugStruct>): boolean {
    if (seen.has(struct)) return false;
    seen.add(struct);
    if (this.#isBig(struct, "")) return true;
    return struct.members.some(({ type }) => {
      const inner = elementOf(type);
      return (inner.kind === "struct" || inner.kind === "union") && this.#hasBig(inner, seen);
    });
  }

  /** Debug information marks numbers that are big-endian, but no enums: those have the order of the numbers beside them. */
  #checkTold({ members }: DebugStruct, own: string, holder: string): void {
    if (!this.#facts.reverses || this.#isMarkedBig(holder)) return;
    if (members.some(({ type }) => orderTold(type) !== undefined)) return;
    const unknown = members.find(({ type }) => {
      const inner = elementOf(type);
      return inner.kind === "enum" && inner.size > 1;
    });
    if (unknown === undefined) return;
    throw new CodegenError(
      `${own}.${unknown.name}`,
      "the header uses scalar_storage_order, and debug information does not tell the byte order of an enum without a number of several bytes beside it",
    );
  }

  /** The byte order that a member has besides that of its struct. @throws CodegenError where it cannot have one */
  #ownOrder({ type, name, bitWidth }: DebugMember, declared: DebugType, at: Holder, path: string) {
    const marked = this.#orderOf(`${at.holder}_${name}`, declared);
    if (marked !== undefined) return marked;
    const inner = elementOf(type);
    if ("unsure" in inner && inner.unsure)
      throw new CodegenError(
        path,
        `the BTF has ${inner.name} twice, as where one is big-endian, and does not tell which this is: import the header instead`,
      );
    if (at.endian === undefined || this.#isMarkedBig(at.holder)) return undefined;
    const told = isNeverReversed(type) ? "little" : orderTold(type);
    if (told !== undefined && told !== at.endian && bitWidth !== undefined)
      throw new CodegenError(path, "a bit-field in another byte order than the struct around it");
    return told;
  }

  #member(member: DebugMember, at: Holder): MemberSchema {
    const path = `${at.own}.${at.called}`;
    const notes: string[] = [];
    const place = { path, notes };
    const { bitWidth, bitOffset } = member;
    const declared = this.#facts.typedefs.get(`shms_member_${at.holder}_${member.name}`) ?? member.type;
    const type = bitWidth === undefined ? this.#type(declared, place, at) : this.#bitType(declared, place);
    const comment = member.name === "" ? undefined : this.#facts.comments.of(member);
    const said = [comment, ...notes].filter((text) => text !== undefined).join("\n");
    if (said !== "") this.comments.set(path, said);
    const size = bytesOf(member.type, place);
    const offset = Math.floor(bitOffset / 8);
    const bits = bitWidth === undefined ? {} : { bits: { offset: bitOffset, width: bitWidth } };
    const own = this.#ownOrder(member, declared, at, path);
    const endian = own !== undefined && own !== at.endian ? { endian: own } : {};
    const anonymous = member.name === "" ? ({ anonymous: true } as const) : {};
    return { type: type as never, offset, size, ...bits, ...endian, ...anonymous };
  }

  #bitType(type: DebugType, place: FieldNotes): unknown {
    const base = resolved(type).type;
    if (base.kind === "enum") {
      place.notes.push(`enum ${base.name}`.trim());
      return integerName(base.size, base.signed);
    }
    return this.#type(type, place, undefined);
  }

  #type(type: DebugType, place: FieldNotes, at: Holder | undefined): unknown {
    const { type: base, typedefs, atomic } = resolved(type);
    if (base.kind === "array") return this.#array(base, typedefs, place, at);
    const plain = this.#plain(base, typedefs, place, at);
    return atomic || typedefs.some((name) => name.startsWith("shms_atomic_")) ? { atomic: plain } : plain;
  }

  #array(
    array: Extract<DebugType, { kind: "array" }>,
    outerTypedefs: readonly string[],
    place: FieldNotes,
    at: Holder | undefined,
  ): unknown {
    const { type: element, typedefs } = resolved(array.element);
    const dims = [...array.dims];
    const [first] = dims;
    if (first === 0 && at?.isLast) dims[0] = null;
    else if (dims.includes(0)) throw new CodegenError(place.path, "an array of no elements");
    if (array.isVector) place.notes.push("a vector");
    const text = this.#text(element, [...outerTypedefs, ...typedefs], dims);
    const inner = text ?? this.#type(array.element, place, at && { ...at, isLast: false });
    return dims.reduceRight<unknown>((spelt, length) => ({ array: spelt, length }), inner);
  }

  /** An array of characters is text; that takes the innermost dimension. */
  #text(element: DebugType, typedefs: readonly string[], dims: (number | null)[]): unknown {
    const last = dims.at(-1);
    if (last === undefined || element.kind !== "integer") return undefined;
    if (typedefs.includes("char16_t")) {
      dims.pop();
      return { chars: last === null ? null : last * 2, encoding: "utf16le" };
    }
    if (typedefs.some((name) => name === "wchar_t" || name === "shms_be_wchar_t") && element.size === 4) {
      if (typedefs.includes("shms_wide_t")) return undefined;
      dims.pop();
      return { wchars: last };
    }
    if (element.encoding !== "char" || typedefs.includes("shms_char_t")) return undefined;
    dims.pop();
    return { chars: last, ...(typedefs.includes("shms_latin1_t") && { encoding: "latin1" }) };
  }

  #plain(
    base: Exclude<DebugType, { kind: "typedef" | "atomic" | "qualifier" | "array" }>,
    typedefs: readonly string[],
    place: FieldNotes,
    at: Holder | undefined,
  ): unknown {
    switch (base.kind) {
      case "struct":
      case "union":
        return { struct: this.struct(base, `${at?.own ?? ""}_${at?.called ?? ""}`, at?.around) };
      case "integer":
        return this.#integer(base, typedefs, place);
      case "float":
        return floatType(base.name, base.size, place);
      case "enum":
        return this.#enum(base, typedefs);
      case "pointer":
        place.notes.push(pointerNote(base.target));
        return "c_void_p";
      case "complex":
      case "unknown":
        place.notes.push(base.name);
        return bytesType(base.size, base.name, place);
      default:
        throw new CodegenError(place.path, `it is ${base.kind}: ${base.name || "without a name"}`);
    }
  }

  #integer(
    base: Extract<DebugType, { kind: "integer" }>,
    typedefs: readonly string[],
    place: FieldNotes,
  ): unknown {
    const { size, encoding, name } = base;
    if (size > 8) {
      place.notes.push(name);
      return bytesType(size, name, place);
    }
    if (encoding === "bool" && size === 1) return "c_bool";
    const marked = typedefs.map(markedType).find((type) => type !== undefined);
    if (marked !== undefined) return marked;
    if (encoding === "char") return "c_char";
    if (typedefs.includes("wchar_t") && size === 4) return "c_wchar";
    const plain = integerName(size, encoding === "signed");
    const numbered = typedefs.find((typedef) => typedef.startsWith("shms_number_"));
    if (numbered !== undefined) return { converted: `asNumber(${plain})`, base: plain };
    const labelled = typedefs.find((typedef) => typedef.endsWith("_enum"));
    return labelled === undefined ? plain : this.#labelled(plain, labelled);
  }

  /** An integer with names for its values, as this library's exports write them. */
  #labelled(plain: string, typedef: string): unknown {
    const prefix = `${typedef.slice(0, -"_enum".length)}_`;
    const small = this.#facts.enums.get(`${typedef}_labels`)?.values ?? [];
    const large = [...this.#facts.constants].filter(([name]) => name.startsWith(prefix));
    const values = [...small, ...large].map(([name, value]) => [name.slice(prefix.length), value] as const);
    if (values.length === 0) return plain;
    return this.#converted(plain, prefix.slice(0, -1), values);
  }

  #enum({ name, size, signed, values }: DebugEnum, typedefs: readonly string[]): unknown {
    const plain = integerName(size, signed);
    const called = name || typedefs.at(-1);
    if (called === undefined || values.length === 0) return plain;
    return this.#converted(plain, called, values);
  }

  #converted(plain: string, name: string, values: readonly (readonly [string, bigint])[]): unknown {
    const labels =
      this.#labels.get(name) ?? Object.fromEntries(values.map(([label, value]) => [label, String(value)]));
    this.#labels.set(name, labels);
    this.enumNames.set(labels, name);
    return { converted: `enumOf(${plain})`, base: plain, labels };
  }
}

/** The byte order that debug information tells of a type: that of its numbers of more than one byte. */
function orderTold(type: DebugType): StructSchema["endian"] {
  const { type: base } = resolved(type);
  if (base.kind === "array") return base.isVector ? undefined : orderTold(base.element);
  if (base.kind !== "integer" && base.kind !== "float" && base.kind !== "complex") return undefined;
  if (base.big) return "big";
  return base.size > 1 ? "little" : undefined;
}

/** gcc leaves pointers and vectors as they are in a struct of the other byte order. */
function isNeverReversed(type: DebugType): boolean {
  const { type: base } = resolved(type);
  if (base.kind === "array") return base.isVector || isNeverReversed(base.element);
  return base.kind === "pointer";
}

/** Whether a typedef says that a member is big-endian: those of this library's exports, and Linux's `__be32`. */
function isBigByName(type: DebugType): boolean {
  const { type: base, typedefs } = resolved(type);
  if (base.kind === "array") return isBigByName(base.element);
  return typedefs.some((name) => /^(__be(16|32|64)|shms_(be|number_be)_\w+)$/.test(name));
}

/** A type that this library's exports mark by a typedef. */
function markedType(typedef: string): string | undefined {
  if (typedef === "shms_be_pointer_t") return "c_void_p";
  if (typedef === "shms_be_wchar_t" || typedef === "shms_be_wide_t") return "c_wchar";
  return /^shms_be_(float|double)_t$/.exec(typedef) ? `c_${typedef.slice(8, -2)}` : undefined;
}

function integerName(size: number, signed: boolean): string {
  return `c_${signed ? "" : "u"}int${size * 8}`;
}

function floatType(name: string, size: number, place: FieldNotes): unknown {
  if (size === 4) return "c_float";
  if (size === 8) return "c_double";
  if (name === "long double" && size === 16) return "c_longdouble";
  place.notes.push(name);
  return bytesType(size, name, place);
}

function bytesType(size: number, name: string, { path }: FieldNotes): unknown {
  if (size === 0) throw new CodegenError(path, `the size of ${name} is not known`);
  return { array: "c_uint8", length: size };
}

function pointerNote(target: DebugType | undefined): string {
  if (target === undefined) return "a pointer";
  const { type, typedefs } = resolved(target);
  if (type.kind === "function") return "a pointer to a function";
  const name =
    typedefs[0] ??
    `${type.kind === "struct" || type.kind === "union" ? `${type.kind} ` : ""}${"name" in type ? type.name : ""}`;
  return name.trim() === "" ? "a pointer" : `a pointer: ${name} *`;
}

/** `char mark[0]` before other members takes no bytes and only names a place, as the kernel's structs have it: it is left out. */
function isMark(member: DebugMember, { kind, members }: DebugStruct): boolean {
  const base = resolved(member.type).type;
  // BTF tells `[0]` and `[]` in one way; the latter is always the last member.
  const isEmpty = base.kind === "array" && (base.dims.includes(0) || base.dims.includes(null));
  return kind === "struct" && isEmpty && members.at(-1) !== member;
}

/** What an array, of however many dimensions, is an array of. */
export function elementOf(type: DebugType): DebugType {
  const { type: base } = resolved(type);
  return base.kind === "array" ? elementOf(base.element) : base;
}

function bytesOf(type: DebugType, place: FieldNotes): number {
  const { type: base } = resolved(type);
  if (base.kind !== "array") return base.size;
  const count = base.dims.reduce<number>((product, length) => product * (length ?? 0), 1);
  return count * bytesOf(base.element, place);
}

/** Of a struct that C gives no way to name: what its members need, as far as their places show it. */
function likelyAlign({ members, size }: DebugStruct, alignOf: (struct: DebugStruct) => number): number {
  const aligns = members.map(({ type, bitOffset, bitWidth }) => {
    const base = resolved(elementOf(type)).type;
    const natural =
      base.kind === "struct" || base.kind === "union" ? alignOf(base) : "size" in base ? base.size : 1;
    const offset = Math.floor(bitOffset / 8);
    const most = bitWidth === undefined && offset > 0 ? offset & -offset : natural;
    return Math.min(natural, most);
  });
  let align = Math.max(1, ...aligns);
  while (size % align !== 0) align /= 2;
  return align;
}
