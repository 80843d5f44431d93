/**
 * Writers in C, Python, Node.js and Bun are killed at random instants while readers in all of them look:
 * `bun tests/soak/interop.ts [kills] [record|blocks|document|channel|queue …]`, 1,000 kills by default: two fifths on a record, one fifth
 * on one whose pre-image is kept by blocks, the rest on a document, a channel and a queue. Channels and queues have no writers in
 * Node.js, queues no workers there either. SEED repeats a run.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import { Manager } from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { recordType } from "../../src/record/record-content.ts";
import { recordPlan } from "../../src/record/record-plan.ts";
import { createSegment } from "../../src/segment/create.ts";
import { classPlace } from "../../src/segment/place.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { type Language, languages, participantEnvironment, participants } from "../interop/languages.ts";
import { Item, isWhole, Ledger } from "../interop/shared.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";
import { linesOf } from "../support/tools.ts";

const kills = Number(process.argv[2] ?? 1000);
const only = process.argv.slice(3);
const seed = seedOfRun();
const random = randomFrom(seed);
console.log(`${kills} kills from SEED=${seed}`);

const root = mkdtempSync(join(tmpdir(), "shmstruct-interop-soak-"));
const commands = participants(root);
const withMapping = languages.filter((language) => language !== "Node.js");
/** How long a reader of another language looks before it tells what it saw, in milliseconds. */
const LOOKS_MS = "2000";

const spawn = (command: string[], more: Record<string, string> = {}) =>
  Bun.spawn(command, { env: { ...participantEnvironment(), ...more }, stdout: "pipe", stderr: "inherit" });
type Child = ReturnType<typeof spawn>;

async function killed(child: Child): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
  if (child.signalCode !== "SIGKILL") faults.push(`a writer ended by itself with ${child.exitCode}`);
}

/** What went wrong. */
const faults: string[] = [];

/** Readers of some languages, begun again and again until `end()` is called; the sums of what they print. */
function readersOf(names: readonly Language[], ...words: string[]): { end(): Promise<string> } {
  let isReading = true;
  const read = async (name: Language): Promise<string> => {
    const sums: number[] = [];
    while (isReading) {
      const numbers = (await new Response(spawn(commands[name](...words)).stdout).text())
        .trim()
        .split(" ")
        .map(Number);
      for (const [i, number] of numbers.entries()) sums[i] = (sums[i] ?? 0) + number;
    }
    if (sums.length === 0 || sums.slice(1).some((count) => count !== 0)) faults.push(`${name} read ${sums}`);
    return `${name} ${sums.join("/")}`;
  };
  const readers = names.map(read);
  return {
    async end() {
      isReading = false;
      return (await Promise.all(readers)).join(", ");
    },
  };
}

interface Round {
  /** Two writers at a time, of these languages. */
  readonly writers: readonly Language[];
  readonly command: readonly string[];
  /** Looks while writers are at work, without a pause. */
  look(): void;
  /** Looks at what a killed writer has left. */
  check(): void;
}

/** Kills writers. @returns how many of each language */
async function killWriters(count: number, { writers, command, look, check }: Round): Promise<string> {
  const counts = new Map<Language, number>(writers.map((name) => [name, 0]));
  for (let i = 0; i < count; i += 2) {
    const names = [random.pick([...writers]), random.pick([...writers])];
    const alive = names.map((name) => spawn(commands[name](...command)));
    // A channel has one publisher at a time: the second one waits for its turn until the first is killed.
    await (command[0] === "publishes"
      ? Promise.race(alive.map(firstLine))
      : Promise.all(alive.map(firstLine)));
    const end = performance.now() + random.whole(0, 8);
    while (performance.now() < end) look();
    for (const writer of random.oneIn(2) ? alive : alive.toReversed()) {
      await killed(writer);
      look();
    }
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
    if (random.oneIn(3)) check();
    if (i % 100 === 98) console.log(`  ${i + 2} killed`);
  }
  return [...counts].map(([name, number]) => `${number} in ${name}`).join(", ");
}

