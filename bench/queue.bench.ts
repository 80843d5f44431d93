/** Row 16: a job into a queue and out of it again. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MessageQueue, O_CREAT } from "../src/posix/index.ts";
import { Queue } from "../src/queue/index.ts";
import { now } from "./clock.ts";
import { alone, type Case, Missing, median, type Suite, timed } from "./harness.ts";
import { boostProgram, inTempDir } from "./prepare.ts";

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

/** A stream of a server of its own, over a Unix socket: what Redis has instead of a queue whose jobs go back. */
const redis: Case = () =>
  inTempDir(async (dir) => {
    if (Bun.which("redis-server") === null) throw new Missing("redis-server is not installed");
    const path = join(dir, "redis.sock");
    const args = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", dir];
    const server = Bun.spawn(["redis-server", ...args], { stdout: "ignore", stderr: "inherit" });
    while (!existsSync(path)) await Bun.sleep(10);
    const client = new Bun.RedisClient(`redis+unix://${path}`);
    await client.send("XGROUP", ["CREATE", "jobs", "workers", "$", "MKSTREAM"]);
    const job = "x".repeat(BYTES);
    const times: number[] = [];
    for (let i = 0; i < 3000; i++) {
      const start = now();
      const id = String(await client.send("XADD", ["jobs", "*", "job", job]));
      await client.send("XREADGROUP", ["GROUP", "workers", "one", "COUNT", "1", "STREAMS", "jobs", ">"]);
      await client.send("XACK", ["jobs", "workers", id]);
      if (i >= 1000) times.push(now() - start);
    }
    client.close();
    server.kill();
    await server.exited;
    return { ns: median(times) };
  });

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
    "Redis stream": redis,
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
    {
      id: "16",
      what: "in, out and acknowledged",
      ours: "push, take, done; nearly empty",
      peer: "Redis stream",
    },
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
