/** The models of tests/model with larger bounds: bun tests/soak/models.ts (some minutes, up to 4 GiB) */
import { blocksModel } from "../model/blocks.ts";
import { channelModel } from "../model/channel.ts";
import { check, type Model } from "../model/checker.ts";
import { handOnModel } from "../model/hand-on.ts";
import { queueModel } from "../model/queue.ts";
import { checkReal } from "../model/real-blocks.ts";
import { realChannel } from "../model/real-channel.ts";
import { realQueue } from "../model/real-queue.ts";
import { checkInterleavings, type RealModel } from "../model/real-steps.ts";
import { replacementModel } from "../model/replacement.ts";
import { sequenceModel } from "../model/sequence.ts";

const models: [string, Model][] = [
  ["record, sc, 3 sessions, 2 deaths", sequenceModel({ order: "sc", sessions: 3, deaths: 2 })],
  ["record, weak, 3 sessions, 1 death", sequenceModel({ order: "weak", sessions: 3, deaths: 1 })],
  ["blocks, sc, 2 sessions, 1 death", blocksModel({ order: "sc", sessions: 2, deaths: 1 })],
  ["blocks, tso, 2 sessions, 1 death", blocksModel({ order: "tso", sessions: 2, deaths: 1, stores: [0, 2] })],
  ["blocks, weak, 2 sessions, 1 death", blocksModel({ order: "weak", sessions: 2, deaths: 1, stores: [0] })],
  [
    "channel, sc, 2 subscribers, 2 deaths",
    channelModel({ order: "sc", messages: 3, deaths: 2, returns: 1, subscribers: 2 }),
  ],
  [
    "channel, weak, a loan back",
    channelModel({ order: "weak", messages: 3, deaths: 2, returns: 1, subscribers: 1 }),
  ],
  [
    "channel, weak, 2 subscribers",
    channelModel({ order: "weak", messages: 2, deaths: 1, returns: 0, subscribers: 2 }),
  ],
  [
    "channel, wrapped",
    channelModel({ order: "sc", messages: 6, deaths: 1, returns: 1, subscribers: 1, modulus: 8 }),
  ],
  ["queue, 2 and 2, 1 death", queueModel({ order: "sc", producers: 2, workers: 2, jobs: 2, deaths: 1 })],
  [
    "queue, 2 deaths, release",
    queueModel({ order: "sc", producers: 1, workers: 2, jobs: 2, deaths: 2, releases: 1 }),
  ],
  [
    "queue, kept open",
    queueModel({ order: "sc", producers: 1, workers: 2, jobs: 2, deaths: 0, breaks: 1, keepsOpen: true }),
  ],
  ["queue, weak, 2 workers", queueModel({ order: "weak", producers: 1, workers: 2, jobs: 1, deaths: 1 })],
  ["replacement, 2 deaths", replacementModel({ order: "sc", jobs: 2, producers: 1, workers: 1, deaths: 2 })],
  ["replacement, 2 workers", replacementModel({ order: "sc", jobs: 1, producers: 1, workers: 2, deaths: 1 })],
  ["sleepers for commits, 3, 1 commit", handOnModel({ sleepers: 3, commits: 1, deaths: 1 })],
  ["sleepers for commits, 3, 2 commits", handOnModel({ sleepers: 3, commits: 2, deaths: 1 })],
];

let failures = 0;
for (const [name, model] of models) {
  const start = performance.now();
  const { holds, states, transitions, violation, trace } = check({ ...model, maxStates: 20_000_000 });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `${holds ? "holds" : "FAILS"}  ${name}: ${states} states, ${transitions} transitions, ${seconds} s`,
  );
  if (holds) continue;
  failures++;
  console.log(`${violation}\n${trace.join("\n")}`);
}
// The control: it takes three sleepers and two commits to see what the first look of a new watcher is for.
const control = check({
  ...handOnModel({ sleepers: 3, commits: 2, deaths: 1, fault: "a new watcher wakes none" }),
  maxStates: 20_000_000,
});
console.log(`${control.violation === undefined ? "FAILS" : "bites"}  control: a new watcher wakes none`);
if (control.violation === undefined) failures++;
const { violation, histories, readers } = checkReal({
  blocks: 3,
  sessions: [
    { stores: [0, 2], end: "commit" },
    { stores: [1, 2], end: "roll back" },
  ],
});
console.log(
  `${violation === undefined ? "holds" : "FAILS"}  the class that keeps blocks, 2 sessions, 3 deaths: ${histories} histories of writers, ${readers} readers`,
);
if (violation !== undefined) {
  failures++;
  console.log(violation);
}
const real: [string, RealModel][] = [
  ["the slots' class, 2 producers, 1 worker", realQueue({ producers: 2, workers: 1, deaths: 0 })],
  ["the slots' class, 1 producer, 2 workers, 1 death", realQueue({ producers: 1, workers: 2, deaths: 1 })],
  ["the slots' class, 1 producer, 1 worker, 2 deaths", realQueue({ producers: 1, workers: 1, deaths: 2 })],
  [
    "the ring's classes, 3 messages, 2 looks",
    realChannel({ publishers: 1, before: 0, messages: 3, looks: 2, deaths: 0 }),
  ],
  [
    "the ring's classes, 2 publishers, 2 messages, 1 death",
    realChannel({ publishers: 2, before: 0, messages: 2, looks: 1, deaths: 1 }),
  ],
  [
    "the ring's classes, a sequence that wraps, 1 death",
    realChannel({ publishers: 2, before: 2 ** 31 - 1, messages: 2, looks: 1, deaths: 1 }),
  ],
];
for (const [name, model] of real) {
  const { states, violation: wrong } = checkInterleavings(model);
  console.log(
    `${wrong === undefined ? "holds" : "FAILS"}  ${name}: ${states} states${wrong === undefined ? "" : `, ${wrong}`}`,
  );
  if (wrong !== undefined) failures++;
}
process.exit(failures === 0 ? 0 : 1);
