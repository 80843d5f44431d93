/** The packed file, as users install it. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import * as mainInSource from "../../src/index.ts";
import { root } from "../support/built.ts";
import { settings, styles, typePackages } from "./settings.ts";
import { readmeExample, run, Workshop } from "./support.ts";

const shop = new Workshop();
afterAll(() => shop[Symbol.dispose]());

type Exports = Record<string, string | Record<string, string>>;
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { exports: Exports };

test("every file that package.json's exports name is packed", () => {
  const named = Object.values(exports).flatMap((target) =>
    typeof target === "string" ? target : Object.values(target),
  );
  const missing = named.filter((path) => !shop.packed.files.includes(path.replace("./", "")));
  expect(named.length).toBeGreaterThan(10);
  expect(missing).toEqual([]);
});

test("only compiled modules are packed, each with its source map, beside declarations, four texts and the modules for C and Python", () => {
  const { files } = shop.packed;
  const other = files.filter((path) => !/^dist\/.*\.(js|js\.map|d\.ts)$/.test(path));
  expect(other.sort()).toEqual([
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    // The bytecode of the command, which is one file.
    "dist/cli/main.js.jsc",
    "interop/c/shmstruct.h",
    "interop/python/shmstruct.py",
    "package.json",
  ]);
  // Those of dist/node/ but one only name what that one exports.
  const modules = files.filter((path) =>
    /^(?!dist\/node\/(?!all\.))(?!dist\/not-bun)(?!dist\/cli\/main\.).*\.js$/.test(path),
  );
  expect(modules.filter((path) => !files.includes(`${path}.map`))).toEqual([]);
});

test("the compiled main module exports what the source exports", () => {
  const names = "console.log(JSON.stringify(Object.keys(await import('shmstruct')).sort()))";
  const { output } = run([process.execPath, "-e", names], shop.project({}, {}));
  expect(JSON.parse(output)).toEqual(Object.keys(mainInSource).sort());
});

/** A file of dist/ and what is loaded with it at once. */
function loadedWith(start: string): string[] {
  const dist = join(shop.project({}, {}), "node_modules", "shmstruct", "dist");
  const loaded = new Set([join(dist, start)]);
  for (const file of loaded) {
    const imports = new Bun.Transpiler({ loader: "js" }).scanImports(readFileSync(file));
    for (const { kind, path } of imports) {
      if (kind === "import-statement" && path.startsWith(".")) loaded.add(join(file, "..", path));
    }
  }
  return Array.from(loaded, (file) => relative(join(dist, "chunks"), file)).sort();
}

test("importing the main module loads structs and roles, and nothing of files, locks and waiting", () => {
  expect(loadedWith("index.js")).toEqual(["../index.js", "main-later.js", "main.js"]);
});

test("opening a role loads views, files and locks besides, and nothing of making, listing and waiting", () => {
  const opening = loadedWith("chunks/opening.js");
  expect(opening).toEqual(["main-later.js", "main.js", "opening-later.js", "opening.js", "views.js"]);
});

test("the command that package.json's bin names runs from node_modules/.bin", () => {
  const dir = shop.project({}, {});
  const bin = join(dir, "node_modules", ".bin");
  symlinkSync(process.execPath, join(bin, "bun"));
  const path = `${bin}:${process.env.PATH}`;
  const { stdout, exitCode } = Bun.spawnSync(["node_modules/.bin/shmstruct", "--help"], {
    cwd: dir,
    env: { ...process.env, PATH: path },
  });
  expect({ exitCode, firstLine: stdout.toString().split("\n")[0] }).toEqual({
    exitCode: 0,
    firstLine: "usage: shmstruct COMMAND …",
  });
});

test("the command works in one file with its bytecode, without the bytecode, and with a class of the user's", () => {
  const structs = `import { c_int32, field, MmapStructure } from "shmstruct";
export class Robot extends MmapStructure { @field(c_int32) speed!: number; }`;
  const make = `import { Manager } from "shmstruct"; import { Robot } from "./structs.ts";
new Manager(Robot, { dir: ".", create: true }).set("speed", 7);`;
  const files = { "structs.ts": structs, "make.ts": make };
  const dir = shop.project({ experimentalDecorators: true }, files);
  expect(run([process.execPath, "make.ts"], dir)).toEqual({ exitCode: 0, output: "" });
  const command = join(dir, "node_modules", "shmstruct", "dist", "cli", "main.js");
  const shmstruct = (...args: string[]): unknown => run([process.execPath, command, ...args], dir);
  const seven = { exitCode: 0, output: "7\n" };
  expect(shmstruct("get", "./Robot_.mmap", "speed")).toEqual(seven);
  expect(shmstruct("diff", "--layout", "./Robot_.mmap", "./structs.ts#Robot")).toEqual({
    exitCode: 0,
    output: "",
  });
  expect(shmstruct("migrate", "./Robot_.mmap", "./structs.ts#Robot")).toEqual({
    exitCode: 0,
    output: "it has that struct already\n",
  });
  writeFileSync(`${command}.jsc`, "of another version");
  expect(shmstruct("get", "./Robot_.mmap", "speed")).toEqual(seven);
}, 240_000);

test("the stack trace of an error names the source's file", () => {
  const main = `import { sizeof } from "shmstruct"; try { sizeof(1); } catch (error) { console.log(error.stack); }`;
  const dir = shop.project({}, { "main.js": main });
  expect(run([process.execPath, "main.js"], dir).output).toMatch(/src\/struct\/\S*\.ts:\d+/);
});

const tsc = join(root, "node_modules", ".bin", "tsc");
const { code } = readmeExample();

for (const [i, [title, compilerOptions]] of Object.entries(settings).entries()) {
  // tests/package/every-setting.ts tries each setting in both styles, and with older compilers.
  const [styleName, style] = Object.entries(styles)[i % 2]!;
  test(`the README's example type-checks with ${title}, in ${styleName} style`, () => {
    const dir = shop.project({ ...compilerOptions, ...style }, { "example.ts": code }, typePackages);
    expect(run([tsc, "-p", "."], dir)).toEqual({ exitCode: 0, output: "" });
    expect(existsSync(join(dir, "out", "example.js"))).toBe("outDir" in compilerOptions);
  }, 240_000);
}
