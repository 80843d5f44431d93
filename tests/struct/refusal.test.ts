import { describe, expect, test } from "bun:test";
import { at, outOfRange, wrongType } from "../../src/struct/refusal.ts";

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
