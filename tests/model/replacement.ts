/**
 * Replacing a queue's file while producers and workers use it (docs/internals/queue-format.md). The old file and the new
 * one have two slots each; a job is its own ticket. The path is a ghost: 0 the old file, 1 the new one.
 *
 *     replace   lock; superseded := 1; each slot, by CAS: FREE -> WRITING(F), READY and TAKEN -> READY(F), WRITING: wait for
 *               it, or bury it; copy with attempt, generation and, if taken, owner; rename; unlock
 *     move over a call that finds nothing to do, or whose CAS fails, in a superseded file: path elsewhere: open it, bury what
 *               it says of this owner that this process does not hold, repeat the call (done by ticket). Otherwise, if the
 *               lock is free: thaw: WRITING(F) -> FREE, READY(F) -> READY; superseded := 0; repeat the call
 */
import type { Cpu, MemoryOrder, Model, Step, ThreadSpec } from "./checker.ts";
import {
  attemptOf,
  buried,
  FREE,
  generationOf,
  ownerOf,
  READY,
  slotWord,
  stateOf,
  TAKEN,
  WRITING,
} from "./queue.ts";

/** Faults to build in, each of which the checker must find. */
export type ReplacementFault =
  | "free slots are not frozen"
  | "taken slots are not frozen"
  | "writers are not waited for"
  | "no burial after moving over"
  | "thawed without a look at the path"
  | "never thawed";

export interface ReplacementOptions {
  order: MemoryOrder;
  jobs: number;
  deaths: number;
  producers: number;
  workers: number;
  fault?: ReplacementFault;
}

/** The owner that a frozen slot names. */
const FROZEN = 15;

const SLOTS = 2;
const FILE_WORDS = 2 * SLOTS;
const SUPERSEDED = 2 * FILE_WORDS;
const WORDS = SUPERSEDED + 1;
const wordOf = (file: number, slot: number) => file * FILE_WORDS + 2 * slot;
const jobOf = (file: number, slot: number) => wordOf(file, slot) + 1;
const slots = [0, 1];

const NEXT_JOB = 0;
const ACKNOWLEDGED = 1;
const DONE = 2;
const PATH = 3;
const LOCK = 4;
const OWNERS = 5;

const unlocked = (cpu: Cpu, next: string) => (cpu.unlock(LOCK) ? next : undefined);

/** The steps of thawing a file whose replacer has died, for who holds the lock; they end at `next`. */
function thawing(index: number, next: string): Record<string, Step> {
  return {
    thaw: (cpu) => {
      const slot = cpu.get(index);
      if (slot === SLOTS) return "thawed";
      const word = cpu.load(wordOf(0, slot));
      if (ownerOf(word) === FROZEN) {
        const free = slotWord(FREE, 0, 0, generationOf(word) + 1);
        const ready = slotWord(READY, 0, attemptOf(word), generationOf(word));
        if (cpu.cas(wordOf(0, slot), word, stateOf(word) === WRITING ? free : ready) === undefined)
          return undefined;
      }
      cpu.set(index, slot + 1);
      return "thaw";
    },
    thawed: (cpu) => {
      cpu.storeRelease(SUPERSEDED, 0);
      cpu.set(index, 0);
      return next;
    },
  };
}

