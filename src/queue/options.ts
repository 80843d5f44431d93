import { checkOptions } from "../errors/check-options.ts";
import { SLOTS_OPTIONS, type SlotsOptions } from "../segment/payload.ts";
import type { WaitForFileOptions } from "../segment/wait-for-file.ts";
import { checkTimeout } from "../sync/deadline.ts";
import { checkMode } from "../sys/arguments.ts";
import { checkDelay } from "./job.ts";
import { MAX_ATTEMPTS } from "./slots.ts";

/** Options of `new Queue`. @example { dir, slots: 1024, create: true, maxAttempts: 5 } */
export interface QueueOptions extends SlotsOptions {
  /** How many jobs there may be: a power of two, at most 2^20. Fixed at creation, but see `resize`. Default 1024. */
  readonly slots?: number | undefined;
  /** Attempts before a job goes to the dead letters, 1 to 254, or 0 for the most there are: 254. Fixed at creation. Default 0. */
  readonly maxAttempts?: number | undefined;
  /**
   * Whole milliseconds, at most 4,294,967,295 (49 days), after which a job that is neither done nor extended is given to another
   * worker, though its worker lives. 0: never. Fixed at creation. Default: never; a dead worker's job goes back without it.
   */
  readonly leaseMs?: number | undefined;
  /** Milliseconds for which the constructor waits for the queue's lock, should it have a file to make. Default: no limit. */
  readonly timeoutMs?: number | undefined;
}

/** Options of `Queue.open`. @example await Queue.open(Job, { dir, waitMs: 5000 }) */
export interface OpenQueueOptions extends QueueOptions, WaitForFileOptions {}

/** Options of a push. @example queue.push(job, { delayMs: 60_000 }) */
export interface PushOptions {
  /** Milliseconds before the job may be taken. Default 0. */
  readonly delayMs?: number | undefined;
  /** Bytes of a job of raw bytes, where a function fills only a part. Default: all of them. A struct takes none. */
  readonly length?: number | undefined;
}

/** A push that waits while the queue is full. */
export interface PushWaitOptions extends PushOptions {
  /** Milliseconds to wait while the queue is full. Default: no limit. */
  readonly timeoutMs?: number | undefined;
}

/** A push that waits without blocking the event loop. @example await queue.pushAsync(job, { signal }) */
export interface PushAsyncOptions extends PushWaitOptions {
  /** Aborting it ends the wait with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** How long to wait for a job. @example queue.take({ timeoutMs: 200 }) */
export interface TakeOptions {
  /** Milliseconds to wait for a job. Default: no limit. */
  readonly timeoutMs?: number | undefined;
}

/** How long to wait for a job without blocking the event loop. @example await queue.takeAsync({ signal }) */
export interface TakeAsyncOptions extends TakeOptions {
  /** Aborting it ends the wait with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** Another shape for a queue. @example queue.resize({ slots: 4096 }) */
export interface ResizeOptions {
  /** How many jobs there may be: a power of two. Default: as before. */
  readonly slots?: number | undefined;
  /** Bytes of a job at most; may only grow. Default: as before. */
  readonly payloadBytes?: number | undefined;
  /** Attempts before a job goes to the dead letters. Default: as before. */
  readonly maxAttempts?: number | undefined;
  /** Milliseconds of a lease. Default: as before. */
  readonly leaseMs?: number | undefined;
  /** Milliseconds to wait for another replacement, and for producers that are at work. Default 5000. */
  readonly timeoutMs?: number | undefined;
}

/** The options of a queue, for `checkOptions`. */
export const QUEUE_OPTIONS = {
  ...SLOTS_OPTIONS,
  slots: "number",
  maxAttempts: "number",
  leaseMs: "number",
  timeoutMs: "number",
} as const;
/** The options of a push, for `checkOptions`. */
export const PUSH_OPTIONS = { delayMs: "number", length: "number" } as const;

/** @throws TypeError, RangeError for what no queue can be */
export function checkQueueOptions(options: QueueOptions): void {
  const { force, create, mode, maxAttempts, leaseMs, timeoutMs } = options;
  if (force && !create) throw new TypeError("new Queue: force replaces the file, so it needs create: true");
  checkMode(mode);
  if (leaseMs !== undefined) checkLease(leaseMs);
  checkTimeout(timeoutMs);
  const isFine =
    maxAttempts === undefined ||
    (Number.isInteger(maxAttempts) && maxAttempts >= 0 && maxAttempts <= MAX_ATTEMPTS);
  if (!isFine)
    throw new RangeError(
      `maxAttempts must be a whole number from 1 to ${MAX_ATTEMPTS}, or 0 for the most there are (${MAX_ATTEMPTS}), not ${maxAttempts}`,
    );
}

/** The file holds a lease as a u32. */
const LEASE_MS_MAX = 2 ** 32 - 1;

/** @throws RangeError */
function checkLease(leaseMs: number): void {
  if (Number.isInteger(leaseMs) && leaseMs >= 0 && leaseMs <= LEASE_MS_MAX) return;
  throw new RangeError(
    `leaseMs must be a whole number of milliseconds from 0 (never) to ${LEASE_MS_MAX}, not ${leaseMs}`,
  );
}

/** @throws TypeError, RangeError for what no push can be */
export function checkPushOptions(
  where: string,
  options: PushWaitOptions,
  kinds: Parameters<typeof checkOptions>[2],
): void {
  checkOptions(where, options, kinds);
  if (options.delayMs !== undefined) checkDelay(options.delayMs);
}
