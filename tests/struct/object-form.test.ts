/** Structs declared by an object of members, and names that only anonymous members have. */
import { describe, expect, test } from "bun:test";
import {
  type Anonymous,
  anonymous,
  array,
  bits,
  c_double,
  c_float,
  c_int32,
  c_uint8,
  c_uint16,
  c_uint32,
  c_uint64,
  chars,
  create,
  field,
  type Members,
  nested,
  offsetof,
  Struct,
  type StructArray,
  sizeof,
  structOf,
  toObject,
  Union,
  unionOf,
} from "../../src/struct/index.ts";

class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
}

/** linux/io_uring.h */
class Sqe extends structOf({
  opcode: c_uint8,
  flags: c_uint8,
  ioprio: c_uint16,
  fd: c_int32,
  _1: anonymous(
    unionOf({
      off: c_uint64,
      addr2: c_uint64,
      cmd: anonymous(structOf({ cmd_op: c_uint32, __pad1: c_uint32 })),
    }),
  ),
  _2: anonymous(unionOf({ addr: c_uint64, splice_off_in: c_uint64 })),
  len: c_uint32,
}) {
  get end(): bigint {
    return this.off + BigInt(this.len);
  }
}

describe("structOf", () => {
  test("structOf declares what decorators would, typed, with the members of unions in reach", () => {
    const sqe = create(Sqe, { opcode: 1, fd: -1, cmd_op: 7, __pad1: 1, len: 3 });
    const off: bigint = sqe.off;
    const op: number = sqe.cmd_op;
    expect([off, op, sqe.end, sizeof(Sqe), offsetof(Sqe, "addr"), offsetof(Sqe, "cmd_op")]).toEqual([
      0x1_0000_0007n,
      7,
      0x1_0000_000an,
      32,
      16,
      8,
    ]);
    // @ts-expect-error no such member
    expect(() => create(Sqe, { offf: 1n })).toThrow("has no member");
    // @ts-expect-error a bigint
    expect(() => create(Sqe, { off: 1 })).toThrow("expected a bigint");
  });

  test("structOf takes types, struct classes, and whatever decorators take", () => {
    class All extends structOf(
      {
        kind: bits(c_uint8, 3),
        at: Point,
        path: nested(Point, 2),
        name: chars(5),
        list: array(c_uint16, 3),
      },
      { pack: 1 },
    ) {}
    const all = create(All, { kind: 5, at: { x: 1 }, path: [{ y: 2 }, {}], name: "ab", list: [1, 2, 3] });
    const path: StructArray<Point> = all.path;
    const at: Point = all.at;
    expect([path.at(0).y, at.x, sizeof(All)]).toEqual([2, 1, 1 + 16 + 32 + 5 + 6]);
    expect(toObject(all).list).toEqual([1, 2, 3]);
  });

  test("structOf and unionOf name a member that has no valid type", () => {
    expect(() => structOf({ a: 5 as never })).toThrow(
      "structOf.a: expected a type, a struct class or a decorator, got 5",
    );
    expect(() => unionOf({ a: undefined as never })).toThrow("unionOf.a: expected");
    expect(() => unionOf(null as never)).toThrow("unionOf: expected an object of members, got null");
    expect(() => structOf({}, { packed: 1 } as never)).toThrow('there is no option "packed"');
  });
});

class U1 extends Union {
  @field(c_uint32) a!: number;
  @field(c_float) b!: number;
}
class U2 extends Union {
  @field(c_uint32) c!: number;
  @field(c_float) d!: number;
}
const first = structOf({ u: anonymous(U1) });
const second = structOf({ u: anonymous(U2) });

describe("handles of anonymous members, which C does not have", () => {
  test("handles of anonymous members may have one name in two members of a struct", () => {
    class Both extends structOf({ x: anonymous(first), y: anonymous(second) }) {}
    const both = create(Both, { a: 1, d: 1 });
    expect([sizeof(Both), both.b > 0, both.c]).toEqual([8, true, 0x3f800000]);
    expect(Object.keys(toObject(both))).toEqual(["a", "b", "c", "d"]);
  });

  test("the handle of an anonymous member may have the name of a member of the struct around it", () => {
    class Real extends structOf({ x: anonymous(first), u: c_int32 }) {}
    const real = create(Real, { a: 3, u: -1 });
    expect([sizeof(Real), real.u, real.a, toObject(real).u]).toEqual([8, -1, 3, -1]);
  });

  test("the handle of an anonymous member may be nested in one of the same name", () => {
    class Deep extends structOf({ y: c_int32, _: anonymous(structOf({ x: c_int32, _: anonymous(U1) })) }) {}
    expect([offsetof(Deep, "b"), create(Deep, { b: 1 }).a]).toEqual([8, 0x3f800000]);
  });

  test("Members leaves handles of anonymous members out of an interface", () => {
    type A = InstanceType<typeof first>;
    interface Merged extends Members<A>, Members<InstanceType<typeof second>> {}
    const merged: Merged = create(structOf({ x: anonymous(first), y: anonymous(second) }));
    const handle: Anonymous<U1> = create(first).u;
    expect([merged.a, merged.c, handle.a]).toEqual([0, 0, 0]);
  });
});
