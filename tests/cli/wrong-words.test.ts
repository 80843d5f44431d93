/** Words on the command line that no command can do anything with, told in words of ours. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/temporary.ts";
import { run } from "./fixtures.ts";

const temporary = temporaryDirectory();
afterAll(() => temporary[Symbol.dispose]());

test("serve says which ports there are", async () => {
  const ports = ["99999", "65536", "1.5", "-1", "1e300", "x"];
  const runs = await Promise.all(ports.map((port) => run(["serve", `--port=${port}`, temporary.path])));
  for (const [i, { code, err }] of runs.entries())
    expect([code, err]).toEqual([
      2,
      `shmstruct: --port must be a whole number from 1 to 65535, or 0 for one that is free, got '${ports[i]}'\n`,
    ]);
});

test("rm and show say of a device, a FIFO and a directory that they are no regular files", async () => {
  const fifo = join(temporary.path, "fifo");
  const directory = join(temporary.path, "directory");
  Bun.spawnSync(["mkfifo", fifo]);
  mkdirSync(directory);
  const paths = ["/dev/zero", fifo, directory];
  for (const command of ["rm", "show"]) {
    const runs = await Promise.all(paths.map((path) => run([command, "--", path])));
    for (const [i, { code, err }] of runs.entries())
      expect([code, err]).toEqual([4, `shmstruct: '${paths[i]}' is no regular file, so it is no segment\n`]);
  }
  const { out } = await run(["doctor", "--json", fifo]);
  expect(out).toContain("is no regular file, so it is no segment");
});
