/** Lock files and pages that others made, or may truncate. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UntrustedFileError } from "../../src/errors/errors.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";

const dir = mkdtempSync(join(tmpdir(), "shmstruct-lock-trust-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const everybodys = join(dir, "everybodys");
const path = join(everybodys, "data.lock");
const page = `${path}-page`;

beforeEach(() => {
  rmSync(everybodys, { recursive: true, force: true });
  mkdirSync(everybodys);
  chmodSync(everybodys, 0o1777);
  new RwLock({ path, create: true }).close();
});

test("a page that others may truncate is mapped with shared: true only, a lock file may be of any mode", () => {
  chmodSync(path, 0o666);
  new RwLock({ path }).close();
  chmodSync(page, 0o666);
  expect(() => new RwLock({ path })).toThrow(UntrustedFileError);
  expect(() => new RwLock({ path, create: true })).toThrow(/-page' has mode 0666.*{ shared: true }/);
  new RwLock({ path, trust: { shared: true } }).close();
  new RwLock({ path, create: true, mode: 0o666 }).close();
});

test.skipIf(process.geteuid?.() !== 0).each([
  ["lock file", path],
  ["page", page],
])(
  "the %s of another user, in a directory in which all may make files, needs trustOwner (needs root)",
  (_, file) => {
    chownSync(file, 12_345, 12_345);
    for (const trust of [{}, { shared: true }, { trustOwner: 1 }])
      expect(() => new RwLock({ path, create: true, mode: 0o666, trust })).toThrow(UntrustedFileError);
    new RwLock({ path, trust: { trustOwner: 12_345 } }).close();
  },
);
