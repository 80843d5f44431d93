/** System calls that fail while all operations run one after the other: no crash, no error of another class, nothing left open. */
import { expect, test } from "bun:test";
import { seedOfRun } from "../support/random.ts";
import { hasTool } from "../support/tools.ts";
import { emptyReport, failEvery } from "./failing-calls.ts";

/** Not those by which the runtime loads code and gets memory: it ends the process when they fail. */
const FAILURES = [
  ["lseek", "EIO", 31],
  ["fallocate", "ENOSPC", 7],
  ["flock", "ENOLCK", 23],
  ["fcntl", "EMFILE", 29],
  ["pwrite64", "ENOSPC", 5],
  ["rename", "EACCES", 3],
] as const;

const seed = seedOfRun();
console.log(`SEED=${seed}`);

test.skipIf(!hasTool("strace"))(
  "a system call that fails is an error of the library (needs strace)",
  async () => {
    const report = emptyReport();
    const injections = FAILURES.map(([call, errno, every]) => ({
      call,
      errno,
      every,
      n: 1 + (seed % every),
    }));
    await failEvery(injections, report);
    expect(report.problems).toEqual([]);
    expect(report.calls).toBeGreaterThan(20);
  },
  240_000,
);
