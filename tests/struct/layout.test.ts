import { describe, expect, test } from "bun:test";
import {
  type Atomic,
  alignof,
  array,
  atomic,
  bits,
  type CArray,
  c_bool,
  c_char,
  c_double,
  c_float,
  c_int8,
  c_int16,
  c_int32,
  c_int64,
  c_longdouble,
  c_uint8,
  c_uint16,
  chars,
  field,
  layoutOf,
  MmapStructure,
  offsetof,
  Struct,
  type StructArray,
  sizeof,
  Union,
} from "../../src/struct/index.ts";
import { define, refusal, roundsOfStyle } from "../support/define.ts";
import { isArm64, isEmulated } from "../support/platform.ts";
import { seedOfRun } from "../support/random.ts";
import { refereeStructs } from "../support/struct-referees.ts";
import { hasTool } from "../support/tools.ts";

const offsets = (cls: typeof Struct): Record<string, number> =>
  Object.fromEntries(Object.entries(layoutOf(cls).fields).map(([name, { offset }]) => [name, offset]));

describe("natural alignment", () => {
  test("natural alignment pads a char before an int32 to offset 4", () => {
    class Padded extends Struct {
      @field(c_char) a!: string;
      @field(c_int32) b!: number;
      @field(c_int8) c!: number;
    }
    expect([offsets(Padded), sizeof(Padded), alignof(Padded)]).toEqual([{ a: 0, b: 4, c: 8 }, 12, 4]);
  });

  test("the shared header is IPMMAP's: short at 0, double at 8, 16 bytes", () => {
    class Robot extends MmapStructure {
      @field(c_int8) mode!: number;
      @field(c_double) speed!: number;
    }
    expect([offsetof(Robot, "header.header_code"), offsetof(Robot, "header.time_stamp")]).toEqual([0, 8]);
    expect([offsets(Robot), sizeof(Robot)]).toEqual([{ header: 0, mode: 16, speed: 24 }, 32]);
  });

  test("a derived struct begins after the padding of its base, unlike in C++", () => {
    class Base extends Struct {
      @field(c_int32) a!: number;
      @field(c_int8) b!: number;
    }
    class Derived extends Base {
      @field(c_int8) c!: number;
    }
    expect([offsets(Derived), sizeof(Derived)]).toEqual([{ a: 0, b: 4, c: 8 }, 12]);
  });

  test("a long double takes 16 bytes, aligned to 16", () => {
    class Wide extends Struct {
      @field(c_int8) a!: number;
      @field(c_longdouble) b!: number;
    }
    expect([offsets(Wide), sizeof(Wide)]).toEqual([{ a: 0, b: 16 }, 32]);
  });

  test("arrays of arrays of structs lie element after element", () => {
    class Point extends Struct {
      @field(c_int16) x!: number;
      @field(c_int8) y!: number;
    }
    class Grid extends Struct {
      @field(c_int8) n!: number;
      @field(array(Point, 2, 3)) points!: CArray<StructArray<Point>>;
      @field(array(chars(3), 2)) names!: CArray<string>;
    }
    expect(offsetof(Grid, "points.1.2.y")).toBe(2 + (3 + 2) * 4 + 2);
    expect([offsets(Grid), sizeof(Grid)]).toEqual([{ n: 0, points: 2, names: 26 }, 32]);
  });
});

describe("packing and alignment", () => {
  test("pack 1 leaves no padding, pack 2 at most one byte", async () => {
    const sizes = (pack: number) =>
      define(`@s.struct({ pack: ${pack} }) class P extends s.Struct {
        @s.field(s.c_int8) a!: number; @s.field(s.c_int64) b!: bigint }
        return [s.sizeof(P), s.alignof(P)];`);
    expect(await sizes(1)).toEqual([9, 1]);
    expect(await sizes(2)).toEqual([10, 2]);
    expect(await sizes(16)).toEqual([16, 8]);
  });

  test("align raises the alignment and so the size, never lowers it", async () => {
    const sizes = (align: number) =>
      define(`@s.struct({ align: ${align} }) class A extends s.Struct { @s.field(s.c_int32) a!: number }
        return [s.sizeof(A), s.alignof(A)];`);
    expect(await sizes(64)).toEqual([64, 64]);
    expect(await sizes(1)).toEqual([4, 4]);
  });
});

