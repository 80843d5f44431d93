/** How long to wait, checked; and how long to rest between two looks. */

import { show } from "../errors/show.ts";
import { INT_MAX } from "../sys/libc/constants.ts";

/**
 * The timeout in milliseconds, Infinity for none.
 * @throws TypeError for what is not a number, NaN included; RangeError for a negative number
 */
export function checkTimeout(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) return Number.POSITIVE_INFINITY;
  checkMilliseconds("timeoutMs", timeoutMs);
  // setTimeout takes no more (24 days): longer is the same as for good.
  return timeoutMs > INT_MAX ? Number.POSITIVE_INFINITY : timeoutMs;
}

/**
 * How long to look again and again before sleeping, in milliseconds: 0 unless told.
 * @throws as `checkTimeout`
 */
export function checkSpin(spinMs: number | undefined): number {
  if (spinMs !== undefined) checkMilliseconds("spinMs", spinMs);
  return spinMs ?? 0;
}

/** @throws TypeError for what is not a number, NaN included; RangeError for a negative number */
export function checkMilliseconds(name: string, value: number): void {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new TypeError(`${name} must be a number of milliseconds, not ${String(value)}`);
  }
  if (value < 0) throw new RangeError(`${name} must not be negative, as ${value} is`);
}

/**
 * The signal of an options object, as it is. Told by its shape, as signals come from other realms and polyfills too.
 * @param where what the message begins with
 * @throws TypeError for what is no AbortSignal
 */
export function checkSignal(where: string, signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || typeof (signal as AbortSignal | null)?.throwIfAborted === "function")
    return signal;
  throw new TypeError(`${where}: option signal must be an AbortSignal, got ${show(signal)}`);
}

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

/**
 * Blocks this thread until it is worth looking again: 0.05 ms at first, soon 1 ms, which costs below 1 % of a core.
 * @param turn how many rests there were before
 */
export function rest(turn: number, atMostMs: number): void {
  Atomics.wait(nobodyWakes, 0, 0, Math.min(atMostMs, turn < 5 ? 0.05 * 2 ** turn : 1));
}
