import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import {
  ClosedError,
  c_uint8,
  DeadlockError,
  FileFormatError,
  FileMissingError,
  LayoutMismatchError,
  LockTimeoutError,
  structOf,
  WaitTimeoutError,
} from "../../src/index.ts";
import { lockPagePath, WATCHED } from "../../src/sync/lock-page-format.ts";
import { pointsOf } from "../support/system-calls.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { Frame, Price } from "./structs.ts";

const temporary = temporaryDirectory();
afterAll(() => temporary[Symbol.dispose]());
let tests = 0;
let dir = "";
beforeEach(() => {
  dir = join(temporary.path, `${tests++}`);
});

const prices = (options: object = {}): Publisher<Price> =>
  new Publisher(Price, { dir, create: true, ...options });
const child = (...args: string[]) =>
  Bun.spawn([process.execPath, join(import.meta.dir, "../process/channel-child.ts"), dir, ...args], {
    stdout: "pipe",
    stderr: "inherit",
  });

/** The wakes that a process of its own makes for a message, as strace shows them: not those of the runtime within the process. */
const wakesOfOneMessage = (): string[] =>
  pointsOf(
    [process.execPath, join(import.meta.dir, "../process/channel-child.ts"), dir, "one"],
    join(temporary.path, `trace${tests}`),
  )
    .map(({ line }) => line)
    .filter((line) => /FUTEX_WAKE(_BITSET)?,/.test(line));

/** Resolves once a process's first thread sleeps on a futex, after it has said that it is about to receive. */
async function asleep(pid: number): Promise<void> {
  const futex = process.arch === "arm64" ? "98 " : "202 ";
  for (let times = 0; times < 2; ) {
    times = readFileSync(`/proc/${pid}/syscall`, "latin1").startsWith(futex) ? times + 1 : 0;
    await Bun.sleep(5);
  }
}

