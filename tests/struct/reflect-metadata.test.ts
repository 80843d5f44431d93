/** reflect-metadata is loaded when the compiler's output asks for it, and not before. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SOURCE = join(import.meta.dirname, "..", "..", "src", "index.ts");
const dir = mkdtempSync(join(tmpdir(), "shmstruct-reflect-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** What a program prints; the tsconfig.json of its working directory says how it is compiled. */
function run(name: string, compilerOptions: object, program: string): string {
  writeFileSync(join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const path = join(dir, `${name}.ts`);
  const imports = `import ${JSON.stringify(SOURCE)}; import { c_int32, field, sizeof, Struct } from ${JSON.stringify(SOURCE)};`;
  writeFileSync(path, `${imports}\n${program}\nexport {};`);
  const { stdout, stderr } = Bun.spawnSync([process.execPath, path], { cwd: dir });
  return stdout.toString() + stderr.toString();
}

const CLASS = "class A extends Struct { @field(c_int32) n!: number }";
const SAY = `console.log(sizeof(A), "getOwnMetadata" in Reflect);`;

test("standard decorators do not load reflect-metadata", () => {
  expect(run("standard", {}, `${CLASS} ${SAY}`)).toBe("4 false\n");
});

test("legacy decorators do not load reflect-metadata", () => {
  expect(run("legacy", { experimentalDecorators: true }, `${CLASS} ${SAY}`)).toBe("4 false\n");
});

test("with emitDecoratorMetadata the declared types are checked", () => {
  const emit = { experimentalDecorators: true, emitDecoratorMetadata: true };
  expect(run("emit", emit, `${CLASS} ${SAY}`)).toBe("4 true\n");
  expect(run("wrong", emit, "class B extends Struct { @field(c_int32) n!: string }")).toContain(
    "B.n is declared as String",
  );
});

test("a program that asks for Reflect.metadata gets it, and may replace it", () => {
  expect(run("ask", {}, "console.log(typeof Reflect.metadata, typeof Reflect.getOwnMetadata)")).toBe(
    "function function\n",
  );
  const replace = `const own = () => () => {}; Reflect.metadata = own; console.log(Reflect.metadata === own)`;
  expect(run("replace", {}, replace)).toBe("true\n");
});
