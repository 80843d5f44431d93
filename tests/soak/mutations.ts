/** Damaged files of all kinds: bun tests/soak/mutations.ts [FILES, 100000] [PROCESSES, 2] */

import { tryMutants } from "../security/mutations.ts";
import { seedOfRun } from "../support/random.ts";

const files = Number(process.argv[2] ?? 100_000);
const processes = Number(process.argv[3] ?? 2);
const seed = seedOfRun() % 2 ** 30;
console.log(`SEED=${seed}`);
/** A call hangs when it takes longer than this by itself, asleep or at work: not when other programs have the processors. */
const HANG_MS = 2000;
const share = Math.ceil(files / processes);
const reports = await Promise.all(
  Array.from({ length: processes }, (_, i) => tryMutants(seed + i * share, share, HANG_MS)),
);
for (const problem of reports.flatMap(({ problems }) => problems)) console.log(problem);
const sum = (count: "files" | "calls" | "errors" | "foreign"): number =>
  reports.reduce((total, report) => total + report[count], 0);
const problems = reports.reduce((total, report) => total + report.problems.length, 0);
const slowest = (time: "slowestMs" | "slowestOwnMs" | "slowestCpuMs"): number =>
  Math.max(...reports.map((report) => report[time]));
console.log(
  `${new Date().toISOString()}: ${sum("files")} files, ${sum("calls")} calls, ${sum("errors")} of them failed with errors of the library, slowest ${slowest("slowestMs")} ms by the clock, ${slowest("slowestOwnMs")} ms without the time in which other programs had the processors, ${slowest("slowestCpuMs")} ms on a processor, ${sum("foreign")} files were deleted by hand; ${problems} problems`,
);
process.exitCode = problems === 0 ? 0 : 1;
