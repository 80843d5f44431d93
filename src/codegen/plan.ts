/**
 * From a schema to what every language declares: structs in the order of their dependencies, each with a name of its
 * own, every byte order resolved, every type of one kind. The writers of the languages see no schema.
 */
import type { MemberSchema, StructSchema } from "../struct/index.ts";
import { CodegenError } from "./error.ts";

/** How a scalar's bytes are read. */
export type ScalarKind = "signed" | "unsigned" | "float" | "bool" | "char" | "wchar" | "pointer";

/** A number, a character or a pointer. */
export interface ScalarSpec {
  readonly kind: "scalar";
  /** Its name in the library, e.g. `c_int32`. */
  readonly name: string;
  /** Bytes; also its natural alignment. */
  readonly size: number;
  readonly as: ScalarKind;
  /** Processes change it without a lock. */
  readonly atomic?: true;
  /** A 64-bit integer that the class shows as a number. */
  readonly asNumber?: true;
  /** Names of its values, and the name of the type that they make. */
  readonly labels?: { readonly name: string; readonly values: readonly (readonly [string, bigint])[] };
  /** A type of the user's over this one. */
  readonly converted?: string;
}

/** Text of a fixed size, up to its first NUL. */
export interface TextSpec {
  readonly kind: "text";
  /** Bytes of the whole field; 0 for text that takes all the rest, as `char name[]` at the end. */
  readonly size: number;
  /** Bytes of one unit: `char`, `char16_t`, `wchar_t`. */
  readonly unit: 1 | 2 | 4;
  readonly encoding: "utf8" | "latin1" | "utf16le" | "utf32";
}

/** What a member is. */
export type Spec =
  | ScalarSpec
  | TextSpec
  | {
      readonly kind: "array";
      readonly element: Spec;
      readonly length: number | null;
      readonly count?: string;
    }
  | { readonly kind: "struct"; readonly struct: Declaration }
  | { readonly kind: "opaque"; readonly name: string; readonly size: number; readonly align: number };

/** One member with its place. */
export interface Item {
  readonly name: string;
  readonly spec: Spec;
  /** Bytes from the start of the struct; for a bit-field, of the byte that its first bit is in. */
  readonly offset: number;
  /** Bytes; for a bit-field, of its declared type. */
  readonly size: number;
  /** Bits from the start of the struct, and how many. */
  readonly bits?: { readonly offset: number; readonly width: number };
  readonly anonymous?: true;
  readonly big: boolean;
  /** Where it is, for messages: `Robot.at.x`. */
  readonly path: string;
}

/** One struct or union, complete. */
export interface Declaration {
  readonly name: string;
  readonly kind: "struct" | "union";
  readonly size: number;
  readonly align: number;
  readonly big: boolean;
  readonly items: readonly Item[];
  readonly path: string;
  /** What it was planned from; its byte order is spelt out where another struct gave it. */
  readonly schema: StructSchema;
}

/** All that one export declares: the struct asked for is the last. */
export interface Plan {
  readonly declarations: readonly Declaration[];
  readonly root: Declaration;
}

const integers = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"];

/** The types without parts. */
export const scalars: ReadonlyMap<string, { readonly size: number; readonly as: ScalarKind }> = new Map([
  ...integers.map((name): [string, { size: number; as: ScalarKind }] => [
    `c_${name}`,
    { size: Number(/\d+/.exec(name)?.[0]) / 8, as: name.startsWith("u") ? "unsigned" : "signed" },
  ]),
  ["c_bool", { size: 1, as: "bool" }],
  ["c_float", { size: 4, as: "float" }],
  ["c_double", { size: 8, as: "float" }],
  ["c_longdouble", { size: 16, as: "float" }],
  ["c_char", { size: 1, as: "char" }],
  ["c_wchar", { size: 4, as: "wchar" }],
  ["c_void_p", { size: 8, as: "pointer" }],
]);

type AnyObject = Record<string, unknown>;

/**
 * What a schema declares.
 * @throws CodegenError for a type that no language knows, naming the member
 */
export function planOf(schema: StructSchema): Plan {
  const planner = new Planner();
  const root = planner.struct(schema, false, schema.name);
  return { declarations: planner.declarations, root };
}

/** Names of enums by their labels, where there are better ones than that of the member. */
export type EnumNames = ReadonlyMap<unknown, string>;

/** Collects the declarations of any number of schemas. */
export class Planner {
  readonly declarations: Declaration[] = [];
  readonly #enumNames: EnumNames;
  readonly #byContent = new Map<string, Declaration>();
  readonly #names = new Set<string>();

  constructor(enumNames: EnumNames = new Map()) {
    this.#enumNames = enumNames;
  }

  /** The declaration of a schema, and before it of all that it needs. @throws CodegenError that names a member */
  struct(schema: StructSchema, inheritsBig: boolean, path: string): Declaration {
    const big = schema.endian === undefined ? inheritsBig : schema.endian === "big";
    // The same class may stand at many places, and in two byte orders.
    const content = `${big} ${JSON.stringify(schema)}`;
    const known = this.#byContent.get(content);
    if (known !== undefined) return known;
    const name = this.#unique(schema.name);
    const items = Object.entries(schema.fields).map(([member, field]) =>
      this.#item({ name, big, path }, member, field),
    );
    const { kind, size, align } = schema;
    const spelt = inheritsBig && big ? { ...schema, endian: "big" as const } : schema;
    const declaration = { name, kind, size, align, big, items, path, schema: spelt };
    this.#byContent.set(content, declaration);
    this.declarations.push(declaration);
    return declaration;
  }

