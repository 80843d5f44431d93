/**
 * Types from BTF, the compact debug information in the section `.BTF` of a binary (gcc -gbtf, the kernel, pahole).
 * It knows no atomics, no byte order and no lines. Format: docs.kernel.org/bpf/btf.html.
 */
import { CodegenError } from "../error.ts";
import type { DebugInteger, DebugMember, DebugType } from "./debug-types.ts";
import { textAt } from "./elf.ts";

const MAGIC = 0xeb9f;

const KINDS = [
  "void",
  "int",
  "ptr",
  "array",
  "struct",
  "union",
  "enum",
  "fwd",
  "typedef",
  "volatile",
  "const",
  "restrict",
  "func",
  "func_proto",
  "var",
  "datasec",
  "float",
  "decl_tag",
  "type_tag",
  "enum64",
] as const;

type Kind = (typeof KINDS)[number];

interface Raw {
  readonly kind: Kind;
  readonly name: string;
  readonly count: number;
  readonly flag: boolean;
  /** Bytes, or the number of another type. */
  readonly sizeOrType: number;
  /** Where the rest of it begins. */
  readonly at: number;
}

/**
 * The types of a section.
 * @param path for messages
 * @throws CodegenError for what is no BTF
 */
export function btfTypes(section: Buffer | undefined, path: string): DebugType[] {
  if (section === undefined || section.length < 24) throw new CodegenError(path, "it has no section .BTF");
  if (section.readUInt16LE(0) !== MAGIC)
    throw new CodegenError(path, "its section .BTF does not begin with 0xeb9f");
  try {
    return new Table(section).all();
  } catch (error) {
    if (error instanceof RangeError) throw new CodegenError(path, "the BTF is damaged", { cause: error });
    throw error;
  }
}

