/** What takes the memory behind its struct: flexible arrays and text, with a length, a count or neither. */
import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import {
  array,
  asNumber,
  assign,
  bits,
  bytesOf,
  type CArray,
  c_int16,
  c_int32,
  c_uint8,
  c_uint16,
  c_uint32,
  c_uint64,
  chars,
  create,
  equals,
  field,
  layoutOf,
  nested,
  Struct,
  type StructArray,
  type StructClass,
  sizeof,
  struct,
  structFromSchema,
  toObject,
  Union,
  viewOf,
} from "../../src/struct/index.ts";
import { refusal } from "../support/define.ts";

class Entry extends Struct {
  @field(c_uint16) a!: number;
  @field(c_uint16) b!: number;
}
class Table extends Struct {
  @field(c_uint32) n!: number;
  @field(array(Entry, { count: "n" })) entries!: StructArray<Entry>;
}
class Raw extends Struct {
  @field(c_uint32) magic!: number;
  @field(array(c_uint8)) data!: Uint8Array;
}

describe("a flexible array with a count", () => {
  test("a flexible array with a count has as many elements as the other member says", () => {
    const table = viewOf(Table, new ArrayBuffer(4 + 10 * 4));
    expect(table.entries.length).toBe(0);
    table.n = 3;
    expect(table.entries.length).toBe(3);
    expect(toObject(table)).toEqual({ n: 3, entries: Array(3).fill({ a: 0, b: 0 }) });
  });

  test("a flexible array never has more elements than the memory holds, whatever its count says", () => {
    const table = viewOf(Table, new ArrayBuffer(4 + 10 * 4));
    table.n = 4_000_000_000;
    expect(table.entries.length).toBe(10);
    class Signed extends Struct {
      @field(c_int32) n!: number;
      @field(array(c_int16, { count: "n" })) list!: Int16Array;
    }
    const signed = viewOf(Signed, new ArrayBuffer(12));
    signed.n = -1;
    expect(signed.list.length).toBe(0);
  });

  test("a flexible array is assigned with its count, all or nothing", () => {
    const table = viewOf(Table, new ArrayBuffer(4 + 3 * 4));
    assign(table, { entries: [{ a: 1 }, { a: 2 }] });
    expect(toObject(table)).toEqual({
      n: 2,
      entries: [
        { a: 1, b: 0 },
        { a: 2, b: 0 },
      ],
    });
    assign(table, { n: 1, entries: [{ a: 7 }] });
    table.entries = [{ b: 5 }, { b: 6 }, { b: 7 }] as never;
    expect([table.n, table.entries.at(2).b]).toEqual([3, 7]);
    const before = bytesOf(table).slice();
    expect(() => assign(table, { n: 2, entries: [{ a: 9 }] })).toThrow(
      "Table.n: expected 1, the number of elements that are given, got 2",
    );
    expect(() => assign(table, { entries: Array(4).fill({ a: 9 }) })).toThrow(
      "Table.entries: expected an iterable of at most 3 Entry, got more than 3",
    );
    expect(bytesOf(table)).toEqual(before);
  });

  test("the count of a flexible array can be any integer member: a bigint, asNumber, or a bit-field that holds the number", () => {
    class Big extends Struct {
      @field(c_uint64) n!: bigint;
      @field(array(c_uint8, { count: "n" })) data!: Uint8Array;
    }
    class Safe extends Struct {
      @field(asNumber(c_uint64)) n!: number;
      @field(array(c_uint8, { count: "n" })) data!: Uint8Array;
    }
    class Few extends Struct {
      @bits(c_uint8, 2) n!: number;
      @field(array(c_uint8, { count: "n" })) data!: Uint8Array;
    }
    expect(create(Big, { data: [1, 2] }).n).toBe(2n);
    expect(create(Safe, { data: [1, 2] }).n).toBe(2);
    expect(create(Few, { data: [1, 2, 3] }).n).toBe(3);
    expect(() => create(Few, { data: [1, 2, 3, 4] })).toThrow(
      "Few.n: expected an integer from 0 to 3, got 4",
    );
  });

  test("a flexible array ends where its count says for bytesOf, and is copied with it", () => {
    const table = viewOf(Table, new ArrayBuffer(100));
    assign(table, { entries: [{ a: 1 }] });
    expect(bytesOf(table).length).toBe(8);
    const copy = create(Table, table);
    expect([copy.n, bytesOf(copy).length, equals(copy, table)]).toEqual([1, 8, true]);
  });

  test.each([
    ["a member that is not there", "@s.field(s.array(s.c_uint8, { count: 'n' })) d!: unknown", "count"],
    [
      "one that is declared behind it",
      "@s.field(s.array(s.c_uint8, { count: 'n' })) d!: unknown; @s.field(s.c_int8) n!: number",
      "count",
    ],
    [
      "text",
      "@s.field(s.chars(4)) n!: string; @s.field(s.array(s.c_uint8, { count: 'n' })) d!: unknown",
      "must be an integer member that is declared before it",
    ],
  ])("a flexible array cannot have its count in %s", async (_, members, message) => {
    expect(await refusal(`class A extends s.Struct { ${members} } s.sizeof(A)`)).toContain(message);
  });
});

