/**
 * Programs that become another user import the library while they are that user, and a clone may lie where only its
 * owner may look (a directory of mode 0700). They run from a copy in a directory that every user may read.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { programAt } from "./programs.ts";

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
  /** The same for a program of tests/process that needs nothing beside it: in one file, where `npm test` has bundled it. */
  program(path: string): string;
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

/** Takes a tenth of the time of cpSync. */
function copyAll(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  const { exitCode, stderr } = Bun.spawnSync(["cp", "-R", from, to]);
  if (exitCode !== 0) throw new Error(`cp: ${stderr}`);
}

/** A copy of the program's bundle, and of its bytecode. */
function bundledIn(directory: string, source: string): string | undefined {
  const program = programAt(source);
  if (program === source) return undefined;
  for (const file of [program, `${program}.jsc`])
    if (existsSync(file)) copyFileSync(file, join(directory, basename(file)));
  return join(directory, basename(program));
}

/** @example using copy = readableCopy(); Bun.spawn([copy.bun, copy.of(program)], { cwd: copy.of(root) }); */
export function readableCopy(): ReadableCopy {
  const directory = mkdtempSync(join(tmpdir(), "shmstruct-copy-"));
  chmodSync(directory, 0o755);
  for (const path of COPIED) copyAll(join(root, path), join(directory, path));
  const bun = join(directory, "bun");
  linkOrCopy(process.execPath, bun);
  const of = (path: string): string => join(directory, relative(root, path));
  return {
    of,
    program: (path) => bundledIn(directory, path) ?? of(path),
    bun,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}
