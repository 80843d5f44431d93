/** The same struct declarations written in C, in Python's ctypes and in TypeScript. */
import {
  declarationsOf,
  type Leaf,
  type MemberModel,
  type Order,
  type StructModel,
  scalars,
  type TypeModel,
} from "./struct-models.ts";

/** One random struct with two sets of values: one that others write and we read, one the other way around. */
export interface Case {
  readonly model: StructModel;
  readonly theirs: readonly Leaf[];
  readonly ours: readonly Leaf[];
  /** The bytes that we wrote for `ours`. */
  readonly bytes?: Uint8Array;
}

// ---- TypeScript ----

const typeInTypeScript = (type: TypeModel): string => {
  switch (type.kind) {
    case "scalar":
      return `s.${type.name}`;
    case "atomic":
      return `s.atomic(s.${type.name})`;
    case "asNumber":
      return `s.asNumber(s.${type.name})`;
    case "chars":
      return `s.chars(${type.size}, { encoding: "${type.encoding}" })`;
    case "wchars":
      return `s.wchars(${type.length})`;
    case "enum":
      return `s.enumOf(s.${type.name}, { ${type.values.map((v, i) => `V${i}: ${literal(v)}`).join(", ")} } as const)`;
    case "array":
      return `s.array(${typeInTypeScript(type.element)}, ${type.length})`;
    case "struct":
      return type.struct.name;
  }
};

const literal = (value: unknown): string => (typeof value === "bigint" ? `${value}n` : String(value));

function memberInTypeScript({ name, type, bits, anonymous, align, endian }: MemberModel): string {
  const inner = typeInTypeScript(type);
  if (bits !== undefined) return `  @s.bits(${inner}, ${bits}) ${name}!: unknown;`;
  if (anonymous) return `  @s.anonymous(${inner}) ${name}!: unknown;`;
  const options = align === undefined && endian === undefined ? "" : `, ${JSON.stringify({ align, endian })}`;
  return `  @s.${type.kind === "struct" ? "nested" : "field"}(${inner}${options}) ${name}!: unknown;`;
}

export function structInTypeScript(model: StructModel): string {
  const { name, isUnion, base, pack, align, endian, members, flexible } = model;
  const options = JSON.stringify({ pack, align, endian });
  const parent = base?.name ?? (isUnion ? "s.Union" : "s.Struct");
  const last =
    flexible &&
    `  @s.field(s.array(${typeInTypeScript(flexible.member.type)})) ${flexible.member.name}!: unknown;`;
  return [
    ...(options === "{}" ? [] : [`@s.struct(${options})`]),
    `export class ${name} extends ${parent} {`,
    ...members.map(memberInTypeScript),
    ...(last ? [last] : []),
    "}",
  ].join("\n");
}

/** A module that exports all structs of the cases. */
export const moduleInTypeScript = (cases: readonly { model: StructModel }[], library: string): string =>
  [
    `import * as s from ${JSON.stringify(library)};`,
    ...cases.flatMap(({ model }) => declarationsOf(model)).map(structInTypeScript),
  ].join("\n");

// ---- C ----

/** Without an order of its own a nested struct takes that of the one around it, so C has a type per order. */
const tag = (name: string, order: Order) => (order === "big" ? `${name}_be` : name);

const typeInC = (type: Exclude<TypeModel, { kind: "array" }>): string => {
  if (type.kind === "struct")
    return `${type.struct.isUnion ? "union" : "struct"} ${tag(type.struct.name, type.struct.order)}`;
  if (type.kind === "chars") return isWide(type) ? "uint16_t" : "unsigned char";
  if (type.kind === "wchars") return "wchar_t";
  return scalars[type.name]?.c ?? "?";
};

function declaratorInC({ name, type, bits, anonymous, align, endian }: MemberModel, open = false): string {
  if (bits !== undefined && type.kind !== "array")
    return `  ${typeInC(type)} ${bits === 0 ? "" : name} : ${bits};`;
  let dimensions = open ? "[]" : "";
  let element = type;
  for (; element.kind === "array"; element = element.element) dimensions += `[${element.length}]`;
  const aligned = align === undefined ? "" : ` __attribute__((aligned(${align})))`;
  if (endian !== undefined && type.kind === "scalar") {
    const order = `${endian}-endian`;
    return `  struct { ${typeInC(type)} one; } __attribute__((scalar_storage_order("${order}"))) ${name}${aligned};`;
  }
  if (element.kind === "wchars") dimensions += `[${element.length}]`;
  if (element.kind === "chars") dimensions += `[${element.size / unitOf(element)}]`;
  return `  ${typeInC(element)}${anonymous ? "" : ` ${name}${dimensions}${aligned}`};`;
}

