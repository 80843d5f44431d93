/** A table of devices with owners. */
import {
  type Atomic,
  type CArray,
  c_int32,
  field,
  MmapStructure,
  nested,
  owner,
  Struct,
} from "../../src/index.ts";

export class Device extends Struct {
  @field(owner()) user!: Atomic<number>;
  @field(c_int32) uses!: number;
}

export class Rack extends MmapStructure {
  @nested(Device, 4) devices!: CArray<Device>;
  @field(owner()) boss!: Atomic<number>;
}
