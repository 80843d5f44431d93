import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { exportStruct } from "../../src/codegen/index.ts";
import {
  type Atomic,
  array,
  atomic,
  bits,
  type CArray,
  type CType,
  c_bool,
  c_double,
  c_int16,
  c_int32,
  c_int64,
  c_longdouble,
  c_uint8,
  c_uint32,
  chars,
  enumOf,
  field,
  layoutOf,
  nested,
  Struct,
  type StructSchema,
  struct,
  structOf,
} from "../../src/struct/index.ts";
import { seedOfRun } from "../support/random.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";
import { compileHeaders, compileInRust, loadInPython, run } from "./peers.ts";
import { randomSchemas } from "./random.ts";

const Mode = { Idle: 0, Run: 5, Far: 4_000_000_000 } as const;
type Mode = (typeof Mode)[keyof typeof Mode];

class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
}

class Robot extends Struct {
  @field(c_int32) tick!: number;
  @field(chars(10)) name!: string;
  @bits(c_uint32, 3) mode!: number;
  @bits(c_int32, 12) level!: number;
  @nested(Point) at!: Point;
  @field(enumOf(c_uint32, Mode)) state!: Mode;
  @field(atomic(c_int32)) hits!: Atomic<number>;
  @field(array(c_uint8)) tail!: Uint8Array;
}

@struct({ endian: "big" })
class Wire extends Struct {
  @field(c_int16) length!: number;
  @field(c_double) at!: number;
}

const seed = seedOfRun();

/** What a language takes of random layouts; what it refuses names a member, and is not most of them. */
async function taken(
  language: "c" | "cpp" | "python" | "rust",
  dir: string,
  count: number,
): Promise<Map<string, string>> {
  const schemas = await randomSchemas(seed, count, dir);
  const texts = new Map<string, string>();
  for (const schema of schemas) {
    const text = exportOrPath(schema, language);
    if (text !== undefined) texts.set(schema.name, text);
  }
  expect(texts.size, `SEED=${seed}`).toBeGreaterThan(count / 3);
  return texts;
}

function exportOrPath(schema: StructSchema, language: "c" | "cpp" | "python" | "rust"): string | undefined {
  try {
    return exportStruct(schema, language);
  } catch (error) {
    expect(error, `SEED=${seed}`).toMatchObject({
      code: "CODEGEN",
      path: expect.stringContaining(schema.name),
    });
    return undefined;
  }
}

for (const [compiler, language] of [
  ["gcc", "c"],
  ["clang", "c"],
  ["g++", "cpp"],
  ["clang++", "cpp"],
] as const) {
  test.skipIf(!hasTool(compiler))(
    `random layouts, exported, compile under ${compiler} and agree with it`,
    async () => {
      using dir = temporaryDirectory();
      const texts = await taken(language, dir.path, 60);
      if (compiler === "clang")
        for (const [name, text] of texts) if (text.includes("#error")) texts.delete(name);
      compileHeaders(compiler, texts, dir.path);
    },
  );
}

test.skipIf(!hasTool("python3"))(
  "random layouts, exported, load in Python and agree with ctypes",
  async () => {
    using dir = temporaryDirectory();
    loadInPython(await taken("python", dir.path, 60), dir.path);
  },
);

test.skipIf(!hasTool("rustc"))(
  "random layouts, exported, compile under rustc and agree with it",
  async () => {
    using dir = temporaryDirectory();
    compileInRust(await taken("rust", dir.path, 60), dir.path);
  },
);

test("the C export has asserts, the fingerprint, enums and atomics", () => {
  const text = exportStruct(Robot, "c");
  expect(text).toContain("#define Robot_FINGERPRINT UINT64_C(0x");
  expect(text).toContain('_Static_assert(offsetof(Robot, at) == 16, "Robot.at");');
  expect(text).toContain("uint32_t mode : 3; /* bit 112 */");
  expect(text).toContain("enum Robot_state_enum_labels { Robot_state_Idle = 0, Robot_state_Run = 5 };");
  expect(text).toContain("#define Robot_state_Far (INT64_C(4000000000))");
  expect(text).toContain("typedef _Atomic(int32_t) shms_atomic_int32_t;");
  expect(text).toContain("uint8_t tail[];");
});

