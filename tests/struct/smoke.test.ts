import { expect, test } from "bun:test";
import * as s from "../../src/struct/index.ts";
import {
  type Atomic,
  array,
  assign,
  atomic,
  bits,
  type CArray,
  c_bool,
  c_double,
  c_float,
  c_int8,
  c_int16,
  c_int32,
  c_int64,
  c_uint8,
  chars,
  create,
  enumOf,
  field,
  layoutOf,
  MmapStructure,
  nested,
  Struct,
  type StructArray,
  struct,
  toObject,
  viewOf,
} from "../../src/struct/index.ts";

class Point2D extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
  get length() {
    return Math.hypot(this.x, this.y);
  }
}
enum Mode {
  Idle,
  Run,
}
class MultiPoints extends Struct {
  @field(c_int32) multi_data_int!: number;
  @nested(Point2D, 24) multi_points!: StructArray<Point2D>;
}
class Demo extends MmapStructure {
  @field(c_int32) data_int!: number;
  @field(chars(256)) data_string!: string;
  @nested(Point2D) data_xy!: Point2D;
  @nested(MultiPoints) multi_pts!: MultiPoints;
  @field(array(c_int32, 4)) nums!: Int32Array;
  @field(array(c_float, 3, 4)) grid!: CArray<Float32Array>;
  @field(atomic(c_int32)) n!: Atomic<number>;
  @bits(c_int32, 3) b3!: number;
  @bits(c_bool, 1) b1!: boolean;
  @field(enumOf(c_uint8, Mode)) mode!: Mode;
  @field(c_int64) big!: bigint;
}
@struct({ endian: "big", pack: 1 })
class Wire extends Struct {
  @field(c_int8) t!: number;
  @field(c_int32) v!: number;
  @field(array(c_int16, 2)) a!: CArray<number>;
}
test("smoke", () => {
  const d = create(Demo, {
    data_int: 5,
    data_xy: { x: 3, y: 4 },
    multi_pts: { multi_points: Array.from({ length: 24 }, (_, i) => ({ x: i, y: -i })) },
  });
  expect(d.data_xy.length).toBe(5);
  expect(d instanceof Demo).toBe(true);
  expect(d.multi_pts.multi_points.at(-1).x).toBe(23);
  expect(d.multi_pts.multi_points[3]!.x).toBe(3);
  expect(d.multi_pts.multi_points[99]).toBe(undefined as never);
  d.data_string = "hällo";
  expect(d.data_string).toBe("hällo");
  d.nums = new Int32Array([1, 2, 3, 4]);
  expect([...d.nums]).toEqual([1, 2, 3, 4]);
  d.grid.at(1)[2] = 1.5;
  expect(d.grid.at(1).at(2)).toBe(1.5);
  expect(d.n.add(3)).toBe(0);
  expect(d.n.load()).toBe(3);
  d.b3 = -2;
  d.b1 = true;
  expect([d.b3, d.b1]).toEqual([-2, true]);
  expect(() => {
    d.b3 = 4;
  }).toThrow("Demo.b3: expected an integer from -4 to 3, got 4");
  expect(() => {
    d.data_int = 2 ** 31;
  }).toThrow("Demo.data_int");
  d.mode = Mode.Run;
  expect(d.mode).toBe(Mode.Run);
  expect(() => assign(d, { data_int: 9, multi_pts: { multi_points: [{ x: "1" as never }] } })).toThrow(
    "Demo.multi_pts.multi_points[0].x: expected a number",
  );
  expect(d.data_int).toBe(5);
  console.log(layoutOf(Demo).fields.multi_pts, JSON.stringify(create(Point2D, { x: 1 })), create(Point2D));
  const w = create(Wire, { t: 1, v: 2, a: [3, 4] });
  expect([...s.bytesOf(w)]).toEqual([1, 0, 0, 0, 2, 0, 3, 0, 4]);
  expect(w.a.at(1)).toBe(4);
  expect([...w.a]).toEqual([3, 4]);
  const C = s.structFromSchema(JSON.parse(JSON.stringify(layoutOf(Demo))));
  const c = viewOf(C, s.bytesOf(d));
  expect(toObject(c)).toEqual(toObject(d) as never);
});
