import { describe, expect, test } from "bun:test";
import { StructDefinitionError } from "../../src/errors/errors.ts";
import { viewAt } from "../../src/struct/functions.ts";
import {
  array,
  asNumber,
  assign,
  type CArray,
  type CType,
  c_bool,
  c_byte,
  c_char,
  c_double,
  c_float,
  c_int,
  c_int8,
  c_int16,
  c_int32,
  c_int64,
  c_long,
  c_longdouble,
  c_longlong,
  c_short,
  c_size_t,
  c_ssize_t,
  c_time_t,
  c_ubyte,
  c_uint,
  c_uint8,
  c_uint16,
  c_uint32,
  c_uint64,
  c_ulong,
  c_ulonglong,
  c_ushort,
  c_void_p,
  c_wchar,
  chars,
  convert,
  create,
  enumOf,
  field,
  Struct,
  sizeof,
  viewOf,
} from "../../src/struct/index.ts";
import { FRESH, READ_ONLY, Region } from "../../src/struct/memory/memory.ts";

enum Mode {
  Idle,
  Run = 5,
  Stop = -1,
}
const Level = { low: 1n, high: 2n ** 40n } as const;

class Numbers extends Struct {
  @field(c_bool) flag!: boolean;
  @field(c_int8) i8!: number;
  @field(c_uint8) u8!: number;
  @field(c_int16) i16!: number;
  @field(c_uint16) u16!: number;
  @field(c_int32) i32!: number;
  @field(c_uint32) u32!: number;
  @field(c_int64) i64!: bigint;
  @field(c_uint64) u64!: bigint;
  @field(c_float) f32!: number;
  @field(c_double) f64!: number;
  @field(c_void_p) pointer!: bigint;
  @field(c_char) letter!: string;
  @field(c_wchar) wide!: string;
  @field(asNumber(c_int64)) safe!: number;
  @field(asNumber(c_uint64)) unsigned!: number;
  @field(enumOf(c_int8, Mode)) mode!: Mode;
  @field(enumOf(c_uint64, Level)) level!: 1n | 1099511627776n;
}

/** Sets the field and gives what reading it gives. */
function through(name: keyof Numbers, value: unknown): unknown {
  const view = create(Numbers);
  Object.assign(view, { [name]: value });
  return view[name];
}

test.each<[unknown[], string]>([
  [
    [Mode, c_int8],
    "enumOf: expected an integer type and then an enum, as in enumOf(c_uint8, Mode), got an object first",
  ],
  [[c_int8, c_int8], "enumOf: expected an enum or an object of its members after the type, got an object"],
  [[c_int8], "enumOf: expected an enum or an object of its members after the type, got undefined"],
  [[undefined, Mode], "got undefined first"],
  [[c_int8, {}], "enumOf(c_int8): the enum has no members"],
  [[c_int8, { A: "a" }], 'enumOf(c_int8): member A is "a"; only numbers and bigints can be stored'],
  [[c_int8, { A: 1, B: "A" }], 'enumOf(c_int8): member B is "A"'],
])("wrong arguments of enumOf are refused (%#)", (args, message) => {
  const loose = enumOf as (...args: unknown[]) => unknown;
  expect(() => loose(...args)).toThrow(message);
  expect(() => loose(...args)).toThrow(StructDefinitionError);
});

test("names of an enum may look like numbers, and values may have several names", () => {
  const Kind = enumOf(c_uint8, { "2D": 0, "3D": 1, 4: 4 } as const);
  expect([Kind.check(0), Kind.check(1), Kind.check(4)]).toEqual([0, 1, 4]);
  expect(() => Kind.check(2)).toThrow("expected one of 4 (4), 2D (0), 3D (1), got 2");
  enum Again {
    A = -1,
    B = -1,
    C = 1.5e1,
  }
  expect(enumOf(c_int8, Again).check(-1)).toBe(-1);
});

test("enumOf names a member that its type cannot hold", () => {
  expect(() => enumOf(c_uint8, { low: 1, high: 256 })).toThrow(
    new RangeError("enumOf(c_uint8).high: expected an integer from 0 to 255, got 256"),
  );
});

test.each<[unknown, string]>([
  [c_int32, "c_int32"],
  [c_bool, "c_bool"],
  [chars(8), "chars(8)"],
  [asNumber(c_int64), "asNumber(c_int64)"],
  [Int32Array, "function Int32Array"],
  [undefined, "undefined"],
])("asNumber refuses what is no 64-bit integer type (%#)", (type, shown) => {
  expect(() => asNumber(type as CType<bigint>)).toThrow(
    new TypeError(`asNumber: expected a type whose values are bigints, such as c_int64, got ${shown}`),
  );
});

