/** Jobs for people who put things right: which there are, give one back, take one away. */
import { FileMissingError } from "../errors/errors.ts";
import type { JobControl, JobControlOptions, LookedAtJob } from "../segment/inspector.ts";
import { Owners, readPids } from "../segment/owners.ts";
import { type Message, type Payload, payloadInFile, plainMessage } from "../segment/payload.ts";
import { ownersPath, placeOfPath } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import { nowMs } from "../sys/clock.ts";
import { exists } from "../sys/paths.ts";
import type { Trust } from "../sys/trust.ts";
import { becomeOwner } from "./owners.ts";
import { type QueueContent, queueType } from "./queue-content.ts";
import { attemptOf, ownerOf, READY, type Slots, stateOf, TAKEN } from "./slots.ts";

/** The queue of a queue's dead letters: it may not be there. */
export function deadLettersOf(path: string): string {
  const beside = path.replace(/\.queue$/, ".dead.queue");
  return beside !== path && exists(beside) ? beside : `${path}.dead`;
}

export interface JobWithBytes {
  readonly job: LookedAtJob;
  readonly bytes: Uint8Array;
}

/** The text that a worker left with a job. */
function noteOf(slots: Slots, slot: number): string {
  const bytes = slots.user(slot).slice();
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString();
}

/**
 * A job, taken or not; undefined when the slot has none, or changes hands at this moment.
 * @param pids of the owners, by number
 */
export function jobIn(
  slots: Slots,
  slot: number,
  payload: Payload<Message>,
  pids: Uint32Array,
): JobWithBytes | undefined {
  const word = slots.word(slot);
  if ((stateOf(word) & 2) === 0) return undefined;
  const { bytes, view } = payload.copy(slots.payloadBytes);
  const length = slots.length(slot);
  bytes.set(slots.payload(slot).subarray(0, Math.min(length, bytes.byteLength)));
  const notBefore = slots.notBeforeMs(slot);
  const isTaken = stateOf(word) === TAKEN;
  const job: LookedAtJob = {
    job: slots.ticketLow(slot) >>> 0,
    state: isTaken ? "taken" : notBefore > nowMs() ? "delayed" : "ready",
    attempt: attemptOf(word),
    notBefore,
    takenAt: isTaken ? slots.takenAtMs(slot) : undefined,
    pid: isTaken ? pids[ownerOf(word)] || undefined : undefined,
    note: noteOf(slots, slot),
    value: payload.isBytes ? bytes.slice(0, length) : plainMessage(view),
  };
  return slots.word(slot) === word ? { job, bytes: bytes.subarray(0, length) } : undefined;
}

/** All jobs of a queue, the oldest first. */
export const jobsOf = (
  { slots }: QueueContent,
  payload: Payload<Message>,
  pids: Uint32Array,
): JobWithBytes[] =>
  [...slots]
    .map((slot) => jobIn(slots, slot, payload, pids))
    .filter((found) => found !== undefined)
    .sort((a, b) => (a.job.job - b.job.job) | 0);

/** What owners have left of themselves; nothing where no process has pushed or taken yet. */
export function pidsOf(path: string, trust: Trust): Uint32Array {
  const owners = ownersPath(path);
  return (exists(owners) ? readPids(owners, trust) : undefined) ?? new Uint32Array();
}

/** @throws FileMissingError when there is no file, or no dead letters; FileFormatError; LayoutMismatchError; SystemError */
export function openJobs(path: string, options: JobControlOptions): JobControl {
  if (!options.isDead) return new Control(path, options);
  const dead = deadLettersOf(path);
  if (exists(dead)) return new Control(dead, options, path);
  throw new FileMissingError(path, `'${path}' has no dead letters`);
}

/** One owner of the queue, as a worker is. */
class Control implements JobControl {
  readonly path: string;
  readonly #segment: Segment<QueueContent>;
  readonly #payload: Payload<Message>;
  readonly #owners: Owners;
  readonly #options: Trust;
  /** Where dead letters go back to. */
  readonly #origin: string | undefined;

  constructor(
    path: string,
    { timeoutMs: _, isDead: __, limits, ...trust }: JobControlOptions,
    origin?: string,
  ) {
    this.path = path;
    this.#origin = origin;
    this.#options = trust;
    this.#segment = new Segment(placeOfPath(path), queueType(), { access: "write", makesLock: false, trust });
    try {
      const { file } = this.#segment.content;
      this.#payload = payloadInFile(file, limits);
      this.#owners = new Owners(ownersPath(path), file.mode, trust);
    } catch (error) {
      this.#segment.close();
      throw error;
    }
  }

  get #slots(): Slots {
    return (this.#segment.current() ?? this.#segment.content).slots;
  }

  list(): LookedAtJob[] {
    const content = this.#segment.current() ?? this.#segment.content;
    return jobsOf(content, this.#payload, this.#owners.pids()).map(({ job }) => job);
  }

  requeue(job: number): boolean {
    const found = this.#find(job);
    if (found === undefined) return false;
    const { slot, word } = found;
    if (this.#origin !== undefined) return this.#revive(slot, word, this.#origin);
    if (stateOf(word) === TAKEN) return this.#told(this.#slots.breakLease(slot, word));
    const lease = this.#take(slot, word);
    return lease !== undefined && this.#told(this.#slots.postpone(slot, lease, 0, 0));
  }

  drop(job: number): boolean {
    const found = this.#find(job);
    const lease = found && this.#take(found.slot, found.word);
    return lease !== undefined && this.#told(this.#slots.done(found!.slot, lease));
  }

  /** A dead letter goes back for all its attempts. Killed in between, it is in both queues. */
  #revive(slot: number, word: number, origin: string): boolean {
    const lease = this.#take(slot, word);
    if (lease === undefined) return false;
    const bytes = this.#slots.payload(slot).slice(0, this.#slots.length(slot));
    using target = new Control(origin, { ...this.#options, isDead: false });
    if (!target.#push(bytes)) {
      this.#slots.release(slot, lease);
      return false;
    }
    return this.#told(this.#slots.done(slot, lease));
  }

  #push(bytes: Uint8Array): boolean {
    this.#claim();
    const slots = this.#slots;
    const slot = slots.claim();
    if (slot < 0) return false;
    slots.payload(slot).set(bytes);
    slots.publish(slot, bytes.length);
    return this.#told(true);
  }

  #find(job: number): { slot: number; word: number } | undefined {
    const slots = this.#slots;
    for (const slot of slots) {
      const word = slots.word(slot);
      const hasJob = stateOf(word) === READY || stateOf(word) === TAKEN;
      if (hasJob && slots.ticketLow(slot) >>> 0 === job) return { slot, word };
    }
    return undefined;
  }

  #take(slot: number, word: number): number | undefined {
    this.#claim();
    return this.#slots.takeAt(slot, word);
  }

  /** Becomes an owner, as every worker does: should this process die, what it has taken goes back. */
  #claim(): void {
    if (this.#slots.owner === 0) becomeOwner(this.#segment.content, this.#owners);
  }

  /** Wakes those who wait for jobs, or for room. */
  #told(isDone: boolean): boolean {
    const { ready, free } = this.#segment.content;
    ready.wake();
    free.wake();
    this.#segment.notify();
    return isDone;
  }

  [Symbol.dispose](): void {
    this.#segment.close();
    this.#owners.close();
  }
}
