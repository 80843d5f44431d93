/** TypeScript again: classes that check their size and offsets when they are loaded. */
import { CodegenError } from "./error.ts";
import { type Part, type Placed, place, type Rules } from "./place.ts";
import { type Declaration, type Item, type ScalarSpec, type Spec, type TextSpec, unwrapped } from "./plan.ts";

const rules: Rules = {
  language: "TypeScript",
  alignOf,
  bitFields: true,
  packs: [16, 8, 4, 2, 1],
  aligns: { natural: true, packed: true },
  exactAlign: true,
};

function alignOf(spec: Spec): number {
  if (spec.kind === "array") return alignOf(spec.element);
  if (spec.kind === "struct") return spec.struct.align;
  if (spec.kind === "text") return spec.unit;
  return spec.kind === "scalar" ? spec.size : spec.align;
}

/** What else a module declares. */
export interface ModuleParts {
  /** Where it comes from, for the first line. */
  readonly from: string;
  /** Texts for structs and members, by `Robot` and `Robot.at`. */
  readonly comments?: ReadonlyMap<string, string>;
  readonly constants?: readonly (readonly [name: string, value: bigint | number])[];
  readonly enums?: readonly {
    readonly name: string;
    readonly values: readonly (readonly [string, bigint])[];
    /** Bytes: values of eight are bigints. */
    readonly size: number;
  }[];
}

/** The module. @throws CodegenError for what a class cannot declare, naming the member */
export function writeTypeScript(declarations: readonly Declaration[], parts: ModuleParts): string {
  return new Module(declarations, parts).text();
}

const RESERVED = new Set(
  `arguments await break case catch class const continue debugger default delete do else enum eval export extends false
finally for function if implements import in instanceof interface let new null package private protected public return
static super switch this throw true try typeof var void while with yield undefined NaN Infinity Symbol Object Error
String Number BigInt Boolean Function Array Map Set WeakMap WeakSet Math JSON Promise Reflect Proxy Date RegExp TypeError
globalThis require exports Record keyof readonly unique infer bigint number string boolean any unknown never symbol object
Int8Array Uint8Array Int16Array Uint16Array Int32Array Uint32Array Float32Array Float64Array BigInt64Array
BigUint64Array Atomic CArray StructArray Struct MmapStructure Union StructClass Anonymous anonymous array asNumber atomic bits bytes
chars wchars enumOf field layoutOf nested struct structFromSchema checkLayout`.split(/\s+/),
);

class Module {
  readonly #declarations: readonly Declaration[];
  readonly #parts: ModuleParts;
  readonly #values = new Set<string>(["layoutOf"]);
  readonly #types = new Set<string>(["StructClass"]);
  readonly #enums = new Map<string, string[]>();
  /** By their names in the schema. */
  readonly #enumNames = new Map<string, string>();
  readonly #names = new Map<Declaration, string>();
  readonly #someBig: boolean;
  #unnamed = 0;

  constructor(declarations: readonly Declaration[], parts: ModuleParts) {
    this.#declarations = declarations;
    this.#parts = parts;
    this.#someBig = declarations.some(({ big, schema }) => big || schema.endian !== undefined);
  }

