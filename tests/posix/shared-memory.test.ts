import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { fstatSync, ftruncateSync, rmSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ClosedError,
  ExistentialError,
  MessageQueue,
  O_CREAT,
  O_CREX,
  O_EXCL,
  O_TRUNC,
  PAGE_SIZE,
  Semaphore,
  SharedMemory,
  type SharedMemoryOptions,
  unlinkSharedMemory,
} from "../../src/posix/index.ts";
import { bytesOf, c_double, c_int32, chars, field, Struct, sizeof } from "../../src/struct/index.ts";
import { thrownBy } from "../support/thrown.ts";
import { hasTool } from "../support/tools.ts";
import { freshName, unlinkNames } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

afterEach(unlinkNames);

class Robot extends Struct {
  @field(c_int32) id!: number;
  @field(c_double) speed!: number;
  @field(chars(16)) label!: string;
}

const create = (options: Partial<SharedMemoryOptions> = {}) =>
  new SharedMemory({ name: freshName(), flags: O_CREX, size: PAGE_SIZE, ...options });
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("opening", () => {
  test("flags 0 opens shared memory that exists and creates none", () => {
    const name = freshName();
    expect(() => new SharedMemory({ name })).toThrow(ExistentialError);
    using made = create({ name, flags: O_CREAT, size: 3333 });
    using opened = new SharedMemory({ name });
    expect([made.size, opened.size]).toEqual([3333, 3333]);
  });

  test("O_CREX refuses shared memory that exists", () => {
    using made = create();
    expect(thrownBy(() => create({ name: made.name }))).toMatchObject({
      name: "ExistentialError",
      code: "EEXIST",
      path: made.name,
    });
  });

  test("size 0 or none leaves the size: 0 of a new object, what it was of an existing one", () => {
    using made = create({ size: 0 });
    expect(made.size).toBe(0);
    ftruncateSync(made.fd, 100);
    using opened = new SharedMemory({ name: made.name, flags: O_CREAT });
    using again = new SharedMemory({ name: made.name, size: 0 });
    expect([made.size, opened.size, again.size]).toEqual([100, 100, 100]);
  });

  test("a smaller size is refused, as others would be killed, unless shrink or O_TRUNC says so", () => {
    using made = create({ size: 2 * PAGE_SIZE });
    using map = made.map();
    map.bytes[2 * PAGE_SIZE - 1] = 7;
    const smaller = { name: made.name, flags: O_CREAT, size: PAGE_SIZE };
    expect(() => new SharedMemory(smaller)).toThrow(RangeError);
    expect(() => new SharedMemory(smaller)).toThrow(/8192 bytes long.* shrink: true/);
    expect(() => new SharedMemory({ ...smaller, shrink: false })).toThrow(RangeError);
    expect([made.size, map.bytes[2 * PAGE_SIZE - 1]]).toEqual([2 * PAGE_SIZE, 7]);
    using same = new SharedMemory({ ...smaller, size: 2 * PAGE_SIZE });
    using cut = new SharedMemory({ ...smaller, shrink: true });
    expect([same.size, cut.size]).toEqual([PAGE_SIZE, PAGE_SIZE]);
    expect(() => new SharedMemory({ ...smaller, shrink: 1 as never })).toThrow(TypeError);
  });

  test("another size resizes, up and down, and what stays keeps its bytes", () => {
    using made = create({ size: 2 * PAGE_SIZE });
    writeSync(made.fd, "keep");
    using larger = new SharedMemory({ name: made.name, size: 4 * PAGE_SIZE });
    expect([made.size, larger.size]).toEqual([4 * PAGE_SIZE, 4 * PAGE_SIZE]);
    using smaller = new SharedMemory({ name: made.name, flags: O_CREAT, size: 10, shrink: true });
    expect(made.size).toBe(10);
    using map = smaller.map();
    expect(text(map.bytes)).toBe("keep\0\0\0\0\0\0");
  });

  test("O_TRUNC empties shared memory", () => {
    using made = create();
    using emptied = new SharedMemory({ name: made.name, flags: O_TRUNC });
    expect([made.size, emptied.size]).toEqual([0, 0]);
    using anew = new SharedMemory({ name: made.name, flags: O_TRUNC, size: 8 });
    expect(anew.size).toBe(8);
  });

  test("the mode of shared memory is 0600 unless told otherwise", () => {
    using plain = create();
    using shared = create({ mode: 0o640 });
    expect([plain.mode, shared.mode]).toEqual([0o600, 0o640]);
    expect(fstatSync(shared.fd).mode & 0o777).toBe(0o640);
  });

  test("name null picks a random unused name for shared memory", () => {
    using memory = new SharedMemory({ name: null, size: 1024 });
    expect(memory.name).toMatch(/^\/bun-[0-9a-f]{16}$/);
    expect(memory.size).toBe(1024);
    memory.unlink();
  });
});