test.skipIf(!hasTool("gcc"))(
  "a C program reads what a view wrote, bit-fields and big-endian members included",
  () => {
    using dir = temporaryDirectory();
    const { path } = dir;
    const program = `#include <endian.h>
#include <stdio.h>
#include "Wire.h"
int main(void) { Wire w = { (int16_t)htobe16(258), 0 }; printf("%d", ((unsigned char *)&w)[0]); return 0; }`;
    writeFileSync(`${path}/Wire.h`, exportStruct(Wire, "c"));
    writeFileSync(`${path}/main.c`, program);
    run(["gcc", "-Wall", "-Werror", "-o", "main", "main.c"], path);
    expect(run([`${path}/main`], path)).toBe("1");
  },
);

test.skipIf(!hasTool("python3"))(
  "a ctypes class reads and writes bit-fields where the library has them",
  () => {
    using dir = temporaryDirectory();
    writeFileSync(`${dir.path}/Robot.py`, exportStruct(Robot, "python"));
    const program = `from Robot import *
r = Robot(); r.mode = 5; r.level = -3
print(bytes(r)[14:16].hex(), r.mode, r.level, Robot_state.Run)`;
    expect(run(["python3", "-c", program], dir.path)).toBe(`${bytesOfBits()} 5 -3 5\n`);
  },
);

/** 3 bits of 5, then 12 bits of -3. */
const bytesOfBits = (): string => {
  const word = 5 | ((-3 & 0xfff) << 3);
  return Buffer.from([word & 0xff, word >> 8]).toString("hex");
};

test("the Kaitai Struct export has members in order, padding, bit-fields with a sign, enums and substreams", () => {
  const text = exportStruct(Robot, "ksy");
  const spec = Bun.YAML.parse(text) as Record<string, never>;
  expect(spec).toMatchObject({
    meta: { id: "robot", endian: "le", "bit-endian": "le" },
    seq: [
      { id: "tick", type: "s4le" },
      { id: "name", type: "str", size: 10, terminator: 0, encoding: "UTF-8" },
      { id: "mode", type: "b3le" },
      { id: "level_raw", "-orig-id": "level", type: "b12le" },
      { id: "at", type: "t_point", size: 16 },
      { id: "state", type: "u4le", enum: "robot_state" },
      { id: "hits", type: "s4le" },
      { id: "tail", type: "u1", repeat: "eos" },
    ],
    types: {
      t_point: {
        seq: [
          { id: "x", type: "f8le" },
          { id: "y", type: "f8le" },
        ],
      },
    },
    enums: { robot_state: { 0: "idle", 5: "run", 4000000000: "far" } },
  });
  expect(Object.keys(spec.instances!)).toEqual(["level"]);
});

test("the Kaitai Struct export spells out all bits between bit-fields, in their byte order", () => {
  class Crossing extends Struct {
    @bits(c_uint32, 20) first!: number;
    @bits(c_uint32, 20) second!: number;
  }
  @struct({ endian: "big" })
  class Big extends Struct {
    @bits(c_bool, 1) first!: boolean;
    @bits(c_uint32, 3) second!: number;
  }
  const types = (cls: typeof Crossing | typeof Big): string[] =>
    (Bun.YAML.parse(exportStruct(cls, "ksy")) as { seq: { type?: string; size?: number }[] }).seq.map(
      ({ type, size }) => type ?? `${size} bytes`,
    );
  // C begins the second one in a unit of its own; Kaitai reads on.
  expect(types(Crossing)).toEqual(["b20le", "b4le", "1 bytes", "b20le", "b4le", "1 bytes"]);
  expect(types(Big)).toEqual(["b1be", "b3be", "b4be", "3 bytes"]);
});

test("the ImHex export has a bitfield for bit-fields, padding and the byte order", () => {
  const text = exportStruct(Robot, "hexpat");
  expect(text).toContain(
    "bitfield Robot_shms_bits_0 {\n    mode : 3;\n    signed level : 12;\n    padding : 1;\n};",
  );
  expect(text).toContain("char name[10];");
  expect(text).toContain("u8 tail[while(!std::mem::eof())];");
  expect(text).toContain("enum Robot_state : u32 {");
  expect(text).toContain("Robot robot @ 0x00;");
  expect(exportStruct(Wire, "hexpat")).toContain("be s16 length;\n    padding[6];\n    be double at;");
});

test("the ImHex export has a struct for the rows of an array of arrays, texts or bytes", () => {
  class Grid extends Struct {
    @field(array(c_int16, 2, 3, 4)) cells!: CArray<CArray<Int16Array>>;
    @field(array(chars(8), 3)) names!: CArray<string>;
    @field(array(c_uint8, 5)) plain!: Uint8Array;
  }
  const text = exportStruct(Grid, "hexpat");
  expect(text).toContain("struct Grid_cells_row {\n    s16 values[4];\n};");
  expect(text).toContain("struct Grid_cells_row2 {\n    Grid_cells_row values[3];\n};");
  expect(text).toContain("struct Grid_names_row {\n    char values[8];\n};");
  expect(text).toContain(
    "struct Grid {\n    Grid_cells_row2 cells[2];\n    Grid_names_row names[3];\n    u8 plain[5];\n",
  );
});

