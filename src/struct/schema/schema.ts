/**
 * A layout as plain data: everything that another program, or a later version of this one, needs in order to
 * work on the bytes without the class's source. It stands in every file that a Manager makes.
 */
import type { FieldType } from "../declare/composite.ts";
import type { SchemaLimits } from "../declare/limits.ts";
import { type CType, schemaOfType, type TypeSchema } from "../declare/types.ts";
import { forValues, type Visitor, visit } from "../declare/visit.ts";
import { type Layout, layoutOfClass, type Member, typeName, unwrap } from "../layout/layout.ts";
import { bytesBackend } from "../memory/bytes-backend.ts";
import { sha256 } from "./sha256.ts";

/** One member in a schema. @example layoutOf(Point2D).fields.y   // { type: "c_double", offset: 8, size: 8 } */
export interface MemberSchema {
  /** The type, spelt out down to the built-in ones. */
  readonly type: TypeSchema;
  /** Bytes from the start of the struct; for a bit-field, of the byte its first bit is in. */
  readonly offset: number;
  /** Bytes; for a bit-field, of its declared type. A flexible array or text has 0. */
  readonly size: number;
  /**
   * Only for bit-fields, in bits: where it begins from the start of the struct, and how wide it is. `apart`: a
   * zero-width bit-field stands before it.
   */
  readonly bits?: { readonly offset: number; readonly width: number; readonly apart?: true };
  /** A bit-field that no single load or store reaches: another program may see some bits old and others new. */
  readonly tears?: true;
  /** Its own members are members of this struct, too. */
  readonly anonymous?: true;
  /** The alignment in bytes that this member alone was given. */
  readonly align?: number;
  /** The byte order of this member alone. */
  readonly endian?: "little" | "big";
}

/**
 * A struct as plain data, members in order.
 * @example layoutOf(Point2D)   // { name: "Point2D", kind: "struct", size: 16, align: 8, fields: { x: …, y: … } }
 */
export interface StructSchema {
  /** The class's name, or that of its `@struct({ name })`. */
  readonly name: string;
  /** In a union all members begin at 0. */
  readonly kind: "struct" | "union";
  /** Bytes, trailing padding included. */
  readonly size: number;
  /** Bytes, a power of two. */
  readonly align: number;
  /** The byte order, if the class has one of its own. */
  readonly endian?: "little" | "big";
  /** The members by name, in declaration order, those of bases first. */
  readonly fields: Readonly<Record<string, MemberSchema>>;
}

const schemas = new WeakMap<Layout, StructSchema>();

/** The schema of a layout, deeply frozen, made once. */
export function schemaOf(layout: Layout): StructSchema {
  const known = schemas.get(layout);
  if (known !== undefined) return known;
  const { name, kind, size, align, endian, members } = layout;
  const fields = {};
  // What stands in an anonymous member is spelt out there; here one finds it by name.
  for (const m of members)
    Object.defineProperty(fields, m.name, { value: memberSchema(m), enumerable: m.via === undefined });
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

const memberSchema = ({ type, offset, size, bits, access, anonymous, align, endian }: Member): MemberSchema =>
  Object.freeze({
    type: typeSchema(type),
    offset,
    size,
    ...(bits && { bits: Object.freeze({ ...bits }) }),
    ...(access?.tears && { tears: true as const }),
    ...(anonymous && { anonymous }),
    ...(align && { align }),
    ...(endian && { endian }),
  });

const spellings: Visitor<TypeSchema> = {
  ...forValues((type) => frozenCopy(schemaOfType(type)) as TypeSchema),
  // A member says how many bits it has, and where.
  bits: ({ declared }) => typeSchema(declared),
  array: ({ element, length, count }) =>
    Object.freeze({ array: typeSchema(element), length, ...(count !== undefined && { count }) }),
  struct: ({ cls }) => Object.freeze({ struct: schemaOf(layoutOfClass(cls)) }),
  atomic: ({ declared, isOwner }) =>
    Object.freeze({ atomic: typeSchema(declared), ...(isOwner && ({ owner: true } as const)) }),
};

const typeSchema = (type: FieldType): TypeSchema => visit(type, spellings);

function frozenCopy(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([key, v]) => [key, frozenCopy(v)])));
}

/** One leaf of a layout: what two programs must agree on. */
export interface Leaf {
  readonly path: string;
  readonly type: string;
  readonly offset: number;
  readonly size: number;
}

/** All fields of a layout in order, nested ones by dotted path, elements of struct arrays as `points[].x`. */
export function leavesOf(layout: Layout, prefix = "", base = 0, endian = layout.endian): Leaf[] {
  return layout.members.flatMap((member) => {
    if (member.via !== undefined) return [];
    const { name, type, bits } = member;
    const order = (member.endian ?? endian) === "big" ? " big-endian" : "";
    const path = prefix + name;
    const place = { path, offset: base + member.offset, size: member.size };
    if (bits !== undefined)
      return [{ ...place, type: `${typeName(type)} at bit ${bits.offset + base * 8}${order}` }];
    const { dimensions, innermost } = unwrap(type);
    if (innermost.kind !== "struct") return [{ ...place, type: typeName(type) + order }];
    const inner = layoutOfClass(innermost.cls);
    const head = { ...place, type: `${inner.kind}${dimensions}` };
    const below = `${path}${dimensions && "[]"}.`;
    return [head, ...leavesOf(inner, below, place.offset, inner.endian ?? member.endian ?? endian)];
  });
}

const fingerprints = new WeakMap<Layout, bigint>();

/** Eight bytes that differ when a name, type, offset or size of any field differs. */
export function fingerprintOf(layout: Layout): bigint {
  const fingerprint = fingerprints.get(layout) ?? computeFingerprint(layout);
  fingerprints.set(layout, fingerprint);
  return fingerprint;
}

function computeFingerprint(layout: Layout): bigint {
  const lines = leavesOf(layout).map(({ path, type, offset, size }) => `${path} ${type} ${offset} ${size}\n`);
  const hash = (bytesBackend.sha256 ?? sha256)(new TextEncoder().encode(`${layout.size}\n${lines.join("")}`));
  return new DataView(hash.buffer, hash.byteOffset).getBigUint64(0, true);
}

/** Options of `structFromSchema`. @example structFromSchema(schema, { types: [date_ms, fixed16] }) */
export interface SchemaOptions {
  /** Types of your own that the schema names; without them their bytes are read as their base type. */
  readonly types?: readonly CType<unknown>[] | undefined;
  /** How much the schema may make; see `SchemaLimits`. */
  readonly limits?: SchemaLimits | undefined;
}
