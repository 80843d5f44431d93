import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import { viewAt } from "../../src/struct/functions.ts";
import {
  array,
  bytes,
  bytesOf,
  CArray,
  c_bool,
  c_double,
  c_float,
  c_int16,
  c_int32,
  chars,
  create,
  field,
  type Init,
  nested,
  Struct,
  type StructArray,
  type StructClass,
  sizeof,
  struct,
  viewOf,
} from "../../src/struct/index.ts";
import { READ_ONLY, Region } from "../../src/struct/memory/memory.ts";

class Point extends Struct {
  @field(c_int16) x!: number;
  @field(c_int32) y!: number;
}
class Shape extends Struct {
  @nested(Point, 4) points!: StructArray<Point>;
  @field(array(c_float, 2, 3)) grid!: CArray<Float32Array>;
  @field(array(c_int16, 2, 2, 2)) cube!: CArray<CArray<Int16Array>>;
  @field(array(c_bool, 3)) flags!: CArray<boolean>;
  @field(array(chars(4), 2)) names!: CArray<string>;
}
const shape = () =>
  create(Shape, {
    points: [{ x: 0 }, { x: 1 }, { x: 2 }, { x: 3 }],
    names: ["ab", "cdef"],
    flags: [true, false, true],
  });

describe("reading", () => {
  test("at() reads an element, counted from either end", () => {
    const { points } = shape();
    expect([points.at(0).x, points.at(3).x, points.at(-1).x, points.at(-4).x]).toEqual([0, 3, 3, 0]);
  });

  test.each([4, -5, 1.5, Number.NaN, Infinity, 2 ** 32, "0" as unknown as number])(
    "at(%p) of an array of four throws RangeError",
    (index) => {
      expect(() => shape().points.at(index)).toThrow(RangeError);
      expect(() => shape().points.at(index)).toThrow(/^Shape\.points: /);
    },
  );

  test("an index reads an element, and undefined beyond the end, as in every array", () => {
    const { points, flags, names } = shape();
    expect([points[1]?.x, points[4], points[-1], points[1.5], flags[0], names[1]]).toEqual([
      1,
      undefined,
      undefined,
      undefined,
      true,
      "cdef",
    ]);
  });

  test("an array is read by iteration, destructuring and Array.from", () => {
    const { points, names } = shape();
    const [first, ...rest] = points;
    expect([first?.x, rest.length, Array.from(names), [...points].map((p) => p.x)]).toEqual([
      0,
      3,
      ["ab", "cdef"],
      [0, 1, 2, 3],
    ]);
  });

  test("the length of an array is fixed", () => {
    const { points } = shape();
    expect(points.length).toBe(4);
    expect(() => Reflect.set(points, "length", 9)).not.toThrow();
    expect(points.length).toBe(4);
    expect(points).toBeInstanceOf(CArray);
  });

  test("rows of an array are typed arrays over the same memory, or arrays of them", () => {
    const s = shape();
    s.grid.at(1)[2] = 1.5;
    s.cube.at(1).at(0)[1] = -7;
    expect([s.grid[1]?.[2], s.grid.at(1) instanceof Float32Array, s.cube[1]?.[0]?.[1]]).toEqual([
      1.5,
      true,
      -7,
    ]);
  });
});