test("what a language cannot express is refused with the member's path", () => {
  class Inner extends Struct {
    @field(c_longdouble) precise!: number;
  }
  class Outer extends Struct {
    @nested(Inner, 2) inner!: CArray<Inner>;
  }
  expect(() => exportStruct(Outer, "rust")).toThrow("Outer.inner.precise: Rust has no long double");
  class Words extends Struct {
    @field(c_int64) int!: bigint;
  }
  expect(() => exportStruct(Words, "c")).toThrow('Words.int: "int" is a keyword in C');
  expect(exportStruct(Words, "rust")).toContain("pub int: i64");
  // A random layout of CI had such a one, which rustc refuses.
  @struct({ pack: 2, name: "Packed" })
  class Packed extends Struct {
    @field(atomic(c_uint8)) count!: Atomic<number>;
    @field(c_int32) later!: number;
  }
  expect(() => exportStruct(Packed, "rust")).toThrow("Packed.count: Rust has no packed struct with");
  class R_FINGERPRINT extends Struct {
    @field(c_int32) a!: number;
  }
  class R extends Struct {
    @nested(R_FINGERPRINT) r!: R_FINGERPRINT;
  }
  for (const language of ["c", "cpp"] as const)
    expect(() => exportStruct(R, language)).toThrow(
      'R.r: "R_FINGERPRINT" is what the header itself defines for R',
    );
  const own: CType<number> = {
    name: "own",
    size: 4,
    align: 4,
    read: () => 0,
    write: () => {},
    check: () => 0,
  };
  class Own extends Struct {
    @field(own) value!: number;
  }
  expect(() => exportStruct(Own, "ts")).toThrow("Own.value: the type own is code of its class");
  expect(() => exportStruct(Own, "cobol" as never)).toThrow(TypeError);
});

/** One member of a name, as a schema: decorators have no computed names. */
const named = (name: string, type: unknown, called = "R"): StructSchema => {
  const schema = layoutOf(structOf({ before: c_int32, [name]: type as never }));
  return schemaOf({ ...schema, name: called });
};

/** A layout is more than a schema: as text it is only that. */
const schemaOf = (schema: object): StructSchema => JSON.parse(JSON.stringify(schema));

test("members that ctypes or the Python language would take for their own are refused with their path in a Python export", () => {
  const members =
    `_fields_ _pack_ _anonymous_ _align_ _layout_ _swappedbytes_ __init__ __class__ __new__ __dict__ __repr__
from_buffer from_buffer_copy from_address shms_bits_0`.split(/\s+/);
  for (const name of members)
    for (const type of [c_int32, bits(c_uint32, 3)])
      expect(() => exportStruct(named(name, type), "python"), name).toThrow(`R.${name}: `);
  for (const name of ["_bits", "__private"])
    expect(() => exportStruct(named(name, bits(c_uint32, 3)), "python")).toThrow(`R.${name}: `);
  for (const label of ["mro", "_x_", "__init__"])
    expect(() => exportStruct(named("e", enumOf(c_int32, { [label]: 1 })), "python")).toThrow(
      `R.e: the label "${label}"`,
    );
  for (const name of ["ctypes", "enum", "_bits", "int", "bytes", "len", "getattr", "property"])
    expect(() => exportStruct(named("x", bits(c_uint32, 3), name), "python")).toThrow(`${name}: `);
});

test.skipIf(!hasTool("python3"))(
  "members called as what Python has besides are exported to Python, and the module is imported and used",
  () => {
    using dir = temporaryDirectory();
    const names = ["_objects", "_length_", "property", "mro", "__private", "_bits", "ctypes", "int"];
    for (const [i, name] of names.entries())
      writeFileSync(`${dir.path}/R${i}.py`, exportStruct(named(name, c_int32), "python"));
    const program = `for i, name in enumerate(${JSON.stringify(names)}):
    names = {}
    exec("from R%d import *" % i, names)
    R = names["R"]
    r = R.from_buffer(bytearray(b"\\1\\0\\0\\0\\2\\0\\0\\0"))
    print(name, R().before, r.before, getattr(r, name))`;
    const printed = run(["python3", "-B", "-c", program], dir.path).trim().split("\n");
    expect(printed).toEqual(names.map((name) => `${name} 0 1 2`));
  },
);
