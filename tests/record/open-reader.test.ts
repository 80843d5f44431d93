/** Opening a file without its class. */
import { expect, test } from "bun:test";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import {
  type Atomic,
  atomic,
  c_int32,
  c_uint8,
  enumOf,
  FileFormatError,
  field,
  layoutOf,
  Manager,
  MmapStructure,
  openReader,
  Reader,
  Struct,
  toObject,
} from "../../src/index.ts";
import { thrownBy } from "../support/thrown.ts";
import { resealed } from "./mutations.ts";
import { Robot } from "./structs.ts";
import { TempDir } from "./support.ts";

enum Mode {
  Idle = 0,
  Running = 1,
}

class Machine extends MmapStructure {
  @field(enumOf(c_uint8, Mode)) mode!: Mode;
}

class Slot extends Struct {
  @field(atomic(c_int32)) state!: Atomic<number>;
  @field(c_int32) value!: number;
}

test("openReader shows every field of a file whose class is not at hand", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, tag: "a_b", create: true });
  manager.edit((data) => {
    data.count = 7;
    data.name = "Ä";
    data.serial = 2n ** 60n;
    data.path[2] = { x: 1, y: 2 } as never;
    data.hits.add(3);
  });
  using reader = openReader(temp.file("Robot_a_b.mmap"));
  expect(toObject(reader.snapshot())).toEqual(toObject(manager.snapshot()) as never);
  expect([reader.get("count"), reader.get("path.2.y"), reader.get("hits")]).toEqual([7, 2, 3]);
  expect(JSON.stringify(reader.snapshot())).toContain('"serial":"1152921504606846976"');
  manager.set("count", 8);
  expect([reader.snapshot().count, reader.version]).toEqual([8, 2]);
});

test("openReader's role excludes writers and is excluded by them, for both kinds of lock", () => {
  for (const lock of ["flock", "fcntl"] as const) {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, lockDir: temp.dir, create: true, lock });
    using reader = openReader(temp.file("Robot_.mmap"), { lockDir: temp.dir });
    {
      using _ = reader.lock();
      expect(manager.tryLock()).toBeUndefined();
    }
    using _ = manager.lock();
    expect(reader.tryLock()).toBeUndefined();
  }
});

test("openReader shows values of enums", () => {
  using temp = new TempDir();
  using manager = new Manager(Machine, { dir: temp.dir, create: true });
  manager.set("mode", Mode.Running);
  using reader = openReader(manager.path);
  expect(reader.get("mode")).toBe(Mode.Running);
  expect(reader.snapshot().mode).toBe(1);
});

test("openReader opens shared memory objects by their path", () => {
  const name = `/shmstruct-open-${process.pid}`;
  using manager = new Manager(Robot, { name, create: true });
  try {
    manager.set("count", 1);
    using reader = openReader(`/dev/shm${name}`);
    expect(reader.get("count")).toBe(1);
  } finally {
    manager.remove();
    for (const suffix of [".lock", ".lock-page"]) rmSync(`/dev/shm${name}${suffix}`);
  }
});

test("openReader refuses a file without a schema", () => {
  using temp = new TempDir();
  expect(thrownBy(() => openReader(temp.file("robot.txt"))).message).toContain("there is no shared file");
  expect(thrownBy(() => openReader(temp.file("Robot_.mmap"))).code).toBe("FILE_MISSING");
  writeFileSync(temp.file("Robot_.mmap"), new Uint8Array([0x28, 0x11]));
  expect(thrownBy(() => openReader(temp.file("Robot_.mmap"))).code).toBe("FILE_FORMAT");
  truncateSync(temp.file("Robot_.mmap"), 200);
  expect(thrownBy(() => openReader(temp.file("Robot_.mmap"))).message).toContain(
    "has no schema: if it was made by IPMMAP, open it with a class",
  );
});

test.each([
  ["not JSON", "{", "the schema in"],
  ["no struct", '{"name":5}', "the struct that"],
  [
    "a flexible array",
    JSON.stringify({
      ...layoutOf(Machine),
      fields: {
        ...layoutOf(Machine).fields,
        mode: { type: { array: "c_int8", length: null }, offset: 16, size: 0 },
      },
    }),
    "Machine ends in a flexible array",
  ],
  [
    "scattered atomics",
    JSON.stringify({
      ...layoutOf(Machine),
      size: 16 + 2 ** 25,
      fields: {
        ...layoutOf(Machine).fields,
        mode: {
          type: { array: { struct: layoutOf(Slot) }, length: 2 ** 22 },
          offset: 16,
          size: 2 ** 25,
        },
      },
    }),
    "more than 1048576 places",
  ],
  ["without a shared header", JSON.stringify(layoutOf(Slot)), "Slot has no shared header"],
])("openReader refuses a wrong schema and names the file: %s", (_, schema, message) => {
  using temp = new TempDir();
  using manager = new Manager(Machine, { dir: temp.dir, create: true });
  const file = resealed(readFileSync(manager.path), { schema: Buffer.from(schema), fingerprint: 1n });
  writeFileSync(manager.path, file);
  const error = thrownBy(() => openReader(manager.path));
  expect(error).toBeInstanceOf(FileFormatError);
  expect((error as FileFormatError).path).toBe(manager.path);
  expect(error.message).toContain(message);
  expect(error.cause).toBeInstanceOf(Error);
});

test("openReader takes names of shared memory that look like those of files", () => {
  const dir = "/dev/shm";
  for (const name of [`/shmstruct-${process.pid}.mmap`, `/shmstruct_${process.pid}.mmap`]) {
    using manager = new Manager(Robot, { name, create: true });
    using reader = openReader(`${dir}${name}`);
    manager.set("count", 5);
    expect(reader.get("count")).toBe(5);
    {
      using _ = manager.lock();
      expect(reader.tryLock()).toBeUndefined();
    }
    manager.remove();
    for (const end of [".lock", ".lock-page"]) rmSync(`${dir}${name}${end}`);
  }
  using manager = new Manager(Robot, { dir, tag: String(process.pid), create: true });
  using reader = openReader(manager.path);
  {
    using _ = manager.lock();
    expect(reader.tryLock()).toBeUndefined();
  }
  manager.remove();
  for (const end of ["lock", "lock-page"]) rmSync(`${dir}/Robot_${process.pid}.${end}`);
});

test("a class of few fields opens a struct of thousands, whose first ones they are", () => {
  const named = (count: number) => {
    const { Large } = { Large: class extends MmapStructure {} };
    for (let i = 0; i < count; i++) field(c_int32)(Large.prototype, `f${i}` as never);
    return Large as typeof Large & { prototype: { f1: number } };
  };
  using temp = new TempDir();
  new Manager(named(4200), { dir: temp.dir, create: true }).close();
  using reader = new Reader(named(2), { dir: temp.dir });
  expect(reader.get("f1" as never)).toBe(0 as never);
  expect(() => openReader(reader.path)).toThrow("{ limits: { members: … } } raises that");
});
