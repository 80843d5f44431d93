/** Row 18: cost follows what is touched: large structs, parts of them, arrays that are only read, many sleepers. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { Publisher } from "../src/channel/index.ts";
import {
  array,
  bytes,
  c_double,
  c_int32,
  Editor,
  field,
  Manager,
  MmapStructure,
  nested,
  Reader,
  Struct,
  type StructArray,
  type StructClass,
} from "../src/index.ts";
import { cpuTime, now, pause } from "./clock.ts";
import {
  alone,
  type Case,
  type Figure,
  isQuick,
  type Metrics,
  Missing,
  median,
  type Row,
  type Suite,
  timed,
} from "./harness.ts";
import { cProgram, stayOn } from "./prepare.ts";

export const WAITERS = [0, 1, 8, 64, 200];
export const SIZES = [688, 4096, 65_536, 1 << 20, 1 << 24, 1 << 28, 1 << 30];
const EDITS = isQuick ? 20 : 100;

class Pose extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
}

interface Sized extends MmapStructure {
  a: number;
  b: number;
  c: number;
  pose: Pose;
  points: StructArray<Pose>;
  rest: Uint8Array;
}

/** Structs of so many bytes, the same members at their beginning. */
function sized(byteLength: number): StructClass<Sized> {
  const count = byteLength < 10_000 ? 16 : 600;
  class Large extends MmapStructure {}
  const own = Large.prototype as Sized;
  field(c_int32)(own, "a");
  field(c_double)(own, "b");
  field(c_double)(own, "c");
  nested(Pose)(own, "pose");
  nested(Pose, count)(own, "points");
  field(bytes(byteLength - 56 - 16 * count))(own, "rest");
  return Large as unknown as StructClass<Sized>;
}

