import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  byte,
  descriptor,
  integer,
  pageStart,
  place,
  resolveIndex,
  resolvePosition,
  resolveSlice,
  toBytes,
} from "../../src/sys/arguments.ts";
import { pageSize } from "../../src/sys/file.ts";
import { hasTool } from "../support/tools.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

test("positions of a search count from the end when negative, and are moved into range", () => {
  expect([0, 5, 9, 10, 11, -1, -10, -11].map((at) => resolvePosition(at, "start", 10))).toEqual([
    0, 5, 9, 10, 10, 9, 0, 0,
  ]);
});

test("an index is within the range, or an error names it", () => {
  expect([resolveIndex(0, 3), resolveIndex(-3, 3), resolveIndex(2, 3)]).toEqual([0, 0, 2]);
  expect(() => resolveIndex(3, 3)).toThrow("index 3 is not within the 3 mapped bytes");
  expect(() => resolveIndex(0, 0)).toThrow(RangeError);
});

test("arguments that are integers, bytes and page starts are checked", () => {
  for (const value of [0.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null, undefined, 1n]) {
    expect(() => integer(value as number, "length")).toThrow(/length must be an integer/);
  }
  expect([byte(0), byte(255), pageStart(0, "offset"), pageStart(2 * pageSize(), "offset")]).toEqual([
    0,
    255,
    0,
    2 * pageSize(),
  ]);
  expect(integer(2 ** 53, "length")).toBe(2 ** 53);
  for (const value of [2 ** 63, -(2 ** 64)])
    expect(() => integer(value, "length")).toThrow("length must fit a 64-bit integer");
  expect(place(Number.POSITIVE_INFINITY, "end")).toBe(Number.POSITIVE_INFINITY);
  expect(resolveSlice(0, 2 ** 64, 1, 5)).toEqual({ first: 0, count: 5, step: 1 });
  expect(resolveSlice(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 2, 5).count).toBe(3);
  expect(() => place(Number.NaN, "end")).toThrow("end must be an integer");
  for (const value of [2 ** 31, 5 - 2 ** 32, -1 - 2 ** 32])
    expect(() => descriptor(value)).toThrow(`${value} is no file descriptor`);
  for (const value of [-1, 256]) expect(() => byte(value)).toThrow(RangeError);
  for (const value of [-pageSize(), 1]) expect(() => pageStart(value, "offset")).toThrow(RangeError);
});

test("bytes that are given are not copied, and keep their place in their buffer", () => {
  const words = Uint16Array.of(1, 2, 3, 4);
  const bytes = toBytes(words.subarray(1, 3));
  bytes[0] = 9;
  expect([bytes.length, words[1]]).toEqual([4, 9]);
  expect([...toBytes("ö")]).toEqual([0xc3, 0xb6]);
  expect(toBytes(new SharedArrayBuffer(3) as never).length).toBe(3);
  for (const value of [null, undefined, 5, {}, [1, 2]])
    expect(() => toBytes(value as never)).toThrow(TypeError);
});

describe("subscripts", () => {
  const positions = [undefined, -7, -6, -5, -1, 0, 1, 4, 5, 6, 1000];
  const steps = [undefined, 1, 2, 3, 7, -1, -2, -3, -7];

  test.skipIf(!hasTool("python3"))(
    "subscripts mean what Python's mean, all 5,445 of them (needs python3)",
    () => {
      const script = `import json,sys
positions, steps = json.load(sys.stdin)
print(json.dumps([list(range(n))[a:b:c] for n in range(5) for a in positions for b in positions for c in steps]))`;
      const answer = Bun.spawnSync(["python3", "-c", script], {
        stdin: Buffer.from(JSON.stringify([positions, steps])),
      });
      const ours: number[][] = [];
      for (let length = 0; length < 5; length++)
        for (const start of positions)
          for (const end of positions)
            for (const step of steps) {
              const slice = resolveSlice(start, end, step, length);
              ours.push(Array.from({ length: slice.count }, (_, i) => slice.first + i * slice.step));
            }
      expect(ours.length).toBe(5 * 11 * 11 * 9);
      expect(ours).toEqual(JSON.parse(answer.stdout.toString()));
    },
  );

  test("a subscript with step 0 is refused", () => {
    expect(() => resolveSlice(0, 1, 0, 5)).toThrow(RangeError);
  });
});
