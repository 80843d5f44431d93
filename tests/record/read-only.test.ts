/** What a Reader asks of the kernel: nothing for a copy; and no signal, whatever it calls. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Manager } from "../../src/index.ts";
import { isEmulated, rounds } from "../support/platform.ts";
import { hasTool } from "../support/tools.ts";
import { fillPattern, Pattern, Robot } from "./structs.ts";
import { dieMidEdit, runBun, spawnBun, TempDir } from "./support.ts";

// Enough that all of it is compiled: the faulty Reader below dies, too. tests/soak/roles-read-only.ts does a million.
const ROUNDS = rounds(10_000);
/** The compilers begin after a fifth of the usual calls. */
const SOONER = {
  BUN_JSC_thresholdForJITAfterWarmUp: "100",
  BUN_JSC_thresholdForOptimizeAfterWarmUp: "200",
  BUN_JSC_thresholdForFTLOptimizeAfterWarmUp: "20000",
};

for (const lock of ["flock", "fcntl"] as const) {
  test(`${ROUNDS} calls of every method of a Reader on a read-only map raise no signal (${lock})`, async () => {
    using temp = new TempDir();
    using _ = new Manager(Robot, { dir: temp.dir, lockDir: temp.dir, create: true, lock });
    expect(await runBun("role-calls.ts", [temp.dir, ROUNDS], SOONER)).toBe("alive\n");
  }, 240_000);
}

test.skipIf(isEmulated)(
  "a Reader that used Atomics.load would be killed once it is compiled (not under emulation)",
  async () => {
    using temp = new TempDir();
    using _ = new Manager(Robot, { dir: temp.dir, lockDir: temp.dir, create: true });
    const child = spawnBun("role-calls.ts", [temp.dir, ROUNDS, "with-atomics"], SOONER, "ignore");
    await child.exited;
    expect(child.signalCode).toBe("SIGSEGV");
  },
  240_000,
);

const SNAPSHOTS = 20_000;

/** The system calls of the main thread between the two marks. */
function callsBetweenMarks(trace: string): string[] {
  const lines = trace.split("\n");
  const begin = lines.findIndex((line) => line.includes("/mark-begin"));
  const end = lines.findIndex((line) => line.includes("/mark-end"));
  if (begin < 0 || end < begin) throw new Error(`no marks in the trace:\n${trace.slice(-2000)}`);
  const mainThread = lines[begin]?.split(/\s/)[0];
  return lines.slice(begin + 1, end).filter((line) => line.split(/\s/)[0] === mainThread);
}

for (const died of [false, true]) {
  const when = died ? "also after a writer was killed, before a repair" : "when nothing is wrong";
  test.skipIf(!hasTool("strace"))(
    `snapshots make no system call but a look for deleted files every 100 ms, ${when} (needs strace)`,
    () => {
      using temp = new TempDir();
      using manager = new Manager(Pattern, { dir: temp.dir, create: true });
      manager.edit((data) => fillPattern(data, 1));
      if (died) dieMidEdit(Pattern, temp, (data) => fillPattern(data, 2));
      const program = join(import.meta.dir, "../process/role-quiet.ts");
      const log = temp.file("trace");
      const command = [
        "strace",
        "-f",
        "-qq",
        "-o",
        log,
        process.execPath,
        program,
        temp.dir,
        String(SNAPSHOTS),
      ];
      const { stdout, exitCode } = Bun.spawnSync(command, { stderr: "inherit" });
      expect([stdout.toString(), exitCode]).toEqual(["0\n", 0]);
      const calls = callsBetweenMarks(readFileSync(log, "utf8"));
      // The collector looks at its memory now and then; that has nothing to do with files or locks.
      const looks = calls.filter((line) => /statx\(AT_FDCWD, ".*Pattern_\.mmap"/.test(line));
      const others = calls.filter((line) => !looks.includes(line));
      expect(others.filter((line) => /\b(flock|fcntl|lseek)\(|\.mmap|\.lock/.test(line))).toEqual([]);
      // Ten a second: under strace the snapshots take some seconds at most.
      expect(looks.length).toBeLessThan(200);
      // Each snapshot is memory of its own, so the collector is at work all the time.
      const isCollector = (line: string) => /\b(futex|madvise|sched_yield)\(/.test(line);
      expect(others.filter((line) => !isCollector(line)).length).toBeLessThan(SNAPSHOTS / 20);
      expect(calls.length).toBeLessThan(SNAPSHOTS / 5);
    },
    240_000,
  );
}