/** A directory in memory: what is on a disk the kernel writes there now and then. */
async function withMemory<R>(use: (dir: string) => R | Promise<R>): Promise<R> {
  const dir = mkdtempSync("/dev/shm/shmstruct-bench-");
  try {
    return await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const times = (count: number, run: (i: number) => unknown): (() => void) => {
  let i = 0;
  return () => {
    for (let k = 0; k < count; k++) run(i++);
  };
};

/** An edit of five fields, and lock-free looks at a member, an element and a number. */
const parts = (byteLength: number): Case => {
  return () =>
    withMemory(async (dir) => {
      const Large = sized(byteLength);
      using manager = new Manager(Large, { dir, create: true });
      using reader = new Reader(Large, { dir });
      let value = 0;
      const store = (data: Sized) => {
        data.a = value;
        data.b = value;
        data.c = value;
        data.pose.x = value;
        data.points.at(10).y = value;
      };
      const edit = times(byteLength > 1e8 ? 1 : 100, () => {
        value++;
        manager.edit(store);
      });
      const { ns = Number.NaN } = await timed(byteLength > 1e8 ? 1 : 100, edit);
      const member = await timed(
        100,
        times(100, () => reader.snapshot("pose")),
      );
      const path = byteLength < 10_000 ? "points.10" : "points.500";
      const element = await timed(
        100,
        times(100, () => reader.snapshot(path)),
      );
      const number = await timed(
        1000,
        times(1000, () => reader.snapshot("pose.x")),
      );
      const last = reader.snapshot("pose").x;
      if (last !== value || reader.snapshot("pose.x") !== value) throw new Error(`${last} is not ${value}`);
      return { ns, member: member.ns!, element: element.ns!, number: number.ns! };
    });
};

/** The least of a part: two looks at a sequence, and between them 16 bytes into new memory, or one number. */
const partByHand = (isCopied: boolean): Case => {
  return async () => {
    const [words, barrier] = [new Int32Array(256), new Int32Array(1)];
    const live = new Float64Array(words.buffer);
    live[3] = 7;
    let kept = new Float64Array(2);
    const read = (): number => {
      for (;;) {
        barrier[0] = ~barrier[0]!;
        const before = words[200]!;
        let value = live[3]!;
        if (isCopied) {
          kept = new Float64Array(2);
          kept[0] = value;
          kept[1] = live[4]!;
        }
        barrier[0] = ~barrier[0]!;
        if (isCopied) value = kept[0]!;
        if ((before & 1) === 0 && words[200] === before) return value;
      }
    };
    return await timed(
      100,
      () => {
        let sum = 0;
        for (let i = 0; i < 100; i++) sum += read();
        return sum;
      },
      700,
    );
  };
};

/** An edit of five fields over all sizes, for the chart. */
const growing: Case = () =>
  withMemory(async (dir) => {
    const metrics: Metrics = {};
    for (const size of isQuick ? SIZES.slice(0, 4) : SIZES) {
      const Large = sized(size);
      using manager = new Manager(Large, { dir, create: true, force: true });
      const measure = (run: (i: number) => unknown): number => {
        const took: number[] = [];
        const end = now() + 60e6;
        do {
          const start = now();
          run(took.length);
          took.push(now() - start);
        } while (now() < end || took.length < 3);
        return median(took);
      };
      metrics[`edit@${size}`] = measure((i) =>
        manager.edit((data) => {
          data.a = i;
          data.pose.x = i;
        }),
      );
      metrics[`part@${size}`] = measure(() => manager.snapshot("pose"));
    }
    return metrics;
  });

const FILL = 1 << 20;

const filling: Case = () =>
  withMemory(async (dir) => {
    using manager = new Manager(sized(FILL), { dir, create: true });
    const rest = new Uint8Array(FILL - 56 - 16 * 600).fill(1);
    return await timed(1, () =>
      manager.edit((data) => {
        data.rest.set(rest);
      }),
    );
  });

class Points extends MmapStructure {
  @nested(Pose, FILL / 16 - 1) points!: StructArray<Pose>;
}

/**
 * Number by number. The peer is a file that keeps no state before, and a copy of all of it before the edit: as it was done
 * before there were blocks.
 */
const fillingBySetters = (isTransactional: boolean): Case => {
  return () =>
    withMemory(async (dir) => {
      using manager = new Manager(Points, { dir, create: true, transactional: isTransactional });
      const [live, before] = [new Uint8Array(FILL), new Uint8Array(FILL)];
      let value = 0;
      const fill = ({ points }: Points) => {
        for (let i = 0; i < points.length; i++) {
          const point = points.at(i);
          point.x = value;
          point.y = value;
        }
      };
      return await timed(1, () => {
        value++;
        if (!isTransactional) before.set(live);
        manager.edit(fill);
      });
    });
};

/** The same with a DataView: with a look before each store whether its block is saved, or all kept at the beginning. */
const fillingByHand = (isByBlocks: boolean): Case => {
  return async () => {
    const [live, before] = [new Uint8Array(FILL), new Uint8Array(FILL)];
    const view = new DataView(live.buffer);
    const barrier = new Int32Array(1);
    const saved = { from: 0, room: 0 };
    const save = () => {
      const at = saved.from + saved.room;
      before.set(live.subarray(at, at + 4096), at);
      saved.room += 4096;
    };
    let value = 0;
    return await timed(1, () => {
      value++;
      saved.room = 0;
      if (!isByBlocks) before.set(live);
      for (let at = 0; at < FILL; at += 8) {
        if (isByBlocks && (at - saved.from) >>> 0 >= saved.room) save();
        barrier[0] = at;
        view.setFloat64(at, value, true);
      }
    });
  };
};

/** What keeps the state before and stores the new one, in private memory. */
const twoCopies: Case = async () => {
  const [live, before, next] = [new Uint8Array(FILL), new Uint8Array(FILL), new Uint8Array(FILL).fill(1)];
  return await timed(1, () => {
    before.set(live);
    live.set(next);
  });
};

const COUNT = 1000;
class Numbers extends MmapStructure {
  @field(array(c_double, COUNT)) values!: Float64Array;
}

/** A sum by at(i). Each case has a process of its own, so this is compiled for one class only. */
const timedSum = (values: { at(i: number): number | undefined }): ReturnType<typeof timed> =>
  timed(
    COUNT,
    () => {
      let sum = 0;
      for (let i = 0; i < COUNT; i++) sum += values.at(i) as number;
      return sum;
    },
    COUNT / 2,
  );

/** Numbers that a Reader hands out: no typed array can be made read-only, so they are reached by at(i). */
const readOnly: Case = () =>
  withMemory(async (dir) => {
    using manager = new Manager(Numbers, { dir, create: true });
    manager.edit(({ values }) => values.fill(0.5));
    using reader = new Reader(Numbers, { dir });
    using session = reader.lock();
    return await timedSum(session.data.values);
  });

/** The least of an array that can be read and not stored to, and sees what others store: a class with at(i). */
const arrayByHand: Case = async () => {
  const barrier = new Int32Array(1);
  class ReadOnly {
    readonly #values = new Float64Array(COUNT).fill(0.5);
    at(i: number): number | undefined {
      barrier[0] = ~barrier[0]!;
      return this.#values[i];
    }
  }
  return await timedSum(new ReadOnly());
};

const plainArray: Case = async () => {
  const values = new Float64Array(COUNT).fill(0.5);
  return await timed(
    COUNT,
    () => {
      let sum = 0;
      for (let i = 0; i < COUNT; i++) sum += values[i] as number;
      return sum;
    },
    COUNT / 2,
  );
};

/** Times what a role does while so many processes of its own sleep for it. */
interface Sleeping {
  readonly count: number;
  readonly act: () => void;
  readonly sleepers: Sleepers;
  /** By the clock on the wall, and by the clock of the thread's own work. */
  readonly took: number[];
  readonly worked: number[];
}

/**
 * All numbers of sleepers are there at once, each with a file of its own, and take turns: what else the machine does is the
 * same for all. The first has no sleepers. The one that acts has a processor of its own: else what is measured is how often the
 * scheduler gives the woken one the processor of the one that woke it.
 */
function inTurn(files: readonly Sleeping[], metric: string): Metrics {
  stayOn(0);
  const warmUp = files[0]!.act;
  for (let i = 0; i < EDITS; i++)
    for (const { act, sleepers, took, worked } of files) {
      sleepers.waitUntilAsleep();
      // After a pause all code and data are cold: that is not what is measured.
      for (let k = 0; k < 10; k++) warmUp();
      const [start, startOfWork] = [now(), cpuTime()];
      act();
      worked.push(cpuTime() - startOfWork);
      took.push(now() - start);
    }
  return Object.fromEntries(
    files.flatMap(({ count, took, worked }) => [
      [`${metric}@${count}`, median(took)],
      [`${metric} work@${count}`, median(worked)],
    ]),
  );
}

/** What an edit takes its writer while so many processes, in C, sleep until a commit. */
const waiting: Case = () =>
  withMemory(async (dir) => {
    using stack = new DisposableStack();
    const files: Sleeping[] = [];
    for (const count of WAITERS) {
      const own = join(dir, String(count));
      stack.use(new Manager(DemoMmapStructure, { dir: own, create: true }));
      const editor = stack.use(new Editor(DemoMmapStructure, { dir: own }));
      let value = 0;
      const act = () => {
        value++;
        editor.edit((data) => {
          data.data_int = value;
        });
      };
      for (let i = 0; i < 10_000; i++) act();
      const sleepers = stack.use(await Sleepers.start("wait", own, count));
      files.push({ count, act, sleepers, took: [], worked: [] });
    }
    return inTurn(files, "edit");
  });

/** What a message takes its publisher while so many processes, in C, sleep for one. */
const publishing: Case = () =>
  withMemory(async (dir) => {
    using stack = new DisposableStack();
    const files: Sleeping[] = [];
    const message = new Uint8Array(64).fill(1);
    for (const count of WAITERS) {
      const own = join(dir, String(count));
      const options = { dir: own, className: "Frames", create: true, payloadBytes: 64, slots: 1024 };
      const publisher = stack.use(new Publisher(Uint8Array, options));
      const act = () => publisher.send(message);
      for (let i = 0; i < 10_000; i++) act();
      const sleepers = stack.use(await Sleepers.start("subscribe", own, count));
      files.push({ count, act, sleepers, took: [], worked: [] });
    }
    return inTurn(files, "send");
  });

/** So many processes that wait for changes, on the other processor. Disposing ends them. */
class Sleepers implements Disposable {
  readonly #group: number;
  readonly #members: readonly string[];

  private constructor(group: number, members: readonly string[]) {
    this.#group = group;
    this.#members = members;
  }

  static async start(role: "wait" | "subscribe", dir: string, count: number): Promise<Sleepers> {
    if (count === 0) return new Sleepers(0, []);
    const program = cProgram("participant", dir, role, String(count));
    if ("missing" in program) throw new Missing(program.missing);
    const command = Bun.which("taskset") === null ? program : ["taskset", "--cpu-list", "1", ...program];
    // A group of its own, so that all of them can be ended at once.
    const child = Bun.spawn([...command], { stdout: "pipe", stderr: "inherit", detached: true });
    let ready = 0;
    for await (const chunk of child.stdout) {
      ready += Buffer.from(chunk).toString().split("ready").length - 1;
      if (ready >= count) return new Sleepers(child.pid, membersOf(child.pid));
    }
    throw new Error("the sleepers ended");
  }

  /** A wake goes through all of them, two by two: the next one is to find them asleep again. */
  waitUntilAsleep(): void {
    pause(1 + this.#members.length / 20);
    while (!this.#members.every((pid) => statusOf(pid)?.state === "S")) pause(1);
  }

  [Symbol.dispose](): void {
    if (this.#group !== 0) process.kill(-this.#group, "SIGKILL");
  }
}

/** State and group of a process, by proc_pid_stat(5). */
function statusOf(pid: string): { readonly state: string; readonly group: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "", , group] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state, group: Number(group) };
  } catch {
    return undefined;
  }
}

const membersOf = (group: number): string[] =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name) && statusOf(name)?.group === group);

