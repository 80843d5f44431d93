/**
 * What Bun runs of the library: CommonJS files with their bytecode, `dist/bytecode/main.cjs` and `main.cjs.jsc`, as reading the
 * text of ES modules was most of what an import and the first role took. A Bun of another version ignores the bytecode and reads
 * the text.
 *
 * Bundlers cannot follow such files, so the entries choose: `dist/load.js` gives them Bun's `require` where it is run, and nothing
 * where a bundler has read it, as its text is only a function that nothing calls. Then the entry takes the ES modules in `dist/es/`.
 */
import { basename, dirname, resolve } from "node:path";
import type { BunPlugin, PluginBuilder } from "bun";
import { embedThreads, nameClasses, originOf, spellOutStars, takenNames, textOf } from "./source.ts";

/** What is run seldom, or by the command alone, stays as ES modules: bytecode is 2.4 times as large as its text. */
const COLD = /^chunks\/(cli|codegen|mirror)/;

/** Whether a file of dist/ exists as bytecode, as ES module for bundlers, and as a file that chooses. */
export const isBytecode = (file: string): boolean => file.startsWith("chunks/") && !COLD.test(file);

/** Opened by tools only, or seldom: their text does. */
const RARE = /-(inspect|ownership)\.cjs$/;

export const esNameOf = (file: string): string => (isBytecode(file) ? file.replace("chunks/", "es/") : file);
export const bytecodeNameOf = (file: string): string =>
  file.replace("chunks/", "bytecode/").replace(/\.js$/, ".cjs");

/** Bun runs text with these words as it is: a function that gets the `require` of this file. */
export const LOAD_TEXT =
  "// @bun @bun-cjs\n(function(exports, require, module, __filename, __dirname) { exports.load = require; })\n";

/**
 * An entry: the names of a file of dist/, from its bytecode or for bundlers. `// @bun`: run as it is. Bundlers leave the last way
 * out, as `require` is a function to them; it is for programs with a plugin that reads files itself, where Bun does not heed the first
 * line of load.js.
 */
export function chooser(entry: string, file: string, names: readonly string[]): string {
  const dist = entry.includes("/") ? "../" : "./";
  const es = JSON.stringify(dist + esNameOf(file));
  const bytecode = JSON.stringify(`./${bytecodeNameOf(file)}`);
  return `// @bun
import * as loading from "${dist}load.js";
const { load } = loading;
export const { ${names.join(", ")} } = load
  ? load(${bytecode})
  : typeof require === "function"
    ? require(${es})
    : import.meta.require(${es});
`;
}

export interface Source {
  /** The file of dist/, by the name of its ES module in chunks/. */
  readonly file: string;
  /** An ES module that exports the names. */
  readonly text: string;
  readonly names: readonly string[];
}

const START = "start-of-bytecode";
const NAMES = "names-of-bytecode";
/** The namespace of what stands for another file of dist/. */
export const OTHER = "other-file";

/** What modules take of those in other files: the names, by file. */
export function namesOfOthers(
  modules: readonly string[],
  files: ReadonlyMap<string, string>,
  isElsewhere: (module: string) => boolean,
): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const module of modules) {
    for (const [other, names] of takenNames(spellOutStars(textOf(module), module, isElsewhere), module)) {
      const file = files.get(other);
      if (file === undefined || !isElsewhere(other)) continue;
      for (const name of names) refuseVariable(other, name);
      found.set(file, new Set([...(found.get(file) ?? []), ...names]));
    }
  }
  return found;
}

/** These have their value when their file has been evaluated. */
const SET_AT_IMPORT = ["bytesBackend"];

/** Another file keeps the value that a variable had when it was imported. */
function refuseVariable(module: string, name: string): void {
  const [origin = module, declared = name] = originOf(module, name).split("#");
  if (SET_AT_IMPORT.includes(declared) || !new RegExp(`^export let ${declared}\\b`, "m").test(textOf(origin)))
    return;
  throw new Error(
    `${origin} exports the variable ${declared}, of which other files of dist/ would see no change: export a function`,
  );
}