describe("messages", () => {
  test("a struct is sent as a value, by a function, or from a loan", () => {
    using publisher = prices();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    publisher.send({ id: 1, price: 1.5 });
    publisher.send((data) => {
      data.id = 2;
    });
    {
      using loan = publisher.loan();
      loan.data.price = 3.5;
      loan.send({ type: 7 });
    }
    const all = [subscriber.receive(), subscriber.receive(), subscriber.receive()];
    expect(all.map((message) => [message?.data.id, message?.data.price, message?.type])).toEqual([
      [1, 1.5, 0],
      [2, 0, 0],
      [0, 3.5, 7],
    ]);
    expect(all.map((message) => [message?.index, message?.missed, message?.epoch])).toEqual([
      [0, 0, 1],
      [1, 0, 1],
      [2, 0, 1],
    ]);
    expect(Math.abs(all[0]!.sentAt - Date.now())).toBeLessThan(60_000);
    expect(subscriber.receive()).toBeUndefined();
  });

  test("raw bytes may have any length up to the slot's", () => {
    using publisher = new Publisher(Uint8Array, { dir, create: true, payloadBytes: 10 });
    using subscriber = new Subscriber(Uint8Array, { dir, from: "next" });
    publisher.send(new Uint8Array([1, 2, 3]));
    publisher.send(new Uint8Array());
    publisher.send((bytes) => {
      bytes[0] = 9;
      return 2;
    });
    publisher.send(
      (bytes) => {
        bytes.fill(4);
      },
      { length: 1 },
    );
    const all = [1, 2, 3, 4].map(() => [...subscriber.receive()!.data]);
    expect(all).toEqual([[1, 2, 3], [], [9, 0], [4]]);
    expect(() => publisher.send(new Uint8Array(11))).toThrow("at most 10 bytes");
    expect(() => publisher.send(() => 11)).toThrow(RangeError);
    expect(publisher.index).toBe(4);
  });

  test("a received struct is a private copy that later messages do not change", () => {
    using publisher = prices({ slots: 2 });
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    publisher.send({ id: 1 });
    const { data } = subscriber.receive()!;
    for (let id = 2; id < 6; id++) publisher.send({ id });
    expect(data.id).toBe(1);
    data.id = 5;
    expect(data.id).toBe(5);
  });

  test("a value that does not fit is not sent, nor is a message whose function throws", () => {
    using publisher = prices();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    expect(() => publisher.send({ id: -1 })).toThrow(RangeError);
    expect(() =>
      publisher.send(() => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
    expect(() => publisher.send(async () => {})).toThrow("async");
    expect(subscriber.receive()).toBeUndefined();
    publisher.send({ id: 4 });
    expect(subscriber.receive()).toMatchObject({ index: 0, missed: 0 });
  });

  test("a struct is sent whole: a length is refused, and what its function returns is none", () => {
    using publisher = prices();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    const why = "send: option length is for raw bytes; Price always takes ";
    expect(() => publisher.send({ id: 1 }, { length: 1 })).toThrow(TypeError);
    const fill = (price: Price) => {
      price.id = 1;
    };
    expect(() => publisher.send(fill, { length: 1 })).toThrow(why);
    using loan = publisher.loan();
    expect(() => loan.send({ length: 1 })).toThrow(why);
    loan.data.id = 2;
    loan.send();
    publisher.send((price) => Object.assign(price, { id: 3 }).id);
    publisher.send((price) => Object.assign(price, { id: 100_000 }).id);
    const received = [1, 2, 3].map(() => subscriber.receive()!);
    expect(received.map(({ data, length }) => [data.id, length])).toEqual(
      [2, 3, 100_000].map((id) => [id, publisher.payloadBytes]),
    );
    expect(subscriber.receive()).toBeUndefined();
  });

  test("a tag that is too long names the file of the channel", () => {
    expect(() => prices({ tag: "t".repeat(250) })).toThrow(/the file name 'Price_t+\.channel' is too long/);
  });

  test("a publisher with clear: false leaves what the slot held", () => {
    using publisher = prices({ slots: 2, clear: false });
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    for (const id of [1, 2]) publisher.send({ id, price: id });
    publisher.send({ id: 3 });
    expect(subscriber.latest()?.data).toMatchObject({ id: 3, price: 1 });
  });

  test("a type that is not a u32, a length that is not a whole number and an unknown option are refused, and nothing is sent", () => {
    using publisher = prices();
    for (const type of [-1, 1.5, 2 ** 32, Number.NaN]) {
      expect(() => publisher.send({ id: 1 }, { type })).toThrow(RangeError);
    }
    using bytes = new Publisher(Uint8Array, { dir, create: true, payloadBytes: 10 });
    expect(() => bytes.send(() => {}, { length: 1.5 })).toThrow(RangeError);
    expect(bytes.index).toBe(0);
    const wrong: object[] = [{ type: "x" }, { typ: 1 }];
    for (const options of wrong) expect(() => publisher.send({ id: 1 }, options)).toThrow(TypeError);
    {
      using loan = publisher.loan();
      expect(() => loan.send({ type: -1 })).toThrow(
        "type must be a whole number from 0 to 4294967295, not -1",
      );
      loan.send({ type: 2 ** 32 - 1 });
    }
    expect(publisher.index).toBe(1);
  });

  test("within the function of a message another message and a close are refused, and nothing is sent", () => {
    const publisher = prices();
    expect(() => publisher.send(() => publisher.send({ id: 1 }))).toThrow("let it return first");
    expect(() => publisher.send(() => publisher.loan())).toThrow("let it return first");
    publisher.send({ id: 2 });
    expect(publisher.index).toBe(1);
    expect(() => publisher.send(() => publisher.close())).toThrow(ClosedError);
    using next = prices();
    expect([next.index, next.epoch]).toEqual([1, 2]);
  });

  test("a publisher has one loan at a time; one that is not sent is given back at the end of its scope", () => {
    using publisher = prices();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    const first = publisher.loan();
    {
      using _same = first;
      expect(() => publisher.loan()).toThrow("open loan");
      expect(() => publisher.send({ id: 1 })).toThrow("open loan");
    }
    expect(() => first.data).toThrow(ClosedError);
    expect(() => first.send()).toThrow(ClosedError);
    publisher.send({ id: 2 });
    expect(subscriber.receive()).toMatchObject({ index: 0 });
    const last = publisher.loan();
    publisher.close();
    expect(() => last.send()).toThrow(ClosedError);
  });
});

describe("subscribers", () => {
  test("a subscriber counts exactly what it missed, and latest() skips to the newest message", () => {
    using publisher = prices({ slots: 8 });
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    for (let id = 0; id < 20; id++) publisher.send({ id });
    expect(subscriber.receive()).toMatchObject({ index: 16, missed: 16 });
    expect(subscriber.latest()).toMatchObject({ index: 19, missed: 2 });
    expect(subscriber.latest()).toBeUndefined();
  });

  test("peek shows the message in place, and tells when it was overwritten meanwhile", () => {
    using publisher = prices({ slots: 2 });
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    expect(subscriber.peek(() => expect.unreachable())).toBe(false);
    publisher.send({ id: 1 });
    const seen: number[] = [];
    expect(subscriber.peek((data, { index }) => seen.push(data.id, index))).toBe(true);
    expect(seen).toEqual([1, 0]);
    publisher.send({ id: 2 });
    const isWhole = subscriber.peek(() => {
      for (let id = 3; id < 6; id++) publisher.send({ id });
    });
    expect(isWhole).toBe(false);
    expect(subscriber.receive()).toMatchObject({ index: 4, missed: 3 });
  });

  test("peek's view of a struct is read-only", () => {
    using publisher = prices();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    publisher.send({ id: 1 });
    expect(() =>
      subscriber.peek((data) => {
        (data as Price).id = 3;
      }),
    ).toThrow(TypeError);
    expect(subscriber.receive()?.data.id).toBe(1);
  });

  test("a wrong option of receive is an error also where a message is there and none is needed", () => {
    using publisher = prices();
    using subscriber = new Subscriber(Price, { dir });
    publisher.send({ id: 1 });
    const constant = { timeoutMs: 5 };
    for (const options of [
      { timeoutMs: Number.NaN },
      { timeoutMs: -1 },
      { spinMs: "5" },
      { timeout: 5 },
      5,
      [],
    ])
      expect(() => subscriber.receive(options as never)).toThrow(/timeout|spinMs|expected options/);
    expect(subscriber.receive(constant)?.data.id).toBe(1);
    constant.timeoutMs = Number.NaN;
    publisher.send({ id: 2 });
    expect(() => subscriber.receive(constant)).toThrow(/timeoutMs/);
    expect(subscriber.receive()?.data.id).toBe(2);
  });

  test("receive with timeoutMs, receiveAsync and for await wait for a message", async () => {
    using publisher = prices();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    expect(await subscriber.receiveAsync({ timeoutMs: 20 })).toBeUndefined();
    setTimeout(() => publisher.send({ id: 1 }), 30);
    expect((await subscriber.receiveAsync())?.data.id).toBe(1);
    const got: number[] = [];
    setTimeout(() => {
      for (const id of [2, 3, 4]) publisher.send({ id });
    }, 10);
    for await (const { data } of subscriber) {
      got.push(data.id);
      if (data.id === 4) break;
    }
    expect(got).toEqual([2, 3, 4]);
  });

  test("a subscriber that spins for spinMs gets what is sent meanwhile, and then sleeps for the rest of timeoutMs", async () => {
    prices({ slots: 64 }).close();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    expect(subscriber.receive({ timeoutMs: 10, spinMs: 5 })).toBeUndefined();
    const sender = child("some");
    expect(subscriber.receive({ timeoutMs: 60_000, spinMs: 60_000 })?.data.id).toBe(0);
    expect(await sender.exited).toBe(0);
  });

  test("a subscriber's map of the file is read-only", () => {
    using _publisher = prices();
    const mapped = (): string[] =>
      readFileSync("/proc/self/maps", "utf8")
        .split("\n")
        .filter((line) => line.endsWith("/Price_.channel") && line.includes(`${dir}/`))
        .map((line) => line.split(" ")[1]!);
    expect(mapped()).toEqual(["rw-s"]);
    using _subscriber = new Subscriber(Price, { dir });
    expect(mapped().sort()).toEqual(["r--s", "rw-s"]);
  });

  test("a signal ends for await with its reason, close() ends it without one", async () => {
    using publisher = prices();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("enough")), 10);
    const iterate = async (): Promise<void> => {
      for await (const _message of subscriber.messages({ signal: controller.signal }));
    };
    expect(await iterate().catch((error: Error) => error.message)).toBe("enough");
    setTimeout(() => subscriber.close(), 10);
    for await (const _message of subscriber);
    expect(() => subscriber.receive()).toThrow(ClosedError);
    publisher.send({ id: 1 });
  });

  test("Subscriber.open() waits for the channel", async () => {
    const opening = Subscriber.open(Price, { dir, waitMs: 60_000, from: "oldest" });
    await Bun.sleep(30);
    using publisher = prices();
    publisher.send({ id: 1 });
    using subscriber = await opening;
    expect(subscriber.receive()?.data.id).toBe(1);
    const never = Subscriber.open(Price, { dir, tag: "none", waitMs: 30 });
    expect(await never.catch((error: unknown) => error)).toBeInstanceOf(WaitTimeoutError);
    expect(() => new Subscriber(Price, { dir, tag: "none" })).toThrow(FileMissingError);
    expect(() => new Publisher(Price, { dir, tag: "none" })).toThrow(
      `new Publisher(Price, { dir: ${JSON.stringify(dir)}, tag: "none", create: true })`,
    );
  });
});

