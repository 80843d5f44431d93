/** Damaged files of all kinds: bun tests/soak/mutations.ts [FILES, 100000] [PROCESSES, 2] */

import { tryMutants } from "../security/mutations.ts";
import { seedOfRun } from "../support/random.ts";

const files = Number(process.argv[2] ?? 100_000);
const processes = Number(process.argv[3] ?? 2);
const seed = seedOfRun() % 2 ** 30;
console.log(`SEED=${seed}`);
const share = Math.ceil(files / processes);
const reports = await Promise.all(
  Array.from({ length: processes }, (_, i) => tryMutants(seed + i * share, share)),
);
for (const problem of reports.flatMap(({ problems }) => problems)) console.log(problem);
const sum = (count: "files" | "calls" | "errors" | "foreign"): number =>
  reports.reduce((total, report) => total + report[count], 0);
const problems = reports.reduce((total, report) => total + report.problems.length, 0);
const slowestMs = Math.max(...reports.map((report) => report.slowestMs));
console.log(
  `${new Date().toISOString()}: ${sum("files")} files, ${sum("calls")} calls, ${sum("errors")} of them failed with errors of the library, slowest ${slowestMs} ms, ${sum("foreign")} files were deleted by hand; ${problems} problems`,
);
process.exitCode = problems === 0 ? 0 : 1;
