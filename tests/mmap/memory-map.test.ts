import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  closeSync,
  constants,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClosedError, FileFormatError, SystemError, UnsupportedError } from "../../src/errors/errors.ts";
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_NORMAL,
  MADV_REMOVE,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MemoryMap,
  type MemoryMapOptions,
  PROT_READ,
  PROT_WRITE,
  pageSize,
} from "../../src/mmap/index.ts";
import { array, type CArray, c_bool, c_int32, field, Struct, viewOf } from "../../src/struct/index.ts";
import { isEmulated } from "../support/platform.ts";
import { descriptorsOf } from "../support/resources.ts";
import { hasTool, linesOf } from "../support/tools.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-memory-map-"));
const tagPrefix = `shmstruct-test-${process.pid}-${Date.now()}`;
const tags: string[] = [];
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
  for (const tag of tags) MemoryMap.removeTag(tag);
});

class Point extends Struct {
  @field(c_int32) x!: number;
  @field(c_int32) y!: number;
}

let serial = 0;
function file(content: string | number): string {
  const path = join(dir, `file${serial++}`);
  writeFileSync(path, typeof content === "string" ? content : new Uint8Array(content));
  return path;
}
function newTag(): string {
  tags.push(`${tagPrefix}-${serial++}`);
  return tags.at(-1)!;
}
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const descriptors = () => descriptorsOf(dir) + descriptorsOf(tagPrefix);

