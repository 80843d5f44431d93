/**
 * How a wrong value is refused: `check` functions throw TypeError or RangeError with what they expected; each
 * level on the way out adds its place, so that the message says `Robot.pose[3].x: expected …, got …`.
 */
import { escapeText, show } from "../errors/show.ts";
import { isAttached, type Memory } from "./memory/memory.ts";

/** Of the errors made here: where, as far as known, and why. */
const places = new WeakMap<object, { place: string; reason: string }>();

function refusal(Kind: typeof TypeError | typeof RangeError, reason: string, options?: ErrorOptions): Error {
  const error = new Kind(reason, options);
  places.set(error, { place: "", reason });
  return error;
}

/** A TypeError: the value is not of the expected kind. */
export const wrongType = (expected: string, value: unknown): Error =>
  refusal(TypeError, escapeText(`expected ${expected}, got ${show(value)}`));

/** A RangeError: right kind, but it does not fit. */
export const outOfRange = (expected: string, value: unknown): Error =>
  refusal(RangeError, escapeText(`expected ${expected}, got ${show(value)}`));

/** A TypeError, or a RangeError, whose place is still to be told. */
export const typeRefusal = (reason: string): Error => refusal(TypeError, escapeText(reason));
export const rangeRefusal = (reason: string): Error => refusal(RangeError, escapeText(reason));

/**
 * The same error, with one more step of its place in front (`.x`, `[3]`, `Point2D`). An error of the user's code,
 * a getter or the `check` of a type, becomes the cause of one of ours; so does one about another struct.
 */
export function at(place: string, error: unknown): Error {
  const own = isUnderway(error) ? error : adopted(error);
  const { place: inner, reason } = places.get(own) as { place: string; reason: string };
  return placed(own, place + inner, reason);
}

/**
 * The same error, told from further out: `outer` is where the struct stands that its place begins with.
 * @param rest the whole place within that struct, for an error that knows none
 */
export function seenFrom(outer: string, error: unknown, rest = ""): unknown {
  const known = places.get(error as object);
  if (known === undefined) return error;
  const { place, reason } = known;
  return placed(error as Error, outer + (place === "" ? rest : place.slice(place.indexOf("."))), reason);
}

function placed(error: Error, place: string, reason: string): Error {
  places.set(error, { place, reason });
  error.message = `${place}: ${reason}`;
  return error;
}

/** True for errors of ours whose place does not begin with a struct yet, and that is not frozen. */
const isUnderway = (error: unknown): error is Error =>
  Object.isExtensible(error) && /^(?:[.[]|$)/.test(places.get(error as object)?.place ?? "no");

/**
 * A value in memory that its type refuses to show, such as an `asNumber` beyond 2^53. That the memory is gone is no
 * fault of the type, and is told as it is.
 */
export const unreadableAt = (place: string, error: unknown, memory: Memory): unknown =>
  isAttached(memory) ? at(place, error) : error;

/** A TypeError for a store to memory that is not to be changed through this view. */
export const readOnlyHere = (place: string): TypeError =>
  new TypeError(
    `${place} is read-only here: this memory is open, or locked, for reading only; write in a writer's session, or to a map that is opened for writing`,
  );

/** `it has a, b, …`, for a name that is not among them. */
export function itHas(members: readonly { readonly name: string }[]): string {
  const names = members.slice(0, 20).map(({ name }) => name);
  return `it has ${names.join(", ")}${members.length > 20 ? ", …" : ""}`;
}

function adopted(cause: unknown): Error {
  if (cause instanceof RangeError) return refusal(RangeError, cause.message, { cause });
  return refusal(TypeError, cause instanceof TypeError ? cause.message : textOf(cause), { cause });
}

/** Anything can be thrown, also what has no text. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return show(thrown);
  }
}
