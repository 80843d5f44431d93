/** Wide text, atomics of other types, Windows' types, the other byte order, bases as C++ has them, labels. */
import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import {
  type Atomic,
  type AtomicValue,
  array,
  asNumber,
  assign,
  atomic,
  bigEndian,
  bits,
  bytesOf,
  type CArray,
  c_bool,
  c_double,
  c_float,
  c_int16,
  c_int32,
  c_int64,
  c_uint8,
  c_uint32,
  c_uint64,
  c_void_p,
  chars,
  create,
  enumOf,
  equals,
  field,
  layoutOf,
  nested,
  Struct,
  type StructArray,
  sizeof,
  struct,
  structFromSchema,
  toObject,
  viewOf,
  wchars,
  windows,
} from "../../src/struct/index.ts";
import { refusal } from "../support/define.ts";

enum Mode {
  Idle,
  Run = 5,
}

describe("wchars", () => {
  class Linked extends Struct {
    @field(c_uint8) a!: number;
    @field(wchars(6)) name!: string;
  }

  test("wchars is wchar_t[n] as text", () => {
    const linked = create(Linked, { name: "Grüße😀" });
    expect([linked.name, sizeof(Linked), layoutOf(Linked).fields.name.offset]).toEqual(["Grüße😀", 28, 4]);
    linked.name = "a";
    expect([...bytesOf(linked)].slice(4, 12)).toEqual([97, 0, 0, 0, 0, 0, 0, 0]);
    expect(bytesOf(create(bigEndian(Linked), { name: "a" })).slice(4, 8)).toEqual(
      new Uint8Array([0, 0, 0, 97]),
    );
  });

  test("wchars refuses what does not fit, and reads what is no character as U+FFFD", () => {
    const linked = create(Linked);
    for (const [text, why] of [
      ["Grüße😀!", "text of at most 6 characters (this has 7)"],
      ["a\0b", "text without NUL"],
      ["\ud800", "well-formed text"],
    ] as const)
      expect(() => assign(linked, { name: text })).toThrow(`Linked.name: expected ${why}`);
    expect(() => assign(linked, { name: 5 as never })).toThrow("Linked.name: expected a string, got 5");
    bytesOf(linked).fill(0xff);
    expect(linked.name).toBe("\ufffd".repeat(6));
    expect(() => wchars(0)).toThrow(RangeError);
  });

  test("wchars holds text of any length, and comes back from a schema", () => {
    class Long extends Struct {
      @field(wchars(5000)) text!: string;
    }
    const text = "ö😀".repeat(2500);
    expect(create(Long, { text }).text).toBe(text);
    const Again = structFromSchema(JSON.parse(JSON.stringify(layoutOf(Linked))));
    expect(viewOf(Again, bytesOf(create(Linked, { name: "x" }))).name).toBe("x");
  });
});

describe("atomics of other types", () => {
  class Shared extends Struct {
    @field(atomic(c_bool)) ready!: AtomicValue<boolean>;
    @field(atomic(enumOf(c_int32, Mode))) mode!: AtomicValue<Mode>;
    @field(atomic(c_void_p)) address!: Atomic<bigint>;
    @field(atomic(asNumber(c_int64))) count!: Atomic<number>;
    @field(array(atomic(c_bool), 2)) flags!: CArray<AtomicValue<boolean>>;
  }

  test("atomics of c_bool, enums, pointers and asNumber load and store the values of their type", () => {
    const shared = create(Shared, {
      ready: true,
      mode: Mode.Run,
      address: 7n,
      count: -3,
      flags: [false, true],
    });
    expect(toObject(shared)).toEqual({ ready: true, mode: 5, address: 7n, count: -3, flags: [false, true] });
    expect(shared.ready.exchange(false)).toBe(true);
    expect(shared.mode.compareExchange(Mode.Run, Mode.Idle)).toBe(Mode.Run);
    expect([shared.mode.load(), shared.count.add(5), shared.count.load(), shared.address.add(1n)]).toEqual([
      Mode.Idle,
      -3,
      2,
      7n,
    ]);
    expect(shared.flags.at(1).store(false)).toBe(false);
    expect(JSON.stringify(shared)).toBe(
      '{"ready":false,"mode":0,"address":"8","count":2,"flags":[false,false]}',
    );
    expect(equals(shared, create(Shared, shared))).toBe(true);
  });

  test("atomics of c_bool and enums cannot add, and each atomic refuses what its type refuses", () => {
    const shared = create(Shared);
    expect("add" in shared.ready).toBe(false);
    // @ts-expect-error an enum does not count
    expect(() => shared.mode.add(1)).toThrow(TypeError);
    expect(() => shared.mode.store(3 as Mode)).toThrow(
      "Shared.mode.store: expected one of Idle (0), Run (5), got 3",
    );
    expect(() => shared.ready.store(1 as never)).toThrow("Shared.ready.store: expected a boolean, got 1");
    expect(() => assign(shared, { count: 2 ** 53 })).toThrow("Shared.count: expected a safe integer");
  });

  test("atomics of c_bool, enums, pointers and asNumber come back from a schema", () => {
    const Again = structFromSchema(JSON.parse(JSON.stringify(layoutOf(Shared))));
    expect(layoutOf(Again)).toEqual(layoutOf(Shared) as never);
    const bytes = bytesOf(create(Shared, { ready: true, mode: Mode.Run, count: 4 }));
    expect(toObject(viewOf(Again, bytes))).toEqual(toObject(viewOf(Shared, bytes)));
  });
});

