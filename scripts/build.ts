/**
 * Compiles src/ into dist/, which is what package.json's `exports` and `bin` name: `bun scripts/build.ts [--if-needed]`.
 *
 * - JavaScript: a few files instead of one per module, because each file costs time when it is loaded (build/files.ts).
 *   What is loaded lazily (`require("./x.ts")`) has files of its own, and so have modules that the main entry does not need.
 * - Declarations: one file per module, from tsc.
 * - For Node.js: one file with the modules that it has in the place of some (build/node.ts).
 * - The code of a thread is a string inside the file that starts it, so that a bundle contains it.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { BunPlugin } from "bun";
import {
  chooser,
  compileReflectMetadata,
  compileToBytecode,
  esNameOf,
  isBytecode,
  LOAD_TEXT,
  type Source,
} from "./build/bytecode.ts";
import { compileCommand, WHOLE_FILE } from "./build/command.ts";
import { compileDeclarations } from "./build/declarations.ts";
import { filesOfModules, MAIN } from "./build/files.ts";
import { mainEntry } from "./build/main-entry.ts";
import { compileForNode, isForNode } from "./build/node.ts";
import {
  embedThreads,
  exportedNames,
  importedModules,
  lazyModules,
  nameClasses,
  originOf,
  spellOutStars,
  textOf,
  threadModules,
} from "./build/source.ts";

const root = resolve(import.meta.dir, "..");
const src = join(root, "src");
const dist = join(root, "dist");
const fresh = `${dist}.${process.pid}`;

/** `dist/document/index.js` is compiled from `src/document/index.ts`. */
function publicModules(): string[] {
  const { exports, bin = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    exports: Record<string, string | Record<string, string>>;
    bin?: Record<string, string>;
  };
  const targets = Object.values(exports).flatMap((target) =>
    typeof target === "string" ? target : Object.values(target),
  );
  const compiled = [...targets, ...Object.values(bin)].filter(
    (path) => /^\.\/dist\/.*(?<!not-bun)\.js$/.test(path) && !isForNode(path),
  );
  return Array.from(new Set(compiled), (path) => {
    const module = join(src, path.slice("./dist/".length).replace(/\.js$/, ".ts"));
    if (existsSync(module)) return module;
    throw new Error(`package.json names ${path}, which would be compiled from ${module}, which is missing`);
  });
}

interface Text {
  readonly code: string;
  readonly map: string;
}

const THREAD = { minify: { whitespace: true, syntax: true }, sourcemap: "none" } as const;
/** Names stay as they are; what is read faster is also loaded faster. */
const FILE = { minify: { whitespace: true, syntax: true }, sourcemap: "external" } as const;

async function bundle(
  entry: string,
  options: typeof THREAD | (typeof FILE & { plugins: BunPlugin[] }),
): Promise<Text> {
  const { outputs } = await Bun.build({
    entrypoints: [entry],
    target: "bun",
    external: ["reflect-metadata", "@nats-io/*", "bun:*", "node:*"],
    ...options,
  });
  const [code, map] = await Promise.all(outputs.map((output) => output.text()));
  return { code: code ?? "", map: map ?? "" };
}

/** The whole code of each thread, by its module. Not within a plugin, as a build inside a build never ends. */
async function compileThreads(modules: Iterable<string>): Promise<Map<string, string>> {
  const threads = new Map<string, string>();
  for (const module of modules) {
    for (const thread of threadModules(module)) threads.set(thread, (await bundle(thread, THREAD)).code);
  }
  return threads;
}

const START = "start-of-file";

/** For runtimes that lack what the rest of the main module needs, a name that says so is better than a name that is missing. */
function startWithoutBun(module: string): string {
  const there = exportedNames(module).filter((name) => name !== "needsBun");
  const missing = exportedNames(join(src, "index.ts")).filter((name) => !there.includes(name));
  const standIns = missing.map((name) => `export const ${name} = needsBun("${name}");`);
  const path = JSON.stringify(module);
  return `import { needsBun } from ${path};\nexport { ${there.join(", ")} } from ${path};\n${standIns.join("\n")}`;
}

const main = mainEntry(
  join(src, "index.ts"),
  ["struct/functions.ts", "struct/schema/schema-reader.ts"].map((path) => join(src, path)),
);

