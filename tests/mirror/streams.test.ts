/** Channels and queues on several machines, through a real nats-server. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { c_int32, c_uint32, field, Struct } from "../../src/index.ts";
import { Mirror } from "../../src/mirror/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { hasTool } from "../support/tools.ts";
import { whileItLasts } from "../support/while-it-lasts.ts";
import { Server, until } from "./support.ts";

class Tick extends Struct {
  @field(c_int32) n!: number;
  @field(c_uint32) check!: number;
}

class Job extends Struct {
  @field(c_int32) n!: number;
}

const KEY = { bucket: "robots", key: "ticks" } as const;
const LEASE_MS = 900;

const tick = (n: number) => ({ n, check: n ^ 0x5555 });

// Servers and other processes are started, also on machines that have much else to do.
setDefaultTimeout(240_000);

describe.skipIf(!hasTool("nats-server"))("channels on several machines (need nats-server)", () => {
  test("messages arrive on another machine in order, with their index, type, time and bytes", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url };
    using ticks = new Publisher(Tick, { dir: server.file("origin"), create: true, slots: 64 });
    ticks.send(tick(0), { type: 7 });
    await using publisher = await Mirror.publish(ticks.path, options);
    await using follower = await Mirror.follow(join(server.file("copy"), "Tick_.channel"), options);
    await follower.ready({ timeoutMs: 120_000 });
    using subscriber = new Subscriber(Tick, { dir: server.file("copy"), from: "oldest" });
    using original = new Subscriber(Tick, { dir: server.file("origin"), from: "oldest" });
    for (let n = 1; n < 60; n++) ticks.send(tick(n), { type: n });
    for (let n = 0; n < 60; n++) {
      const [message, there] = [await subscriber.receiveAsync({ timeoutMs: 120_000 }), original.receive()];
      expect(message?.data.n).toBe(n);
      expect(message?.data.check).toBe(n ^ 0x5555);
      const { data: _, ...copied } = message!;
      const { data: __, ...sent } = there!;
      expect(copied).toEqual(sent);
    }
    await until(() => publisher.info().confirmedVersion === 60, "all are confirmed");
    expect(follower.info()).toMatchObject({ version: 60, missed: 0, problem: undefined, epoch: 1 });
    expect(subscriber.info().mirror).toMatchObject({ role: "follow", epoch: 1, staleSince: undefined });
  });

  test("messages that the mirror missed are counted as missed by its subscribers", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url, leaseMs: LEASE_MS };
    using ticks = new Publisher(Tick, { dir: server.file("origin"), create: true, slots: 4 });
    const path = join(server.file("copy"), "Tick_.channel");
    await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
    {
      await using _ = await Mirror.publish(ticks.path, options);
      ticks.send(tick(0));
      await until(() => follower.info().version === 1, "the first message");
    }
    using subscriber = new Subscriber(Tick, { dir: server.file("copy"), from: "oldest" });
    expect(subscriber.receive()?.index).toBe(0);
    // Without a publisher the ring goes round.
    for (let n = 1; n < 12; n++) ticks.send(tick(n));
    await using _ = await Mirror.publish(ticks.path, options);
    const message = await subscriber.receiveAsync({ timeoutMs: 120_000 });
    expect(message!.index).toBe(message!.data.n);
    expect(message!.missed).toBe(message!.index - 1);
    expect(message!.missed).toBeGreaterThan(5);
    await until(() => follower.info().version === 12, "the last one");
  });

  test("a follower that comes back goes on; another channel of that name takes the place of the old one", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url, leaseMs: LEASE_MS };
    const path = join(server.file("copy"), "Tick_.channel");
    using subscriber = await (async () => {
      using ticks = new Publisher(Tick, { dir: server.file("origin"), create: true, slots: 16 });
      await using _ = await Mirror.publish(ticks.path, options);
      for (let n = 0; n < 3; n++) ticks.send(tick(n));
      {
        await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
        await until(() => follower.info().version === 3, "three messages");
      }
      for (let n = 3; n < 6; n++) ticks.send(tick(n));
      await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
      await until(() => follower.info().version === 6, "six messages");
      const subscriber = new Subscriber(Tick, { dir: server.file("copy"), from: "oldest" });
      for (let n = 0; n < 6; n++) expect(subscriber.receive()).toMatchObject({ index: n, missed: 0 });
      return subscriber;
    })();
    using other = new Publisher(Tick, { dir: server.file("other"), create: true, slots: 8 });
    other.send(tick(100));
    await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
    await using _ = await Mirror.publish(other.path, options);
    const message = await subscriber.receiveAsync({ timeoutMs: 120_000 });
    expect([message?.index, message?.data.n]).toEqual([0, 100]);
    expect(follower.info().epoch).toBe(2);
  });
});

describe.skipIf(!hasTool("nats-server"))("what others put there (need nats-server)", () => {
  /** Appends what no publisher of ours would. */
  const append = async (server: Server, kind: string, ...entries: readonly Uint8Array[]): Promise<void> => {
    const nats = await connect({ servers: server.url });
    const js = jetstream(nats);
    for (const entry of entries) await js.publish(`shmstruct.${kind}.${KEY.bucket}.${KEY.key}`, entry);
    await nats.close();
  };
  /** The first byte says that it is no mark. */
  const junk = [
    new Uint8Array(),
    Uint8Array.of(1),
    Uint8Array.of(1, 2, 3),
    new Uint8Array(200).fill(1),
    new Uint8Array(89).fill(255, 1).fill(1, 0, 1),
  ];

  test("nonsense in a channel's log is told and passed over", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url };
    using ticks = new Publisher(Tick, { dir: server.file("origin"), create: true, slots: 16 });
    await using publisher = await Mirror.publish(ticks.path, options);
    const problems: (string | undefined)[] = [];
    await using follower = await Mirror.follow(join(server.file("copy"), "Tick_.channel"), {
      ...options,
      onChange: ({ problem }) => problems.push(problem),
    });
    await follower.ready({ timeoutMs: 120_000 });
    ticks.send(tick(0));
    await until(() => publisher.info().confirmedVersion === 1, "the first is sent");
    await append(server, "channel", ...junk);
    await until(() => problems.some((text) => text?.includes("holds no messages")), "it is told");
    ticks.send(tick(1));
    using subscriber = new Subscriber(Tick, { dir: server.file("copy"), from: "oldest" });
    for (const index of [0, 1])
      expect(await subscriber.receiveAsync({ timeoutMs: 120_000 })).toMatchObject({ index, missed: 0 });
    await until(() => follower.info().problem === undefined, "the problem is over");
  });

  test("nonsense in a queue's log is told, and comes again only after a while", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url };
    using origin = new Queue(Job, { dir: server.file("origin"), create: true, slots: 16 });
    await using _ = await Mirror.publish(origin.path, options);
    using copy = new Queue(Job, { dir: server.file("copy"), create: true, slots: 16 });
    const problems: (string | undefined)[] = [];
    await using follower = await Mirror.follow(copy.path, {
      ...options,
      onChange: ({ problem }) => problems.push(problem),
    });
    await follower.ready({ timeoutMs: 120_000 });
    await append(server, "queue", ...junk);
    origin.push({ n: 5 });
    using job = await copy.takeAsync({ timeoutMs: 120_000 });
    expect(job?.data.n).toBe(5);
    job?.done();
    await until(() => problems.some((text) => text !== undefined), "it is told");
    await Bun.sleep(300);
    const nats = await connect({ servers: server.url });
    const { delivered } = await (await jetstreamManager(nats)).consumers.info(
      `SHM_queue_${KEY.bucket}_${KEY.key}`,
      "workers",
    );
    await nats.close();
    // Once each, and perhaps once more.
    expect(delivered.consumer_seq).toBeLessThan(3 * junk.length);
  });

  test("maxBytes, and not the bucket, says how large a local file becomes, here and at the origin", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url };
    using ticks = new Publisher(Tick, { dir: server.file("origin"), create: true, slots: 64 });
    using jobs = new Queue(Job, { dir: server.file("origin"), create: true, slots: 64 });
    for (const { path } of [ticks, jobs])
      await expect(Mirror.publish(path, { ...options, maxBytes: 1000 })).rejects.toThrow("maxBytes is 1000");
    await using _ = await Mirror.publish(ticks.path, options);
    await using _publisher = await Mirror.publish(jobs.path, { ...options, key: "jobs" });
    for (const [key, name] of [
      [KEY.key, "Tick_.channel"],
      ["jobs", "Job_.queue"],
    ] as const) {
      const path = join(server.file("copy"), name);
      await using follower = await Mirror.follow(path, { ...options, key, maxBytes: 1000 });
      await until(() => follower.info().problem?.includes("maxBytes is 1000") === true, "it is told");
      expect(existsSync(path)).toBe(false);
    }
  });
});

