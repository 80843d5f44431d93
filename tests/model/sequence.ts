/**
 * The sequence lock of records and documents with a whole pre-image (docs/internals/file-format.md): writers one at a time, each
 * may die anywhere, and a reader without any lock.
 *
 *     begin   if odd: live := pre, commits := before, sequence := (sequence | 1) + 1
 *             pre := live, before := commits, release sequence + 1, StoreStore
 *     commit  commits + 1, release sequence + 1, StoreStore
 *     read    s, LoadLoad, copy (even: live and commits, odd: pre and before), LoadLoad, s again
 */
import type { Cpu, MemoryOrder, Model, ThreadSpec } from "./checker.ts";

/** Faults to build in, each of which the checker must find. */
export type SequenceFault =
  | "no release of odd"
  | "no fence after odd"
  | "no release of even"
  | "no fence after even"
  | "no fence after the first look"
  | "no fence before the second look"
  | "no second look"
  | "live copied while odd"
  | "commits copied while odd"
  | "no repair"
  | "repair by increment";

export interface SequenceOptions {
  order: MemoryOrder;
  sessions: number;
  deaths: number;
  fault?: SequenceFault;
}

const SEQUENCE = 0;
const COMMITS = 1;
const BEFORE = 2;
const LIVE = 3;
const PRE = 5;
const WORDS = 7;

const LOCK = 0;
const SESSION = 1;
const LAST_SEEN = 2;
/** Two words for each version: what was committed. */
const HISTORY = 3;

function writer({ fault, sessions }: SequenceOptions): ThreadSpec {
  const publish = (cpu: Cpu, sequence: number, releases: boolean, fences: boolean): void => {
    if (releases) cpu.storeRelease(SEQUENCE, sequence);
    else cpu.store(SEQUENCE, sequence);
    if (fences) cpu.storeFence();
  };
  const publishOdd = (cpu: Cpu) =>
    publish(cpu, cpu.load(SEQUENCE) + 1, fault !== "no release of odd", fault !== "no fence after odd");
  const publishEven = (cpu: Cpu, sequence: number) =>
    publish(cpu, sequence, fault !== "no release of even", fault !== "no fence after even");
  const copy = (from: number, to: number) => (cpu: Cpu) => cpu.store(to, cpu.load(from));
  const then = (act: (cpu: Cpu) => void, next: string) => (cpu: Cpu) => {
    act(cpu);
    return next;
  };
  return {
    name: "writer",
    registers: 0,
    steps: {
      lock: (cpu) => (cpu.tryLock(LOCK) ? "look" : undefined),
      look: (cpu) => {
        if (fault !== "no repair" && (cpu.load(SEQUENCE) & 1) === 1) return "repair 0";
        if (cpu.ghost(SESSION) === sessions) return "unlock";
        return "save 0";
      },
      "repair 0": then(copy(PRE, LIVE), "repair 1"),
      "repair 1": then(copy(PRE + 1, LIVE + 1), "repair commits"),
      "repair commits": then(copy(BEFORE, COMMITS), "repaired"),
      repaired: (cpu) => {
        const sequence = cpu.load(SEQUENCE);
        publishEven(cpu, fault === "repair by increment" ? sequence + 1 : (sequence | 1) + 1);
        return fault === "repair by increment" ? "look again" : "look";
      },
      // The naive repair is made twice by a writer that does not look in between, as two who both saw it odd would.
      "look again": (cpu) => {
        publishEven(cpu, cpu.load(SEQUENCE) + 1);
        return "save 0";
      },
      "save 0": then(copy(LIVE, PRE), "save 1"),
      "save 1": then(copy(LIVE + 1, PRE + 1), "save commits"),
      "save commits": then(copy(COMMITS, BEFORE), "odd"),
      odd: (cpu) => {
        publishOdd(cpu);
        cpu.setGhost(SESSION, cpu.ghost(SESSION) + 1);
        return "store 0";
      },
      "store 0": (cpu) => {
        cpu.store(LIVE, cpu.ghost(SESSION));
        return "store 1";
      },
      "store 1": (cpu) => {
        cpu.store(LIVE + 1, cpu.ghost(SESSION));
        return cpu.choose(2) === 0 ? "count" : "roll back 0";
      },
      "roll back 0": then(copy(PRE, LIVE), "roll back 1"),
      "roll back 1": then(copy(PRE + 1, LIVE + 1), "rolled back"),
      "rolled back": (cpu) => {
        publishEven(cpu, cpu.load(SEQUENCE) + 1);
        return "look";
      },
      count: (cpu) => {
        cpu.store(COMMITS, cpu.load(COMMITS) + 1);
        return "even";
      },
      even: (cpu) => {
        const version = cpu.load(COMMITS);
        cpu.setGhost(HISTORY + 2 * version, cpu.load(LIVE));
        cpu.setGhost(HISTORY + 2 * version + 1, cpu.load(LIVE + 1));
        publishEven(cpu, cpu.load(SEQUENCE) + 1);
        return "look";
      },
      unlock: (cpu) => (cpu.unlock(LOCK) ? "over" : undefined),
      over: () => undefined,
    },
  };
}

