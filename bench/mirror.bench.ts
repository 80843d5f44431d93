/** Row 21: a commit on one machine until a reader on another one sees it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import {
  array,
  bytesOf,
  type CArray,
  c_int32,
  c_uint8,
  field,
  Manager,
  MmapStructure,
  Reader,
} from "../src/index.ts";
import { Mirror } from "../src/mirror/index.ts";
import { alone, type Case, isQuick, type Metrics, Missing, quantile, type Suite } from "./harness.ts";

class Bytes64 extends MmapStructure {
  @field(c_int32) n!: number;
  @field(array(c_uint8, 44)) rest!: CArray<number>;
}
class Bytes4096 extends MmapStructure {
  @field(c_int32) n!: number;
  @field(array(c_uint8, 4076)) rest!: CArray<number>;
}
class Bytes1048576 extends MmapStructure {
  @field(c_int32) n!: number;
  @field(array(c_uint8, 2 ** 20 - 20)) rest!: CArray<number>;
}
type Sized = Bytes64 | Bytes4096 | Bytes1048576;
type SizedClass = typeof Bytes64 | typeof Bytes4096 | typeof Bytes1048576;

const COUNT = isQuick ? 40 : 200;
const WARM_UP = isQuick ? 10 : 50;
const LARGE_COUNT = isQuick ? 8 : 25;
const PAUSE_MS = 1;
const SUSTAINED_MS = isQuick ? 300 : 1000;
const IDLE_MS = isQuick ? 300 : 1500;
const READY_MS = 20_000;
const LARGE_PAYLOAD = 4 * 2 ** 20;

interface Place extends AsyncDisposable {
  readonly url: string;
  readonly dir: string;
}

/** A server of our own, on the loopback interface. */
async function server(maxPayload: number): Promise<Place> {
  if (Bun.which("nats-server", { PATH: `${process.env.PATH}:/usr/sbin` }) === null)
    throw new Missing("nats-server is not installed");
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-bench-nats-"));
  using probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  const config = join(dir, "server.conf");
  writeFileSync(config, `max_payload: ${maxPayload}\nwrite_deadline: "10s"\n`);
  const args = ["-js", "-a", "127.0.0.1", "-p", String(port), "-sd", join(dir, "js"), "-c", config];
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const child = Bun.spawn(["nats-server", ...args], { stdout: "ignore", stderr: "ignore", env });
  const url = `nats://127.0.0.1:${port}`;
  const end = Date.now() + READY_MS;
  for (;;) {
    try {
      await (await connect({ servers: url })).close();
      break;
    } catch (error) {
      if (Date.now() > end) throw error;
      await Bun.sleep(20);
    }
  }
  return {
    url,
    dir,
    async [Symbol.asyncDispose]() {
      child.kill(9);
      await child.exited;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const countOf = (bytes: number): number => (bytes > 65_536 ? LARGE_COUNT : COUNT);

/** Times from `commit` until `seen` settles, one after the other. */
async function latencies(
  bytes: number,
  commit: (n: number) => unknown,
  seen: (n: number) => Promise<void>,
): Promise<Metrics> {
  const times: number[] = [];
  const count = countOf(bytes);
  const warmUp = Math.min(WARM_UP, count / 4);
  for (let n = 1; n <= count + warmUp; n++) {
    const arrival = seen(n);
    const start = Bun.nanoseconds();
    commit(n);
    await arrival;
    if (n > warmUp) times.push(Bun.nanoseconds() - start);
    await Bun.sleep(PAUSE_MS);
  }
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

interface Mirrored extends AsyncDisposable {
  readonly manager: Manager<Sized>;
  readonly reader: Reader<Sized>;
}

async function mirrored(cls: SizedClass, { url: servers, dir }: Place, spinMs = 0): Promise<Mirrored> {
  const options = { servers, bucket: "bench", key: "state" };
  const sized = cls as typeof Bytes64;
  const manager = new Manager(sized, { dir: join(dir, "a"), create: true });
  const publisher = await Mirror.publish(manager.path, { ...options, spinMs });
  const follower = await Mirror.follow(join(dir, "b", `${cls.name}_.mmap`), options);
  await follower.ready({ timeoutMs: READY_MS });
  const reader = new Reader(sized, { dir: join(dir, "b") });
  return {
    manager: manager as unknown as Manager<Sized>,
    reader: reader as unknown as Reader<Sized>,
    async [Symbol.asyncDispose]() {
      reader.close();
      await follower[Symbol.asyncDispose]();
      await publisher[Symbol.asyncDispose]();
      manager.close();
    },
  };
}

const edit = (manager: Manager<Sized>, n: number): void =>
  manager.edit((data) => {
    data.n = n;
  });

const ours =
  (cls: SizedClass, bytes: number, maxPayload: number, spinMs = 0): Case =>
  async () => {
    await using place = await server(maxPayload);
    await using pair = await mirrored(cls, place, spinMs);
    const changes = pair.reader.changes({ spinMs });
    const seen = async (n: number): Promise<void> => {
      for (;;) {
        await changes.next();
        if (pair.reader.get("n") === n) return;
      }
    };
    const metrics = await latencies(bytes, (n) => edit(pair.manager, n), seen);
    await changes.return?.();
    return metrics;
  };

/** What the engine itself takes: a put, and the watch of another connection. */
const bare =
  (bytes: number, maxPayload: number): Case =>
  async () => {
    await using place = await server(maxPayload);
    const [from, to] = await Promise.all([connect({ servers: place.url }), connect({ servers: place.url })]);
    const source = await new Kvm(from).create("bench", { history: 1 });
    const target = await new Kvm(to).create("bench", { history: 1 });
    const watch = (await target.watch({ key: "state" }))[Symbol.asyncIterator]();
    const value = new Uint8Array(bytes);
    const view = new DataView(value.buffer);
    const seen = async (n: number): Promise<void> => {
      for (;;) {
        const { value: entry } = await watch.next();
        if (new DataView(entry.value.buffer, entry.value.byteOffset).getInt32(0) === n) return;
      }
    };
    const commit = (n: number): void => {
      view.setInt32(0, n);
      void source.put("state", value);
    };
    const metrics = await latencies(bytes, commit, seen);
    await Promise.all([from.close(), to.close()]);
    return metrics;
  };

/**
 * The floor of any mirror, written by hand: a commit, the wake of who publishes, a put that expects its revision, the watch of
 * another connection, a commit there, the wake of the reader.
 */
const byHand =
  (cls: SizedClass, bytes: number, maxPayload: number): Case =>
  async () => {
    await using place = await server(maxPayload);
    const [from, to] = await Promise.all([connect({ servers: place.url }), connect({ servers: place.url })]);
    const source = await new Kvm(from).create("bench", { history: 1 });
    const target = await new Kvm(to).create("bench", { history: 1 });
    const sized = cls as typeof Bytes64;
    const [a, b] = [join(place.dir, "a"), join(place.dir, "b")];
    using manager = new Manager(sized, { dir: a, create: true });
    using origin = new Reader(sized, { dir: a });
    using copy = new Manager(sized, { dir: b, create: true });
    using reader = new Reader(sized, { dir: b });
    const commits = origin.changes();
    let revision = await source.put("state", bytesOf(origin.snapshot()));
    const publishing = (async () => {
      for await (const _ of commits)
        revision = await source.update("state", bytesOf(origin.snapshot()), revision);
    })();
    const watch = await target.watch({ key: "state" });
    const storing = (async () => {
      for await (const { value } of watch) copy.edit((data) => void bytesOf(data).set(value));
    })();
    const changes = reader.changes();
    const seen = async (n: number): Promise<void> => {
      for (;;) {
        await changes.next();
        if (reader.get("n") === n) return;
      }
    };
    const metrics = await latencies(bytes, (n) => edit(manager as unknown as Manager<Sized>, n), seen);
    await changes.return?.();
    watch.stop();
    await commits.return?.();
    await Promise.all([publishing, storing]);
    await Promise.all([from.close(), to.close()]);
    return metrics;
  };

const redis = (bytes: number): Case => {
  return async () => {
    if (Bun.which("redis-server") === null) throw new Missing("redis-server is not installed");
    const dir = mkdtempSync(join(tmpdir(), "shmstruct-bench-redis-"));
    const socket = join(dir, "redis.sock");
    const args = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir];
    const child = Bun.spawn(["redis-server", ...args], { stdout: "ignore", stderr: "ignore" });
    try {
      while (
        !(await Bun.file(socket)
          .stat()
          .catch(() => undefined))
      )
        await Bun.sleep(20);
      const [source, target] = [
        new Bun.RedisClient(`redis+unix://${socket}`),
        new Bun.RedisClient(`redis+unix://${socket}`),
      ];
      let arrived = Promise.withResolvers<number>();
      await target.subscribe("state", (text: string) => arrived.resolve(JSON.parse(text).n));
      const rest = Array.from({ length: Math.max(0, bytes - 20) }, () => 0);
      const commit = (n: number): void => {
        const text = JSON.stringify({ n, rest });
        void source.set("state", text);
        void source.publish("state", text);
      };
      const seen = async (n: number): Promise<void> => {
        while ((await arrived.promise) !== n) arrived = Promise.withResolvers();
        arrived = Promise.withResolvers();
      };
      return await latencies(bytes, commit, seen);
    } finally {
      child.kill(9);
      await child.exited;
      rmSync(dir, { recursive: true, force: true });
    }
  };
};

/** Commits without a pause: how many states arrive, while the newest wins. */
const sustained: Case = async () => {
  await using place = await server(2 ** 20);
  await using pair = await mirrored(Bytes64, place);
  let n = 0;
  let states = 0;
  let seen = pair.reader.version;
  const end = Date.now() + SUSTAINED_MS;
  while (Date.now() < end) {
    edit(pair.manager, ++n);
    await new Promise(setImmediate);
    if (pair.reader.version === seen) continue;
    seen = pair.reader.version;
    states++;
  }
  return { commits: (n * 1000) / SUSTAINED_MS, states: (states * 1000) / SUSTAINED_MS };
};

/** What a publisher and a follower cost while nothing happens. */
const idle: Case = async () => {
  await using place = await server(2 ** 20);
  await using _ = await mirrored(Bytes4096, place);
  await Bun.sleep(500);
  const before = process.cpuUsage();
  await Bun.sleep(IDLE_MS);
  const { user, system } = process.cpuUsage(before);
  return { share: (user + system) / (IDLE_MS * 10) };
};

const ROW = "21";
const AIM = { atMost: 1.3 };
const FLOOR =
  "the engine's put and watch are the floor; on top come the wake of the publisher, a frame with its schema, and the commit and wake on the other side";

const sizes = [
  ["64 B", Bytes64, 64, 2 ** 20],
  ["4 KiB", Bytes4096, 4096, 2 ** 20],
  ["1 MiB", Bytes1048576, 2 ** 20, LARGE_PAYLOAD],
] as const;

const suite: Suite = {
  title: "Other machines: mirrors",
  file: import.meta.filename,
  honest:
    "nats-server on the loopback interface, its files in the temporary directory; origin, mirrors and reader in one process, as are both ends of the peers. 1 MiB needs a server whose max_payload is 4 MiB for the peer's sake; with the usual 1 MiB ours sends the changed blocks only. Redis carries JSON by SET and PUBLISH.",
  idle: "a lease every 1.7 s, and a look at the bucket every 5 s.",
  cases: {
    ...Object.fromEntries(
      sizes.flatMap(([name, cls, bytes, max]): [string, Case][] => [
        [`mirror, ${name}`, ours(cls, bytes, max)],
        [`NATS put and watch, ${name}`, bare(bytes, max)],
        [`by hand, ${name}`, byHand(cls, bytes, max)],
        [`Redis, ${name}`, redis(bytes)],
      ]),
    ),
    "mirror with spinMs, 64 B": ours(Bytes64, 64, 2 ** 20, 5),
    "mirror, 1 MiB, usual server": ours(Bytes1048576, 2 ** 20, 2 ** 20),
    sustained,
    idle,
  },
  rows: sizes.flatMap(([name]) =>
    (["p50", "p99"] as const).flatMap((metric) => [
      {
        id: ROW,
        what: `${name}, commit to remote reader by hand, ${metric}`,
        ours: `mirror, ${name}`,
        peer: `by hand, ${name}`,
        metric,
      },
      {
        id: ROW,
        what: `${name}, commit to remote reader, ${metric}`,
        ours: `mirror, ${name}`,
        peer: `NATS put and watch, ${name}`,
        metric,
        aim: AIM,
        floor: FLOOR,
        ...(metric === "p50" &&
          name === "64 B" && { headline: "A commit until the Reader of a mirror sees it, 64 bytes" }),
      },
      {
        id: ROW,
        what: `${name}, commit to remote reader, ${metric}`,
        ours: `mirror, ${name}`,
        peer: `Redis, ${name}`,
        metric,
      },
    ]),
  ),
  figures: [
    {
      id: ROW,
      what: "64 B, spinMs at both ends, p50",
      case: "mirror with spinMs, 64 B",
      metric: "p50",
      unit: "ns",
    },
    {
      id: ROW,
      what: "64 B, spinMs at both ends, p99",
      case: "mirror with spinMs, 64 B",
      metric: "p99",
      unit: "ns",
    },
    {
      id: ROW,
      what: "1 MiB, one field, usual server, p50",
      case: "mirror, 1 MiB, usual server",
      metric: "p50",
      unit: "ns",
    },
    {
      id: ROW,
      what: "1 MiB, one field, usual server, p99",
      case: "mirror, 1 MiB, usual server",
      metric: "p99",
      unit: "ns",
    },
    { id: ROW, what: "states a second that arrive, 64 B", case: "sustained", metric: "states", unit: "/s" },
    { id: ROW, what: "commits a second meanwhile", case: "sustained", metric: "commits", unit: "/s" },
    {
      id: ROW,
      what: "a publisher and a follower at rest, of one core",
      case: "idle",
      metric: "share",
      unit: "%",
    },
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