test("an enum may have a member called check", () => {
  enum Move {
    check,
    fold,
  }
  expect(enumOf(c_int8, Move).check(Move.check)).toBe(Move.check);
});

describe("sizes and alignments are C's", () => {
  const sizes: [CType<unknown>, number][] = [
    [c_bool, 1],
    [c_char, 1],
    [c_wchar, 4],
    [c_byte, 1],
    [c_ubyte, 1],
    [c_short, 2],
    [c_ushort, 2],
    [c_int, 4],
    [c_uint, 4],
    [c_long, 8],
    [c_ulong, 8],
    [c_longlong, 8],
    [c_ulonglong, 8],
    [c_size_t, 8],
    [c_ssize_t, 8],
    [c_time_t, 8],
    [c_float, 4],
    [c_double, 8],
    [c_longdouble, 16],
    [c_void_p, 8],
  ];
  test.each(sizes.map(([type, size]) => [type.name, size, type] as const))(
    "%s has C's size and alignment: %d",
    (_, size, type) => {
      expect([type.size, type.align]).toEqual([size, size]);
    },
  );
});

describe("what is stored comes back", () => {
  test.each<[keyof Numbers, unknown]>([
    ["flag", true],
    ["i8", -128],
    ["i8", 127],
    ["u8", 255],
    ["i16", -32768],
    ["u16", 65535],
    ["i32", -2147483648],
    ["u32", 4294967295],
    ["i64", -(2n ** 63n)],
    ["i64", 2n ** 63n - 1n],
    ["u64", 2n ** 64n - 1n],
    ["f32", 1.5],
    ["f32", Number.NaN],
    ["f32", -Infinity],
    ["f32", -0],
    ["f64", Math.PI],
    ["f64", Number.MIN_VALUE],
    ["pointer", 2n ** 64n - 1n],
    ["letter", "\u00ff"],
    ["letter", "\0"],
    ["wide", "\u{1f600}"],
    ["safe", Number.MIN_SAFE_INTEGER],
    ["unsigned", Number.MAX_SAFE_INTEGER],
    ["mode", Mode.Stop],
    ["level", 2n ** 40n],
  ])("a value stored in a member comes back: %s = %p", (name, value) => {
    expect(through(name, value)).toBe(value);
  });

  test("a number stored in a c_float is rounded to the nearest float", () => {
    expect(through("f32", 0.1)).toBe(Math.fround(0.1));
    expect(through("f32", 3.4028235677973366e38 - 1e31)).toBe(3.4028234663852886e38);
  });

  test("-0 stored in an integer comes back as 0", () => {
    expect(through("i32", -0)).toBe(0);
  });
});