describe("a length", () => {
  test("a length given to viewOf bounds a flexible array", () => {
    const raw = viewOf(Raw, new ArrayBuffer(1 << 20), { byteOffset: 8, length: 5 });
    expect([raw.data.length, bytesOf(raw).length]).toEqual([5, 9]);
    expect(() => viewOf(Raw, new ArrayBuffer(8), { length: 5 })).toThrow("takes 9 bytes");
    expect(() => viewOf(Raw, new ArrayBuffer(8), { length: -1 })).toThrow(
      "Raw: a length must be a whole number from 0 on, got -1",
    );
    expect(() => viewOf(Entry, new ArrayBuffer(8), { length: 1 })).toThrow("Entry has no flexible array");
  });

  test("a length given to create makes room for a flexible array; without one there is room for what init gives", () => {
    expect(create(Raw, { magic: 1 }, { length: 3 }).data.length).toBe(3);
    expect([...create(Raw, { data: [1, 2, 3] }).data]).toEqual([1, 2, 3]);
    expect(create(Table, { n: 2 }).entries.length).toBe(2);
    expect(create(Raw).data.length).toBe(0);
  });
});

describe("elsewhere than in a struct of its own", () => {
  class Inner extends Struct {
    @field(c_uint16) kind!: number;
    @field(array(c_uint16)) list!: Uint16Array;
  }
  class Outer extends Struct {
    @field(c_uint8) version!: number;
    @nested(Inner) inner!: Inner;
  }
  class Either extends Union {
    @field(c_uint32) word!: number;
    @field(array(c_uint8)) raw!: Uint8Array;
  }

  test("a struct that ends in a flexible array may be nested last, and has the rest of the memory", () => {
    expect(sizeof(Outer)).toBe(4);
    const outer = viewOf(Outer, new ArrayBuffer(10));
    assign(outer, { inner: { kind: 1, list: [1, 2, 3] } });
    expect(toObject(outer)).toEqual({ version: 0, inner: { kind: 1, list: [1, 2, 3] } });
    const copy = create(Outer, outer);
    expect(toObject(copy)).toEqual(toObject(outer));
    expect(bytesOf(copy).length).toBe(10);
  });

  test("a union may have a flexible array", () => {
    const either = viewOf(Either, new ArrayBuffer(6));
    either.word = 0x01020304;
    expect([...either.raw]).toEqual([4, 3, 2, 1, 0, 0]);
    expect(sizeof(Either)).toBe(4);
    expect([...create(Either, either).raw]).toEqual([4, 3, 2, 1, 0, 0]);
  });

  test("a member after a nested flexible array is refused, and so are several in a row", async () => {
    const inner = "class I extends s.Struct { @s.field(s.array(s.c_int8)) a!: unknown }";
    expect(
      await refusal(
        `${inner} class O extends s.Struct { @s.nested(I) i!: I; @s.field(s.c_int8) z!: number } s.sizeof(O)`,
      ),
    ).toBe("O.z follows a flexible array, which must be the last member");
    expect(
      await refusal(`${inner} class O extends s.Struct { @s.nested(I, 2) i!: unknown } s.sizeof(O)`),
    ).toBe("O.i: I ends in a flexible array, so there cannot be several in a row");
  });

  test("structs with flexible arrays and unsized text come back from a schema", () => {
    for (const cls of [Table, Raw, Outer, Either, Named] as StructClass[]) {
      const Again = structFromSchema(JSON.parse(JSON.stringify(layoutOf(cls))));
      expect(layoutOf(Again)).toEqual(layoutOf(cls) as never);
      const bytes = new Uint8Array(24).fill(2);
      expect(toObject(viewOf(Again, bytes))).toEqual(toObject(viewOf(cls, bytes)));
    }
  });
});

