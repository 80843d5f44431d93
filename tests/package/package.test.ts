/** The packed file, as users install it. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as mainInSource from "../../src/index.ts";
import { root } from "../support/built.ts";
import { tscCommand, tscEnvironment } from "../support/compiler.ts";
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

test("only compiled modules are packed, with source maps, beside bytecode, declarations, four texts and the modules for C and Python", () => {
  const { files } = shop.packed;
  const other = files.filter((path) => !/^dist\/.*\.(js|js\.map|d\.ts|cjs|cjs\.map|cjs\.jsc)$/.test(path));
  expect(other.sort()).toEqual([
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    // The bytecode of the command, which is one file.
    "dist/cli/command.js.jsc",
    "interop/c/shmstruct.h",
    "interop/python/shmstruct.py",
    "package.json",
  ]);
  const modules = files.filter(
    (path) =>
      /\.c?js$/.test(path) && !/^dist\/(cli\/main|cli\/command|bytecode\/reflect-metadata)\./.test(path),
  );
  const withoutMap = modules.filter((path) => !files.includes(`${path}.map`));
  // These only name what others export.
  const texts = withoutMap.map((path) => readFileSync(join(root, path), "utf8"));
  const withCode = withoutMap.filter(
    (_, i) => !/^\/\/ @bun\nimport|^export \{|exports\.load = |not-bun/.test(texts[i]!),
  );
  expect(withCode.filter((path) => path !== "dist/not-bun.js")).toEqual([]);
});

test("the compiled main module exports what the source exports", () => {
  const names = "console.log(JSON.stringify(Object.keys(await import('shmstruct')).sort()))";
  const { output } = run([process.execPath, "-e", names], shop.project({}, {}));
  expect(JSON.parse(output)).toEqual(Object.keys(mainInSource).sort());
});

const loadedFiles = `import { relative } from "node:path";
const dist = import.meta.dir + "/node_modules/shmstruct/dist/";
export const loaded = () => Object.keys(require.cache).filter((path) => path.startsWith(dist)).map((path) => relative(dist, path)).sort().join(" ");
`;

const robot = `import { c_int32, field, MmapStructure } from "shmstruct";
export class Robot extends MmapStructure { @field(c_int32) tick!: number; }
`;

test("importing the main module loads structs and roles; the first role loads views, files and locks besides, and nothing of making, listing and waiting", () => {
  const make = `import { Manager } from "shmstruct"; import { Robot } from "./robot.ts";
new Manager(Robot, { dir: ".", create: true }).set("tick", 7);`;
  const main = `import { Reader } from "shmstruct"; import { loaded } from "./loaded.ts"; import { Robot } from "./robot.ts";
console.log(loaded());
using reader = new Reader(Robot, { dir: "." });
console.log(loaded(), reader.get("tick"));`;
  const dir = shop.project(
    { experimentalDecorators: true },
    { "loaded.ts": loadedFiles, "robot.ts": robot, "make.ts": make, "main.ts": main },
  );
  expect(run([process.execPath, "make.ts"], dir)).toEqual({ exitCode: 0, output: "" });
  const opening = "bytecode/main.cjs bytecode/opening.cjs bytecode/views.cjs index.js load.js";
  expect(run([process.execPath, "main.ts"], dir)).toEqual({
    exitCode: 0,
    output: `bytecode/main.cjs index.js load.js\n${opening} 7\n`,
  });
});

/** The entries whose code is run from bytecode. */
const entriesInBytecode = ["", "/mmap", "/json", "/channel", "/queue", "/posix"];

/** Bytecode begins with the version of the engine that it is for. */
const versionOf = (path: string): string => readFileSync(path).subarray(0, 4).toString("hex");

/** Bytecode of the Bun that runs the tests. */
function bytecodeMadeIn(dir: string): string {
  writeFileSync(join(dir, "made.js"), "exports.here = 1;");
  const build = ["build", "made.js", "--target=bun", "--format=cjs", "--bytecode", "--outdir=made"];
  expect(run([process.execPath, ...build], dir).exitCode).toBe(0);
  return join(dir, "made", "made.js.jsc");
}