const isCommand = (file: string): boolean => file.startsWith("cli/");

/** What a file of dist/ exports: an ES module, and its names. */
function sourceOf(file: string, modules: readonly string[]): Source {
  if (file === "without-bun.js") return { file, text: startWithoutBun(modules[0]!), names: [] };
  if (!file.startsWith("chunks/"))
    return { file, text: `export * from ${JSON.stringify(modules[0])};`, names: [] };
  const index = join(src, "index.ts");
  const origins = new Map<string, string>();
  const lines = [file === MAIN ? main.text : ""];
  if (file === MAIN) for (const name of exportedNames(index)) origins.set(name, originOf(index, name));
  for (const module of modules) {
    const names = exportedNames(module).filter((name) => {
      const origin = originOf(module, name);
      const other = origins.get(name);
      if (other && other !== origin)
        throw new Error(`${file} would have two ${name}: rename ${other} or ${origin}`);
      origins.set(name, origin);
      return other === undefined;
    });
    const path = JSON.stringify(module);
    if (module === index) continue;
    lines.push(names.length === 0 ? `import ${path};` : `export { ${names.join(", ")} } from ${path};`);
  }
  return { file, text: lines.join("\n"), names: [...origins.keys()] };
}

/** The files that choose between ES modules and bytecode: the entries, and what the other files of dist/ import. */
function choosers(files: ReadonlyMap<string, string>, sources: readonly Source[]): Map<string, string> {
  const cold = [...files].filter(([, file]) => !isBytecode(file) && file !== "without-bun.js");
  const imported = cold.flatMap(([module]) => [...importedModules(module), ...lazyModules(module)]);
  const needed = new Set(imported.map((module) => files.get(module)));
  const found = new Map<string, string>();
  for (const { file, names } of sources)
    if (isBytecode(file) && needed.has(file)) found.set(file, chooser(file, file, names));
  for (const entry of publicModules()) {
    const file = files.get(entry)!;
    const name = relative(src, entry).replace(/\.ts$/, ".js");
    if (file !== name) found.set(name, chooser(name, file, exportedNames(entry)));
  }
  return found;
}

/** Leaves out what belongs to other files, and adapts each module to its life in a bundle. */
function splitter(
  { file, text }: Source,
  files: ReadonlyMap<string, string>,
  threads: ReadonlyMap<string, string>,
): BunPlugin {
  const isElsewhere = (module: string): boolean => files.get(module) !== file;
  // What bundlers take goes on among the ES modules; what is run as it is takes the files that choose.
  const isEs = isBytecode(file) || file === "without-bun.js";
  const fromHere = (target: string): string => {
    const path = relative(dirname(esNameOf(file)), isEs ? esNameOf(target) : target);
    return path.startsWith(".") ? path : `./${path}`;
  };
  return {
    name: "one file of dist/",
    setup(build) {
      build.onResolve({ filter: new RegExp(`^${START}$`) }, () => ({ path: START, namespace: START }));
      build.onLoad({ filter: /.*/, namespace: START }, () => ({
        contents: text,
        loader: "ts",
      }));
      build.onResolve({ filter: /^[./].*\.ts$/ }, ({ path, importer }) => {
        const module = resolve(dirname(importer), path);
        if (!isElsewhere(module)) return { path: module };
        const target = files.get(module);
        if (target === undefined)
          throw new Error(`${importer} imports ${path}, which no file of dist/ contains`);
        return { path: fromHere(target), external: true };
      });
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const source = nameClasses(spellOutStars(textOf(path), path, isElsewhere));
        return { contents: embedThreads(source, path, threads), loader: "ts" };
      });
    },
  };
}

/**
 * Bundlers follow `require("./x.js")`, but not the `import.meta.require` that Bun writes instead. What follows stays in its
 * column, as the source map says.
 */
