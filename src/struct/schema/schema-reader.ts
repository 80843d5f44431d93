/** From a schema to a class: all that a schema says is checked, as it may come from anywhere. */
import { checkOptions } from "../../errors/check-options.ts";
import { StructDefinitionError } from "../../errors/errors.ts";
import { escapeText, show } from "../../errors/show.ts";
import {
  ArrayType,
  atomic,
  BitsType,
  type FieldType,
  fieldType,
  owner,
  type StructClass,
  StructType,
} from "../declare/composite.ts";
import { isMemberName, isStructName, MAX_ALIGN, nameMust } from "../declare/decorators.ts";
import {
  MAX_DEPTH,
  MAX_LABEL_DIGITS,
  MAX_NAME_LENGTH,
  MAX_PATH_CHARACTERS,
  MAX_STRUCT_NAME_LENGTH,
  type SchemaLimits,
  schemaLimits,
} from "../declare/limits.ts";
import { c_longdouble } from "../declare/long-double.ts";
import { Struct, Union } from "../declare/struct.ts";
import { chars } from "../declare/text.ts";
import * as types from "../declare/types.ts";
import {
  asNumber,
  type CType,
  convert,
  enumOf,
  integerOf,
  isCType,
  isScalar,
  ownType,
  type ScalarType,
} from "../declare/types.ts";
import { wchars } from "../declare/wide-text.ts";
import {
  atomicAlignOf,
  flattened,
  holdsCount,
  isFlexible,
  type Layout,
  layoutOfClass,
  type Member,
  registerLayout,
  sizeOfType,
  typeName,
  unwrap,
} from "../layout/layout.ts";
import type { TextEncoding } from "../memory/bytes-backend.ts";
import type { Memory } from "../memory/memory.ts";
import { wrongType } from "../validation-error.ts";
import type { SchemaOptions, StructSchema } from "./schema.ts";

/**
 * A working class from a schema (of `layoutOf`, or read from a file), without the original source. Methods and
 * getters of the original are not there; types of one's own are looked up in `options.types`.
 * @throws StructDefinitionError for anything that is not a sound schema; a schema is never trusted
 * @throws TypeError for an option there is not, or a type among them that is not one
 * @example const Robot = structFromSchema(JSON.parse(text)); viewOf(Robot, buffer)
 */
export function structFromSchema(
  schema: StructSchema,
  options: SchemaOptions = {},
): StructClass<Struct & Record<string, unknown>> {
  checkOptions("structFromSchema", options, { types: "any", limits: "object" });
  const own = ownTypes(options.types);
  const limits = schemaLimits(options.limits);
  try {
    return new SchemaReader(own, limits).struct(schema, { depth: 0, pathLength: 0 });
  } catch (error) {
    if (error instanceof StructDefinitionError && error.message.startsWith(UNSOUND)) throw error;
    // The types refuse their arguments with errors of their own, and a schema may be an object that bites.
    const reason = error instanceof Error ? error.message : "it cannot be read";
    throw new StructDefinitionError(`${UNSOUND}: ${escapeText(reason)}`, { cause: error });
  }
}

function ownTypes(types: unknown = []): CType<unknown>[] {
  if (!Array.isArray(types))
    throw new TypeError(`structFromSchema: option types must be an array, got ${show(types)}`);
  for (const [i, type] of types.entries()) {
    if (isCType(type)) continue;
    throw new TypeError(
      `structFromSchema: option types[${i}] must be a type such as convert returns, got ${show(type)}`,
    );
  }
  return types;
}

const UNSOUND = "this schema is not sound";
const MAX_BYTES = 2 ** 32;
/** The types that a schema may name without being told them. */
const builtIns = (): [string, CType<unknown>][] =>
  [...Object.values(types), c_longdouble].flatMap((type) =>
    typeof type === "object" && "check" in type ? [[type.name, type as CType<unknown>] as const] : [],
  );

type AnyObject = Record<string, unknown>;
type Head = Pick<Layout, "name" | "kind" | "size" | "align" | "endian">;

const isObject = (value: unknown): value is AnyObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown, max = MAX_BYTES): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;

/** Where in a schema a part stands. */
interface SchemaPosition {
  readonly depth: number;
  /** Characters of the dotted path to it. */
  readonly pathLength: number;
}

/** Counts up to a limit. */
class Allowance {
  readonly #limit: number;
  readonly #what: string;
  readonly #option: keyof SchemaLimits | undefined;
  #used = 0;

  constructor(limit: number, what: string, option?: keyof SchemaLimits) {
    this.#limit = limit;
    this.#what = what;
    this.#option = option;
  }

