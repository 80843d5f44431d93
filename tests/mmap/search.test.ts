import { expect, test } from "bun:test";
import { MemoryMap } from "../../src/mmap/index.ts";
import { copyLine, findFirst, findLast } from "../../src/mmap/search.ts";

const PIECE = 65_536;
const needle = new TextEncoder().encode("needle");

test.each([0, 1, PIECE - 6, PIECE - 5, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 8, 3 * PIECE - 6])(
  "a needle at %i of several pieces is found from both ends",
  (at) => {
    const bytes = new Uint8Array(3 * PIECE).fill(0x6e);
    bytes.set(needle, at);
    expect([findFirst(bytes, needle), findLast(bytes, needle)]).toEqual([at, at]);
  },
);

test("the first of two needles is found from the start, the last from the end", () => {
  const bytes = new Uint8Array(3 * PIECE);
  for (const at of [PIECE - 3, 2 * PIECE - 3]) bytes.set(needle, at);
  expect([findFirst(bytes, needle), findLast(bytes, needle)]).toEqual([PIECE - 3, 2 * PIECE - 3]);
});

test("a needle that is not there is not found; one longer than a piece is", () => {
  const bytes = new Uint8Array(3 * PIECE);
  expect([findFirst(bytes, needle), findLast(bytes, needle)]).toEqual([-1, -1]);
  const long = new Uint8Array(PIECE + 9).fill(1);
  bytes.set(long, PIECE - 4);
  expect([findFirst(bytes, long), findLast(bytes, long)]).toEqual([PIECE - 4, PIECE - 4]);
  expect([findFirst(bytes, new Uint8Array(0)), findLast(bytes, new Uint8Array(0))]).toEqual([
    0,
    bytes.length,
  ]);
});

test.each([0, 255, 256, 4095, 4096, 70_000])(
  "copyLine copies a line of %i bytes with its newline",
  (length) => {
    const bytes = new Uint8Array(length + 10).fill(0x61);
    bytes[length] = 10;
    expect(copyLine(bytes, 0)).toEqual(bytes.slice(0, length + 1));
    expect(copyLine(bytes, length + 1)).toEqual(bytes.slice(length + 1));
  },
);

test("text gives the UTF-8 of a range, copy fills memory of one's own", () => {
  using map = new MemoryMap(-1, 64);
  map.setSlice("h\u00e4llo", 8, 14);
  expect(map.text(8, 14)).toBe("h\u00e4llo");
  expect(map.text(-56, -50)).toBe("h\u00e4llo");
  expect(map.text(9, 10)).toBe("\ufffd");
  const target = new Uint8Array(8);
  expect(map.copy(target, 8, 14)).toBe(6);
  expect([...target]).toEqual([...Buffer.from("h\u00e4llo"), 0, 0]);
  expect(() => map.copy(target, 0, 9)).toThrow(new RangeError("9 bytes do not fit into a target of 8"));
});
