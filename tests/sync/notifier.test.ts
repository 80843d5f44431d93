import { afterAll, beforeEach, describe, expect, jest, setDefaultTimeout, test } from "bun:test";
import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClosedError } from "../../src/errors/errors.ts";
import {
  type ChangesOptions,
  NOTIFIER_TRANSITIONS,
  Notifier,
  type NotifierState,
} from "../../src/sync/notifier.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { openFile } from "../../src/sys/file.ts";
import { futexHasSleepers, futexWake, futexWakeOf } from "../../src/sys/libc/futex.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { programAt } from "../support/programs.ts";
import { readableCopy } from "../support/readable-copy.ts";
import { workerIds } from "../support/resources.ts";
import { until } from "../support/until.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const CHILD = programAt(join(import.meta.dir, "../process/signal-child.ts"));
const RESOURCES = join(import.meta.dir, "../support/resources.ts");
const LOCKS = join(import.meta.dir, "../../src/sync");

const dir = mkdtempSync(join(tmpdir(), "notifier-"));
afterAll(() => rmSync(dir, { recursive: true }));

let path = "";
let files = 0;
let lock: RwLock;
let signal: Notifier;
beforeEach(() => {
  path = join(dir, `${files++}.lock`);
  lock = new RwLock({ path, create: true });
  signal = new Notifier({ lock });
});

/** Threads of other test files in this process do not count, those that end only now included. */
const others = new Set(workerIds());
const wakers = (): number => workerIds().filter((id) => !others.has(id)).length;

/** Wakes by threads in this process, not by the kernel, until the end of the scope. */
function byThreads(): Disposable {
  const before = process.env.SHMSTRUCT_WAKER;
  process.env.SHMSTRUCT_WAKER = "thread";
  return {
    [Symbol.dispose]() {
      if (before === undefined) delete process.env.SHMSTRUCT_WAKER;
      else process.env.SHMSTRUCT_WAKER = before;
    },
  };
}

/** Runs a waiting process; `lines()` are what it has printed after "ready". */
async function spawnChild(action: "iterate" | "iterate by a thread" | "wait", turns: number) {
  const [verb = "", ...isByThread] = action.split(" ");
  const child = Bun.spawn([process.execPath, CHILD, verb, path, String(turns)], {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, ...(isByThread.length > 0 && { SHMSTRUCT_WAKER: "thread" }) },
  });
  let output = "";
  const read = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) output += decoder.decode(chunk);
  })();
  await until(() => output.startsWith("ready\n"));
  return { child, read, lines: () => output.split("\n").slice(1, -1).map(Number) };
}

describe.each(["iterate", "iterate by a thread", "wait"] as const)(
  "another process that does %s",
  (action) => {
    test(`another process that does ${action} is woken by each of 200 commits`, async () => {
      const { child, read, lines } = await spawnChild(action, 200);
      for (let commit = 1; commit <= 200; commit++) {
        signal.notify();
        await until(() => lines().at(-1) === commit);
      }
      expect(await child.exited).toBe(0);
      await read;
      expect(lines()).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    }, 240_000);

    test(`another process that does ${action} sees a burst of thousands as few turns, the last one included`, async () => {
      const { child, lines } = await spawnChild(action, 1_000_000);
      for (let commit = 0; commit < 5000; commit++) signal.notify();
      await until(() => lines().at(-1) === 5000);
      expect(lines().length).toBeLessThan(5000);
      child.kill();
      await child.exited;
    }, 240_000);

    test(`another process that does ${action} leaves nothing behind when it is killed: one wake, then commits are silent again`, async () => {
      const { child } = await spawnChild(action, 1_000_000);
      const words = new Int32Array(Mapping.map(openFile(`${path}-page`, 2), { byteLength: 4096 }).buffer);
      await until(() => words[33] === 1);
      child.kill("SIGKILL");
      await child.exited;
      signal.notify();
      expect(Atomics.load(words, 33) - Atomics.load(words, 32)).toBeLessThanOrEqual(0);
      expect(futexWake(words, 32)).toBe(0);
    }, 240_000);
  },
);

test("two processes that wait are both woken by every commit", async () => {
  const children = [await spawnChild("iterate", 100), await spawnChild("wait", 100)];
  for (let commit = 1; commit <= 100; commit++) {
    signal.notify();
    await until(() => children.every(({ lines }) => lines().at(-1) === commit));
  }
  for (const { child } of children) expect(await child.exited).toBe(0);
}, 240_000);

