import { describe, expect, setDefaultTimeout, test } from "bun:test";
import vm from "node:vm";
import { checkJson, spellPath } from "../../src/document/json-value.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

class Robot {
  speed = 1;
}

class Matrix extends Array<number> {}

const heirOf = (prototype: object | null, value: object): object => Object.setPrototypeOf(value, prototype);

const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
};

const cyclic: Record<string, unknown> = { a: { b: [] } };
(cyclic.a as { b: unknown[] }).b.push(cyclic);

const twice = { x: 1 };

describe("what comes back as it was is accepted", () => {
  const accepted: [name: string, value: unknown][] = [
    ["null", null],
    ["booleans", [true, false]],
    ["numbers", [0, -1, 1.5, 1e300, 5e-324, Number.MAX_SAFE_INTEGER]],
    ["text, also with lone surrogates and NUL", ["", "ß漢😀", "\ud800", "\0\n\u2028"]],
    ["empty containers", [[], {}]],
    ["keys of all kinds", { "": 1, "a b": 2, ["__proto__"]: 3, 0: 4, "\udc00": 5 }],
    ["objects without a prototype", Object.assign(Object.create(null), { a: 1 })],
    ["objects of another realm", vm.runInNewContext("({ a: [1, { b: 2 }] })")],
    ["the match of a regular expression", /b/.exec("abc")],
    ["the same object twice", [[twice, twice]]],
    ["1000 levels", nested(1000)],
  ];
  for (const [name, value] of accepted) {
    test(`checkJson accepts ${name}`, () => {
      checkJson(value);
      expect(JSON.stringify(JSON.parse(JSON.stringify(value)))).toBe(JSON.stringify(value));
    });
  }
});

describe("what would not is refused with its path", () => {
  const sparse: unknown[] = [1];
  sparse[2] = 3;
  const refused: [value: unknown, message: string][] = [
    [undefined, "$ is undefined, which JSON cannot hold: leave the property out, or write null"],
    [{ a: [1, undefined] }, "$.a[1] is undefined"],
    [{ a: [0, 1, 2, { b: () => 1 }] }, "$.a[3].b is a function, which JSON cannot hold"],
    [{ a: Symbol("s") }, "$.a is a symbol"],
    [{ a: 1n }, "$.a is a bigint, which JSON cannot hold: write it as a string"],
    [[Number.NaN], "$[0] is NaN, which JSON has no number for: write null"],
    [{ "my key": Number.POSITIVE_INFINITY }, '$["my key"] is Infinity'],
    [
      { at: new Date(0) },
      "$.at is an instance of Date, which would come back as something else: write its toISOString()",
    ],
    [
      { m: new Map() },
      "$.m is an instance of Map, which would come back as something else: write a plain object or an array",
    ],
    [new Set([1]), "$ is an instance of Set"],
    [{ bytes: new Uint8Array(2) }, "$.bytes is an instance of Uint8Array"],
    [{ b: Buffer.from("x") }, "$.b is an instance of Buffer"],
    [{ r: /x/ }, "$.r is an instance of RegExp"],
    [{ r: new Robot() }, "$.r is an instance of Robot"],
    [{ s: new String("x") }, "$.s is an instance of String"],
    [Promise.resolve(1), "$ is an instance of Promise"],
    [{ toJSON: () => 1 }, "$.toJSON is a function"],
    [{ a: Object.defineProperty({}, "toJSON", { value: () => 7 }) }, "$.a has a toJSON()"],
    [Object.assign([1], { toJSON: () => 7 }), "$ has a toJSON()"],
    [Object.create({ inherited: 1 }), "$ is an object that inherits, which would come back"],
    [{ [Symbol("s")]: 1 }, "$ has a symbol as a key"],
    [{ m: Matrix.of(1, 2) }, "$.m is an instance of Matrix, which would come back as something else"],
    [vm.runInNewContext("(class Rows extends Array {}).of(1)"), "$ is an instance of Rows"],
    [heirOf([9], [1, 2]), "$ is an array that inherits"],
    [heirOf(null, [1]), "$ is an array that inherits"],
    [heirOf(heirOf(null, { inherited: 1 }), {}), "$ is an object that inherits"],
    [(function* () {})(), "$ is an instance of Generator, which would come back"],
    [
      new (class Own {
        hasOwnProperty() {}
      })(),
      "$ is an instance of Own",
    ],
    [new (class {})(), "$ is an object that inherits"],
    [sparse, "$[1] is a gap in the array, which JSON cannot hold: write null"],
    [cyclic, "$.a.b[0] contains itself"],
    [nested(1001), " is nested deeper than 1000 levels"],
  ];
  for (const [value, message] of refused) {
    test(`checkJson refuses a value: ${message.slice(0, 60)}`, () => {
      expect(() => checkJson(value)).toThrow(TypeError);
      expect(() => checkJson(value)).toThrow(message);
    });
  }
});

test("checkJson spells paths as JavaScript would", () => {
  expect(spellPath([])).toBe("$");
  expect(spellPath(["a", 3, "b_1", "ß", "$x"])).toBe("$.a[3].b_1.ß.$x");
  expect(spellPath(["1a", "a-b", "", 'q"'])).toBe('$["1a"]["a-b"][""]["q\\""]');
});

test("checkJson shows only the ends of a path of a thousand keys, and of a key of a thousand characters", () => {
  let deep: object = {};
  for (let i = 0; i < 1500; i++) deep = { a: deep };
  const a = ".a.a.a.a.a";
  expect(() => checkJson(deep)).toThrow(`$${a} … 990 more … ${a} is nested deeper`);
  expect(spellPath(["x".repeat(1000)]).length).toBeLessThan(100);
  expect(spellPath(Array.from({ length: 11 }, (_, i) => i))).toBe("$[0][1][2][3][4][5][6][7][8][9][10]");
});
