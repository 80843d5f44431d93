/** How a struct lies in memory: every member, the holes between them, and where cache lines begin. As pahole shows it. */
import type { TypeSchema } from "../struct/declare/types.ts";
import type { StructSchema } from "../struct/schema/schema.ts";
import { escapeText, type Output } from "./output.ts";
import { memberType, valueText } from "./tree.ts";

const CACHE_LINE = 64;
/** A hostile schema may nest deeper than a terminal is wide. */
const MAX_DEPTH = 40;

interface Row {
  readonly offset: number;
  readonly size: number;
  readonly depth: number;
  readonly name: string;
  readonly type: string;
  readonly bits?: number | undefined;
  readonly value?: unknown;
  readonly isHole?: boolean;
}

/** @param value plain values of the struct, to be shown beside its members */
export function printLayout(out: Output, schema: StructSchema, value?: unknown): void {
  const rows = rowsOf(schema, 0, 0, value);
  out.line(out.paint("bold", `${schema.kind} ${escapeText(schema.name)}`));
  out.line(out.paint("dim", "  offset   size  member"));
  let line = 0;
  for (const row of rows) {
    for (; row.offset >= (line + 1) * CACHE_LINE; line++)
      if (row.offset < (line + 2) * CACHE_LINE)
        out.line(out.paint("dim", `  ---- cache line ${line + 1} (${(line + 1) * CACHE_LINE} bytes) ----`));
    out.line(rowText(out, row));
  }
  const holes = rows.filter(({ isHole, depth }) => isHole && depth === 0);
  const lost = holes.reduce((sum, { size }) => sum + size, 0);
  const lines = Math.ceil(schema.size / CACHE_LINE);
  out.line(
    out.paint(
      "dim",
      `size ${schema.size}, align ${schema.align}, cache lines ${lines}, holes ${holes.length}${lost > 0 ? ` (${lost} bytes)` : ""}`,
    ),
  );
}

function rowText(out: Output, { offset, size, depth, name, type, bits, value, isHole }: Row): string {
  const place = `${String(offset).padStart(8)}${bits === undefined ? "" : `:${bits}`}`.padEnd(
    bits === undefined ? 8 : 11,
  );
  const indent = "  ".repeat(depth);
  if (isHole) return out.paint("yellow", `${place}${String(size).padStart(7)}  ${indent}(hole)`);
  const shown = value === undefined ? "" : ` = ${shorten(valueText(value))}`;
  return `${place}${String(size).padStart(bits === undefined ? 7 : 4)}  ${indent}${out.paint("bold", escapeText(name))} ${out.paint("dim", type)}${shown}`;
}

const MAX_VALUE = 60;

const shorten = (text: string): string => (text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text);

const structOf = (type: TypeSchema): StructSchema | undefined =>
  typeof type === "object" && "struct" in type ? (type.struct as StructSchema) : undefined;

function rowsOf(schema: StructSchema, base: number, depth: number, value: unknown): Row[] {
  const rows: Row[] = [];
  let end = 0;
  for (const [name, member] of Object.entries(schema.fields)) {
    const { offset, size, bits } = member;
    if (schema.kind === "struct" && offset > end)
      rows.push({ offset: base + end, size: offset - end, depth, name: "", type: "", isHole: true });
    end = Math.max(end, bits === undefined ? offset + size : Math.ceil((bits.offset + bits.width) / 8));
    const inner = structOf(member.type);
    const own = member.anonymous ? value : memberOf(value, name);
    rows.push({
      offset: base + offset,
      size,
      depth,
      name: member.anonymous ? "(anonymous)" : name,
      type: memberType(member),
      bits: bits && bits.offset % 8,
      value: inner === undefined ? own : undefined,
    });
    if (inner !== undefined && depth < MAX_DEPTH) rows.push(...rowsOf(inner, base + offset, depth + 1, own));
  }
  if (schema.size > end)
    rows.push({ offset: base + end, size: schema.size - end, depth, name: "", type: "", isHole: true });
  return rows;
}

const memberOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
