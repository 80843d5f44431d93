/** Schemas that come from a stranger: what they may cost, and names that mean something to JavaScript. */
import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import {
  array,
  type CArray,
  c_int32,
  c_uint8,
  chars,
  create,
  field,
  type MemberSchema,
  Struct,
  StructDefinitionError,
  type StructSchema,
  structFromSchema,
  toObject,
} from "../../src/index.ts";
import { limitsInFile } from "../../src/struct/declare/limits.ts";
import { parseSchemaJson } from "../../src/struct/schema/schema-json.ts";

type Fields = Record<string, MemberSchema>;

const schemaOf = (fields: Fields, size: number): StructSchema => ({
  name: "X",
  kind: "struct",
  size,
  align: 8,
  fields,
});

function manyFields(count: number, type: (i: number) => MemberSchema["type"], size = 1): StructSchema {
  const fields: Fields = {};
  for (let i = 0; i < count; i++) fields[`f${i}`] = { type: type(i), offset: 8 * i, size };
  return schemaOf(fields, 8 * count);
}

const nestedArray = (levels: number): MemberSchema["type"] => {
  let type: MemberSchema["type"] = { chars: 1 };
  for (let i = 0; i < levels; i++) type = { array: type, length: 1 };
  return type;
};
const struct = (i: number): MemberSchema["type"] => ({
  struct: { ...schemaOf({ a: { type: "c_int8", offset: 0, size: 1 } }, 8), name: `S${i}` },
});

describe("a schema that would cost too much is refused, and its limit can be raised", () => {
  test.each<[string, StructSchema, string, object]>([
    ["members", manyFields(9000, () => "c_int8"), "members", { members: 9000 }],
    ["structs", manyFields(400, struct, 8), "classes", { classes: 401 }],
    ["arrays of arrays", manyFields(100, () => nestedArray(60)), "classes", { classes: 6001 }],
    [
      "labels",
      manyFields(
        1,
        () => ({
          converted: "enumOf(c_int32)",
          base: "c_int32",
          labels: Object.fromEntries(Array.from({ length: 17_000 }, (_, i) => [`l${i}`, `${i}`])),
        }),
        4,
      ),
      "labels",
      { labels: 17_000 },
    ],
  ])("a schema with too many %s is refused, and its limit can be raised", (_, schema, option, limits) => {
    const ofFiles = { limits: limitsInFile() };
    expect(() => structFromSchema(schema, ofFiles)).toThrow(StructDefinitionError);
    expect(() => structFromSchema(schema, ofFiles)).toThrow(`{ limits: { ${option}: … } } raises that`);
    expect(structFromSchema(schema, { limits: limitsInFile(limits) }).name).toBe("X");
  });

  test("a limit of a schema that is unknown or not a whole number is refused", () => {
    const schema = manyFields(1, () => "c_int8");
    for (const limits of [{ member: 1 }, { members: -1 }, { members: 1.5 }, { bytes: "1" }])
      expect(() => structFromSchema(schema, { limits: limits as object })).toThrow(TypeError);
    structFromSchema(schema, { limits: { members: undefined } });
  });
});

describe("JSON is measured before it is parsed", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  test.each([
    ["levels", "[".repeat(1_000_000)],
    ["levels, in objects", '{"a":'.repeat(1_000_000)],
    ["values", `[${"0,".repeat(1_000_000)}0]`],
    ["objects", `[${"{},".repeat(300_000)}0]`],
    ["bytes", `"${"x".repeat(5_000_000)}"`],
  ])("JSON with too many %s is refused before it is parsed", (_, text) => {
    expect(() => parseSchemaJson(bytes(text))).toThrow(StructDefinitionError);
  });

  test("brackets and commas within strings of JSON do not count for its limits", () => {
    const text = JSON.stringify({ a: '[[[{{{,,,"\\'.repeat(100_000), b: [1, { c: "\\\\" }] });
    expect(parseSchemaJson(bytes(text))).toEqual(JSON.parse(text));
    expect(() => parseSchemaJson(bytes('{"a":"'))).toThrow(SyntaxError);
    expect(parseSchemaJson(bytes(`"${"x".repeat(5_000_000)}"`), { bytes: 6_000_000 })).toHaveLength(
      5_000_000,
    );
  });
});

