/** What the build reads from a module's text, and what it changes in it. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

const transpiler = new Bun.Transpiler({ loader: "ts" });
const texts = new Map<string, string>();

const SHEBANG = /^#!.*/;

/** The text of a module; what tells the shell how to run it is put back in the end. */
export function textOf(module: string): string {
  const text = texts.get(module) ?? readFileSync(module, "utf8").replace(SHEBANG, "//");
  texts.set(module, text);
  return text;
}

const at = (module: string, path: string): string => resolve(dirname(module), path);

/** The modules whose values a module imports with `import` and `export … from`. */
export function importedModules(module: string): string[] {
  const imports = transpiler.scanImports(textOf(module));
  return imports
    .filter(({ kind, path }) => kind === "import-statement" && path.startsWith("."))
    .map(({ path }) => at(module, path));
}

/** The modules that a module loads when it first needs them. */
export function lazyModules(module: string): string[] {
  return [...textOf(module).matchAll(/\brequire\("(\.[^"]+)"\)/g)].map(([, path]) => at(module, path!));
}

/** The modules that a module imports for their effect alone. */
export function sideEffects(module: string): string[] {
  return [...textOf(module).matchAll(/^import "(\.[^"]+)";$/gm)].map(([, path]) => at(module, path!));
}

const STAR_EXPORT = /^export \* from "(\.[^"]+)";$/gm;
const NAMED_EXPORT = /^export \{([^}]*)\} from "(\.[^"]+)";$/gm;

/** The names of values that a module exports, those of `export *` included. */
export function exportedNames(module: string): string[] {
  const starred = [...textOf(module).matchAll(STAR_EXPORT)].flatMap(([, path]) =>
    exportedNames(at(module, path!)),
  );
  return [...new Set([...transpiler.scan(textOf(module)).exports, ...starred])];
}

/** Where a value that a module exports is declared, as `module#name`. */
export function originOf(module: string, name: string): string {
  for (const [, list, path] of textOf(module).matchAll(NAMED_EXPORT)) {
    for (const item of list!.split(",")) {
      const [imported, exported = imported] = item.trim().split(" as ");
      if (exported === name) return originOf(at(module, path!), imported!);
    }
  }
  for (const [, path] of textOf(module).matchAll(STAR_EXPORT)) {
    if (exportedNames(at(module, path!)).includes(name)) return originOf(at(module, path!), name);
  }
  return `${module}#${name}`;
}

/** Names what `*` stands for, in imports from modules that end up in another file, which exports more than they do. */
export function spellOutStars(
  source: string,
  module: string,
  isElsewhere: (module: string) => boolean,
): string {
  return source
    .replace(STAR_EXPORT, (statement, path: string) => {
      if (!isElsewhere(at(module, path))) return statement;
      return `export { ${exportedNames(at(module, path)).join(", ")} } from "${path}";`;
    })
    .replace(/^import \* as (\w+) from "(\.[^"]+)";$/gm, (statement, name: string, path: string) => {
      if (!isElsewhere(at(module, path))) return statement;
      const names = exportedNames(at(module, path));
      const pairs = names.map((exported) => `${exported}: ${name}_${exported}`);
      const imports = names.map((exported) => `${exported} as ${name}_${exported}`);
      return `import { ${imports.join(", ")} } from "${path}"; const ${name} = { ${pairs.join(", ")} };`;
    });
}

/**
 * Gives each class its name as a string: minifiers rename classes, and errors and messages tell the names. At the end of the
 * module, as a static block in each class would take 10 µs at each import.
 */
export function nameClasses(source: string): string {
  const names = Array.from(source.matchAll(/^(?:export )?(?:abstract )?class (\w+)/gm), ([, name]) => name);
  const named = names.map(
    (name) => `Object.defineProperty(${name}, "name", { value: "${name}", configurable: true });`,
  );
  return source + named.join(" ");
}

const TAKEN = /^(?:import|export) \{([^}]*)\} from "(\.[^"]+)"/gm;

/** The names that a text takes of other modules' values, by module. */
export function takenNames(source: string, module: string): Map<string, string[]> {
  const taken = new Map<string, string[]>();
  for (const [, list, path] of source.matchAll(TAKEN)) {
    const items = list!.split(",").map((item) => item.trim());
    const names = items.filter((item) => item !== "" && !item.startsWith("type "));
    const from = at(module, path!);
    taken.set(from, [...(taken.get(from) ?? []), ...names.map((name) => name.split(" as ")[0]!)]);
  }
  return taken;
}

const THREAD_URL = /new URL\("(\.\/[\w/-]+\.ts)", import\.meta\.url\)/g;

/** The modules that a module starts as threads: `new Worker(new URL("./x.ts", import.meta.url))`. */
export function threadModules(module: string): string[] {
  return [...textOf(module).matchAll(THREAD_URL)].map(([, path]) => at(module, path!));
}

/** Puts the code of threads in the place of their URLs. A `blob:` URL, made once, works in every kind of bundle. */
export function embedThreads(source: string, module: string, threads: ReadonlyMap<string, string>): string {
  let count = 0;
  const embedded = source.replace(THREAD_URL, (_, path: string) => {
    const code = JSON.stringify(threads.get(at(module, path)));
    return `(threadUrl${count++} ??= URL.createObjectURL(new Blob([${code}], { type: "text/javascript" })))`;
  });
  const urls = Array.from({ length: count }, (_, i) => `let threadUrl${i}: string | undefined; `);
  return urls.join("") + embedded;
}