describe("writing", () => {
  test("an array is written one element by index, several by set, all by fill", () => {
    const s = shape();
    s.flags[1] = true;
    s.flags.set([false], 2);
    s.names.fill("x");
    s.points.set([{ x: 8 }, { x: 9 }], 2);
    s.points.fill({ y: 5 });
    expect([[...s.flags], [...s.names], [...s.points].map(({ x, y }) => [x, y])]).toEqual([
      [true, true, false],
      ["x", "x"],
      [
        [0, 5],
        [1, 5],
        [8, 5],
        [9, 5],
      ],
    ] as never);
  });

  test("an element of a struct array is written through its view, and as a whole", () => {
    const s = shape();
    s.points.at(1).y = 6;
    s.points[2] = s.points.at(1);
    expect([s.points.at(2).x, s.points.at(2).y]).toEqual([1, 6]);
  });

  test("a row is written as a whole", () => {
    const s = shape();
    s.grid.set([[1, 2, 3]], 1);
    s.cube.fill([
      [1, 2],
      [3, 4],
    ]);
    expect([[...s.grid.at(1)], [...s.cube.at(1).at(1)]]).toEqual([
      [1, 2, 3],
      [3, 4],
    ]);
  });

  test.each<[string, (s: Shape) => void, typeof RangeError, string]>([
    ["an element", (s) => Reflect.set(s.flags, 1, 5), TypeError, "Shape.flags[1]: expected a boolean, got 5"],
    [
      "set",
      (s) => s.names.set(["a", "b"], 1),
      RangeError,
      "Shape.names: expected at most 1 values from index 1 on (the array has 2)",
    ],
    [
      "set of no iterable",
      (s) => s.names.set(5 as never),
      TypeError,
      "Shape.names: expected an iterable of chars(4), got 5",
    ],
    [
      "set at no index",
      (s) => s.names.set([], 1.5),
      RangeError,
      "Shape.names: expected an index from 0 to 2, got 1.5",
    ],
    [
      "beyond the end",
      (s) => Reflect.set(s.names, 2, "a"),
      RangeError,
      "Shape.names: index 2 is outside an array of 2 elements",
    ],
    [
      "before the beginning",
      (s) => Reflect.set(s.names, -1, "a"),
      RangeError,
      "Shape.names: index -1 is outside an array of 2 elements",
    ],
    [
      "between two",
      (s) => Reflect.set(s.names, 0.5, "a"),
      RangeError,
      "Shape.names: index 0.5 is outside an array of 2 elements",
    ],
    [
      "fill",
      (s) => s.names.fill("abcde"),
      RangeError,
      "Shape.names: expected text of at most 4 bytes (this takes 5)",
    ],
    [
      "a member of an element",
      (s) => s.points.set([{ x: 1 }, { x: 40_000 }], 2),
      RangeError,
      "Shape.points[3].x: expected an integer",
    ],
    [
      "an element of a row",
      (s) =>
        s.cube.at(1).set([
          [1, 2],
          [3, 4.5],
        ]),
      RangeError,
      "Shape.cube[1][1][1]: expected an integer",
    ],
    [
      "a row of the wrong length",
      (s) => s.grid.set([[1, 2]]),
      RangeError,
      "Shape.grid[0]: expected an iterable of 3 c_float, got only 2",
    ],
  ])("an array refuses a wrong write and names its place: %s", (_, act, kind, message) => {
    const s = shape();
    const before = Bun.inspect(s);
    expect(() => act(s)).toThrow(kind);
    expect(() => act(s)).toThrow(message);
    expect(Bun.inspect(s)).toBe(before);
  });
});

describe("where a typed array is impossible", () => {
  @struct({ endian: "big" })
  class Big extends Struct {
    @field(array(c_int32, 2)) n!: CArray<number>;
  }

  test("numbers in the other byte order are no typed array, and are read and written like one", () => {
    const big = create(Big, { n: [1, 2] });
    big.n[1] = -3;
    expect([ArrayBuffer.isView(big.n), ...big.n]).toEqual([false, 1, -3]);
    expect(() => {
      big.n[0] = 2 ** 31;
    }).toThrow("Big.n[0]: expected an integer from -2147483648 to 2147483647, got 2147483648");
  });

  test("numbers in misaligned memory are no typed array, and are read and written like one", () => {
    class Plain extends Struct {
      @field(array(c_int32, 2)) n!: Int32Array;
    }
    const odd = viewOf(Plain, new ArrayBuffer(9), 1);
    odd.n = new Int32Array([5, 6]);
    expect([odd.n instanceof Int32Array, ...odd.n]).toEqual([false, 5, 6]);
  });
});