describe("wait", () => {
  test("wait returns at once when the version differs, and false after the timeout", () => {
    expect(signal.wait(-1)).toBe(true);
    expect(signal.wait(signal.version, { timeoutMs: 0 })).toBe(false);
    expect(signal.wait(signal.version, { timeoutMs: 5 })).toBe(false);
    signal.notify();
    expect(signal.wait(0, { timeoutMs: 0 })).toBe(true);
    expect(signal.version).toBe(1);
  });

  test("wait checks its timeout, and that the notifier is open", () => {
    expect(() => signal.wait(0, { timeoutMs: Number.NaN })).toThrow(TypeError);
    expect(() => signal.wait(0, { timeoutMs: -5 })).toThrow(RangeError);
    signal.close();
    expect(() => signal.wait(0)).toThrow(ClosedError);
    expect(() => signal.notify()).toThrow(ClosedError);
    expect(() => signal.changes()).toThrow(`the notifier of '${path}' is closed`);
  });
});

describe("changes", () => {
  test("changes begins with the first commit after the call, and gives what came before the first turn", async () => {
    signal.notify();
    const changes = signal.changes();
    signal.notify();
    signal.notify();
    expect(await changes.next()).toEqual({ done: false, value: 3 });
    const [next, afterwards] = [changes.next(), changes.next()];
    signal.notify();
    expect(await next).toEqual({ done: false, value: 4 });
    signal.notify();
    expect(await afterwards).toEqual({ done: false, value: 5 });
    signal.close();
  });

  test("several iterations of one notifier share a thread, where threads wake, which ends with the last of them", async () => {
    using _ = byThreads();
    await until(() => wakers() === 0);
    const [first, second] = [signal.changes(), signal.changes()];
    const turns = [first.next(), second.next()];
    await until(() => wakers() === 1);
    signal.notify();
    expect(await Promise.all(turns)).toEqual(Array(2).fill({ done: false, value: 1 }));
    await first.return();
    const turn = second.next();
    signal.notify();
    expect((await turn).value).toBe(2);
    expect(wakers()).toBe(1);
    await second.return();
    await until(() => wakers() === 0);
  });

  test("wrong options of changes are TypeErrors that name them", () => {
    const direct = AbortSignal.timeout(1) as unknown as ChangesOptions;
    expect(() => signal.changes(direct)).toThrow(/^changes: expected options such as \{ signal: /);
    const number = { signal: 5 } as unknown as ChangesOptions;
    expect(() => signal.changes(number)).toThrow(/^changes: option signal must be an/);
    expect(() => signal.wait(0, { timeout: 5 } as object)).toThrow(
      /^waitForChange: there is no option "timeout"/,
    );
    expect(() => new Notifier({ lock, reed: () => 1 } as { lock: RwLock })).toThrow(/no option "reed"/);
  });

  test("return() ends an iteration, also while a turn is waited for", async () => {
    const changes = signal.changes();
    const turn = changes.next();
    await Bun.sleep(5);
    expect(await changes.return()).toEqual({ done: true, value: undefined });
    expect(await turn).toEqual({ done: true, value: undefined });
    expect(await changes.next()).toEqual({ done: true, value: undefined });
    signal.notify();
  });

  test("aborting ends an iteration with the reason, once", async () => {
    const controller = new AbortController();
    const changes = signal.changes({ signal: controller.signal });
    const ends = Promise.allSettled([changes.next(), changes.next()]);
    controller.abort(new Error("enough"));
    const done = { status: "fulfilled", value: { done: true } };
    expect(await ends).toMatchObject([{ reason: { message: "enough" } }, done]);
    expect(await changes.next()).toMatchObject({ done: true });
    expect(() => signal.changes({ signal: AbortSignal.abort(new Error("too late")) })).toThrow("too late");
  });

  test("closing the notifier ends every loop quietly", async () => {
    const loops = [0, 1].map(async () => {
      let turns = 0;
      for await (const _ of signal.changes()) turns += 1;
      return turns;
    });
    await Bun.sleep(5);
    signal.close();
    expect(await Promise.all(loops)).toEqual([0, 0]);
  });

  test("an iteration does not keep writers busy between its turns", async () => {
    const words = (): Int32Array => new Int32Array(readFileSync(`${path}-page`).buffer.slice(0, 4096));
    expect(words()[33]).toBe(0);
    const changes = signal.changes();
    const turn = changes.next();
    await until(() => words()[33] === 1);
    signal.notify();
    await turn;
    for (let commit = 0; commit < 100; commit++) signal.notify();
    expect([...words().subarray(32, 34)]).toEqual([101, 1]); // the request of the first turn, none since
    await changes.return();
  });
});

describe("follow", () => {
  test("follow goes on with the commits of another lock, for present and later waits", async () => {
    using next = new RwLock({ path: `${path}-next`, create: true });
    const old = new RwLock({ path: `${path}-old`, create: true });
    let version = 0;
    const moving = new Notifier({ lock: old, read: () => version });
    const changes = moving.changes();
    const turn = changes.next();
    await Bun.sleep(20);
    moving.follow(next);
    old.close();
    version = 7;
    moving.notify();
    expect((await turn).value).toBe(7);
    version = 8;
    moving.notify();
    expect((await changes.next()).value).toBe(8);
    expect(next.page?.changes).toBe(2);
    moving.close();
  });
});

describe("the table of states", () => {
  /** Brings a notifier into a state. Its version is `counter.version`, not what the page counts. */
  function prepare(from: NotifierState, event: string) {
    const counter = { version: 0 };
    const notifier = new Notifier({ lock, read: () => counter.version });
    const controller = new AbortController();
    const isShort = event.endsWith("spinMs are over");
    const spinMs = from === "looking" ? (isShort ? 100 : 60_000) : 0;
    const changes = notifier.changes({ spinMs, signal: controller.signal });
    const hasTurn = from === "looking" || from === "asleep";
    const turn = hasTurn ? changes.next().catch(() => undefined) : undefined;
    if (from === "closed") notifier.close();
    const commit = (): void => {
      counter.version++;
      notifier.notify();
    };
    expect(notifier.state).toBe(from);
    return { notifier, changes, turn, commit, controller, counter };
  }

  const EVENTS: Record<string, (prepared: ReturnType<typeof prepare>) => unknown> = {
    notify: ({ commit }) => commit(),
    "next: a new version": ({ changes, commit }) => {
      commit();
      return changes.next();
    },
    "next: the same version": ({ changes }) => void changes.next(),
    "next: the same version, spinMs": ({ notifier }) => void notifier.changes({ spinMs: 60_000 }).next(),
    "look: a new version": ({ commit, turn }) => {
      commit();
      return turn;
    },
    "look: the same version": () => Bun.sleep(2),
    "look: the same version, spinMs are over": ({ notifier }) => until(() => notifier.state !== "looking"),
    "next of another: spinMs": ({ notifier }) => void notifier.changes({ spinMs: 60_000 }).next(),
    "wake: a new version": ({ commit, turn }) => {
      commit();
      return turn;
    },
    "wake: the same version": ({ notifier }) => {
      notifier.notify();
      return Bun.sleep(5);
    },
    follow: ({ notifier }) => notifier.follow(lock),
    "return of one of two": ({ notifier }) => {
      const other = notifier.changes();
      void other.next();
      return other.return();
    },
    return: ({ changes }) => changes.return(),
    abort: ({ controller, turn }) => {
      controller.abort();
      return turn;
    },
    close: ({ notifier }) => notifier.close(),
  };

  test.each(NOTIFIER_TRANSITIONS)('a notifier goes from %s, at "%s", to %s', async (from, event, to) => {
    const prepared = prepare(from, event);
    await EVENTS[event]!(prepared);
    expect(prepared.notifier.state).toBe(to);
    prepared.notifier.close();
    await prepared.turn;
  });
});

/** Runs a script with `signal` at hand; it must end by itself. */
function run(script: string): string {
  const prologue = `
    import { RwLock } from ${JSON.stringify(join(LOCKS, "rw-lock.ts"))};
    import { type ChangesOptions, Notifier } from ${JSON.stringify(join(LOCKS, "notifier.ts"))};
    const lock = new RwLock({ path: process.argv[1] });
    const signal = new Notifier({ lock });
  `;
  const command = [process.execPath, "-e", prologue + script, path];
  const { stdout, stderr, exitCode } = Bun.spawnSync(command, { timeout: 200_000 });
  expect(stderr.toString()).toBe("");
  return `${stdout.toString()}exit ${exitCode}`;
}

describe("the process", () => {
  test("a process stays alive for a turn that is waited for, with nothing else to do", () => {
    // Somebody else commits, after a while.
    const commit = `(await import("node:child_process")).spawn("sleep", ["0.1"], { detached: true })`;
    const output = run(`
      const turn = (async () => { for await (const version of signal.changes()) return version; })();
      ${commit}.on("exit", () => signal.notify()).unref();
      console.log(await turn);
    `);
    expect(output).toBe("1\nexit 0");
  });

  test.each([
    ["return", "await changes.return()"],
    ["abort", "controller.abort()"],
    ["close", "signal.close(); lock.close()"],
    ["break", "signal.notify(); for await (const _ of signal.changes()) { break; }"],
  ])("a process ends by itself after %s", (name, end) => {
    const script = `
      const controller = new AbortController();
      const changes = signal.changes({ signal: controller.signal });
      changes.next().catch(() => {});
      await Bun.sleep(30);
      setTimeout(() => signal.notify(), 20).unref();
      ${name === "break" ? "await changes.return(); setTimeout(() => signal.notify(), 10);" : ""}
      ${end};
      console.log("over");
    `;
    expect(run(script)).toBe("over\nexit 0");
  });

  test("a process ends while an iteration is open, but not waited for", () => {
    const script = `
      const changes = signal.changes();
      setTimeout(() => signal.notify(), 10);
      console.log((await changes.next()).value);
    `;
    expect(run(script)).toBe("1\nexit 0");
  });

  test("10 rounds of subscribing leave no descriptor and no thread", () => {
    const script = `
      const { descriptorsOf, workers } = await import("${RESOURCES}");
      const count = () => [descriptorsOf("${dir}"), workers()];
      const round = async () => {
        const changes = signal.changes();
        setTimeout(() => signal.notify(), 5);
        await changes.next();
        await changes.return();
        await Bun.sleep(20);
      };
      await round();
      while (workers() > 0) await Bun.sleep(5);
      const before = count();
      for (let i = 0; i < 10; i++) await round();
      for (let i = 0; i < 1500 && count().some((n, at) => n > before[at]); i++) await Bun.sleep(20);
      console.log(count().every((n, at) => n <= before[at]) || [before, count()]);
    `;
    expect(run(script)).toBe("true\nexit 0");
  });
});

describe("where nothing can wake us", () => {
  test("a notifier of kind fcntl looks at the given number every few milliseconds", async () => {
    using ipmmap = new RwLock({ path: `${path}file`, kind: "fcntl", create: true });
    expect(() => new Notifier({ lock: ipmmap })).toThrow(/no page that counts all commits: pass read\(\)/);
    let version = 7;
    using polling = new Notifier({ lock: ipmmap, read: () => version });
    await until(() => wakers() === 0);
    const changes = polling.changes();
    const turn = changes.next();
    polling.notify();
    setTimeout(() => {
      version = 8;
    }, 20);
    expect(await turn).toEqual({ done: false, value: 8 });
    expect(wakers()).toBe(0);
    expect(polling.wait(8, { timeoutMs: 12 })).toBe(false);
    expect(polling.wait(7, { timeoutMs: 12 })).toBe(true);
    await changes.return();
  });

  test("a notifier without write permission on the page sees commits too", async () => {
    chmodSync(dir, 0o755);
    chmodSync(path, 0o444);
    chmodSync(`${path}-page`, 0o444);
    using copy = readableCopy();
    const script = `
      if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
      const { RwLock } = await import(${JSON.stringify(copy.of(join(LOCKS, "rw-lock.ts")))});
      const { Notifier } = await import(${JSON.stringify(copy.of(join(LOCKS, "notifier.ts")))});
      const signal = new Notifier({ lock: new RwLock({ path: process.argv[1] }) });
      const seen = signal.version;
      const changes = signal.changes();
      console.log("ready");
      for await (const version of changes) {
        console.log(version, signal.wait(seen));
        break;
      }
    `;
    const child = Bun.spawn([process.execPath, "-e", script, path], { stdout: "pipe", stderr: "inherit" });
    const reader = child.stdout.getReader();
    const line = async (): Promise<string> => new TextDecoder().decode((await reader.read()).value);
    expect(await line()).toBe("ready\n");
    signal.notify();
    expect(await line()).toBe("1 true\n");
    expect(await child.exited).toBe(0);
  });
});

describe("spinMs", () => {
  test("with spinMs an iteration sees commits without a thread that sleeps, in turn with other events, and then sleeps", async () => {
    using _ = byThreads();
    const changes = signal.changes({ spinMs: 60_000 });
    for (let commit = 1; commit <= 20; commit++) {
      const turn = changes.next();
      setTimeout(() => signal.notify(), 2);
      expect((await turn).value).toBe(commit);
    }
    expect(wakers()).toBe(0);
    await changes.return();

    const tired = signal.changes({ spinMs: 1 });
    const turn = tired.next();
    await until(() => wakers() === 1);
    signal.notify();
    expect((await turn).value).toBe(21);
    await tired.return();
  });

  test("with spinMs an iteration looks only while a turn is waited for, and then keeps no process alive", () => {
    const script = `
      const changes = signal.changes({ spinMs: 3_600_000 });
      const turn = changes.next();
      setTimeout(() => changes.return(), 20);
      console.log((await turn).done);
      const left = signal.changes({ spinMs: 3_600_000 });
      void left.next();
      setTimeout(() => signal.close(), 20);
    `;
    expect(run(script)).toBe("true\nexit 0");
  });

  test("an iteration with spinMs and one that sleeps are both woken", async () => {
    const [spinning, sleeping] = [signal.changes({ spinMs: 60_000 }), signal.changes()];
    for (let commit = 1; commit <= 5; commit++) {
      const turns = [sleeping.next(), spinning.next()];
      setTimeout(() => signal.notify(), 1);
      expect((await Promise.all(turns)).map(({ value }) => value)).toEqual([commit, commit]);
    }
  });

  test("wait() with spinMs sees another process's commit while it looks, and keeps to its timeout", async () => {
    expect(signal.wait(signal.version, { timeoutMs: 5, spinMs: 1000 })).toBe(false);
    expect(signal.wait(signal.version, { timeoutMs: 5, spinMs: 1 })).toBe(false);
    const child = Bun.spawn([process.execPath, CHILD, "commit", path, "1"]);
    expect(signal.wait(0, { spinMs: 60_000 })).toBe(true);
    expect(await child.exited).toBe(0);
  });

  test.each([
    [-1, RangeError],
    [Number.NaN, TypeError],
    ["5", TypeError],
  ])("spinMs %p is refused by name", (spinMs, error) => {
    const options = { spinMs } as ChangesOptions;
    for (const use of [() => signal.changes(options), () => signal.wait(0, options)]) {
      expect(use).toThrow(error as ErrorConstructor);
      expect(use).toThrow("spinMs");
    }
  });
});

describe("a wake is handed on", () => {
  test("a wake is handed on from sleeper to sleeper, also past one that is stopped", async () => {
    const actions = ["wait", "iterate", "iterate by a thread"] as const;
    const children = await Promise.all(Array.from({ length: 8 }, (_, i) => spawnChild(actions[i % 3]!, 3)));
    children[0]!.child.kill("SIGSTOP");
    for (let commit = 1; commit <= 3; commit++) {
      await Bun.sleep(20);
      signal.notify();
      await until(() => children.slice(1).every(({ lines }) => lines().at(-1) === commit));
    }
    children[0]!.child.kill("SIGCONT");
    // It missed commits: its turns are fewer, and the newest count is told.
    await until(() => children[0]!.lines().at(-1) === 3);
    for (const { child } of children) child.kill("SIGKILL");
    await Promise.all(children.map(({ child }) => child.exited));
  });

  const mapped = (): Int32Array =>
    new Int32Array(Mapping.map(openFile(`${path}-page`, 2), { byteLength: 4096 }).buffer);

  test("one of several sleepers watches, one that is alone does not", async () => {
    const words = mapped();
    const first = await spawnChild("wait", 1_000_000);
    await until(() => futexHasSleepers(words, 32));
    expect(words[35]).toBe(0);
    const second = await spawnChild("iterate", 1_000_000);
    await until(() => words[35] !== 0);
    // Whichever watches: when it is gone, the other one is alone, and finds that out.
    first.child.kill("SIGKILL");
    await first.child.exited;
    await until(() => futexHasSleepers(words, 32));
    const third = await spawnChild("wait", 1_000_000);
    const stamp = words[35];
    await until(() => words[35] !== stamp && words[35] !== 0);
    for (const { child } of [second, third]) child.kill("SIGKILL");
    await Promise.all([second, third].map(({ child }) => child.exited));
  });

  test.each(["exits", "is stopped"])(
    "the sleeper that watches hands a wake on when the one that was woken %s",
    async (fate) => {
      const words = mapped();
      const script = `
      import { futexWaitAs } from "${join(LOCKS, "../sys/libc/futex.ts")}";
      import { Mapping } from "${join(LOCKS, "../sys/mapping.ts")}";
      import { openFile } from "${join(LOCKS, "../sys/file.ts")}";
      const words = new Int32Array(Mapping.map(openFile(process.argv[1], 2), { byteLength: 4096 }).buffer);
      console.log("ready");
      futexWaitAs(words, 32, words[32], 1e15, 1);
      if (${fate === "is stopped"}) process.kill(process.pid, "SIGSTOP");
    `;
      const others = [
        await spawnChild("wait", 1),
        await spawnChild("wait", 1),
        await spawnChild("iterate", 1),
        await spawnChild("iterate by a thread", 1),
      ];
      const thief = Bun.spawn([process.execPath, "-e", script, `${path}-page`], { stdout: "pipe" });
      await thief.stdout.getReader().read();
      await until(() => words[35] !== 0);
      await Bun.sleep(5);
      // The others sleep anew, behind the thief: these wakes are not for it, nor for the watcher.
      futexWakeOf(words, 32, 10, 16);
      await Bun.sleep(5);
      signal.notify();
      for (const { child } of others) expect(await child.exited).toBe(0);
      thief.kill("SIGKILL");
      await thief.exited;
    },
  );

  test("a writer that only has file calls tells by a word of the page that sleepers have to look themselves", async () => {
    const page = openSync(`${path}-page`, "r+");
    writeSync(page, new Int32Array([1]), 0, 4, 136);
    const waiter = await spawnChild("wait", 1);
    writeSync(page, new Int32Array([signal.version + 1]), 0, 4, 128);
    closeSync(page);
    await waiter.read;
    expect(waiter.lines()).toEqual([1]);
    const seen = signal.version;
    expect(signal.wait(seen, { timeoutMs: 30 })).toBe(false);
  });

  test.each([1, 3])(
    "%d that sleep when such a writer comes find out before their second is over",
    async (count) => {
      const page = openSync(`${path}-page`, "r+");
      const set = (word: number, value: number): void => {
        writeSync(page, new Int32Array([value]), 0, 4, word * 4);
      };
      const waiters: Awaited<ReturnType<typeof spawnChild>>[] = [];
      const areTold = (): boolean => waiters.every(({ lines }) => (lines().at(-1) ?? 0) === signal.version);
      try {
        for (let i = 0; i < count; i++)
          waiters.push(await spawnChild(i === 1 ? "iterate" : "wait", 1_000_000));
        // A busy machine may take its time, but not each time: it would be a second less what has passed before the commit.
        let soonestMs = Number.POSITIVE_INFINITY;
        for (let tries = 0; tries < 10 && soonestMs > 500; tries++) {
          set(34, 0);
          signal.notify();
          await until(areTold);
          await Bun.sleep(20);
          set(34, 1);
          await Bun.sleep(130);
          set(32, signal.version + 1);
          const start = performance.now();
          await until(areTold);
          soonestMs = Math.min(soonestMs, performance.now() - start);
        }
        expect(soonestMs).toBeLessThan(500);
      } finally {
        closeSync(page);
        for (const { child } of waiters) child.kill("SIGKILL");
        await Promise.all(waiters.map(({ child }) => child.exited));
      }
    },
  );
});

test("with too few descriptors for a thread, changes are looked for", () => {
  const script = `
    const { RwLock } = await import(${JSON.stringify(join(LOCKS, "rw-lock.ts"))});
    const { Notifier } = await import(${JSON.stringify(join(LOCKS, "notifier.ts"))});
    const { openSync, closeSync } = await import("node:fs");
    const notifier = new Notifier({ lock: new RwLock({ path: ${JSON.stringify(path)} }) });
    const eaten = [];
    try { for (;;) eaten.push(openSync("/dev/null")); } catch {}
    for (let left = 0; left < 3; left++) {
      const changes = notifier.changes();
      const turn = changes.next();
      notifier.notify();
      console.log((await turn).value);
      await changes.return();
      closeSync(eaten.pop());
    }
  `;
  const command = `ulimit -n 100; exec "$0" -e "$1"`;
  const { stdout, stderr } = Bun.spawnSync(["sh", "-c", command, process.execPath, script], {
    timeout: 200_000,
  });
  expect(stderr.toString()).toBe("");
  expect(stdout.toString()).toBe("1\n2\n3\n");
});

test("under fake timers wait() ends and changes come", async () => {
  jest.useFakeTimers();
  try {
    expect(signal.wait(signal.version, { timeoutMs: 5 })).toBe(false);
    const changes = signal.changes();
    const turn = changes.next();
    signal.notify();
    expect((await turn).value).toBe(1);
    await changes.return();
  } finally {
    jest.useRealTimers();
  }
});
