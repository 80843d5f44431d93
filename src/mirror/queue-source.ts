/** Queues: each job goes to the log, and is done here once the server has confirmed that it has it. */
import { randomUUID } from "node:crypto";
import { LeaseLostError, MirrorError } from "../errors/errors.ts";
import type { Job } from "../queue/job.ts";
import { Queue } from "../queue/queue.ts";
import { type QueueContent, queueType } from "../queue/queue-content.ts";
import { ABI_TAG } from "../segment/abi.ts";
import type { Message } from "../segment/payload.ts";
import { placeOfPath } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import type { Struct } from "../struct/declare/struct.ts";
import { bytesOf } from "../struct/functions.ts";
import type { Trust } from "../sys/trust.ts";
import { FencedLog } from "./fenced-log.ts";
import { encodeFrame, type Head } from "./frame.ts";
import { payloadClass } from "./payloads.ts";
import type { Session, Source } from "./session.ts";
import { sleepOr } from "./wait.ts";

/** Bytes of the abi before a job. */
const ABI_BYTES = 4;

/** A queue, and the segment that tells what it is. */
export interface OpenQueue {
  readonly queue: Queue<Message>;
  readonly segment: Segment<QueueContent>;
}

/** Opens a queue by its path. @throws MirrorError for a name that no queue of a class has */
export function openQueue(path: string, trust: Trust): OpenQueue {
  const segment = new Segment(placeOfPath(path), queueType(), { access: "read", makesLock: false, trust });
  try {
    const cls = payloadClass(segment.content.file.schemaBytes);
    return { segment, queue: new Queue<Message>(cls, { ...trust, ...nameOf(path) }) };
  } catch (error) {
    segment.close();
    throw error;
  }
}

function nameOf(path: string): { dir: string; className: string; tag: string } | { name: string } {
  const [, dir, className, tag] = /^(.*)\/([^/_]+)_([^/]*)\.queue$/.exec(path) ?? [];
  if (dir !== undefined && className !== undefined && tag !== undefined) return { dir, className, tag };
  const [, name] = /^\/dev\/shm(\/[^/]+)$/.exec(path) ?? [];
  if (name !== undefined) return { name };
  throw new MirrorError(`'${path}' has no name of a queue: <dir>/<Class>_<tag>.queue, or /dev/shm/<name>`);
}

export class QueueSource implements Source {
  readonly #queue: Queue<Message>;
  readonly #segment: Segment<QueueContent>;
  readonly #session: Session;
  readonly #maxHz: number | undefined;
  readonly #fenced: FencedLog;
  #sent = 0;

  constructor(
    { queue, segment }: OpenQueue,
    session: Session,
    { maxHz }: { readonly maxHz?: number | undefined },
  ) {
    this.#queue = queue;
    this.#segment = segment;
    this.#session = session;
    this.#maxHz = maxHz;
    this.#fenced = new FencedLog(session.transport.log(session.key, "queue"), session.lease);
  }

  /** Jobs that were sent by this publisher, and those that wait. */
  get version(): number {
    const { ready, delayed, taken } = this.#queue.counts();
    return this.#sent + ready + delayed + taken;
  }

  async run(): Promise<void> {
    const { signal } = this.#session;
    await this.#session.retry(() => this.#begin());
    this.#session.confirm(0);
    while (!signal.aborted) {
      const job = await this.#queue.takeAsync({ signal });
      if (job === undefined) return;
      using taken = job;
      await this.#send(taken);
      if (this.#maxHz !== undefined) await sleepOr(signal, 1000 / this.#maxHz);
    }
  }

  async #begin(): Promise<void> {
    await this.#fenced.fence();
    const content = this.#segment.whole() ?? this.#segment.content;
    await this.#session.put(encodeFrame(this.#head(content), content.file.schemaBytes));
  }

  #head({ geometry, limits, file }: QueueContent): Head {
    return {
      format: 2,
      epoch: this.#session.lease.epoch,
      version: 0,
      sentAt: Date.now(),
      abi: ABI_TAG,
      kind: "queue",
      lockKind: "flock",
      transactional: false,
      contentBytes: geometry.payloadBytes,
      fingerprint: String(file.footer?.fingerprint ?? 0n),
      slots: geometry.slots,
      ...limits,
    };
  }

  /** The number makes sure that a job whose confirmation got lost is there once. */
  async #send(job: Job<Message>): Promise<void> {
    const { data } = job;
    const bytes = data instanceof Uint8Array ? data : bytesOf(data as Struct);
    const abi = new Uint8Array(ABI_BYTES);
    new DataView(abi.buffer).setUint32(0, ABI_TAG, true);
    const id = randomUUID();
    try {
      const sent = await this.#session.retry(() => {
        job.extend();
        return this.#fenced.append([abi, bytes], id);
      });
      if (sent === undefined) return;
      job.done();
      this.#session.confirm(++this.#sent);
    } catch (error) {
      // Its lease was over: it goes to the server once more.
      if (!(error instanceof LeaseLostError)) throw error;
    }
  }

  close(): void {
    this.#queue.close();
    this.#segment.close();
  }
}

/** What a job's entry has. @throws MirrorError for what is no job */
export function decodeJob(entry: Uint8Array): { abi: number; payload: Uint8Array<ArrayBuffer> } {
  if (entry.length < ABI_BYTES)
    throw new MirrorError(`an entry of ${entry.length} bytes in a queue's log is no job`);
  const abi = new DataView(entry.buffer, entry.byteOffset).getUint32(0, true);
  return { abi, payload: entry.slice(ABI_BYTES) as Uint8Array<ArrayBuffer> };
}
