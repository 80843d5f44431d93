/**
 * A layout as plain data: everything that another program, or a later version of this one, needs in order to
 * work on the bytes without the class's source. It stands in every file that a Manager makes.
 */
import { createHash } from "node:crypto";
import { StructDefinitionError } from "../errors.ts";
import {
  ArrayType,
  AtomicType,
  atomic,
  type FieldType,
  fieldType,
  type StructClass,
  StructType,
} from "./composite.ts";
import {
  alignOfType,
  type Layout,
  layoutOfClass,
  type Member,
  registerLayout,
  sizeOfType,
  typeName,
} from "./layout.ts";
import { Struct, Union } from "./struct.ts";
import { c_longdouble, chars, type TextEncoding } from "./text.ts";
import * as types from "./types.ts";
import { asNumber, type CType, convert, isScalar, type TypeSchema } from "./types.ts";

/** One member in a schema. Offsets and sizes in bytes; `bits` counts from the start of the struct. */
export interface MemberSchema {
  readonly type: TypeSchema;
  readonly offset: number;
  readonly size: number;
  readonly bits?: { readonly offset: number; readonly width: number };
  readonly anonymous?: true;
}

/** A struct as plain data, members in order. */
export interface StructSchema {
  readonly name: string;
  readonly kind: "struct" | "union";
  /** Bytes. */
  readonly size: number;
  readonly align: number;
  readonly endian?: "little" | "big";
  readonly fields: Readonly<Record<string, MemberSchema>>;
}

const schemas = new WeakMap<Layout, StructSchema>();

/** The schema of a layout, deeply frozen, made once. */
export function schemaOf(layout: Layout): StructSchema {
  const known = schemas.get(layout);
  if (known !== undefined) return known;
  const { name, kind, size, align, endian, members } = layout;
  const fields = Object.fromEntries(
    members.filter((m) => m.via === undefined).map((m) => [m.name, memberSchema(m)]),
  );
  const schema: StructSchema = Object.freeze({
    name,
    kind,
    size,
    align,
    ...(endian && { endian }),
    fields: Object.freeze(fields),
  });
  schemas.set(layout, schema);
  return schema;
}

const memberSchema = ({ type, offset, size, bits, anonymous }: Member): MemberSchema =>
  Object.freeze({
    type: typeSchema(type),
    offset,
    size,
    ...(bits && { bits: Object.freeze({ ...bits }) }),
    ...(anonymous && { anonymous }),
  });

function typeSchema(type: FieldType): TypeSchema {
  if (type instanceof StructType) return Object.freeze({ struct: schemaOf(layoutOfClass(type.cls)) });
  if (type instanceof ArrayType)
    return Object.freeze({ array: typeSchema(type.element), length: type.length });
  if (type instanceof AtomicType) return Object.freeze({ atomic: type.integer.name });
  return type.schema ?? Object.freeze({ custom: type.name, size: type.size, align: type.align });
}

/** One leaf of a layout: what two programs must agree on. */
export interface Leaf {
  readonly path: string;
  readonly type: string;
  readonly offset: number;
  readonly size: number;
}

/** All fields of a layout in order, nested ones by dotted path, elements of struct arrays as `points[].x`. */
export function leavesOf(layout: Layout, prefix = "", base = 0): Leaf[] {
  const order = layout.endian === undefined ? "" : ` ${layout.endian}-endian`;
  return layout.members.flatMap((member) => {
    if (member.via !== undefined) return [];
    const { name, type, bits } = member;
    const path = prefix + name;
    const place = { path, offset: base + member.offset, size: member.size };
    if (bits !== undefined)
      return [{ ...place, type: `${typeName(type)}:${bits.width} at bit ${bits.offset + base * 8}${order}` }];
    if (type instanceof StructType) return leavesOf(layoutOfClass(type.cls), `${path}.`, place.offset);
    const { dimensions, innermost } = unwrap(type);
    if (!(innermost instanceof StructType)) return [{ ...place, type: typeName(type) + order }];
    const inner = layoutOfClass(innermost.cls);
    return [{ ...place, type: `${inner.kind}${dimensions}` }, ...leavesOf(inner, `${path}[].`, place.offset)];
  });
}

function unwrap(type: FieldType): { dimensions: string; innermost: FieldType } {
  let dimensions = "";
  let innermost = type;
  for (; innermost instanceof ArrayType; innermost = innermost.element)
    dimensions += `[${innermost.length ?? ""}]`;
  return { dimensions, innermost };
}