describe("a flexible array", () => {
  class Message extends Struct {
    @field(c_int16) kind!: number;
    @nested(Point) head!: Point;
    @field(array(Point)) points!: StructArray<Point>;
  }
  class Words extends Struct {
    @field(c_int16) n!: number;
    @field(array(c_int32)) words!: Int32Array;
  }

  test("a flexible array has as many elements as the memory behind it holds", () => {
    expect(
      [0, 7, 8, 20].map((more) => viewOf(Message, new ArrayBuffer(sizeof(Message) + more)).points.length),
    ).toEqual([0, 0, 1, 2]);
    expect(create(Words).words.length).toBe(0);
  });

  test("a flexible array is read and written like any other", () => {
    const words = viewOf(Words, new ArrayBuffer(16));
    words.words = new Int32Array([1, 2, 3]);
    words.words[1] = 9;
    expect([...words.words]).toEqual([1, 9, 3]);
    expect(() => {
      words.words = new Int32Array(4);
    }).toThrow("Words.words: expected an iterable of 3 c_int32, got more than 3");
    const message = viewOf(Message, new ArrayBuffer(sizeof(Message) + 16), 0);
    message.points.set([{ x: 1 }, { x: 2 }]);
    expect([...message.points].map((p) => p.x)).toEqual([1, 2]);
  });
});

describe("what JavaScript's arrays have", () => {
  const { points, names, flags } = shape();

  test("arrays of structs and text have the methods of JavaScript's arrays", () => {
    expect(points.map((p) => p.x)).toEqual([0, 1, 2, 3]);
    expect(points.filter((p) => p.x > 1).map((p) => p.x)).toEqual([2, 3]);
    expect([points.find((p) => p.x === 2)?.x, points.findIndex((p) => p.x === 9)]).toEqual([2, -1]);
    expect(points.reduce((sum, p) => sum + p.x, 10)).toBe(16);
    expect([flags.some((on) => on), flags.every((on) => on)]).toEqual([true, false]);
    expect([names.includes("ab"), names.indexOf("cdef"), names.indexOf("ab", 1), names.join("+")]).toEqual([
      true,
      1,
      -1,
      "ab+cdef",
    ]);
    expect(points.slice(-2).map((p) => p.x)).toEqual([2, 3]);
    expect([names.toArray(), [...names.entries()]]).toEqual([
      ["ab", "cdef"],
      [
        [0, "ab"],
        [1, "cdef"],
      ],
    ]);
    const seen: unknown[] = [];
    points.forEach(function (this: unknown, p, i, array) {
      seen.push(this, p.x, i, array === points);
    }, "self");
    expect(seen.slice(0, 4)).toEqual(["self", 0, 0, true]);
  });

  @struct({ endian: "big" })
  class Swapped extends Struct {
    @field(array(c_int16, 5)) list!: CArray<number>;
    @field(bytes(3)) raw!: Uint8Array;
  }
  const numbers = [5, -2, 300, 0, -32768];

  test.each([
    ["read-only", () => readOnly(Numbers, { list: numbers }).list],
    ["big-endian", () => create(Swapped, { list: numbers }).list],
  ])("a CArray of numbers has the methods of JavaScript's arrays: %s", (_, make) => {
    const list = make();
    expect(list).toBeInstanceOf(CArray);
    expect([list.reduce((a, b) => a + b), list.map((n) => n * 2)]).toEqual([
      -32465,
      [10, -4, 600, 0, -65536],
    ]);
    expect([list.includes(300), list.indexOf(0), list.slice(1, 3), list.toArray()]).toEqual([
      true,
      3,
      [-2, 300],
      numbers,
    ]);
    expect(list.copyTo(new Int16Array(7))).toEqual(new Int16Array([...numbers, 0, 0]));
    expect(list.copyTo(new Int16Array(2))).toEqual(new Int16Array([5, -2]));
    expect(list.copyTo(new Float64Array(5))).toEqual(new Float64Array(numbers));
    expect([...list, list[2], list["02" as never], list["-1" as never], list[5]]).toEqual([
      ...numbers,
      300,
      undefined,
      undefined,
      undefined,
    ]);
    const iterator = list[Symbol.iterator]() as IteratorObject<number>;
    expect([...iterator.map((n) => n + 1)]).toEqual(numbers.map((n) => n + 1));
    expect(() =>
      create(Swapped)
        .list.slice(0, 0)
        .reduce((a, b) => a + b),
    ).toThrow(TypeError);
  });

  class Numbers extends Struct {
    @field(array(c_int16, 5)) list!: CArray<number>;
  }

  function readOnly<T extends Struct>(cls: StructClass<T>, init: Init<T>): T {
    const { buffer, byteLength } = bytesOf(create(cls, init));
    return viewAt(cls, new Region(buffer, 0, byteLength, READ_ONLY), 0);
  }

  test("an array of bytes is a Uint8Array in either byte order", () => {
    expect(create(Swapped, { raw: [1, 2, 3] }).raw).toEqual(new Uint8Array([1, 2, 3]));
  });
});

