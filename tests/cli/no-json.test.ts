/** A document that is no JSON, as another program may write one: a fault of the file, told as such. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { documentType } from "../../src/document/document-content.ts";
import { JsonMap } from "../../src/document/index.ts";
import { documentPlace } from "../../src/document/place.ts";
import { FileFormatError } from "../../src/index.ts";
import { Segment } from "../../src/segment/segment.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { jsonLines, run } from "./fixtures.ts";

const temporary = temporaryDirectory();
afterAll(() => temporary[Symbol.dispose]());
const dir = temporary.path;
const path = join(dir, "config.json.mmap");
const sound = join(dir, "sound.json.mmap");

beforeAll(() => {
  for (const file of [path, sound]) {
    using map = new JsonMap<unknown>({ file, role: "master" });
    map.write({ speed: 1 });
  }
  const segment = new Segment(documentPlace({ file: path }), documentType, {
    access: "write",
    makesLock: false,
  });
  segment.acquire("exclusive");
  segment.content.commit('{"speed":NaN}');
  segment.close();
});

const WHAT = `shmstruct: '${path}' is damaged (a document that is no JSON: SyntaxError: `;
const LOOKS = [["show"], ["get"], ["watch"], ["set"]];

test("every command says which file is damaged, and what to do", async () => {
  const words = (name: string): string[] =>
    ({ get: [path, "speed"], set: [path, "speed", "2"] })[name] ?? [path];
  const results = await Promise.all(
    LOOKS.map(async ([name = "", ...more]) => run([name, ...more, ...words(name)])),
  );
  for (const [i, { code, err }] of results.entries()) {
    expect([LOOKS[i], code, err.slice(0, WHAT.length)]).toEqual([LOOKS[i], 4, WHAT]);
    expect(err).toContain("a master can also write() a new one");
    expect(err).not.toContain("    at ");
  }
});

test("doctor and ls go on with the other files of the directory", async () => {
  const [doctor, ls] = await Promise.all([run(["doctor", "--json", dir]), run(["ls", "--json", dir])]);
  expect(jsonLines(doctor)).toContainEqual(
    expect.objectContaining({ path, severity: "fault", problem: expect.stringContaining("no JSON") }),
  );
  expect(jsonLines(ls)).toEqual(
    expect.arrayContaining([path, sound].map((one) => expect.objectContaining({ path: one }))),
  );
});

test("the advice helps: a master writes a new one", () => {
  using map = new JsonMap<unknown>({ file: path, role: "master" });
  expect(() => map.read()).toThrow(FileFormatError);
  map.write({ speed: 2 });
  expect(map.read()).toEqual({ speed: 2 });
});