function replacer({ fault }: ReplacementOptions): ThreadSpec {
  const SLOT = 0;
  const copyTo = (cpu: Cpu, word: number) => {
    const slot = cpu.get(SLOT);
    cpu.store(wordOf(1, slot), word);
    cpu.set(SLOT + 1, word);
    return "copy job";
  };
  return {
    name: "replacer",
    registers: 2,
    restarts: fault !== "never thawed",
    steps: {
      lock: (cpu) => (cpu.tryLock(LOCK) ? "look" : undefined),
      look: (cpu) => {
        if (cpu.ghost(PATH) === 1) return "unlock";
        return cpu.load(SUPERSEDED) === 1 ? "thaw" : "supersede";
      },
      ...thawing(SLOT, "look"),
      supersede: (cpu) => {
        cpu.storeRelease(SUPERSEDED, 1);
        return "freeze";
      },
      freeze: (cpu) => {
        const slot = cpu.get(SLOT);
        if (slot === SLOTS) return "rename";
        const word = cpu.load(wordOf(0, slot));
        const [state, attempt, generation] = [stateOf(word), attemptOf(word), generationOf(word)];
        const nextFree = slotWord(FREE, 0, 0, generation + 1);
        if (state === WRITING) {
          if (fault === "writers are not waited for") return copyTo(cpu, nextFree);
          const owner = ownerOf(word);
          if (cpu.ghost(OWNERS + owner) !== 0) return undefined;
          return cpu.cas(wordOf(0, slot), word, buried(word)) === undefined ? undefined : "freeze";
        }
        if (state === FREE && fault === "free slots are not frozen") return copyTo(cpu, nextFree);
        if (state === TAKEN && fault === "taken slots are not frozen") return copyTo(cpu, word);
        const frozen = slotWord(state === FREE ? WRITING : READY, FROZEN, attempt, generation);
        const isFrozen = cpu.cas(wordOf(0, slot), word, frozen);
        if (isFrozen === undefined) return undefined;
        if (!isFrozen) return "freeze";
        return copyTo(cpu, state === FREE ? nextFree : word);
      },
      "copy job": (cpu) => {
        const slot = cpu.get(SLOT);
        cpu.store(jobOf(1, slot), cpu.load(jobOf(0, slot)));
        cpu.set(SLOT, slot + 1);
        cpu.set(SLOT + 1, 0);
        return "freeze";
      },
      rename: (cpu) => {
        if (!cpu.isDrained) return undefined;
        cpu.setGhost(PATH, 1);
        return "unlock";
      },
      unlock: (cpu) => unlocked(cpu, "over"),
      over: () => undefined,
    },
  };
}

// Registers of producers and workers.
const FILE = 0;
const INDEX = 1;
const WORD = 2;
const JOB = 3;
const SLOT = 4;
/** A worker holds a job. */
const HOLDS = 5;
const REGISTERS = 6;

const forget = (cpu: Cpu, ...registers: number[]) => {
  for (const register of registers) cpu.set(register, 0);
};

/** Starting, and moving over to the new file. `again` is the step that repeats a call. */
function common({ fault }: ReplacementOptions, again: (cpu: Cpu) => string): Record<string, Step> {
  const self = (cpu: Cpu) => cpu.thread;
  const isHeld = (cpu: Cpu, slot: number, word: number) =>
    cpu.get(HOLDS) === 1 && cpu.get(WORD) === word && cpu.load(jobOf(cpu.get(FILE), slot)) === cpu.get(JOB);
  return {
    start: (cpu) => {
      if (!cpu.tryLock(OWNERS + self(cpu))) return undefined;
      cpu.set(FILE, cpu.ghost(PATH));
      return "bury own";
    },
    "bury own": (cpu) => {
      const slot = cpu.get(INDEX);
      if (slot === SLOTS) {
        cpu.set(INDEX, 0);
        return again(cpu);
      }
      const word = cpu.load(wordOf(cpu.get(FILE), slot));
      const isOver = ownerOf(word) === self(cpu) && !isHeld(cpu, slot, word);
      if (isOver && cpu.cas(wordOf(cpu.get(FILE), slot), word, buried(word)) === undefined) return undefined;
      cpu.set(INDEX, slot + 1);
      return "bury own";
    },
    // A call has found nothing that it can do in its file, or its CAS has failed.
    superseded: (cpu) => {
      cpu.set(INDEX, 0);
      if (cpu.get(FILE) === 1) return "in vain";
      return cpu.load(SUPERSEDED) === 0 ? "in vain" : "move over";
    },
    "move over": (cpu) => {
      if (cpu.ghost(PATH) === 1) return attach(cpu, fault, again);
      return fault === "never thawed" ? undefined : "lock";
    },
    lock: (cpu) => {
      if (cpu.tryLock(LOCK)) return "look at the path";
      // Somebody has it, and may be long at it: the path tells when it is done.
      return cpu.ghost(PATH) === 1 ? "move over" : undefined;
    },
    "look at the path": (cpu) => {
      const isStillCurrent = cpu.ghost(PATH) === 0 || fault === "thawed without a look at the path";
      if (isStillCurrent && cpu.load(SUPERSEDED) === 1) return "thaw";
      return "unlock";
    },
    ...thawing(INDEX, "unlock"),
    unlock: (cpu) => (cpu.unlock(LOCK) ? again(cpu) : undefined),
    bury: (cpu) => {
      // Under the dead owner's lock, which is given back at once: one word a turn.
      const [slot, word] = [cpu.get(SLOT), cpu.get(WORD)];
      const isBuried = cpu.cas(wordOf(cpu.get(FILE), slot), word, buried(word));
      if (isBuried === undefined) return undefined;
      cpu.setGhost(OWNERS + ownerOf(word), 0);
      forget(cpu, SLOT, WORD);
      return "idle";
    },
  };
}

