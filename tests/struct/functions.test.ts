import { describe, expect, test } from "bun:test";
import { StructDefinitionError } from "../../src/errors/errors.ts";
import { structByName, viewAt } from "../../src/struct/functions.ts";
import {
  alignof,
  array,
  assign,
  bits,
  bytesOf,
  c_double,
  c_float,
  c_int8,
  c_int32,
  c_int64,
  chars,
  create,
  enumOf,
  equals,
  field,
  layoutOf,
  loadStructs,
  nested,
  offsetof,
  Struct,
  type StructArray,
  sizeof,
  struct,
  toObject,
  viewOf,
} from "../../src/struct/index.ts";
import { READ_ONLY, Region } from "../../src/struct/memory/memory.ts";
import { Counters, Everything, everything, Mode, Point } from "../support/everything.ts";

class Path extends Struct {
  @field(c_int8) n!: number;
  @bits(c_int32, 3) low!: number;
  @bits(c_int32, 8) high!: number;
  @nested(Point, 3) points!: StructArray<Point>;
  @field(array(c_float, 2, 2)) grid!: never;
}

describe("sizeof, alignof, offsetof", () => {
  test("sizeof, alignof and offsetof are C's", () => {
    expect([sizeof(Path), alignof(Path), sizeof(Point)]).toEqual([72, 8, 16]);
    expect([offsetof(Path, "points"), offsetof(Path, "points.2.y"), offsetof(Path, "grid" as "n")]).toEqual([
      8, 48, 56,
    ]);
  });

  test("offsetof a bit-field gives the byte its first bit is in", () => {
    expect([offsetof(Path, "low"), offsetof(Path, "high")]).toEqual([1, 1]);
  });

  test("sizeof refuses what is no struct class, and offsetof what is no path", () => {
    expect(() => sizeof(Date as never)).toThrow(StructDefinitionError);
    expect(() => sizeof(undefined as never)).toThrow("undefined is not a struct class");
    expect(() => sizeof(create(Point) as never)).toThrow(
      "a Point is not a struct class but a struct: pass its class",
    );
    expect(() => sizeof({} as never)).toThrow("an object is not a struct class: it must extend Struct");
    const other = { MmapStructure: class MmapStructure {} };
    class Robot extends other.MmapStructure {}
    expect(() => sizeof(Robot as never)).toThrow(
      "Robot is not a struct class of this copy of shmstruct: its MmapStructure comes from another one; let the program have one copy",
    );
    expect(() => sizeof("Point" as never)).toThrow('"Point" is not a struct class');
    expect(() => sizeof(Struct)).toThrow(StructDefinitionError);
    expect(() => offsetof(Path, "points.3.y")).toThrow(RangeError);
    expect(() => offsetof(Path, "nope" as "n")).toThrow(TypeError);
  });
});

describe("create", () => {
  test("create makes a struct that is all zero but for what it is given", () => {
    expect(toObject(create(Point, { y: 2 }))).toEqual({ x: 0, y: 2 });
    expect(bytesOf(create(Everything)).every((byte) => byte === 0)).toBe(true);
  });

  test("create makes private memory each time", () => {
    const [a, b] = [create(Point), create(Point)];
    a.x = 1;
    expect(b.x).toBe(0);
  });

  test("create without init leaves no room for a flexible array, and the error says how to make room", () => {
    class Words extends Struct {
      @field(c_int32) n!: number;
      @field(array(c_int32)) words!: Int32Array;
    }
    expect(() => assign(create(Words), { words: [1, 2] })).toThrow(
      new RangeError(
        "Words.words: expected an iterable of 0 c_int32, got more than 0; the memory ends where the array begins: create(Cls, init, { length }) and viewOf(Cls, new ArrayBuffer(sizeof(Cls) + n * 4)) have room for it",
      ),
    );
    const roomy = viewOf(Words, new ArrayBuffer(sizeof(Words) + 2 * 4));
    expect([...assign(roomy, { words: [1, 2] }).words]).toEqual([1, 2]);
    expect(() => assign(roomy, { words: [1] })).toThrow(/got only 1$/);
  });
});