describe("opening", () => {
  test("the example of Python's documentation works", () => {
    const path = file("Hello Python!\n");
    using map = new MemoryMap(path, 0);
    expect(text(map.readLine())).toBe("Hello Python!\n");
    expect(text(map.slice(undefined, 5))).toBe("Hello");
    map.setSlice(" world!\n", 6);
    map.seek(0);
    expect(text(map.readLine())).toBe("Hello  world!\n");
    expect(readFileSync(path, "utf8")).toBe("Hello  world!\n");
  });

  test("a map of a descriptor leaves it to the caller: it may be closed, and its offset does not move", () => {
    const fd = openSync(file("abcdef"), "r+");
    readSync(fd, new Uint8Array(2));
    using map = new MemoryMap(fd, 0);
    map.read();
    map.resize(8);
    const next = new Uint8Array(1);
    readSync(fd, next);
    expect(text(next)).toBe("c");
    closeSync(fd);
    expect(map.size()).toBe(8);
    expect(text(map.slice(0, 6))).toBe("abcdef");
  });

  test("a map of anonymous memory is written and resized", () => {
    using map = new MemoryMap(-1, 13);
    expect(map.write("Hello world!")).toBe(12);
    map.resize(20_000);
    expect([text(map.slice(0, 13)), map.length, map.size(), map.at(-1)]).toEqual([
      "Hello world!\0",
      20_000,
      20_000,
      0,
    ]);
  });

  test("a map may show a part of a file, from an offset", () => {
    const path = file(3 * pageSize());
    using map = new MemoryMap(path, 100, { offset: pageSize() });
    map.write("here");
    expect([map.length, map.size(), map.offset]).toEqual([100, 3 * pageSize(), pageSize()]);
    expect(text(readFileSync(path).subarray(pageSize(), pageSize() + 4))).toBe("here");
    using rest = new MemoryMap(path, 0, { offset: 2 * pageSize() });
    expect(rest.length).toBe(pageSize());
  });

  test("wrong options of a map are TypeErrors that name them, before anything is opened", () => {
    const missing = join(dir, "missing");
    const open = (options: unknown) => () => new MemoryMap(missing, 0, options as MemoryMapOptions);
    expect(open({ acces: "read" })).toThrow(/^new MemoryMap: there is no option "acces"/);
    expect(open({ access: 1 })).toThrow(/option access must be a string, got 1/);
    expect(open({ trackFd: 0 })).toThrow(/option trackFd must be a boolean/);
    for (const wrong of [null, "read", 5, []]) expect(open(wrong)).toThrow(/expected options such as/);
  });

  test("a map opens a file through a symbolic link", () => {
    const link = join(dir, "link");
    symlinkSync(file("linked"), link);
    using map = new MemoryMap(link);
    expect(text(map.read())).toBe("linked");
  });

  test("a map opens a device", () => {
    using map = new MemoryMap("/dev/zero", 5000, { access: "copy" });
    map.write("x");
    expect(map.slice(0, 2)).toEqual(Uint8Array.of(120, 0));
  });

  const sample = () => file(5000);
  const refused: [what: string, open: () => unknown, error: unknown][] = [
    ["an empty file", () => new MemoryMap(file("")), RangeError],
    ["more than the file has", () => new MemoryMap(sample(), 5001), RangeError],
    ["an offset past the end", () => new MemoryMap(sample(), 0, { offset: 2 * pageSize() }), RangeError],
    ["an offset within a page", () => new MemoryMap(sample(), 1, { offset: 100 }), RangeError],
    ["a negative offset", () => new MemoryMap(sample(), 1, { offset: -pageSize() }), RangeError],
    ["a negative length", () => new MemoryMap(sample(), -1), RangeError],
    ["a length that is no integer", () => new MemoryMap(sample(), 1.5), TypeError],
    ["anonymous memory without a length", () => new MemoryMap(-1, 0), RangeError],
    ["a missing file", () => new MemoryMap(join(dir, "missing")), SystemError],
    ["a directory", () => new MemoryMap(dir, 10, { access: "read" }), SystemError],
    ["a closed descriptor", () => new MemoryMap(987_654, 10), SystemError],
    [
      "a link to nowhere",
      () => {
        const link = join(dir, "dangling");
        rmSync(link, { force: true });
        symlinkSync(join(dir, "missing"), link);
        return new MemoryMap(link);
      },
      SystemError,
    ],
    ["no descriptor at all", () => new MemoryMap(2 ** 32, 10), RangeError],
    [
      "access and prot together",
      () => new MemoryMap(sample(), 0, { access: "read", prot: PROT_READ }),
      TypeError,
    ],
    ["an unknown access", () => new MemoryMap(sample(), 0, { access: "rw" as "read" }), RangeError],
    ["memory that is not readable", () => new MemoryMap(sample(), 0, { prot: PROT_WRITE }), RangeError],
    ["a tagName with a file", () => new MemoryMap(sample(), 10, { tagName: "x" }), TypeError],
    ["a tagName with a slash", () => new MemoryMap(-1, 10, { tagName: "a/b" }), TypeError],
    [
      "a tagName that is missing, without a length",
      () => new MemoryMap(-1, 0, { tagName: tagPrefix }),
      SystemError,
    ],
  ];
  test.each(refused)("opening a map refuses %s and leaks no descriptor", (_, open, error) => {
    const before = descriptors();
    expect(open).toThrow(error as ErrorConstructor);
    expect(descriptors()).toBe(before);
  });

  test("a map says what is wrong with a descriptor opened for reading", () => {
    const fd = openSync(sample(), "r");
    expect(() => new MemoryMap(fd, 0)).toThrow(/EACCES.*for writing too/);
    new MemoryMap(fd, 0, { access: "read" }).close();
    new MemoryMap(fd, 0, { access: "copy" }).close();
    closeSync(fd);
  });
});

