/**
 * Opens damaged files, and damages files that are open: mutation-child.ts DIRECTORY SEED FILES. File i has the seed
 * SEED + i, so each can be had again alone: mutation-child.ts DIRECTORY SEED 1.
 *
 * The file DIRECTORY/at holds the seed that is at work. Prints one JSON line for each thing that is wrong, and one at the end.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { openInspector } from "../../src/cli/open.ts";
import { JsonMap } from "../../src/document/index.ts";
import { Editor, FileFormatError, Manager, openReader, Reader, ShmError, toObject } from "../../src/index.ts";
import { MemoryMap } from "../../src/mmap/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { type Random, randomFrom } from "../support/random.ts";
import { openIn } from "../support/resources.ts";
import { linesOf } from "../support/tools.ts";
import {
  DATA,
  type Files,
  KINDS,
  type Kind,
  MAKE,
  mutate,
  Pose,
  putFiles,
  Robot,
  readFiles,
} from "./mutation-place.ts";

const [root, firstSeed, files, slowMs] = process.argv.slice(2) as [string, string, string, string?];
const dir = join(root, "files");
const WAIT = { timeoutMs: 100 } as const;
/** No call waits for longer than 100 ms: this tells an end from a hang, also on a machine that is busy. */
const SLOW_MS = Number(slowMs ?? 20_000);

let seed = 0;
let problems = 0;
const counts = { files: 0, calls: 0, errors: 0, foreign: 0, slowestMs: 0, slowestOwnMs: 0, slowestCpuMs: 0 };

/** This thread's time on a processor and its time in the queue for one, in ns (proc(5)); where the kernel tells none, 0. */
const schedule = openIfThere("/proc/self/schedstat");
const answer = new Uint8Array(64);

function openIfThere(path: string): number | undefined {
  return existsSync(path) ? openSync(path, "r") : undefined;
}

interface Moment {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly queuedMs: number;
}

function moment(): Moment {
  const length = schedule === undefined ? 0 : readSync(schedule, answer, 0, answer.length, 0);
  const [cpuNs = 0, queuedNs = 0] = new TextDecoder()
    .decode(answer.subarray(0, length))
    .split(" ")
    .map(Number);
  return { wallMs: performance.now(), cpuMs: cpuNs / 1e6, queuedMs: queuedNs / 1e6 };
}

/** What a call took by itself, also asleep, is what it took without the time in which other programs had the processors. */
function countTime(what: string, before: Moment): void {
  const after = moment();
  const ms = after.wallMs - before.wallMs;
  const ownMs = ms - (after.queuedMs - before.queuedMs);
  const cpuMs = after.cpuMs - before.cpuMs;
  counts.slowestMs = Math.max(counts.slowestMs, ms);
  counts.slowestOwnMs = Math.max(counts.slowestOwnMs, ownMs);
  counts.slowestCpuMs = Math.max(counts.slowestCpuMs, cpuMs);
  if (ownMs > SLOW_MS)
    report(
      `${what} took ${Math.round(ms)} ms, ${Math.round(ownMs)} by itself, ${Math.round(cpuMs)} on a processor`,
    );
}

function report(what: string): void {
  problems++;
  console.log(JSON.stringify({ seed, what }));
}

/** Runs a call, which may fail with an error of the library. */
function attempt<T>(what: string, call: () => T): T | undefined {
  const before = moment();
  counts.calls++;
  try {
    return call();
  } catch (error) {
    counts.errors++;
    if (!(error instanceof ShmError)) report(`${what}: ${(error as Error)?.stack ?? String(error)}`);
    return undefined;
  } finally {
    countTime(what, before);
  }
}

/** Something that is open, and the calls to try on it. */
interface Opened {
  readonly role: Disposable & { info?(): unknown };
  readonly calls: Readonly<Record<string, () => unknown>>;
}

const at = { dir, lockDir: dir } as const;
const dataPath = (kind: Kind): string => join(dir, DATA[kind]);

function openedReader(): Opened {
  const role = new Reader(Robot, at);
  const live = (): string => `${role.live.name} ${role.live.samples[3]} ${role.live.path.at(1)?.frame}`;
  return {
    role,
    calls: {
      get: () => role.get("pose", WAIT),
      snapshot: () => toObject(role.snapshot()),
      live,
      version: () => role.version,
    },
  };
}

function openedEditor(): Opened {
  const role = new Editor(Robot, at);
  return {
    role,
    calls: {
      edit: () =>
        role.edit((robot) => {
          robot.n ^= 1;
          robot.name = "ä".repeat(9);
        }, WAIT),
      set: () => role.set("mode", 1, WAIT),
    },
  };
}

