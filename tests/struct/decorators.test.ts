import { describe, expect, test } from "bun:test";
import { StructDefinitionError } from "../../src/errors/errors.ts";
import {
  type Anonymous,
  anonymous,
  bits,
  c_char,
  c_int8,
  c_int16,
  c_int32,
  c_uint8,
  create,
  equals,
  field,
  type Init,
  layoutOf,
  nested,
  offsetof,
  type Plain,
  Struct,
  type StructClass,
  sizeof,
  struct,
  structFromSchema,
  toObject,
  Union,
} from "../../src/struct/index.ts";
import { define, expectedStyle, refusal } from "../support/define.ts";

const seen: unknown[][] = [];
const look = (...args: unknown[]): void => void seen.push(args);

class Looked extends Struct {
  @look
  @field(c_int32)
  x!: number;
}

const style = typeof seen[0]?.[1] === "object" ? "standard" : "legacy";

test(`decorators come in the ${style} style`, () => {
  expect(style).toBe(expectedStyle as typeof style);
  expect(sizeof(Looked)).toBe(4);
});

class Base extends Struct {
  @field(c_int32) a!: number;
  @field(c_int8) b!: number;
  sum() {
    return this.a + this.b;
  }
}
class Middle extends Base {
  @field(c_int8) c!: number;
}
class Derived extends Middle {
  @field(c_int16) d!: number;
  override sum() {
    return super.sum() + this.c + this.d;
  }
}

describe("what is recorded", () => {
  test("members are laid out in the order of their declaration, bases first", () => {
    expect(Object.keys(layoutOf(Derived).fields)).toEqual(["a", "b", "c", "d"]);
  });

  test("declaring a class leaves its base as it was", () => {
    expect(Object.keys(layoutOf(Base).fields)).toEqual(["a", "b"]);
  });

  test("methods, overridden ones and super calls work on views", () => {
    const view = create(Derived, { a: 1, b: 2, c: 3, d: 4 });
    expect(view.sum()).toBe(10);
    expect([view instanceof Derived, view instanceof Middle, view instanceof Struct]).toEqual([
      true,
      true,
      true,
    ]);
    expect(view.constructor).toBe(Derived);
  });

  test("a class between two others needs no fields of its own", () => {
    abstract class Named extends Struct {
      label() {
        return "named";
      }
    }
    class Leaf extends Named {
      @field(c_int32) x!: number;
    }
    expect([sizeof(Leaf), create(Leaf).label()]).toEqual([4, "named"]);
  });

  test("@struct gives the name that files and messages use", () => {
    @struct({ name: "Elsewhere" })
    class Here extends Struct {
      @field(c_int8) x!: number;
    }
    expect(layoutOf(Here).name).toBe("Elsewhere");
    expect(() => Object.assign(create(Here), { x: 300 })).toThrow(
      "Elsewhere.x: expected an integer from -128 to 127, got 300",
    );
  });

  test("a derived class keeps the byte order of its base, but not its packing", async () => {
    const layouts = await define(`
      @s.struct({ pack: 1, endian: "big" })
      class Wire extends s.Struct { @s.field(s.c_int8) a!: number; @s.field(s.c_int32) b!: number }
      class More extends Wire { @s.field(s.c_int8) c!: number; @s.field(s.c_int32) d!: number }
      return [s.sizeof(Wire), s.offsetof(More, "d"), s.layoutOf(More).endian];`);
    expect(layouts).toEqual([5, 8, "big"]);
  });

  describe("members of an anonymous union are members of the struct around it", () => {
    class Payload extends Union {
      @field(c_int32) whole!: number;
      @field(c_uint8) low!: number;
    }
    class Inner extends Struct {
      @field(c_int8) kind!: number;
      @anonymous(Payload) payload!: Anonymous<Payload>;
    }
    class Value extends Struct {
      @anonymous(Inner) inner!: Anonymous<Inner>;
      @field(c_int8) last!: number;
    }
    type All = Value & Inner & Payload;
    const init: Init<All> = { kind: 1, whole: 258, last: 3 };

    test("members of an anonymous union are read and stored in the struct around it and through its handle", () => {
      const value = create(Value, init) as All;
      expect([value.whole, value.low, value.inner.payload.low]).toEqual([258, 2, 2]);
      value.low = 7;
      expect(value.inner.payload.whole).toBe(263);
      // C has no name for it, so it is a handle in its own struct only.
      expect("payload" in value).toBe(false);
      value.inner.payload = create(Payload, { whole: 5 }) as Anonymous<Payload>;
      expect(value.whole).toBe(5);
    });

    test("members of an anonymous union are shown and copied once, in the struct around it", () => {
      const value = create(Value, init) as All;
      const shown = { kind: 1, whole: 258, low: 2, last: 3 };
      expect(toObject(value)).toEqual(shown);
      expect(JSON.parse(JSON.stringify(value))).toEqual(shown);
      expect(Bun.inspect(value)).toBe("Value {\n  kind: 1,\n  whole: 258,\n  low: 2,\n  last: 3,\n}");
      const plain: Plain<All> = toObject(value);
      expect(equals(create(Value, plain as never), value)).toBe(true);
      expect(equals(create(Value, value), value)).toBe(true);
    });

    test("layoutOf has members of an anonymous union by name, and lists only its declaration", () => {
      const { fields } = layoutOf(Value as unknown as StructClass<All>);
      expect(Object.keys(fields)).toEqual(["inner", "last"]);
      expect([fields.whole.offset, fields.low.type, fields.inner.anonymous]).toEqual([4, "c_uint8", true]);
      expect("payload" in fields).toBe(false);
      expect(offsetof(Value as unknown as StructClass<All>, "whole")).toBe(4);
      expect(sizeof(structFromSchema(layoutOf(Value)))).toBe(12);
    });
  });
});

