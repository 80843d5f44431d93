/**
 * bun bench/json.bench.ts: a document of 1 KB, updated and read by somebody else, against the same over a Unix socket.
 *
 * All three do the same work: a number in the document is raised, the document becomes text, the other side gets
 * it and parses it.
 *
 *     shared memory    update() of a master, then read() of a follower with a mapping of its own
 *     ping-pong        the same between two processes: each answers the other's update with its own, looking at
 *                      `version` until there is one; half of a round, as a round is two updates and two reads
 *     socket           a request with the document to a server in another process, which parses it, raises the
 *                      number and sends the document back
 *
 * The socket's round carries the document twice, so the aim (10 times) is for a round against update and read; the
 * half of it is printed too.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JsonFollower, JsonMap, type JsonMaster } from "../src/json/index.ts";

interface Document {
  count: number;
  items: { id: number; name: string; value: number }[];
}

const ROUNDS = 15;
const OPERATIONS = 2000;

const makeDocument = (): Document => ({
  count: 0,
  items: Array.from({ length: 22 }, (_, id) => ({ id, name: `item ${id}`, value: id / 7 })),
});

const raise = (document: Document | undefined): void => {
  document!.count += 1;
};

/** Microseconds of one operation: the median of the rounds. */
const medianUs = (samplesMs: number[]): number =>
  (samplesMs.toSorted((a, b) => a - b)[Math.floor(samplesMs.length / 2)]! * 1000) / OPERATIONS;

function sharedMemory(master: JsonMaster<Document>, follower: JsonFollower<Document>): number {
  const before = follower.read()!.count;
  const started = performance.now();
  let last = 0;
  for (let i = 0; i < OPERATIONS; i++) {
    master.update(raise);
    last = follower.read()!.count;
  }
  const tookMs = performance.now() - started;
  if (last !== before + OPERATIONS) throw new Error(`read ${last}, wrote ${before + OPERATIONS}`);
  return tookMs;
}

/** Reads the next document of the other side, as soon as it is there. */
function next(follower: JsonFollower<Document>, seen: number): Document {
  while (follower.version === seen);
  return follower.read()!;
}

function pingPong(mine: JsonMaster<Document>, other: JsonFollower<Document>): number {
  const started = performance.now();
  for (let i = 0; i < OPERATIONS / 2; i++) {
    const seen = other.version;
    mine.update(raise);
    if (next(other, seen).count < 1) throw new Error("the other side counts wrongly");
  }
  return performance.now() - started;
}

/** The other side of ping-pong: answers every update until it is killed. */
function answer(mine: JsonMaster<Document>, other: JsonFollower<Document>): never {
  mine.write(makeDocument());
  let seen = other.version;
  console.log("ready");
  for (;;) {
    next(other, seen);
    // There is no other update before the answer.
    seen = other.version;
    mine.update(raise);
  }
}

type LineReader = (data: Buffer) => void;

/** Text by lines over a socket: the rest of a line is kept until it comes. */
function lineReader(onLine: (line: string) => void): LineReader {
  let pending = "";
  return (data) => {
    const lines = (pending + data.toString()).split("\n");
    pending = lines.pop()!;
    for (const line of lines) onLine(line);
  };
}

function serve(path: string): void {
  Bun.listen<LineReader>({
    unix: path,
    socket: {
      open(socket) {
        socket.data = lineReader((line) => {
          const document = JSON.parse(line) as Document;
          raise(document);
          socket.write(`${JSON.stringify(document)}\n`);
        });
      },
      data: (socket, data) => socket.data(data),
    },
  });
  console.log("listening");
}

async function socketRounds(path: string): Promise<{ round(): Promise<number>; close(): void }> {
  let arrived = (_line: string) => {};
  const read = lineReader((line) => arrived(line));
  const socket = await Bun.connect({ unix: path, socket: { data: (_, data) => read(data) } });
  let document = makeDocument();
  const round = async () => {
    const started = performance.now();
    for (let i = 0; i < OPERATIONS; i++) {
      const { promise, resolve } = Promise.withResolvers<string>();
      arrived = resolve;
      raise(document);
      socket.write(`${JSON.stringify(document)}\n`);
      document = JSON.parse(await promise) as Document;
    }
    return performance.now() - started;
  };
  return { round, close: () => socket.end() };
}

const start = async (...args: string[]) => {
  const child = Bun.spawn([process.execPath, import.meta.path, ...args], { stdout: "pipe" });
  await child.stdout.getReader().read();
  return child;
};

async function compare(dir: string): Promise<void> {
  const [here, there] = [join(dir, "here"), join(dir, "there")];
  using master = new JsonMap<Document>({ file: here, role: "master" });
  using follower = new JsonMap<Document>({ file: here, role: "follower" });
  master.write(makeDocument());
  const server = await start("serve", join(dir, "socket"));
  const socket = await socketRounds(join(dir, "socket"));
  const samples = { shared: [] as number[], pingPong: [] as number[], socket: [] as number[] };
  try {
    // They take turns, so that a noisy machine is noisy for all of them.
    for (let i = 0; i < ROUNDS; i++) {
      samples.shared.push(sharedMemory(master, follower));
      samples.socket.push(await socket.round());
      samples.pingPong.push(await withAnswerer(here, there, (other) => pingPong(master, other)));
    }
  } finally {
    socket.close();
    server.kill();
    await server.exited;
  }
  report(Buffer.byteLength(JSON.stringify(master.read())), samples);
}

/** Somebody who looks at `version` all the time takes a core: only for as long as needed. */
async function withAnswerer<R>(
  here: string,
  there: string,
  use: (other: JsonFollower<Document>) => R,
): Promise<R> {
  const child = await start("answer", here, there);
  try {
    using other = new JsonMap<Document>({ file: there, role: "follower" });
    use(other);
    return use(other);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

function report(bytes: number, samples: { shared: number[]; pingPong: number[]; socket: number[] }): void {
  const shared = medianUs(samples.shared);
  const pingPongUs = medianUs(samples.pingPong);
  const socket = medianUs(samples.socket);
  const line = (what: string, us: number) =>
    console.log(
      `${what.padEnd(58)} ${us.toFixed(1).padStart(7)} us   ${(socket / us).toFixed(1).padStart(5)} x`,
    );
  console.log(`a document of ${bytes} bytes; times faster than the socket's round trip`);
  line("update, then a follower's read", shared);
  line("update, then a follower's read in another process", pingPongUs);
  line("Unix socket, there and back", socket);
  line("half of that", socket / 2);
}

const [mode, ...paths] = process.argv.slice(2);
if (mode === "serve") serve(paths[0]!);
else if (mode === "answer") {
  const mine = new JsonMap<Document>({ file: paths[1], role: "master" });
  answer(mine, new JsonMap<Document>({ file: paths[0], role: "follower" }));
} else {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-json-bench-"));
  try {
    await compare(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
