import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatFor, SLOT } from "../../src/document/document-format.ts";
import { FileFormatError, FileMissingError, SystemError } from "../../src/errors/errors.ts";
import { FOOTER_BYTES } from "../../src/segment/footer.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";
import { DocumentDir, footerAt, forgeSlotVersion, GENERATION, openContent, writeVersion } from "./support.ts";

// Long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const temp = new DocumentDir();
afterAll(() => temp[Symbol.dispose]());

const textAtStart = (path: string): string => readFileSync(path, "utf8").split("\0")[0] ?? "";

test("a new file has no document; jsonmmap's followers read null", () => {
  const path = temp.make(100);
  using content = openContent(path);
  expect(content.tryRead()).toEqual({ version: 0, text: undefined });
  expect(content.version).toBe(0);
  expect(textAtStart(path)).toBe("4:null");
});

test("a new file may begin with a document, which is its first", () => {
  const path = temp.make(100, '"first"');
  using content = openContent(path);
  expect([content.tryRead(), content.version]).toEqual([{ version: 1, text: '"first"' }, 1]);
  expect(textAtStart(path)).toBe('7:"first"');
  expect(content.commit("2")).toBe(2);
});

test("a commit is read by others, and stands at the start as jsonmmap writes it", () => {
  const path = temp.make(100);
  using writer = openContent(path);
  using reader = openContent(path, "read");
  expect(writer.commit('{"a":"ß😀"}')).toBe(1);
  expect(reader.tryRead()).toEqual({ version: 1, text: '{"a":"ß😀"}' });
  expect(textAtStart(path)).toBe('14:{"a":"ß😀"}');
  expect(writer.commit("[]")).toBe(2);
  expect(reader.tryRead()).toEqual({ version: 2, text: "[]" });
  expect(textAtStart(path)).toStartWith("2:[]");
});

test("the footer has the version too, for readers of segments that know no documents", () => {
  const path = temp.make(100);
  using content = openContent(path);
  for (let version = 1; version <= 3; version++) {
    content.commit("1");
    const bytes = readFileSync(path);
    expect(bytes.readBigUInt64LE(footerAt(bytes, "commits"))).toBe(BigInt(version));
    expect(bytes.readBigUInt64LE(footerAt(bytes, "before"))).toBe(BigInt(version - 1));
  }
});

test("a document fills its room to the last byte", () => {
  for (const maxBytes of [1, 53, 54, 64, 1000]) {
    const path = temp.make(maxBytes);
    using content = openContent(path);
    const texts = ["1", "2", "3"].map((digit) => digit.repeat(maxBytes));
    for (const text of texts) {
      content.commit(text);
      expect(content.tryRead()?.text).toBe(text);
      expect(textAtStart(path)).toStartWith(`${maxBytes}:${text}`);
    }
  }
});

/** A file whose document and footer have this version. */
function fileAt(version: number): string {
  const path = temp.make(100, "0");
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  forgeSlotVersion(bytes, formatFor(100).slotOffset[0], version);
  writeVersion(view, footerAt(bytes, "commits"), version);
  writeVersion(view, footerAt(bytes, "before"), version - 1);
  writeFileSync(path, bytes);
  return path;
}

test("versions go on past 32 bits and into the next generation, and each finds its slot", () => {
  for (const version of [2 ** 31 - 1, GENERATION - 2, GENERATION - 1, 7 * GENERATION - 1, 2 ** 45]) {
    using content = openContent(fileAt(version));
    for (let i = 1; i < 4; i++) {
      expect(content.commit(String(i))).toBe(version + i);
      expect(content.tryRead()).toEqual({ version: version + i, text: String(i) });
      expect([content.version, content.file.loadVersion(content.file.at.commits)]).toEqual([
        version + i,
        version + i,
      ]);
    }
  }
});

test("a writer killed while commits carried into the generation loses no version", () => {
  for (const [commits, generation] of [
    [GENERATION - 1, 6],
    [0, 6],
    [GENERATION - 1, 7],
  ] as const) {
    const path = fileAt(7 * GENERATION);
    const bytes = readFileSync(path);
    bytes.writeUInt32LE(commits, footerAt(bytes, "commits"));
    bytes.writeUInt32LE(generation, footerAt(bytes, "generation"));
    writeFileSync(path, bytes);
    using content = openContent(path);
    expect(content.version).toBe(7 * GENERATION);
    expect(content.commit("1")).toBeGreaterThan(7 * GENERATION);
    expect(content.tryRead()?.text).toBe("1");
  }
});

