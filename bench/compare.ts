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
  /** How often its cases ran: the least and the most. */
  readonly rounds: readonly [least: number, most: number];
  readonly seconds: number;
  readonly rows: readonly RowResult[];
  readonly figures: readonly FigureResult[];
  /** The medians of everything that was measured, for the JSON and the chart. */
  readonly metrics: Readonly<Record<string, Metrics>>;
}

/** No case runs more often than this. */
const ROUNDS = 7;
/** A case that takes longer than this is broken. */
const CASE_SECONDS = 60;

/** The whole ends within ten minutes, on a slow machine with fewer rounds. */
const BUDGET_MS = 540_000;
/** Each case runs at least so often, as one round has no spread. */
const LEAST_PASSES = 2;

/** In a quick run so many cases that are timed by their own work run at once. */
const QUICK_LANES = 2;

/** What was measured, by the round: the cases of a row that ran in one round are compared with each other. */
type Samples = ReadonlyMap<string, readonly (Metrics | undefined)[]>;

/**
 * Runs suites, their rounds spread over the whole time and taking turns with those of the others: a machine is not the
 * same from one minute to the next, and the spread should say by how much. Each runs twice; what is left of the time goes to
 * the rows that differ most from round to round.
 */
export async function runSuites(
  suites: readonly Suite[],
  say: (line: string) => void = () => {},
): Promise<SuiteResult[]> {
  return inTempDir(async (dir) => {
    const runs = suites.map((suite, i) => new SuiteRun(suite, join(dir, `${i}`)));
    const ends = performance.now() + BUDGET_MS;
    const passes = Number(process.env.BENCH_ROUNDS ?? (isQuick ? 1 : LEAST_PASSES));
    for (let pass = 1; pass <= passes; pass++)
      for (const run of runs) {
        if (pass > 1 && performance.now() + run.lastMs > ends) continue;
        say(`pass ${pass} of ${passes}: ${run.suite.title}`);
        await run.round();
      }
    const mayGoOn = !isQuick && process.env.BENCH_ROUNDS === undefined;
    if (mayGoOn) await settle(runs, ends, say);
    return runs.map((run) => run.result());
  });
}

/** Runs again what differs most, until the time is over or nothing is worth it. */
async function settle(runs: readonly SuiteRun[], ends: number, say: (line: string) => void): Promise<void> {
  for (;;) {
    const leftMs = ends - performance.now();
    const worst = runs
      .flatMap((run) => run.restless(leftMs))
      .toSorted((a, b) => b.unrest - a.unrest)
      .at(0);
    if (worst === undefined) return;
    say(`once more, ${worst.run.suite.title}: ${worst.names.join(" and ")}`);
    await worst.run.round(worst.names);
  }
}

/** Cases that are worth another round. */
interface Restless {
  readonly run: SuiteRun;
  readonly names: readonly string[];
  /** By it the next round goes to the one that tells most. */
  readonly unrest: number;
}

/** What differs by less from round to round is left at that. */
const LEAST_UNREST = 1.1;

class SuiteRun {
  readonly suite: Suite;
  #rounds = 0;
  #milliseconds = 0;
  /** How long the newest round took. */
  lastMs = 0;
  readonly #programs: [string, Program][];
  readonly #samples = new Map<string, (Metrics | undefined)[]>();
  readonly #failed = new Map<string, string>();
  /** How long each took the last time, in milliseconds. */
  readonly #took = new Map<string, number>();

  constructor(suite: Suite, dir: string) {
    mkdirSync(dir);
    this.suite = suite;
    this.#programs = programsOf(suite, dir);
  }

  /** Runs all cases, or those of the names. */
  async round(names?: readonly string[]): Promise<void> {
    const began = performance.now();
    const queue = this.#programs.filter(
      ([name]) => !this.#failed.has(name) && names?.includes(name) !== false,
    );
    const lanes = isQuick && this.suite.isTimedByOwnWork === true ? QUICK_LANES : 1;
    await Promise.all(Array.from({ length: lanes }, () => this.#runAll(queue)));
    this.#rounds++;
    this.lastMs = performance.now() - began;
  }

  /** Takes cases from the queue until there are no more. */
  async #runAll(queue: [string, Program][]): Promise<void> {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [name, program] = next;
      const started = performance.now();
      const result = "missing" in program ? program : await runProgram(program);
      const took = performance.now() - started;
      this.#took.set(name, took);
      this.#milliseconds += took;
      if (isMissing(result)) this.#failed.set(name, result.missing);
      else {
        const samples = this.#samples.get(name) ?? [];
        samples[this.#rounds] = result;
        this.#samples.set(name, samples);
      }
    }
  }