describe("access", () => {
  const writes: [name: string, write: (map: MemoryMap) => unknown][] = [
    ["write", (map) => map.write("x")],
    ["writeByte", (map) => map.writeByte(1)],
    ["set", (map) => map.set(0, 1)],
    ["setSlice", (map) => map.setSlice("x", 0, 1)],
    ["move", (map) => map.move(0, 1, 1)],
    ["resize", (map) => map.resize(10)],
    ["bytes", (map) => map.bytes],
  ];

  test.each(writes)('a map with access "read" refuses %s with TypeError', (_, write) => {
    const path = file("content");
    for (const options of [{ access: "read" }, { prot: PROT_READ }] satisfies MemoryMapOptions[]) {
      using map = new MemoryMap(path, 0, options);
      expect(map.access).toBe("read");
      expect(() => write(map)).toThrow(TypeError);
      expect(text(map.read())).toBe("content");
      map.flush();
    }
  });

  test('bytes of a map with access "read" is an error that says what to do instead', () => {
    using map = new MemoryMap(file("x"), 0, { access: "read" });
    expect(() => map.bytes).toThrow(/slice\(\).*viewOf.*access: "copy"/);
  });

  test('stores to a map with access "copy" stay private, and bytes is the file\'s own memory until then', () => {
    const path = file("content");
    using shared = new MemoryMap(path);
    for (const options of [{ access: "copy" }, { flags: MAP_PRIVATE }] satisfies MemoryMapOptions[]) {
      using map = new MemoryMap(path, 0, options);
      expect(map.access).toBe("copy");
      shared.set(0, 67);
      expect(text(map.bytes)).toBe("Content");
      map.write("private");
      expect([text(map.slice()), readFileSync(path, "utf8")]).toEqual(["private", "Content"]);
      expect(() => map.resize(10)).toThrow(TypeError);
      map.madvise(MADV_DONTNEED);
      expect(text(map.slice())).toBe("Content");
    }
  });

  test("private anonymous memory can be written and resized", () => {
    using map = new MemoryMap(-1, 10, { flags: MAP_PRIVATE });
    map.resize(10_000);
    expect([map.access, map.length]).toEqual(["write", 10_000]);
  });
});

test("viewOf lays a struct on a map: writable, or refusing stores where the map does", () => {
  const path = file(8192);
  using map = new MemoryMap(path);
  using readOnly = new MemoryMap(path, 0, { access: "read" });
  const point = viewOf(Point, map, 100);
  const seen = viewOf(Point, readOnly, 100);
  point.x = 7;
  expect([seen.x, map.at(100)]).toEqual([7, 7]);
  expect(() => {
    seen.x = 1;
  }).toThrow(TypeError);
  expect(() => viewOf(Point, map, 8190)).toThrow(RangeError);
  map.resize(9000);
  expect(() => point.x).toThrow(TypeError);
  readOnly.close();
  expect(() => seen.x).toThrow(TypeError);
});

describe("as a file", () => {
  test("a write past the end of a map writes nothing, a read past the end gives what is there", () => {
    using map = new MemoryMap(-1, 10);
    map.seek(-4, "end");
    expect(() => map.write("12345")).toThrow(RangeError);
    expect([map.tell(), [...map.slice(6)]]).toEqual([6, [0, 0, 0, 0]]);
    expect(map.write("1234")).toBe(4);
    expect(() => map.writeByte(1)).toThrow(RangeError);
    expect(() => map.readByte()).toThrow(RangeError);
    map.seek(-2, "current");
    expect(text(map.read(100))).toBe("34");
    expect(map.read(5).length).toBe(0);
  });

  test("seek returns the position, and moves nowhere when it may not", () => {
    using map = new MemoryMap(-1, 10);
    expect([map.seek(3), map.seek(2, "current"), map.seek(-1, "end"), map.seekable()]).toEqual([
      3,
      5,
      9,
      true,
    ]);
    for (const [offset, whence] of [
      [11, "set"],
      [-1, "set"],
      [2, "current"],
      [1, "end"],
    ] as const) {
      expect(() => map.seek(offset, whence)).toThrow(RangeError);
    }
    expect(() => map.seek(0, "toString" as "set")).toThrow(/whence.*toString/);
    expect(map.tell()).toBe(9);
  });

  test("find and rfind take bytes, text and single bytes, from the position on", () => {
    using map = new MemoryMap(file("one two, öne twö"));
    expect([
      map.find("two"),
      map.rfind("tw"),
      map.find("ö"),
      map.find(0x20),
      map.rfind(Uint8Array.of(0x74)),
    ]).toEqual([4, 14, 9, 3, 14]);
    map.seek(5);
    expect([map.find("one"), map.find("one", 0), map.find("two", -5), map.rfind("o", 0, 7)]).toEqual([
      -1, 0, -1, 6,
    ]);
    expect(() => map.find(256)).toThrow(RangeError);
    expect(() => map.find(null as never)).toThrow(TypeError);
  });

  test("write takes whatever holds bytes, but nothing that is gone", () => {
    using map = new MemoryMap(-1, 100);
    const words = Uint16Array.of(0x4241, 0x4443);
    expect(map.write(words) + map.write(words.buffer) + map.write(new DataView(words.buffer, 1, 2))).toBe(10);
    expect(text(map.slice(0, 10))).toBe("ABCDABCDBC");
    const gone = new MemoryMap(-1, 10);
    const { bytes } = gone;
    gone.close();
    expect(() => map.write(bytes)).toThrow(/detached/);
    expect(() => map.write(5 as never)).toThrow(TypeError);
    expect(() => map.write("a\ud800")).toThrow(/lone surrogate/);
  });

  test("move copies overlapping ranges rightly", () => {
    using map = new MemoryMap(file("0123456789"));
    map.move(2, 0, 6);
    expect(text(map.read())).toBe("0101234589");
    expect(() => map.move(5, 0, 6)).toThrow(RangeError);
    expect(() => map.move(0, -1, 1)).toThrow(RangeError);
  });
});

