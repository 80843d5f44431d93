import { expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportStruct, fingerprint, importBinary, importHeader } from "../../src/codegen/index.ts";
import {
  array,
  bits,
  bytes,
  type CArray,
  c_double,
  c_int32,
  c_uint8,
  c_uint16,
  c_uint32,
  chars,
  enumOf,
  field,
  layoutOf,
  nested,
  Struct,
  type StructArray,
  type StructClass,
  type StructSchema,
  struct,
  structFromSchema,
  toObject,
  Union,
  viewOf,
} from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { leavesOf } from "../../src/struct/schema/schema.ts";
import { isMusl } from "../../src/sys/libc/symbols.ts";
import { tscCommand, tscEnvironment } from "../support/compiler.ts";
import { seedOfRun } from "../support/random.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";
import { offsetsInC } from "./offsets.ts";
import { run } from "./peers.ts";
import { randomSchemas } from "./random.ts";

const library = join(import.meta.dir, "../../src/index.ts");
const robot = join(import.meta.dir, "robot.h");

/** The module, with the library of this clone. */
async function load(text: string, path: string): Promise<Record<string, unknown>> {
  writeFileSync(path, text.replace('from "shmstruct"', `from ${JSON.stringify(library)}`));
  return await import(path);
}

/** What the fingerprint is of, to be seen when it differs. */
const leaves = (schema: StructSchema) => leavesOf(layoutOfClass(structFromSchema(schema)));

for (const compiler of ["gcc", "clang"]) {
  const isThere = hasTool(compiler);
  test.skipIf(!isThere)(`${compiler} imports a header whose path needs escapes`, () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "größe 1.h");
    writeFileSync(header, "#define JOINTS 6\nstruct arm { int joints[JOINTS]; };\n");
    expect(importHeader(header, { structs: ["arm"], compiler }).constants.get("JOINTS")).toBe(6n);
  });

  test.skipIf(!isThere)(`${compiler} imports a header with everything in it`, async () => {
    using dir = temporaryDirectory();
    const { text, refused, structs, constants } = importHeader(robot, { structs: ["robot_t"], compiler });
    expect(refused).toEqual([]);
    expect(constants.get("JOINTS")).toBe(6n);
    expect(constants.get("RATE_HZ")).toBe(2.5);
    expect(constants.has("GRID")).toBe(false);
    expect(structs[0]!.size).toBe(352);
    const module = await load(text, join(dir.path, "robot.ts"));
    expect(module.state_t).toEqual({ IDLE: 0, RUNNING: 5, FAULT: -1 });
    expect(module.HOUR).toBe(3600);
    expect(module.unused).toEqual({ NEVER: 0n, ALWAYS: 2n ** 32n });
    expect(text).toContain("export class robot extends Struct {");
    expect(text).toContain("/** How far it has come, in mm. */");
    expect(text).toContain("a pointer to a function");
    expect(offsetsInC(structs, robot, dir.path, compiler)).toEqual([]);
  });
}

const seed = seedOfRun();

test.skipIf(!hasTool("gcc"))(
  "random layouts, exported to C and imported again, have the same fingerprint",
  async () => {
    using dir = temporaryDirectory();
    const texts = new Map<StructSchema, string>();
    for (const schema of await randomSchemas(seed, 40, dir.path)) {
      try {
        texts.set(schema, exportStruct(schema, "c"));
      } catch (error) {
        // C has no member in another byte order beside big-endian bit-fields.
        expect(error, `SEED=${seed}`).toMatchObject({ code: "CODEGEN" });
      }
    }
    expect(texts.size, `SEED=${seed}`).toBeGreaterThan(30);
    // One header for all: the compiler is asked several times for each.
    const header = join(dir.path, "all.h");
    writeFileSync(header, [...texts.values()].join("\n"));
    const schemas = [...texts.keys()];
    const names = schemas.map(({ name }) => name);
    const { structs, refused, text } = importHeader(header, { structs: names, compiler: "gcc" });
    expect(refused, `SEED=${seed}`).toEqual([]);
    const module = await load(text, join(dir.path, "all.ts"));
    for (const [i, schema] of schemas.entries()) {
      const again = structs[i] as StructSchema;
      expect(again.name).toBe(schema.name);
      expect(leaves(again), `SEED=${seed}`).toEqual(leaves(schema));
      expect(fingerprint(again), `SEED=${seed}`).toBe(fingerprint(schema));
      expect(fingerprint(module[schema.name] as never)).toBe(fingerprint(again));
    }
  },
  240_000,
);