class Table {
  readonly #bytes: Buffer;
  readonly #strings: number;
  readonly #raw: Raw[] = [{ kind: "void", name: "void", count: 0, flag: false, sizeOrType: 0, at: 0 }];
  readonly #made = new Map<number, DebugType>();
  /** How often each number of more than one byte occurs: one in the other byte order is an entry of its own. */
  readonly #numbers = new Map<string, number>();

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    const head = bytes.readUInt32LE(4);
    const start = head + bytes.readUInt32LE(8);
    const end = start + bytes.readUInt32LE(12);
    this.#strings = head + bytes.readUInt32LE(16);
    for (let at = start; at < end; ) at = this.#read(at);
  }

  all(): DebugType[] {
    return this.#raw.map((_, i) => this.#type(i)).slice(1);
  }

  #read(at: number): number {
    const info = this.#bytes.readUInt32LE(at + 4);
    const kind = KINDS[(info >>> 24) & 31];
    if (kind === undefined) throw new RangeError("an unknown kind of type");
    const count = info & 0xffff;
    const name = textAt(this.#bytes, this.#strings + this.#bytes.readUInt32LE(at));
    const sizeOrType = this.#bytes.readUInt32LE(at + 8);
    const raw = { kind, name, count, flag: info >>> 31 === 1, sizeOrType, at: at + 12 };
    this.#raw.push(raw);
    if (kind === "int" || kind === "float") {
      const key = this.#keyOf(raw);
      this.#numbers.set(key, (this.#numbers.get(key) ?? 0) + 1);
    }
    return at + 12 + count * (PER_PART[kind] ?? 0) + (EXTRA[kind] ?? 0);
  }

  #keyOf({ kind, name, sizeOrType, at }: Raw): string {
    return `${kind} ${name} ${sizeOrType} ${kind === "int" ? this.#bytes.readUInt32LE(at) : 0}`;
  }

  #isUnsure(raw: Raw): boolean {
    return raw.sizeOrType > 1 && (this.#numbers.get(this.#keyOf(raw)) ?? 0) > 1;
  }

  #type(id: number): DebugType {
    const known = this.#made.get(id);
    if (known !== undefined) return known;
    const raw = this.#raw[id];
    if (raw === undefined) throw new RangeError("a type that is not there");
    const type = this.#bare(raw);
    this.#made.set(id, type);
    if (type.kind === "array") type.element = this.#type(this.#bytes.readUInt32LE(raw.at));
    if (type.kind === "typedef" || type.kind === "qualifier") type.target = this.#type(raw.sizeOrType);
    if (type.kind === "pointer") type.target = this.#type(raw.sizeOrType);
    if (type.kind === "struct" || type.kind === "union") type.members = this.#members(raw);
    return type;
  }

  #bare(raw: Raw): DebugType {
    const { kind, name, sizeOrType: size } = raw;
    const later: DebugType = { kind: "void", name: "", size: 0 };
    switch (kind) {
      case "int":
        return {
          ...integerOf(name, size, this.#bytes.readUInt32LE(raw.at) >>> 24),
          unsure: this.#isUnsure(raw),
        };
      case "float":
        return {
          kind: name.includes("complex") ? "complex" : "float",
          name,
          size,
          big: false,
          unsure: this.#isUnsure(raw),
        };
      case "ptr":
        return { kind: "pointer", name, size: 8 };
      case "array":
        return {
          kind: "array",
          element: later,
          dims: [this.#bytes.readUInt32LE(raw.at + 8) || null],
          isVector: false,
        };
      case "struct":
      case "union":
        return { kind, name, size, members: [] };
      case "enum":
      case "enum64":
        return { kind: "enum", name, size, signed: this.#isSigned(raw), values: this.#values(raw) };
      case "fwd":
        return { kind: "incomplete", name, size: 0 };
      case "typedef":
        return { kind: "typedef", name, target: later };
      case "volatile":
      case "const":
      case "restrict":
      case "type_tag":
        return { kind: "qualifier", name, target: later };
      case "func_proto":
        return { kind: "function", name, size: 0 };
      default:
        return { kind: kind === "void" ? "void" : "unknown", name, size: 0 };
    }
  }

  /** gcc 12 does not set the flag: a negative value shows it, too. */
  #isSigned(raw: Raw): boolean {
    return raw.flag || this.#values(raw).some(([, value]) => value < 0n);
  }

  #values({ kind, count, at, flag }: Raw): [string, bigint][] {
    const bytes = this.#bytes;
    return Array.from({ length: count }, (_, i) => {
      const entry = at + i * (PER_PART[kind] ?? 0);
      const name = textAt(bytes, this.#strings + bytes.readUInt32LE(entry));
      if (kind === "enum") return [name, BigInt(bytes.readInt32LE(entry + 4))];
      const value = (BigInt(bytes.readUInt32LE(entry + 8)) << 32n) | BigInt(bytes.readUInt32LE(entry + 4));
      return [name, flag ? BigInt.asIntN(64, value) : value];
    });
  }

  #members({ count, at, flag }: Raw): DebugMember[] {
    const bytes = this.#bytes;
    return Array.from({ length: count }, (_, i) => {
      const entry = at + i * 12;
      const offset = bytes.readUInt32LE(entry + 8);
      const width = flag ? offset >>> 24 : 0;
      return {
        name: textAt(bytes, this.#strings + bytes.readUInt32LE(entry)),
        type: this.#type(bytes.readUInt32LE(entry + 4)),
        bitOffset: flag ? offset & 0xffffff : offset,
        ...(width > 0 && { bitWidth: width }),
      };
    });
  }
}

/** Bytes behind the first twelve: for each part, and once. */
const PER_PART: Partial<Record<Kind, number>> = {
  struct: 12,
  union: 12,
  enum: 8,
  func_proto: 8,
  datasec: 12,
  enum64: 12,
};
const EXTRA: Partial<Record<Kind, number>> = { int: 4, array: 12, var: 4, decl_tag: 4 };

function integerOf(name: string, size: number, encoding: number): DebugInteger {
  if ((encoding & 4) !== 0) return { kind: "integer", name, size, encoding: "bool", big: false };
  if (name === "char") return { kind: "integer", name, size, encoding: "char", big: false };
  return { kind: "integer", name, size, encoding: (encoding & 1) !== 0 ? "signed" : "unsigned", big: false };
}