describe("as a sequence", () => {
  test("at, set, iteration, and bytes see the same memory", () => {
    using map = new MemoryMap(-1, 4);
    map.set(-1, 255);
    map.bytes[0] = 7;
    expect([map.at(0), map.at(-1), [...map]]).toEqual([7, 255, [7, 0, 0, 255]]);
    for (const index of [4, -5]) {
      expect(() => map.at(index)).toThrow(RangeError);
      expect(() => map.set(index, 0)).toThrow(RangeError);
    }
    for (const value of [-1, 256]) expect(() => map.set(0, value)).toThrow(RangeError);
    for (const value of [1.5, Number.NaN, "1"]) expect(() => map.set(0, value as number)).toThrow(TypeError);
    expect(map.at(0)).toBe(7);
  });

  test("a map gives and takes slices with steps, also from itself", () => {
    using map = new MemoryMap(file("0123456789"));
    expect([
      text(map.slice(undefined, undefined, -3)),
      text(map.slice(-3)),
      text(map.slice(8, 2, -2)),
    ]).toEqual(["9630", "789", "864"]);
    map.setSlice(map.bytes, undefined, undefined, -1);
    expect(text(map.slice())).toBe("9876543210");
    expect(() => map.setSlice("abc", 0, 10, 5)).toThrow(/3 bytes cannot replace 2/);
    expect(() => map.slice(0, 1, 0)).toThrow(RangeError);
    expect(text(map.slice())).toBe("9876543210");
  });

  test("bytes of a map goes into any API without a copy", async () => {
    const path = file("0123456789");
    using map = new MemoryMap(path);
    expect(Bun.hash(map.bytes)).toBe(Bun.hash("0123456789"));
    expect(new TextDecoder().decode(map.bytes.subarray(2, 4))).toBe("23");
    await using source = await open(file("abc"));
    await source.read(map.bytes, 1, 3, 0);
    expect(readFileSync(path, "utf8")).toBe("0abc456789");
  });
});