  use(count: number): void {
    this.#used += count;
    if (this.#used <= this.#limit) return;
    const raise =
      this.#option === undefined ? "" : `; the option { limits: { ${this.#option}: … } } raises that`;
    throw unsound(`more than ${this.#limit} ${this.#what}`, this.#used, raise);
  }
}

/**
 * Reads one schema, checking every part: what it makes can reach no byte outside its struct. One object may stand at
 * many places of a schema, which must not become exponential work.
 */
class SchemaReader {
  readonly #types: Map<string, CType<unknown>>;
  readonly #members: Allowance;
  readonly #classes: Allowance;
  readonly #paths = new Allowance(MAX_PATH_CHARACTERS, "characters of paths to members");
  readonly #labels: Allowance;

  constructor(own: readonly CType<unknown>[], limits: ReturnType<typeof schemaLimits>) {
    this.#members = new Allowance(limits.members, "members", "members");
    this.#classes = new Allowance(limits.classes, "structs and arrays that need a class", "classes");
    this.#labels = new Allowance(limits.labels, "labels of enums", "labels");
    this.#types = new Map([...builtIns(), ...own.map((type) => [type.name, type] as const)]);
  }

  struct(schema: unknown, place: SchemaPosition): StructClass<Struct & AnyObject> {
    if (!isObject(schema)) throw unsound("a struct must be an object", schema);
    const { name: given, fields } = schema;
    if (place.depth > MAX_DEPTH) throw unsound(`structs nested deeper than ${MAX_DEPTH}`, given);
    const head = readHead(schema);
    const { name, kind } = head;
    if (!isObject(fields)) throw unsound(`${name}: fields`, fields);
    const entries = Object.entries(fields);
    this.#classes.use(1);
    this.#members.use(entries.length);
    const members = entries.flatMap(([key, value]) => this.#member(head, key, value, place));
    const Base = kind === "union" ? Union : Struct;
    const cls = { [name]: class extends Base {} }[name] as unknown as StructClass<Struct & AnyObject>;
    registerLayout(layoutFrom(cls, head, members));
    return cls;
  }

  #member(struct: Head, name: string, schema: unknown, { depth, pathLength }: SchemaPosition): Member[] {
    if (!isMemberName(name))
      throw unsound(`${struct.name}: the name of a member ${nameMust(name, MAX_NAME_LENGTH)}`, name);
    const where = `${struct.name}.${name}`;
    if (!isObject(schema)) throw unsound(where, schema);
    const { type: spelt, offset, size, bits, anonymous, endian } = schema;
    const place = { depth, pathLength: pathLength + name.length + 1 };
    this.#paths.use(place.pathLength);
    const declared = this.#type(spelt, where, place);
    if (!isCount(offset) || !isCount(size) || size !== sizeOfType(declared))
      throw unsound(`${where}: offset or size`, `${offset}, ${size}`);
    const span = bits === undefined ? undefined : readBits(bits, declared, where, struct);
    const type = span === undefined ? declared : new BitsType(declared as CType<unknown>, span.width);
    if (offset + (span ? 1 : size) > struct.size && !(isFlexible(type) && offset <= struct.size))
      throw unsound(`${where} reaches beyond the struct`, offset + size);
    if (endian !== undefined && (!isEndian(endian) || span !== undefined || anonymous === true))
      throw unsound(`${where}: endian`, endian);
    checkAtomics(type, offset, where, isEndian(endian) ? { ...struct, endian } : struct);
    const order = isEndian(endian) ? { endian } : undefined;
    const flat = anonymous === true ? ({ anonymous: true } as const) : undefined;
    const more = { ...(span && { bits: span }), ...flat, ...order, ...readAlign(schema.align, where) };
    const member = Object.freeze({ name, type, offset, size, ...more });
    return flat ? [member, ...this.#anonymous(member, where, struct)] : [member];
  }

  #anonymous({ name, type, offset }: Member, where: string, struct: Head): Member[] {
    if (type.kind !== "struct") throw unsound(`${where}: anonymous`, typeName(type));
    const inner = layoutOfClass(type.cls);
    if (inner.endian !== undefined && inner.endian !== struct.endian)
      throw unsound(`${where}: anonymous, of another byte order`, inner.endian);
    this.#members.use(inner.members.length);
    return flattened(name, inner, offset);
  }

  #type(schema: unknown, where: string, place: SchemaPosition): FieldType {
    if (place.depth > MAX_DEPTH) throw unsound(`${where}: nested deeper than ${MAX_DEPTH}`, "type");
    if (typeof schema === "string") return this.#named(schema, where);
    if (!isObject(schema)) throw unsound(`${where}: type`, schema);
    const { struct, atomic: integer, owner: isOwner } = schema;
    if ("struct" in schema) return new StructType(this.struct(struct, deeper(place)));
    if ("array" in schema) return this.#array(schema, where, place);
    if ("chars" in schema) return readChars(schema, where);
    if (isOwner === true && integer === "c_uint32") return owner();
    if ("atomic" in schema) return atomic(this.#type(integer, where, deeper(place)) as typeof types.c_int32);
    if ("wchars" in schema) return readWide(schema, where);
    if ("converted" in schema) return this.#converted(schema, where, place);
    if ("custom" in schema) return this.#custom(schema, where);
    throw unsound(`${where}: type`, schema);
  }

  #named(name: unknown, where: string): CType<unknown> {
    const type = this.#types.get(name as string);
    if (type === undefined) throw unsound(`${where}: unknown type`, name);
    return type;
  }

  #array(schema: AnyObject, where: string, place: SchemaPosition): FieldType {
    const { array: spelt, length: given, count } = schema;
    const element = this.#type(spelt, where, deeper(place));
    const length = readLength(given, where);
    // The built-in numbers are the same objects everywhere, and so are the classes of their arrays.
    if (typeof spelt !== "string") this.#classes.use(1);
    if (isFlexible(element)) throw unsound(`${where}: elements without a length`, length);
    if (length === null && sizeOfType(element) === 0)
      throw unsound(`${where}: elements without bytes`, length);
    if (count !== undefined && (length !== null || typeof count !== "string"))
      throw unsound(`${where}: count`, count);
    return new ArrayType(element, length, count as string | undefined);
  }

