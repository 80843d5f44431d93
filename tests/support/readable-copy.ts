/**
 * Programs that become another user import the library while they are that user, and a clone may lie where only its
 * owner may look (a directory of mode 0700). They run from a copy in a directory that every user may read.
 */
import { chmodSync, copyFileSync, cpSync, linkSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
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
  /** A Bun that every user may run: the one of this process may lie in the clone. */
  readonly bun: string;
}

/** It has 90 MB: a second name is enough where the clone is on the same file system. */
function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(realpathSync(from), to);
  } catch {
    copyFileSync(from, to);
  }
}

/** @example using copy = readableCopy(); Bun.spawn([copy.bun, copy.of(program)], { cwd: copy.of(root) }); */
export function readableCopy(): ReadableCopy {
  const directory = mkdtempSync(join(tmpdir(), "shmstruct-copy-"));
  chmodSync(directory, 0o755);
  for (const path of COPIED) cpSync(join(root, path), join(directory, path), { recursive: true });
  const bun = join(directory, "bun");
  linkOrCopy(process.execPath, bun);
  return {
    of: (path) => join(directory, relative(root, path)),
    bun,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
