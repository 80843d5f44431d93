/** What a lock must survive: exceptions in the middle of a call, waiters that do not run, workers that end, copies of the library, fake clocks. */
import { afterAll, afterEach, beforeEach, describe, expect, jest, setDefaultTimeout, test } from "bun:test";
import { closeSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeadlockError, LockTimeoutError, SystemError } from "../../src/errors/errors.ts";
import type { LockKind } from "../../src/sync/file-lock.ts";
import { LOCK_TRANSITIONS, type LockState, RwLock } from "../../src/sync/rw-lock.ts";
import type { ThreadTask } from "../process/lock-thread.ts";
import { programAt } from "../support/programs.ts";
import { readableCopy } from "../support/readable-copy.ts";
import { descriptorsOf } from "../support/resources.ts";
import { until } from "../support/until.ts";

setDefaultTimeout(240_000);

const CHILD = programAt(join(import.meta.dir, "../process/lock-child.ts"));
const SOURCE = join(import.meta.dir, "../../src/sync/rw-lock.ts");
const KINDS: LockKind[] = ["flock", "fcntl"];

const dir = mkdtempSync(join(tmpdir(), "rw-lock-faults-"));
afterAll(() => rmSync(dir, { recursive: true }));

let path = "";
let files = 0;
beforeEach(() => {
  path = join(dir, `${files++}.lock`);
});

const open = (kind: LockKind = "flock"): RwLock => new RwLock({ path, kind, create: true });

/** Another process that holds the lock, or waits for it. */
async function spawnChild(...args: string[]) {
  const child = Bun.spawn([process.execPath, CHILD, ...args], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  return { child, said: child.stdout.getReader().read() };
}

async function kill(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
}

describe("a stack overflow inside a call", () => {
  /** Recurses until the stack is full and calls `act` at every depth, on the way down and on the way up. */
  function overflow(act: () => void, padding: number): void {
    let attemptsLeft = 80;
    const dive = (...rest: number[]): void => {
      try {
        if (attemptsLeft < 80) throw new RangeError("going up");
        dive(...rest);
      } finally {
        if (attemptsLeft-- > 0) act();
      }
    };
    expect(() => dive(...Array(padding).fill(1))).toThrow(RangeError);
  }

  test.each(["acquire", "acquire with a timeout", "tryAcquire", "acquireAsync"])(
    "a stack overflow inside a call leaves nothing locked after the next call of that lock, or of another one: %s",
    (how) => {
      using lock = open();
      using other = open();
      let interrupted = 0;
      const act = (): void => {
        try {
          if (how === "acquire") lock.acquire("exclusive");
          else if (how === "tryAcquire") lock.tryAcquire("exclusive");
          else if (how === "acquireAsync") lock.acquireAsync("exclusive").catch(() => {});
          else lock.acquire("exclusive", { timeoutMs: 60_000 });
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
          interrupted++;
        }
        // What was taken is known, and can be given back.
        if (lock.held !== undefined) lock.release();
      };
      for (let padding = 0; padding < 60; padding++) {
        try {
          overflow(act, padding);
        } catch {
          interrupted++;
        }
        if (lock.held !== undefined) lock.release();
        if (padding % 2 === 0) expect(lock.tryAcquire("exclusive")).toBe(true);
        else other.acquire("exclusive", { timeoutMs: 60_000 });
        (padding % 2 === 0 ? lock : other).release();
      }
      expect(interrupted).toBeGreaterThan(0);
    },
  );

  test("a stack overflow in close() leaves the next close() to end it", () => {
    const before = descriptorsOf(dir);
    for (let padding = 0; padding < 30; padding++) {
      const lock = open();
      lock.acquire("exclusive");
      try {
        overflow(() => lock.close(), padding);
      } catch {}
      lock.close();
    }
    expect(descriptorsOf(dir)).toBe(before);
  });
});

test("a lock that the kernel does not take back is not held any more", () => {
  const lock = open();
  lock.acquire("exclusive");
  closeBehind(lock);
  expect(() => lock.release()).toThrow(SystemError);
  expect(lock.held).toBeUndefined();
  expect(() => lock.acquire("exclusive")).toThrow(SystemError);
  expect(lock.held).toBeUndefined();
});

/** Locks whose descriptor is closed already. They end soon, or the end of this test file closes a number that is another file's by then. */
const broken: RwLock[] = [];
afterEach(() => {
  for (const lock of broken.splice(0)) lock.close();
});

function closeBehind(lock: RwLock): void {
  closeSync(descriptorOf(path));
  broken.push(lock);
}

/** The first one that is open on the file. */
const descriptorOf = (file: string): number =>
  Number(readdirSync("/proc/self/fd").find((name) => linkOf(name) === file));

function linkOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return "";
  }
}

