import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type Atomic,
  array,
  asNumber,
  assign,
  atomic,
  bytesOf,
  type CArray,
  c_int8,
  c_int16,
  c_int32,
  c_int64,
  c_uint8,
  create,
  enumOf,
  field,
  nested,
  type Struct,
  type StructArray,
  Struct as StructBase,
  sizeof,
  struct,
  toObject,
  viewOf,
} from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { resolvePath, setPath } from "../../src/struct/view/path.ts";
import { roundsOfStyle } from "../support/define.ts";
import { Counters, Everything, EverythingBig, everything, Point } from "../support/everything.ts";
import { seedOfRun } from "../support/random.ts";

describe("assignment", () => {
  test("assignment takes a value for every field, in either byte order, and gives them back", () => {
    const little = create(Everything, everything);
    const big = create(EverythingBig, { all: everything });
    const ofBig = toObject(big.all);
    // Of a union the other members show the stored bytes in the other order.
    expect({ ...ofBig, union: 0, half: 0, fifth: 0 }).toEqual({
      ...toObject(little),
      union: 0,
      half: 0,
      fifth: 0,
    } as never);
    expect(JSON.parse(JSON.stringify(little))).toMatchObject({
      i64: "-7",
      safe: 2 ** 40,
      grid: [
        [1, 2],
        [3, 4],
      ],
      last: 127,
    });
    const { union, ...plain } = everything;
    expect(toObject(little)).toMatchObject(plain as never);
    expect([little.union.point.y, little.rest.spare, union.point.y]).toEqual([8.5, 77, 8.5]);
  });

  test("assignment of a part leaves the other members as they are", () => {
    const all = create(Everything, everything);
    all.point = { x: 99 } as Point;
    expect([all.point.x, all.point.y]).toEqual([99, 11.5]);
    assign(all, { points: [{}, { x: 50 }, {}] });
    expect(all.points.at(1).x).toBe(50);
    expect(all.points.at(2).x).toBe(3);
  });

  test("assignment copies from another struct, also of the other byte order", () => {
    const from = create(EverythingBig, { all: everything });
    const to = create(Everything);
    to.point = from.all.point;
    to.points = from.all.points;
    to.ints = from.all.ints;
    to.bigs = from.all.bigs;
    assign(to, { grid: from.all.grid });
    expect(toObject(to).point).toEqual({ x: 10, y: 11.5 });
    expect([...to.points].map((p) => p.y)).toEqual([1.5, 2.5, 3.5]);
    expect([[...to.ints], [...to.bigs], [...to.grid].map((row) => [...row])]).toEqual([
      [-1, 0, 1],
      [1n, 2n ** 64n - 1n],
      [
        [1, 2],
        [3, 4],
      ],
    ]);
  });

  test("assignment copies typed arrays into either byte order", () => {
    const big = create(EverythingBig);
    big.all.ints = new Int32Array([1, 2, -3]);
    big.all.bigs = new BigUint64Array([4n, 5n]);
    big.all.raw = Buffer.from([1, 2, 3, 4, 5]);
    expect([[...big.all.ints], [...big.all.bigs], [...big.all.raw]]).toEqual([
      [1, 2, -3],
      [4n, 5n],
      [1, 2, 3, 4, 5],
    ]);
  });

  test("assignment of a struct to itself, and of a row to another, is a copy", () => {
    const all = create(Everything, everything);
    all.points.set([all.points.at(2)], 0);
    all.grid.set([all.grid.at(1)], 0);
    assign(all, all);
    expect([all.points.at(0).x, [...all.grid.at(0)]]).toEqual([3, [3, 4]]);
  });

  test("assignment from a base or derived class copies the members that they share", () => {
    class Point3D extends Point {
      @field(c_int32) z!: number;
    }
    expect(toObject(create(Point3D, create(Point, { x: 1, y: 2 }) as Point3D))).toEqual({ x: 1, y: 2, z: 0 });
    class Holder extends StructBase {
      @nested(Point) at!: Point;
      @nested(Point, 2) path!: StructArray<Point>;
      @field(c_int8) last!: number;
    }
    const holder = create(Holder, { last: 5 });
    const derived = create(Point3D, { x: 1, y: 2, z: -1 });
    holder.at = derived;
    holder.path[1] = derived;
    expect(toObject(holder)).toEqual({
      at: { x: 1, y: 2 },
      path: [
        { x: 0, y: 0 },
        { x: 1, y: 2 },
      ],
      last: 5,
    });
    expect(toObject(create(Point, derived))).toEqual({ x: 1, y: 2 });
    class Other extends StructBase {
      @field(c_int32) x!: number;
    }
    expect(() => create(Other, derived)).toThrow('Other: has no member "y"; it has x');
  });

  test("assignment from a derived class in the other byte order copies the base's members, too", () => {
    class Base extends StructBase {
      @field(c_int32) a!: number;
    }
    @struct({ endian: "big" })
    class Derived extends Base {
      @field(c_int32) b!: number;
    }
    expect(toObject(create(Base, create(Derived, { a: 5, b: 6 })))).toEqual({ a: 5 });
  });

  test("assignment of a struct of the same class copies its bytes, whatever is in it", () => {
    enum Gear {
      First = 1,
    }
    class Engine extends StructBase {
      @field(enumOf(c_int8, Gear)) gear!: Gear;
      @field(asNumber(c_int64)) big!: number;
      @field(atomic(c_int32)) hits!: Atomic<number>;
      @field(array(atomic(c_uint8), 3)) flags!: CArray<Atomic<number>>;
      @field(atomic(c_int64)) total!: Atomic<bigint>;
    }
    class Car extends StructBase {
      @nested(Engine) engine!: Engine;
      @nested(Engine, 2) spares!: StructArray<Engine>;
    }
    const bytes = Buffer.alloc(sizeof(Engine)).fill(0xfe);
    bytes[0] = 0; // no gear that there is
    const engine = viewOf(Engine, bytes);
    const car = create(Car);
    car.engine = engine;
    car.spares.set([engine], 1);
    const members = (view: Engine) => [
      view.gear,
      view.hits.load(),
      ...[...view.flags].map((flag) => flag.load()),
      view.total.load(),
    ];
    for (const copy of [car.engine, car.spares.at(1), create(Engine, engine)])
      expect(members(copy)).toEqual(members(engine));
    expect(members(car.spares.at(0))).toEqual([0, 0, 0, 0, 0, 0n]);
    assign(car, create(Car));
    expect(members(car.engine)).toEqual([0, 0, 0, 0, 0, 0n]);
  });

  test("assignment of a struct with a flexible array copies its bytes if the arrays are equally long", () => {
    enum Gear {
      First = 1,
    }
    class Flexible extends StructBase {
      @field(enumOf(c_int8, Gear)) gear!: Gear;
      @field(array(c_int16)) tail!: Int16Array;
    }
    const from = viewOf(Flexible, Buffer.from([0, 0, 1, 0, 2, 0]));
    const to = viewOf(Flexible, Buffer.from([1, 9, 0, 0, 0, 0]));
    assign(to, from);
    expect([to.gear, ...to.tail, bytesOf(to)[1]]).toEqual([0, 1, 2, 9]);
    expect(() => assign(viewOf(Flexible, Buffer.alloc(4)), from)).toThrow("Flexible.tail: expected");
  });

  test("assignment takes any iterable of the right length", () => {
    const all = create(Everything);
    const flags = function* () {
      yield* [true, true, false];
    };
    assign(all, { ints: new Set([1, 2, 3]), flags: flags() });
    expect([...all.ints]).toEqual([1, 2, 3]);
    expect([...all.flags]).toEqual([true, true, false]);
  });

  test("assignment stops an iterable that never ends", () => {
    const forever = (function* () {
      for (;;) yield 1;
    })();
    expect(() => assign(create(Everything), { ints: forever })).toThrow(
      "Everything.ints: expected an iterable of 3 c_int32, got more than 3",
    );
  });
});

