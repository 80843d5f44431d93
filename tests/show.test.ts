import { describe, expect, test } from "bun:test";
import { FileFormatError, LayoutMismatchError } from "../src/errors/errors.ts";
import { escapeLines, escapeText, show } from "../src/errors/show.ts";

describe("a value in a message", () => {
  class Shoe {}
  test.each<[string, unknown]>([
    ["1.5", 1.5],
    ["-0", -0],
    ["NaN", Number.NaN],
    ["5n", 5n],
    ["-18446744073709551616n", -(2n ** 64n)],
    ["a huge bigint", 10n ** 60n],
    ["a huge bigint", 1n << 10_000_000n],
    ['"a\\nb"', "a\nb"],
    [`"${"x".repeat(60)}"… (61 characters)`, "x".repeat(61)],
    ["true", true],
    ["undefined", undefined],
    ["null", null],
    ["Symbol(s)", Symbol("s")],
    ["an array of 2", [1, 2]],
    ["an object", {}],
    ["an object", Object.create(null)],
    ["a Shoe", new Shoe()],
    ["function Shoe", Shoe],
    ["a Map", new Map()],
    ["an ArrayBuffer", new ArrayBuffer(1)],
    ["a Uint8Array", new Uint8Array(1)],
    ["an Error", new Error("e")],
    ["an R", new (class R {})()],
    ["a P", new (class P {})()],
    ["an object", new (class {})()],
  ])("a value is short in a message: %s", (text, value) => {
    expect(show(value)).toBe(text);
  });
});

describe("text that a stranger wrote", () => {
  test.each<[string, string]>([
    ["plain text, \u00e4 and \u{1f600}", "plain text, \u00e4 and \u{1f600}"],
    ["\u001b[2J\u0007", "\\u001b[2J\\u0007"],
    ["a\r\nb\tc", "a\\u000d\\u000ab\\u0009c"],
    ["\u007f\u009b31m", "\\u007f\\u009b31m"],
    ["\u202eevil\u2066\u200f\u061c", "\\u202eevil\\u2066\\u200f\\u061c"],
    ["line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"],
    ["\ud800 alone", "\\ud800 alone"],
  ])("text of a stranger is printed on one line, each character visible: %j", (text, printed) => {
    expect(escapeText(text)).toBe(printed);
    expect(escapeLines(text)).toBe(printed.replaceAll("\\u000a", "\n"));
  });

  test("text as a value is quoted in messages", () => {
    expect(show("\u202e\u009b\u0000")).toBe('"\\u202e\\u009b\\u0000"');
    expect(show(Object.defineProperty(() => 0, "name", { value: "\u001bf" }))).toBe("function \\u001bf");
  });

  test("errors of the library escape a stranger's text, but keep the lines of their own", () => {
    const error = new FileFormatError("/x", "first \u001b[31m\nsecond \u202e");
    expect(error.message).toBe("first \\u001b[31m\nsecond \\u202e");
    const mismatch = new LayoutMismatchError("/x", ["a\nb\u0007"], "m");
    expect(mismatch.differences).toEqual(["a\\u000ab\\u0007"]);
  });
});
