/** Many processes at work on one file. */
import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { Manager, Reader } from "../../src/index.ts";
import { isEmulated } from "../support/platform.ts";
import { linesOf } from "../support/tools.ts";
import { Robot } from "./structs.ts";
import { runBun, spawnBun, TempDir } from "./support.ts";

for (const lock of ["flock", "fcntl"] as const) {
  for (const [editors, rounds] of [
    [4, 4_000],
    [16, 800],
  ] as const) {
    if (editors === 16 && (lock === "fcntl" || isEmulated)) continue;
    test(`${editors} Editors x ${rounds} increments lose nothing, and no reader sees half an edit (${lock})`, async () => {
      using temp = new TempDir();
      using manager = new Manager(Robot, { dir: temp.dir, lockDir: temp.dir, create: true, lock });
      const watcher = spawnBun("role-count.ts", ["watch", temp.dir]);
      const lines = linesOf(watcher.stdout);
      expect((await lines.next()).value).toBe("ready");
      const jobs = Array.from({ length: editors }, () =>
        runBun("role-count.ts", ["count", temp.dir, rounds]),
      );
      expect(await Promise.all(jobs)).toEqual(Array(editors).fill("0\n"));
      watcher.stdin.end();
      const seen = JSON.parse((await lines.next()).value as string);
      expect(seen).toMatchObject({ tornLocked: 0, tornSnapshots: 0, older: 0 });
      expect(seen.locked).toBeGreaterThan(40);
      using reader = new Reader(Robot, { dir: temp.dir, lockDir: temp.dir });
      const total = editors * rounds;
      expect([reader.get("count"), reader.get("twin"), manager.version]).toEqual([total, total, total]);
    }, 240_000);
  }
}

test("every commit is in exactly one file when a Manager replaces files by force while others edit", async () => {
  using temp = new TempDir();
  const options = { dir: temp.dir, lockDir: temp.dir, create: true, force: true };
  new Manager(Robot, options).close();
  const jobs = [1, 2, 3].map(() => runBun("role-count.ts", ["count", temp.dir, 8_000]));
  let isOver = false;
  const done = Promise.all(jobs).finally(() => {
    isOver = true;
  });
  const generations: number[] = [];
  while (!isOver) {
    generations.push(openSync(temp.file("Robot_.mmap"), "r"));
    // Fewer where the machine is slow: each keeps a descriptor.
    await Bun.sleep(5 + generations.length / 10);
    new Manager(Robot, options).close();
  }
  expect(await done).toEqual(["0\n", "0\n", "0\n"]);
  generations.push(openSync(temp.file("Robot_.mmap"), "r"));
  const commits = generations.map((fd) => {
    const bytes = readFileSync(fd);
    closeSync(fd);
    const [version, count] = [bytes.readUInt32LE(bytes.length - 32), bytes.readInt32LE(16)];
    expect(count).toBe(version);
    return version;
  });
  expect(commits.reduce((a, b) => a + b)).toBe(24_000);
  expect(commits.length).toBeGreaterThan(5);
}, 240_000);