/** Eight bytes that differ when a name, type, offset or size of any field differs. */
export function fingerprintOf(layout: Layout): bigint {
  const text = leavesOf(layout).map(({ path, type, offset, size }) => `${path} ${type} ${offset} ${size}\n`);
  const hash = createHash("sha256").update(`${layout.size}\n`);
  for (const line of text) hash.update(line);
  return hash.digest().readBigUInt64LE(0);
}

/** Options of `structFromSchema`. */
export interface SchemaOptions {
  /** Types of your own that the schema names; without them their bytes are read as their base type. */
  readonly types?: readonly CType<unknown>[];
}

/**
 * A working class from a schema (of `layoutOf`, or read from a file), without the original source. Methods and
 * getters of the original are not there; types of one's own are looked up in `options.types`.
 * @throws StructDefinitionError for anything that is not a sound schema; a schema is never trusted
 * @example const Robot = structFromSchema(JSON.parse(text)); viewOf(Robot, buffer)
 */
export function structFromSchema(
  schema: StructSchema,
  options: SchemaOptions = {},
): StructClass<Struct & Record<string, unknown>> {
  return new SchemaReader(options.types ?? []).struct(schema, 0);
}

const MAX_DEPTH = 64;
const builtIns = new Map<string, CType<unknown>>(
  [...Object.values(types), c_longdouble].flatMap((type) =>
    typeof type === "object" && "check" in type ? [[type.name, type as CType<unknown>] as const] : [],
  ),
);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown, max = 2 ** 32): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;

class SchemaReader {
  readonly #types: Map<string, CType<unknown>>;

  constructor(own: readonly CType<unknown>[]) {
    this.#types = new Map([...builtIns, ...own.map((type) => [type.name, type] as const)]);
  }

  struct(schema: unknown, depth: number): StructClass<Struct & Record<string, unknown>> {
    if (!isObject(schema)) throw unsound("a struct must be an object", schema);
    const { name, kind, size, align, endian, fields } = schema;
    if (depth > MAX_DEPTH) throw unsound(`structs nested deeper than ${MAX_DEPTH}`, name);
    if (typeof name !== "string" || name === "") throw unsound("name", name);
    if (kind !== "struct" && kind !== "union") throw unsound(`${name}: kind`, kind);
    if (!isCount(size)) throw unsound(`${name}: size`, size);
    if (!isCount(align, 4096) || align < 1 || (align & (align - 1)) !== 0 || size % align !== 0)
      throw unsound(`${name}: align`, align);
    if (endian !== undefined && endian !== "little" && endian !== "big")
      throw unsound(`${name}: endian`, endian);
    if (!isObject(fields) || Object.keys(fields).length === 0) throw unsound(`${name}: fields`, fields);
    const Base = kind === "union" ? Union : Struct;
    const cls = { [name]: class extends Base {} }[name] as unknown as StructClass<
      Struct & Record<string, unknown>
    >;
    const members = Object.entries(fields).flatMap(([key, value]) =>
      this.#member(name, size, key, value, depth),
    );
    registerLayout(this.#layout(cls, { name, kind, size, align, ...(endian && { endian }) }, members));
    return cls;
  }

  #layout(
    cls: StructClass,
    head: Pick<Layout, "name" | "kind" | "size" | "align" | "endian">,
    members: Member[],
  ): Layout {
    const byName = new Map(members.map((member) => [member.name, member]));
    if (byName.size !== members.length) throw unsound(`${head.name}: two members of one name`, head.name);
    const last = members.at(-1)?.type;
    const flexible = last instanceof ArrayType && last.length === null;
    return {
      cls,
      ...head,
      members: Object.freeze(members),
      byName,
      flexible,
      hasAtomics: members.some(({ type }) => hasAtomic(type)),
    };
  }

