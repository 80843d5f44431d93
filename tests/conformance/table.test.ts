/** Every row of the suite is there for every content, and docs/internals/conformance.md has the table. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { CONTENTS } from "./contents.ts";

const FILES = ["files", "processes", "threads", "limits"];

/** A row is a call of `row`, `test.each` or `test.skipIf`, and its title the first text. */
const TITLES = /^ {2}(?:row|test)[^"`]*?\(\s*["`]([^"`]{15,})["`],/gm;

const sources = await Promise.all(
  FILES.map((file) => Bun.file(join(import.meta.dir, `${file}.test.ts`)).text()),
);
const titles = sources.flatMap((source) =>
  // The options of `test.each` and `test.skipIf` come before the title.
  [...source.replace(/^( {2}test)\.(?:each|skipIf)[\s\S]*?\)\(\s*/gm, "$1(").matchAll(TITLES)].map(
    ([, title]) => (title as string).replace(/\$\{CREATORS\}/, "16"),
  ),
);

const table = (): string => {
  const names = CONTENTS.map(({ name }) => name);
  const cells = titles.map((title) =>
    CONTENTS.map(({ without }) => (without?.[title] === undefined ? "yes" : "no")),
  );
  return [
    `| row | ${names.join(" | ")} |`,
    `| --- |${" --- |".repeat(names.length)}`,
    ...titles.map((title, i) => `| ${title} | ${cells[i]?.join(" | ")} |`),
  ].join("\n");
};

const reasons = (): string[] =>
  CONTENTS.flatMap(({ name, without = {} }) =>
    Object.entries(without).map(([title, why]) => `- ${name}, "${title}": ${why}.`),
  );

test("each row that a content leaves out is there, with the reason", () => {
  expect(titles.length).toBeGreaterThan(30);
  for (const { without = {} } of CONTENTS)
    for (const [title, why] of Object.entries(without))
      expect([titles.includes(title), why.length > 20]).toEqual([true, true]);
});

test("docs/internals/conformance.md has the table of rows and contents", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/internals/conformance.md")).text();
  expect(page).toContain(table());
  for (const reason of reasons()) expect(page).toContain(reason);
});

test("docs/internals/conformance.md has the rows of all languages", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/internals/conformance.md")).text();
  const source = await Bun.file(join(import.meta.dir, "languages.test.ts")).text();
  const rows = [...source.matchAll(/^ {2}(?:row|test)\(\s*"([^"]+)"/gm)].map(([, title]) => title as string);
  expect(rows.length).toBeGreaterThan(10);
  for (const title of rows) expect(page).toContain(`\n| ${title} | `);
});