async function firstLine(child: Child): Promise<void> {
  for await (const _ of linesOf(child.stdout)) break;
}

const share = (part: number): number => 2 * Math.ceil((kills * part) / 2);

async function record(dir: string, part: number, manager: Manager<Ledger>): Promise<string> {
  let [looks, torn, older, lost, odd, last, checks] = [0, 0, 0, 0, 0, 0, 0];
  const readers = readersOf(["C", "Python", "Node.js"], "snapshots", dir, LOOKS_MS);
  const who = await killWriters(share(part), {
    writers: languages,
    command: ["edits", dir, "-1"],
    look() {
      const { version } = manager;
      if (!isWhole(manager.snapshot())) torn++;
      if (version < last) older++;
      last = version;
      looks++;
    },
    check() {
      // Every commit counts one, but those of the checks themselves.
      manager.edit((data) => {
        if (!isWhole(data)) odd++;
        if (data.count !== BigInt(manager.version - checks)) lost++;
      });
      checks++;
    },
  });
  const others = await readers.end();
  if (torn + older + lost + odd > 0) faults.push("records");
  return `${who}; ${manager.version} commits, ${lost} lost, ${odd} repairs of ${checks} not whole; copies/torn/older: Bun ${looks}/${torn}/${older}, ${others}`;
}

async function wholeRecord(dir: string): Promise<string> {
  using manager = new Manager(Ledger, { dir, create: true });
  return await record(dir, 0.4, manager);
}

async function recordByBlocks(dir: string): Promise<string> {
  const place = classPlace("Ledger", { dir }, "mmap");
  const layout = layoutOfClass(Ledger);
  createSegment(place, { ...recordPlan(layout, {}), blockBytes: 64 }, recordType(layout, place), {
    mode: 0o600,
  });
  using manager = new Manager(Ledger, { dir });
  return await record(dir, 0.2, manager);
}

async function document(dir: string): Promise<string> {
  const path = join(dir, "document");
  using map = new JsonMap<{ n: number; copies: number[] }>({ file: path, role: "master" });
  map.write({ n: 0, copies: Array.from({ length: 40 }, () => 0) });
  let [looks, torn, older, lost, last] = [0, 0, 0, 0, 0];
  const readers = readersOf(["C", "Python", "Node.js"], "reads", path, LOOKS_MS);
  const who = await killWriters(share(0.2), {
    writers: languages,
    command: ["counts", path, "-1"],
    look() {
      const { version } = map;
      const found = map.read();
      if (found?.copies.some((copy) => copy !== found.n) !== false) torn++;
      if (version < last) older++;
      last = version;
      looks++;
    },
    check() {
      // Every version counts one; the first document has 0.
      map.update((found) => {
        const { version } = map;
        if (found?.n !== version - 1) lost++;
        return { n: version, copies: Array.from({ length: 40 }, () => version) };
      });
    },
  });
  const others = await readers.end();
  if (torn + older + lost > 0) faults.push("documents");
  return `${who}; ${map.version} documents, ${lost} lost; reads/torn/older: Bun ${looks}/${torn}/${older}, ${others}`;
}

async function channel(dir: string): Promise<string> {
  new Publisher(Item, { dir, create: true, slots: 256 }).close();
  using subscriber = new Subscriber(Item, { dir, from: "oldest" });
  let [received, seen, torn] = [0, 0, 0];
  const look = (): void => {
    for (let message = subscriber.receive(); message !== undefined; message = subscriber.receive()) {
      seen += 1 + message.missed;
      received++;
      const { number, values } = message.data;
      if (number !== BigInt(message.index) || !values.every((value) => value === number)) torn++;
    }
  };
  const readers = readersOf(languages, "listens", dir, LOOKS_MS);
  const writers = withMapping;
  const who = await killWriters(share(0.1), {
    writers,
    command: ["publishes", dir, "-1"],
    look,
    check: look,
  });
  const others = await readers.end();
  look();
  // The last one may have died after its message was whole and before it had counted it: the next publisher does.
  new Publisher(Item, { dir }).close();
  if (seen !== subscriber.published || torn > 0) faults.push("channels");
  return `${who}; ${subscriber.published} messages, ${received} received here, ${subscriber.published - seen} neither received nor counted as missed, ${torn} torn; received/torn by others: ${others}`;
}