describe("what is refused", () => {
  const fields = (...members: string[]) =>
    `class Bad extends s.Struct { ${members.join("; ")} }; s.sizeof(Bad);`;

  test("a second field of the same name is refused", async () => {
    const message = await refusal(fields("@s.field(s.c_int32) x!: number", "@s.field(s.c_int8) x!: number"));
    expect(message).toMatch(/^(Bad|this struct)\.x is declared twice$/);
  });

  test("a field that shadows an inherited one is refused", async () => {
    const message = await refusal(`
      class Base extends s.Struct { @s.field(s.c_int32) x!: number }
      class Middle extends Base { @s.field(s.c_int32) y!: number }
      class Bad extends Middle { @s.field(s.c_int8) x!: number }`);
    expect(message).toMatch(/^(Bad|this struct)\.x is already a member of the base class$/);
  });

  test("a class without fields is refused", async () => {
    expect(await refusal("class Bad extends s.Struct {}; s.sizeof(Bad);")).toBe(
      "Bad has no fields: declare them with @field(type), @nested(Class) or @bits(type, width); one that is meant to have none says @struct({ empty: true })",
    );
  });

  test.each([
    ["get x() { return 1 }", "Point.x"],
    ["set x(v: number) {}", "Point.x"],
    ["x() { return 1 }", "Point.x"],
    ["get f() { return 1 }", "Payload.f"],
  ])("%s is refused where a field has that name, as it would be ignored", async (member, fieldName) => {
    const bases = `class Payload extends s.Struct { @s.field(s.c_int8) f!: number }
      class Point extends s.Struct { @s.field(s.c_int8) x!: number; @s.anonymous(Payload) p!: unknown }`;
    const message = `Bad.${fieldName.at(-1)} is a getter, setter or method, which the field ${fieldName} would hide; give it another name`;
    for (const between of ["", "@s.field(s.c_int8) y!: number"]) {
      const bad = `class Bad extends Point { ${between}; ${member} }; class Worse extends Bad {}; s.sizeof(Worse)`;
      expect(await refusal(`${bases}; ${bad}`)).toBe(message);
    }
    const own = `class Bad extends s.Struct { @s.anonymous(Payload) p!: unknown; get f() { return 1 } }; s.sizeof(Bad)`;
    expect(await refusal(`${bases}; ${own}`)).toContain(
      "Bad.f is a getter, setter or method, which the field Payload.f",
    );
  });

  test("a getter that a field of a class from a schema would hide is refused", async () => {
    const message = await refusal(`class Point extends s.Struct { @s.field(s.c_int8) x!: number }
      const Again = s.structFromSchema(s.layoutOf(Point));
      class Bad extends Again { get x() { return 1 } }; s.sizeof(Bad)`);
    expect(message).toContain("which the field Point.x would hide");
  });

  test("a static member is refused", async () => {
    expect(await refusal(fields("@s.field(s.c_int32) static x: number"))).toBe(
      "@field x is static; a struct's members belong to its instances",
    );
  });

  test("a member named by a symbol is refused", async () => {
    expect(await refusal(`const key = Symbol("key"); ${fields("@s.field(s.c_int32) [key]!: number")}`)).toBe(
      "@field Symbol(key): a member must have a name, not a symbol",
    );
  });

  test.each(["0", "two words", "a.b", "__proto__", ""])("a member named %j is refused", async (name) => {
    const message = await refusal(fields(`@s.field(s.c_int32) [${JSON.stringify(name)}]!: number`));
    expect(message).toMatch(
      /^(Bad|this struct): .* cannot be a member's name; it must be an identifier( other than constructor and __proto__, .*)?$/,
    );
    expect(message).toContain(JSON.stringify(name));
  });

  test("a member with a name of 256 letters is refused, and so is a type with one", async () => {
    const name = "x".repeat(256);
    expect(await refusal(fields(`@s.field(s.c_int32) ${name}!: number`))).toMatch(
      /cannot be a member's name; it must have at most 255 characters$/,
    );
    const type = { ...c_char, name };
    expect(() => field(type)).toThrow(/^type "x{60}"… \(256 characters\): a name must have at most 255/);
  });

  test("a member named constructor is refused", () => {
    const decorate = field(c_int32) as unknown as (target: object, key: string) => void;
    expect(() => decorate(Middle.prototype, "constructor")).toThrow(
      new StructDefinitionError(
        'Middle: "constructor" cannot be a member\'s name; it must be an identifier other than constructor and __proto__, which JavaScript has in every object',
      ),
    );
  });

  test.each([
    ["a getter", "@s.field(s.c_int32) get x() { return 1 }"],
    ["a setter", "@s.field(s.c_int32) set x(v: number) {}"],
    ["a method", "@s.field(s.c_int32) x() { return 1 }"],
  ])("@field on %s is refused", async (_, member) => {
    const message = await refusal(fields(member));
    expect(message).toMatch(
      /^@field (Bad\.)?x is (an accessor or a method|declared as \w+)[;:] only plain fields/,
    );
  });

  test("@field on an accessor is refused in the standard style", async () => {
    const attempt = refusal(fields("@s.field(s.c_int32) accessor x: number"));
    // The legacy style has no such syntax.
    if (style === "legacy") return expect(attempt).rejects.toThrow("2 errors building");
    expect(await attempt).toBe(
      "@field x is declared as accessor: accessors run before plain fields, which would reorder the struct; " +
        "write `@field(…) x!: type`",
    );
  });

  test("@field on a private member is refused in the standard style", async () => {
    const attempt = refusal(fields("@s.field(s.c_int32) #x!: number"));
    if (style === "legacy") return expect(attempt).rejects.toThrow("Expected");
    expect(await attempt).toBe("@field #x is private; a view could not reach it");
  });

  test.each([
    [
      "@s.field(undefined)",
      "@field: expected a type such as c_int32, chars(8) or a struct class, got undefined (undefined often means a circular import)",
    ],
    [
      "@s.nested(undefined)",
      "@nested: expected a type such as c_int32, chars(8) or a struct class, got undefined (undefined often means a circular import)",
    ],
    ["@s.field(42)", "@field: expected a type such as c_int32, chars(8) or a struct class, got 42"],
    ["@s.field(null)", "@field: expected a type such as c_int32, chars(8) or a struct class, got null"],
    [
      "@s.field(Date)",
      "@field: expected a type such as c_int32, chars(8) or a struct class, got function Date",
    ],
    [
      "@s.field(s.array(Number, 2))",
      "array: expected a type such as c_int32, chars(8) or a struct class, got function Number",
    ],
    ["@s.field({})", "@field: expected a type such as c_int32, chars(8) or a struct class, got an object"],
    ["@s.nested(s.c_int32)", "@nested: expected a class that extends Struct, got c_int32"],
    ["@s.nested(Date)", "@nested: expected a class that extends Struct, got Date"],
    [
      "@s.bits(s.c_float, 3)",
      "@bits: expected an integer type, c_bool, or an enumOf or asNumber of one, got c_float",
    ],
    ["@s.bits(s.c_int8, 9)", "@bits(c_int8, 9): the width must be a whole number from 0 to 8"],
    ["@s.bits(s.c_int8, -1)", "@bits(c_int8, -1): the width must be a whole number from 0 to 8"],
    ["@s.bits(s.c_int8, 1.5)", "@bits(c_int8, 1.5): the width must be a whole number from 0 to 8"],
    ["@s.bits(s.c_bool, 2)", "@bits(c_bool, 2): the width must be a whole number from 0 to 1"],
    [
      "@s.field(s.atomic(s.c_double))",
      "atomic(c_double): expected an integer type, c_int8 … c_uint64, c_bool, c_void_p, or an enumOf or asNumber of an integer",
    ],
    [
      "@s.field(s.array(s.array(s.c_int8), 2))",
      "array: the elements must have a length; only the outermost may be flexible",
    ],
    [
      "@s.field({ ...s.c_int32, inline: undefined, size: 0 })",
      "type c_int32: size must be a positive whole number of bytes, got 0",
    ],
    ["@s.field({ ...s.c_int32, align: 3 })", "type c_int32: align must be 1, 2, 4, 8 or 16, got 3"],
    ["@s.field({ ...s.c_int32, name: undefined })", "type undefined: name must be a string, got undefined"],
    [
      "@s.field({ name: 't', size: 4, align: 4, read: Number } as never)",
      "type t: write must be a function, got undefined",
    ],
    ["@s.field({ ...s.c_int32, read: 5 })", "type c_int32: read must be a function, got 5"],
    ["@s.array({ ...s.c_int32, check: null })", "type c_int32: check must be a function, got null"],
  ])("the decorator %s is refused", async (decorator, message) => {
    expect(await refusal(fields(`${decorator} x!: unknown`))).toBe(message);
  });

  test.each([-1, 1.5, Number.NaN, 2 ** 53])("an array of %p elements is refused", (n) => {
    expect(() => nested(Base, n)).toThrow(RangeError);
    expect(() => nested(Base, n)).toThrow(`array: a length must be a whole number from 0 on, got ${n}`);
  });

  test.each([
    [{ pack: 3 }, "@struct: pack must be 1, 2, 4, 8 or 16, got 3"],
    [{ align: 24 }, "@struct: align must be a power of two from 1 to 4096, got 24"],
    [{ align: 8192 }, "@struct: align must be a power of two from 1 to 4096, got 8192"],
    [{ endian: "middle" as "big" }, '@struct: endian must be "little" or "big", got middle'],
    [
      { name: "../etc" },
      '@struct: name must be an identifier, as it becomes part of a file name, got "../etc"',
    ],
    [
      { name: "N".repeat(300) },
      `@struct: name must have at most 200 characters, as it becomes part of a file name, got "${"N".repeat(60)}"… (300 characters)`,
    ],
  ])("@struct(%j) is refused", (options, message) => {
    expect(() => struct(options)).toThrow(new StructDefinitionError(message));
  });

  test("@struct refuses an unknown option", () => {
    expect(() => struct({ packed: 1 } as never)).toThrow(
      '@struct: there is no option "packed"; the options are pack, align, endian, name',
    );
    expect(() => struct("Robot" as never)).toThrow(TypeError);
  });

  test("a class without a name is refused, as a file could not be named after it", async () => {
    expect(
      await refusal("s.sizeof((() => class extends s.Struct { @s.field(s.c_int8) x!: number })())"),
    ).toBe('the name of a struct class must be an identifier, not ""; give it one with @struct({ name })');
  });

  test("a class that does not extend Struct is refused", async () => {
    expect(await refusal("class Bad { @s.field(s.c_int8) x!: number }; s.sizeof(Bad as never);")).toBe(
      "Bad is not a struct class: it must extend Struct, Union or MmapStructure",
    );
  });

  test("a class that contains itself is refused", () => {
    class Loop extends Struct {
      @field(c_int32) x!: number;
      declare inner: Struct;
    }
    const decorate = nested(Loop) as unknown as (target: object, key: string) => void;
    decorate(Loop.prototype, "inner");
    expect(() => sizeof(Loop)).toThrow(
      new StructDefinitionError("Loop contains itself; a struct nests by value"),
    );
  });

  test("new of a struct class is refused, because only create, viewOf and the roles give a struct memory", () => {
    expect(() => new Base()).toThrow(
      new TypeError("new Base() would have no memory: use create(Base, { … }) or viewOf(Base, buffer)"),
    );
  });

  test("a bit-field of width 0 has a name but no value", () => {
    class Closed extends Struct {
      @bits(c_int32, 3) a!: number;
      @bits(c_int32, 0) _!: number;
      @bits(c_int32, 3) b!: number;
    }
    expect(Object.keys(layoutOf(Closed).fields)).toEqual(["a", "b"]);
    expect(sizeof(Closed)).toBe(8);
  });
});