function attach(cpu: Cpu, fault: ReplacementFault | undefined, again: (cpu: Cpu) => string): string {
  // Opening and mapping are system calls.
  cpu.loadFence();
  cpu.set(FILE, 1);
  cpu.set(INDEX, 0);
  return fault === "no burial after moving over" ? again(cpu) : "bury own";
}

/** Dead owners whose slots an idle thread could bury in its file. */
function chores(cpu: Cpu): (() => string)[] {
  return slots.flatMap((slot) => {
    const word = cpu.state[wordOf(cpu.get(FILE), slot)]!;
    const owner = ownerOf(word);
    if (owner === 0 || owner === FROZEN || owner === cpu.thread || cpu.ghost(OWNERS + owner) !== 0) return [];
    const work = () => {
      cpu.setGhost(OWNERS + owner, cpu.thread + 1);
      cpu.set(SLOT, slot);
      cpu.set(WORD, word);
      return "bury";
    };
    return [work];
  });
}

function producer(options: ReplacementOptions, number: number): ThreadSpec {
  return {
    name: `producer ${number}`,
    registers: REGISTERS,
    steps: {
      ...common(options, (cpu) => (cpu.get(JOB) === 0 ? "idle" : "push look")),
      idle: (cpu) => {
        const others = chores(cpu);
        const mayPush = cpu.ghost(NEXT_JOB) < options.jobs;
        if (others.length + Number(mayPush) === 0) return undefined;
        const choice = cpu.choose(others.length + Number(mayPush));
        if (choice < others.length) return cpu.isDrained ? others[choice]!() : undefined;
        cpu.setGhost(NEXT_JOB, cpu.ghost(NEXT_JOB) + 1);
        cpu.set(JOB, cpu.ghost(NEXT_JOB));
        return "push look";
      },
      "push look": (cpu) => {
        const slot = cpu.get(INDEX);
        if (slot === SLOTS) return "superseded";
        const word = cpu.load(wordOf(cpu.get(FILE), slot));
        if (stateOf(word) !== FREE) {
          cpu.set(INDEX, slot + 1);
          return "push look";
        }
        cpu.set(WORD, word);
        return "claim";
      },
      claim: (cpu) => {
        const word = cpu.get(WORD);
        const place = wordOf(cpu.get(FILE), cpu.get(INDEX));
        const claimed = cpu.cas(place, word, slotWord(WRITING, cpu.thread, 0, generationOf(word)));
        if (claimed === undefined) return undefined;
        return claimed ? "payload" : "push look";
      },
      payload: (cpu) => {
        cpu.store(jobOf(cpu.get(FILE), cpu.get(INDEX)), cpu.get(JOB));
        return "ready";
      },
      ready: (cpu) => {
        const ready = slotWord(READY, 0, 0, generationOf(cpu.get(WORD)));
        cpu.storeRelease(wordOf(cpu.get(FILE), cpu.get(INDEX)), ready);
        cpu.setGhost(ACKNOWLEDGED, cpu.ghost(ACKNOWLEDGED) | (1 << cpu.get(JOB)));
        forget(cpu, INDEX, WORD, JOB);
        return "idle";
      },
      "in vain": (cpu) => {
        // Full: once more, unless all is over.
        forget(cpu, INDEX);
        return "push look";
      },
    },
  };
}