class Tail extends Union {
  @field(c_int32) code!: number;
  @field(bytes(4)) raw!: Uint8Array;
}

class Hard extends Struct {
  @field(c_uint8) kind!: number;
  @field(c_uint32, { align: 64 }) aligned!: number;
  @field(c_uint16, { endian: "big" }) port!: number;
  @field(array(c_double, 2), { endian: "big" }) rates!: CArray<number>;
  @field(enumOf(c_uint8, { Off: 0, On: 1 })) state!: 0 | 1;
  @bits(enumOf(c_uint32, { Low: 0, High: 3 }), 2) level!: 0 | 3;
  @nested(Tail, 3) tails!: StructArray<Tail>;
  @field(chars(6, { encoding: "utf16le" })) wide!: string;
  @field(chars()) name!: string;
}

test.skipIf(!hasTool("gcc"))(
  "members with an alignment or a byte order of their own, and text without a size, are exported and imported again",
  async () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "Hard.h");
    writeFileSync(header, exportStruct(Hard, "c"));
    const { structs, refused, text } = importHeader(header, { structs: ["Hard"], compiler: "gcc" });
    expect(refused).toEqual([]);
    expect(leaves(structs[0]!).filter(({ path }) => path !== "level")).toEqual(
      leaves(layoutOf(Hard)).filter(({ path }) => path !== "level"),
    );
    const { Hard: again } = (await load(text, join(dir.path, "Hard.ts"))) as { Hard: StructClass };
    expect(layoutOf(again).size).toBe(layoutOf(Hard).size);
    expect(text).toContain("@field(c_uint32, { align: 64 }) aligned!: number;");
    expect(text).toContain('@field(c_uint16, { endian: "big" }) port!: number;');
    expect(text).toContain("@field(chars()) name!: string;");
    const same = await load(exportStruct(Hard, "ts"), join(dir.path, "HardAgain.ts"));
    expect(fingerprint(same.Hard as StructClass)).toBe(fingerprint(Hard));
    for (const language of ["cpp", "rust", "ksy", "hexpat"] as const)
      expect(exportStruct(Hard, language)).toContain("aligned");
    // ctypes has no padding behind a flexible array.
    expect(() => exportStruct(Hard, "python")).toThrow("Hard: Python cannot lay out Hard");
  },
);

test.skipIf(!hasTool("gcc"))(
  "names that mean something else in JavaScript are refused with the member's path, or exported under their own name",
  async () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "names.h");
    const lines = [
      "#define function 7",
      "enum array { __proto__ = 1, constructor = 2, class = 3 };",
      "struct field { enum array kind; int toString; int hasOwnProperty; };",
      "struct both { struct field field; void (*call)(int); __int128 wide; double _Complex c; };",
      "struct owner { int before; int __proto__; int after; };",
      "struct maker { int constructor; };",
    ];
    writeFileSync(header, lines.join("\n"));
    const structs = ["both", "owner", "maker"];
    const { text, refused, structs: found } = importHeader(header, { structs, compiler: "gcc" });
    const why = "JavaScript gives this name a meaning of its own, or it is too long";
    expect(refused).toEqual([
      { name: "owner", reason: `owner.__proto__: ${why}` },
      { name: "maker", reason: `maker.constructor: ${why}` },
    ]);
    expect(offsetsInC(found, header, dir.path, "gcc")).toEqual([]);
    const module = await load(text, join(dir.path, "names.ts"));
    expect(module).toMatchObject({ function: 7 });
    expect(Object.entries(module.array_ as object)).toEqual([
      ["__proto__", 1],
      ["constructor", 2],
      ["class", 3],
    ]);
    for (const comment of ["a pointer to a function", "__int128", "complex double"])
      expect(text).toContain(`/** ${comment} */`);
  },
);

