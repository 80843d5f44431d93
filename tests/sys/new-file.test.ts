import { afterAll, expect, spyOn, test } from "bun:test";
import fs, {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError } from "../../src/errors/errors.ts";
import { makeTemporary, rename, sweepTemporaries, unlink } from "../../src/sys/new-file.ts";

const dir = mkdtempSync(join(tmpdir(), "shmstruct-new-file-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const marker = new TextEncoder().encode("marked!!");
const nothing = () => {};

test("a new file has its storage, its mode and its content before it gets its name", () => {
  const path = join(dir, "a");
  const fill = (bytes: Uint8Array) => {
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    bytes.set([1, 2, 3]);
  };
  makeTemporary(path, { byteLength: 5000, mode: 0o666, marker, fill }, (temporary) =>
    rename(temporary, path),
  );
  const stat = statSync(path);
  expect([stat.size, stat.mode & 0o777, readFileSync(path)[2]]).toEqual([5000, 0o666, 3]);
  expect(stat.blocks * 512).toBeGreaterThanOrEqual(5000);
  expect(readdirSync(dir)).toEqual(["a"]);
});

test("a new file that cannot be made leaves nothing behind", () => {
  const fail = () => {
    throw new Error("no content");
  };
  expect(() =>
    makeTemporary(join(dir, "b"), { byteLength: 10, mode: 0o600, marker, fill: fail }, nothing),
  ).toThrow("no content");
  expect(() =>
    makeTemporary(join(dir, "b"), { byteLength: 1e15, mode: 0o600, marker, fill: nothing }, nothing),
  ).toThrow("fallocate");
  expect(readdirSync(dir)).toEqual(["a"]);
});

test("an error of node:fs for a new file is a SystemError that names the file", () => {
  const refusal = Object.assign(new Error("EPERM: operation not permitted, fchmod"), {
    errno: -1,
    code: "EPERM",
    syscall: "fchmod",
  });
  const chmod = spyOn(fs, "fchmodSync").mockImplementation(() => {
    throw refusal;
  });
  const path = join(dir, "c");
  try {
    makeTemporary(path, { byteLength: 10, mode: 0o600, marker, fill: nothing }, nothing);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(SystemError);
    expect(error).toMatchObject({ code: "EPERM", errno: 1, syscall: "fchmod" });
    expect((error as SystemError).path).toMatch(/\/c\.new-[0-9a-f]{16}$/);
  } finally {
    chmod.mockRestore();
  }
  expect(readdirSync(dir)).toEqual(["a"]);
});

test("a killed creator's empty file is swept by the mark in its mode, an empty file of another program stays", () => {
  const path = join(dir, "d");
  const [ours, other] = ["1", "2"].map((digit) => `${path}.new-${digit.repeat(16)}`) as [string, string];
  let whileMade = 0;
  const opened = spyOn(fs, "writeSync").mockImplementation((fd) => {
    whileMade = fs.fstatSync(fd as number).mode & 0o7777;
    throw new Error("killed");
  });
  try {
    const file = { byteLength: 10, mode: 0o640, marker, fill: nothing };
    expect(() => makeTemporary(path, file, nothing)).toThrow("killed");
  } finally {
    opened.mockRestore();
  }
  for (const name of [ours, other]) writeFileSync(name, "");
  chmodSync(ours, whileMade);
  sweepTemporaries(path, () => true);
  expect(readdirSync(dir).sort()).toEqual(["a", `d.new-${"2".repeat(16)}`]);
  unlink(other);
  makeTemporary(path, { byteLength: 10, mode: 0o640, marker, fill: nothing }, (temporary) =>
    rename(temporary, path),
  );
  expect(statSync(path).mode & 0o7777).toBe(0o640);
  unlink(path);
});

test("unlink removes a name, and says why it could not", () => {
  unlink(join(dir, "a"));
  expect(() => unlink(join(dir, "a"))).toThrow("ENOENT");
});
