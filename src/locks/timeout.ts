/** How long to wait, checked; and how long to rest between two looks. */

import { show } from "../struct/refusal.ts";

/** setTimeout takes no more (24 days): longer is the same as for good. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * The timeout in milliseconds, Infinity for none.
 * @throws TypeError for what is not a number, NaN included; RangeError for a negative number
 */
export function checkTimeout(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) return Number.POSITIVE_INFINITY;
  if (typeof timeoutMs !== "number" || Number.isNaN(timeoutMs)) {
    throw new TypeError(`timeoutMs must be a number of milliseconds, not ${String(timeoutMs)}`);
  }
  if (timeoutMs < 0) throw new RangeError(`timeoutMs must not be negative, as ${timeoutMs} is`);
  return timeoutMs > TIMER_MS_MAX ? Number.POSITIVE_INFINITY : timeoutMs;
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
