import { expect, test } from "bun:test";
import { join } from "node:path";
import { isMusl } from "../../src/sys/libc/symbols.ts";

const symbols = JSON.stringify(join(import.meta.dir, "../../src/sys/libc/symbols.ts"));

test("without the JIT the error says that the FFI library needs it", () => {
  const script = `import { libc } from ${symbols}; try { libc(); } catch (error) { console.log(String(error)); }`;
  const env = { ...process.env, BUN_JSC_useJIT: "0" };
  const { stdout } = Bun.spawnSync([process.execPath, "-e", script], { env, stderr: "inherit" });
  expect(stdout.toString()).toMatch(
    /^UnsupportedError: .*needs the JIT.*BUN_JSC_useJIT turns off: unset it\n$/,
  );
});

test("which libc this is agrees with the loader that Bun was linked for", () => {
  const { stdout } = Bun.spawnSync([
    "sh",
    "-c",
    `head -c 4096 "$0" | tr -d '\\0' | grep -ac ld-musl`,
    process.execPath,
  ]);
  expect(isMusl()).toBe(stdout.toString() !== "0\n");
});
