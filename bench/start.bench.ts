/** Row 11: what it takes until the first field is read. Nothing of the library is imported here before it is measured. */
import { copyFileSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { alone, type Case, type Figure, isQuick, type Metrics, Missing, type Suite } from "./harness.ts";
import { inTempDir, pythonProgram, pythonWith } from "./prepare.ts";

/** A file of the demo struct in which a field is 3.5, made by another process so that nothing is loaded here. */
const inDirWithFile = (use: (dir: string) => Metrics): Promise<Metrics> =>
  inTempDir((dir) => {
    const script = `
      import { Manager } from "${import.meta.dirname}/../src/index.ts";
      import { DemoMmapStructure } from "${import.meta.dirname}/../demo/demo-struct.ts";
      using manager = new Manager(DemoMmapStructure, { dir: ${JSON.stringify(dir)}, create: true });
      manager.set("multi_pts.multi_points.3.x", 3.5);
      await Bun.write(${JSON.stringify(join(dir, "py.mmap"))}, new Uint8Array(await Bun.file(manager.path).arrayBuffer()).slice(0, 688));`;
    const path = join(dir, "make.ts");
    writeFileSync(path, script);
    Bun.spawnSync([process.execPath, path], { cwd: join(import.meta.dirname, ".."), stderr: "inherit" });
    return use(dir);
  });

const root = join(import.meta.dirname, "..");
const entry = join(root, "src", "index.ts");
const demo = join(root, "demo", "demo-struct.ts");
/** Of `multi_pts.multi_points.3.x`, which all read. */
const FIELD_OFFSET = 296 + 8 + 3 * 16;
const program = (name: string) => join(import.meta.dirname, "peers", name);

/** Opening and reading when it has been done many times. */
function often(command: readonly string[]): Metrics {
  const { stdout, stderr, exitCode } = Bun.spawnSync([...command, "often"]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return JSON.parse(stdout.toString());
}

/** So often is each program run: what else the machine does can only add to the fastest time. */
const RUNS = isQuick ? 2 : 15;

/** The least of each figure of several runs of a program, and of the time of its whole process. */
function fastest(command: readonly string[], cwd?: string): Metrics {
  const least: Metrics = {};
  for (let i = 0; i < RUNS; i++) {
    const start = Bun.nanoseconds();
    const { stdout, stderr, exitCode } = Bun.spawnSync([...command], { cwd });
    const process = Bun.nanoseconds() - start;
    if (exitCode !== 0) throw new Error(stderr.toString());
    const printed: Metrics = JSON.parse(stdout.toString() || "{}");
    for (const [name, value] of Object.entries({ ...printed, ...sumOf(printed), process }))
      least[name] = Math.min(least[name] ?? Number.POSITIVE_INFINITY, value);
  }
  return least;
}

const sumOf = ({ import: imported, first }: Metrics): Metrics =>
  imported === undefined || first === undefined ? {} : { both: imported + first };

/**
 * How much more processor time the process of a program takes that imports this, and nothing else, than that of an empty one.
 * Not by the clock on the wall: on a busy machine what others do would be most of so short a time.
 */
function importCost(specifier: string, dir: string): Metrics {
  writeFileSync(join(dir, "empty.ts"), "export {};\n");
  writeFileSync(join(dir, "importing.ts"), `import ${JSON.stringify(specifier)};\n`);
  const least = { empty: Number.POSITIVE_INFINITY, importing: Number.POSITIVE_INFINITY };
  // In turns, so that both are run while the machine is as fast.
  for (let i = 0; i < 2 * RUNS; i++) {
    for (const name of ["empty", "importing"] as const) {
      const program = [process.execPath, join(dir, `${name}.ts`)];
      const { resourceUsage } = Bun.spawnSync(program, { cwd: dir, stderr: "inherit" });
      least[name] = Math.min(least[name], Number(resourceUsage?.cpuTime.total) * 1000);
    }
  }
  return { cost: least.importing - least.empty };
}

/** The import of a module, alone. */
const importOf = (path: string): Metrics => fastest([process.execPath, program("import.ts"), path]);

const ours: Case = () =>
  inDirWithFile((dir) => {
    const command = [process.execPath, program("open.ts"), dir, entry, demo];
    return { ...fastest(command), ...often(command) };
  });

/** The same by hand: system calls, the footer's first words, a DataView. */
const byHand: Case = () =>
  inDirWithFile((dir) => fastest([process.execPath, program("by-hand.ts"), dir, String(FIELD_OFFSET)]));

/** The same code in one file: what is left is not the number of files. */
const bundled: Case = () =>
  inTempDir(async (dir) => {
    await Bun.build({ entrypoints: [entry], target: "bun", outdir: dir });
    return importOf(join(dir, "index.js"));
  });

function build(): void {
  const built = Bun.spawnSync([process.execPath, join(root, "scripts", "build.ts"), "--if-needed"]);
  if (built.exitCode !== 0) throw new Error(built.stderr.toString());
}

/** What users get: dist/, compiled, in a project that has it in node_modules. */
const compiled: Case = () =>
  inDirWithFile((dir) => {
    build();
    const modules = join(dir, "node_modules");
    mkdirSync(modules);
    symlinkSync(root, join(modules, "shmstruct"));
    const compilerOptions = { experimentalDecorators: true, emitDecoratorMetadata: true };
    writeFileSync(join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions }));
    for (const path of [demo, program("open.ts"), program("load.ts"), program("first-class.ts")])
      copyFileSync(path, join(dir, basename(path)));
    const struct = join(dir, basename(demo));
    const run = (name: string, ...args: string[]) =>
      fastest([process.execPath, join(dir, name), ...args], dir);
    const { load = Number.NaN } = run("load.ts", join(root, "dist"));
    const { firstClass = Number.NaN } = run("first-class.ts", "shmstruct");
    return { ...run("open.ts", dir, "shmstruct", struct), ...importCost("shmstruct", dir), load, firstClass };
  });

