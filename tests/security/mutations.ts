/** Damaged files, tried in child processes: a crash or a hang ends only the child, and its seed is known. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linesOf } from "../support/tools.ts";

/** What a run of files came to. */
export interface MutationReport {
  files: number;
  calls: number;
  /** Calls that failed with an error of the library, as they should. */
  errors: number;
  /** Files that force did not replace, as nothing told that they are the library's. */
  foreign: number;
  /** The longest calls: by the clock, without the time in which other programs had the processors, and on a processor. */
  slowestMs: number;
  slowestOwnMs: number;
  slowestCpuMs: number;
  /** Each with the seed that shows it again: `bun tests/process/mutation-child.ts DIRECTORY SEED 1`. */
  problems: string[];
}

/** Beyond this the child counts as hanging, and is killed. */
const HANG_MS = 120_000;

/** @param slowMs a call that takes longer by itself is a problem */
export async function tryMutants(seed: number, files: number, slowMs = 20_000): Promise<MutationReport> {
  const root = mkdtempSync(join(tmpdir(), "shmstruct-mutants-"));
  const report: MutationReport = {
    files: 0,
    calls: 0,
    errors: 0,
    foreign: 0,
    slowestMs: 0,
    slowestOwnMs: 0,
    slowestCpuMs: 0,
    problems: [],
  };
  try {
    for (let next = seed; next < seed + files; ) {
      const died = await runChild(root, [next, seed + files - next, slowMs], report);
      if (died === undefined) break;
      report.files += died - next + 1;
      next = died + 1;
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  return report;
}

/** @returns the seed at which the child died; undefined when it went through */
async function runChild(
  root: string,
  numbers: readonly [seed: number, files: number, slowMs: number],
  report: MutationReport,
): Promise<number | undefined> {
  const program = join(import.meta.dir, "../process/mutation-child.ts");
  const child = Bun.spawn([process.execPath, program, root, ...numbers.map(String)], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const watch = killWhenStuck(child, root);
  let isThrough = false;
  try {
    for await (const line of linesOf(child.stdout)) isThrough = add(line, report) || isThrough;
    await child.exited;
  } finally {
    clearInterval(watch);
  }
  if (isThrough) return undefined;
  const at = seedAt(root) ?? numbers[0];
  const errors = (await new Response(child.stderr).text()).slice(0, 2000);
  report.problems.push(`seed ${at}: the process ended with ${child.signalCode ?? child.exitCode}: ${errors}`);
  return at;
}

/** @returns whether this was the last line of a child that went through */
function add(line: string, report: MutationReport): boolean {
  const said = JSON.parse(line) as Record<string, unknown>;
  if (said.what !== undefined) {
    report.problems.push(`seed ${said.seed}: ${said.what}`);
    return false;
  }
  for (const count of ["files", "calls", "errors", "foreign"] as const) report[count] += Number(said[count]);
  for (const time of ["slowestMs", "slowestOwnMs", "slowestCpuMs"] as const)
    report[time] = Math.max(report[time], Math.round(Number(said[time])));
  return true;
}

function killWhenStuck(child: Bun.Subprocess, root: string): ReturnType<typeof setInterval> {
  let [last, since] = [seedAt(root), performance.now()];
  return setInterval(() => {
    const at = seedAt(root);
    if (at !== last) [last, since] = [at, performance.now()];
    if (performance.now() - since > HANG_MS) child.kill("SIGKILL");
  }, 500);
}

function seedAt(root: string): number | undefined {
  try {
    return Number(readFileSync(join(root, "at"), "utf8"));
  } catch {
    return undefined;
  }
}
