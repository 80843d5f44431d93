import { describe, expect, test } from "bun:test";
import {
  type Atomic,
  array,
  asNumber,
  atomic,
  bits,
  bytes,
  bytesOf,
  type CArray,
  type CType,
  c_char,
  c_double,
  c_float,
  c_int32,
  c_uint8,
  c_uint16,
  c_uint64,
  chars,
  create,
  equals,
  type FieldType,
  field,
  layoutOf,
  nested,
  Struct,
  type StructArray,
  type StructClass,
  struct,
  structOf,
  toObject,
  Union,
  viewOf,
} from "../../src/struct/index.ts";

class Padded extends Struct {
  @field(c_uint8) a!: number;
  @field(c_int32) b!: number;
  @bits(c_uint8, 3) mode!: number;
  @field(chars(5)) name!: string;
  @field(c_float) x!: number;
}

class Either extends Union {
  @field(c_float) number!: number;
  @field(c_int32) word!: number;
}

/** Larger than what is copied at once, by single values, rows and structs. */
const LARGE = 200_000;

class Large extends Struct {
  @field(c_uint8) first!: number;
  @nested(Padded, LARGE / 20) structs!: StructArray<Padded>;
  @field(array(c_uint16, LARGE)) words!: Uint16Array;
  @field(array(c_float, LARGE / 4)) floats!: Float32Array;
  @field(array(array(c_uint8, LARGE), 2)) rows!: never;
  @nested(Either, LARGE / 4) unions!: StructArray<Either>;
  @field(bytes(LARGE)) raw!: Uint8Array;
  @field(chars(LARGE)) text!: string;
  @field(array(atomic(c_int32), 4)) counts!: CArray<Atomic<number>>;
  @field(c_double) last!: number;
}

const members = ["first", "structs", "words", "floats", "rows", "unions", "raw", "counts", "last"];

describe("a struct of many chunks", () => {
  test("a struct of many chunks equals itself, and a copy of itself", () => {
    const large = create(Large, { text: "t" });
    for (let i = 0; i < LARGE / 20; i++) large.structs.at(i).b = i;
    expect(equals(large, large)).toBe(true);
    expect(equals(large, create(Large, large))).toBe(true);
  });

  test("a struct of many chunks differs by any one of its values: the first, the last and those at the edges of a chunk", () => {
    const [one, other] = [create(Large), create(Large)];
    const stored = bytesOf(other);
    const found: unknown[] = [];
    const missed: unknown[] = [];
    for (const name of members) {
      const { offset, size } = memberOf(Large, name);
      for (const at of [0, 4, 65_535, 65_536, 65_540, 131_080, size - 4, size - 1].filter(
        (i) => i >= 0 && i < size,
      )) {
        stored[offset + at] = 1;
        // Of a Padded some bytes are padding, or behind the end of its text.
        const expected = name !== "structs" || !isPadding(at % 20);
        (equals(one, other) === !expected ? found : missed).push([name, at]);
        stored[offset + at] = 0;
      }
    }
    expect(missed).toEqual([]);
    expect(found.length).toBeGreaterThan(50);
  });

  test("a struct of many chunks is equal whatever its padding, the sign of its zeros, its NaN and what stands behind its text", () => {
    const [one, other] = [create(Large), create(Large)];
    const padding = bytesOf(other);
    const { offset } = memberOf(Large, "structs");
    for (let i = 0; i < LARGE / 20; i++) {
      padding.fill(0xee, offset + i * 20 + 1, offset + i * 20 + 4);
      other.structs.at(i).x = -0;
    }
    other.floats.fill(-0);
    one.text = other.text = "abc";
    padding[memberOf(Large, "text").offset + 70_000] = 1;
    one.floats[49_999] = Number.NaN;
    const bit = memberOf(Large, "floats").offset + 4 * 49_999;
    padding.set([1, 0, 0xc0, 0xff], bit);
    expect(other.floats[49_999]).toBeNaN();
    expect(equals(one, other)).toBe(true);
    other.structs.at(-1).x = 1;
    expect(equals(one, other)).toBe(false);
  });

  test("a struct of many chunks is compared by its values where its bytes lie in the other order", () => {
    class Numbers extends Struct {
      @field(array(c_uint16, LARGE)) words!: Uint16Array;
    }
    @struct({ endian: "big" })
    class SwappedNumbers extends Struct {
      @nested(Numbers) inner!: Numbers;
    }
    const words = Uint16Array.from({ length: LARGE }, (_, i) => i);
    const one = create(Numbers, { words });
    const other = create(SwappedNumbers, { inner: { words } }).inner;
    expect(equals(one, other)).toBe(true);
    other.words.set([1], LARGE - 1);
    expect(equals(one, other)).toBe(false);
  });
});

/** 20 bytes: a at 0, b at 4, mode at 8, name at 9, x at 16. */
const isPadding = (at: number): boolean => (at > 0 && at < 4) || (at > 9 && at < 16);

const memberOf = (cls: StructClass, name: string): { offset: number; size: number } => {
  const { fields } = layoutFields(cls);
  return fields[name] as { offset: number; size: number };
};

const layoutFields = (cls: StructClass) =>
  layoutOf(cls) as unknown as { fields: Record<string, { offset: number; size: number }> };

describe("single kinds", () => {
  const types: [string, FieldType | CType<unknown>, unknown, unknown][] = [
    ["asNumber", asNumber(c_uint64), 1, 2],
    ["c_char", c_char, "a", "b"],
    ["text", chars(4), "a", "ab"],
    [
      "rows",
      array(array(c_float, 2), 2),
      [
        [0, 1],
        [2, 3],
      ],
      [
        [0, 1],
        [2, 4],
      ],
    ],
  ];
  for (const [name, type, one, other] of types) {
    test(`equals tells the same value from another: ${name}`, () => {
      class Holder extends structOf({ x: field(type as never) }) {}
      const of = (x: unknown) => create(Holder, { x } as never);
      expect([equals(of(one), of(one)), equals(of(one), of(other))]).toEqual([true, false]);
      expect(toObject(of(one))).not.toEqual(toObject(of(other)));
    });
  }

  test("flexible arrays are equal if their lengths and their elements are", () => {
    class Packet extends Struct {
      @field(c_uint8) kind!: number;
      @nested(Padded) head!: Padded;
      @field(array(c_uint16)) words!: Uint16Array;
    }
    const packet = (words: number[]) => create(Packet, { words });
    expect(equals(packet([1, 2]), packet([1, 2]))).toBe(true);
    expect(equals(packet([1, 2]), packet([1, 3]))).toBe(false);
    expect(equals(packet([1, 2]), packet([1, 2, 0]))).toBe(false);
  });

  test("views that do not lie aligned are compared like others", () => {
    const memory = new Uint8Array(64);
    const one = viewOf(Padded, memory, 1);
    one.b = 7;
    expect(equals(one, create(Padded, { b: 7 }))).toBe(true);
    expect(equals(one, create(Padded, { b: 8 }))).toBe(false);
  });
});
