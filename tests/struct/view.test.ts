import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import { viewAt } from "../../src/struct/functions.ts";
import {
  array,
  asNumber,
  assign,
  type CArray,
  type CType,
  c_double,
  c_int32,
  c_int64,
  c_uint8,
  c_uint64,
  chars,
  convert,
  create,
  field,
  nested,
  offsetof,
  Struct,
  type StructArray,
  sizeof,
  struct,
  toObject,
  viewOf,
} from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { FRESH, READ_ONLY, Region } from "../../src/struct/memory/memory.ts";
import { getPath, plainPath, resolvePath, setPath } from "../../src/struct/view/path.ts";
import { refusal } from "../support/define.ts";
import { Counters, Everything, everything, Point } from "../support/everything.ts";
import { isEmulated } from "../support/platform.ts";

class Robot extends Struct {
  @field(c_double) speed!: number;
  @field(chars(8)) name!: string;
  @nested(Point) at!: Point;
  @nested(Point, 2) path!: StructArray<Point>;
  @field(array(c_int32, 3)) joints!: Int32Array;
  @field(c_int64) ticks!: bigint;
  get fast() {
    return this.speed > 10;
  }
  set kilometresPerHour(value: number) {
    this.speed = value / 3.6;
  }
  stop() {
    this.speed = 0;
    return this;
  }
}

