import { expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../support/built.ts";

test("demo/frames.ts sends frames to consumers of three speeds", async () => {
  const { stdout, exitCode, stderr } = Bun.spawnSync(
    [process.execPath, join(root, "demo/frames.ts"), "0.5"],
    { cwd: root },
  );
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  const out = stdout.toString();
  expect(out).toContain("published 31 frames of 6.2 MB");
  for (const name of ["display", "encoder", "archive"]) {
    const [, seen, missed, torn] = new RegExp(
      `${name} +saw (\\d+) frames, missed (\\d+), (\\d+) were torn`,
    ).exec(out)!;
    expect(Number(torn)).toBe(0);
    expect(Number(seen) + Number(missed)).toBe(30);
  }
}, 240_000);
