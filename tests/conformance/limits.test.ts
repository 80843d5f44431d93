/** Time limits, full disks, full stacks, too few descriptors, layers, copies of the library: on every content. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { programAt } from "../support/programs.ts";
import { seedOfRun } from "../support/random.ts";
import { type ReadableCopy, readableCopy } from "../support/readable-copy.ts";
import { hasTool } from "../support/tools.ts";
import { CONTENTS, limitedCalls } from "./contents.ts";
import { Bench, Child, type ChildOptions, rounds, rowsOf, rowTimeout } from "./support.ts";

setDefaultTimeout(rowTimeout());

/** Longer than the 100 ms within which a deleted file is noticed. */
const NOTICED_MS = 150;

const STRAIN = programAt(join(import.meta.dir, "../process/conformance-strain.ts"));
const CONTENTS_FILE = join(import.meta.dir, "contents.ts");

const seed = seedOfRun();
console.log(`SEED=${seed}`);

/** A mount namespace of its own, if there may be one: `sh` runs the script, then what follows. */
const inNamespace = (script: string): string[] => [
  "unshare",
  "-m",
  "sh",
  "-c",
  `${script} && exec "$@"`,
  "sh",
];
const can = (script: string): boolean =>
  hasTool("unshare") && Bun.spawnSync([...inNamespace(script), "true"]).success;

const SMALL_DISK = "mount -t tmpfs -o size=1m none /dev/shm && mkdir /dev/shm/here";
const OVERLAY = (lower: string): string =>
  `mount -t tmpfs none /mnt && mkdir /mnt/upper /mnt/work /mnt/merged && mount -t overlay overlay -o lowerdir=${lower},upperdir=/mnt/upper,workdir=/mnt/work /mnt/merged`;

/** For the tests of a test runner that a row starts. */
const TIME_LIMIT = "--timeout=240000";

/** How long `call` waits for a lock that it does not get, in milliseconds. */
function waited(call: () => void): number {
  const began = Bun.nanoseconds();
  expect(call).toThrow(expect.objectContaining({ name: expect.stringMatching(/TimeoutError$/) }));
  return (Bun.nanoseconds() - began) / 1e6;
}

/** How often a wait is tried until it ends in time: more than once only where the machine is busy. */
const TRIES = 30;

/**
 * Never early; late by 50 ms and a tenth at most. That is said of the best try: on a busy machine a thread may not run for
 * longer than that, and a limit that begins anew or is not looked at shows at each.
 */
function expectLimit(took: readonly number[], timeoutMs: number): void {
  expect(Math.min(...took)).toBeGreaterThanOrEqual(timeoutMs);
  expect([took, isLate(took, timeoutMs)]).toEqual([took, false]);
}

const isLate = (took: readonly number[], timeoutMs: number): boolean =>
  Math.min(...took) >= timeoutMs * 1.1 + 50;

/** Made by the first that needs it. */
let copied: ReadableCopy | undefined;
afterAll(() => copied?.[Symbol.dispose]());

