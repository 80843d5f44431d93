import { afterAll, expect, test } from "bun:test";
import { chmodSync, fstatSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeFile, fileSize, openFile } from "../../src/sys/file.ts";
import { O_RDONLY, O_RDWR } from "../../src/sys/libc/constants.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { reserveStorage } from "../../src/sys/storage.ts";
import { readableCopy } from "../support/readable-copy.ts";
import { hasTool } from "../support/tools.ts";

const dirs = [tmpdir(), "/dev/shm"].map((dir) => mkdtempSync(join(dir, "shmstruct-storage-")));
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

/** A file that begins with a byte, and is nothing but a hole behind the first page. */
function sparseFile(dir: string, name: string, byteLength = 1_000_000): string {
  const path = join(dir, name);
  writeFileSync(path, "x");
  truncateSync(path, byteLength);
  expect(statSync(path).blocks * 512).toBeLessThan(byteLength);
  return path;
}

test.each(dirs)("a writer's file has storage behind every byte, and its content (%s)", (dir) => {
  const path = sparseFile(dir, "writer");
  const fd = openFile(path, O_RDWR);
  reserveStorage(fd, "write", path);
  expect(fstatSync(fd).blocks * 512).toBeGreaterThanOrEqual(1_000_000);
  expect(fileSize(fd)).toBe(1_000_000);
  reserveStorage(fd, "write", path);
  using mapping = Mapping.map(fd, { byteLength: 1_000_000, path, reserve: true });
  expect([mapping.bytes[0], mapping.bytes[999_999]]).toEqual([120, 0]);
});

test("a reader of a sparse file in memory reserves its storage, too", () => {
  const path = sparseFile("/dev/shm", `${dirs[1]?.slice("/dev/shm/".length)}/reader`);
  const fd = openFile(path, O_RDONLY);
  reserveStorage(fd, "read", path);
  expect(fstatSync(fd).blocks * 512).toBeGreaterThanOrEqual(1_000_000);
  closeFile(fd);
});

const canBecomeAnother = process.getuid?.() !== 0 || hasTool("setpriv");

test.skipIf(!canBecomeAnother)(
  "a reader that may not reserve storage is told why (as root, needs setpriv)",
  () => {
    const path = sparseFile(dirs[1] as string, "forbidden");
    chmodSync(dirs[1] as string, 0o755);
    chmodSync(path, 0o444);
    using copy = readableCopy();
    const program = copy.of(join(import.meta.dir, "../process/sparse-reader.ts"));
    const other =
      process.getuid?.() === 0 ? ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] : [];
    const run = Bun.spawnSync([...other, copy.bun, program, path], {
      cwd: copy.of(join(import.meta.dir, "../..")),
    });
    expect(run.stdout.toString()).toMatch(/EACCES.*the file has holes/);
  },
);

test("a file that is longer than the disk has room is refused, not mapped", () => {
  const path = sparseFile(dirs[1] as string, "huge", 2 ** 46);
  const fd = openFile(path, O_RDWR);
  expect(() => reserveStorage(fd, "write", path)).toThrow(/ENOSPC|ENOMEM|EFBIG/);
  closeFile(fd);
});