describe("one publisher at a time", () => {
  test("a second publisher is told who the first is; after a kill it takes over", async () => {
    const first = child("publish");
    for await (const line of linesOf(first.stdout)) if (line === "ready") break;
    const second = (): Publisher<Price> => new Publisher(Price, { dir, waitMs: 0 });
    expect(second).toThrow(LockTimeoutError);
    expect(second).toThrow(String(first.pid));
    first.kill(9);
    await first.exited;
    using subscriber = new Subscriber(Price, { dir, from: "oldest" });
    using publisher = second();
    expect(publisher.epoch).toBe(2);
    const last = subscriber.latest()!;
    publisher.send({ id: 77 });
    expect(subscriber.receive()).toMatchObject({ index: last.index + 1, epoch: 2 });
  });

  test("six publishers that make the channel at once make one file, and publish one after the other", async () => {
    const children = Array.from({ length: 6 }, () => child("some"));
    expect(await Promise.all(children.map(({ exited }) => exited))).toEqual(Array(6).fill(0));
    using subscriber = new Subscriber(Price, { dir, from: "oldest" });
    const all = Array.from({ length: 30 }, () => subscriber.receive());
    expect(all.map((message) => message?.data.id)).toEqual(Array.from({ length: 30 }, (_, id) => id));
    expect(all.map((message) => message?.epoch)).toEqual(
      Array.from({ length: 30 }, (_, i) => 1 + Math.floor(i / 5)),
    );
  });

  test("close() lets the next publisher in at once", () => {
    const first = prices();
    first.send({ id: 1 });
    using subscriber = new Subscriber(Price, { dir });
    first.close();
    expect(subscriber.isEnded).toBe(true);
    using second = prices();
    expect(subscriber.isEnded).toBe(false);
    expect(second.index).toBe(1);
  });
});

