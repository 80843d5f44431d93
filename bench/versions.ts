/**
 * Two checkouts of the library against each other, by what both have: `bun bench/versions.ts BEFORE AFTER [rounds = 9]`. The
 * rows run in a process of each in turn; told is the median of the ratios after / before.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

type Row = [name: string, nanoseconds: number];

const [first = "", second = "", third = "9"] = process.argv.slice(2);
if (first === "measure") console.log(JSON.stringify(await measure(second)));
else compare(first, second, Number(third));

function compare(before: string, after: string, rounds: number): void {
  const times = new Map<string, [number, number][]>();
  for (let round = 0; round < rounds; round++) {
    const [a, b] = round % 2 === 0 ? [run(before), run(after)] : [run(after), run(before)].reverse();
    for (const [i, [name, ns]] of a!.entries())
      times.set(name, [...(times.get(name) ?? []), [ns, b![i]![1]]]);
  }
  console.log("| row | before, ns | after, ns | after / before |\n| --- | --- | --- | --- |");
  for (const [name, pairs] of times) {
    const [was, is] = [median(pairs.map(([x]) => x)), median(pairs.map(([, y]) => y))];
    const ratio = median(pairs.map(([x, y]) => y / x));
    console.log(`| ${name} | ${was.toPrecision(3)} | ${is.toPrecision(3)} | ${ratio.toFixed(2)} |`);
  }
}

function run(root: string): Row[] {
  const { stdout } = Bun.spawnSync([process.execPath, import.meta.path, "measure", root], {
    stderr: "inherit",
  });
  return JSON.parse(stdout.toString());
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number;
}

/** The least processor time of a call, of some tries: what else runs on the machine does not count. */
function timeOf(call: () => unknown, calls: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < Math.min(calls, 10_000); i++) call();
  for (let turn = 0; turn < 5; turn++) {
    const start = process.cpuUsage();
    for (let i = 0; i < calls; i++) call();
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, ((user + system) * 1000) / calls);
  }
  return best;
}

async function measure(root: string): Promise<Row[]> {
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
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-versions-"));
  using manager = new Manager(Robot, { dir, create: true });
  using editor = new Editor(Robot, { dir });
  using reader = new Reader(Robot, { dir });
  using master = new JsonMap({ dir, file: "document", role: "master" });
  using follower = new JsonMap({ dir, file: "document", role: "follower" });
  const { live } = manager;
  const edit = (data: Robot): void => {
    data.count = (data.count + 1) | 0;
  };
  const into = reader.snapshot();
  let n = 0;
  const rows: [string, () => unknown, number][] = [
    ["edit(fn), one store", () => editor.edit(edit), 5000],
    ["set(path, value)", () => editor.set("count", n++ & 255), 5000],
    ["lock(), release() of a Reader", () => reader.lock().release(), 5000],
    ["get(path)", () => reader.get("count"), 5000],
    ["snapshot(), 664 B", () => reader.snapshot(), 50_000],
    ["snapshot(into), 664 B", () => reader.snapshot(into), 50_000],
    ["version", () => reader.version, 10_000],
    ["a field of live", () => (live.count = (live.count + 1) | 0), 1_000_000],
    ["new Reader, close()", () => new Reader(Robot, { dir }).close(), 200],
    ["a document: write", () => master.write({ n: n++ }), 1000],
    ["a document: read", () => follower.read(), 2000],
  ];
  const measured = rows.map(([name, call, calls]): Row => [name, timeOf(call, calls)]);
  rmSync(dir, { recursive: true, force: true });
  return measured;
}