const LINE = /^(\d+)(?: ([01]))?$/;

/** The jobs that a log names; a job that was torn is a fault. */
function jobsIn(log: string): Map<number, number> {
  const counts = new Map<number, number>();
  for (const line of existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []) {
    const [, number, whole] = LINE.exec(line) ?? [];
    if (number === undefined || whole === "0") faults.push(`a torn job: ${line}`);
    counts.set(Number(number), (counts.get(Number(number)) ?? 0) + 1);
  }
  return counts;
}

async function queue(dir: string): Promise<string> {
  using jobs = new Queue(Item, { dir, create: true, slots: 64, maxAttempts: 254 });
  const [pushedLog, doneLog] = [join(dir, "pushed"), join(dir, "done")];
  let base = 0;
  const begin = (): { child: Child; isWorker: boolean; name: Language } => {
    const name = random.pick([...withMapping]);
    const isWorker = random.oneIn(2);
    if (isWorker) return { child: spawn(commands[name]("works", dir), { LOG: doneLog }), isWorker, name };
    base += 1_000_000;
    return {
      child: spawn(commands[name]("produces", dir, String(base)), { LOG: pushedLog }),
      isWorker,
      name,
    };
  };
  const alive = Array.from({ length: 4 }, begin);
  const counts = new Map<string, number>();
  const count = share(0.1);
  let workers = 0;
  for (let i = 0; i < count; i++) {
    await Bun.sleep(random.whole(1, 60));
    const [{ child, isWorker, name }] = alive.splice(random.whole(0, alive.length - 1), 1) as [
      ReturnType<typeof begin>,
    ];
    await firstLine(child);
    await killed(child);
    if (isWorker) workers++;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    alive.push(begin());
  }
  for (const { child, isWorker } of alive) {
    await killed(child);
    if (isWorker) workers++;
  }
  const drained = new Map<number, number>();
  for (let job = jobs.tryTake(); job !== undefined; job = jobs.tryTake()) {
    drained.set(Number(job.data.number), 1);
    job.done();
  }
  const [pushed, done] = [jobsIn(pushedLog), jobsIn(doneLog)];
  const lost = [...pushed.keys()].filter((number) => !done.has(number) && !drained.has(number)).length;
  const twice = [...done].reduce((sum, [number, times]) => sum + times - 1 + Number(drained.has(number)), 0);
  const { ready, taken, writing } = jobs.counts();
  if (lost > 0 || twice > workers || ready + taken + writing > 0) faults.push("queues");
  const who = [...counts].map(([name, number]) => `${number} in ${name}`).join(", ");
  return `${who}; ${pushed.size} jobs pushed, ${lost} lost, ${twice} done twice (${workers} workers killed), ${ready + taken + writing} slots left over`;
}

const phases = { record: wholeRecord, blocks: recordByBlocks, document, channel, queue };
try {
  for (const [name, phase] of Object.entries(phases)) {
    if (only.length > 0 && !only.includes(name)) continue;
    const dir = join(root, name);
    mkdirSync(dir);
    const started = performance.now();
    const result = await phase(dir);
    console.log(`${name}: ${result} (${Math.round((performance.now() - started) / 1000)} s)`);
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
for (const fault of faults.slice(0, 20)) console.log(`FAULT: ${fault}`);
process.exit(faults.length > 0 ? 1 : 0);
