/**
 * Records that keep their pre-image by blocks (docs/internals/file-format.md): a writer saves a block before its first store into it.
 * Block 0 is words 0 and 1, block 1 is word 2.
 *
 *     begin      if odd: repair. before := commits, release sequence + 1 =: e, StoreStore
 *     store      mark != e: pre[b] := live[b], StoreStore, mark[b] := e, StoreStore; then the store
 *     roll back  each b with mark e: live[b] := pre[b]; release sequence + 1
 *     read       s, LoadLoad. odd, each b: copy live[b], LoadLoad, mark[b] = s: LoadLoad, copy pre[b] over it. LoadLoad, s again
 */
import type { Cpu, MemoryOrder, Model, Step, ThreadSpec } from "./checker.ts";

/** Faults to build in, each of which the checker must find. */
export type BlocksFault =
  | "no fence after odd"
  | "no fence before the mark"
  | "no fence after the mark"
  | "marked before it is saved"
  | "stored before it is marked"
  | "no fence before the mark is read"
  | "no fence after the mark is read"
  | "mark read before the copy"
  | "no second look"
  | "whole pre-image is read"
  | "marks stay when the sequence wraps";

export interface BlocksOptions {
  order: MemoryOrder;
  sessions: number;
  deaths: number;
  fault?: BlocksFault;
  /** Sequences wrap here. Default: they do not. */
  modulus?: number;
  /** Words that a session may store to. Default: all. */
  stores?: readonly number[];
}

const LIVE = 0;
const PRE = 3;
const MARK = 6;
const SEQUENCE = 8;
const COMMITS = 9;
const BEFORE = 10;
const WORDS = 11;

const LOCK = 0;
const SESSION = 1;
const LAST_SEEN = 2;
/** Changes of the sequence in all: a reader does not sleep for a whole turn of it. */
const CHANGES = 3;
const HISTORY = 4;

const blocks = [[0, 1], [2]] as const;
const blockOf = (word: number) => (word < 2 ? 0 : 1);

// The writer's registers.
const WORD = 0;
/** Bits of the words that this session has stored. */
const STORED = 1;

