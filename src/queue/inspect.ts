/** Queues for tools that do not have the class. */
import {
  type ContentUser,
  fileCommands,
  type InspectOptions,
  type Inspector,
  type InspectorType,
  inspectSegment,
  type Look,
  refuseWriting,
  versionAt,
} from "../segment/inspector.ts";
import { Owners, readPids } from "../segment/owners.ts";
import { type Message, type Payload, payloadInFile } from "../segment/payload.ts";
import { ownersPath, placeOfPath } from "../segment/place.ts";
import { nowMs } from "../sys/clock.ts";
import { exists } from "../sys/paths.ts";
import type { Trust } from "../sys/trust.ts";
import { jobsOf, openJobs, pidsOf } from "./control.ts";
import { type QueueContent, queueType } from "./queue-content.ts";
import { ownerOf, stateOf, TAKEN } from "./slots.ts";

/** How queues are inspected. */
export const queueInspector: InspectorType = {
  read: (path, options) => inspectQueue(path, options),
  ...fileCommands(placeOfPath, () => queueType()),
  jobs: openJobs,
  version: (path, trust) => versionAt(path, queueType(), trust),
  write: (path) => refuseWriting(path, "is a queue: its jobs are pushed and taken, and not set"),
};

const inspectQueue = (path: string, options: InspectOptions): Inspector =>
  inspectSegment(placeOfPath(path), queueType(), options, (segment) => {
    const payload = payloadInFile(segment.content.file, options.limits);
    return {
      kind: "queue",
      schema: payload.structSchema,
      look: () => look(segment.current() ?? segment.content, payload, options),
      gauges: () => gauges(segment.current() ?? segment.content),
      users: () => ownersOf(segment.content, options),
    };
  });

function look(content: QueueContent, payload: Payload<Message>, trust: Trust): Look {
  const { slots, limits, geometry, file } = content;
  const value = { slots: geometry.slots, payloadBytes: geometry.payloadBytes, ...limits, ...slots.counts() };
  const found = jobsOf(content, payload, pidsOf(file.path, trust));
  const jobs = found.map(({ job }) => job);
  const parts = found.map(({ job, bytes }) => ({ title: `job ${job.job}`, bytes }));
  return { version: content.version, value: { ...value, jobs }, bytes: undefined, parts };
}

/** Its depth, and how long the job has been taken that was taken first. */
function gauges({ slots }: QueueContent): Record<string, number> {
  const { ready, delayed, taken } = slots.counts();
  let oldest = Number.POSITIVE_INFINITY;
  for (const slot of slots) {
    if (stateOf(slots.word(slot)) !== TAKEN) continue;
    const time = slots.takenAtMs(slot);
    if (time > 0 && time < oldest) oldest = time;
  }
  const gauges = { ready, delayed, taken };
  return Number.isFinite(oldest) ? { ...gauges, oldestTakenMs: Math.max(0, nowMs() - oldest) } : gauges;
}

/** Those that have pushed or taken and live, and the dead whose jobs have not gone back yet. */
function ownersOf({ slots, file: { path, mode } }: QueueContent, trust: Trust): ContentUser[] {
  if (!exists(ownersPath(path)) || readPids(ownersPath(path), trust) === undefined) return [];
  using owners = new Owners(ownersPath(path), mode, trust);
  const taken = Map.groupBy(
    [...slots].map((slot) => slots.word(slot)).filter((word) => stateOf(word) === TAKEN),
    ownerOf,
  );
  return [...owners.pids().entries()].flatMap(([owner, pid]) => {
    if (owner === 0 || pid === 0) return [];
    const isDead = owners.tryLock(owner);
    if (isDead) owners.unlock(owner);
    const jobs = taken.get(owner)?.length ?? 0;
    if (isDead && jobs === 0) return [];
    return [
      { pid, isDead, does: `owner ${owner}${jobs > 0 ? ` with ${jobs} jobs` : ""}${isDead ? ", dead" : ""}` },
    ];
  });
}