describe("mapping", () => {
  test("two maps of shared memory show the same bytes, and need neither descriptor nor name", () => {
    const memory = create();
    using one = memory.map();
    using two = memory.map({ byteOffset: 0, byteLength: 100 });
    memory.close();
    memory.unlink();
    one.bytes.set([1, 2, 3]);
    expect([...two.bytes.subarray(0, 3)]).toEqual([1, 2, 3]);
    expect([one.length, two.length]).toEqual([PAGE_SIZE, 100]);
  });

  test("byteOffset and access of a map are respected", () => {
    using memory = create({ size: 2 * PAGE_SIZE });
    using second = memory.map({ byteOffset: PAGE_SIZE });
    using copy = memory.map({ access: "copy" });
    using whole = memory.map();
    second.bytes[0] = 5;
    copy.bytes[0] = 9;
    expect([whole.bytes[0], whole.bytes[PAGE_SIZE]]).toEqual([0, 5]);
    expect(() => memory.map({ byteOffset: 3 })).toThrow(RangeError);
    expect(() => memory.map({ byteLength: 3 * PAGE_SIZE })).toThrow(RangeError);
  });

  test("viewOf gives a struct on the shared memory, until close()", () => {
    const memory = create();
    const robot = memory.viewOf(Robot);
    robot.speed = 2.5;
    robot.label = "r2";
    using other = new SharedMemory({ name: memory.name });
    expect(other.viewOf(Robot)).toMatchObject({ id: 0, speed: 2.5, label: "r2" });
    expect(memory.viewOf(Robot, 12).id).toBe(0x4004_0000); // the upper half of 2.5
    memory.close();
    expect(() => robot.speed).toThrow(TypeError);
    expect(other.viewOf(Robot).speed).toBe(2.5);
  });

  test("viewOf sees what the object has grown to, and refuses one that is too short", () => {
    using memory = create({ size: 8 });
    expect(() => memory.viewOf(Robot)).toThrow(/8 bytes long, Robot takes 32 from 0 on: .*size: 32/);
    using grown = new SharedMemory({ name: memory.name, size: 2 * PAGE_SIZE });
    const early = memory.viewOf(Robot);
    const late = memory.viewOf(Robot, PAGE_SIZE);
    late.id = 7;
    expect(grown.viewOf(Robot, PAGE_SIZE).id).toBe(7);
    expect(early.id).toBe(0);
    expect(() => memory.viewOf(Robot, -1)).toThrow(RangeError);
  });

  test("readOnly refuses stores: views throw, and maps to write are refused", () => {
    using memory = create();
    memory.viewOf(Robot).id = 3;
    using reader = new SharedMemory({ name: memory.name, readOnly: true });
    const robot = reader.viewOf(Robot);
    expect(robot.id).toBe(3);
    expect(() => {
      robot.id = 4;
    }).toThrow(TypeError);
    expect(thrownBy(() => reader.map({ access: "write" }))).toMatchObject({
      name: "PermissionsError",
      path: memory.name,
    });
    using map = reader.map();
    expect(() => map.bytes).toThrow(TypeError);
    expect(map.slice(0, 1)).toEqual(new Uint8Array([3]));
    for (const options of [{ size: 8 }, { flags: O_TRUNC }]) {
      expect(() => new SharedMemory({ name: memory.name, readOnly: true, ...options })).toThrow(TypeError);
    }
  });

  test("an empty object cannot be mapped; errors and console.log call the object by its name", () => {
    using memory = create({ size: 0 });
    expect(thrownBy(() => memory.map())).toMatchObject({
      name: "RangeError",
      message: `'${memory.name}' is 0 bytes long: there is nothing to map from offset 0`,
    });
    using full = create();
    using map = full.map();
    expect(Bun.inspect(map)).toStartWith(`MemoryMap of ${full.name}, `);
  });
});