function openedByPath(kind: Kind): Opened {
  const role = openInspector(dataPath(kind), { timeout: "100" });
  return {
    role,
    calls: { look: () => Bun.inspect(role.look()), gauges: () => role.gauges?.() },
  };
}

function openedBySchema(): Opened {
  const role = openReader(dataPath("record"));
  return {
    role,
    calls: { shown: () => Bun.inspect(role.snapshot()), json: () => JSON.stringify(role.snapshot()) },
  };
}

function openedDocument(role: "master" | "follower"): Opened {
  const how = { dir, file: "d" } as const;
  if (role === "follower") {
    const map = new JsonMap({ ...how, role });
    return { role: map, calls: { read: () => map.read(), version: () => map.version } };
  }
  const map = new JsonMap<object>({ ...how, role, create: false, ...WAIT });
  return {
    role: map,
    calls: {
      read: () => map.read(),
      update: () => map.update((value) => ({ was: typeof value }), WAIT),
      write: () => map.write({ n: 4 }, WAIT),
    },
  };
}

function openedPublisher(): Opened {
  const role = new Publisher(Pose, { dir, waitMs: 100 });
  return { role, calls: { send: () => role.send({ x: 1, frame: "base" }) } };
}

function openedSubscriber(random: Random): Opened {
  const role = new Subscriber(Pose, { dir, from: random.pick(["oldest", "newest", "next"]) });
  return {
    role,
    calls: {
      receive: () => role.receive()?.data.frame,
      peek: () => role.peek((pose) => pose.frame),
      wait: () => role.receive({ timeoutMs: 2 }),
    },
  };
}

function openedQueue(): Opened {
  const role = new Queue(Pose, { dir });
  return {
    role,
    calls: {
      tryPush: () => role.tryPush({ x: 1, frame: "more" }),
      take: () => {
        using job = role.take({ timeoutMs: 2 });
        const frame = job?.data.frame;
        job?.done();
        return frame;
      },
    },
  };
}

const OPEN: Readonly<Record<Kind, readonly ((random: Random) => Opened)[]>> = {
  record: [openedReader, openedEditor, openedBySchema, () => openedByPath("record")],
  document: [
    () => openedDocument("follower"),
    () => openedDocument("master"),
    () => openedByPath("document"),
  ],
  channel: [openedSubscriber, openedPublisher, () => openedByPath("channel")],
  queue: [openedQueue, () => openedByPath("queue")],
};

function openAll(kind: Kind, random: Random): Opened[] {
  return OPEN[kind]
    .map((open, i) => attempt(`open ${kind} ${i}`, () => open(random)))
    .filter((opened) => opened !== undefined);
}

function callAll(opened: readonly Opened[]): void {
  for (const { role, calls } of opened) {
    for (const [name, call] of Object.entries(calls)) attempt(name, call);
    // It looks through the open files of all processes.
    if (seed % 20 === 0) attempt("info", () => role.info?.());
  }
}

function closeAll(opened: readonly Opened[]): void {
  for (const { role } of [...opened].reverse()) attempt("close", () => role[Symbol.dispose]());
}

/** What force makes is whole, and nothing is left when it is removed. */
const RECREATE: Readonly<Record<Kind, () => void>> = {
  record() {
    using manager = new Manager(Robot, { ...at, create: true, force: true, timeoutMs: 1000 });
    manager.set("n", 9, WAIT);
    if (manager.get("n", WAIT) !== 9) report("the forced record does not hold what was set");
    manager.remove({ timeoutMs: 1000 });
  },
  document() {
    using map = new JsonMap<object>({ dir, file: "d", role: "master", force: true, timeoutMs: 1000 });
    map.write({ n: 9 }, WAIT);
    if (JSON.stringify(map.read()) !== '{"n":9}')
      report("the forced document does not hold what was written");
    map.remove({ timeoutMs: 1000 });
  },
  channel() {
    using publisher = new Publisher(Pose, { dir, create: true, force: true, slots: 4 });
    using subscriber = new Subscriber(Pose, { dir, from: "next" });
    publisher.send({ x: 9, frame: "base" });
    if (subscriber.receive()?.data.x !== 9) report("the forced channel loses a message");
    publisher.remove();
  },
  queue() {
    using queue = new Queue(Pose, { dir, create: true, force: true, slots: 8 });
    queue.push({ x: 9, frame: "job" });
    using job = queue.take({ timeoutMs: 100 });
    if (job?.data.x !== 9) report("the forced queue loses a job");
    job?.done();
    queue.remove();
  },
};