/** Structs that each of the system's headers declares; those refused are listed with the reason. */
const headers: Record<string, { structs?: string[]; refused: string[] }> = {
  "linux/input.h": { refused: [] },
  "linux/io_uring.h": { refused: [] },
  "linux/perf_event.h": { refused: [] },
  "linux/tcp.h": { refused: [] },
  "linux/videodev2.h": { refused: [] },
  "elf.h": { refused: [] },
  "utmp.h": { structs: ["utmp", "lastlog", "exit_status"], refused: [] },
};

for (const [name, expected] of Object.entries(headers)) {
  const header = `/usr/include/${name}`;
  // On a machine with two libcs /usr/include has glibc's headers, which musl's compiler cannot read.
  const isReadable = name.startsWith("linux/") || !isMusl() || existsSync("/etc/alpine-release");
  const isThere = hasTool("gcc") && existsSync(header) && isReadable;
  test.skipIf(!isThere)(
    `every struct of ${name} agrees with offsetof, or is refused with the reason`,
    async () => {
      using dir = temporaryDirectory();
      const { structs, refused, text } = importHeader(header, { structs: expected.structs, compiler: "gcc" });
      await load(text, join(dir.path, "classes.ts"));
      expect(refused.map((one) => one.name).filter((one) => !expected.refused.includes(one))).toEqual([]);
      for (const { reason } of refused) expect(reason).not.toBe("");
      expect(structs.length).toBeGreaterThan(0);
      expect(offsetsInC(structs, header, dir.path, "gcc")).toEqual([]);
    },
  );
}

test.skipIf(!hasTool("gcc"))("a binary's own BTF is imported", async () => {
  using dir = temporaryDirectory();
  const source = `#include "${robot}"\nrobot_t it; int main(void) { return it.tick; }\n`;
  writeFileSync(join(dir.path, "main.c"), source);
  run(["gcc", "-gbtf", "-fno-eliminate-unused-debug-types", "-o", "main", "main.c"], dir.path);
  const { structs, refused } = importBinary(join(dir.path, "main"), { structs: ["robot"] });
  expect(refused).toEqual([]);
  expect(offsetsInC(structs, robot, dir.path, "gcc")).toEqual([]);
});

test.skipIf(!hasTool("gcc"))(
  "an enum of 64 bits is imported with bigints, which its members take, and the module compiles",
  async () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "huge.h");
    const lines = [
      "enum big { HUGE_ = 0x123456789abcLL, NEG = -1 };",
      "enum most { MOST = 0x7fffffffffffffffLL };",
      "enum all { NONE, ALL = 0xffffffffffffffffULL };",
      "typedef enum { ALIASED = 0x123456789abcLL } alias;",
      "struct huge { enum big big; enum most most; enum all all; alias alias; enum big list[2]; enum big few : 50; };",
    ];
    writeFileSync(header, lines.join("\n"));
    const { text, refused } = importHeader(header, { compiler: "gcc" });
    expect(refused).toEqual([]);
    const module = await load(text, join(dir.path, "huge.ts"));
    expect(module).toMatchObject({
      big: { HUGE_: 0x123456789abcn, NEG: -1n },
      most: { MOST: 2n ** 63n - 1n },
      all: { NONE: 0n, ALL: 2n ** 64n - 1n },
      alias: { ALIASED: 0x123456789abcn },
    });
    const bytes = new Uint8Array(56);
    const view = viewOf(module.huge as StructClass, bytes) as unknown as Record<string, bigint>;
    view.most = 2n ** 63n - 1n;
    expect(new DataView(bytes.buffer).getBigInt64(8, true)).toBe(2n ** 63n - 1n);
    expect(compiled(dir.path, "huge.ts")).toBe("");
  },
);

/** Names that generated code, and what compilers make of decorators, use. */
const TAKEN =
  `String Number BigInt Symbol Boolean Array Map Set WeakMap Math JSON Object Error TypeError Function Promise
Reflect Record MmapStructure Proxy Date RegExp globalThis require exports keyof readonly unique infer`.split(
    /\s+/,
  );

