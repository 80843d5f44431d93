import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { tscCommand, tscEnvironment } from "../support/compiler.ts";
import { largeStruct, wideStruct } from "../support/large-struct.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const root = join(import.meta.dir, "../..");

type Style = "legacy" | "standard";

/** Checks files under the settings of one decorator style; a complaint of the compiler is the error. */
async function check(style: Style, directory: string, include: string[], more: object = {}): Promise<string> {
  const base = join(root, style === "legacy" ? "tsconfig.json" : "tests/standard/tsconfig.json");
  const typeRoots = [join(root, "node_modules")];
  const compilerOptions = { types: [join(root, "node_modules/bun-types")], typeRoots, ...more };
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({ extends: base, compilerOptions, include }),
  );
  const command = tscCommand("-p", directory, "--pretty", "false");
  const tsc = Bun.spawn(command, { cwd: directory, env: tscEnvironment, stdout: "pipe" });
  const complaints = await new Response(tsc.stdout).text();
  if ((await tsc.exited) !== 0 && complaints === "") throw new Error("tsc failed and said nothing");
  return complaints;
}

const struct = join(root, "src/struct/index.ts");
const wrongType = "export class A extends s.Struct { @s.field(s.c_int32) speed!: string; }";

/** Programs of a user, each in a file of its own. */
const PROGRAMS = {
  "wrong-type.ts": `import * as s from ${JSON.stringify(struct)};\n${wrongType}\n`,
  "large.ts": largeStruct(struct),
  "wide-5-6.ts": wideStruct(join(root, "src/index.ts"), 5, 6),
  "wide-20-4.ts": wideStruct(join(root, "src/index.ts"), 20, 4),
  "roles-wrong.ts": `import * as s from ${JSON.stringify(join(root, "src/index.ts"))};
export class Plain extends s.Struct { @s.field(s.c_int32) n!: number; }
export class Robot extends s.MmapStructure { @s.field(s.c_int32) n!: number; }
export const reads = (reader: s.Reader<Robot>): number => reader.get("n");
new s.Reader(Plain);
reads(new s.Editor(Robot));
new s.Editor(Robot).edit(async (data) => { data.n = 1; });
`,
  "plain-class.ts": `import * as s from ${JSON.stringify(join(root, "src/index.ts"))};
import { Publisher } from ${JSON.stringify(join(root, "src/channel/index.ts"))};
import { Queue } from ${JSON.stringify(join(root, "src/queue/index.ts"))};
class Empty {}
new Publisher(Empty);
new Queue(Empty);
s.create(Empty);
export const made = <T extends s.Struct>(cls: s.StructClass<T>): object[] => [new Publisher(cls), new Queue(cls), s.create(cls)];
new Publisher(Uint8Array);
new Queue(s.structOf({ n: s.c_int32 }));
`,
  "large-wrong.ts": `${largeStruct(struct)}\ns.create(L1, { f0: "1" });`,
};
type Program = keyof typeof PROGRAMS;

/** What the compiler says in one style of tests/types and of every program: one run, as most of its time is its start. */
async function checkAll(style: Style): Promise<string> {
  using directory = temporaryDirectory();
  for (const [name, source] of Object.entries(PROGRAMS)) writeFileSync(join(directory.path, name), source);
  return await check(style, directory.path, [join(root, "tests/types/*.ts"), join(directory.path, "*.ts")]);
}

const said: Record<Style, Promise<string>> = { legacy: checkAll("legacy"), standard: checkAll("standard") };

/** The complaints, each with the lines that explain it. */
const complaintsIn = (text: string): string[] => text.split(/\n(?!\s)/).filter((line) => line !== "");
const isOf = (program: Program) => (complaint: string) => complaint.split("(")[0]?.endsWith(program) ?? false;
const complaintsOf = async (style: Style, program: Program) =>
  complaintsIn(await said[style]).filter(isOf(program));

describe.each(["legacy", "standard"] as const)("with %s decorators", (style) => {
  test(`the compiler accepts and rejects what it must in tests/types (${style} decorators)`, async () => {
    const wrong = [
      isOf("wrong-type.ts"),
      isOf("large-wrong.ts"),
      isOf("roles-wrong.ts"),
      isOf("plain-class.ts"),
    ];
    const others = complaintsIn(await said[style]).filter((one) => !wrong.some((is) => is(one)));
    expect(others).toEqual([]);
  }, 240_000);

  test(`the compiler names a wrong declared type (${style} decorators)`, async () => {
    const [complaint, ...more] = await complaintsOf(style, "wrong-type.ts");
    expect(more).toEqual([]);
    expect(complaint).toContain("Type 'string' is not assignable to type 'number'");
    expect(complaint).toContain(style === "legacy" ? "property 'speed'" : 'name: "speed"');
  }, 240_000);

  test.each(["large.ts", "wide-5-6.ts", "wide-20-4.ts"] as const)(
    `a large struct compiles, also one with more paths than can be listed: %s (${style} decorators)`,
    async (program) => {
      expect(await complaintsOf(style, program)).toEqual([]);
    },
    240_000,
  );

  test(`the compiler refuses a class without the header, an Editor as a Reader, and an async function for edit (${style} decorators)`, async () => {
    const [plain, editor, isAsync, ...more] = await complaintsOf(style, "roles-wrong.ts");
    expect(more).toEqual([]);
    expect(plain).toMatch(/\(5,14\).*not assignable[\s\S]*header/);
    expect(editor).toMatch(/\(6,7\).*not assignable to parameter of type 'Reader<Robot>'/);
    expect(isAsync).toMatch(/\(7,\d+\)[\s\S]*use editAsync/);
  }, 240_000);

  test(`the compiler refuses a class that is no struct, be it empty, and takes any that is one (${style} decorators)`, async () => {
    const complaints = await complaintsOf(style, "plain-class.ts");
    const lines = complaints.map((complaint) => Number(/\((\d+),/.exec(complaint)?.[1]));
    expect([lines, complaints.filter((one) => !one.includes("'[EXTENDS_STRUCT]' is missing"))]).toEqual([
      [5, 6, 7],
      [],
    ]);
  }, 240_000);

  test(`the compiler names a mistake in a large struct (${style} decorators)`, async () => {
    const complaints = await complaintsOf(style, "large-wrong.ts");
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toContain("Type 'string' is not assignable to type 'number'");
  }, 240_000);
});

test("the library compiles with the settings of a user who checks loosely", async () => {
  using directory = temporaryDirectory();
  const loose = { strict: false, noUncheckedIndexedAccess: false };
  expect(await check("standard", directory.path, [join(root, "src/index.ts")], loose)).toBe("");
}, 240_000);
