/** Dotted paths into plain values, with the type that stands there. */
import { escapeText } from "../errors/show.ts";
import type { TypeSchema } from "../struct/declare/types.ts";
import type { MemberSchema, StructSchema } from "../struct/schema/schema.ts";
import { NotFoundError, UsageError } from "./command.ts";

export interface Found {
  readonly value: unknown;
  /** Undefined where no schema says. */
  readonly type: TypeSchema | undefined;
}

/**
 * The value at a path of a plain value.
 * @throws NotFoundError that says what there is instead
 */
export function follow(value: unknown, schema: StructSchema | undefined, path: string): Found {
  let found: Found = { value, type: schema && { struct: schema } };
  if (path === "") return found;
  for (const step of path.split(".")) found = into(found, step, path);
  return found;
}

function into({ value, type }: Found, step: string, path: string): Found {
  const isThere = typeof value === "object" && value !== null && Object.hasOwn(value, step);
  if (!isThere)
    throw new NotFoundError(
      `there is no '${escapeText(path)}': at '${escapeText(step)}' there is ${insteadOf(value)}`,
    );
  return { value: (value as Record<string, unknown>)[step], type: typeAt(type, step) };
}

const MAX_NAMES = 12;

function insteadOf(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length} elements`;
  if (typeof value !== "object" || value === null) return "a single value";
  const names = Object.keys(value).map(escapeText);
  return list(names) || "nothing";
}

const list = (names: readonly string[]): string =>
  names.length > MAX_NAMES
    ? `${names.slice(0, MAX_NAMES).join(", ")} and ${names.length - MAX_NAMES} more`
    : names.join(", ");

function typeAt(type: TypeSchema | undefined, step: string): TypeSchema | undefined {
  if (typeof type !== "object") return undefined;
  if ("array" in type) return type.array;
  return "struct" in type ? memberIn(type.struct as StructSchema, step)?.type : undefined;
}

/** A member, also one of an anonymous member. */
function memberIn(schema: StructSchema, name: string): MemberSchema | undefined {
  // Those of anonymous members are there by name, but not listed.
  return Object.hasOwn(schema.fields, name) ? schema.fields[name] : undefined;
}

/**
 * The value that a user typed, of the kind that stands there now: text as it is, numbers, enum labels, JSON for the rest.
 * @throws UsageError for text that is nothing of the kind
 */
export function parseValue(text: string, { value: current, type }: Found): unknown {
  const labels = labelsOf(type);
  const label = labels !== undefined && Object.hasOwn(labels, text) ? labels[text] : undefined;
  if (label !== undefined) return typeof current === "bigint" ? BigInt(label) : Number(label);
  if (typeof current === "string") return text;
  const isNumeric = typeof current === "number" || typeof current === "bigint";
  if (labels !== undefined && isNumeric && !isNumber(text)) {
    const names = list(Object.keys(labels).map(escapeText));
    throw new UsageError(`'${escapeText(text)}' is no label and no number: the labels are ${names}`);
  }
  if (typeof current === "bigint") return bigint(text);
  const parsed = json(text, current === undefined || type === undefined);
  return like(parsed, current);
}

/** The labels of an enum, with the values that they stand for. */
function labelsOf(type: TypeSchema | undefined): Readonly<Record<string, string>> | undefined {
  if (typeof type !== "object") return undefined;
  if ("atomic" in type) return labelsOf(type.atomic as TypeSchema);
  return "labels" in type ? type.labels : undefined;
}

const isNumber = (text: string): boolean => text.trim() !== "" && !Number.isNaN(Number(text));

function bigint(text: string): bigint {
  try {
    return BigInt(text);
  } catch {
    throw new UsageError(`'${escapeText(text)}' is no whole number`);
  }
}

const NOT_FINITE: Readonly<Record<string, number>> = { NaN, Infinity, "-Infinity": Number.NEGATIVE_INFINITY };

function json(text: string, isTextAllowed: boolean): unknown {
  if (Object.hasOwn(NOT_FINITE, text)) return NOT_FINITE[text];
  if (/^[+-]?0[xob][0-9a-f]+$/i.test(text)) return Number(text);
  let isTooLarge = false;
  const finite = (_: string, value: unknown): unknown => {
    isTooLarge ||= typeof value === "number" && !Number.isFinite(value);
    return value;
  };
  try {
    const parsed: unknown = JSON.parse(text, finite);
    if (!isTooLarge) return parsed;
  } catch {
    // A document may hold anything: what is no JSON is text.
    if (isTextAllowed) return text;
    throw new UsageError(`'${escapeText(text)}' is neither a number nor JSON`);
  }
  throw new UsageError(`'${escapeText(text)}' has a number beyond those of a double; Infinity is written so`);
}

/** JSON has no bigints: where there is one now, numbers and text become some. */
export function like(parsed: unknown, current: unknown): unknown {
  if (typeof current === "bigint" && (typeof parsed === "number" || typeof parsed === "string"))
    return bigint(String(parsed));
  if (typeof current === "number" && typeof parsed === "string" && Object.hasOwn(NOT_FINITE, parsed))
    return NOT_FINITE[parsed];
  if (Array.isArray(parsed) && Array.isArray(current)) return parsed.map((item, i) => like(item, current[i]));
  const isBoth = [parsed, current].every((item) => typeof item === "object" && item !== null);
  if (!isBoth || Array.isArray(parsed)) return parsed;
  return Object.fromEntries(
    Object.entries(parsed as object).map(([key, item]) => [
      key,
      like(item, (current as Record<string, unknown>)[key]),
    ]),
  );
}