describe("viewOf", () => {
  test("viewOf takes any memory, from any byte on", () => {
    const bytes = new Uint8Array(40);
    const part = new DataView(bytes.buffer, 5, 30);
    viewOf(Point, part, 7).x = 0x0102;
    expect([...bytes.subarray(11, 15)]).toEqual([0, 2, 1, 0]);
  });

  test.each<[string, () => unknown, typeof RangeError, string]>([
    [
      "too short",
      () => viewOf(Point, new Uint8Array(15)),
      RangeError,
      "viewOf: Point takes 16 bytes from 0 on, but there are 15",
    ],
    [
      "too short from there",
      () => viewOf(Point, new ArrayBuffer(20), 5),
      RangeError,
      "viewOf: Point takes 16 bytes from 5 on, but there are 20",
    ],
    [
      "a negative offset",
      () => viewOf(Point, new ArrayBuffer(20), -1),
      RangeError,
      "viewOf: byteOffset must be a whole number from 0 on, got -1",
    ],
    [
      "half an offset",
      () => viewOf(Point, new ArrayBuffer(20), 0.5),
      RangeError,
      "viewOf: byteOffset must be a whole number from 0 on, got 0.5",
    ],
    ["an offset that is text", () => viewOf(Point, new ArrayBuffer(20), "1" as never), RangeError, 'got "1"'],
    ["no memory", () => viewOf(Point, [1, 2] as never), TypeError, "got an array of 2"],
    ["nothing", () => viewOf(Point, undefined as never), TypeError, "got undefined"],
    [
      "no class",
      () => viewOf(Object as never, new ArrayBuffer(20)),
      StructDefinitionError as never,
      "Object is not a struct class",
    ],
  ])("viewOf refuses wrong memory, a wrong offset or class: %s", (_, act, kind, message) => {
    expect(act).toThrow(kind);
    expect(act).toThrow(message);
  });
});

describe("toObject and assign", () => {
  test("toObject and create are each other's inverse", () => {
    const all = create(Everything, everything);
    const { union, ...plain } = toObject(all);
    const copy = create(Everything, plain);
    copy.union = all.union;
    expect(equals(copy, all)).toBe(true);
    expect([union.point.x, plain.mode, plain.i64, plain.when]).toEqual([7, Mode.Run, -7n, new Date(1000)]);
  });

  test("toObject gives what the memory holds, even what a type refuses; the struct itself can be copied", () => {
    class Strict extends Struct {
      @field(enumOf(c_int8, { A: 1 } as const)) kind!: 1;
      @field(chars(2)) text!: string;
    }
    const blank = create(Strict);
    expect(() => create(Strict, toObject(blank))).toThrow("Strict.kind: expected one of A (1), got 0");
    const odd = viewOf(Strict, Uint8Array.of(1, 0xff, 0xfe));
    expect(() => assign(blank, toObject(odd))).toThrow("Strict.text: expected text of at most 2 bytes");
    expect([...bytesOf(create(Strict, odd))]).toEqual([1, 0xff, 0xfe]);
  });

  test("create takes 64-bit integers from JSON once they are bigints again", () => {
    class Clock extends Struct {
      @field(c_int64) ticks!: bigint;
    }
    const plain = JSON.parse(JSON.stringify(create(Clock, { ticks: 2n ** 60n })));
    expect(() => create(Clock, plain)).toThrow(TypeError);
    expect(create(Clock, { ...plain, ticks: BigInt(plain.ticks) }).ticks).toBe(2n ** 60n);
  });

  test("toObject gives atomics as their values", () => {
    expect(toObject(create(Counters, { a32: 5, two: [6, 7] }))).toMatchObject({
      a32: 5,
      a64: 0n,
      two: [6, 7],
    });
  });

  test("assign returns its struct", () => {
    const point = create(Point);
    expect(assign(point, { x: 1 })).toBe(point);
  });

  test.each([
    ["assign", () => assign({ x: 1 } as never, {})],
    ["toObject", () => toObject({ x: 1 } as never)],
    ["bytesOf", () => bytesOf(Point.prototype)],
    ["equals", () => equals(create(Point), { x: 1 } as never)],
  ])("%s refuses what is no view of a struct", (name, act) => {
    expect(act).toThrow(TypeError);
    expect(act).toThrow(`${name}: expected a struct made by create, viewOf or a role, got `);
  });
});

describe("bytesOf", () => {
  test("bytesOf gives the memory of its struct, not a copy", () => {
    const point = create(Point, { x: 258 });
    const bytes = bytesOf(point);
    expect([...bytes.subarray(0, 3)]).toEqual([2, 1, 0]);
    bytes[0] = 3;
    expect([point.x, bytes.length]).toEqual([259, 16]);
  });

  test("bytesOf a nested struct gives its part of the memory", () => {
    expect(bytesOf(create(Path, { points: [{}, { x: 1 }, {}] }).points.at(1))[0]).toBe(1);
  });

  test("bytesOf gives a copy where the memory is read-only", () => {
    const buffer = new ArrayBuffer(16);
    const point = viewAt(Point, new Region(buffer, 0, 16, READ_ONLY), 0);
    bytesOf(point)[0] = 1;
    expect(point.x).toBe(0);
  });

  test("bytesOf reaches to the end of a flexible array", () => {
    class Words extends Struct {
      @field(c_int32) n!: number;
      @field(array(c_int32)) words!: Int32Array;
    }
    expect(bytesOf(viewOf(Words, new ArrayBuffer(19))).length).toBe(19);
  });
});