test("windows has the sizes of Windows' C", () => {
  class Wheel extends Struct {
    @field(windows.c_long) id!: number;
    @field(windows.c_ulong) flags!: number;
    @field(windows.wchars(3)) name!: string;
    @field(windows.c_longdouble) precise!: number;
  }
  expect(Object.values(layoutOf(Wheel).fields).map(({ offset, size }) => [offset, size])).toEqual([
    [0, 4],
    [4, 4],
    [8, 6],
    [16, 8],
  ]);
  expect(create(Wheel, { id: -1, name: "öx" }).name).toBe("öx");
});

describe("bigEndian", () => {
  class Inner extends Struct {
    @field(c_int16) n!: number;
  }
  @struct({ name: "Head" })
  class Header extends Struct {
    @field(c_uint32) magic!: number;
    @nested(Inner) inner!: Inner;
    @field(chars(2)) text!: string;
    get twice(): number {
      return this.magic * 2;
    }
  }

  test("bigEndian gives the same struct in the other byte order, and the same class each time", () => {
    const header = viewOf(bigEndian(Header), Uint8Array.of(0, 0, 0, 5, 1, 0, 97, 0));
    expect([header.magic, header.inner.n, header.text, header.twice]).toEqual([5, 256, "a", 10]);
    expect(header).toBeInstanceOf(Header);
    expect(bigEndian(Header)).toBe(bigEndian(Header));
    const { size, align, endian, name } = layoutOf(bigEndian(Header));
    expect([size, align, endian, name]).toEqual([sizeof(Header), 4, "big", "Head"]);
    expect(toObject(create(bigEndian(Header), create(Header, toObject(header))))).toEqual(toObject(header));
  });

  test("bigEndian refuses what has no big-endian form", async () => {
    expect(() => bigEndian(Number as never)).toThrow("bigEndian: expected a class that extends Struct");
    const message = await refusal(
      "@s.struct({ endian: 'little' }) class L extends s.Struct { @s.field(s.c_int32) n!: number } s.sizeof(s.bigEndian(L))",
    );
    expect(message).toContain("which is little-endian");
  });
});

test("reuseTail puts members into the padding at the end of the base, as g++ does for bases that are no plain structs", () => {
  class Base extends Struct {
    @field(c_double) d!: number;
    @field(c_uint8) a!: number;
  }
  @struct({ reuseTail: true })
  class Derived extends Base {
    @field(c_uint8) b!: number;
    @field(c_int32) n!: number;
  }
  class Plain extends Base {
    @field(c_uint8) b!: number;
  }
  expect([layoutOf(Derived).fields.b.offset, layoutOf(Derived).fields.n.offset, sizeof(Derived)]).toEqual([
    9, 12, 16,
  ]);
  expect([layoutOf(Plain).fields.b.offset, sizeof(Plain)]).toEqual([16, 24]);
  const derived = create(Derived, { b: 7, n: 8 });
  assign(derived as Base, create(Base, { a: 1 }));
  expect(toObject(derived)).toEqual({ d: 0, a: 1, b: 7, n: 8 });
});

