/**
 * Two checkouts of the library against each other, by what both have: `bun bench/versions.ts BEFORE AFTER [batches = 101]`. Both
 * are loaded in one process, and small batches of calls of the one and of the other take turns, so that whatever else runs on
 * the machine slows both: told are the medians, of processor time, and the median of the ratios of neighbours.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Row } from "./versions-rows.ts";

const [before = "", after = "", batches = "101"] = process.argv.slice(2);
await compare(before, after, Number(batches));

async function compare(first: string, second: string, count: number): Promise<void> {
  const dirs = [first, second].map(() => mkdtempSync(join(tmpdir(), "shmstruct-versions-")));
  const [was, is] = [await ownRows(first, dirs[0]!), await ownRows(second, dirs[1]!)];
  console.log("| row | before, ns | after, ns | after / before |\n| --- | --- | --- | --- |");
  for (const [i, [name, call, calls]] of was.entries()) {
    const pairs = pairsOf(call, is[i]![1], calls, count);
    const [a, b] = [median(pairs.map(([x]) => x)), median(pairs.map(([, y]) => y))];
    const ratio = median(pairs.map(([x, y]) => y / x));
    console.log(`| ${name} | ${a.toPrecision(3)} | ${b.toPrecision(3)} | ${ratio.toFixed(2)} |`);
  }
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
}

function pairsOf(a: () => unknown, b: () => unknown, calls: number, count: number): [number, number][] {
  // Compiled as far as they ever are.
  for (let i = 0; i < 20; i++) for (const call of [a, b]) timeOf(call, calls);
  return Array.from({ length: count }, (_, i): [number, number] => {
    if (i % 2 === 0) return [timeOf(a, calls), timeOf(b, calls)];
    const second = timeOf(b, calls);
    return [timeOf(a, calls), second];
  });
}

/** From a copy of the module for each: calls that both share would be compiled for both, and slower for either. */
async function ownRows(root: string, dir: string): Promise<Row[]> {
  const path = join(import.meta.dir, `versions-rows.ts?${root}`);
  const { rowsOf }: typeof import("./versions-rows.ts") = await import(path);
  return rowsOf(root, dir);
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
