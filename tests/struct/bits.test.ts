import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BitsType } from "../../src/struct/declare/composite.ts";
import {
  asNumber,
  assign,
  bits,
  bytesOf,
  c_bool,
  c_int8,
  c_int32,
  c_int64,
  c_uint8,
  c_uint16,
  c_uint32,
  c_uint64,
  create,
  enumOf,
  field,
  layoutOf,
  Struct,
  type StructClass,
  struct,
  structFromSchema,
  toObject,
  viewOf,
} from "../../src/struct/index.ts";
import { withAccess } from "../../src/struct/layout/bit-access.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { Region } from "../../src/struct/memory/memory.ts";
import { type BitMember, writeBits } from "../../src/struct/view/bits.ts";
import { seedOfRun } from "../support/random.ts";

class Flags extends Struct {
  @bits(c_uint8, 1) a!: number;
  @bits(c_bool, 1) b!: boolean;
  @bits(c_int8, 3) c!: number;
  @bits(c_uint16, 9) d!: number;
  @bits(c_int32, 32) e!: number;
  @bits(c_uint32, 31) f!: number;
  @bits(c_int64, 33) g!: bigint;
  @bits(c_uint64, 64) h!: bigint;
  @bits(c_int64, 1) i!: bigint;
}
@struct({ pack: 1 })
class Packed extends Struct {
  @bits(c_uint8, 3) a!: number;
  @bits(c_int64, 61) b!: bigint;
  @bits(c_int32, 30) c!: number;
  @bits(c_uint64, 63) d!: bigint;
  @bits(c_bool, 1) e!: boolean;
}
@struct({ pack: 1, endian: "big" })
class PackedBig extends Packed {}

const ranges = {
  a: [0n, 1n],
  c: [-4n, 3n],
  d: [0n, 511n],
  e: [-(2n ** 31n), 2n ** 31n - 1n],
  f: [0n, 2n ** 31n - 1n],
  g: [-(2n ** 32n), 2n ** 32n - 1n],
  h: [0n, 2n ** 64n - 1n],
  i: [-1n, 0n],
} as const;

describe("a bit-field", () => {
  test.each(Object.entries(ranges))(
    "the bit-field %s holds the range %p, and no more",
    (name, [least, most]) => {
      const big = name === "g" || name === "h" || name === "i";
      const value = (n: bigint) => (big ? n : Number(n));
      const flags = create(Flags);
      for (const fits of [least, most]) {
        Object.assign(flags, { [name]: value(fits) });
        expect(flags[name as "a"]).toBe(value(fits) as number);
      }
      const before = bytesOf(flags).slice();
      for (const wrong of [least - 1n, most + 1n]) {
        expect(() => Object.assign(flags, { [name]: value(wrong) })).toThrow(RangeError);
        expect(() => Object.assign(flags, { [name]: value(wrong) })).toThrow(`Flags.${name}: expected`);
      }
      expect(() => Object.assign(flags, { [name]: big ? 0 : 0n })).toThrow(TypeError);
      expect(bytesOf(flags)).toEqual(before);
    },
  );

  test("a bit-field of c_bool holds a boolean", () => {
    const flags = create(Flags, { b: true });
    expect([flags.b, bytesOf(flags)[0]]).toEqual([true, 2]);
    expect(() => Object.assign(flags, { b: 1 })).toThrow("Flags.b: expected a boolean, got 1");
  });

  test("a bit-field of signed type with one bit holds 0 and -1, as in C", () => {
    expect(create(Flags, { i: -1n }).i).toBe(-1n);
  });

  test.each([
    ["little-endian", Packed],
    ["big-endian", PackedBig],
  ])("a bit-field across bytes keeps to its bits: %s", (_, cls) => {
    const arbitrary = fc.record({
      a: fc.integer({ min: 0, max: 7 }),
      b: fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n - 1n }),
      c: fc.integer({ min: -(2 ** 29), max: 2 ** 29 - 1 }),
      d: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
      e: fc.boolean(),
    });
    const keys = ["a", "b", "c", "d", "e"] as const;
    const property = fc.property(
      arbitrary,
      arbitrary,
      fc.shuffledSubarray([...keys]),
      (first, second, some) => {
        const view = viewOf(cls, new Uint8Array(24).fill(0xff), 1);
        Object.assign(view, first);
        const expected: Record<string, unknown> = { ...first };
        for (const key of some) {
          Object.assign(view, { [key]: second[key] });
          expected[key] = second[key];
        }
        expect(Object.fromEntries(keys.map((key) => [key, view[key]]))).toEqual(expected as never);
      },
    );
    fc.assert(property, { seed: seedOfRun(), numRuns: 300 });
  });
});

test.each([c_uint8, c_uint64])(
  "a bit-field far behind the first 512 MiB is stored where it stands: %p",
  (type) => {
    const offset = 2 ** 32 + 2 ** 20 + 3;
    const start = Math.floor(offset / 8);
    const bits = { offset, width: 5 };
    const place = { name: "x", type: new BitsType(type, 5), offset: start, size: type.size, bits };
    const [member] = withAccess([place], { kind: "struct", size: start + 8, align: 8 }) as BitMember[];
    const region = new Region(new ArrayBuffer(8), 0, 8, 0);
    // The struct begins so far in front of the memory that these are its bytes.
    writeBits(member!, region, -start, 21);
    expect(region.bytes[0]).toBe(21 << 3);
  },
);