describe("what is refused names struct, field and value, and changes nothing", () => {
  test.each<[unknown, typeof RangeError, string]>([
    [{ nothing: 1 }, TypeError, 'Everything: has no member "nothing"; it has flag, i8, u8'],
    [{ point: { z: 1 } }, TypeError, 'Everything.point: has no member "z"; it has x, y'],
    [
      { point: { x: "1" } },
      TypeError,
      'Everything.point.x: expected an integer from -32768 to 32767, got "1"',
    ],
    [{ point: 5 }, TypeError, "Everything.point: expected an object with members of Point, got 5"],
    [{ point: null }, TypeError, "Everything.point: expected an object with members of Point, got null"],
    [
      { point: [1, 2] },
      TypeError,
      "Everything.point: expected an object with members of Point, got an array of 2",
    ],
    [
      { point: new Map() },
      TypeError,
      "Everything.point: expected an object with members of Point, got a Map",
    ],
    [{ points: [{ x: 1 }] }, RangeError, "Everything.points: expected an iterable of 3 Point, got only 1"],
    [{ points: [{}, {}, { y: 1n }] }, TypeError, "Everything.points[2].y: expected a number, got 1n"],
    [{ points: 5 }, TypeError, "Everything.points: expected an iterable of 3 Point, got 5"],
    [{ ints: [1, 2] }, RangeError, "Everything.ints: expected an iterable of 3 c_int32, got only 2"],
    [
      { ints: new Int32Array(4) },
      RangeError,
      "Everything.ints: expected an iterable of 3 c_int32, got more than 3",
    ],
    [{ ints: new Float64Array([1, 2.5, 3]) }, RangeError, "Everything.ints[1]: expected an integer"],
    [
      { ints: "123" },
      TypeError,
      'Everything.ints[0]: expected an integer from -2147483648 to 2147483647, got "1"',
    ],
    [
      { grid: [[1, 2], [3]] },
      RangeError,
      "Everything.grid[1]: expected an iterable of 2 c_float, got only 1",
    ],
    [
      {
        grid: [
          [1, 2],
          [3, "4"],
        ],
      },
      TypeError,
      'Everything.grid[1][1]: expected a number, got "4"',
    ],
    [
      { raw: new Uint8Array(6) },
      RangeError,
      "Everything.raw: expected an iterable of 5 c_uint8, got more than 5",
    ],
    [
      { names: ["abcde", ""] },
      RangeError,
      "Everything.names[0]: expected text of at most 4 bytes (this takes 5)",
    ],
    [{ i8: 1, u8: -1 }, RangeError, "Everything.u8: expected an integer from 0 to 255, got -1"],
    [{ i8: 1, b5: 16 }, RangeError, "Everything.b5: expected an integer from -16 to 15, got 16"],
    [{ i8: 1, b40: 1n << 40n }, RangeError, "Everything.b40: expected a bigint from 0n to 1099511627775n"],
    [
      { i8: 1, union: { whole: 1, word: "12345" } },
      RangeError,
      "Everything.union.word: expected text of at most 4 bytes",
    ],
    [{ i8: 1, spare: 1.5 }, RangeError, "Everything.spare: expected an integer"],
    [JSON.parse('{"__proto__": 1}'), TypeError, 'Everything: has no member "__proto__"'],
  ])("assign refuses a wrong value, names its place and changes nothing (%#)", (init, kind, message) => {
    const all = create(Everything, everything);
    const before = bytesOf(all).slice();
    const act = () => assign(all, init as never);
    expect(act).toThrow(kind);
    expect(act).toThrow(message);
    expect(bytesOf(all)).toEqual(before);
  });

  test("an error that a getter or iterator of an assigned value throws comes out as a TypeError that keeps it", () => {
    const reason = new Error("from inside");
    const all = create(Everything, everything);
    const act = () =>
      assign(all, {
        i8: 5,
        get point(): never {
          throw reason;
        },
      });
    expect(act).toThrow(TypeError);
    expect(act).toThrow("Everything.point: Error: from inside");
    expect(all.i8).toBe(-1);
  });

  test("assign throws TypeError if the memory goes away while its new values are being made", () => {
    const buffer = new ArrayBuffer(24);
    const view = viewOf(Point, buffer);
    const act = () =>
      assign(view, {
        get x() {
          buffer.transfer(0);
          return 1;
        },
        y: 2,
      });
    expect(act).toThrow(TypeError);
  });
});

