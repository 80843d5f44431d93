import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { StructDefinitionError } from "../../src/errors/errors.ts";
import {
  array,
  assign,
  bytesOf,
  type CType,
  c_int8,
  c_int16,
  c_int32,
  c_uint8,
  create,
  field,
  layoutOf,
  nested,
  Struct,
  type StructClass,
  type StructSchema,
  sizeof,
  struct,
  structFromSchema,
  toObject,
  viewOf,
} from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { fingerprintOf, leavesOf } from "../../src/struct/schema/schema.ts";
import {
  Counters,
  date_ms,
  Everything,
  EverythingBig,
  everything,
  Mode,
  Point,
} from "../support/everything.ts";
import { seedOfRun } from "../support/random.ts";

const json = <T>(value: T): T => JSON.parse(JSON.stringify(value));
const schemaFor = (cls: StructClass): StructSchema =>
  json(layoutOf(cls as StructClass<Struct>)) as StructSchema;

describe("a class from a schema", () => {
  test.each([Everything, EverythingBig, Counters, Point])(
    "a class from the schema of %p reads and writes what the original does",
    (cls) => {
      const again = structFromSchema(schemaFor(cls), { types: [date_ms] });
      const init = cls === Everything ? everything : cls === EverythingBig ? { all: everything } : {};
      const original = create(cls as StructClass<Everything>, init as never);
      const copy = viewOf(again, bytesOf(original));
      expect(toObject(copy)).toEqual(toObject(original) as never);
      expect(bytesOf(assign(create(again), copy as never))).toEqual(bytesOf(original));
      expect(json(layoutOf(again)) as unknown).toEqual(schemaFor(cls));
      expect(fingerprintOf(layoutOfClass(again))).toBe(fingerprintOf(layoutOfClass(cls)));
    },
  );

  test("structFromSchema refuses options that it would ignore", () => {
    const schema = layoutOf(Point);
    expect(() => structFromSchema(schema, { type: [] } as never)).toThrow(
      'structFromSchema: there is no option "type"; the options are types',
    );
    for (const options of [[], { types: {} }])
      expect(() => structFromSchema(schema, options as never)).toThrow(TypeError);
    expect(() => structFromSchema(schema, { types: [date_ms, { name: "date" }] } as never)).toThrow(
      new TypeError(
        "structFromSchema: option types[1] must be a type such as convert returns, got an object",
      ),
    );
    expect(() => structFromSchema(schema, { types: [{ ...date_ms, size: 0 }] })).toThrow(
      "type date_ms: size must be a positive whole number of bytes",
    );
  });

  test("a class from a schema checks values as the original does, enums included", () => {
    const again = structFromSchema(schemaFor(Everything));
    const view = create(again, { mode: Mode.Run, i8: 1, fifth: -3 });
    expect([view.mode, view.i8, view.fifth]).toEqual([Mode.Run, 1, -3]);
    expect(() => create(again, { mode: 3 })).toThrow(
      "Everything.mode: expected one of Idle (0), Run (5), got 3",
    );
    expect(() => create(again, { i8: 128 })).toThrow(
      "Everything.i8: expected an integer from -128 to 127, got 128",
    );
    expect(() => create(again, { text: "123456789" })).toThrow(
      "Everything.text: expected text of at most 8 bytes",
    );
    expect(() => create(again, { b5: 16 })).toThrow(RangeError);
  });

  test("a class from a schema shows a type that it does not know as it is stored", () => {
    const again = structFromSchema(schemaFor(Everything));
    expect(viewOf(again, bytesOf(create(Everything, everything))).when).toBe(1000n);
    const triple: CType<number[]> = {
      name: "triple",
      size: 3,
      align: 1,
      read: ({ bytes }, o) => [...bytes.subarray(o, o + 3)],
      write: ({ bytes }, o, value) => void bytes.set(value, o),
      check: (value) => value as number[],
    };
    class Colour extends Struct {
      @field(triple) rgb!: number[];
    }
    const unknown = structFromSchema(schemaFor(Colour));
    const view = create(unknown, { rgb: new Uint8Array([1, 2, 3]) });
    expect(view.rgb).toEqual(new Uint8Array([1, 2, 3]));
    expect(() => create(unknown, { rgb: [1, 2, 3] })).toThrow(
      "Colour.rgb: expected a Uint8Array of 3 bytes (the type triple is not known here)",
    );
    expect(fingerprintOf(layoutOfClass(unknown))).toBe(fingerprintOf(layoutOfClass(Colour)));
    expect(create(structFromSchema(schemaFor(Colour), { types: [triple] }), { rgb: [1, 2, 3] }).rgb).toEqual([
      1, 2, 3,
    ]);
  });

  test("a class from a schema writes a flattened bit-field where it is", () => {
    const again = structFromSchema(schemaFor(Everything));
    const [one, two] = [create(Everything), create(again)];
    assign(one, { fifth: -3 } as never);
    assign(two, { fifth: -3 });
    expect(bytesOf(two)).toEqual(bytesOf(one));
  });
});

