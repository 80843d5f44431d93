/**
 * The channel's protocol (docs/internals/channel-format.md): publishers one after the other, each may die anywhere or
 * give a loan back, and subscribers without a trace. Two slots, messages of two words.
 */
import type { Cpu, MemoryOrder, Model, ThreadSpec } from "./checker.ts";

/** Faults to build in, each of which the checker must find. */
export type ChannelFault =
  | "no fence after odd"
  | "no release of even"
  | "no release of next"
  | "no fence after the first look"
  | "no fence before the second look"
  | "no second look"
  | "no index"
  | "no roll forward"
  | "no fence after next"
  | "jump beyond next";

export interface ChannelOptions {
  order: MemoryOrder;
  messages: number;
  deaths: number;
  /** Loans that are given back unsent. */
  returns: number;
  subscribers: number;
  fault?: ChannelFault;
  /** Sequences wrap here. Default: they do not. */
  modulus?: number;
}

const SLOTS = 2;
const SLOT_WORDS = 4;
const NEXT = SLOTS * SLOT_WORDS;
const WORDS = NEXT + 1;
const sequenceOf = (k: number) => (k % SLOTS) * SLOT_WORDS;
const indexOf = (k: number) => sequenceOf(k) + 1;
const payloadOf = (k: number) => sequenceOf(k) + 2;

const LOCK = 0;
const RETURNS = 1;
/** A number for each loan, so that two messages of one index differ. */
const LOANS = 2;
/** Per index: what send() has acknowledged, and what some subscriber has received. */
const ACKNOWLEDGED = 3;

const K = 0;
const LOAN = 1;
const FETCHED = 2;

function publisher(options: ChannelOptions): ThreadSpec {
  const { fault, messages, returns, modulus = 0x4000 } = options;
  const payload = (cpu: Cpu) => cpu.get(K) * 16 + cpu.get(LOAN);
  return {
    name: "publisher",
    registers: 3,
    steps: {
      lock: (cpu) => (cpu.tryLock(LOCK) ? "read next" : undefined),
      "read next": (cpu) => {
        cpu.set(K, cpu.load(NEXT));
        return fault === "no roll forward" ? "idle" : "check slot";
      },
      // The slot's words are read in one step: the holder of the lock is alone.
      "check slot": (cpu) => {
        const k = cpu.get(K);
        const isWhole = cpu.load(sequenceOf(k)) === (2 * k + 2) % modulus && cpu.load(indexOf(k)) === k;
        if (!isWhole) return "idle";
        cpu.set(K, k + 1);
        cpu.storeRelease(NEXT, k + 1);
        return "idle";
      },
      idle: (cpu) => {
        if (cpu.get(K) === messages) return undefined;
        cpu.setGhost(LOANS, cpu.ghost(LOANS) + 1);
        cpu.set(LOAN, cpu.ghost(LOANS));
        cpu.store(sequenceOf(cpu.get(K)), (2 * cpu.get(K) + 1) % modulus);
        return "index";
      },
      index: (cpu) => {
        if (fault !== "no fence after odd") cpu.storeFence();
        cpu.store(indexOf(cpu.get(K)), cpu.get(K));
        return "payload 0";
      },
      "payload 0": (cpu) => {
        if (cpu.ghost(RETURNS) < returns && cpu.choose(2) === 1) return giveBack(cpu);
        cpu.store(payloadOf(cpu.get(K)), payload(cpu));
        return "payload 1";
      },
      "payload 1": (cpu) => {
        if (cpu.ghost(RETURNS) < returns && cpu.choose(2) === 1) return giveBack(cpu);
        cpu.store(payloadOf(cpu.get(K)) + 1, payload(cpu));
        return "even";
      },
      even: (cpu) => {
        const sequence = (2 * cpu.get(K) + 2) % modulus;
        if (fault === "no release of even") cpu.store(sequenceOf(cpu.get(K)), sequence);
        else cpu.storeRelease(sequenceOf(cpu.get(K)), sequence);
        return "next";
      },
      next: (cpu) => {
        const k = cpu.get(K);
        if (fault === "no release of next") cpu.store(NEXT, k + 1);
        else cpu.storeRelease(NEXT, k + 1);
        cpu.setGhost(ACKNOWLEDGED + 2 * k, payload(cpu));
        cpu.set(K, k + 1);
        return "fetch";
      },
      // What is there is stored once more, in two steps, so that the line comes. The payload's first word goes the same way.
      fetch: (cpu) => {
        cpu.set(FETCHED, cpu.load(sequenceOf(cpu.get(K))));
        return "store fetched";
      },
      "store fetched": (cpu) => {
        cpu.store(sequenceOf(cpu.get(K)), cpu.get(FETCHED));
        cpu.set(FETCHED, 0);
        return "idle";
      },
    },
  };
}

function giveBack(cpu: Cpu): string {
  cpu.setGhost(RETURNS, cpu.ghost(RETURNS) + 1);
  return "idle";
}

const CURSOR = 0;
const FIRST = 1;
const COPY = 2;
const INDEX = 4;
const ANCHOR = 5;
/** What is behind the cursor: received and missed. */
const COUNTED = 6;

const eachSlot = (wordOf: (k: number) => number) => [wordOf(0), wordOf(1)];
const sequences = eachSlot(sequenceOf);
const indices = eachSlot(indexOf);
const payloads = eachSlot(payloadOf);
const afterIndex = [...sequences, NEXT];