describe.each(KINDS)("a waiter that does not run keeps no other from a free lock, kind %s:", (kind) => {
  /** After the first lock, which may take 20 ms, others are to be had at once, whatever the way. */
  function expectUndisturbed(lock: RwLock): void {
    lock.acquire("exclusive");
    lock.release();
    for (let round = 0; round < 300; round++) {
      const mode = round % 3 === 0 ? "shared" : "exclusive";
      expect(lock.tryAcquire(mode)).toBe(true);
      lock.release();
      lock.acquire(mode, { timeoutMs: 0 });
      lock.release();
    }
  }

  test("a waiter whose event loop is busy keeps no other from a free lock", async () => {
    using lock = open(kind);
    lock.acquire("exclusive");
    const { child, said } = await spawnChild("stall", kind, path, "exclusive", "60000");
    await said;
    lock.release();
    expectUndisturbed(lock);
    await kill(child);
  });

  test("a waiter that was stopped keeps no other from a free lock, and gets its turn when it goes on", async () => {
    using lock = open(kind);
    lock.acquire("exclusive");
    const { child, said } = await spawnChild("hold", kind, path, "exclusive");
    await until(() => lock.page!.waiting && lock.page!.looks > 2);
    child.kill("SIGSTOP");
    lock.release();
    expectUndisturbed(lock);
    child.kill("SIGCONT");
    await said;
    expect(lock.tryAcquire("shared")).toBe(false);
    await kill(child);
  });
});

describe.each(KINDS)("a worker that is terminated, kind %s,", (kind) => {
  const start = async (how: ThreadTask["how"]): Promise<Worker> => {
    const worker = new Worker(new URL("../process/lock-thread.ts", import.meta.url));
    const ready = new Promise((resolve) => {
      worker.onmessage = resolve;
    });
    worker.postMessage({ path, kind, how } satisfies ThreadTask);
    await ready;
    return worker;
  };

  test("a worker that is terminated gives the lock that it holds back at once", async () => {
    using lock = open(kind);
    const before = descriptorsOf(dir);
    const worker = await start("hold");
    expect(lock.tryAcquire("shared")).toBe(false);
    worker.terminate();
    lock.acquire("exclusive", { timeoutMs: 60_000 });
    await until(() => descriptorsOf(dir) === before);
  });

  test.each(["wait", "wait with a timeout", "wait asynchronously"] as const)(
    "a worker that is terminated never gets the lock that it waits for: %s",
    async (how) => {
      using lock = open(kind);
      const before = descriptorsOf(dir);
      lock.acquire("exclusive");
      const worker = await start(how);
      await until(() => lock.page!.waiting);
      worker.terminate();
      await until(() => descriptorsOf(dir) === before);
      lock.release();
      for (let round = 0; round < 100; round++) {
        expect(lock.tryAcquire("exclusive")).toBe(true);
        lock.release();
        lock.acquire("shared");
        lock.release();
      }
      expect(lock.page!.waiting).toBe(false);
    },
  );
});

describe("the table of states", () => {
  /** Brings a lock into a state, with another one that is in the way where the event needs it. */
  async function prepare(from: LockState, event: string) {
    const lock = open();
    const other = open();
    const inTheWay = from === "queued" || event.endsWith("not free");
    if (inTheWay) other.acquire("shared");
    if (from === "held") lock.acquire("exclusive");
    if (from === "closed") lock.close();
    const controller = new AbortController();
    const wait =
      from === "queued"
        ? lock.acquireAsync("exclusive", { signal: controller.signal }).catch(() => {})
        : undefined;
    expect(lock.state).toBe(from);
    return { lock, other, controller, wait };
  }

  const EVENTS: Record<string, (prepared: Awaited<ReturnType<typeof prepare>>) => unknown> = {
    "acquire: free": ({ lock }) => lock.acquire("exclusive"),
    "acquire: not free": ({ lock }) => void lock.acquireAsync("exclusive").catch(() => {}),
    "tryAcquire: not free": ({ lock }) => lock.tryAcquire("exclusive"),
    "look: free": ({ other, wait }) => {
      other.release();
      return wait;
    },
    "look: not free": () => Bun.sleep(5),
    "timeout, abort, interrupted": ({ controller, wait }) => {
      controller.abort();
      return wait;
    },
    release: ({ lock }) => lock.release(),
    "release fails": ({ lock }) => {
      closeBehind(lock);
      expect(() => lock.release()).toThrow(SystemError);
    },
    acquire: ({ lock }) => expect(() => lock.acquire("shared")).toThrow(DeadlockError),
    close: ({ lock }) => lock.close(),
  };

  test.each(LOCK_TRANSITIONS)('a lock goes from %s, at "%s", to %s', async (from, event, to) => {
    const prepared = await prepare(from, event);
    await EVENTS[event]!(prepared);
    expect(prepared.lock.state).toBe(to);
    if (event === "release fails") return;
    prepared.lock.close();
    prepared.other.close();
    await prepared.wait;
  });
});