describe("a struct that describes more than is there to show", () => {
  class Frame extends Struct {
    @field(array(c_uint8, 3_000_000)) pixels!: Uint8Array;
    @field(array(chars(4), 1000)) names!: CArray<string>;
  }
  const frame = create(Frame);

  test("toObject and JSON refuse a struct that describes too much, and convert it when told to", () => {
    expect(() => toObject(frame)).toThrow(/Frame takes as much as 3\d{6} numbers .*{ maxValues: 3\d{6} }/);
    expect(() => JSON.stringify(frame)).toThrow(/toObject\(view, { maxValues: 3\d{6} }\)/);
    expect(toObject(frame, { maxValues: 4_000_000 }).pixels).toHaveLength(3_000_000);
    expect(() => toObject(frame, { most: 1 } as object)).toThrow(TypeError);
  });

  test("a console shows the beginning of a struct's long arrays", () => {
    for (const shown of [Bun.inspect(frame), inspect(frame)]) {
      expect(shown.length).toBeLessThan(5000);
      expect(shown).toContain("… 2999936 more");
      expect(shown).toContain("… 936 more");
    }
  });

  test("members that lie over each other are counted each", () => {
    const size = 1_000_000;
    const fields: Fields = {};
    for (let i = 0; i < 8000; i++)
      fields[`f${i}`] = { type: { array: "c_uint8", length: size }, offset: 0, size };
    const view = create(structFromSchema(schemaOf(fields, size)));
    expect(() => toObject(view)).toThrow(RangeError);
    expect(() => JSON.stringify(view)).toThrow(RangeError);
    expect(Bun.inspect(view).includes("… 999936 more")).toBe(true);
  });
});

describe("members whose names mean something to JavaScript", () => {
  const names = ["toJSON", "toString", "valueOf", "then", "hasOwnProperty", "last"];
  const values = Object.fromEntries(names.map((name, i) => [name, i + 1]));
  const hairySchema: StructSchema = {
    ...schemaOf(
      Object.fromEntries(names.map((name, i) => [name, { type: "c_int32", offset: 4 * i, size: 4 }])),
      24,
    ),
    name: "Hairy",
  };
  const hairy = create(structFromSchema(hairySchema), values);
  const json = JSON.stringify(values);

  test("members named toJSON, then and the like go into JSON, alone and in another struct", () => {
    expect(JSON.stringify(hairy)).toBe(json);
    const schema = schemaOf(
      {
        inner: { type: { struct: hairySchema }, offset: 0, size: 24 },
        two: { type: { array: { struct: hairySchema }, length: 2 }, offset: 24, size: 48 },
      },
      72,
    );
    const outer = create(structFromSchema(schema), { inner: values, two: [values, values] });
    expect(JSON.stringify(outer)).toBe(`{"inner":${json},"two":[${json},${json}]}`);
    expect(toObject(outer) as unknown).toEqual({ inner: values, two: [values, values] });
  });

  test("members named toString, then and the like do not disturb a template, a number, await and inspection", async () => {
    expect(`${hairy as unknown}`).toBe("[object Hairy]");
    expect(Number(hairy)).toBeNaN();
    expect(`${await hairy}`).toBe("[object Hairy]");
    expect((await hairy).last).toBe(6);
    for (const shown of [Bun.inspect(hairy), inspect(hairy)]) expect(shown).toContain("valueOf: 3");
    hairy.last = 7;
    expect([hairy.last, toObject(hairy).last, Object.keys(hairy).length]).toEqual([7, 7, 6]);
    hairy.last = 6;
  });

  test("a class's own toString and valueOf are used", () => {
    class Named extends Struct {
      @field(c_int32) n!: number;
      override toString(): string {
        return `number ${this.n}`;
      }
      override valueOf(): number {
        return this.n;
      }
    }
    const named = create(Named, { n: 5 });
    expect([`${named}`, Number(named)]).toEqual(["number 5", 5]);
    expect(`${create(class Plain extends Named {}, { n: 1 })}`).toBe("number 1");
  });

  test("a schema with members named constructor or __proto__ is refused", () => {
    for (const name of ["constructor", "__proto__"]) {
      const fields = Object.defineProperty({}, name, {
        value: { type: "c_int32", offset: 0, size: 4 },
        enumerable: true,
      });
      expect(() => structFromSchema(schemaOf(fields, 8))).toThrow(StructDefinitionError);
    }
  });
});