test("Bun runs the library's code from its bytecode, and without it, or with that of another version, from its text", () => {
  const imports = entriesInBytecode.map((entry) => `import "shmstruct${entry}";`);
  const program = `${imports.join("\n")}
import { c_int32, create, structOf } from "shmstruct";
class Robot extends structOf({ tick: c_int32 }) {}
const robot = create(Robot);
robot.tick = 7;
console.log("tick", robot.tick);`;
  const dir = shop.project({}, { "main.ts": program, "empty.ts": "export {};" });
  const hits = (file: string): number => {
    const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, file], {
      cwd: dir,
      // The runtime says for each piece of code whether it was in the bytecode.
      env: { ...process.env, BUN_JSC_verboseDiskCache: "1" },
    });
    const output = `${stdout}${stderr}`;
    expect({ exitCode, works: file === "empty.ts" || output.includes("tick 7\n") }).toEqual({
      exitCode: 0,
      works: true,
    });
    return output.split("Cache hit for sourceCode").length - 1;
  };
  const bytecode = join(dir, "node_modules", "shmstruct", "dist", "bytecode");
  const compiled = readdirSync(bytecode).filter((file) => file.endsWith(".jsc"));
  expect(hits("empty.ts")).toBe(0);
  // At least one for each file: main, views, opening, and one or two for each other entry. None where an older Bun runs the tests.
  const ofThisBun = versionOf(join(bytecode, "main.cjs.jsc")) === versionOf(bytecodeMadeIn(dir));
  if (ofThisBun) expect(hits("main.ts")).toBeGreaterThan(entriesInBytecode.length);
  else expect(hits("main.ts")).toBe(0);
  for (const file of compiled) writeFileSync(join(bytecode, file), "of another version");
  expect(hits("main.ts")).toBe(0);
  for (const file of compiled) rmSync(join(bytecode, file));
  expect(hits("main.ts")).toBe(0);
});

test("what the library's reflect-metadata has noted is found by a program's own, and the other way round", () => {
  const library = `import { c_int32, field, Struct } from "shmstruct";`;
  const own = `import "reflect-metadata";`;
  const robot = `const noted = (key: string) => (target: object, name: string) => Reflect.defineMetadata(key, 7, target, name);
class Robot extends Struct { @noted("mine") @field(c_int32) tick!: number; }
console.log(Reflect.getMetadata("design:type", Robot.prototype, "tick") === Number, Reflect.getMetadata("mine", Robot.prototype, "tick"));
const { getMetadata } = await import("reflect-metadata/Reflect.js").then(() => Reflect);
console.log(getMetadata("mine", Robot.prototype, "tick"));`;
  const compilerOptions = { experimentalDecorators: true, emitDecoratorMetadata: true };
  const dir = shop.project(compilerOptions, {
    "alone.ts": `${library}\n${robot}`,
    "before.ts": `${own}\n${library}\n${robot}`,
    "after.ts": `${library}\n${own}\n${robot}`,
  });
  const outputs = ["alone.ts", "before.ts", "after.ts"].map(
    (file) => run([process.execPath, file], dir).output,
  );
  expect(outputs).toEqual(Array(3).fill("true 7\n7\n"));
});

test("the library's code is strict, as modules are: a store that is not possible is an error", () => {
  const texts = shop.packed.files
    .filter((path) => /^dist\/bytecode\/(?!reflect-metadata).*\.cjs$|^dist\/cli\/command\.js$/.test(path))
    .map((path) => [path, readFileSync(join(root, path), "utf8")] as const);
  expect(texts.length).toBeGreaterThan(10);
  const sloppy = texts.filter(([, text]) => !text.includes('__dirname) {"use strict";'));
  expect(sloppy.map(([path]) => path)).toEqual([]);
});

