/** One struct with a field of every kind, for tests that try everything. */
import {
  type Anonymous,
  type Atomic,
  anonymous,
  array,
  asNumber,
  atomic,
  bits,
  bytes,
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
  c_uint32,
  c_uint64,
  c_void_p,
  c_wchar,
  chars,
  convert,
  enumOf,
  field,
  nested,
  Struct,
  type StructArray,
  struct,
  Union,
} from "../../src/struct/index.ts";

export enum Mode {
  Idle,
  Run = 5,
}

export const date_ms = convert(c_int64, {
  name: "date_ms",
  decode: (ms) => new Date(Number(ms)),
  encode: (value) => {
    if (!(value instanceof Date) || Number.isNaN(value.getTime()))
      throw new TypeError("expected a valid Date");
    return BigInt(value.getTime());
  },
});

export class Point extends Struct {
  @field(c_int16) x!: number;
  @field(c_double) y!: number;
}

export class Payload extends Union {
  @field(c_int32) whole!: number;
  @nested(Point) point!: Point;
  @field(chars(4)) word!: string;
}

export class Rest extends Union {
  @field(c_int32) spare!: number;
  @field(c_uint16) half!: number;
  @bits(c_int32, 5) fifth!: number;
}

/** All but atomics, which a packed or big-endian struct cannot have. */
export class Everything extends Struct {
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
  @field(c_longdouble) f80!: number;
  @field(c_void_p) pointer!: bigint;
  @field(c_char) letter!: string;
  @field(c_wchar) wide!: string;
  @field(chars(8)) text!: string;
  @field(chars(6, { encoding: "utf16le" })) text16!: string;
  @field(asNumber(c_int64)) safe!: number;
  @field(enumOf(c_uint8, Mode)) mode!: Mode;
  @field(date_ms) when!: Date;
  @bits(c_int32, 5) b5!: number;
  @bits(c_uint64, 40) b40!: bigint;
  @bits(c_bool, 1) b1!: boolean;
  @nested(Point) point!: Point;
  @nested(Payload) union!: Payload;
  @nested(Point, 3) points!: StructArray<Point>;
  @field(bytes(5)) raw!: Uint8Array;
  @field(array(c_int32, 3)) ints!: Int32Array | CArray<number>;
  @field(array(c_uint64, 2)) bigs!: BigUint64Array | CArray<bigint>;
  @field(array(c_float, 2, 2)) grid!: CArray<Float32Array | CArray<number>>;
  @field(array(c_bool, 3)) flags!: CArray<boolean>;
  @field(array(chars(4), 2)) names!: CArray<string>;
  @field(array(date_ms, 2)) dates!: CArray<Date>;
  @anonymous(Rest) rest!: Anonymous<Rest>;
  @field(c_int8) last!: number;
}

@struct({ endian: "big", pack: 1 })
export class EverythingBig extends Struct {
  @field(c_int8) first!: number;
  @nested(Everything) all!: Everything;
}

export class Counters extends Struct {
  @field(atomic(c_int8)) a8!: Atomic<number>;
  @field(atomic(c_uint8)) u8!: Atomic<number>;
  @field(atomic(c_int16)) a16!: Atomic<number>;
  @field(atomic(c_uint16)) u16!: Atomic<number>;
  @field(atomic(c_int32)) a32!: Atomic<number>;
  @field(atomic(c_uint32)) u32!: Atomic<number>;
  @field(atomic(c_int64)) a64!: Atomic<bigint>;
  @field(atomic(c_uint64)) u64!: Atomic<bigint>;
  @field(array(atomic(c_int32), 2)) two!: CArray<Atomic<number>>;
}

/** Right values for all of `Everything`. */
export const everything = {
  flag: true,
  i8: -1,
  u8: 2,
  i16: -3,
  u16: 4,
  i32: -5,
  u32: 6,
  i64: -7n,
  u64: 8n,
  f32: 1.5,
  f64: 2.5,
  f80: 3.5,
  pointer: 9n,
  letter: "A",
  wide: "\u{1f600}",
  text: "h\u00e4llo",
  text16: "\u20ac",
  safe: 2 ** 40,
  mode: Mode.Run,
  when: new Date(1000),
  b5: -6,
  b40: 2n ** 39n,
  b1: true,
  point: { x: 10, y: 11.5 },
  union: { point: { x: 7, y: 8.5 } },
  points: [
    { x: 1, y: 1.5 },
    { x: 2, y: 2.5 },
    { x: 3, y: 3.5 },
  ],
  raw: [1, 2, 3, 4, 5],
  ints: [-1, 0, 1],
  bigs: [1n, 2n ** 64n - 1n],
  grid: [
    [1, 2],
    [3, 4],
  ],
  flags: [true, false, true],
  names: ["ab", "cdef"],
  dates: [new Date(1), new Date(2)],
  spare: 77,
  last: 127,
} as const;
