/**
 * Types from DWARF 5, as gcc and clang write it with `-gdwarf-5`. It is read rather than BTF because it tells more:
 * atomics, byte order, enumerators beyond 32 bits, and the line of each member. Format: dwarfstd.org, chapter 7.
 */
import { CodegenError } from "../error.ts";
import type { DebugMember, DebugType, SourceLocation } from "./debug-types.ts";
import { textAt } from "./elf.ts";

const TAG = {
  array: 0x01,
  enumeration: 0x04,
  member: 0x0d,
  pointer: 0x0f,
  structure: 0x13,
  subroutine: 0x15,
  typedef: 0x16,
  union: 0x17,
  subrange: 0x21,
  base: 0x24,
  constant: 0x26,
  enumerator: 0x28,
  volatile: 0x35,
  restrict: 0x37,
  unspecified: 0x3b,
  atomic: 0x47,
  immutable: 0x4b,
} as const;

const AT = {
  name: 0x03,
  byteSize: 0x0b,
  bitOffset: 0x0c,
  bitSize: 0x0d,
  stmtList: 0x10,
  constValue: 0x1c,
  upperBound: 0x2f,
  count: 0x37,
  memberLocation: 0x38,
  declFile: 0x3a,
  declLine: 0x3b,
  declaration: 0x3c,
  encoding: 0x3e,
  type: 0x49,
  endianity: 0x65,
  dataBitOffset: 0x6b,
  stringBase: 0x72,
  vector: 0x2107,
} as const;

const ENCODING: Record<number, "signed" | "unsigned" | "bool" | "char" | "utf"> = {
  2: "bool",
  5: "signed",
  6: "signed",
  7: "unsigned",
  8: "unsigned",
  16: "utf",
};

type Value = number | bigint | string;
interface Entry {
  readonly tag: number;
  readonly attributes: ReadonlyMap<number, Value>;
  readonly children: Entry[];
}
interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly (readonly [attribute: number, form: number, constant: bigint])[];
}

/** Reads numbers one after the other. */
class Cursor {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  unsigned(size: number): number {
    const value =
      size === 8 ? Number(this.bytes.readBigUInt64LE(this.at)) : this.bytes.readUIntLE(this.at, size);
    this.at += size;
    return value;
  }

  uleb(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes.readUInt8(this.at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  sleb(): bigint {
    let value = 0n;
    for (let shift = 0n; ; ) {
      const byte = this.bytes.readUInt8(this.at++);
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) return BigInt.asIntN(Number(shift), value);
    }
  }

  text(): string {
    const text = textAt(this.bytes, this.at);
    this.at += Buffer.byteLength(text) + 1;
    return text;
  }
}

/**
 * The types of the first unit. A compiler writes no debug information for a unit that declares none.
 * @param sections of the object file
 * @param path for messages
 * @throws CodegenError where it is no DWARF 5
 */
export function dwarfTypes(sections: ReadonlyMap<string, Buffer>, path: string): DebugType[] {
  const info = sections.get(".debug_info");
  if (info === undefined || info.length === 0) return [];
  try {
    return new Unit(sections, info, path).types();
  } catch (error) {
    if (error instanceof RangeError) throw new CodegenError(path, "the DWARF is damaged", { cause: error });
    throw error;
  }
}

class Unit {
  readonly #sections: ReadonlyMap<string, Buffer>;
  readonly #cursor: Cursor;
  readonly #abbreviations: ReadonlyMap<number, Abbreviation>;
  readonly #byOffset = new Map<number, Entry>();
  readonly #made = new Map<Entry, DebugType>();
  readonly #root: Entry;
  readonly #files: readonly string[];
  #stringBase = 8;

  constructor(sections: ReadonlyMap<string, Buffer>, info: Buffer, path: string) {
    this.#sections = sections;
    this.#cursor = new Cursor(info);
    const length = this.#cursor.unsigned(4);
    const version = this.#cursor.unsigned(2);
    if (length >= 0xfffffff0 || version !== 5)
      throw new CodegenError(path, `DWARF ${version} of 32 bits is not read, 5 is`);
    this.#cursor.at += 2;
    this.#abbreviations = abbreviationsAt(this.#section(".debug_abbrev"), this.#cursor.unsigned(4));
    const root = this.#entry();
    if (root === undefined) throw new CodegenError(path, "the DWARF has no unit");
    this.#root = root;
    const lines = root.attributes.get(AT.stmtList);
    this.#files = lines === undefined ? [] : this.#fileNames(Number(lines));
  }

