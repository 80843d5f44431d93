import "../../src/sys/futex-backend.ts";
import { describe, expect, test } from "bun:test";
import { viewAt } from "../../src/struct/functions.ts";
import { type Atomic, create, viewOf } from "../../src/struct/index.ts";
import { FRESH, READ_ONLY, Region } from "../../src/struct/memory/memory.ts";
import { Shared } from "../process/struct-shared.ts";
import { Counters } from "../support/everything.ts";
import { SharedFile } from "../support/shared-file.ts";

const names = ["a8", "u8", "a16", "u16", "a32", "u32", "a64", "u64"] as const;
type Any = Atomic<number | bigint>;
const atomicOf = (view: Counters, name: (typeof names)[number]) => view[name] as unknown as Any;

describe("operations", () => {
  test.each(names)("operations of the atomic %s return and store what JavaScript's Atomics do", (name) => {
    const n = (value: number) => (name.endsWith("64") ? BigInt(value) : value);
    const counter = atomicOf(create(Counters), name);
    expect([
      counter.store(n(12)),
      counter.add(n(5)),
      counter.sub(n(2)),
      counter.and(n(13)),
      counter.or(n(2)),
      counter.xor(n(1)),
      counter.exchange(n(7)),
      counter.compareExchange(n(6), n(1)),
      counter.compareExchange(n(7), n(2)),
      counter.load(),
    ]).toEqual([12, 12, 17, 15, 13, 15, 14, 7, 7, 2].map(n));
  });

  test("an atomic's add wraps around as in C", () => {
    const view = create(Counters, { a8: 127, u8: 255, a32: 2 ** 31 - 1, u64: 2n ** 64n - 1n });
    view.a8.add(1);
    view.u8.add(1);
    view.a32.add(1);
    view.u64.add(1n);
    expect([view.a8.load(), view.u8.load(), view.a32.load(), view.u64.load()]).toEqual([
      -128,
      0,
      -(2 ** 31),
      0n,
    ] as never);
  });

  test.each<[string, () => unknown, typeof RangeError, string]>([
    [
      "a string",
      () => create(Counters).a32.add("1" as never),
      TypeError,
      'Counters.a32.add: expected an integer from -2147483648 to 2147483647, got "1"',
    ],
    [
      "too large",
      () => create(Counters).u8.store(256),
      RangeError,
      "Counters.u8.store: expected an integer from 0 to 255, got 256",
    ],
    [
      "a number for a bigint",
      () => create(Counters).a64.xor(1 as never),
      TypeError,
      "Counters.a64.xor: expected a bigint",
    ],
    [
      "in compareExchange",
      () => create(Counters).a32.compareExchange(0, 0.5),
      RangeError,
      "Counters.a32.compareExchange: expected an integer",
    ],
    ["assigned", () => create(Counters, { a32: 2 ** 40 }), RangeError, "Counters.a32: expected an integer"],
    [
      "an atomic of another width",
      () => create(Counters, { a8: create(Counters, { a32: 300 }).a32 as never }),
      RangeError,
      "Counters.a8: expected an integer from -128 to 127, got 300",
    ],
  ])("atomics refuse a wrong value: %s", (_, act, kind, message) => {
    expect(act).toThrow(kind);
    expect(act).toThrow(message);
  });

  test("an atomic is assigned from a value or another atomic, and shows as its value", () => {
    const view = create(Counters, { a32: 5, a64: 6n, two: [7, 8] });
    view.u32 = view.a32;
    expect([view.u32.load(), `${view.a32}`, JSON.stringify(view), Bun.inspect(view.a32)]).toEqual([
      5,
      "5",
      '{"a8":0,"u8":0,"a16":0,"u16":0,"a32":5,"u32":5,"a64":"6","u64":"0","two":[7,8]}',
      "Atomic(5)",
    ]);
    expect([view.two.at(1).add(1), view.two[1]?.load()]).toEqual([8, 9]);
    expect(() => view.two.at(1).add(0.5)).toThrow("Counters.two[1].add: expected an integer");
  });

  test("atomics compare and add up as numbers, not as text", () => {
    const { a32, u32, a64, u64 } = create(Counters, { a32: 9, u32: 10, a64: 9n, u64: 10n });
    expect([a32 < u32, u32 > a32, a64 < u64, +a32, Number(a64)]).toEqual([true, true, true, 9, 9]);
    expect([a32.valueOf() + 1, a64.valueOf() + 1n, `${a32}${a64}`] as unknown[]).toEqual([10, 10n, "99"]);
    expect([(a32 as never as number) + 1, (u64 as never as bigint) - 1n] as unknown[]).toEqual([10, 9n]);
  });

  test("an atomic in misaligned memory is refused, by an assignment before anything is stored", () => {
    const bytes = new Uint8Array(64);
    const view = viewOf(Counters, bytes, 1);
    expect(() => view.a32).toThrow(
      "an atomic must be aligned to its 4 bytes; this one is at 9 of its buffer",
    );
    expect(() => Object.assign(view, { a32: 1 })).toThrow(
      "Counters.a32: atomics must be aligned to their 4 bytes; this memory begins 1 bytes off",
    );
    expect(() => Object.assign(view, { a8: 1, a64: 1n })).toThrow(RangeError);
    expect(bytes.subarray(2).every((byte) => byte === 0)).toBe(true);
    expect(() => view.two.set([1], 1)).toThrow(RangeError);
    expect(() => view.two.fill(1)).toThrow(RangeError);
  });
});

