import { expect, test } from "bun:test";
import {
  bytesOf,
  c_int32,
  create,
  field,
  HEADER_CODE,
  MmapStructure,
  MmapStructureHeader,
  sizeof,
  struct,
} from "../../src/struct/index.ts";

class Robot extends MmapStructure {
  @field(c_int32) mode!: number;
}

test("a shared struct begins with the header that IPMMAP's files have", () => {
  const robot = create(Robot, { header: { header_code: HEADER_CODE, time_stamp: 1.5 }, mode: 2 });
  expect([sizeof(MmapStructureHeader), HEADER_CODE, robot.header instanceof MmapStructureHeader]).toEqual([
    16,
    0x1128,
    true,
  ]);
  expect(Buffer.from(bytesOf(robot)).toString("hex")).toBe(
    "2811000000000000" + "000000000000f83f" + "0200000000000000",
  );
});

test("the header stays in the machine's order in a big-endian struct", () => {
  @struct({ endian: "big" })
  class Wire extends MmapStructure {
    @field(c_int32) mode!: number;
  }
  const wire = create(Wire, { header: { header_code: HEADER_CODE }, mode: 2 });
  expect([...bytesOf(wire).subarray(0, 2), ...bytesOf(wire).subarray(16, 20)]).toEqual([
    0x28, 0x11, 0, 0, 0, 2,
  ]);
});
