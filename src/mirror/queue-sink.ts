/**
 * A local queue with jobs of another machine's. A job is ended at the server when it is done here, and extended while a worker
 * here has it, so that the death of this machine, which only a clock can tell, gives it to another one.
 */
import { MirrorError } from "../errors/errors.ts";
import { queuePlan, queueType } from "../queue/queue-content.ts";
import { createSegment } from "../segment/create.ts";
import { placeOfPath } from "../segment/place.ts";
import { dataOf } from "./fenced-log.ts";
import { checkBytes } from "./frame.ts";
import { type LocalJob, LocalJobs } from "./local-jobs.ts";
import { Conversions, payloadOf } from "./payloads.ts";
import { decodeJob } from "./queue-source.ts";
import { LOCK_TIMEOUT_MS, type Sink, type SinkParts } from "./sink.ts";
import type { Delivery, Log } from "./transport.ts";
import { sleepOr } from "./wait.ts";

const RETRY_MS = 200;
/** For so long a job goes to none, which is not for this machine: there may be no other. */
const GIVE_BACK_MS = 1000;
/** The jobs in hand are looked at this often at least. */
const LOOK_EVERY_MS = 500;
/** Numbers of jobs that were done here and may come again, as their confirmation got lost. */
const MAX_REMEMBERED = 10_000;

/** A job in hand. */
interface Pending {
  readonly delivery: Delivery;
  readonly job: LocalJob;
  /** When it was extended, and since when no worker has it. */
  extendedAt: number;
  idleSince: number;
}

export class QueueSink implements Sink {
  readonly #parts: SinkParts;
  readonly #conversions: Conversions;
  readonly #jobs: LocalJobs;
  /** By the number in the log. */
  readonly #pending = new Map<number, Pending>();
  readonly #done = new Set<number>();
  #isStopped = false;
  #count = 0;

  /** @throws MirrorError for nonsense, and for a local queue of other jobs; SystemError */
  constructor(parts: SinkParts) {
    const { frame, path, trust, mode, maxBytes } = parts;
    const { head, schema } = frame;
    this.#parts = parts;
    this.#conversions = new Conversions(schema);
    const payload = payloadOf(head, schema);
    const payloadBytes = payload.isVariable ? head.contentBytes : undefined;
    const limits = { maxAttempts: head.maxAttempts ?? 0, leaseMs: head.leaseMs ?? 0 };
    const plan = queuePlan(payload, { slots: head.slots ?? 0, payloadBytes, limits });
    checkBytes(plan.contentBytes, maxBytes);
    createSegment(placeOfPath(path), plan, queueType(), {
      force: false,
      mode,
      timeoutMs: LOCK_TIMEOUT_MS,
      trust,
    });
    this.#jobs = new LocalJobs(path, payload, trust);
    parts.note({});
  }

  get figures(): { readonly jobs: number } {
    return { jobs: this.#pending.size };
  }

  isFor({ head }: SinkParts["frame"]): boolean {
    const { fingerprint, contentBytes } = this.#parts.frame.head;
    return head.kind === "queue" && head.fingerprint === fingerprint && head.contentBytes === contentBytes;
  }

  async run(signal: AbortSignal): Promise<void> {
    const log = this.#parts.transport.log(this.#parts.key, "queue");
    await Promise.all([this.#take(log, signal), this.#watch(signal), this.#lookAgain(signal)]);
  }

  async #take(log: Log, signal: AbortSignal): Promise<void> {
    const { ackWaitMs, prefetch } = this.#parts;
    const room = (): number => Math.max(0, prefetch - this.#pending.size);
    while (!signal.aborted) {
      try {
        await log.state();
        for await (const delivery of log.take(ackWaitMs, room, signal)) {
          if (signal.aborted) delivery.giveBack();
          else this.#store(delivery);
        }
      } catch (error) {
        this.#parts.failed(error);
      }
      await sleepOr(signal, RETRY_MS);
    }
  }

  #store(delivery: Delivery): void {
    const { revision, value } = delivery;
    const known = this.#pending.get(revision);
    const data = dataOf(value);
    if (known !== undefined) this.#pending.set(revision, { ...known, delivery });
    else if (data === undefined || this.#done.has(revision)) void this.#end(delivery);
    else this.#push(delivery, data);
  }

  #push(delivery: Delivery, data: Uint8Array): void {
    const job = this.#pushed(data);
    if (job === undefined) {
      delivery.giveBack(GIVE_BACK_MS);
      return;
    }
    const now = Date.now();
    this.#pending.set(delivery.revision, { delivery, job, extendedAt: now, idleSince: now });
    this.#parts.stored(++this.#count, undefined);
  }

  /** Undefined when the local queue is full, or the job cannot be one here: another machine may have it. */
  #pushed(data: Uint8Array): LocalJob | undefined {
    try {
      const { abi, payload } = decodeJob(data);
      return this.#jobs.push(this.#conversions.of(abi)(payload));
    } catch (error) {
      if (!(error instanceof MirrorError)) throw error;
      this.#parts.failed(error);
      return undefined;
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    try {
      for await (const _ of this.#jobs.changes(signal)) this.#look();
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #lookAgain(signal: AbortSignal): Promise<void> {
    const everyMs = Math.min(LOOK_EVERY_MS, this.#parts.ackWaitMs / 4);
    while (!signal.aborted) {
      this.#jobs.recover();
      this.#look();
      await sleepOr(signal, everyMs);
    }
  }

  #look(): void {
    if (this.#pending.size === 0 || this.#isStopped) return;
    const now = Date.now();
    const found = this.#jobs.states(now);
    for (const [revision, pending] of this.#pending) {
      const state = found.get(pending.job);
      if (state === undefined) {
        this.#pending.delete(revision);
        void this.#end(pending.delivery);
      } else if (state === "idle") this.#passOn(revision, pending, now);
      else {
        pending.idleSince = now;
        this.#extend(pending, now);
      }
    }
  }

  /** No worker here wants it: after a while another machine gets it. */
  #passOn(revision: number, pending: Pending, now: number): void {
    if (now - pending.idleSince < this.#parts.ackWaitMs) this.#extend(pending, now);
    else if (this.#jobs.takeAway(pending.job)) {
      this.#pending.delete(revision);
      pending.delivery.giveBack();
    }
  }

  #extend(pending: Pending, now: number): void {
    if (now - pending.extendedAt < this.#parts.ackWaitMs / 3) return;
    pending.extendedAt = now;
    pending.delivery.extend();
  }

  async #end(delivery: Delivery): Promise<void> {
    this.#done.add(delivery.revision);
    for (const oldest of this.#done) {
      if (this.#done.size <= MAX_REMEMBERED) break;
      this.#done.delete(oldest);
    }
    // Should it not arrive, the job comes again, and is ended then.
    await delivery.done().catch(() => false);
  }

  /** Jobs that no worker has taken go to other machines at once; one that is at work goes on. */
  close(): void {
    if (this.#isStopped) return;
    try {
      this.#look();
      this.#isStopped = true;
      for (const { job, delivery } of this.#pending.values())
        if (this.#jobs.takeAway(job)) delivery.giveBack();
    } finally {
      this.#isStopped = true;
      this.#jobs.close();
    }
  }
}
