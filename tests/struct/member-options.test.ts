/** Alignment and byte order of one member. */
import { describe, expect, test } from "bun:test";
import {
  array,
  asNumber,
  assign,
  bytesOf,
  c_double,
  c_int16,
  c_int32,
  c_uint8,
  c_uint32,
  c_uint64,
  chars,
  create,
  equals,
  field,
  layoutOf,
  nested,
  Struct,
  type StructArray,
  sizeof,
  struct,
  structFromSchema,
  toObject,
  viewOf,
} from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { leavesOf } from "../../src/struct/schema/schema.ts";
import { refusal } from "../support/define.ts";

class Point extends Struct {
  @field(c_int16) x!: number;
  @field(c_int16) y!: number;
}

describe("align", () => {
  class Lines extends Struct {
    @field(c_uint8) a!: number;
    @field(c_uint32, { align: 64 }) head!: number;
    @nested(Point, { align: 16 }) at!: Point;
    @nested(Point, 2, { align: 32 }) path!: StructArray<Point>;
    @field(c_uint8, { align: 1 }) b!: number;
  }

  test("the member option align is C's alignas: the member and the struct are aligned", () => {
    const { fields, align, size } = layoutOf(Lines);
    expect([fields.head.offset, fields.at.offset, fields.path.offset, fields.b.offset]).toEqual([
      64, 80, 96, 104,
    ]);
    expect([align, size, fields.head.align, fields.b.align]).toEqual([64, 128, 64, undefined]);
  });

  test("the member option align does not lower an alignment, and pack caps it, as in gcc", () => {
    @struct({ pack: 2 })
    class Packed extends Struct {
      @field(c_uint8) a!: number;
      @field(c_int32, { align: 8 }) b!: number;
      @field(c_uint8) c!: number;
    }
    class Lower extends Struct {
      @field(c_uint8) a!: number;
      @field(c_double, { align: 2 }) b!: number;
    }
    expect([sizeof(Packed), layoutOf(Packed).fields.b.offset, sizeof(Lower)]).toEqual([8, 2, 16]);
  });

  test("the member option align comes back from a schema", () => {
    expect(layoutOf(structFromSchema(JSON.parse(JSON.stringify(layoutOf(Lines)))))).toEqual(
      layoutOf(Lines) as never,
    );
  });
});

describe("endian", () => {
  class Packet extends Struct {
    @field(c_uint32) host!: number;
    @field(c_uint32, { endian: "big" }) net!: number;
    @field(array(c_int16, 2), { endian: "big" }) list!: Int16Array;
    @nested(Point, { endian: "big" }) at!: Point;
    @nested(Point, 2, { endian: "big" }) path!: StructArray<Point>;
    @field(asNumber(c_uint64), { endian: "big" }) time!: number;
    @field(chars(4), { endian: "big" }) name!: string;
  }
  const init = {
    host: 0x01020304,
    net: 0x01020304,
    list: [1, 2],
    at: { x: 1, y: 2 },
    path: [{ x: 3 }, { y: 4 }],
    time: 258,
    name: "ab",
  };

  test("the member option endian holds for that member and what is in it", () => {
    const packet = create(Packet, init);
    expect([...bytesOf(packet)].slice(0, 24)).toEqual([
      4, 3, 2, 1, 1, 2, 3, 4, 0, 1, 0, 2, 0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 0, 4,
    ]);
    expect(toObject(packet)).toEqual({
      ...init,
      path: [
        { x: 3, y: 0 },
        { x: 0, y: 4 },
      ],
    });
    packet.net = 5;
    packet.at.y = 7;
    packet.list = [8, 9] as never;
    packet.time = 1;
    assign(packet, { path: [{ x: -1 }, {}] });
    expect([packet.net, packet.at.y, [...packet.list], packet.time, packet.path.at(0).x]).toEqual([
      5,
      7,
      [8, 9],
      1,
      -1,
    ]);
    expect(equals(packet, create(Packet, packet))).toBe(true);
  });

  test("a member can be little-endian in a big-endian struct", () => {
    @struct({ endian: "big" })
    class Mixed extends Struct {
      @field(c_int16) big!: number;
      @field(c_int16, { endian: "little" }) little!: number;
    }
    expect([...bytesOf(create(Mixed, { big: 1, little: 1 }))]).toEqual([0, 1, 1, 0]);
  });

  test("the member option endian comes back from a schema, and is part of what two programs must agree on", () => {
    const Again = structFromSchema(JSON.parse(JSON.stringify(layoutOf(Packet))));
    const bytes = bytesOf(create(Packet, init));
    expect(toObject(viewOf(Again, bytes))).toEqual(toObject(viewOf(Packet, bytes)));
    const types = Object.fromEntries(leavesOf(layoutOfClass(Packet)).map(({ path, type }) => [path, type]));
    expect([types.host, types.net, types["at.x"]]).toEqual([
      "c_uint32",
      "c_uint32 big-endian",
      "c_int16 big-endian",
    ]);
  });
});

test.each([
  [
    "@s.field(s.c_int8, { align: 3 }) a!: number",
    "@field: align must be a power of two from 1 to 4096, got 3",
  ],
  [
    "@s.field(s.c_int8, { endian: 'middle' }) a!: number",
    '@field: endian must be "little" or "big", got middle',
  ],
  [
    "@s.field(s.atomic(s.c_int32), { endian: 'big' }) a!: unknown",
    "A.a: atomics work in the machine's byte order only, not in a big-endian struct",
  ],
])("the member %s is refused", async (member, message) => {
  expect(await refusal(`class A extends s.Struct { ${member} } s.sizeof(A)`)).toBe(message);
});
