/** Programs that tests start as processes of their own. */
import { join, relative } from "node:path";

const root = join(import.meta.dir, "../..");

/**
 * Where a program of tests/process is: in one file, where `npm test` has bundled it, as it starts in a fraction of the time; else its
 * source. Not for programs that are to load modules late, or that must be compiled in the style of the directory they run in.
 * @example Bun.spawn([process.execPath, programAt(join(import.meta.dir, "../process/role-count.ts")), "watch", dir])
 */
export function programAt(source: string): string {
  const bundled = process.env.SHMSTRUCT_TEST_PROGRAMS;
  return bundled === undefined ? source : join(bundled, relative(root, source).replace(/\.ts$/, ".js"));
}

/**
 * The command `shmstruct` in the same way: what is in dist/. A module of a user's imports the sources of the library here, and
 * then the command has to be of them, too.
 */
export function commandAt(source: string, args: readonly string[]): string {
  const isBuilt = process.env.SHMSTRUCT_TEST_PROGRAMS !== undefined;
  const hasModule = args.some((arg) => /\.[jt]s\b/.test(arg));
  return isBuilt && !hasModule ? join(root, "dist/cli/main.js") : source;
}
