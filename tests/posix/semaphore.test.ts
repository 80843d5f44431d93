import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { statSync } from "node:fs";
import {
  BusyError,
  ClosedError,
  ExistentialError,
  O_CREAT,
  O_CREX,
  O_EXCL,
  type PosixError,
  SEMAPHORE_VALUE_MAX,
  Semaphore,
  type SemaphoreOptions,
  unlinkSemaphore,
} from "../../src/posix/index.ts";
import { pollingWait } from "../../src/posix/semaphore.ts";
import { isMusl } from "../../src/sys/libc/symbols.ts";
import { thrownBy } from "../support/thrown.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { compilePeer, freshName, nextLine, semaphoreFile, startBun, unlinkNames } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

afterEach(unlinkNames);

// glibc puts `sem.` before the name.
const longestName = isMusl() ? 255 : 251;

const create = (initialValue = 0) => new Semaphore({ name: freshName(), flags: O_CREX, initialValue });

describe("opening", () => {
  test("flags 0 opens a semaphore that exists and creates none", () => {
    const name = freshName();
    expect(() => new Semaphore({ name })).toThrow(ExistentialError);
    using made = new Semaphore({ name, flags: O_CREAT, initialValue: 3 });
    using opened = new Semaphore({ name });
    expect(opened.value).toBe(3);
    made.acquire();
    expect(opened.value).toBe(2);
  });

  test("O_CREAT opens a semaphore that exists, whose value and mode stay", () => {
    using made = create(2);
    using opened = new Semaphore({ name: made.name, flags: O_CREAT, initialValue: 9, mode: 0o640 });
    expect(opened.value).toBe(2);
    expect(statSync(semaphoreFile(made.name)).mode & 0o777).toBe(0o600);
  });

  test("O_CREX and O_CREAT | O_EXCL refuse a semaphore that exists", () => {
    using made = create();
    for (const flags of [O_CREX, O_CREAT | O_EXCL]) {
      const error = thrownBy(() => new Semaphore({ name: made.name, flags })) as PosixError;
      expect(error).toBeInstanceOf(ExistentialError);
      expect(error).toMatchObject({ code: "EEXIST", syscall: "sem_open", path: made.name });
    }
  });

  test("a semaphore's value is 0 and its mode 0600 unless told otherwise", () => {
    const name = freshName();
    using made = new Semaphore({ name, flags: O_CREX });
    expect(made.value).toBe(0);
    expect(statSync(semaphoreFile(name)).mode & 0o777).toBe(0o600);
  });

  test("name null picks a random unused name for a semaphore", () => {
    using one = new Semaphore({ name: null });
    using two = new Semaphore({ name: null, flags: O_CREX, initialValue: 1 });
    expect(one.name).toMatch(/^\/bun-[0-9a-f]{16}$/);
    expect(two.name).not.toBe(one.name);
    one.unlink();
    two.unlink();
  });
});

describe("taking and giving", () => {
  test("acquire takes one unit, release gives one", () => {
    using semaphore = create(1);
    semaphore.acquire();
    expect(semaphore.value).toBe(0);
    semaphore.release();
    semaphore.release();
    expect(semaphore.value).toBe(2);
  });

  test("timeout 0 throws BusyError at once, and succeeds when nothing has to be waited for", () => {
    using semaphore = create(1);
    semaphore.acquire(0);
    expect(thrownBy(() => semaphore.acquire(0))).toMatchObject({ name: "BusyError", code: "EAGAIN" });
    expect(semaphore.tryAcquire()).toBe(false);
  });

  test("acquire waits for a timeout above 0, fractions too", () => {
    using semaphore = create();
    for (const timeoutMs of [50, 12.5]) {
      const began = performance.now();
      expect(thrownBy(() => semaphore.acquire(timeoutMs))).toMatchObject({
        name: "BusyError",
        code: "ETIMEDOUT",
      });
      expect(performance.now() - began).toBeGreaterThanOrEqual(timeoutMs - 1);
    }
  });

  test("hold gives back at the end of the scope, once, also when it throws", () => {
    using semaphore = create(1);
    expect(() => {
      using hold = semaphore.hold(0);
      expect(semaphore.value).toBe(0);
      hold.release();
      hold.release();
      using _again = semaphore.hold();
      throw new Error("work failed");
    }).toThrow("work failed");
    expect(semaphore.value).toBe(1);
  });

  test("holdAsync gives back at the end of the scope", async () => {
    using semaphore = create(1);
    {
      using _ = await semaphore.holdAsync({ timeoutMs: 1000 });
      expect(semaphore.value).toBe(0);
    }
    expect(semaphore.value).toBe(1);
  });

  test("an error of release beyond the maximum names it", () => {
    using semaphore = create(SEMAPHORE_VALUE_MAX);
    expect(thrownBy(() => semaphore.release())).toMatchObject({ name: "PosixError", code: "EOVERFLOW" });
    expect(() => semaphore.release()).toThrow(String(SEMAPHORE_VALUE_MAX));
  });
});

