/**
 * What Node.js gets: `dist/node/all.js`, the same modules as on Bun, but for those that map files or call libc, which
 * src/node/ has in its own way; and one small file for each entry, which exports its names from there.
 */
import { dirname, join, relative, resolve } from "node:path";
import type { BunPlugin } from "bun";
import { exportedNames, nameClasses, textOf } from "./source.ts";

/** In the place of which module of src/ a module of src/node/ stands. */
export const NODE_MODULES: Readonly<Record<string, string>> = {
  "segment/lifetime.ts": "lifetime.ts",
  "segment/segment-file.ts": "segment-file.ts",
  "sync/lock-page.ts": "lock-page.ts",
  "sync/seqlock.ts": "seqlock.ts",
  "sync/waker.ts": "waker.ts",
  "sys/builtin.ts": "builtin.ts",
  "sys/crc32.ts": "crc32.ts",
  "sys/fill-file.ts": "fill-file.ts",
  "sys/libc/ffi.ts": "libc.ts",
  "sys/owned-fd.ts": "owned-fd.ts",
};

/** The entries, by the name that package.json exports them under. */
export const NODE_ENTRIES = ["index", "json", "channel", "queue"] as const;

function substitution(src: string): BunPlugin {
  return {
    name: "modules for Node.js",
    setup(build) {
      build.onResolve({ filter: /^\..*\.ts$/ }, ({ path, importer }) => {
        const module = resolve(dirname(importer), path);
        const other = NODE_MODULES[relative(src, module)];
        return { path: other === undefined ? module : join(src, "node", other) };
      });
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
        contents: nameClasses(textOf(path)),
        loader: "ts",
      }));
    },
  };
}

/** @returns the text of each file, by its path in dist/ */
export async function compileForNode(src: string): Promise<Map<string, string>> {
  const { outputs } = await Bun.build({
    entrypoints: [join(src, "node/all.ts")],
    target: "node",
    sourcemap: "external",
    external: ["reflect-metadata", "fs-ext", "node:*"],
    plugins: [substitution(src)],
  });
  const [all = "", map = "{}"] = await Promise.all(outputs.map((output) => output.text()));
  if (/from\s*"bun:|\bimport\("bun:|require\("bun:/.test(all))
    throw new Error("dist/node/all.js would import a module of Bun's");
  const files = new Map([
    ["node/all.js", `${all.replace(/\n\/\/# debugId=.*\n?/, "\n")}//# sourceMappingURL=all.js.map\n`],
    ["node/all.js.map", fromFolder(map, src)],
  ]);
  for (const entry of NODE_ENTRIES) {
    const names = exportedNames(join(src, "node", `${entry}.ts`)).toSorted();
    files.set(`node/${entry}.js`, `export { ${names.join(", ")} } from "./all.js";\n`);
  }
  return files;
}

/** Paths in a source map as they are from dist/node/; each holds its module's text, as src/ is not packed. */
function fromFolder(map: string, src: string): string {
  const sources = JSON.parse(map) as { sources: string[]; sourcesContent: string[] };
  const modules = sources.sources.map((source) => resolve(src, "..", source));
  sources.sources = modules.map((module) => relative(join(src, "../dist/node"), module));
  sources.sourcesContent = modules.map(textOf);
  return JSON.stringify(sources);
}

/** Whether package.json's target is one of these files. */
export const isForNode = (target: string): boolean => target.startsWith("./dist/node/");