describe("views", () => {
  test("views go straight to the bytes, both ways", () => {
    const bytes = new Uint8Array(sizeof(Robot));
    const robot = viewOf(Robot, bytes);
    robot.speed = 1.5;
    expect(new DataView(bytes.buffer).getFloat64(0, true)).toBe(1.5);
    bytes[8] = 0x41;
    expect(robot.name).toBe("A");
  });

  test("views have the methods, getters and setters of their class, and are instances of it", () => {
    const robot = create(Robot, { speed: 20 });
    expect([robot.fast, robot.stop().fast, robot instanceof Robot, robot instanceof Struct]).toEqual([
      true,
      false,
      true,
      true,
    ]);
    robot.kilometresPerHour = 36;
    expect(robot.speed).toBe(10);
  });

  test("views refuse to store where no field is: it would not reach the memory", () => {
    class Careless extends Struct {
      @field(c_int32) lives!: number;
      @nested(Point) at!: Point;
      declare forgotten: number;
      set double(value: number) {
        this.lives = value * 2;
      }
    }
    class Better extends Careless {}
    for (const Class of [Careless, Better]) {
      const view = create(Class);
      view.double = 2;
      const loose = view as unknown as Record<PropertyKey, unknown>;
      const at = view.at as unknown as Record<string, unknown>;
      expect(() => (loose.livess = 5)).toThrow(
        `${Class.name} has no field "livess", so a value stored there would not reach the memory; it has lives, at`,
      );
      expect(() => (view.forgotten = 1)).toThrow(TypeError);
      expect(() => (at.xx = 1)).toThrow('Point has no field "xx"');
      for (const key of [Symbol("mark"), "toString", "constructor", "__proto__", "0", "hasOwnProperty"])
        expect(() => (loose[key] = {})).toThrow(TypeError);
      expect([view.lives, Reflect.ownKeys(view), loose.livess, "livess" in view]).toEqual([
        4,
        [],
        undefined,
        false,
      ]);
      expect([Object.hasOwn(view, "lives"), `${view}`, view instanceof Object]).toEqual([
        false,
        "[object Object]",
        true,
      ]);
    }
    // What is no view stays open: methods can be added to a class.
    Object.assign(Careless.prototype, { reset: () => "reset" });
    (Careless.prototype as { more?: number }).more = 1;
    expect((create(Better) as unknown as { more: number }).more).toBe(1);
  });

  test("views never run the constructor or field initialisers of their class", () => {
    class Counting extends Struct {
      static made = 0;
      @field(c_int32) x!: number;
      constructor() {
        super();
        Counting.made++;
      }
    }
    expect([create(Counting, { x: 1 }).x, Counting.made]).toEqual([1, 0]);
  });

  test("views name the member whose value cannot be read", () => {
    class Clock extends Struct {
      @field(asNumber(c_int64)) now!: number;
      @field(array(asNumber(c_int64), 2)) times!: CArray<number>;
    }
    const clock = viewOf(Clock, new BigInt64Array(3).fill(2n ** 60n));
    expect(() => clock.now).toThrow(/^Clock\.now: expected a safe integer .*, got 1152921504606846976n$/);
    expect(() => clock.now).toThrow(RangeError);
    expect(() => clock.times.at(1)).toThrow(/^Clock\.times\[1\]: expected a safe integer/);
  });

  describe("of a type of one's own that throws on reading", () => {
    const reason = new SyntaxError("odd");
    const moody = convert(c_uint8, {
      name: "moody",
      decode: (stored) => {
        if (stored === 1) throw reason;
        return stored;
      },
      encode: Number,
    });
    const picky: CType<number> = {
      ...moody,
      name: "picky",
      read: ({ view }, byteOffset) => {
        const stored = view.getUint8(byteOffset);
        if (stored === 1) throw new RangeError("expected no 1");
        return stored;
      },
    };
    class Inner extends Struct {
      @field(moody) x!: number;
      @field(array(picky, 2)) y!: CArray<number>;
    }
    class Outer extends Struct {
      @field(moody) one!: number;
      @field(array(picky, 2)) many!: CArray<number>;
      @field(array(moody, 1, 2)) rows!: CArray<CArray<number>>;
      @nested(Inner) inner!: Inner;
      @nested(Inner, 2) path!: StructArray<Inner>;
    }
    const outer = (...set: string[]) => {
      const bytes = new Uint8Array(sizeof(Outer));
      for (const path of set) bytes[offsetof(Outer, path as "one")] = 1;
      return viewAt(Outer, new Region(bytes.buffer, 0, bytes.length, READ_ONLY | FRESH), 0);
    };
    const resolve = (path: string) => resolvePath(layoutOfClass(Outer), path);

    test.each<[string, (view: Outer) => unknown, string]>([
      ["one", (view) => view.one, "Outer.one: SyntaxError: odd"],
      ["many.1", (view) => view.many.at(1), "Outer.many[1]: expected no 1"],
      ["many.1", (view) => view.many[1], "Outer.many[1]: expected no 1"],
      ["many.1", (view) => [...view.many], "Outer.many[1]: expected no 1"],
      ["rows.0.1", (view) => view.rows.at(0).at(1), "Outer.rows[0][1]: SyntaxError: odd"],
      ["rows.0.1", (view) => JSON.stringify(view), "Outer.rows[0][1]: SyntaxError: odd"],
      ["inner.x", (view) => view.inner.x, "Inner.x: SyntaxError: odd"],
    ])("the member %s of a type of one's own that throws on reading is named (%#)", (path, read, message) => {
      expect(() => read(outer(path))).toThrow(message);
    });

    test.each<[string, string]>([
      ["one", "Outer.one: SyntaxError: odd"],
      ["many.1", "Outer.many[1]: expected no 1"],
      ["rows.0.1", "Outer.rows[0][1]: SyntaxError: odd"],
      ["inner.x", "Outer.inner.x: SyntaxError: odd"],
      ["inner.y.1", "Outer.inner.y[1]: expected no 1"],
      ["path.1.x", "Outer.path[1].x: SyntaxError: odd"],
      ["path.1.y.0", "Outer.path[1].y[0]: expected no 1"],
    ])(
      "toObject and a path name the member %s from the root when its type throws on reading",
      (path, message) => {
        const view = outer(path);
        expect(() => toObject(view)).toThrow(message);
        expect(() => getPath(view, resolve(path))).toThrow(message);
        const steps = path.split(".");
        for (let length = 1; length <= steps.length; length++)
          expect(() => plainPath(view, resolve(steps.slice(0, length).join(".")))).toThrow(message);
        expect(Bun.inspect(view)).toContain(message.replace(/^Outer\.(?:inner|path\[1\])\./, "Inner."));
      },
    );

    test("an error of a type of one's own on reading is the cause of a TypeError; a RangeError keeps its kind", () => {
      try {
        toObject(outer("path.0.x"));
      } catch (error) {
        expect([error instanceof TypeError, (error as Error).cause]).toEqual([true, reason]);
      }
      expect(() => outer("many.0").many.at(0)).toThrow(RangeError);
    });
  });

  test("a nested struct and an array are views on the same memory", () => {
    const robot = create(Robot);
    const at = robot.at;
    const joints = robot.joints;
    robot.at.x = 5;
    robot.joints[1] = 6;
    expect([at.x, joints[1], joints instanceof Int32Array]).toEqual([5, 6, true]);
    robot.at = { x: 7, y: 8 };
    expect([at.x, at.y]).toEqual([7, 8]);
  });

  test("a struct with more members than a view keeps wrappers for works just the same", () => {
    const all = create(Everything, everything);
    expect([...all.points].map(({ x }) => x)).toEqual([1, 2, 3]);
    expect(all.dates.at(1).getTime()).toBe(2);
  });

  test("members named like JavaScript's own things are just members", async () => {
    const names = [
      "length",
      "toString",
      "toJSON",
      "then",
      "name",
      "class",
      "get",
      "valueOf",
      "hasOwnProperty",
      "set",
      "#",
      "at",
    ];
    const message = await refusal(`
      const names = ${JSON.stringify(names.filter((name) => name !== "#"))};
      class Odd extends s.Struct { @s.field(s.c_int8) length!: number; @s.field(s.c_int8) toString!: any;
        @s.field(s.c_int8) toJSON!: any; @s.field(s.c_int8) then!: any; @s.field(s.c_int8) name!: any;
        @s.field(s.c_int8) class!: any; @s.field(s.c_int8) get!: any; @s.field(s.c_int8) valueOf!: any;
        @s.field(s.c_int8) hasOwnProperty!: any; @s.field(s.c_int8) set!: any; @s.field(s.c_int8) at!: any }
      const odd = s.create(Odd) as any;
      for (const [i, name] of names.entries()) odd[name] = i + 1;
      for (const [i, name] of names.entries()) if (odd[name] !== i + 1) throw new Error(name);
      s.assign(odd, Object.fromEntries(names.map((name) => [name, 9])));
      if (s.toObject(odd).valueOf !== 9) throw new Error("toObject");`);
    expect(message).toBe("nothing was refused");
  });

  test("views lie at any alignment of any memory", () => {
    for (const memory of [
      new ArrayBuffer(200),
      new SharedArrayBuffer(200),
      Buffer.alloc(200),
      new Float64Array(25),
    ]) {
      const robot = viewOf(Robot, memory, 3);
      assign(robot, {
        speed: 2.5,
        name: "h\u00e4",
        at: { x: -1 },
        path: [{ x: 1 }, { y: 2 }],
        joints: [1, -2, 3],
        ticks: -4n,
      });
      expect([
        robot.speed,
        robot.name,
        robot.at.x,
        robot.path.at(1).y,
        [...robot.joints],
        robot.ticks,
      ]).toEqual([2.5, "h\u00e4", -1, 2, [1, -2, 3], -4n]);
    }
  });
});

