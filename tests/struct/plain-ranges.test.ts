/** Which bytes the atomics of a struct are: those that no transaction may roll back. */
import { describe, expect, test } from "bun:test";
import {
  type Anonymous,
  type Atomic,
  anonymous,
  array,
  atomic,
  type CArray,
  c_double,
  c_int8,
  c_int32,
  c_uint8,
  c_uint16,
  field,
  nested,
  Struct,
  type StructArray,
  type StructClass,
  Union,
} from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { atomicRanges, rangesBetween } from "../../src/struct/layout/plain-ranges.ts";

const rangesOf = (cls: StructClass): [number, number][] =>
  atomicRanges(layoutOfClass(cls)).map(({ start, end }) => [start, end]);

class Slot extends Struct {
  @field(atomic(c_int32)) state!: Atomic<number>;
  @field(c_int32) value!: number;
}
class Pair extends Struct {
  @field(atomic(c_uint16)) a!: Atomic<number>;
  @field(atomic(c_uint16)) b!: Atomic<number>;
}

describe("the bytes of the atomics of a struct", () => {
  test("the bytes of the atomics of a struct are found whatever their width, 8 bits included", () => {
    class Flags extends Struct {
      @field(c_double) d!: number;
      @field(atomic(c_int8)) i8!: Atomic<number>;
      @field(c_int8) plain!: number;
      @field(atomic(c_uint8)) u8!: Atomic<number>;
    }
    expect(rangesOf(Flags)).toEqual([
      [8, 9],
      [10, 11],
    ]);
  });

  test("a struct without atomics has no bytes of atomics", () => {
    class Plain extends Struct {
      @field(c_double) d!: number;
    }
    expect(rangesOf(Plain)).toEqual([]);
  });

  test("atomics that touch are one range: arrays of 2^30 atomics, and of structs with nothing else", () => {
    class Many extends Struct {
      @field(c_int8) first!: number;
      @field(array(atomic(c_int8), 2 ** 30)) bytes!: CArray<Atomic<number>>;
      @field(array(Pair, 1000, 1000)) pairs!: CArray<StructArray<Pair>>;
    }
    // 1 + 2^30 is aligned up to the 2 bytes of a pair.
    expect(rangesOf(Many)).toEqual([
      [1, 1 + 2 ** 30],
      [2 + 2 ** 30, 2 + 2 ** 30 + 4_000_000],
    ]);
  });

  test("atomics with other members between them are one range an element", () => {
    class Table extends Struct {
      @field(c_double) d!: number;
      @nested(Slot, 3) slots!: StructArray<Slot>;
    }
    expect(rangesOf(Table)).toEqual([
      [8, 12],
      [16, 20],
      [24, 28],
    ]);
  });

  test("atomics that overlap count once, in unions, and where a struct around them shows them, too", () => {
    class Either extends Union {
      @field(atomic(c_int32)) a!: Atomic<number>;
      @nested(Pair) b!: Pair;
    }
    class Holder extends Struct {
      @field(c_int32) kind!: number;
      @anonymous(Either) either!: Anonymous<Either>;
    }
    expect(rangesOf(Holder)).toEqual([[4, 8]]);
  });

  test("the ranges of atomics may be a million, but not without limit", () => {
    class Million extends Struct {
      @nested(Slot, 1_000_000) slots!: StructArray<Slot>;
    }
    class TooMany extends Struct {
      @field(array(Slot, 2 ** 14, 2 ** 14)) slots!: CArray<StructArray<Slot>>;
    }
    expect(rangesOf(Million)).toHaveLength(1_000_000);
    expect(() => rangesOf(TooMany)).toThrow(
      "TooMany: its atomics lie in more than 1048576 places; put them beside each other, in an array of their own",
    );
  });
});

test("rangesBetween gives what lies between ranges that overlap, or touch", () => {
  const ranges = [
    { start: 4, end: 8 },
    { start: 0, end: 2 },
    { start: 5, end: 9 },
    { start: 9, end: 10 },
  ];
  expect(rangesBetween(ranges, 12)).toEqual([
    { start: 2, end: 4 },
    { start: 10, end: 12 },
  ]);
});