describe("files", () => {
  test("a subscriber with another version of a struct of 9000 fields, or with few of them, is told of the difference", () => {
    const many = (count: number) =>
      class Many extends structOf(
        Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, c_uint8])),
      ) {};
    new Publisher(many(9000), { dir, create: true }).close();
    expect(() => new Subscriber(many(9001), { dir })).toThrow(LayoutMismatchError);
    expect(() => new Subscriber(many(1), { dir })).toThrow(LayoutMismatchError);
    // What is much larger than one's own struct is not read: of 20,000 members on.
    new Publisher(many(20_001), { dir, create: true, force: true }).close();
    expect(() => new Subscriber(many(1), { dir })).toThrow(FileFormatError);
  }, 240_000);

  test("a channel of another class, one with other slots and a file that is not a channel are refused", () => {
    prices().close();
    expect(() => new Subscriber(Frame, { dir, className: "Price" })).toThrow(LayoutMismatchError);
    expect(() => new Subscriber(Uint8Array, { dir, className: "Price" })).toThrow("raw bytes here");
    expect(() => prices({ slots: 16 })).toThrow("made with slots: 8, not 16");
    writeFileSync(join(dir, "Frame_.channel"), "something else, long enough to be looked at".repeat(20));
    expect(() => new Subscriber(Frame, { dir })).toThrow(FileFormatError);
    expect(() => new Publisher(Frame, { dir, create: true, force: true })).toThrow(FileFormatError);
  });

  test.each([
    [{ slots: 3 }, RangeError],
    [{ slots: 1 }, RangeError],
    [{ payloadBytes: 3 }, RangeError],
    [{ waitMs: -1 }, RangeError],
    [{ slot: 8 }, TypeError],
    [{ create: false, force: true }, TypeError],
  ])("a publisher with the options %o is refused", (options, error) => {
    expect(() => prices(options)).toThrow(error);
  });

  test("a channel of raw bytes needs payloadBytes", () => {
    expect(() => new Publisher(Uint8Array, { dir, create: true })).toThrow("payloadBytes");
  });

  test("a subscriber of a recreated channel receives what is left first, then the new channel's messages", () => {
    const first = prices({ slots: 4 });
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    first.send({ id: 1 });
    first.close();
    using second = prices({ slots: 8, force: true });
    second.send({ id: 2 });
    expect(subscriber.receive()?.data.id).toBe(1);
    expect(subscriber.receive()).toMatchObject({ index: 0, epoch: 1 });
    expect(subscriber.receive()).toBeUndefined();
  });

  test("a subscriber of a channel that is recreated with another layout is told of the difference by every way to receive", async () => {
    prices().close();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    const Other = structOf({ id: c_uint8 });
    using publisher = new Publisher(Other, { dir, create: true, force: true, className: "Price" });
    publisher.send({ id: 1 });
    for (const look of [
      () => subscriber.receive(),
      () => subscriber.receive({ timeoutMs: 60_000, spinMs: 60_000 }),
      () => subscriber.receive({ timeoutMs: 60_000 }),
      () => subscriber.latest(),
      () => subscriber.peek(() => {}),
    ])
      expect(look).toThrow(LayoutMismatchError);
    await expect(subscriber.receiveAsync()).rejects.toThrow(LayoutMismatchError);
    await expect(subscriber.messages().next()).rejects.toThrow(LayoutMismatchError);
  });

  test("after the file was deleted the publisher makes a new one within a second, and subscribers find it", async () => {
    using publisher = prices();
    publisher.send({ id: 1 });
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    rmSync(publisher.path);
    const end = Date.now() + 60_000;
    let got: number | undefined;
    const waiting = subscriber.receiveAsync({ timeoutMs: 60_000 }).then((message) => {
      got = message?.data.id;
    });
    while (got === undefined && Date.now() < end) {
      publisher.send({ id: 2 });
      await Bun.sleep(50);
    }
    await waiting;
    expect(got).toBe(2);
  });

  test("opening a truncated file is an error, and does not end the process", async () => {
    const publisher = prices();
    publisher.close();
    using subscriber = new Subscriber(Price, { dir, from: "next" });
    const copy = `${publisher.path}.copy`;
    renameSync(publisher.path, copy);
    truncateSync(copy, 64);
    renameSync(copy, publisher.path);
    expect(() => new Subscriber(Price, { dir })).toThrow(FileFormatError);
    subscriber.close();
  });
});

