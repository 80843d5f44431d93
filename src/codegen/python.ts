/** Python 3.9 and later: ctypes classes with asserts. What ctypes lays out in its own way is declared as bytes with properties over them. */
import { escapeText } from "../errors/show.ts";
import { CodegenError } from "./error.ts";
import { isName, nameIn } from "./names.ts";
import { PADDING, type Part, type Placed, piecesOf, place, type Rules } from "./place.ts";
import { type Declaration, type Item, type Plan, type ScalarSpec, type Spec, unwrapped } from "./plan.ts";

const rules = (aligned: ReadonlyMap<Declaration, number>): Rules => ({
  language: "Python",
  alignOf: (spec) => alignIn(spec, aligned),
  // Those of ctypes begin a new unit where gcc's go on, and differ between versions of Python.
  bitFields: false,
  packs: [1],
  aligns: { natural: false, packed: false },
  exactAlign: false,
});

function alignIn(spec: Spec, aligned: ReadonlyMap<Declaration, number>): number {
  if (spec.kind === "array") return alignIn(spec.element, aligned);
  if (spec.kind === "struct") return aligned.get(spec.struct) ?? 1;
  if (spec.kind === "text") return spec.unit === 4 ? 4 : 1;
  return spec.kind === "scalar" ? spec.size : 1;
}

/** The module. @throws CodegenError for what ctypes cannot express, naming the member */
export function writePython(plan: Plan, fingerprint: bigint): string {
  const module = new Module();
  const classes = plan.declarations.flatMap((declaration) => ["", "", ...module.struct(declaration)]);
  return [
    `"""${plan.root.name}: made by shmstruct, which lays out the same bytes. Do not edit: export it again."""`,
    "import ctypes",
    ...(module.usesEnums ? ["import enum"] : []),
    "",
    "# The first eight bytes of the SHA-256 of the layout: it is also in every file of this struct.",
    `${plan.root.name}_FINGERPRINT = 0x${fingerprint.toString(16).padStart(16, "0")}`,
    ...(module.usesBits ? ["", "", ...BITS] : []),
    ...module.enums.flatMap((lines) => ["", "", ...lines]),
    ...classes,
    "",
  ].join("\n");
}

/** A bit-field as a property over bytes; not atomic, as no bit-field is. */
const BITS = [
  "def _bits(storage, first, width, signed=False, boolean=False, order='little'):",
  '    """`width` bits from bit `first` of a member that is bytes."""',
  "    mask = (1 << width) - 1",
  "",
  "    def shift(data):",
  "        return first if order == 'little' else len(data) * 8 - first - width",
  "",
  "    def get(self):",
  "        data = bytes(getattr(self, storage))",
  "        value = int.from_bytes(data, order) >> shift(data) & mask",
  "        if boolean:",
  "            return bool(value)",
  "        return value - (1 << width) if signed and value >> (width - 1) else value",
  "",
  "    def put(self, value):",
  "        value = int(value)",
  "        low = -(1 << (width - 1)) if signed else 0",
  "        if not low <= value <= low + mask:",
  "            raise ValueError('%d does not fit into %d bits' % (value, width))",
  "        data = bytes(getattr(self, storage))",
  "        old = int.from_bytes(data, order) & ~(mask << shift(data))",
  "        new = old | (value & mask) << shift(data)",
  "        getattr(self, storage)[:] = new.to_bytes(len(data), order)",
  "",
  "    return property(get, put)",
];

/** What the module itself uses by name: a class of that name would stand in its place. */
const USED = new Set("ctypes enum _bits int bytes bool len getattr property ValueError __debug__".split(" "));

/** What ctypes reads of a class, and how a class is laid over memory. */
const OF_CTYPES = new Set(
  `_fields_ _pack_ _anonymous_ _align_ _layout_ _swappedbytes_
from_buffer from_buffer_copy from_address from_param in_dll`.split(/\s+/),
);

const isDunder = (name: string): boolean => /^__.*__$/.test(name);

function classIn(name: string, path: string): string {
  if (USED.has(name)) throw new CodegenError(path, `the Python module uses the name ${name} itself`);
  return nameIn("Python", name, path);
}

function checkMember({ name, path, bits }: Item): void {
  if (OF_CTYPES.has(name)) throw new CodegenError(path, `ctypes gives ${name} a meaning of its own`);
  if (isDunder(name)) throw new CodegenError(path, `Python gives ${name} a meaning of its own`);
  if (/^shms_bits_\d+$/.test(name) || (name === "_bits" && bits !== undefined))
    throw new CodegenError(path, `the Python module uses the name ${name} itself`);
  if (name.startsWith("__") && bits !== undefined)
    throw new CodegenError(path, `Python renames ${name} inside a class, where a bit-field is a property`);
}

class Module {
  usesBits = false;
  usesEnums = false;
  readonly enums: string[][] = [];
  readonly #aligned = new Map<Declaration, number>();
  readonly #enumNames = new Set<string>();

