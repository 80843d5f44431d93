/** Kaitai Struct: a `.ksy` that reads one struct from the start of a stream. */
import { CodegenError } from "./error.ts";
import { type Part, piecesOf, place, type Rules } from "./place.ts";
import {
  type Declaration,
  type Item,
  type Plan,
  type ScalarSpec,
  type Spec,
  type TextSpec,
  unwrapped,
} from "./plan.ts";

/** Nothing is aligned by itself: all that lies between members is spelt out. */
const rules: Rules = {
  language: "Kaitai Struct",
  alignOf: () => 1,
  bitFields: true,
  denseBits: true,
  packs: [1],
  aligns: { natural: false, packed: false },
  exactAlign: false,
  exactSize: false,
};

/** The file. @throws CodegenError for what Kaitai cannot express, naming the member */
export function writeKaitai(plan: Plan, fingerprint: bigint): string {
  const writer = new Writer(plan);
  const types = plan.declarations.filter((one) => one !== plan.root);
  const body = writer.body(plan.root, "");
  const inner = types.flatMap((one) => [`  ${writer.typeName(one)}:`, ...writer.body(one, "    ")]);
  const rows = writer.rows();
  return [
    `# ${plan.root.name}: made by shmstruct, which lays out the same bytes. Fingerprint 0x${fingerprint.toString(16).padStart(16, "0")}.`,
    "meta:",
    `  id: ${idOf(plan.root.name)}`,
    `  title: ${JSON.stringify(plan.root.name)}`,
    "  endian: le",
    "  bit-endian: le",
    ...body,
    ...(inner.length + rows.length > 0 ? ["types:", ...inner, ...rows] : []),
    ...writer.enums(),
    "",
  ].join("\n");
}

class Writer {
  readonly #plan: Plan;
  readonly #enums = new Map<string, string[]>();
  /** Types for the inner dimensions of arrays. */
  readonly #rows = new Map<string, string[]>();
  #gaps = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  typeName(declaration: Declaration): string {
    return declaration === this.#plan.root ? idOf(declaration.name) : `t_${idOf(declaration.name)}`;
  }

  enums(): string[] {
    const all = [...this.#enums].flatMap(([name, lines]) => [`  ${name}:`, ...lines]);
    return all.length === 0 ? [] : ["enums:", ...all];
  }

  rows(): string[] {
    return [...this.#rows.values()].flat();
  }

  body(declaration: Declaration, indent: string): string[] {
    const known = new Set<string>();
    const unique = (item: Item): string => {
      let id = idOf(item.name);
      while (known.has(id)) id = `${id}_`;
      known.add(id);
      return id;
    };
    if (declaration.kind === "union") return this.#union(declaration, indent, unique);
    const { parts } = place(declaration, rules);
    const items: string[] = [];
    const values: string[] = [];
    for (const [i, part] of parts.entries()) {
      if (part.kind === "space") items.push(...this.#space(part, parts[i - 1], parts[i + 1]));
      if (part.kind !== "member") continue;
      const id = unique(part.item);
      items.push(...this.#member(part.item, id));
      values.push(...signedBits(part.item, id));
    }
    return [
      ...(items.length > 0 ? [`${indent}seq:`, ...items.map((line) => `${indent}  ${line}`)] : []),
      ...(values.length > 0 ? [`${indent}instances:`, ...values.map((line) => `${indent}  ${line}`)] : []),
    ];
  }

  /** All members of a union begin at its start; it stands in a substream of its own. */
  #union(declaration: Declaration, indent: string, unique: (item: Item) => string): string[] {
    const lines = declaration.items.flatMap((item) => {
      if (item.bits !== undefined)
        throw new CodegenError(item.path, "Kaitai Struct has no bit-fields in unions");
      const [head = "", ...attributes] = this.#member(item, unique(item));
      return [`${head.replace("- id: ", "")}:`, "  pos: 0", ...attributes];
    });
    return [`${indent}instances:`, ...lines.map((line) => `${indent}  ${line}`)];
  }

  /** Bits of a gap are read in the order of the bit-field beside them: within a byte it must not change. */
  #space(space: { from: number; to: number }, before: Part | undefined, after: Part | undefined): string[] {
    const { bitsBefore, bytes, bitsAfter } = piecesOf(space);
    const bits = (width: number, beside: Part | undefined) =>
      width > 0 ? [`- id: gap_${this.#gaps++}`, `  type: b${width}${isBig(beside) ? "be" : "le"}`] : [];
    const padding = bytes > 0 ? [`- id: gap_${this.#gaps++}`, `  size: ${bytes}`] : [];
    return [...bits(bitsBefore, before), ...padding, ...bits(bitsAfter, after)];
  }

  #member(item: Item, id: string): string[] {
    const { innermost, dims } = unwrapped(item.spec);
    const raw = isSignedBits(item) ? `${id}_raw` : id;
    const original = raw === item.name ? [] : [`  -orig-id: ${JSON.stringify(item.name)}`];
    const type = item.bits === undefined ? this.#type(innermost, item) : this.#bitType(item, item.bits.width);
    const [outer, ...inner] = dims;
    const repeat =
      dims.length === 0
        ? []
        : outer === null
          ? ["  repeat: eos"]
          : ["  repeat: expr", `  repeat-expr: ${outer}`];
    const element = inner.length === 0 ? type : [`  type: ${this.#row(type, inner, item)}`];
    return [`- id: ${raw}`, ...original, ...element, ...repeat];
  }

  /** A row of an array of several dimensions is a type. */
  #row(element: string[], dims: readonly (number | null)[], item: Item): string {
    const [count, ...inner] = dims;
    const name = `row_${this.#rows.size}`;
    this.#rows.set(name, []);
    const type = inner.length === 0 ? element : [`  type: ${this.#row(element, inner, item)}`];
    const lines = ["- id: values", ...type, "  repeat: expr", `  repeat-expr: ${count}`];
    this.#rows.set(name, [`  ${name}:`, "    seq:", ...lines.map((line) => `      ${line}`)]);
    return name;
  }

  #type(spec: Exclude<Spec, { kind: "array" }>, item: Item): string[] {
    // A size makes a substream, in which the members of a union have their places.
    if (spec.kind === "struct")
      return [`  type: ${this.typeName(spec.struct)}`, `  size: ${spec.struct.size}`];
    if (spec.kind === "opaque") return [`  size: ${spec.size}`, `  doc: ${JSON.stringify(spec.name)}`];
    return spec.kind === "text" ? textType(spec, item) : this.#scalar(spec, item);
  }

  #scalar(spec: ScalarSpec, item: Item): string[] {
    const { size, as, name } = spec;
    const order = size === 1 ? "" : item.big ? "be" : "le";
    if (size === 16) throw new CodegenError(item.path, "Kaitai Struct has no long double");
    if (as === "char") return ["  type: str", "  size: 1", "  encoding: ISO-8859-1"];
    if (as === "float") return [`  type: f${size}${order}`];
    const type = `  type: ${name.startsWith("c_int") ? "s" : "u"}${size}${order}`;
    return spec.labels === undefined ? [type] : [type, `  enum: ${this.#enum(spec.labels, item)}`];
  }

  #bitType({ spec, big, path }: Item, width: number): string[] {
    if (spec.kind !== "scalar") throw new CodegenError(path, "a bit-field must be a number");
    return [`  type: b${width}${big ? "be" : "le"}`];
  }

  #enum({ name, values }: NonNullable<ScalarSpec["labels"]>, item: Item): string {
    const id = idOf(name);
    const known = new Set<bigint>();
    const lines = values
      .filter(([, value]) => !known.has(value) && known.add(value))
      .map(([label, value]) => {
        if (value >= 2n ** 63n) throw new CodegenError(item.path, `Kaitai Struct has no enum value ${value}`);
        if (!/^[A-Za-z_]\w*$/.test(label))
          throw new CodegenError(item.path, `${JSON.stringify(label)} cannot be a name in Kaitai Struct`);
        return `    ${value}: ${idOf(label)}`;
      });
    this.#enums.set(id, lines);
    return id;
  }
}