describe("backups", () => {
  test("a backup opens as a channel, without the original's lock, and takes no publisher", () => {
    using publisher = prices({ slots: 4 });
    for (let id = 0; id < 10; id++) publisher.send({ id });
    using subscriber = new Subscriber(Price, { dir });
    const path = join(dir, "Price_old.channel");
    expect(subscriber.backup(path)).toBe(10);
    publisher.send({ id: 10 });
    using backup = new Subscriber(Price, { dir, tag: "old", from: "oldest" });
    const ids = [1, 2, 3, 4, 5].map(() => backup.receive()?.data.id);
    expect(ids).toEqual([6, 7, 8, 9, undefined]);
    expect(() => new Publisher(Price, { dir, tag: "old" })).toThrow("backup");

    Publisher.restore(Price, path, { dir, tag: "new" });
    using restored = new Publisher(Price, { dir, tag: "new" });
    using reader = new Subscriber(Price, { dir, tag: "new", from: "oldest" });
    const restoredIds = [1, 2, 3, 4].map(() => reader.receive()?.data.id);
    expect(restoredIds).toEqual([6, 7, 8, 9]);
    restored.send({ id: 77 });
    expect(reader.receive()).toMatchObject({ index: 10, missed: 0 });
    expect(() => Publisher.restore(Price, path, { dir, waitMs: 0 })).toThrow(DeadlockError);
  });

  test("info tells who publishes; after remove() there is no channel", () => {
    const publisher = prices();
    using subscriber = new Subscriber(Price, { dir });
    publisher.send({ id: 1 });
    expect(subscriber.info()).toMatchObject({ kind: "channel", version: 1, deadWriter: false });
    expect(subscriber.info().lock?.holders.map(({ pid }) => pid)).toEqual([process.pid]);
    publisher.remove();
    expect(() => new Subscriber(Price, { dir })).toThrow(FileMissingError);
    // What was left there comes first.
    expect(subscriber.receive()?.data.id).toBe(1);
    expect(subscriber.receive()).toBeUndefined();
  });
});

