/** Rows 7 and 8: a consistent copy of the demo struct, while another process writes it. */
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { bytesOf, Manager, Reader, sizeof } from "../src/index.ts";
import { AT, FOOTER_BYTES } from "../src/segment/footer.ts";
import { alone, type Case, type Metrics, Missing, type Suite, timed } from "./harness.ts";
import { startOther } from "./others.ts";
import { cProgram, hasPackage, inTempDir } from "./prepare.ts";

const TURNS = 1000;
const SIZE = sizeof(DemoMmapStructure);

/** With a file, and a process that edits it about every millisecond. */
const beside = (work: (reader: Reader<DemoMmapStructure>, dir: string) => Promise<Metrics>): Case => {
  return () =>
    inTempDir(async (dir) => {
      using _manager = new Manager(DemoMmapStructure, { dir, create: true });
      using _writer = await startOther("writer", [dir]);
      using reader = new Reader(DemoMmapStructure, { dir });
      return await work(reader, dir);
    });
};

/** Times `read`, which gives a field if another one agrees with it, as one edit sets both; edits must be seen. */
async function agreeing(read: () => number | undefined): Promise<Metrics> {
  const seen = new Set<number>();
  const run = () => {
    let last = 0;
    for (let i = 0; i < TURNS; i++) {
      const value = read();
      if (value === undefined) throw new Error("torn: two fields of one edit do not agree");
      last = value;
    }
    seen.add(last);
  };
  const metrics = await timed(TURNS, run);
  if (seen.size < 2) throw new Error("no edit of the other process was seen");
  return metrics;
}

const agreed = ({ data_int, data_xy }: DemoMmapStructure): number | undefined =>
  data_int === data_xy.x ? data_int : undefined;

/** The same two fields, by their offsets. */
const agreedIn = (view: DataView, start = 0): number | undefined => {
  const value = view.getInt32(start + 16, true);
  return value === view.getFloat64(start + 280, true) ? value : undefined;
};

const snapshots = beside((reader) => agreeing(() => agreed(reader.snapshot())));

/** The same into the memory of the snapshot before. */
const reused = beside((reader) => {
  let copy = reader.snapshot();
  return agreeing(() => {
    copy = reader.snapshot(copy);
    return agreed(copy);
  });
});

const lockedReads = beside((reader) =>
  agreeing(() => {
    const copy = reader.read((data) => bytesOf(data).slice());
    return agreedIn(new DataView(copy.buffer, copy.byteOffset));
  }),
);

/**
 * What JavaScript cannot do without: one `set` between two looks at the sequence. `copies` of them share memory; then
 * comes new memory, or, if that is one, the same again.
 */
const byHand = (copies: number): Case =>
  beside((reader) => {
    const file = new Uint8Array(Bun.mmap(reader.path, { shared: true }).buffer);
    const sequence = new Int32Array(file.buffer, file.length - FOOTER_BYTES + AT.sequence, 1);
    const live = file.subarray(0, SIZE);
    const barrier = new Int32Array(1);
    let memory = new Uint8Array(copies * SIZE);
    let view = new DataView(memory.buffer);
    let used = 0;
    return agreeing(() => {
      if (used === copies) {
        used = 0;
        if (copies > 1) {
          memory = new Uint8Array(copies * SIZE);
          view = new DataView(memory.buffer);
        }
      }
      const start = used++ * SIZE;
      for (;;) {
        barrier[0] = 0;
        const before = sequence[0]!;
        memory.set(live, start);
        barrier[0] = 0;
        if ((before & 1) === 0 && sequence[0] === before) break;
      }
      return agreedIn(view, start);
    });
  });

/** Memory of its own for each copy, read as words, with the number of 64 bits put together from two of them. */
const byHandOwn = (hasBuffer: boolean): Case =>
  beside((reader) => {
    const file = new Int32Array(Bun.mmap(reader.path, { shared: true }).buffer);
    const at = (file.byteLength - FOOTER_BYTES + AT.sequence) / 4;
    const live = file.subarray(0, SIZE / 4);
    const barrier = new Int32Array(1);
    const wide = new Float64Array(1);
    const halves = new Int32Array(wide.buffer);
    return agreeing(() => {
      const memory = new Int32Array(SIZE / 4);
      const view = hasBuffer ? new DataView(memory.buffer) : undefined;
      for (;;) {
        barrier[0] = 0;
        const before = file[at]!;
        memory.set(live);
        barrier[0] = 0;
        if ((before & 1) === 0 && file[at] === before) break;
      }
      if (view !== undefined) return agreedIn(view);
      [halves[0], halves[1]] = [memory[70]!, memory[71]!];
      return memory[4] === wide[0] ? memory[4] : undefined;
    });
  });

interface Lmdb {
  open(options: object): {
    put(key: string, value: Uint8Array): Promise<boolean>;
    get(key: string): Uint8Array;
    resetReadTxn(): void;
    close(): Promise<void>;
  };
}

