/**
 * The programs that tests start, each in one file: `bun tests/support/bundle.ts DIRECTORY`. From its hundred sources a program
 * takes two to four times as long to start, and the suite starts more than a thousand. `npm test` does this once; see programs.ts.
 */
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { BunPlugin } from "bun";
import { nameClasses } from "../../scripts/build/source.ts";

const root = join(import.meta.dir, "../..");
const outdir = process.argv[2] as string;

/** Started so often that compiling them in advance is worth it, which is only done for programs that await nothing at their top. */
const OFTEN = ["conformance-child", "lock-child", "role-count", "role-victim", "life-creator"].map(
  (name) => `tests/process/${name}.ts`,
);

/** As in the sources: threads and other programs are beside the module, and the bundler renames no class. */
const asInSources: BunPlugin = {
  name: "as-in-sources",
  setup(build) {
    build.onLoad({ filter: /\/(src|tests)\/.*\.ts$/ }, async ({ path }) => {
      const text = await Bun.file(path).text();
      const contents = nameClasses(text)
        .replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href))
        .replaceAll("import.meta.dir", JSON.stringify(dirname(path)));
      return { contents, loader: "ts" };
    });
  },
};

async function bundle(paths: readonly string[], options: Partial<Bun.BuildConfig>): Promise<void> {
  const { success, logs } = await Bun.build({
    entrypoints: paths.map((path) => join(root, path)),
    root,
    outdir,
    target: "bun",
    plugins: [asInSources],
    ...options,
  } as Bun.BuildConfig);
  if (!success) throw new AggregateError(logs, "the tests' programs could not be bundled");
}

const programs = [...new Bun.Glob("tests/process/*.ts").scanSync(root)];
const others = programs.filter((path) => !OFTEN.includes(path));
await bundle(others, { splitting: true });
await bundle(OFTEN, { bytecode: true, format: "cjs" });
