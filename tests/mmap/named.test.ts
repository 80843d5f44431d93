import { afterEach, expect, test } from "bun:test";
import { fstatSync } from "node:fs";
import { SystemError } from "../../src/errors/errors.ts";
import { openTagged, openTaggedReadOnly, removeTagged } from "../../src/mmap/named.ts";
import { closeFile, fileSize } from "../../src/sys/file.ts";
import { O_CREAT, O_RDWR } from "../../src/sys/libc/constants.ts";
import { openSharedMemory } from "../../src/sys/shared-memory-file.ts";
import { descriptorsOf } from "../support/resources.ts";

const name = `shmstruct-named-${process.pid}-${Date.now()}`;
afterEach(() => void removeTagged(name));

test("the first opener makes the named memory, with size and mode; the others find it as it is", () => {
  const opened = [
    openTagged(name, 5000, { mode: 0o640 }),
    openTagged(name, 100),
    openTagged(`/${name}`, 0),
    openTaggedReadOnly(name),
  ];
  expect(opened.map(({ made }) => made)).toEqual([true, false, false, false]);
  const fds = opened.map(({ fd }) => fd);
  expect(fds.map((fd) => fileSize(fd))).toEqual([5000, 5000, 5000, 5000]);
  expect(new Set(fds.map((fd) => fstatSync(fd).ino)).size).toBe(1);
  expect(fstatSync(fds[0]!).mode & 0o737).toBe(0o600);
  fds.forEach(closeFile);
});

test("named memory that is missing is not made by a reader, nor without a length", () => {
  expect(() => openTaggedReadOnly(name)).toThrow(SystemError);
  expect(() => openTagged(name, 0)).toThrow(/ENOENT/);
  expect([removeTagged(name), descriptorsOf(name)]).toEqual([false, 0]);
});

test("impossible names of memory are refused", () => {
  const bad = ["", "/", "a/b", "//a", ".", "..", "a\0b", "é".repeat(128), "\ud800", null, 5] as string[];
  for (const name of bad) {
    expect(() => openTagged(name, 1)).toThrow(/shared memory name/);
    expect(() => removeTagged(name)).toThrow(/shared memory name/);
  }
});

test("when the maker of named memory died before giving it a size, the next one does", () => {
  closeFile(openSharedMemory(`/${name}`, O_RDWR | O_CREAT));
  const { fd } = openTagged(name, 3000);
  expect(fileSize(fd)).toBe(3000);
  closeFile(fd);
}, 240_000);

test("named memory is not made without room for it", () => {
  expect(() => openTagged(name, 2 ** 52)).toThrow(SystemError);
  expect([removeTagged(name), descriptorsOf(name)]).toEqual([false, 0]);
});
