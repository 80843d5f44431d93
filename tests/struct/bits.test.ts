import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type BitScalar, BitsType } from "../../src/struct/declare/composite.ts";
import {
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
  Struct,
  struct,
  viewOf,
} from "../../src/struct/index.ts";
import type { Member } from "../../src/struct/layout/layout.ts";
import { Region } from "../../src/struct/memory/memory.ts";
import { readBits, writeBits } from "../../src/struct/view/bits.ts";
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
  test.each(Object.entries(ranges))("%s holds %p, and no more", (name, [least, most]) => {
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
  });

  test("of c_bool holds a boolean", () => {
    const flags = create(Flags, { b: true });
    expect([flags.b, bytesOf(flags)[0]]).toEqual([true, 2]);
    expect(() => Object.assign(flags, { b: 1 })).toThrow("Flags.b: expected a boolean, got 1");
  });

  test("of signed type with one bit holds 0 and -1, as in C", () => {
    expect(create(Flags, { i: -1n }).i).toBe(-1n);
  });

  test.each([
    ["little-endian", Packed],
    ["big-endian", PackedBig],
  ])("keeps to its bits: %s, across bytes", (_, cls) => {
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
  "a bit-field far behind the first 512 MiB is read where it stands: %p",
  (type) => {
    const offset = 2 ** 32 + 2 ** 20 + 3;
    const bits = { offset, width: 5 };
    const member: Member = {
      name: "x",
      type: new BitsType(type as BitScalar, bits.width),
      offset: Math.floor(offset / 8),
      size: type.size,
      bits,
    };
    // The struct begins so far in front of the memory that these are its bytes.
    const base = -Math.floor(offset / 8);
    const region = new Region(new ArrayBuffer(8), 0, 8, 0);
    writeBits(bits, region, base, 21);
    expect(region.bytes[0]).toBe(21 << 3);
    expect(Number(readBits(member, region, base))).toBe(21);
  },
);
