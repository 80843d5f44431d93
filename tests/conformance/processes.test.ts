/** What other processes may do to a segment, on every content: come at once, be killed, be of another user. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, chownSync, linkSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { programAt } from "../support/programs.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";
import { type ReadableCopy, readableCopy } from "../support/readable-copy.ts";
import { killAt, type Point, pointsOf } from "../support/system-calls.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";
import { CONTENTS } from "./contents.ts";
import { Bench, CHILD, Child, isSoak, rounds, rowsOf, rowTimeout } from "./support.ts";

setDefaultTimeout(rowTimeout());

const seed = seedOfRun();
console.log(`SEED=${seed}`);
const random = randomFrom(seed);

const CREATORS = 16;

/** Made by the first that needs it. */
let copied: ReadableCopy | undefined;
afterAll(() => copied?.[Symbol.dispose]());

/** Kills a child at some moment, most often soon. */
async function killSomewhen(child: Child): Promise<void> {
  await Bun.sleep(random.whole(0, 20) + random.whole(0, 1000) / 1000);
  child.kill();
  expect(await child.end()).toBe("SIGKILL");
}

describe.each([...CONTENTS])("$name", (content) => {
  const row = rowsOf(content);
  row(
    `when ${CREATORS} create the file at once there is one file, no commit is lost, nothing is left beside it`,
    async () => {
      for (let i = 0; i < rounds(1); i++) {
        using bench = new Bench(content);
        const children = Array.from({ length: CREATORS }, () => bench.child("create", 3));
        for (const child of children) expect([await child.end(), await child.errors()]).toEqual([0, ""]);
        const reader = bench.reader();
        expect([reader.newest(), reader.peek()]).toEqual([3 * CREATORS, 3 * CREATORS]);
        expect(bench.files()).toEqual(bench.ownFiles());
      }
    },
  );

  row("when 8 create the file with force at once every user always finds a whole file", async () => {
    for (let i = 0; i < rounds(1); i++) {
      using bench = new Bench(content);
      const children = Array.from({ length: 8 }, () => bench.child("create", 5, "force"));
      for (const child of children) expect([await child.end(), await child.errors()]).toEqual([0, ""]);
      expect(bench.reader().newest()).toBeGreaterThan(0);
      expect(bench.files()).toEqual(bench.ownFiles());
    }
  });

  row(
    "after a writer is killed at a random instant the next write is possible at once, nothing is torn or lost",
    async () => {
      using bench = new Bench(content);
      const writer = bench.create();
      const reader = bench.reader();
      let state = 0;
      let version = reader.version;
      for (let i = 0; i < rounds(4); i++) {
        const child = bench.child("churn");
        await child.line();
        await killSomewhen(child);
        writer.advance({ timeoutMs: 10_000 });
        const next = reader.newest() as number;
        expect([next > state, reader.version > version, reader.peek()]).toEqual([true, true, next]);
        [state, version] = [next, reader.version];
      }
      expect(bench.files()).toEqual(bench.ownFiles());
    },
  );

  row(
    "creators, replacers and removers killed at a random instant leave nothing that the next does not sweep",
    async () => {
      using bench = new Bench(content);
      for (let i = 0; i < rounds(4); i++) {
        const child = bench.child("replace");
        await child.line();
        await killSomewhen(child);
        using writer = content.create(bench.dir, { timeoutMs: 10_000 });
        expect(writer.newest()).toBeGreaterThanOrEqual(0);
        expect(bench.files()).toEqual(bench.ownFiles());
        writer.advance({ timeoutMs: 10_000 });
        const links = statSync(bench.dataPath).nlink;
        expect([writer.peek() === writer.newest(), links]).toEqual([true, 1]);
      }
    },
  );

  test.skipIf(!hasTool("strace")).each(["create", "force", "commit", "remove"] as const)(
    "a process killed at any system call of %s does all or nothing, holds no lock, and leaves nothing that the next does not sweep (needs strace)",
    (operation) => {
      const allowed = { create: [undefined, 0], force: [1, 0], commit: [1, 2], remove: [1, undefined] }[
        operation
      ];
      const points = pointsIn(operation);
      expect(points.length).toBeGreaterThan(operation === "commit" ? 2 : 15);
      let kills = 0;
      // Now and then the program makes a call more or less before, and is not killed.
      const some = Array.from({ length: 8 }, () => random.pick(points));
      for (const point of isSoak ? points : some) {
        if (!isSoak && kills === 2) break;
        using bench = prepared(operation);
        const reader = operation === "create" ? undefined : bench.reader();
        const version = reader?.version ?? -1;
        if (killAt(point, commandOf(bench, operation))) kills++;
        expect(allowed).toContain(reader?.newest({ timeoutMs: 10_000 }) as number);
        using next = content.create(bench.dir, { timeoutMs: 10_000 });
        expect([point, bench.files()]).toEqual([point, bench.ownFiles()]);
        expect(statSync(bench.dataPath).nlink).toBe(1);
        next.commit(5, { timeoutMs: 10_000 });
        expect([next.newest(), next.peek(), next.version > version]).toEqual([5, 5, true]);
        if (reader !== undefined) expect([reader.newest(), reader.peek()]).toEqual([5, 5]);
      }
      expect(kills).toBeGreaterThan(isSoak ? points.length / 2 : 0);
    },
  );

  const commandOf = (bench: Bench, operation: string): string[] => [
    process.execPath,
    programAt(CHILD),
    content.name,
    "traced",
    bench.dir,
    operation,
  ];

  /** Where the operation finds state 1, but for a creation. */
  function prepared(operation: string): Bench {
    const bench = new Bench(content);
    if (operation !== "create") bench.create().commit(1);
    return bench;
  }

  function pointsIn(operation: string): Point[] {
    using bench = prepared(operation);
    using log = temporaryDirectory();
    return pointsOf(commandOf(bench, operation), join(log.path, "trace"));
  }

  row(
    "a second name that a creator killed between link and unlink left is swept, and the file is missed when it is deleted",
    async () => {
      using bench = new Bench(content);
      const writer = bench.create();
      writer.commit(1);
      linkSync(bench.dataPath, `${bench.dataPath}.new-0123456789abcdef`);
      const next = bench.create();
      expect([bench.files(), next.newest(), statSync(bench.dataPath).nlink]).toEqual([
        bench.ownFiles(),
        1,
        1,
      ]);
      rmSync(bench.dataPath);
      await Bun.sleep(150);
      expect([writer.newest(), next.newest()]).toEqual([undefined, undefined]);
    },
  );

  row("a process that ends in the middle of a write has not written, and the lock is free", async () => {
    using bench = new Bench(content);
    const writer = bench.create();
    writer.commit(1);
    for (const [way, end] of [
      ["exit", 7],
      ["kill", "SIGKILL"],
      ["throw", 1],
    ] as const) {
      const { version } = writer;
      expect([way, await bench.child("endInside", way).end()]).toEqual([way, end]);
      expect([writer.newest(), writer.peek(), writer.version]).toEqual([1, 1, version]);
      writer.commit(1, { timeoutMs: 0 });
    }
  });

  /** A child as another user, from a copy of the library that it may read. */
  function asUser(bench: Bench, action: string, ...args: (string | number)[]): Child {
    copied ??= readableCopy();
    const user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const program = [copied.program(CHILD), content.name, action, bench.dir, ...args.map(String)];
    return new Child(program, { through: user, bun: copied.bun });
  }

  test.skipIf(process.getuid?.() !== 0 || !hasTool("setpriv"))(
    "a process of another uid may do what the mode grants, and else gets an error that says so (needs root and setpriv)",
    async () => {
      for (const [mode, reads, writes] of [
        [0o666, true, true],
        [0o644, true, false],
        [0o600, false, false],
      ] as const) {
        using bench = new Bench(content);
        chmodSync(bench.dir, 0o1777);
        const shared = mode === 0o666;
        const writer = bench.create({ mode, shared });
        writer.commit(1);
        for (const name of bench.ownFiles()) expect(statSync(join(bench.dir, name)).mode & 0o777).toBe(mode);
        if (shared) {
          using trusting = asUser(bench, "look");
          expect(await trusting.line()).toMatch(
            /^UntrustedFileError .*other users can truncate it.*shared: true/,
          );
        }
        using reading = asUser(bench, "look", "shared");
        expect(await reading.line()).toMatch(reads ? /^state 1$/ : /^SystemError EACCES .*mode 0600/);
        using committing = asUser(bench, "attempt", 5, "shared");
        expect(await committing.line()).toMatch(writes ? /^committed 5$/ : /^SystemError EACCES .*mode/);
        expect(writer.newest()).toBe(writes ? 5 : 1);
      }
    },
  );

  test.skipIf(process.getuid?.() !== 0 || !hasTool("setpriv"))(
    "under umask 0777 files and directories get the mode that they should have, also without root (needs root and setpriv)",
    async () => {
      for (const umask of [0, 0o777]) {
        using bench = new Bench(content);
        chownSync(bench.dir, 65534, 65534);
        using child = asUser(bench, "createWith", umask, "shared");
        expect(await child.line()).toBe("state 5");
        for (const name of bench.ownFiles())
          expect([name, statSync(join(bench.dir, name)).mode & 0o777]).toEqual([name, 0o660]);
      }
    },
  );

  test.skipIf(!hasTool("strace"))(
    "no existing file is opened with O_CREAT, which fs.protected_regular refuses (needs strace)",
    async () => {
      using bench = new Bench(content);
      bench.create().commit(1);
      const trace = ["strace", "-f", "-o", join(bench.dir, "trace"), "-e", "trace=open,openat"];
      using child = new Child([programAt(CHILD), content.name, "commit", bench.dir, "5"], { through: trace });
      expect([await child.line(), await child.end()]).toEqual(["committed 5", 0]);
      const lines = (await Bun.file(join(bench.dir, "trace")).text()).split("\n");
      const own = lines.filter((line) => line.includes(`"${bench.dir}/`));
      expect(own.length).toBeGreaterThan(2);
      expect(own.filter((line) => line.includes("O_CREAT"))).toEqual([]);
    },
  );
});
