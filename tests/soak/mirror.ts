/**
 * A record, a channel and a queue go from one machine to another through a cluster of three servers, while mirrors and servers
 * are killed: bun tests/soak/mirror.ts [KILLS]. Prints what was torn, went back, was lost or came twice.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { c_int32, field, Manager, Reader, Struct } from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { Server, until } from "../mirror/support.ts";
import { All, fill } from "../record/parts.ts";
import { temporaryDirectory } from "../support/temporary.ts";

class Tick extends Struct {
  @field(c_int32) n!: number;
}
class Job extends Struct {
  @field(c_int32) n!: number;
}

const kills = Number(process.argv[2] ?? 500);
const BETWEEN_KILLS_MS = 900;
const DOWN_MS = 1500;

using dir = temporaryDirectory();
const servers = await Server.cluster();
const options = {
  servers: servers.map(({ url }) => url),
  bucket: "soak",
  replicas: 3,
  leaseMs: 1000,
  waitMs: 60_000,
};
await untilCluster();

const origin = join(dir.path, "origin");
const copy = join(dir.path, "copy");
using manager = new Manager(All, { dir: origin, create: true, init: (data) => fill(data, 0) });
using ticks = new Publisher(Tick, { dir: origin, create: true, slots: 4096 });
using jobs = new Queue(Job, { dir: origin, create: true, slots: 1024 });
const parts = { record: "All_.mmap", ticks: "Tick_.channel", jobs: "Job_.queue" } as const;
const pairs = (directory: string): string[] =>
  Object.entries(parts).flatMap(([key, name]) => [key, join(directory, name)]);

const logOf = (program: string, kind = "log"): string => join(dir.path, `${program}.${kind}`);
const mirrors: Bun.Subprocess[] = [];
const start = (program: "publisher" | "follower"): Bun.Subprocess => {
  const { leaseMs, waitMs, ...others } = options;
  const given = program === "publisher" ? { ...others, leaseMs, waitMs } : { ...others, ackWaitMs: 2000 };
  const file = join(import.meta.dir, "..", "mirror", `${program}.ts`);
  const where = program === "publisher" ? origin : copy;
  return Bun.spawn([process.execPath, file, JSON.stringify(given), ...pairs(where)], {
    stdout: Bun.file(logOf(program)),
    stderr: Bun.file(logOf(program, "err")),
  });
};
mirrors.push(start("publisher"), start("follower"));
await until(
  () => Object.values(parts).every((name) => exists(join(copy, name))),
  "the copies are there",
  120_000,
);

const report = {
  kills: 0,
  exits: 0,
  servers: 0,
  torn: 0,
  back: 0,
  looks: 0,
  states: 0,
  messages: 0,
  missed: 0,
  wrong: 0,
  pushed: 0,
  done: 0,
  twice: 0,
};
using reader = new Reader(All, { dir: copy });
using subscriber = new Subscriber(Tick, { dir: copy, from: "oldest" });
using workers = new Queue(Job, { dir: copy });
const done = new Map<number, number>();
let [n, tick, version, index] = [0, 0, 0, -1];

const writing = setInterval(() => {
  manager.edit((data) => fill(data, ++n % 200));
  ticks.send({ n: tick++ });
}, 5);
const pushing = setInterval(() => {
  if (jobs.tryPush({ n: report.pushed })) report.pushed++;
}, 20);
const looking = setInterval(look, 1);

function look(): void {
  const { place, numbers } = reader.snapshot();
  if (place.x !== place.n + 0.5 || numbers[0] !== place.n) report.torn++;
  const now = reader.version;
  if (now < version) report.back++;
  if (now !== version) report.states++;
  version = now;
  report.looks++;
  for (let message = subscriber.receive(); message; message = subscriber.receive()) {
    const isNext = message.index === index + 1 + message.missed;
    if (!isNext || message.data.n !== message.index) report.wrong++;
    report.missed += message.missed;
    report.messages++;
    index = message.index;
  }
  using job = workers.tryTake();
  if (job === undefined) return;
  done.set(job.data.n, (done.get(job.data.n) ?? 0) + 1);
  job.done();
}

// As a service manager does. Mirrors wait for servers, so none should end by itself.
const supervising = setInterval(() => {
  for (const [which, { exitCode }] of mirrors.entries())
    if (exitCode !== null) {
      report.exits++;
      const program = which === 0 ? "publisher" : "follower";
      console.error("ended:", program, exitCode, readFileSync(logOf(program, "err"), "utf8").slice(-600));
      mirrors[which] = start(which === 0 ? "publisher" : "follower");
    }
}, 500);

const begun = Date.now();
while (report.kills < kills) {
  await Bun.sleep(Math.random() * 2 * BETWEEN_KILLS_MS);
  const victim = report.kills % 3;
  report.kills++;
  if (victim === 2) await restartServer();
  else await restartMirror(victim);
}

async function restartServer(): Promise<void> {
  const server = servers[Math.floor(Math.random() * servers.length)]!;
  report.servers++;
  await server.kill();
  await Bun.sleep(DOWN_MS * Math.random());
  await server.run();
}

async function restartMirror(which: number): Promise<void> {
  mirrors[which]?.kill(9);
  await mirrors[which]?.exited;
  mirrors[which] = start(which === 0 ? "publisher" : "follower");
}

clearInterval(writing);
clearInterval(pushing);
const isThere = (): boolean => reader.snapshot("place.n") === n % 200 && index === tick - 1;
const endedAt = Date.now();
await until(() => isThere() && done.size === report.pushed, "all has come", 120_000).catch((error) =>
  console.error(String(error)),
);
const healedMs = Date.now() - endedAt;
clearInterval(looking);
clearInterval(supervising);
report.done = done.size;
report.twice = [...done.values()].filter((count) => count > 1).length;
const lost = report.pushed - report.done;
const seconds = Math.round((Date.now() - begun) / 1000);
console.log(JSON.stringify({ ...report, lost, isThere: isThere(), healedMs, seconds }));
if (!isThere() || lost > 0) await explain();
for (const mirror of mirrors) mirror.kill(9);
for (const server of servers) await server[Symbol.asyncDispose]();
const isWrong = report.torn + report.back + report.wrong + lost > 0 || !isThere();
process.exit(isWrong ? 1 : 0);

function exists(path: string): boolean {
  return Bun.file(path).size > 0;
}

/** What the mirrors and the server say of themselves. */
async function explain(): Promise<void> {
  for (const program of ["publisher", "follower"])
    for (const kind of ["log", "err"])
      console.error(
        program,
        kind,
        (await Bun.file(logOf(program, kind)).text()).split("\n").slice(-4).join("\n"),
      );
  console.error(
    "exited",
    mirrors.map(({ exitCode }) => exitCode),
    "jobs here",
    workers.counts(),
    jobs.counts(),
  );
  const nats = await connect({ servers: options.servers });
  const jsm = await jetstreamManager(nats);
  for (const { config, state, cluster } of await jsm.streams.list().next()) {
    console.error(config.name, JSON.stringify({ state, cluster }));
    if (config.name.includes("queue"))
      console.error(JSON.stringify(await jsm.consumers.list(config.name).next()));
  }
  await nats.close();
}

/** Until the servers have found each other and can keep three copies. */
async function untilCluster(): Promise<void> {
  const nats = await connect({ servers: options.servers, maxReconnectAttempts: -1 });
  const isReady = async (): Promise<boolean> => {
    try {
      await new Kvm(nats).create(options.bucket, { history: 1, replicas: options.replicas });
      return true;
    } catch {
      return false;
    }
  };
  await until(isReady, "the cluster is ready", 60_000);
  await nats.close();
}
