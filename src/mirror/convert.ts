/**
 * Structs of another kind of machine, converted field by field. Byte order and `long double` are what differs in the bytes of a
 * field; where a field lies, both schemas say.
 */
import { MirrorError, StructDefinitionError } from "../errors/errors.ts";
import { escapeText } from "../errors/show.ts";
import { carryOver } from "../record/carry-over.ts";
import { ABI_TAG, describeAbi } from "../segment/abi.ts";
import { limitsInFile, OF_TOOLS } from "../struct/declare/limits.ts";
import { type Layout, layoutOfClass } from "../struct/layout/layout.ts";
import type { MemberSchema, StructSchema } from "../struct/schema/schema.ts";
import { structFromSchema } from "../struct/schema/schema-reader.ts";

/** Bits of the tag: byte order, format of `long double`, signs of wchar_t and char. */
const BIG_ENDIAN = 1;
const LONG_DOUBLE = 6;
const KNOWN_BITS = 31;

/** What differs between another machine and this one, as far as bytes of fields go. */
export interface Difference {
  readonly abi: number;
  readonly isOtherOrder: boolean;
  readonly isOtherLongDouble: boolean;
}

/** Undefined where the bytes mean the same. @throws MirrorError for a machine that this version does not know */
export function differenceOf(abi: number): Difference | undefined {
  if (abi === ABI_TAG) return undefined;
  if ((abi & ~KNOWN_BITS) !== 0 || (abi & LONG_DOUBLE) === LONG_DOUBLE)
    throw new MirrorError(`the file was written on ${machine(abi)}, which this version cannot convert`);
  const differs = abi ^ ABI_TAG;
  const isOtherOrder = (differs & BIG_ENDIAN) !== 0;
  return { abi, isOtherOrder, isOtherLongDouble: isOtherOrder || (differs & LONG_DOUBLE) !== 0 };
}

const machine = (abi: number): string =>
  `another kind of machine (${describeAbi(abi)}, here ${describeAbi(ABI_TAG)})`;

/** The error for what has no form here. */
export const cannotConvert = ({ abi }: Difference, what: string): MirrorError =>
  new MirrorError(`the file was written on ${machine(abi)}: ${what}, and is refused`);

/** Converts the bytes of one struct. */
export type Conversion = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;

/**
 * How a struct of another machine becomes one of this one.
 * @param target the layout that it gets here
 * @throws MirrorError that names the field which cannot be converted
 */
export function conversionOf(schema: StructSchema, difference: Difference, target?: Layout): Conversion {
  refuseFields(schema, difference, "");
  const from = layoutOf(difference.isOtherOrder ? inOrder(schema, "big") : schema);
  const to = target ?? layoutOf(schema);
  if (from.flexible && difference.isOtherOrder)
    throw cannotConvert(difference, `${schema.name} ends in a flexible array`);
  if (from.flexible) return (bytes) => bytes;
  return (bytes) => converted(from, to, bytes, difference);
}

function converted(
  from: Layout,
  to: Layout,
  bytes: Uint8Array<ArrayBuffer>,
  difference: Difference,
): Uint8Array<ArrayBuffer> {
  if (bytes.length !== from.size)
    throw cannotConvert(difference, `${bytes.length} bytes are no struct of ${from.size}`);
  const result = new Uint8Array(to.size);
  const fields = carryOver({ layout: from, bytes }, { layout: to, bytes: result });
  const lost = fields.find(({ fate }) => fate === "lost");
  if (lost !== undefined)
    throw cannotConvert(difference, `${escapeText(`${lost.path}: ${lost.detail}`)} cannot be converted`);
  return result;
}

function layoutOf(schema: StructSchema): Layout {
  try {
    return layoutOfClass(structFromSchema(schema, { limits: limitsInFile(OF_TOOLS) }));
  } catch (cause) {
    if (!(cause instanceof StructDefinitionError)) throw cause;
    throw new MirrorError(`the struct in a value of the bucket cannot be: ${cause.message}`);
  }
}

/** Types whose bytes have no meaning here. */
function refuseFields(schema: StructSchema, difference: Difference, prefix: string): void {
  for (const [name, member] of Object.entries(schema.fields ?? {})) {
    const path = prefix + name;
    const type = innermost((member as Partial<MemberSchema> | null)?.type);
    if ((member as Partial<MemberSchema> | null)?.bits !== undefined && difference.isOtherOrder)
      throw cannotConvert(difference, `${escapeText(path)} is a bit-field, whose bits lie elsewhere there`);
    if (type === "c_longdouble" && difference.isOtherLongDouble)
      throw cannotConvert(difference, `${escapeText(path)} is a long double, which has another format there`);
    if (typeof type !== "object" || type === null) continue;
    if ("custom" in type && difference.isOtherOrder)
      throw cannotConvert(difference, `${escapeText(path)} has a type of its own, whose bytes are not known`);
    if ("struct" in type) refuseFields(type.struct as StructSchema, difference, `${path}.`);
  }
}

/** The type of an array's elements, of an atomic, or what a converted type is stored as. */
function innermost(type: unknown): unknown {
  if (typeof type !== "object" || type === null) return type;
  for (const inside of ["array", "atomic", "base"])
    if (inside in type) return innermost((type as Record<string, unknown>)[inside]);
  return type;
}

/** The same struct with the byte order said, wherever it says none. */
function inOrder(schema: StructSchema, endian: "big" | "little"): StructSchema {
  const fields = Object.entries(schema.fields ?? {}).map(([name, member]) => [
    name,
    { ...member, type: typeInOrder(member.type, endian) },
  ]);
  return { endian, ...schema, fields: Object.fromEntries(fields) };
}

function typeInOrder(type: MemberSchema["type"], endian: "big" | "little"): MemberSchema["type"] {
  if (typeof type !== "object") return type;
  if ("struct" in type)
    return { ...type, struct: inOrder(type.struct as StructSchema, endian) } as typeof type;
  if ("array" in type)
    return { ...type, array: typeInOrder(type.array as MemberSchema["type"], endian) } as typeof type;
  return type;
}