  types(): DebugType[] {
    return this.#root.children.flatMap((entry) => this.#type(entry) ?? []);
  }

  #section(name: string): Buffer {
    return this.#sections.get(name) ?? Buffer.alloc(0);
  }

  #entry(): Entry | undefined {
    const offset = this.#cursor.at;
    const code = Number(this.#cursor.uleb());
    if (code === 0) return undefined;
    const abbreviation = this.#abbreviations.get(code);
    if (abbreviation === undefined) throw new RangeError("an unknown abbreviation");
    const attributes = new Map<number, Value>();
    for (const [attribute, form, constant] of abbreviation.attributes) {
      const value = this.#value(form, constant);
      if (attribute === AT.stringBase) this.#stringBase = Number(value);
      attributes.set(attribute, value);
    }
    const entry: Entry = { tag: abbreviation.tag, attributes, children: [] };
    this.#byOffset.set(offset, entry);
    if (!abbreviation.hasChildren) return entry;
    for (let child = this.#entry(); child !== undefined; child = this.#entry()) entry.children.push(child);
    return entry;
  }

  #value(form: number, constant: bigint): Value {
    const cursor = this.#cursor;
    const size = FIXED[form];
    if (size !== undefined) return this.#fixed(form, size);
    const skip = (bytes: number) => {
      cursor.at += bytes;
      return 0;
    };
    switch (form) {
      case 0x03:
        return skip(cursor.unsigned(2));
      case 0x04:
        return skip(cursor.unsigned(4));
      case 0x08:
        return cursor.text();
      case 0x09:
      case 0x18:
        return skip(Number(cursor.uleb()));
      case 0x0a:
        return skip(cursor.unsigned(1));
      case 0x0d:
        return cursor.sleb();
      case 0x0f:
      case 0x15:
      case 0x1b:
      case 0x22:
      case 0x23:
        return cursor.uleb();
      case 0x16:
        return this.#value(Number(cursor.uleb()), 0n);
      case 0x19:
        return 1;
      case 0x1a:
        return this.#indexed(Number(cursor.uleb()));
      case 0x1e:
        return skip(16);
      case 0x21:
        return constant;
      default:
        throw new RangeError(`form ${form}`);
    }
  }

