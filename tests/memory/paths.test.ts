import { expect, test } from "bun:test";
import { dirname, resolve } from "node:path";
import { absolutePath, directoryOf } from "../../src/memory/paths.ts";

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
    // A name is never absolute: slashes are refused before.
    const name = `n${text().replaceAll("/", "")}`;
    const path = absolutePath(dir, name);
    expect(path).toBe(resolve(dir, name));
    expect(directoryOf(path)).toBe(dirname(path));
  }
});