const lmdbGets: Case = () =>
  inTempDir(async (dir) => {
    const name = "lmdb";
    if (!hasPackage(name)) throw new Missing(`${name} is not installed`);
    const { open } = (await import(name)) as Lmdb;
    const db = open({ path: join(dir, "data.mdb"), encoding: "binary" });
    const value = new DataView(new ArrayBuffer(SIZE));
    value.setInt32(16, 7, true);
    value.setFloat64(280, 7, true);
    await db.put("demo", new Uint8Array(value.buffer));
    const run = () => {
      let sum = 0;
      for (let i = 0; i < TURNS; i++) {
        // Without this every get of a turn of the event loop gives the state at its beginning.
        db.resetReadTxn();
        const bytes = db.get("demo");
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        sum += view.getInt32(16, true) + view.getFloat64(280, true);
      }
      return sum;
    };
    const metrics = await timed(TURNS, run, 14 * TURNS);
    await db.close();
    return metrics;
  });

const inC: Case = beside(async (reader) => {
  const program = cProgram("snapshot", reader.path);
  if ("missing" in program) throw new Missing(program.missing);
  const { stdout, stderr, exitCode } = Bun.spawnSync([...program]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return JSON.parse(stdout.toString());
});

const FLOOR =
  "memory of its own, which another snapshot's transfer or clone does not touch and which keeps no other alive. New memory is zeroed first, is in no cache, and is collected later: by hand a new typed array for each copy takes the time of the row of the floor, an ArrayBuffer with a DataView several times as much. So a snapshot is a typed array, whose ArrayBuffer is made when it is asked for (bytesOf, numeric arrays, text). What ours adds are the objects to read it by: its view and one for the nested struct that is read. A program that takes many snapshots gives an old one to snapshot(into).";

const INTO_FLOOR =
  "by hand in JavaScript, with no role, no look whether the file was replaced, and no check of what is given, it takes the time of the row of the floor, most of it the call that copies. The compiler does not in every process put the whole way from the role to the copy into one piece of code.";

const suite: Suite = {
  title: `A snapshot of the demo struct, ${SIZE} bytes`,
  file: import.meta.filename,
  honest:
    "another process edits the file about every millisecond. Two fields of every copy are read; they must belong to one edit, and edits must be seen. A snapshot() is memory of its own that stays as it is; snapshot(into) and the C program copy into the same memory again and again. lmdb reads what no process writes.",
  idle: "nothing: a snapshot needs no thread, no timer and no system call.",
  cases: {
    "snapshot()": snapshots,
    "snapshot(into)": reused,
    "C seqlock": inC,
    "seqlock by hand": byHand(1),
    "seqlock by hand, new memory": byHand(Math.floor(32_768 / SIZE)),
    "seqlock by hand, a typed array each": byHandOwn(false),
    "seqlock by hand, an ArrayBuffer each": byHandOwn(true),
    "lmdb get": lmdbGets,
    "read() of all bytes": lockedReads,
  },
  rows: [
    {
      id: "7",
      what: "snapshot(into)",
      ours: "snapshot(into)",
      peer: "C seqlock",
      aim: { atMost: 3 },
      floor: INTO_FLOOR,
    },
    {
      id: "7",
      what: "snapshot()",
      ours: "snapshot()",
      peer: "C seqlock",
      aim: { atMost: 5 },
      floor: FLOOR,
      headline: "A consistent copy of 688 bytes, lock-free",
    },
    {
      id: "7",
      what: "snapshot(), against a new typed array each by hand: what the library adds to the floor",
      ours: "snapshot()",
      peer: "seqlock by hand, a typed array each",
    },
    {
      id: "7",
      what: "snapshot(into), against a seqlock by hand in JavaScript: what the library adds to the floor",
      ours: "snapshot(into)",
      peer: "seqlock by hand",
    },
    {
      id: "7",
      what: "a consistent copy by hand into a new typed array each: the floor",
      ours: "seqlock by hand, a typed array each",
      peer: "C seqlock",
    },
    {
      id: "7",
      what: "a consistent copy by hand into a new ArrayBuffer with a DataView each",
      ours: "seqlock by hand, an ArrayBuffer each",
      peer: "C seqlock",
    },
    {
      id: "7",
      what: "a consistent copy by hand in JavaScript, into the memory of an earlier one",
      ours: "seqlock by hand",
      peer: "C seqlock",
    },
    {
      id: "7",
      what: "a consistent copy by hand into new memory that 47 copies share",
      ours: "seqlock by hand, new memory",
      peer: "C seqlock",
    },
    {
      id: "8",
      what: "snapshot()",
      ours: "snapshot()",
      peer: "lmdb get",
      aim: { atLeast: 10 },
      floor: FLOOR,
    },
    {
      id: "8",
      what: "snapshot(into)",
      ours: "snapshot(into)",
      peer: "lmdb get",
      aim: { atLeast: 10 },
      headline: "A consistent copy of 688 bytes into an earlier one, lock-free",
    },
    {
      id: "8",
      what: "by hand into new memory that 47 copies share",
      ours: "seqlock by hand, new memory",
      peer: "lmdb get",
    },
    { id: "8", what: "snapshot()", ours: "snapshot()", peer: "read() of all bytes", aim: { atLeast: 5 } },
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