  #converted(schema: AnyObject, where: string, place: SchemaPosition): FieldType {
    const { converted: name, base: spelt, labels } = schema;
    checkTypeName(name, `${where}: converted`);
    const own = this.#types.get(name);
    if (own !== undefined) return own;
    const base = this.#type(spelt, where, deeper(place));
    if (!isCType(base)) throw unsound(`${where}: base type`, name);
    const integer = isScalar(base) && base.integer !== undefined ? (base as ScalarType<bigint>) : undefined;
    const isBig = integer?.inline.accessor.startsWith("Big") === true;
    if (isBig && integer && name === `asNumber(${base.name})`) return asNumber(integer);
    if (integer && name === `enumOf(${base.name})` && isObject(labels))
      return enumOf(integer, this.#enum(labels, isBig, where));
    // Unknown here: show the stored value, under the name the file gives, so that the fingerprint holds.
    return convert(base, { name, decode: (stored) => stored, encode: (value) => value as never });
  }

  #enum(labels: AnyObject, isBig: boolean, where: string): Record<string, bigint> {
    const entries = Object.entries(labels);
    this.#labels.use(entries.length);
    const values = entries.map(([label, value]) => {
      if (typeof value !== "string" || value.length > MAX_LABEL_DIGITS)
        throw unsound(
          `${where}: the value of a label has more than ${MAX_LABEL_DIGITS} digits, or none`,
          label,
        );
      return [label, (isBig ? BigInt : Number)(value)];
    });
    return Object.fromEntries(values);
  }

  #custom(schema: AnyObject, where: string): FieldType {
    const { custom: name, size, align } = schema;
    checkTypeName(name, `${where}: custom`);
    return this.#types.get(name) ?? fieldType(opaque(name, size as number, align as number), where);
  }
}

const deeper = ({ depth, pathLength }: SchemaPosition): SchemaPosition => ({ depth: depth + 1, pathLength });

function checkTypeName(name: unknown, what: string): asserts name is string {
  if (typeof name !== "string") throw unsound(what, name);
  if (name.length > MAX_NAME_LENGTH)
    throw unsound(`${what}: a name of more than ${MAX_NAME_LENGTH} characters`, name);
}

function readHead({ name, kind, size, align, endian }: AnyObject): Head {
  if (!isStructName(name))
    throw unsound(`the name of a struct ${nameMust(name, MAX_STRUCT_NAME_LENGTH)}`, name);
  if (kind !== "struct" && kind !== "union") throw unsound(`${name}: kind`, kind);
  if (!isCount(size)) throw unsound(`${name}: size`, size);
  if (!isCount(align, MAX_ALIGN) || align < 1 || (align & (align - 1)) !== 0 || size % align !== 0)
    throw unsound(`${name}: align`, align);
  if (endian !== undefined && !isEndian(endian)) throw unsound(`${name}: endian`, endian);
  return { name, kind, size, align, ...(isEndian(endian) && { endian }) };
}