describe("resize", () => {
  test("resize changes file and map, and detaches what bytes gave", () => {
    const path = file("0123456789");
    using map = new MemoryMap(path);
    const { bytes } = map;
    map.resize(3 * pageSize());
    expect([bytes.length, map.length, map.size(), statSync(path).size]).toEqual([
      0,
      ...Array(3).fill(3 * pageSize()),
    ]);
    map.set(-1, 1);
    map.resize(4);
    expect(readFileSync(path, "utf8")).toBe("0123");
  });

  test("resize leaves other maps of the file right when it grows", () => {
    const path = file("0123456789");
    using map = new MemoryMap(path);
    using other = new MemoryMap(path, 0, { access: "read" });
    map.resize(100_000);
    map.write("new");
    expect([text(other.slice(0, 4)), other.length, other.size()]).toEqual(["new3", 10, 100_000]);
  });

  test("resize cuts behind the map's own end only, when it starts at an offset", () => {
    const path = file(3 * pageSize());
    using map = new MemoryMap(path, 10, { offset: pageSize() });
    map.resize(20);
    expect(statSync(path).size).toBe(pageSize() + 20);
  });

  test("resize refuses to cut what another map in this process needs", () => {
    const path = file(3 * pageSize());
    using map = new MemoryMap(path);
    const second = new MemoryMap(path, 10, { access: "copy", offset: 2 * pageSize() });
    expect(() => map.resize(pageSize())).toThrow(/another mapping in this process/);
    expect([map.length, statSync(path).size, second.at(0)]).toEqual([3 * pageSize(), 3 * pageSize(), 0]);
    second.close();
    using third = new MemoryMap(path, pageSize());
    map.resize(pageSize());
    expect(third.at(-1)).toBe(0);
  });

  test("resize refuses to cut what a map in another thread needs", async () => {
    const path = file(3 * pageSize());
    using map = new MemoryMap(path);
    const worker = new Worker(new URL("../process/mmap-worker.ts", import.meta.url));
    const answer = () =>
      new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
    const opened = answer();
    worker.postMessage(path);
    await opened;
    expect(() => map.resize(pageSize())).toThrow(/another mapping in this process/);
    const closed = answer();
    worker.postMessage("close");
    await closed;
    map.resize(pageSize());
    worker.terminate();
  });

  test("resize is refused while an asynchronous operation uses the memory, and changes nothing then", async () => {
    const path = file(1 << 24);
    using map = new MemoryMap(path);
    const sink = await open(join(dir, "sink"), "w");
    const writing = sink.write(map.bytes, 0, 1 << 24, 0);
    expect(() => map.resize(10)).toThrow(/asynchronous/);
    expect([map.length, statSync(path).size, map.at(-1)]).toEqual([1 << 24, 1 << 24, 0]);
    await writing;
    await sink.close();
    map.resize(10);
  });

  test("resize keeps the position, past the new end too", () => {
    using map = new MemoryMap(file("0123456789"));
    map.seek(8);
    map.resize(5);
    expect([map.tell(), map.read().length]).toEqual([8, 0]);
    expect(() => map.write("")).toThrow(RangeError);
    expect(map.seek(-1, "end")).toBe(4);
  });

  test.each([0, -1, 2 ** 32 + 1])("resize refuses length %p before it touches the file", (length) => {
    const path = file("0123456789");
    using map = new MemoryMap(path);
    expect(() => map.resize(length)).toThrow(RangeError);
    expect(statSync(path).size).toBe(10);
  });
});

describe("a file that another process truncates", () => {
  test("a file that another process truncates is noticed before the memory is touched", () => {
    const path = file(4 * pageSize());
    const fd = openSync(path, "r+");
    for (const target of [path, fd]) {
      truncateSync(path, 4 * pageSize());
      using map = new MemoryMap(target);
      ftruncateSync(fd, 10);
      map.seek(pageSize());
      const touches = [
        () => map.read(),
        () => map.readLine(),
        () => map.write("x"),
        () => map.find("x"),
        () => map.rfind("x"),
        () => map.slice(),
        () => map.setSlice("x", 0, 1),
        () => map.move(0, pageSize(), 1),
        () => map.bytes,
        () => [...map],
      ];
      for (const touch of touches) expect(touch).toThrow(FileFormatError);
      expect(() => map.read()).toThrow(/was cut to 10 bytes, but is mapped up to/);
      map.resize(pageSize());
      expect(map.slice().length).toBe(pageSize());
    }
    closeSync(fd);
  });
});

/** <linux/mman.h>: they break pages, or make each access a crash. */
const [MADV_HWPOISON, MADV_SOFT_OFFLINE, MADV_GUARD_INSTALL] = [100, 101, 102];