  #fixed(form: number, size: number): Value {
    if (size === 8) {
      const wide = this.#cursor.bytes.readBigUInt64LE(this.#cursor.at);
      this.#cursor.at += 8;
      return wide;
    }
    const value = this.#cursor.unsigned(size);
    if (form === 0x0e) return textAt(this.#section(".debug_str"), value);
    if (form === 0x1f) return textAt(this.#section(".debug_line_str"), value);
    return form >= 0x25 && form <= 0x28 ? this.#indexed(value) : value;
  }

  #indexed(index: number): string {
    const offsets = this.#section(".debug_str_offsets");
    return textAt(this.#section(".debug_str"), offsets.readUInt32LE(this.#stringBase + index * 4));
  }

  /** The names of the files that declarations stand in, from the header of the line table. */
  #fileNames(at: number): string[] {
    const cursor = new Cursor(this.#section(".debug_line"), at);
    cursor.at += 4;
    if (cursor.unsigned(2) !== 5) return [];
    cursor.at += 1 + 1 + 4 + 5;
    const opcodeBase = cursor.unsigned(1);
    cursor.at += opcodeBase - 1;
    const directories = this.#lineEntries(cursor).map(([name]) => name ?? "");
    return this.#lineEntries(cursor).map(([name = "", directory]) => {
      const base = directories[Number(directory ?? 0)] ?? "";
      return name.startsWith("/") || base === "" ? name : joined(directories[0] ?? "", base, name);
    });
  }

  #lineEntries(cursor: Cursor): [name?: string, directory?: string][] {
    const formats = Array.from({ length: cursor.unsigned(1) }, () => [
      Number(cursor.uleb()),
      Number(cursor.uleb()),
    ]);
    const count = Number(cursor.uleb());
    return Array.from({ length: count }, () => {
      const entry: [string?, string?] = [];
      for (const [content, form] of formats) {
        const value = this.#lineValue(cursor, form ?? 0);
        if (content === 1) entry[0] = String(value);
        if (content === 2) entry[1] = String(value);
      }
      return entry;
    });
  }

  #lineValue(cursor: Cursor, form: number): Value {
    if (form === 0x08) return cursor.text();
    if (form === 0x0e) return textAt(this.#section(".debug_str"), cursor.unsigned(4));
    if (form === 0x1f) return textAt(this.#section(".debug_line_str"), cursor.unsigned(4));
    if (form === 0x0f) return cursor.uleb();
    if (form === 0x1e) {
      cursor.at += 16;
      return 0;
    }
    return cursor.unsigned(FIXED[form] ?? 1);
  }

  #referred(entry: Entry): DebugType {
    const at = entry.attributes.get(AT.type);
    const target = at === undefined ? undefined : this.#byOffset.get(Number(at));
    return (target && this.#type(target)) ?? { kind: "void", name: "void", size: 0 };
  }

  #type(entry: Entry): DebugType | undefined {
    const known = this.#made.get(entry);
    if (known !== undefined) return known;
    const type = this.#bare(entry);
    if (type === undefined) return undefined;
    // A struct may refer to itself: it is known before its parts are.
    this.#made.set(entry, type);
    if (type.kind === "array") type.element = this.#referred(entry);
    if (type.kind === "typedef" || type.kind === "atomic" || type.kind === "qualifier")
      type.target = this.#referred(entry);
    if (type.kind === "pointer") type.target = this.#referred(entry);
    if (type.kind === "struct" || type.kind === "union") type.members = this.#members(entry);
    return type;
  }

  #bare(entry: Entry): DebugType | undefined {
    const name = String(entry.attributes.get(AT.name) ?? "");
    const size = Number(entry.attributes.get(AT.byteSize) ?? 0);
    const later: DebugType = { kind: "void", name: "", size: 0 };
    switch (entry.tag) {
      case TAG.base:
        return baseType(entry, name, size);
      case TAG.structure:
      case TAG.union: {
        if (entry.attributes.has(AT.declaration)) return { kind: "incomplete", name, size: 0 };
        const kind = entry.tag === TAG.union ? "union" : "struct";
        return { kind, name, size, members: [], ...this.#place(entry) };
      }
      case TAG.enumeration:
        return this.#enum(entry, name, size);
      case TAG.typedef:
        return { kind: "typedef", name, target: later, ...this.#place(entry) };
      case TAG.atomic:
        return { kind: "atomic", name, target: later };
      case TAG.constant:
      case TAG.volatile:
      case TAG.restrict:
        return { kind: "qualifier", name, target: later };
      case TAG.pointer:
        return { kind: "pointer", name, size: 8 };
      case TAG.array:
        return {
          kind: "array",
          element: later,
          dims: dimsOf(entry),
          isVector: entry.attributes.has(AT.vector),
        };
      case TAG.subroutine:
        return { kind: "function", name, size: 0 };
      case TAG.unspecified:
        return { kind: "unknown", name, size };
      default:
        return undefined;
    }
  }

  #enum(entry: Entry, name: string, size: number): DebugType {
    const base = this.#referred(entry);
    const signed =
      base.kind === "integer"
        ? base.encoding === "signed"
        : [5, 6].includes(Number(entry.attributes.get(AT.encoding)));
    const values = entry.children
      .filter(({ tag }) => tag === TAG.enumerator)
      .map(
        ({ attributes }) =>
          [String(attributes.get(AT.name)), constantOf(attributes.get(AT.constValue), size, signed)] as const,
      );
    return { kind: "enum", name, size, signed, values, ...this.#place(entry) };
  }

  #members(entry: Entry): DebugMember[] {
    return entry.children
      .filter(({ tag }) => tag === TAG.member)
      .map((member) => {
        const { attributes } = member;
        const bitWidth = attributes.get(AT.bitSize);
        return {
          name: String(attributes.get(AT.name) ?? ""),
          type: this.#referred(member),
          bitOffset: bitOffsetOf(attributes),
          ...(bitWidth !== undefined && { bitWidth: Number(bitWidth) }),
          ...this.#place(member),
        };
      });
  }

  #place({ attributes }: Entry): SourceLocation {
    const [file, line] = [attributes.get(AT.declFile), attributes.get(AT.declLine)];
    if (file === undefined || line === undefined) return {};
    return { file: this.#files[Number(file)], line: Number(line) };
  }
}

