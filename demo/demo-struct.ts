/** The struct of the demos, field for field that of IPMMAP's demo: Python's processes can share its file. */
import { c_double, c_int32, chars, field, MmapStructure, nested, Struct, type StructArray } from "shmstruct";

export class Point2D extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
}

export class MultiPoints extends Struct {
  @field(c_int32) multi_data_int!: number;
  @nested(Point2D, 24) multi_points!: StructArray<Point2D>;
}

export class DemoMmapStructure extends MmapStructure {
  @field(c_int32) data_int!: number;
  @field(chars(256)) data_string!: string;
  @nested(Point2D) data_xy!: Point2D;
  @nested(MultiPoints) multi_pts!: MultiPoints;
}
