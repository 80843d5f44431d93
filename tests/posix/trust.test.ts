/** Objects under /dev/shm that others made, or may truncate. */
import { afterEach, expect, test } from "bun:test";
import { chmodSync, chownSync, rmSync, statSync, writeFileSync } from "node:fs";
import { MemoryMap } from "../../src/mmap/index.ts";
import {
  FileFormatError,
  O_CREAT,
  O_TRUNC,
  Semaphore,
  SharedMemory,
  UntrustedFileError,
  unlinkSemaphore,
} from "../../src/posix/index.ts";
import { isMusl } from "../../src/sys/libc/symbols.ts";
import { hasTool } from "../support/tools.ts";
import { semaphoreFile } from "./support.ts";

const name = `/shmstruct-trust-${process.pid}`;
const memoryPath = `/dev/shm${name}`;
const semaphorePath = semaphoreFile(name);
afterEach(() => {
  for (const path of [memoryPath, semaphorePath]) rmSync(path, { force: true });
});

const kinds = [
  {
    kind: "SharedMemory",
    path: memoryPath,
    make: () => new SharedMemory({ name, flags: O_CREAT, size: 4096 }).closeFd(),
    open: (options: object) => new SharedMemory({ name, ...options }).closeFd(),
  },
  {
    kind: "tagName",
    path: memoryPath,
    make: () => new MemoryMap(-1, 4096, { tagName: name }).close(),
    open: (options: object) => new MemoryMap(-1, 0, { tagName: name, ...options }).close(),
  },
  {
    kind: "tagName, read-only",
    path: memoryPath,
    make: () => new MemoryMap(-1, 4096, { tagName: name }).close(),
    open: (options: object) => new MemoryMap(-1, 0, { tagName: name, access: "read", ...options }).close(),
  },
  {
    kind: "Semaphore",
    path: semaphorePath,
    make: () => new Semaphore({ name, flags: O_CREAT }).close(),
    open: (options: object) => new Semaphore({ name, ...options }).close(),
  },
];

test.each(kinds)(
  "$kind that others may truncate is opened with shared: true only",
  ({ path, make, open }) => {
    make();
    open({});
    chmodSync(path, 0o666);
    expect(() => open({})).toThrow(UntrustedFileError);
    expect(() => open({})).toThrow(/has mode 0666.*{ shared: true }/);
    open({ shared: true });
    open({ mode: 0o666 });
    open({ trustOwner: process.geteuid?.() });
  },
);

const isRoot = process.geteuid?.() === 0;

test.skipIf(!isRoot).each(kinds)(
  "$kind of another user is opened with trustOwner only (needs root)",
  ({ path, make, open }) => {
    make();
    chownSync(path, 12_345, 12_345);
    for (const options of [{}, { shared: true }, { mode: 0o666 }, { trustOwner: 1 }])
      expect(() => open(options)).toThrow(UntrustedFileError);
    open({ trustOwner: 12_345 });
  },
);

test("memory that is not trusted is neither emptied nor given another size", () => {
  writeFileSync(memoryPath, "content");
  chmodSync(memoryPath, 0o666);
  for (const options of [{ size: 4096 }, { flags: O_TRUNC }, { flags: O_CREAT | O_TRUNC, size: 10 }])
    expect(() => new SharedMemory({ name, ...options })).toThrow(UntrustedFileError);
  expect(statSync(memoryPath).size).toBe(7);
  new SharedMemory({ name, flags: O_TRUNC, shared: true }).closeFd();
  expect(statSync(memoryPath).size).toBe(0);
});

const words = (...values: number[]): Uint8Array => {
  const all = new Uint32Array(8);
  all.set(values);
  return new Uint8Array(all.buffer);
};
const shared = isMusl() ? 0 : 128;

test.each([
  ["an empty file", new Uint8Array(0)],
  ["a short file", new Uint8Array(31)],
  ["a value above the highest", words(0x8000_0000, 0, shared)],
  ["all ones", new Uint8Array(32).fill(255)],
  ["something else", new Uint8Array(4096).fill(7)],
])("the content of a file is refused as a semaphore: %s", (_, content) => {
  writeFileSync(semaphorePath, content, { mode: 0o600 });
  for (const flags of [0, O_CREAT]) {
    expect(() => new Semaphore({ name, flags })).toThrow(FileFormatError);
    expect(() => new Semaphore({ name, flags })).toThrow(`unlinkSemaphore("${name}") removes it`);
  }
  unlinkSemaphore(name);
  using semaphore = new Semaphore({ name, flags: O_CREAT, initialValue: 3 });
  expect(semaphore.value).toBe(3);
});

test.skipIf(!hasTool("gcc"))("a semaphore that C made is recognized (needs gcc)", async () => {
  const source = `#include <semaphore.h>
    #include <fcntl.h>
    int main(int argc, char **argv) { return sem_open(argv[1], O_CREAT, 0600, 5) == SEM_FAILED; }`;
  const program = `/tmp/shmstruct-trust-${process.pid}`;
  const gcc = Bun.spawnSync(["gcc", "-x", "c", "-o", program, "-", "-pthread"], {
    stdin: Buffer.from(source),
  });
  expect(gcc.stderr.toString()).toBe("");
  expect(Bun.spawnSync([program, name]).exitCode).toBe(0);
  rmSync(program);
  using semaphore = new Semaphore({ name });
  expect(semaphore.value).toBe(5);
});