  text(): string {
    const taken = new Set(this.#declarations.map(({ name }) => name).filter((name) => !isTaken(name)));
    for (const declaration of this.#declarations) {
      const name = className(declaration, taken);
      taken.add(name);
      this.#names.set(declaration, name);
    }
    for (const { name, values, size } of this.#parts.enums ?? []) this.#enum({ name, values }, size);
    const classes = this.#declarations.flatMap((declaration) => ["", ...this.#class(declaration)]);
    const constants = (this.#parts.constants ?? []).map(([name, value]) => this.#constant(name, value));
    const imports = [
      ...[...this.#values].sort(),
      ...[...this.#types.difference(this.#values)].sort().map((name) => `type ${name}`),
    ];
    return [
      `// Made by shmstruct from ${this.#parts.from}. Do not edit: make it again.`,
      `import { ${imports.join(", ")} } from "shmstruct";`,
      ...(constants.length > 0 ? ["", ...constants] : []),
      ...[...this.#enums.values()].flatMap((lines) => ["", ...lines]),
      ...classes,
      "",
      ...CHECK,
      ...this.#declarations.map((declaration) => this.#check(declaration)),
      "",
    ].join("\n");
  }

  /** A word of the language, or what is imported here, is a name for those who import it, but none here. */
  #constant(name: string, value: bigint | number): string {
    if (isTaken(name)) return `const ${name}_ = ${literal(value)};\nexport { ${name}_ as ${name} };`;
    const isDeclared = this.#enums.has(name) || [...this.#names.values()].includes(name);
    return `export const ${isDeclared ? `${name}_` : name} = ${literal(value)};`;
  }

  #nameOf(declaration: Declaration): string {
    return this.#names.get(declaration) ?? declaration.name;
  }

  #class(declaration: Declaration): string[] {
    const name = this.#nameOf(declaration);
    const comment = docComment(this.#parts.comments?.get(declaration.name), "");
    const placed = place(declaration, rules);
    const isBeyond = placed.parts.some(
      (part, i) =>
        part.kind === "space" &&
        unitOf(part, placed) === undefined &&
        alignFor(part, placed.parts[i + 1], placed) === undefined,
    );
    if (isBeyond) return [...comment, ...this.#fromSchema(declaration, name)];
    this.#unnamed = 0;
    const members = placed.parts.flatMap((part, i) => this.#part(part, placed, i));
    return [
      ...comment,
      ...this.#interface(declaration, name),
      ...this.#options(placed, name),
      `export class ${name} extends ${this.#base(declaration)} {`,
      ...members.map((line) => `  ${line}`),
      "}",
    ];
  }

  #base(declaration: Declaration): string {
    if (declaration.kind === "union") return this.#value("Union");
    return this.#value(hasHeader(declaration) ? "MmapStructure" : "Struct");
  }

  /** What decorators cannot place: a class of its layout, with an interface for the compiler. */
  #fromSchema(declaration: Declaration, name: string): string[] {
    const base = this.#typeName("Struct");
    const members = declaration.items.flatMap((item) => {
      const comment = docComment(this.#parts.comments?.get(`${declaration.name}.${item.name}`), "  ");
      return [...comment, `  ${item.name}: ${this.#declared(item.spec, item)};`];
    });
    const schema = JSON.stringify(declaration.schema);
    return [
      `export interface ${name} extends ${base} {`,
      ...members,
      "}",
      `export const ${name} = ${this.#value("structFromSchema")}(${schema}) as unknown as StructClass<${name}>;`,
    ];
  }

  /** Members of anonymous members are members of the class: the compiler learns that from an interface. */
  #interface({ items }: Declaration, name: string): string[] {
    const inner = items.flatMap(({ anonymous, spec }) =>
      anonymous && spec.kind === "struct" ? [spec.struct] : [],
    );
    if (inner.length === 0) return [];
    return [`export interface ${name} extends ${inner.map((one) => this.#nameOf(one)).join(", ")} {}`];
  }

  #options({ declaration, pack, align }: Placed, name: string): string[] {
    const options = [
      ...(pack === undefined ? [] : [`pack: ${pack}`]),
      ...(align < declaration.align ? [`align: ${declaration.align}`] : []),
      ...(this.#someBig ? [`endian: "${declaration.big ? "big" : "little"}"`] : []),
      ...(declaration.items.length === 0 ? ["empty: true"] : []),
      ...(name === declaration.name ? [] : [`name: "${declaration.name}"`]),
    ];
    return options.length === 0 ? [] : [`@${this.#value("struct")}({ ${options.join(", ")} })`];
  }

  #part(part: Part, placed: Placed, i: number): string[] {
    const { declaration, parts } = placed;
    if (part.kind === "space") {
      const isAligned = alignFor(part, parts[i + 1], placed) !== undefined;
      return isAligned ? [] : [this.#space(part, placed, declaration)];
    }
    if (part.kind === "run") return [];
    const { item } = part;
    if (item === declaration.items[0] && hasHeader(declaration)) return [];
    const comment = docComment(this.#parts.comments?.get(`${declaration.name}.${item.name}`), "");
    return [
      ...comment,
      `${this.#decorator(item, this.#fieldOptions(item, placed, i))} ${item.name}!: ${this.#declared(item.spec, item)};`,
    ];
  }

  /** A bit-field of no bits goes on at the next boundary of its type, and is no member. */
  #space(part: { from: number; to: number }, placed: Placed, { items }: Declaration): string {
    const unit = unitOf(part, placed) ?? 8;
    let name = `_${this.#unnamed++}`;
    while (items.some((item) => item.name === name)) name = `_${name}`;
    return `@${this.#value("bits")}(${this.#value(`c_uint${unit}`)}, 0) ${name}!: ${unit === 64 ? "bigint" : "number"};`;
  }

  /** What one member has for itself: an alignment, a byte order. */
  #fieldOptions(item: Item, placed: Placed, i: number): string {
    const before = placed.parts[i - 1];
    const align = before?.kind === "space" ? alignFor(before, placed.parts[i], placed) : undefined;
    const isStruct = unwrapped(item.spec).innermost.kind === "struct";
    const isOther = !isStruct && item.big !== placed.declaration.big && item.bits === undefined;
    const options = [
      ...(align === undefined ? [] : [`align: ${align}`]),
      ...(isOther ? [`endian: "${item.big ? "big" : "little"}"`] : []),
    ];
    return options.length === 0 ? "" : `, { ${options.join(", ")} }`;
  }

  #decorator({ spec, bits, anonymous, path }: Item, options: string): string {
    if (anonymous && spec.kind === "struct")
      return `@${this.#value("anonymous")}(${this.#nameOf(spec.struct)})`;
    if (bits !== undefined) return `@${this.#value("bits")}(${this.#type(spec, path)}, ${bits.width})`;
    const { innermost, dims } = unwrapped(spec);
    if (innermost.kind !== "struct" || dims.length > 1 || dims[0] === null || options !== "")
      return `@${this.#value("field")}(${this.#type(spec, path)}${options})`;
    const count = dims.length === 0 ? "" : `, ${dims[0]}`;
    return `@${this.#value("nested")}(${this.#nameOf(innermost.struct)}${count})`;
  }

  #type(spec: Spec, path: string): string {
    if (spec.kind === "struct") return this.#nameOf(spec.struct);
    if (spec.kind === "text") return this.#text(spec);
    if (spec.kind === "opaque") throw new CodegenError(path, `the type ${spec.name} is code of its class`);
    if (spec.kind === "scalar") return this.#scalar(spec, path);
    const { innermost, dims } = unwrapped(spec);
    const lengths = dims[0] === null ? dims.slice(1) : dims;
    const fixed = lengths.length === 0 ? this.#type(innermost, path) : this.#array(innermost, lengths, path);
    const count = spec.count === undefined ? "" : `, { count: ${JSON.stringify(spec.count)} }`;
    return dims[0] === null ? `${this.#value("array")}(${fixed}${count})` : fixed;
  }

  #array(innermost: Spec, lengths: readonly (number | null)[], path: string): string {
    return `${this.#value("array")}(${this.#type(innermost, path)}, ${lengths.join(", ")})`;
  }