describe("closing and unlinking", () => {
  test("use of a semaphore after close throws ClosedError, closing twice does nothing, the semaphore lives on", () => {
    const semaphore = create(1);
    semaphore.close();
    semaphore.close();
    for (const use of [
      () => semaphore.acquire(),
      () => semaphore.tryAcquire(),
      () => semaphore.release(),
      () => semaphore.value,
      () => semaphore.hold(),
    ]) {
      expect(use).toThrow(ClosedError);
    }
    using again = new Semaphore({ name: semaphore.name });
    expect(again.value).toBe(1);
  });

  test("two handles of one process on a semaphore close apart", () => {
    using one = create(1);
    const two = new Semaphore({ name: one.name });
    two.close();
    one.acquire(0);
    expect(one.value).toBe(0);
  });

  test("unlink leaves open handles of a semaphore working, and the name free for another one", () => {
    using old = create(1);
    old.unlink();
    using fresh = new Semaphore({ name: old.name, flags: O_CREX, initialValue: 5 });
    old.release();
    expect([old.value, fresh.value]).toEqual([2, 5]);
  });

  test("unlinking a semaphore works after close, and a missing one is an ExistentialError", () => {
    const semaphore = create();
    semaphore.close();
    semaphore.unlink();
    expect(() => semaphore.unlink()).toThrow(ExistentialError);
    expect(() => unlinkSemaphore(semaphore.name)).toThrow(ExistentialError);
  });
});

describe("bad input", () => {
  const wrong = (options: object) =>
    thrownBy(() => new Semaphore({ name: freshName(), flags: O_CREX, ...options }));

  test("wrong names of semaphores are refused", () => {
    for (const name of ["no-slash", "", "/", "/.", "/..", "/inner/slash", "/nul\0"]) {
      expect(wrong({ name })).toBeInstanceOf(TypeError);
    }
    for (const name of [undefined, 3, {}, Symbol("s")]) expect(wrong({ name })).toBeInstanceOf(TypeError);
    const tooLong = wrong({ name: `/${"x".repeat(longestName + 1)}` });
    expect(tooLong).toBeInstanceOf(RangeError);
    expect(String(tooLong)).toContain(String(longestName));
    expect(wrong({ name: `/${"é".repeat(128)}` })).toBeInstanceOf(RangeError);
    using longest = new Semaphore({
      name: `/${"x".repeat(longestName - String(process.pid).length)}${process.pid}`,
      flags: O_CREAT,
    });
    longest.unlink();
    expect(() => unlinkSemaphore("nothing")).toThrow(TypeError);
  });

  test("wrong values, modes, flags and timeouts of a semaphore are refused", () => {
    for (const initialValue of [-1, 1.5, Number.NaN, SEMAPHORE_VALUE_MAX + 1]) {
      expect(wrong({ initialValue })).toBeInstanceOf(RangeError);
    }
    expect(String(wrong({ initialValue: SEMAPHORE_VALUE_MAX + 1 }))).toContain(String(SEMAPHORE_VALUE_MAX));
    expect(wrong({ initialValue: "1" })).toBeInstanceOf(TypeError);
    expect(wrong({ mode: "600" })).toBeInstanceOf(TypeError);
    expect(wrong({ mode: 0o1777 })).toBeInstanceOf(RangeError);
    expect(wrong({ flags: "O_CREX" })).toBeInstanceOf(TypeError);
    expect(wrong({ flags: 1 << 30 })).toBeInstanceOf(RangeError);
    expect(() => new Semaphore(null as never)).toThrow(TypeError);
    using semaphore = create(1);
    expect(() => semaphore.acquire(-1)).toThrow(RangeError);
    expect(() => semaphore.acquire(Number.NaN)).toThrow(TypeError);
    expect(() => semaphore.acquire("5" as never)).toThrow(TypeError);
    expect(semaphore.acquireAsync({ timeoutMs: -1 })).rejects.toThrow(RangeError);
    expect(semaphore.acquireAsync({ timeoutMs: 1, timeout: 2 })).rejects.toThrow(TypeError);
    expect(semaphore.value).toBe(1);
  });
});

