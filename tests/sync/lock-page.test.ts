import { afterAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LockPage, lockPagePath } from "../../src/sync/lock-page.ts";
import { type ReadableCopy, readableCopy } from "../support/readable-copy.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const dir = mkdtempSync(join(tmpdir(), "lock-page-"));
afterAll(() => rmSync(dir, { recursive: true }));

let path = "";
let files = 0;
beforeEach(() => {
  path = join(dir, `page-${files++}`);
});

/** A page as it is made, before anybody used it. */
function freshPage(): Uint8Array {
  const bytes = new Uint8Array(4096);
  bytes.set([0x53, 0x48, 0x4c, 0x4b, 2]); // "SHLK", version 2
  return bytes;
}

test("the page lives beside the lock file", () => {
  expect(lockPagePath("/x/A_b.lock")).toBe("/x/A_b.lock-page");
});

test("a page is made with magic and version, zero otherwise, and mode 0600", () => {
  using page = LockPage.open(path, { create: true })!;
  expect(page.writable).toBe(true);
  expect([page.waiting, page.polling, page.changes]).toEqual([false, false, 0]);
  expect(readFileSync(path)).toEqual(Buffer.from(freshPage()));
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a page is made only when asked for", () => {
  expect(LockPage.open(path)).toBeUndefined();
  expect(existsSync(path)).toBe(false);
});

test("a page shows every user the same flags, at the documented places", () => {
  using a = LockPage.open(path, { create: true })!;
  using b = LockPage.open(path)!;
  a.waiting = true;
  b.polling = true;
  b.announceChange();
  expect([b.waiting, a.polling, a.changes]).toEqual([true, true, 1]);
  const words = new Int32Array(readFileSync(path).buffer.slice(0, 4096));
  expect([words[16], words[17], words[32], words[33]]).toEqual([1, 1, 1, 0]);
  a.waiting = false;
  expect(b.waiting).toBe(false);
});

test("the count of changes wraps, and sleepers are woken across the wrap", () => {
  const bytes = freshPage();
  new Int32Array(bytes.buffer).set([2 ** 31 - 1, 2 ** 31 - 1], 32);
  writeFileSync(path, bytes);
  using page = LockPage.open(path)!;
  page.sleepUntilChange(2 ** 31 - 1, 1);
  page.announceChange();
  expect(page.changes).toBe(-(2 ** 31));
  page.sleepUntilChange(2 ** 31 - 1, 60_000); // returns at once: the word differs
});

test("16 processes that make a page at once all get the same one", async () => {
  const script = `
    import { LockPage } from ${JSON.stringify(join(import.meta.dir, "../../src/sync/lock-page.ts"))};
    while (Date.now() < ${Date.now() + 400});
    LockPage.open(${JSON.stringify(path)}, { create: true }).announceChange();
  `;
  const children = Array.from({ length: 16 }, () => Bun.spawn([process.execPath, "-e", script]));
  const codes = await Promise.all(children.map((child) => child.exited));
  expect(codes).toEqual(Array(16).fill(0));
  using page = LockPage.open(path)!;
  expect(page.changes).toBe(16);
});

describe("a page in the making", () => {
  test.each([0, 8, 4096])("a page of %d zero bytes is completed", (byteLength) => {
    writeFileSync(path, new Uint8Array(byteLength));
    using page = LockPage.open(path)!;
    expect(page.changes).toBe(0);
    expect(readFileSync(path)).toEqual(Buffer.from(freshPage()));
  });
});

describe("refuses, and leaves as it is,", () => {
  const refused = (content: Uint8Array, message: RegExp): void => {
    writeFileSync(path, content);
    expect(() => LockPage.open(path, { create: true })).toThrow(message);
    expect(readFileSync(path)).toEqual(Buffer.from(content));
  };

  test("a page's file that is larger than a page and does not begin like one is refused, and stays as it is", () => {
    refused(new Uint8Array(4097), /is not a lock page: it has 4097 bytes and starts with 0x00000000/);
    refused(Buffer.from("#!/bin/sh\n".repeat(1000)), /starts with 0x622f2123, not 0x4b4c4853; delete it/);
  });

  test("a page that is a symbolic link, a directory, a FIFO or a device is refused, and stays as it is", () => {
    const target = join(dir, "target");
    writeFileSync(target, freshPage());
    symlinkSync(target, path);
    expect(() => LockPage.open(path, { create: true })).toThrow(/ELOOP.*symbolic links are not followed/);
    mkdirSync(join(dir, "directory"));
    expect(() => LockPage.open(join(dir, "directory"))).toThrow(/EISDIR/);
    const fifo = join(dir, "fifo");
    expect(Bun.spawnSync(["mkfifo", fifo]).exitCode).toBe(0);
    expect(() => LockPage.open(fifo, { create: true })).toThrow(/not a regular file/);
    expect(() => LockPage.open("/dev/null")).toThrow(/not a regular file/);
  });
});

