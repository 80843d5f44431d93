/** The faults that the conformance suite makes, on every content: `doctor` finds each and says what helps, and that helps. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { examine } from "../../src/cli/doctor/examine.ts";
import type { Problem } from "../../src/cli/doctor/problem.ts";
import { type Machine, thisMachine } from "../../src/cli/doctor/system.ts";
import { removerOf } from "../../src/cli/open.ts";
import { CONTENTS } from "../conformance/contents.ts";
import { Bench } from "../conformance/support.ts";
import { jsonLines, run } from "./fixtures.ts";

setDefaultTimeout(240_000);

/** The file system of the tests may be full, or an overlay. */
const quiet: Machine = { ...thisMachine, fileSystem: () => undefined };
const problemsOf = (...sources: string[]): Problem[] =>
  examine(sources, {}, quiet).filter(({ path }) => !path.startsWith("/proc/"));

interface User {
  readonly pid: number;
  readonly does: string[];
  readonly command: string;
  readonly state: string;
}

const whoUses = async (path: string): Promise<User[]> =>
  jsonLines(await run(["who", "--json", path])) as User[];

describe.each([...CONTENTS])("$name", (content) => {
  test("in a sound segment nothing is wrong", () => {
    using bench = new Bench(content);
    bench.create().commit(1);
    expect(problemsOf(bench.dir)).toEqual([]);
  });

  test("a truncated file is found in its directory and by its name, and rm removes it", () => {
    using bench = new Bench(content);
    bench.create().commit(1);
    const { size } = statSync(bench.dataPath);
    for (const byteLength of [0, 64, size - 128, size - 64, size - 1]) {
      truncateSync(bench.dataPath, byteLength);
      for (const source of [bench.dir, bench.dataPath]) {
        const [problem, ...more] = problemsOf(source);
        expect(more).toEqual([]);
        expect(problem).toMatchObject({ severity: "fault", path: bench.dataPath });
        expect(problem!.advice).toContain("shmstruct restore BACKUP FILE");
        expect(problem!.advice).toContain("{ create: true, force: true }");
      }
      const { room, path } = removerOf(bench.dataPath);
      expect([room.remove(path, {}), existsSync(bench.dataPath)]).toEqual([true, false]);
      bench.create();
    }
  });

  test("an empty, a foreign and a half written file in its place are found, and rm leaves what was never a segment", () => {
    const texts = ["", "my notes", "x".repeat(640), `${"y".repeat(512)}shmstrct${"\0".repeat(120)}`];
    for (const text of texts) {
      using bench = new Bench(content);
      bench.create().close();
      rmSync(bench.dataPath);
      writeFileSync(bench.dataPath, text, { mode: 0o600 });
      const [problem, ...more] = problemsOf(bench.dir);
      expect(more).toEqual([]);
      expect(problem).toMatchObject({ severity: "fault", path: bench.dataPath });
    }
  });

  test("rm leaves an empty file that has no lock beside it, and makes none", () => {
    using bench = new Bench(content);
    writeFileSync(bench.dataPath, "");
    expect(() => removerOf(bench.dataPath)).toThrow("is empty and has no lock file beside it");
    expect(readdirSync(bench.dir)).toEqual([basename(bench.dataPath)]);
  });

  test("each bit of the footer's fixed part that is flipped is a fault, and rm removes the file", () => {
    using bench = new Bench(content);
    bench.create().close();
    const sound = readFileSync(bench.dataPath);
    for (let bit = 8 * 8; bit < 80 * 8; bit += 29) {
      const bytes = Buffer.from(sound);
      bytes[bytes.length - 128 + (bit >> 3)]! ^= 1 << (bit & 7);
      writeFileSync(bench.dataPath, bytes);
      const [problem, ...more] = problemsOf(bench.dir);
      expect([bit, more]).toEqual([bit, []]);
      expect(problem).toMatchObject({ severity: "fault", path: bench.dataPath });
      expect(problem!.advice).toContain("{ create: true, force: true }");
    }
    const { room, path } = removerOf(bench.dataPath);
    expect([room.remove(path, {}), existsSync(bench.dataPath)]).toEqual([true, false]);
  });

  test("lock files whose segment was deleted are a risk, which purge ends", () => {
    using bench = new Bench(content);
    bench.create().close();
    rmSync(bench.dataPath);
    const [problem, ...more] = problemsOf(bench.dir);
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ severity: "risk", path: bench.dir });
    expect(problem!.advice).toContain(`shmstruct purge '${bench.dir}'`);
  });

  test("a lock file that was deleted is no fault, or its creator makes it again", () => {
    using bench = new Bench(content);
    bench.create().close();
    rmSync(bench.lockPath);
    for (const { severity, advice } of problemsOf(bench.dir)) {
      expect(severity).toBe("fault");
      expect(advice).toContain("{ create: true }");
    }
    bench.create();
    expect(problemsOf(bench.dir)).toEqual([]);
  });

  test("a file that others may truncate is a fault, and --shared accepts it", () => {
    using bench = new Bench(content);
    bench.create().close();
    chmodSync(bench.dataPath, 0o666);
    const [problem] = problemsOf(bench.dir);
    expect(problem!.advice).toContain("--shared");
    expect(examine([bench.dir], { shared: true }, quiet)).toEqual([]);
  });

  test("what a killed creator left is a risk, which the next creator ends", () => {
    using bench = new Bench(content);
    bench.create().close();
    const left = join(bench.dir, `${content.file}.new-0123456789abcdef`);
    writeFileSync(left, readFileSync(bench.dataPath), { mode: 0o600 });
    const problems = problemsOf(bench.dir);
    expect(problems).toMatchObject([{ severity: "risk", path: left }]);
    bench.create({ force: true });
    expect([existsSync(left), problemsOf(bench.dir)]).toEqual([false, []]);
  });
});

describe.each(CONTENTS.filter(({ isLockFree }) => !isLockFree))("$name", (content) => {
  test("a stopped holder of its lock is a fault that names the process", async () => {
    using bench = new Bench(content);
    bench.create();
    const child = bench.child("hold");
    await child.line();
    const { pid } = child.process;
    process.kill(pid, "SIGSTOP");
    // The signal may arrive after kill(2) has returned.
    while (!/\) T /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))) await Bun.sleep(1);
    const [found, who] = [
      problemsOf(bench.dataPath).map(({ advice }) => advice),
      await whoUses(bench.dataPath),
    ];
    process.kill(pid, "SIGCONT");
    expect(who).toContainEqual(expect.objectContaining({ pid, state: "stopped" }));
    expect(who.find((user) => user.pid === pid)?.does).toContain("holds (exclusive)");
    expect(found).toContain(`kill -CONT ${pid} lets it go on, kill ${pid} ends it`);
  });

  test("who names the process that holds the lock, its command line, and the one that waits", async () => {
    using bench = new Bench(content);
    bench.create();
    const holder = bench.child("hold");
    await holder.line();
    const waiter = bench.child("timed", 15_000);
    expect(await waiter.line()).toBe("waiting");
    let users = await whoUses(bench.dataPath);
    for (
      let looks = 0;
      looks < 20 && !users.some(({ does }) => does.some((what) => what.startsWith("waits")));
      looks++
    )
      users = await whoUses(bench.dataPath);
    const [held, waits] = [holder, waiter].map(({ process: { pid } }) =>
      users.find((user) => user.pid === pid),
    );
    expect(held?.does).toContain("holds (exclusive)");
    expect(held?.command).toContain("conformance-child.ts");
    expect(waits?.does.join()).toMatch(/waits \((?:exclusive|shared)\)/);
  });
});
