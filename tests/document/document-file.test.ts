import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DocumentFile } from "../../src/document/document-file.ts";
import { AT, formatFor, SLOT } from "../../src/document/document-format.ts";
import { putFile } from "../../src/document/new-file.ts";
import { FileFormatError, SystemError } from "../../src/errors/errors.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(60_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-json-file-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const START = { version: 0, text: undefined };
let files = 0;
const newPath = (maxBytes = 100): string => {
  const path = join(dir, `d${files++}`);
  putFile(path, { maxBytes, mode: 0o600, start: START });
  return path;
};
const open = (path: string, writable = true): DocumentFile =>
  DocumentFile.open(path, writable) as DocumentFile;
const textAtStart = (path: string): string => readFileSync(path, "utf8").split("\0")[0] ?? "";

test("a new file has no document; jsonmmap's followers read null", () => {
  const path = newPath();
  using file = open(path);
  expect(file.tryRead()).toEqual(START);
  expect(file.version).toBe(0);
  expect(textAtStart(path)).toBe("4:null");
});

test("a commit is read by others, and stands at the start as jsonmmap writes it", () => {
  const path = newPath();
  using writer = open(path);
  using reader = open(path, false);
  expect(writer.commit('{"a":"ß😀"}')).toBe(1);
  expect(reader.tryRead()).toEqual({ version: 1, text: '{"a":"ß😀"}' });
  expect(textAtStart(path)).toBe('14:{"a":"ß😀"}');
  expect(writer.commit("[]")).toBe(2);
  expect(reader.tryRead()).toEqual({ version: 2, text: "[]" });
  expect(textAtStart(path)).toStartWith("2:[]");
});

test("a document fills its room to the last byte", () => {
  for (const maxBytes of [1, 53, 54, 64, 1000]) {
    const path = newPath(maxBytes);
    using file = open(path);
    const texts = ["1", "2", "3"].map((digit) => digit.repeat(maxBytes));
    for (const text of texts) {
      file.commit(text);
      expect(file.tryRead()?.text).toBe(text);
      expect(textAtStart(path)).toStartWith(`${maxBytes}:${text}`);
    }
  }
});

test("versions go on past 32 bits, and each finds its slot", () => {
  const path = join(dir, "wide");
  for (const version of [2 ** 31 - 1, 2 ** 32 - 1, 2 ** 45]) {
    putFile(path, { maxBytes: 100, mode: 0o600, start: { version, text: "0" } });
    using file = open(path);
    for (let i = 1; i < 4; i++) {
      expect(file.commit(String(i))).toBe(version + i);
      expect(file.tryRead()).toEqual({ version: version + i, text: String(i) });
      expect(file.version).toBe(version + i);
    }
  }
});

test("what is no file of a JsonMap is refused, and nothing waits", () => {
  writeFileSync(join(dir, "empty"), "");
  expect(DocumentFile.open(join(dir, "none"), false)).toBeUndefined();
  expect(DocumentFile.open(join(dir, "empty"), true)).toBeUndefined();
  expect(DocumentFile.open(join(newPath(), "below a file"), false)).toBeUndefined();
  const fifo = join(dir, "fifo");
  Bun.spawnSync(["mkfifo", fifo]);
  writeFileSync(join(dir, "text"), "4:null".padEnd(640));
  symlinkSync(newPath(), join(dir, "link"));
  for (const name of ["fifo", "text"]) {
    expect(() => DocumentFile.open(join(dir, name), false)).toThrow(FileFormatError);
  }
  expect(() => DocumentFile.open(join(dir, "link"), false)).toThrow(SystemError);
  expect(() => DocumentFile.open(dir, false)).toThrow(FileFormatError);
});

test("a file that is cut short is noticed", () => {
  const path = newPath();
  using file = open(path, false);
  expect(file.isWhole).toBeTrue();
  truncateSync(path, 64);
  expect(file.isWhole).toBeFalse();
});

