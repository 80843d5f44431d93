import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { openLibrary } from "../../src/sys/libc/ffi.ts";
import { isMusl } from "../../src/sys/libc/symbols.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

const src = join(import.meta.dir, "../../src");

test("isMusl says which libc the process has loaded, whatever else lies on the disk", () => {
  const maps = readFileSync("/proc/self/maps", "utf8");
  expect(isMusl()).toBe(/\/ld-musl-|\/libc\.musl-|-linux-musl\/libc\.so/.test(maps));
});

test("without its JIT Bun has no FFI library, and the error says what to do", () => {
  const program = `import { libc } from ${JSON.stringify(join(src, "sys/libc/symbols.ts"))}; libc();`;
  const env = { ...process.env, BUN_JSC_useJIT: "0" };
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "-e", program], { env });
  const advice = "needs the JIT, which the environment variable BUN_JSC_useJIT turns off: unset it";
  expect([exitCode, stderr.toString()]).toEqual([1, expect.stringContaining(advice)]);
});

test.skipIf(!hasTool("gcc"))(
  "the file of another libc, should there be one, is not loaded (needs gcc)",
  () => {
    using directory = temporaryDirectory();
    const library = join(directory.path, `libc.musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`);
    const source = `#include <unistd.h>\n__attribute__((constructor)) static void loaded(void) { _exit(99); }`;
    const gcc = Bun.spawnSync(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], {
      stdin: Buffer.from(source),
    });
    expect([gcc.exitCode, gcc.stderr.toString()]).toEqual([0, ""]);
    const env = { ...process.env, LD_LIBRARY_PATH: `${directory.path}:${process.env.LD_LIBRARY_PATH ?? ""}` };
    const run = (program: string) => Bun.spawnSync([process.execPath, "-e", program], { env }).exitCode;
    // Loading it would end the process.
    expect(run(`process.dlopen({ exports: {} }, ${JSON.stringify(library)})`)).toBe(99);
    const symbols = JSON.stringify(join(src, "sys/libc/symbols.ts"));
    expect(run(`import { isMusl, libc, linux } from ${symbols}; isMusl(); libc(); linux();`)).toBe(0);
  },
);

test("one file imports bun:ffi", () => {
  const importers = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .filter((name) => /from "bun:ffi"|require\("bun:ffi"\)/.test(readFileSync(join(src, name), "utf8")));
  expect(importers.map((name) => relative(src, join(src, name)))).toEqual(["sys/libc/ffi.ts"]);
});

test("a call of C refuses a number that does not fit the type of its argument", () => {
  const c = openLibrary(
    isMusl() ? `libc.musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1` : "libc.so.6",
    {
      // int abs(int); long labs(long);
      abs: { args: ["i32"], returns: "i32" },
      labs: { args: ["i64"], returns: "i64" },
      // unsigned int htonl(unsigned int); char *strndup(const char *, size_t);
      htonl: { args: ["u32"], returns: "i32" },
      malloc_usable_size: { args: ["ptr"], returns: "i64" },
      calloc: { args: ["u64", "u64"], returns: "ptr" },
    },
  );
  expect([c.abs(-5), c.abs(-(2 ** 31) + 1), c.labs(-(2 ** 40)), c.labs(-(2n ** 60n))]).toEqual([
    5,
    2 ** 31 - 1,
    2 ** 40,
    2n ** 60n,
  ]);
  expect(c.htonl(0x80000000)).toBe(128);
  expect(c.malloc_usable_size(null)).toBe(0);
  for (const value of [2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN, 2 ** 32 + 1, "1", undefined, 1n])
    expect(() => c.abs(value as number)).toThrow(/^abs: .* is no int \(argument 1\)$/);
  for (const value of [-1, 2 ** 32]) expect(() => c.htonl(value)).toThrow("is no unsigned int");
  for (const value of [2 ** 53, 2n ** 63n, 0.5]) expect(() => c.labs(value)).toThrow("is no long");
  for (const value of [-1, -1n, 2n ** 64n, Number.POSITIVE_INFINITY])
    expect(() => c.calloc(1, value)).toThrow(`calloc: ${value} is no size_t (argument 2)`);
});