const FLOOR =
  "the whole state before is kept at each edit, which copies all bytes; files whose state before is kept by blocks copy what is touched.";
const WAKE_FLOOR =
  "the writer wakes one sleeper, which wakes two others, and so on. By hand in C that takes the time of the rows of the floor. By the clock on the wall the writer also waits where the sleepers need its processor's attention: that is the machine's, not the writer's work.";

const FILL_FLOOR =
  "each setter looks whether its block is saved, and saves it: that keeps the compiler from moving anything out of the loop. By hand it costs what the row of the floor says. What hands out or sets whole arrays (the row above) saves its range at once.";

/** What an act takes while so many processes sleep for it, against one that sleeps. */
const asleep = (metric: "edit" | "send", name: string, count: number): readonly Row[] => {
  const what = `${metric === "edit" ? "edit" : "message of a publisher"} while ${count} processes sleep, against one that sleeps`;
  const row = { id: "18", ours: name, peer: name, aim: { atMost: 1.3 }, floor: WAKE_FLOOR };
  const isHeadline = metric === "edit" && count === 64;
  return [
    {
      ...row,
      what: `${what}: the writer's own work`,
      metric: `${metric} work@${count}`,
      peerMetric: `${metric} work@1`,
      ...(isHeadline && { headline: "Edit while 64 processes sleep, against one that sleeps" }),
    },
    { ...row, what, metric: `${metric}@${count}`, peerMetric: `${metric}@1` },
  ];
};

