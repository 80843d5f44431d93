import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileFormatError, ShmError, SystemError } from "../../src/errors/errors.ts";
import { closeFile } from "../../src/sys/descriptor.ts";
import { openFile, pageSize } from "../../src/sys/file.ts";
import { O_RDONLY, O_RDWR } from "../../src/sys/libc/constants.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { isEmulated } from "../support/platform.ts";
import { descriptorsOf, mappingsOf } from "../support/resources.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-mapping-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let serial = 0;
function file(byteLength: number): string {
  const path = join(dir, `file${serial++}`);
  writeFileSync(path, "");
  truncateSync(path, byteLength);
  return path;
}
const descriptors = () => descriptorsOf(dir);
const mappings = () => mappingsOf(dir);

describe("what is mapped", () => {
  test("stores to a 'write' mapping reach the file, and stores to the file reach it", () => {
    const page = pageSize();
    const path = file(2 * page);
    using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: page + 904, path });
    mapping.bytes.set([1, 2, 3], page + 901);
    expect([...readFileSync(path).subarray(page + 900, page + 905)]).toEqual([0, 1, 2, 3, 0]);
    using second = Mapping.map(openFile(path, O_RDONLY), {
      byteLength: page,
      byteOffset: page,
      access: "read",
    });
    expect([...second.bytes.subarray(900, 905)]).toEqual([0, 1, 2, 3, 0]);
    expect([second.access, second.byteLength, mapping.access]).toEqual(["read", page, "write"]);
  });

  test("stores to a 'copy' mapping stay private", () => {
    const path = file(4096);
    using mapping = Mapping.map(openFile(path, O_RDONLY), { byteLength: 4096, access: "copy", path });
    mapping.bytes[0] = 9;
    expect(readFileSync(path)[0]).toBe(0);
  });

  test("a file is mapped from an offset beyond 4 GiB", () => {
    const path = file(2 ** 33 + 4096);
    using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 4096, byteOffset: 2 ** 33, path });
    mapping.bytes[4095] = 7;
    const fd = openSync(path, "r");
    const byte = new Uint8Array(1);
    readSync(fd, byte, 0, 1, 2 ** 33 + 4095);
    closeSync(fd);
    expect(byte[0]).toBe(7);
  });

  test("4 GiB of a file are mapped as one buffer", () => {
    const path = file(2 ** 32);
    using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 2 ** 32, path });
    mapping.bytes[2 ** 32 - 1] = 5;
    expect(mapping.bytes.length).toBe(2 ** 32);
    mapping.flush(2 ** 32 - 1);
  });

  test("anonymous memory is zeroed and writable", () => {
    using mapping = Mapping.anonymous(10_000);
    expect(mapping.bytes.every((byte) => byte === 0)).toBe(true);
    mapping.bytes.fill(255);
    expect([mapping.fd, mapping.path, mapping.byteLength]).toEqual([-1, undefined, 10_000]);
  });
});

describe("what is refused, leaking nothing", () => {
  const path = file(5000);
  const refuse = (
    options: Parameters<typeof Mapping.map>[1],
    error: (new (...args: never[]) => Error) | RegExp,
    flags = O_RDWR,
  ) => {
    const before = [descriptors(), mappings()];
    expect(() => Mapping.map(openFile(path, flags), { path, ...options })).toThrow(error);
    expect([descriptors(), mappings()]).toEqual(before);
  };

  test.each([0, -1, 1.5, Number.NaN, 2 ** 32 + 1])(
    "a mapping of byteLength %p is refused, and leaks nothing",
    (byteLength) => {
      refuse({ byteLength }, RangeError);
      refuse({ byteLength }, new RegExp(String(byteLength)));
      expect(() => Mapping.anonymous(byteLength)).toThrow(RangeError);
    },
  );

  test.each([1, -4096, 4095, 0.5, 2 ** 60])(
    "a mapping from byteOffset %p is refused, and leaks nothing",
    (byteOffset) => {
      refuse({ byteLength: 1, byteOffset }, RangeError);
    },
  );

  test("a mapping longer than the file is refused with both sizes, and leaks nothing", () => {
    refuse({ byteLength: 5001 }, FileFormatError);
    const page = pageSize();
    refuse(
      { byteLength: 5001, byteOffset: page },
      new RegExp(`5000 bytes long.*5001 bytes from offset ${page} \\(${page + 5001} needed\\)`),
    );
  });

  test("a writable mapping of a read-only descriptor is refused with mmap, EACCES and the path, and leaks nothing", () => {
    refuse({ byteLength: 1 }, SystemError, O_RDONLY);
    refuse({ byteLength: 1 }, new RegExp(`mmap '${path}' failed: EACCES`), O_RDONLY);
  });

  test("a mapping that cannot be read is refused, and leaks nothing", () => {
    refuse({ byteLength: 1, prot: 2 }, /PROT_READ/);
  });

  test("a descriptor that is not owned stays open when its mapping is refused or closed", () => {
    const fd = openFile(path, O_RDWR);
    expect(() => Mapping.map(fd, { byteLength: 0, ownsFd: false })).toThrow(RangeError);
    Mapping.map(fd, { byteLength: 1, ownsFd: false }).close();
    closeFile(fd);
  });
});

