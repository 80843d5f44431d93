import { describe, expect, test } from "bun:test";
import { show } from "../src/errors/show.ts";

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
    [new ArrayBuffer(1), "an ArrayBuffer"],
    [new Uint8Array(1), "a Uint8Array"],
    [new Error("e"), "an Error"],
    [new (class R {})(), "an R"],
    [new (class P {})(), "a P"],
    [new (class {})(), "an object"],
  ])("%#: is short: %s", (value, text) => {
    expect(show(value)).toBe(text);
  });
});
