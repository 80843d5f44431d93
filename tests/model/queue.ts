/**
 * The queue's protocol (docs/internals/queue-format.md): producers and workers that may die anywhere, the burial of a dead
 * owner by who finds it, leases that are broken. Two slots, jobs of two words. Each thread has an owner's number of its own,
 * and takes it again after its death, as does a process that claims the first free one.
 */
import type { Cpu, MemoryOrder, Model, Step, ThreadSpec } from "./checker.ts";

/** Faults to build in, each of which the checker must find. */
export type QueueFault =
  | "ready is not released"
  | "taken without acquire"
  | "claimed by a store"
  | "taken by a store"
  | "done of the word that is there"
  | "done keeps the generation"
  | "burial without the owner's lock"
  | "burial of a job as free"
  | "no burial at the start";

export interface QueueOptions {
  order: MemoryOrder;
  producers: number;
  workers: number;
  jobs: number;
  deaths: number;
  /** Leases that are broken though their worker lives. */
  breaks?: number;
  /** Jobs that are given back by release(). */
  releases?: number;
  /** Whether a worker may keep a job open and take another one. */
  keepsOpen?: boolean;
  fault?: QueueFault;
}

export const FREE = 0;
export const WRITING = 1;
export const READY = 2;
export const TAKEN = 3;

/** state 2 | owner 4 | attempt 4 | generation 6 bits */
export const slotWord = (state: number, owner: number, attempt: number, generation: number): number =>
  (state << 14) | (owner << 10) | (attempt << 6) | (generation & 63);
export const stateOf = (word: number): number => word >> 14;
export const ownerOf = (word: number): number => (word >> 10) & 15;
export const attemptOf = (word: number): number => (word >> 6) & 15;
export const generationOf = (word: number): number => word & 63;

const SLOTS = 2;
const SLOT_WORDS = 3;
const TAIL = SLOTS * SLOT_WORDS;
const HEAD = TAIL + 1;
const WORDS = HEAD + 1;
const wordOf = (slot: number) => slot * SLOT_WORDS;
const payloadOf = (slot: number) => slot * SLOT_WORDS + 1;
const slots = [0, 1];
const words = slots.map(wordOf);

const NEXT_JOB = 0;
/** Bits of jobs. */
const ACKNOWLEDGED = 1;
const DONE = 2;
const BREAKS = 3;
const RELEASES = 4;
/** The lock of owner k is OWNERS + k. */
const OWNERS = 5;

// Registers of all threads.
const INDEX = 0;
const HINT = 1;
const WORD = 2;
const JOB = 3;
const BURIED = 4;
const SLOT = 5;
/** The lease of the job in hand was broken. */
const LOST = 6;
/** The job that a worker keeps open while it takes another one: registers WORD, JOB, SLOT and LOST of that job. */
const OPEN = 7;
const REGISTERS = 11;
const [OPEN_WORD, OPEN_JOB, OPEN_SLOT, OPEN_LOST] = [OPEN, OPEN + 1, OPEN + 2, OPEN + 3] as const;

/** A worker's registers SLOT and OPEN_SLOT have this bit from the claim of a job to its end. */
const HOLDING = 8;

const keep = (cpu: Cpu, ...registers: number[]) => {
  for (let register = 0; register < OPEN; register++) {
    if (!registers.includes(register)) cpu.set(register, 0);
  }
};

/** What a dead owner's word becomes. */
export function buried(word: number): number {
  if (stateOf(word) === WRITING) return slotWord(FREE, 0, 0, generationOf(word) + 1);
  return slotWord(READY, 0, attemptOf(word) + 1, generationOf(word));
}