describe("what does not fit is refused", () => {
  const integer = (least: unknown, most: unknown) => `expected an integer from ${least} to ${most}`;
  const bigint = (least: unknown, most: unknown) => `expected a bigint from ${least}n to ${most}n`;
  const float = "expected a number within ±3.4028234663852886e38 (or an infinity)";
  const safe = "expected a safe integer (within ±(2^53 - 1)); use the bigint type itself for larger ones";
  const mode = "expected one of Idle (0), Run (5), Stop (-1)";

  test.each<[keyof Numbers, unknown, typeof RangeError, string]>([
    ["flag", 1, TypeError, "expected a boolean, got 1"],
    ["flag", "true", TypeError, 'expected a boolean, got "true"'],
    ["i8", 128, RangeError, `${integer(-128, 127)}, got 128`],
    ["i8", "1", TypeError, `${integer(-128, 127)}, got "1"`],
    ["i8", 1n, TypeError, `${integer(-128, 127)}, got 1n`],
    ["i8", true, TypeError, `${integer(-128, 127)}, got true`],
    ["i8", undefined, TypeError, `${integer(-128, 127)}, got undefined`],
    ["i8", null, TypeError, `${integer(-128, 127)}, got null`],
    ["i8", [1], TypeError, `${integer(-128, 127)}, got an array of 1`],
    ["i8", { valueOf: () => 1 }, TypeError, `${integer(-128, 127)}, got an object`],
    ["i8", new Date(0), TypeError, `${integer(-128, 127)}, got a Date`],
    ["u8", -1, RangeError, `${integer(0, 255)}, got -1`],
    ["u8", 256, RangeError, `${integer(0, 255)}, got 256`],
    ["i16", 1.5, RangeError, `${integer(-32768, 32767)}, got 1.5`],
    ["u16", Number.NaN, RangeError, `${integer(0, 65535)}, got NaN`],
    ["i32", 2 ** 31, RangeError, `${integer(-2147483648, 2147483647)}, got 2147483648`],
    ["u32", Infinity, RangeError, `${integer(0, 4294967295)}, got Infinity`],
    ["u32", 2 ** 53, RangeError, `${integer(0, 4294967295)}, got 9007199254740992`],
    ["i64", 1, TypeError, `${bigint(-(2n ** 63n), 2n ** 63n - 1n)}, got 1`],
    ["i64", 2n ** 63n, RangeError, `${bigint(-(2n ** 63n), 2n ** 63n - 1n)}, got 9223372036854775808n`],
    ["u64", -1n, RangeError, `${bigint(0, 2n ** 64n - 1n)}, got -1n`],
    ["u64", 1n << 4000n, RangeError, `${bigint(0, 2n ** 64n - 1n)}, got a huge bigint`],
    ["f32", 1e39, RangeError, `${float}, got 1e+39`],
    ["f32", "1", TypeError, 'expected a number, got "1"'],
    ["f64", 1n, TypeError, "expected a number, got 1n"],
    ["pointer", 0, TypeError, `${bigint(0, 2n ** 64n - 1n)}, got 0`],
    ["letter", "ab", RangeError, 'expected a string of one Latin-1 character, got "ab"'],
    ["letter", "\u20ac", RangeError, 'expected a string of one Latin-1 character, got "\u20ac"'],
    ["letter", 65, TypeError, "expected a string of one Latin-1 character, got 65"],
    ["wide", "", RangeError, 'expected a string of one code point, got ""'],
    ["wide", "\ud800", RangeError, 'expected a string of one code point, got "\\ud800"'],
    ["wide", "e\u0301", RangeError, 'expected a string of one code point, got "e\u0301"'],
    ["safe", 2 ** 53, RangeError, `${safe}, got 9007199254740992`],
    ["safe", 0.5, RangeError, `${safe}, got 0.5`],
    ["safe", 1n, TypeError, "expected a number, got 1n"],
    ["unsigned", -1, RangeError, "expected a whole number from 0 on, got -1"],
    ["mode", 2, RangeError, `${mode}, got 2`],
    ["mode", "Run", TypeError, `${mode}, got "Run"`],
    ["level", 3n, RangeError, "expected one of low (1n), high (1099511627776n), got 3n"],
    ["level", 1, RangeError, "expected one of low (1n), high (1099511627776n), got 1"],
  ])("a value that does not fit a member is refused: %s = %p", (name, value, kind, message) => {
    const act = () => through(name, value);
    expect(act).toThrow(kind);
    expect(act).toThrow(`Numbers.${String(name)}: ${message}`);
  });

  test("an array refuses what the type of its elements refuses", () => {
    class Row extends Struct {
      @field(array(c_uint8, 2)) row!: Uint8Array;
    }
    expect(() => Object.assign(create(Row), { row: [1, 256] })).toThrow(
      "Row.row[1]: expected an integer from 0 to 255, got 256",
    );
  });
});

describe("bytes that another program left", () => {
  class Any extends Struct {
    @field(c_bool) flag!: boolean;
    @field(enumOf(c_uint8, { A: 1 } as const)) known!: 1;
    @field(c_wchar) wide!: string;
    @field(asNumber(c_uint64)) safe!: number;
  }
  const view = viewOf(Any, new Uint8Array(24).fill(255));

  test("a c_bool of any byte but 0 reads as true", () => expect(view.flag).toBe(true));
  test("an enum shows a value that it does not have as the number", () =>
    expect(view.known as number).toBe(255));
  test("a wchar_t that is no code point reads as U+FFFD", () => expect(view.wide).toBe("\ufffd"));
  test("asNumber refuses to round a stored value", () => {
    expect(() => view.safe).toThrow(
      new RangeError(
        "Any.safe: expected a safe integer (within ±(2^53 - 1)); use the bigint type itself for larger ones, got 18446744073709551615n",
      ),
    );
  });
});

test.each<[unknown[], string]>([
  [[c_int32, {}], "convert: option name must be a string, got undefined"],
  [[c_int32], "convert: option name must be a string, got undefined"],
  [[c_int32, { name: "n", encode: Number }], "convert: option decode must be a function, got undefined"],
  [[c_int32, { name: "n", decode: Number }], "convert: option encode must be a function, got undefined"],
  [[c_int32, { name: 5 }], "convert: option name must be a string, got 5"],
  [[c_int32, { name: "n", read: Number }], 'convert: there is no option "read"'],
  [[c_int32, "n"], 'convert: expected options such as { name: … }, got "n"'],
  [[undefined, {}], "convert: expected a type such as c_int32, got undefined"],
  [[{ name: "n" }, {}], "convert: expected a type such as c_int32, got an object"],
  [[array(c_int32, 2), {}], "convert: expected a type such as c_int32, got an ArrayType"],
])("wrong arguments of convert are refused (%#)", (args, message) => {
  const loose = convert as (...args: unknown[]) => unknown;
  expect(() => loose(...args)).toThrow(message);
  expect(() => loose(...args)).toThrow(TypeError);
});

