/**
 * Two checkouts of the library against each other, by what both have: `bun bench/versions.ts BEFORE AFTER [batches = 101]`. Both
 * are loaded in one process, and small batches of calls of the one and of the other take turns, so that whatever else runs on
 * the machine slows both: told are the medians, of processor time, and the median of the ratios of neighbours.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Row = [name: string, call: () => unknown, calls: number];

const [before = "", after = "", batches = "101"] = process.argv.slice(2);
await compare(before, after, Number(batches));

async function compare(first: string, second: string, count: number): Promise<void> {
  const dirs = [first, second].map(() => mkdtempSync(join(tmpdir(), "shmstruct-versions-")));
  const [was, is] = [await rowsOf(first, dirs[0]!), await rowsOf(second, dirs[1]!)];
  console.log("| row | before, ns | after, ns | after / before |\n| --- | --- | --- | --- |");
  for (const [i, [name, call, calls]] of was.entries()) {
    const pairs = pairsOf(call, is[i]![1], calls, count);
    const [a, b] = [median(pairs.map(([x]) => x)), median(pairs.map(([, y]) => y))];
    const ratio = median(pairs.map(([x, y]) => y / x));
    console.log(`| ${name} | ${a.toPrecision(3)} | ${b.toPrecision(3)} | ${ratio.toFixed(2)} |`);
  }
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
}

function pairsOf(
  a: () => unknown,
  b: () => unknown,
  calls: number,
  count: number,
): [number, number][] {
  // Compiled as far as they ever are.
  for (let i = 0; i < 20; i++) for (const call of [a, b]) timeOf(call, calls);
  return Array.from({ length: count }, (_, i): [number, number] => {
    if (i % 2 === 0) return [timeOf(a, calls), timeOf(b, calls)];
    const second = timeOf(b, calls);
    return [timeOf(a, calls), second];
  });
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number;
}

/** Processor time of a call, ns. */
function timeOf(call: () => unknown, calls: number): number {
  const start = process.cpuUsage();
  for (let i = 0; i < calls; i++) call();
  const { user, system } = process.cpuUsage(start);
  return ((user + system) * 1000) / calls;
}

async function rowsOf(root: string, dir: string): Promise<Row[]> {
  const { array, c_double, c_int32, Editor, field, Manager, MmapStructure, Reader } = await import(
    join(root, "src/index.ts")
  );
  const hasRooms = await Bun.file(join(root, "src/document/index.ts")).exists();
  const { JsonMap } = await import(join(root, "src", hasRooms ? "document" : "json", "index.ts"));
  class Robot extends MmapStructure {
    declare count: number;
    declare values: Float64Array;
  }
  field(c_int32)(Robot.prototype, "count");
  field(array(c_double, 80))(Robot.prototype, "values");
  const manager = new Manager(Robot, { dir, create: true });
  const editor = new Editor(Robot, { dir });
  const reader = new Reader(Robot, { dir });
  const master = new JsonMap({ dir, file: "document", role: "master" });
  const follower = new JsonMap({ dir, file: "document", role: "follower" });
  const { live } = manager;
  const edit = (data: Robot): void => {
    data.count = (data.count + 1) | 0;
  };
  const into = reader.snapshot();
  let n = 0;
  return [
    ["edit(fn), one store", () => editor.edit(edit), 500],
    ["set(path, value)", () => editor.set("count", n++ & 255), 500],
    ["lock(), release() of a Reader", () => reader.lock().release(), 500],
    ["get(path)", () => reader.get("count"), 1000],
    ["snapshot(), 664 B", () => reader.snapshot(), 10_000],
    ["snapshot(into), 664 B", () => reader.snapshot(into), 20_000],
    ["version", () => reader.version, 2000],
    ["a field of live", () => (live.count = (live.count + 1) | 0), 500_000],
    ["new Reader, close()", () => new Reader(Robot, { dir }).close(), 20],
    ["a document: write", () => master.write({ n: n++ }), 300],
    ["a document: read", () => follower.read(), 1000],
  ];
}
