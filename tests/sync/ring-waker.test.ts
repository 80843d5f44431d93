import { afterAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LockPage } from "../../src/sync/lock-page.ts";
import { type RingNap, RingSleeper, type ThreadRing } from "../../src/sync/ring.ts";
import { makeRingWaker, ringIfPossible } from "../../src/sync/ring-waker.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import type { Waker } from "../../src/sync/waker.ts";
import { monotonicMs } from "../../src/sys/clock.ts";
import { openFile } from "../../src/sys/file.ts";
import { futexHasSleepers, futexWake, futexWakeOf } from "../../src/sys/libc/futex.ts";
import { Mapping } from "../../src/sys/mapping.ts";

setDefaultTimeout(240_000);

const hasRing = !(ringIfPossible() instanceof Error);
const SOURCES = join(import.meta.dir, "../../src");
const CHANGES = 32;
const CANNOT_WAKE = 34;
const WATCHED = 35;

const dir = mkdtempSync(join(tmpdir(), "ring-waker-"));
afterAll(() => rmSync(dir, { recursive: true }));

let lock: RwLock;
let page: LockPage;
let words: Int32Array;
let files = 0;
beforeEach(() => {
  const path = join(dir, `${files++}.lock`);
  lock = new RwLock({ path, create: true });
  page = lock.page!;
  words = new Int32Array(Mapping.map(openFile(`${path}-page`, 2), { byteLength: 4096 }).buffer);
});

async function until(condition: () => boolean): Promise<void> {
  for (const end = monotonicMs() + 120_000; !condition(); await Bun.sleep(1))
    if (monotonicMs() > end) throw new Error(`waited in vain: ${condition}`);
}

const ringOf = (): ThreadRing => {
  const ring = ringIfPossible();
  if (ring instanceof Error) throw ring;
  return ring;
};

describe.skipIf(!hasRing)("the ring (needs io_uring of Linux 6.7)", () => {
  /** A sleeper on the page's count of commits, and what it was told. */
  function sleeperOf() {
    const ring = ringOf();
    const told: string[] = [];
    const sleeper = new RingSleeper(
      (result) => void told.push(result),
      () => void told.push("lost"),
    );
    ring.enter(sleeper);
    const nap = (rest: Partial<RingNap> = {}): RingNap => ({
      words,
      index: CHANGES,
      seen: words[CHANGES]!,
      bits: 0xffff_ffff,
      handsOn: true,
      untilMs: monotonicMs() + 600_000,
      ...rest,
    });
    return { ring, sleeper, nap, told, [Symbol.dispose]: () => ring.leave(sleeper) };
  }
  const commit = (): number => Atomics.add(words, CHANGES, 1);

  test.each([true, false])("a wake after a commit is told once (handsOn: %p)", async (handsOn) => {
    using one = sleeperOf();
    expect(one.ring.sleep(one.sleeper, one.nap({ handsOn }))).toBeUndefined();
    commit();
    expect(futexWake(words, CHANGES, 1)).toBe(1);
    await until(() => one.told.length > 0);
    await Bun.sleep(2);
    expect(one.told).toEqual(["ok"]);
    expect(futexHasSleepers(words, CHANGES)).toBe(false);
  });

  test("a sleep for a count that has changed already ends at once", () => {
    using one = sleeperOf();
    expect(one.ring.sleep(one.sleeper, one.nap({ seen: 5 }))).toBe("not-equal");
    expect(futexHasSleepers(words, CHANGES)).toBe(false);
  });

  test.each([true, false])("end() ends a sleep without a trace, also twice (handsOn: %p)", (handsOn) => {
    using one = sleeperOf();
    expect(one.ring.sleep(one.sleeper, one.nap({ handsOn }))).toBeUndefined();
    expect(one.ring.end(one.sleeper)).toBe("timed-out");
    expect(futexHasSleepers(words, CHANGES)).toBe(false);
    expect(one.ring.end(one.sleeper)).toBe("interrupted");
  });

  test("end() and sleep() after a wake give it", () => {
    using one = sleeperOf();
    for (const after of ["end", "sleep"] as const) {
      one.ring.sleep(one.sleeper, one.nap());
      commit();
      futexWake(words, CHANGES, 1);
      const result = after === "end" ? one.ring.end(one.sleeper) : one.ring.sleep(one.sleeper, one.nap());
      expect(result).toBe("ok");
    }
    expect(futexHasSleepers(words, CHANGES)).toBe(false);
  });

  test("when the time is over the sleep goes on, and the next one for the same nap is no other", async () => {
    using one = sleeperOf();
    one.ring.sleep(one.sleeper, one.nap({ untilMs: monotonicMs() + 5 }));
    await until(() => one.told.length > 0);
    expect(one.told).toEqual(["timed-out"]);
    expect(one.ring.sleep(one.sleeper, one.nap())).toBeUndefined();
    // One sleeper, not two.
    commit();
    expect(futexWakeOf(words, CHANGES, 10, 1)).toBe(1);
    await until(() => one.told.length > 1);
    expect(one.told).toEqual(["timed-out", "ok"]);
  });

  test("a sleep for another nap takes the place of the one before", async () => {
    using one = sleeperOf();
    one.ring.sleep(one.sleeper, one.nap());
    expect(one.ring.sleep(one.sleeper, one.nap({ bits: 2, handsOn: false }))).toBeUndefined();
    expect(futexWakeOf(words, CHANGES, 10, 1)).toBe(0);
    expect(futexWakeOf(words, CHANGES, 10, 2)).toBe(1);
    await until(() => one.told.length > 0);
  });

  test("a wake without a commit is not handed on, and wakes no event loop, once", async () => {
    using one = sleeperOf();
    one.ring.sleep(one.sleeper, one.nap());
    expect(futexWake(words, CHANGES, 1)).toBe(1);
    await Bun.sleep(5);
    expect(one.told).toEqual([]);
    expect(futexHasSleepers(words, CHANGES)).toBe(true);
    commit();
    futexWake(words, CHANGES, 1);
    await until(() => one.told.length > 0);
    expect(one.told).toEqual(["ok"]);
  });

  test("the kernel hands a wake on while this thread is busy", async () => {
    using first = sleeperOf();
    using second = sleeperOf();
    using third = sleeperOf();
    for (const { ring, sleeper, nap } of [first, second, third]) ring.sleep(sleeper, nap());
    commit();
    expect(futexWake(words, CHANGES, 1)).toBe(1);
    // No turn of the event loop is in between.
    while (futexHasSleepers(words, CHANGES));
    await until(() => [first, second, third].every(({ told }) => told[0] === "ok"));
  });

  test("a sleeper that has left is told nothing more", async () => {
    const one = sleeperOf();
    one.ring.sleep(one.sleeper, one.nap());
    commit();
    futexWake(words, CHANGES, 1);
    one.ring.leave(one.sleeper);
    await Bun.sleep(5);
    expect(one.told).toEqual([]);
  });

  test("200 sleepers on one ring are all told, more than it has room for", async () => {
    const all = Array.from({ length: 200 }, sleeperOf);
    for (const { ring, sleeper, nap } of all) ring.sleep(sleeper, nap());
    commit();
    futexWake(words, CHANGES);
    await until(() => all.every(({ told }) => told[0] === "ok"));
    for (const one of all) one[Symbol.dispose]();
  });
});