/** The steps that producers and workers share: starting, burying, breaking leases. */
function common(options: QueueOptions): Record<string, Step> {
  const { fault } = options;
  const self = (cpu: Cpu) => cpu.thread + 1;
  return {
    start: (cpu) => {
      if (!cpu.tryLock(OWNERS + self(cpu))) return undefined;
      if (fault === "no burial at the start") return "idle";
      cpu.set(BURIED, self(cpu));
      return "bury look";
    },
    "bury look": (cpu) => {
      const index = cpu.get(INDEX);
      if (index === SLOTS) return "buried";
      const word = cpu.load(wordOf(index));
      if (ownerOf(word) !== cpu.get(BURIED)) {
        cpu.set(INDEX, index + 1);
        return "bury look";
      }
      cpu.set(WORD, word);
      return "bury";
    },
    bury: (cpu) => {
      const word = cpu.get(WORD);
      const next =
        fault === "burial of a job as free" ? slotWord(FREE, 0, 0, generationOf(word) + 1) : buried(word);
      if (cpu.cas(wordOf(cpu.get(INDEX)), word, next) === undefined) return undefined;
      cpu.set(WORD, 0);
      cpu.set(INDEX, cpu.get(INDEX) + 1);
      return "bury look";
    },
    buried: (cpu) => {
      const owner = cpu.get(BURIED);
      if (owner !== self(cpu) && fault !== "burial without the owner's lock" && !cpu.unlock(OWNERS + owner))
        return undefined;
      keep(cpu, JOB);
      return "idle";
    },
    "break lease": (cpu) => {
      const [word, slot] = [cpu.get(WORD), cpu.get(SLOT)];
      const broken = cpu.cas(wordOf(slot), word, buried(word));
      if (broken === undefined) return undefined;
      if (broken) {
        cpu.setGhost(BREAKS, cpu.ghost(BREAKS) + 1);
        markLost(cpu, options, slot, ownerOf(word));
      }
      keep(cpu, JOB);
      return "idle";
    },
  };
}

function markLost(cpu: Cpu, { producers, workers }: QueueOptions, slot: number, owner: number): void {
  for (let thread = producers; thread < producers + workers; thread++) {
    if (thread + 1 !== owner || !cpu.isAlive(thread)) continue;
    if (cpu.peek(thread, SLOT) === (slot | HOLDING)) cpu.poke(thread, LOST, 1);
    if (cpu.peek(thread, OPEN_SLOT) === (slot | HOLDING)) cpu.poke(thread, OPEN_LOST, 1);
  }
}

/** What an idle thread may do besides its own work: the dead owners that it could bury, the leases it could break. */
function chores(cpu: Cpu, options: QueueOptions): (() => string)[] {
  const result: (() => string)[] = [];
  const threads = options.producers + options.workers;
  const isAny = options.fault === "burial without the owner's lock";
  for (let owner = 1; owner <= threads; owner++) {
    const holds = words.some((word) => ownerOf(cpu.state[word]!) === owner);
    if (owner === cpu.thread + 1 || !holds || (cpu.ghost(OWNERS + owner) !== 0 && !isAny)) continue;
    result.push(() => {
      if (!isAny) cpu.tryLock(OWNERS + owner);
      cpu.set(BURIED, owner);
      cpu.set(INDEX, 0);
      return "bury look";
    });
  }
  if (cpu.ghost(BREAKS) < (options.breaks ?? 0)) {
    for (const slot of slots) {
      if (stateOf(cpu.state[wordOf(slot)]!) !== TAKEN) continue;
      result.push(() => {
        cpu.set(WORD, cpu.state[wordOf(slot)]!);
        cpu.set(SLOT, slot);
        return "break lease";
      });
    }
  }
  return result;
}

