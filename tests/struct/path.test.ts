import { describe, expect, test } from "bun:test";
import { array, c_int32, create, field, Struct, viewOf } from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { getPath, resolvePath, setPath } from "../../src/struct/view/path.ts";
import { Everything, everything } from "../support/everything.ts";

const layout = layoutOfClass(Everything);
const get = (view: Everything, path: string) => getPath(view, resolvePath(layout, path));
const set = (view: Everything, path: string, value: unknown) =>
  setPath(view, resolvePath(layout, path), value);

describe("a path", () => {
  test.each<[string, unknown]>([
    ["i8", -1],
    ["point.y", 11.5],
    ["points.2.x", 3],
    ["ints.0", -1],
    ["grid.1.0", 3],
    ["names.1", "cdef"],
    ["b5", -6],
    ["union.point.x", 7],
    ["spare", 77],
    ["rest.spare", 77],
  ])("the path %s leads to %p", (path, value) => {
    expect(get(create(Everything, everything), path)).toBe(value);
  });

  test.each<[string, unknown]>([
    ["i8", 5],
    ["point", { x: 4 }],
    ["point.y", 0.5],
    ["points.0", { x: 9 }],
    ["points.2.x", 8],
    ["ints.1", 77],
    ["ints", [4, 5, 6]],
    ["grid.1", [8, 9]],
    ["grid.1.1", 0.25],
    ["flags.2", false],
    ["names.0", "zz"],
    ["dates.1", new Date(5)],
    ["b40", 12n],
    ["fifth", 3],
  ])("the value at the path %s can be set", (path, value) => {
    const all = create(Everything, everything);
    set(all, path, value);
    const got = get(all, path);
    const plain = (v: unknown): unknown => (ArrayBuffer.isView(v) ? Array.from(v as Int32Array) : v);
    const json = (v: unknown) => JSON.parse(JSON.stringify([plain(v)]));
    if (typeof value === "bigint") expect(got).toBe(value);
    else expect(json(got)).toMatchObject(json(value));
  });

  test.each<[string, typeof RangeError, string]>([
    ["", TypeError, 'Everything: path "": Everything has no member ""; it has flag, i8, u8'],
    ["nope", TypeError, 'Everything has no member "nope"; it has flag, i8, u8'],
    ["__proto__", TypeError, 'Everything has no member "__proto__"'],
    ["toString", TypeError, 'Everything has no member "toString"'],
    ["point.z", TypeError, 'path "point.z": Point has no member "z"; it has x, y'],
    ["point.", TypeError, 'Point has no member ""'],
    ["i8.x", TypeError, 'c_int8 has no members, so "x" leads nowhere'],
    ["ints.x", TypeError, '"x" must be an index into c_int32[3]'],
    ["ints.-1", TypeError, '"-1" must be an index into c_int32[3]'],
    ["ints.1.5", TypeError, 'c_int32 has no members, so "5" leads nowhere'],
    ["ints.length", TypeError, '"length" must be an index into c_int32[3]'],
    ["ints.3", RangeError, "index 3 is outside c_int32[3]"],
    ["points.99999999999999999999.x", RangeError, "index 99999999999999999999 is outside Point[3]"],
    ["grid.0.2", RangeError, "index 2 is outside c_float[2]"],
  ])("the path %j is refused", (path, kind, message) => {
    expect(() => resolvePath(layout, path)).toThrow(kind);
    expect(() => resolvePath(layout, path)).toThrow(message);
  });

  test.each<[string, unknown, string]>([
    [
      "ints.1",
      2 ** 31,
      "Everything.ints[1]: expected an integer from -2147483648 to 2147483647, got 2147483648",
    ],
    ["raw.0", 256, "Everything.raw[0]: expected an integer from 0 to 255, got 256"],
    ["bigs.0", 1, "Everything.bigs[0]: expected a bigint"],
    ["grid.0.1", "1", 'Everything.grid[0][1]: expected a number, got "1"'],
    ["flags.1", 1, "Everything.flags[1]: expected a boolean, got 1"],
    ["names.1", "abcde", "Everything.names[1]: expected text of at most 4 bytes"],
    ["points.1", { z: 1 }, 'Everything.points[1]: has no member "z"'],
    ["points.1.x", 0.5, "Everything.points[1].x: expected an integer"],
    ["union.point.x", 0.5, "Everything.union.point.x: expected an integer"],
    ["union.word", "abcde", "Everything.union.word: expected text of at most 4 bytes"],
    ["half", -1, "Everything.half: expected an integer"],
    ["rest.half", -1, "Everything.rest.half: expected an integer"],
  ])("a wrong value at the path %s is refused and names its place", (path, value, message) => {
    const all = create(Everything, everything);
    const before = JSON.stringify(all);
    expect(() => set(all, path, value)).toThrow(message);
    expect(JSON.stringify(all)).toBe(before);
  });

  test.each<[unknown, string]>([
    [5, "5"],
    [["i8"], "an array of 1"],
    [{}, "an object"],
    [Object.create(null), "an object"],
  ])("a path that is not a string is refused (%#)", (path, shown) => {
    expect(() => resolvePath(layout, path as never)).toThrow(
      new TypeError(`Everything: a path must be a string, got ${shown}`),
    );
  });

  test("a path into a flexible array is limited by the memory there is", () => {
    class Words extends Struct {
      @field(c_int32) n!: number;
      @field(array(c_int32)) words!: Int32Array;
    }
    const words = viewOf(Words, new ArrayBuffer(12));
    const at = (i: number) => resolvePath(layoutOfClass(Words), `words.${i}`);
    expect(at(100).offset).toBe(404);
    expect(getPath(words, at(1))).toBe(0);
    const beyond = new RangeError("Words.words[2]: index 2 is outside an array of 2 elements");
    expect(() => getPath(words, at(2))).toThrow(beyond);
    expect(() => setPath(words, at(2), 1)).toThrow(beyond);
  });

  test("an element has one spelling in a path", () => {
    class Words extends Struct {
      @field(array(c_int32, 2)) words!: Int32Array;
    }
    for (const step of ["01", "00", "+1", "1.0", " 1", "1e0"])
      expect(() => resolvePath(layoutOfClass(Words), `words.${step}`)).toThrow(TypeError);
  });

  test("a path that was looked up is kept, but not every path for ever", () => {
    expect(resolvePath(layout, "point.x")).toBe(resolvePath(layout, "point.x"));
    class Words extends Struct {
      @field(array(c_int32)) words!: Int32Array;
      static readonly none = 0;
    }
    for (let i = 0; i < 25_000; i++) resolvePath(layoutOfClass(Words), `words.${i}`);
    expect(resolvePath(layoutOfClass(Words), "words.7").offset).toBe(28);
  });
});
