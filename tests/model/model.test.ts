/**
 * The protocols of records, documents, channels and queues, in every interleaving of small programs, with deaths at every
 * step and with the memory orders of x86-64 and arm64; and faults that the checker must find. Larger bounds: tests/soak/models.ts.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type BlocksFault, type BlocksOptions, blocksModel } from "./blocks.ts";
import { type ChannelFault, type ChannelOptions, channelModel } from "./channel.ts";
import { check, type Model } from "./checker.ts";
import { type HandOnFault, handOnModel } from "./hand-on.ts";
import { type QueueFault, type QueueOptions, queueModel } from "./queue.ts";
import { checkReal, type RealFault, type RealOptions } from "./real-blocks.ts";
import { type RealChannelFault, realChannel } from "./real-channel.ts";
import { type RealQueueFault, realQueue } from "./real-queue.ts";
import { checkInterleavings, type RealModel } from "./real-steps.ts";
import { type ReplacementFault, replacementModel } from "./replacement.ts";
import { type SequenceFault, sequenceModel } from "./sequence.ts";
import { type SleepersFault, sleepersModel } from "./sleepers.ts";

// Some models take a second; on a machine that is busy, several.
setDefaultTimeout(240_000);

function holds(model: Model): void {
  const { violation, trace } = check(model);
  expect(violation === undefined ? "" : trace.join("\n")).toBe("");
}

function bites(model: Model): void {
  expect(check(model).violation).toBeString();
}

describe("record and document", () => {
  test("no reader of a record or document sees half a commit when writers die at any step", () => {
    holds(sequenceModel({ order: "sc", sessions: 2, deaths: 2 }));
  });

  test("no reader of a record or document sees half a commit on x86-64 and arm64", () => {
    holds(sequenceModel({ order: "tso", sessions: 2, deaths: 1 }));
    holds(sequenceModel({ order: "weak", sessions: 2, deaths: 1 }));
  });

  const faults: SequenceFault[] = [
    "no release of odd",
    "no fence after odd",
    "no release of even",
    "no fence after even",
    "no fence after the first look",
    "no fence before the second look",
    "no second look",
    "live copied while odd",
    "commits copied while odd",
    "no repair",
    "repair by increment",
  ];
  test.each(faults)("the checker finds a fault in the model of a record and document: %s", (fault) => {
    bites(sequenceModel({ order: "weak", sessions: 2, deaths: 1, fault }));
  });
});

describe("record by blocks", () => {
  test("no reader of a record by blocks sees half a commit when writers die at any step", () => {
    holds(blocksModel({ order: "sc", sessions: 2, deaths: 1, stores: [0, 1] }));
    holds(blocksModel({ order: "sc", sessions: 1, deaths: 2 }));
  });

  test("marks of blocks from an earlier turn of the sequence do not count", () => {
    holds(blocksModel({ order: "sc", sessions: 3, deaths: 0, modulus: 4, stores: [0] }));
  });

  test("no reader of a record by blocks sees half a commit on arm64", () => {
    holds(blocksModel({ order: "weak", sessions: 2, deaths: 0, stores: [0] }));
    holds(blocksModel({ order: "weak", sessions: 1, deaths: 1, stores: [0, 2] }));
  });

  const faults: [BlocksFault, Partial<BlocksOptions>][] = [
    ["no fence after odd", { order: "weak", stores: [0] }],
    ["no fence before the mark", { order: "weak", stores: [0], deaths: 0 }],
    ["no fence after the mark", { order: "weak", stores: [0] }],
    ["no fence before the mark is read", { order: "weak", stores: [0] }],
    ["no fence after the mark is read", { order: "weak", stores: [0], deaths: 0 }],
    ["marked before it is saved", {}],
    ["stored before it is marked", {}],
    ["mark read before the copy", {}],
    ["no second look", {}],
    ["whole pre-image is read", {}],
    ["marks stay when the sequence wraps", { sessions: 4, modulus: 4 }],
  ];
  test.each(faults)("the checker finds a fault in the model of a record by blocks: %s", (fault, options) => {
    bites(blocksModel({ order: "sc", sessions: 2, deaths: 1, stores: [0, 2], ...options, fault }));
  });
});

describe("channel", () => {
  test("no message of a channel is torn, wrong or miscounted when publishers die at any step, and subscribers agree", () => {
    holds(channelModel({ order: "sc", messages: 3, deaths: 1, returns: 1, subscribers: 1 }));
    holds(channelModel({ order: "sc", messages: 3, deaths: 1, returns: 0, subscribers: 2 }));
  });

  test("a subscriber tells a sequence that has wrapped by the index", () => {
    holds(channelModel({ order: "sc", messages: 6, deaths: 0, returns: 1, subscribers: 1, modulus: 8 }));
  });

  test("no message of a channel is torn, wrong or miscounted on x86-64 and arm64", () => {
    holds(channelModel({ order: "tso", messages: 3, deaths: 1, returns: 1, subscribers: 1 }));
    holds(channelModel({ order: "weak", messages: 3, deaths: 1, returns: 0, subscribers: 1 }));
  });

  const faults: [ChannelFault, Partial<ChannelOptions>][] = [
    ["no fence after odd", { deaths: 0, returns: 0 }],
    ["no release of even", {}],
    ["no fence after the first look", {}],
    ["no fence before the second look", { deaths: 0, returns: 0 }],
    ["no second look", { deaths: 0, returns: 0 }],
    ["no index", { order: "sc", messages: 6, deaths: 0, returns: 0, modulus: 8 }],
    ["no roll forward", { order: "sc" }],
    ["no fence after next", { deaths: 0, returns: 0 }],
    ["jump beyond next", { order: "sc" }],
  ];
  test.each(faults)("the checker finds a fault in the model of a channel: %s", (fault, options) => {
    bites(
      channelModel({ order: "weak", messages: 3, deaths: 1, returns: 1, subscribers: 1, ...options, fault }),
    );
  });
});

describe("queue", () => {
  test("two producers and two workers of a queue lose nothing and do nothing twice", () => {
    holds(queueModel({ order: "sc", producers: 2, workers: 2, jobs: 2, deaths: 0 }));
  });

  test("a death at any step gives the job back to the queue, once", () => {
    holds(queueModel({ order: "sc", producers: 2, workers: 1, jobs: 2, deaths: 1 }));
    holds(queueModel({ order: "sc", producers: 1, workers: 2, jobs: 2, deaths: 1 }));
    holds(queueModel({ order: "sc", producers: 1, workers: 1, jobs: 2, deaths: 2, releases: 1 }));
  });

  test("a worker that lost its lease ends no job, also with a lease that was kept open", () => {
    holds(queueModel({ order: "sc", producers: 1, workers: 2, jobs: 2, deaths: 0, breaks: 1 }));
    holds(
      queueModel({ order: "sc", producers: 1, workers: 1, jobs: 3, deaths: 1, breaks: 1, keepsOpen: true }),
    );
  });

  test("a queue loses nothing and does nothing twice on x86-64 and arm64", () => {
    holds(queueModel({ order: "tso", producers: 1, workers: 1, jobs: 2, deaths: 1 }));
    holds(queueModel({ order: "weak", producers: 1, workers: 1, jobs: 2, deaths: 1 }));
  });

  const faults: [QueueFault, Partial<QueueOptions>][] = [
    ["ready is not released", { order: "weak" }],
    ["taken without acquire", { order: "weak" }],
    ["claimed by a store", { producers: 2 }],
    ["taken by a store", { workers: 2 }],
    ["done of the word that is there", { breaks: 1, keepsOpen: true }],
    ["done keeps the generation", { breaks: 1, keepsOpen: true }],
    ["burial without the owner's lock", { workers: 2, deaths: 1 }],
    ["burial of a job as free", { workers: 2, deaths: 1 }],
    ["no burial at the start", { deaths: 1 }],
  ];
  test.each(faults)("the checker finds a fault in the model of a queue: %s", (fault, options) => {
    bites(queueModel({ order: "sc", producers: 1, workers: 1, jobs: 3, deaths: 0, ...options, fault }));
  });
});

describe("replacement of a queue", () => {
  test("no job is lost or done twice when a queue is replaced and processes die at any step", () => {
    holds(replacementModel({ order: "sc", jobs: 2, producers: 1, workers: 1, deaths: 1 }));
    holds(replacementModel({ order: "sc", jobs: 1, producers: 1, workers: 2, deaths: 0 }));
  });

  test("no job is lost or done twice on arm64 when a queue is replaced", () => {
    holds(replacementModel({ order: "weak", jobs: 1, producers: 1, workers: 1, deaths: 0 }));
  });

  const faults: ReplacementFault[] = [
    "free slots are not frozen",
    "taken slots are not frozen",
    "writers are not waited for",
    "no burial after moving over",
    "thawed without a look at the path",
    "never thawed",
  ];
  test.each(faults)("the checker finds a fault in the model of a queue's replacement: %s", (fault) => {
    bites(replacementModel({ order: "sc", jobs: 2, producers: 1, workers: 1, deaths: 1, fault }));
  });
});

describe("sleepers of a queue", () => {
  test("no taker of a queue sleeps while there is a job", () => {
    holds(sleepersModel({ order: "sc", takers: 2, jobs: 2 }));
    holds(sleepersModel({ order: "tso", takers: 2, jobs: 2 }));
    holds(sleepersModel({ order: "weak", takers: 2, jobs: 2 }));
  });

  const faults: SleepersFault[] = [
    "looked before it was counted",
    "wakes read after the look",
    "no fence before the count is read",
    "woken without a wake counted",
  ];
  test.each(faults)("the checker finds a fault in the model of a queue's sleepers: %s", (fault) => {
    bites(sleepersModel({ order: "tso", takers: 1, jobs: 1, fault }));
  });
});

describe("the class that keeps blocks itself", () => {
  const programs: RealOptions[] = [
    { blocks: 2, sessions: [{ stores: [0, 1], end: "commit" }] },
    { blocks: 3, sessions: [{ stores: [2, 0], end: "roll back" }] },
    {
      blocks: 2,
      sessions: [
        { stores: [1], end: "roll back" },
        { stores: [0], end: "commit" },
      ],
    },
  ];
  test.each(programs)(
    "no reader of the class that keeps blocks sees half a commit when its writer dies at any step: %j",
    (program) => {
      const { violation, readers } = checkReal(program);
      expect(violation ?? "").toBe("");
      expect(readers).toBeGreaterThan(1000);
    },
  );

  const faults: RealFault[] = ["a save is left out", "the sequence stays even", "no second look"];
  test.each(faults)("the checker finds a fault in the class that keeps blocks: %s", (fault) => {
    expect(checkReal({ ...programs[0]!, fault }).violation).toBeString();
  });
});

/** So that a model whose threads do nothing does not hold. */
const LEAST_STATES = 400;