/** What a commit of `after` over `before` changes in a file, as the bytes then and now. */
function commitBytes(): { path: string; before: Buffer; after: Buffer } {
  const path = newPath(200);
  using file = open(path);
  file.commit('"the first"');
  file.commit('["before"]');
  const before = readFileSync(path);
  file.commit('{"after":true}');
  return { path, before, after: readFileSync(path) };
}

describe("a writer killed at any instruction", () => {
  const format = formatFor(200);
  const footer = format.footerOffset;
  // Version 3 goes to slot 1. Nothing else is written before `current` is.
  const slot = { from: format.slotOffset[1], to: format.slotOffset[1] + SLOT.text + 200 };
  const seed = seedOfRun();
  const random = randomFrom(seed);
  let commit: ReturnType<typeof commitBytes>;
  beforeAll(() => {
    console.log(`SEED=${seed}`);
    commit = commitBytes();
  });

  /** Some of the new bytes of a range, as a killed writer may leave them in whatever order it stores. */
  const partly = (bytes: Buffer, { from, to }: { from: number; to: number }): void => {
    const whole = random.oneIn(4);
    for (let i = from; i < to; i++) if (whole || random.oneIn(2)) bytes[i] = commit.after[i] as number;
  };

  test("before its commit has changed nothing that a follower sees", () => {
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.from(commit.before);
      partly(bytes, slot);
      writeFileSync(commit.path, bytes);
      using file = open(commit.path);
      expect(file.tryRead()).toEqual({ version: 2, text: '["before"]' });
      expect(textAtStart(commit.path)).toStartWith('10:["before"]');
      // The next writer is not disturbed by what is left.
      expect(file.commit('"next"')).toBe(3);
      expect(file.tryRead()).toEqual({ version: 3, text: '"next"' });
    }
  });

  test("after it has changed everything but the text at the start, which the next master sets right", () => {
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.from(commit.after);
      commit.before.copy(bytes, 0, 0, 211);
      partly(bytes, { from: 0, to: 211 });
      if (random.oneIn(2)) bytes[0] = 0x3a;
      bytes.writeInt32LE(2, footer + AT.mirrored);
      writeFileSync(commit.path, bytes);
      using file = open(commit.path);
      expect(file.tryRead()).toEqual({ version: 3, text: '{"after":true}' });
      file.repair();
      expect(textAtStart(commit.path)).toStartWith('14:{"after":true}');
    }
  });
});

test("a mutated file gives its document or a clear error", () => {
  const seed = seedOfRun();
  console.log(`SEED=${seed}`);
  const random = randomFrom(seed);
  const { path, after } = commitBytes();
  const outcomes = { same: 0, refused: 0 };
  for (let i = 0; i < 1500; i++) {
    writeFileSync(path, mutate(after, random));
    try {
      using file = open(path, random.oneIn(2));
      // The lowest bit of `current` may be hit: then it is the document before, as whole as the last.
      const before = { version: 2, text: '["before"]' };
      expect([before, { version: 3, text: '{"after":true}' }]).toContainEqual(
        file.tryRead() as typeof before,
      );
      outcomes.same += 1;
    } catch (error) {
      if (!(error instanceof FileFormatError)) throw error;
      expect(error.message).toStartWith(`'${path}' `);
      outcomes.refused += 1;
    }
  }
  expect(outcomes.same).toBeGreaterThan(100);
  expect(outcomes.refused).toBeGreaterThan(100);
});

function mutate(original: Buffer, random: ReturnType<typeof randomFrom>): Uint8Array {
  const bytes = Buffer.from(original);
  const last = bytes.length - 1;
  if (random.oneIn(20)) return bytes.subarray(0, random.whole(1, last));
  if (random.oneIn(20)) return Buffer.concat([bytes, bytes.subarray(0, random.whole(1, last))]);
  // Half of the blows fall on the footer, where they hurt.
  const from = random.oneIn(2) ? bytes.length - 64 : 0;
  for (let n = random.whole(1, 3); n > 0; n--) {
    const at = random.whole(from, last);
    bytes[at] = random.oneIn(2) ? bytes[at]! ^ (1 << random.whole(0, 7)) : random.pick([0, 0xff, 0x3a, 0x80]);
  }
  return bytes;
}
