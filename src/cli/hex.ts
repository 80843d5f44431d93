/** The bytes of a struct, 16 a line, with the names of the members that begin in each line. */
import type { TypeSchema } from "../struct/declare/types.ts";
import type { StructSchema } from "../struct/schema/schema.ts";
import { escapeText, type Output, type Style } from "./output.ts";

const PER_LINE = 16;
/** Neighbours differ in colour. */
const COLORS: readonly Style[] = ["cyan", "green", "yellow", "magenta", "blue"];
/** Elements of struct arrays beyond are bytes without names. */
const MAX_FIELDS = 200_000;

interface Field {
  readonly path: string;
  readonly offset: number;
  readonly end: number;
  readonly style: Style;
}

/** @param schema undefined for bytes without fields */
export function printHex(out: Output, schema: StructSchema | undefined, bytes: Uint8Array): void {
  const fields = schema === undefined ? [] : fieldsOf(schema);
  const owners = ownersOf(fields, bytes.length);
  const rulers = rulersOf(fields);
  for (let start = 0; start < bytes.length; start += PER_LINE) {
    const line = bytes.subarray(start, start + PER_LINE);
    const cells = Array.from(line, (byte, i) =>
      out.paint(fields[owners[start + i]! - 1]?.style ?? "dim", byte.toString(16).padStart(2, "0")),
    );
    const space = "   ".repeat(PER_LINE - line.length);
    const ascii = Array.from(line, (byte) =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".",
    ).join("");
    const ruler = (rulers.get(start / PER_LINE) ?? [])
      .map(({ path, offset, style }) => out.paint(style, `+${offset - start} ${escapeText(path)}`))
      .join("  ");
    const at = out.paint("dim", start.toString(16).padStart(6, "0"));
    out.line(`${at}  ${cells.join(" ")}${space}  ${ascii.padEnd(PER_LINE)}  ${ruler}`.trimEnd());
  }
}

/** Every member that is no struct, those of nested structs and of the elements of arrays included. */
function fieldsOf(schema: StructSchema): Field[] {
  const fields: Field[] = [];
  const addMembers = (struct: StructSchema, prefix: string, base: number): void => {
    for (const [name, { type, offset, size, anonymous }] of Object.entries(struct.fields)) {
      const inner = structIn(type);
      if (anonymous && inner !== undefined) addMembers(inner, prefix, base + offset);
      else add(prefix + name, type, base + offset, size);
    }
  };
  const add = (path: string, type: TypeSchema, offset: number, size: number): void => {
    const inner = structIn(type);
    if (fields.length >= MAX_FIELDS) return;
    if (inner === undefined)
      fields.push({ path, offset, end: offset + size, style: COLORS[fields.length % COLORS.length]! });
    else if (typeof type === "object" && "array" in type) addElements(path, type, offset, size);
    else addMembers(inner, `${path}.`, offset);
  };
  const addElements = (path: string, { array, length }: ArraySchema, offset: number, size: number): void => {
    // Elements without bytes may be as many as a number can say.
    const count = size === 0 ? 0 : (length ?? 0);
    for (let i = 0; i < count && fields.length < MAX_FIELDS; i++)
      add(`${path}.${i}`, array, offset + (i * size) / count, size / count);
  };
  addMembers(schema, "", 0);
  return fields;
}

type ArraySchema = Extract<TypeSchema, { array: unknown }>;

/** The struct that a type is, or has as its elements. */
function structIn(type: TypeSchema): StructSchema | undefined {
  let innermost = type;
  while (typeof innermost === "object" && "array" in innermost) innermost = innermost.array;
  return typeof innermost === "object" && "struct" in innermost
    ? (innermost.struct as StructSchema)
    : undefined;
}

/**
 * The field of each byte by its number from 1 on; 0: a hole. Of members of a union the first has the byte. Each byte is
 * given once, so members that overlap take no longer.
 */
function ownersOf(fields: readonly Field[], byteLength: number): Uint32Array {
  const owners = new Uint32Array(byteLength);
  /** From each byte a step towards the next that has no owner. */
  const steps = Uint32Array.from({ length: byteLength + 1 }, (_, i) => i);
  const free = (from: number): number => {
    let at = from;
    while (steps[at] !== at) {
      steps[at] = steps[steps[at]!]!;
      at = steps[at]!;
    }
    return at;
  };
  for (const [i, { offset, end }] of fields.entries())
    for (let at = free(Math.min(offset, byteLength)); at < end && at < byteLength; at = free(at)) {
      owners[at] = i + 1;
      steps[at] = at + 1;
    }
  return owners;
}

/** What begins in each line. */
const rulersOf = (fields: readonly Field[]): Map<number, Field[]> =>
  Map.groupBy(fields, ({ offset }) => Math.floor(offset / PER_LINE));
