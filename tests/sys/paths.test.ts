import { expect, test } from "bun:test";
import { dirname, resolve } from "node:path";
import { SystemError } from "../../src/errors/errors.ts";
import { absolutePath, directoryOf, exists, isPrintable, makeDirectory } from "../../src/sys/paths.ts";

test("a relative directory begins at the working directory", () => {
  expect(absolutePath("./.mmap", "Robot_.mmap")).toBe(`${process.cwd()}/.mmap/Robot_.mmap`);
  expect(absolutePath("", "a")).toBe(`${process.cwd()}/a`);
  expect(absolutePath("/run/x/../robot//", "a b")).toBe("/run/robot/a b");
  expect(absolutePath("/../..", "a")).toBe("/a");
});

test("paths are made and taken apart as node:path does it", () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`SEED=${seed}`);
  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const parts = ["a", "bc", ".", "..", "...", "/", "//", "%", "\\", " ", "é", "\n", "a.b"];
  const text = () => Array.from({ length: next(9) }, () => parts[next(parts.length)]).join("");
  for (let i = 0; i < 20_000; i++) {
    const dir = text();
    const name = text();
    const path = absolutePath(dir, name);
    expect(path).toBe(resolve(dir, name));
    expect(directoryOf(path)).toBe(dirname(path));
  }
});

test("a path that is too long is an error of the library", () => {
  for (const call of [() => exists("a".repeat(5000)), () => makeDirectory(`/tmp/${"a".repeat(5000)}`)])
    expect(call).toThrow(expect.objectContaining({ code: "ENAMETOOLONG" }));
  expect(() => exists("a".repeat(5000))).toThrow(SystemError);
});

test("control characters and halves of surrogate pairs cannot be printed", () => {
  for (const text of ["a\nb", "a\x1b[31m", "\0", "\u0085", "\ud800"]) expect(isPrintable(text)).toBe(false);
  for (const text of ["", "a b/c", "naïve 😀"]) expect(isPrintable(text)).toBe(true);
});
