/** docs/guide/tutorial.md, as a reader of it goes through it: with the compiled package, in processes of their own. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, root } from "./support/built.ts";

const dir = mkdtempSync(join(tmpdir(), "shmstruct-tutorial-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const page = readFileSync(join(root, "docs", "guide", "tutorial.md"), "utf8");

build();

function writeProject(): string[] {
  mkdirSync(join(dir, "node_modules"));
  symlinkSync(root, join(dir, "node_modules", "shmstruct"));
  writeFileSync(join(dir, "tsconfig.json"), "{}");
  const files = [...page.matchAll(/^```ts\n\/\/ file: (\S+)\n([\s\S]*?)^```/gm)];
  return files.map(([, name = "", code = ""]) => {
    writeFileSync(join(dir, name), code);
    return name;
  });
}

const start = (name: string) =>
  Bun.spawn([process.execPath, name], { cwd: dir, stdout: "pipe", stderr: "pipe" });

/** The first lines that a program prints. */
async function firstLines(stream: ReadableStream<Uint8Array>, count: number): Promise<string[]> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    if (text.split("\n").length > count) break;
  }
  return text.split("\n").slice(0, count);
}

test("the tutorial's programs do what it says, also when the writer is killed in the middle of an edit", async () => {
  expect(writeProject()).toEqual(["robot.ts", "writer.ts", "reader.ts", "half.ts", "look.ts"]);
  await using reader = start("reader.ts");
  await using writer = start("writer.ts");
  const lines = await firstLines(reader.stdout, 3);
  const [, printed = ""] = /prints a line every half second:\n\n```text\n([\s\S]*?)```/.exec(page) ?? [];
  // It may miss the first commits, but shows each state as a whole.
  const shown = (line: string): string => line.replaceAll(/\d+/g, "N");
  expect(lines.map(shown)).toEqual(printed.trim().split("\n").map(shown));
  writer.kill("SIGKILL");
  await writer.exited;

  const half = start("half.ts");
  await half.exited;
  expect(half.signalCode).toBe("SIGKILL");
  const look = start("look.ts");
  expect(await look.stdout.text()).toMatch(/^(\d+) -\1 whole\n$/);
  reader.kill();
}, 240_000);