/** Requires other files, and makes constants of what they export: read from there at each use it would cost more. */
export function requireOthers(
  build: PluginBuilder,
  taken: ReadonlyMap<string, ReadonlySet<string>>,
  pathOf: (file: string) => string,
): void {
  build.onResolve({ filter: /^\.\.?\/[\w/-]+\.c?js$/ }, ({ path }) => ({ path, external: true }));
  build.onLoad({ filter: /.*/, namespace: OTHER }, ({ path }) => ({
    contents: `export const { ${[...(taken.get(path) ?? [])].join(", ")} } = require(${JSON.stringify(pathOf(path))});`,
    loader: "js",
  }));
}

function splitter(
  { file, text, names }: Source,
  files: ReadonlyMap<string, string>,
  threads: ReadonlyMap<string, string>,
): BunPlugin {
  const modules = [...files].filter(([, name]) => name === file).map(([module]) => module);
  const isElsewhere = (module: string): boolean => files.get(module) !== file;
  const plainText = (module: string): string => spellOutStars(textOf(module), module, isElsewhere);
  const pathOf = (other: string): string =>
    isBytecode(other) ? `./${basename(bytecodeNameOf(other))}` : `../${other}`;
  const taken = namesOfOthers(modules, files, isElsewhere);
  return {
    name: "one file of dist/bytecode/",
    setup(build) {
      build.onResolve({ filter: new RegExp(`^(${START}|${NAMES})$`) }, ({ path }) => ({
        path,
        namespace: START,
      }));
      build.onLoad({ filter: /.*/, namespace: START }, ({ path }) => ({
        contents:
          path === NAMES
            ? text
            : `"use strict"; import { ${names.join(", ")} } from "${NAMES}"; module.exports = { ${names.join(", ")} };`,
        loader: "ts",
      }));
      build.onResolve({ filter: /^[./].*\.ts$/ }, ({ path, importer, kind }) => {
        const module = resolve(dirname(importer), path);
        const other = files.get(module);
        if (other === file) return { path: module };
        if (other === undefined)
          throw new Error(`${importer} imports ${path}, which no file of dist/ contains`);
        return kind === "require-call"
          ? { path: pathOf(other), external: true }
          : { path: other, namespace: OTHER };
      });
      requireOthers(build, taken, pathOf);
      build.onResolve({ filter: /^reflect-metadata$/ }, () => ({
        path: `./${REFLECT_METADATA}`,
        external: true,
      }));
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
        contents: embedThreads(nameClasses(plainText(path)), path, threads),
        loader: "ts",
      }));
    },
  };
}

const REFLECT_METADATA = "reflect-metadata.cjs";

/**
 * The dependency, as bytecode: reading its text takes twice as long as reading this, for each program that is compiled with
 * emitDecoratorMetadata. Copies of it know each other, so one that the program imports itself sees what this one has noted.
 */
export async function compileReflectMetadata(root: string): Promise<Map<string, Uint8Array>> {
  const { outputs } = await Bun.build({
    entrypoints: [Bun.resolveSync("reflect-metadata", root)],
    target: "bun",
    format: "cjs",
    bytecode: true,
    minify: { whitespace: true, syntax: true },
    naming: { entry: REFLECT_METADATA },
  });
  const written = await Promise.all(
    outputs.map(async (output) => [output.kind, new Uint8Array(await output.arrayBuffer())] as const),
  );
  const name = `bytecode/${REFLECT_METADATA}`;
  return new Map(written.map(([kind, bytes]) => [kind === "bytecode" ? `${name}.jsc` : name, bytes]));
}

/** @returns the text, its source map and the bytecode, by their paths in dist/ */
export async function compileToBytecode(
  source: Source,
  files: ReadonlyMap<string, string>,
  threads: ReadonlyMap<string, string>,
): Promise<Map<string, string | Uint8Array>> {
  const name = bytecodeNameOf(source.file);
  const { outputs } = await Bun.build({
    entrypoints: [START],
    target: "bun",
    format: "cjs",
    bytecode: true,
    minify: { whitespace: true, syntax: true },
    sourcemap: "linked",
    naming: { entry: basename(name) },
    external: ["reflect-metadata", "@nats-io/*", "bun:*", "node:*"],
    plugins: [splitter(source, files, threads)],
  });
  const written = new Map<string, string | Uint8Array>();
  for (const output of outputs) {
    if (output.kind === "bytecode") {
      if (!RARE.test(name)) written.set(`${name}.jsc`, new Uint8Array(await output.arrayBuffer()));
    } else written.set(output.kind === "sourcemap" ? `${name}.map` : name, await output.text());
  }
  return written;
}