describe("a contradicting declared type, where design:type is at hand", () => {
  const declared = (decorator: string, type: string) =>
    refusal(`class Inner extends s.Struct { @s.field(s.c_int8) x!: number }
      class Outer extends Inner { @s.field(s.c_int8) y!: number }
      class Bad extends s.Struct { @s.${decorator} x!: ${type} }; s.sizeof(Bad);`);

  test.each([
    ["field(s.c_int32)", "string", "String", "Number"],
    ["field(s.c_int64)", "number", "Number", "BigInt"],
    ["field(s.c_uint8)", "bigint", "BigInt", "Number"],
    ["field(s.c_bool)", "number", "Number", "Boolean"],
    ["field(s.c_double)", "boolean", "Boolean", "Number"],
    ["field(s.chars(8))", "number", "Number", "String"],
    ["field(s.c_char)", "number", "Number", "String"],
    ["field(s.c_longdouble)", "string", "String", "Number"],
    ["field(s.c_void_p)", "number", "Number", "BigInt"],
    ["field(s.asNumber(s.c_int64))", "string", "String", "Number"],
    ["field(s.asNumber(s.c_int64))", "bigint", "BigInt", "Number"],
    ["field(s.enumOf(s.c_uint8, { A: 1 }))", "string", "String", "Number"],
    ["field(s.enumOf(s.c_int64, { A: 1n }))", "number", "Number", "BigInt"],
    ["field(s.enumOf(s.asNumber(s.c_int64), { A: 1 }))", "bigint", "BigInt", "Number"],
    ["field(s.array(s.c_int32, 4))", "Float32Array", "Float32Array", "Int32Array"],
    ["field(s.array(s.c_int32, 4))", "number[]", "Array", "Int32Array"],
    ["field(s.array(s.c_bool, 4))", "Uint8Array", "Uint8Array", "CArray"],
    ["field(s.atomic(s.c_int32))", "number", "Number", "Atomic"],
    ["nested(Inner)", "Outer", "Outer", "Inner"],
    ["nested(Inner, 3)", "Inner", "Inner", "CArray"],
    ["bits(s.c_int32, 3)", "boolean", "Boolean", "Number"],
  ])(
    "@%s declared as %s is refused where design:type is at hand",
    async (decorator, type, name, expected) => {
      const message = await declared(decorator, type);
      if (style === "standard") return expect(message).toBe("nothing was refused");
      expect(message).toBe(`Bad.x is declared as ${name}, but its type reads as ${expected}`);
    },
  );

  test.each([
    ["field(s.c_int32)", "unknown"],
    ["field(s.array(s.c_int32, 4))", "Int32Array"],
    ["field(s.array(s.c_int32, 4))", "s.CArray<number>"],
    ["field(s.asNumber(s.c_int64))", "number"],
    ["field(s.enumOf(s.c_int8, { A: 1 }))", "number"],
    ["field(s.enumOf(s.c_int64, { A: 1n }))", "bigint"],
    ["field(s.convert(s.c_int8, { name: 'd', decode: String, encode: Number }))", "string"],
    ["nested(Outer)", "Inner"],
    ["nested(Outer)", "s.Struct"],
  ])("@%s declared as %s is accepted", async (decorator, type) => {
    expect(await declared(decorator, type)).toBe("nothing was refused");
  });
});
