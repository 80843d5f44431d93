/** Which modules go together into one file of dist/. */
import { join, relative } from "node:path";
import { isBytecode } from "./bytecode.ts";
import type { MainEntry } from "./main-entry.ts";
import { importedModules, lazyModules } from "./source.ts";

/** All modules that are loaded when those of `start` are. */
function eagerly(start: Iterable<string>): Set<string> {
  const found = new Set(start);
  for (const module of found) for (const imported of importedModules(module)) found.add(imported);
  return found;
}

/** All modules that are loaded lazily, also by others that are. */
function lazily(start: Iterable<string>): Set<string> {
  const found = new Set<string>();
  const look = (modules: Iterable<string>): void => {
    for (const module of modules) {
      for (const lazy of lazyModules(module)) {
        if (found.has(lazy)) continue;
        found.add(lazy);
        look(eagerly([lazy]));
      }
    }
  };
  look(eagerly(start));
  return found;
}

/** The main entry and what is loaded with it. */
export const MAIN = "chunks/main.js";

/** What opens a role: in files of its own. */
const OPENING = "record/opening.ts";

/** Public modules whose room has more that is not public: the entry chooses between files with both (bytecode.ts). */
function fileOfEntry(src: string, entry: string): string {
  const file = relative(src, entry).replace(/\.ts$/, ".js");
  if (file === "index.js") return MAIN;
  const room = `chunks/${file.replace(/\/index\.js$/, ".js")}`;
  return file.endsWith("/index.js") && isBytecode(room) ? room : file;
}

/**
 * The file of dist/ for each module: for public modules their own where they have no bytecode, then `chunks/main.js` for the main
 * entry and what it loads,
 * `chunks/views.js` and `chunks/opening.js` for structs in memory and what else opening a role takes, `chunks/<room>.js` for
 * what other entries or several lazy modules load, and `chunks/<lazy module>.js`. A room imports only from lower rooms, and
 * each of these kinds only from those before, so that files never import each other in a circle.
 * @param entries the public modules, the main one first
 */
export function filesOfModules(
  src: string,
  [index, ...entries]: readonly string[],
  main: MainEntry,
): Map<string, string> {
  const files = new Map<string, string>();
  const put = (modules: Iterable<string>, nameOf: (room: string) => string): void => {
    for (const module of modules) {
      const [room] = relative(src, module).split("/");
      if (!files.has(module)) files.set(module, `chunks/${nameOf(room!)}.js`);
    }
  };
  for (const entry of [index!, ...entries]) files.set(entry, fileOfEntry(src, entry));
  put(eagerly(main.eager), () => "main");
  put(eagerly([join(src, OPENING)]), (room) => (room === "struct" ? "views" : "opening"));
  put(eagerly(entries), (room) => room);
  // What only some commands need does not come with the help of all.
  const shared = (room: string): string => (room === "cli" ? "cli-more" : room);
  const lazy = [...main.later, ...lazily([...main.eager, ...main.later, ...entries])].map((start) => ({
    start,
    modules: eagerly([start]),
  }));
  const timesLoaded = (module: string): number => lazy.filter(({ modules }) => modules.has(module)).length;
  for (const { modules } of lazy)
    put(
      [...modules].filter((module) => timesLoaded(module) > 1),
      shared,
    );
  for (const { start, modules } of lazy) {
    put(modules, () => relative(src, start).replace(/\.ts$/, "").replaceAll("/", "-"));
  }
  return files;
}