/** What is not recognised as a file of the library is not replaced: one deletes it first. */
function mustRecreate(kind: Kind, deletions = 0): void {
  try {
    RECREATE[kind]();
  } catch (error) {
    const { path } = error as FileFormatError;
    const isKnown = path?.startsWith(dataPath(kind)) || path?.endsWith("-page");
    const isForeign = error instanceof FileFormatError && !error.isOurs && isKnown;
    // The data file, of a queue the owners' file, and a lock page of another length without its first word.
    if (!isForeign || deletions === 3) {
      report(`recreate ${kind}: ${(error as Error).stack}`);
      return;
    }
    counts.foreign++;
    rmSync(path);
    mustRecreate(kind, deletions + 1);
  }
}

const SIDE_FILE = /\.(lock|lockfile)(-page)?$|\.owners$/;

/** Beside the files that were there and the lock's, nothing is; and nothing, once the segment was removed. */
function checkLeftovers(kind: Kind, recreates: boolean): void {
  if (recreates) mustRecreate(kind);
  const allowed = recreates ? [] : [DATA[kind]];
  const left = readdirSync(dir).filter((name) => !SIDE_FILE.test(name) && !allowed.includes(name));
  if (left.length > 0) report(`left: ${left}`);
  const open = openIn(dir);
  if (open.length > 0) report(`open: ${open.join(" ")}`);
}

/** Stores into a file that is open, its length as it is. */
function damageInPlace(name: string, random: Random): void {
  const path = join(dir, name);
  const bytes = readFileSync(path);
  const mutant = mutate(bytes, random, false);
  const fd = openSync(path, "r+");
  writeSync(fd, mutant);
  closeSync(fd);
}

function tryFile(templates: Readonly<Record<Kind, Files>>, tampering: Tampering): void {
  const random = randomFrom(seed);
  const kind = random.pick(KINDS);
  const whole = templates[kind];
  const damaged = [...whole.keys()].filter((name) => !name.endsWith(".lock"));
  const target = (): string => (random.oneIn(3) ? random.pick(damaged) : DATA[kind]);
  const how = random.pick(["before", "before", "while", "both", "beside"] as const);
  const files = new Map(whole);
  if (how === "before" || how === "both") {
    const name = target();
    files.set(name, mutate(whole.get(name)!, random, true));
  }
  putFiles(dir, files);
  if (how === "beside") tampering.start();
  const opened = openAll(kind, random);
  callAll(opened);
  if (how === "while" || how === "both") {
    for (let rounds = random.whole(1, 3); rounds > 0; rounds--) {
      damageInPlace(target(), random);
      callAll(opened);
    }
  }
  tampering.stop();
  closeAll(opened);
  checkLeftovers(kind, random.oneIn(3));
}

/** The other process that stores into the files. */
class Tampering {
  readonly #words: Int32Array;

  constructor(control: MemoryMap) {
    this.#words = new Int32Array(control.bytes.buffer, control.bytes.byteOffset, 2);
  }

  start(): void {
    Atomics.store(this.#words, 0, 1);
  }

  /** When this returns nothing is stored any more. */
  stop(): void {
    Atomics.store(this.#words, 0, 0);
    while (Atomics.load(this.#words, 1) === 1) Bun.sleepSync(1);
  }
}

mkdirSync(root, { recursive: true });
const templates = Object.fromEntries(
  KINDS.map((kind) => {
    putFiles(dir, new Map());
    MAKE[kind](dir);
    return [kind, readFiles(dir)];
  }),
) as Record<Kind, Files>;

const controlPath = join(root, "control");
writeFileSync(controlPath, new Uint8Array(64));
using control = new MemoryMap(controlPath, 0);
const tamperer = Bun.spawn(
  [process.execPath, join(import.meta.dir, "mutation-tamperer.ts"), dir, controlPath, firstSeed],
  { stdout: "pipe", stderr: "inherit" },
);
await linesOf(tamperer.stdout).next();
const tampering = new Tampering(control);
const progress = openSync(join(root, "at"), "w");
try {
  for (let i = 0; i < Number(files); i++) {
    seed = Number(firstSeed) + i;
    writeSync(progress, String(seed).padEnd(12), 0);
    tryFile(templates, tampering);
    counts.files++;
    if (counts.files % 250 === 0) await Bun.sleep(0);
  }
} finally {
  tamperer.kill("SIGKILL");
}
console.log(JSON.stringify({ ...counts, problems }));
process.exit(0);