/** One file with as many bytes as the import as packed loads, in functions that nothing calls: Bun reads it, and runs none of it. */
const asMuchCode: Case = () =>
  inTempDir((dir) => {
    build();
    const loaded = ["index.js", "load.js", "bytecode/main.cjs"];
    const bytes = loaded.reduce((sum, name) => sum + statSync(join(root, "dist", name)).size, 0);
    const functions: string[] = [];
    for (let length = 0; length < bytes; length += functions.at(-1)!.length)
      functions.push(
        idleFunction(`f${functions.length}`).replaceAll(/: (?:readonly )?number(?:\[\])?|\n\s*/g, ""),
      );
    const path = join(dir, "idle.js");
    writeFileSync(path, `// @bun\n${functions.join("\n")}`);
    return importCost(path, dir);
  });

/** reflect-metadata, which with emitDecoratorMetadata the first decorated class loads. */
const reflectMetadata: Case = () =>
  inTempDir((dir) => importCost(Bun.resolveSync("reflect-metadata", root), dir));

/** The source files that an import of the library loads. */
function sources(path = entry, found = new Map<string, string>()): Map<string, string> {
  if (found.has(path)) return found;
  const text = readFileSync(path, "utf8");
  found.set(path, text);
  for (const [, name] of text.matchAll(/^(?:import|export) (?!type )(?:[^;]*? from )?"(\.[^"]+)";/gm))
    sources(resolve(dirname(path), name!), found);
  return found;
}

/** As many modules with as many lines, in functions that nothing calls; each imports the next six. */
const idle: Case = () =>
  inTempDir((dir) => {
    const lengths = [...sources().values()].map((text) => countCode(text));
    for (const [i, lines] of lengths.entries()) {
      const next = Array.from({ length: 6 }, (_, k) => i + k + 1).filter((k) => k < lengths.length);
      const imports = next.map((k) => `import { f${k}_0 } from "./m${k}.ts";`);
      const bodies = Array.from({ length: Math.ceil(lines / 10) }, (_, k) => idleFunction(`f${i}_${k}`));
      const used = `export const used = [${next.map((k) => `f${k}_0`).join(", ")}];`;
      writeFileSync(join(dir, `m${i}.ts`), [...imports, ...bodies, used].join("\n"));
    }
    return importOf(join(dir, "m0.ts"));
  });

/** Lines that are neither blank nor comments. */
const countCode = (text: string): number =>
  text.split("\n").filter((line) => !/^\s*($|\/\*|\*|\/\/)/.test(line)).length;

/** Ten lines. */
const idleFunction = (
  name: string,
): string => `export function ${name}(list: readonly number[], limit = 10): number {
  let sum = 0;
  for (const value of list) {
    if (value > limit) throw new RangeError(\`expected at most \${limit}, got \${value}\`);
    const { length } = list;
    sum += value * length;
  }
  const rest = list.map((value) => value - sum).filter((value) => value > 0);
  return rest.length === 0 ? sum : ${name}(rest, limit);
}`;

const python: Case = () =>
  inDirWithFile((dir) => {
    const command = pythonProgram("open", ["fasteners"], dir);
    if ("missing" in command) throw new Missing(command.missing);
    return { ...fastest(command), ...often(command) };
  });

/** Nothing at all: the time of the runtime itself. */
const bare = (...command: string[]): Case => {
  return () => {
    const start = Bun.nanoseconds();
    Bun.spawnSync(command);
    return { process: Bun.nanoseconds() - start };
  };
};

const FLOOR =
  "code that runs for the first time. ctypes and mmap are compiled C; ours is TypeScript, which Bun reads, links and interprets, each of the some 200 functions that opening and reading take compiled to bytecode at its first call. What Bun needs for the import of as many modules and lines that do nothing stands in a row of its own; so does the import of the library in one file, and the open that was done often before. With emitDecoratorMetadata, as here, reflect-metadata is loaded too (1 to 2 ms).";