test("a lock whose owner was interrupted before close() is given back by the next that is opened, or that waits", () => {
  for (const isOpenBefore of [false, true]) {
    const before = isOpenBefore ? open() : undefined;
    const interrupted = open();
    interrupted.acquire("exclusive");
    interrupted.isEnding = true;
    using next = before ?? open();
    next.acquire("exclusive", { timeoutMs: 60_000 });
    expect([interrupted.state, next.held]).toEqual(["closed", "exclusive"]);
  }
});

describe("the library twice in one thread", () => {
  test("a copy of the library in another directory sees the deadlock in the same thread", async () => {
    using copy = readableCopy();
    const other = (await import(copy.of(SOURCE))) as { RwLock: typeof RwLock };
    expect(other.RwLock).not.toBe(RwLock);
    using mine = open();
    using theirs = new other.RwLock({ path });
    mine.acquire("shared");
    theirs.acquire("shared");
    theirs.release();
    for (const timeoutMs of [undefined, 5]) {
      expect(() => theirs.acquire("exclusive", { timeoutMs })).toThrow(/this thread would wait for itself/);
    }
    mine.release();
    theirs.acquire("exclusive");
    expect(mine.isHeldInThread).toBe(true);
    expect(() => mine.acquire("shared")).toThrow(DeadlockError);
  });

  test("a test file of bun test --isolate sees the lock that the file before left held", () => {
    open().close();
    const source = (mode: string, check: string) => `
      import { expect, test } from "bun:test";
      import { RwLock } from ${JSON.stringify(SOURCE)};
      test("${mode}", () => {
        globalThis.lock = new RwLock({ path: ${JSON.stringify(path)} });
        ${check}
      });`;
    const project = mkdtempSync(join(dir, "isolate-"));
    writeFileSync(join(project, "a.test.ts"), source("shared", `lock.acquire("shared");`));
    writeFileSync(
      join(project, "b.test.ts"),
      source(
        "exclusive",
        `lock.acquire("shared"); lock.release(); expect(() => lock.acquire("exclusive")).toThrow(/would wait for itself/);`,
      ),
    );
    const { exitCode, stderr } = Bun.spawnSync([process.execPath, "test", "--isolate"], {
      cwd: project,
      timeout: 200_000,
    });
    expect(stderr.toString()).toContain("2 pass");
    expect(exitCode).toBe(0);
  });

  test("a lock object that was collected is no deadlock", async () => {
    using lock = open();
    (() => void new RwLock({ path }))();
    for (let turn = 0; turn < 3; turn++) {
      Bun.gc(true);
      await Bun.sleep(1);
    }
    lock.acquire("exclusive");
    expect(lock.isHeldInThread).toBe(true);
  });
});

describe("under fake timers", () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  test("under fake timers timeouts end, and asynchronous waits get the lock", async () => {
    using lock = open();
    using second = open();
    const { child, said } = await spawnChild("hold", "flock", path, "exclusive");
    await said;
    jest.useFakeTimers();
    expect(() => lock.acquire("exclusive", { timeoutMs: 20 })).toThrow(LockTimeoutError);
    await expect(lock.acquireAsync("exclusive", { timeoutMs: 20 })).rejects.toThrow(LockTimeoutError);
    const waits = lock.acquireAsync("exclusive", { timeoutMs: 120_000 });
    child.kill("SIGKILL");
    await waits;
    const next = second.acquireAsync("exclusive");
    lock.release();
    await next;
    expect(second.held).toBe("exclusive");
  });
});

test("a timeout never ends early", async () => {
  using lock = open();
  const { child, said } = await spawnChild("hold", "flock", path, "exclusive");
  await said;
  for (const timeoutMs of [1, 2.5, 7, 23, 60]) {
    const start = Bun.nanoseconds();
    expect(() => lock.acquire("shared", { timeoutMs })).toThrow(LockTimeoutError);
    expect((Bun.nanoseconds() - start) / 1e6).toBeGreaterThanOrEqual(timeoutMs);
    const startAsync = Bun.nanoseconds();
    await expect(lock.acquireAsync("shared", { timeoutMs })).rejects.toThrow(LockTimeoutError);
    expect((Bun.nanoseconds() - startAsync) / 1e6).toBeGreaterThanOrEqual(timeoutMs);
  }
  await kill(child);
});
