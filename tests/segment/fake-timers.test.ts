/** Time limits while a test runner's fake timers stand still: of what waits without a lock. */
import { afterAll, expect, jest, setDefaultTimeout, test } from "bun:test";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import { type Atomic, atomic, c_int32, field, Manager, MmapStructure, Reader } from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";

setDefaultTimeout(120_000);

class Bell extends MmapStructure {
  @field(atomic(c_int32)) count!: Atomic<number>;
}

const temporary = temporaryDirectory();
afterAll(() => temporary[Symbol.dispose]());
const dir = temporary.path;
const options = { dir, tag: "none", waitMs: 30 };

/** What a promise comes to while the timers stand still. */
async function outcome(wait: () => Promise<unknown>): Promise<unknown> {
  jest.useFakeTimers();
  const now = Date.now();
  try {
    const value = await wait().catch((error: Error) => error.name);
    expect(Date.now()).toBe(now);
    return value;
  } finally {
    jest.useRealTimers();
  }
}

const WAITS: Readonly<Record<string, () => Promise<unknown>>> = {
  "Reader.open": () => Reader.open(Bell, options),
  "Subscriber.open": () => Subscriber.open(Bell, options),
  "Queue.open": () => Queue.open(Bell, options),
  waitForFirst: () => new JsonMap({ dir, file: "none", role: "follower" }).waitForFirst({ timeoutMs: 30 }),
};

test.each(Object.keys(WAITS))("%s ends by its time limit under fake timers", async (name) => {
  expect(await outcome(WAITS[name] as () => Promise<unknown>)).toBe("WaitTimeoutError");
});

test("a wait for an atomic of live memory ends by its time limit under fake timers", async () => {
  using manager = new Manager(Bell, { dir, create: true });
  const wait = async (): Promise<string> => manager.live.count.wait(0, { timeoutMs: 150 });
  expect(await outcome(wait)).toBe("timed-out");
});

test("a file that comes under fake timers is opened, and a channel's too", async () => {
  const where = { dir, tag: "later", waitMs: 60_000 };
  const both = async (): Promise<string> => {
    const readers = [Reader.open(Bell, where), Subscriber.open(Bell, where)] as const;
    using _manager = new Manager(Bell, { dir, tag: "later", create: true });
    using _publisher = new Publisher(Bell, { dir, tag: "later", create: true });
    for (const reader of await Promise.all(readers)) reader.close();
    return "open";
  };
  expect(await outcome(both)).toBe("open");
});
