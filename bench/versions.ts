/**
 * Two checkouts of the library against each other, by what both have: `bun bench/versions.ts BEFORE AFTER [batches = 101]`. Both
 * are loaded in one process, and small batches of calls of the one and of the other take turns, so that whatever else runs on
 * the machine slows both: told are the medians, of processor time, and the median of the ratios of neighbours.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Row } from "./versions-rows.ts";

/** Of the two calls of a row, once before all rows and once before its own. */
const WARM_UP_MS = 500;

const [before = "", after = "", batches = "101"] = process.argv.slice(2);
await compare(before, after, Number(batches));

async function compare(first: string, second: string, count: number): Promise<void> {
  const dirs = [first, second].map(() => mkdtempSync(join(tmpdir(), "shmstruct-versions-")));
  const [was, is] = [await ownRows(first, dirs[0]!), await ownRows(second, dirs[1]!)];
  console.log("| row | before, ns | after, ns | after / before |\n| --- | --- | --- | --- |");
  // All before any: what comes first would be measured while the rest of the program is still compiled.
  for (const [i, [, call, calls]] of was.entries()) warmUp([call, is[i]![1]], calls);
  for (const [i, [name, call, calls]] of was.entries()) {
    const pairs = pairsOf(call, is[i]![1], calls, count);
    const [a, b] = [median(pairs.map(([x]) => x)), median(pairs.map(([, y]) => y))];
    const ratio = median(pairs.map(([x, y]) => y / x));
    console.log(`| ${name} | ${a.toPrecision(3)} | ${b.toPrecision(3)} | ${ratio.toFixed(2)} |`);
  }
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
}

/** Until both are compiled as far as they ever are. */
function warmUp(both: readonly (() => unknown)[], calls: number): void {
  const end = performance.now() + WARM_UP_MS;
  do for (const call of both) timeOf(call, calls);
  while (performance.now() < end);
}

function pairsOf(a: () => unknown, b: () => unknown, calls: number, count: number): [number, number][] {
  warmUp([a, b], calls);
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