describe("equals", () => {
  class Padded extends Struct {
    @field(c_int8) a!: number;
    @field(c_double) b!: number;
  }

  test("equals looks at the fields, not at the padding between them", () => {
    const dirty = viewOf(Padded, new Uint8Array(16).fill(0xee));
    assign(dirty, { a: 1, b: 2 });
    expect(equals(dirty, create(Padded, { a: 1, b: 2 }))).toBe(true);
    expect(equals(dirty, create(Padded, { a: 1, b: 3 }))).toBe(false);
  });

  test("equals refuses memory that is gone, where all would look alike", () => {
    const buffer = new ArrayBuffer(16);
    const gone = viewOf(Padded, buffer);
    buffer.transfer(0);
    expect(() => equals(gone, gone)).toThrow(TypeError);
    expect(() => equals(create(Padded), gone)).toThrow(TypeError);
  });

  test("equals takes one NaN for another", () => {
    expect(equals(create(Padded, { b: Number.NaN }), create(Padded, { b: Number.NaN }))).toBe(true);
    expect(equals(create(Padded, { b: 0 }), create(Padded, { b: -0 }))).toBe(true);
    expect(equals(create(Padded, { b: 0 }), create(Padded, { b: Number.NaN }))).toBe(false);
  });

  test("equals compares structs of different byte orders", () => {
    @struct({ endian: "big" })
    class Swapped extends Struct {
      @nested(Padded) inner!: Padded;
    }
    expect(equals(create(Swapped, { inner: { a: 1, b: 2 } }).inner, create(Padded, { a: 1, b: 2 }))).toBe(
      true,
    );
  });

  test("equals is false for structs of two classes", () => {
    class Twin extends Struct {
      @field(c_int8) a!: number;
      @field(c_double) b!: number;
    }
    expect(equals(create(Padded), create(Twin))).toBe(false);
  });
});

describe("layoutOf", () => {
  test("layoutOf gives the whole layout as plain data", () => {
    expect(layoutOf(Path) as unknown).toEqual({
      name: "Path",
      kind: "struct",
      size: 72,
      align: 8,
      fields: {
        n: { type: "c_int8", offset: 0, size: 1 },
        low: { type: "c_int32", offset: 1, size: 4, bits: { offset: 8, width: 3 } },
        high: { type: "c_int32", offset: 1, size: 4, bits: { offset: 11, width: 8 }, tears: true },
        points: {
          type: {
            array: {
              struct: {
                name: "Point",
                kind: "struct",
                size: 16,
                align: 8,
                fields: {
                  x: { type: "c_int16", offset: 0, size: 2 },
                  y: { type: "c_double", offset: 8, size: 8 },
                },
              },
            },
            length: 3,
          },
          offset: 8,
          size: 48,
        },
        grid: { type: { array: { array: "c_float", length: 2 }, length: 2 }, offset: 56, size: 16 },
      },
    });
    expect(layoutOf(Point).fields.y.offset).toBe(8);
  });
});

describe("loadStructs", () => {
  class LoadedA extends Struct {
    @field(c_int8) x!: number;
  }
  class LoadedB extends LoadedA {
    @field(c_int8) y!: number;
  }
  abstract class Bare extends Struct {}

  test("loadStructs makes classes known by name, and passes over what is no struct", () => {
    const found = loadStructs({ LoadedA, LoadedB, Bare, Struct, helper: () => 1, answer: 42, nothing: null });
    expect([found, structByName("LoadedA"), structByName("LoadedB")]).toEqual([
      [LoadedA, LoadedB],
      LoadedA,
      LoadedB,
    ]);
    expect(loadStructs([LoadedA], LoadedB)).toEqual([LoadedA, LoadedB]);
  });

  test("loadStructs refuses two classes of one name", () => {
    const Twin = (() => {
      class LoadedA extends Struct {
        @field(c_int32) z!: number;
      }
      return LoadedA;
    })();
    expect(() => loadStructs({ LoadedA, Twin })).toThrow(
      new StructDefinitionError(
        "loadStructs: two different classes are named LoadedA; give one another with @struct({ name })",
      ),
    );
  });

  test("loadStructs refuses a module without a struct class", () => {
    expect(() => loadStructs({ answer: 42 })).toThrow("loadStructs: no struct class among the exports");
  });

  test.each([null, undefined, "structs.ts", 5])(
    "loadStructs refuses %p, which holds no exports",
    (module) => {
      expect(() => loadStructs(module as never)).toThrow(
        new TypeError(
          `loadStructs: expected modules, arrays or struct classes, as in loadStructs(await import("./structs.ts")), got ${Bun.inspect(module)}`,
        ),
      );
    },
  );

  test("structByName refuses a name that was not loaded", () => {
    expect(() => structByName("Elsewhere")).toThrow(
      /^no struct class named "Elsewhere" is loaded \(loaded: .*LoadedA.*\); call loadStructs\(module\) first$/,
    );
  });
});