  #member(struct: string, structSize: number, name: string, schema: unknown, depth: number): Member[] {
    const where = `${struct}.${name}`;
    if (
      !/^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(name) ||
      name === "constructor" ||
      name === "__proto__"
    )
      throw unsound(`${struct}: member name`, name);
    if (!isObject(schema)) throw unsound(where, schema);
    const { offset, size, bits, anonymous } = schema;
    const type = this.#type(schema.type, where, depth);
    if (!isCount(offset) || !isCount(size) || size !== sizeOfType(type))
      throw unsound(`${where}: offset or size`, `${offset}, ${size}`);
    const place = bits === undefined ? undefined : this.#bits(bits, type, where, structSize);
    if (place === undefined && offset + size > structSize)
      throw unsound(`${where} reaches beyond the struct`, offset + size);
    if (hasAtomic(type) && offset % alignOfType(type) !== 0)
      throw unsound(`${where}: misaligned atomic`, offset);
    const member: Member = Object.freeze({
      name,
      type,
      offset,
      size,
      ...(place && { bits: place }),
      ...(anonymous === true && { anonymous }),
    });
    if (anonymous !== true) return [member];
    if (!(type instanceof StructType)) throw unsound(`${where}: anonymous`, typeName(type));
    const inner = layoutOfClass(type.cls).members.map((m) => ({
      ...m,
      offset: m.offset + offset,
      via: name,
    }));
    return [member, ...inner];
  }

  #bits(bits: unknown, type: FieldType, where: string, structSize: number): Member["bits"] {
    if (!isObject(bits) || !isCount(bits.offset, 2 ** 35) || !isCount(bits.width, 64) || bits.width < 1)
      throw unsound(`${where}: bits`, bits);
    const { offset, width } = bits as { offset: number; width: number };
    const integer = isScalar(type) ? type.integer : undefined;
    if (integer === undefined || width > integer.bits || offset + width > structSize * 8)
      throw unsound(`${where}: bits`, `${offset}, ${width}`);
    return Object.freeze({ offset, width });
  }

  #type(schema: unknown, where: string, depth: number): FieldType {
    if (depth > MAX_DEPTH) throw unsound(`${where}: nested deeper than ${MAX_DEPTH}`, "type");
    if (typeof schema === "string") return this.#named(schema, where);
    if (!isObject(schema)) throw unsound(`${where}: type`, schema);
    if ("struct" in schema) return new StructType(this.struct(schema.struct, depth + 1));
    if ("array" in schema) {
      const { length } = schema;
      if (length !== null && (!isCount(length) || length === 0))
        throw unsound(`${where}: array length`, length);
      return new ArrayType(this.#type(schema.array, where, depth + 1), length);
    }
    if ("chars" in schema) return fieldType(this.#chars(schema, where), where);
    if ("atomic" in schema) return atomic(this.#named(String(schema.atomic), where) as CType<number>);
    if ("converted" in schema) return this.#converted(schema, where, depth);
    if ("custom" in schema) return this.#custom(schema, where);
    throw unsound(`${where}: type`, JSON.stringify(schema).slice(0, 80));
  }

  #named(name: string, where: string): CType<unknown> {
    const type = this.#types.get(name);
    if (type === undefined) throw unsound(`${where}: unknown type`, name);
    return type;
  }

  #chars(schema: Record<string, unknown>, where: string): CType<string> {
    const { chars: size, encoding } = schema;
    if (!isCount(size)) throw unsound(`${where}: chars`, size);
    return chars(size, { encoding: encoding as TextEncoding | undefined });
  }

  #converted(schema: Record<string, unknown>, where: string, depth: number): FieldType {
    const name = String(schema.converted);
    const own = this.#types.get(name);
    if (own !== undefined) return own;
    const base = this.#type(schema.base, where, depth + 1) as CType<unknown>;
    if (!("check" in base)) throw unsound(`${where}: base type`, name);
    if (name === `asNumber(${base.name})`) return asNumber(base as CType<bigint>);
    // Unknown here: show the stored value, under the name the file gives, so that the fingerprint holds.
    return convert(base, { name, decode: (stored) => stored, encode: (value) => value });
  }

  #custom(schema: Record<string, unknown>, where: string): FieldType {
    const own = this.#types.get(String(schema.custom));
    if (own !== undefined) return own;
    const { size, align } = schema;
    if (!isCount(size) || size === 0 || align !== 1) {
      throw unsound(
        `${where}: the type ${String(schema.custom)} is not known here; give it in options.types`,
        size,
      );
    }
    return new ArrayType(types.c_uint8, size);
  }
}

function hasAtomic(type: FieldType): boolean {
  if (type instanceof ArrayType) return hasAtomic(type.element);
  if (type instanceof StructType) return layoutOfClass(type.cls).hasAtomics;
  return type instanceof AtomicType;
}

function unsound(what: string, value: unknown): StructDefinitionError {
  return new StructDefinitionError(
    `this schema is not sound: ${what} (${typeof value === "object" ? JSON.stringify(value)?.slice(0, 80) : String(value)})`,
  );
}