/** What may be loaded early. A jump is not fenced off from the first look that follows it. */
const subscriberLoads = {
  look: sequences,
  "copy 0": [...payloads, ...payloads.map((word) => word + 1), ...indices],
  "copy 1": [...payloads.map((word) => word + 1), ...indices],
  "copy index": indices,
  "look again": afterIndex,
  "is it left out": afterIndex,
  "left out": [...afterIndex, ...indices],
  jump: afterIndex,
};

function subscriber(options: ChannelOptions, number: number): ThreadSpec {
  const { fault, modulus = 0x4000 } = options;
  const want = (cpu: Cpu) => (2 * cpu.get(CURSOR) + 2) % modulus;
  const isBehind = (cpu: Cpu) => ((cpu.get(FIRST) - want(cpu) + modulus) % modulus) * 2 >= modulus;
  const again = (cpu: Cpu) => {
    for (const register of [FIRST, COPY, COPY + 1, INDEX, ANCHOR]) cpu.set(register, 0);
    return "look";
  };
  const lapped = (cpu: Cpu, anchor: number) => {
    cpu.set(ANCHOR, anchor);
    return "jump";
  };
  return {
    name: `subscriber ${number}`,
    registers: 7,
    dies: false,
    loads: fault === undefined ? subscriberLoads : {},
    steps: {
      look: (cpu) => {
        const k = cpu.get(CURSOR);
        const sequence = cpu.load(sequenceOf(k));
        cpu.set(FIRST, sequence);
        if (fault !== "no fence after the first look") cpu.loadFence();
        if (sequence === want(cpu)) return "copy 0";
        if ((sequence & 1) === 1) return isBehind(cpu) ? "is it left out" : lapped(cpu, k);
        if (fault === "no index") return isBehind(cpu) ? again(cpu) : lapped(cpu, k);
        return "copy index";
      },
      "copy 0": (cpu) => {
        cpu.set(COPY, cpu.load(payloadOf(cpu.get(CURSOR))));
        return "copy 1";
      },
      "copy 1": (cpu) => {
        cpu.set(COPY + 1, cpu.load(payloadOf(cpu.get(CURSOR)) + 1));
        return "copy index";
      },
      "copy index": (cpu) => {
        const k = cpu.get(CURSOR);
        cpu.set(INDEX, fault === "no index" ? k : cpu.load(indexOf(k)));
        if (fault !== "no fence before the second look") cpu.loadFence();
        return "look again";
      },
      "look again": (cpu) => {
        const k = cpu.get(CURSOR);
        if (fault !== "no second look" && cpu.load(sequenceOf(k)) !== cpu.get(FIRST)) return again(cpu);
        const isWanted = cpu.get(FIRST) === want(cpu);
        if (cpu.get(INDEX) > k) return lapped(cpu, cpu.get(INDEX));
        if (!isWanted || cpu.get(INDEX) < k) return "is it left out";
        deliver(cpu, k);
        cpu.set(CURSOR, k + 1);
        cpu.set(COUNTED, cpu.get(COUNTED) + 1);
        return again(cpu);
      },
      "is it left out": (cpu) => {
        if (cpu.load(NEXT) <= cpu.get(CURSOR)) return again(cpu);
        if (fault !== "no fence after next") cpu.loadFence();
        return "left out";
      },
      // No publisher of this model leaves a message out.
      "left out": (cpu) => {
        const k = cpu.get(CURSOR);
        const index = cpu.load(indexOf(k));
        const isWritten = cpu.get(FIRST) === want(cpu) && index === k;
        if (cpu.load(sequenceOf(k)) !== cpu.get(FIRST) || isWritten) return again(cpu);
        // Overwritten meanwhile, by a message a whole turn of the sequence later.
        if (index <= k) cpu.fail(`message ${k} is taken for left out`);
        cpu.set(CURSOR, k + 1);
        cpu.set(COUNTED, cpu.get(COUNTED) + 1);
        return again(cpu);
      },
      jump: (cpu) => {
        const next = cpu.load(NEXT);
        const k = cpu.get(CURSOR);
        const to = fault === "jump beyond next" ? next + 1 : next - SLOTS / 2;
        if (to > k) {
          cpu.set(CURSOR, to);
          cpu.set(COUNTED, cpu.get(COUNTED) + to - k);
        }
        if (cpu.get(CURSOR) > next) cpu.fail(`the cursor ${cpu.get(CURSOR)} is beyond next ${next}`);
        if (cpu.get(CURSOR) !== cpu.get(COUNTED)) cpu.fail("received and missed are not what there was");
        return again(cpu);
      },
    },
  };
}

function deliver(cpu: Cpu, k: number): void {
  const [first, second] = [cpu.get(COPY), cpu.get(COPY + 1)];
  if (first !== second) cpu.fail(`torn message ${k}: ${first} and ${second}`);
  if (first >> 4 !== k) cpu.fail(`message ${first >> 4} was received as ${k}`);
  for (const who of [0, 1]) {
    const known = cpu.ghost(ACKNOWLEDGED + 2 * k + who);
    if (known !== 0 && known !== first) {
      cpu.fail(
        `two messages ${k}: ${first} is received, ${known} was ${who === 0 ? "acknowledged" : "received"}`,
      );
    }
  }
  cpu.setGhost(ACKNOWLEDGED + 2 * k + 1, first);
}

export function channelModel(options: ChannelOptions): Model {
  return {
    order: options.order,
    words: WORDS,
    ghosts: ACKNOWLEDGED + 2 * (options.messages + 1),
    deaths: options.deaths,
    threads: [
      publisher(options),
      ...Array.from({ length: options.subscribers }, (_, number) => subscriber(options, number)),
    ],
    onGone: (words, thread) => {
      if (words[WORDS + LOCK] === thread + 1) words[WORDS + LOCK] = 0;
    },
  };
}
