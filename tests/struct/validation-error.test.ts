import { describe, expect, test } from "bun:test";
import { at, outOfRange, seenFrom, wrongType } from "../../src/struct/validation-error.ts";

describe("the place of a refusal", () => {
  test("the place of a refusal is put together on the way out", () => {
    const error = at("Robot", at(".path", at("[3]", at(".x", outOfRange("a number", "a")))));
    expect([error instanceof RangeError, error.message]).toEqual([
      true,
      'Robot.path[3].x: expected a number, got "a"',
    ]);
  });

  test("the error with a place keeps its kind if it is the library's; any other error becomes a TypeError", () => {
    expect(at("x", wrongType("a", 1))).toBeInstanceOf(TypeError);
    const odd = new SyntaxError("odd");
    expect([at("x", odd).message, at("x", odd).cause, at("x", "text").message]).toEqual([
      "x: SyntaxError: odd",
      odd,
      "x: text",
    ]);
  });

  test("any thrown value gets the place of a refusal", () => {
    const bare = Object.create(null) as unknown;
    const frozen = Object.freeze(wrongType("a", 1));
    expect([
      at("x", bare).message,
      at("x", bare).cause,
      at("x", frozen).message,
      at("x", frozen).cause,
    ]).toEqual(["x: an object", bare, "x: expected a, got 1", frozen]);
  });

  test("the place of a refusal can be given from further out", () => {
    const inner = () => at("Point.rows[3]", at("[1]", wrongType("a", 1)));
    expect((seenFrom("Robot.path[2]", inner()) as Error).message).toBe(
      "Robot.path[2].rows[3][1]: expected a, got 1",
    );
    const other = new TypeError("Point.x");
    expect(seenFrom("Robot", other)).toBe(other);
  });

  test("a place that is complete is not made a step of another one", () => {
    const error = at("Robot", at(".at", at("Point.x", wrongType("a", 1))));
    expect([error.message, (error.cause as Error).message]).toEqual([
      "Robot.at: Point.x: expected a, got 1",
      "Point.x: expected a, got 1",
    ]);
  });

  test("the place of an error that is thrown again and again does not pile up", () => {
    const always = new RangeError("never");
    expect([at("a", always).message, at("b", always).message]).toEqual(["a: never", "b: never"]);
    expect(always.message).toBe("never");
  });
});
