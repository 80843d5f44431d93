/** Other processes for the benchmarks that need some. Run with a role and its arguments, this file is such a process. */
import { openSync, writeSync } from "node:fs";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { Editor, Reader } from "../src/index.ts";
import { openFile } from "../src/sys/file.ts";
import { O_RDWR } from "../src/sys/libc/constants.ts";
import { futexWake } from "../src/sys/libc/futex.ts";
import { Mapping } from "../src/sys/mapping.ts";
import { now } from "./clock.ts";
import { stayOn } from "./prepare.ts";

/** Says that the process is ready for what it is there for. */
const ready = () => console.log("ready");

/** Calls after which a function is surely compiled; a server is, after its first second. */
const COMPILED_AFTER = 50_000;

/** Calls `send` about every millisecond, with the time. */
async function sendTimes(send: (time: number) => void): Promise<never> {
  stayOn(0);
  for (;;) {
    await Bun.sleep(1);
    send(now());
  }
}

type Role = (dir: string, ...args: string[]) => unknown;

/** All of them work until they are killed. */
const roles: Readonly<Record<string, Role>> = {
  /** Edits about every millisecond. */
  async writer(dir) {
    using editor = new Editor(DemoMmapStructure, { dir });
    ready();
    let i = 0;
    await sendTimes(() => {
      i++;
      editor.edit((data) => {
        data.data_int = i;
        data.data_xy.x = i;
      });
    });
  },
  /** Commits the time, right before the commit. */
  async committer(dir) {
    using editor = new Editor(DemoMmapStructure, { dir });
    const commit = (time: number) =>
      editor.edit((data) => {
        data.data_xy.x = time;
      });
    for (let i = 0; i < COMPILED_AFTER; i++) commit(0);
    ready();
    await sendTimes(commit);
  },
  /** Waits for changes all the time. */
  async waiter(dir) {
    using reader = new Reader(DemoMmapStructure, { dir });
    const changes = reader.changes();
    const first = changes.next();
    ready();
    await first;
    for await (const _ of changes);
  },
  /** Writes the last commit it has seen into its place in a file. */
  async follower(dir, path = "", place = "0") {
    using reader = new Reader(DemoMmapStructure, { dir });
    using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 4 * 64, path });
    const seen = new Int32Array(mapping.buffer, 4 * Number(place), 1);
    const changes = reader.changes();
    let next = changes.next();
    ready();
    for (;;) {
      await next;
      next = changes.next();
      seen[0] = reader.snapshot().data_int;
    }
  },
  /** Stores the time and wakes those who sleep on the first word, by hand. */
  async futex(path) {
    using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 64, path });
    const words = new Int32Array(mapping.buffer);
    const times = new Float64Array(mapping.buffer);
    ready();
    await sendTimes((time) => {
      times[1] = time;
      Atomics.add(words, 0, 1);
      futexWake(words, 0, 1);
    });
  },
  /** Writes the time into a FIFO, by hand. */
  async fifo(path) {
    const fd = openSync(path, "w");
    ready();
    await sendTimes((time) => void writeSync(fd, new Float64Array([time])));
  },
  async ipc() {
    ready();
    await sendTimes((time) => void process.send?.(time));
  },
  async socket(path) {
    const socket = await Bun.connect({ unix: path, socket: { data() {} } });
    ready();
    await sendTimes((time) => void socket.write(new Float64Array([time])));
  },
};

/** Starts a process of a role and waits until it says that it is ready. Disposing of it ends it. */
export async function startOther(role: string, args: string[], ipc?: (message: unknown) => void) {
  const child = Bun.spawn([process.execPath, import.meta.filename, role, ...args], {
    stdout: "pipe",
    stderr: "inherit",
    ...(ipc && { ipc }),
  });
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  if (done) throw new Error(`the ${role} ended before it was ready`);
  return {
    child,
    [Symbol.dispose]: () => child.kill("SIGKILL"),
  };
}

if (import.meta.main) {
  const [name = "", dir = "", ...args] = process.argv.slice(2);
  const role = roles[name];
  if (role === undefined) throw new Error(`no role ${name}`);
  await role(dir, ...args);
}
