import { expect, test } from "bun:test";
import { join } from "node:path";
import { documentPlace } from "../../src/document/place.ts";

test("a file is found from dir, its lock beside it", () => {
  expect(documentPlace({ file: "c.json", dir: "/run/app" })).toEqual({
    dataPath: "/run/app/c.json",
    lockPath: { flock: "/run/app/c.json.lock", fcntl: "/run/app/c.json.lockfile" },
  });
  expect(documentPlace({ file: "/abs/c", dir: "/run" }).dataPath).toBe("/abs/c");
  expect(documentPlace({ file: "c" }).dataPath).toBe(join(process.cwd(), "c"));
});

test("a name is a file of /dev/shm", () => {
  expect(documentPlace({ name: "/robot" })).toEqual({
    dataPath: "/dev/shm/robot",
    lockPath: { flock: "/dev/shm/robot.lock", fcntl: join(process.cwd(), ".fasteners/robot.lockfile") },
  });
});

test("options that name no document, or two, are refused", () => {
  expect(() => documentPlace({})).toThrow("needs either { file:");
  expect(() => documentPlace({ file: "a", name: "/a" })).toThrow("needs either { file:");
  for (const file of ["", "a/", "a\0b", 3 as never]) expect(() => documentPlace({ file })).toThrow(TypeError);
  for (const name of ["robot", "/", "/..", "/a/b", "/a\0"])
    expect(() => documentPlace({ name })).toThrow(TypeError);
  expect(() => documentPlace({ name: `/${"x".repeat(245)}` })).not.toThrow();
  expect(() => documentPlace({ name: `/${"x".repeat(246)}` })).toThrow(RangeError);
});

test("names that cannot be shown are refused: control characters, half a surrogate pair", () => {
  for (const bad of ["a\nb", "a\x1b[31m", "a\0", "a\u0085", "\ud800"]) {
    expect(() => documentPlace({ file: bad })).toThrow(TypeError);
    expect(() => documentPlace({ name: `/${bad}` })).toThrow(TypeError);
  }
  expect(() => documentPlace({ file: "a\nb" })).toThrow('as "a\\nb" does');
  expect(documentPlace({ file: "/tmp/naïve 😀" }).dataPath).toBe("/tmp/naïve 😀");
});
