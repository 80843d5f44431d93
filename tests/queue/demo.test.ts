import { expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../support/built.ts";

test("demo/workers.ts kills workers, and no job is lost", async () => {
  const { stdout, exitCode, stderr } = Bun.spawnSync([process.execPath, join(root, "demo/workers.ts"), "3"], {
    cwd: root,
  });
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  expect(stdout.toString()).toMatch(
    /1000 jobs, \d+ workers killed: \d+ done, \d+ left, \d+ done twice or to be \(.*\), 0 lost/,
  );
}, 240_000);