describe("recreates, in place,", () => {
  const recreated = (content: Uint8Array): void => {
    writeFileSync(path, content);
    const inode = statSync(path).ino;
    using page = LockPage.open(path)!;
    expect(readFileSync(path)).toEqual(Buffer.from(freshPage()));
    expect(statSync(path).ino).toBe(inode);
    page.announceChange();
    expect(page.changes).toBe(1);
  };

  test("a truncated page is recreated in place, also while another has it mapped", () => {
    using earlier = LockPage.open(path, { create: true })!;
    truncateSync(path, 100);
    expect(readFileSync(path).length).toBe(100);
    using later = LockPage.open(path)!;
    expect(readFileSync(path).length).toBe(4096);
    later.announceChange();
    expect(earlier.changes).toBe(1);
    for (const byteLength of [1, 8, 4095]) recreated(freshPage().subarray(0, byteLength));
  });

  test("a page with any single-bit flip of its header is recreated in place", () => {
    for (let bit = 0; bit < 64; bit++) {
      const page = freshPage();
      page[bit >> 3]! ^= 1 << (bit & 7);
      recreated(page);
    }
  });

  test("a page of another version is recreated in place, and keeps what it says", () => {
    using first = LockPage.open(path, { create: true })!;
    first.generations = 7;
    const bytes = readFileSync(path);
    bytes[4] = 1;
    writeFileSync(path, bytes);
    using page = LockPage.open(path)!;
    expect([page.generations, readFileSync(path)[4]]).toEqual([7, 2]);
  });
});

test("a page may have any content behind the header, and the flags still work", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  console.log(`SEED=${seed}`);
  let state = seed;
  const bytes = freshPage().map((byte, index) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    return index < 8 ? byte : state >>> 16;
  });
  writeFileSync(path, bytes);
  using page = LockPage.open(path)!;
  const before = page.changes;
  page.waiting = false;
  page.sleepUntilChange(before, 1);
  page.announceChange();
  expect([page.waiting, page.changes]).toEqual([false, (before + 1) | 0]);
});

describe("with only read permission", () => {
  /** Root may write to everything, so the permission is taken away by a file system that cannot be written to. */
  const asReader = (copy: ReadableCopy): string => `
    import { LockPage } from ${JSON.stringify(copy.of(join(import.meta.dir, "../../src/sync/lock-page.ts")))};
    if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
    const page = LockPage.open(process.argv[1], { create: true });
    let sum = 0;
    for (let i = 0; i < 300_000; i++) sum += page.changes + Number(page.waiting) + Number(page.polling);
    page.waiting = true;
    page.announceChange();
    console.log(page.writable, page.hasSilentReaders, sum / 300_000);
  `;

  test("with only read permission all reads work after compilation, and nothing is stored", () => {
    chmodSync(dir, 0o755);
    using page = LockPage.open(path, { create: true })!;
    chmodSync(path, 0o444);
    page.announceChange();
    page.polling = true;
    using copy = readableCopy();
    const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", asReader(copy), path]);
    expect(stderr.toString()).toBe("");
    expect(stdout.toString()).toBe("false true 2\n");
    expect([page.waiting, page.changes]).toEqual([false, 1]);
  });

  test("with only read permission an incomplete page is taken as missing", () => {
    writeFileSync(path, "");
    chmodSync(path, 0o444);
    using copy = readableCopy();
    const script = asReader(copy).replace("let sum", "console.log(page); process.exit(); let sum");
    expect(Bun.spawnSync([process.execPath, "-e", script, path]).stdout.toString()).toBe("undefined\n");
  });
});

test("cutting the lock file to nothing does not hurt, as the page is another file", () => {
  const lockPath = join(dir, "x.lock");
  writeFileSync(lockPath, "");
  using page = LockPage.open(lockPagePath(lockPath), { create: true })!;
  truncateSync(lockPath, 0);
  expect(page.waiting).toBe(false);
});