describe.skipIf(!hasTool("nats-server"))("a server that has forgotten everything (needs nats-server)", () => {
  test("after the server has forgotten everything messages and jobs go on, and what was lost is counted", async () => {
    await using server = await Server.start();
    const options = { servers: server.url, bucket: KEY.bucket, leaseMs: LEASE_MS };
    using ticks = new Publisher(Tick, { dir: server.file("origin"), create: true, slots: 4 });
    using jobs = new Queue(Job, { dir: server.file("origin"), create: true, slots: 64 });
    await using publisher = await Mirror.publish(ticks.path, { ...options, key: "ticks" });
    await using _ = await Mirror.publish(jobs.path, { ...options, key: "jobs" });
    const follow = (key: string, name: string) =>
      Mirror.follow(join(server.file("copy"), name), { servers: server.url, bucket: KEY.bucket, key });
    await using follower = await follow("ticks", "Tick_.channel");
    await using workers = await follow("jobs", "Job_.queue");
    await Promise.all([follower, workers].map((each) => each.ready({ timeoutMs: 120_000 })));
    ticks.send(tick(0));
    await until(() => follower.info().version === 1, "the first message");
    using subscriber = new Subscriber(Tick, { dir: server.file("copy"), from: "oldest" });
    using copy = new Queue(Job, { dir: server.file("copy") });
    expect(subscriber.receive()?.index).toBe(0);
    await server.kill();
    server.forget();
    for (let n = 1; n < 12; n++) ticks.send(tick(n));
    jobs.push({ n: 7 });
    await server.run();
    const message = await subscriber.receiveAsync({ timeoutMs: 120_000 });
    expect(message?.data.n).toBe(message!.index);
    expect(message?.missed).toBe(message!.index - 1);
    using job = await copy.takeAsync({ timeoutMs: 120_000 });
    expect(job?.data.n).toBe(7);
    job?.done();
    ticks.send(tick(12));
    await until(() => follower.info().version === 13, "the last message");
    await until(() => publisher.info().confirmedVersion === 13, "it is confirmed");
  });
});