// ---- Every way to write, with everything that is wrong ----

/** Whether a field of a plain type takes a value, said another way than the library does. */
const takes: Record<string, (v: unknown) => boolean> = {
  flag: (v) => v === true || v === false,
  i8: (v) => new Int8Array([Number(typeof v === "number" ? v : 0)])[0] === v || v === 0,
  u8: (v) => new Uint8Array([Number(typeof v === "number" ? v : 0)])[0] === v || v === 0,
  i16: (v) => new Int16Array([Number(typeof v === "number" ? v : 0)])[0] === v || v === 0,
  u16: (v) => new Uint16Array([Number(typeof v === "number" ? v : 0)])[0] === v || v === 0,
  i32: (v) => new Int32Array([Number(typeof v === "number" ? v : 0)])[0] === v || v === 0,
  u32: (v) => new Uint32Array([Number(typeof v === "number" ? v : 0)])[0] === v || v === 0,
  i64: (v) => typeof v === "bigint" && BigInt.asIntN(64, v) === v,
  u64: (v) => typeof v === "bigint" && BigInt.asUintN(64, v) === v,
  pointer: (v) => typeof v === "bigint" && BigInt.asUintN(64, v) === v,
  f32: (v) => typeof v === "number" && (!Number.isFinite(v) || Number.isFinite(Math.fround(v))),
  f64: (v) => typeof v === "number",
  f80: (v) => typeof v === "number",
  letter: (v) => typeof v === "string" && v.length === 1 && v <= "\u00ff",
  wide: (v) => typeof v === "string" && [...v].length === 1 && v.isWellFormed(),
  text: (v) =>
    typeof v === "string" &&
    Buffer.from(Buffer.from(v)).length <= 8 &&
    Buffer.from(v).toString() === v &&
    !/\0/.test(v),
  safe: (v) => typeof v === "number" && Number.isSafeInteger(v),
  mode: (v) => v === 0 || v === 5,
  when: (v) => v instanceof Date && !Number.isNaN(v.getTime()),
  b5: (v) => typeof v === "number" && Number.isInteger(v) && v >= -16 && v < 16,
  b40: (v) => typeof v === "bigint" && BigInt.asUintN(40, v) === v,
  b1: (v) => typeof v === "boolean",
};