  #text({ size, unit, encoding }: TextSpec): string {
    if (unit === 4) return `${this.#value("wchars")}(${size === 0 ? "" : size / 4})`;
    const options = encoding === "utf8" ? "" : `{ encoding: "${encoding}" }`;
    const given = [...(size === 0 ? [] : [String(size)]), ...(options === "" ? [] : [options])];
    return `${this.#value("chars")}(${given.join(", ")})`;
  }

  #scalar(spec: ScalarSpec, path: string): string {
    if (spec.converted) throw new CodegenError(path, `the type ${spec.converted} is code of its class`);
    const stored = this.#value(spec.name);
    const seen = spec.asNumber ? `${this.#value("asNumber")}(${stored})` : this.#labelled(spec, stored);
    return spec.atomic ? `${this.#value("atomic")}(${seen})` : seen;
  }

  #labelled({ labels, size }: ScalarSpec, stored: string): string {
    if (labels === undefined) return stored;
    return `${this.#value("enumOf")}(${stored}, ${this.#enum(labels, size)})`;
  }

  /** Declares an enum. @returns its name here: a struct of that name keeps it, as the two are different names in C */
  #enum({ name, values }: NonNullable<ScalarSpec["labels"]>, size: number): string {
    const known = this.#enumNames.get(name);
    if (known !== undefined) return known;
    const classes = [...this.#names.values()];
    let free = freeName(name);
    while (classes.includes(free) || this.#enums.has(free)) free += "_";
    this.#enumNames.set(name, free);
    this.#enums.set(free, enumLines(free, values, size === 8));
    return free;
  }

  #declared(spec: Spec, item: Item): string {
    if (item.anonymous && spec.kind === "struct")
      return `${this.#typeName("Anonymous")}<${this.#nameOf(spec.struct)}>`;
    if (spec.kind === "struct") return this.#nameOf(spec.struct);
    if (spec.kind === "text") return "string";
    if (spec.kind === "opaque") return "Uint8Array";
    if (spec.kind === "scalar") return this.#declaredScalar(spec);
    const { element } = spec;
    if (element.kind === "struct") return `${this.#typeName("StructArray")}<${this.#nameOf(element.struct)}>`;
    return this.#typedArray(element, item) ?? `${this.#typeName("CArray")}<${this.#declared(element, item)}>`;
  }

  #declaredScalar(spec: ScalarSpec): string {
    const value = jsTypeOf(spec);
    if (spec.atomic) return `${this.#typeName("Atomic")}<${value}>`;
    if (spec.labels === undefined) return value;
    return this.#enum(spec.labels, spec.size);
  }

  #typedArray(element: Spec, { big, offset }: Item): string | undefined {
    if (element.kind !== "scalar" || element.atomic || element.labels || element.asNumber) return undefined;
    if (big && element.size > 1) return undefined;
    return offset % element.size === 0 ? TYPED_ARRAYS[element.name] : undefined;
  }

  #check(declaration: Declaration): string {
    const offsets = declaration.items.map(
      ({ name, offset, bits }) =>
        `${JSON.stringify(name)}: ${bits ? `[${bits.offset}, ${bits.width}]` : offset}`,
    );
    return `checkLayout(${this.#nameOf(declaration)}, ${declaration.size}, ${declaration.align}, { ${offsets.join(", ")} });`;
  }

  #value(name: string): string {
    this.#values.add(name);
    return name;
  }

  #typeName(name: string): string {
    this.#types.add(name);
    return name;
  }
}

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: source of another program
const CHECK = [
  "/** Fails where the library lays out a struct in another way than was found. */",
  "function checkLayout(cls: StructClass, size: number, align: number, places: Record<string, number | number[]>): void {",
  "  const layout = layoutOf(cls);",
  "  const differs = Object.entries(places).find(([name, place]) => {",
  "    const member = layout.fields[name as never] as { offset: number; bits?: { offset: number; width: number } } | undefined;",
  "    return String(member?.bits ? [member.bits.offset, member.bits.width] : member?.offset) !== String(place);",
  "  });",
  "  if (layout.size === size && layout.align === align && differs === undefined) return;",
  "  const what = differs === undefined ? `${layout.size} bytes aligned to ${layout.align}` : `another place for ${differs[0]}`;",
  "  throw new Error(`${layout.name} has ${what} here, but ${size} bytes aligned to ${align} where it was declared`);",
  "}",
];
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above