describe("on read-only memory", () => {
  test("an atomic in read-only memory takes a million loads in compiled code, and throws TypeError for everything else", () => {
    using file = new SharedFile();
    const writer = viewOf(Counters, file.map("write").buffer);
    const { buffer } = file.map("read");
    const reader = viewAt(Counters, new Region(buffer, 0, buffer.byteLength, READ_ONLY | FRESH), 0);
    for (const name of names) {
      const counter = atomicOf(reader, name);
      let sum = 0;
      for (let i = 0; i < 1_000_000; i++) sum += Number(counter.load());
      expect(sum).toBe(0);
    }
    writer.a32.store(-5);
    writer.u64.store(7n);
    expect([reader.a32.load(), reader.u64.load()]).toEqual([-5, 7n] as never);
    const { a32 } = reader;
    const writes = ["store", "add", "sub", "and", "or", "xor", "exchange"] as const;
    for (const name of writes) {
      expect(() => a32[name](1)).toThrow(TypeError);
      expect(() => a32[name](1)).toThrow("Counters.a32 is read-only here");
    }
    expect(() => a32.compareExchange(0, 1)).toThrow(TypeError);
    expect(() => a32.notify()).toThrow(TypeError);
    expect(() => Object.assign(reader, { a32: 1 })).toThrow(TypeError);
    expect(a32.wait(-6)).toBe("not-equal");
    expect(a32.wait(-5, { timeoutMs: 1 })).toBe("timed-out");
  });
});

describe("between processes", () => {
  test("two processes that add 2 million times to one atomic lose nothing", async () => {
    using file = new SharedFile();
    const shared = viewOf(Shared, file.map("write").buffer);
    const times = "1000000";
    using first = file.run("struct-peer.ts", "add", times);
    using second = file.run("struct-peer.ts", "add", times);
    await Promise.all([first.end(), second.end()]);
    expect([shared.counter.load(), shared.wideCounter.load()]).toEqual([2_000_000, -200_000n] as never);
  }, 240_000);

  test("an atomic's notify wakes a waiter in another process", async () => {
    using file = new SharedFile();
    const shared = viewOf(Shared, file.map("write").buffer);
    using waiter = file.run("struct-peer.ts", "wait");
    while (shared.ready.load() === 0) await Bun.sleep(1);
    // Nobody can say when it has fallen asleep; a notify before that wakes nobody.
    await Bun.sleep(50);
    expect(shared.counter.notify()).toBeLessThanOrEqual(1);
    shared.counter.store(42);
    shared.counter.notify();
    await waiter.end();
    expect(shared.wideCounter.load()).toBe(42n as never);
  }, 240_000);

  test("an atomic's wait sleeps until another process notifies", async () => {
    using file = new SharedFile();
    const shared = viewOf(Shared, file.map("write").buffer);
    using notifier = file.run("struct-peer.ts", "notify");
    const results = new Set<string>();
    shared.ready.store(1);
    while (shared.counter.load() === 0) results.add(shared.counter.wait(0, { timeoutMs: 200_000 }));
    expect([...results].every((result) => result === "ok" || result === "not-equal")).toBe(true);
    await notifier.end();
  }, 240_000);
});

describe("wait", () => {
  const { a8, a32, u32, a64 } = create(Counters);

  test("an atomic's wait returns at once when the value is another one", () => {
    expect(a32.wait(1)).toBe("not-equal");
  });

  test("an atomic's wait returns after its timeout", () => {
    expect([a32.wait(0, { timeoutMs: 5 }), u32.wait(0, { timeoutMs: 0 })]).toEqual([
      "timed-out",
      "timed-out",
    ]);
  });

  test("an atomic's wait compares unsigned values as such", () => {
    u32.store(2 ** 32 - 1);
    expect(u32.wait(2 ** 32 - 1, { timeoutMs: 1 })).toBe("timed-out");
  });

  test("an atomic's wait and notify need 32 bits", () => {
    expect(() => a8.wait(0)).toThrow(
      new TypeError("Counters.a8.wait needs a 32-bit atomic (c_int32 or c_uint32), this is a c_int8"),
    );
    expect(() => a64.notify()).toThrow(
      new TypeError("Counters.a64.notify needs a 32-bit atomic (c_int32 or c_uint32), this is a c_int64"),
    );
  });

  test("an atomic's wait refuses a wrong timeout or value, and notify a wrong count", () => {
    expect(() => a32.wait(0, { timeoutMs: -1 })).toThrow(
      "Counters.a32.wait: expected a timeoutMs of 0 or more milliseconds, got -1",
    );
    expect(() => a32.wait(0, { timeoutMs: Number.NaN })).toThrow(RangeError);
    expect(() => a32.wait("0" as never)).toThrow(TypeError);
    expect(() => a32.notify(1.5)).toThrow("Counters.a32.notify: expected a whole number from 0 on, got 1.5");
    expect(a32.notify()).toBe(0);
  });

  test("an atomic's wait refuses a number in the place of its options, which would mean no timeout", () => {
    expect(() => a32.wait(0, 10 as never)).toThrow(
      "Counters.a32.wait: expected options such as { timeoutMs: … }, got 10",
    );
    expect(() => a32.wait(0, { timeout: 10 } as never)).toThrow('there is no option "timeout"');
    expect(() => a32.wait(0, { timeoutMs: "10" as never })).toThrow(TypeError);
  });

  test("an atomic's wait and notify throw TypeError once the memory is gone", () => {
    const buffer = new ArrayBuffer(64);
    const { a32: gone } = viewOf(Counters, buffer);
    buffer.transfer(0);
    expect(() => gone.wait(0)).toThrow(TypeError);
    expect(() => gone.notify()).toThrow(TypeError);
  });
});
