import { afterAll, beforeEach, describe, expect, spyOn, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import {
  ClosedError,
  FileFormatError,
  FileMissingError,
  LayoutMismatchError,
  LeaseLostError,
  WaitTimeoutError,
} from "../../src/index.ts";
import { type Job, Queue } from "../../src/queue/index.ts";
import { stateOf, TAKEN } from "../../src/queue/slots.ts";
import { realtime } from "../../src/sys/clock.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { linesOf } from "../support/tools.ts";
import { whileItLasts } from "../support/while-it-lasts.ts";
import { fillWork, isWhole, Work } from "./structs.ts";

/** What another worker's fail() makes of the job of a slot, by default the first: READY, with one attempt more. */
function wearOut(path: string, at = 4096): void {
  const file = openSync(path, "r+");
  const word = new Uint32Array(1);
  readSync(file, word, 0, 4, at);
  word[0]! += 1 << 12;
  writeSync(file, word, 0, 4, at);
  closeSync(file);
}

type SwapArguments = [words: Int32Array, index: number, from: number, to: number];

const temporary = temporaryDirectory();
afterAll(() => temporary[Symbol.dispose]());
let tests = 0;
let dir = "";
beforeEach(() => {
  dir = join(temporary.path, `${tests++}`);
});

const works = (options: object = {}): Queue<Work> =>
  new Queue(Work, { dir, create: true, slots: 8, ...options });
const open = (options: object = {}): Queue<Work> => new Queue(Work, { dir, ...options });
const child = (...args: string[]) =>
  Bun.spawn([process.execPath, join(import.meta.dir, "../process/queue-child.ts"), dir, ...args], {
    stdout: "pipe",
    stderr: "inherit",
  });

describe("jobs", () => {
  test("a delay beyond what a file can hold is refused, and does not wrap to the past", () => {
    using queue = works();
    for (const delayMs of [Number.POSITIVE_INFINITY, 1e300, 1e15]) {
      expect(() => queue.push({ id: 1 }, { delayMs })).toThrow("delayMs must be at most 3155760000000");
    }
    queue.push({ id: 2 }, { delayMs: 3_155_760_000_000 });
    expect(queue.counts()).toMatchObject({ ready: 0, delayed: 1 });
    queue.push({ id: 3 });
    using job = queue.take()!;
    expect(() => job.fail("", { delayMs: 1e300 })).toThrow(RangeError);
  });

  test("a struct is pushed whole: a length is refused, and what its function returns is none", async () => {
    using queue = works();
    const why = "option length is for raw bytes; Work always takes 12 bytes";
    expect(() => queue.push({ id: 1 }, { length: 1 })).toThrow(`push: ${why}`);
    expect(() => queue.tryPush(fillWork(1), { length: 1 })).toThrow(`tryPush: ${why}`);
    expect(queue.pushAsync({ id: 1 }, { length: 12 })).rejects.toThrow(TypeError);
    expect(queue.size).toBe(0);
    queue.push((work) => Object.assign(work, { id: 3, twice: 6, inverse: ~3 >>> 0 }).id);
    using job = queue.take()!;
    expect(isWhole(job.data)).toBe(true);
    using bytes = new Queue(Uint8Array, { dir, create: true, payloadBytes: 5 });
    expect(() => bytes.push(() => {}, { length: 1.5 })).toThrow("whole number");
    expect(() => bytes.push(() => 6)).toThrow("from 0 to 5, not 6");
  });

  test("resize without options says what it takes", () => {
    using queue = works();
    expect(() => Reflect.apply(queue.resize, queue, [])).toThrow("resize: expected options such as");
  });

  test("a job is pushed as a value, by a function, or as raw bytes", () => {
    using queue = works();
    queue.push({ id: 1 });
    queue.push(fillWork(2));
    {
      using job = queue.take()!;
      expect([job.data.id, job.attempt]).toEqual([1, 1]);
      job.done();
    }
    using job = queue.take()!;
    expect(isWhole(job.data)).toBe(true);
    job.done();
    expect(queue.tryTake()).toBeUndefined();

    using bytes = new Queue(Uint8Array, { dir, create: true, slots: 2, payloadBytes: 5 });
    bytes.push(new Uint8Array([1, 2, 3]));
    bytes.push((slot) => {
      slot[0] = 9;
      return 1;
    });
    const [first, second] = [bytes.take()!, bytes.take()!];
    expect([[...first.data], [...second.data]]).toEqual([[1, 2, 3], [9]]);
    first.done();
    expect(() => bytes.push(new Uint8Array(6))).toThrow(RangeError);
  });

  test("in a full queue tryPush returns false, and push waits for timeoutMs", async () => {
    using queue = works({ slots: 2 });
    expect([queue.tryPush({ id: 1 }), queue.tryPush({ id: 2 }), queue.tryPush({ id: 3 })]).toEqual([
      true,
      true,
      false,
    ]);
    expect(() => queue.push({ id: 3 }, { timeoutMs: 20 })).toThrow(WaitTimeoutError);
    setTimeout(() => queue.take()!.done(), 20);
    await queue.pushAsync({ id: 3 });
    expect([queue.size, queue.taken]).toEqual([2, 0]);
  });

  test("a job that is not done goes back at the end of its scope, as it was", () => {
    using queue = works();
    queue.push({ id: 1 });
    {
      using _job = queue.take()!;
      expect([queue.size, queue.taken]).toEqual([0, 1]);
    }
    using again = queue.take()!;
    expect([again.data.id, again.attempt]).toEqual([1, 1]);
    again.done();
    expect(() => again.done()).toThrow(ClosedError);
    expect(queue.counts()).toMatchObject({ ready: 0, taken: 0, free: 8 });
  });

  test("fail gives a job another attempt, later, with its reason; after the last one it is a dead letter", async () => {
    let queue = works({ maxAttempts: 2 });
    await whileItLasts(30, (delayMs) => {
      queue = works({ maxAttempts: 2, force: true });
      queue.push({ id: 5 });
      queue.take()!.fail("no answer", { delayMs });
      expect(queue.counts()).toMatchObject({ delayed: 1, ready: 0 });
    });
    const again = queue.take({ timeoutMs: 60_000 })!;
    expect([again.attempt, new TextDecoder().decode(again.user).replace(/\0+$/, "")]).toEqual([
      2,
      "no answer",
    ]);
    again.fail("again");
    expect(queue.tryTake()).toBeUndefined();
    using dead = queue.deadLetters.take({ timeoutMs: 0 })!;
    expect([dead.data.id, dead.attempt]).toEqual([5, 1]);
    expect(new TextDecoder().decode(dead.user)).toStartWith("again");
    dead.done();
  });

  test("a job whose last attempt has failed is a dead letter at once, without another take, also where it was to wait", () => {
    using queue = works({ maxAttempts: 1 });
    queue.push({ id: 6 });
    queue.take()!.fail("no answer", { delayMs: 60_000 });
    expect(queue.counts()).toMatchObject({ ready: 0, delayed: 0, taken: 0, free: 8 });
    using dead = queue.deadLetters.tryTake()!;
    expect([dead.data.id, new TextDecoder().decode(dead.user)]).toEqual([6, `no answer${"\0".repeat(23)}`]);
    dead.done();
  });

  test.each(["info", "deadLetters", "a push to a full queue"])(
    "a job whose attempts others have used up becomes a dead letter at %s too",
    (where) => {
      using queue = works({ maxAttempts: 1, slots: 2 });
      for (const id of [7, 8]) queue.push({ id });
      wearOut(queue.path);
      expect(queue.size).toBe(2);
      if (where === "info") expect(queue.info()).toMatchObject({ ready: 1, free: 1 });
      else if (where === "deadLetters") expect(queue.deadLetters.size).toBe(1);
      else expect(queue.tryPush({ id: 9 })).toBe(true);
      expect(queue.deadLetters.tryTake()!.data.id).toBe(7);
      expect([8, 9]).toContain(queue.tryTake()!.data.id);
    },
  );

  test("a job for which there is no room among the dead letters stays, and moves once there is room", async () => {
    using queue = works({ maxAttempts: 1, slots: 2 });
    using letters = queue.deadLetters;
    for (const id of [1, 2]) letters.push({ id });
    queue.push({ id: 3 });
    const warnings: string[] = [];
    const note = ({ message }: Error): number => warnings.push(message);
    process.on("warning", note);
    queue.take()!.fail();
    expect(queue.counts()).toMatchObject({ ready: 0, delayed: 1 });
    await Bun.sleep(0);
    process.off("warning", note);
    expect(warnings.join()).toContain("the dead letters of");
    letters.take()!.done();
    expect(queue.take({ timeoutMs: 1500 })).toBeUndefined();
    expect(letters.take()!.data.id).toBe(2);
    expect(letters.take()!.data.id).toBe(3);
  });

  test("a value that does not fit is not pushed, nor is a job whose function throws", () => {
    using queue = works();
    expect(() => queue.push({ id: -1 })).toThrow(RangeError);
    expect(() =>
      queue.push(() => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect(queue.info()).toMatchObject({ free: 8, writing: 0, ready: 0 });
  });

  test("a job with delayMs is not taken before, and take waits for it", async () => {
    let queue = works();
    await whileItLasts(40, (delayMs) => {
      queue = works({ force: true });
      queue.push({ id: 1 }, { delayMs });
      expect(queue.tryTake()).toBeUndefined();
    });
    expect(() => queue.take({ timeoutMs: -1 })).toThrow("timeoutMs must not be negative");
    expect(() => queue.push({ id: 1 }, { timeoutMs: Number.NaN })).toThrow("timeoutMs");
    // Longer than a test may take: what ends the wait is that the job is due.
    expect(queue.take({ timeoutMs: 3_600_000 })?.data.id).toBe(1);
  });

  test("note shows a job's progress to others", () => {
    using queue = works();
    queue.push({ id: 1 });
    using job = queue.take()!;
    job.note("40 %");
    expect(new TextDecoder().decode(job.user)).toStartWith("40 %");
    expect(() => job.note(new Uint8Array(33))).toThrow(RangeError);
  });

  test("for await, and takeAsync with a signal or a timeout, wait for a job", async () => {
    using queue = works();
    expect(await queue.takeAsync({ timeoutMs: 10 })).toBeUndefined();
    expect(queue.take({ timeoutMs: 10 })).toBeUndefined();
    const waiting = queue.takeAsync({ signal: AbortSignal.timeout(20) });
    expect(await waiting.catch((error: Error) => error.name)).toBe("TimeoutError");
    setTimeout(() => {
      for (const id of [1, 2, 3]) queue.push({ id });
    }, 10);
    const ids: number[] = [];
    for await (const job of queue) {
      ids.push(job.data.id);
      job.done();
      if (ids.length === 3) break;
    }
    expect(ids).toEqual([1, 2, 3]);
  });
});

test("a queue that is closed before its jobs has given them back", () => {
  using other = works();
  other.push({ id: 1 });
  {
    const queue = open();
    using job = queue.take()!;
    queue.close();
    expect(job.isOpen).toBe(true);
  }
  expect(other.take({ timeoutMs: 0 })?.attempt).toBe(1);
});

test("waits that are over keep no process alive", async () => {
  using queue = works();
  queue.push({ id: 1 });
  expect(await child("async").exited).toBe(0);
});

describe("leases", () => {
  test("a stuck worker's job goes to another, and done() of the first says so", async () => {
    await whileItLasts(30, (leaseMs) => {
      using queue = works({ leaseMs, force: true });
      using other = open();
      queue.push({ id: 1 });
      const stuck = queue.take()!;
      expect(other.tryTake()).toBeUndefined();
      const second = other.take({ timeoutMs: 60_000 })!;
      expect([second.data.id, second.attempt]).toEqual([1, 2]);
      expect(() => stuck.data).toThrow(LeaseLostError);
      expect(() => stuck.done()).toThrow(ClosedError);
      // Within the time again, or it is lost as well.
      second.done();
    });
  });

  test("extend() keeps a job", async () => {
    await whileItLasts(200, async (leaseMs) => {
      using queue = works({ leaseMs, force: true });
      using other = open();
      queue.push({ id: 1 });
      const job = queue.take()!;
      for (let i = 0; i < 6; i++) {
        await Bun.sleep(leaseMs / 4);
        job.extend();
        expect(other.tryTake()).toBeUndefined();
      }
      job.done();
    });
  });
});

describe("owners", () => {
  test("a file of another program with the name of the owners' file is refused and stays as it is", () => {
    works().close();
    const path = join(dir, "Work_.queue.owners");
    for (const text of ["precious", "", "x".repeat(4096)]) {
      rmSync(path, { force: true });
      writeFileSync(path, text);
      expect(() => open()).toThrow(/is no owners' file .* move it away/);
      expect(readFileSync(path, "utf8")).toBe(text);
    }
    rmSync(path);
    writeFileSync(path, "");
    // What a creator leaves that was killed before the file had its length.
    chmodSync(path, 0o1600);
    using queue = open();
    queue.push({ id: 1 });
    expect([statSync(path).size, statSync(path).mode & 0o7777]).toEqual([4092, 0o600]);
  });

  test("a killed worker's job goes back as soon as another looks, with one attempt more", async () => {
    using queue = works();
    queue.push(fillWork(7));
    const victim = child("hold");
    for await (const line of linesOf(victim.stdout)) if (line === "taken") break;
    expect(queue.tryTake()).toBeUndefined();
    expect(queue.info().owners).toContainEqual({
      owner: expect.any(Number),
      pid: victim.pid,
      taken: 1,
      isAlive: true,
    });
    victim.kill(9);
    await victim.exited;
    using job = queue.take({ timeoutMs: 60_000 })!;
    expect([job.data.id, job.attempt]).toEqual([7, 2]);
    job.done();
  });

  test("a worker thread that ends gives its jobs back", async () => {
    using queue = works();
    queue.push({ id: 1 });
    const worker = new Worker(new URL("../process/queue-worker.ts", import.meta.url).href, { argv: [dir] });
    await new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
    expect(queue.tryTake()).toBeUndefined();
    worker.terminate();
    expect(queue.take({ timeoutMs: 60_000 })?.data.id).toBe(1);
  });

  test("two queues of one process are two owners, and close() gives jobs back", () => {
    using queue = works();
    const other = open();
    queue.push({ id: 1 });
    expect(other.take({ timeoutMs: 0 })?.data.id).toBe(1);
    expect(queue.tryTake()).toBeUndefined();
    other.close();
    expect(queue.take({ timeoutMs: 0 })?.attempt).toBe(1);
    expect(() => other.tryPush({ id: 1 })).toThrow(ClosedError);
  });
});

describe("files", () => {
  test("a queue of another class, one with other options and a queue that is missing are refused", () => {
    works({ leaseMs: 5 }).close();
    expect(() => open({ slots: 16 })).toThrow(FileFormatError);
    expect(() => open({ leaseMs: 6 })).toThrow("leaseMs: 5, not 6");
    expect(() => new Queue(Uint8Array, { dir, className: "Work" })).toThrow(LayoutMismatchError);
    expect(() => open({ tag: "none" })).toThrow(FileMissingError);
    expect(() => open({ tag: "none" })).toThrow(
      `new Queue(Work, { dir: ${JSON.stringify(dir)}, tag: "none", create: true })`,
    );
    expect(() => works({ slots: 5 })).toThrow(RangeError);
    expect(() => works({ tag: "t".repeat(250) })).toThrow(/the file name 'Work_t+\.queue' is too long/);
  });

  test("a lease that no file can hold is a RangeError, and nothing is made", () => {
    for (const leaseMs of [0.5, 1.5, -1, 2 ** 32, 4.3e9, 1e300, Number.POSITIVE_INFINITY]) {
      expect(() => works({ leaseMs })).toThrow(
        new RangeError(
          `leaseMs must be a whole number of milliseconds from 0 (never) to 4294967295, not ${leaseMs}`,
        ),
      );
    }
    expect(existsSync(dir)).toBe(false);
    using queue = works({ leaseMs: 2 ** 32 - 1 });
    expect(queue.info().leaseMs).toBe(2 ** 32 - 1);
    expect(() => queue.resize({ leaseMs: 2 ** 32 })).toThrow(RangeError);
  });

  test("a payload that no file can hold is a RangeError, and nothing is made", () => {
    for (const payloadBytes of [0.5, 2 ** 30, 2 ** 32, 1e300, Number.POSITIVE_INFINITY, Number.NaN]) {
      expect(() => new Queue(Uint8Array, { dir, create: true, slots: 8, payloadBytes })).toThrow(
        new RangeError(
          `option payloadBytes must be a whole number from 1 to 536869824 with 8 slots, so that the file fits one mapping of 4 GiB; it is ${payloadBytes}`,
        ),
      );
    }
    expect(existsSync(dir)).toBe(false);
  });

  test("maxAttempts is at most 254, and 0 is as much as that", () => {
    for (const maxAttempts of [255, -1, 1.5]) {
      expect(() => works({ maxAttempts })).toThrow(
        `maxAttempts must be a whole number from 1 to 254, or 0 for the most there are (254), not ${maxAttempts}`,
      );
    }
    using queue = works({ maxAttempts: 0 });
    expect(queue.info().maxAttempts).toBe(0);
    queue.push({ id: 1 });
    for (let attempt = 1; attempt <= 254; attempt++) queue.take()!.fail();
    expect(queue.tryTake()).toBeUndefined();
    expect(queue.deadLetters.size).toBe(1);
  });

  test("jobs that wait and jobs in hand go on in the file that resize makes", () => {
    using queue = works({ slots: 4 });
    using other = open();
    for (const id of [1, 2, 3, 4]) queue.push(fillWork(id));
    const [mine, theirs] = [queue.take()!, other.take()!];
    queue.resize({ slots: 16, maxAttempts: 7 });
    for (const id of [5, 6]) other.push(fillWork(id));
    mine.done();
    theirs.done();
    expect(queue.info()).toMatchObject({ slots: 16, maxAttempts: 7, ready: 4, taken: 0 });
    const ids: number[] = [];
    for (let job = other.tryTake(); job; job = other.tryTake()) {
      ids.push(job.data.id);
      expect(isWhole(job.data)).toBe(true);
      job.done();
    }
    expect(ids).toEqual([3, 4, 5, 6]);
    expect(() => queue.resize({ slots: 3 })).toThrow(RangeError);
  });

  test("a job in hand that was taken before resize is done in the new file", () => {
    using queue = works({ slots: 4 });
    using other = open();
    queue.push(fillWork(1));
    const swap = Atomics.compareExchange;
    const hooked = spyOn(Atomics, "compareExchange").mockImplementation(((...args: SwapArguments) => {
      const found = swap(...args);
      if (stateOf(args[3]) !== TAKEN) return found;
      hooked.mockRestore();
      other.resize({ maxAttempts: 7 });
      return found;
    }) as typeof swap);
    queue.take()!.done();
    expect(other.info()).toMatchObject({ maxAttempts: 7, free: 4, taken: 0 });
    // A slot of the old file that is free again would take a job that no worker finds.
    queue.push(fillWork(2));
    expect(other.tryTake()?.data.id).toBe(2);
  });

  test("a queue that is resized in the middle of a look for used-up jobs keeps the job that lies where the slot was", async () => {
    using queue = new Queue(Uint8Array, { dir, create: true, slots: 4, payloadBytes: 100, maxAttempts: 1 });
    using other = new Queue(Uint8Array, { dir });
    // Read as the word of a slot it is that of a job whose attempts are used up.
    const bytes = new Uint8Array(new Uint32Array(25).fill(0x8000_1000).buffer);
    for (const delayMs of [0, 0, 1, 0]) queue.push(bytes, { delayMs });
    await Bun.sleep(5);
    // In slots of 320 bytes instead of 192 the bytes of the second job begin where the third slot was.
    wearOut(queue.path, 4096 + 2 * 192);
    const read = realtime.read.bind(realtime);
    const hooked = spyOn(realtime, "read").mockImplementation(() => {
      hooked.mockRestore();
      read();
      other.resize({ payloadBytes: 200 });
    });
    expect(queue.info()).toMatchObject({ generation: 1, ready: 3, taken: 0 });
    expect(queue.deadLetters.tryTake()!.data).toEqual(bytes);
    for (let i = 0; i < 3; i++) expect(queue.tryTake()!.data).toEqual(bytes);
  });

  test("resize to too few slots changes nothing", () => {
    using queue = works({ slots: 8 });
    for (const id of [1, 2, 3]) queue.push({ id });
    const job = queue.take()!;
    expect(() => queue.resize({ slots: 2 })).toThrow("3 jobs");
    expect(queue.info()).toMatchObject({ slots: 8, ready: 2, taken: 1 });
    job.done();
  });

  test("a queue whose file was replaced meanwhile resizes the new file", () => {
    using queue = works({ slots: 4 });
    using other = open();
    other.push(fillWork(1));
    queue.resize({ slots: 8 });
    queue.push(fillWork(2));
    other.resize({ slots: 16 });
    expect(queue.info()).toMatchObject({ slots: 16, ready: 2, generation: 2 });
  });

  test("six processes that create a queue at once make one file, and all jobs are in it", async () => {
    const children = Array.from({ length: 6 }, (_, i) => child("push", String(i * 10)));
    expect(await Promise.all(children.map(({ exited }) => exited))).toEqual(Array(6).fill(0));
    using queue = open();
    const ids: number[] = [];
    for (let job = queue.tryTake(); job !== undefined; job = queue.tryTake()) {
      ids.push(job.data.id);
      job.done();
    }
    expect(ids.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, id) => id));
  });

  test("force erases a queue, and users of the old file find the new one", () => {
    using queue = works();
    queue.push({ id: 1 });
    const job = queue.take()!;
    queue.push({ id: 2 });
    using fresh = works({ force: true });
    expect(queue.tryTake()).toBeUndefined();
    expect(() => job.done()).toThrow(LeaseLostError);
    queue.push({ id: 3 });
    expect(fresh.take({ timeoutMs: 0 })?.data.id).toBe(3);
  });

  test("a backup has each job once, taken ones too", () => {
    using queue = works();
    for (const id of [1, 2, 3]) queue.push(fillWork(id));
    queue.take();
    const path = join(dir, "Work_copy.queue");
    queue.backup(path);
    expect(() => open({ tag: "copy" })).toThrow("backup");
    Queue.restore(Work, path, { dir, tag: "restored" });
    using restored = open({ tag: "restored" });
    const ids = [1, 2, 3, 4].map(() => restored.tryTake()?.data.id);
    expect(ids).toEqual([1, 2, 3, undefined]);
    restored.push({ id: 4 });
    expect(restored.tryTake()?.data.id).toBe(4);
  });

  test("remove() leaves no file, and other users find out", () => {
    const queue = works();
    using other = open();
    other.push({ id: 1 });
    queue.remove();
    expect(queue.closed).toBe(true);
    expect(() => open()).toThrow(FileMissingError);
    expect(() => other.tryPush({ id: 2 })).toThrow(FileMissingError);
  });

  test("info shows the counts, the options and the owners of a queue", () => {
    using queue = works({ leaseMs: 1000, maxAttempts: 3 });
    for (const id of [1, 2]) queue.push({ id });
    using job = queue.take()!;
    const info = queue.info();
    expect(info).toMatchObject({
      kind: "queue",
      slots: 8,
      ready: 1,
      taken: 1,
      leaseMs: 1000,
      maxAttempts: 3,
    });
    expect(info.owners).toEqual([{ owner: 1, pid: process.pid, taken: 1, isAlive: true }]);
    expect(Math.abs(info.oldestTakenAt! - Date.now())).toBeLessThan(60_000);
    expect(Math.abs(queue.oldest! - info.oldestTakenAt!)).toBeLessThan(60_000);
    job.done();
    expect(queue.oldest).toBeUndefined();
  });

  test("the first call a second after the file was deleted finds out, though it is the only one", async () => {
    using users = new DisposableStack();
    const calls: Record<string, (queue: Queue<Work>, job: Job<Work>) => unknown> = {
      push: (queue) => queue.push({ id: 7 }),
      tryPush: (queue) => queue.tryPush({ id: 7 }),
      pushAsync: (queue) => queue.pushAsync({ id: 7 }),
      take: (queue) => queue.take({ timeoutMs: 0 }),
      tryTake: (queue) => queue.tryTake(),
      takeAsync: (queue) => queue.takeAsync({ timeoutMs: 0 }),
      done: (_, job) => job.done(),
      fail: (_, job) => job.fail(),
      extend: (_, job) => job.extend(),
      note: (_, job) => job.note("40 %"),
    };
    const deleted = (tag: string): { queue: Queue<Work>; job: Job<Work> } => {
      const queue = users.use(works({ tag }));
      for (const id of [1, 2]) queue.push({ id });
      const job = queue.take()!;
      rmSync(queue.path);
      return { queue, job };
    };
    const missing = Object.keys(calls).map((name) => ({ name, ...deleted(name) }));
    const replaced = ["push", "tryPush", "pushAsync"].map((name) => {
      const old = deleted(`${name}-replaced`);
      return { name, ...old, worker: users.use(works({ tag: `${name}-replaced` })) };
    });
    await Bun.sleep(1100);
    for (const { name, queue, job } of missing) {
      const call = async (): Promise<unknown> => calls[name]!(queue, job);
      expect([name, await call().catch((error: Error) => error.name)]).toEqual([name, "FileMissingError"]);
    }
    for (const { name, queue, job, worker } of replaced) {
      await calls[name]!(queue, job);
      expect([name, worker.tryTake()?.data.id]).toEqual([name, 7]);
    }
  });

  test("a user of a queue whose file was deleted finds out", async () => {
    using queue = works();
    queue.push({ id: 1 });
    rmSync(queue.path);
    const end = Date.now() + 60_000;
    const push = (): void => {
      while (Date.now() < end) if (queue.tryPush({ id: 2 })) queue.tryTake()?.done();
    };
    expect(push).toThrow(FileMissingError);
  });
});