const row = (what: string, metric: string) => ({
  id: "11",
  what,
  metric,
  ours: "shmstruct",
  peer: "Python, ctypes and fasteners",
  aim: { atLeast: 1 },
  floor: FLOOR,
});

const IMPORT_FLOOR =
  "to read as much text takes the time of the row below, before any of it runs: all types, decorators, errors and roles. The library is run from bytecode, which is decoded instead. The rest makes some 60 classes and 30 types. What opens, makes and lists files is not loaded by an import.";

const PACKED_FLOOR =
  "by hand, with nothing but system calls and a DataView, takes the time of the rows below, most of it bun:ffi's: without the struct, its layout, the lock's queue and the checks. To define the structs is mostly Bun's to read the user's TypeScript and to load reflect-metadata, which emitDecoratorMetadata asks for. To load the bytecode of what opens a role takes the time of the row below; each of the some 200 functions that opening and reading take is decoded at its first call, and interpreted. What was done often before takes a tenth of it, the row 'done often before' of the table.";

const packed = (what: string, metric: string, atMost?: number, floor?: string): Figure => ({
  id: "11",
  what,
  case: "as packed",
  metric,
  unit: "ns",
  ...(atMost !== undefined && { atMost }),
  ...(floor !== undefined && { floor }),
});

const costFigure = (what: string, name: string): Figure => ({
  id: "11",
  what,
  case: name,
  metric: "cost",
  unit: "ns",
});

const byHandFigure = (what: string, metric: string): Figure => ({
  id: "11",
  what,
  case: "by hand",
  metric,
  unit: "ns",
});

const suite: Suite = {
  title: "Start: import, open, first access",
  file: import.meta.filename,
  honest:
    "a new process each time, which reads the same field from an existing file and checks it; the fastest of fifteen runs, when all files are in the page cache, what Bun and Python keep of their sources (transpiled TypeScript, .pyc) is there, and nothing else was in the way. Ours is loaded from its TypeScript source; the row 'as packed' from what users get. The first read includes the layout of four classes, the generated views and, with ours, all checks of the file.",
  idle: "nothing: no thread or timer is started by importing or opening; the thread of changes() comes with the first turn that is waited for.",
  cases: {
    shmstruct: ours,
    "Python, ctypes and fasteners": python,
    "as packed": compiled,
    "by hand": byHand,
    "in one file": bundled,
    "idle TypeScript": idle,
    "as much code": asMuchCode,
    "reflect-metadata": reflectMetadata,
    "bare Bun": bare(process.execPath, "-e", "0"),
    "bare Python": () => bare(pythonWith(["fasteners"]) ?? "python3", "-c", "0")(),
  },
  rows: [
    row("import", "import"),
    { ...row("define, open, first read", "first"), headline: "Define a class, open its file, read a field" },
    row("import, define, open, first read", "both"),
    row("open, read and close once more", "again"),
    row("open, read and close, done often before", "often"),
    row("the whole process", "process"),
    {
      id: "11",
      what: "import of the library as packed (dist/)",
      ours: "as packed",
      peer: "Python, ctypes and fasteners",
      metric: "import",
    },
    {
      id: "11",
      what: "import of the library in one file (bun build)",
      ours: "in one file",
      peer: "Python, ctypes and fasteners",
      metric: "import",
    },
    {
      id: "11",
      what: "import of as many modules and lines that do nothing: the floor",
      ours: "idle TypeScript",
      peer: "Python, ctypes and fasteners",
      metric: "import",
    },
    { id: "11", what: "the runtime alone", ours: "bare Bun", peer: "bare Python", metric: "process" },
  ],
  figures: [
    packed(
      "processor time of a program that imports the library as packed, beyond an empty program",
      "cost",
      4e6,
      IMPORT_FLOOR,
    ),
    costFigure(
      "processor time of a program that imports as many bytes of functions, none called, beyond an empty program: the floor",
      "as much code",
    ),
    costFigure(
      "processor time of a program that imports reflect-metadata, beyond an empty program",
      "reflect-metadata",
    ),
    packed("as packed: the import, by the clock of the program", "import"),
    packed("as packed: define, open, first read", "first", 2.5e6, PACKED_FLOOR),
    packed("as packed: of that, the import of the user's module that defines the structs", "define"),
    packed("as packed: open, read and close once more", "again", 150e3, PACKED_FLOOR),
    packed("as packed: first access of the very first class, 20 fields", "firstClass"),
    packed("as packed: loading the files that opening takes, before anything of them runs", "load"),
    byHandFigure("by hand, with bun:ffi: open, first read", "first"),
    byHandFigure("by hand, with bun:ffi: open, read and close once more", "again"),
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