describe("acquireAsync", () => {
  test("acquireAsync takes at once what is there", async () => {
    using semaphore = create(2);
    await semaphore.acquireAsync();
    await semaphore.acquireAsync({ timeoutMs: 0 });
    expect(semaphore.value).toBe(0);
    expect(semaphore.acquireAsync({ timeoutMs: 0 })).rejects.toThrow(BusyError);
  });

  test("acquireAsync waits while the event loop turns", async () => {
    using semaphore = create();
    let turns = 0;
    const ticking = setInterval(() => {
      turns += 1;
      if (turns === 10) semaphore.release();
    }, 1);
    await semaphore.acquireAsync();
    clearInterval(ticking);
    expect(turns).toBeGreaterThanOrEqual(10);
    expect(semaphore.value).toBe(0);
  });

  test("acquireAsync gives up after timeoutMs with BusyError", async () => {
    using semaphore = create();
    await expect(semaphore.acquireAsync({ timeoutMs: 20 })).rejects.toMatchObject({
      name: "BusyError",
      code: "ETIMEDOUT",
    });
    await expect(semaphore.acquireAsync({ timeout: 5 })).rejects.toThrow(BusyError);
  });

  test("aborting acquireAsync rejects with the signal's reason and takes nothing", async () => {
    using semaphore = create();
    const controller = new AbortController();
    const waiting = semaphore.acquireAsync({ signal: controller.signal });
    controller.abort(new Error("changed my mind"));
    semaphore.release();
    await expect(waiting).rejects.toThrow("changed my mind");
    expect(semaphore.value).toBe(1);
    await expect(semaphore.acquireAsync({ signal: AbortSignal.abort("too late") })).rejects.toBe("too late");
    expect(semaphore.value).toBe(1);
  });

  test("acquireAsync serves the callers of one object in order, and skips those that gave up", async () => {
    using semaphore = create();
    const served: number[] = [];
    const controller = new AbortController();
    const calls = [1, 2, 3].map((number) =>
      semaphore
        .acquireAsync(number === 2 ? { signal: controller.signal } : {})
        .then(() => served.push(number))
        .catch(() => served.push(-number)),
    );
    controller.abort();
    semaphore.release();
    semaphore.release();
    await Promise.all(calls);
    expect(served).toEqual([-2, 1, 3]);
  });

  test("closing a semaphore rejects waiting callers with ClosedError", async () => {
    const semaphore = create();
    const waiting = semaphore.acquireAsync();
    semaphore.close();
    await expect(waiting).rejects.toThrow(ClosedError);
    await expect(semaphore.acquireAsync()).rejects.toThrow(ClosedError);
  });

  test("a hundred aborts against releases lose and invent no unit", async () => {
    using semaphore = create();
    let taken = 0;
    for (let round = 0; round < 100; round++) {
      const controller = new AbortController();
      const waiting = semaphore.acquireAsync({ signal: controller.signal }).then(
        () => taken++,
        () => {},
      );
      setTimeout(() => semaphore.release(), round % 4);
      setTimeout(() => controller.abort(), (round >> 2) % 4);
      await waiting;
    }
    await Bun.sleep(20);
    expect(taken + semaphore.value).toBe(100);
  });
});

describe("other processes", () => {
  test("a process that waits for a semaphore goes on when another one releases", async () => {
    using semaphore = create();
    const waiter = startBun("posix-waiter.ts", "semaphore", semaphore.name);
    const lines = linesOf(waiter.stdout);
    expect(await nextLine(lines)).toBe("waiting");
    // Stopping and continuing interrupts the wait inside, but no JavaScript listens: it goes on.
    waiter.kill("SIGSTOP");
    waiter.kill("SIGCONT");
    semaphore.release();
    expect(await nextLine(lines)).toBe("got it");
    expect(await waiter.exited).toBe(0);
  });

  test.each(["semaphore", "poll"])(
    "SIGINT ends a blocking wait (%s) and its JavaScript handler runs",
    async (what) => {
      using semaphore = create();
      const waiter = startBun("posix-waiter.ts", what, semaphore.name, "handler");
      const lines = linesOf(waiter.stdout);
      expect(await nextLine(lines)).toBe("waiting");
      // Again and again, as the first may come before the wait has begun.
      const signals = setInterval(() => waiter.kill("SIGINT"), 100);
      expect(await nextLine(lines)).toBe("SignalError");
      expect(await nextLine(lines)).toBe("handler");
      clearInterval(signals);
      expect(await waiter.exited).toBe(7);
      expect(semaphore.value).toBe(0);
    },
  );

  test("without a handler SIGINT ends the process, as always", async () => {
    using semaphore = create();
    const waiter = startBun("posix-waiter.ts", "semaphore", semaphore.name);
    expect(await nextLine(linesOf(waiter.stdout))).toBe("waiting");
    waiter.kill("SIGINT");
    await waiter.exited;
    expect(waiter.signalCode).toBe("SIGINT");
  });

  test("a process killed while it holds a unit takes the unit with it", async () => {
    using semaphore = create(1);
    const holder = startBun("posix-holder.ts", semaphore.name);
    expect(await nextLine(linesOf(holder.stdout))).toBe("holding");
    holder.kill("SIGKILL");
    await holder.exited;
    expect(semaphore.value).toBe(0);
    expect(() => semaphore.acquire(50)).toThrow(BusyError);
    // Anybody may give it back, who knows that it is lost.
    semaphore.release();
    semaphore.acquire(0);
  });

  test("the wait of musl and macOS takes a unit, and times out", () => {
    using semaphore = create(1);
    const tryTake = () => semaphore.tryAcquire();
    pollingWait(tryTake, semaphore.name, 0);
    expect(semaphore.value).toBe(0);
    expect(() => pollingWait(tryTake, semaphore.name, 30)).toThrow(BusyError);
  });
});

