/** Row 9: from a commit in one process to the event loop of another. */
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { Editor, Manager, Reader } from "../src/index.ts";
import { now } from "./clock.ts";
import { alone, type Case, type Metrics, quantile, type Row, type Suite, timed } from "./harness.ts";
import { startOther } from "./others.ts";
import { cProgram, inTempDir } from "./prepare.ts";

const MESSAGES = 600;
/** The first ones find code that is not compiled yet. */
const WARM_UP = 400;
const IDLE_MS = 1000;

/** Collects how long messages took, and resolves when there are enough. */
class Delays {
  readonly #delays: number[] = [];
  readonly #enough = Promise.withResolvers<Metrics>();

  /** @param sent when the message was sent, nanoseconds */
  add(sent: number): boolean {
    this.#delays.push(now() - sent);
    const enough = this.#delays.length === MESSAGES + WARM_UP;
    if (enough) {
      const delays = this.#delays.slice(WARM_UP);
      this.#enough.resolve({ p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) });
    }
    return enough;
  }

  get metrics(): Promise<Metrics> {
    return this.#enough.promise;
  }
}

const byChanges: Case = () =>
  inTempDir(async (dir) => {
    using _manager = new Manager(DemoMmapStructure, { dir, create: true });
    using reader = new Reader(DemoMmapStructure, { dir });
    using _committer = await startOther("committer", [dir]);
    const delays = new Delays();
    for await (const _ of reader.changes()) {
      if (delays.add(reader.snapshot().data_xy.x)) break;
    }
    return await delays.metrics;
  });

/** The same for a process that has nothing else to do and blocks. */
const byWaiting: Case = () =>
  inTempDir(async (dir) => {
    using _manager = new Manager(DemoMmapStructure, { dir, create: true });
    using reader = new Reader(DemoMmapStructure, { dir });
    using _committer = await startOther("committer", [dir]);
    const delays = new Delays();
    do reader.waitForChange();
    while (!delays.add(reader.snapshot().data_xy.x));
    return await delays.metrics;
  });

const byIpc: Case = async () => {
  const delays = new Delays();
  using _sender = await startOther("ipc", [], (time) => void delays.add(time as number));
  return await delays.metrics;
};

const bySocket: Case = () =>
  inTempDir(async (dir) => {
    const path = join(dir, "socket");
    const delays = new Delays();
    const data = (_: unknown, bytes: Buffer) => {
      for (let at = 0; at < bytes.length; at += 8) delays.add(bytes.readDoubleLE(at));
    };
    using _server = Bun.listen({ unix: path, socket: { data } });
    using _sender = await startOther("socket", [path]);
    return await delays.metrics;
  });

/** CPU time of this process in a second of nothing. */
async function idleCpu(): Promise<Metrics> {
  await Bun.sleep(IDLE_MS);
  const before = process.cpuUsage();
  await Bun.sleep(IDLE_MS);
  const { user, system } = process.cpuUsage(before);
  return { cpuMs: (user + system) / 1000 };
}

/** Waits for commits that do not come. */
const idle: Case = () =>
  inTempDir(async (dir) => {
    using manager = new Manager(DemoMmapStructure, { dir, create: true });
    using reader = new Reader(DemoMmapStructure, { dir });
    const changes = reader.changes();
    const first = changes.next();
    manager.touch();
    await first;
    const next = changes.next();
    const metrics = await idleCpu();
    manager.touch();
    await next;
    return metrics;
  });

/** What a commit costs the writer while another process waits for it, and while none does. */
const commits = (waits: boolean): Case => {
  return () =>
    inTempDir(async (dir) => {
      using _manager = new Manager(DemoMmapStructure, { dir, create: true });
      using editor = new Editor(DemoMmapStructure, { dir });
      using _waiter = waits ? await startOther("waiter", [dir]) : undefined;
      let i = 0;
      const store = (data: DemoMmapStructure) => {
        data.data_int = i;
      };
      return await timed(100, () => {
        for (let k = 0; k < 100; k++) {
          i++;
          editor.edit(store);
        }
      });
    });
};

const FLOOR =
  "a sleeping process takes the time of the C futex row to wake, and a socket needs no more than one such wake. Bun's event loop cannot sleep on a futex, so a thread does, and wakes the loop: two wakes.";

const suite: Suite = {
  title: "From a commit to another process's event loop",
  file: import.meta.filename,
  rounds: 5,
  honest:
    "the sender is another process, which writes the time into what it sends, about once a millisecond; both look at the same clock. Each of ours is a whole transaction under the lock, and a consistent copy on the other side.",
  idle: "a thread sleeps in the kernel (futex); the figure below is all that a waiting process costs, Bun's own included.",
  cases: {
    "changes()": byChanges,
    "waitForChange()": byWaiting,
    "process.send": byIpc,
    "Unix socket": bySocket,
    "waiting in changes()": idle,
    "waiting for a timer": idleCpu,
    "edit, somebody waits": commits(true),
    "edit, nobody waits": commits(false),
  },
  programs: () => ({ "C futex": cProgram("wake") }),
  rows: [
    ...["process.send", "Unix socket"].flatMap((peer) =>
      ["p50", "p99"].map(
        (metric): Row => ({
          id: "9",
          what: `commit to event loop, ${metric}`,
          ours: "changes()",
          peer,
          metric,
          aim: { atLeast: 2 },
          floor: FLOOR,
        }),
      ),
    ),
    ...["process.send", "Unix socket"].map(
      (peer): Row => ({
        id: "9",
        what: "commit to a process that blocks in waitForChange(), p50",
        ours: "waitForChange()",
        peer,
        metric: "p50",
      }),
    ),
    {
      id: "9",
      what: "one wake of a sleeping process, p50: the floor",
      ours: "changes()",
      peer: "C futex",
      metric: "p50",
    },
    {
      id: "9",
      what: "an edit while another process waits for changes",
      ours: "edit, somebody waits",
      peer: "edit, nobody waits",
    },
  ],
  figures: ["waiting in changes()", "waiting for a timer"].map((name) => ({
    id: "9",
    what: `CPU time of a process that is ${name}`,
    case: name,
    metric: "cpuMs",
    unit: "ms a second",
  })),
};
export default suite;

if (import.meta.main) await alone(suite);
