/** Row 12, and the scale that structs are meant for: more readers, more structs, more bytes, more classes, more fields. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import {
  bytes,
  c_double,
  c_int32,
  create,
  field,
  Manager,
  MmapStructure,
  nested,
  Reader,
  Struct,
  type StructArray,
  type StructClass,
} from "../src/index.ts";
import { openFile } from "../src/sys/file.ts";
import { O_RDWR } from "../src/sys/libc/constants.ts";
import { Mapping } from "../src/sys/mapping.ts";
import { cpuTime, now, pause } from "./clock.ts";
import {
  alone,
  type Case,
  type Figure,
  isQuick,
  type Metrics,
  median,
  type Row,
  type Suite,
} from "./harness.ts";
import { startOther } from "./others.ts";
import { cProgram, inTempDir } from "./prepare.ts";

export const READERS = isQuick ? [1, 8] : [1, 2, 4, 8, 16, 32, 64];
export const STRUCTS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
export const BYTES = [64, 1024, 16_384, 262_144, 4_194_304, 67_108_864, 268_435_456];

/** The median time of a call in nanoseconds, from so many calls that it takes some 50 ms. */
function time(work: () => void, leastCalls = 3): number {
  const start = now();
  const times: number[] = [];
  do {
    const before = now();
    work();
    times.push(now() - before);
  } while (times.length < leastCalls || now() - start < 50e6);
  return median(times);
}

/** More and more processes wait for changes: what an edit costs the writer, and until all have seen it. */
const readers: Case = () =>
  inTempDir(async (dir) => {
    using manager = new Manager(DemoMmapStructure, { dir, create: true });
    const path = join(dir, "seen");
    writeFileSync(path, new Uint8Array(4 * 64));
    using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 4 * 64, path });
    const seen = new Int32Array(mapping.buffer);
    using stack = new DisposableStack();
    const metrics: Metrics = {};
    let value = 0;
    let started = 0;
    const edit = () => {
      value++;
      manager.edit((data) => {
        data.data_int = value;
      });
    };
    const settle = (count: number) => {
      while (!seen.subarray(0, count).every((s) => s === value)) pause(0.02);
    };
    // Compiled before anything is timed.
    for (let i = 0; i < 20_000; i++) edit();
    for (const count of READERS) {
      for (; started < count; started++)
        stack.use(await startOther("follower", [dir, path, String(started)]));
      const until: number[] = [];
      const edits: number[] = [];
      const work: number[] = [];
      for (let i = 0; i < 40; i++) {
        pause(1);
        const [before, workBefore] = [now(), cpuTime()];
        edit();
        work.push(cpuTime() - workBefore);
        edits.push(now() - before);
        settle(count);
        until.push(now() - before);
      }
      metrics[`edit@${count}`] = median(edits);
      metrics[`work@${count}`] = median(work);
      metrics[`all@${count}`] = median(until);
    }
    return metrics;
  });

class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
}

/** A struct with an array of `count` structs. */
function pathOf(count: number): StructClass<MmapStructure & { points: StructArray<Point> }> {
  class Path extends MmapStructure {
    points!: StructArray<Point>;
  }
  nested(Point, count)(Path.prototype, "points");
  return Path;
}

/** Opening a file with an array of structs, the first access, and reading all of it. */
const structs: Case = () => {
  const metrics: Metrics = {};
  for (const count of STRUCTS) {
    const start = now();
    const path = create(pathOf(count));
    path.points.at(count - 1).x = 1;
    metrics[`first@${count}`] = now() - start;
    const read = () => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += path.points.at(i).x;
      if (sum !== 1) throw new Error(`the sum is ${sum}`);
    };
    // Compiled for all sizes alike.
    for (let i = 0; i < 3e6; i += count) read();
    metrics[`each@${count}`] = time(read) / count;
  }
  return metrics;
};

/** A struct of `count` bytes, header included. */
function blobOf(count: number): StructClass<MmapStructure & { blob: Uint8Array }> {
  class Blob extends MmapStructure {
    blob!: Uint8Array;
  }
  field(bytes(count - 16))(Blob.prototype, "blob");
  return Blob;
}