describe("flush and madvise", () => {
  test("flush and madvise take whole pages' starts, and ranges within the map", () => {
    using map = new MemoryMap(file(3 * pageSize()));
    map.flush();
    map.flush(pageSize());
    map.flush(pageSize(), 1);
    expect(() => map.flush(1, 1)).toThrow(/multiple of the page size/);
    expect(() => map.flush(0, 3 * pageSize() + 1)).toThrow(RangeError);
    map.madvise(MADV_NORMAL);
    map.madvise(MADV_NORMAL, pageSize(), 2 ** 40);
    expect(() => map.madvise(MADV_NORMAL, 1)).toThrow(/multiple of the page size/);
    expect(() => map.madvise(MADV_NORMAL, 3 * pageSize())).toThrow(RangeError);
    // qemu says yes to any advice.
    if (!isEmulated) expect(() => map.madvise(MADV_FREE)).toThrow(SystemError);
  });

  test("flush and madvise refuse what would make the memory unusable", () => {
    using map = new MemoryMap(file(3 * pageSize()));
    for (const advice of [12345, -1, MADV_REMOVE, MADV_HWPOISON, MADV_SOFT_OFFLINE, MADV_GUARD_INSTALL]) {
      expect(() => map.madvise(advice)).toThrow(RangeError);
    }
    expect(map.slice(-3)).toHaveLength(3);
    const [MAP_GROWSDOWN, MAP_HUGETLB, MAP_SYNC] = [0x100, 0x40000, 0x80000];
    for (const flag of [MAP_GROWSDOWN, MAP_HUGETLB, MAP_SYNC]) {
      const flags = MAP_PRIVATE | flag;
      expect(() => new MemoryMap(-1, 4096, { flags })).toThrow(
        `bits other than the MAP_* constants: ${flag}`,
      );
    }
  });
});

describe("trackFd: false", () => {
  test("a map with trackFd: false keeps no descriptor, so it can neither tell the size nor resize", () => {
    const before = descriptors();
    using map = new MemoryMap(file("0123456789"), 0, { trackFd: false });
    expect(descriptors()).toBe(before);
    expect(text(map.read())).toBe("0123456789");
    map.flush();
    expect(() => map.size()).toThrow(UnsupportedError);
    expect(() => map.resize(20)).toThrow(UnsupportedError);
  });
});

describe("close", () => {
  test("close makes everything throw ClosedError but closed and close", () => {
    const before = descriptors();
    const map = new MemoryMap(file("0123456789"));
    const { bytes } = map;
    const iterator = map[Symbol.iterator]();
    iterator.next();
    map.close();
    map.close();
    expect([map.closed, bytes.length, descriptors()]).toEqual([true, 0, before]);
    const uses = [
      () => map.length,
      () => map.bytes,
      () => map.tell(),
      () => map.seekable(),
      () => map.seek(0),
      () => map.read(),
      () => map.readLine(),
      () => map.readByte(),
      () => map.write(""),
      () => map.writeByte(0),
      () => map.find(""),
      () => map.rfind(""),
      () => map.move(0, 0, 0),
      () => map.at(0),
      () => map.set(0, 0),
      () => map.slice(),
      () => map.setSlice("", 0, 0),
      () => [...map],
      () => iterator.next(),
      () => map.size(),
      () => map.resize(1),
      () => map.flush(),
      () => map.madvise(0),
    ];
    for (const use of uses) expect(use).toThrow(ClosedError);
  });

  test("a map is closed at the end of a using block", () => {
    let kept: MemoryMap;
    {
      using map = new MemoryMap(-1, 10);
      kept = map;
    }
    expect(kept.closed).toBe(true);
  });
});