describe("types of one's own", () => {
  const fixed16: CType<number> = {
    name: "fixed16",
    size: 4,
    align: 4,
    read: (memory, byteOffset) => memory.view.getInt32(byteOffset, memory.littleEndian) / 65536,
    write: (memory, byteOffset, value) =>
      memory.view.setInt32(byteOffset, value * 65536, memory.littleEndian),
    check: (value) => {
      if (typeof value !== "number") throw new TypeError("expected a number");
      if (!(Math.abs(value) < 32768)) throw new RangeError("expected a number from -32768 to 32768");
      return value;
    },
  };
  const date_ms = convert(c_int64, {
    name: "date_ms",
    decode: (ms) => new Date(Number(ms)),
    encode: (value) => {
      if (!(value instanceof Date) || Number.isNaN(value.getTime()))
        throw new TypeError("expected a valid Date");
      return BigInt(value.getTime());
    },
  });
  class Own extends Struct {
    @field(fixed16) price!: number;
    @field(array(fixed16, 2)) prices!: CArray<number>;
    @field(date_ms) when!: Date;
  }

  test("types of one's own stand wherever a built-in one does", () => {
    const own = create(Own, { price: 1.5, prices: [-2.25, 3], when: new Date(86_400_000) });
    expect([own.price, ...own.prices, own.when.toISOString()]).toEqual([
      1.5,
      -2.25,
      3,
      "1970-01-02T00:00:00.000Z",
    ]);
  });

  test("types of one's own refuse a value with struct, field and their own words", () => {
    const own = create(Own);
    expect(() => Object.assign(own, { price: 40000 })).toThrow(
      new RangeError("Own.price: expected a number from -32768 to 32768"),
    );
    expect(() => Object.assign(own, { prices: [1, "2"] })).toThrow(
      new TypeError("Own.prices[1]: expected a number"),
    );
    expect(() => Object.assign(own, { when: new Date(Number.NaN) })).toThrow(
      new TypeError("Own.when: expected a valid Date"),
    );
  });

  test("types of one's own read a copy where the memory is read-only: a store through it would kill the process", () => {
    const places: [number, number][] = [];
    /** Hands out the memory itself, which it must not. */
    const careless: CType<Uint8Array> = {
      name: "careless",
      size: 4,
      align: 4,
      read: ({ bytes, view }, byteOffset) => {
        places.push([byteOffset, view.byteLength]);
        return bytes.subarray(byteOffset, byteOffset + 4);
      },
      write: ({ bytes }, byteOffset, value) => bytes.set(value, byteOffset),
      check: (value) => value as Uint8Array,
    };
    const seen = convert(careless, {
      name: "seen",
      decode: (bytes) => bytes,
      encode: (v) => v as Uint8Array,
    });
    const disguised = convert({ ...c_int32, read: careless.read } as unknown as CType<Uint8Array>, {
      name: "disguised",
      decode: (bytes) => bytes,
      encode: (v) => v as Uint8Array,
    });
    class Careless extends Struct {
      @field(c_int32) first!: number;
      @field(careless) one!: Uint8Array;
      @field(array(careless, 2)) many!: CArray<Uint8Array>;
      @field(seen) other!: Uint8Array;
      @field(disguised) third!: Uint8Array;
    }
    const buffer = new ArrayBuffer(sizeof(Careless));
    const writable = viewOf(Careless, buffer);
    assign(writable, { one: Uint8Array.of(1, 2, 3, 4) });
    for (const mode of [READ_ONLY, READ_ONLY | FRESH]) {
      const view = viewAt(Careless, new Region(buffer, 0, buffer.byteLength, mode), 0);
      expect([...view.one]).toEqual([1, 2, 3, 4]);
      const parts = [view.one, view.many.at(1), ...view.many, view.other, view.third];
      for (const part of parts) part.fill(9);
    }
    expect([...new Uint8Array(buffer)]).toEqual([0, 0, 0, 0, 1, 2, 3, 4, ...Array(16).fill(0)]);
    expect(new Set(places.map(String))).toEqual(new Set(["0,4"]));
    places.length = 0;
    writable.one.fill(8);
    expect([...writable.one, ...places]).toEqual([8, 8, 8, 8, [4, 24], [4, 24]]);
  });

  test("an error from the check of a type of one's own comes out as a TypeError that keeps the cause", () => {
    const reason = new Error("never");
    const moody = convert(c_int8, {
      name: "moody",
      decode: Number,
      encode: () => {
        throw reason;
      },
    });
    class Moody extends Struct {
      @field(moody) x!: number;
    }
    expect(() => create(Moody, { x: 1 })).toThrow("Moody.x: Error: never");
    try {
      create(Moody, { x: 1 });
    } catch (error) {
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).cause).toBe(reason);
    }
  });
});