export function structInC(model: StructModel): string {
  const { name, isUnion, base, pack, align, order, members, flexible } = model;
  const attributes = [
    ...(order === "big" ? ['scalar_storage_order("big-endian")'] : []),
    ...(align ? [`aligned(${align})`] : []),
  ];
  const lines = [
    ...(pack ? [`#pragma pack(push, ${pack})`] : []),
    `${isUnion ? "union" : "struct"} ${tag(name, order)} {`,
    ...(base ? [`  ${typeInC({ kind: "struct", struct: base })} base_${name};`] : []),
    ...members.map((member) => declaratorInC(member)),
    ...(flexible ? [declaratorInC(flexible.member, true)] : []),
    `}${attributes.length > 0 ? ` __attribute__((${attributes.join(", ")}))` : ""};`,
    ...(pack ? ["#pragma pack(pop)"] : []),
  ];
  return lines.join("\n");
}

/** Statements that store or compare wide text, character by character. */
function wideInC({ type, value }: Leaf): number[] {
  const codes = [...String(value)].map((letter) => letter.codePointAt(0) as number);
  return Array.from({ length: type.kind === "wchars" ? type.length : 0 }, (_, i) => codes[i] ?? 0);
}

/** Text as C has it: the bytes up to the end of the field. */
export function textBytes(leaf: Leaf): Buffer {
  if (leaf.type.kind !== "chars") throw new TypeError("no text");
  const bytes = Buffer.alloc(leaf.type.size);
  bytes.write(String(leaf.value), leaf.type.encoding);
  return bytes;
}

function literalInC({ type, value }: Leaf): string {
  const kind = type.kind === "chars" || type.kind === "wchars" ? "char" : scalars[type.name]?.kind;
  if (kind === "float")
    return floatInC(value as number, type.kind === "scalar" && type.name === "c_longdouble");
  if (kind === "char") return String((value as string).charCodeAt(0));
  if (kind === "wchar") return String((value as string).codePointAt(0));
  if (kind === "bool") return value ? "1" : "0";
  if (kind === "pointer") return `(void *)${value}ull`;
  const number = BigInt(value as bigint);
  return number < 0n ? `(-${-number - 1n}ll - 1)` : `${number}ull`;
}

function floatInC(value: number, long: boolean): string {
  if (!Number.isFinite(value)) return `${value < 0 ? "-" : ""}__builtin_inf()`;
  // The shortest digits that mean this double would mean another long double.
  return `(${long ? "long double)(" : ""}double)${value < 0 || Object.is(value, -0) ? "-" : ""}${Math.abs(value).toExponential()}`;
}

const writeInC = (leaf: Leaf, target: string): string =>
  leaf.type.kind === "wchars"
    ? wideInC(leaf)
        .map((code, i) => `${target}[${i}] = ${code};`)
        .join(" ")
    : leaf.type.kind === "chars"
      ? `memcpy(${target}, (unsigned char[]){${[...textBytes(leaf)]}}, ${leaf.type.size});`
      : `${target} = ${literalInC(leaf)};`;

const isOtherInC = (leaf: Leaf, source: string): string =>
  leaf.type.kind === "wchars"
    ? wideInC(leaf)
        .map((code, i) => `${source}[${i}] != ${code}`)
        .join(" || ")
    : leaf.type.kind === "chars"
      ? `memcmp(${source}, (unsigned char[]){${[...textBytes(leaf)]}}, ${leaf.type.size}) != 0`
      : `${source} != ${literalInC(leaf)}`;