describe("leaves and fingerprint", () => {
  class Base extends Struct {
    @field(c_int32) a!: number;
    @field(c_int32) b!: number;
  }
  const fingerprint = (cls: StructClass) => fingerprintOf(layoutOfClass(cls));

  test("leaves name every field with its place", () => {
    class Line extends Struct {
      @field(c_int8) n!: number;
      @nested(Point, 2) points!: never;
      @field(array(c_int16, 2, 3)) grid!: never;
    }
    expect(leavesOf(layoutOfClass(Line))).toEqual([
      { path: "n", type: "c_int8", offset: 0, size: 1 },
      { path: "points", type: "struct[2]", offset: 8, size: 32 },
      { path: "points[].x", type: "c_int16", offset: 8, size: 2 },
      { path: "points[].y", type: "c_double", offset: 16, size: 8 },
      { path: "grid", type: "c_int16[2][3]", offset: 40, size: 12 },
    ]);
  });

  test("the fingerprint tells names, types, order of bytes and places apart", () => {
    class Swapped extends Struct {
      @field(c_int32) b!: number;
      @field(c_int32) a!: number;
    }
    class Typed extends Struct {
      @field(c_int32) a!: number;
      @field(array(c_uint8, 4)) b!: never;
    }
    @struct({ endian: "big" })
    class Turned extends Base {}
    class Inside extends Struct {
      @nested(Base) in!: Base;
    }
    @struct({ endian: "big" })
    class InsideTurned extends Inside {}
    @struct({ name: "Base", align: 16 })
    class Wider extends Base {}
    const all = [Base, Swapped, Typed, Turned, Inside, InsideTurned, Wider].map(fingerprint);
    expect(new Set(all).size).toBe(all.length);
  });

  test("the fingerprint ignores the name of the struct, and an explicit byte order that is the machine's", () => {
    @struct({ name: "Other", endian: "little" })
    class Renamed extends Base {}
    expect(fingerprint(Renamed)).toBe(fingerprint(Base));
  });
});

