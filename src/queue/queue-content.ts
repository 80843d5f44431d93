/** A queue in a segment. */
import { FileFormatError } from "../errors/errors.ts";
import type { Content, ContentCopy, ContentType, ContentWords } from "../segment/content.ts";
import type { SegmentPlan } from "../segment/create.ts";
import type { Message, Payload } from "../segment/payload.ts";
import { optionsFor, type Place } from "../segment/place.ts";
import type { SegmentFile } from "../segment/segment-file.ts";
import { planSlots, type SlotGeometry, withoutFooter } from "../segment/slot-geometry.ts";
import { Sleepers } from "./sleepers.ts";
import {
  FREE_WORD,
  initSlots,
  MAX_QUEUE_SLOTS,
  type QueueLimits,
  READY_WORD,
  type SavedJob,
  Slots,
  slotsBytes,
  slotsGeometry,
} from "./slots.ts";

/** What the hints name. */
type Named = Pick<Payload<Message>, "className"> | undefined;

const call = (payload: Named, place: Place | undefined, options: string): string =>
  `new Queue(${payload?.className ?? "Job"}, ${optionsFor(place, options)})`;

const recreateHint = (payload: Named, place: Place | undefined): string =>
  `${call(payload, place, "create: true, force: true")} recreates it, which erases the jobs that are there`;

/** The words of queues for the segment's messages. */
const queueWords = (payload: Named, place: Place | undefined): ContentWords => ({
  owner: "the queue",
  file: "queue",
  create: `create: true makes it: ${call(payload, place, "create: true")}`,
  recreate: recreateHint(payload, place),
  lockFile: `${call(payload, place, "create: true")} makes it`,
  permit: `permission denied: the file has mode 0600 unless another one was given, ${call(payload, place, "create: true, mode: 0o660")}; check the directories too`,
});

/**
 * How queues of this payload are opened; without one, any queue is.
 * @param place for hints
 */
export const queueType = <T extends Message>(
  payload?: Payload<T>,
  place?: Place,
): ContentType<QueueContent> => ({
  kind: "queue",
  words: queueWords(payload, place),
  lockKinds: ["flock"],
  leastBytes: 1,
  open: (file) => new QueueContent(file, payload, place),
});

/** What a queue is made with. */
export interface QueueShape {
  readonly slots: number;
  readonly payloadBytes: number | undefined;
  readonly limits: QueueLimits;
}

/**
 * The plan of a new queue.
 * @param jobs gives the jobs that it begins with; called when all users of the old file are being told to leave it
 * @throws RangeError, TypeError for impossible sizes
 */
export function queuePlan<T extends Message>(
  payload: Payload<T>,
  { slots, payloadBytes, limits }: QueueShape,
  jobs: () => readonly SavedJob[] = () => [],
): SegmentPlan {
  const geometry = planSlots(slots, payload.capacity(payloadBytes), MAX_QUEUE_SLOTS);
  return {
    content: "queue",
    lockKind: "flock",
    contentBytes: slotsBytes(geometry),
    fingerprint: payload.fingerprint,
    schema: payload.schema(geometry.payloadBytes),
    name: `${slots} jobs of ${payload.name}`,
    fill: ({ bytes }) => fill(bytes.subarray(0, slotsBytes(geometry)), geometry, limits, jobs()),
  };
}

function fill(
  bytes: Uint8Array,
  geometry: SlotGeometry,
  limits: QueueLimits,
  jobs: readonly SavedJob[],
): void {
  initSlots(bytes, geometry, limits);
  new Slots(bytes, geometry).restore(jobs);
}

/** The queue in one open file. */
export class QueueContent implements Content {
  readonly file: SegmentFile;
  readonly geometry: SlotGeometry;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly slots: Slots;
  readonly limits: QueueLimits;
  /** Where takers sleep. */
  readonly ready: Sleepers;
  /** Where pushers sleep. */
  readonly free: Sleepers;
  readonly #superseded: number;

  /** @throws FileFormatError when it is no queue, or damaged; LayoutMismatchError */
  constructor(file: SegmentFile, payload: Payload<Message> | undefined, place?: Place) {
    const recreate = recreateHint(payload, place);
    if (file.footer === undefined)
      throw withoutFooter(file, { kind: "queue", maxSlots: MAX_QUEUE_SLOTS, recreate });
    this.file = file;
    this.#superseded = file.at.superseded;
    this.bytes = file.bytes.subarray(0, file.contentBytes);
    this.geometry = slotsGeometry(this.bytes, (reason) => {
      throw new FileFormatError(
        file.path,
        `the queue '${file.path}' is damaged (${reason}); ${recreate}`,
        true,
      );
    });
    payload?.check(file, this.geometry.payloadBytes, recreate);
    this.slots = new Slots(this.bytes, this.geometry, file.generation);
    this.limits = this.slots.limits;
    this.ready = new Sleepers(this.slots.words, READY_WORD);
    this.free = new Sleepers(this.slots.words, FREE_WORD);
  }

  /** As `file.isSuperseded`, which asks first whose file it is. */
  get isSuperseded(): boolean {
    return this.file.load(this.#superseded) !== 0;
  }

  /** How many jobs were pushed, as a u32 that wraps. */
  get version(): number {
    return this.slots.pushed;
  }

  /** Differs after every push, take, end and note. */
  get mark(): string {
    return this.slots.digest();
  }

  /** The next to take a job gives back what a dead owner has left; frozen slots are thawed by who finds them. */
  repair(): void {}

  /** Each job that is there during the whole copy is in it once; taken ones are ready there. */
  copyCommitted(): ContentCopy {
    const jobs = this.slots.copyJobs();
    const bytes = new Uint8Array(slotsBytes(this.geometry));
    fill(bytes, this.geometry, this.limits, jobs);
    return { bytes, version: jobs.length };
  }
}
