/** C11 and C++17: a header whose compiler checks every size and offset. */
import { escapeText } from "../errors/show.ts";
import { CodegenError } from "./error.ts";
import { nameIn } from "./names.ts";
import { PADDING, type Part, type Placed, piecesOf, place, type Rules } from "./place.ts";
import { type Declaration, type Item, type Plan, type ScalarSpec, type Spec, unwrapped } from "./plan.ts";

type Dialect = "C" | "C++";

const rules = (language: Dialect): Rules => ({
  language,
  alignOf,
  bitFields: true,
  packs: [1],
  aligns: { natural: true, packed: true },
  exactAlign: true,
});

function alignOf(spec: Spec): number {
  if (spec.kind === "array") return alignOf(spec.element);
  if (spec.kind === "struct") return spec.struct.align;
  if (spec.kind === "text") return spec.unit;
  return spec.kind === "scalar" ? spec.size : 1;
}

/** The parts of a typedef's name that an import reads back. */
const orderless: Record<string, string> = {
  c_bool: "bool",
  c_float: "float",
  c_double: "double",
  c_longdouble: "long double",
  c_char: "char",
  c_wchar: "wchar_t",
  c_void_p: "void *",
};

/** The header. @throws CodegenError for what the dialect cannot express, naming the member */
export function writeC(plan: Plan, fingerprint: bigint, language: Dialect): string {
  return new Header(plan, fingerprint, language).text();
}

/** The struct around a member. */
interface Owner {
  readonly isSwapped: boolean;
  readonly owner: string;
  readonly big: boolean;
}

class Header {
  readonly #plan: Plan;
  readonly #fingerprint: bigint;
  readonly #language: Dialect;
  /** Types that the structs need, by name, in the order in which they came up. */
  readonly #typedefs = new Map<string, string>();
  readonly #enums = new Map<string, string[]>();
  readonly #atomics = new Map<string, string>();
  readonly #swapped: string[] = [];
  /** Members with a byte order of their own: an import reads it back. */
  readonly #marks = new Set<string>();
  #paddings = 0;

  constructor(plan: Plan, fingerprint: bigint, language: Dialect) {
    this.#plan = plan;
    this.#fingerprint = fingerprint;
    this.#language = language;
  }

