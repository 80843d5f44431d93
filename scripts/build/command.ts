/**
 * The command in one file with its bytecode beside it, `dist/cli/command.js` and `command.js.jsc`: of a command that starts, looks and
 * ends, reading the code was most of the time. The library it takes from `dist/bytecode/`, as programs do. A Bun of another version
 * ignores the bytecode and reads the text. `dist/cli/main.js`, which `bin` names, loads it: Node.js cannot even read the code, so that
 * file tells.
 *
 * Commands that need the user's own classes, or much code, go through `dist/cli/whole.js`, which loads the files of dist/chunks/.
 */
import { basename, join, resolve } from "node:path";
import type { BunPlugin } from "bun";
import { bytecodeNameOf, isBytecode, namesOfOthers, OTHER, requireOthers } from "./bytecode.ts";
import { embedThreads, nameClasses, spellOutStars, textOf } from "./source.ts";

/** They load classes or much code, or go on until they are interrupted. */
const WHOLE = ["export", "import", "migrate", "mirror", "serve"];

/** Where the command is that is not bundled, in dist/. */
export const WHOLE_FILE = "cli/whole.js";

const START = "start-of-command";

const startText = (main: string): string => `"use strict";
const [name = "", ...words] = process.argv.slice(2);
const isWhole = ${JSON.stringify(WHOLE)}.includes(name) || words.some((word) => word.includes("#"));
if (isWhole) require(${JSON.stringify(WHOLE_FILE)});
else require(${JSON.stringify(main)});
`;

function bundler(
  src: string,
  files: ReadonlyMap<string, string>,
  threads: ReadonlyMap<string, string>,
): BunPlugin {
  const fileOf = (module: string): string => files.get(module) ?? "";
  const whole = WHOLE.map((name) => join(src, `cli/commands/${name}.ts`));
  const isElsewhere = (module: string): boolean => isBytecode(fileOf(module)) || whole.includes(module);
  const pathOf = (file: string): string => `../${isBytecode(file) ? bytecodeNameOf(file) : file}`;
  const modules = [...files.keys()].filter((module) => !isElsewhere(module));
  const taken = namesOfOthers(modules, files, isElsewhere);
  return {
    name: "the command in one file",
    setup(build) {
      build.onResolve({ filter: new RegExp(`^${START}$`) }, () => ({ path: START, namespace: START }));
      build.onLoad({ filter: /.*/, namespace: START }, () => ({
        contents: startText(join(src, "cli/main.ts")),
        loader: "ts",
      }));
      build.onResolve({ filter: new RegExp(`^${WHOLE_FILE}$`) }, () => ({
        path: `./${basename(WHOLE_FILE)}`,
        external: true,
      }));
      build.onResolve({ filter: /^[./].*\.ts$/ }, ({ path, importer, kind }) => {
        const module = resolve(importer, "..", path);
        if (!isElsewhere(module)) return { path: module };
        const file = fileOf(module);
        return kind === "require-call"
          ? { path: pathOf(file), external: true }
          : { path: file, namespace: OTHER };
      });
      requireOthers(build, taken, pathOf);
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
        contents: embedThreads(nameClasses(spellOutStars(textOf(path), path, isElsewhere)), path, threads),
        loader: "ts",
      }));
    },
  };
}

const LAUNCHER = `#!/usr/bin/env bun
if (typeof Bun === "undefined") {
  console.error("shmstruct: the command runs on Bun (https://bun.sh), as it calls libc through bun:ffi: bunx shmstruct …");
  process.exit(2);
}
require("./command.js");
`;

/** @returns the text, the bytecode and what loads them, by their paths in dist/ */
export async function compileCommand(
  src: string,
  files: ReadonlyMap<string, string>,
  threads: ReadonlyMap<string, string>,
): Promise<Map<string, string | Uint8Array>> {
  const { outputs } = await Bun.build({
    entrypoints: [START],
    target: "bun",
    format: "cjs",
    bytecode: true,
    external: ["reflect-metadata", "@nats-io/*", "bun:*", "node:*"],
    plugins: [bundler(src, files, threads)],
  });
  const written = await Promise.all(
    outputs.map(async (output) => [output.kind, new Uint8Array(await output.arrayBuffer())] as const),
  );
  return new Map<string, string | Uint8Array>([
    ["cli/main.js", LAUNCHER],
    ...written.map(
      ([kind, bytes]) => [kind === "bytecode" ? "cli/command.js.jsc" : "cli/command.js", bytes] as const,
    ),
  ]);
}
