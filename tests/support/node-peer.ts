/** Node.js with fs-ext, which needs a compiler to be installed (scripts/run.mjs does it before the tests). */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { hasTool } from "./tools.ts";

const modules = join(import.meta.dir, "../node-peer/node_modules");
const addon = join(modules, "fs-ext/build/Release");

/** Whether it is there. @throws Error when it is missing and the environment variable CI is set */
export function hasNodePeer(): boolean {
  if (hasTool("node") && existsSync(addon)) return true;
  if (process.env.CI) throw new Error(`fs-ext is not built (${addon}), and in CI no test is skipped`);
  return false;
}

/** With it a Node.js program of this package finds fs-ext. */
export const nodeEnvironment = (): Record<string, string | undefined> => ({
  ...process.env,
  NODE_PATH: modules,
});
