/** How long to wait, and polling for what no descriptor tells about. */
import { after, checkMilliseconds, checkSignal, Deadline } from "../sync/deadline.ts";
import type { Pause, Wait } from "../sync/wait-line.ts";

/**
 * How long a call may wait.
 * @example const wait: Timeout = { timeoutMs: 500 };
 */
export interface Timeout {
  /** Milliseconds, fractions allowed; undefined or Infinity waits forever, 0 never waits. */
  timeoutMs?: number | undefined;
  /** The same, under the name posix_ipc uses. Milliseconds too. */
  timeout?: number | undefined;
}

/**
 * How long an asynchronous call may wait, and what may end it early.
 * @example const wait: AsyncWait = { timeoutMs: 500, signal: controller.signal };
 */
export interface AsyncWait extends Timeout {
  /** Aborting rejects with `signal.reason`. What was not taken by then is not taken at all. */
  signal?: AbortSignal | undefined;
}

/** What they have, for `checkOptions`. */
export const TIMEOUT_OPTIONS = { timeoutMs: "number", timeout: "number" } as const;
export const ASYNC_WAIT_OPTIONS = { ...TIMEOUT_OPTIONS, signal: "any" } as const;

/**
 * The checked timeout in milliseconds, `Infinity` for none.
 * @throws TypeError for another type or two different timeouts, RangeError for a negative one
 */
export function timeoutMsOf(wait: Timeout): number {
  if (wait.timeoutMs !== undefined && wait.timeout !== undefined && wait.timeoutMs !== wait.timeout) {
    throw new TypeError("timeoutMs and timeout mean the same (milliseconds): give one of them");
  }
  const timeoutMs = wait.timeoutMs ?? wait.timeout ?? Number.POSITIVE_INFINITY;
  checkMilliseconds("timeoutMs", timeoutMs);
  return timeoutMs;
}

/**
 * A wait for a `WaitLine`.
 * @param attempt tries once; undefined when it has to wait
 * @param busy makes the error for a wait that took longer than its timeout
 * @throws TypeError for another type, two different timeouts, or what is no AbortSignal; RangeError for a negative
 *   timeout
 */
export function waitFor<T>(
  attempt: () => T | undefined,
  wait: AsyncWait,
  busy: (timeoutMs: number) => Error,
): Wait<T> {
  const timeoutMs = timeoutMsOf(wait);
  const signal = checkSignal("waiting", wait.signal);
  return { attempt, deadline: new Deadline(timeoutMs), timeoutError: () => busy(timeoutMs), signal };
}

/** The next nap of a caller that polls: a sixteenth of the time already waited, at least 1 ms and at most 10. */
export const napMs = (waitedMs: number): number => Math.min(10, Math.max(1, waitedMs / 16));

/** Polling by timer, for what no descriptor tells about. */
export const nap: Pause = (wake, waitedMs) => after(napMs(waitedMs), wake);
