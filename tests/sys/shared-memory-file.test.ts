import { expect, test } from "bun:test";
import { sharedMemoryPath } from "../../src/sys/shared-memory-file.ts";

test("a name of shared memory is a file of /dev/shm", () => {
  expect(sharedMemoryPath("/robot", ".lock-page")).toBe("/dev/shm/robot");
  expect(sharedMemoryPath("/naïve 😀", "")).toBe("/dev/shm/naïve 😀");
});

test("a name of shared memory leaves room for the endings of the files beside it", () => {
  expect(() => sharedMemoryPath(`/${"x".repeat(245)}`, ".lock-page")).not.toThrow();
  expect(() => sharedMemoryPath(`/${"x".repeat(246)}`, ".lock-page")).toThrow(RangeError);
});

test("names that shared memory cannot have, or that cannot be shown, are refused", () => {
  for (const name of ["robot", "/", "/..", "/a/b", "/a\0", "/a\nb", "/a\x1b[31m", "/\u0085", "/\ud800"])
    expect(() => sharedMemoryPath(name, "")).toThrow(TypeError);
});