class Named extends Struct {
  @field(c_uint8) kind!: number;
  @field(chars()) name!: string;
}

describe("text without a size", () => {
  test("text without a size ends at its NUL, or where the memory ends", () => {
    const named = viewOf(Named, new TextEncoder().encode("?grüß"));
    expect(named.name).toBe("grüß");
    named.name = "ab";
    expect([...bytesOf(named)].slice(0, 4)).toEqual([63, 97, 98, 0]);
    expect(named.name).toBe("ab");
    expect(create(Named, { kind: 1, name: "grüß €" }).name).toBe("grüß €");
    expect(create(Named, create(Named, { name: "x" })).name).toBe("x");
  });

  test("text without a size is refused when the memory is too short for it", () => {
    const named = viewOf(Named, new ArrayBuffer(4));
    named.name = "abc";
    for (const store of [() => Object.assign(named, { name: "abcd" }), () => assign(named, { name: "abcd" })])
      expect(store).toThrow("Named.name: expected text of at most 3 bytes (this takes 4)");
    expect(named.name).toBe("abc");
  });

  test("text without a size in UTF-16 is aligned, and keeps whole units", () => {
    class Wide extends Struct {
      @field(c_uint8) kind!: number;
      @field(chars({ encoding: "utf16le" })) name!: string;
    }
    expect(layoutOf(Wide).fields.name.offset).toBe(2);
    const wide = viewOf(Wide, new ArrayBuffer(7));
    wide.name = "ab";
    expect([wide.name, () => Object.assign(wide, { name: "abc" })]).toEqual(["ab", expect.any(Function)]);
    expect(() => Object.assign(wide, { name: "abc" })).toThrow("at most 4 bytes");
  });
});

describe("arrays of nothing, and nothing itself", () => {
  test("an array of length 0 takes no bytes, but is aligned, and may stand anywhere", () => {
    class Old extends Struct {
      @field(c_uint8) a!: number;
      @field(array(c_uint32, 0)) words!: Uint32Array;
      @field(c_uint8) b!: number;
    }
    expect([sizeof(Old), layoutOf(Old).fields.words.offset, layoutOf(Old).fields.b.offset]).toEqual([
      8, 4, 4,
    ]);
    expect(create(Old).words.length).toBe(0);
  });

  test("a struct may have no members if @struct says empty: true", async () => {
    @struct({ empty: true })
    class Nothing extends Struct {}
    class Holder extends Struct {
      @field(c_uint8) a!: number;
      @nested(Nothing) nothing!: Nothing;
      @nested(Nothing, 3) several!: CArray<Nothing>;
      @field(c_uint8) b!: number;
    }
    expect([sizeof(Nothing), sizeof(Holder), toObject(create(Holder, { b: 2 }))]).toEqual([
      0,
      2,
      { a: 0, nothing: {}, several: [{}, {}, {}], b: 2 },
    ]);
    const Again = structFromSchema(JSON.parse(JSON.stringify(layoutOf(Holder))));
    expect(layoutOf(Again)).toEqual(layoutOf(Holder) as never);
    expect(await refusal("class E extends s.Struct {} s.sizeof(E)")).toContain("@struct({ empty: true })");
    expect(
      await refusal(
        "@s.struct({ empty: true }) class E extends s.Struct { @s.field(s.c_int8) a!: number } s.sizeof(E)",
      ),
    ).toBe("E has members, but @struct says empty: true");
  });
});

test("inspection shows the beginning of a long array, and how much is left", () => {
  const raw = viewOf(Raw, new ArrayBuffer(1 << 22));
  for (const text of [inspect(raw), Bun.inspect(raw)]) {
    expect(text.length).toBeLessThan(2000);
    expect(text).toContain(`… ${(1 << 22) - 4 - 64} more`);
  }
  const table = viewOf(Table, new ArrayBuffer(1 << 20));
  table.n = 1000;
  for (const text of [inspect(table.entries), Bun.inspect(table.entries), Bun.inspect(table)])
    expect(text).toContain("… 936 more");
});