test.skipIf(!hasTool("gcc"))(
  "structs, enums and constants with names of JavaScript's own objects are imported, and the module loads and compiles",
  async () => {
    using dir = temporaryDirectory();
    const structs = TAKEN.map((name) => `struct ${name} { int x; long wide; char text[4]; };`);
    const both = `struct all_of_them { ${TAKEN.map((name, i) => `struct ${name} m${i};`).join(" ")} };`;
    const enums = TAKEN.map((name) => `enum ${name} { ${name}_ONE = 1 };`);
    const uses = `struct with_enums { ${TAKEN.map((name, i) => `enum ${name} m${i};`).join(" ")} };`;
    const defines = TAKEN.map((name, i) => `#define ${name} ${i}`);
    const headers = {
      structs: [...structs, both, "struct Object_ { int y; };"],
      enums: [...enums, uses],
      constants: [...defines, "struct one { int x; };"],
    };
    for (const [kind, lines] of Object.entries(headers)) {
      const header = join(dir.path, `${kind}.h`);
      writeFileSync(header, lines.join("\n"));
      const { text, refused } = importHeader(header, { compiler: "gcc" });
      expect(refused).toEqual([]);
      const module = await load(text, join(dir.path, `${kind}.ts`));
      if (kind === "structs") expect(layoutOf(module.String_ as StructClass).name).toBe("String");
      if (kind === "enums") expect(module.String_).toEqual({ String_ONE: 1 });
      if (kind === "constants") expect(module.String).toBe(0);
    }
    expect(compiled(dir.path, "*.ts")).toBe("");
  },
);

/** What the compiler says of a module. */
function compiled(dir: string, file: string): string {
  const root = join(import.meta.dir, "../..");
  const compilerOptions = { types: [join(root, "node_modules/bun-types")] };
  const config = { extends: join(root, "tsconfig.json"), include: [file], compilerOptions };
  writeFileSync(join(dir, "tsconfig.json"), JSON.stringify(config));
  return Bun.spawnSync(tscCommand("-p", dir), { env: tscEnvironment }).stdout.toString();
}

const BIG = '__attribute__((scalar_storage_order("big-endian")))';

test.skipIf(!hasTool("gcc"))(
  "an array of no elements between members, which only names a place, is left out",
  async () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "mark.h");
    writeFileSync(
      header,
      "struct packet { int a; struct { char mark[0]; unsigned b : 3; }; char here[0]; long c; char rest[]; };",
    );
    const { text, structs, refused } = importHeader(header, { compiler: "gcc" });
    expect(refused).toEqual([]);
    expect(offsetsInC(structs, header, dir.path, "gcc")).toEqual([]);
    const { packet } = (await load(text, join(dir.path, "mark.ts"))) as { packet: StructClass };
    expect([layoutOf(packet).size, "rest" in layoutOf(packet).fields]).toEqual([16, true]);
  },
);

test.skipIf(!hasTool("gcc"))(
  "an enum and a struct of one name are imported under two, and the module loads",
  async () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "names.h");
    const lines = [
      "typedef enum { IDLE, BUSY } mode;",
      "struct mode { int x; };",
      "typedef enum { LOW, HIGH = 7 } mode_;",
      "struct user { mode m; struct mode s; mode_ n; };",
    ];
    writeFileSync(header, lines.join("\n"));
    const module = (await load(
      importHeader(header, { compiler: "gcc" }).text,
      join(dir.path, "names.ts"),
    )) as {
      user: StructClass;
      mode: StructClass;
    };
    expect(layoutOf(module.mode).name).toBe("mode");
    expect(Object.values<unknown>(module)).toContainEqual({ IDLE: 0, BUSY: 1 });
    expect(Object.values<unknown>(module)).toContainEqual({ LOW: 0, HIGH: 7 });
    expect(layoutOf(module.user).size).toBe(12);
  },
);