/** Prints sizes and offsets, the bytes of `theirs`, and every field of `bytes` that does not hold `ours`. */
function caseInC({ model, theirs, ours, bytes }: Case, index: number): string {
  const type = typeInC({ kind: "struct", struct: model });
  const own = (leaf: Leaf) => leaf.c.replace(/^v\./, "");
  const total = bytes?.length ?? 0;
  return [
    ...declarationsOf(model).map(structInC),
    `static void case_${index}(void) {`,
    `  static union { ${type} v; unsigned char bytes[${total}]; } t __attribute__((aligned(64)));`,
    `  printf("L ${index} %zu %zu\\n", sizeof(${type}), _Alignof(${type}));`,
    ...theirs.flatMap((leaf, i) =>
      leaf.bits === undefined
        ? [`  printf("O ${index} ${i} %zu\\n", (size_t)offsetof(${type}, ${own(leaf)}));`]
        : [],
    ),
    ...theirs.map((leaf) => `  ${writeInC(leaf, `t.${leaf.c}`)}`),
    `  dump(${index}, t.bytes, ${total});`,
    `  memcpy(t.bytes, (unsigned char[]){${[...(bytes ?? [])]}}, ${total});`,
    ...ours.map((leaf, i) => `  if (${isOtherInC(leaf, `t.${leaf.c}`)}) printf("W ${index} ${i}\\n");`),
    "}",
  ].join("\n");
}

export const programInC = (cases: readonly Case[]): string =>
  [
    "#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n#include <sys/types.h>\n#include <time.h>",
    "static void dump(int index, const unsigned char *bytes, size_t n) {",
    '  printf("B %d ", index);\n  for (size_t i = 0; i < n; i++) printf("%02x", bytes[i]);\n  printf("\\n");\n}',
    ...cases.map(caseInC),
    "int main(void) {",
    ...cases.map((_, i) => `  case_${i}();`),
    "  return 0;\n}",
  ].join("\n");

// ---- Python ----

/** UTF-16 is numbers of two bytes to C and ctypes, whose bytes are the text. */
const isWide = (type: TypeModel): boolean => type.kind === "chars" && type.encoding === "utf16le";
const unitOf = (type: TypeModel): number => (isWide(type) ? 2 : 1);

const typeInPython = (type: TypeModel, order: Order): string => {
  if (type.kind === "struct") return tag(type.struct.name, type.struct.order);
  if (type.kind === "array") {
    // ctypes shows an array of char as one bytes object, whose elements cannot be set.
    const numbers: Record<string, string> = { c_char: "c_ubyte", c_wchar: "c_uint32" };
    const plain = type.element.kind === "scalar" ? numbers[type.element.name] : undefined;
    return `(${plain ?? typeInPython(type.element, order)} * ${type.length})`;
  }
  if (type.kind === "wchars") return `(c_wchar * ${type.length})`;
  if (type.kind === "chars") return `(${isWide(type) ? "c_uint16" : "c_char"} * ${type.size / unitOf(type)})`;
  return scalars[type.name]?.py ?? "?";
};

const packOf = ({ pack, base }: StructModel): number | undefined => pack ?? (base && packOf(base));

const hasWide = (type: TypeModel): boolean =>
  type.kind === "array" ? hasWide(type.element) : type.kind === "wchars";

/** Why ctypes cannot say this, if it cannot. */
export function beyondPython(model: StructModel): string | undefined {
  for (const { align, order, members, flexible, base, pack, isUnion } of declarationsOf(model)) {
    if (align !== undefined) return "alignment";
    if (base && (pack ?? packOf(base)) !== undefined)
      return "packing a derived struct, or deriving from a packed one";
    if (base && isUnion) return "a derived union, whose size forgets the base";
    if (isUnion && members.some(({ bits }) => bits !== undefined))
      return "bit-fields in a union, at negative offsets";
    if (flexible !== undefined) return "flexible array";
    if (members.some((m) => m.align !== undefined || m.endian !== undefined))
      return "alignment or byte order of one member";
    if (members.some(({ type }) => hasWide(type))) return "arrays of wchar_t in either order";
    if (members.some(({ bits }) => bits === 0)) return "zero-width bit-field";
    const inner = (type: TypeModel): TypeModel => (type.kind === "array" ? inner(type.element) : type);
    const other = ["c_wchar", "c_longdouble", "c_bool", "c_void_p"];
    const types = members.map(({ type }) => inner(type));
    const isOdd = (t: TypeModel) =>
      t.kind === "struct" ? t.struct.isUnion : t.kind === "scalar" && other.includes(t.name);
    if (order === "big" && types.some(isOdd)) return "a type without a big-endian form";
  }
  return undefined;
}

/** ctypes copies a C long double whole, with whatever stands in its six bytes of padding. */
export const hasLongDouble = (leaves: readonly Leaf[]): boolean =>
  leaves.some(({ type }) => type.kind === "scalar" && type.name === "c_longdouble");

export const hasBits = (model: StructModel): boolean =>
  declarationsOf(model).some(({ members }) => members.some(({ bits }) => bits !== undefined));