describe("flush and advise", () => {
  test("flush and advise take any range within the mapping and refuse others", () => {
    const path = file(20_000);
    using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 20_000, path });
    mapping.flush();
    mapping.flush(5000, 1);
    mapping.flush(20_000, 0);
    mapping.advise(0, pageSize() + 1, 5);
    expect(() => mapping.flush(1, 20_000)).toThrow(RangeError);
    expect(() => mapping.flush(-1)).toThrow(RangeError);
  });

  test.skipIf(isEmulated)("an advice that the kernel rejects is an error (not under emulation)", () => {
    const path = file(20_000);
    using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 20_000, path });
    expect(() => mapping.advise(12345)).toThrow(/EINVAL.*advice 12345/);
  });
});

describe("close", () => {
  test("close of a mapping makes every view that was handed out throw or be empty", () => {
    const path = file(4096);
    const mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 4096, path });
    const view = new DataView(mapping.buffer);
    const ints = new Int32Array(mapping.buffer);
    mapping.close();
    expect(() => view.getInt32(0)).toThrow(TypeError);
    expect(() => view.setFloat64(8, 1)).toThrow(TypeError);
    expect(() => Atomics.load(ints, 0)).toThrow(TypeError);
    expect([ints.length, ints[0], mapping.bytes.length]).toEqual([0, undefined, 0]);
    expect(() => mapping.flush()).toThrow(/closed/);
    mapping.close();
  });

  test("close of a mapping is refused while an asynchronous write uses the memory, and works after it", async () => {
    const path = file(1 << 24);
    const mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 1 << 24, path });
    const sink = await open(join(dir, "sink"), "w");
    const writing = sink.write(mapping.bytes, 0, 1 << 24, 0);
    expect(() => mapping.close()).toThrow(ShmError);
    expect(mapping.bytes.length).toBe(1 << 24);
    await writing;
    mapping.close();
    await sink.close();
  });

  test("close of a mapping leaves a buffer that was transferred usable", () => {
    const mapping = Mapping.anonymous(4096);
    const taken = new Uint8Array(structuredClone(mapping.buffer, { transfer: [mapping.buffer] }));
    mapping.close();
    taken[4095] = 3;
    expect(taken[4095]).toBe(3);
  });

  test("20,000 rounds of mapping and closing leak no descriptor, no mapping and no memory", () => {
    const path = file(8192);
    const round = () => {
      const mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 8192, path });
      mapping.bytes[8191] = 1;
      mapping.close();
    };
    for (let i = 0; i < 5000; i++) round();
    Bun.gc(true);
    const before = [descriptors(), mappings(), process.memoryUsage.rss()] as const;
    for (let i = 0; i < 20_000; i++) {
      round();
      // On a busy machine the collector's own threads come late, and the heap grows by what is garbage.
      if (i % 2000 === 1999) Bun.gc(true);
    }
    expect(descriptors()).toBe(before[0]);
    expect(mappings()).toBe(before[1]);
    expect(process.memoryUsage.rss() - before[2]).toBeLessThan(64 * 2 ** 20);
  });

  test("the collector never frees the memory of a mapping, nor touches it after close", () => {
    for (let i = 0; i < 2000; i++) {
      const mapping = Mapping.anonymous(1 << 16);
      mapping.bytes[0] = 1;
      const { address } = mapping;
      mapping.close();
      // The kernel usually gives the same address again: a late finaliser would hit the new owner.
      const next = Mapping.anonymous(1 << 16);
      next.bytes[0] = 2;
      if (i % 100 === 0) Bun.gc(true);
      if (next.address === address) expect(next.bytes[0]).toBe(2);
      next.close();
    }
  });
});
