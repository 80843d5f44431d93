import { expect, test } from "bun:test";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { documentPlan, documentType } from "../../src/document/document-content.ts";
import {
  beginsAsDocument,
  formatFor,
  formatOf,
  MAX_DOCUMENT_BYTES,
  schemaFor,
} from "../../src/document/document-format.ts";
import { FileFormatError } from "../../src/errors/errors.ts";
import { createSegment } from "../../src/segment/create.ts";
import { FOOTER_BYTES } from "../../src/segment/footer.ts";
import { placeBeside } from "../../src/segment/place.ts";
import { DocumentDir, footerAt, openContent } from "./support.ts";

const failure = (path: string): FileFormatError => {
  try {
    openContent(path, "read")[Symbol.dispose]();
  } catch (error) {
    if (error instanceof FileFormatError) return error;
    throw error;
  }
  throw new Error("no FileFormatError");
};

test("the text, two slots and the mirrored word stand one after the other, from multiples of 64", () => {
  expect(formatFor(1000)).toEqual({
    maxBytes: 1000,
    slotOffset: [1024, 2048],
    mirroredOffset: 3072,
    contentBytes: 3136,
  });
  // 53 and the 11 characters of the longest length fill 64 bytes, 54 do not.
  expect(formatFor(53).slotOffset[0]).toBe(64);
  expect(formatFor(54).slotOffset[0]).toBe(128);
  expect(formatFor(1).contentBytes).toBe(256);
  // Schema and footer fit behind the longest document in one mapping.
  expect(formatFor(MAX_DOCUMENT_BYTES).contentBytes + 4096).toBeLessThan(2 ** 32);
});

test("a format that was written is read again, and the schema says how long a document may be", () => {
  using temp = new DocumentDir();
  for (const maxBytes of [1, 53, 54, 64, 65, 1000, 65_536]) {
    using content = openContent(temp.make(maxBytes));
    expect(formatOf(content.file)).toEqual(formatFor(maxBytes));
    expect(JSON.parse(Buffer.from(content.file.schemaBytes).toString())).toEqual({
      document: "json",
      maxBytes,
    });
    expect(content.file.byteLength % 64).toBe(0);
  }
});

test("a schema that contradicts the content is refused", () => {
  using temp = new DocumentDir();
  const plan = documentPlan(100, "1");
  const schemas = [
    {},
    null,
    5,
    "x",
    schemaFor(200),
    schemaFor(0),
    schemaFor(-1),
    schemaFor(100.5),
    schemaFor(2 ** 40),
  ];
  for (const schema of [...schemas, { document: "json", maxBytes: "many" }]) {
    const path = temp.newFile();
    createSegment(placeBeside(path), { ...plan, schema }, documentType, { mode: 0o600 });
    expect(failure(path)).toMatchObject({
      isOurs: true,
      message: expect.stringContaining("is damaged (maxBytes"),
    });
  }
});

test("another file, a damaged, an older and a newer one are told apart", () => {
  using temp = new DocumentDir();
  const stranger = temp.newFile();
  writeFileSync(stranger, new Uint8Array(640));
  const { message, isOurs } = failure(stranger);
  expect(message).toBe(
    `'${stranger}' is no file of a JsonMap, or was truncated: its 640 bytes lack the footer; if you need nothing of it, delete it`,
  );
  expect(isOurs).toBeFalse();

  const mutated = (mutate: (bytes: Buffer) => Uint8Array | number): FileFormatError => {
    const path = temp.make(1000, "1");
    const bytes = readFileSync(path);
    const result = mutate(bytes);
    writeFileSync(path, typeof result === "number" ? bytes : result);
    return failure(path);
  };
  const newer = mutated((bytes) => bytes.writeUInt32LE(3, footerAt(bytes, "format")));
  expect(newer).toMatchObject({ isOurs: true, message: expect.stringContaining("format 3, this version") });

  const longer = mutated((bytes) => bytes.writeUInt32LE(1, footerAt(bytes, "contentBytes")));
  expect(longer).toMatchObject({
    isOurs: true,
    message: expect.stringMatching(/footer of .* is damaged \(/),
  });

  // What stands before it is gone: its offsets lead elsewhere.
  const shorter = mutated((bytes) => bytes.subarray(64));
  expect(shorter).toMatchObject({ isOurs: true, message: expect.stringMatching(/is damaged \(/) });
});

test("a document of format 1 is told by its own magic, with what to do", () => {
  using temp = new DocumentDir();
  const path = temp.newFile();
  const bytes = Buffer.alloc(640);
  bytes.write("4:null");
  bytes.write("shmsjson", 576);
  bytes.writeUInt32LE(1, 584);
  writeFileSync(path, bytes);
  expect(failure(path)).toMatchObject({
    isOurs: true,
    message: expect.stringMatching(
      /has file format 1, of an earlier version .* force: true recreates it, which erases/,
    ),
  });
});

test("a file that lost its footer is ours if it begins as a document and a lock page is beside it", () => {
  using temp = new DocumentDir();
  const path = temp.make(1000, "1");
  for (const byteLength of [readFileSync(path).length - FOOTER_BYTES, 100, 3]) {
    truncateSync(path, byteLength);
    expect(failure(path)).toMatchObject({
      isOurs: true,
      message: expect.stringContaining(`was truncated to ${byteLength} bytes`),
    });
  }
});

test("the text at the start tells a document from other files that begin with a number", () => {
  const begins = (text: string): boolean => beginsAsDocument(new TextEncoder().encode(text));
  for (const text of ["4:null", '8:"ß😀"\0\0', '5000:{"a":', "14:[1", "1073741824:1"])
    expect([text, begins(text)]).toEqual([text, true]);
  for (const text of ["", "4", "4:", ":4:null", "root:x:0", "10:30 call Bob", "5000:hello", "99999999999:1"])
    expect([text, begins(text)]).toEqual([text, false]);
});
