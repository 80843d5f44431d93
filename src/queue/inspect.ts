/** Queues for tools that do not have the class. */
import {
  type InspectOptions,
  type Inspector,
  type InspectorType,
  type Look,
  refuseWriting,
  segmentInspector,
  versionAt,
} from "../segment/inspector.ts";
import { type Message, type Payload, payloadInFile, plainMessage } from "../segment/payload.ts";
import { placeOfPath } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import { nowMs } from "../sys/clock.ts";
import { type QueueContent, queueType } from "./queue-content.ts";
import { attemptOf, ownerOf, type Slots, stateOf, TAKEN } from "./slots.ts";

/** How queues are inspected. */
export const queueInspector: InspectorType = {
  read: inspectQueue,
  version: (path, trust) => versionAt(path, queueType(), trust),
  write: (path) => refuseWriting(path, "is a queue: its jobs are pushed and taken, and not set"),
};

function inspectQueue(path: string, { timeoutMs: _, ...trust }: InspectOptions): Inspector {
  const segment = new Segment(placeOfPath(path), queueType(), { access: "read", makesLock: false, trust });
  try {
    const payload = payloadInFile(segment.content.file);
    return segmentInspector(segment, {
      kind: "queue",
      schema: payload.structSchema,
      look: () => look(segment.current() ?? segment.content, payload),
    });
  } catch (error) {
    segment.close();
    throw error;
  }
}

function look(content: QueueContent, payload: Payload<Message>): Look {
  const { slots, limits, geometry } = content;
  const jobs = [...slots].map((slot) => jobIn(slots, slot, payload)).filter((job) => job !== undefined);
  const value = { slots: geometry.slots, payloadBytes: geometry.payloadBytes, ...limits, ...slots.counts() };
  const inOrder = jobs.sort((a, b) => (a.job - b.job) | 0);
  return { version: content.version, value: { ...value, jobs: inOrder }, bytes: undefined };
}

/** A job, taken or not; undefined when the slot has none, or changes hands at this moment. */
function jobIn(slots: Slots, slot: number, payload: Payload<Message>) {
  const word = slots.word(slot);
  if ((stateOf(word) & 2) === 0) return undefined;
  const { bytes, view } = payload.copy(slots.payloadBytes);
  const length = slots.length(slot);
  bytes.set(slots.payload(slot).subarray(0, Math.min(length, bytes.byteLength)));
  const notBefore = slots.notBeforeMs(slot);
  const isTaken = stateOf(word) === TAKEN;
  const job = {
    job: slots.ticketLow(slot),
    state: isTaken ? "taken" : notBefore > nowMs() ? "delayed" : "ready",
    attempt: attemptOf(word),
    owner: isTaken ? ownerOf(word) : undefined,
    takenAt: isTaken ? slots.takenAtMs(slot) : undefined,
    value: payload.isBytes ? bytes.slice(0, length) : plainMessage(view),
  };
  return slots.word(slot) === word ? job : undefined;
}
