/**
 * What the compiler must accept and refuse in declarations, in both decorator styles: checked by `tsc`, never run.
 * A `@ts-expect-error` that expects in vain is an error itself.
 */
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
  type CType,
  c_bool,
  c_char,
  c_double,
  c_float,
  c_int8,
  c_int32,
  c_int64,
  c_longdouble,
  c_uint8,
  c_uint64,
  c_void_p,
  chars,
  convert,
  enumOf,
  field,
  nested,
  Struct,
  type StructArray,
  Union,
} from "../../src/struct/index.ts";

enum Mode {
  Idle,
  Run,
}
enum Colour {
  Red = 1,
}
const Level = { low: 1, high: 2 } as const;
const day = convert(c_int64, {
  name: "day",
  decode: (n) => new Date(Number(n)),
  encode: (v) => BigInt(Number(v)),
});
declare const point3: CType<readonly [number, number, number]>;

class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
}
class Vector extends Struct {
  @field(c_double) x!: number;
  @field(c_double) z!: number;
}
class Either extends Union {
  @field(c_int32) whole!: number;
  @field(c_float) real!: number;
}

export class Accepted extends Struct {
  @field(c_bool) flag!: boolean;
  @field(c_int8) i8!: number;
  @field(c_int64) i64!: bigint;
  @field(c_longdouble) wide!: number;
  @field(c_void_p) pointer!: bigint;
  @field(c_char) letter!: string;
  @field(chars(8)) text!: string;
  @field(asNumber(c_int64)) safe!: number;
  @field(enumOf(c_uint8, Mode)) mode!: Mode;
  @field(enumOf(c_uint8, Level)) level!: 1 | 2;
  @field(day) when!: Date;
  @field(point3) custom!: readonly [number, number, number];
  @field(bytes(4)) raw!: Uint8Array;
  @field(array(c_int32, 4)) ints!: Int32Array;
  @field(array(c_int32, 4)) general!: CArray<number>;
  @field(array(c_uint64, 4)) bigs!: BigUint64Array;
  @field(array(c_float, 2, 3)) grid!: CArray<Float32Array>;
  @field(array(c_float, 2, 3, 4)) cube!: CArray<CArray<Float32Array>>;
  @field(array(c_bool, 4)) flags!: CArray<boolean>;
  @field(array(chars(4), 2)) names!: CArray<string>;
  @field(array(enumOf(c_uint8, Mode), 2)) modes!: CArray<Mode>;
  @field(array(day, 2)) days!: CArray<Date>;
  @field(array(Point, 3)) path!: StructArray<Point>;
  @field(array(Point, 3, 2)) paths!: CArray<StructArray<Point>>;
  @field(atomic(c_int32)) counter!: Atomic<number>;
  @field(atomic(c_uint64)) ticks!: Atomic<bigint>;
  @field(array(atomic(c_int32), 2)) counters!: CArray<Atomic<number>>;
  @bits(c_int32, 3) low!: number;
  @bits(c_uint64, 40) high!: bigint;
  @bits(c_bool, 1) one!: boolean;
  @nested(Point) point!: Point;
  @nested(Point, 24) points!: StructArray<Point>;
  @nested(Either) either!: Either;
  @anonymous(Either) rest!: Anonymous<Either>;
  @field(array(c_int32)) tail!: Int32Array;
}

export class Refused extends Struct {
  // @ts-expect-error a c_int32 reads as number
  @field(c_int32) a!: string;
  // @ts-expect-error
  @field(c_int32) b!: bigint;
  // @ts-expect-error
  @field(c_int64) c!: number;
  // @ts-expect-error
  @field(c_bool) d!: number;
  // @ts-expect-error
  @field(chars(8)) e!: number;
  // @ts-expect-error
  @field(c_char) f!: number;
  // @ts-expect-error
  @field(asNumber(c_int64)) g!: bigint;
  // @ts-expect-error
  @field(enumOf(c_uint8, Mode)) h!: Colour;
  // @ts-expect-error
  @field(enumOf(c_uint8, Mode)) i!: string;
  // @ts-expect-error
  @field(enumOf(c_uint8, Level)) j!: 1 | 3;
  // @ts-expect-error
  @field(day) k!: number;
  // @ts-expect-error the wrong typed array
  @field(array(c_int32, 4)) l!: Float32Array;
  // @ts-expect-error
  @field(array(c_uint64, 4)) m!: BigInt64Array;
  // @ts-expect-error an array is no JavaScript array
  @field(array(c_int32, 4)) n!: number[];
  // @ts-expect-error
  @field(array(c_float, 2, 3)) o!: Float32Array;
  // @ts-expect-error
  @field(array(c_float, 2, 3)) p!: CArray<Float64Array>;
  // @ts-expect-error there is no typed array of booleans
  @field(array(c_bool, 4)) q!: Uint8Array;
  // @ts-expect-error
  @field(array(chars(4), 2)) r!: CArray<number>;
  // @ts-expect-error
  @field(array(Point, 3)) s!: StructArray<Vector>;
  // @ts-expect-error
  @field(bytes(4)) t!: Int8Array;
  // @ts-expect-error
  @field(atomic(c_int32)) u!: Atomic<bigint>;
  // @ts-expect-error
  @field(atomic(c_int32)) v!: number;
  // @ts-expect-error
  @bits(c_int32, 3) w!: bigint;
  // @ts-expect-error
  @bits(c_bool, 1) x!: number;
  // @ts-expect-error the wrong class
  @nested(Point) y!: Vector;
  // @ts-expect-error
  @nested(Point, 3) z!: Point;
  // @ts-expect-error
  @nested(Point) aa!: StructArray<Point>;
  // @ts-expect-error
  @nested(Point) ab!: { x: string };
  // @ts-expect-error
  @anonymous(Either) ac!: Anonymous<Point>;
  // @ts-expect-error it would seem to be one of the values
  @anonymous(Either) ad!: Either;
}

// @ts-expect-error no struct class
nested(Date);
// @ts-expect-error no type
field("c_int32");
// @ts-expect-error no type
field(Number);
// @ts-expect-error no integer
atomic(c_double);
// @ts-expect-error no integer type
bits(c_double, 3);
// @ts-expect-error 64-bit integers only
asNumber(c_int32);
// @ts-expect-error a bigint type wants bigint members
enumOf(c_int64, Mode);