describe("a schema is never trusted", () => {
  const member = (over: object) => ({ type: "c_int32", offset: 0, size: 4, ...over });
  const schema = (fields: object, over: object = {}) => ({
    name: "S",
    kind: "struct",
    size: 8,
    align: 4,
    fields,
    ...over,
  });
  const inner = schema({ a: member({}) });

  test.each<[string, unknown]>([
    ["no object", 5],
    ["nothing", undefined],
    ["null", null],
    ["an array", []],
    ["no name", schema({ a: member({}) }, { name: "" })],
    ["a name that is a path", schema({ a: member({}) }, { name: "../S" })],
    ["a huge name", schema({ a: member({}) }, { name: "S".repeat(1e6) })],
    ["another kind", schema({ a: member({}) }, { kind: "class" })],
    ["no fields", schema({})],
    ["fields that are no object", schema(5 as never)],
    ["a size below what is in it", schema({ a: member({}) }, { size: 0, align: 1 })],
    ["a negative size", schema({ a: member({}) }, { size: -4 })],
    ["a size that is no multiple of its alignment", schema({ a: member({}) }, { size: 9 })],
    ["a size beyond every buffer", schema({ a: member({}) }, { size: 2 ** 40 })],
    ["an alignment of 3", schema({ a: member({}) }, { size: 9, align: 3 })],
    ["another byte order", schema({ a: member({}) }, { endian: "middle" })],
    ["a member beyond the end", schema({ a: member({ offset: 5 }) })],
    ["a negative offset", schema({ a: member({ offset: -1 }) })],
    ["half an offset", schema({ a: member({ offset: 0.5 }) })],
    ["an offset that is text", schema({ a: member({ offset: "0" }) })],
    ["another size than the type's", schema({ a: member({ size: 2 }) })],
    ["an unknown type", schema({ a: member({ type: "c_int31" }) })],
    ["a type that is a method of objects", schema({ a: member({ type: "toString" }) })],
    ["a type that is a number", schema({ a: member({ type: 5 }) })],
    ["a type that is nothing", schema({ a: member({ type: {} }) })],
    ["a member called constructor", schema({ constructor: member({}) })],
    [
      "a member called __proto__",
      JSON.parse(
        `{"name":"S","kind":"struct","size":8,"align":4,"fields":{"__proto__":${JSON.stringify(member({}))}}}`,
      ),
    ],
    ["a member that breaks out of source", schema({ 'x"]() {} }; evil(); //': member({}) })],
    [
      "a count that is no member",
      schema({ a: member({ type: { array: "c_int8", length: null, count: "n" }, size: 0, offset: 4 }) }),
    ],
    [
      "a count of an array that has a length",
      schema({ n: member({}), a: member({ type: { array: "c_int8", length: 4, count: "n" }, offset: 0 }) }),
    ],
    [
      "a flexible array of what takes no bytes",
      schema({ a: member({ type: { array: { array: "c_int8", length: 0 }, length: null }, size: 0 }) }),
    ],
    ["an array of -1 elements", schema({ a: member({ type: { array: "c_int8", length: -1 }, size: -1 }) })],
    [
      "an array of arrays without length",
      schema({ a: member({ type: { array: { array: "c_int8", length: null }, length: 4 }, size: 0 }) }),
    ],
    [
      "a flexible array that is not last",
      schema({ a: member({ type: { array: "c_int8", length: null }, size: 0 }), b: member({ offset: 4 }) }),
    ],
    [
      "a flexible array beyond the end",
      schema({ b: member({}), a: member({ type: { array: "c_int8", length: null }, size: 0, offset: 100 }) }),
    ],
    [
      "nested flexible, and not last",
      schema({
        a: {
          type: {
            struct: schema({
              b: member({}),
              c: member({ type: { array: "c_int8", length: null }, size: 0, offset: 4 }),
            }),
          },
          offset: 0,
          size: 8,
        },
        z: member({ offset: 4 }),
      }),
    ],
    [
      "an array that overflows",
      schema({
        a: member({ type: { array: { array: "c_int8", length: 2 ** 32 }, length: 2 ** 32 }, size: 0 }),
      }),
    ],
    ["chars of 0", schema({ a: member({ type: { chars: 0 }, size: 0 }) })],
    ["chars of half a unit", schema({ a: member({ type: { chars: 3, encoding: "utf16le" }, size: 3 }) })],
    ["another encoding", schema({ a: member({ type: { chars: 4, encoding: "__proto__" } }) })],
    ["bits beyond the type", schema({ a: member({ bits: { offset: 0, width: 33 } }) })],
    ["bits beyond the struct", schema({ a: member({ bits: { offset: 40, width: 32 } }) })],
    ["bits of width 0", schema({ a: member({ bits: { offset: 0, width: 0 } }) })],
    ["bits of a double", schema({ a: member({ type: "c_double", size: 8, bits: { offset: 0, width: 3 } }) })],
    ["bits that are no object", schema({ a: member({ bits: 5 }) })],
    ["a misaligned atomic", schema({ a: member({ type: { atomic: "c_int32" }, offset: 2 }) })],
    ["an atomic double", schema({ a: member({ type: { atomic: "c_double" }, size: 8 }) })],
    ["a big-endian atomic", schema({ a: member({ type: { atomic: "c_int32" } }) }, { endian: "big" })],
    ["an anonymous number", schema({ a: member({ anonymous: true }) })],
    [
      "an anonymous struct with a member of the same name",
      schema({ a: member({}), b: { type: { struct: inner }, offset: 0, size: 8, anonymous: true } }),
    ],
    [
      "an anonymous struct of another order",
      schema({ b: { type: { struct: { ...inner, endian: "big" } }, offset: 0, size: 8, anonymous: true } }),
    ],
    [
      "a converted struct",
      schema({ b: { type: { converted: "x", base: { struct: inner } }, offset: 0, size: 8 } }),
    ],
    [
      "an enum with labels that are no numbers",
      schema({
        a: member({ type: { converted: "enumOf(c_int32)", base: "c_int32", labels: { A: "many" } } }),
      }),
    ],
    ["a custom type without a size", schema({ a: member({ type: { custom: "mine" } }) })],
    [
      "a custom type of another alignment",
      schema({ a: member({ type: { custom: "mine", size: 4, align: 3 } }) }),
    ],
  ])("structFromSchema refuses a schema with %s", (_, value) => {
    expect(() => structFromSchema(value as never)).toThrow(StructDefinitionError);
    expect(() => structFromSchema(value as never)).toThrow(/^this schema is not sound: /);
  });

  test("structFromSchema limits depth, width and sharing", () => {
    const nest = (depth: number, type: (inner: unknown) => unknown): unknown => {
      let value: unknown = "c_int8";
      for (let i = 0; i < depth; i++) value = type(value);
      return value;
    };
    const deepArray = nest(10_000, (array) => ({ array, length: 1 }));
    expect(() => structFromSchema(schema({ a: member({ type: deepArray, size: 1 }) }) as never)).toThrow(
      "nested deeper than 64",
    );
    const deepConversion = nest(10_000, (base) => ({ converted: "x", base }));
    expect(() => structFromSchema(schema({ a: member({ type: deepConversion, size: 1 }) }) as never)).toThrow(
      "nested deeper than 64",
    );
    // One object at many places: 2^40 structs, in a few lines.
    let shared: object = schema(
      { a: member({ type: "c_int8", size: 1 }) },
      { size: 1, align: 1, kind: "union" },
    );
    for (let i = 0; i < 40; i++) {
      const both = { type: { struct: shared }, offset: 0, size: 1 };
      shared = schema({ a: both, b: both }, { size: 1, align: 1, kind: "union" });
    }
    expect(() => structFromSchema(shared as never)).toThrow("more than 8192 structs");
    const cycle = schema({}, { size: 4 }) as { fields: Record<string, unknown> };
    cycle.fields.a = { type: { struct: cycle }, offset: 0, size: 4 };
    expect(() => structFromSchema(cycle as never)).toThrow("structs nested deeper than 64");
  });

  const union = (fields: object) => schema(fields, { size: 4, align: 4, kind: "union" });
  const tiny = (count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`f${i}`, { type: "c_int8", offset: 0, size: 1 }]),
    );
  const inside = (name: string, struct: object, anonymous?: true) =>
    union({ [name]: { type: { struct }, offset: 0, size: 4, ...(anonymous && { anonymous }) } });
  const levels = (depth: number, innermost: object, around: (inner: object, level: number) => object) =>
    Array.from({ length: depth }).reduce<object>((inner, _, level) => around(inner, level), innermost);
  const enumeration = (labels: Record<string, string>) =>
    schema({ a: member({ type: { converted: "enumOf(c_int32)", base: "c_int32", labels } }) });
  const labels = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`L${i}`, String(i)]));

  test.each<[string, unknown, string]>([
    [
      "paths of 50 MB, in 2 MB",
      levels(60, union(tiny(5000)), (inner, i) => inside(`${"x".repeat(200)}${i}`, inner)),
      "more than 4194304 characters of paths to members",
    ],
    [
      "members of 60 levels of anonymous structs",
      levels(60, union(tiny(9000)), (inner, i) => inside(`z${i}`, inner, true)),
      "more than 100000 members",
    ],
    [
      "a member's name of 60 kB",
      union({ ["q".repeat(60_000)]: member({}) }),
      "S: the name of a member must have at most 255 characters (qqqq",
    ],
    [
      "a struct's name of 300 letters",
      schema({ a: member({}) }, { name: "S".repeat(300) }),
      "the name of a struct must have at most 200 characters (SSSS",
    ],
    [
      "a type's name of 60 kB",
      schema({ a: member({ type: { custom: "t".repeat(60_000), size: 4, align: 4 } }) }),
      "S.a: custom: a name of more than 255 characters (tttt",
    ],
    [
      "a conversion's name of 60 kB",
      schema({ a: member({ type: { converted: "t".repeat(60_000), base: "c_int32" } }) }),
      "S.a: converted: a name of more than 255 characters (tttt",
    ],
    ["an enum of 100,001 labels", enumeration(labels(100_001)), "more than 100000 labels of enums (100001)"],
    [
      "a label of 20 million digits",
      enumeration({ A: "9".repeat(20_000_000) }),
      "S.a: the value of a label has more than 20 digits, or none (A)",
    ],
    ["a label that is no text", enumeration({ A: 1 as never }), "S.a: the value of a label has more than"],
  ])("structFromSchema refuses a schema with %s, in no time", (_, value, message) => {
    expect(() => structFromSchema(value as never)).toThrow(`this schema is not sound: ${message}`);
  });

  test("structFromSchema accepts large structs", () => {
    const fields = Array.from({ length: 20_000 }, (_, i) => [`f${i}`, member({ offset: 4 * i })]);
    const large = structFromSchema(schema(Object.fromEntries(fields), { size: 80_000 }) as never);
    expect(create(large, { f19999: 7 }).f19999).toBe(7);
    const classes = Array.from({ length: 1000 }, (_, i) => [
      `s${i}`,
      { type: { struct: { ...inner, name: `S${i}` } }, offset: 8 * i, size: 8 },
    ]);
    const many = structFromSchema(schema(Object.fromEntries(classes), { size: 8000 }) as never);
    expect(sizeof(many)).toBe(8000);
    const million = { type: { array: { struct: inner }, length: 1_000_000 }, offset: 0, size: 8_000_000 };
    expect(sizeof(structFromSchema(schema({ a: million }, { size: 8_000_000 }) as never))).toBe(8_000_000);
    expect(sizeof(structFromSchema(enumeration(labels(65_536)) as never))).toBe(8);
    // On a busy machine.
  }, 240_000);

  test("a huge array in a schema costs nothing until there is memory for it", () => {
    const huge = structFromSchema(
      schema(
        { a: { type: { array: "c_int8", length: 2 ** 32 }, offset: 0, size: 2 ** 32 } },
        { size: 2 ** 32 },
      ) as never,
    );
    expect(() => viewOf(huge, new ArrayBuffer(8))).toThrow(
      "takes 4294967296 bytes from 0 on, but there are 8",
    );
  });

  test("structFromSchema refuses objects that throw when looked at", () => {
    const trap = new Proxy(
      {},
      {
        get: () => {
          throw new SyntaxError("trap");
        },
        ownKeys: () => {
          throw "text";
        },
        has: () => {
          throw null;
        },
      },
    );
    const poisons: unknown[] = [
      trap,
      schema(trap),
      schema({ a: trap }),
      schema({ a: member({ type: trap }) }),
      schema({ a: member({ type: { custom: Symbol("s") } }) }),
      schema({
        a: member({
          type: {
            atomic: {
              toString: () => {
                throw 1;
              },
            },
          },
        }),
      }),
      { name: { toString: null } },
      schema({ a: member({ type: 5n }) }),
    ];
    for (const poison of poisons)
      expect(() => structFromSchema(poison as never)).toThrow(StructDefinitionError);
  });
});

