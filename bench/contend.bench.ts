/** Row 10: two processes that want the same lock. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { Editor, Manager } from "../src/index.ts";
import { fileLock } from "../src/sync/file-lock.ts";
import { RwLock } from "../src/sync/rw-lock.ts";
import { openFile } from "../src/sys/file.ts";
import { O_CREAT, O_RDWR } from "../src/sys/libc/constants.ts";
import { Mapping } from "../src/sys/mapping.ts";
import { now, pause } from "./clock.ts";
import { alone, type Case, median, type Suite } from "./harness.ts";
import { cProgram, inTempDir, pythonProgram, stayOn } from "./prepare.ts";

const HANDOVERS = 200;
const HAMMER_MS = 300;

/** What the two processes share beside the lock, to agree on who does what: 32-bit words, and a double. */
const AT = { wants: 0, started: 2, last: 4, freed: 4 } as const;

interface Lock {
  acquire(): void;
  release(): void;
}

const locks: Readonly<Record<string, (dir: string) => Lock>> = {
  RwLock: (dir) => {
    const lock = new RwLock({ path: join(dir, "contend.lock"), create: true });
    return { acquire: () => lock.acquire("exclusive"), release: () => lock.release() };
  },
  "flock by hand": (dir) => {
    const path = join(dir, "contend.lock");
    const lock = fileLock("flock", openFile(path, O_RDWR | O_CREAT), path);
    return { acquire: () => lock.lock("exclusive"), release: () => lock.unlock() };
  },
  Editor: (dir) => {
    const editor = new Editor(DemoMmapStructure, { dir });
    let session: Disposable | undefined;
    return {
      acquire: () => {
        session = editor.lock();
      },
      release: () => session?.[Symbol.dispose](),
    };
  },
};

class Contender {
  readonly #words: Int32Array;
  readonly #times: Float64Array;

  constructor(
    readonly me: 0 | 1,
    readonly lock: Lock,
    mapping: Mapping,
  ) {
    this.#words = new Int32Array(mapping.buffer);
    this.#times = new Float64Array(mapping.buffer);
  }

  /** The hand-overs come last, as only then the code is compiled. */
  work(): { delays: number[]; locks: number } {
    stayOn(this.me);
    this.#meet(1);
    const locks = this.#hammer();
    this.#meet(2);
    return { delays: this.#handOver(), locks };
  }

  /** Waits until both are there. */
  #meet(stage: number): void {
    Atomics.store(this.#words, AT.started + this.me, stage);
    while (Atomics.load(this.#words, AT.started + 1 - this.me) < stage) pause(0.1);
  }

  #hammer(): number {
    let count = 0;
    for (const end = now() + HAMMER_MS * 1e6; now() < end; count++) {
      this.lock.acquire();
      this.lock.release();
    }
    return count;
  }

  /** Gives the lock back only when the other one sleeps in front of it, and lets it have the lock. */
  #handOver(): number[] {
    const [words, times, me] = [this.#words, this.#times, this.me];
    const delays: number[] = [];
    for (let i = 0; i < HANDOVERS; i++) {
      Atomics.store(words, AT.wants + me, 1);
      this.lock.acquire();
      if (Atomics.load(words, AT.last) === 2 - me) delays.push(now() - times[AT.freed]!);
      Atomics.store(words, AT.wants + me, 0);
      this.#waitUntil(1);
      pause(0.2);
      Atomics.store(words, AT.last, me + 1);
      times[AT.freed] = now();
      this.lock.release();
      this.#waitUntil(0);
    }
    return delays;
  }

  /** Waits until the other one wants the lock, or has it. */
  #waitUntil(wants: 0 | 1): void {
    const index = AT.wants + 1 - this.me;
    for (let waits = 0; Atomics.load(this.#words, index) !== wants && waits < 400; waits++) pause(0.05);
  }
}

const mapShared = (dir: string): Mapping => {
  const path = join(dir, "shared");
  return Mapping.map(openFile(path, O_RDWR), { byteLength: 4096, path });
};

/** The other process: `bun contend.bench.ts --other <kind> <dir>`. */
function other(kind: string, dir: string): void {
  using mapping = mapShared(dir);
  console.log(JSON.stringify(new Contender(1, locks[kind]!(dir), mapping).work()));
}

const contend = (kind: string): Case => {
  return () =>
    inTempDir(async (dir) => {
      using _manager = new Manager(DemoMmapStructure, { dir, create: true });
      writeFileSync(join(dir, "shared"), new Uint8Array(4096));
      using mapping = mapShared(dir);
      const command = [process.execPath, import.meta.filename, "--other", kind, dir];
      const child = Bun.spawn(command, { stderr: "inherit" });
      const own = new Contender(0, locks[kind]!(dir), mapping).work();
      const theirs: typeof own = JSON.parse(await new Response(child.stdout).text());
      const delays = [...own.delays, ...theirs.delays];
      if (delays.length < HANDOVERS) throw new Error("hardly any hand-over took place");
      return { p50: median(delays), ns: (HAMMER_MS * 1e6) / (own.locks + theirs.locks) };
    });
};

const FLOOR =
  "waking up. A process of Bun sleeps and wakes a little slower than one of C (the row of the bare kernel lock); getting in line fairly takes two more system calls. How long a wake takes varies by a factor of three here, with the processor that the kernel picks.";

const suite: Suite = {
  title: "Two processes that want one lock",
  file: import.meta.filename,
  honest:
    "a hand-over counts only when the other process had said that it wants the lock and 0.2 ms had passed, so that it sleeps in front of it, on a processor of its own (else the scheduler decides whether a wake is near or far); the one that gets the lock looks at the same clock. The rate counts what both processes get done in the same 0.3 s.",
  idle: "the one that waits sleeps in the kernel (fasteners looks again and again).",
  cases: {
    RwLock: contend("RwLock"),
    "flock by hand": contend("flock by hand"),
    "Editor.lock()": contend("Editor"),
  },
  programs: (dir) => ({
    "C, flock": cProgram("contend", dir),
    "Python, fasteners": pythonProgram("contend", ["fasteners"], dir),
  }),
  rows: [
    {
      id: "10",
      what: "hand-over of the lock, p50",
      ours: "RwLock",
      peer: "C, flock",
      metric: "p50",
      aim: { atMost: 1.3 },
      floor: FLOOR,
    },
    {
      id: "10",
      what: "hand-over of the lock, p50",
      ours: "RwLock",
      peer: "Python, fasteners",
      metric: "p50",
      aim: { atLeast: 20 },
    },
    {
      id: "10",
      what: "hand-over of the bare kernel lock in JavaScript, p50",
      ours: "flock by hand",
      peer: "C, flock",
      metric: "p50",
    },
    {
      id: "10",
      what: "hand-over of a session with its transaction, p50",
      ours: "Editor.lock()",
      peer: "C, flock",
      metric: "p50",
    },
    {
      id: "10",
      what: "hand-over of a session with its transaction, p50",
      ours: "Editor.lock()",
      peer: "Python, fasteners",
      metric: "p50",
      aim: { atLeast: 20 },
    },
    { id: "10", what: "time per lock, both as often as they can", ours: "RwLock", peer: "C, flock" },
    {
      id: "10",
      what: "time per session, both as often as they can",
      ours: "Editor.lock()",
      peer: "Python, fasteners",
    },
  ],
};
export default suite;

if (process.argv[2] === "--other" && import.meta.main) other(process.argv[3] ?? "", process.argv[4] ?? "");
else if (import.meta.main) await alone(suite);
