/** What the struct tests share between two processes. */
import {
  type Atomic,
  array,
  atomic,
  bits,
  type CArray,
  c_bool,
  c_double,
  c_int32,
  c_int64,
  c_uint8,
  chars,
  field,
  nested,
  Struct,
  type StructArray,
} from "../../src/struct/index.ts";

export class Point extends Struct {
  @field(c_double) x!: number;
}

export class Shared extends Struct {
  @field(atomic(c_int32)) ready!: Atomic<number>;
  @field(atomic(c_int32)) counter!: Atomic<number>;
  @field(atomic(c_int64)) wideCounter!: Atomic<bigint>;
  @field(c_int32) plain!: number;
  @field(c_double) wide!: number;
  @field(c_int64) big!: bigint;
  @nested(Point) point!: Point;
  @nested(Point, 2) points!: StructArray<Point>;
  @field(array(c_int32, 3)) list!: Int32Array | CArray<number>;
  @field(c_bool) flag!: boolean;
  @bits(c_uint8, 5) bits!: number;
  @field(chars(8)) text!: string;
}
