import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { largeStruct, wideStruct } from "../support/large-struct.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const root = join(import.meta.dir, "../..");

/** Checks files under the settings of one decorator style; a complaint of the compiler is the error. */
async function check(style: "legacy" | "standard", include: string[], more: object = {}): Promise<string> {
  using dir = temporaryDirectory();
  const base = join(root, style === "legacy" ? "tsconfig.json" : "tests/standard/tsconfig.json");
  const typeRoots = [join(root, "node_modules")];
  const compilerOptions = { types: [join(root, "node_modules/bun-types")], typeRoots, ...more };
  writeFileSync(join(dir.path, "tsconfig.json"), JSON.stringify({ extends: base, compilerOptions, include }));
  // By Bun: the compiler is a program for node, which need not be there.
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const tsc = Bun.spawn([process.execPath, compiler, "-p", dir.path], { cwd: dir.path, stdout: "pipe" });
  const complaints = await new Response(tsc.stdout).text();
  return (await tsc.exited) === 0 ? complaints : complaints || "tsc failed";
}

for (const style of ["legacy", "standard"] as const) {
  test(`the compiler accepts and refuses what it must with ${style} decorators`, async () => {
    expect(await check(style, [join(root, "tests/types/*.ts")])).toBe("");
  }, 60_000);
}

test.each(["legacy", "standard"] as const)(
  "a wrong declared type is named, with %s decorators",
  async (style) => {
    using dir = temporaryDirectory();
    const path = join(dir.path, "wrong.ts");
    const from = JSON.stringify(join(root, "src/struct/index.ts"));
    const cls = "export class A extends s.Struct { @s.field(s.c_int32) speed!: string; }";
    writeFileSync(path, `import * as s from ${from};\n${cls}\n`);
    const complaint = await check(style, [path]);
    expect(complaint).toContain("Type 'string' is not assignable to type 'number'");
    expect(complaint).toContain(style === "legacy" ? "property 'speed'" : 'name: "speed"');
  },
  60_000,
);

test("the library compiles with the settings of a user who checks loosely", async () => {
  const loose = { strict: false, noUncheckedIndexedAccess: false };
  expect(await check("standard", [join(root, "src/index.ts")], loose)).toBe("");
}, 60_000);

test("a struct of 200 fields, 6 levels deep, compiles", async () => {
  using dir = temporaryDirectory();
  const path = join(dir.path, "large.ts");
  writeFileSync(path, largeStruct(join(root, "src/struct/index.ts")));
  expect(await check("legacy", [path])).toBe("");
}, 60_000);

test.each([
  [5, 6],
  [20, 4],
])(
  "one of %d nested structs on each of %d levels compiles, too: it has more paths than can be listed",
  async (fan, depth) => {
    using dir = temporaryDirectory();
    const path = join(dir.path, "wide.ts");
    writeFileSync(path, wideStruct(join(root, "src/index.ts"), fan, depth));
    expect(await check("legacy", [path])).toBe("");
  },
  60_000,
);

test("and a mistake in it does not", async () => {
  using dir = temporaryDirectory();
  const path = join(dir.path, "wrong.ts");
  writeFileSync(path, `${largeStruct(join(root, "src/struct/index.ts"))}\ns.create(L1, { f0: "1" });`);
  expect(await check("standard", [path])).toContain("Type 'string' is not assignable to type 'number'");
}, 60_000);
