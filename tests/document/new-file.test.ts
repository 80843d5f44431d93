import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DocumentFile } from "../../src/document/document-file.ts";
import { putFile } from "../../src/document/new-file.ts";
import { SystemError } from "../../src/errors/errors.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(60_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-json-new-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const file = (text: string) => ({ maxBytes: 100, mode: 0o640, start: { version: 5, text } });

test("the file is there whole, with its storage, its mode and nothing beside it", () => {
  const path = join(dir, "a");
  writeFileSync(`${path}.new`, "left by somebody who was killed");
  putFile(path, file("1"));
  using opened = DocumentFile.open(path, false);
  expect(opened?.tryRead()).toEqual({ version: 5, text: "1" });
  const stat = statSync(path);
  expect(stat.mode & 0o777).toBe(0o640);
  expect(stat.blocks * 512).toBeGreaterThanOrEqual(stat.size);
  expect(readdirSync(dir)).toEqual(["a"]);
});

test("whoever has the old file open is told", () => {
  const path = join(dir, "a");
  using old = DocumentFile.open(path, true);
  expect(old?.isRetired).toBeFalse();
  putFile(path, file("2"), old);
  expect(old?.isRetired).toBeTrue();
  expect(old?.tryRead()?.text).toBe("1");
  using opened = DocumentFile.open(path, false);
  expect(opened?.tryRead()?.text).toBe("2");
});

test("when it cannot be made the old one stays as it is", () => {
  const path = join(dir, "a");
  using old = DocumentFile.open(path, true);
  mkdirSync(`${path}.new`);
  expect(() => putFile(path, file("3"), old)).toThrow(SystemError);
  expect(old?.isRetired).toBeFalse();
  rmSync(`${path}.new`, { recursive: true });
});

// A file system of its own that is soon full.
const inNamespace = (...command: string[]) =>
  Bun.spawnSync([
    "unshare",
    "-m",
    "sh",
    "-c",
    'mount -t tmpfs -o size=256k none /mnt && exec "$@"',
    "sh",
    ...command,
  ]);
const canMount = Bun.which("unshare") !== null && inNamespace("true").success;

test.skipIf(!canMount)(
  "on a full disk the old document stays, and so does the process (needs the right to mount)",
  () => {
    const { stdout, exitCode } = inNamespace(
      process.execPath,
      join(import.meta.dir, "../process/json-disk-full.ts"),
    );
    expect(stdout.toString().trim().split("\n")).toEqual([
      "ENOSPC at the creation, nothing left behind",
      "ENOSPC while growing, still first; beside it: d.lock, d.lock-page",
      "second after that",
    ]);
    expect(exitCode).toBe(0);
  },
);
