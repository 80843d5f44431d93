/** The bytes of a struct, 16 a line, with the names of the members that begin in each line. */
import { layoutOfClass } from "../struct/layout/layout.ts";
import { leavesOf, type StructSchema } from "../struct/schema/schema.ts";
import { structFromSchema } from "../struct/schema/schema-reader.ts";
import { escapeText, type Output, type Style } from "./output.ts";

const PER_LINE = 16;
/** Neighbours differ in colour. */
const COLORS: readonly Style[] = ["cyan", "green", "yellow", "magenta", "blue"];

interface Field {
  readonly path: string;
  readonly offset: number;
  readonly end: number;
}

/** @param schema undefined for bytes without fields */
export function printHex(out: Output, schema: StructSchema | undefined, bytes: Uint8Array): void {
  const fields = schema === undefined ? [] : fieldsOf(schema);
  for (let start = 0; start < bytes.length; start += PER_LINE) {
    const line = bytes.subarray(start, start + PER_LINE);
    const cells = [...line].map((byte, i) => {
      const text = byte.toString(16).padStart(2, "0");
      const at = fields.findIndex(({ offset, end }) => offset <= start + i && start + i < end);
      return at < 0 ? out.paint("dim", text) : out.paint(colorOf(at), text);
    });
    const space = "   ".repeat(PER_LINE - line.length);
    const ascii = [...line]
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."))
      .join("");
    out.line(
      `${out.paint("dim", start.toString(16).padStart(6, "0"))}  ${cells.join(" ")}${space}  ${ascii.padEnd(PER_LINE)}  ${ruler(out, fields, start)}`.trimEnd(),
    );
  }
}

const fieldsOf = (schema: StructSchema): Field[] =>
  leavesOf(layoutOfClass(structFromSchema(schema)))
    .filter(({ type }) => !/^(?:struct|union)\b/.test(type))
    .map(({ path, offset, size }) => ({ path, offset, end: offset + size }));

const colorOf = (field: number): Style => COLORS[field % COLORS.length]!;

/** What begins in a line, each with its place in it. */
const ruler = (out: Output, fields: readonly Field[], start: number): string =>
  fields
    .map((field, i) => ({ ...field, i }))
    .filter(({ offset }) => offset >= start && offset < start + PER_LINE)
    .map(({ path, offset, i }) => out.paint(colorOf(i), `+${offset - start} ${escapeText(path)}`))
    .join("  ");
