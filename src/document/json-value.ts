/** What JSON can hold: exactly the values that come back as they were. */

import { show } from "../errors/show.ts";

/**
 * Any JSON value: what a document can be, and what it is to the compiler when nothing else is said.
 * @example const document: Json = { port: 80, hosts: ["a"] };
 */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Deeper documents are refused: other parsers, and the stack, have their limits too. */
const MAX_DEPTH = 1000;

/** A problem, and the keys that lead to it, the outermost first. */
interface Finding {
  readonly problem: string;
  readonly keys: (string | number)[];
}

const TOO_DEEP = `is nested deeper than ${MAX_DEPTH} levels`;

/**
 * Checks that `value` would come back from JSON as it is: null, booleans, finite numbers (-0 comes back as 0),
 * strings, arrays without gaps, and plain objects of these. Names that an array has besides its elements are not
 * looked at.
 * @throws TypeError with the path of the first value that would not
 * @example checkJson({ a: [1, undefined] })   // TypeError: $.a[1] is undefined …
 */
export function checkJson(value: unknown): void {
  const found = inspect(value, 0);
  if (found === undefined) return;
  const { problem, keys } = found.problem === TOO_DEEP ? cycleOn(value, found) : found;
  throw new TypeError(`${spellPath(keys)} ${problem}`);
}

/** What is nested without end contains itself: the first place on the way down where that shows, if there is one. */
function cycleOn(value: unknown, tooDeep: Finding): Finding {
  const containers = new Set<unknown>();
  let container = value;
  for (const [depth, key] of tooDeep.keys.entries()) {
    containers.add(container);
    container = (container as Record<string | number, unknown>)[key];
    if (!containers.has(container)) continue;
    return { problem: "contains itself, which JSON cannot hold", keys: tooDeep.keys.slice(0, depth + 1) };
  }
  return tooDeep;
}

/** How many keys of a long path are shown at either end. */
const SHOWN_KEYS = 5;

/** `spellPath(["a", 3, "my key"]) === '$.a[3]["my key"]'`; of a long path, and of a long key, only the ends. */
export function spellPath(keys: readonly PropertyKey[]): string {
  const left = keys.length - 2 * SHOWN_KEYS;
  if (left <= 1) return `$${keys.map(spellKey).join("")}`;
  const [first, last] = [keys.slice(0, SHOWN_KEYS), keys.slice(-SHOWN_KEYS)];
  return `$${first.map(spellKey).join("")} … ${left} more … ${last.map(spellKey).join("")}`;
}

function spellKey(key: PropertyKey): string {
  if (typeof key === "string" && /^[\p{ID_Start}_$][\p{ID_Continue}$]{0,59}$/u.test(key)) return `.${key}`;
  return `[${show(key)}]`;
}

/** The first problem in `value`, if there is one. */
function inspect(value: unknown, depth: number): Finding | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value)
        ? undefined
        : found(`is ${value}, which JSON has no number for: write null`);
    case "object":
      return value === null ? undefined : inspectContainer(value, depth);
    case "undefined":
      return found("is undefined, which JSON cannot hold: leave the property out, or write null");
    case "bigint":
      return found("is a bigint, which JSON cannot hold: write it as a string");
    default:
      return found(`is a ${typeof value}, which JSON cannot hold`);
  }
}

const found = (problem: string): Finding => ({ problem, keys: [] });

function inspectContainer(container: object, depth: number): Finding | undefined {
  if (depth === MAX_DEPTH) return found(TOO_DEEP);
  const finding = Array.isArray(container)
    ? (inspectArrayKind(container) ?? inspectArray(container, depth))
    : (inspectKind(container) ?? inspectObject(container as Record<string, unknown>, depth));
  return finding ?? inspectToJson(container);
}

/** Not found as a value where it is not enumerable, or on an array; it would be called all the same. */
function inspectToJson(container: { toJSON?: unknown }): Finding | undefined {
  if (typeof container.toJSON !== "function") return undefined;
  return found("has a toJSON(), which would be written in its place: write what that gives");
}

/** Objects of a class come back without it. */
function inspectKind(object: object): Finding | undefined {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype === null || prototype === Object.prototype || isObjectPrototype(prototype)) {
    const isPlain = Object.getOwnPropertySymbols(object).length === 0;
    return isPlain ? undefined : found("has a symbol as a key, which JSON cannot hold");
  }
  const remedy = object instanceof Date ? "write its toISOString()" : "write a plain object or an array";
  return found(
    `is ${kindOf(object, "an object that inherits")}, which would come back as something else: ${remedy}`,
  );
}

function inspectArrayKind(array: readonly unknown[]): Finding | undefined {
  const prototype: unknown = Object.getPrototypeOf(array);
  if (prototype === Array.prototype || isArrayPrototype(prototype)) return undefined;
  return found(
    `is ${kindOf(array, "an array that inherits")}, which would come back as something else: write a plain array`,
  );
}

// Those of another realm are known by what no class that is written has.
const isObjectPrototype = (object: unknown): boolean =>
  Object.getPrototypeOf(object) === null && Object.hasOwn(object as object, "hasOwnProperty");
const isArrayPrototype = (object: unknown): boolean =>
  Array.isArray(object) && Object.hasOwn(object, "concat");

function kindOf(object: object, otherwise: string): string {
  const { name } = (object.constructor as { name?: unknown } | undefined) ?? {};
  const tag = Object.prototype.toString.call(object).slice(8, -1);
  const kind = typeof name === "string" && name !== "" ? name : tag;
  return kind === "Object" || kind === "Array" ? otherwise : `an instance of ${kind}`;
}

function inspectArray(array: readonly unknown[], depth: number): Finding | undefined {
  for (let i = 0; i < array.length; i++) {
    const finding = inspect(array[i], depth + 1);
    if (finding === undefined) continue;
    if (!(i in array))
      return { problem: "is a gap in the array, which JSON cannot hold: write null", keys: [i] };
    finding.keys.unshift(i);
    return finding;
  }
  return undefined;
}

function inspectObject(object: Record<string, unknown>, depth: number): Finding | undefined {
  // Faster than Object.keys(); what was added to Object.prototype is not written, so it may be anything.
  for (const key in object) {
    const finding = inspect(object[key], depth + 1);
    if (finding === undefined || !Object.hasOwn(object, key)) continue;
    finding.keys.unshift(key);
    return finding;
  }
  return undefined;
}
