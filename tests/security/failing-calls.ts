/** Each system call of the library's operations fails, and the operation is an error of the library, or succeeds all the same. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ERRORS,
  failAt,
  type Injection,
  type Outcome,
  type Point,
  pointsOf,
} from "../support/system-calls.ts";

const PROGRAM = join(import.meta.dir, "../process/failing-child.ts");
/** Nothing waits for longer than its 200 ms: this tells an end from a hang, also on a machine that is busy. */
const SLOW_MS = 20_000;
const TIMEOUT_MS = 200_000;

/** What a run of the program says of one operation. */
interface Run {
  readonly name: string;
  readonly prepared: string;
  readonly first: string;
  readonly closes: readonly string[];
  readonly ms: number;
  readonly second: string;
  readonly open: readonly string[];
  readonly left: readonly string[];
}

export interface FailureReport {
  /** System calls that failed. */
  calls: number;
  /** Operations that ended with an error of the library. */
  errors: number;
  /** Operations that succeeded all the same. */
  successes: number;
  /** Calls that failed before or after the operation, as the program did not make the same calls a second time. */
  missed: number;
  /** Calls by which the runtime gets memory for itself, or loads code: it ends the process when those fail. */
  runtime: number;
  problems: string[];
}

export const emptyReport = (): FailureReport => ({
  calls: 0,
  errors: 0,
  successes: 0,
  missed: 0,
  runtime: 0,
  problems: [],
});

export const operations = (): string[] =>
  Bun.spawnSync([process.execPath, PROGRAM, "/", "0", "list"]).stdout.toString().trim().split(" ");

/** Private memory without a file is the runtime's, and so is what it looks up of itself. */
const isOfRuntime = (line: string): boolean =>
  /MAP_PRIVATE\|.*MAP_ANONYMOUS|MAP_PRIVATE\|MAP_NORESERVE|\/proc\/self\/statm|\/sys\/fs\/cgroup|memory\.|\.tsx?"/.test(
    line,
  );

/** Lets each system call of an operation fail with each of its errors: one program for each. */
export async function failEach(operation: string, report: FailureReport, sample = 1): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "shmstruct-failing-"));
  const command = [process.execPath, PROGRAM, root, "0", operation];
  try {
    const points = pointsOf(command, join(root, "log")).filter(({ line }) => !isOfRuntime(line));
    for (const point of points) {
      for (const errno of ERRORS[point.call] ?? []) {
        if (Math.random() >= sample) continue;
        const outcome = await failAt([{ ...point, errno }], command, {
          logPath: join(root, "log"),
          timeoutMs: TIMEOUT_MS,
        });
        judge(outcome, `${operation} ${point.call}#${point.n} ${errno}`, point, report);
      }
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Lets every so many-th call of some kinds fail while all operations run one after the other in one program. */
export async function failEvery(injections: readonly Injection[], report: FailureReport): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "shmstruct-failing-"));
  const command = [process.execPath, PROGRAM, root, "1"];
  try {
    const outcome = await failAt(injections, command, { logPath: join(root, "log"), timeoutMs: TIMEOUT_MS });
    judge(outcome, JSON.stringify(injections), undefined, report);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function judge(outcome: Outcome, what: string, point: Point | undefined, report: FailureReport): void {
  const { exitCode, signal, output, errors, failed, missed } = outcome;
  report.calls += failed.length;
  if (failed.length === 0) {
    report.missed += missed.length;
    return;
  }
  const where = `${what} [${(failed[0] ?? point?.line ?? "").slice(0, 120)}]`;
  if (exitCode !== 0 || output === "") {
    if (failed.some(isOfRuntime)) report.runtime++;
    else
      report.problems.push(
        `${where}: ended with ${signal ?? exitCode}: ${errors.slice(0, 400)} ${output.slice(0, 300)}`,
      );
    return;
  }
  for (const line of output.trim().split("\n")) judgeRun(JSON.parse(line) as Run, where, report);
}

function judgeRun(run: Run, where: string, report: FailureReport): void {
  const { name, prepared, first, closes, ms, second, open, left } = run;
  if (first === "ok") report.successes++;
  else report.errors++;
  const say = (problem: string): void => void report.problems.push(`${name}: ${where}: ${problem}`);
  for (const said of [prepared, first, ...closes]) if (said.startsWith("?")) say(said);
  if (ms > SLOW_MS) say(`took ${ms} ms`);
  if (second !== "ok") say(`the next time: ${second}`);
  if (open.length > 0) say(`open: ${open.join(" ")}`);
  if (left.length > 0) say(`left: ${left.join(" ")}`);
}