describe.each([...CONTENTS])("$name", (content) => {
  const row = rowsOf(content);
  const strain = (
    bench: Bench,
    action: string,
    args: readonly (string | number)[],
    options?: ChildOptions,
  ): Child => new Child([STRAIN, content.name, action, bench.dir, ...args.map(String)], options);

  /** Its last line, of a program that is to end well. */
  async function outcome(child: Child, timeoutMs = 120_000): Promise<string> {
    using _ = child;
    const line = await child.line(timeoutMs);
    expect([line, await child.end()]).toEqual([line, 0]);
    return line;
  }

  row("time limits never end early, and end at most 50 ms and a tenth late", async () => {
    using bench = new Bench(content);
    bench.create();
    using limited = limitedCalls(content, bench.dir);
    await bench.child(limited.holder).line();
    for (const timeoutMs of [0, 20.5, 60]) {
      const wait = { timeoutMs };
      for (const call of limited.calls) {
        const took: number[] = [];
        while (took.length < 3 || (took.length < TRIES && isLate(took, timeoutMs)))
          took.push(waited(() => call(wait)));
        expectLimit(took, timeoutMs);
      }
    }
  });

  row("time limits hold although the lock file is replaced meanwhile", async () => {
    for (let i = 0; i < rounds(1); i++) {
      // More than once, and then longer, only where the machine was too busy to replace the file and wake the waiter in time.
      let timeoutMs = 600;
      let took = [await waitWhileReplaced(timeoutMs)];
      for (let again = 0; again < 5 && isLate(took, timeoutMs); again++) {
        timeoutMs *= 2;
        took = [await waitWhileReplaced(timeoutMs)];
      }
      expectLimit(took, timeoutMs);
    }
  });

  /** How long a program waits whose lock file is deleted meanwhile, with another one's in its place, held too. */
  async function waitWhileReplaced(timeoutMs: number): Promise<number> {
    using bench = new Bench(content);
    bench.create();
    const first = bench.child("hold");
    await first.line();
    const waiter = bench.child("timed", timeoutMs);
    expect(await waiter.line()).toBe("waiting");
    await Bun.sleep(50);
    // Stopped meanwhile, or it may find the place without a lock file and make one.
    waiter.kill("SIGSTOP");
    rmSync(bench.lockPath);
    const second = bench.child("createAndHold");
    await second.line();
    waiter.kill("SIGCONT");
    // A deleted lock file is looked for every 100 ms only.
    await Bun.sleep(NOTICED_MS);
    first.say();
    return Number(await waiter.line());
  }

  row("a stack overflow at every depth leaves no lock, no session and no half state", async () => {
    using bench = new Bench(content);
    expect(await outcome(strain(bench, "stack", [rounds(8)]), 200_000)).toBe("overflows enough");
    const writer = bench.writer();
    writer.advance({ timeoutMs: 0 });
    expect(writer.peek()).toBe(writer.newest() as number);
  });

  row("fake timers do not keep a time limit from ending", async () => {
    using bench = new Bench(content);
    bench.create();
    using limited = limitedCalls(content, bench.dir);
    await bench.child(limited.holder).line();
    const program = join(import.meta.dir, "../process/conformance-fake-timers.ts");
    const env = { CONTENT: content.name, DIR: bench.dir };
    using runner = new Child(["test", TIME_LIMIT, program], { env });
    const end = await runner.end().catch(String);
    expect([end, end === 0 ? "" : await runner.errors()]).toEqual([0, ""]);
  });

  row("what the code before a reload of bun --hot has left open makes no wait endless", async () => {
    using bench = new Bench(content);
    const main = join(bench.dir, "main.ts");
    writeFileSync(
      main,
      `import { contentNamed } from ${JSON.stringify(CONTENTS_FILE)};
       const turn = (globalThis.turn = (globalThis.turn ?? 0) + 1);
       const writer = contentNamed("${content.name}").create(${JSON.stringify(bench.dir)});
       if (turn === 1) {
         void writer.changes().next();
         globalThis.kept = writer.holdOpen?.();
         console.log("open", globalThis.kept === undefined ? "no session" : "a session");
       } else {
         try { writer.commit(2); console.log("committed"); } catch (error) { console.log(error.name); }
       }\n`,
    );
    using child = new Child(["--hot", "--no-clear-screen", main]);
    const open = await child.line();
    // Again and again, as Bun may not watch the file yet.
    const changing = setInterval(() => appendFileSync(main, "// changed\n"), 500);
    const next = await child.line().finally(() => clearInterval(changing));
    expect(next).toBe(open === "open a session" ? "DeadlockError" : "committed");
  });

  row("what the file before has left open in bun test --isolate makes no wait endless", async () => {
    using bench = new Bench(content);
    const setup = `import { expect, test } from "bun:test";
      import { contentNamed } from ${JSON.stringify(CONTENTS_FILE)};
      const writer = contentNamed("${content.name}").create(${JSON.stringify(bench.dir)});\n`;
    writeFileSync(
      join(bench.dir, "a.test.ts"),
      `${setup} test("leaves a session open", () => { globalThis.kept = writer.holdOpen?.(); writer.peek(); });\n`,
    );
    writeFileSync(
      join(bench.dir, "b.test.ts"),
      `${setup} test("writes", () => {
        try { writer.commit(2); } catch (error) { expect(error.name).toBe("DeadlockError"); }
      });\n`,
    );
    using runner = new Child(["test", TIME_LIMIT, "--isolate", "a.test.ts", "b.test.ts"], { cwd: bench.dir });
    const end = await runner.end().catch(String);
    expect([end, end === 0 ? "" : await runner.errors()]).toEqual([0, ""]);
  });

  row(
    "two copies of the library in one thread get a DeadlockError instead of a wait for oneself",
    async () => {
      using bench = new Bench(content);
      copied ??= readableCopy();
      expect(await outcome(strain(bench, "twoCopies", [copied.of(CONTENTS_FILE)]))).toMatch(/^state [23]$/);
    },
  );

  row(
    "at the descriptor limit calls throw only SystemErrors, nothing leaks, and changes are told all the same",
    async () => {
      using bench = new Bench(content);
      const through = ["sh", "-c", 'ulimit -n 60 && exec "$@"', "sh"];
      expect(await outcome(strain(bench, "descriptors", [], { through }))).toBe("done");
    },
  );

  test.skipIf(!can(SMALL_DISK))(
    "on a full /dev/shm of 1 MiB a new file is refused, and the file that is there is written all the same (needs the right to mount)",
    async () => {
      const args = [STRAIN, content.name, "fullDisk", "/dev/shm/here"];
      expect(await outcome(new Child(args, { through: inNamespace(SMALL_DISK) }))).toBe("done");
    },
  );

  test.skipIf(!can(OVERLAY("/tmp")))(
    "on overlayfs a reader that opened the file before its first writer follows (needs the right to mount)",
    async () => {
      using bench = new Bench(content);
      const writer = bench.create();
      writer.commit(1);
      writer.close();
      const args = [STRAIN, content.name, "overlay", "/mnt/merged"];
      expect(await outcome(new Child(args, { through: inNamespace(OVERLAY(bench.dir)) }))).toBe("done");
    },
  );

  test.each(["tamperBefore", "tamperInUse"])(
    "random words and lengths in footer, header and lock page cause only the library's errors (%s)",
    async (action) => {
      using bench = new Bench(content);
      const line = await outcome(strain(bench, action, [rounds(30), seed]), 200_000 * rounds(1));
      expect(line).toStartWith("done");
    },
  );
});

test("a stack overflow at every depth leaves the lock of a writer that does not heal", async () => {
  const [content] = CONTENTS;
  using bench = new Bench(content!);
  using child = new Child([STRAIN, content!.name, "stackControl", bench.dir, "8"]);
  expect([await child.line(), await child.end()]).toEqual(["left locked", 0]);
});