function writer(options: BlocksOptions): ThreadSpec {
  const { fault, sessions, modulus = 0x4000, stores = [0, 1, 2] } = options;
  const publish = (cpu: Cpu, sequence: number) => {
    cpu.storeRelease(SEQUENCE, sequence % modulus);
    if (options.modulus !== undefined) cpu.setGhost(CHANGES, cpu.ghost(CHANGES) + 1);
    if (fault !== "no fence after odd") cpu.storeFence();
  };
  const isMarked = (cpu: Cpu, block: number) => cpu.load(MARK + block) === cpu.load(SEQUENCE);
  /** Copies the marked blocks back, a word a step. */
  const copyBack = (name: string, next: string): Record<string, Step> =>
    Object.fromEntries(
      [0, 1, 2].map((word) => [
        `${name} ${word}`,
        (cpu: Cpu) => {
          if (isMarked(cpu, blockOf(word))) cpu.store(LIVE + word, cpu.load(PRE + word));
          return word === 2 ? next : `${name} ${word + 1}`;
        },
      ]),
    );
  const save = (cpu: Cpu, index: number) => {
    const word = blocks[blockOf(cpu.get(WORD))][index];
    if (word !== undefined) cpu.store(PRE + word, cpu.load(LIVE + word));
  };
  return {
    name: "writer",
    registers: 2,
    steps: {
      lock: (cpu) => (cpu.tryLock(LOCK) ? "look" : undefined),
      look: (cpu) => {
        if ((cpu.load(SEQUENCE) & 1) === 1) return "repair 0";
        return cpu.ghost(SESSION) === sessions ? "unlock" : "before";
      },
      ...copyBack("repair", "repair commits"),
      "repair commits": (cpu) => {
        cpu.store(COMMITS, cpu.load(BEFORE));
        return "repaired";
      },
      repaired: (cpu) => {
        publish(cpu, (cpu.load(SEQUENCE) | 1) + 1);
        return "look";
      },
      before: (cpu) => {
        cpu.store(BEFORE, cpu.load(COMMITS));
        const isWrapped = (cpu.load(SEQUENCE) + 1) % modulus === 1;
        return isWrapped && fault !== "marks stay when the sequence wraps" ? "clear 0" : "odd";
      },
      "clear 0": (cpu) => {
        cpu.store(MARK, 0);
        return "clear 1";
      },
      "clear 1": (cpu) => {
        cpu.store(MARK + 1, 0);
        return "odd";
      },
      odd: (cpu) => {
        publish(cpu, cpu.load(SEQUENCE) + 1);
        cpu.setGhost(SESSION, cpu.ghost(SESSION) + 1);
        return "work";
      },
      work: (cpu) => {
        const left = stores.filter((word) => cpu.get(STORED) >> word === 0);
        const choice = cpu.choose(left.length + 2);
        if (choice === left.length) return "count";
        if (choice > left.length) return "roll back 0";
        cpu.set(WORD, left[choice]!);
        if (isMarked(cpu, blockOf(left[choice]!))) return "store";
        return fault === "marked before it is saved" ? "mark" : "save 0";
      },
      "save 0": (cpu) => {
        save(cpu, 0);
        return "save 1";
      },
      "save 1": (cpu) => {
        save(cpu, 1);
        if (fault !== "no fence before the mark") cpu.storeFence();
        return fault === "marked before it is saved" || fault === "stored before it is marked"
          ? "store"
          : "mark";
      },
      mark: (cpu) => {
        cpu.store(MARK + blockOf(cpu.get(WORD)), cpu.load(SEQUENCE));
        if (fault !== "no fence after the mark") cpu.storeFence();
        if (fault === "marked before it is saved") return "save 0";
        return fault === "stored before it is marked" ? "work" : "store";
      },
      store: (cpu) => {
        const word = cpu.get(WORD);
        cpu.store(LIVE + word, cpu.ghost(SESSION));
        cpu.set(STORED, cpu.get(STORED) | (1 << word));
        return fault === "stored before it is marked" && !isMarked(cpu, blockOf(word)) ? "mark" : "work";
      },
      count: (cpu) => {
        cpu.store(COMMITS, cpu.load(COMMITS) + 1);
        return "even";
      },
      even: (cpu) => {
        const version = cpu.load(COMMITS);
        for (const word of [0, 1, 2]) cpu.setGhost(HISTORY + 3 * version + word, cpu.load(LIVE + word));
        publish(cpu, cpu.load(SEQUENCE) + 1);
        cpu.clearRegisters();
        return "look";
      },
      ...copyBack("roll back", "rolled back"),
      "rolled back": (cpu) => {
        publish(cpu, cpu.load(SEQUENCE) + 1);
        cpu.clearRegisters();
        return "look";
      },
      unlock: (cpu) => (cpu.unlock(LOCK) ? "over" : undefined),
      over: () => undefined,
    },
  };
}

// The reader's registers.
const FIRST = 0;
const COPY = 1;
const VERSION = 4;
const IS_MARKED = 5;
const CHANGES_SEEN = 6;