describe("tagName", () => {
  test("memory with a tagName is the same for every opener, and outlives them until it is removed", () => {
    const tagName = newTag();
    {
      using map = new MemoryMap(-1, 100, { tagName });
      using whole = new MemoryMap(-1, 0, { tagName: `/${tagName}` });
      using part = new MemoryMap(-1, 5, { tagName, access: "read" });
      map.write("shared");
      expect([text(whole.read(6)), text(part.read()), whole.length, part.length]).toEqual([
        "shared",
        "share",
        100,
        5,
      ]);
      expect(() => part.set(0, 1)).toThrow(TypeError);
      expect(() => new MemoryMap(-1, 101, { tagName })).toThrow(/100 bytes long/);
    }
    using again = new MemoryMap(-1, 100, { tagName });
    expect(text(again.read(6))).toBe("shared");
    expect([MemoryMap.removeTag(tagName), MemoryMap.removeTag(tagName)]).toEqual([true, false]);
    using other = new MemoryMap(-1, 10, { tagName });
    expect([other.at(0), again.at(0)]).toEqual([0, "s".charCodeAt(0)]);
  });

  test("memory with a tagName has room behind every byte, or is not made at all", () => {
    const tagName = newTag();
    // 2^32 bytes at this offset are more than any machine's memory.
    expect(() => new MemoryMap(-1, 2 ** 32, { tagName, offset: 2 ** 50 })).toThrow(SystemError);
    expect(MemoryMap.removeTag(tagName)).toBe(false);
  });

  const impossible: [what: string, length: number, options: MemoryMapOptions, error: unknown][] = [
    ["an offset without a length", 0, { offset: pageSize() }, SystemError],
    ["a length above 4 GiB", 2 ** 32 + 4096, {}, RangeError],
    ["an offset within a page", 10, { offset: 5 }, RangeError],
    ["memory that is not readable", 10, { prot: PROT_WRITE }, RangeError],
    ["flags that the kernel refuses", 10, { flags: 0 }, SystemError],
    ["a mode with bits of a file type", 10, { mode: 0o170000 }, RangeError],
    ["a mode that is no integer", 10, { mode: -1.5 }, RangeError],
  ];
  test.each(impossible)(
    "a tagName with %s is refused, and no memory is left behind",
    (_, length, options, error) => {
      const tagName = newTag();
      expect(() => new MemoryMap(-1, length, { tagName, ...options })).toThrow(error as ErrorConstructor);
      expect([MemoryMap.removeTag(tagName), descriptorsOf(tagName)]).toEqual([false, 0]);
    },
  );

  test("memory with a tagName that others made is kept when it cannot be mapped", () => {
    const tagName = newTag();
    using map = new MemoryMap(-1, 10, { tagName });
    expect(() => new MemoryMap(-1, 10, { tagName, flags: 0 })).toThrow(SystemError);
    expect([map.length, MemoryMap.removeTag(tagName)]).toEqual([10, true]);
  });

  test("processes that open a tagName at once get one memory", async () => {
    const tagName = newTag();
    const child = join(import.meta.dir, "../process/mmap-tag.ts");
    const children = Array.from({ length: 6 }, (_, i) =>
      Bun.spawn([process.execPath, child, tagName, String(i)], { stdout: "pipe", stderr: "inherit" }),
    );
    expect(await Promise.all(children.map((process) => process.exited))).toEqual(Array(6).fill(0));
    using map = new MemoryMap(-1, 0, { tagName });
    expect([map.length, ...map.slice(0, 6)]).toEqual([100_000, 1, 2, 3, 4, 5, 6]);
  }, 240_000);
});

test.skipIf(!hasTool("python3"))(
  "a map shares a file live with a Python process (needs python3)",
  async () => {
    const path = file(8192);
    using map = new MemoryMap(path, 1024);
    const python = Bun.spawn(["python3", join(import.meta.dir, "../process/mmap-echo.py"), path], {
      stdin: "pipe",
      stdout: "pipe",
    });
    const lines = linesOf(python.stdout);
    const said = async () => (await lines.next()).value;
    expect(await said()).toBe("mapped");
    for (const word of ["first", "second, longer", "ö"]) {
      map.seek(0);
      map.write(`${word}\n`);
      python.stdin.write("turn\n");
      python.stdin.flush();
      expect(await said()).toBe("turned");
      expect(text(map.readLine())).toBe(`${[...Buffer.from(word)].reverse().join(" ")}\n`);
    }
    python.stdin.end();
    expect(await python.exited).toBe(0);
  },
  240_000,
);

