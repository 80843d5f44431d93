/** Files of strangers: nothing in them acts on the terminal or takes the command down. */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { rowsOf } from "../../src/cli/page/rows.ts";
import { labelOf } from "../../src/cli/tree.ts";
import { makeFixtures, type Ran, run } from "./fixtures.ts";

const fixtures = makeFixtures();
const { dir, robot, config, hostile } = fixtures;
afterAll(() => fixtures[Symbol.dispose]());

/** No control character but new lines, and no mark of text direction. */
function expectHarmless({ out, err }: Ran): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
  expect(out + err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
}

const FOOTER = 128;

/** A copy of a file with another schema, under a footer that says so, and is sound. */
function withSchema(name: string, schema: string): string {
  const old = readFileSync(robot);
  const footer = Buffer.from(old.subarray(old.length - FOOTER));
  const schemaOffset = Number(footer.readBigUInt64LE(56));
  const bytes = Buffer.from(schema);
  const end = Math.ceil((schemaOffset + bytes.length) / 64) * 64;
  footer.writeUInt32LE(bytes.length, 52);
  footer.writeUInt32LE(crc32(bytes, crc32(footer.subarray(16, 96))), 12);
  const file = Buffer.alloc(end + FOOTER);
  old.copy(file, 0, 0, schemaOffset);
  bytes.copy(file, schemaOffset);
  footer.copy(file, end);
  const path = join(dir, name);
  writeFileSync(path, file);
  writeFileSync(path.replace(/\.mmap$/, ".lock"), "");
  return path;
}

const looking: readonly (readonly string[])[] = [
  ["show"],
  ["show", "--layout"],
  ["show", "--hex"],
  ["show", "--json"],
  ["layout", "--json"],
  ["export", "c"],
];

describe("text that is an order to terminals", () => {
  test("no name of a type or member, label, value or key is an order to the terminal", async () => {
    const schema = JSON.stringify({
      name: "Ro\u001b[2J\u009b1mbot",
      kind: "struct",
      size: 120,
      align: 8,
      fields: { "a\u0007\u202eb": { type: "c_int32", offset: 16, size: 4 } },
    });
    const named = withSchema("Named_.mmap", schema);
    const runs = [
      ...looking.map((args) => run([...args, hostile])),
      run(["show", config]),
      run(["show", "--json", config]),
      run(["show", named]),
    ];
    for (const ran of await Promise.all(runs)) {
      expectHarmless(ran);
      expect([0, 1, 4]).toContain(ran.code as number);
    }
  }, 240_000);

  test("no name of a file is an order to the terminal", async () => {
    const path = withSchema("Ev\u001b[2Jil\u009b_.mmap", readSchema());
    for (const args of [
      ["ls", dir],
      ["ls", "--json", dir],
      ["top", "--every", "0.05", dir],
      ["doctor", dir],
      ["show", path],
      ["show", `${path}x`],
    ])
      expectHarmless(await run(args));
  });

  test("no argument is an order to the terminal", async () => {
    for (const args of [
      ["\u001b[2J"],
      ["show", "--\u001b[2J"],
      ["get", robot, "\u009b2J"],
      ["show", "\u001b[2J"],
    ])
      expectHarmless(await run(args));
  });
});

/** The schema of the robot. */
function readSchema(): string {
  const old = readFileSync(robot);
  const footer = old.subarray(old.length - FOOTER);
  const offset = Number(footer.readBigUInt64LE(56));
  return old.subarray(offset, offset + footer.readUInt32LE(52)).toString();
}

describe("schemas that would cost too much", () => {
  test("an array of an enum with thousands of labels does not send them with each row of the page", () => {
    const labels = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`label${i}`, String(i)]));
    const type = { array: { converted: "e", base: "c_int32", labels } as const, length: 4000 };
    const fields = { modes: { type, offset: 0, size: 16_000 } };
    const schema = { name: "S", kind: "struct", size: 16_000, align: 4, fields } as const;
    const { rows } = rowsOf({ modes: Array.from({ length: 4000 }, (_, i) => i) }, schema);
    expect(rows).toHaveLength(4001);
    expect(rows[1]!.labels?.["7"]).toBe("label7");
    expect(rows.filter((row) => row.labels !== undefined).length).toBeLessThan(30);
    expect(labelOf(type.array, 9999)).toBe("label9999");
  });

  test("of two labels of one value the page shows the first, as show does", () => {
    const type = { converted: "e", base: "c_int32", labels: { idle: "0", run: "1", off: "0" } } as const;
    const schema = {
      name: "S",
      kind: "struct",
      size: 4,
      align: 4,
      fields: { mode: { type, offset: 0, size: 4 } },
    } as const;
    const { rows } = rowsOf({ mode: 0 }, schema);
    expect([rows[0]?.labels, labelOf(type, 0)]).toEqual([{ 0: "idle", 1: "run" }, "idle"]);
  });

  const struct = (fields: object): object => ({ name: "X", kind: "struct", size: 8, align: 8, fields });

  test("a schema of a million members is refused, and the listing goes on", async () => {
    const members = Array.from(
      { length: 1_000_000 },
      (_, i) => `"f${i}":{"type":"c_int8","offset":0,"size":1}`,
    );
    const schema = `{"name":"X","kind":"struct","size":120,"align":8,"fields":{${members.join(",")}}}`;
    const path = withSchema("Million_.mmap", schema);
    const [shown, listed] = await Promise.all([run(["show", path]), run(["ls", dir])]);
    expect(shown.code).toBe(4);
    expect(shown.err.length).toBeLessThan(1000);
    expect(listed.code).toBe(0);
  }, 240_000);

  test("a schema of a hundred thousand levels is refused, one of sixty is shown", async () => {
    const deep = withSchema(
      "Deep_.mmap",
      `${'{"fields":{"a":{"type":{"struct":'.repeat(100_000)}1${"}}}}".repeat(100_000)}`,
    );
    let levels: object = struct({ a: { type: "c_int8", offset: 0, size: 1 } });
    for (let i = 0; i < 59; i++)
      levels = { ...struct({ a: { type: { struct: levels }, offset: 0, size: 8 } }), name: `S${i}` };
    const sixty = withSchema("Sixty_.mmap", JSON.stringify(levels));
    const [refused, shown] = await Promise.all([run(["show", deep]), run(["show", sixty])]);
    expect(refused.code).toBe(4);
    expect([0, 4]).toContain(shown.code as number);
    expectHarmless(shown);
  });

  test("a schema that is no JSON, or not of a struct, is damage", async () => {
    for (const schema of ["{", "null", "[1]", '{"name":1}', '"text"']) {
      const path = withSchema("Odd_.mmap", schema);
      const ran = await run(["show", path]);
      expect({ schema, code: ran.code }).toEqual({ schema, code: 4 });
      expect(ran.err).not.toContain("    at ");
    }
  });
});
