import { afterAll, expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  linkSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError } from "../../src/errors/errors.ts";
import { statusAt, statusOf } from "../../src/sys/status.ts";

const dir = mkdtempSync(join(tmpdir(), "shmstruct-status-"));
afterAll(() => rmSync(dir, { recursive: true }));

function file(name: string, content = "", mode = 0o600): string {
  const path = join(dir, name);
  writeFileSync(path, content, { mode });
  return path;
}

test("an open file's status is what fstat says", () => {
  const fd = openSync(file("plain", "hello", 0o640), "r");
  const { size, mode, nlink } = fstatSync(fd);
  expect(statusOf(fd)).toMatchObject({ isFile: true, byteLength: size, mode: mode & 0o7777, links: nlink });
  expect(statusOf(fd)).toMatchObject({ isFile: true, byteLength: 5, mode: 0o640, links: 1 });
  closeSync(fd);
});

test("a sparse file beyond 4 GiB has its full length", () => {
  const path = file("sparse");
  Bun.spawnSync(["truncate", "-s", String(5 * 2 ** 32 + 7), path]);
  expect(statusAt(path)?.byteLength).toBe(5 * 2 ** 32 + 7);
});

test("a file's names are counted, and none are left once it is deleted", () => {
  const path = file("linked");
  const fd = openSync(path, "r");
  linkSync(path, join(dir, "second"));
  expect(statusOf(fd).links).toBe(2);
  unlinkSync(path);
  unlinkSync(join(dir, "second"));
  expect(statusOf(fd).links).toBe(0);
  closeSync(fd);
});

test("the status of directories and pipes says that they are no files", () => {
  expect(statusAt(dir)?.isFile).toBe(false);
  Bun.spawnSync(["mkfifo", join(dir, "pipe")]);
  expect(statusAt(join(dir, "pipe"))?.isFile).toBe(false);
});

test("a file's id is the same through a link and a descriptor, and other files have other ids", () => {
  const path = file("one");
  symlinkSync(path, join(dir, "link"));
  const fd = openSync(path, "r");
  expect(statusAt(join(dir, "link"))?.id).toBe(statusOf(fd).id);
  expect(statusAt(file("other"))?.id).not.toBe(statusOf(fd).id);
  closeSync(fd);
});

test("the status of a path without a file is undefined; a status that the system refuses is a SystemError", () => {
  expect(statusAt(join(dir, "none"))).toBeUndefined();
  expect(() => statusAt(join(file("leaf"), "below"))).toThrow(SystemError);
  expect(() => statusOf(0x7fff_fff0)).toThrow(expect.objectContaining({ code: "EBADF", syscall: "fstat" }));
});
