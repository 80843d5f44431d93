/** Row 9: from a commit in one process to the event loop of another. */
import { constants, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { Editor, Manager, Reader } from "../src/index.ts";
import { waitAsync } from "../src/sync/deadline.ts";
import { openFile } from "../src/sys/file.ts";
import { O_RDWR } from "../src/sys/libc/constants.ts";
import { Mapping } from "../src/sys/mapping.ts";
import { now } from "./clock.ts";
import {
  alone,
  type Case,
  isQuick,
  type Metrics,
  Missing,
  quantile,
  type Row,
  type Suite,
  timed,
} from "./harness.ts";
import { startOther } from "./others.ts";
import { cProgram, inTempDir, stayOn } from "./prepare.ts";

const MESSAGES = isQuick ? 200 : 1000;
/** The first ones find code that is not compiled yet. */
const WARM_UP = isQuick ? 200 : 1500;
const IDLE_MS = isQuick ? 300 : 1000;

/** Collects how long messages took, and resolves when there are enough. */
class Delays {
  readonly #delays: number[] = [];
  readonly #enough = Promise.withResolvers<Metrics>();

  constructor() {
    stayOn(1);
  }

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

/** How the receiver notes what it was sent: by `changes()`, or blocking in `waitForChange()`. */
const receiving = (receive: (reader: Reader<DemoMmapStructure>, delays: Delays) => unknown): Case => {
  return () =>
    inTempDir(async (dir) => {
      using _manager = new Manager(DemoMmapStructure, { dir, create: true });
      using reader = new Reader(DemoMmapStructure, { dir });
      using _committer = await startOther("committer", [dir]);
      const delays = new Delays();
      await receive(reader, delays);
      return await delays.metrics;
    });
};

const byChanges = (spinMs: number): Case =>
  receiving(async (reader, delays) => {
    let copy: DemoMmapStructure | undefined;
    for await (const _ of reader.changes({ spinMs })) {
      copy = reader.snapshot(copy);
      if (delays.add(copy.data_xy.x)) break;
    }
  });

const byWaiting = (spinMs: number): Case =>
  receiving((reader, delays) => {
    let copy: DemoMmapStructure | undefined;
    do {
      reader.waitForChange({ spinMs });
      copy = reader.snapshot(copy);
    } while (!delays.add(copy.data_xy.x));
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

/** The least that wakes an event loop by a futex, by hand: two wakes, of a thread and of the loop. */
const byThread: Case = () =>
  inTempDir(async (dir) => {
    const path = join(dir, "words");
    writeFileSync(path, new Uint8Array(64));
    using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 64, path });
    const [words, times] = [new Int32Array(mapping.buffer), new Float64Array(mapping.buffer)];
    const wakes = new Int32Array(new SharedArrayBuffer(4));
    const thread = new Worker(new URL("./peers/futex-thread.ts", import.meta.url), { smol: true });
    thread.postMessage({ path, wakes });
    using _sender = await startOther("futex", [path]);
    const delays = new Delays();
    for (let [seen, isEnough] = [Atomics.load(words, 0), false]; !isEnough; ) {
      const wake = waitAsync(wakes, 0, Atomics.load(wakes, 0));
      if (wake.async) await wake.value;
      const now = Atomics.load(words, 0);
      if (now !== seen) isEnough = delays.add(times[1]!);
      seen = now;
    }
    return await delays.metrics;
  });

/** One wake, by hand: the event loop sleeps on a FIFO, which the sender has open. */
const byFifo: Case = () =>
  inTempDir(async (dir) => {
    const path = join(dir, "fifo");
    if (Bun.spawnSync(["mkfifo", path]).exitCode !== 0) throw new Missing("mkfifo is not installed");
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    using _sender = await startOther("fifo", [path]);
    const delays = new Delays();
    for await (const bytes of Bun.file(fd).stream())
      if (delays.add(new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true))) break;
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
const idle = (spinMs: number, hasOther = false): Case => {
  return () =>
    inTempDir(async (dir) => {
      using manager = new Manager(DemoMmapStructure, { dir, create: true });
      using _other = hasOther ? await startOther("waiter", [dir]) : undefined;
      using reader = new Reader(DemoMmapStructure, { dir });
      const changes = reader.changes({ spinMs });
      const first = changes.next();
      manager.touch();
      await first;
      const next = changes.next();
      const metrics = await idleCpu();
      manager.touch();
      await next;
      return metrics;
    });
};

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
  "waking a process that sleeps takes a C program the time of the row of the floor, and that is nearly all of what a socket takes: no way to wake can be twice as fast as a socket, only a receiver that does not sleep (`spinMs`). changes() has the kernel wake the event loop (io_uring: one wake; where that is forbidden a thread does, which takes two, and by hand the time of the row of the floor of a futex). What remains beside a socket is the transaction before, the look whether the file is the current one, and the copy afterwards: locking.md has the times of these parts, and says that of all ways to wake Bun's event loop by a descriptor a bare socket is the fastest, so that nothing which commits before and copies afterwards is ahead of one (`bun bench/wakes.ts`).";

const SPIN_FLOOR =
  "one commit in a hundred meets what Bun does beside: collecting garbage, compiling, other threads. A median store to a C program that looks takes the time of the row below.";

/** Longer than the pause between two commits, so that the receiver does not fall asleep. */
const SPIN_MS = 5;
const PEERS = ["process.send", "Unix socket"];
const DEFAULT = "changes()";
const SPINNING = `changes({ spinMs: ${SPIN_MS} })`;

const delayRow = (what: string, ours: string, peer: string, metric = "p50"): Row => ({
  id: "9",
  what: `${what}, ${metric}`,
  ours,
  peer,
  metric,
});

const suite: Suite = {
  title: "From a commit to another process's event loop",
  file: import.meta.filename,
  honest:
    "the sender is another process, which writes the time into what it sends, about once a millisecond; both look at the same clock, and each has a processor of its own (else the scheduler decides whether a wake is near or far). Each of ours is a whole transaction under the lock, and a consistent copy on the other side.",
  idle: "a request sleeps in the kernel (io_uring), or a thread (futex); of several that sleep for one file, one watches every 8 ms that no wake was lost. With spinMs a whole core is busy for that long after each commit, then it sleeps. The figures above are all that a waiting process costs, Bun's own included.",
  cases: {
    [DEFAULT]: byChanges(0),
    [SPINNING]: byChanges(SPIN_MS),
    "waitForChange()": byWaiting(0),
    "waitForChange, spinMs": byWaiting(SPIN_MS),
    "process.send": byIpc,
    "Unix socket": bySocket,
    "a futex in a thread by hand": byThread,
    "a FIFO by hand": byFifo,
    "waiting in changes()": idle(0),
    "waiting and watching for another one": idle(0, true),
    "looking, in changes({ spinMs })": idle(60_000),
    "waiting for a timer": idleCpu,
    "edit, another process waits": commits(true),
    "edit, no process waits": commits(false),
  },
  programs: () => ({ "C futex": cProgram("wake") }),
  rows: [
    ...PEERS.flatMap((peer) => [
      {
        ...delayRow("commit to event loop, receiver asleep", DEFAULT, peer),
        aim: { atLeast: peer === "Unix socket" ? 1 : 2 },
        ...(peer === "Unix socket" && {
          headline: "A commit until another process's event loop, asleep, sees it",
        }),
        floor: FLOOR,
      },
      {
        ...delayRow("commit to event loop, receiver asleep", DEFAULT, peer, "p99"),
        aim: { atLeast: 2 },
        floor: FLOOR,
      },
      {
        ...delayRow("commit to event loop, spinMs", SPINNING, peer),
        aim: { atLeast: 2 },
        ...(peer === "Unix socket" && {
          headline: "A commit until another process's event loop sees it that looks (spinMs: a core busy)",
        }),
      },
      {
        ...delayRow("commit to event loop, spinMs", SPINNING, peer, "p99"),
        aim: { atLeast: 2 },
        floor: SPIN_FLOOR,
      },
      delayRow("commit to a process that blocks in waitForChange()", "waitForChange()", peer),
      delayRow(
        "commit to a process that blocks in waitForChange() with spinMs",
        "waitForChange, spinMs",
        peer,
      ),
      delayRow("one wake of a sleeping process: the floor", "C futex", peer),
      delayRow(
        "a futex in a thread, which wakes the event loop, by hand: the floor of a futex",
        "a futex in a thread by hand",
        peer,
      ),
      delayRow(
        "a FIFO on which the event loop sleeps, by hand: a wake that only one can take",
        "a FIFO by hand",
        peer,
      ),
    ]),
    {
      ...delayRow("commit to event loop, spinMs; a store to a process that looks", SPINNING, "C futex"),
      peerMetric: "looking p50",
    },
    {
      id: "9",
      what: "an edit while another process waits for changes",
      ours: "edit, another process waits",
      peer: "edit, no process waits",
    },
  ],
  figures: [
    "waiting in changes()",
    "waiting and watching for another one",
    "looking, in changes({ spinMs })",
    "waiting for a timer",
  ].map((name) => ({
    id: "9",
    what: `CPU time of a process that is ${name}`,
    case: name,
    metric: "cpuMs",
    unit: "ms a second",
  })),
};
export default suite;

if (import.meta.main) await alone(suite);
