/** The struct suite under the other decorator style: Bun takes the style from the tsconfig.json in the current directory. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";

/** Tests of what lies below every class: the style in which a class is declared changes nothing in them. */
const WITHOUT_CLASSES = [
  "barrier-reread",
  "barrier",
  "elsewhere",
  "exchange",
  "headers",
  "reflect-metadata",
  "sha256",
  "validation-error",
];

test("the struct suite passes with standard decorators, too", async () => {
  const files = readdirSync(join(import.meta.dir, "struct"));
  const names = files.filter((file) => file.endsWith(".test.ts"));
  const skipped = WITHOUT_CLASSES.map((name) => `${name}.test.ts`);
  expect(skipped.filter((name) => !names.includes(name))).toEqual([]);
  const chosen = names.filter((name) => !skipped.includes(name)).map((name) => `../struct/${name}`);
  const child = Bun.spawn([process.execPath, "test", "--timeout=240000", ...chosen], {
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