const TYPED_ARRAYS: Readonly<Record<string, string>> = {
  c_int8: "Int8Array",
  c_uint8: "Uint8Array",
  c_int16: "Int16Array",
  c_uint16: "Uint16Array",
  c_int32: "Int32Array",
  c_uint32: "Uint32Array",
  c_int64: "BigInt64Array",
  c_uint64: "BigUint64Array",
  c_float: "Float32Array",
  c_double: "Float64Array",
  c_void_p: "BigUint64Array",
};

function jsTypeOf({ as, size, asNumber }: ScalarSpec): string {
  if (as === "bool") return "boolean";
  if (as === "char" || as === "wchar") return "string";
  if (as === "float" || asNumber) return "number";
  return size === 8 ? "bigint" : "number";
}

/** Whether it begins with what `MmapStructure` brings. */
function hasHeader({ kind, big, items: [first] }: Declaration): boolean {
  if (kind !== "struct" || big || first?.name !== "header" || first.offset !== 0) return false;
  if (first.spec.kind !== "struct" || first.anonymous) return false;
  const { items, big: isBig, size } = first.spec.struct;
  const [code, time] = items;
  const isSame = items.length === 2 && code?.name === "header_code" && time?.name === "time_stamp" && !isBig;
  return (
    isSame && size === 16 && time.offset === 8 && isScalar(code, "c_int16") && isScalar(time, "c_double")
  );
}