  text(): string {
    const { name } = this.#plan.root;
    const structs = this.#plan.declarations.map((declaration) => this.#struct(declaration));
    const isC = this.#language === "C";
    return [
      `/* ${name}: made by shmstruct, which lays out the same bytes. Do not edit: export it again. */`,
      ...(isC ? [`#ifndef ${guard(name)}`, `#define ${guard(name)}`] : ["#pragma once"]),
      ...this.#includes(),
      ...this.#onlyGcc(),
      "#if defined(__GNUC__)",
      "#pragma GCC diagnostic push",
      '#pragma GCC diagnostic ignored "-Wpedantic"',
      '#pragma GCC diagnostic ignored "-Woverlength-strings"',
      "#if !defined(__clang__)",
      '#pragma GCC diagnostic ignored "-Wpacked-bitfield-compat"',
      '#pragma GCC diagnostic ignored "-Wpacked-not-aligned"',
      ...(isC ? ['#pragma GCC diagnostic ignored "-Wscalar-storage-order"'] : []),
      "#endif",
      "#endif",
      "",
      "/* The first eight bytes of the SHA-256 of the layout: it is also in every file of this struct. */",
      `#define ${name}_FINGERPRINT ${hex(this.#fingerprint)}`,
      "",
      "/* The layout as JSON, for shms_create. */",
      ...schemaLines(this.#plan.root),
      ...this.#orders(),
      ...section([...this.#typedefs.values()]),
      ...[...this.#enums.values()].flatMap((lines) => ["", ...lines]),
      ...section([...this.#atomics.values()]),
      ...structs.flatMap((lines) => ["", ...lines]),
      ...section(this.#swapped),
      "",
      "#if defined(__GNUC__)",
      "#pragma GCC diagnostic pop",
      "#endif",
      ...(isC ? ["#endif"] : []),
      "",
    ].join("\n");
  }

  /** The name, if neither the language nor this header uses it otherwise. @throws CodegenError that names the member */
  #nameOf(name: string, path: string): string {
    const [, of] = /^(.+)_(?:FINGERPRINT|SCHEMA|BIG_ENDIAN)$/.exec(name) ?? [];
    if (of !== undefined && this.#plan.declarations.some((declaration) => declaration.name === of))
      throw new CodegenError(path, `${JSON.stringify(name)} is what the header itself defines for ${of}`);
    return nameIn(this.#language, name, path);
  }

  #includes(): string[] {
    const files =
      this.#language === "C"
        ? ["stdbool.h", "stddef.h", "stdint.h", "uchar.h", "wchar.h"]
        : ["cstddef", "cstdint", "cwchar"];
    return files.map((file) => `#include <${file}>`);
  }

  /** Bit-fields in the other byte order are gcc's alone: silently different bytes are worse than an error. */
  #onlyGcc(): string[] {
    if (!this.#plan.declarations.some(hasBigBits)) return [];
    return [
      "#if !defined(__GNUC__) || defined(__clang__)",
      `#error "${this.#plan.root.name} has big-endian bit-fields, which only gcc can declare in C"`,
      "#endif",
    ];
  }

  /** Which structs are big-endian: an import reads it back. */
  #orders(): string[] {
    const big = this.#plan.declarations.filter((declaration) => declaration.big);
    if (big.length + this.#marks.size === 0) return [];
    return [
      "",
      "/* Byte orders. */",
      ...this.#marks,
      ...big.map(({ name }) => `#define ${name}_BIG_ENDIAN 1`),
    ];
  }

  #struct(declaration: Declaration): string[] {
    const { name, kind, size, align } = declaration;
    this.#nameOf(name, declaration.path);
    if (size === 0 && this.#language === "C++" && declaration.items.length === 0)
      throw new CodegenError(declaration.path, "an empty struct has 1 byte in C++ and none here");
    const placed = place(declaration, rules(this.#language));
    const isSwapped = this.#isSwapped(declaration);
    const body = placed.parts
      .flatMap((part) => this.#part(part, { isSwapped, owner: name, big: declaration.big }))
      .map((line) => `  ${line}`);
    const attributes = attributesOf(placed, isSwapped);
    const head = this.#language === "C" ? `typedef ${kind} ${name} {` : `${kind}${attributes} ${name} {`;
    const foot = this.#language === "C" ? `}${attributes} ${name};` : "};";
    return [
      `/* ${size} bytes, aligned to ${align}${declaration.big ? ", big-endian" : ""}. */`,
      head,
      ...body,
      foot,
      ...this.#checks(declaration),
    ];
  }

  #isSwapped(declaration: Declaration): boolean {
    const item = declaration.items.find(({ big, bits }) => big && bits);
    if (item !== undefined && this.#language === "C++")
      throw new CodegenError(item.path, "C++ has no big-endian bit-fields");
    return item !== undefined;
  }

  #checks({ name, size, align, items }: Declaration): string[] {
    const isC = this.#language === "C";
    const check = isC ? "_Static_assert" : "static_assert";
    const alignment = isC ? "_Alignof" : "alignof";
    const places = items
      .filter(({ bits, anonymous }) => bits === undefined && !anonymous)
      .map((item) => `${check}(offsetof(${name}, ${item.name}) == ${item.offset}, "${name}.${item.name}");`);
    return [
      `${check}(sizeof(${name}) == ${size}, "sizeof ${name}");`,
      `${check}(${alignment}(${name}) == ${align}, "alignment of ${name}");`,
      ...places,
    ];
  }

  #part(part: Part, at: Owner): string[] {
    if (part.kind === "space") return this.#space(part);
    return part.kind === "member" ? [this.#member(part.item, at)] : [];
  }

  #space(space: { from: number; to: number }): string[] {
    const { bitsBefore, bytes, bitsAfter } = piecesOf(space);
    const bits = (width: number) => (width > 0 ? [`unsigned char : ${width};`] : []);
    // Names count on through the header: those of an anonymous member stand beside those around it.
    const padding = bytes > 0 ? [`unsigned char ${PADDING}${this.#paddings++}[${bytes}];`] : [];
    return [...bits(bitsBefore), ...padding, ...bits(bitsAfter)];
  }

  #member(item: Item, { isSwapped, owner, big }: Owner): string {
    const { innermost, dims } = unwrapped(item.spec);
    const type = this.#type(innermost, item, { isSwapped, isArray: dims.length > 0 });
    if (item.anonymous && innermost.kind === "struct") return this.#anonymous(item, innermost.struct, owner);
    const name = this.#nameOf(item.name, item.path);
    if (item.big !== big && innermost.kind !== "struct")
      this.#marks.add(`#define ${owner}_${name}_${item.big ? "BIG" : "LITTLE"}_ENDIAN 1`);
    const width = item.bits === undefined ? "" : ` : ${item.bits.width}`;
    const sizes = [...dims, ...extraDims(innermost)].map((n) => `[${n ?? ""}]`).join("");
    const space = type.endsWith("*") ? "" : " ";
    // Debug information drops the names of types that stand in the other byte order: an import finds them here.
    if (isSwapped && !/^u?int\d+_t$/.test(type))
      this.#swapped.push(`typedef ${type}${space}shms_member_${owner}_${name}${sizes};`);
    return `${type}${space}${name}${sizes}${width};${this.#note(item)}`;
  }

  /** A named type without a name of the member is no member in standard C: its body is written again. */
  #anonymous(item: Item, declaration: Declaration, owner: string): string {
    const placed = place(declaration, rules(this.#language));
    const isSwapped = this.#isSwapped(declaration);
    const body = placed.parts
      .flatMap((part) => this.#part(part, { isSwapped, owner, big: declaration.big }))
      .join("\n    ");
    const attributes = attributesOf(placed, isSwapped);
    const [before, after] = this.#language === "C" ? ["", attributes] : [attributes, ""];
    // C has no name for it; an import finds that of the class here.
    return `${declaration.kind}${before} { /* anonymous: ${item.name} */\n    ${body}\n  }${after};`;
  }

  #note({ spec, offset, bits }: Item): string {
    const { innermost } = unwrapped(spec);
    const notes = [bits === undefined ? `${offset}` : `bit ${bits.offset}`];
    if (spec.kind === "array" && spec.count !== undefined) notes.push(`as many as ${spec.count} says`);
    if (innermost.kind === "text") notes.push(innermost.encoding);
    if (innermost.kind === "opaque") notes.push(innermost.name);
    if (innermost.kind === "scalar" && innermost.converted) notes.push(innermost.converted);
    if (innermost.kind === "scalar" && innermost.atomic && this.#language === "C++")
      notes.push("atomic: use std::atomic_ref or __atomic_load_n");
    // A new line behind a backslash would hide from the replacement what ends a comment.
    return ` /* ${escapeText(notes.join(", ")).replaceAll("*/", "* /")} */`;
  }

  #type(
    spec: Exclude<Spec, { kind: "array" }>,
    item: Item,
    at: { isSwapped: boolean; isArray: boolean },
  ): string {
    if (spec.kind === "struct") return spec.struct.name;
    if (spec.kind === "opaque") return "unsigned char";
    const isBig = item.big && !at.isSwapped;
    if (spec.kind === "text") return this.#textType(spec, isBig);
    if (at.isSwapped && (spec.as === "pointer" || spec.size === 16))
      throw new CodegenError(
        item.path,
        `${this.#language} cannot declare a big-endian ${spec.name} beside bit-fields`,
      );
    if (at.isSwapped && !item.big && spec.size > 1)
      throw new CodegenError(item.path, "a little-endian member beside big-endian bit-fields");
    const type = this.#scalar(spec, item, isBig && spec.size > 1, at.isArray);
    if (!spec.atomic || this.#language === "C++") return type;
    // A name of its own, which debug information keeps where it drops the qualifier.
    const name = type === "void *" ? "pointer" : type.replace(/_t$/, "");
    return this.#typedef(`shms_atomic_${name}_t`, `_Atomic(${type})`, "changed without a lock", true);
  }

  #textType({ unit, encoding }: { unit: number; encoding: string }, isBig: boolean): string {
    if (unit === 2) return "char16_t";
    if (unit === 4) return isBig ? this.#typedef("shms_be_wchar_t", "uint32_t", "be32toh(x)") : "wchar_t";
    return encoding === "latin1" ? this.#typedef("shms_latin1_t", "char", "text in Latin-1") : "char";
  }

  #scalar(spec: ScalarSpec, item: Item, isBig: boolean, isArray: boolean): string {
    const plain = this.#ordered(spec, item, isBig);
    if (spec.labels !== undefined) return this.#enum(spec, plain, item);
    if (spec.asNumber)
      return this.#typedef(`shms_number_${isBig ? "be_" : ""}${spec.name.slice(2)}_t`, plain, "within 2^53");
    if (spec.name === "c_wchar" && isArray)
      return this.#typedef(
        isBig ? "shms_be_wide_t" : "shms_wide_t",
        isBig ? "uint32_t" : "wchar_t",
        "characters, not text",
      );
    if (spec.name === "c_char" && isArray)
      return this.#typedef("shms_char_t", "char", "characters, not text");
    return plain;
  }

  #ordered({ name, size, as }: ScalarSpec, item: Item, isBig: boolean): string {
    const plain = orderless[name] ?? `${name.slice(2)}_t`;
    if (!isBig) return plain;
    if (size === 16) throw new CodegenError(item.path, `${this.#language} has no big-endian long double`);
    const bits = size * 8;
    const kind = as === "pointer" ? "pointer" : name.slice(2);
    const stored = as === "signed" ? `int${bits}_t` : `uint${bits}_t`;
    const what = as === "float" ? `the bits of a ${plain}, ` : "";
    return this.#typedef(`shms_be_${kind}_t`, stored, `big-endian: ${what}be${bits}toh(x), htobe${bits}(x)`);
  }

  /** @param late behind the enums, which it may be of */
  #typedef(name: string, type: string, comment: string, late = false): string {
    const declaration = this.#language === "C" ? `typedef ${type} ${name};` : `using ${name} = ${type};`;
    (late ? this.#atomics : this.#typedefs).set(name, `${declaration} /* ${comment} */`);
    return name;
  }

  #enum(spec: ScalarSpec, stored: string, item: Item): string {
    const labels = spec.labels as NonNullable<ScalarSpec["labels"]>;
    const name = `${labels.name}_enum`;
    // The names of a union or a struct in two byte orders may differ only there.
    const values = labels.values.map(([label, value]) => {
      const full = `${labels.name}_${nameIn(this.#language, `x${label}`, item.path).slice(1)}`;
      return [full, value] as const;
    });
    this.#enums.set(name, this.#enumLines(name, stored, values));
    return name;
  }

  /** C's enumerators are ints; larger values are macros. */
  #enumLines(name: string, stored: string, values: readonly (readonly [string, bigint])[]): string[] {
    const isInt = (value: bigint) => BigInt.asIntN(32, value) === value;
    const small = values
      .filter(([, value]) => isInt(value))
      .map(([label, value]) => `${label} = ${literal(value)}`);
    const large = values.filter(([, value]) => !isInt(value));
    const typedef = this.#language === "C" ? `typedef ${stored} ${name};` : `using ${name} = ${stored};`;
    return [
      typedef,
      ...(small.length > 0 ? [`enum ${name}_labels { ${small.join(", ")} };`] : []),
      ...large.map(([label, value]) => `#define ${label} ${literal(value)}`),
    ];
  }
}

/** A C literal: the most negative numbers have none of their own. */
function literal(value: bigint): string {
  if (value === -(2n ** 31n)) return "(-2147483647 - 1)";
  if (value === -(2n ** 63n)) return "(-INT64_C(9223372036854775807) - 1)";
  if (BigInt.asIntN(32, value) === value) return `${value}`;
  return value < 2n ** 63n ? `(INT64_C(${value}))` : `UINT64_C(${value})`;
}

/** JSON as a constant, in lines that a person can scroll past. */
function schemaLines({ name, schema }: Declaration): string[] {
  const text = JSON.stringify(schema).replace(
    /[^\x20-\x7e]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  const lines = text.match(/.{1,100}/g) ?? [];
  return [
    "#if defined(__GNUC__)",
    "__attribute__((unused))",
    "#endif",
    `static const char ${name}_SCHEMA[] =`,
    ...lines.map((line) => `  "${line.replace(/["\\]/g, "\\$&")}"`),
    "  ;",
  ];
}

const extraDims = (spec: Spec): (number | null)[] => {
  if (spec.kind === "text") return [spec.size === 0 ? null : spec.size / spec.unit];
  return spec.kind === "opaque" ? [spec.size] : [];
};

const hasBigBits = ({ items }: Declaration): boolean => items.some(({ big, bits }) => big && bits);

function attributesOf({ declaration, pack, align }: Placed, isSwapped: boolean): string {
  const attributes = [
    ...(pack === undefined ? [] : ["packed"]),
    ...(align < declaration.align ? [`aligned(${declaration.align})`] : []),
    ...(isSwapped ? ['scalar_storage_order("big-endian")'] : []),
  ];
  return attributes.length === 0 ? "" : ` __attribute__((${attributes.join(", ")}))`;
}

const section = (lines: string[]): string[] => (lines.length === 0 ? [] : ["", ...lines]);
const guard = (name: string): string => `SHMS_${name.replace(/\W/g, "_").toUpperCase()}_H`;
const hex = (value: bigint): string => `UINT64_C(0x${value.toString(16).padStart(16, "0")})`;