describe("showing a struct", () => {
  const robot = create(Robot, { speed: 1, name: "Rob", at: { x: 2 }, ticks: 3n });

  test("console.log shows a struct's class and its fields", () => {
    expect(Bun.inspect(robot)).toBe(
      `Robot {
  speed: 1,
  name: "Rob",
  at: Point {
    x: 2,
    y: 0,
  },
  path: [
    Point {
      x: 0,
      y: 0,
    }, Point {
      x: 0,
      y: 0,
    }
  ],
  joints: Int32Array(3) [ 0, 0, 0 ],
  ticks: 3n,
}`,
    );
    expect(inspect(robot.at)).toBe("Point { x: 2, y: 0 }");
  });

  test("JSON of a struct has the fields, 64-bit integers as strings", () => {
    expect(JSON.stringify(robot)).toBe(
      '{"speed":1,"name":"Rob","at":{"x":2,"y":0},"path":[{"x":0,"y":0},{"x":0,"y":0}],"joints":[0,0,0],"ticks":"3"}',
    );
  });

  test("arrays that are no typed arrays have JSON as well", () => {
    class Wide extends Struct {
      @field(array(c_uint64, 2, 2)) rows!: CArray<BigUint64Array>;
      @field(c_uint8) odd!: number;
      @field(array(c_int64, 2)) big!: BigInt64Array;
    }
    const misaligned = viewOf(Wide, new Uint8Array(80), 1);
    expect(JSON.stringify(misaligned.big)).toBe('["0","0"]');
    expect(JSON.stringify(misaligned)).toBe('{"rows":[["0","0"],["0","0"]],"odd":0,"big":["0","0"]}');
  });

  test("JSON of a view is what its class says, also as a member or element", () => {
    class Angle extends Struct {
      @field(c_double) radians!: number;
      toJSON() {
        return `${(this.radians * 180) / Math.PI} deg`;
      }
    }
    class Arm extends Struct {
      @nested(Angle) shoulder!: Angle;
      @nested(Angle, 1) fingers!: StructArray<Angle>;
    }
    const arm = create(Arm, { shoulder: { radians: Math.PI } });
    expect(JSON.stringify(arm)).toBe('{"shoulder":"180 deg","fingers":["0 deg"]}');
  });

  test("rows of numbers are arrays in JSON, of a struct as of an array", () => {
    const pair: CType<Uint8Array> = {
      name: "pair",
      size: 2,
      align: 1,
      read: ({ bytes }, byteOffset) => Uint8Array.from(bytes.subarray(byteOffset, byteOffset + 2)),
      write: ({ bytes }, byteOffset, value) => bytes.set(value, byteOffset),
      check: (value) => value as Uint8Array,
    };
    class Grid extends Struct {
      @field(array(c_int32, 2, 2)) m!: CArray<Int32Array>;
      @field(array(c_int64, 1, 2)) big!: CArray<BigInt64Array>;
      @field(pair) pair!: Uint8Array;
      @field(array(pair, 1)) pairs!: CArray<Uint8Array>;
    }
    const grid = create(Grid, { pair: Uint8Array.of(5, 6) });
    assign(grid, { m: [Int32Array.of(1, 2), Int32Array.of(3, 4)], big: [BigInt64Array.of(-1n, 2n)] });
    const [m, big] = ["[[1,2],[3,4]]", '[["-1","2"]]'];
    expect([JSON.stringify(grid.m), JSON.stringify(grid.big), JSON.stringify(grid.pairs)]).toEqual([
      m,
      big,
      "[[0,0]]",
    ]);
    expect(JSON.stringify(grid)).toBe(`{"m":${m},"big":${big},"pair":[5,6],"pairs":[[0,0]]}`);
  });

  test("showing a struct never throws, even for a value that cannot be read", () => {
    class Unsafe extends Struct {
      @field(asNumber(c_int64)) big!: number;
      @field(array(asNumber(c_uint64), 2)) more!: CArray<number>;
    }
    const unsafe = viewOf(Unsafe, new Uint8Array(24).fill(0x7f));
    const text = Bun.inspect(unsafe);
    expect(text).toContain('big: "[Unsafe.big: expected a safe integer (within ±(2^53 - 1))');
    expect(text).toContain("more: [");
    expect(() => JSON.stringify(unsafe)).toThrow(RangeError);
  });

  test("showing a struct never throws, even for a prototype or for memory that is gone", () => {
    const buffer = new ArrayBuffer(200);
    const gone = viewOf(Robot, buffer);
    const { path } = gone;
    buffer.transfer(0);
    expect(Bun.inspect(gone)).toBe("Robot (its memory was unmapped: the role or map was closed)");
    expect(Bun.inspect(path)).toBe("Robot.path (its memory was unmapped: the role or map was closed)");
    expect(Bun.inspect(Robot.prototype)).toBeString();
    expect(Bun.inspect(Object.getPrototypeOf(robot))).toBeString();
    expect(Bun.inspect(Robot)).toBeString();
  });
});

