/** ImHex's pattern language: a `.hexpat` that places one struct at the start of the data. */
import { CodegenError } from "./error.ts";
import { nameIn } from "./names.ts";
import { type Part, piecesOf, place, type Rules } from "./place.ts";
import { type Declaration, type Item, type Plan, type ScalarSpec, type Spec, unwrapped } from "./plan.ts";

/** Nothing is aligned by itself: all that lies between members is spelt out. Bit-fields are types of their own. */
const rules: Rules = {
  language: "ImHex",
  alignOf: () => 1,
  bitFields: false,
  packs: [1],
  aligns: { natural: false, packed: false },
  exactAlign: false,
  exactSize: false,
};

/** The pattern. @throws CodegenError for what the language cannot express, naming the member */
export function writeImHex(plan: Plan, fingerprint: bigint): string {
  const writer = new Writer();
  const structs = plan.declarations.flatMap((declaration) => writer.struct(declaration));
  const { name } = plan.root;
  return [
    `// ${name}: made by shmstruct, which lays out the same bytes. Fingerprint 0x${fingerprint.toString(16).padStart(16, "0")}.`,
    "#pragma endian little",
    "import std.mem;",
    ...writer.enums.flatMap((lines) => ["", ...lines]),
    ...structs,
    "",
    `${name} ${name.toLowerCase() === name ? `${name}_` : name.toLowerCase()} @ 0x00;`,
    "",
  ].join("\n");
}

class Writer {
  readonly enums: string[][] = [];
  readonly #enumNames = new Set<string>();

  struct(declaration: Declaration): string[] {
    const name = nameIn("ImHex", declaration.name, declaration.path);
    const { parts } = place(declaration, rules);
    const runs = parts.flatMap((part) => (part.kind === "run" ? this.#bitFields(part, declaration) : []));
    const rows: string[] = [];
    const body = parts.flatMap((part) => this.#part(part, declaration, rows));
    const big = declaration.items.some((item) => item.bits !== undefined && item.big);
    if (big) throw new CodegenError(declaration.path, "big-endian bit-fields have no form in ImHex patterns");
    return [
      "",
      ...runs,
      ...rows,
      `${declaration.kind} ${name} {`,
      ...body.map((line) => `    ${line}`),
      "};",
    ];
  }

  #bitFields(part: Extract<Part, { kind: "run" }>, { name }: Declaration): string[] {
    let at = part.offset * 8;
    const lines = part.items.flatMap((item) => {
      const { offset = 0, width = 0 } = item.bits ?? {};
      const gap = offset > at ? [`    padding : ${offset - at};`] : [];
      at = offset + width;
      return [...gap, `    ${bitType(item)}${nameIn("ImHex", item.name, item.path)} : ${width};`];
    });
    const rest = (part.offset + part.size) * 8 - at;
    return [
      `bitfield ${name}_${part.name} {`,
      ...lines,
      ...(rest > 0 ? [`    padding : ${rest};`] : []),
      "};",
      "",
    ];
  }

  #part(part: Part, { name, kind }: Declaration, rows: string[]): string[] {
    if (part.kind === "space") return kind === "union" ? [] : [`padding[${piecesOf(part).bytes}];`];
    if (part.kind === "run") return [`${name}_${part.name} ${part.name};`];
    return part.kind === "member" ? [this.#member(part.item, name, rows)] : [];
  }

  /** The language has arrays of one dimension only, so the rows of the others are structs. @param rows gets their declarations */
  #member(item: Item, structName: string, rows: string[]): string {
    const { innermost, dims } = unwrapped(item.spec);
    const name = nameIn("ImHex", item.name, item.path);
    const length =
      innermost.kind === "text"
        ? innermost.size / innermost.unit || null
        : innermost.kind === "opaque"
          ? innermost.size
          : undefined;
    const [first, ...inner] = length === undefined ? dims : [...dims, length];
    let type = this.#type(innermost, item);
    for (const [i, size] of inner.toReversed().entries()) {
      const row = `${structName}_${name}_row${i === 0 ? "" : i + 1}`;
      rows.push(`struct ${row} {`, `    ${type} values${sizeOf(size)};`, "};", "");
      type = row;
    }
    return `${type} ${name}${first === undefined ? "" : sizeOf(first)};`;
  }

  #type(spec: Exclude<Spec, { kind: "array" }>, item: Item): string {
    if (spec.kind === "struct") return spec.struct.name;
    if (spec.kind === "opaque") return "u8";
    if (spec.kind === "text")
      return spec.unit === 1 ? "char" : spec.unit === 2 ? "le char16" : `${item.big ? "be " : ""}u32`;
    const type = this.#scalar(spec, item.path);
    return item.big && spec.size > 1 ? `be ${type}` : type;
  }

  #scalar(spec: ScalarSpec, path: string): string {
    const { as, size, name } = spec;
    if (size === 16) throw new CodegenError(path, "ImHex patterns have no long double");
    if (as === "bool") return "bool";
    if (as === "char") return "char";
    if (as === "float") return size === 4 ? "float" : "double";
    const plain = `${name.startsWith("c_int") ? "s" : "u"}${size * 8}`;
    if (spec.labels) this.#enum(spec.labels, plain, path);
    return spec.labels?.name ?? plain;
  }

  #enum({ name, values }: NonNullable<ScalarSpec["labels"]>, stored: string, path: string): void {
    if (this.#enumNames.has(name)) return;
    this.#enumNames.add(name);
    const members = values.map(([label, value]) => `    ${nameIn("ImHex", label, path)} = ${value},`);
    this.enums.push([`enum ${name} : ${stored} {`, ...members, "};"]);
  }
}

/** @param size null: up to the end of the data */
const sizeOf = (size: number | null): string => (size === null ? "[while(!std::mem::eof())]" : `[${size}]`);

function bitType({ spec }: Item): string {
  if (spec.kind !== "scalar") return "";
  return spec.as === "bool" ? "bool " : spec.as === "signed" ? "signed " : "";
}
