/** The fields of bytes, where several claim the same byte. */
import { expect, test } from "bun:test";
import { printHex } from "../../src/cli/hex.ts";
import { Output, type Style } from "../../src/cli/output.ts";
import type { MemberSchema, StructSchema } from "../../src/struct/schema/schema.ts";

/** Each byte with the style that it has. */
class Painted extends Output {
  text = "";
  override paint = (style: Style, text: string): string => `<${style} ${text}>`;
  override write(text: string): void {
    this.text += text;
  }
}

const struct = (size: number, fields: Record<string, MemberSchema>): StructSchema => ({
  name: "S",
  kind: "struct",
  size,
  align: 1,
  fields,
});
const member = (type: MemberSchema["type"], offset: number, size: number): MemberSchema => ({
  type,
  offset,
  size,
});

function hexOf(schema: StructSchema, byteLength: number): string[] {
  const out = new Painted(false);
  printHex(out, schema, new Uint8Array(byteLength));
  return out.text.trimEnd().split("\n");
}

test("of members that overlap the first has the byte, and each is named", () => {
  const inner = { ...struct(4, { whole: member("c_int16", 0, 2), low: member("c_int8", 0, 4) }) };
  const schema = struct(8, { a: member("c_int8", 0, 1), u: member({ struct: inner }, 1, 4) });
  const [line = ""] = hexOf(schema, 8);
  expect(line).toContain(
    "<cyan 00> <green 00> <green 00> <yellow 00> <yellow 00> <dim 00> <dim 00> <dim 00>",
  );
  expect(line).toEndWith("<cyan +0 a>  <green +1 u.whole>  <yellow +1 u.low>");
});

test("elements of struct arrays, of arrays of arrays and of anonymous members have their own names", () => {
  const point = struct(2, { x: member("c_int8", 0, 1), y: member("c_int8", 1, 1) });
  const rows = { array: { array: { struct: point }, length: 2 }, length: 2 };
  const schema = struct(12, {
    grid: member(rows, 0, 8),
    hidden: { ...member({ struct: point }, 8, 2), anonymous: true },
    tail: member({ array: "c_int8", length: 2 }, 10, 2),
  });
  const names = [...hexOf(schema, 12)[0]!.matchAll(/\+(\d+) ([\w.]+)/g)].map(
    ([, at, name]) => `${at} ${name}`,
  );
  const grid = ["0.0", "0.1", "1.0", "1.1"].flatMap((at, i) => [
    `${2 * i} grid.${at}.x`,
    `${2 * i + 1} grid.${at}.y`,
  ]);
  expect(names).toEqual([...grid, "8 x", "9 y", "10 tail"]);
});

test("twenty thousand members over the same million bytes take no 20 thousand million steps", () => {
  const fields = Object.fromEntries(
    Array.from({ length: 20_000 }, (_, i) => [`f${i}`, member("c_int8", 0, 1_000_000)]),
  );
  const lines = hexOf(struct(1_000_000, fields), 64);
  expect(lines).toHaveLength(4);
  expect(lines[3]).toStartWith("<dim 000030>  <cyan 00>");
});

test("elements without bytes have no names, however many there are", () => {
  const rows = { array: { array: { struct: struct(0, {}) }, length: 2 ** 30 }, length: 2 ** 30 };
  const schema = struct(1, { none: member(rows, 0, 0), last: member("c_int8", 0, 1) });
  expect(hexOf(schema, 1)[0]).toEndWith("+0 last>");
});
