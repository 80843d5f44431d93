/** The struct suite under the other decorator style: Bun takes the style from the tsconfig.json in the current directory. */
import { expect, test } from "bun:test";
import { join } from "node:path";

test("the whole struct suite passes with standard decorators, too", async () => {
  const child = Bun.spawn([process.execPath, "test", "--timeout=240000", "../struct"], {
    cwd: join(import.meta.dir, "standard"),
    // decorators.test.ts looks at what decorators get and compares it with this.
    env: { ...process.env, DECORATORS: "standard" },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${out}\n${err}`);
  expect(err).toContain("decorators come in the standard style");
  expect(err).toMatch(/\n 0 fail\n/);
}, 240_000);
