/**
 * bun tests/soak/command.ts [rounds] [start]: what the command costs. First how long it takes to start (the compiled command, beside an
 * empty program), then what those who look cost the writer that they look at: its CPU time a commit with each of them at work and
 * with the same process stopped, turn by turn. Prints the tables of docs/internals/command.md.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Publisher } from "../../src/channel/index.ts";
import { Manager } from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { Frame, MAIN, Robot, Task } from "../cli/fixtures.ts";
import { build, root } from "../support/built.ts";
import { linesOf } from "../support/tools.ts";

const rounds = Number(process.argv[2] ?? 200);
const dir = mkdtempSync(join(tmpdir(), "shmstruct-command-"));
using manager = new Manager(Robot, { dir, create: true });
using publisher = new Publisher(Frame, { dir, create: true });
using queue = new Queue(Task, { dir, create: true });

const median = (numbers: number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

/** Milliseconds: CPU time, and the least of the clock on the wall, which other work disturbs. */
interface Start {
  readonly cpu: number[];
  readonly wall: number[];
}

function starts(): void {
  build();
  const empty = join(dir, "empty.js");
  writeFileSync(empty, "");
  const least = join(dir, "least.js");
  const library = JSON.stringify(join(root, "dist", "index.js"));
  writeFileSync(
    least,
    `import { openReader } from ${library};\nconst reader = openReader(process.argv[2]);\nconsole.log(reader.snapshot().speed);`,
  );
  const compiled = join(root, "dist", "cli", "main.js");
  const importing = join(dir, "import.js");
  writeFileSync(importing, `import ${library};\n`);
  const cases: Readonly<Record<string, readonly string[]>> = {
    "an empty program": [empty],
    '`import "shmstruct"` alone': [importing],
    "`bun -e 0`": ["-e", "0"],
    "`shmstruct --help`": [compiled, "--help"],
    "`shmstruct show --help`": [compiled, "show", "--help"],
    "`shmstruct ls DIR`": [compiled, "ls", dir],
    "a program that opens FILE and reads a field": [least, manager.path],
    "`shmstruct get FILE speed`": [compiled, "get", manager.path, "speed"],
    "`shmstruct show FILE`": [compiled, "show", manager.path],
  };
  const times = new Map<string, Start>(Object.keys(cases).map((name) => [name, { cpu: [], wall: [] }]));
  for (let i = 0; i < Math.min(rounds, 40); i++)
    for (const [name, args] of Object.entries(cases)) {
      const begin = Bun.nanoseconds();
      const ran = Bun.spawnSync([process.execPath, ...args], { stdout: "ignore", stderr: "inherit" });
      if (ran.exitCode !== 0) throw new Error(`${name} ended with ${ran.exitCode}`);
      times.get(name)!.wall.push((Bun.nanoseconds() - begin) / 1e6);
      times.get(name)!.cpu.push(Number(ran.resourceUsage.cpuTime.total) / 1e3);
    }
  console.log("| process | CPU time, median | on the clock, least |\n| --- | --- | --- |");
  for (const [name, { cpu, wall }] of times)
    console.log(`| ${name} | ${median(cpu).toFixed(1)} ms | ${Math.min(...wall).toFixed(1)} ms |`);
}

const COMMITS = 20_000;

/** Microseconds of CPU time of this process a commit, of each kind. */
const work: Readonly<Record<string, (i: number) => void>> = {
  record: (i) =>
    manager.edit((data) => {
      data.speed = i;
      data.pose.x = i;
    }),
  channel: (i) => void publisher.send({ width: i }),
  queue: (i) => {
    queue.push({ id: i });
    queue.tryTake()!.done();
  },
};

function cost(commit: (i: number) => void, commits: number): number {
  const before = process.cpuUsage();
  for (let i = 0; i < commits; i++) commit(i);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / commits;
}

interface Looker {
  readonly pid: number;
  end(): Promise<void>;
}

/** A command on a terminal of its own. */
function inTerminal(...args: string[]): Looker {
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    terminal: { cols: 120, rows: 40, data: () => undefined },
    env: { ...process.env, TERM: "xterm" },
  });
  const end = async (): Promise<void> => {
    child.kill("SIGKILL");
    await child.exited;
  };
  return { pid: child.pid, end };
}

/** The server of the page, with a page that shows and plots the file. */
async function page(path: string): Promise<Looker> {
  const child = Bun.spawn([process.execPath, MAIN, "serve", "--json", "--port", "0", dir], {
    stdout: "pipe",
    env: { ...process.env, XDG_RUNTIME_DIR: "" },
  });
  let address = "";
  for await (const line of linesOf(child.stdout)) {
    ({ address } = JSON.parse(line) as { address: string });
    break;
  }
  const socket = new WebSocket(`${address.replace("http", "ws")}socket`, {
    headers: { origin: new URL(address).origin },
  });
  await new Promise((resolve) => {
    socket.addEventListener("open", resolve);
  });
  socket.send(JSON.stringify({ do: "watch", path, bytes: true, messages: true }));
  const end = async (): Promise<void> => {
    socket.close();
    child.kill("SIGKILL");
    await child.exited;
  };
  return { pid: child.pid, end };
}

const NOBODY_MS = 5;

async function lookers(kind: string, path: string): Promise<void> {
  const commit = work[kind]!;
  const commits = kind === "channel" ? COMMITS * 4 : COMMITS;
  const cases: Readonly<Record<string, () => Looker | Promise<Looker>>> = {
    "`watch`": () => inTerminal("watch", path),
    "`top`": () => inTerminal("top", dir),
    "`ls --watch`": () => inTerminal("ls", "--watch", dir),
    "the page": () => page(path),
  };
  for (const [name, start] of Object.entries(cases)) {
    const looker = await start();
    await Bun.sleep(700);
    const ratios: number[] = [];
    const costs: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const pair = { SIGCONT: 0, SIGSTOP: 0 };
      const turns = i % 2 === 0 ? (["SIGCONT", "SIGSTOP"] as const) : (["SIGSTOP", "SIGCONT"] as const);
      for (const turn of turns) {
        process.kill(looker.pid, turn);
        await Bun.sleep(NOBODY_MS);
        pair[turn] = cost(commit, commits);
      }
      ratios.push(pair.SIGCONT / pair.SIGSTOP);
      costs.push(pair.SIGSTOP);
    }
    process.kill(looker.pid, "SIGCONT");
    await looker.end();
    const percent = (100 * (median(ratios) - 1)).toFixed(1);
    console.log(`| ${kind} | ${name} | ${median(costs).toFixed(3)} µs | ${percent} % |`);
  }
}

/** All kinds, each with all who look. */
async function allLookers(): Promise<void> {
  console.log("\n| kind | who looks | CPU time a commit, when it is stopped | more while it looks |");
  console.log("| --- | --- | --- | --- |");
  for (const [kind, path] of [
    ["record", manager.path],
    ["channel", publisher.path],
    ["queue", queue.path],
  ] as const) {
    for (let i = 0; i < 3; i++) cost(work[kind]!, COMMITS);
    await lookers(kind, path);
  }
}

try {
  starts();
  if (process.argv[3] !== "start") await allLookers();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
