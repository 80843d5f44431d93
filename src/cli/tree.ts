/** Values as a tree of lines, each with its type. */
import { escapeText, quote } from "../errors/show.ts";
import type { TypeSchema } from "../struct/declare/types.ts";
import type { MemberSchema, StructSchema } from "../struct/schema/schema.ts";
import { type Output, timeText } from "./output.ts";

/** Elements of arrays that are shown without --all. */
const MAX_SHOWN = 16;
/** A hostile schema may nest deeper than a terminal is wide. */
const MAX_DEPTH = 40;

export interface TreeOptions {
  readonly all: boolean;
}

/** A type as its declaration has it. @example typeText({ array: "c_int32", length: 4 }) // "c_int32[4]" */
export function typeText(type: TypeSchema): string {
  if (typeof type === "string") return escapeText(type);
  if ("chars" in type)
    return `chars[${type.chars ?? ""}]${type.encoding === undefined ? "" : ` ${escapeText(type.encoding)}`}`;
  if ("array" in type) return arrayText(type);
  if ("struct" in type) return escapeText((type.struct as StructSchema).name);
  if ("atomic" in type) return type.owner ? "owner" : `atomic ${typeText(type.atomic)}`;
  if ("wchars" in type) return `wchars[${type.wchars}]`;
  if ("converted" in type) return escapeText(type.converted);
  return escapeText(type.custom);
}

/** Dimensions in C's order: the outermost first. */
function arrayText(type: Extract<TypeSchema, { array: unknown }>): string {
  let dimensions = "";
  let element: TypeSchema = type;
  while (typeof element === "object" && "array" in element) {
    dimensions += `[${element.length ?? ""}]`;
    element = element.array;
  }
  return typeText(element) + dimensions;
}

/** The member's type, with the bits of a bit-field. */
export const memberType = ({ type, bits }: MemberSchema): string =>
  bits === undefined ? typeText(type) : `${typeText(type)} : ${bits.width}`;

/** One value on one line. */
export function valueText(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (value === null || value === undefined || typeof value === "boolean") return String(value);
  if (ArrayBuffer.isView(value)) return bytesOrNumbers(value);
  if (Array.isArray(value)) return `[${elementsText(value)}]`;
  const members = Object.entries(value as object).map(
    ([key, item]) => `${escapeText(key)}: ${valueText(item)}`,
  );
  return `{ ${members.join(", ")} }`;
}

/** Elements of arrays on one line, at most. */
const MAX_ON_LINE = 64;

function elementsText(values: readonly unknown[]): string {
  const shown = values.slice(0, MAX_ON_LINE).map(valueText);
  const left = values.length - shown.length;
  return [...shown, ...(left > 0 ? [`… ${left} more`] : [])].join(", ");
}

function bytesOrNumbers(view: ArrayBufferView): string {
  if (!(view instanceof Uint8Array)) return `[${elementsText([...(view as unknown as Iterable<number>)])}]`;
  const hex = Buffer.from(view.subarray(0, MAX_ON_LINE)).toString("hex").match(/../g) ?? [];
  return `<${hex.join(" ")}${view.length > MAX_ON_LINE ? ` … ${view.length} bytes` : ""}>`;
}

/** The name that an enum gives a value. */
export function labelOf(type: TypeSchema, value: unknown): string | undefined {
  if (typeof type !== "object" || !("labels" in type) || type.labels === undefined) return undefined;
  let labels = labelsByValue.get(type.labels);
  if (labels === undefined) {
    // Of labels for one value the first counts.
    labels = new Map(
      Object.entries(type.labels)
        .map(([label, stored]) => [stored, label] as const)
        .reverse(),
    );
    labelsByValue.set(type.labels, labels);
  }
  return labels.get(String(value));
}

/** An array may have thousands of elements, and an enum thousands of labels. */
const labelsByValue = new WeakMap<object, ReadonlyMap<string, string>>();

/** Prints a value under its type. */
export function printTree(
  out: Output,
  { schema, value }: { schema: StructSchema | undefined; value: unknown },
  options: TreeOptions,
): void {
  if (schema !== undefined && isObject(value)) printMembers(out, schema, value, "", options);
  else printPlain(out, "", value, "", options);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);