describe("bit-fields, as gcc packs them", () => {
  const bitsOf = (cls: typeof Struct) =>
    Object.fromEntries(Object.entries(layoutOf(cls).fields).map(([name, { bits }]) => [name, bits?.offset]));

  test("neighbouring bit-fields share a unit, and each stays within one unit of its type", () => {
    class Flags extends Struct {
      @bits(c_int32, 3) a!: number;
      @bits(c_int32, 28) b!: number;
      @bits(c_int32, 2) c!: number;
    }
    expect([bitsOf(Flags), sizeof(Flags)]).toEqual([{ a: 0, b: 3, c: 32 }, 8]);
  });

  test("a bit-field moves into the rest of the unit that a byte before it left", () => {
    class Mixed extends Struct {
      @field(c_int8) a!: number;
      @bits(c_int32, 8) b!: number;
      @bits(c_uint16, 9) c!: number;
      @bits(c_bool, 1) d!: boolean;
      @field(c_uint8) e!: number;
    }
    expect([bitsOf(Mixed), offsetof(Mixed, "e"), sizeof(Mixed)]).toEqual([
      { a: undefined, b: 8, c: 16, d: 25, e: undefined },
      4,
      8,
    ]);
  });

  test("a bit-field of width 0 closes the unit", () => {
    class Closed extends Struct {
      @bits(c_int8, 3) a!: number;
      @bits(c_int32, 0) _!: number;
      @bits(c_int8, 3) b!: number;
    }
    expect([bitsOf(Closed), sizeof(Closed), alignof(Closed)]).toEqual([
      { a: 0, b: 32 },
      ...(isArm64 ? [8, 4] : [5, 1]),
    ]);
  });

  test("packed bit-fields straddle units", async () => {
    const layout = await define(`@s.struct({ pack: 1 }) class P extends s.Struct {
      @s.bits(s.c_int32, 30) a!: number; @s.bits(s.c_int32, 10) b!: number; @s.bits(s.c_int64, 60) c!: bigint }
      return [s.layoutOf(P).fields.c.bits, s.sizeof(P)];`);
    expect(layout).toEqual([{ offset: 40, width: 60 }, 13]);
  });
});

describe("unions and flexible arrays", () => {
  test("all members of a union begin at 0", () => {
    class Value extends Union {
      @field(c_int8) small!: number;
      @field(c_double) large!: number;
      @field(array(c_float, 3)) three!: Float32Array;
    }
    expect([offsets(Value), sizeof(Value), alignof(Value)]).toEqual([
      { small: 0, large: 0, three: 0 },
      16,
      8,
    ]);
  });

  test("a flexible array adds nothing to the size but its alignment", () => {
    class Message extends Struct {
      @field(c_int8) kind!: number;
      @field(array(c_int32)) words!: Int32Array;
    }
    expect([offsets(Message), sizeof(Message)]).toEqual([{ kind: 0, words: 4 }, 4]);
  });
});