function producer(options: QueueOptions, number: number): ThreadSpec {
  const { fault, jobs } = options;
  const steps: Record<string, Step> = {
    ...common(options),
    idle: (cpu) => {
      checkStuck(cpu);
      const others = chores(cpu, options);
      const mayPush = cpu.get(JOB) !== 0 || cpu.ghost(NEXT_JOB) < jobs;
      if (others.length + Number(mayPush) === 0) return undefined;
      const choice = cpu.choose(others.length + Number(mayPush));
      if (choice < others.length) return cpu.isDrained ? others[choice]!() : undefined;
      return "push";
    },
    push: (cpu) => {
      if (cpu.get(JOB) === 0) {
        cpu.setGhost(NEXT_JOB, cpu.ghost(NEXT_JOB) + 1);
        cpu.set(JOB, cpu.ghost(NEXT_JOB));
      }
      cpu.set(HINT, cpu.load(TAIL));
      cpu.set(INDEX, 0);
      return "push look";
    },
    "push look": (cpu) => {
      if (cpu.get(INDEX) === SLOTS) {
        keep(cpu, JOB);
        return "idle";
      }
      const slot = (cpu.get(HINT) + cpu.get(INDEX)) % SLOTS;
      const word = cpu.load(wordOf(slot));
      if (stateOf(word) !== FREE) {
        cpu.set(INDEX, cpu.get(INDEX) + 1);
        return "push look";
      }
      cpu.set(WORD, word);
      cpu.set(SLOT, slot);
      return "claim";
    },
    claim: (cpu) => {
      const word = cpu.get(WORD);
      const writing = slotWord(WRITING, cpu.thread + 1, 0, generationOf(word));
      const claimed = claim(cpu, wordOf(cpu.get(SLOT)), word, writing, fault === "claimed by a store");
      if (claimed === undefined) return undefined;
      if (!claimed) {
        keep(cpu, JOB);
        return "idle";
      }
      cpu.set(WORD, writing);
      return "tail";
    },
    tail: (cpu) => {
      const hint = cpu.get(HINT);
      if (cpu.cas(TAIL, hint, (hint + cpu.get(INDEX) + 1) % SLOTS) === undefined) return undefined;
      keep(cpu, JOB, WORD, SLOT);
      return "payload 0";
    },
    "payload 0": (cpu) => {
      checkOwn(cpu);
      cpu.store(payloadOf(cpu.get(SLOT)), cpu.get(JOB));
      return "payload 1";
    },
    "payload 1": (cpu) => {
      checkOwn(cpu);
      cpu.store(payloadOf(cpu.get(SLOT)) + 1, cpu.get(JOB));
      return "ready";
    },
    ready: (cpu) => {
      checkOwn(cpu);
      const ready = slotWord(READY, 0, 0, generationOf(cpu.get(WORD)));
      if (fault === "ready is not released") cpu.store(wordOf(cpu.get(SLOT)), ready);
      else cpu.storeRelease(wordOf(cpu.get(SLOT)), ready);
      cpu.setGhost(ACKNOWLEDGED, cpu.ghost(ACKNOWLEDGED) | (1 << cpu.get(JOB)));
      keep(cpu);
      return "idle";
    },
  };
  const loads = Object.fromEntries(Object.keys(steps).map((step) => [step, [...words, TAIL]]));
  return { name: `producer ${number}`, registers: REGISTERS, steps, loads };
}

function claim(cpu: Cpu, word: number, from: number, to: number, byStore: boolean): boolean | undefined {
  if (!byStore) return cpu.cas(word, from, to);
  cpu.store(word, to);
  return true;
}

function checkOwn(cpu: Cpu): void {
  if (cpu.load(wordOf(cpu.get(SLOT))) !== cpu.get(WORD))
    cpu.fail("a living producer writes into a slot that is not its own");
}

