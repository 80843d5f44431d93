/**
 * Ways for one process to wake the event loop of another, in turn, on whatever else the machine does: the table of "Why the futex"
 * in docs/internals/locking.md. Not part of `bun run bench`, which has the ways that are used, and the floors.
 *
 *   bun bench/wakes.ts [seconds = 20]
 */
import { constants, mkdtempSync, openSync, read, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { Editor, Manager, Reader } from "../src/index.ts";
import { waitAsync } from "../src/sync/deadline.ts";
import { openFile } from "../src/sys/file.ts";
import { O_RDWR } from "../src/sys/libc/constants.ts";
import { futexWake } from "../src/sys/libc/futex.ts";
import { Mapping } from "../src/sys/mapping.ts";
import { now } from "./clock.ts";
import { quantile } from "./harness.ts";
import type { FutexThreadStart } from "./peers/futex-thread.ts";
import { stayOn } from "./prepare.ts";

/** Where the time of sending lies for those ways that carry no bytes: a number each, behind the words of the futexes. */
const TIMES = { signal: 2, waitAsync: 3, message: 4 } as const;
const WORDS = { waitAsync: 0, message: 1 } as const;
const WARM_UP = 200;
const PAUSE_MS = 1.5;
/** Calls after which a function is surely compiled. */
const COMPILED_AFTER = 50_000;

const wordsIn = (dir: string): { words: Int32Array; times: Float64Array } => {
  const path = join(dir, "words");
  const { buffer } = Mapping.map(openFile(path, O_RDWR), { byteLength: 64, path });
  return { words: new Int32Array(buffer), times: new Float64Array(buffer) };
};

const bytesOfTime = (time: number): Uint8Array => new Uint8Array(new Float64Array([time]).buffer);
const timeOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true);
const openFifo = (path: string, flags = 0): number => openSync(path, constants.O_RDWR | flags);

/** Sends by each way in turn, until it is killed. */
async function send(dir: string, receiver: number, port: number): Promise<never> {
  stayOn(0);
  const { words, times } = wordsIn(dir);
  const [stream, blocking] = ["stream", "blocking"].map((name) => openFifo(join(dir, name))) as [
    number,
    number,
  ];
  const socket = await Bun.connect({ unix: join(dir, "socket"), socket: { data() {} } });
  const udp = await Bun.udpSocket({ connect: { hostname: "127.0.0.1", port } });
  using editor = new Editor(DemoMmapStructure, { dir });
  const commit = (time: number): void =>
    editor.edit((data) => {
      data.data_xy.x = time;
    });
  for (let i = 0; i < COMPILED_AFTER; i++) commit(0);
  const wake = (name: keyof typeof WORDS): void => {
    times[TIMES[name]] = now();
    Atomics.add(words, WORDS[name], 1);
    futexWake(words, WORDS[name], 1);
  };
  const ways = [
    () => socket.write(bytesOfTime(now())),
    () => writeSync(stream, bytesOfTime(now())),
    () => writeSync(blocking, bytesOfTime(now())),
    () => udp.send(bytesOfTime(now())),
    () => {
      times[TIMES.signal] = now();
      process.kill(receiver, "SIGUSR2");
    },
    () => wake("waitAsync"),
    () => wake("message"),
    () => commit(now()),
  ];
  for (;;)
    for (const way of ways) {
      await Bun.sleep(PAUSE_MS);
      way();
    }
}

