/** Other runtimes than Bun: which names there are, and what is said of those that need Bun. */
import { afterAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as inBun from "../../src/index.ts";
import { build, root } from "../support/built.ts";
import { hasTool } from "../support/tools.ts";
import { run } from "./support.ts";

build();
const dir = mkdtempSync(join(tmpdir(), "shmstruct-node-"));
mkdirSync(join(dir, "node_modules"));
symlinkSync(root, join(dir, "node_modules", "shmstruct"));
afterAll(() => rmSync(dir, { recursive: true }));

const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  exports: Record<string, object>;
};
const node = (code: string) => run(["node", "--input-type=module", "-e", code], dir);

test.skipIf(!hasTool("node"))("every name of the main module exists in Node.js (needs node)", () => {
  const names = `console.log(JSON.stringify(Object.keys(await import("shmstruct")).sort()))`;
  expect(JSON.parse(node(names).output)).toEqual(Object.keys(inBun).sort());
});

test.skipIf(!hasTool("node"))("Node.js works with structs on memory of its own (needs node)", () => {
  const code = `
    import { array, c_double, c_int32, create, layoutOf, structOf, toObject, viewOf } from "shmstruct";
    class Robot extends structOf({ tick: c_int32, joints: array(c_double, 2) }) {}
    const bytes = new Uint8Array(24);
    const robot = viewOf(Robot, bytes);
    robot.tick = 258;
    robot.joints[1] = 0.5;
    console.log(bytes[0], bytes[1], layoutOf(Robot).size, JSON.stringify(toObject(robot)));`;
  expect(node(code)).toEqual({
    exitCode: 0,
    output: `2 1 24 {"tick":258,"joints":[0,0.5]}\n`,
  });
});

test.skipIf(!hasTool("node"))("the command says in Node.js that it runs on Bun (needs node)", () => {
  const command = join(root, "dist/cli/main.js");
  expect(run(["node", command, "ls"], dir)).toEqual({
    exitCode: 2,
    output:
      "shmstruct: the command runs on Bun (https://bun.sh), as it calls libc through bun:ffi: bunx shmstruct …\n",
  });
});

test.skipIf(!hasTool("node"))("Node.js without fs-ext is told which package is missing (needs node)", () => {
  // Not in the clone, whose node_modules has fs-ext.
  const modules = join(dir, "plain", "node_modules");
  cpSync(join(root, "dist"), join(modules, "shmstruct", "dist"), { recursive: true });
  cpSync(join(root, "package.json"), join(modules, "shmstruct", "package.json"));
  symlinkSync(join(root, "node_modules", "reflect-metadata"), join(modules, "reflect-metadata"));
  const code = `
    import { Manager, MmapStructure } from "shmstruct";
    try { new Manager(class Robot extends MmapStructure {}, { create: true, dir: "." }) }
    catch (error) { console.log(error.name, error.message) }`;
  const { output } = run(["node", "--input-type=module", "-e", code], join(dir, "plain"));
  expect(output).toContain("UnsupportedError shared files need the package fs-ext");
});

test.skipIf(!hasTool("node"))("other runtimes are told that shared files need Bun (needs node)", () => {
  const main = JSON.stringify(join(root, "dist/without-bun.js"));
  const roles = `import { c_int32, Reader, Manager, structOf } from ${main};
    for (const attempt of [() => new Reader("Robot"), () => new Manager("Robot", { create: true }), () => Reader.open("Robot")])
      try { attempt() } catch (error) { console.log(error.name, error.code, error.message) }`;
  const { output } = node(roles);
  expect(output).toMatch(
    /^UnsupportedError UNSUPPORTED new Reader: shmstruct runs on Bun .*\n.*new Manager: .*\n.*Reader\.open: .*\n$/,
  );

  const others = Object.entries(exports).filter(
    ([name, targets]) => name !== "./package.json" && !("node" in targets),
  );
  expect(others.map(([name]) => name)).toEqual(["./mmap", "./mirror", "./posix", "./codegen"]);
  for (const [entry] of others) {
    expect(node(`import "shmstruct${entry.slice(1)}";`).output).toContain("shmstruct runs on Bun");
  }
});

test.skipIf(!hasTool("node"))("every name of an entry for Node.js exists there (needs node)", async () => {
  for (const [entry, module] of [
    ["json", await import("../../src/document/index.ts")],
    ["channel", await import("../../src/channel/index.ts")],
    ["queue", await import("../../src/queue/index.ts")],
  ] as const) {
    const names = `console.log(JSON.stringify(Object.keys(await import("shmstruct/${entry}")).sort()))`;
    expect([entry, JSON.parse(node(names).output)]).toEqual([entry, Object.keys(module).sort()]);
  }
});
