import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFile, pageSize } from "../../src/sys/file.ts";
import { MADV_RANDOM, O_RDWR } from "../../src/sys/libc/constants.ts";
import { type Access, Mapping } from "../../src/sys/mapping.ts";
import { isMappedElsewhereBeyond } from "../../src/sys/other-mappings.ts";

const dir = mkdtempSync(join(tmpdir(), "shmstruct-others-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const path = join(dir, "file");
writeFileSync(path, new Uint8Array(8 * pageSize()));
const map = (firstPage: number, pages: number, access: Access = "write") =>
  Mapping.map(openFile(path, O_RDWR), {
    byteLength: pages * pageSize(),
    byteOffset: firstPage * pageSize(),
    access,
  });

test("a mapping without others of its file sees none, also when its parts are advised differently", () => {
  using own = map(0, 8);
  own.advise(MADV_RANDOM, 2 * pageSize(), pageSize());
  expect([0, 1, 8].map((pages) => isMappedElsewhereBeyond(own, pages * pageSize()))).toEqual([
    false,
    false,
    false,
  ]);
});

test.each<Access>(["read", "write", "copy"])(
  "a mapping sees a %s mapping of its file that would lose a page",
  (access) => {
    using own = map(0, 8);
    using _other = map(2, 2, access);
    const lost = [1, 2 * pageSize(), 3 * pageSize(), 3 * pageSize() + 1, 4 * pageSize()];
    expect(lost.map((bytes) => isMappedElsewhereBeyond(own, bytes))).toEqual([true, true, true, true, false]);
  },
);

test("a mapping sees bytes that another mapping of this thread has of the last page", () => {
  const bytes = (byteLength: number) => Mapping.map(openFile(path, O_RDWR), { byteLength });
  using own = bytes(100);
  {
    using _other = bytes(60);
    expect([50, 59, 60, 70].map((end) => isMappedElsewhereBeyond(own, end))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  }
  expect(isMappedElsewhereBeyond(own, 50)).toBe(false);
});

test("a mapping sees another one that the kernel has joined with it", () => {
  // Mapped backwards, as the kernel hands out addresses downwards: each lands right before the one made earlier.
  for (let round = 0; round < 3; round++) {
    using last = map(4, 4);
    using first = map(0, 4);
    expect(isMappedElsewhereBeyond(first, 5 * pageSize())).toBe(true);
    expect(isMappedElsewhereBeyond(last, 4 * pageSize())).toBe(false);
    expect(isMappedElsewhereBeyond(last, 3 * pageSize())).toBe(true);
  }
});
