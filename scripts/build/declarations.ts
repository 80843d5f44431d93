/** Declarations of the modules that the public ones show, readable by every version of TypeScript that we support. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const FROM_TS = /^((?:import|export)\b[^;"]*)"(\.[^"]+)\.ts"/gm;
const IMPORTS = /(?:^(?:import|export)\b[^;"]*|\bimport\()"(\.[^"]+)\.js"/gm;

/**
 * - Older compilers look for `./x.js` beside `./x.d.ts`, and not for `./x.ts`.
 * - Before TypeScript 5.7 typed arrays had no type parameter: `slice` returns an array over memory of its own, which is
 *   `Uint8Array<ArrayBuffer>` to the newer compilers.
 */
const portable = (text: string): string =>
  text
    .replace(FROM_TS, '$1"$2.js"')
    .replace(/\bimport\("(\.[^"]+)\.ts"\)/g, 'import("$1.js")')
    .replace(/\b(\w+Array|ArrayBufferView)<ArrayBufferLike>/g, "$1")
    .replace(/\b(\w+Array)<ArrayBuffer>/g, 'ReturnType<$1["slice"]>')
    .replace(/\bInt32Array<SharedArrayBuffer>/g, "Int32Array");

/** What the declarations need beyond ES2022, whatever the user's `lib` says. */
const LIBRARIES = ["esnext.disposable", "esnext.decorators"]
  .map((lib) => `/// <reference lib="${lib}" />\n`)
  .join("");

function importedBy(file: string, text: string): string[] {
  return [...text.matchAll(IMPORTS)].map(([, path]) => resolve(dirname(file), `${path}.d.ts`));
}

/** @returns each file's text by its path in dist/ */
export function compileDeclarations(root: string, entries: readonly string[]): Map<string, string> {
  const folder = mkdtempSync(join(root, "node_modules", ".declarations-"));
  try {
    const args = ["-p", "tsconfig.build.json", "--outDir", folder];
    const tsc = Bun.spawnSync([join(root, "node_modules", ".bin", "tsc"), ...args], { cwd: root });
    if (tsc.exitCode !== 0) throw new Error(`tsc failed:\n${tsc.stdout}${tsc.stderr}`);
    const starts = entries.map((entry) =>
      join(folder, relative(join(root, "src"), entry).replace(/\.ts$/, ".d.ts")),
    );
    const found = new Set(starts);
    const texts = new Map<string, string>();
    for (const file of found) {
      const text = portable(readFileSync(file, "utf8"));
      texts.set(relative(folder, file), starts.includes(file) ? LIBRARIES + text : text);
      for (const imported of importedBy(file, text)) found.add(imported);
    }
    return texts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
