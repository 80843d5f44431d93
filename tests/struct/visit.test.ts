/** One discriminant for whatever a field can be of. */
import { expect, test } from "bun:test";
import { StructType } from "../../src/struct/declare/composite.ts";
import { kindOf } from "../../src/struct/declare/visit.ts";
import {
  array,
  asNumber,
  atomic,
  bytes,
  type CType,
  c_bool,
  c_char,
  c_int32,
  c_int64,
  c_longdouble,
  c_void_p,
  chars,
  enumOf,
  field,
  Struct,
} from "../../src/struct/index.ts";
import { refusal } from "../support/define.ts";

class Point extends Struct {
  @field(c_int32) x!: number;
}

const mine: CType<number> = {
  name: "mine",
  size: 1,
  align: 1,
  read: () => 0,
  write: () => {},
  check: Number,
};

test.each([
  [c_int32, "scalar"],
  [c_bool, "scalar"],
  [c_void_p, "scalar"],
  [chars(4), "text"],
  [c_char, "text"],
  [array(c_int32, 2), "array"],
  [bytes(2), "array"],
  [new StructType(Point), "struct"],
  [atomic(c_int32), "atomic"],
  [asNumber(c_int64), "own"],
  [enumOf(c_int32, { A: 1 }), "own"],
  [c_longdouble, "own"],
  [mine, "own"],
  [{ ...c_int32, align: 8 }, "scalar"],
] as const)("kindOf(%p) is %s", (type, kind) => {
  expect(kindOf(type)).toBe(kind);
});

test("a type of one's own cannot say that it is of another kind", async () => {
  const own = "{ name: 'x', size: 1, align: 1, read: () => 0, write() {}, check: Number, kind:";
  for (const kind of ["'scalar'", "'array'", "'temperature'", "7"])
    expect(await refusal(`s.field(${own} ${kind} })`)).toStartWith("type x: kind must be");
  expect(await refusal(`s.field(${own} 'own' })`)).toBe("nothing was refused");
});
