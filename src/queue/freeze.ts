/** All jobs of a queue's file that is being replaced, each in a slot that no call can change any more. */
import { WaitTimeoutError } from "../errors/errors.ts";
import type { SegmentPlan } from "../segment/create.ts";
import type { Owners } from "../segment/owners.ts";
import type { Message, Payload } from "../segment/payload.ts";
import { Deadline, sleepMs } from "../sync/deadline.ts";
import type { ResizeOptions } from "./options.ts";
import { buryIfDead } from "./owners.ts";
import { type QueueContent, queuePlan } from "./queue-content.ts";
import { inOrder, ownerOf, type SavedJob } from "./slots.ts";

/** Between two looks whether a producer has gone on. */
const REST_MS = 1;

interface Freezing {
  /** The caller's own number among the owners; 0 for none. */
  readonly ownOwner: number;
  /** Slots of the new file. */
  readonly room: number;
  /** How long to wait for producers that are at work. */
  readonly timeoutMs: number;
}

/**
 * Freezes every slot. With the writer's lock held, and the file superseded.
 * @returns the jobs, the oldest first
 * @throws RangeError when they are too many; WaitTimeoutError; then the slots are as before
 */
function freeze(content: QueueContent, owners: Owners, how: Freezing): SavedJob[] {
  const deadline = new Deadline(how.timeoutMs);
  try {
    const saved = [...content.slots].map((slot) => {
      return freezeSlot(content, slot, owners, how.ownOwner, deadline);
    });
    const jobs = inOrder(saved);
    checkRoom(jobs.length, how.room);
    return jobs;
  } catch (error) {
    content.slots.thaw();
    throw error;
  }
}

/** @throws RangeError */
function checkRoom(jobs: number, slots: number): void {
  if (jobs > slots) throw new RangeError(`resize: there are ${jobs} jobs, too many for ${slots} slots`);
}

function freezeSlot(
  content: QueueContent,
  slot: number,
  owners: Owners,
  ownOwner: number,
  deadline: Deadline,
): SavedJob {
  for (;;) {
    const saved = content.slots.freeze(slot);
    if (saved !== undefined) return saved;
    const owner = ownerOf(content.slots.word(slot));
    if (owner !== 0 && owner !== ownOwner) buryIfDead(content, owners, owner);
    if (deadline.isOver) throw producerStands(content.file.path);
    sleepMs(REST_MS);
  }
}

function producerStands(path: string): WaitTimeoutError {
  const message = `'${path}': a producer is in the middle of a push and does not go on`;
  return new WaitTimeoutError(path, 0, message);
}

/** Who replaces the file. */
export interface Replacer {
  readonly owners: Owners;
  /** The caller's own number among the owners; 0 for none. */
  readonly ownOwner: number;
  /** How long to wait for producers that are at work. */
  readonly timeoutMs: number;
}

/**
 * The plan of the file that `resize` makes: with the jobs of `content`, which are frozen when it is filled.
 * @throws RangeError when they are too many, or the payload is to shrink
 */
export function resized<T extends Message>(
  content: QueueContent,
  payload: Payload<T>,
  changes: Omit<ResizeOptions, "timeoutMs">,
  { owners, ownOwner, timeoutMs }: Replacer,
): SegmentPlan {
  const { geometry, limits, slots } = content;
  const next = { ...limits, slots: geometry.slots, payloadBytes: geometry.payloadBytes, ...changes };
  if (next.payloadBytes < geometry.payloadBytes) throw new RangeError("resize: payloadBytes may only grow");
  const { free } = slots.counts();
  checkRoom(geometry.slots - free, next.slots);
  return queuePlan(payload, { ...next, limits: next }, () =>
    freeze(content, owners, { ownOwner, room: next.slots, timeoutMs }),
  );
}
