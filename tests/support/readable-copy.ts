/**
 * Programs that become another user import the library while they are that user, and a clone may lie where only its
 * owner may look (a directory of mode 0700). They run from a copy in a directory that every user may read.
 */
import { chmodSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";

const root = join(import.meta.dir, "../..");
const COPIED = [
  "package.json",
  "tsconfig.json",
  "src",
  "tests/conformance",
  "tests/process",
  "tests/record",
  "tests/support",
  "node_modules/reflect-metadata",
];

/** A copy of the library and of the tests' programs. It is removed at the end of the scope. */
export interface ReadableCopy extends Disposable {
  /** Where a file of the project lies in the copy. @example copy.of(join(import.meta.dir, "../../src/index.ts")) */
  of(path: string): string;
}

/** @example using copy = readableCopy(); Bun.spawn([process.execPath, copy.of(program)], { cwd: copy.of(root) }); */
export function readableCopy(): ReadableCopy {
  const directory = mkdtempSync(join(tmpdir(), "shmstruct-copy-"));
  chmodSync(directory, 0o755);
  for (const path of COPIED) cpSync(join(root, path), join(directory, path), { recursive: true });
  return {
    of: (path) => join(directory, relative(root, path)),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