describe("what cannot be laid out", () => {
  const flexible =
    "class Open extends s.Struct { @s.field(s.c_int8) n!: number; @s.field(s.array(s.c_int8)) a!: unknown }";

  test.each([
    [
      "a member behind a flexible array",
      "class Bad extends s.Struct { @s.field(s.array(s.c_int8)) a!: unknown; @s.field(s.c_int8) b!: number }",
      "Bad.b follows a flexible array, which must be the last member",
    ],
    [
      "an array of structs with a flexible array",
      `${flexible}; class Bad extends s.Struct { @s.nested(Open, 2) a!: unknown }`,
      "Bad.a: Open ends in a flexible array, so there cannot be several in a row",
    ],
    [
      "a class derived from one with a flexible array",
      `${flexible}; class Bad extends Open { @s.field(s.c_int8) b!: number }`,
      "Bad extends Open, whose flexible array must stay the last member",
    ],
    [
      "a derived class of the other byte order",
      `@s.struct({ endian: "little" }) class Base extends s.Struct { @s.field(s.c_int16) a!: number }
       @s.struct({ endian: "big" }) class Bad extends Base { @s.field(s.c_int16) b!: number }`,
      "Bad extends Base, which is little-endian; one object cannot have two byte orders, nest it instead",
    ],
    [
      "an anonymous member of the other byte order",
      `@s.struct({ endian: "big" }) class Part extends s.Struct { @s.field(s.c_int16) a!: number }
       class Bad extends s.Struct { @s.anonymous(Part) part!: unknown }`,
      "Bad.part: the anonymous member Part has another byte order; make it a @nested one",
    ],
    [
      "two members of one name, one of them anonymous",
      `class Part extends s.Struct { @s.field(s.c_int16) a!: number }
       class Bad extends s.Struct { @s.field(s.c_int8) a!: number; @s.anonymous(Part) part!: unknown }`,
      "Bad.a is declared twice (once by the anonymous member part)",
    ],
    [
      "nothing but a closed bit-field",
      "class Bad extends s.Struct { @s.bits(s.c_int8, 0) _!: number }",
      "Bad has no fields: declare them with @field(type), @nested(Class) or @bits(type, width); one that is meant to have none says @struct({ empty: true })",
    ],
    [
      "more than one buffer can hold",
      "class Bad extends s.Struct { @s.field(s.array(s.c_int8, 2 ** 20, 2 ** 13)) a!: unknown }",
      "Bad takes 8589934592 bytes; the most is 4294967296",
    ],
    [
      "a packed atomic",
      "@s.struct({ pack: 1 }) class Bad extends s.Struct { @s.field(s.c_int8) a!: number; @s.field(s.atomic(s.c_int32)) n!: unknown }",
      "Bad.n: an atomic must be aligned to its 4 bytes, and packing puts it at 1",
    ],
    [
      "an atomic packed by the struct around its own",
      `class Counter extends s.Struct { @s.field(s.atomic(s.c_int64)) n!: unknown }
       @s.struct({ pack: 2 }) class Bad extends s.Struct { @s.field(s.c_int8) a!: number; @s.nested(Counter) c!: unknown }`,
      "Bad.c: an atomic must be aligned to its 8 bytes, and packing puts it at 2",
    ],
    [
      "an array in which only the first atomic is aligned",
      `@s.struct({ pack: 1 }) class Odd extends s.Struct { @s.field(s.atomic(s.c_int32)) n!: unknown; @s.field(s.c_int8) a!: number }
       class Bad extends s.Struct { @s.nested(Odd, 2) c!: unknown }`,
      "Bad.c: an atomic must be aligned to its 4 bytes, and packing puts it at 0",
    ],
    [
      "a big-endian atomic",
      '@s.struct({ endian: "big" }) class Bad extends s.Struct { @s.field(s.atomic(s.c_int32)) n!: unknown }',
      "Bad.n: atomics work in the machine's byte order only, not in a big-endian struct",
    ],
    [
      "an atomic that a derived class would turn around",
      `class Counter extends s.Struct { @s.field(s.atomic(s.c_int32)) n!: unknown }
       @s.struct({ endian: "big" }) class Bad extends Counter { @s.field(s.c_int8) a!: number }`,
      "Bad extends Counter: atomics work in the machine's byte order only, not in a big-endian struct",
    ],
  ])("a struct is refused that cannot be laid out: %s", async (_, source, message) => {
    expect(await refusal(`${source}; s.sizeof(Bad);`)).toBe(message);
  });

  test("a big-endian struct may hold an atomic of one byte, and a little-endian struct with atomics", async () => {
    const size = await define(`
      @s.struct({ endian: "little" }) class Counter extends s.Struct { @s.field(s.atomic(s.c_int32)) n!: unknown }
      @s.struct({ endian: "big" }) class Good extends s.Struct {
        @s.field(s.atomic(s.c_uint8)) a!: unknown; @s.nested(Counter) c!: unknown }
      return s.sizeof(Good);`);
    expect(size).toBe(8);
  });
});

test("layouts are deeply frozen", () => {
  class Frozen extends Struct {
    @field(array(chars(4), 2)) names!: CArray<string>;
    @field(atomic(c_int64)) n!: Atomic<bigint>;
  }
  const isFrozen = (value: unknown): boolean =>
    typeof value !== "object" ||
    value === null ||
    (Object.isFrozen(value) && Object.values(value).every(isFrozen));
  expect(isFrozen(layoutOf(Frozen))).toBe(true);
});

test.skipIf(!hasTool("gcc") || !hasTool("python3"))(
  "random structs are laid out, written and read as gcc and ctypes do it (needs gcc and python3)",
  async () => {
    const seed = seedOfRun();
    console.log(`SEED=${seed}`);
    const count = roundsOfStyle(300);
    const tally = await refereeStructs(seed, count);
    expect(tally.structs).toBe(count);
    // One in five can be expressed in ctypes; of a few structs by chance none.
    if (!isEmulated && count >= 300) expect(tally.ctypes).toBeGreaterThan(count / 20);
  },
  240_000,
);
