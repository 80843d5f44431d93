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
  ["scalar", "c_int32", c_int32],
  ["scalar", "c_bool", c_bool],
  ["scalar", "c_void_p", c_void_p],
  ["text", "chars(4)", chars(4)],
  ["text", "c_char", c_char],
  ["array", "array(c_int32, 2)", array(c_int32, 2)],
  ["array", "bytes(2)", bytes(2)],
  ["struct", "new StructType(Point)", new StructType(Point)],
  ["atomic", "atomic(c_int32)", atomic(c_int32)],
  ["own", "asNumber(c_int64)", asNumber(c_int64)],
  ["own", "enumOf(c_int32, { A: 1 })", enumOf(c_int32, { A: 1 })],
  ["own", "c_longdouble", c_longdouble],
  ["own", "mine", mine],
  ["scalar", "{ ...c_int32, align: 8 }", { ...c_int32, align: 8 }],
] as const)("the kind is %s of %s", (kind, _, type) => {
  expect(kindOf(type)).toBe(kind);
});

test("a type of one's own cannot say that it is of another kind", async () => {
  const own = "{ name: 'x', size: 1, align: 1, read: () => 0, write() {}, check: Number, kind:";
  for (const kind of ["'scalar'", "'array'", "'temperature'", "7"])
    expect(await refusal(`s.field(${own} ${kind} })`)).toStartWith("type x: kind must be");
  expect(await refusal(`s.field(${own} 'own' })`)).toBe("nothing was refused");
});