/** Bytes of the forms of fixed size. */
const FIXED: Readonly<Record<number, number>> = {
  1: 8,
  5: 2,
  6: 4,
  7: 8,
  11: 1,
  12: 1,
  14: 4,
  16: 4,
  17: 1,
  18: 2,
  19: 4,
  20: 8,
  23: 4,
  28: 4,
  29: 4,
  31: 4,
  32: 8,
  36: 8,
  37: 1,
  38: 2,
  39: 3,
  40: 4,
  41: 1,
  42: 2,
  43: 3,
  44: 4,
};

function abbreviationsAt(bytes: Buffer, at: number): Map<number, Abbreviation> {
  const cursor = new Cursor(bytes, at);
  const abbreviations = new Map<number, Abbreviation>();
  for (let code = Number(cursor.uleb()); code !== 0; code = Number(cursor.uleb())) {
    const tag = Number(cursor.uleb());
    const hasChildren = cursor.unsigned(1) === 1;
    const attributes: [number, number, bigint][] = [];
    for (;;) {
      const [attribute, form] = [Number(cursor.uleb()), Number(cursor.uleb())];
      if (attribute === 0 && form === 0) break;
      attributes.push([attribute, form, form === 0x21 ? cursor.sleb() : 0n]);
    }
    abbreviations.set(code, { tag, hasChildren, attributes });
  }
  return abbreviations;
}

function baseType({ attributes }: Entry, name: string, size: number): DebugType {
  const encoding = Number(attributes.get(AT.encoding));
  // A value of an abbreviation (DW_FORM_implicit_const) is a bigint.
  const big = Number(attributes.get(AT.endianity)) === 1;
  if (encoding === 4) return { kind: "float", name, size, big };
  if (encoding === 3) return { kind: "complex", name, size, big };
  const known = ENCODING[encoding];
  if (known === undefined) return { kind: "unknown", name, size };
  return { kind: "integer", name, size, encoding: name === "char" ? "char" : known, big };
}

/** Bits from the start of the struct; clang counts those of a bit-field from the most significant of its unit. */
function bitOffsetOf(attributes: ReadonlyMap<number, Value>): number {
  const number = (attribute: number) => Number(attributes.get(attribute) ?? 0);
  if (attributes.has(AT.dataBitOffset)) return number(AT.dataBitOffset);
  const start = number(AT.memberLocation) * 8;
  if (!attributes.has(AT.bitOffset)) return start;
  // Of one that reaches out of its unit it is negative.
  const fromTop = Number(BigInt.asIntN(64, BigInt(attributes.get(AT.bitOffset) ?? 0)));
  return start + number(AT.byteSize) * 8 - fromTop - number(AT.bitSize);
}

/** Lengths; one that is left out, or is no constant, is null. */
const dimsOf = ({ children }: Entry): (number | null)[] =>
  children
    .filter(({ tag }) => tag === TAG.subrange)
    .map(({ attributes }) => {
      const [count, upper] = [attributes.get(AT.count), attributes.get(AT.upperBound)];
      if (count !== undefined) return Number(count);
      // gcc says -1 of an array of no elements.
      return upper === undefined ? null : Number(BigInt.asIntN(64, BigInt(upper))) + 1;
    });

/** A value of fixed size has no sign of its own. */
function constantOf(value: Value | undefined, size: number, signed: boolean): bigint {
  const bits = size * 8 || 32;
  const given = BigInt(value ?? 0);
  return signed ? BigInt.asIntN(bits, given) : BigInt.asUintN(bits, given);
}

const joined = (root: string, directory: string, name: string): string =>
  `${directory.startsWith("/") ? directory : `${root}/${directory}`}/${name}`;