function worker(options: ReplacementOptions, number: number): ThreadSpec {
  return {
    name: `worker ${number}`,
    registers: REGISTERS,
    steps: {
      ...common(options, (cpu) => (cpu.get(HOLDS) === 1 ? "find" : "idle")),
      idle: (cpu) => {
        checkStuck(cpu);
        const others = chores(cpu);
        const choice = cpu.choose(others.length + 1);
        if (choice < others.length) return cpu.isDrained ? others[choice]!() : undefined;
        return "take look";
      },
      "take look": (cpu) => {
        const slot = cpu.get(INDEX);
        if (slot === SLOTS) return "superseded";
        const word = cpu.load(wordOf(cpu.get(FILE), slot));
        if (stateOf(word) !== READY || ownerOf(word) !== 0) {
          cpu.set(INDEX, slot + 1);
          return "take look";
        }
        cpu.set(WORD, word);
        return "claim";
      },
      claim: (cpu) => {
        const [word, slot] = [cpu.get(WORD), cpu.get(INDEX)];
        const taken = slotWord(TAKEN, cpu.thread, attemptOf(word), generationOf(word));
        const claimed = cpu.cas(wordOf(cpu.get(FILE), slot), word, taken);
        if (claimed === undefined) return undefined;
        if (!claimed) return "take look";
        cpu.set(WORD, taken);
        cpu.set(SLOT, slot);
        cpu.set(INDEX, 0);
        cpu.set(HOLDS, 1);
        return "read";
      },
      read: (cpu) => {
        const job = cpu.load(jobOf(cpu.get(FILE), cpu.get(SLOT)));
        // Otherwise the lease is lost already: a worker compares the word after it has copied the job.
        const isHeld = cpu.state[wordOf(cpu.get(FILE), cpu.get(SLOT))] === cpu.get(WORD);
        if (isHeld && (cpu.ghost(DONE) >> job) & 1) cpu.fail(`job ${job} is delivered though it is done`);
        cpu.set(JOB, job);
        return "done";
      },
      done: (cpu) => {
        const word = cpu.get(WORD);
        const job = cpu.get(JOB);
        const freed = cpu.cas(
          wordOf(cpu.get(FILE), cpu.get(SLOT)),
          word,
          slotWord(FREE, 0, 0, generationOf(word) + 1),
        );
        if (freed === undefined) return undefined;
        if (!freed) return "superseded";
        if ((cpu.ghost(DONE) >> job) & 1) cpu.fail(`job ${job} is done twice`);
        cpu.setGhost(DONE, cpu.ghost(DONE) | (1 << job));
        return spent(cpu);
      },
      // After moving over, or thawing: the same job, by ticket and word.
      find: (cpu) => {
        if (cpu.get(FILE) === 0) return "done once more";
        const slot = cpu.get(INDEX);
        if (slot === SLOTS) return spent(cpu);
        const isIt =
          cpu.load(wordOf(1, slot)) === cpu.get(WORD) && cpu.state[jobOf(1, slot)] === cpu.get(JOB);
        if (!isIt) {
          cpu.set(INDEX, slot + 1);
          return "find";
        }
        cpu.set(SLOT, slot);
        return "done once more";
      },
      "done once more": (cpu) => {
        cpu.set(INDEX, 0);
        return "done";
      },
      "in vain": (cpu) => {
        forget(cpu, INDEX);
        // LeaseLostError, or an empty queue.
        return cpu.get(HOLDS) === 1 ? spent(cpu) : "idle";
      },
    },
  };
}

function spent(cpu: Cpu): string {
  forget(cpu, INDEX, WORD, JOB, SLOT, HOLDS);
  return "idle";
}

function checkStuck(cpu: Cpu): void {
  if (!cpu.isDrained || cpu.get(FILE) !== cpu.ghost(PATH)) return;
  for (const slot of slots) {
    if (ownerOf(cpu.state[wordOf(cpu.get(FILE), slot)]!) === cpu.thread) cpu.fail(`slot ${slot} is stuck`);
  }
}

/** Every acknowledged job is done, or in exactly one slot of the file that is current. */
function lostJob(state: Uint16Array): string | undefined {
  const [acknowledged, done, path] = [ACKNOWLEDGED, DONE, PATH].map((ghost) => state[WORDS + ghost]!) as [
    number,
    number,
    number,
  ];
  for (let job = 1; acknowledged >> job > 0; job++) {
    if (!((acknowledged >> job) & 1)) continue;
    const places = slots.filter(
      (slot) => stateOf(state[wordOf(path, slot)]!) >= READY && state[jobOf(path, slot)] === job,
    );
    const expected = (done >> job) & 1 ? 0 : 1;
    if (places.length !== expected) return `job ${job} is in ${places.length} slots, not ${expected}`;
  }
  return undefined;
}

export function replacementModel(options: ReplacementOptions): Model {
  const threads = [
    replacer(options),
    ...Array.from({ length: options.producers }, (_, number) => producer(options, number)),
    ...Array.from({ length: options.workers }, (_, number) => worker(options, number)),
  ];
  return {
    order: options.order,
    words: WORDS,
    ghosts: OWNERS + threads.length + 1,
    deaths: options.deaths,
    threads,
    onDeadlock: () => "none of the threads can go on",
    invariant: (state, cpu) => (cpu.isAllDrained ? lostJob(state) : undefined),
    onGone: (state, thread) => {
      for (let ghost = LOCK; ghost <= OWNERS + threads.length; ghost++) {
        if (state[WORDS + ghost] === thread + 1) state[WORDS + ghost] = 0;
      }
    },
  };
}