describe("what a bit-field is reached by", () => {
  const accessOf = (cls: StructClass, name: string) => {
    const { load, store, tears } = layoutOfClass(cls).byName.get(name)!.access!;
    const shown = (list: typeof load) =>
      list.map(({ byteOffset, size }) => `${size}@${byteOffset}`).join(" ");
    return { load: shown(load), store: shown(store), tears };
  };

  test("a bit-field is reached by the smallest aligned access that covers it", () => {
    class W extends Struct {
      @bits(c_uint32, 4) kind!: number;
      @bits(c_uint32, 16) index!: number;
      @bits(c_uint32, 12) gen!: number;
    }
    expect(accessOf(W, "kind")).toEqual({ load: "1@0", store: "1@0", tears: false });
    expect(accessOf(W, "index")).toEqual({ load: "4@0", store: "4@0", tears: false });
    expect(accessOf(W, "gen")).toEqual({ load: "2@2", store: "2@2", tears: false });
  });

  test("the access of a bit-field takes in no member that is not a bit-field: unsigned a:12 before a char is 2 bytes", () => {
    class A extends Struct {
      @bits(c_uint32, 12) a!: number;
      @field(c_uint8) b!: number;
    }
    expect(accessOf(A, "a")).toEqual({ load: "2@0", store: "2@0", tears: false });
  });

  test("a bit-field without a single access is stored in parts, and then it tears: unsigned a:24 before a char", () => {
    class A extends Struct {
      @bits(c_uint32, 24) a!: number;
      @field(c_uint8) b!: number;
    }
    expect(accessOf(A, "a")).toEqual({ load: "4@0", store: "2@0 1@2", tears: true });
    expect(layoutOf(A).fields.a.tears).toBe(true);
    const view = viewOf(A, new Uint8Array([1, 2, 3, 4]));
    expect(view.a).toBe(0x030201);
    view.a = 0xaabbcc;
    expect([...bytesOf(view)]).toEqual([0xcc, 0xbb, 0xaa, 4]);
  });

  test("the access of a bit-field ends at a zero-width bit-field, as C11's memory location does", () => {
    class A extends Struct {
      @bits(c_uint32, 20) a!: number;
      @bits(c_uint8, 0) _!: number;
      @bits(c_uint8, 4) b!: number;
    }
    expect(accessOf(A, "a")).toEqual({ load: "4@0", store: "2@0 1@2", tears: true });
    expect(accessOf(A, "b")).toEqual({ load: "1@3", store: "1@3", tears: false });
    expect(layoutOf(A).fields.b.bits).toEqual({ offset: 24, width: 4, apart: true });
  });

  test("a bit-field tears where packing puts it over the edge of every aligned access", () => {
    expect(accessOf(Packed, "a").tears).toBe(false);
    for (const name of ["b", "c", "d"]) expect(accessOf(Packed, name).tears).toBe(true);
  });
});

describe("bit-fields of other types", () => {
  enum Mode {
    Idle = 0,
    Run = 1,
    Stop = 5,
  }
  class Mixed extends Struct {
    @bits(enumOf(c_uint8, Mode), 3) mode!: Mode;
    @bits(asNumber(c_uint64), 50) nanoseconds!: number;
    @bits(asNumber(c_int64), 5) small!: number;
    @bits(asNumber(c_uint64), 60) large!: number;
    @bits(enumOf(c_uint64, { A: 1n, B: 2n }), 2) big!: 1n | 2n;
  }

  test("bit-fields of enums and asNumber hold what the type holds", () => {
    const mixed = create(Mixed, { mode: Mode.Stop, nanoseconds: 2 ** 50 - 1, small: -16, large: 7, big: 2n });
    expect(toObject(mixed)).toEqual({ mode: 5, nanoseconds: 2 ** 50 - 1, small: -16, large: 7, big: 2n });
    mixed.mode = Mode.Run;
    mixed.small = 15;
    expect([mixed.mode, mixed.nanoseconds, mixed.small]).toEqual([1, 2 ** 50 - 1, 15]);
  });

  test("bit-fields of enums and asNumber refuse what the type or the width cannot hold", () => {
    const mixed = create(Mixed);
    const before = bytesOf(mixed).slice();
    const wrong: [string, unknown, string][] = [
      ["mode", 2, "Mixed.mode: expected one of Idle (0), Run (1), Stop (5), got 2"],
      ["nanoseconds", 2 ** 50, "Mixed.nanoseconds: expected an integer from 0 to 1125899906842623"],
      ["nanoseconds", 1.5, "Mixed.nanoseconds: expected an integer"],
      ["nanoseconds", 1n, "Mixed.nanoseconds: expected an integer"],
      ["small", 16, "Mixed.small: expected an integer from -16 to 15, got 16"],
      ["large", 2 ** 60, "Mixed.large: expected a safe integer"],
      ["big", 3n, "Mixed.big: expected one of A (1n), B (2n), got 3n"],
    ];
    for (const [name, value, message] of wrong) {
      expect(() => Object.assign(mixed, { [name]: value })).toThrow(message);
      expect(() => assign(mixed, { [name]: value })).toThrow(message);
    }
    expect(bytesOf(mixed)).toEqual(before);
  });

  test("a bit-field of asNumber with more than 53 bits refuses to show an unsafe integer", () => {
    const mixed = create(Mixed);
    bytesOf(mixed).fill(0xff);
    expect(() => mixed.large).toThrow("Mixed.large: expected a safe integer");
  });

  test("bit-fields of enums and asNumber come back from a schema", () => {
    const Again = structFromSchema(JSON.parse(JSON.stringify(layoutOf(Mixed))));
    const mixed = create(Mixed, { mode: Mode.Stop, small: -3, big: 1n });
    expect(toObject(viewOf(Again, bytesOf(mixed)))).toEqual(toObject(mixed));
    expect(layoutOf(Again)).toEqual(layoutOf(Mixed) as never);
  });
});
