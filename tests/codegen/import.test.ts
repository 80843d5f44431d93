import { expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportStruct, fingerprint, importBinary, importHeader } from "../../src/codegen/index.ts";
import { type StructSchema, structFromSchema } from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { leavesOf } from "../../src/struct/schema/schema.ts";
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

/** Handles of anonymous members have no name in C. */
const withoutHandles = (schema: StructSchema): string[] =>
  leavesOf(layoutOfClass(structFromSchema(schema)))
    .filter(({ type, path }) => type !== "" && path !== "")
    .map(({ type, offset, size, path }) => `${path.split(".").at(-1)} ${type} ${offset} ${size}`)
    .filter((line) => !/ (struct|union) /.test(line));

for (const compiler of ["gcc", "clang"]) {
  const isThere = hasTool(compiler);
  test.skipIf(!isThere)(`a header whose path needs escapes, by ${compiler}`, () => {
    using dir = temporaryDirectory();
    const header = join(dir.path, "größe 1.h");
    writeFileSync(header, "#define JOINTS 6\nstruct arm { int joints[JOINTS]; };\n");
    expect(importHeader(header, { structs: ["arm"], compiler }).constants.get("JOINTS")).toBe(6n);
  });

  test.skipIf(!isThere)(`a header with everything, by ${compiler}`, async () => {
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
    expect(module.unused).toEqual({ NEVER: 0, ALWAYS: 2 ** 32 });
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
    for (const schema of await randomSchemas(seed, 40, dir.path)) {
      const header = join(dir.path, `${schema.name}.h`);
      writeFileSync(header, exportStruct(schema, "c"));
      const { structs, refused, text } = importHeader(header, { structs: [schema.name], compiler: "gcc" });
      expect(refused, `SEED=${seed}`).toEqual([]);
      const [again] = structs as [StructSchema];
      expect(withoutHandles(again), `SEED=${seed}`).toEqual(withoutHandles(schema));
      if (!JSON.stringify(schema).includes('"anonymous"'))
        expect(fingerprint(again), `SEED=${seed}`).toBe(fingerprint(schema));
      const module = await load(text, join(dir.path, `${schema.name}.ts`));
      expect(fingerprint(module[schema.name] as never)).toBe(fingerprint(again));
    }
  },
  60_000,
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
  const isThere = hasTool("gcc") && existsSync(header);
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

test.skipIf(!hasTool("gcc"))("a binary's own BTF", async () => {
  using dir = temporaryDirectory();
  const source = `#include "${robot}"\nrobot_t it; int main(void) { return it.tick; }\n`;
  writeFileSync(join(dir.path, "main.c"), source);
  run(["gcc", "-gbtf", "-fno-eliminate-unused-debug-types", "-o", "main", "main.c"], dir.path);
  const { structs, refused } = importBinary(join(dir.path, "main"), { structs: ["robot"] });
  expect(refused).toEqual([]);
  expect(offsetsInC(structs, robot, dir.path, "gcc")).toEqual([]);
});

test("without a compiler, with a broken header and with a struct that is not there: clear errors", () => {
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
