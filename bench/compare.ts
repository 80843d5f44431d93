/** Runs the cases of a suite in turns, and compares them. */
import type { Figure, Metrics, Program, Row, Suite } from "./harness.ts";
import { median } from "./harness.ts";
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

type Samples = ReadonlyMap<string, readonly Metrics[]>;

export async function runSuite(suite: Suite, say: (line: string) => void = () => {}): Promise<SuiteResult> {
  const started = performance.now();
  const rounds = Number(process.env.BENCH_ROUNDS ?? suite.rounds ?? ROUNDS);
  const { samples, failed } = await inTempDir((dir) => takeTurns(programsOf(suite, dir), rounds, say));
  return {
    suite,
    rounds,
    seconds: (performance.now() - started) / 1000,
    rows: suite.rows.map((row) => compare(row, samples, failed)),
    figures: (suite.figures ?? []).map((figure) => ({ figure, value: figureOf(figure, samples) })),
    metrics: Object.fromEntries([...samples].map(([name, all]) => [name, mediansOf(all)])),
  };
}

async function takeTurns(programs: [string, Program][], rounds: number, say: (line: string) => void) {
  const samples = new Map<string, Metrics[]>();
  const failed = new Map<string, string>();
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`);
    for (const [name, program] of programs) {
      if (failed.has(name)) continue;
      const result = "missing" in program ? program : await runProgram(program);
      if (isMissing(result)) failed.set(name, result.missing);
      else samples.set(name, [...(samples.get(name) ?? []), result]);
    }
  }
  return { samples, failed };
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
  const child = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe", timeout: CASE_SECONDS * 1000 });
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
  return all && spread(all);
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
