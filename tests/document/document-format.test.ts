import { expect, test } from "bun:test";
import {
  beginsAsDocument,
  footerOf,
  formatFor,
  isPossibleSize,
  MAX_DOCUMENT_BYTES,
  readFormat,
  writeFormat,
} from "../../src/document/document-format.ts";
import { FileFormatError } from "../../src/errors/errors.ts";

const written = (maxBytes: number): Uint8Array<ArrayBuffer> => {
  const format = formatFor(maxBytes);
  const bytes = new Uint8Array(format.fileBytes);
  writeFormat(bytes, format);
  return bytes;
};

const failure = (bytes: Uint8Array<ArrayBuffer>): FileFormatError => {
  try {
    readFormat(bytes, "/x");
  } catch (error) {
    if (error instanceof FileFormatError) return error;
  }
  throw new Error("no FileFormatError");
};

test("the text, two slots and the footer stand one after the other, from multiples of 64", () => {
  expect(formatFor(1000)).toEqual({
    maxBytes: 1000,
    slotOffset: [1024, 2048],
    footerOffset: 3072,
    fileBytes: 3136,
  });
  // 53 and the 11 characters of the longest length fill 64 bytes, 54 do not.
  expect(formatFor(53).slotOffset[0]).toBe(64);
  expect(formatFor(54).slotOffset[0]).toBe(128);
  expect(formatFor(1).fileBytes).toBe(256);
  expect(formatFor(MAX_DOCUMENT_BYTES).fileBytes).toBeLessThan(2 ** 32);
});

test("what is written is read", () => {
  for (const maxBytes of [1, 53, 54, 64, 65, 1000, 65_536]) {
    expect(readFormat(written(maxBytes), "/x")).toEqual(formatFor(maxBytes));
  }
});

test("another file, a damaged and a newer one are told apart", () => {
  const stranger = failure(new Uint8Array(640));
  expect(stranger.message).toBe(
    "'/x' is no file of a JsonMap, or was cut short: its 640 bytes lack the footer; if you need nothing of it, delete it",
  );
  expect(stranger.isOurs).toBeFalse();

  const newer = written(100);
  footerOf(newer).setUint32(8, 2, true);
  expect(failure(newer)).toMatchObject({
    isOurs: true,
    message: expect.stringContaining("format 2, this version"),
  });

  const longer = written(100);
  footerOf(longer).setBigUint64(16, 101n, true);
  expect(failure(longer)).toMatchObject({
    isOurs: true,
    message: expect.stringContaining("checksum of the footer"),
  });

  const shorter = written(1000).subarray(64) as Uint8Array<ArrayBuffer>;
  expect(failure(shorter.slice()).message).toContain("maxBytes 1000 in a file of 3072 bytes");
});

test("only whole blocks can be a file", () => {
  expect([0, 192, 255, 257].map(isPossibleSize)).toEqual([false, false, false, false]);
  expect([256, 320, 3136].map(isPossibleSize)).toEqual([true, true, true]);
  expect(isPossibleSize(2 ** 32)).toBeFalse();
});

test("the text at the start tells a document from other files that begin with a number", () => {
  const begins = (text: string): boolean => beginsAsDocument(new TextEncoder().encode(text));
  for (const text of ["4:null", '8:"ß😀"\0\0', '5000:{"a":', "14:[1", "1073741824:1"])
    expect([text, begins(text)]).toEqual([text, true]);
  for (const text of ["", "4", "4:", ":4:null", "root:x:0", "10:30 call Bob", "5000:hello", "99999999999:1"])
    expect([text, begins(text)]).toEqual([text, false]);
});