function holdsInFact(model: RealModel): void {
  const { violation, states } = checkInterleavings(model);
  expect(violation ?? "").toBe("");
  expect(states).toBeGreaterThan(LEAST_STATES);
}

describe("the classes of channel and queue themselves", () => {
  test("the class of a queue's slots loses nothing and does nothing twice when its users die at any step", () => {
    holdsInFact(realQueue({ producers: 1, workers: 1, deaths: 1 }));
    holdsInFact(realQueue({ producers: 2, workers: 0, deaths: 1 }));
    holdsInFact(realQueue({ producers: 1, workers: 2, deaths: 0 }));
  });

  const queueFaults: RealQueueFault[] = ["swaps do not compare", "burial without the owner's lock"];
  test.each(queueFaults)("the checker finds a fault in the class of a queue's slots: %s", (fault) => {
    expect(
      checkInterleavings(realQueue({ producers: 1, workers: 2, deaths: 0, fault })).violation,
    ).toBeString();
  });

  test("the classes of a channel's ring tear, lose and miscount nothing when publishers die at any step", () => {
    holdsInFact(realChannel({ publishers: 2, before: 1, messages: 1, looks: 1, deaths: 1 }));
    holdsInFact(realChannel({ publishers: 1, before: 2, messages: 2, looks: 1, deaths: 0 }));
  });

  const channelFaults: RealChannelFault[] = ["no second look", "a message before its payload"];
  test.each(channelFaults)("the checker finds a fault in the classes of a channel's ring: %s", (fault) => {
    const model = realChannel({ publishers: 1, before: 0, messages: 3, looks: 2, deaths: 0, fault });
    expect(checkInterleavings(model).violation).toBeString();
  });
});

describe("sleepers for commits", () => {
  test("no sleeper misses a commit when another dies before it hands its wake on", () => {
    holds(handOnModel({ sleepers: 2, commits: 1, deaths: 1 }));
    holds(handOnModel({ sleepers: 2, commits: 2, deaths: 1 }));
  });

  const faults: HandOnFault[] = [
    "none watches",
    "the writer wakes the watcher too",
    "the last sleeper leaves no number",
    "the watcher forgets the others",
  ];
  test.each(faults)("the checker finds a fault in the model of sleepers for commits: %s", (fault) => {
    bites(handOnModel({ sleepers: 2, commits: 2, deaths: 1, fault }));
  });
});