/** A proxy may throw when one looks what it is. */
function isTaken(name: string, value: unknown): boolean {
  try {
    return takes[name]?.(value) === true;
  } catch {
    return false;
  }
}

const thrower = () => {
  throw new Error("trap");
};
const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    Number.NaN,
    Infinity,
    -Infinity,
    -0,
    "",
    "\0",
    "\ud800",
    Symbol("s"),
    2 ** 31,
    2 ** 53,
  ),
  fc.integer(),
  fc.double(),
  fc.bigInt(),
  fc.boolean(),
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.date({ noInvalidDate: false }),
);
const odds: unknown[] = [
  () => 1,
  new Map([[1, 2]]),
  new Proxy({}, { ownKeys: thrower, getPrototypeOf: thrower, has: thrower, get: thrower }),
  {
    get x() {
      return thrower();
    },
  },
  { valueOf: () => 1, toString: () => "1" },
  { [Symbol.iterator]: thrower },
  { [Symbol.iterator]: () => ({ next: thrower }) },
  { [Symbol.iterator]: () => 5 },
  { length: 3, 0: 1, 1: 2, 2: 3 },
  new Int8Array(3),
  new Float32Array(2),
  new BigUint64Array(2),
  Buffer.from([1, 2, 3, 4, 5]),
  new DataView(new ArrayBuffer(8)),
  create(Point, { x: 1 }),
  create(Everything, everything),
  create(Counters),
  create(Counters).a32,
  Object.getPrototypeOf(create(Point)),
  Point,
  Object.create(null),
];
/** Stands for one of them until it is used: fast-check itself trips over things that throw when looked at. */
class Odd {
  constructor(readonly index: number) {}
}
const odd = fc.nat(odds.length - 1).map((index) => new Odd(index));

function real(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Odd) return odds[value.index];
  if (Array.isArray(value)) return value.map(real);
  if (value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, real(inner)]));
}
const wrong: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { weight: 6, arbitrary: scalar },
    { weight: 2, arbitrary: odd },
    { weight: 1, arbitrary: fc.array(tie("value"), { maxLength: 5 }) },
    {
      weight: 2,
      arbitrary: fc.dictionary(
        fc.constantFrom("x", "y", "whole", "point", "word", "spare", "fifth", "i8", "grid", "zzz"),
        tie("value"),
        { maxKeys: 3 },
      ),
    },
  ),
})).value;

const names = [...layoutOfClass(Everything).byName.keys()];
const paths = [
  ...names,
  "point.x",
  "points.1",
  "points.2.y",
  "ints.0",
  "bigs.1",
  "grid.1",
  "grid.0.1",
  "flags.2",
  "names.0",
  "dates.1",
  "union.point.y",
];
type Loose = Record<string, unknown>;
type LooseArray = { set(v: unknown, at?: unknown): void; fill(v: unknown): void; [i: number]: unknown };
const arrays = ["points", "grid", "flags", "names", "dates"];

