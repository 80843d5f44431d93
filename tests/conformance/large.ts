/** The struct of the conformance suite with 2 MiB behind it, for full disks. */
import { array, c_int32, field } from "../../src/index.ts";
import { Pattern } from "../record/structs.ts";

export class Large extends Pattern {
  @field(array(c_int32, 2 ** 19)) more!: Int32Array;
}