test("sequences go on past the end of their 32 bits", () => {
  const path = temp.make(100);
  const bytes = readFileSync(path);
  bytes.writeInt32LE(-4, footerAt(bytes, "sequence"));
  bytes.writeInt32LE(-4, formatFor(100).mirroredOffset);
  writeFileSync(path, bytes);
  using content = openContent(path);
  // Bit 1 of -4 is 0: the first slot is current, as in a new file.
  for (let version = 1; version <= 4; version++) {
    expect(content.commit(String(version))).toBe(version);
    expect([content.tryRead(), content.needsRepair]).toEqual([{ version, text: String(version) }, false]);
  }
});

test("a file that is not a JsonMap's is refused, and nothing waits", () => {
  const { dir } = temp;
  const fifo = join(dir, "fifo");
  Bun.spawnSync(["mkfifo", fifo]);
  writeFileSync(join(dir, "empty"), "");
  writeFileSync(join(dir, "text"), "4:null".padEnd(640));
  writeFileSync(join(dir, "long"), "4:null".padEnd(10_000, "\0"));
  symlinkSync(temp.make(100), join(dir, "link"));
  for (const access of ["read", "write"] as const) {
    expect(() => openContent(join(dir, "none"), access)).toThrow(FileMissingError);
    expect(() => openContent(join(temp.make(100), "below a file"), access)).toThrow(SystemError);
    for (const name of ["empty", "fifo", "text", "long"])
      expect(() => openContent(join(dir, name), access)).toThrow(FileFormatError);
    expect(() => openContent(join(dir, "link"), access)).toThrow(SystemError);
  }
  expect(() => openContent(dir, "read")).toThrow(FileFormatError);
});

test("a file that is truncated is noticed", () => {
  const path = temp.make(100);
  using content = openContent(path, "read");
  expect(content.file.isWhole).toBeTrue();
  truncateSync(path, 64);
  expect(content.file.isWhole).toBeFalse();
});

/** What a commit of `after` over `before` changes in a file, as the bytes then and now. */
function commitBytes(): { path: string; before: Buffer; after: Buffer } {
  const path = temp.make(200);
  using content = openContent(path);
  content.commit('"the first"');
  content.commit('["before"]');
  const before = readFileSync(path);
  content.commit('{"after":true}');
  return { path, before, after: readFileSync(path) };
}

describe("a writer killed at any instruction", () => {
  const format = formatFor(200);
  // The third document goes to the second slot. Nothing else is written before the sequence is.
  const slot = { from: format.slotOffset[1], to: format.slotOffset[1] + SLOT.text + 200 };
  const seed = seedOfRun();
  const random = randomFrom(seed);
  let commit: ReturnType<typeof commitBytes>;
  beforeAll(() => {
    console.log(`SEED=${seed}`);
    commit = commitBytes();
  });

  /** Some of the new bytes of a range, as a killed writer may leave them in whatever order it stores. */
  const partly = (bytes: Buffer, { from, to }: { from: number; to: number }, unit = 1): void => {
    const whole = random.oneIn(4);
    for (let i = from; i < to; i += unit)
      if (whole || random.oneIn(2)) commit.after.copy(bytes, i, i, i + unit);
  };

  test("a writer killed before its commit has changed nothing that a follower sees", () => {
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.from(commit.before);
      partly(bytes, slot);
      writeFileSync(commit.path, bytes);
      using content = openContent(commit.path);
      expect(content.tryRead()).toEqual({ version: 2, text: '["before"]' });
      expect(textAtStart(commit.path)).toStartWith('10:["before"]');
      // The next writer is not disturbed by what is left.
      expect(content.commit('"next"')).toBe(3);
      expect(content.tryRead()).toEqual({ version: 3, text: '"next"' });
    }
  });

  test("a writer killed after its commit leaves only the text at the start and the footer's version to be set right", () => {
    const footer = { from: footerAt(commit.after, "commits"), to: footerAt(commit.after, "sequence") };
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.from(commit.after);
      commit.before.copy(bytes, 0, 0, 211);
      partly(bytes, { from: 0, to: 211 });
      if (random.oneIn(2)) bytes[0] = 0x3a;
      commit.before.copy(bytes, footer.from, footer.from, footer.to);
      partly(bytes, footer, 4);
      bytes.writeInt32LE(commit.before.readInt32LE(format.mirroredOffset), format.mirroredOffset);
      writeFileSync(commit.path, bytes);
      using content = openContent(commit.path);
      expect(content.tryRead()).toEqual({ version: 3, text: '{"after":true}' });
      expect(content.needsRepair).toBeTrue();
      if (random.oneIn(2)) {
        content.repair();
        expect(content.needsRepair).toBeFalse();
        expect(textAtStart(commit.path)).toStartWith('14:{"after":true}');
        expect(content.file.loadVersion(content.file.at.commits)).toBe(3);
      }
      expect(content.commit("4")).toBe(4);
      expect([content.tryRead()?.text, content.needsRepair]).toEqual(["4", false]);
    }
  });
});