describe("the layout says what an array of numbers is, for all elements alike", () => {
  @struct({ pack: 4 })
  class Packed extends Struct {
    @field(c_int32) n!: number;
    @field(array(c_double, 2)) list!: CArray<number>;
  }
  class Natural extends Struct {
    @field(c_int32) n!: number;
    @field(array(c_double, 2)) list!: Float64Array;
  }
  @struct({ pack: 4 })
  class Holder extends Struct {
    @nested(Natural) odd!: Natural;
    @nested(Packed, 4) several!: StructArray<Packed>;
    @field(array(c_int32, 2)) words!: Int32Array;
  }

  test("where packing may misalign one array of numbers, no element's is a typed array", () => {
    const holder = create(Holder, { odd: { list: [1, 2] }, words: [3, 4] });
    expect(holder.several.map((p) => p.list instanceof CArray)).toEqual([true, true, true, true]);
    expect([holder.odd.list instanceof CArray, holder.words instanceof Int32Array]).toEqual([true, true]);
    expect([[...holder.odd.list], [...holder.words]]).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test("without packing, arrays of numbers are typed arrays in all elements", () => {
    expect(create(Natural).list).toBeInstanceOf(Float64Array);
    class Several extends Struct {
      @nested(Natural, 3) list!: StructArray<Natural>;
    }
    expect(create(Several).list.every((n) => n.list instanceof Float64Array)).toBe(true);
  });
});

test("numbers in read-only memory are read by [i], methods and inspection through their Proxy, and refuse a store", () => {
  class Samples extends Struct {
    @field(array(c_double, 3)) values!: Float64Array;
  }
  const region = new Region(new Float64Array([1, 2, 3]).buffer, 0, 24, READ_ONLY);
  const values = viewAt(Samples, region, 0).values as unknown as CArray<number>;
  expect([values[0], values[2], values[3], values["01" as never], values.at(-1), values.length]).toEqual([
    1,
    3,
    undefined,
    undefined,
    3,
    3,
  ]);
  expect([[...values], values.map((value) => value * 2), values.indexOf(2), JSON.stringify(values)]).toEqual([
    [1, 2, 3],
    [2, 4, 6],
    1,
    "[1,2,3]",
  ]);
  expect(values.copyTo(new Float64Array(3))).toEqual(new Float64Array([1, 2, 3]));
  expect([Bun.inspect(values), inspect(values)]).toEqual(["[ 1, 2, 3 ]", "[ 1, 2, 3 ]"]);
  expect(() => ((values as unknown as number[])[1] = 4)).toThrow("Samples.values is read-only here");
  expect(values).toBeInstanceOf(CArray);
});