describe.skipIf(!hasTool("gcc"))("with a C program (needs gcc)", () => {
  let peer: ReturnType<typeof compilePeer>;
  // Not here: the body of a block that is skipped runs as well.
  beforeAll(() => {
    peer = compilePeer();
  });
  afterAll(() => peer.remove());

  test("a C program opens, takes from and gives to a semaphore that we created", () => {
    using semaphore = create(1);
    expect(peer.run("sem-wait", semaphore.name, "10")).toBe("0");
    expect(peer.run("sem-post", semaphore.name)).toBe("1");
    expect(peer.run("sem-post", semaphore.name)).toBe("2");
    expect(semaphore.value).toBe(2);
  });

  test("we open a semaphore that C created", () => {
    const name = freshName();
    peer.run("sem-create", name, "4");
    using semaphore = new Semaphore({ name });
    semaphore.acquire();
    expect(semaphore.value).toBe(3);
    expect(peer.run("sem-value", name)).toBe("3");
  });

  test("a C program waits for our release, and we wait for C's", async () => {
    using semaphore = create();
    const waiter = peer.start("sem-wait", semaphore.name, "30");
    semaphore.release();
    expect(await waiter.exited).toBe(0);
    const waiting = semaphore.acquireAsync({ timeoutMs: 30_000 });
    peer.start("sem-post", semaphore.name);
    await waiting;
    peer.start("sem-post", semaphore.name);
    semaphore.acquire(30_000);
    expect(semaphore.value).toBe(0);
  });
});

test("acquire and hold take milliseconds, or options as their asynchronous forms do", () => {
  using semaphore = create(2);
  semaphore.acquire({ timeoutMs: 5 });
  {
    using _ = semaphore.hold({ timeout: 5 });
    expect(() => semaphore.acquire({ timeoutMs: 0 })).toThrow(BusyError);
    expect(() => semaphore.acquire({ timeoutMs: 5 })).toThrow(/waited 5 ms/);
    expect(() => semaphore.hold({ timeoutMs: 0 })).toThrow(BusyError);
  }
  expect(semaphore.value).toBe(1);
});

test("wrong options of a semaphore are TypeErrors that name them", async () => {
  const open = (options?: unknown) => () => new Semaphore(options as SemaphoreOptions);
  expect(open()).toThrow(/^new Semaphore: expected options .*, got undefined$/);
  expect(open({ name: freshName(), flags: O_CREX, initial_value: 5 })).toThrow(/no option "initial_value"/);
  using semaphore = create(1);
  expect(() => semaphore.acquire({ timeoutms: 5 } as object)).toThrow(/^acquire: there is no option/);
  expect(() => semaphore.acquire("5" as never)).toThrow(/^acquire: expected options/);
  await expect(semaphore.acquireAsync(5 as never)).rejects.toThrow(/^acquireAsync: expected options/);
  await expect(semaphore.acquireAsync({ signal: 5 as never })).rejects.toThrow(/must be an AbortSignal/);
  expect(semaphore.value).toBe(1);
});

test("the name of a semaphore cannot be stored to: unlink() removes what was opened", () => {
  using semaphore = create();
  expect(() => Object.assign(semaphore, { name: "/x" })).toThrow(TypeError);
});

test("console.log shows a semaphore on one line: what it is, and whether it is closed", () => {
  const semaphore = create();
  expect(Bun.inspect(semaphore)).toBe(`Semaphore '${semaphore.name}'`);
  semaphore.close();
  expect(Bun.inspect(semaphore)).toBe(`Semaphore '${semaphore.name}' (closed)`);
});