function worker(options: QueueOptions, number: number): ThreadSpec {
  const { fault, releases = 0 } = options;
  const slotHeld = (cpu: Cpu) => cpu.get(SLOT) & 7;
  return {
    name: `worker ${number}`,
    registers: REGISTERS,
    steps: {
      ...common(options),
      idle: (cpu) => {
        checkStuck(cpu);
        const others = chores(cpu, options);
        const isOpen = cpu.get(OPEN_SLOT) !== 0;
        const choice = cpu.choose(others.length + 1 + Number(isOpen));
        if (choice < others.length) return cpu.isDrained ? others[choice]!() : undefined;
        return choice === others.length ? "take" : "done of the open job";
      },
      "done of the open job": (cpu) => {
        const slot = cpu.get(OPEN_SLOT) & 7;
        const there = cpu.state[wordOf(slot)]!;
        const isOwn = stateOf(there) === TAKEN && ownerOf(there) === cpu.thread + 1;
        const word = fault === "done of the word that is there" && isOwn ? there : cpu.get(OPEN_WORD);
        const isDone = finish(cpu, slot, word, cpu.get(OPEN_JOB), cpu.get(OPEN_LOST), fault);
        if (isDone === undefined) return undefined;
        for (const register of [OPEN_WORD, OPEN_JOB, OPEN_SLOT, OPEN_LOST]) cpu.set(register, 0);
        return cpu.get(SLOT) === 0 ? "idle" : "hold";
      },
      take: (cpu) => {
        cpu.set(HINT, cpu.load(HEAD));
        return "take look";
      },
      "take look": (cpu) => {
        if (cpu.get(INDEX) === SLOTS) {
          keep(cpu);
          return "idle";
        }
        const slot = (cpu.get(HINT) + cpu.get(INDEX)) % SLOTS;
        const word = cpu.load(wordOf(slot));
        if (stateOf(word) !== READY) {
          cpu.set(INDEX, cpu.get(INDEX) + 1);
          return "take look";
        }
        cpu.set(WORD, word);
        cpu.set(SLOT, slot);
        return "claim";
      },
      claim: (cpu) => {
        const [word, slot] = [cpu.get(WORD), cpu.get(SLOT)];
        const taken = slotWord(TAKEN, cpu.thread + 1, attemptOf(word), generationOf(word));
        const claimed =
          fault === "taken by a store"
            ? claim(cpu, wordOf(slot), word, taken, true)
            : cpu.cas(wordOf(slot), word, taken, { acquire: fault !== "taken without acquire" });
        if (claimed === undefined) return undefined;
        if (!claimed) {
          cpu.set(INDEX, cpu.get(INDEX) + 1);
          return "take look";
        }
        checkAlone(cpu, options, slot);
        cpu.set(WORD, taken);
        cpu.set(SLOT, slot | HOLDING);
        return "head";
      },
      head: (cpu) => {
        const hint = cpu.get(HINT);
        const acquire = fault !== "taken without acquire";
        if (cpu.cas(HEAD, hint, (hint + cpu.get(INDEX) + 1) % SLOTS, { acquire }) === undefined)
          return undefined;
        keep(cpu, WORD, SLOT, LOST);
        return "read 0";
      },
      "read 0": (cpu) => {
        cpu.set(JOB, cpu.load(payloadOf(slotHeld(cpu))));
        return "read 1";
      },
      "read 1": (cpu) => {
        const second = cpu.load(payloadOf(slotHeld(cpu)) + 1);
        if (cpu.get(LOST) === 0) {
          if (second !== cpu.get(JOB)) cpu.fail(`torn job: ${cpu.get(JOB)} and ${second}`);
          if ((cpu.ghost(DONE) >> second) & 1) cpu.fail(`job ${second} is delivered though it is done`);
        }
        return "hold";
      },
      hold: (cpu) => {
        if (fault === "done of the word that is there") {
          const word = cpu.load(wordOf(slotHeld(cpu)));
          if (stateOf(word) !== TAKEN || ownerOf(word) !== cpu.thread + 1) return spent(cpu);
          cpu.set(WORD, word);
        }
        const mayKeep = options.keepsOpen === true && cpu.get(OPEN_SLOT) === 0;
        const ways = ["done"];
        if (cpu.ghost(RELEASES) < releases) ways.push("release");
        if (mayKeep) ways.push("keep open");
        if (cpu.get(OPEN_SLOT) !== 0) ways.push("done of the open job");
        return ways[cpu.choose(ways.length)];
      },
      done: (cpu) => {
        const isDone = finish(cpu, slotHeld(cpu), cpu.get(WORD), cpu.get(JOB), cpu.get(LOST), fault);
        return isDone === undefined ? undefined : spent(cpu);
      },
      "keep open": (cpu) => {
        for (const [to, from] of [
          [OPEN_WORD, WORD],
          [OPEN_JOB, JOB],
          [OPEN_SLOT, SLOT],
          [OPEN_LOST, LOST],
        ] as const) {
          cpu.set(to, cpu.get(from));
        }
        return spent(cpu);
      },
      release: (cpu) => {
        const word = cpu.get(WORD);
        const ready = slotWord(READY, 0, attemptOf(word), generationOf(word));
        const released = cpu.cas(wordOf(slotHeld(cpu)), word, ready);
        if (released === undefined) return undefined;
        if (released && cpu.get(LOST) === 1) cpu.fail("release succeeds though the lease was lost");
        cpu.setGhost(RELEASES, cpu.ghost(RELEASES) + 1);
        return spent(cpu);
      },
    },
  };
}