describe.skipIf(!hasRing)("the table of states (needs io_uring of Linux 6.7)", () => {
  let wakes = 0;
  let waker: Waker;
  beforeEach(() => {
    wakes = 0;
    const noSubstitute = (): Waker => {
      throw new Error("the ring was lost");
    };
    waker = makeRingWaker(page, () => void wakes++, noSubstitute)!;
  });
  const asleep = (): boolean => futexHasSleepers(words, CHANGES);

  test("idle, request, asleep; request, asleep; wake, idle", async () => {
    waker.request(page.changes);
    waker.request(page.changes);
    expect(asleep()).toBe(true);
    page.announceChange();
    await until(() => wakes > 0);
    await Bun.sleep(2);
    expect([wakes, asleep()]).toEqual([1, false]);
    waker.stop();
  });

  test("idle, request after a commit, answering; the microtask, idle", async () => {
    waker.request(page.changes - 1);
    expect([wakes, asleep()]).toEqual([0, false]);
    await Promise.resolve();
    expect(wakes).toBe(1);
    waker.stop();
  });

  test("answering, calm, answering; answering, stop, stopped", async () => {
    waker.request(page.changes - 1);
    waker.calm();
    await Promise.resolve();
    expect(wakes).toBe(1);
    waker.request(page.changes - 1);
    waker.stop();
    await Promise.resolve();
    expect(wakes).toBe(1);
  });

  test("asleep, calm, idle; idle, request, asleep; asleep, stop, stopped", async () => {
    waker.request(page.changes);
    waker.calm();
    expect(asleep()).toBe(false);
    waker.request(page.changes);
    expect(asleep()).toBe(true);
    waker.stop();
    expect(asleep()).toBe(false);
    page.announceChange();
    await Bun.sleep(2);
    expect(wakes).toBe(0);
  });

  test("asleep, a sleep is over, asleep; the last sleep is over, idle", async () => {
    waker.request(page.changes);
    // The one that is alone looks for such a writer every 100 ms.
    Atomics.store(words, CANNOT_WAKE, 1);
    await until(() => wakes === 1);
    // From then on it sleeps for 4 ms.
    waker.request(page.changes);
    await until(() => wakes === 2);
    waker.stop();
  });

  test("of two that sleep one watches, and leaves the watch when it is calm", async () => {
    const other = makeRingWaker(
      page,
      () => {},
      () => waker,
    )!;
    waker.request(page.changes);
    other.request(page.changes);
    expect(words[WATCHED]).not.toBe(0);
    const stamp = words[WATCHED];
    await until(() => words[WATCHED] !== stamp);
    other.stop();
    expect(words[WATCHED]).toBe(0);
    page.announceChange();
    await until(() => wakes > 0);
    waker.stop();
  });

  test("wakes without a commit do not go round among sleepers", async () => {
    const all = Array.from({ length: 8 }, () => {
      const again: Waker = makeRingWaker(
        page,
        () => {
          wakes++;
          again.request(0);
        },
        () => waker,
      )!;
      again.request(0);
      return again;
    });
    for (let i = 0; i < 20; i++) futexWake(words, CHANGES, 2);
    await Bun.sleep(20);
    // Each passes a wake on once, and 20 times two come from here.
    expect(wakes).toBeLessThan(200);
    for (const one of all) one.stop();
    waker.stop();
  });

  test("asleep, the ring is lost, idle: another waker takes over", async () => {
    const script = `
      import { closeSync, readdirSync, readlinkSync } from "node:fs";
      import { RwLock } from ${JSON.stringify(join(SOURCES, "sync/rw-lock.ts"))};
      import { Notifier } from ${JSON.stringify(join(SOURCES, "sync/notifier.ts"))};
      const sockets = () => readdirSync("/proc/self/fd").filter((fd) => {
        try { return readlinkSync("/proc/self/fd/" + fd).startsWith("socket:"); } catch { return false; }
      });
      const before = sockets();
      const signal = new Notifier({ lock: new RwLock({ path: process.argv[1] }) });
      const changes = signal.changes();
      let turn = changes.next();
      const pair = sockets().filter((fd) => !before.includes(fd)).map(Number);
      console.log(pair.length);
      closeSync(Math.max(...pair));
      await Bun.sleep(20);
      for (let i = 1; i <= 3; i++) {
        signal.notify();
        console.log((await turn).value);
        turn = changes.next();
      }
      await changes.return();
    `;
    const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, "-e", script, lock.path], {
      timeout: 200_000,
    });
    expect([stderr.toString(), stdout.toString(), exitCode]).toEqual(["", "2\n1\n2\n3\n", 0]);
    waker.stop();
  });
});