describe("read-only memory", () => {
  const buffer = new ArrayBuffer(sizeof(Everything));
  assign(viewOf(Everything, buffer), everything);
  const readOnly = (cls: typeof Everything) =>
    viewAt(cls, new Region(buffer, 0, buffer.byteLength, READ_ONLY), 0);

  test("read-only memory reads as any other", () => {
    const { union, ...plain } = everything;
    expect(JSON.parse(JSON.stringify(readOnly(Everything)))).toMatchObject(
      JSON.parse(JSON.stringify(plain, (_, v) => (typeof v === "bigint" ? `${v}` : v))),
    );
    expect(union.point.x).toBe(7);
  });

  test("read-only memory hands out no typed array, through which a stray store would kill the process", () => {
    const view = readOnly(Everything);
    for (const part of [view.raw, view.ints, view.bigs, view.grid, view.grid.at(0)])
      expect(ArrayBuffer.isView(part)).toBe(false);
  });

  test("read-only memory refuses every write with TypeError, and nothing changes", () => {
    const before = Buffer.from(buffer.slice());
    const view = readOnly(Everything);
    for (const name of layoutOfClass(Everything).byName.keys()) {
      expect(() => Reflect.set(view, name, everything[name as "i8"])).toThrow(TypeError);
      expect(() =>
        setPath(view, resolvePath(layoutOfClass(Everything), name), everything[name as "i8"]),
      ).toThrow(TypeError);
    }
    expect(() => assign(view, { i8: 1 })).toThrow(
      "Everything is read-only here: this memory is open, or locked, for reading only; write in a writer's session, or to a map that is opened for writing",
    );
    expect(() => assign(view.point, { x: 1 })).toThrow(TypeError);
    expect(() => Object.assign(view.points.at(1), { x: 1 })).toThrow("Point.x is read-only here");
    const { ints, points, grid, names } = view as unknown as Record<string, CArray<unknown>>;
    for (const array of [ints, points, grid, names, grid?.at(0) as CArray<unknown>]) {
      expect(() => array?.set([], 0)).toThrow(TypeError);
      expect(() => array?.fill(0)).toThrow(TypeError);
      expect(() => Reflect.set(array as object, 0, 0)).toThrow(TypeError);
    }
    expect(Buffer.from(buffer).equals(before)).toBe(true);
  });
});