const flipBit = (bytes: Buffer, byteOffset: number, bit: number): void =>
  void bytes.writeUInt8(bytes.readUInt8(byteOffset) ^ (1 << bit), byteOffset);

describe("a damaged document", () => {
  /** Two documents, then some bytes that another program has written over them. */
  function damagedFile(damage: (bytes: Buffer, current: number) => void): string {
    const path = temp.make(300);
    {
      using content = openContent(path);
      for (const text of ['{"a":1}', '{"a":2}']) content.commit(text);
    }
    const bytes = readFileSync(path);
    const sequence = bytes.readInt32LE(footerAt(bytes, "sequence"));
    damage(bytes, formatFor(300).slotOffset[((sequence >> 1) & 1) as 0 | 1]);
    writeFileSync(path, bytes);
    return path;
  }

  const damages: Record<string, (bytes: Buffer, current: number) => void> = {
    "the checksum": (bytes, current) => void bytes.writeUInt8(99, current),
    "the text": (bytes, current) => void bytes.writeUInt8(0xff, current + SLOT.text + 1),
    "the length": (bytes, current) => void bytes.writeUInt8(0xff, current + SLOT.textBytes + 3),
    "a length that fits": (bytes, current) => void bytes.writeUInt8(200, current + SLOT.textBytes),
    "the version": (bytes, current) => void bytes.writeUInt8(0xff, current + SLOT.version + 7),
    "the generation": (bytes, current) => void bytes.writeUInt8(9, current + SLOT.version + 4),
    "the footer's generation": (bytes) => void bytes.writeUInt8(9, footerAt(bytes, "generation")),
    "the footer's generation, beyond 2^53": (bytes) =>
      void bytes.writeUInt8(0xff, footerAt(bytes, "generation") + 3),
    "all of the slot": (bytes, current) => void bytes.fill(0xa5, current, current + SLOT.text + 300),
  };

  test.each(Object.keys(damages))(
    "a document damaged in %s is a clear error to read, and can be written again",
    (what) => {
      const path = damagedFile(damages[what]!);
      using content = openContent(path);
      expect(() => content.tryRead()).toThrow(
        /^'.*' is damaged \(.*\); a master .* recreates it, which erases/,
      );
      // As a master does when it opens the file.
      content.repair();
      const version = content.commit('{"a":3}');
      expect(version).toBeGreaterThan(2);
      expect(Number.isSafeInteger(version)).toBeTrue();
      expect([content.tryRead(), content.version]).toEqual([{ version, text: '{"a":3}' }, version]);
      expect(content.commit("4")).toBe(version + 1);
      expect(content.tryRead()).toEqual({ version: version + 1, text: "4" });
      using other = openContent(path, "read");
      expect(other.tryRead()).toEqual({ version: version + 1, text: "4" });
    },
  );

  test("a sequence that names the other slot gives the document before; the next version is a new one all the same", () => {
    const path = damagedFile((bytes) => flipBit(bytes, footerAt(bytes, "sequence"), 1));
    using content = openContent(path);
    expect(content.tryRead()).toEqual({ version: 1, text: '{"a":1}' });
    expect(content.commit("3")).toBeGreaterThan(2);
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
      using content = openContent(path, random.oneIn(2) ? "read" : "write");
      // Bit 1 of the sequence may be hit: then it is the document before, as whole as the last.
      const before = { version: 2, text: '["before"]' };
      expect([before, { version: 3, text: '{"after":true}' }]).toContainEqual(
        content.tryRead() as typeof before,
      );
      outcomes.same += 1;
    } catch (error) {
      if (!(error instanceof FileFormatError)) throw error;
      expect(error.message).toContain(`'${path}' `);
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
  const from = random.oneIn(2) ? bytes.length - FOOTER_BYTES : 0;
  for (let n = random.whole(1, 3); n > 0; n--) {
    const at = random.whole(from, last);
    bytes[at] = random.oneIn(2) ? bytes[at]! ^ (1 << random.whole(0, 7)) : random.pick([0, 0xff, 0x3a, 0x80]);
  }
  return bytes;
}
