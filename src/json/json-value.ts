/** What JSON can hold: exactly the values that come back as they were. */

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Deeper documents are refused: other parsers, and the stack, have their limits too. */
const MAX_DEPTH = 1000;

/** Where in the document: the containers from the outermost to the one looked at, and the keys between them. */
interface Trail {
  readonly containers: object[];
  readonly keys: (string | number)[];
}

/**
 * Checks that `value` would come back from JSON as it is: null, booleans, finite numbers (-0 comes back as 0),
 * strings, arrays without gaps, and plain objects of these.
 * @throws TypeError with the path of the first value that would not
 * @example checkJson({ a: [1, undefined] })   // TypeError: $.a[1] is undefined …
 */
export function checkJson(value: unknown): void {
  const trail: Trail = { containers: [], keys: [] };
  const problem = problemWith(value, trail);
  if (problem !== undefined) throw new TypeError(`${spellPath(trail.keys)} ${problem}`);
}

/** `spellPath(["a", 3, "my key"]) === '$.a[3]["my key"]'` */
export function spellPath(keys: readonly PropertyKey[]): string {
  const parts = keys.map((key) => {
    if (typeof key === "number") return `[${key}]`;
    if (typeof key === "string" && /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u.test(key)) return `.${key}`;
    return `[${typeof key === "string" ? JSON.stringify(key) : String(key)}]`;
  });
  return `$${parts.join("")}`;
}

/** What is wrong; the trail leads to it then. */
function problemWith(value: unknown, trail: Trail): string | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value) ? undefined : `is ${value}, which JSON has no number for: write null`;
    case "object":
      return value === null ? undefined : problemInside(value, trail);
    case "undefined":
      return "is undefined, which JSON cannot hold: leave the property out, or write null";
    case "bigint":
      return "is a bigint, which JSON cannot hold: write it as a string";
    default:
      return `is a ${typeof value}, which JSON cannot hold`;
  }
}

function problemInside(container: object, trail: Trail): string | undefined {
  const { containers } = trail;
  if (containers.includes(container)) return "contains itself, which JSON cannot hold";
  if (containers.length === MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
  const isArray = Array.isArray(container);
  const problem = isArray ? undefined : problemWithKind(container);
  if (problem !== undefined) return problem;
  containers.push(container);
  const inside = isArray ? problemInArray(container, trail) : problemInObject(container, trail);
  containers.pop();
  return inside;
}

/** Objects of a class come back without it. */
function problemWithKind(object: object): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(object);
  // The prototype of plain objects, also of those from another realm, is the only one that has none itself.
  if (prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null) {
    return Object.getOwnPropertySymbols(object).length === 0
      ? undefined
      : "has a symbol as a key, which JSON cannot hold";
  }
  const name = (object.constructor as { name?: unknown } | undefined)?.name;
  const kind =
    typeof name === "string" && name !== "Object" ? `an instance of ${name}` : "an object that inherits";
  const remedy = object instanceof Date ? "write its toISOString()" : "write a plain object or an array";
  return `is ${kind}, which would come back as something else: ${remedy}`;
}

function problemInArray(array: readonly unknown[], trail: Trail): string | undefined {
  for (let i = 0; i < array.length; i++) {
    const value = array[i];
    const isGap = value === undefined && !(i in array);
    const problem = isGap
      ? "is a gap in the array, which JSON cannot hold: write null"
      : problemWith(value, trail);
    if (problem === undefined) continue;
    trail.keys.unshift(i);
    return problem;
  }
  return undefined;
}

function problemInObject(object: object, trail: Trail): string | undefined {
  for (const key of Object.keys(object)) {
    const problem = problemWith((object as Record<string, unknown>)[key], trail);
    if (problem === undefined) continue;
    trail.keys.unshift(key);
    return problem;
  }
  return undefined;
}