  /** Rows with an aim, or a headline, whose rounds differ, and whose cases can run again within the time. */
  restless(withinMs: number): Restless[] {
    const { suite } = this;
    const rows = suite.rows.map((row): [readonly string[], Spread | undefined, number | undefined] => {
      const { ratio } = compare(row, this.#samples, this.#failed);
      const aim = row.aim && ("atLeast" in row.aim ? row.aim.atLeast : row.aim.atMost);
      const names = [...new Set([row.ours, row.peer])];
      return [names, aim === undefined && row.headline === undefined ? undefined : ratio, aim];
    });
    const figures = (suite.figures ?? []).map(
      (figure): [readonly string[], Spread | undefined, number | undefined] => {
        const value = figure.atMost === undefined ? undefined : figureOf(figure, this.#samples);
        return [[figure.case], value, figure.atMost];
      },
    );
    return [...rows, ...figures].flatMap(([names, spread, aim]) => {
      if (spread === undefined) return [];
      const tookMs = names.reduce((sum, name) => sum + (this.#took.get(name) ?? 0), 0);
      const rounds = Math.max(...names.map((name) => countOf(this.#samples.get(name))));
      const unrest = unrestOf(spread, aim);
      if (rounds >= ROUNDS || tookMs > withinMs || unrest < LEAST_UNREST) return [];
      // The more rounds there are, the less another one tells.
      return [{ run: this, names, unrest: (unrest - 1) / rounds }];
    });
  }

  result(): SuiteResult {
    const { suite } = this;
    const samples = this.#samples;
    const counts = [...samples.values()].map(countOf);
    return {
      suite,
      rounds: [Math.min(...counts), Math.max(...counts)],
      seconds: this.#milliseconds / 1000,
      rows: suite.rows.map((row) => compare(row, samples, this.#failed)),
      figures: (suite.figures ?? []).map((figure) => ({ figure, value: figureOf(figure, samples) })),
      metrics: Object.fromEntries([...samples].map(([name, all]) => [name, mediansOf(all.filter(isThere))])),
    };
  }
}

const isThere = (sample: Metrics | undefined): sample is Metrics => sample !== undefined;
const countOf = (samples: readonly (Metrics | undefined)[] | undefined): number =>
  samples?.filter(isThere).length ?? 0;

/** How much the rounds differ, and twice that where the verdict depends on which of them is taken. */
function unrestOf({ least, most }: Spread, aim: number | undefined): number {
  const isUndecided = aim !== undefined && least <= aim && aim <= most;
  return (most / least) * (isUndecided ? 2 : 1);
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
    // A group of its own: what a case that is ended leaves behind would keep its output open for good.
    detached: true,
    env: { ...process.env, SHMSTRUCT_BENCH_QUICK: isQuick ? "1" : "" },
  });
  const [out, error, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited.finally(() => endGroup(child.pid)),
  ]);
  const line = out.trimEnd().split("\n").at(-1) ?? "";
  if (code === 0 && line.startsWith("{")) return JSON.parse(line);
  const name = command.slice(-2).join(" ");
  console.error(`${name} ended with ${child.signalCode ?? code}: ${error.trim()}`);
  return { missing: "it failed; the terminal shows why" };
}

function endGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // None of it is left.
  }
}

function compare(row: Row, samples: Samples, failed: ReadonlyMap<string, string>): RowResult {
  const metric = row.metric ?? "ns";
  const [ourSamples, peerSamples] = [samples.get(row.ours), samples.get(row.peer)];
  if (ourSamples === undefined || peerSamples === undefined) {
    const absent = ourSamples === undefined ? row.ours : row.peer;
    return { row, missing: `${absent}: ${failed.get(absent) ?? "no such case"}` };
  }
  const both = [...ourSamples.keys()].filter(
    (i) => ourSamples[i] !== undefined && peerSamples[i] !== undefined,
  );
  if (both.length === 0) return { row, missing: "no round had both" };
  const ours = valuesOf(
    both.map((i) => ourSamples[i]),
    metric,
  );
  const peer = valuesOf(
    both.map((i) => peerSamples[i]),
    row.peerMetric ?? metric,
  );
  if ([...ours, ...peer].some(Number.isNaN)) return { row, missing: "not measured in a quick run" };
  const { aim } = row;
  const ratio = spread(
    ours.map((value, i) => (aim && "atLeast" in aim ? peer[i]! / value : value / peer[i]!)),
  );
  const met = aim && ("atLeast" in aim ? ratio.median >= aim.atLeast : ratio.median <= aim.atMost);
  return { row, ratio, ours: spread(ours), peer: spread(peer), met };
}

const valuesOf = (all: readonly (Metrics | undefined)[], metric: string): number[] =>
  all.filter(isThere).map((metrics) => metrics[metric] ?? Number.NaN);

const figureOf = ({ case: name, metric }: Figure, samples: Samples): Spread | undefined => {
  const all = samples.get(name);
  const values = all && valuesOf(all, metric);
  return values === undefined || values.some(Number.isNaN) ? undefined : spread(values);
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
