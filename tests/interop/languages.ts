/** A participant in each language, as a command: C (compiled here), Python, Node.js (dist/node) and Bun. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportStruct } from "../../src/codegen/index.ts";
import { run } from "../codegen/peers.ts";
import { build } from "../support/built.ts";
import { nodeEnvironment } from "../support/node-peer.ts";
import { Item, Ledger } from "./shared.ts";

export type Language = "C" | "Python" | "Node.js" | "Bun";
export const languages: readonly Language[] = ["C", "Python", "Node.js", "Bun"];

const interop = join(import.meta.dir, "../../interop");

/** Compiles `peer.c`, or another program beside it. @returns where the program is */
export function compilePeer(
  dir: string,
  flags: readonly string[] = ["-O2"],
  source = "peer.c",
  compiler = "gcc",
): string {
  for (const struct of [Ledger, Item])
    writeFileSync(join(dir, `${struct.name}.h`), exportStruct(struct as typeof Ledger, "c"));
  const program = join(
    dir,
    `${source.replace(/\.c$/, "")}-${compiler}-${Bun.hash(flags.join(" ")).toString(16)}`,
  );
  const includes = [`-I${interop}/c`, `-I${dir}`];
  run([compiler, ...flags, ...includes, join(import.meta.dir, source), "-o", program, "-pthread"], dir);
  return program;
}

/** How to run a command in each language; compiles what has to be compiled. */
export function participants(dir: string): Readonly<Record<Language, (...words: string[]) => string[]>> {
  build();
  const c = compilePeer(dir);
  return {
    C: (...words) => [c, ...words],
    Python: (...words) => ["python3", join(import.meta.dir, "peer.py"), ...words],
    "Node.js": (...words) => ["node", join(import.meta.dir, "peer.mjs"), ...words],
    Bun: (...words) => [process.execPath, join(import.meta.dir, "peer.ts"), ...words],
  };
}

/** The environment in which all of them find the library. */
export const participantEnvironment = (): Record<string, string | undefined> => ({
  ...nodeEnvironment(),
  PYTHONPATH: join(interop, "python"),
  PYTHONDONTWRITEBYTECODE: "1",
});
