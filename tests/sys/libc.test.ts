import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { isMusl } from "../../src/sys/libc/symbols.ts";

const src = join(import.meta.dir, "../../src");

test("which libc this is, is what the process has loaded, whatever else lies on the disk", () => {
  const maps = readFileSync("/proc/self/maps", "utf8");
  expect(isMusl()).toBe(/\/ld-musl-|\/libc\.musl-|-linux-musl\/libc\.so/.test(maps));
});

test("one file imports bun:ffi", () => {
  const importers = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .filter((name) => /from "bun:ffi"|require\("bun:ffi"\)/.test(readFileSync(join(src, name), "utf8")));
  expect(importers.map((name) => relative(src, join(src, name)))).toEqual(["sys/libc/ffi.ts"]);
});