/** In memory where there is such a directory: the disk is not what is measured. */
function inFastDir<T>(use: (dir: string) => T): T {
  const dir = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "shmstruct-bench-"));
  try {
    return use(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Structs from 64 bytes to 256 MiB: opening the file, an edit that is handed all of it, a snapshot. */
const sizes: Case = () =>
  inFastDir((dir) => {
    const metrics: Metrics = {};
    for (const count of BYTES) {
      const Blob = blobOf(count);
      using manager = new Manager(Blob, { dir, create: true, force: true });
      metrics[`open@${count}`] = time(() => new Reader(Blob, { dir }).close());
      metrics[`edit@${count}`] = time(() =>
        manager.edit((data) => {
          data.blob[0] = 1;
        }),
      );
      const copy = manager.snapshot();
      metrics[`snapshot@${count}`] = time(() => {
        if (manager.snapshot(copy).blob[0] !== 1) throw new Error("not the last edit");
      });
    }
    return metrics;
  });

/** A class of its own with `count` fields. */
function wideClass(count: number): StructClass<Struct & Record<string, number>> {
  class Wide extends Struct {}
  for (let i = 0; i < count; i++) field<number>(c_int32)(Wide.prototype as never, `f${i}` as never);
  return Wide as never;
}

/** Nanoseconds of the thread's work for definition, and for layout, view class and first access, per class of `fields` fields. */
function defineMany(classes: number, fields: number): { define: number; first: number } {
  const start = cpuTime();
  const made = Array.from({ length: classes }, () => wideClass(fields));
  const defined = cpuTime();
  for (const cls of made) {
    const view = create(cls);
    view.f0 = 1;
    if (view.f0 !== 1) throw new Error("not what was stored");
  }
  return { define: (defined - start) / classes, first: (cpuTime() - defined) / classes };
}

const classes: Case = () => {
  const cold = defineMany(1, 20);
  const hundred = defineMany(100, 20);
  const thousand = defineMany(1000, 20);
  return {
    "first@cold": cold.first,
    "define@100": hundred.define,
    "define@1000": thousand.define,
    "first@100": hundred.first,
    "first@1000": thousand.first,
  };
};

/** The least that gives a class of 20 checked fields in a fresh process: a layout, a class as text, compiled. */
const classByHand: Case = () => {
  const start = cpuTime();
  const members = Array.from({ length: 20 }, (_, i) => ({ name: `f${i}`, size: 4, align: 4, offset: 0 }));
  let size = 0;
  for (const member of members) {
    member.offset = Math.ceil(size / member.align) * member.align;
    size = member.offset + member.size;
  }
  const accessors = members.map(
    ({ name, offset }) => `get ${name}() { return this.#view.getInt32(this.#offset + ${offset}, true); }
  set ${name}(v) {
    if ((v | 0) !== v) refuse("${name}", v);
    this.#view.setInt32(this.#offset + ${offset}, v, true);
  }`,
  );
  const refuse = (name: string, value: unknown) => {
    throw new TypeError(`${name}: ${value}`);
  };
  const text = `return class {
  #view; #offset;
  constructor(view, offset) { this.#view = view; this.#offset = offset; }
  ${accessors.join("\n  ")}
};`;
  const Wide = new Function("refuse", text)(refuse) as new (view: DataView, offset: number) => { f0: number };
  const view = new Wide(new DataView(new ArrayBuffer(size)), 0);
  view.f0 = 1;
  if (view.f0 !== 1) throw new Error("not what was stored");
  return { "first@cold": cpuTime() - start };
};

const fields: Case = () => {
  defineMany(100, 20);
  const some = defineMany(1, 500);
  const many = defineMany(1, 5000);
  return {
    "define@500": some.define / 500,
    "define@5000": many.define / 5000,
    "first@500": some.first / 500,
    "first@5000": many.first / 5000,
    "all@5000": many.define + many.first,
  };
};

const figure = (what: string, name: string, metric: string): Figure => ({
  id: "12",
  what,
  case: name,
  metric,
  unit: "ns",
});

const FIRST_FLOOR =
  "the first class of a process also pays for what all classes need: some ninety functions of the library, each parsed and compiled to bytecode at its first call, which takes two thirds of the time (BUN_JSC_reportParseTimes=1 and BUN_JSC_reportBytecodeCompileTimes=1 list them; there were fifty before numbers that no other program sees half of, blocks and snapshots in memory of their own). By hand, for numbers alone and without errors that name the field, a class as text takes the time of the row below. Every later class is far below the aim.";

const firstAccess = (what: string, metric: string): Figure => ({
  ...figure(`first access of ${what}`, "classes", metric),
  atMost: 1e6,
  floor: FIRST_FLOOR,
});

const READERS_FLOOR =
  "the writer wakes one process, which wakes two, and so on (locking.md). What an edit takes beyond one waiter's is the processor: 64 processes of Bun, each with a thread and an event loop, have their turns on as few as there are, and may take the writer's before edit() returns. The rows of issue 18 have sleepers in C, and the wake alone beside them.";

/** C processes that do nothing but wake: how much of it is the kernel's, on as many processors. */
const againstC = (what: string, metric: string): Row => ({
  id: "12",
  what,
  ours: "readers",
  peer: "C futex",
  metric,
});

const suite: Suite = {
  title: "Growth",
  file: import.meta.filename,
  honest:
    "readers are processes of their own that wait in changes() and write down what they have seen, as do those in C; when more wake than there are processors, they take the writer's too, so an edit grows with all that they do; sums are checked; every snapshot must show the last edit; classes differ and each is used once.",
  idle: "each process that waits in changes() costs what the table of row 9 says, whatever their number; structs and files cost nothing.",
  cases: { readers, structs, sizes, classes, "a class by hand": classByHand, fields },
  programs: () => ({ "C futex": cProgram("wake-many") }),
  rows: [
    ...[1, 8, 64].map((n) => againstC(`an edit; processes that wait for changes: ${n}`, `edit@${n}`)),
    {
      id: "12",
      what: "an edit while 64 processes of Bun wait for changes, against one that waits: the writer's own work",
      ours: "readers",
      peer: "readers",
      metric: "work@64",
      peerMetric: "work@1",
      aim: { atMost: 1.3 },
      floor: READERS_FLOOR,
    },
    {
      id: "12",
      what: "an edit while 64 processes of Bun wait, against one, by the clock on the wall: they take the writer's processor",
      ours: "readers",
      peer: "readers",
      metric: "edit@64",
      peerMetric: "edit@1",
    },
    ...[1, 8, 64].map((n) => againstC(`until all have seen it; processes: ${n}`, `all@${n}`)),
  ],
  figures: [
    ...[1, 1000, 1_000_000].map((n) =>
      figure(`create and first access; structs in an array: ${n}`, "structs", `first@${n}`),
    ),
    ...[1, 1000, 1_000_000].map((n) =>
      figure(`read of one; structs in an array: ${n}`, "structs", `each@${n}`),
    ),
    ...[64, 262_144, 268_435_456].map((n) => figure(`opening a Reader; bytes: ${n}`, "sizes", `open@${n}`)),
    ...[64, 262_144, 268_435_456].map((n) =>
      figure(
        `an edit that is handed all bytes as one raw array, which keeps all of them before it; bytes: ${n}`,
        "sizes",
        `edit@${n}`,
      ),
    ),
    ...[64, 262_144, 268_435_456].map((n) =>
      figure(`a snapshot into memory that is there; bytes: ${n}`, "sizes", `snapshot@${n}`),
    ),
    firstAccess("the very first class, 20 fields", "first@cold"),
    figure(
      "the least by hand: a layout and a class as text, in a fresh process",
      "a class by hand",
      "first@cold",
    ),
    ...[100, 1000].map((n) => firstAccess(`a class of 20 fields; classes: ${n}`, `first@${n}`)),
    ...[100, 1000].map((n) =>
      figure(`definition of a class of 20 fields; classes: ${n}`, "classes", `define@${n}`),
    ),
    ...[500, 5000].map((n) =>
      figure(`definition of a field; fields in the class: ${n}`, "fields", `define@${n}`),
    ),
    ...[500, 5000].map((n) =>
      figure(`first access, per field; fields in the class: ${n}`, "fields", `first@${n}`),
    ),
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