const [SMALL, MEDIUM, LARGE] = ["688 B", "1 MiB", "256 MiB"];

const PART_FLOOR =
  "a part is found by its path and copied into new memory, both independent of the struct's size. By hand that takes the time of the rows below; a struct of 256 MiB also has its bytes and its sequence on pages far apart.";

const part = (what: string, metric: string): Row => ({
  id: "18",
  what,
  ours: LARGE,
  peer: SMALL,
  metric,
  aim: { atMost: 1.5 },
  floor: PART_FLOOR,
});

/** What an act takes, on the wall and in work, over the numbers of sleepers. */
const sleepingFigures = (what: string, metric: string, name: string): Figure[] =>
  [metric, `${metric} work`].flatMap((which) =>
    WAITERS.map((count) => ({
      id: "18",
      what: `${what} while so many processes sleep${which === metric ? "" : ", its own work"}: ${count}`,
      case: name,
      metric: `${which}@${count}`,
      unit: "ns",
    })),
  );

const suite: Suite = {
  title: "Large structs, parts of them, many sleepers",
  file: import.meta.filename,
  honest:
    "the structs have the same members at their beginning and differ in the bytes behind them; the peer of the edits and of the parts is the same code with a struct of 688 bytes. What was stored is read back by another role. The sleepers are processes in C with shmstruct.h, which take little of the processors beside the wake itself; they have one processor and the writer the other one. 'Its own work' is the clock of the writer's thread, which stands still while others have its processor.",
  idle: "nothing.",
  cases: {
    [SMALL]: parts(688),
    [MEDIUM]: parts(1 << 20),
    [LARGE]: parts(1 << 28),
    "a part by hand": partByHand(true),
    "a number by hand": partByHand(false),
    growing,
    "an edit that fills 1 MiB": filling,
    "two copies of 1 MiB": twoCopies,
    "an edit that fills 1 MiB by setters": fillingBySetters(true),
    "an edit that fills 1 MiB by setters, all of it kept at the beginning": fillingBySetters(false),
    "by setters, by hand": fillingByHand(true),
    "all kept at the beginning, by hand": fillingByHand(false),
    "array of a Reader": readOnly,
    Float64Array: plainArray,
    "array by hand": arrayByHand,
    waiting,
    publishing,
  },
  programs: () => ({ "C, handed on": cProgram("hand-on") }),
  rows: [
    {
      id: "18",
      what: "edit of five fields, 1 MiB",
      ours: MEDIUM,
      peer: SMALL,
      aim: { atMost: 1.5 },
      floor: FLOOR,
      headline: "Edit of five fields in a struct of 1 MiB",
    },
    {
      id: "18",
      what: "edit of five fields, 256 MiB",
      ours: LARGE,
      peer: SMALL,
      aim: { atMost: 2 },
      floor: FLOOR,
      headline: "Edit of five fields in a struct of 256 MiB",
    },
    part('snapshot("pose") of 256 MiB', "member"),
    part('snapshot("points.500") of 256 MiB; of 688 B "points.10"', "element"),
    part('snapshot("pose.x") of 256 MiB', "number"),
    {
      id: "18",
      what: 'snapshot("pose") of 256 MiB, against 16 bytes copied by hand: the floor',
      ours: LARGE,
      peer: "a part by hand",
      metric: "member",
      peerMetric: "ns",
      headline: "A consistent copy of one member of 256 MiB, lock-free",
    },
    {
      id: "18",
      what: 'snapshot("pose.x") of 256 MiB, against a number read by hand: the floor',
      ours: LARGE,
      peer: "a number by hand",
      metric: "number",
      peerMetric: "ns",
    },
    {
      id: "18",
      what: "edit that fills 1 MiB",
      ours: "an edit that fills 1 MiB",
      peer: "two copies of 1 MiB",
    },
    {
      id: "18",
      what: "edit that fills 1 MiB number by number, through setters",
      ours: "an edit that fills 1 MiB by setters",
      peer: "an edit that fills 1 MiB by setters, all of it kept at the beginning",
      aim: { atMost: 1 },
      floor: FILL_FLOOR,
    },
    {
      id: "18",
      what: "filling 1 MiB number by number by hand, with a look before each store: the floor",
      ours: "by setters, by hand",
      peer: "all kept at the beginning, by hand",
    },
    {
      id: "18",
      what: "numbers of a Reader, at(i), against [i] of a Float64Array",
      ours: "array of a Reader",
      peer: "Float64Array",
    },
    {
      id: "18",
      what: "numbers of a class by hand with at(i), against [i] of a Float64Array: the floor",
      ours: "array by hand",
      peer: "Float64Array",
    },
    ...[8, 64, 200].flatMap((count) => asleep("edit", "waiting", count)),
    ...[8, 64, 200].flatMap((count) => asleep("send", "publishing", count)),
    ...[64, 200].flatMap((count) =>
      ["one work", "one"].map(
        (metric): Row => ({
          id: "18",
          what: `the wake alone in C, ${count} sleepers that hand on, against one: the floor${metric === "one" ? "" : " of the work"}`,
          ours: "C, handed on",
          peer: "C, handed on",
          metric: `${metric}@${count}`,
          peerMetric: `${metric}@1`,
        }),
      ),
    ),
    {
      id: "18",
      what: "the wake alone in C, of all 64 by the writer, against one",
      ours: "C, handed on",
      peer: "C, handed on",
      metric: "all@64",
      peerMetric: "one@1",
    },
  ],
  figures: [
    {
      id: "18",
      what: 'snapshot("pose.x")',
      case: SMALL,
      metric: "number",
      unit: "ns",
      atMost: 60,
      floor: PART_FLOOR,
    },
    { id: "18", what: 'snapshot("pose")', case: SMALL, metric: "member", unit: "ns" },
    { id: "18", what: 'snapshot("points.500") of 256 MiB', case: LARGE, metric: "element", unit: "ns" },
    ...sleepingFigures("edit", "edit", "waiting"),
    ...sleepingFigures("message of a publisher", "send", "publishing"),
    ...SIZES.map((size) => ({
      id: "18",
      what: `edit of two fields; bytes: ${size}`,
      case: "growing",
      metric: `edit@${size}`,
      unit: "ns",
    })),
    ...SIZES.map((size) => ({
      id: "18",
      what: `snapshot("pose"); bytes: ${size}`,
      case: "growing",
      metric: `part@${size}`,
      unit: "ns",
    })),
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
