/** What callers pass, checked and resolved: Python's subscript rules as arithmetic, bytes, text, permissions. */

import { show } from "../errors/show.ts";
import { pageSize } from "./file.ts";
import { INT_MAX } from "./libc/constants.ts";

/**
 * What is written or searched for: bytes, or text that stands for its UTF-8 bytes. Text with a lone surrogate, which
 * UTF-8 cannot hold, is a RangeError; bytes whose memory is gone are a TypeError.
 * @example const data: BytesLike = "hello";
 */
export type BytesLike = string | ArrayBufferView | ArrayBuffer;

/** Which elements a subscript means: `count` of them, from `first` on, `step` apart. */
export interface Slice {
  first: number;
  count: number;
  step: number;
}

/**
 * Resolves a subscript against a sequence of `length` elements: negative positions count from the end, those out of
 * range are moved into it, missing ones mean "from where it makes sense".
 * @throws RangeError for step 0; TypeError for what is not an integer
 * @example resolveSlice(undefined, undefined, -2, 5) // { first: 4, count: 3, step: -2 }
 */
export function resolveSlice(
  start: number | undefined,
  end: number | undefined,
  step = 1,
  length: number,
): Slice {
  if (integer(step, "step") === 0) throw new RangeError("step cannot be 0");
  const lowest = step < 0 ? -1 : 0;
  const highest = step < 0 ? length - 1 : length;
  const from =
    start === undefined
      ? step < 0
        ? highest
        : lowest
      : clamp(place(start, "start"), length, lowest, highest);
  const to =
    end === undefined ? (step < 0 ? lowest : highest) : clamp(place(end, "end"), length, lowest, highest);
  const count = Math.max(0, Math.ceil((to - from) / step));
  return { first: from, count, step };
}

/**
 * Where a position of a search lies within `length` elements: negative counts from the end, then clamped.
 * @throws TypeError for what is not an integer
 */
export function resolvePosition(position: number, name: string, length: number): number {
  return clamp(place(position, name), length, 0, length);
}

/**
 * The element that `index` means, negative counting from the end.
 * @throws RangeError when it is missing; TypeError for what is not an integer
 */
export function resolveIndex(index: number, length: number): number {
  const resolved = integer(index, "index") < 0 ? index + length : index;
  if (resolved >= 0 && resolved < length) return resolved;
  throw new RangeError(`index ${index} is not within the ${length} mapped bytes`);
}

/**
 * Returns a place that is moved into what is there, or a count of which no more is taken than there is: any integer, and
 * Infinity, as JavaScript's own `slice` takes it.
 * @throws TypeError for anything else
 */
export function place(value: number, name: string): number {
  return value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY
    ? value
    : whole(value, name);
}

/** What a C `ssize_t` can be at most, plus one. */
const SSIZE_END = 2 ** 63;

/**
 * Returns an integer as it is.
 * @throws RangeError for what 64 bits cannot hold (Python's OverflowError), TypeError for anything else
 */
export function integer(value: number, name: string): number {
  if (whole(value, name) >= -SSIZE_END && value < SSIZE_END) return value;
  throw new RangeError(`${name} must fit a 64-bit integer, not ${value}`);
}

function whole(value: number, name: string): number {
  if (Number.isInteger(value)) return value;
  throw new TypeError(
    `${name} must be an integer, not ${typeof value === "string" ? JSON.stringify(value) : String(value)}`,
  );
}

/**
 * Checks several at once, before any of them is judged.
 * @throws TypeError naming the first that is not an integer
 * @example integers({ start, length });
 */
export function integers(values: Record<string, number>): void {
  for (const [name, value] of Object.entries(values)) integer(value, name);
}

/**
 * Returns a byte as it is.
 * @throws RangeError for an integer that is not one; TypeError for anything else
 */
export function byte(value: number): number {
  if (integer(value, "value") >= 0 && value <= 255) return value;
  throw new RangeError(`a byte must be from 0 to 255, not ${value}`);
}

/**
 * Returns bits for a C function as they are.
 * @throws RangeError for what a C `int` cannot hold, or is negative; TypeError for what is not an integer
 */
export function bits(value: number, name: string): number {
  if (integer(value, name) >= 0 && value <= INT_MAX) return value;
  throw new RangeError(`${name} must be bits from 0 to ${INT_MAX}, not ${value}`);
}

/**
 * Returns a file descriptor, or what cannot be one and the kernel will say so.
 * @throws RangeError for what a C `int` cannot hold; TypeError for what is not an integer
 */
export function descriptor(value: number): number {
  if (integer(value, "a descriptor") <= INT_MAX && value >= -INT_MAX - 1) return value;
  throw new RangeError(`${value} is no file descriptor`);
}

/**
 * Returns permissions as they are: 0o600 unless told.
 * @throws RangeError for what is no whole number from 0 to 0o777
 * @example checkMode(0o640)
 */
export function checkMode(mode = 0o600): number {
  if (Number.isInteger(mode) && mode >= 0 && mode <= 0o777) return mode;
  throw new RangeError(`mode must be permissions from 0 to 0o777, got ${mode}`);
}

/**
 * Returns `value` if a page starts there.
 * @throws RangeError if none does; TypeError for what is not an integer
 */
export function pageStart(value: number, name: string): number {
  if (integer(value, name) >= 0 && value % pageSize() === 0) return value;
  throw new RangeError(`${name} must be a multiple of the page size ${pageSize()}, not ${value}`);
}

/**
 * The bytes that `data` stands for, without copying those that are bytes already.
 * @throws TypeError for anything else, and for bytes whose memory is gone (of a closed map, for one); RangeError for
 *   text that UTF-8 cannot hold
 */
export function toBytes(data: BytesLike): Uint8Array {
  if (typeof data === "string") return textBytes(data);
  const view = ArrayBuffer.isView(data) ? data : undefined;
  const buffer = view?.buffer ?? data;
  if (!(buffer instanceof ArrayBuffer || buffer instanceof SharedArrayBuffer)) {
    throw new TypeError(
      `expected bytes (a typed array, DataView or ArrayBuffer) or a string, not ${typeof data}`,
    );
  }
  if (buffer instanceof ArrayBuffer && buffer.detached)
    throw new TypeError("the bytes are detached: their memory is gone");
  return new Uint8Array(buffer, view?.byteOffset ?? 0, view?.byteLength ?? buffer.byteLength);
}

/**
 * Text as UTF-8.
 * @throws RangeError for a lone surrogate, which would become another character
 */
export function textBytes(text: string): Uint8Array {
  if (text.isWellFormed()) return Buffer.from(text);
  throw new RangeError(`expected well-formed text (no lone surrogate), got ${show(text)}`);
}

function clamp(position: number, length: number, lowest: number, highest: number): number {
  return Math.min(Math.max(position < 0 ? position + length : position, lowest), highest);
}