/** The CAS of done(): undefined when it cannot be made yet. */
function finish(
  cpu: Cpu,
  slot: number,
  word: number,
  job: number,
  isLost: number,
  fault?: QueueFault,
): true | undefined {
  const next = fault === "done keeps the generation" ? 0 : 1;
  const freed = cpu.cas(wordOf(slot), word, slotWord(FREE, 0, 0, generationOf(word) + next));
  if (freed === undefined) return undefined;
  if (!freed) return true;
  if (isLost) cpu.fail("done succeeds though the lease was lost");
  if ((cpu.ghost(DONE) >> job) & 1) cpu.fail(`job ${job} is done twice`);
  cpu.setGhost(DONE, cpu.ghost(DONE) | (1 << job));
  return true;
}

/** Who is idle owns no slot: it would stay as it is for as long as this thread lives. */
function checkStuck(cpu: Cpu): void {
  if (!cpu.isDrained) return;
  for (const slot of slots) {
    const isOwn = ownerOf(cpu.state[wordOf(slot)]!) === cpu.thread + 1;
    if (isOwn && cpu.get(OPEN_SLOT) !== (slot | HOLDING)) cpu.fail(`slot ${slot} is stuck`);
  }
}

function spent(cpu: Cpu): string {
  keep(cpu);
  return "idle";
}

function checkAlone(cpu: Cpu, { producers, workers }: QueueOptions, slot: number): void {
  for (let thread = producers; thread < producers + workers; thread++) {
    if (!cpu.isAlive(thread)) continue;
    const isHeld =
      thread !== cpu.thread && cpu.peek(thread, SLOT) === (slot | HOLDING) && !cpu.peek(thread, LOST);
    const isOpen = cpu.peek(thread, OPEN_SLOT) === (slot | HOLDING) && !cpu.peek(thread, OPEN_LOST);
    if (isHeld || isOpen) cpu.fail("a job is delivered to two living workers");
  }
}

/** Every acknowledged job is done, or in exactly one slot, whole. */
export function lostJob(state: Uint16Array, acknowledged: number, done: number): string | undefined {
  for (let job = 1; acknowledged >> job > 0; job++) {
    if (!((acknowledged >> job) & 1)) continue;
    const places = slots.filter(
      (slot) =>
        stateOf(state[wordOf(slot)]!) >= READY &&
        state[payloadOf(slot)] === job &&
        state[payloadOf(slot) + 1] === job,
    );
    const expected = (done >> job) & 1 ? 0 : 1;
    if (places.length !== expected) return `job ${job} is in ${places.length} slots, not ${expected}`;
  }
  return undefined;
}

export function queueModel(options: QueueOptions): Model {
  const threads = options.producers + options.workers;
  return {
    order: options.order,
    words: WORDS,
    ghosts: OWNERS + threads + 1,
    deaths: options.deaths,
    threads: [
      ...Array.from({ length: options.producers }, (_, number) => producer(options, number)),
      ...Array.from({ length: options.workers }, (_, number) => worker(options, number)),
    ],
    invariant: (state, cpu) =>
      cpu.isAllDrained ? lostJob(state, state[WORDS + ACKNOWLEDGED]!, state[WORDS + DONE]!) : undefined,
    onGone: (state, thread) => {
      for (let owner = 1; owner <= threads; owner++) {
        if (state[WORDS + OWNERS + owner] === thread + 1) state[WORDS + OWNERS + owner] = 0;
      }
    },
  };
}
