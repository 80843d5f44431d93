/** Where a role's files are, and which classes may have one. */
import { expect, test } from "bun:test";
import { existsSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  array,
  c_double,
  c_int16,
  c_int32,
  field,
  HeaderNotFoundError,
  loadStructs,
  Manager,
  MmapStructure,
  nested,
  Reader,
  Struct,
  StructDefinitionError,
} from "../../src/index.ts";
import { recordPlace, roleLayout } from "../../src/record/options.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { thrownBy } from "../support/thrown.ts";
import * as structs from "./structs.ts";
import { Point, Robot } from "./structs.ts";
import { TempDir } from "./support.ts";

const layout = layoutOfClass(Robot);

test("a role's files are where IPMMAP has them, unless told otherwise", () => {
  expect(recordPlace(layout, {})).toEqual({
    dataPath: resolve(".mmap/Robot_.mmap"),
    lockPath: { flock: resolve(".mmap/Robot_.lock"), fcntl: resolve(".fasteners/Robot_.lockfile") },
  });
  expect(recordPlace(layout, { dir: "/a", tag: "left.1", lockDir: "/b", className: "Base" })).toEqual({
    dataPath: "/a/Base_left.1.mmap",
    lockPath: { flock: "/a/Base_left.1.lock", fcntl: "/b/Base_left.1.lockfile" },
    given: 'className: "Base", dir: "/a", tag: "left.1", lockDir: "/b"',
  });
});

test("a name puts a role's file among the shared memory objects", () => {
  const name = `/shmstruct-test-${process.pid}`;
  using manager = new Manager(Robot, { name, create: true });
  try {
    expect(manager.path).toBe(`/dev/shm${name}`);
    manager.set("count", 4);
    using reader = new Reader(Robot, { name });
    expect(reader.get("count")).toBe(4);
    manager.remove();
    expect(thrownBy(() => reader.get("count")).code).toBe("FILE_MISSING");
  } finally {
    for (const suffix of [".lock", ".lock-page"]) rmSync(`/dev/shm${name}${suffix}`);
  }
  expect(existsSync(`/dev/shm${name}`)).toBe(false);
});

test("a wrong timeout is an error also where the file is there and no lock is waited for", () => {
  using temp = new TempDir();
  for (let i = 0; i < 2; i++) {
    for (const options of [{ create: true }, i === 1 ? {} : { create: true }])
      for (const timeoutMs of [Number.NaN, -1])
        expect(() => new Manager(Robot, { dir: temp.dir, ...options, timeoutMs })).toThrow(/timeoutMs/);
    new Manager(Robot, { dir: temp.dir, create: true, timeoutMs: 0 }).close();
  }
});

test("two tags are two files", () => {
  using temp = new TempDir();
  using left = new Manager(Robot, { dir: temp.dir, tag: "left", create: true });
  using right = new Manager(Robot, { dir: temp.dir, tag: "right", create: true });
  left.set("count", 1);
  right.set("count", 2);
  expect([left.get("count"), right.get("count")]).toEqual([1, 2]);
  expect(left.path).toBe(join(temp.dir, "Robot_left.mmap"));
});

test("names that would leave the directory are refused", () => {
  for (const tag of ["../x", "a/b", "a\0b"]) expect(() => recordPlace(layout, { tag })).toThrow(TypeError);
  expect(() => new Reader(Robot, { tag: 5 as unknown as string })).toThrow("got 5");
  expect(() => recordPlace(layout, { name: "/a/b" })).toThrow();
});

test("a class without the shared header is refused", () => {
  expect(() => roleLayout(Point)).toThrow(HeaderNotFoundError);
  expect(thrownBy(() => new Reader(Point as never)).message).toBe(
    "Point has no shared header: declare it as `class Point extends MmapStructure`",
  );
  class Late extends Struct {
    @field(c_int32) first!: number;
    @nested(Point) header!: Point;
  }
  class Fake extends Struct {
    @nested(Point) header!: Point;
  }
  for (const cls of [Late, Fake]) expect(thrownBy(() => roleLayout(cls)).code).toBe("HEADER_NOT_FOUND");
});

test("a header of one's own is accepted when it has the same bytes", () => {
  class OwnHeader extends Struct {
    @field(c_int16) header_code!: number;
    @field(c_double) time_stamp!: number;
  }
  class Own extends Struct {
    @nested(OwnHeader) header!: OwnHeader;
    @field(c_int32) value!: number;
  }
  using temp = new TempDir();
  using manager = new Manager(Own, { dir: temp.dir, create: true });
  manager.set("value", 3);
  expect([manager.get("value"), manager.get("header.header_code")]).toEqual([3, 0x1128]);
});

test("a class that ends in an array without a length is refused", () => {
  class Open extends MmapStructure {
    @field(array(c_int32)) values!: Int32Array;
  }
  expect(() => roleLayout(Open)).toThrow("Open ends in a flexible array, which has no length in a file");
});

test("roles take a class by name once it is loaded", () => {
  class Abstract extends MmapStructure {}
  expect(thrownBy(() => new Reader("Robot42"))).toBeInstanceOf(StructDefinitionError);
  loadStructs(structs, Abstract);
  using temp = new TempDir();
  using manager = new Manager<Robot>("Robot", { dir: temp.dir, create: true });
  manager.set("count", 8);
  using reader = new Reader<Robot>("Robot", { dir: temp.dir });
  expect(reader.get("count")).toBe(8);
});

test("options that are looked at only now and then are refused at once", () => {
  using temp = new TempDir();
  const at = { dir: temp.dir, create: true };
  expect(() => new Manager(Robot, { ...at, migrate: 1 as never })).toThrow(
    "option migrate must be true or a function",
  );
  using manager = new Manager(Robot, at);
  expect(() => manager.backup(temp.file("copy"), { timeoutMs: -1 })).toThrow(
    "timeoutMs must not be negative",
  );
});
