/** Two versions of one struct, for the tests of migrations. */
import { c_double, c_int32, c_int64, field, MmapStructure, struct } from "../../src/index.ts";

@struct({ name: "Unit" })
export class UnitOld extends MmapStructure {
  @field(c_int32) marker!: number;
  @field(c_int32) count!: number;
  @field(c_int32) twin!: number;
}

/** The fields of the old one in another order, and one more in between: neither is a prefix of the other. */
@struct({ name: "Unit" })
export class UnitNew extends MmapStructure {
  @field(c_int32) twin!: number;
  @field(c_double) added!: number;
  @field(c_int32) count!: number;
  @field(c_int64) spare!: bigint;
  @field(c_int32) marker!: number;
}