const isScalar = ({ spec }: Item, name: string): boolean =>
  spec.kind === "scalar" && spec.name === name && !spec.labels;

/** The alignment that brings a member from where a space begins to where it ends, if one does. */
function alignFor(
  { from, to }: { from: number; to: number },
  next: Part | undefined,
  { declaration, pack }: Placed,
): number | undefined {
  if (pack !== undefined || next?.kind !== "member" || next.item.bits || next.item.anonymous || to % 8 !== 0)
    return undefined;
  const byte = Math.ceil(from / 8);
  for (let align = 2; align <= declaration.align; align *= 2)
    if (Math.ceil(byte / align) * align === to / 8) return align;
  return undefined;
}

/** The bits of the type at whose next boundary a space ends, if there is one. */
function unitOf({ from, to }: { from: number; to: number }, { declaration }: Placed): number | undefined {
  if (to === declaration.size * 8) return undefined;
  return [8, 16, 32, 64].find((unit) => Math.ceil(from / unit) * unit === to && from !== to);
}

/** A name that changes is one that no other struct has. */
function className({ name, path }: Declaration, taken: ReadonlySet<string>): string {
  if (!/^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(name))
    throw new CodegenError(path, `${name} cannot be a name`);
  let free = freeName(name);
  while (free !== name && taken.has(free)) free += "_";
  return free;
}

const freeName = (name: string): string => (isTaken(name) ? `${name}_` : name);

const isTaken = (name: string): boolean => RESERVED.has(name) || /^c_/.test(name);

/** In an object literal `__proto__: 1` would be its prototype. */
const keyOf = (label: string): string => {
  if (label === "__proto__") return `["__proto__"]`;
  return /^[A-Za-z_]\w*$/.test(label) ? label : JSON.stringify(label);
};

function enumLines(name: string, values: readonly (readonly [string, bigint])[], isBig = false): string[] {
  const members = values.map(([label, value]) => `${keyOf(label)}: ${value}${isBig ? "n" : ""}`);
  return [
    `export const ${name} = { ${members.join(", ")} } as const;`,
    `export type ${name} = (typeof ${name})[keyof typeof ${name}];`,
  ];
}

const literal = (value: bigint | number): string =>
  typeof value === "bigint" &&
  BigInt(Number(value)) === value &&
  Math.abs(Number(value)) <= Number.MAX_SAFE_INTEGER
    ? `${value}`
    : typeof value === "bigint"
      ? `${value}n`
      : String(value);

function docComment(text: string | undefined, indent: string): string[] {
  if (text === undefined || text === "") return [];
  const safe = text.replaceAll("*/", "* /");
  if (!safe.includes("\n")) return [`${indent}/** ${safe} */`];
  return [`${indent}/**`, ...safe.split("\n").map((line) => `${indent} * ${line}`), `${indent} */`];
}
