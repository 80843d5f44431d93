/** Runs the cases of suites in turns, and compares them. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Figure, Metrics, Program, Row, Suite } from "./harness.ts";
import { isQuick, median } from "./harness.ts";
import { inTempDir } from "./prepare.ts";

/** Median and extremes over the rounds. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface RowResult {
  readonly row: Row;
  /** Undefined when one of the two is missing; then `missing` says which and why. */
  readonly ratio?: Spread;
  readonly ours?: Spread;
  readonly peer?: Spread;
  readonly missing?: string;
  readonly met?: boolean;
}

export interface FigureResult {
  readonly figure: Figure;
  readonly value?: Spread;
}

export interface SuiteResult {
  readonly suite: Suite;
  readonly rounds: number;
  readonly seconds: number;
  readonly rows: readonly RowResult[];
  readonly figures: readonly FigureResult[];
  /** The medians of everything that was measured, for the JSON and the chart. */
  readonly metrics: Readonly<Record<string, Metrics>>;
}

const ROUNDS = 7;
/** A case that takes longer than this is broken. */
const CASE_SECONDS = 60;

/** The whole ends within ten minutes, on a slow machine with fewer rounds. */
const BUDGET_MS = 540_000;
const LEAST_PASSES = 2;

type Samples = ReadonlyMap<string, readonly Metrics[]>;

/**
 * Runs suites, their rounds spread over the whole time and taking turns with those of the others: a machine is not the
 * same from one minute to the next, and the spread should say by how much.
 */
export async function runSuites(
  suites: readonly Suite[],
  say: (line: string) => void = () => {},
): Promise<SuiteResult[]> {
  return inTempDir(async (dir) => {
    const runs = suites.map((suite, i) => new SuiteRun(suite, join(dir, `${i}`)));
    const passes = Math.max(...runs.map(({ rounds }) => rounds));
    const started = performance.now();
    let longestMs = 0;
    for (let pass = 1; pass <= passes; pass++) {
      const before = performance.now();
      if (pass > LEAST_PASSES && before - started + longestMs > BUDGET_MS) {
        say(`the time is over: ${pass - 1} of ${passes} passes`);
        break;
      }
      for (const run of runs) {
        if (run.done >= Math.ceil((pass * run.rounds) / passes)) continue;
        say(`pass ${pass} of ${passes}: ${run.suite.title}`);
        await run.round();
      }
      longestMs = Math.max(longestMs, performance.now() - before);
    }
    return runs.map((run) => run.result());
  });
}

class SuiteRun {
  readonly suite: Suite;
  readonly rounds: number;
  done = 0;
  #milliseconds = 0;
  readonly #programs: [string, Program][];
  readonly #samples = new Map<string, Metrics[]>();
  readonly #failed = new Map<string, string>();

  constructor(suite: Suite, dir: string) {
    mkdirSync(dir);
    this.suite = suite;
    this.rounds = Number(process.env.BENCH_ROUNDS ?? (isQuick ? 1 : (suite.rounds ?? ROUNDS)));
    this.#programs = programsOf(suite, dir);
  }

  async round(): Promise<void> {
    const started = performance.now();
    for (const [name, program] of this.#programs) {
      if (this.#failed.has(name)) continue;
      const result = "missing" in program ? program : await runProgram(program);
      if (isMissing(result)) this.#failed.set(name, result.missing);
      else this.#samples.set(name, [...(this.#samples.get(name) ?? []), result]);
    }
    this.done++;
    this.#milliseconds += performance.now() - started;
  }

  result(): SuiteResult {
    const { suite, done: rounds } = this;
    const samples = this.#samples;
    return {
      suite,
      rounds,
      seconds: this.#milliseconds / 1000,
      rows: suite.rows.map((row) => compare(row, samples, this.#failed)),
      figures: (suite.figures ?? []).map((figure) => ({ figure, value: figureOf(figure, samples) })),
      metrics: Object.fromEntries([...samples].map(([name, all]) => [name, mediansOf(all)])),
    };
  }
}

function programsOf(suite: Suite, dir: string): [string, Program][] {
  const own = Object.keys(suite.cases).map((name): [string, Program] => [
    name,
    [process.execPath, suite.file, name],
  ]);
  return [...own, ...Object.entries(suite.programs?.(dir) ?? {})];
}

type Missing = { readonly missing: string };
const isMissing = (result: Metrics | Missing): result is Missing => "missing" in result;

async function runProgram(command: readonly string[]): Promise<Metrics | Missing> {
  const child = Bun.spawn([...command], {
    stdout: "pipe",
    stderr: "pipe",
    timeout: CASE_SECONDS * 1000,
    env: { ...process.env, SHMSTRUCT_BENCH_QUICK: isQuick ? "1" : "" },
  });
  const [out, error, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const line = out.trimEnd().split("\n").at(-1) ?? "";
  if (code === 0 && line.startsWith("{")) return JSON.parse(line);
  const name = command.slice(-2).join(" ");
  console.error(`${name} ended with ${child.signalCode ?? code}: ${error.trim()}`);
  return { missing: "it failed; the terminal shows why" };
}

function compare(row: Row, samples: Samples, failed: ReadonlyMap<string, string>): RowResult {
  const metric = row.metric ?? "ns";
  const ours = valuesOf(samples.get(row.ours), metric);
  const peer = valuesOf(samples.get(row.peer), row.peerMetric ?? metric);
  if (ours === undefined || peer === undefined) {
    const absent = ours === undefined ? row.ours : row.peer;
    return { row, missing: `${absent}: ${failed.get(absent) ?? "no such case"}` };
  }
  if ([...ours, ...peer].some(Number.isNaN)) return { row, missing: "not measured in a quick run" };
  const { aim } = row;
  const ratio = spread(
    ours.map((value, i) => (aim && "atLeast" in aim ? peer[i]! / value : value / peer[i]!)),
  );
  const met = aim && ("atLeast" in aim ? ratio.median >= aim.atLeast : ratio.median <= aim.atMost);
  return { row, ratio, ours: spread(ours), peer: spread(peer), met };
}

const valuesOf = (all: readonly Metrics[] | undefined, metric: string): number[] | undefined =>
  all?.map((metrics) => metrics[metric] ?? Number.NaN);

const figureOf = ({ case: name, metric }: Figure, samples: Samples): Spread | undefined => {
  const all = valuesOf(samples.get(name), metric);
  return all?.some(Number.isNaN) ? undefined : all && spread(all);
};

const spread = (values: readonly number[]): Spread => ({
  median: median(values),
  least: Math.min(...values),
  most: Math.max(...values),
});

function mediansOf(all: readonly Metrics[]): Metrics {
  return Object.fromEntries(
    Object.keys(all[0] ?? {}).map((metric) => [metric, median(all.map((m) => m[metric] ?? Number.NaN))]),
  );
}