  #item(owner: { name: string; big: boolean; path: string }, name: string, field: MemberSchema): Item {
    const path = `${owner.path}.${name}`;
    const own = (field as { endian?: string }).endian;
    const big = own === undefined ? owner.big : own === "big";
    const spec = this.#spec(field.type, { big, path, label: `${owner.name}_${name}` });
    const { offset, size, bits, anonymous } = field;
    return { name, spec, offset, size, big, path, ...(bits && { bits }), ...(anonymous && { anonymous }) };
  }

  #spec(type: unknown, at: { big: boolean; path: string; label: string }): Spec {
    if (typeof type === "string") return scalarNamed(type, at.path);
    const parts = (type ?? {}) as AnyObject;
    if ("struct" in parts)
      return { kind: "struct", struct: this.struct(parts.struct as StructSchema, at.big, at.path) };
    if ("array" in parts) return this.#array(parts, at);
    if ("chars" in parts) return textOf(parts, at.path);
    if ("wchars" in parts)
      return { kind: "text", size: Number(parts.wchars ?? 0) * 4, unit: 4, encoding: "utf32" };
    if ("atomic" in parts) return { ...scalarOf(this.#spec(parts.atomic, at), at.path), atomic: true };
    if ("converted" in parts) return this.#converted(parts, at);
    if ("custom" in parts)
      return {
        kind: "opaque",
        name: String(parts.custom),
        size: Number(parts.size),
        align: Number(parts.align),
      };
    throw new CodegenError(at.path, `the type ${JSON.stringify(type)} is not known`);
  }

  #array(parts: AnyObject, at: { big: boolean; path: string; label: string }): Spec {
    const element = this.#spec(parts.array, at);
    const length = typeof parts.length === "number" ? parts.length : null;
    const count = typeof parts.count === "string" ? parts.count : undefined;
    return { kind: "array", element, length, ...(count !== undefined && { count }) };
  }

  #converted(parts: AnyObject, at: { big: boolean; path: string; label: string }): Spec {
    const base = this.#spec(parts.base, at);
    if (base.kind !== "scalar") return base;
    const name = String(parts.converted);
    if (name === `asNumber(${base.name})`) return { ...base, asNumber: true };
    if (parts.labels === undefined || !name.startsWith("enumOf(")) return { ...base, converted: name };
    const values = Object.entries(parts.labels as Record<string, string>);
    return {
      ...base,
      labels: {
        name: this.#enumNames.get(parts.labels) ?? at.label,
        values: values.map(([label, value]) => [label, BigInt(value)] as const),
      },
    };
  }

  #unique(name: string): string {
    let free = name;
    for (let n = 2; this.#names.has(free); n++) free = `${name}_${n}`;
    this.#names.add(free);
    return free;
  }
}

function scalarNamed(name: string, path: string): ScalarSpec {
  const known = scalars.get(name);
  if (known === undefined) throw new CodegenError(path, `the type ${name} is not known`);
  return { kind: "scalar", name, ...known };
}

function scalarOf(spec: Spec, path: string): ScalarSpec {
  if (spec.kind === "scalar") return spec;
  throw new CodegenError(path, "an atomic must be a number");
}

function textOf({ chars, encoding = "utf8" }: AnyObject, path: string): TextSpec {
  const size = Number(chars ?? 0);
  if (encoding === "utf16le") return { kind: "text", size, unit: 2, encoding };
  if (encoding === "utf8" || encoding === "latin1") return { kind: "text", size, unit: 1, encoding };
  throw new CodegenError(path, `the encoding ${String(encoding)} is not known`);
}

/** What an array of however many dimensions is an array of, and its dimensions, outermost first. */
export function unwrapped(spec: Spec): {
  readonly innermost: Exclude<Spec, { kind: "array" }>;
  readonly dims: (number | null)[];
} {
  const dims: (number | null)[] = [];
  let innermost = spec;
  for (; innermost.kind === "array"; innermost = innermost.element) dims.push(innermost.length);
  return { innermost, dims };
}

/** Bytes of a value; of a flexible array 0. */
export function sizeOf(spec: Spec): number {
  if (spec.kind === "array") return sizeOf(spec.element) * (spec.length ?? 0);
  return spec.kind === "struct" ? spec.struct.size : spec.size;
}

/** Whether a member takes all the rest: a flexible array, or text without a size. */
export const isOpen = (spec: Spec | undefined): boolean => {
  if (spec?.kind === "text") return spec.size === 0;
  return spec?.kind === "array" && spec.length === null;
};

/** Whether a language's scalar has a byte order that matters. */
export const hasOrder = (spec: Spec): boolean => {
  if (spec.kind === "array") return hasOrder(spec.element);
  if (spec.kind === "scalar") return spec.size > 1;
  return spec.kind === "text" && spec.unit > 1;
};
