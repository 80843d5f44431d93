/** docs/guide/command-line.md names every command, and its examples print what it says, but for numbers. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commands } from "../../src/cli/commands.ts";
import { hasTool } from "../support/tools.ts";
import { MAIN } from "./fixtures.ts";

const root = join(import.meta.dir, "../..");
const page = readFileSync(join(root, "docs/guide/command-line.md"), "utf8");
const dir = mkdtempSync(join(tmpdir(), "shmstruct-guide-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Example {
  readonly command: string;
  readonly output: string;
}

const examples: Example[] = Array.from(
  page.matchAll(/^```console\n([\s\S]*?)^```/gm),
  ({ 1: block = "" }) => block,
)
  .flatMap((block) => block.split(/^\$ /m).slice(1))
  .map((text) => ({
    command: text.slice(0, text.indexOf("\n")),
    output: text.slice(text.indexOf("\n") + 1),
  }));

/** Numbers differ from run to run, and columns with them: a heading that stands to the right begins the line where numbers are short. */
const comparable = (text: string): string =>
  text
    .replaceAll(dir, "/home/me/app")
    .replaceAll(/\d+(?:\.\d+)?/g, "0")
    .replaceAll(/\b0 [KM]iB/g, "0 B")
    .replaceAll(/^ +/gm, "")
    .replaceAll(/ +/g, " ");

function shell(command: string): string {
  const env = { ...process.env, PATH: `${join(dir, "bin")}:${process.env.PATH}` };
  return Bun.spawnSync(["bash", "-c", `{ ${command}\n} 2>&1`], { cwd: dir, env }).stdout.toString();
}

/** Commands that go on until they are interrupted are only named. */
const ENDLESS: readonly string[] = ["serve", "mirror"];

test("every command is there, with an example", () => {
  const without = Object.keys(commands).filter((name) =>
    ENDLESS.includes(name)
      ? !page.includes(`shmstruct ${name}`)
      : !examples.some(({ command }) => command.includes(`shmstruct ${name} `)),
  );
  expect(without).toEqual([]);
});

test.skipIf(!hasTool("flock"))(
  "the examples print what the page says (needs flock)",
  () => {
    const [, code = ""] = /```ts\n([\s\S]*?)```/.exec(page) ?? [];
    const local = code.replaceAll(/"shmstruct(?:\/(\w+))?"/g, (_, part?: string) =>
      JSON.stringify(join(root, "src", part === "json" ? "document" : (part ?? ""), "index.ts")),
    );
    writeFileSync(join(dir, "structs.ts"), local);
    writeFileSync(
      join(dir, "tsconfig.json"),
      JSON.stringify({ compilerOptions: { experimentalDecorators: true } }),
    );
    mkdirSync(join(dir, "bin"));
    const program = `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`;
    writeFileSync(join(dir, "bin/shmstruct"), program, { mode: 0o755 });
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
    expect(shell(`"${process.execPath}" structs.ts`)).toBe("");
    for (const { command, output } of examples)
      expect(`$ ${command}\n${comparable(shell(command))}`).toBe(`$ ${command}\n${comparable(output)}`);
  },
  240_000,
);