describe("closing and unlinking", () => {
  test("closeFd twice does nothing more; fd is -1 and asking the rest throws ClosedError", () => {
    using memory = create();
    memory.closeFd();
    memory.closeFd();
    expect(memory.fd).toBe(-1);
    for (const use of [
      () => memory.size,
      () => memory.mode,
      () => memory.map(),
      () => memory.viewOf(Robot),
    ]) {
      expect(use).toThrow(ClosedError);
    }
  });

  test("a close that was refused while bytes are in use can be repeated, and then ends every view", async () => {
    const memory = create({ size: 4096 });
    const small = memory.viewOf(Robot);
    using grown = new SharedMemory({ name: memory.name, size: 8 << 20 });
    const large = memory.viewOf(Robot, grown.size - sizeof(Robot));
    const path = join(tmpdir(), `shmstruct-busy-${process.pid}`);
    await using file = await open(path, "w");
    const writing = file.write(bytesOf(large));
    const alsoWriting = file.write(bytesOf(small));
    expect(thrownBy(() => memory.close())).toMatchObject({ name: "ShmError", code: "BUSY" });
    expect(memory.fd).toBeGreaterThan(0);
    await Promise.all([writing, alsoWriting]);
    memory.close();
    rmSync(path);
    expect(memory.fd).toBe(-1);
    expect(() => small.id).toThrow(TypeError);
    expect(() => large.id).toThrow(TypeError);
  });

  test("unlink leaves the memory to its users, and the name free for another one", () => {
    using old = create({ size: 10 });
    old.unlink();
    expect(() => new SharedMemory({ name: old.name })).toThrow(ExistentialError);
    using fresh = create({ name: old.name, size: 20 });
    expect([old.size, fresh.size]).toEqual([10, 20]);
  });

  test("unlinking shared memory works after close, and a missing one is an ExistentialError", () => {
    const memory = create();
    memory.close();
    memory.unlink();
    expect(() => memory.unlink()).toThrow(ExistentialError);
    expect(() => unlinkSharedMemory(memory.name)).toThrow(ExistentialError);
  });
});

describe("bad input", () => {
  test("wrong names, sizes and options of shared memory are refused", () => {
    const wrong = (options: object) => thrownBy(() => create(options));
    for (const name of ["no-slash", "/", "/a/b", undefined])
      expect(wrong({ name })).toBeInstanceOf(TypeError);
    expect(String(wrong({ name: `/${"x".repeat(256)}` }))).toContain("255");
    for (const size of [-1, 1.5, Number.NaN]) expect(wrong({ size })).toBeInstanceOf(RangeError);
    expect(wrong({ size: "4096" })).toBeInstanceOf(TypeError);
    for (const mode of [-1, 0o1000, 1.5]) expect(wrong({ mode })).toBeInstanceOf(RangeError);
    expect(() => unlinkSharedMemory("none")).toThrow(TypeError);
  });

  test("a size for which there is no storage fails at once and leaves nothing behind", () => {
    const name = freshName();
    const error = thrownBy(() => create({ name, size: 2 ** 52 })) as { code: string };
    expect(["ENOSPC", "EFBIG", "ENOMEM"]).toContain(error.code);
    expect(() => new SharedMemory({ name })).toThrow(ExistentialError);
  });
});

describe.skipIf(!hasTool("python3"))("with multiprocessing.shared_memory (needs python3)", () => {
  const python = (...args: string[]) => {
    const program = `${import.meta.dir}/../process/posix-shared-memory.py`;
    const { stdout, stderr, success } = Bun.spawnSync(["python3", program, ...args]);
    if (!success) throw new Error(stderr.toString());
    return stdout.toString().trim().split("\n");
  };

  test("Python reads and writes shared memory that we created (needs python3)", () => {
    using memory = create();
    using map = memory.map();
    map.bytes.set(new TextEncoder().encode("from bun"));
    expect(python("read", memory.name.slice(1), "8")).toEqual(["from bun", String(PAGE_SIZE)]);
    python("write", memory.name.slice(1), "5", "you");
    expect(text(map.bytes.subarray(0, 8))).toBe("from you");
  });

  test("we read and write shared memory that Python created (needs python3)", () => {
    const name = freshName();
    python("create", name.slice(1), "100", "from python");
    using memory = new SharedMemory({ name });
    using map = memory.map();
    expect(memory.size).toBe(100);
    expect(text(map.bytes.subarray(0, 11))).toBe("from python");
    map.bytes.set(new TextEncoder().encode("FROM"));
    expect(python("read", name.slice(1), "11")[0]).toBe("FROM python");
  });
});