test.skipIf(!hasTool("clang"))(
  "clang, which ignores scalar_storage_order, is not asked about a header that uses it, and does not compile an export that needs it",
  () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "wire.h");
    const ask = (text: string): number => {
      writeFileSync(header, text);
      return importHeader(header, { compiler: "clang" }).structs.length;
    };
    const refusal = "it uses scalar_storage_order, which clang ignores";
    expect(() => ask(`struct wire { int a; } ${BIG};\n`)).toThrow(refusal);
    expect(() => ask('#pragma scalar_storage_order "big-endian"\nstruct wire { int a; };\n')).toThrow(
      refusal,
    );
    expect(ask(`#define BIG ${BIG}\nstruct wire { int a; };\n`)).toBe(1);
    expect(ask(`struct wire { int a; }\n#ifndef __clang__\n${BIG}\n#endif\n;\n`)).toBe(1);
    @struct({ endian: "big" })
    class Flags extends Struct {
      @bits(c_uint32, 3) low!: number;
    }
    writeFileSync(header, exportStruct(Flags, "c"));
    const { exitCode, stderr } = Bun.spawnSync(["clang", "-fsyntax-only", "-w", header], { stderr: "pipe" });
    expect([exitCode, stderr.toString()]).toEqual([
      1,
      expect.stringContaining('#error "Flags has big-endian bit-fields, which only gcc can declare in C"'),
    ]);
  },
);

test.skipIf(!hasTool("gcc"))(
  "a struct that gcc stores big-endian is imported so: what C wrote is read, in every kind of member",
  async () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "wire.h");
    const lines = [
      "#include <stdint.h>",
      "enum color { RED, BLUE = 7 };",
      `struct point { uint16_t x; uint8_t y; } ${BIG};`,
      "struct plain { uint16_t x; };",
      `union either { uint32_t whole; uint16_t half; } ${BIG};`,
      "struct wire { unsigned short a; unsigned int b; float f; double d; uint16_t list[2]; uint32_t grid[2][2];",
      "  uint32_t low : 3; int high : 9; enum color color; void *p; struct point point; struct plain plain;",
      `  volatile int64_t wide; char text[4]; struct { uint16_t inner; }; } ${BIG};`,
      "struct holder { int before; struct point at[2]; union either either; };",
    ];
    writeFileSync(header, lines.join("\n"));
    const program = `#include <stdio.h>
#include "wire.h"
int main(void) {
  struct wire w = { 1, 2, 1.5f, 2.5, { 3, 4 }, { { 5, 6 }, { 7, 8 } }, 5, -3, BLUE, (void *)9, { 10, 11 }, { 12 }, -13, "abc", { 14 } };
  struct holder h = { 1, { { 2, 3 }, { 4, 5 } }, { 6 } };
  fwrite(&w, sizeof w, 1, stdout);
  fwrite(&h, sizeof h, 1, stdout);
  return 0;
}`;
    writeFileSync(join(dir.path, "main.c"), program);
    run(["gcc", "-o", "main", "main.c"], dir.path);
    const written = Bun.spawnSync([join(dir.path, "main")]).stdout;
    // The struct inside is found also where nothing else is big-endian.
    const inner = importHeader(header, { structs: ["holder"], compiler: "gcc" });
    expect(inner.text).toContain('@struct({ endian: "big" })\nexport class point extends');
    const { text, refused, structs } = importHeader(header, { compiler: "gcc" });
    expect(refused).toEqual([]);
    // Bits are counted from the other end in it; what is read below shows their places.
    const counted = structs.filter(({ name }) => name !== "wire");
    expect(offsetsInC(counted, header, dir.path, "gcc")).toEqual([]);
    const module = (await load(text, join(dir.path, "wire.ts"))) as Record<string, StructClass>;
    const { wire, holder } = module as { wire: StructClass; holder: StructClass };
    const size = layoutOf(wire).size;
    expect(toObject(viewOf(wire, written.subarray(0, size)))).toMatchObject({
      a: 1,
      b: 2,
      f: 1.5,
      d: 2.5,
      list: [3, 4],
      grid: [
        [5, 6],
        [7, 8],
      ],
      low: 5,
      high: -3,
      color: 7,
      p: 9n,
      point: { x: 10, y: 11 },
      plain: { x: 12 },
      wide: -13n,
      text: "abc",
      inner: 14,
    });
    expect(toObject(viewOf(holder, written.subarray(size)))).toMatchObject({
      before: 1,
      at: [
        { x: 2, y: 3 },
        { x: 4, y: 5 },
      ],
      either: { whole: 6 },
    });
  },
);