describe("names of enums", () => {
  class Robot extends Struct {
    @field(enumOf(c_uint8, Mode)) mode!: Mode;
    @bits(enumOf(c_uint32, Mode), 4) next!: Mode;
    @field(array(enumOf(c_uint8, Mode), 2)) past!: CArray<Mode>;
    @field(c_uint64) n!: bigint;
  }
  const robot = create(Robot, { mode: Mode.Run, past: [Mode.Idle, Mode.Run] });

  test("names of enums stand in toObject with labels: true", () => {
    expect(toObject(robot, { labels: true }) as unknown).toEqual({
      mode: "Run",
      next: "Idle",
      past: ["Idle", "Run"],
      n: 0n,
    });
    expect(toObject(robot)).toEqual({ mode: 5, next: 0, past: [0, 5], n: 0n });
    const unknown = viewOf(Robot, new Uint8Array(16).fill(3));
    expect(toObject(unknown, { labels: true }).mode as unknown).toBe(3);
  });

  test("names of enums are shown by inspection, also for a class from a schema", () => {
    const Again = structFromSchema(JSON.parse(JSON.stringify(layoutOf(Robot))));
    for (const shown of [robot, viewOf(Again, bytesOf(robot))])
      for (const text of [inspect(shown), Bun.inspect(shown)]) {
        expect(text).toContain("mode: Run (5)");
        expect(text).toContain("next: Idle (0)");
      }
  });
});

test("names of enums are shown in arrays, rows and atomics, and toObject of an array has them", () => {
  class Robot extends Struct {
    @field(array(enumOf(c_uint8, Mode), 2)) past!: CArray<Mode>;
    @field(array(array(enumOf(c_uint8, Mode), 1), 2)) rows!: CArray<CArray<Mode>>;
    @field(array(atomic(enumOf(c_int32, Mode)), 2)) next!: CArray<AtomicValue<Mode>>;
  }
  const robot = create(Robot, { past: [Mode.Idle, Mode.Run], rows: [[Mode.Run], [Mode.Idle]] });
  robot.next.at(1).store(Mode.Run);
  for (const text of [inspect(robot), Bun.inspect(robot)].map((shown) => shown.replace(/\s+/g, " "))) {
    expect(text).toContain("past: [ Idle (0), Run (5) ]");
    expect(text).toContain("[ Run (5) ]");
    expect(text).toContain("Atomic(Run (5))");
  }
  expect(toObject(robot.past, { labels: true }) as unknown).toEqual(["Idle", "Run"]);
  expect(toObject(robot.rows, { labels: true }) as unknown).toEqual([["Run"], ["Idle"]]);
  expect(toObject(robot.next, { labels: true }) as unknown).toEqual(["Idle", "Run"]);
  expect(toObject(robot.next)).toEqual([0, 5]);
});

test("an atomic that cannot be read is shown all the same", () => {
  class Counter extends Struct {
    @field(atomic(asNumber(c_uint64))) n!: Atomic<number>;
  }
  const counter = viewOf(Counter, new Uint8Array(8).fill(0xff));
  expect(inspect(counter)).toContain("Atomic([expected a safe integer");
});

test("toObject and JSON refuse an array of too many values, as they do a struct", () => {
  class Cell extends Struct {
    @field(c_uint8) kind!: number;
  }
  class Grid extends Struct {
    @nested(Cell, 2 ** 20) cells!: StructArray<Cell>;
  }
  const { cells } = create(Grid);
  expect(() => toObject(cells)).toThrow("an array of 1048576 Cell takes as much as");
  expect(() => JSON.stringify(cells)).toThrow("JSON.stringify(toObject(array, { maxValues:");
  expect(() => JSON.stringify({ cells })).toThrow(RangeError);
  class Small extends Struct {
    @nested(Cell, 2) cells!: StructArray<Cell>;
  }
  const small = create(Small).cells;
  expect(() => toObject(small, { maxValues: 13 })).toThrow(RangeError);
  expect(toObject(small, { maxValues: 14 })).toEqual([{ kind: 0 }, { kind: 0 }]);
});

test("toObject and JSON take 1024 rows of 1024 numbers", () => {
  class Image extends Struct {
    @field(array(c_float, 1024, 1024)) pixels!: CArray<Float32Array>;
  }
  const image = create(Image);
  image.pixels[1023]![1023] = 1.5;
  expect(toObject(image).pixels[1023]![1023]).toBe(1.5);
  expect(JSON.stringify(image)).toEndWith(",1.5]]}");
});

test("toObject takes arrays, as console.table wants them", () => {
  class Point extends Struct {
    @field(c_int32) x!: number;
  }
  class Path extends Struct {
    @nested(Point, 2) points!: StructArray<Point>;
    @field(array(c_int16, 2, 2)) grid!: CArray<Int16Array>;
    @field(array(atomic(c_int32), 2)) counters!: CArray<Atomic<number>>;
  }
  const path = create(Path, {
    points: [{ x: 1 }, { x: 2 }],
    grid: [
      [1, 2],
      [3, 4],
    ],
    counters: [5, 6],
  });
  expect(toObject(path.points)).toEqual([{ x: 1 }, { x: 2 }]);
  expect(toObject(path.grid)).toEqual([
    [1, 2],
    [3, 4],
  ]);
  expect(toObject(path.counters)).toEqual([5, 6]);
});
