/**
 * A commit until the event loop of another process has a copy of it, woken by the kernel (io_uring), by a thread, and beside them
 * eight bytes through a Unix socket, in turn: the table of "The kernel as the waker" in docs/internals/locking.md.
 *
 *   bun bench/wakers.ts [pause between two, ms = 1] [seconds = 8]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { Editor, Manager, Reader } from "../src/index.ts";
import { now } from "./clock.ts";
import { quantile } from "./harness.ts";
import { stayOn } from "./prepare.ts";

const WAKERS = ["ring", "thread"] as const;
const COMPILED_AFTER = 20_000;
const WARM_UP = 100;

async function send(dir: string, pauseMs: number): Promise<never> {
  stayOn(0);
  const editors = WAKERS.map((tag) => new Editor(DemoMmapStructure, { dir, tag }));
  const socket = await Bun.connect({ unix: join(dir, "socket"), socket: { data() {} } });
  const commit = (editor: Editor<DemoMmapStructure>): void =>
    editor.edit((data) => {
      data.data_xy.x = now();
    });
  for (let i = 0; i < COMPILED_AFTER; i++) editors.forEach(commit);
  for (;;)
    for (const editor of editors) {
      await Bun.sleep(pauseMs);
      socket.write(new Uint8Array(new Float64Array([now()]).buffer));
      await Bun.sleep(pauseMs);
      commit(editor);
    }
}

async function receive(dir: string, pauseMs: number, seconds: number): Promise<void> {
  stayOn(1);
  const delays = new Map<string, number[]>();
  // The first bytes come when the sender's code is compiled.
  const note = (way: string, sent: number): void => void delays.get(way)?.push(now() - sent);
  const data = (_: unknown, bytes: Buffer): void => {
    if (delays.size === 0) for (const way of [...WAKERS, "socket"]) delays.set(way, []);
    note("socket", bytes.readDoubleLE(0));
  };
  Bun.listen({ unix: join(dir, "socket"), socket: { data } });
  for (const tag of WAKERS) {
    process.env.SHMSTRUCT_WAKER = tag;
    new Manager(DemoMmapStructure, { dir, tag, create: true });
    void follow(new Reader(DemoMmapStructure, { dir, tag }), (sent) => note(tag, sent));
  }
  const command = [process.execPath, import.meta.filename, "send", dir, String(pauseMs)];
  const sender = Bun.spawn(command, { stdout: "inherit", stderr: "inherit" });
  await Bun.sleep(seconds * 1000);
  sender.kill("SIGKILL");
  const all = [...delays].map(([way, times]) => [way, quantile(times.slice(WARM_UP), 0.5)] as const);
  const socket = all.at(-1)![1];
  for (const [way, p50] of all)
    console.log(`${way}: p50 ${(p50 / 1000).toFixed(0)} µs, ${(p50 / socket).toFixed(2)} times the socket`);
}

async function follow(reader: Reader<DemoMmapStructure>, note: (sent: number) => void): Promise<void> {
  let copy: DemoMmapStructure | undefined;
  for await (const _ of reader.changes()) {
    copy = reader.snapshot(copy);
    note(copy.data_xy.x);
  }
}

const [first, second, pause] = process.argv.slice(2);
if (first === "send") await send(second!, Number(pause));
const temp = mkdtempSync("/dev/shm/shmstruct-wakers-");
try {
  await receive(temp, Number(first ?? 1), Number(second ?? 8));
} finally {
  rmSync(temp, { recursive: true });
}
process.exit(0);