function structInPython(model: StructModel): string {
  const { name, isUnion, base, pack, order, members } = model;
  const root = `${order === "big" ? "BigEndian" : ""}${isUnion ? "Union" : "Structure"}`;
  const anonymous = members.filter((m) => m.anonymous).map((m) => `"${m.name}",`);
  const fields = members.map(
    ({ name, type, bits }) =>
      `("${name}", ${typeInPython(type, order)}${bits === undefined ? "" : `, ${bits}`})`,
  );
  return [
    `class ${tag(name, order)}(${base ? tag(base.name, base.order) : root}):`,
    ...(pack ? [`  _pack_ = ${pack}`] : []),
    ...(anonymous.length > 0 ? [`  _anonymous_ = (${anonymous.join(" ")})`] : []),
    `  _fields_ = [${fields.join(", ")}]`,
  ].join("\n");
}

function literalInPython({ type, value, isElement }: Leaf): string {
  const kind = type.kind === "chars" || type.kind === "wchars" ? "char" : scalars[type.name]?.kind;
  if (kind === "float")
    return Number.isFinite(value)
      ? Object.is(value, -0)
        ? "-0.0"
        : (value as number).toExponential()
      : `float("${String(value).toLowerCase()}")`;
  if (isElement && (kind === "char" || kind === "wchar")) return `${(value as string).codePointAt(0)}`;
  if (kind === "char") return `bytes([${(value as string).charCodeAt(0)}])`;
  if (kind === "wchar") return `chr(${(value as string).codePointAt(0)})`;
  if (kind === "bool") return value ? "True" : "False";
  return String(value);
}

function writeInPython(leaf: Leaf): string {
  if (leaf.type.kind !== "chars") return `  ${leaf.py} = ${literalInPython(leaf)}`;
  const value = `bytes([${[...textBytes(leaf)]}])`;
  if (isWide(leaf.type)) return `  memmove(addressof(${leaf.py}), ${value}, ${leaf.type.size})`;
  return `  ${leaf.py}${leaf.isElement ? ".raw" : ""} = ${value}`;
}

function checkInPython(leaf: Leaf, index: number, i: number): string {
  // ctypes shows text up to its first NUL, and a null pointer as None.
  const pointer = leaf.type.kind === "scalar" && leaf.type.name === "c_void_p";
  if (leaf.type.kind !== "chars")
    return `  if ${pointer ? `(${leaf.py} or 0)` : leaf.py} != ${literalInPython(leaf)}: print("W", ${index}, ${i})`;
  const bytes = textBytes(leaf);
  if (isWide(leaf.type))
    return `  if string_at(addressof(${leaf.py}), ${leaf.type.size}) != bytes([${[...bytes]}]): print("W", ${index}, ${i})`;
  const end = bytes.indexOf(0);
  const shown = `bytes([${[...(end < 0 ? bytes : bytes.subarray(0, end))]}])`;
  return `  if ${leaf.py}${leaf.isElement ? ".value" : ""} != ${shown}: print("W", ${index}, ${i})`;
}

function caseInPython({ model, theirs, ours, bytes }: Case, index: number): string {
  if (beyondPython(model) !== undefined) return "";
  const type = tag(model.name, model.order);
  return [
    ...declarationsOf(model).map(structInPython),
    `def case_${index}():`,
    `  print("L", ${index}, sizeof(${type}), alignment(${type}))`,
    // Bit-fields of ctypes may be accessed beyond the end of their struct, which would damage Python's heap.
    `  v = ${type}.from_buffer(bytearray(sizeof(${type}) + 64))`,
    ...theirs.map(writeInPython),
    `  print("B", ${index}, bytes(v).hex())`,
    `  if sizeof(${type}) != ${bytes?.length}: return`,
    `  v = ${type}.from_buffer(bytearray.fromhex("${Buffer.from(bytes ?? []).toString("hex")}") + bytes(64))`,
    ...ours.flatMap((leaf, i) => [
      "  try:",
      `  ${checkInPython(leaf, index, i)}`,
      // Where a bit-field stands elsewhere, another member may hold what Python cannot show.
      `  except ValueError: print("W", ${index}, ${i})`,
    ]),
    `case_${index}()`,
  ].join("\n");
}

export const programInPython = (cases: readonly Case[]): string =>
  ["from ctypes import *", ...cases.map(caseInPython)].join("\n");