const isEndian = (value: unknown): value is "little" | "big" => value === "little" || value === "big";

/** What `alignas` gave a member; where it lies is known already. */
function readAlign(align: unknown, where: string): { align: number } | undefined {
  if (align === undefined) return undefined;
  if (isCount(align, MAX_ALIGN) && align > 0 && (align & (align - 1)) === 0) return { align };
  throw unsound(`${where}: align`, align);
}

/** Of an array; null for a flexible one. */
function readLength(length: unknown, where: string): number | null {
  if (length === null) return null;
  if (isCount(length)) return length;
  throw unsound(`${where}: array length`, length);
}

function layoutFrom(cls: StructClass, head: Head, members: Member[]): Layout {
  const byName = new Map(members.map((member) => [member.name, member]));
  if (byName.size !== members.length) throw unsound(`${head.name}: two members of one name`, head.name);
  if (members.length === 0 && head.size !== 0) throw unsound(`${head.name}: no fields`, head.size);
  const own = members.filter(({ via }) => via === undefined);
  const open = own.findIndex(({ type }) => isFlexible(type));
  if (open >= 0 && open < own.length - 1 && head.kind === "struct")
    throw unsound(`${head.name}: a flexible array that is not the last member`, own[open]?.name);
  for (const { name, type } of own) checkCount(`${head.name}.${name}`, type, byName);
  const atomicAlign = members.reduce((most, { type }) => Math.max(most, atomicAlignOf(type)), 0);
  return { cls, ...head, members: Object.freeze(members), byName, flexible: open >= 0, atomicAlign };
}

/** The number of elements must stand in a member. */
function checkCount(where: string, type: FieldType, members: ReadonlyMap<string, Member>): void {
  if (type.kind !== "array" || type.count === undefined) return;
  const holder = members.get(type.count);
  if (holder === undefined || !holdsCount(holder.type)) throw unsound(`${where}: count`, type.count);
}

function readBits(bits: unknown, type: FieldType, where: string, struct: Head): NonNullable<Member["bits"]> {
  if (!isObject(bits)) throw unsound(`${where}: bits`, bits);
  const { offset, width, apart } = bits;
  const integer = isCType(type) ? integerOf(type)?.scalar.integer : undefined;
  const fits = isCount(offset, MAX_BYTES * 8) && isCount(width, 64) && width >= 1;
  if (!fits || integer === undefined || width > integer.bits || offset + width > struct.size * 8)
    throw unsound(`${where}: bits`, `${offset}, ${width}`);
  return Object.freeze({ offset, width, ...(apart === true && { apart }) });
}

function readWide({ wchars: length }: AnyObject, where: string): CType<string> {
  if (!isCount(length)) throw unsound(`${where}: wchars`, length);
  return wchars(length);
}

function readChars({ chars: size, encoding }: AnyObject, where: string): CType<string> {
  if (size === null) return chars({ encoding: encoding as TextEncoding | undefined });
  if (!isCount(size)) throw unsound(`${where}: chars`, size);
  return chars(size, { encoding: encoding as TextEncoding | undefined });
}

function checkAtomics(type: FieldType, offset: number, where: string, struct: Head): void {
  const align = atomicAlignOf(type);
  if (align <= 1) return;
  const { innermost } = unwrap(type);
  const stride = type.kind === "array" ? sizeOfType(innermost) : 0;
  if (offset % align !== 0 || stride % align !== 0) throw unsound(`${where}: misaligned atomic`, offset);
  const endian = (innermost.kind === "struct" && layoutOfClass(innermost.cls).endian) || struct.endian;
  if (endian === "big") throw unsound(`${where}: big-endian atomic`, endian);
}

/** The bytes of a type that is not known here, under its name, so that the fingerprint holds. */
function opaque(name: string, size: number, align: number): CType<Uint8Array> {
  return ownType({
    kind: "bytes" as const,
    name,
    size,
    align,
    read: ({ bytes }: Memory, byteOffset: number) => bytes.slice(byteOffset, byteOffset + size),
    write: ({ bytes }: Memory, byteOffset: number, value: Uint8Array) => void bytes.set(value, byteOffset),
    check: (value: unknown) => {
      if (value instanceof Uint8Array && value.length === size) return value;
      throw wrongType(`a Uint8Array of ${size} bytes (the type ${name} is not known here)`, value);
    },
  });
}

function unsound(what: string, value: unknown, advice = ""): StructDefinitionError {
  const shown = typeof value === "object" ? JSON.stringify(value) : String(value);
  return new StructDefinitionError(escapeText(`${UNSOUND}: ${what} (${shown?.slice(0, 80)})${advice}`));
}
