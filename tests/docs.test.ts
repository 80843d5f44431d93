/** The examples in README.md and docs/ run as pasted, in both decorator styles, and print what they say. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, root } from "./support/built.ts";

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

interface Example {
  page: string;
  line: number;
  code: string;
  /** The text block right behind an "It prints:" line. */
  output: string | undefined;
}

/** ```ts blocks whose first line is `// runnable`. */
function examplesOf(page: string): Example[] {
  const text = readFileSync(join(root, page), "utf8");
  const blocks = text.matchAll(
    /^```ts\n(\/\/ runnable\n[\s\S]*?)^```\n(?:\s*It prints:\s*```text\n([\s\S]*?)^```)?/gm,
  );
  return Array.from(blocks, ({ index, 1: code = "", 2: output }) => ({
    page,
    line: text.slice(0, index).split("\n").length,
    code,
    output,
  }));
}

const examples = pages.flatMap(examplesOf);
const styles = { legacy: { experimentalDecorators: true, emitDecoratorMetadata: true }, standard: {} };
let home = "";

// Not in a hook, which has five seconds.
build();

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "shmstruct-docs-"));
  mkdirSync(join(home, "node_modules"));
  symlinkSync(root, join(home, "node_modules", "shmstruct"));
  symlinkSync(join(root, "node_modules", "zod"), join(home, "node_modules", "zod"));
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
  // Lock files outlive what they guard, and that of a named document is not in our directory.
  for (const name of ["share_mmap.lock", "share_mmap.lock-page"]) rmSync(`/dev/shm/${name}`, { force: true });
});

test("the README has an example to run", () => {
  expect(examples.some(({ page }) => page === "README.md")).toBe(true);
});

for (const [style, compilerOptions] of Object.entries(styles)) {
  describe(`examples with ${style} decorators`, () => {
    for (const [i, { page, line, code, output }] of examples.entries()) {
      test(`the example at ${page}:${line} runs, and prints what the page says, with ${style} decorators`, async () => {
        const dir = join(home, `${style}-${i}`);
        mkdirSync(dir);
        writeFileSync(join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions }));
        writeFileSync(join(dir, "example.ts"), code);
        const child = Bun.spawn([process.execPath, "example.ts"], {
          cwd: dir,
          stdout: "pipe",
          stderr: "pipe",
        });
        const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
        expect({ stderr, exitCode: child.exitCode }).toEqual({ stderr: "", exitCode: 0 });
        if (output !== undefined) expect(stdout).toBe(output);
      }, 240_000);
    }
  });
}

/** The anchors of a page's headings, as GitHub and the site make them. */
function anchorsOf(page: string): Set<string> {
  const headings = readFileSync(page, "utf8").matchAll(/^#+ (.*)$/gm);
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-");
  return new Set(Array.from(headings, ([, heading = ""]) => slug(heading)));
}

test("links between the pages, and to their headings, lead somewhere", () => {
  const broken = pages.flatMap((page) => {
    const text = readFileSync(join(root, page), "utf8");
    const links = Array.from(text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g), ({ 1: link = "" }) => link);
    return links.filter((link) => {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? join(root, page) : join(root, page, "..", path);
      if (!existsSync(target)) return true;
      return anchor !== undefined && !anchorsOf(target).has(anchor);
    });
  });
  expect(broken).toEqual([]);
});

test("every page is in a part of the site", () => {
  const parts = ["guide", "interop", "internals"];
  const elsewhere = pages.filter(
    (page) => page.startsWith("docs/") && !parts.includes(page.split("/")[1] ?? ""),
  );
  expect(elsewhere).toEqual([]);
});

test("pages, messages and comments have none of the words that style forbids", () => {
  const words = /whoever|nobody|somebody|is none|cut short|made anew|of both/i;
  const files = ["src/**/*.{ts,js,mjs}", "docs/**/*.{md,json,svg}"].flatMap((glob) => [
    ...new Bun.Glob(glob).scanSync(root),
  ]);
  expect(files.length).toBeGreaterThan(300);
  expect(files.filter((path) => words.test(readFileSync(join(root, path), "utf8")))).toEqual([]);
});