test("a descriptor, a socket and memory of the ring go with the worker that had it, and soon after its last sleeper (needs io_uring)", async () => {
  const script = `
    import { readdirSync, readlinkSync } from "node:fs";
    import { RwLock } from ${JSON.stringify(join(SOURCES, "sync/rw-lock.ts"))};
    import { Notifier } from ${JSON.stringify(join(SOURCES, "sync/notifier.ts"))};
    const signal = new Notifier({ lock: new RwLock({ path: process.argv.at(-1) }) });
    if (!Bun.isMainThread) {
      void signal.changes().next();
      postMessage(0);
    } else {
      const open = () => readdirSync("/proc/self/fd").map((fd) => {
        try { return readlinkSync("/proc/self/fd/" + fd); } catch { return ""; }
      }).filter((link) => /^socket:|io_uring/.test(link)).length;
      const before = open();
      for (let i = 0; i < 3; i++) {
        const worker = new Worker(process.argv[1], { argv: [process.argv.at(-1)] });
        await new Promise((resolve) => { worker.onmessage = resolve; });
        await worker.terminate();
      }
      const changes = signal.changes();
      void changes.next();
      await changes.return();
      for (const end = Date.now() + 100_000; open() > before && Date.now() < end; ) await Bun.sleep(10);
      console.log(open() - before);
      process.exit();
    }
  `;
  const file = join(dir, "worker.ts");
  await Bun.write(file, script);
  const { stdout, stderr } = Bun.spawnSync([process.execPath, file, lock.path], { timeout: 200_000 });
  expect([stderr.toString(), stdout.toString()]).toEqual(["", "0\n"]);
});

test.each([
  ["throws", "throw new TypeError('no')"],
  ["rejects", "closeSync(options.fd); return Promise.reject(new Error('no'))"],
])(
  "where Bun opens no descriptor as a socket (it %s), there is no ring, and nothing of it is left",
  async (_, body) => {
    const source = `
    import { closeSync, readdirSync, readlinkSync } from "node:fs";
    Bun.connect = (options) => { ${body}; };
    const { ringIfPossible } = await import(${JSON.stringify(`${SOURCES}/sync/ring-waker.ts`)});
    const linkOf = (fd) => { try { return readlinkSync("/proc/self/fd/" + fd); } catch { return ""; } };
    const open = () => readdirSync("/proc/self/fd").map(linkOf).filter((link) => /^socket:|io_uring/.test(link)).sort().join();
    const before = open();
    console.log(ringIfPossible() instanceof Error, open() === before);
    // Nothing is thrown later, either.
    await Bun.sleep(1);
    console.log("end");`;
    const child = Bun.spawn([process.execPath, "-e", source], { stdout: "pipe", stderr: "pipe" });
    expect(await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])).toEqual([
      "true true\nend\n",
      "",
      0,
    ]);
  },
);