const FIRST = 0;
const COPY = 1;
const VERSION = 3;

function reader({ fault }: SequenceOptions): ThreadSpec {
  const versions = [COMMITS, BEFORE];
  const copies = {
    "copy 0": [LIVE, LIVE + 1, PRE, PRE + 1, ...versions],
    "copy 1": [LIVE + 1, PRE + 1, ...versions],
    "copy version": versions,
  };
  const isOdd = (cpu: Cpu) => (cpu.get(FIRST) & 1) === 1;
  const copy = (index: number) => (cpu: Cpu) =>
    cpu.set(COPY + index, cpu.load((isOdd(cpu) && fault !== "live copied while odd" ? PRE : LIVE) + index));
  return {
    name: "reader",
    registers: 4,
    dies: false,
    loads: fault === undefined ? { look: [SEQUENCE], "look again": [SEQUENCE], ...copies } : {},
    steps: {
      look: (cpu) => {
        cpu.set(FIRST, cpu.load(SEQUENCE));
        if (fault !== "no fence after the first look") cpu.loadFence();
        return "copy 0";
      },
      "copy 0": (cpu) => {
        copy(0)(cpu);
        return "copy 1";
      },
      "copy 1": (cpu) => {
        copy(1)(cpu);
        return "copy version";
      },
      "copy version": (cpu) => {
        cpu.set(VERSION, cpu.load(isOdd(cpu) && fault !== "commits copied while odd" ? BEFORE : COMMITS));
        if (fault !== "no fence before the second look") cpu.loadFence();
        return "look again";
      },
      "look again": (cpu) => {
        const isWhole = fault === "no second look" || cpu.load(SEQUENCE) === cpu.get(FIRST);
        if (isWhole) accept(cpu);
        cpu.clearRegisters();
        return "look";
      },
    },
  };
}

function accept(cpu: Cpu): void {
  const version = cpu.get(VERSION);
  for (const index of [0, 1]) {
    const committed = cpu.ghost(HISTORY + 2 * version + index);
    if (cpu.get(COPY + index) === committed) continue;
    cpu.fail(`word ${index} of version ${version} is ${cpu.get(COPY + index)}, committed was ${committed}`);
  }
  if (version < cpu.ghost(LAST_SEEN)) cpu.fail(`version ${version} after ${cpu.ghost(LAST_SEEN)}`);
  cpu.setGhost(LAST_SEEN, version);
}

export function sequenceModel(options: SequenceOptions): Model {
  return {
    order: options.order,
    words: WORDS,
    ghosts: HISTORY + 2 * (options.sessions + 1),
    deaths: options.deaths,
    threads: [writer(options), reader(options)],
    onGone: (words, thread) => {
      if (words[WORDS + LOCK] === thread + 1) words[WORDS + LOCK] = 0;
    },
  };
}
