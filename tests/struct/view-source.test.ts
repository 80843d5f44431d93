/** The generated source is there to be read. */
import { expect, test } from "bun:test";
import { c_double, c_int32, field, nested, Struct, struct, viewSource } from "../../src/struct/index.ts";

class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_int32) n!: number;
}

class Robot extends Struct {
  @nested(Point) at!: Point;
}

@struct({ endian: "big" })
class Wire extends Struct {
  @field(c_int32) n!: number;
}

test("viewSource shows an accessor with its offset, its check and its byte order", () => {
  const source = viewSource(Point);
  expect(source).toContain(`  get "n"() { return this.#view.getInt32(8, true); }
  set "n"(v) {
    if (typeof v !== "number" || (v << 0 >> 0) !== v) refuseValue(layout, "n", type_c_int32, v);
    this.#view.setInt32(8, v, true);
  }`);
  expect(viewSource(Wire)).toContain("getInt32(0, false)");
});

test("the source from viewSource is indented, ends every line without blanks and is a function's body", () => {
  const source = viewSource(Robot);
  expect(source.split("\n").filter((line) => /\s$/.test(line))).toEqual([]);
  expect(source).toMatch(/^"use strict";\nreturn class \{\n {2}#region/);
  expect(() => new Function("B", "REGION", "OFFSET", source)).not.toThrow();
});

test("names reach the source of a view as JSON strings only", () => {
  class Odd extends Struct {}
  field(c_int32)(Odd.prototype as never, "$ö" as never);
  expect(viewSource(Odd)).toContain('get "$ö"()');
});

test("viewSource refuses what is no struct class", () => {
  expect(() => viewSource(Number as never)).toThrow("is not a struct class");
});
