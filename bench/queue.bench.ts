/** Row 16: a job into a queue and out of it again. */
import { mkdtempSync, rmSync } from "node:fs";
import { MessageQueue, O_CREAT } from "../src/posix/index.ts";
import { Queue } from "../src/queue/index.ts";
import { alone, type Case, type Suite, timed } from "./harness.ts";
import { boostProgram } from "./prepare.ts";

const BYTES = 64;
const SLOTS = 1024;

/** Push, take and done with so many jobs already there. */
const through = (jobs: number): Case => {
  return async () => {
    const dir = mkdtempSync("/dev/shm/shmstruct-bench-");
    try {
      using queue = new Queue(Uint8Array, { dir, create: true, slots: SLOTS, payloadBytes: BYTES });
      const job = new Uint8Array(BYTES).fill(1);
      for (let i = 0; i < jobs; i++) queue.push(job);
      return await timed(1000, () => {
        for (let i = 0; i < 1000; i++) {
          queue.push(job);
          queue.tryTake()!.done();
        }
      });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };
};

/** A look at a queue that has no job, or no room. */
const inVain = (isFull: boolean): Case => {
  return async () => {
    const dir = mkdtempSync("/dev/shm/shmstruct-bench-");
    try {
      using queue = new Queue(Uint8Array, { dir, create: true, slots: SLOTS, payloadBytes: BYTES });
      const job = new Uint8Array(BYTES).fill(1);
      while (isFull && queue.tryPush(job));
      return await timed(100, () => {
        for (let i = 0; i < 100; i++) {
          if (isFull) queue.tryPush(job);
          else queue.tryTake();
        }
      });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };
};

const posix: Case = async () => {
  using queue = new MessageQueue({
    name: `/shmstruct-bench-${process.pid}`,
    flags: O_CREAT,
    maxMessages: 8,
    maxMessageSize: BYTES,
  });
  queue.unlink();
  const job = new Uint8Array(BYTES).fill(1);
  return await timed(1000, () => {
    for (let i = 0; i < 1000; i++) {
      queue.send(job);
      queue.receive();
    }
  });
};

const suite: Suite = {
  title: "Jobs: queues",
  file: import.meta.filename,
  rounds: 3,
  honest:
    "one process, 64 bytes. Ours survives kill -9 at any instruction and gives the job back; the peers lose it. `done` is a step of its own, the peers have none.",
  idle: "nothing; one look a second for each thread that waits.",
  cases: {
    "push, take, done; nearly empty": through(0),
    "push, take, done; nearly full": through(SLOTS - 2),
    "take from an empty queue": inVain(false),
    "push to a full queue": inVain(true),
    "POSIX message queue": posix,
  },
  programs: () => ({ "boost message_queue": boostProgram("boost-queue", "pair") }),
  rows: [
    {
      id: "16",
      what: "in and out",
      ours: "push, take, done; nearly empty",
      peer: "boost message_queue",
      headline: "A job through a queue: push, take, done",
    },
    { id: "16", what: "in and out", ours: "push, take, done; nearly empty", peer: "POSIX message queue" },
  ],
  figures: [
    {
      id: "16",
      what: "push, take, done; nearly empty",
      case: "push, take, done; nearly empty",
      metric: "ns",
      unit: "ns",
      atMost: 100,
    },
    {
      id: "16",
      what: "push, take, done; nearly full",
      case: "push, take, done; nearly full",
      metric: "ns",
      unit: "ns",
      atMost: 100,
    },
    {
      id: "16",
      what: "a look at an empty queue of 1,024",
      case: "take from an empty queue",
      metric: "ns",
      unit: "ns",
    },
    {
      id: "16",
      what: "a look at a full queue of 1,024",
      case: "push to a full queue",
      metric: "ns",
      unit: "ns",
    },
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