test.skipIf(!hasTool("gcc"))(
  "a byte order that debug information does not tell, or a class cannot have, is refused with the member's path",
  () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "unsure.h");
    const lines = [
      "enum color { RED, BLUE = 7 };",
      `struct alone { enum color color; } ${BIG};`,
      `struct mixed { struct { unsigned low : 3; }; unsigned short x; } ${BIG};`,
      `struct wire { unsigned short a; float f; } ${BIG};`,
      "struct plain { unsigned short a; float f; };",
    ];
    writeFileSync(header, lines.join("\n"));
    const { refused } = importHeader(header, { compiler: "gcc" });
    expect(refused.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^alone\.color: .* does not tell the byte order of an enum/),
      "mixed_anonymous_0.low: a bit-field in another byte order than the struct around it",
    ]);
    const source = '#include "unsure.h"\nstruct wire w; struct plain p; int main(void) { return 0; }\n';
    writeFileSync(join(dir.path, "main.c"), source);
    run(["gcc", "-gbtf", "-fno-eliminate-unused-debug-types", "-o", "main", "main.c"], dir.path);
    const binary = importBinary(join(dir.path, "main"), { structs: ["wire"] });
    expect(binary.refused).toEqual([
      { name: "wire", reason: expect.stringMatching(/^wire\.a: the BTF has short unsigned int twice/) },
    ]);
  },
);

test.skipIf(!hasTool("gcc"))(
  "of a header that defines no struct an import says so, also where it includes one that does",
  () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "e.h");
    const nothing = `${header}: it defines no struct, union or enum`;
    const contents = {
      "nothing at all": "",
      "a prototype": "int f(int);",
      "an incomplete struct": "struct a; struct a *f(void);",
      "a guard": "#ifndef E_H\n#define E_H\nint f(int);\n#endif",
      "an include": `#include "${robot}"\nint f(int);`,
      "a typedef": "typedef int number;",
    };
    for (const [what, text] of Object.entries(contents)) {
      writeFileSync(header, text);
      expect(() => importHeader(header, { compiler: "gcc" }), what).toThrow(nothing);
      expect(() => importHeader(header, { structs: ["a"], compiler: "gcc" }), what).toThrow(
        "it declares no complete struct or union a",
      );
    }
    // Each compiler tells in its own way what is included.
    writeFileSync(header, contents["an include"]);
    if (hasTool("clang")) expect(() => importHeader(header, { compiler: "clang" })).toThrow(nothing);
    writeFileSync(header, "enum only { ONE = 1 };");
    expect(importHeader(header, { compiler: "gcc" }).text).toContain("export const only = { ONE: 1 }");
    writeFileSync(header, "#define LIMIT 3\nint f(int);");
    expect(importHeader(header, { compiler: "gcc" }).text).toContain("export const LIMIT = 3;");
  },
);

test("a missing compiler, a broken header and a struct that is not there are clear errors", () => {
  using dir = temporaryDirectory();
  expect(() => importHeader(robot, { compiler: "no-such-compiler" })).toThrow("needs a C compiler");
  expect(() => importHeader(join(dir.path, "none.h"))).toThrow("there is no such file");
  expect(() => importHeader(robot, { compilre: "gcc" } as never)).toThrow(TypeError);
  if (!hasTool("gcc")) return;
  const broken = join(dir.path, "broken.h");
  writeFileSync(broken, "struct a { int b }");
  expect(() => importHeader(broken, { compiler: "gcc" })).toThrow("it does not compile");
  expect(() => importHeader(robot, { structs: ["nothing"], compiler: "gcc" })).toThrow(
    "no complete struct or union nothing",
  );
  expect(() => importBinary(robot, { structs: ["a"] })).toThrow("not an ELF file");
});
