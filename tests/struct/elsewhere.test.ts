/** src/struct asks nothing of Bun or Node: it runs in plain Node and in a browser page. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { portable, type TextEncoding } from "../../src/struct/memory/bytes-backend.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

const root = join(import.meta.dir, "../..");

/** The comments of a file may name anything. */
const codeOf = (path: string): string =>
  readFileSync(path, "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");

const sources = ["src/errors", "src/struct"].flatMap((folder) =>
  [...new Bun.Glob("**/*.ts").scanSync(join(root, folder))].map((path) => join(folder, path)),
);

test.each(sources)("%s uses no module, global or type of a runtime", (path) => {
  const code = codeOf(join(root, path));
  expect(code.match(/\bBun\b|["'](?:node|bun):|\bprocess\.|\bBuffer\b|\brequire\(/g)).toBe(null);
});

/** What the compiled struct room does with a class, in whatever runs it. */
const PROGRAM = `
  class Point extends s.Struct {}
  s.field(s.c_double)(Point.prototype, "x");
  s.field(s.chars(8))(Point.prototype, "name");
  s.field(s.chars(8, { encoding: "utf16le" }))(Point.prototype, "wide");
  s.field(s.chars(4, { encoding: "latin1" }))(Point.prototype, "latin");
  s.bits(s.c_uint8, 3)(Point.prototype, "flags");
  class Robot extends s.Struct {}
  s.nested(Point, 2)(Robot.prototype, "points");
  const robot = s.create(Robot, { points: [{ x: 1.5, name: "grüß", wide: "wörd", latin: "ö" }, { flags: 5 }] });
  const again = s.viewOf(s.structFromSchema(JSON.parse(JSON.stringify(s.layoutOf(Robot)))), s.bytesOf(robot));
  if (!s.equals(robot, s.create(Robot, robot))) throw new Error("a copy differs");
  return JSON.stringify([s.toObject(robot), s.toObject(again), s.sizeof(Robot)]);
`;

const point = { x: 1.5, name: "grüß", wide: "wörd", latin: "ö", flags: 0 };
const empty = { x: 0, name: "", wide: "", latin: "", flags: 5 };
const plain = { points: [point, empty] };
const expected = JSON.stringify([plain, plain, 64]);

async function compiled(): Promise<string> {
  using dir = temporaryDirectory();
  const { success } = await Bun.build({
    entrypoints: [join(root, "src/struct/index.ts")],
    target: "browser",
    format: "esm",
    outdir: dir.path,
  });
  expect(success).toBe(true);
  return readFileSync(join(dir.path, "index.js"), "utf8");
}

test.skipIf(!hasTool("node"))("the compiled room runs in plain Node (needs node)", async () => {
  using dir = temporaryDirectory();
  await Bun.write(join(dir.path, "struct.mjs"), await compiled());
  await Bun.write(
    join(dir.path, "main.mjs"),
    `import * as s from "./struct.mjs";\nconsole.log((() => {${PROGRAM}})());`,
  );
  const { stdout, stderr } = Bun.spawnSync(["node", join(dir.path, "main.mjs")]);
  expect(stderr.toString() + stdout.toString()).toBe(`${expected}\n`);
});

test("the compiled room runs with what a browser page has, without shared memory and process", async () => {
  const source = (await compiled()).replace(/export \{([^}]*)\};/, (_, names: string) => {
    const entries = names.split(",").map((entry) => entry.trim().split(" as "));
    return `return {${entries.map(([local, name]) => `${name ?? local}: ${local}`).join(",")}};`;
  });
  const code = `(() => { delete globalThis.SharedArrayBuffer; const s = (() => { ${source} })(); ${PROGRAM} })()`;
  expect(runInNewContext(code, { TextDecoder, TextEncoder, EventTarget })).toBe(expected);
});

describe("the portable ways with text agree with a Buffer's", () => {
  const texts = ["", "a", "grüß €", "😀 mixed ö", "\u0000x", "x".repeat(20_000)];
  const names: Record<TextEncoding, BufferEncoding> = { utf8: "utf8", latin1: "latin1", utf16le: "utf16le" };
  const cases = Object.keys(names).flatMap((encoding) =>
    texts.map((text) => [encoding as TextEncoding, text] as const),
  );
  test.each(cases)(
    "portable encoding and decoding of text agrees with a Buffer's: %s (%#)",
    (encoding, text) => {
      const buffer = Buffer.from(text, names[encoding]);
      const bytes = new Uint8Array(buffer.length + 3);
      expect(portable.encode[encoding](text, bytes, 1, buffer.length)).toBe(buffer.length);
      expect(bytes.slice(1, -2)).toEqual(new Uint8Array(buffer));
      expect(portable.decode[encoding](bytes.slice(1), buffer.length)).toBe(buffer.toString(names[encoding]));
      if (encoding === "utf8") expect(portable.utf8Length(text)).toBe(buffer.length);
    },
  );

  test("bytes that are no text read as U+FFFD, by the portable decoder and by a Buffer", () => {
    const bytes = new Uint8Array([0x61, 0xff, 0xe2, 0x82, 0x62]);
    expect(portable.decode.utf8(bytes, 5)).toBe(Buffer.from(bytes).toString("utf8"));
  });
});
