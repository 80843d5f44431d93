/** Views of private memory that has no ArrayBuffer yet read as views of any other memory do. */
import { expect, test } from "bun:test";
import {
  bits,
  bytesOf,
  c_bool,
  c_double,
  c_float,
  c_int8,
  c_int16,
  c_int32,
  c_int64,
  c_uint8,
  c_uint16,
  c_uint32,
  c_uint64,
  chars,
  field,
  Manager,
  MmapStructure,
  nested,
  Struct,
  type StructArray,
  struct,
  toObject,
} from "../../src/index.ts";
import { TempDir } from "../record/support.ts";

class Small extends Struct {
  @field(c_int8) a!: number;
  @field(c_uint16) b!: number;
  @field(c_uint8) c!: number;
  @field(c_double) d!: number;
}

@struct({ endian: "big" })
class Big extends Struct {
  @field(c_int16) a!: number;
  @field(c_double) d!: number;
}

class All extends MmapStructure {
  @field(c_int8) i8!: number;
  @field(c_uint8) u8!: number;
  @field(c_int16) i16!: number;
  @field(c_uint16) u16!: number;
  @field(c_int32) i32!: number;
  @field(c_uint32) u32!: number;
  @field(c_float) f32!: number;
  @field(c_double) f64!: number;
  @field(c_int64) i64!: bigint;
  @field(c_uint64) u64!: bigint;
  @field(c_bool) flag!: boolean;
  @bits(c_uint32, 5) five!: number;
  @field(chars(9)) name!: string;
  @nested(Small, 3) smalls!: StructArray<Small>;
  @nested(Big) big!: Big;
}

const values = {
  i8: -7,
  u8: 250,
  i16: -30_000,
  u16: 65_000,
  i32: -2_000_000_000,
  u32: 4_000_000_000,
  f32: -0.5,
  f64: 1e300,
  i64: -(2n ** 62n),
  u64: 2n ** 64n - 1n,
  flag: true,
  five: 21,
  name: "übung",
  smalls: [1, 2, 3].map((i) => ({ a: -i, b: 60_000 + i, c: 200 + i, d: i / 3 })),
  big: { a: -2, d: Math.PI },
};

test("each type in a snapshot reads the same before its ArrayBuffer is made and after", () => {
  using temp = new TempDir();
  using manager = new Manager(All, { dir: temp.dir, create: true });
  manager.edit((data) => Object.assign(data, values));
  const snapshot = manager.snapshot();
  const names = Object.keys(values) as (keyof typeof values)[];
  const read = (): unknown =>
    Object.fromEntries(
      names.map((name) => [
        name,
        typeof snapshot[name] === "object" ? toObject(snapshot[name] as Struct) : snapshot[name],
      ]),
    );
  // What needs no ArrayBuffer comes first.
  expect([snapshot.smalls.at(2).a, snapshot.smalls.at(2).b, snapshot.smalls.at(1).d]).toEqual([
    -3,
    60_003,
    2 / 3,
  ]);
  expect(read()).toEqual(values);
  expect(bytesOf(snapshot).length).toBe(bytesOf(manager.live).length);
  expect(read()).toEqual(values);
  expect(Buffer.compare(bytesOf(snapshot), bytesOf(manager.live))).toBe(0);
});

test("a NaN in a snapshot keeps its bits", () => {
  using temp = new TempDir();
  using manager = new Manager(All, { dir: temp.dir, create: true });
  manager.edit((data) => {
    data.u64 = 0xfff4_0000_dead_beefn;
  });
  const snapshot = manager.snapshot();
  expect(snapshot.u64).toBe(0xfff4_0000_dead_beefn);
  snapshot.f64 = Number.NaN;
  expect(snapshot.f64).toBeNaN();
});

test("all views of a snapshot see stores to it", () => {
  using temp = new TempDir();
  using manager = new Manager(All, { dir: temp.dir, create: true });
  const snapshot = manager.snapshot();
  const small = snapshot.smalls.at(1);
  expect(small.d).toBe(0);
  snapshot.smalls.at(1).d = 2.5;
  snapshot.i16 = -5;
  bytesOf(snapshot)[16] = 255;
  expect([small.d, snapshot.i16, snapshot.i8]).toEqual([2.5, -5, -1]);
  expect(manager.live.i16).toBe(0);
});

test("every view of a snapshot throws once its buffer was transferred, and views of other snapshots do not", () => {
  using temp = new TempDir();
  using manager = new Manager(All, { dir: temp.dir, create: true });
  const [first, second] = [manager.snapshot(), manager.snapshot()];
  const { smalls } = first;
  structuredClone(bytesOf(first).buffer, { transfer: [bytesOf(first).buffer as ArrayBuffer] });
  const gone = [
    () => first.i8,
    () => first.u16,
    () => first.i32,
    () => first.f32,
    () => first.f64,
    () => first.u64,
    () => first.five,
    () => first.name,
    () => first.big.d,
    () => smalls.at(0).d,
  ];
  for (const read of gone) expect(read).toThrow(TypeError);
  expect(() => manager.snapshot(first)).toThrow(TypeError);
  expect([second.i32, manager.snapshot().i32]).toEqual([0, 0]);
});
