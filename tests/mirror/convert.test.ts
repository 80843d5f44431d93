/** States and messages of another kind of machine: converted field by field, or refused. */
import { describe, expect, test } from "bun:test";
import {
  type Atomic,
  array,
  atomic,
  bits,
  bytesOf,
  type CArray,
  c_double,
  c_int16,
  c_int32,
  c_int64,
  c_longdouble,
  c_uint8,
  chars,
  create,
  field,
  layoutOf,
  MirrorError,
  MmapStructure,
  nested,
  Struct,
  type StructArray,
  type StructClass,
  viewOf,
} from "../../src/index.ts";
import { localForm } from "../../src/mirror/contents.ts";
import { conversionOf, differenceOf } from "../../src/mirror/convert.ts";
import { Conversions } from "../../src/mirror/payloads.ts";
import { ABI_TAG } from "../../src/segment/abi.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { fingerprintOf } from "../../src/struct/schema/schema.ts";

const OTHER_LONG_DOUBLE = ABI_TAG ^ 0x02;
const OTHER_SIGNS = ABI_TAG ^ 0x18;
const OTHER_ORDER = ABI_TAG ^ 0x01;

class Point extends Struct {
  @field(c_int16) x!: number;
  @field(c_double) y!: number;
}
class Pose extends MmapStructure {
  @field(c_int32) n!: number;
  @field(c_int64) far!: bigint;
  @field(chars(6)) name!: string;
  @field(array(c_int16, 3)) numbers!: CArray<number>;
  @nested(Point, 2) points!: StructArray<Point>;
}
class Precise extends MmapStructure {
  @field(c_int32) n!: number;
  @field(array(c_longdouble, 2)) exact!: CArray<number>;
}
class Packed extends Struct {
  @bits(c_uint8, 3) mode!: number;
}
class Counted extends Struct {
  @field(atomic(c_int32)) hits!: Atomic<number>;
}

/** The bytes of a Pose as C lays it out on a big-endian machine. */
function bigEndianPose(): Uint8Array<ArrayBuffer> {
  const { fields, size } = layoutOf(Pose);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  // The header is little-endian everywhere.
  view.setInt16(0, 7, true);
  view.setInt32(fields.n.offset, -123_456);
  view.setBigInt64(fields.far.offset, -(2n ** 40n));
  bytes.set(Buffer.from("arm"), fields.name.offset);
  for (let i = 0; i < 3; i++) view.setInt16(fields.numbers.offset + 2 * i, 1000 * i - 1);
  for (let i = 0; i < 2; i++) {
    view.setInt16(fields.points.offset + 16 * i, 300 + i);
    view.setFloat64(fields.points.offset + 16 * i + 8, i + 0.25);
  }
  return bytes;
}

const imageOf = <T extends MmapStructure>(cls: StructClass<T>, bytes: Uint8Array<ArrayBuffer>) => ({
  plan: {
    content: "record" as const,
    lockKind: "flock" as const,
    contentBytes: bytes.length,
    fingerprint: fingerprintOf(layoutOfClass(cls)),
  },
  schema: Buffer.from(JSON.stringify(layoutOf(cls as StructClass))),
  copy: { bytes, version: 5 },
});

describe("another kind of machine", () => {
  test("a record of another byte order gets each field's value, and its file is one of this machine", () => {
    const image = imageOf(Pose, bigEndianPose());
    const { plan, copy } = localForm(image, OTHER_ORDER, "/x/Pose_.mmap")(image);
    const pose = viewOf(Pose, copy.bytes);
    expect([pose.n, pose.far, pose.name, copy.version]).toEqual([-123_456, -(2n ** 40n), "arm", 5]);
    expect([...pose.numbers]).toEqual([-1, 999, 1999]);
    expect([...pose.points].map(({ x, y }) => [x, y])).toEqual([
      [300, 0.25],
      [301, 1.25],
    ]);
    expect(new DataView(copy.bytes.buffer).getInt16(0, true)).toBe(7);
    expect(plan.fingerprint).toBe(fingerprintOf(layoutOfClass(Pose)));
  });

  test("signs of char and wchar_t, and a long double that is not the type of a field, change no field's bytes", () => {
    for (const abi of [OTHER_SIGNS, OTHER_LONG_DOUBLE]) {
      const bytes = Uint8Array.from(bytesOf(create(Pose, { n: 3, name: "x", numbers: [1, 2, 3] })));
      const image = imageOf(Pose, bytes);
      const pose = viewOf(Pose, localForm(image, abi, "/x/Pose_.mmap")(image).copy.bytes);
      expect([pose.n, pose.name, ...pose.numbers]).toEqual([3, "x", 1, 2, 3]);
    }
  });

  test("fields are converted by name where the local struct lies otherwise, and a value that does not fit is told", () => {
    class Other extends MmapStructure {
      @field(chars(6)) name!: string;
      @field(c_int64) n!: bigint;
      @field(c_int64) far!: bigint;
      @field(array(c_int16, 3)) numbers!: CArray<number>;
      @nested(Point, 2) points!: StructArray<Point>;
    }
    class Small extends MmapStructure {
      @field(c_int16) n!: number;
    }
    const schema = layoutOf(Pose);
    const difference = differenceOf(OTHER_ORDER)!;
    const convert = (cls: StructClass) =>
      conversionOf(schema, difference, layoutOfClass(cls))(bigEndianPose());
    expect(viewOf(Other, convert(Other)).n).toBe(-123_456n);
    expect(() => convert(Small)).toThrow("n: -123456 does not fit");
  });

  const refused: [string, () => unknown, string][] = [
    [
      "a long double",
      () => conversionOf(layoutOf(Precise), differenceOf(OTHER_LONG_DOUBLE)!),
      "exact is a long double",
    ],
    [
      "a bit-field of another byte order",
      () => conversionOf(layoutOf(Packed), differenceOf(OTHER_ORDER)!),
      "mode is a bit-field",
    ],
    ["an unknown machine", () => differenceOf(0x20), "cannot convert"],
    ["pages of another size", () => differenceOf(ABI_TAG | 0x1000), "cannot convert"],
    [
      "a record with such a field",
      () => {
        const image = imageOf(Precise, new Uint8Array(layoutOf(Precise).size));
        localForm(image, OTHER_LONG_DOUBLE, "/x/Precise_.mmap");
      },
      "long double",
    ],
  ];
  test.each(refused)("the conversion of %s is refused", (_, attempt, message) => {
    expect(attempt).toThrow(MirrorError);
    expect(attempt).toThrow(message);
  });

  test("an atomic is converted like any other number, or refused", () => {
    const convert = () =>
      conversionOf(layoutOf(Counted), differenceOf(OTHER_ORDER)!)(Uint8Array.of(0, 0, 1, 2));
    expect(convert).toThrow(MirrorError);
  });

  test("messages and jobs are converted, raw bytes stay as they are", () => {
    const schema = (payload: object) => Buffer.from(JSON.stringify({ payload }));
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setInt16(0, 300);
    const converted = new Conversions(schema(layoutOf(Point))).of(OTHER_ORDER)(bytes);
    expect(new DataView(converted.buffer).getInt16(0, true)).toBe(300);
    expect(new Conversions(schema({ bytes: 16 })).of(OTHER_ORDER)(bytes)).toEqual(bytes);
  });
});
