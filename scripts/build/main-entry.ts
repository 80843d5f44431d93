/**
 * The names of the main entry, dist/index.js, straight from the modules that declare them. Those of `later` are functions
 * whose code is loaded at the first call, as reading it would be more than half of what `import "shmstruct"` takes.
 */
import { dirname, resolve } from "node:path";
import { exportedNames, originOf, sideEffects } from "./source.ts";

export interface MainEntry {
  /** The modules that it loads at once. */
  readonly eager: readonly string[];
  readonly later: readonly string[];
  /** The text that the file begins with. */
  readonly text: string;
}

/** @param functions modules that export only functions */
export function mainEntry(index: string, functions: readonly string[]): MainEntry {
  const origins = new Map<string, string[]>();
  for (const name of exportedNames(index)) {
    const [module = "", declared] = originOf(index, name).split("#");
    const item = declared === name ? name : `${declared} as ${name}`;
    origins.set(module, [...(origins.get(module) ?? []), item]);
  }
  const effects = sideEffects(index);
  const eager = [...origins].filter(([module]) => !functions.includes(module));
  const later = [...origins].filter(([module]) => functions.includes(module));
  const text = [
    `import { loadPart } from ${JSON.stringify(resolve(dirname(index), "errors/load.ts"))};`,
    ...effects.map((module) => `import ${JSON.stringify(module)};`),
    ...eager.map(([module, items]) => `export { ${items.join(", ")} } from ${JSON.stringify(module)};`),
    ...later.flatMap(([module, items], i) => forwarders(module, items, i)),
  ];
  return {
    eager: [...effects, ...eager.map(([module]) => module)],
    later: later.map(([module]) => module),
    text: text.join("\n"),
  };
}

function forwarders(module: string, items: readonly string[], number: number): string[] {
  const load = `load${number}`;
  return [
    `let loaded${number}: any; const ${load} = () => (loaded${number} ??= loadPart(() => require(${JSON.stringify(module)})));`,
    ...items.map((item) => {
      const [declared, exported = declared] = item.split(" as ");
      return `export function ${exported}(...args: any[]) { return ${load}().${declared}(...args); }`;
    }),
  ];
}
