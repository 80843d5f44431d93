/** Programs that `bun build` has put into one file work as the source does, thread and lazily loaded parts included. */
import { afterAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { run, Workshop } from "./support.ts";

const shop = new Workshop();
afterAll(() => shop[Symbol.dispose]());

/** Uses every entry, the threads behind waiting, what is loaded lazily, and the names of classes. */
const PROGRAM = `
import { readdirSync, readFileSync } from "node:fs";
import * as everything from "shmstruct";
import {
  c_int32, Editor, field, layoutOf, Manager, MmapStructure, Reader, struct, structFromSchema,
} from "shmstruct";
import { JsonMap } from "shmstruct/json";
import { MemoryMap } from "shmstruct/mmap";
import { MessageQueue, O_CREX } from "shmstruct/posix";

@struct({ name: "Robot" })
class Robot extends MmapStructure {
  @field(c_int32) tick!: number;
}

const dir = process.argv.at(-1)!;

const workers = (): string[] =>
  readdirSync("/proc/self/task").filter((id) => {
    try {
      return readFileSync(\`/proc/self/task/\${id}/comm\`, "utf8") === "Worker\\n";
    } catch {
      return false; // It has ended since.
    }
  });
/** Threads that were there for an earlier promise may end at any time. */
const known = new Set(workers());

/** Waits for the promise, and says whether a thread of its own was started for that. */
async function how<T>(promise: Promise<T>, start: () => void): Promise<[T, string]> {
  const isNew = () => workers().some((id) => !known.has(id));
  for (let looks = 0; looks < 500 && !isNew(); looks++) await Bun.sleep(20);
  const way = isNew() ? "with a thread" : "by polling";
  for (const id of workers()) known.add(id);
  start();
  return [await promise, way];
}

async function main(): Promise<void> {
  // The kernel can do without, where it has io_uring: here is asked whether the thread's code is in the bundle.
  process.env.SHMSTRUCT_WAKER = "thread";
  using manager = new Manager(Robot, { create: true, dir });
  using editor = new Editor(Robot, { dir });
  using reader = new Reader(Robot, { dir });
  const changes = reader.changes();
  const [change, byChange] = await how(changes.next(), () => editor.edit((data) => { data.tick = 1; }));
  console.log("change", change.value, reader.get("tick"), byChange);
  console.log("schema", structFromSchema(layoutOf(Robot)).name);
  try {
    using held = editor.lock();
    manager.lock({ timeoutMs: 0 });
  } catch (error) {
    console.log("error", (error as Error).name, (error as Error).constructor.name);
  }
  console.log("role", reader.constructor.name);
  const isClass = (value: unknown) => typeof value === "function" && /^class\\b/.test(String(value));
  const classes = Object.entries(everything).filter(([, value]) => isClass(value));
  console.log("renamed", classes.filter(([name, value]) => (value as { name: string }).name !== name).length);

  using map = new JsonMap<number[]>({ dir, file: "list", role: "master" });
  map.write([1, 2]);
  console.log("json", JSON.stringify(map.read()));
  const queue = new MessageQueue({ name: null, flags: O_CREX });
  const [[message], byMessage] = await how(queue.receiveAsync(), () => queue.send("hello"));
  console.log("queue", Buffer.from(message).toString(), byMessage);
  queue.close();
  queue.unlink();
  using memory = new MemoryMap(-1, 4096);
  console.log("mmap", memory.size());
  await changes.return?.();
}

void main();
`;

const EXPECTED = `change 1 1 with a thread
schema Robot
error DeadlockError DeadlockError
role Reader
renamed 0
json [1,2]
queue hello with a thread
mmap 4096
`;

const ways = {
  "bun alone": [],
  "bun build": ["--outdir", "out"],
  "bun build --minify": ["--minify", "--outdir", "out"],
  "bun build --splitting": ["--splitting", "--outdir", "out"],
  "bun build --compile": ["--compile", "--outfile", "out/program"],
  "bun build --compile --minify --bytecode": [
    "--compile",
    "--minify",
    "--bytecode",
    "--outfile",
    "out/program",
  ],
} as const;

for (const [way, options] of Object.entries(ways)) {
  test(`a program works in the same way with ${way}`, () => {
    const dir = shop.project({ experimentalDecorators: true }, { "program.ts": PROGRAM });
    let command = [process.execPath, "program.ts"];
    if (options.length > 0) {
      const built = run([process.execPath, "build", "program.ts", "--target=bun", ...options], dir);
      expect(built).toMatchObject({ exitCode: 0 });
      // The bundle does without the package.
      rmSync(join(dir, "node_modules"), { recursive: true });
      command = way.includes("--compile") ? ["out/program"] : [process.execPath, "out/program.js"];
    }
    expect(run([...command, dir], dir)).toEqual({ exitCode: 0, output: EXPECTED });
  }, 240_000);
}