// ---- Sound schemas, with a part replaced ----

const bad = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    "",
    0,
    -1,
    0.5,
    1,
    3,
    7,
    64,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    Number.NaN,
    Infinity,
    true,
    [],
    {},
    "c_int8",
    "c_double",
    "S",
    "__proto__",
  ),
  fc.constantFrom<unknown>(
    { struct: {} },
    { array: "c_int64", length: 3 },
    { array: "c_int8", length: null },
    { chars: 5 },
    { atomic: "c_int64" },
    { custom: "x", size: 9, align: 1 },
  ),
  fc.nat(200),
  fc.string({ maxLength: 5 }),
);

/** All places of a schema: paths of keys. */
function placesIn(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => placesIn(inner, [...path, key]))];
}

function replaced(value: unknown, [key, ...rest]: string[], by: unknown): unknown {
  if (key === undefined) return by;
  const object = value as Record<string, unknown>;
  return { ...object, [key]: replaced(object[key], rest, by) };
}

test("a schema with a part replaced is an error, or a class that keeps to its bytes", () => {
  const seed = seedOfRun();
  console.log(`SEED=${seed}`);
  const originals = [Everything, EverythingBig, Counters].map(schemaFor);
  const places = originals.map((schema) => placesIn(schema).filter((path) => path.length > 0));
  const change = fc.tuple(fc.nat(100_000), bad);
  let classes = 0;
  const property = fc.property(
    fc.nat(2),
    fc.array(change, { minLength: 1, maxLength: 4 }),
    (which, changes) => {
      let schema: unknown = originals[which];
      for (const [at, by] of changes) {
        const paths = which < places.length ? (places[which] as string[][]) : [];
        const path = paths[at % paths.length] as string[];
        try {
          schema = replaced(schema, path, by);
        } catch {}
      }
      let cls: ReturnType<typeof structFromSchema>;
      try {
        cls = structFromSchema(schema as StructSchema);
      } catch (error) {
        if (error instanceof StructDefinitionError) return;
        throw error;
      }
      classes++;
      keepsToItsBytes(cls);
    },
  );
  fc.assert(property, { seed, numRuns: Number(process.env.RUNS ?? 2000) });
  expect(classes).toBeGreaterThan(10);
});

/** Reads and writes everything; the bytes around the struct must stay as they were, and be of no influence. */
function keepsToItsBytes(cls: StructClass<Struct & Record<string, unknown>>): void {
  const { size, flexible } = layoutOfClass(cls);
  if (size > 1e5) return;
  const look = (around: number) => {
    const bytes = new Uint8Array(size + 128).fill(around);
    bytes.fill(0x35, 64, 64 + size);
    // Memory of its own, so that a flexible array ends there as well.
    const view = viewOf(cls, flexible ? bytes.subarray(64, 64 + size) : bytes, flexible ? 0 : 64);
    const text = Bun.inspect(view, { depth: 20 });
    for (const name of layoutOfClass(cls).byName.keys()) {
      try {
        Reflect.set(view, name, Reflect.get(view, name));
      } catch (error) {
        if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
      }
    }
    expect([...bytes.subarray(0, 64), ...bytes.subarray(64 + size)].every((byte) => byte === around)).toBe(
      true,
    );
    return text;
  };
  expect(look(0)).toBe(look(0xff));
}
