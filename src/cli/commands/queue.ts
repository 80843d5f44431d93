import type { JobControl, LookedAtJob } from "../../segment/inspector.ts";
import { type Command, define, EXIT, TRUST, UsageError } from "../command.ts";
import { LIMITS, openOptions, roomOf } from "../open.ts";
import { ageText, escapeText, type Output } from "../output.ts";
import { valueText } from "../tree.ts";

const ACTIONS = ["list", "dead", "requeue", "drop"] as const;
const HEADER = ["JOB", "STATE", "ATTEMPT", "PID", "FOR", "NOTE", "VALUE"];

export const command: Command = define({
  args: "FILE [list | dead | requeue JOB… | drop JOB…]",
  count: [1, 1000],
  details:
    "list shows the jobs, dead those whose attempts are used up. requeue lets jobs be taken at once: delayed ones, those of\na worker that is stuck (it finds out when it ends the job), and with --dead those that go back for all their attempts.\ndrop takes jobs away that no worker has. JOB is a number, or all. Exit code 1 when a job is not there.",
  options: {
    dead: { type: "boolean", help: "the jobs whose attempts are used up" },
    ...TRUST,
  },
  examples: [
    "shmstruct queue Task",
    "shmstruct queue Task requeue 17",
    "shmstruct queue Task requeue --dead all",
  ],
  run([file = "", word = "list", ...names], { dead, ...values }, out) {
    const action = ACTIONS.find((known) => known === word);
    if (action === undefined)
      throw new UsageError(`expected ${ACTIONS.join(", ")}, got '${escapeText(word)}'`);
    const isList = action === "list" || action === "dead";
    if (isList !== (names.length === 0))
      throw new UsageError(`${action} takes ${isList ? "no jobs" : "jobs: numbers, or all"}`);
    const { path, kind, room } = roomOf(file);
    if (room.jobs === undefined)
      throw new UsageError(`'${escapeText(path)}' is a ${kind}, which has no jobs`);
    using jobs = room.jobs(path, {
      ...openOptions(values),
      limits: LIMITS,
      isDead: dead === true || action === "dead",
    });
    if (isList) print(out, jobs.list());
    else return apply(out, jobs, action, numbersOf(jobs, names)) ? EXIT.done : EXIT.differs;
    return EXIT.done;
  },
});

function numbersOf(jobs: JobControl, names: readonly string[]): number[] {
  if (names.length === 1 && names[0] === "all") return jobs.list().map(({ job }) => job);
  return names.map((name) => {
    if (/^\d+$/.test(name)) return Number(name);
    throw new UsageError(`'${escapeText(name)}' is no number of a job: see shmstruct queue FILE list`);
  });
}

/** @returns whether all jobs were there */
function apply(
  out: Output,
  jobs: JobControl,
  action: "requeue" | "drop",
  numbers: readonly number[],
): boolean {
  const results = numbers.map((job) => ({ job, action, isDone: jobs[action](job) }));
  for (const result of results) {
    if (out.isJson) out.json(result);
    else out.line(`${result.job} ${result.isDone ? DONE[action] : MISSING[action]}`);
  }
  return results.every(({ isDone }) => isDone);
}

const DONE = { requeue: "is ready", drop: "is gone" };
const MISSING = {
  requeue: "is not there any more, or its queue is full",
  drop: "is not there any more, or a worker has it: requeue it first",
};

function print(out: Output, jobs: readonly LookedAtJob[]): void {
  if (out.isJson) for (const job of jobs) out.json(job);
  else if (jobs.length === 0) out.line(out.paint("dim", "no jobs"));
  else out.table(HEADER, jobs.map(cells), [0, 2, 3, 4]);
}

function cells({ job, state, attempt, pid, takenAt, notBefore, note, value }: LookedAtJob): string[] {
  const since = state === "delayed" ? notBefore - Date.now() : takenAt ? Date.now() - takenAt : undefined;
  return [
    String(job),
    state,
    String(attempt),
    pid === undefined ? "-" : String(pid),
    since === undefined ? "-" : ageText(since),
    escapeText(note) || "-",
    valueText(value),
  ];
}
