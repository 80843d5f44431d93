/** Row 11: what it takes until the first field is read. Nothing of the library is imported here before it is measured. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { alone, type Case, type Metrics, Missing, type Suite } from "./harness.ts";
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

/** Runs the program twice, as the first time its files may come from the disk; adds the time of the whole process. */
function runTwice(command: readonly string[]): Metrics {
  let metrics: Metrics = {};
  for (let i = 0; i < 2; i++) {
    const start = Bun.nanoseconds();
    const { stdout, stderr, exitCode } = Bun.spawnSync([...command]);
    const process = Bun.nanoseconds() - start;
    if (exitCode !== 0) throw new Error(stderr.toString());
    metrics = { ...JSON.parse(stdout.toString()), process };
  }
  const { import: imported = 0, first = 0 } = metrics;
  return { ...metrics, both: imported + first };
}

const ours: Case = () =>
  inDirWithFile((dir) => runTwice([process.execPath, join(import.meta.dirname, "peers", "open.ts"), dir]));

const python: Case = () =>
  inDirWithFile((dir) => {
    const program = pythonProgram("open", ["fasteners"], dir);
    if ("missing" in program) throw new Missing(program.missing);
    return runTwice(program);
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
  "code that runs for the first time. ctypes and mmap are compiled C; ours is TypeScript that Bun reads, transpiles and interprets, each function compiled to bytecode at its first call. node:fs alone takes 3 ms to load, reflect-metadata 1.5 ms. The same open takes a fifth once it is compiled (see Growth).";

const row = (what: string, metric: string) => ({
  id: "11",
  what,
  metric,
  ours: "shmstruct",
  peer: "Python, ctypes and fasteners",
  aim: { atLeast: 1 },
  floor: FLOOR,
});

const suite: Suite = {
  title: "Start: import, open, first access",
  file: import.meta.filename,
  honest:
    "a new process each time, which reads the same field from an existing file and checks it; the second of two runs, when all files are in the page cache. Ours is loaded from its TypeScript source. The first read includes the layout of four classes, the generated views and, with ours, all checks of the file.",
  cases: {
    shmstruct: ours,
    "Python, ctypes and fasteners": python,
    "bare Bun": bare(process.execPath, "-e", "0"),
    "bare Python": () => bare(pythonWith(["fasteners"]) ?? "python3", "-c", "0")(),
  },
  rows: [
    row("import", "import"),
    row("define, open, first read", "first"),
    row("import, define, open, first read", "both"),
    row("open, read and close once more", "again"),
    row("the whole process", "process"),
    { id: "11", what: "the runtime alone", ours: "bare Bun", peer: "bare Python", metric: "process" },
  ],
  figures: [
    {
      id: "11",
      what: "import of the library",
      case: "shmstruct",
      metric: "import",
      unit: "ns",
      atMost: 30e6,
    },
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
