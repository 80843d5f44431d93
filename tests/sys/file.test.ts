import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { fstatSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError } from "../../src/errors/errors.ts";
import { allocate, closeFile, fileSize, openFile, pageSize, truncate } from "../../src/sys/file.ts";
import { O_CREAT, O_EXCL, O_RDONLY, O_RDWR } from "../../src/sys/libc/constants.ts";
import { hasTool } from "../support/tools.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-file-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof SystemError) return error.code;
    throw error;
  }
  return "none";
}

test("openFile creates a file with the mode, 0600 unless told otherwise", () => {
  const [secret, open] = [join(dir, "secret"), join(dir, "open")];
  closeFile(openFile(secret, O_RDWR | O_CREAT | O_EXCL));
  closeFile(openFile(open, O_RDWR | O_CREAT | O_EXCL, 0o640));
  expect([statSync(secret).mode & 0o777, statSync(open).mode & 0o777 & ~0o640]).toEqual([0o600, 0]);
});

test("openFile fails with the errno's name and the path", () => {
  const path = join(dir, "missing");
  expect(() => openFile(path, O_RDONLY)).toThrow(`open '${path}' failed: ENOENT`);
  writeFileSync(path, "");
  expect(codeOf(() => openFile(path, O_RDWR | O_CREAT | O_EXCL))).toBe("EEXIST");
  expect(() => openFile("a\0b", O_RDONLY)).toThrow(TypeError);
});

test("openFile follows no symbolic link, and says so", () => {
  const link = join(dir, "link");
  symlinkSync(join(dir, "anywhere"), link);
  expect(() => openFile(link, O_RDWR | O_CREAT)).toThrow(/ELOOP.*symbolic links are not followed/);
  expect(readdirSync(dir)).not.toContain("anywhere");
  symlinkSync("circle", join(dir, "circle"));
  expect(() => openFile(join(dir, "circle/file"), O_RDWR)).toThrow(/ELOOP.*of its directories lead to each/);
});

test("descriptors of openFile do not leak into child processes", async () => {
  const fd = openFile(join(dir, "private"), O_RDWR | O_CREAT);
  const child = Bun.spawn(["ls", "-l", "/proc/self/fd"], { stdout: "pipe" });
  expect(await new Response(child.stdout).text()).not.toContain("private");
  closeFile(fd);
});

test("closing a descriptor that is not open is an error", () => {
  expect(codeOf(() => closeFile(987_654))).toBe("EBADF");
});

test("allocate grows, never shrinks, and gives storage to every byte", () => {
  const fd = openFile(join(dir, "grown"), O_RDWR | O_CREAT);
  allocate(fd, 100_000);
  expect([fileSize(fd), fstatSync(fd).blocks * 512 >= 100_000]).toEqual([100_000, true]);
  allocate(fd, 10);
  allocate(fd, 0);
  expect(fileSize(fd)).toBe(100_000);
  truncate(fd, 50);
  expect(fileSize(fd)).toBe(50);
  closeFile(fd);
});

test("allocate leaves holes before `from` alone", () => {
  const fd = openFile(join(dir, "sparse"), O_RDWR | O_CREAT);
  truncate(fd, 2 ** 30);
  allocate(fd, 2 ** 30 + 4096, "sparse", 2 ** 30);
  expect([fileSize(fd), fstatSync(fd).blocks * 512 < 2 ** 20]).toEqual([2 ** 30 + 4096, true]);
  closeFile(fd);
});

test("allocate fails where there is no room, and truncate where there is no permission", () => {
  const path = join(dir, "too-large");
  const fd = openFile(path, O_RDWR | O_CREAT);
  expect(["ENOSPC", "EFBIG"]).toContain(codeOf(() => allocate(fd, 2 ** 52, path)));
  expect(() => allocate(fd, 2 ** 52, path)).toThrow(`${2 ** 52} bytes wanted`);
  closeFile(fd);
  const readOnly = openFile(path, O_RDONLY);
  expect(["EBADF", "EINVAL"]).toContain(codeOf(() => truncate(readOnly, 1, path)));
  expect(codeOf(() => allocate(readOnly, 2 ** 20 + statSync(path).size, path))).toBe("EBADF");
  closeFile(readOnly);
});

test.skipIf(!hasTool("getconf"))("pageSize is the system's (needs getconf)", () => {
  const told = Bun.spawnSync(["getconf", "PAGESIZE"]).stdout.toString();
  expect(pageSize()).toBe(Number(told));
});

test.skipIf(!hasTool("strace"))(
  "openFile opens a file that exists without O_CREAT, which fs.protected_regular refuses (needs strace)",
  async () => {
    const [path, log] = [join(dir, "of-another-user"), join(dir, "strace.log")];
    writeFileSync(path, "");
    const program = `
      const { openFile } = await import(${JSON.stringify(join(import.meta.dir, "../../src/sys/file.ts"))});
      openFile(${JSON.stringify(path)}, ${O_RDWR | O_CREAT});`;
    const strace = ["strace", "-f", "-o", log, "-P", path, "-e", "trace=open,openat"];
    const child = Bun.spawn([...strace, process.execPath, "-e", program], { stdout: "ignore" });
    expect(await child.exited).toBe(0);
    const opened = (await Bun.file(log).text()).split("\n").filter((line) => line.includes(path));
    expect(opened.length).toBe(1);
    expect(opened[0]).not.toContain("O_CREAT");
  },
);
