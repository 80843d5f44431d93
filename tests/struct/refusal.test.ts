import { describe, expect, test } from "bun:test";
import { at, outOfRange, show, wrongType } from "../../src/struct/refusal.ts";

describe("a value in a message", () => {
  class Shoe {}
  test.each<[unknown, string]>([
    [1.5, "1.5"],
    [-0, "-0"],
    [Number.NaN, "NaN"],
    [5n, "5n"],
    [-(2n ** 64n), "-18446744073709551616n"],
    [10n ** 60n, "a huge bigint"],
    [1n << 10_000_000n, "a huge bigint"],
    ["a\nb", '"a\\nb"'],
    ["x".repeat(61), `"${"x".repeat(60)}"… (61 characters)`],
    [true, "true"],
    [undefined, "undefined"],
    [null, "null"],
    [Symbol("s"), "Symbol(s)"],
    [[1, 2], "an array of 2"],
    [{}, "an object"],
    [Object.create(null), "an object"],
    [new Shoe(), "a Shoe"],
    [Shoe, "function Shoe"],
    [new Map(), "a Map"],
  ])("%#: is short: %s", (value, text) => {
    expect(show(value)).toBe(text);
  });
});

describe("the place of a refusal", () => {
  test("is put together on the way out", () => {
    const error = at("Robot", at(".path", at("[3]", at(".x", outOfRange("a number", "a")))));
    expect([error instanceof RangeError, error.message]).toEqual([
      true,
      'Robot.path[3].x: expected a number, got "a"',
    ]);
  });

  test("keeps the kind of the error, and makes a TypeError of any other", () => {
    expect(at("x", wrongType("a", 1))).toBeInstanceOf(TypeError);
    const odd = new SyntaxError("odd");
    expect([at("x", odd).message, at("x", odd).cause, at("x", "text").message]).toEqual([
      "x: SyntaxError: odd",
      odd,
      "x: text",
    ]);
  });

  test("of an error that is thrown again and again does not pile up", () => {
    const always = new RangeError("never");
    expect([at("a", always).message, at("b", always).message]).toEqual(["a: never", "b: never"]);
    expect(always.message).toBe("never");
  });
});