const plainRequire = (code: string): string =>
  code
    .replace(/\bvar __require ?= ?import\.meta\.require;/, (text) => " ".repeat(text.length))
    .replace(/\b(?:__require|import\.meta\.require)\(/g, (text) => "require(".padStart(text.length));

const SHEBANG = "#!/usr/bin/env bun";
/** `cli/main.js` itself loads the command in one file (build/command.ts). */
const nameOf = (file: string): string => (file === "cli/main.js" ? WHOLE_FILE : esNameOf(file));

/**
 * Text without `require` tells Bun that there is nothing to transpile, which saves a part of the time to load it.
 * No line is added or removed, as the source map counts them.
 */
function finished(file: string, { code, map }: Text): Text {
  const text = plainRequire(code);
  const pragma = isCommand(file) ? SHEBANG : /\brequire\(/.test(text) ? "// shmstruct" : "// @bun";
  const link = `//# sourceMappingURL=${basename(nameOf(file))}.map`;
  return {
    code: `${text.replace(/^\/\/ @bun\b.*/, pragma).replace(/\n\/\/# debugId=.*\n?/, "\n")}${link}\n`,
    map: withSources(map, nameOf(file)),
  };
}

/**
 * Names the sources as they lie from where the map is; with their text, as src/ is not packed. The ES modules of what is run
 * from bytecode are never run themselves: the text is in the bytecode's map.
 */
function withSources(map: string, file: string): string {
  const folder = join(fresh, dirname(file));
  const sources = JSON.parse(map) as { sources: string[]; sourcesContent: string[] };
  const modules = sources.sources.map((source) => resolve(root, source));
  sources.sources = modules.map((module) => relative(folder, module));
  const hasText = (module: string): boolean => !file.startsWith("es/") && existsSync(module);
  sources.sourcesContent = modules.map((module) => (hasText(module) ? readFileSync(module, "utf8") : ""));
  return JSON.stringify(sources);
}

function write(file: string, text: string | Uint8Array): void {
  const path = join(fresh, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: isCommand(file) && file.endsWith(".js") ? 0o755 : 0o644 });
}

/** Files whose names do not fit together fail here, and not at a user's. */
async function check(files: Iterable<string>): Promise<void> {
  for (const file of files) if (!isCommand(file)) await import(join(fresh, file));
}

async function build(): Promise<void> {
  const files = filesOfModules(src, publicModules(), main);
  const threads = await compileThreads(files.keys());
  const sources = [...new Set(files.values())].map((file) => {
    const modules = [...files].filter(([, name]) => name === file).map(([module]) => module);
    return sourceOf(file, modules);
  });
  for (const source of sources) {
    const { file } = source;
    const plugins = [splitter(source, files, threads)];
    const text = finished(file, await bundle(START, { ...FILE, plugins }));
    write(nameOf(file), text.code);
    write(`${nameOf(file)}.map`, text.map);
    if (!isBytecode(file)) continue;
    for (const [name, content] of await compileToBytecode(source, files, threads))
      write(
        name,
        typeof content === "string" && name.endsWith(".map") ? withSources(content, name) : content,
      );
  }
  write("load.js", LOAD_TEXT);
  for (const [file, content] of await compileReflectMetadata(root)) write(file, content);
  const choosing = choosers(files, sources);
  for (const [file, text] of choosing) write(file, text);
  for (const [file, content] of await compileCommand(src, files, threads)) write(file, content);
  for (const [file, text] of compileDeclarations(root, publicModules())) write(file, text);
  for (const [file, text] of await compileForNode(src)) write(file, text);
  write("not-bun.js", readFileSync(join(src, "not-bun.js"), "utf8"));
  await check([...sources.map(({ file }) => nameOf(file)), ...choosing.keys()]);
}

/** Two builds at once both succeed, and what is in dist/ is always a whole one. */
function publish(): void {
  const old = `${fresh}.old`;
  for (;;) {
    try {
      if (existsSync(dist)) renameSync(dist, old);
      renameSync(fresh, dist);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT") throw error;
    } finally {
      rmSync(old, { recursive: true, force: true });
    }
  }
}

function isUpToDate(): boolean {
  const builtAt = statSync(join(dist, "index.js"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const inputs = ["src", "scripts/build"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  );
  const all = [...inputs, "scripts/build.ts", "package.json", "tsconfig.json", "tsconfig.build.json"];
  return all.every((path) => statSync(join(root, path)).mtimeMs < builtAt);
}

if (!process.argv.includes("--if-needed") || !isUpToDate()) {
  try {
    await build();
    publish();
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
