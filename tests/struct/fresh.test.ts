/** Fresh views load and store each number at once, by typed arrays: they hold the same values as any other view. */
import { describe, expect, test } from "bun:test";
import { viewAt } from "../../src/struct/functions.ts";
import {
  asNumber,
  bytesOf,
  c_int64,
  field,
  type Struct,
  type StructClass,
  structOf,
  viewOf,
} from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { FRESH, READ_ONLY, Region } from "../../src/struct/memory/memory.ts";
import type { View } from "../../src/struct/view/internals.ts";
import { plainView, unreadable } from "../../src/struct/view/plain.ts";
import { isSame } from "../../src/struct/view/same-value.ts";
import { Counters, Everything, EverythingBig, Point } from "../support/everything.ts";

const classes = [Everything, EverythingBig, Counters, Point] as StructClass[];

/** Zeros, ones, and something in between that every type can show. */
const patterns = [0, 1, 0x11];

describe.each(classes)("%p", (cls) => {
  const { size } = layoutOfClass(cls);

  test.each([0, 8, 3])(
    `a fresh view of ${cls.name} reads as a plain view does, %p bytes into its memory`,
    (start) => {
      if (cls === (Counters as StructClass) && start === 3) return;
      for (const pattern of patterns) {
        const buffer = new ArrayBuffer(start + size + 16);
        new Uint8Array(buffer).fill(pattern);
        const plain = plainOf(viewOf(cls, buffer, start));
        for (const mode of [FRESH, FRESH | READ_ONLY])
          expect(isSame(plainOf(viewAt(cls, new Region(buffer, start, size, mode), 0)), plain)).toBe(true);
        expect(isSame(plainOf(viewOf(cls, buffer, { byteOffset: start, fresh: true })), plain)).toBe(true);
      }
    },
  );

  test(`a fresh view of ${cls.name} reads memory that is aligned in a region that is not`, () => {
    const buffer = new ArrayBuffer(size + 24);
    new Uint8Array(buffer).fill(0x11);
    const fresh = viewAt(cls, new Region(buffer, 4, size + 4, FRESH), 4);
    expect(isSame(plainOf(fresh), plainOf(viewOf(cls, buffer, 8)))).toBe(true);
  });

  test(`a fresh view of ${cls.name} stores as a plain view does`, () => {
    const values = Object.entries(plainOf(viewOf(cls, new Uint8Array(size).fill(1))));
    const stored = [false, true].map((fresh) => {
      const view = viewOf(cls, new ArrayBuffer(size), { fresh });
      // What its type refuses is refused by both.
      for (const [name, value] of values) {
        try {
          Object.assign(view, { [name]: value });
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }
      return bytesOf(view);
    });
    expect(stored[1]).toEqual(stored[0] as Uint8Array);
    expect(stored[0]?.some((byte) => byte !== 0)).toBe(true);
  });
});

/** Whatever stands in memory. */
const plainOf = (view: Struct): Record<string, unknown> => plainView(view as View, { unreadable });

test("a fresh view of memory that is gone throws TypeError on reads and stores, in either byte order", () => {
  class Both extends structOf({
    little: c_int64,
    big: field(c_int64, { endian: "big" }),
    safe: asNumber(c_int64),
  }) {}
  const buffer = new ArrayBuffer(32);
  const view = viewOf(Both, buffer, { fresh: true });
  view.big = 5n;
  buffer.transfer(0);
  for (const name of ["little", "big", "safe"] as const) {
    expect(() => view[name]).toThrow(TypeError);
    expect(() => Object.assign(view, { [name]: name === "safe" ? 1 : 1n })).toThrow(TypeError);
  }
});