  struct(declaration: Declaration): string[] {
    const { name, kind, size, path } = declaration;
    classIn(name, path);
    for (const item of declaration.items) checkMember(item);
    const placed = place(declaration, rules(this.#aligned));
    this.#aligned.set(declaration, placed.pack === undefined ? placed.align : 1);
    const anonymous = declaration.items.filter((item) => item.anonymous).map(({ name: n }) => quoted(n));
    const fields = placed.parts.flatMap((part, i) => this.#field(part, i));
    return [
      `class ${name}(ctypes.${kind === "union" ? "Union" : "Structure"}):`,
      `    """${size} bytes, aligned to ${declaration.align} in C${declaration.big ? ", big-endian" : ""}."""`,
      "",
      ...packing(placed),
      ...(anonymous.length > 0 ? [`    _anonymous_ = (${anonymous.join(", ")},)`] : []),
      "    _fields_ = [",
      ...fields.map((field) => `        ${field}`),
      "    ]",
      ...this.#properties(placed),
      "",
      "",
      ...checks(declaration),
    ];
  }

  #field(part: Part, i: number): string[] {
    if (part.kind === "space") return [`("${PADDING}${i}", ctypes.c_uint8 * ${piecesOf(part).bytes}),`];
    if (part.kind === "run")
      return [`("${part.name}", ctypes.c_uint8 * ${part.size}),  # ${part.offset}: bit-fields`];
    const { item } = part;
    return [`(${quoted(item.name)}, ${this.#type(item.spec, item)}),  # ${item.offset}${note(item)}`];
  }

  #type(spec: Spec, item: Item): string {
    if (spec.kind === "array") return `${wrapped(this.#type(spec.element, item))} * ${spec.length ?? 0}`;
    if (spec.kind === "struct") return spec.struct.name;
    if (spec.kind === "opaque") return `ctypes.c_uint8 * ${spec.size}`;
    if (spec.kind === "text") return textType(spec, item);
    if (spec.labels) this.#enum(spec.labels, item.path);
    return scalarType(spec, item);
  }

  #enum({ name, values }: NonNullable<ScalarSpec["labels"]>, path: string): void {
    if (this.#enumNames.has(name)) return;
    const own = values.find(
      ([label]) => label === "mro" || /^_[^_].*[^_]_$|^_[^_]_$/.test(label) || isDunder(label),
    );
    if (own !== undefined)
      throw new CodegenError(path, `the label ${quoted(own[0])} cannot stand in an enum of Python`);
    this.#enumNames.add(name);
    this.usesEnums = true;
    const members = values.map(([label, value]) => `${quoted(label)}: ${value}`);
    this.enums.push([`${name} = enum.IntEnum("${name}", {${members.join(", ")}})`]);
  }

  #properties({ parts }: Placed): string[] {
    const runs = parts.flatMap((part) => (part.kind === "run" ? [part] : []));
    if (runs.length === 0) return [];
    this.usesBits = true;
    return [
      "",
      ...runs.flatMap((run) => run.items.map((item) => `    ${this.#property(run.name, run.offset, item)}`)),
    ];
  }

  #property(storage: string, byteOffset: number, { name, path, spec, bits, big }: Item): string {
    if (spec.kind !== "scalar" || bits === undefined)
      throw new CodegenError(path, "a bit-field must be a number");
    if (spec.labels) this.#enum(spec.labels, path);
    const flags = [
      ...(spec.as === "signed" ? [", signed=True"] : []),
      ...(spec.as === "bool" ? [", boolean=True"] : []),
      ...(big ? [", order='big'"] : []),
    ];
    const first = bits.offset - byteOffset * 8;
    return `${nameIn("Python", name, path)} = _bits("${storage}", ${first}, ${bits.width}${flags.join("")})`;
  }
}

const quoted = (text: string): string => escapeText(JSON.stringify(text));
const wrapped = (type: string): string => (type.includes(" * ") ? `(${type})` : type);

function scalarType({ name, size, as }: ScalarSpec, { big, path }: Item): string {
  const type = `ctypes.${name}`;
  if (!big || size === 1) return type;
  if (as === "pointer") return "ctypes.c_uint64.__ctype_be__";
  if (as === "wchar" || size === 16) throw new CodegenError(path, `ctypes has no big-endian ${name}`);
  return `${type}.__ctype_be__`;
}

function textType({ size, unit }: { size: number; unit: number }, { big, path }: Item): string {
  if (unit === 2) return `ctypes.c_uint8 * ${size}`;
  if (unit === 1) return `ctypes.c_char * ${size}`;
  if (big) throw new CodegenError(path, "ctypes has no big-endian wchar_t");
  return `ctypes.c_wchar * ${size / 4}`;
}

function note({ spec }: Item): string {
  const { innermost, dims } = unwrapped(spec);
  const notes: string[] = [];
  if (innermost.kind === "text") notes.push(innermost.encoding);
  if (innermost.kind === "opaque") notes.push(innermost.name);
  if (innermost.kind === "scalar") {
    if (innermost.labels) notes.push(`${innermost.labels.name}`);
    if (innermost.converted) notes.push(innermost.converted);
    if (innermost.atomic) notes.push("atomic: ctypes has no atomic operations");
  }
  if (dims[0] === null) notes.push("a flexible array: (type * n).from_buffer(…, offset)");
  return notes.map((text) => `, ${escapeText(text)}`).join("");
}

/** From Python 3.14 on packing wants its layout named; before, the name is not looked at. */
const packing = ({ pack }: Placed): string[] =>
  pack === undefined ? [] : [`    _pack_ = ${pack}`, '    _layout_ = "ms"'];

function checks({ name, size, items }: Declaration): string[] {
  const places = items
    .filter(({ bits }) => bits === undefined)
    .map((item) => `assert ${descriptor(name, item.name)}.offset == ${item.offset}, "${name}.${item.name}"`);
  return [`assert ctypes.sizeof(${name}) == ${size}, "sizeof ${name}"`, ...places];
}

const descriptor = (struct: string, member: string): string =>
  isName("Python", member) ? `${struct}.${member}` : `getattr(${struct}, ${quoted(member)})`;
