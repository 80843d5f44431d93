/** Row 16: a job into a queue and out of it again. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MessageQueue, O_CREAT } from "../src/posix/index.ts";
import { Queue } from "../src/queue/index.ts";
import { now } from "./clock.ts";
import { alone, type Case, isQuick, type Metrics, Missing, median, type Suite, timed } from "./harness.ts";
import { boostProgram, cProgram, hasPackage, inTempDir } from "./prepare.ts";

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

const DEATHS = 5;

/** From the look of another process until it has the job of a worker that was killed. */
const givenBack: Case = async () => {
  const dir = mkdtempSync("/dev/shm/shmstruct-bench-");
  try {
    using queue = new Queue(Uint8Array, { dir, create: true, slots: SLOTS, payloadBytes: BYTES });
    const times: number[] = [];
    for (let i = 0; i < DEATHS; i++) {
      queue.push(new Uint8Array(BYTES));
      const command = [process.execPath, import.meta.filename, "peer", "shmstruct", dir, "hold"];
      const worker = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
      await worker.stdout.getReader().read();
      worker.kill(9);
      await worker.exited;
      const start = now();
      const job = queue.take()!;
      times.push(now() - start);
      job.done();
    }
    return { ns: median(times) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
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

/** A server of its own, over a Unix socket, that writes nothing to a disk. */
async function withRedis<R>(use: (path: string) => Promise<R>): Promise<R> {
  if (Bun.which("redis-server") === null) throw new Missing("redis-server is not installed");
  return inTempDir(async (dir) => {
    const path = join(dir, "redis.sock");
    const args = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", dir];
    const server = Bun.spawn(["redis-server", ...args], { stdout: "ignore", stderr: "inherit" });
    try {
      while (!existsSync(path)) await Bun.sleep(10);
      return await use(path);
    } finally {
      server.kill();
      await server.exited;
    }
  });
}

/** Median of what a turn takes, after the first thousand. */
async function turns(once: () => Promise<unknown>): Promise<Metrics> {
  const times: number[] = [];
  for (let i = 0; i < 3000; i++) {
    const start = now();
    await once();
    if (i >= 1000) times.push(now() - start);
  }
  return { ns: median(times) };
}

/** What Redis has instead of a queue whose jobs go back. */
const redis: Case = () =>
  withRedis(async (path) => {
    const client = new Bun.RedisClient(`redis+unix://${path}`);
    await client.send("XGROUP", ["CREATE", "jobs", "workers", "$", "MKSTREAM"]);
    const job = "x".repeat(BYTES);
    const metrics = await turns(async () => {
      const id = String(await client.send("XADD", ["jobs", "*", "job", job]));
      await client.send("XREADGROUP", ["GROUP", "workers", "one", "COUNT", "1", "STREAMS", "jobs", ">"]);
      await client.send("XACK", ["jobs", "workers", id]);
    });
    client.close();
    return metrics;
  });

/** What is used of BullMQ. */
interface BullMQ {
  readonly Queue: new (
    name: string,
    options: object,
  ) => { add(name: string, data: string, options: object): Promise<unknown>; close(): Promise<void> };
  readonly Worker: new (
    name: string,
    processor: null,
    options: object,
  ) => { getNextJob(token: string, options: object): Promise<BullJob>; close(force: boolean): Promise<void> };
}

interface BullJob {
  moveToCompleted(result: string, token: string, fetchNext: boolean): Promise<unknown>;
}

const bullmq: Case = () =>
  withRedis(async (path) => {
    if (!hasPackage("bullmq")) throw new Missing("bullmq is not installed");
    const { Queue: Jobs, Worker: Taker }: BullMQ = await import(
      Bun.resolveSync("bullmq", import.meta.dirname)
    );
    const connection = { path, maxRetriesPerRequest: null };
    const jobs = new Jobs("jobs", { connection });
    const worker = new Taker("jobs", null, { connection, autorun: false });
    const job = "x".repeat(BYTES);
    const metrics = await turns(async () => {
      await jobs.add("job", job, { removeOnComplete: true });
      const next = await worker.getNextJob("token", { block: false });
      await next.moveToCompleted("", "token", false);
    });
    await worker.close(true);
    await jobs.close();
    return metrics;
  });

const PRODUCERS = 4;
const WORKERS = 4;
const JOBS = isQuick ? 10_000 : 50_000;
/** A job that begins with 0 ends a worker. */
const LAST = new Uint8Array(BYTES);

/** A queue as the processes of `eight` use it: both calls wait. */
interface Line {
  give(job: Uint8Array): void;
  take(): Uint8Array;
}

const lines: Readonly<Record<string, (where: string) => Line>> = {
  shmstruct(dir) {
    const queue = new Queue(Uint8Array, { dir });
    return {
      give: (job) => queue.push(job),
      take() {
        const job = queue.take()!;
        const { data } = job;
        job.done();
        return data;
      },
    };
  },
  posix(name) {
    const queue = new MessageQueue({ name });
    return { give: (job) => queue.send(job), take: () => queue.receive()[0] };
  },
};

/** Four processes push and four take: the time of all, for each job. A part goes first, as their code is not compiled yet. */
async function eight(kind: string, where: string): Promise<Metrics> {
  const children = Array.from({ length: PRODUCERS + WORKERS }, (_, i) => {
    const role = i < WORKERS ? "take" : "give";
    const command = [process.execPath, import.meta.filename, "peer", kind, where, role];
    return Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  });
  const outputs = children.map(({ stdout }) => stdout.getReader());
  const told = (some: typeof outputs) => Promise.all(some.map((output) => output.read()));
  const producers = { stdin: children.slice(WORKERS), stdout: outputs.slice(WORKERS) };
  const go = async (): Promise<void> => {
    for (const { stdin } of producers.stdin) {
      stdin.write("go\n");
      stdin.flush();
    }
    await told(producers.stdout);
  };
  await told(outputs);
  await go();
  const start = now();
  await go();
  const line = lines[kind]!(where);
  for (let i = 0; i < WORKERS; i++) line.give(LAST);
  await told(outputs.slice(0, WORKERS));
  const elapsed = now() - start;
  for (const child of children) child.kill(9);
  return { ns: elapsed / (PRODUCERS * JOBS) };
}

/** Takes a job and has it until it is killed. */
async function hold(dir: string): Promise<void> {
  using queue = new Queue(Uint8Array, { dir });
  using _job = queue.take()!;
  console.log("taken");
  await new Promise((resolve) => setTimeout(resolve, 600_000));
}

async function oneOfEight(kind: string, where: string, role: string): Promise<void> {
  if (role === "hold") return hold(where);
  const line = lines[kind]!(where);
  console.log("ready");
  if (role === "take") {
    while (line.take()[0] !== 0);
    console.log("over");
    return;
  }
  const job = new Uint8Array(BYTES).fill(1);
  for await (const _ of console) {
    for (let i = 0; i < JOBS; i++) line.give(job);
    console.log("over");
  }
}

const eightOfOurs: Case = async () => {
  const dir = mkdtempSync("/dev/shm/shmstruct-bench-");
  try {
    using _queue = new Queue(Uint8Array, { dir, create: true, slots: SLOTS, payloadBytes: BYTES });
    return await eight("shmstruct", dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

const eightOfPosix: Case = async () => {
  const name = `/shmstruct-bench-${process.pid}`;
  using queue = new MessageQueue({ name, flags: O_CREAT, maxMessages: 8, maxMessageSize: BYTES });
  try {
    return await eight("posix", name);
  } finally {
    queue.unlink();
  }
};

const FLOOR =
  "the swaps and stores of the protocol take the time of the row of the floor in C; in Bun the copy of 64 bytes by set() takes 12 ns of it, the clock 7, a job's object and its place in hand some 15, the rest calls that the compiler does not inline. On a processor that others use, all of it takes up to twice as long.";

const suite: Suite = {
  title: "Jobs: queues",
  file: import.meta.filename,
  honest:
    "one process, 64 bytes. Ours survives kill -9 at any instruction and gives the job back; the peers lose it. `done` is a step of its own, the peers have none.",
  idle: "nothing; one look a second for each thread that waits.",
  cases: {
    "push, take, done; nearly empty": through(0),
    "push, take, done; nearly full": through(SLOTS - 2),
    "take from an empty queue": inVain(false),
    "push to a full queue": inVain(true),
    "a dead worker's job": givenBack,
    "POSIX message queue": posix,
    "Redis stream": redis,
    BullMQ: bullmq,
    "eight processes": eightOfOurs,
    "eight processes, POSIX message queue": eightOfPosix,
  },
  programs: () => ({
    "the protocol by hand in C": cProgram("queue-by-hand", "pair"),
    "eight processes, the protocol by hand in C": cProgram("queue-by-hand", "eight"),
    "boost message_queue": boostProgram("boost-queue", "pair"),
    "eight processes, boost message_queue": boostProgram("boost-queue", "eight"),
  }),
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
      what: "in, out and done; the floor",
      ours: "push, take, done; nearly empty",
      peer: "the protocol by hand in C",
    },
    {
      id: "16",
      what: "in, out and acknowledged",
      ours: "push, take, done; nearly empty",
      peer: "Redis stream",
    },
    {
      id: "16",
      what: "in, out and acknowledged",
      ours: "push, take, done; nearly empty",
      peer: "BullMQ",
    },
    {
      id: "16",
      what: "four processes push, four take; a job",
      ours: "eight processes",
      peer: "eight processes, boost message_queue",
      aim: { atMost: 2 },
      floor:
        "a job is woken for and waited for on its own: the same protocol by hand in C, with the same sleeps, takes the time of the row of the floor. boost's queue has one lock around everything, so a process does many jobs in its turn; killed with that lock it leaves the queue stuck for ever.",
    },
    {
      id: "16",
      what: "four processes push, four take; a job; the floor",
      ours: "eight processes",
      peer: "eight processes, the protocol by hand in C",
    },
    {
      id: "16",
      what: "four processes push, four take; a job",
      ours: "eight processes",
      peer: "eight processes, POSIX message queue",
      aim: { atMost: 2 },
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
      floor: FLOOR,
    },
    {
      id: "16",
      what: "push, take, done; nearly full",
      case: "push, take, done; nearly full",
      metric: "ns",
      unit: "ns",
      atMost: 100,
      floor: FLOOR,
    },
    {
      id: "16",
      what: "a job of a worker that was killed, from the look of another until it has it",
      case: "a dead worker's job",
      metric: "ns",
      unit: "ns",
      atMost: 1e6,
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

const [, , first, ...rest] = process.argv;
if (first === "peer") await oneOfEight(rest[0]!, rest[1]!, rest[2]!);
else if (import.meta.main) await alone(suite);
