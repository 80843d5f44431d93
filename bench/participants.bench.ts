/** Row 17: who else takes part: programs in C and Python, the command line. */
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { Editor, Manager } from "../src/index.ts";
import { alone, type Case, isQuick, type Metrics, Missing, median, type Suite, timed } from "./harness.ts";
import { cProgram, inTempDir, pythonProgram } from "./prepare.ts";

const TURNS = 500;
const RUNS = isQuick ? 3 : 5;

const makeFile = (dir: string): string => {
  using manager = new Manager(DemoMmapStructure, { dir, create: true });
  return manager.path;
};

const edits: Case = () =>
  inTempDir((dir) => {
    makeFile(dir);
    using editor = new Editor(DemoMmapStructure, { dir });
    let i = 0;
    const store = (data: DemoMmapStructure) => {
      data.data_int = i;
      data.data_xy.x = i;
      data.data_xy.y = -i;
      data.multi_pts.multi_data_int = i;
      data.multi_pts.multi_points.at(3).x = i;
    };
    return timed(TURNS, () => {
      for (let k = 0; k < TURNS; k++) {
        i++;
        editor.edit(store);
      }
    });
  });

/** The median time of a whole process. */
function processes(command: readonly string[], dir: string, answer: string): Metrics {
  const times: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    const start = Bun.nanoseconds();
    const { stdout, stderr, exitCode } = Bun.spawnSync([...command], { cwd: dir });
    times.push(Bun.nanoseconds() - start);
    if (exitCode !== 0 || !stdout.toString().includes(answer))
      throw new Error(stderr.toString() || "no answer");
  }
  return { ns: median(times) };
}

const root = join(import.meta.dirname, "..");

/** What `shmstruct get FILE PATH` takes, as it is packed. */
const command: Case = () =>
  inTempDir((dir) => {
    const built = Bun.spawnSync([process.execPath, join(root, "scripts", "build.ts"), "--if-needed"]);
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    using manager = new Manager(DemoMmapStructure, { dir, create: true });
    manager.set("data_xy.x", 3.5);
    const cli = join(root, "dist", "cli", "main.js");
    return processes([process.execPath, cli, "get", manager.path, "data_xy.x"], dir, "3.5");
  });

const inPython: Case = () =>
  inTempDir(async (dir) => {
    using manager = new Manager(DemoMmapStructure, { dir, create: true });
    manager.set("multi_pts.multi_points.3.x", 3.5);
    const bytes = await Bun.file(manager.path).bytes();
    await Bun.write(join(dir, "py.mmap"), bytes.slice(0, 688));
    const program = pythonProgram("open", ["fasteners"], dir);
    if ("missing" in program) throw new Missing(program.missing);
    return processes(program, dir, "import");
  });

const suite: Suite = {
  title: "Other participants: C, Python, the command line",
  file: import.meta.filename,
  honest:
    "the participants use interop/c/shmstruct.h and interop/python/shmstruct.py on a file that Bun made; their edits are whole transactions, which wake who waits and survive kill -9, where the peers only lock and store. The command and Python's program are whole processes that print one field.",
  idle: "nothing.",
  cases: {
    "edit()": edits,
    "shmstruct get": command,
    "Python that opens and reads": inPython,
  },
  programs: (dir) => {
    makeFile(dir);
    return {
      "edit in C": cProgram("participant", dir, "edit"),
      "snapshot in C": cProgram("participant", dir, "snapshot"),
      "C, flock": cProgram("edit", dir),
      "edit in Python": pythonProgram("participant", [], dir, "edit"),
      "snapshot in Python": pythonProgram("participant", [], dir, "snapshot"),
      "Python, fasteners": pythonProgram("edit", ["fasteners"], dir),
    };
  },
  rows: [
    { id: "17", what: "edit of five fields by C with shmstruct.h", ours: "edit in C", peer: "C, flock" },
    { id: "17", what: "edit of five fields in Bun", ours: "edit()", peer: "edit in C" },
    {
      id: "17",
      what: "edit of five fields by Python with shmstruct.py",
      ours: "edit in Python",
      peer: "Python, fasteners",
      headline: "Edit of five fields by Python with shmstruct.py",
    },
    {
      id: "17",
      what: "snapshot by Python, against one by C",
      ours: "snapshot in Python",
      peer: "snapshot in C",
    },
    {
      id: "17",
      what: "shmstruct get FILE PATH, the whole process",
      ours: "shmstruct get",
      peer: "Python that opens and reads",
      headline: "The command `shmstruct get`, a whole process",
    },
  ],
  figures: [
    { id: "17", what: "snapshot by C with shmstruct.h", case: "snapshot in C", metric: "ns", unit: "ns" },
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
