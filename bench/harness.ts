/**
 * How a measurement is made. Every *case* (our code, a peer, a C program) runs alone in a process of its own, so
 * that no case changes how another one is compiled; the processes of a suite take turns, round after round, so that
 * a noisy machine is noisy for all of them. A *row* compares two cases: its ratio is taken within each round.
 */
import { cpuTime } from "./clock.ts";

/** `bun run bench --quick`: one round, short windows; for development. Handed on to the processes of the cases. */
export const isQuick = process.env.SHMSTRUCT_BENCH_QUICK === "1" || process.argv.includes("--quick");

/** Numbers that a case gives; `ns` (nanoseconds an operation) where nothing else is said. */
export type Metrics = Record<string, number>;

/** Measures one way of doing the work, in a process of its own. */
export type Case = () => Metrics | Promise<Metrics>;

/** Something a case needs is not installed: it is left out, and the page says why. */
export class Missing extends Error {}

/** A program that prints its metrics as JSON in its last line, or why it is not there. */
export type Program = readonly string[] | { readonly missing: string };

/** What a row is about: two cases, and the ratio that is hoped for. */
export interface Row {
  /** The row of the table of aims. */
  readonly id: string;
  readonly what: string;
  /** Name of our case, and of the one it is compared with. */
  readonly ours: string;
  readonly peer: string;
  /** The metric to compare; `ns` by default. */
  readonly metric?: string;
  /** The peer's metric, where it has another name. */
  readonly peerMetric?: string;
  /** Time of ours in times of the peer's, at most; or how many times faster ours is, at least. None: to compare. */
  readonly aim?: { readonly atMost: number } | { readonly atLeast: number };
  /** What stops us, when the aim is missed. */
  readonly floor?: string;
  /** What a user calls it, for the table that opens the page. */
  readonly headline?: string;
}

export interface Suite {
  readonly title: string;
  readonly file: string;
  /** What keeps the comparison honest. */
  readonly honest: string;
  /** What it costs while nothing happens. */
  readonly idle: string;
  /** Its cases are one thread each, timed by what that thread works: in a quick run two of them run at once. */
  readonly isTimedByOwnWork?: true;
  readonly cases: Readonly<Record<string, Case>>;
  /** Peers that are no JavaScript of ours; `dir` is theirs while the suite runs. */
  readonly programs?: (dir: string) => Readonly<Record<string, Program>>;
  readonly rows: readonly Row[];
  /** Lines of figures without a peer: name of the case, its metric. */
  readonly figures?: readonly Figure[];
}

/** A figure that stands for itself, measured like the others. */
export interface Figure {
  readonly id: string;
  readonly what: string;
  readonly case: string;
  readonly metric: string;
  readonly unit: string;
  /** The most that is hoped for, if anything. */
  readonly atMost?: number;
  /** What stops us, when that is missed. */
  readonly floor?: string;
}

/** Warm-up goes on until this long nothing has become faster: the JIT takes its time, and on a busy machine more. */
const SETTLED_MS = isQuick ? 60 : 300;
const WARM_UP_MAX_MS = isQuick ? 500 : 4000;
/** Long enough to pay for its garbage, short enough that an interruption spoils only some of them. */
const WINDOW_NS = 20e6;
const WINDOWS = isQuick ? 2 : 9;
/** The clock is looked at about this often, as that takes its time too. */
const BATCH_NS = 200e3;

/**
 * Time of one of the `operations` that a call of `run` makes, as the fastest of several windows, by the clock of the
 * thread's own work: on a busy machine it stands still while others work.
 * @param expected what `run` must return: the work is consumed, and it is the right work
 */
export async function timed(operations: number, run: () => unknown, expected?: unknown): Promise<Metrics> {
  const batch = (turns: number) => {
    for (let i = 0; i < turns; i++) {
      const result = run();
      if (expected !== undefined && result !== expected)
        throw new Error(`the work went wrong: expected ${String(expected)}, got ${String(result)}`);
    }
  };
  let turns = 1;
  const window = () => {
    const start = cpuTime();
    let [count, elapsed] = [0, 0];
    for (; elapsed < WINDOW_NS; elapsed = cpuTime() - start) {
      batch(turns);
      count += turns;
    }
    turns = Math.max(1, Math.round((BATCH_NS * count) / elapsed));
    return elapsed / count / operations;
  };
  warmUp(window);
  // The fastest one: what else the machine does can only add to a window.
  return { ns: Math.min(...Array.from({ length: WINDOWS }, window)) };
}

/** Runs `window` until it has not become faster for a while. */
function warmUp(window: () => number): void {
  const start = performance.now();
  let best = Number.POSITIVE_INFINITY;
  let improved = start;
  while (performance.now() - improved < SETTLED_MS && performance.now() - start < WARM_UP_MAX_MS) {
    const ns = window();
    if (ns > best * 0.97) continue;
    best = ns;
    improved = performance.now();
  }
}

/** The value below which `part` (0 to 1) of the samples lie. */
export function quantile(samples: readonly number[], part: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const [low, high] = [sorted[Math.floor(place)] ?? Number.NaN, sorted[Math.ceil(place)] ?? Number.NaN];
  return low + (high - low) * (place - Math.floor(place));
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

async function measured(chosen: Case): Promise<Metrics | { missing: string }> {
  try {
    return await chosen();
  } catch (error) {
    if (error instanceof Missing) return { missing: error.message };
    throw error;
  }
}

/**
 * Lets a bench file be run by itself: `bun bench/view.bench.ts` prints its rows, and with the name of a case it
 * measures that one (which is how the rows get their figures).
 */
export async function alone(suite: Suite): Promise<void> {
  const name = process.argv.slice(2).find((argument) => argument !== "--quick");
  const chosen = name === undefined ? undefined : suite.cases[name];
  if (chosen !== undefined) {
    console.log(JSON.stringify(await measured(chosen)));
    process.exit(0);
  }
  if (name !== undefined)
    throw new Error(`no case ${name}; there are ${Object.keys(suite.cases).join(", ")}`);
  const { runSuites } = await import("./compare.ts");
  const { printSuite } = await import("./report.ts");
  for (const result of await runSuites([suite])) printSuite(result);
}
