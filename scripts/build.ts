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
import { compileCommand, WHOLE_FILE } from "./build/command.ts";
import { compileDeclarations } from "./build/declarations.ts";
import { filesOfModules } from "./build/files.ts";
import { mainEntry } from "./build/main-entry.ts";
import { compileForNode, isForNode } from "./build/node.ts";
import {
  callLoaders,
  embedThreads,
  exportedNames,
  LOADERS,
  loaderOf,
  nameClasses,
  originOf,
  requiredBy,
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

/**
 * The file that loads what a file needs only later. Text with `require` in it is transpiled whenever it is loaded, which
 * takes longer than to load this one too. The command's files are small.
 */
function loadersOf(file: string): string | undefined {
  if (isCommand(file) || file.startsWith("chunks/cli")) return undefined;
  return file === "index.js" ? loadersOf("chunks/main.js") : file.replace(/\.js$/, "-later.js");
}

/** What each of these files loads: the paths of modules, and the names of packages. */
function loadedLater(files: ReadonlyMap<string, string>): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const add = (file: string, required: readonly string[]): void => {
    const loaders = loadersOf(file);
    if (loaders === undefined || required.length === 0) return;
    found.set(loaders, new Set([...(found.get(loaders) ?? []), ...required]));
  };
  add("index.js", main.later);
  for (const [module, file] of files) add(file, requiredBy(module));
  return found;
}

const loadersText = (required: Iterable<string>): string =>
  Array.from(
    required,
    (path) => `export const ${loaderOf(path, src)} = () => require(${JSON.stringify(path)});`,
  ).join("\n");

/** The text that a file of dist/ begins with: it exports what its modules export. */
function startOf(file: string, modules: readonly string[], loaded: ReadonlySet<string> | undefined): string {
  if (loaded !== undefined) return loadersText(loaded);
  if (file === "index.js") return main.text;
  if (file === "without-bun.js") return startWithoutBun(modules[0]!);
  if (!file.startsWith("chunks/")) return `export * from ${JSON.stringify(modules[0])};`;
  const origins = new Map<string, string>();
  const lines = modules.map((module) => {
    const names = exportedNames(module).filter((name) => {
      const origin = originOf(module, name);
      const other = origins.get(name);
      if (other && other !== origin)
        throw new Error(`${file} would have two ${name}: rename ${other} or ${origin}`);
      origins.set(name, origin);
      return other === undefined;
    });
    return names.length === 0
      ? `import ${JSON.stringify(module)};`
      : `export { ${names.join(", ")} } from ${JSON.stringify(module)};`;
  });
  return lines.join("\n");
}

/** Leaves out what belongs to other files, and adapts each module to its life in a bundle. */
function splitter(
  file: string,
  files: ReadonlyMap<string, string>,
  threads: ReadonlyMap<string, string>,
  loaded: ReadonlySet<string> | undefined,
): BunPlugin {
  const modules = [...files].filter(([, name]) => name === file).map(([module]) => module);
  const isElsewhere = (module: string): boolean => files.get(module) !== file;
  const loaders = loadersOf(file);
  const fromHere = (target: string): string => {
    const path = relative(dirname(file), target);
    return path.startsWith(".") ? path : `./${path}`;
  };
  return {
    name: "one file of dist/",
    setup(build) {
      build.onResolve({ filter: new RegExp(`^${START}$`) }, () => ({ path: START, namespace: START }));
      build.onLoad({ filter: /.*/, namespace: START }, () => ({
        contents: startOf(file, modules, loaded),
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
      build.onResolve({ filter: new RegExp(`^${LOADERS}$`) }, () => ({
        path: fromHere(loaders ?? ""),
        external: true,
      }));
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const source = nameClasses(spellOutStars(textOf(path), path, isElsewhere));
        const text = loaders === undefined ? source : callLoaders(source, path, src);
        return { contents: embedThreads(text, path, threads), loader: "ts" };
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
/** `cli/main.js` itself is the command in one file (build/command.ts). */
const nameOf = (file: string): string => (file === "cli/main.js" ? WHOLE_FILE : file);

/**
 * Text without `require` tells Bun that there is nothing to transpile, which saves a part of the time to load it.
 * No line is added or removed, as the source map counts them.
 */
function finished(file: string, { code, map }: Text): Text {
  const text = plainRequire(code);
  const pragma = isCommand(file) ? SHEBANG : /\brequire\(/.test(text) ? "// shmstruct" : "// @bun";
  const folder = join(fresh, dirname(file));
  const sources = JSON.parse(map) as { sources: string[]; sourcesContent: string[] };
  const modules = sources.sources.map((source) => resolve(root, source));
  sources.sources = modules.map((module) => relative(folder, module));
  sources.sourcesContent = modules.map((module) => (existsSync(module) ? readFileSync(module, "utf8") : ""));
  const link = `//# sourceMappingURL=${basename(nameOf(file))}.map`;
  return {
    code: `${text.replace(/^\/\/ @bun\b.*/, pragma).replace(/\n\/\/# debugId=.*\n?/, "\n")}${link}\n`,
    map: JSON.stringify(sources),
  };
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
  const loadedBy = loadedLater(files);
  const all = new Set([...files.values(), ...loadedBy.keys()]);
  for (const file of all) {
    const plugins = [splitter(file, files, threads, loadedBy.get(file))];
    const text = finished(file, await bundle(START, { ...FILE, plugins }));
    write(nameOf(file), text.code);
    write(`${nameOf(file)}.map`, text.map);
  }
  for (const [file, content] of await compileCommand(src, files, threads)) write(file, content);
  for (const [file, text] of compileDeclarations(root, publicModules())) write(file, text);
  for (const [file, text] of await compileForNode(src)) write(file, text);
  write("not-bun.js", readFileSync(join(src, "not-bun.js"), "utf8"));
  await check(all);
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
