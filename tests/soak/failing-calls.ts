/** Every system call of every operation fails once with each plausible error: bun tests/soak/failing-calls.ts [SHARE, 1] [PROCESSES, 2] [OPERATION …] */
import { emptyReport, failEach, operations } from "../security/failing-calls.ts";

const share = Number(process.argv[2] ?? 1);
const processes = Number(process.argv[3] ?? 2);
const chosen = process.argv.slice(4);
const report = emptyReport();
const left = chosen.length > 0 ? chosen : operations();
await Promise.all(
  Array.from({ length: processes }, async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift())
      await failEach(next, report, share);
  }),
);
for (const problem of report.problems) console.log(problem);
console.log(
  `${new Date().toISOString()}: ${report.calls} system calls failed: ${report.successes} operations succeeded all the same, ${report.errors} failed with errors of the library, ${report.runtime} times the runtime ended the process, as it got no memory for itself; ${report.missed} calls failed before or after an operation; ${report.problems.length} problems`,
);
process.exitCode = report.problems.length === 0 ? 0 : 1;