describe("wrong options", () => {
  test("wrong options of shared memory are TypeErrors that name them", () => {
    const open = (options?: unknown) => () => new SharedMemory(options as SharedMemoryOptions);
    for (const wrong of [undefined, null, "/a"])
      expect(open(wrong)).toThrow(/^new SharedMemory: expected opt/);
    expect(open({ name: freshName(), flags: O_CREAT, sise: 5 })).toThrow(/there is no option "sise"/);
    expect(open({ name: freshName(), flags: O_CREAT, readOnly: 1 })).toThrow(/readOnly must be a boolean/);
    using memory = create();
    expect(() => memory.map({ length: 5 } as object)).toThrow(/^map: there is no option "length"/);
  });
});

describe("a size that cannot be had", () => {
  test("a size that cannot be had leaves no object behind that was made for it, with O_CREAT alone too", () => {
    for (const flags of [O_CREAT, O_CREX]) {
      const name = freshName();
      expect(() => new SharedMemory({ name, flags, size: 1e15 })).toThrow(/fallocate/);
      expect(() => new SharedMemory({ name })).toThrow(ExistentialError);
    }
  });

  test("a size that cannot be had leaves an existing object as it was", () => {
    using made = create();
    expect(() => new SharedMemory({ name: made.name, flags: O_CREAT, size: 1e15 })).toThrow(
      /fallocate .*; 1000000000000000 bytes wanted/,
    );
    using again = new SharedMemory({ name: made.name });
    expect(again.size).toBe(PAGE_SIZE);
  });
});

test("looking at the size leaves the descriptor's offset where it is, at the start", () => {
  const { name } = create({ size: 100 });
  using memory = new SharedMemory({ name, flags: O_CREAT, size: 100 });
  writeSync(memory.fd, "one ");
  expect([memory.size, Bun.inspect(memory)]).toEqual([100, `SharedMemory '${name}', 100 bytes`]);
  writeSync(memory.fd, "two");
  using map = memory.map();
  expect(Buffer.from(map.slice(0, 7)).toString()).toBe("one two");
});

test("viewOf goes on when another process makes the object smaller; views made before live on", () => {
  using memory = create({ size: 2 * PAGE_SIZE });
  const before = memory.viewOf(Robot);
  before.id = 5;
  new SharedMemory({ name: memory.name, size: PAGE_SIZE, shrink: true }).close();
  expect(memory.viewOf(Robot).id).toBe(5);
  expect(() => memory.viewOf(Robot, PAGE_SIZE)).toThrow(RangeError);
  expect(before.id).toBe(5);
  memory.close();
  expect(() => before.id).toThrow(TypeError);
});

test("flags that C would cut to other flags, and O_EXCL alone, are refused for each kind of object", () => {
  const name = freshName();
  for (const Class of [SharedMemory, Semaphore, MessageQueue]) {
    for (const flags of [2 ** 32, 2 ** 32 + O_CREX, -(2 ** 32), 2 ** 31, -1])
      expect(() => new Class({ name, flags })).toThrow(RangeError);
    expect(() => new Class({ name, flags: O_EXCL })).toThrow("O_EXCL goes with O_CREAT only");
    expect(() => new Class({ name: null, flags: O_EXCL })).toThrow(RangeError);
  }
});

test("a lone surrogate is refused in every name: UTF-8 would make all of them the same", () => {
  for (const Class of [SharedMemory, Semaphore, MessageQueue])
    expect(() => new Class({ name: "/\ud800", flags: O_CREX })).toThrow(/name .* contains a lone surrogate/);
});

test("properties of shared memory cannot be stored to", () => {
  using memory = create();
  using readOnly = new SharedMemory({ name: memory.name, readOnly: true });
  expect(() => Object.assign(readOnly, { name: "/x" })).toThrow(TypeError);
  expect(() => Object.assign(readOnly, { readOnly: false })).toThrow(TypeError);
  expect(readOnly.map().access).toBe("read");
});

test("console.log shows shared memory on one line: what it is, and whether it is closed", () => {
  const memory = create();
  expect(Bun.inspect(memory)).toBe(`SharedMemory '${memory.name}', ${PAGE_SIZE} bytes`);
  memory.close();
  expect(Bun.inspect(memory)).toBe(`SharedMemory '${memory.name}' (closed)`);
});