test("resize does not cut within the last page of another map; it may once that is closed", () => {
  const path = file("x".repeat(100));
  using map = new MemoryMap(path, 0);
  for (const options of [{}, { access: "read" }, { access: "copy" }, { trackFd: false }] as const) {
    using other = new MemoryMap(path, 0, options);
    expect(() => map.resize(50)).toThrow("another mapping in this process needs them");
    expect(text(other.slice(98))).toBe("xx");
  }
  map.resize(50);
  expect(statSync(path).size).toBe(50);
});

test("flags and prot of a map are whole numbers of 31 bits, as for mmap", () => {
  const path = file("abc");
  for (const wrong of [{ flags: 1.5 }, { prot: 3.9 }, { flags: Number.NaN }])
    expect(() => new MemoryMap(path, 0, wrong)).toThrow(TypeError);
  for (const fixed of [0x10, 0x10_0000]) {
    const place = () => new MemoryMap(-1, 10, { flags: MAP_SHARED | fixed });
    expect(place).toThrow(/MAP_FIXED.*page 0/);
  }
  for (const wrong of [{ flags: 2 ** 32 + 1 }, { prot: -1 }, { prot: 2 ** 31 }])
    expect(() => new MemoryMap(path, 0, wrong)).toThrow(RangeError);
});

test("an array of more than 2^31 elements on a map is counted from its end, too", () => {
  class Flags extends Struct {
    @field(array(c_bool)) all!: CArray<boolean>;
  }
  const length = 2 ** 31 + 16;
  using map = new MemoryMap(-1, length, { flags: MAP_PRIVATE | MAP_NORESERVE });
  const { all } = viewOf(Flags, map);
  map.set(16, 1);
  map.set(length - 1, 1);
  expect([-(2 ** 31), 16, -1, length - 1, -2, 0].map((i) => all.at(i))).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
  for (const outside of [-length - 1, length, 2 ** 32])
    expect(() => all.at(outside)).toThrow("outside an array");
});

test("a value that is neither a path nor a descriptor is told so; a pipe has no length of its own", () => {
  const url = new URL("file:///tmp/x") as never;
  expect(() => new MemoryMap(url, 0)).toThrow("expected a path as string, a descriptor, or -1");
  expect(() => new MemoryMap(-1, 0)).toThrow(
    "the length of a mapping must be a whole number of bytes from 1",
  );
  const pipe = join(dir, "pipe");
  Bun.spawnSync(["mkfifo", pipe]);
  const fd = openSync(pipe, constants.O_RDWR);
  expect(() => new MemoryMap(fd, 0)).toThrow("is no regular file, so it has no length to map");
  closeSync(fd);
});

test("flush says what is wrong with its range", () => {
  using map = new MemoryMap(file("x".repeat(23)), 0);
  expect(() => map.flush(8192)).toThrow("range 8192 + 0 is not within the 23 mapped bytes");
  expect(() => map.flush(0, 24)).toThrow("range 0 + 24 is not within the 23 mapped bytes");
  expect(() => map.flush(23)).toThrow("offset must be a multiple of the page size");
});

test("properties of a map cannot be stored to", () => {
  using map = new MemoryMap(file("abc"), 0, { access: "read" });
  const stored = map as unknown as { access: string; offset: number };
  expect(() => {
    stored.access = "write";
  }).toThrow(TypeError);
  expect(() => {
    stored.offset = 4096;
  }).toThrow(TypeError);
  Object.defineProperty(map, "access", { value: "write" });
  expect(() => map.write("x")).toThrow("a read-only MemoryMap cannot be written to");
  expect(() => map.bytes).toThrow(TypeError);
});

test("console.log shows a map on one line: what it is, and whether it is closed", () => {
  const path = file(5000);
  const map = new MemoryMap(path, 0, { access: "read" });
  expect(Bun.inspect(map)).toBe(`MemoryMap of ${path}, 5000 bytes from 0, access "read"`);
  map.close();
  expect(Bun.inspect(map)).toBe(`MemoryMap of ${path} (closed)`);
});