describe.skipIf(!hasTool("nats-server"))("queues on several machines (need nats-server)", () => {
  const queueOf = (server: Server, machine: string): Queue<Job> =>
    new Queue(Job, { dir: server.file(machine), create: true, slots: 64 });

  /** Takes jobs until all have come. */
  const work = async (queues: readonly Queue<Job>[], count: number): Promise<number[]> => {
    const done: number[] = [];
    const end = Date.now() + 120_000;
    while (new Set(done).size < count && Date.now() < end) {
      for (const queue of queues) {
        using job = queue.tryTake();
        if (job === undefined) continue;
        done.push(job.data.n);
        job.done();
      }
      await Bun.sleep(1);
    }
    return done;
  };

  test("a queue's jobs are taken on other machines, once, and are gone from the origin", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url };
    using origin = queueOf(server, "origin");
    for (let n = 0; n < 20; n++) origin.push({ n });
    await using _publisher = await Mirror.publish(origin.path, options);
    using a = queueOf(server, "a");
    using b = queueOf(server, "b");
    await using followerA = await Mirror.follow(a.path, { ...options, prefetch: 2 });
    await using followerB = await Mirror.follow(b.path, { ...options, prefetch: 2 });
    for (let n = 20; n < 30; n++) origin.push({ n });
    await until(() => a.size > 0 && b.size > 0, "both machines have jobs");
    const done = await work([a, b], 30);
    expect(done.sort((x, y) => x - y)).toEqual(Array.from({ length: 30 }, (_, n) => n));
    await until(() => followerA.info().jobs === 0 && followerB.info().jobs === 0, "all are ended");
    expect(origin.counts()).toMatchObject({ ready: 0, taken: 0 });
    expect(Math.min(followerA.info().version!, followerB.info().version!)).toBeGreaterThan(0);
    await until(async () => (await jobsIn(server)) === 0, "the server has none left");
  });

  test("a job that no worker takes goes to another machine, while a worker that lives keeps its job", async () => {
    await whileItLasts(600, async (ackWaitMs) => {
      await using server = await Server.start();
      const options = { ...KEY, servers: server.url };
      using origin = queueOf(server, "origin");
      using idle = queueOf(server, "idle");
      using busy = queueOf(server, "busy");
      await using _publisher = await Mirror.publish(origin.path, options);
      const patience = { ackWaitMs, prefetch: 1 };
      await using first = await Mirror.follow(idle.path, { ...options, ...patience });
      origin.push({ n: 1 });
      await until(() => first.info().jobs === 1, "the first machine has it");
      await using second = await Mirror.follow(busy.path, { ...options, ...patience });
      using job = await busy.takeAsync({ timeoutMs: 120_000 });
      expect(job?.data.n).toBe(1);
      // Much longer than the time after which the server would give it to another one.
      await Bun.sleep(2.5 * ackWaitMs);
      expect([first.info().jobs, second.info().jobs, idle.size]).toEqual([0, 1, 0]);
      job?.done();
      await until(async () => (await jobsIn(server)) === 0, "the server has none left");
    });
  });

  test("the jobs of killed machines go back, and none is lost", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url };
    using origin = queueOf(server, "origin");
    for (let n = 0; n < 40; n++) origin.push({ n });
    const publisher = machine("publisher.ts", origin.path, options);
    const patience = { ackWaitMs: 500, prefetch: 4 };
    using dying = queueOf(server, "dying");
    const victim = machine("follower.ts", dying.path, { ...options, ...patience });
    await until(() => dying.size > 0, "the machine that will die has jobs");
    publisher.kill(9);
    victim.kill(9);
    await Promise.all([publisher.exited, victim.exited]);
    await using _publisher = await Mirror.publish(origin.path, { ...options, leaseMs: 500 });
    using alive = queueOf(server, "alive");
    await using _follower = await Mirror.follow(alive.path, { ...options, ...patience });
    const done = await work([alive], 40);
    expect([...new Set(done)].sort((x, y) => x - y)).toEqual(Array.from({ length: 40 }, (_, n) => n));
  });
});

const machine = (program: string, path: string, options: object): Bun.Subprocess =>
  Bun.spawn([process.execPath, join(import.meta.dir, program), JSON.stringify(options), KEY.key, path], {
    stdout: "ignore",
    stderr: "inherit",
  });

/** Jobs that the server still has. */
async function jobsIn(server: Server): Promise<number> {
  const nats = await connect({ servers: server.url });
  const jsm = await jetstreamManager(nats);
  const { state } = await jsm.streams.info(`SHM_queue_${KEY.bucket}_${KEY.key}`);
  await nats.close();
  return state.messages;
}
