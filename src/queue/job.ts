import { checkOptions } from "../errors/check-options.ts";
import { ClosedError, LeaseLostError } from "../errors/errors.ts";
import type { Message } from "../segment/payload.ts";
import { checkMilliseconds } from "../sync/deadline.ts";
import { attemptOf } from "./slots.ts";

/** A hundred years: a time in a file ends in the year 2262, and one beyond would wrap to the past. */
const DELAY_MS_MAX = 3_155_760_000_000;

/** @throws TypeError for what is no number; RangeError for a negative number, or more than a hundred years */
export function checkDelay(delayMs: number): void {
  checkMilliseconds("delayMs", delayMs);
  if (delayMs > DELAY_MS_MAX) {
    throw new RangeError(`delayMs must be at most ${DELAY_MS_MAX} (a hundred years), not ${delayMs}`);
  }
}

/** How a job that failed is tried again. @example job.fail("no answer", { delayMs: 5000 }) */
export interface FailOptions {
  /** Milliseconds before the next attempt. Default 0: at once. */
  readonly delayMs?: number | undefined;
}

/** Where a job is: changes when its queue's file is replaced. */
export interface JobPlace {
  slot: number;
  /** The slot's number, from 0. */
  number: number;
  /** The slot's word while this worker has the job. */
  readonly lease: number;
  readonly ticketLow: number;
  readonly ticketHigh: number;
}

/** How a job ends. */
export type JobEnd = "done" | "release" | "fail" | "postpone" | "extend";

/** What a queue does for its jobs. */
export interface JobOwner<T> {
  readonly path: string;
  /** False: the job is no longer this worker's. */
  done(place: JobPlace): boolean;
  /** Likewise, for all other ends. */
  end(place: JobPlace, how: JobEnd, delayMs: number): boolean;
  read(place: JobPlace): { data: T; isHeld: boolean };
  note(place: JobPlace, bytes: Uint8Array): boolean;
  user(place: JobPlace): Uint8Array;
}

const encoder = new TextEncoder();
/** Bytes for the user's own use. */
const USER_BYTES = 32;

/**
 * A job that this worker has taken: it is done once, by `done()`. At the end of its scope a job that is not done goes back
 * to the queue; so it does when the process dies.
 * @example using job = queue.take(); if (job) { work(job.data); job.done(); }
 */
export class Job<T extends Message> implements Disposable {
  readonly #owner: JobOwner<T>;
  readonly #place: JobPlace;
  #data: T | undefined;
  #isOpen = true;

  /** @internal Made by the queue. */
  constructor(owner: JobOwner<T>, place: JobPlace) {
    this.#owner = owner;
    this.#place = place;
  }

  /** Which attempt this is, from 1: more than 1 when a worker has died with the job, or said `fail()`. */
  get attempt(): number {
    return attemptOf(this.#place.lease) + 1;
  }

  /** Whether the job can still be ended: not after `done()`, `release()` or `fail()`. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * The job as a private copy, made at the first use.
   * @throws LeaseLostError when the job is not this worker's any more; ClosedError once it is ended, unless it was read before
   */
  get data(): T {
    this.#data ??= this.#read();
    return this.#data;
  }

  #read(): T {
    this.#checkOpen();
    const { data, isHeld } = this.#owner.read(this.#place);
    if (!isHeld) throw this.#lost();
    return data;
  }

  /** A copy of the job's 32 bytes for your own use: the reason of the failure before, or what `note` wrote. @throws ClosedError */
  get user(): Uint8Array {
    this.#checkOpen();
    return this.#owner.user(this.#place);
  }

  /**
   * Writes the job's 32 bytes for your own use, which others may watch: progress, say. Text is cut to fit.
   * @throws LeaseLostError; ClosedError once it is ended; RangeError for more than 32 bytes
   * @example job.note("40 %")
   */
  note(content: Uint8Array | string): void {
    this.#checkOpen();
    const bytes = typeof content === "string" ? encode(content) : content;
    if (bytes.length > USER_BYTES)
      throw new RangeError(`note: ${bytes.length} bytes, there is room for ${USER_BYTES}`);
    if (!this.#owner.note(this.#place, bytes)) throw this.#lost();
  }

  /**
   * Ends the job for good.
   * @throws LeaseLostError when another worker has it: what was done for it is done again; ClosedError once it is ended;
   *   FileMissingError or FileFormatError once the queue's file was deleted or truncated
   */
  done(): void {
    this.#checkOpen();
    this.#isOpen = false;
    if (!this.#owner.done(this.#place)) throw this.#lost();
  }

  /**
   * Gives the job back as it was, with the same attempt.
   * @throws LeaseLostError when another worker has it; ClosedError once it is ended
   */
  release(): void {
    this.#end("release", 0);
  }

  /**
   * Gives the job back for another attempt; the last one makes it a dead letter.
   * @param reason its first 32 bytes are kept with the job
   * @throws LeaseLostError when another worker has it; ClosedError once it is ended; TypeError, RangeError for the
   *   options
   * @example job.fail("no answer", { delayMs: 5000 })
   */
  fail(reason = "", options: FailOptions = {}): void {
    checkOptions("fail", options, { delayMs: "number" });
    const { delayMs = 0 } = options;
    checkDelay(delayMs);
    if (reason !== "") this.note(reason);
    this.#end("fail", delayMs);
  }

  /**
   * Begins the lease again, where the queue has `leaseMs`.
   * @throws LeaseLostError when another worker has it; ClosedError once it is ended
   */
  extend(): void {
    this.#checkOpen();
    if (!this.#owner.end(this.#place, "extend", 0)) throw this.#lost();
  }

  /** Gives a job back that is not ended. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#owner.end(this.#place, "release", 0);
  }

  #end(how: JobEnd, delayMs: number): void {
    this.#checkOpen();
    this.#isOpen = false;
    if (!this.#owner.end(this.#place, how, delayMs)) throw this.#lost();
  }

  #checkOpen(): void {
    if (!this.#isOpen) throw new ClosedError(`the job of '${this.#owner.path}' was ended before`);
  }

  #lost(): LeaseLostError {
    this.#isOpen = false;
    return new LeaseLostError(
      this.#owner.path,
      `the job of '${this.#owner.path}' is not this worker's any more: its lease was over, or its queue was recreated; another worker may do it again`,
    );
  }
}

/** As many whole characters as fit. */
function encode(text: string): Uint8Array {
  const bytes = new Uint8Array(USER_BYTES);
  encoder.encodeInto(text, bytes);
  return bytes;
}