test("all entries share the classes of the main one, in ES modules, in CommonJS, in a thread and in bun -e", () => {
  const check = `const shared = (main, json, channel, queue, mmap, posix, codegen, mirror, dir) => {
  class Robot extends main.MmapStructure {}
  main.field(main.c_int32)(Robot.prototype, "tick");
  const thrown = (act) => { try { act(); return "nothing"; } catch (error) { return error instanceof main.ShmError; } };
  return [
    thrown(() => { const map = new json.JsonMap({ dir, file: "closed", role: "follower" }); map.close(); map.read(); }),
    thrown(() => new channel.Subscriber(Robot, { dir })),
    thrown(() => new queue.Queue(Robot, { dir })),
    thrown(() => new main.Reader(Robot, { dir })),
    new codegen.CodegenError("x") instanceof main.ShmError,
    codegen.exportStruct(Robot, "c").includes("int32_t tick"),
    typeof mmap.MemoryMap, typeof posix.Semaphore, typeof mirror.Mirror,
  ].join();
};`;
  const entries = ["", "/json", "/channel", "/queue", "/mmap", "/posix", "/codegen", "/mirror"];
  const names = entries.map((entry, i) => [`entry${i}`, `shmstruct${entry}`] as const);
  const call = `console.log(shared(${names.map(([name]) => name).join(", ")}, "."));`;
  const es = names.map(([name, entry]) => `import * as ${name} from "${entry}";`).join("\n");
  const cjs = names.map(([name, entry]) => `const ${name} = require("${entry}");`).join("\n");
  const files = {
    "es.mjs": `${es}\n${check}\n${call}`,
    "cjs.cjs": `${cjs}\n${check}\n${call}`,
    "thread.mjs": `new Worker(new URL("./es.mjs", import.meta.url));`,
  };
  const dir = shop.project({}, files, ["@nats-io/jetstream", "@nats-io/kv", "@nats-io/transport-node"]);
  const outputs = [["es.mjs"], ["cjs.cjs"], ["thread.mjs"], ["-e", files["es.mjs"]]].map(
    (args) => run([process.execPath, ...args], dir).output,
  );
  expect(outputs).toEqual(Array(4).fill("true,true,true,true,true,true,function,function,object\n"));
});

test("a program works where a plugin reads all files, and then takes the ES modules", () => {
  const plugin = `import { plugin } from "bun"; import { readFileSync } from "node:fs";
plugin({ name: "reads all", setup: (build) => void build.onLoad({ filter: /\\.c?js$/ }, ({ path }) => ({ contents: readFileSync(path, "utf8"), loader: "js" })) });`;
  const main = `import { ShmError, sizeof, c_int32, structOf } from "shmstruct"; import { CodegenError } from "shmstruct/codegen"; import { loaded } from "./loaded.ts";
console.log(sizeof(structOf({ a: c_int32 })), new CodegenError("x") instanceof ShmError);
console.log(loaded().includes("es/main.js"), loaded().includes("bytecode/"));`;
  const dir = shop.project({}, { "loaded.ts": loadedFiles, "plugin.ts": plugin, "main.ts": main });
  const { output } = run([process.execPath, "--preload", "./plugin.ts", "main.ts"], dir);
  expect(output).toBe("4 true\ntrue false\n");
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
  writeFileSync(join(command, "../command.js.jsc"), "of another version");
  expect(shmstruct("get", "./Robot_.mmap", "speed")).toEqual(seven);
}, 240_000);

test("the stack trace of an error names the source's file", () => {
  const main = `import { sizeof } from "shmstruct"; try { sizeof(1); } catch (error) { console.log(error.stack); }`;
  const dir = shop.project({}, { "main.js": main });
  expect(run([process.execPath, "main.js"], dir).output).toMatch(/src\/struct\/\S*\.ts:\d+/);
});

const { code } = readmeExample();

for (const [i, [title, compilerOptions]] of Object.entries(settings).entries()) {
  // tests/package/every-setting.ts tries each setting in both styles, and with older compilers.
  const [styleName, style] = Object.entries(styles)[i % 2]!;
  test(`the README's example type-checks with ${title}, in ${styleName} style`, () => {
    const dir = shop.project({ ...compilerOptions, ...style }, { "example.ts": code }, typePackages);
    expect(run(tscCommand("-p", "."), dir, tscEnvironment)).toEqual({ exitCode: 0, output: "" });
    expect(existsSync(join(dir, "out", "example.js"))).toBe("outDir" in compilerOptions);
  }, 240_000);
}
