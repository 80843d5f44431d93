/**
 * bun bench/json.bench.ts: a document of 1 KB, changed by one and read by another, against the same over a Unix socket.
 *
 * All do the same work: a number in the document is raised, the document becomes text, the other side gets it and
 * parses it.
 *
 *     write            a master that has the document writes it, a follower with a mapping of its own reads it
 *     update           the same with read, change and write under one lock: the document is parsed once more
 *     ping-pong        update and read between two processes: each answers the other's update with its own, looking
 *                      at `version` until there is one; a round is two updates and two reads, half of it is told
 *     socket           a request with the document to a server in another process, which parses it, raises the
 *                      number and sends the document back, which is parsed too
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JsonFollower, JsonMap, type JsonMaster } from "../src/document/index.ts";

interface Document {
  count: number;
  robots: { name: string; address: string; port: number; enabled: boolean; speed: number }[];
}

const ROUNDS = 15;
const OPERATIONS = 2000;

/** A configuration: names, whole numbers, switches, a few decimals. */
const makeDocument = (): Document => ({
  count: 0,
  robots: Array.from({ length: 12 }, (_, id) => ({
    name: `robot ${id}`,
    address: `10.0.0.${id}`,
    port: 9000 + id,
    enabled: id % 3 > 0,
    speed: 0.25 * id,
  })),
});

const raise = (document: Document | undefined): void => {
  document!.count += 1;
};

/** Milliseconds that `OPERATIONS` of them took, round by round. */
type Samples = Record<"write" | "update" | "pingPong" | "socket", number[]>;

/** Microseconds of one operation: the median of the rounds. */
const medianUs = (samplesMs: number[]): number =>
  (samplesMs.toSorted((a, b) => a - b)[Math.floor(samplesMs.length / 2)]! * 1000) / OPERATIONS;

/** Changes by `change`, each read by the follower. */
function sharedMemory(change: () => void, follower: JsonFollower<Document>): number {
  const before = follower.read()!.count;
  const started = performance.now();
  let last = 0;
  for (let i = 0; i < OPERATIONS; i++) {
    change();
    last = follower.read()!.count;
  }
  const tookMs = performance.now() - started;
  if (last !== before + OPERATIONS) throw new Error(`read ${last}, expected ${before + OPERATIONS}`);
  return tookMs;
}

/** A master that keeps the document and writes it. */
function writes(master: JsonMaster<Document>): () => void {
  const document = master.read()!;
  return () => {
    raise(document);
    master.write(document);
  };
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
  const samples: Samples = { write: [], update: [], pingPong: [], socket: [] };
  try {
    // They take turns, so that a noisy machine is noisy for all of them.
    for (let i = 0; i < ROUNDS; i++) {
      samples.write.push(sharedMemory(writes(master), follower));
      samples.update.push(sharedMemory(() => master.update(raise), follower));
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

/** A process that looks at `version` all the time takes a core: only for as long as needed. */
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

function report(bytes: number, samples: Samples): void {
  const socketUs = medianUs(samples.socket);
  const line = (what: string, us: number) =>
    console.log(
      `${what.padEnd(52)} ${us.toFixed(1).padStart(7)} us   ${(socketUs / us).toFixed(1).padStart(5)} x`,
    );
  console.log(`a document of ${bytes} bytes; how many times faster than the socket's round trip`);
  line("write, then a follower's read", medianUs(samples.write));
  line("update, then a follower's read", medianUs(samples.update));
  line("update, then a read in another process", medianUs(samples.pingPong));
  line("Unix socket, there and back", socketUs);
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