function reader({ fault, modulus }: BlocksOptions): ThreadSpec {
  const isOdd = (cpu: Cpu) => (cpu.get(FIRST) & 1) === 1;
  const copyLive = (cpu: Cpu, word: number) => {
    if (fault !== "whole pre-image is read" || !isOdd(cpu)) cpu.set(COPY + word, cpu.load(LIVE + word));
  };
  const readMark = (cpu: Cpu, block: number) => {
    cpu.set(IS_MARKED, 0);
    if (!isOdd(cpu)) return;
    if (fault === "whole pre-image is read" || cpu.load(MARK + block) === cpu.get(FIRST))
      cpu.set(IS_MARKED, 1);
    if (fault !== "no fence after the mark is read") cpu.loadFence();
  };
  const steps: Record<string, Step> = {
    look: (cpu) => {
      cpu.set(FIRST, cpu.load(SEQUENCE));
      if (modulus !== undefined) cpu.set(CHANGES_SEEN, cpu.ghost(CHANGES));
      cpu.loadFence();
      return fault === "mark read before the copy" ? "mark 0" : "live 0";
    },
  };
  for (const block of [0, 1]) {
    const own = blocks[block]!;
    const last = own[own.length - 1]!;
    const after = block === 0 ? (fault === "mark read before the copy" ? "mark 1" : "live 2") : "version";
    for (const word of own) {
      steps[`live ${word}`] = (cpu) => {
        copyLive(cpu, word);
        if (word !== last) return `live ${word + 1}`;
        if (fault === "mark read before the copy") return `pre ${own[0]}`;
        if (isOdd(cpu) && fault !== "no fence before the mark is read") cpu.loadFence();
        return `mark ${block}`;
      };
      steps[`pre ${word}`] = (cpu) => {
        if (cpu.get(IS_MARKED)) cpu.set(COPY + word, cpu.load(PRE + word));
        return word === last ? after : `pre ${word + 1}`;
      };
    }
    steps[`mark ${block}`] = (cpu) => {
      readMark(cpu, block);
      return fault === "mark read before the copy" ? `live ${own[0]}` : `pre ${own[0]}`;
    };
  }
  steps.version = (cpu) => {
    cpu.set(VERSION, cpu.load(isOdd(cpu) ? BEFORE : COMMITS));
    cpu.loadFence();
    return "look again";
  };
  steps["look again"] = (cpu) => {
    const isTurnOver = modulus !== undefined && cpu.ghost(CHANGES) >= cpu.get(CHANGES_SEEN) + modulus;
    const isWhole = fault === "no second look" || cpu.load(SEQUENCE) === cpu.get(FIRST);
    if (isWhole && !isTurnOver) accept(cpu);
    cpu.clearRegisters();
    return "look";
  };
  const all = [0, 1, 2].flatMap((word) => [LIVE + word, PRE + word]);
  const versions = [COMMITS, BEFORE];
  const loads = {
    look: [SEQUENCE],
    "look again": [SEQUENCE],
    version: versions,
    "pre 2": [PRE + 2, ...versions],
    "mark 1": [MARK + 1, PRE + 2, ...versions],
    "live 2": [LIVE + 2, MARK + 1, PRE + 2, ...versions],
  };
  const early = [...all, MARK, MARK + 1, ...versions];
  const rest = { "live 0": early, "live 1": early, "mark 0": early, "pre 0": early, "pre 1": early };
  return {
    name: "reader",
    registers: 7,
    dies: false,
    steps,
    loads: fault === undefined ? { ...rest, ...loads } : {},
  };
}

function accept(cpu: Cpu): void {
  const version = cpu.get(VERSION);
  for (const word of [0, 1, 2]) {
    const committed = cpu.ghost(HISTORY + 3 * version + word);
    if (cpu.get(COPY + word) === committed) continue;
    cpu.fail(`word ${word} of version ${version} is ${cpu.get(COPY + word)}, committed was ${committed}`);
  }
  if (version < cpu.ghost(LAST_SEEN)) cpu.fail(`version ${version} after ${cpu.ghost(LAST_SEEN)}`);
  cpu.setGhost(LAST_SEEN, version);
}

export function blocksModel(options: BlocksOptions): Model {
  return {
    order: options.order,
    words: WORDS,
    ghosts: HISTORY + 3 * (options.sessions + 1),
    deaths: options.deaths,
    threads: [writer(options), reader(options)],
    onGone: (words, thread) => {
      if (words[WORDS + LOCK] === thread + 1) words[WORDS + LOCK] = 0;
    },
  };
}
