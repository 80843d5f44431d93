/**
 * Every setting of a project, in both decorator styles, with every compiler that we support: the README's example
 * type-checks and runs. Takes minutes, and needs the compilers of ./compilers: `bun run test:package`.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { root } from "../support/built.ts";
import { settings, styles, typePackages } from "./settings.ts";
import { readmeExample, run, Workshop } from "./support.ts";

const shop = new Workshop();
afterAll(() => shop[Symbol.dispose]());

const older = (version: string): string =>
  join(import.meta.dir, "compilers", "node_modules", `typescript-${version}`, "bin", "tsc");
const compilers = {
  "TypeScript 5.6": older("5.6"),
  "TypeScript 5.9": older("5.9"),
  "the newest TypeScript": join(root, "node_modules", "typescript", "bin", "tsc"),
};

/** bun-types need TypeScript 5.7 where they are checked themselves, and 5.6 knows no ES2024. */
const isPossible = (compiler: string, title: string): boolean =>
  compiler !== "TypeScript 5.6" || !["lib ES2024", "checking declarations, too"].includes(title);

const { code, output } = readmeExample();

for (const [title, compilerOptions] of Object.entries(settings)) {
  for (const [styleName, style] of Object.entries(styles)) {
    describe(`the README's example, with ${title}, in ${styleName} style`, () => {
      const files = { "example.ts": code };
      const dir = shop.project({ ...compilerOptions, ...style }, files, typePackages);

      for (const [compiler, tsc] of Object.entries(compilers)) {
        if (!isPossible(compiler, title)) continue;
        test(`the README's example type-checks with ${compiler}, with ${title}, in ${styleName} style`, () => {
          expect(run(["node", tsc, "-p", "."], dir)).toEqual({ exitCode: 0, output: "" });
        }, 300_000);
      }

      test(`the README's example runs with ${title}, in ${styleName} style`, () => {
        expect(run([process.execPath, "example.ts"], dir)).toEqual({ exitCode: 0, output });
      }, 300_000);

      // Bun has no decorators in JavaScript; legacy ones are compiled to calls.
      if ("outDir" in compilerOptions && styleName === "legacy") {
        test(`the README's example runs as emitted by tsc with ${title}, in ${styleName} style`, () => {
          expect(run([process.execPath, "out/example.js"], dir)).toEqual({ exitCode: 0, output });
        }, 300_000);
      }
    });
  }
}
