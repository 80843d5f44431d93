/** TypeScript's compiler as a judge: with one thread, and collecting less of its garbage, it takes half as much of a processor. */
import { join } from "node:path";

const tsc = join(import.meta.dir, "../../node_modules/typescript/bin/tsc");

/** By Bun: the compiler is a program for node, which need not be there. */
export const tscCommand = (...args: string[]): string[] => [
  process.execPath,
  tsc,
  ...args,
  "--singleThreaded",
];

export const tscEnvironment: NodeJS.ProcessEnv = { ...process.env, GOGC: "400" };