describe("two processes", () => {
  test("10,000 messages to another process arrive or are counted as missed", async () => {
    using publisher = prices({ slots: 64 });
    const other = child("count", "10000");
    const lines = linesOf(other.stdout);
    expect((await lines.next()).value).toBe("ready");
    for (let id = 0; id < 10_000; id++) {
      publisher.send({ id, price: id / 2 });
      if (id % 50 === 0) await Bun.sleep(0);
    }
    const { got, missed, wrong } = JSON.parse((await lines.next()).value as string);
    expect([got + missed, wrong]).toEqual([10_000, 0]);
    expect(got).toBeGreaterThan(0);
  });

  test.skipIf(!hasTool("strace"))(
    "a message wakes one of four processes that sleep, which all receive it, and makes no call where none sleeps",
    async () => {
      prices().close();
      expect(wakesOfOneMessage()).toEqual([]);
      const sleepers = Array.from({ length: 4 }, () => child("sleep"));
      const outputs = sleepers.map(({ stdout }) => linesOf(stdout));
      for (const lines of outputs) expect((await lines.next()).value).toBe("ready");
      for (const { pid } of sleepers) await asleep(pid);
      // One watches: two sleep at least, and so have asked for a wake.
      const page = lockPagePath(join(dir, "Price_.channel.lock"));
      while (readFileSync(page).readInt32LE(4 * WATCHED) === 0) await Bun.sleep(1);
      const wakes = wakesOfOneMessage();
      // The second one when all but the watcher, or all, are awake just then for one of their looks.
      expect([1, 2]).toContain(wakes.length);
      for (const line of wakes) expect(line).toMatch(/FUTEX_WAKE(_BITSET)?, 1\b/);
      for (const lines of outputs) expect((await lines.next()).value).toBe("5");
    },
  );

  test("a message wakes a subscriber that sleeps in the kernel", async () => {
    using publisher = prices();
    const other = child("sleep");
    const lines = linesOf(other.stdout);
    expect((await lines.next()).value).toBe("ready");
    await Bun.sleep(100);
    publisher.send({ id: 5 });
    expect((await lines.next()).value).toBe("5");
  });
});
