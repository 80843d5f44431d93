/**
 * How a wrong value is refused: `check` functions throw TypeError or RangeError with what they expected; each
 * level on the way out adds its place, so that the message says `Robot.pose[3].x: expected …, got …`.
 */

const places = new WeakMap<Error, { place: string; reason: string }>();

/** Short and safe text for any value, for messages. */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length > 60
        ? `${JSON.stringify(value.slice(0, 60))}… (${value.length} characters)`
        : JSON.stringify(value);
    case "bigint":
      return value.toString().length > 60 ? "a huge bigint" : `${value}n`;
    case "function":
      return `function ${value.name}`;
    case "object":
      return value === null
        ? "null"
        : `${Array.isArray(value) ? `an array of ${value.length}` : objectName(value)}`;
    default:
      return Object.is(value, -0) ? "-0" : String(value);
  }
}

function objectName(value: object): string {
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === "string" && name !== "Object" ? `a ${name}` : "an object";
}

/** A TypeError: the value is not of the expected kind. */
export const wrongType = (expected: string, value: unknown): TypeError =>
  new TypeError(`expected ${expected}, got ${show(value)}`);

/** A RangeError: right kind, but it does not fit. */
export const outOfRange = (expected: string, value: unknown): RangeError =>
  new RangeError(`expected ${expected}, got ${show(value)}`);

/** The same error, with one more step of its place in front (`.x`, `[3]`, `Point2D`). */
export function at(place: string, error: unknown): Error {
  const refusal =
    error instanceof TypeError || error instanceof RangeError
      ? error
      : new TypeError(String(error), { cause: error });
  const inner = places.get(refusal) ?? { place: "", reason: refusal.message };
  const whole = { place: place + inner.place, reason: inner.reason };
  places.set(refusal, whole);
  refusal.message = `${whole.place}: ${whole.reason}`;
  return refusal;
}