const TIMES: ReadonlySet<string> = new Set(["c_time_t"]);
const TIME_NAMES: ReadonlySet<string> = new Set(["last_update", "timestamp", "time_stamp"]);

/** Whether a number is seconds since 1970. */
export const isTime = (name: string, type: TypeSchema | undefined): boolean =>
  (typeof type === "string" && TIMES.has(type)) || TIME_NAMES.has(name);

/** What stands behind a value: an enum's label, or the time that seconds are. */
function remark(out: Output, name: string, type: TypeSchema, value: unknown): string {
  const label = labelOf(type, value);
  if (label !== undefined) return out.paint("cyan", ` ${escapeText(label)}`);
  if (isTime(name, type) && typeof value === "number")
    return out.paint("dim", ` s, ${timeText(value * 1000)}`);
  return "";
}

function printMembers(
  out: Output,
  schema: StructSchema,
  value: Record<string, unknown>,
  indent: string,
  options: TreeOptions,
): void {
  for (const [name, member] of Object.entries(schema.fields)) {
    if (member.anonymous) printMembers(out, structOf(member.type)!, value, indent, options);
    else printTyped(out, { name, type: member.type, text: memberType(member) }, value[name], indent, options);
  }
}

const structOf = (type: TypeSchema): StructSchema | undefined =>
  typeof type === "object" && "struct" in type ? (type.struct as StructSchema) : undefined;

interface TypedMember {
  readonly name: string;
  readonly type: TypeSchema;
  readonly text: string;
}

function printTyped(
  out: Output,
  { name, type, text }: TypedMember,
  value: unknown,
  indent: string,
  options: TreeOptions,
): void {
  const head = `${indent}${out.paint("bold", escapeText(name))} ${out.paint("dim", text)}`;
  const inner = structOf(type);
  if (inner !== undefined && isObject(value) && indent.length / 2 < MAX_DEPTH) {
    out.line(head);
    printMembers(out, inner, value, `${indent}  `, options);
    return;
  }
  if (Array.isArray(value) && typeof type === "object" && "array" in type) {
    printElements(out, head, type.array, value, indent, options);
    return;
  }
  out.line(`${head} = ${valueText(value)}${remark(out, name, type, value)}`);
}

function printElements(
  out: Output,
  head: string,
  element: TypeSchema,
  values: readonly unknown[],
  indent: string,
  options: TreeOptions,
): void {
  const shown = options.all ? values : values.slice(0, MAX_SHOWN);
  const left = values.length - shown.length;
  const isDeep = shown.some((item) => isObject(item) || Array.isArray(item));
  if (!isDeep) {
    const labels = shown.map((item) => labelOf(element, item) ?? valueText(item));
    out.line(`${head} = [${labels.join(", ")}${left > 0 ? `, … ${left} more` : ""}]`);
    return;
  }
  out.line(head);
  for (const [i, item] of shown.entries())
    printTyped(
      out,
      { name: String(i), type: element, text: typeText(element) },
      item,
      `${indent}  `,
      options,
    );
  if (left > 0) out.line(`${indent}  ${out.paint("dim", `… ${left} more (--all)`)}`);
}

/** A value without a schema, as a document has it. */
function printPlain(out: Output, name: string, value: unknown, indent: string, options: TreeOptions): void {
  const head = name === "" ? indent : `${indent}${out.paint("bold", escapeText(name))}`;
  const isList = Array.isArray(value);
  const isTree = (isObject(value) || isList) && Object.keys(value).length > 0;
  if (!isTree || indent.length / 2 >= MAX_DEPTH) {
    out.line(name === "" ? valueText(value) : `${head} = ${valueText(value)}`);
    return;
  }
  if (name !== "") out.line(head);
  const entries = Object.entries(value);
  const shown = options.all || !isList ? entries : entries.slice(0, MAX_SHOWN);
  for (const [key, item] of shown) printPlain(out, key, item, name === "" ? indent : `${indent}  `, options);
  const left = entries.length - shown.length;
  if (left > 0) out.line(`${indent}  ${out.paint("dim", `… ${left} more (--all)`)}`);
}
