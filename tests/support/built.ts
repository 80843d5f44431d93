/** The compiled package, for tests of what users get. All others import src/. */
import { join } from "node:path";

export const root = join(import.meta.dir, "..", "..");

/** Compiles src/ into dist/ if anything has changed since. */
export function build(): void {
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "scripts/build.ts", "--if-needed"], {
    cwd: root,
  });
  if (exitCode !== 0) throw new Error(`the build failed:\n${stderr}`);
}
