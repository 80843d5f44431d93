/** The jobs of a local queue that came from elsewhere: pushed by a mirror, which then sees what becomes of them. */
import { type QueueContent, queueType } from "../queue/queue-content.ts";
import { ownerOf, READY, type Slots, stateOf, TAKEN } from "../queue/slots.ts";
import { Owners } from "../segment/owners.ts";
import type { Message, Payload } from "../segment/payload.ts";
import { ownersPath, placeOfPath } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import type { Trust } from "../sys/trust.ts";

/** A job by its ticket: the same text for the same job, also after the queue was resized. */
export type LocalJob = string;

/** What becomes of a job: a worker has it, or it waits for its time; or it waits for a worker. */
export type LocalJobState = "busy" | "idle";

export class LocalJobs {
  readonly #segment: Segment<QueueContent>;
  readonly #owners: Owners;
  #owner = 0;

  /** @throws LayoutMismatchError for a queue of other jobs; FileFormatError, SystemError */
  constructor(path: string, payload: Payload<Message>, trust: Trust) {
    const options = { access: "write", makesLock: false, trust } as const;
    this.#segment = new Segment(placeOfPath(path), queueType(payload), options);
    try {
      this.#owners = new Owners(ownersPath(path), this.#segment.content.file.mode, trust);
    } catch (error) {
      this.#segment.close();
      throw error;
    }
  }

  /** As an owner of the queue: should this process die, what it was writing goes back. */
  get #slots(): Slots {
    const { slots } = this.#segment.whole() ?? this.#segment.content;
    if (slots.owner === 0) {
      const named = slots.namedOwners();
      const owner = this.#owner || this.#owners.claim(process.pid, (candidate) => !named.has(candidate));
      this.#owner = owner;
      slots.bury(owner);
      slots.owner = owner;
    }
    return slots;
  }

  /** Undefined when the queue is full. */
  push(bytes: Uint8Array): LocalJob | undefined {
    const slots = this.#slots;
    const slot = slots.claim();
    if (slot < 0) return undefined;
    if (bytes.length > slots.payloadBytes) {
      slots.abandon(slot);
      return undefined;
    }
    const payload = slots.payload(slot);
    payload.set(bytes);
    payload.fill(0, bytes.length);
    const job = ticketOf(slots, slot);
    slots.publish(slot, bytes.length);
    this.#tell();
    return job;
  }

  /** What becomes of each job that is there. */
  states(now: number): Map<LocalJob, LocalJobState> {
    const slots = this.#slots;
    const states = new Map<LocalJob, LocalJobState>();
    for (const slot of slots) {
      const word = slots.word(slot);
      const job = ticketOf(slots, slot);
      const state = stateOf(word);
      // One that is ready and has an owner is being moved to another file.
      const isWaiting = state === READY && ownerOf(word) === 0 && slots.notBeforeMs(slot) <= now;
      if (state === READY || state === TAKEN) states.set(job, isWaiting ? "idle" : "busy");
    }
    return states;
  }

  /** Takes a job out of the queue, unless a worker has it. */
  takeAway(job: LocalJob): boolean {
    const slots = this.#slots;
    for (const slot of slots) {
      const word = slots.word(slot);
      if (stateOf(word) !== READY || ticketOf(slots, slot) !== job) continue;
      const lease = slots.takeAt(slot, word);
      if (lease === undefined || !slots.done(slot, lease)) return false;
      this.#tell();
      return true;
    }
    return false;
  }

  /** Gives back what dead workers have left: a machine whose workers are gone has no one else who looks. */
  recover(): void {
    const slots = this.#slots;
    let count = 0;
    for (const owner of slots.namedOwners()) {
      if (!this.#owners.tryLock(owner)) continue;
      try {
        count += slots.bury(owner);
      } finally {
        this.#owners.unlock(owner);
      }
    }
    if (count > 0) this.#tell();
  }

  changes(signal: AbortSignal): AsyncIterable<number> {
    return this.#segment.changes({ signal });
  }

  /** Wakes those who wait for jobs, or for room. */
  #tell(): void {
    const { ready, free } = this.#segment.content;
    ready.wake();
    free.wake();
    this.#segment.notify();
  }

  close(): void {
    this.#segment.close();
    this.#owners.close();
  }
}

const ticketOf = (slots: Slots, slot: number): LocalJob =>
  `${slots.ticketHigh(slot)}:${slots.ticketLow(slot)}`;
