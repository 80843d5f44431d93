/** Parts of the library that are loaded at the first use, when that is not possible. */
import { expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { build, root } from "../support/built.ts";
import { temporaryDirectory } from "../support/temporary.ts";

build();
const DIST = join(root, "dist");
const program = join(import.meta.dir, "../process/few-descriptors.ts");
const NOT_LOADED = "ShmError NOT_LOADED";

/** Of so few descriptors the program soon has taken all. */
function run(main: string, dir: string, ...gone: string[]): unknown {
  const command = [process.execPath, program, main, dir, ...gone];
  const { stdout, stderr } = Bun.spawnSync(["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", ...command]);
  return JSON.parse(stdout.toString() || JSON.stringify(stderr.toString()));
}

test("without a descriptor, parts that are loaded later are errors of the library, and work once there is one", () => {
  using scope = temporaryDirectory();
  expect(run(join(DIST, "index.js"), scope.path)).toEqual([
    [NOT_LOADED, NOT_LOADED],
    ["ok", "ok"],
  ]);
});

test("a role that is open waits for changes without a descriptor, though what waits is loaded later", () => {
  using scope = temporaryDirectory();
  expect(run(join(DIST, "index.js"), scope.path, "open")).toEqual([
    ["ShmError EMFILE", "ok", "ok", "ok", "ok"],
    ["ok", "ok", "ok", "ok", "ok"],
  ]);
});

test("parts that are loaded later are errors of the library when their files are gone", () => {
  using scope = temporaryDirectory();
  const copy = join(scope.path, "dist");
  cpSync(DIST, copy, { recursive: true });
  expect(run(join(copy, "index.js"), scope.path, copy)).toEqual([[NOT_LOADED, NOT_LOADED], []]);
});