describe("memory that is gone", () => {
  /** Everything that was handed out before. */
  function handedOut(mode: number) {
    const buffer = new ArrayBuffer(sizeof(Everything) + 8);
    const counters = new ArrayBuffer(sizeof(Counters));
    const view = viewAt(Everything, new Region(buffer, 0, buffer.byteLength, mode), 0);
    const atomics = viewAt(Counters, new Region(counters, 0, counters.byteLength, mode), 0);
    const { points, grid, flags, names, dates, point, union } = view;
    const kept = {
      view,
      atomics,
      points,
      grid,
      flags,
      names,
      dates,
      point,
      union,
      one: points.at(1),
      a32: atomics.a32,
      two: atomics.two,
    };
    for (const name of layoutOfClass(Everything).byName.keys()) void Reflect.get(view, name);
    buffer.transfer(0);
    counters.transfer(0);
    return kept;
  }

  test.each([
    ["plain", 0],
    ["fresh", FRESH],
    ["read-only", READ_ONLY],
    ["fresh and read-only", FRESH | READ_ONLY],
  ])("every read of a %s view throws TypeError once its memory is gone", (_, mode) => {
    const { view, atomics, points, grid, flags, names, dates, point, union, one, a32, two } = handedOut(mode);
    for (const [name, { type }] of layoutOfClass(Everything).byName) {
      // A nested struct is only a place; reading from it throws.
      if ("cls" in type) continue;
      expect(() => Reflect.get(view, name)).toThrow(TypeError);
    }
    expect(() => point.x).toThrow(TypeError);
    expect(() => view.point.y).toThrow(TypeError);
    expect(() => union.word).toThrow(TypeError);
    expect(() => one.x).toThrow(TypeError);
    expect(() => points.at(0).x).toThrow(TypeError);
    for (const array of [flags, names, dates]) expect(() => array.at(0)).toThrow(TypeError);
    expect(() => [...flags]).toThrow(TypeError);
    expect(() => grid.at(0).at(0)).toThrow(TypeError);
    expect(() => grid[0]?.[0] ?? grid.at(0).at(0)).toThrow(TypeError);
    expect(() => a32.load()).toThrow(TypeError);
    expect(() => two.at(0).load()).toThrow(TypeError);
    expect(() => atomics.a64.load()).toThrow(TypeError);
    expect(() => JSON.stringify(view)).toThrow(TypeError);
  });

  test.each([
    ["plain", 0],
    ["read-only", READ_ONLY],
  ])("every write to a %s view throws TypeError once its memory is gone", (_, mode) => {
    const { view, points, flags, a32, two } = handedOut(mode);
    for (const name of layoutOfClass(Everything).byName.keys())
      expect(() => Reflect.set(view, name, (everything as Record<string, unknown>)[name] ?? 1)).toThrow(
        TypeError,
      );
    expect(() => assign(view, { i8: 1 })).toThrow(TypeError);
    expect(() => points.set([{ x: 1 }], 0)).toThrow(TypeError);
    expect(() => points.fill({ x: 1 })).toThrow(TypeError);
    expect(() => flags.fill(true)).toThrow(TypeError);
    expect(() => a32.add(1)).toThrow(TypeError);
    expect(() => two.fill(1)).toThrow(TypeError);
  });

  test("a typed array that was kept reads as empty once its memory is gone, as always in JavaScript", () => {
    const buffer = new ArrayBuffer(sizeof(Robot));
    const { joints } = viewOf(Robot, buffer);
    buffer.transfer(0);
    expect([joints.length, joints[0]]).toEqual([0, undefined as never]);
  });

  test.skipIf(isEmulated)(
    "a view throws TypeError once its resizable buffer shrank below it (not under emulation)",
    () => {
      const buffer = new ArrayBuffer(sizeof(Robot), { maxByteLength: 1000 });
      const robot = viewOf(Robot, buffer);
      buffer.resize(8);
      expect(() => robot.speed).toThrow(TypeError);
      expect(() => robot.name).toThrow(TypeError);
      expect(() => {
        robot.name = "x";
      }).toThrow(TypeError);
    },
  );
});

describe("byte order", () => {
  @struct({ endian: "big" })
  class Wire extends Struct {
    @field(c_int32) n!: number;
    @nested(Point) point!: Point;
    @field(array(c_int32, 2)) list!: CArray<number>;
  }
  @struct({ endian: "little" })
  class Host extends Struct {
    @field(c_int32) n!: number;
  }
  @struct({ endian: "big" })
  class Mixed extends Struct {
    @nested(Host, 2) hosts!: StructArray<Host>;
    @field(c_int32) n!: number;
  }

  test("the byte order of a big-endian struct holds for nested structs and arrays without an order of their own", () => {
    const bytes = Buffer.alloc(sizeof(Wire));
    assign(viewOf(Wire, bytes), { n: 1, point: { x: 2, y: 1 }, list: [3, 4] });
    expect(bytes.toString("hex")).toBe(
      "00000001000000000002000000000000" + "3ff0000000000000" + "0000000300000004",
    );
  });

  test("a nested struct's own byte order wins", () => {
    const bytes = Buffer.alloc(sizeof(Mixed));
    assign(viewOf(Mixed, bytes), { hosts: [{ n: 1 }, { n: 2 }], n: 3 });
    expect(bytes.toString("hex")).toBe("010000000200000000000003");
  });
});
