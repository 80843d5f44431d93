/** The faults that the conformance suite makes, on every content: `doctor` finds each and says what helps, and that helps. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
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
import { type ReadableCopy, readableCopy } from "../support/readable-copy.ts";
import { hasTool } from "../support/tools.ts";
import { jsonLines, MAIN, run } from "./fixtures.ts";

setDefaultTimeout(240_000);

/** The file system of the tests may be full, or an overlay. */
const quiet: Machine = { ...thisMachine, fileSystem: () => undefined };
const problemsOf = (...sources: string[]): Problem[] =>
  examine(sources, {}, quiet).filter(({ path }) => !path.startsWith("/proc/"));

/** For programs of another user. */
let copied: ReadableCopy | undefined;
afterAll(() => copied?.[Symbol.dispose]());

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

  test("a truncated file is found in its directory and by its name, and rm removes it unless nothing is left of it", () => {
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
      if (byteLength === 0) {
        expect(() => removerOf(bench.dataPath)).toThrow(
          "is empty: it was truncated, or another program made it",
        );
        rmSync(bench.dataPath);
      } else {
        const { room, path } = removerOf(bench.dataPath);
        expect([room.remove(path, {}), existsSync(bench.dataPath)]).toEqual([true, false]);
      }
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

  test("rm leaves an empty file, and makes no lock beside it", () => {
    using bench = new Bench(content);
    writeFileSync(bench.dataPath, "");
    expect(() => removerOf(bench.dataPath)).toThrow("is empty: it was truncated, or another program made it");
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

  test("after a writer was killed in the middle of a write nothing is wrong that the next writer does not end", async () => {
    using bench = new Bench(content);
    bench.create().commit(1);
    const killed = bench.child("endInside", "kill");
    expect(await killed.end()).toBe("SIGKILL");
    for (const { advice } of problemsOf(bench.dir)) expect(advice).toContain("the next writer rolls back");
    bench.writer().advance();
    expect(problemsOf(bench.dir)).toEqual([]);
  });

  test.skipIf(process.getuid?.() !== 0 || !hasTool("setpriv"))(
    "a file that this user may not open is a fault that says what to look at (needs root and setpriv)",
    async () => {
      using bench = new Bench(content);
      bench.create().commit(1);
      chmodSync(bench.dir, 0o755);
      copied ??= readableCopy();
      const as = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
      const words = [copied.bun, copied.of(MAIN), "doctor", "--json", "--trust-owner", "0", bench.dataPath];
      const child = Bun.spawn([...as, ...words], { cwd: bench.dir, stdout: "pipe", stderr: "inherit" });
      const problems = (await child.stdout.text()).split("\n").filter(Boolean);
      expect(problems.map((line) => JSON.parse(line) as Problem)).toContainEqual(
        expect.objectContaining({
          severity: "fault",
          path: bench.dataPath,
          advice: expect.stringContaining("ls -la shows the owner and the mode"),
        }),
      );
      expect(await child.exited).toBe(1);
    },
  );

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
    const waiter = bench.child("timed", 200_000);
    expect(await waiter.line()).toBe("waiting");
    let users = await whoUses(bench.dataPath);
    const end = performance.now() + 60_000;
    while (
      performance.now() < end &&
      !users.some(({ does }) => does.some((what) => what.startsWith("waits")))
    )
      users = await whoUses(bench.dataPath);
    const [held, waits] = [holder, waiter].map(({ process: { pid } }) =>
      users.find((user) => user.pid === pid),
    );
    expect(held?.does).toContain("holds (exclusive)");
    expect(held?.command).toContain("conformance-child.");
    expect(waits?.does.join()).toMatch(/waits \((?:exclusive|shared)\)/);
  });
});

/** Titles of tests here and in doctor.test.ts; what they find is what the row does to a segment. */
const FOUND_BY: Readonly<Record<string, string>> = {
  "after the file was deleted by hand all users": "lock files whose segment was deleted are a risk",
  "a truncated file is an error for its users": "a truncated file is found in its directory",
  "after the lock file or its page was deleted": "a lock file that was deleted is no fault",
  "no two writers write at once after the lock file was deleted": "a lock file that was deleted is no fault",
  "an empty, a foreign and a half written file": "an empty, a foreign and a half written file",
  "remove() leaves no file but the lock's": "lock files whose segment was deleted are a risk",
  "every call with a time limit gives up on what a stopped writer holds":
    "a stopped holder of its lock is a fault",
  "after a writer is killed at a random instant": "after a writer was killed in the middle of a write",
  "creators, replacers and removers killed": "what a killed creator left is a risk",
  "a process killed at any system call": "what a killed creator left is a risk",
  "a second name that a creator killed between link and unlink left": "what a killed creator left is a risk",
  "a process that ends in the middle of a write": "after a writer was killed in the middle of a write",
  "a process of another uid may do what the mode grants": "a file that this user may not open is a fault",
  "under umask 0777 files and directories get the mode": "a file that others may truncate is a fault",
  "no existing file is opened with O_CREAT": "doctor warns of fs.protected_regular",
  "at the descriptor limit": "doctor warns of few descriptors",
  "on a full /dev/shm": "doctor finds a full file system, overlayfs and a network",
  "on overlayfs": "doctor finds a full file system, overlayfs and a network",
  "random words and lengths in footer": "each bit of the footer's fixed part",
};

/** What these do leaves a sound segment: another file in its place, other threads, other timing. */
const SOUND_AFTER: readonly string[] = [
  "while the owner replaces the file",
  "after the file was replaced by mv",
  "after cp wrote an older copy over the file",
  "when 16 create the file at once",
  "when 8 create the file with force at once",
  "a worker that ends with everything open",
  "after a worker that holds the lock was terminated",
  "a worker that was terminated while it waits never",
  "a worker that was terminated while it waits for changes",
  "time limits never end early",
  "time limits hold although the lock file is replaced",
  "a stack overflow at every depth",
  "fake timers do not keep",
  "what the code before a reload of bun --hot",
  "what the file before has left open in bun test",
  "two copies of the library in one thread",
];

test("each row of the conformance suite makes a fault that a test of doctor has, or leaves a sound segment", () => {
  const page = readFileSync(join(import.meta.dir, "../../docs/internals/conformance.md"), "utf8");
  // Not those of the other languages: they make the same faults.
  const [own = ""] = page.split("## C, Python");
  const rows = Array.from(own.matchAll(/^\| (.{15,}?) \| (?:yes|no) /gm), ([, title = ""]) => title);
  const known = [...Object.keys(FOUND_BY), ...SOUND_AFTER];
  expect(rows.length).toBeGreaterThan(30);
  expect(rows.filter((row) => known.filter((start) => row.startsWith(start)).length !== 1)).toEqual([]);
  const tests = ["faults", "doctor"]
    .map((name) => readFileSync(join(import.meta.dir, `${name}.test.ts`), "utf8"))
    .flatMap((text) => Array.from(text.matchAll(/\(\s*"([^"]+)"/g), ([, title = ""]) => title));
  const missing = Object.values(FOUND_BY).filter((start) => !tests.some((title) => title.startsWith(start)));
  expect(missing).toEqual([]);
});