async function receive(dir: string, seconds: number): Promise<void> {
  // Before the threads are started: they stay there, too.
  stayOn(1);
  const delays = new Map<string, number[]>();
  const note = (way: string, sent: number): void => {
    const all = delays.get(way) ?? [];
    delays.set(way, all);
    all.push(now() - sent);
  };
  await Bun.write(join(dir, "words"), new Uint8Array(64));
  const { times } = wordsIn(dir);
  const port = await listen(dir, note);
  sleepOnFifos(dir, note);
  process.on("SIGUSR2", () => note("signal, process.on", times[TIMES.signal]!));
  sleepOnFutexes(dir, (name, way) => note(way, times[TIMES[name]]!));
  using _manager = new Manager(DemoMmapStructure, { dir, create: true });
  using reader = new Reader(DemoMmapStructure, { dir });
  void followChanges(reader, note);
  const command = [process.execPath, import.meta.filename, "send", dir, String(process.pid), String(port)];
  const sender = Bun.spawn(command, { stdout: "inherit", stderr: "inherit" });
  await Bun.sleep(seconds * 1000);
  sender.kill("SIGKILL");
  print(delays);
}

type Note = (way: string, sent: number) => void;

async function listen(dir: string, note: Note): Promise<number> {
  const data = (_: unknown, bytes: Buffer) =>
    note("a connected Unix stream socket, Bun.listen", timeOf(bytes));
  Bun.listen({ unix: join(dir, "socket"), socket: { data } });
  const udp = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: { data: (_, bytes) => note("UDP on the loopback, Bun.udpSocket", timeOf(bytes)) },
  });
  return udp.port;
}

function sleepOnFifos(dir: string, note: Note): void {
  for (const name of ["stream", "blocking"]) Bun.spawnSync(["mkfifo", join(dir, name)]);
  const stream = openFifo(join(dir, "stream"), constants.O_NONBLOCK);
  void (async () => {
    for await (const bytes of Bun.file(stream).stream())
      note("a FIFO per waiter, Bun.file(fd).stream()", timeOf(bytes));
  })();
  const blocking = openFifo(join(dir, "blocking"));
  const again = (): void =>
    read(blocking, new Uint8Array(8), 0, 8, null, (_, __, bytes) => {
      note("a FIFO per waiter, fs.read in Bun's threads", timeOf(bytes));
      again();
    });
  again();
}

function sleepOnFutexes(dir: string, note: (name: keyof typeof WORDS, way: string) => void): void {
  const path = join(dir, "words");
  const start = (rest: Omit<FutexThreadStart, "path">): Worker => {
    const thread = new Worker(new URL("./peers/futex-thread.ts", import.meta.url), { smol: true });
    thread.postMessage({ path, ...rest });
    return thread;
  };
  start({ word: WORDS.message }).onmessage = () => note("message", "a futex in a thread, a message");
  const wakes = new Int32Array(new SharedArrayBuffer(4));
  start({ word: WORDS.waitAsync, wakes });
  void (async () => {
    for (;;) {
      const wake = waitAsync(wakes, 0, Atomics.load(wakes, 0));
      if (wake.async) await wake.value;
      note("waitAsync", "a futex in a thread, Atomics.waitAsync");
    }
  })();
}

async function followChanges(reader: Reader<DemoMmapStructure>, note: Note): Promise<void> {
  let copy: DemoMmapStructure | undefined;
  for await (const _ of reader.changes()) {
    copy = reader.snapshot(copy);
    const sent = copy.data_xy.x;
    if (sent !== 0) note("changes(): a transaction, a wake, a consistent copy", sent);
  }
}

function print(delays: ReadonlyMap<string, readonly number[]>): void {
  const us = (all: readonly number[], part: number): string => (quantile(all, part) / 1000).toFixed(0);
  for (const [way, all] of delays) {
    const warm = all.slice(Math.min(WARM_UP, all.length / 2));
    console.log(`${way}: p50 ${us(warm, 0.5)} µs (p10 ${us(warm, 0.1)}, ${warm.length} wakes)`);
  }
}

const [role, dir = "", receiver, port] = process.argv.slice(2);
if (role === "send") await send(dir, Number(receiver), Number(port));
const temp = mkdtempSync(join(tmpdir(), "shmstruct-wakes-"));
try {
  await receive(temp, Number(role ?? 20));
} finally {
  rmSync(temp, { recursive: true });
}
process.exit(0);
