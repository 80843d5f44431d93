/** A plain value as the lines of a tree, with the place of each in memory where a schema tells it. */
import type { TypeSchema } from "../../struct/declare/types.ts";
import type { MemberSchema, StructSchema } from "../../struct/schema/schema.ts";
import { isTime, memberType, typeText, valueText } from "../tree.ts";
import type { Row, Value } from "./protocol.ts";

/** A browser shows so many lines; a hostile file may hold more. */
const MAX_ROWS = 100_000;
/** Elements of one array. */
const MAX_ELEMENTS = 4096;
const MAX_DEPTH = 60;
/** Characters of one value. */
const MAX_TEXT = 4000;
/** Each row of an enum carries its labels; of a huge enum those of the first rows do. */
const MAX_LABELS = 200_000;

export interface Rows {
  readonly rows: readonly Row[];
  /** The value of each row; null for branches. */
  readonly values: readonly Value[];
}

/** Where a value stands. */
interface RowPosition {
  readonly name: string;
  readonly path: string;
  readonly depth: number;
  readonly type?: TypeSchema | undefined;
  /** In place of the type's own text. */
  readonly text?: string;
  readonly offset?: number | undefined;
  readonly size?: number | undefined;
  readonly bits?: Row["bits"];
}

/** @param schema of the value, when it is a struct */
export function rowsOf(value: unknown, schema: StructSchema | undefined): Rows {
  const tree = new Tree();
  const top: RowPosition = { name: "", path: "", depth: -1 };
  if (schema !== undefined && isObject(value)) tree.addMembers(value, schema, { ...top, offset: 0 });
  else if (isObject(value) || Array.isArray(value)) tree.addEntries(value, top);
  else if (value !== undefined) tree.add(value, { ...top, depth: 0 });
  return tree;
}

/** Whether the rows are those of before, so that only values differ. */
export const sameRows = (a: readonly Row[], b: readonly Row[]): boolean =>
  a.length === b.length &&
  a.every(({ path, isBranch, isNumber }, i) => {
    const other = b[i]!;
    return path === other.path && isBranch === other.isBranch && isNumber === other.isNumber;
  });

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);

const below = ({ path, depth }: RowPosition, name: string): Pick<RowPosition, "name" | "path" | "depth"> => ({
  name,
  path: path === "" ? name : `${path}.${name}`,
  depth: depth + 1,
});

const structOf = (type: TypeSchema | undefined): StructSchema | undefined =>
  typeof type === "object" && "struct" in type ? (type.struct as StructSchema) : undefined;

class Tree implements Rows {
  readonly rows: Row[] = [];
  readonly values: Value[] = [];
  readonly #labels = new Map<object, { readonly labels: Row["labels"]; readonly count: number }>();
  #labelsSent = 0;

  add(value: unknown, place: RowPosition): void {
    if (this.rows.length >= MAX_ROWS) return;
    const isBranch = (isObject(value) || Array.isArray(value)) && place.depth < MAX_DEPTH;
    this.#push(place, value, isBranch);
    if (!isBranch) return;
    const inner = structOf(place.type);
    if (inner !== undefined && isObject(value)) this.addMembers(value, inner, place);
    else this.addEntries(value as object, place);
  }

  addMembers(value: Record<string, unknown>, schema: StructSchema, place: RowPosition): void {
    for (const [name, member] of Object.entries(schema.fields)) {
      const offset = place.offset === undefined ? undefined : place.offset + member.offset;
      const inner = member.anonymous ? structOf(member.type) : undefined;
      if (inner !== undefined) this.addMembers(value, inner, { ...place, offset });
      else this.add(value[name], { ...below(place, name), ...memberPlace(member, offset) });
    }
  }

  addEntries(value: object, place: RowPosition): void {
    const { type, size } = place;
    const element = typeof type === "object" && "array" in type ? type.array : undefined;
    const entries = Object.entries(value);
    const step = size === undefined || element === undefined ? undefined : size / (entries.length || 1);
    for (const [i, [name, item]] of entries.slice(0, MAX_ELEMENTS).entries())
      this.add(item, {
        ...below(place, name),
        type: element,
        size: step,
        offset: step === undefined || place.offset === undefined ? undefined : place.offset + i * step,
      });
    const left = entries.length - MAX_ELEMENTS;
    if (left > 0) this.#push(below(place, "…"), `${left} more`, false);
  }

  #push(place: RowPosition, value: unknown, isBranch: boolean): void {
    const { name, path, depth, type, text, offset, size, bits } = place;
    const labels = this.#labelsOf(type);
    const isRun = isBranch && Array.isArray(value) && !value.some((item) => typeof item === "object");
    this.rows.push({
      name,
      path,
      depth,
      type: text ?? (type === undefined ? "" : typeText(type)),
      isBranch,
      ...(isRun && { isRun }),
      ...(isNumber(value) && { isNumber: true }),
      ...(isTime(name, type) && typeof value === "number" && { isTime: true }),
      ...(offset !== undefined && { offset, size: size ?? 0 }),
      ...(bits !== undefined && { bits }),
      ...(labels !== undefined && { labels }),
    });
    this.values.push(isBranch ? null : toValue(value));
  }

  /** By value, as the page looks for them. */
  #labelsOf(type: TypeSchema | undefined): Row["labels"] {
    if (typeof type !== "object" || !("labels" in type) || type.labels === undefined) return undefined;
    let known = this.#labels.get(type.labels);
    if (known === undefined) {
      const entries = Object.entries(type.labels);
      known = {
        // Of labels for one value the first counts, as everywhere.
        labels: Object.fromEntries(entries.map(([label, stored]) => [stored, label] as const).reverse()),
        count: entries.length,
      };
      this.#labels.set(type.labels, known);
    }
    this.#labelsSent += known.count;
    return this.#labelsSent > MAX_LABELS ? undefined : known.labels;
  }
}

function memberPlace(
  member: MemberSchema,
  offset: number | undefined,
): Omit<RowPosition, "name" | "path" | "depth"> {
  const { type, size, bits } = member;
  const place = { type, offset, size, text: memberType(member) };
  return bits === undefined ? place : { ...place, bits: [bits.offset - member.offset * 8, bits.width] };
}

const isNumber = (value: unknown): boolean =>
  typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";

function toValue(value: unknown): Value {
  if (typeof value === "boolean" || value === null) return value;
  if (typeof value === "number" && Number.isFinite(value) && !Object.is(value, -0)) return value;
  const text = valueText(value);
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}