/** Each way to write: what it is called, and how it goes. */
const ways: [string, (all: Everything, where: number, value: unknown) => void][] = [
  ["setter", (all, i, value) => void Reflect.set(all, names[i % names.length] as string, value)],
  [
    "assign",
    (all, i, value) => void assign(all, { i8: 99, [names[i % names.length] as string]: value } as never),
  ],
  ["assign whole", (all, _, value) => void assign(all, value as never)],
  [
    "path",
    (all, i, value) =>
      setPath(all, resolvePath(layoutOfClass(Everything), paths[i % paths.length] as string), value),
  ],
  ["array set", (all, i, value) => arrayOf(all, i).set(value, i % 3)],
  ["array set one", (all, i, value) => arrayOf(all, i).set([value], value)],
  ["array fill", (all, i, value) => void arrayOf(all, i).fill(value)],
  ["array index", (all, i, value) => void Reflect.set(arrayOf(all, i), i % 2, value)],
  [
    "array far index",
    (all, i, value) => void Reflect.set(arrayOf(all, i), [-1, 3, 1.5, 2 ** 40][i % 4] as number, value),
  ],
];
const arrayOf = (all: Everything, i: number): LooseArray =>
  (all as unknown as Loose)[arrays[i % arrays.length] as string] as LooseArray;

/** Does it, and says whether it was refused; refusing must be orderly. */
function attempt(view: Struct, act: () => void): "stored" | "refused" {
  const before = bytesOf(view).slice();
  try {
    act();
    return "stored";
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    if (!Buffer.from(before).equals(bytesOf(view))) throw new Error(`refused, but stored: ${error.message}`);
    return "refused";
  }
}

const seed = seedOfRun();
const runs = { seed, numRuns: Number(process.env.RUNS ?? roundsOfStyle(1500)) };

describe(`every way to write, SEED=${seed}`, () => {
  test.each(ways)("writing any value by %s stores it, or refuses it and changes nothing", (_, write) => {
    const make = [
      () => create(Everything, everything),
      () => create(EverythingBig, { all: everything }).all,
      () => viewOf(Everything, Buffer.alloc(2000).subarray(3)),
    ];
    const property = fc.property(fc.nat(1000), fc.nat(2), wrong, (where, which, value) => {
      const all = (make[which] as () => Everything)();
      attempt(all, () => write(all, where, real(value)));
    });
    fc.assert(property, runs);
  });

  test("a plain field takes exactly the values of its type", () => {
    const property = fc.property(
      fc.constantFrom(...Object.keys(takes)),
      fc.oneof(scalar, odd),
      (name, drawn) => {
        const value = real(drawn);
        const all = create(Everything, everything);
        const result = attempt(all, () => Object.assign(all, { [name]: value }));
        expect(result).toBe(isTaken(name, value) ? "stored" : "refused");
        // What was taken comes back as it was, but for the rounding of floats.
        if (result === "refused" || name === "f32") return;
        const back = (all as unknown as Loose)[name];
        if (value instanceof Date) expect((back as Date).getTime()).toBe(value.getTime());
        else if (value !== 0) expect(back).toBe(value);
      },
    );
    fc.assert(property, { seed, numRuns: roundsOfStyle(5000) });
  });

  test("an operation of an atomic with any value stores it, or refuses it and changes nothing", () => {
    const operations = ["store", "add", "sub", "and", "or", "xor", "exchange", "compareExchange"] as const;
    const counters = [...layoutOfClass(Counters).byName.keys()].filter((name) => name !== "two");
    const property = fc.property(
      fc.constantFrom(...counters),
      fc.constantFrom(...operations),
      wrong,
      (name, operation, drawn) => {
        const value = real(drawn);
        const view = create(Counters);
        const counter = (view as unknown as Loose)[name] as Record<string, (...v: unknown[]) => unknown>;
        attempt(view, () => void counter[operation]?.(value, value));
        attempt(view, () => void Reflect.set(view, name, value));
        attempt(view, () => assign(view, { a8: 1, two: [1, value] } as never));
      },
    );
    fc.assert(property, runs);
  });

  test("a random right value changes its own field and no other", () => {
    class Row extends StructBase {
      @field(c_int8) before!: number;
      @nested(Everything) all!: Everything;
      @field(c_int8) after!: number;
    }
    const property = fc.property(fc.constantFrom(...Object.keys(takes)), scalar, (name, value) => {
      if (!takes[name]?.(value)) return;
      const row = create(Row, { before: 1, all: everything, after: 2 });
      const expected = {
        ...toObject(row.all),
        [name]: name === "f32" ? Math.fround(value as number) : value,
      };
      Object.assign(row.all, { [name]: value });
      // An integer field has no -0.
      const stored = { ...expected, ...(Object.is(value, -0) && !name.startsWith("f") ? { [name]: 0 } : {}) };
      expect(toObject(row.all) as unknown).toEqual(stored);
      expect([row.before, row.after]).toEqual([1, 2]);
    });
    fc.assert(property, { seed, numRuns: roundsOfStyle(1000) });
  });
});