function textType({ size, unit, encoding }: TextSpec, { big }: Item): string[] {
  const names = {
    utf8: "UTF-8",
    latin1: "ISO-8859-1",
    utf16le: "UTF-16LE",
    utf32: big ? "UTF-32BE" : "UTF-32LE",
  };
  const encodingLine = `  encoding: ${names[encoding]}`;
  // Its terminator is one byte: wider text keeps its NULs.
  const length = size === 0 ? "  size-eos: true" : `  size: ${size}`;
  if (unit > 1) return ["  type: str", length, encodingLine];
  return ["  type: str", length, "  terminator: 0", encodingLine];
}

const isBig = (part: Part | undefined): boolean => part?.kind === "member" && part.item.big;

const isSignedBits = ({ bits, spec }: Item): boolean =>
  bits !== undefined && spec.kind === "scalar" && spec.as === "signed";

/** Bits have no sign in Kaitai: the value is an expression. */
function signedBits(item: Item, id: string): string[] {
  if (!isSignedBits(item) || item.bits === undefined) return [];
  const half = 2n ** BigInt(item.bits.width - 1);
  return [
    `${id}:`,
    `  value: "${id}_raw.as<s8> >= ${half} ? ${id}_raw.as<s8> - ${half} - ${half} : ${id}_raw.as<s8>"`,
  ];
}

/** Identifiers are in snake case. */
function idOf(name: string): string {
  const snake = name
    .replace(/([a-z\d])([A-Z])/g, "$1_$2")
    .replace(/[^A-Za-z\d_]/g, (letter) => `u${letter.codePointAt(0)?.toString(16)}`)
    .toLowerCase();
  return /^[a-z]/.test(snake) ? snake : `n${snake}`;
}
