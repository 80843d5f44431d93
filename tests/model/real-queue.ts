/** The class of a queue's slots itself (src/queue/slots.ts), in every interleaving; see real-steps.ts. */

import { FREE, Slots, stateOf } from "../../src/queue/slots.ts";
import { type SlotGeometry, wordOf } from "../../src/segment/slot-geometry.ts";
import { bootTime } from "../../src/sys/clock.ts";
import type { AccessFault, Event, Program, RealModel, SteppedMemory } from "./real-steps.ts";

/** Faults to build in, each of which must be found. */
export type RealQueueFault = AccessFault | "burial without the owner's lock";

export interface RealQueueOptions {
  readonly producers: number;
  readonly workers: number;
  readonly deaths: number;
  readonly fault?: RealQueueFault;
}

const GEOMETRY: SlotGeometry = { slots: 2, payloadBytes: 8, strideBytes: 128, firstByteOffset: 512 };
const FIRST = GEOMETRY.firstByteOffset / 4;
const STRIDE = GEOMETRY.strideBytes / 4;
const TAIL = 16;
const TAKEN_AT = 6;
const PAYLOAD = 16;
/** The owners' locks, each held by its owner: behind the slots. */
const LOCKS = FIRST + GEOMETRY.slots * STRIDE;
/** What the last owner has left: all that still has to be done is done by one that begins then. */
const LAST_OWNER = 1000;

const inSlot = (word: number): number => (word >= FIRST && word < LOCKS ? (word - FIRST) % STRIDE : -1);

function slotsOf(memory: SteppedMemory, owner: number): Slots {
  const slots = new Slots(memory.bytes, GEOMETRY);
  slots.owner = owner;
  return slots;
}

/** As src/queue/owners.ts does it: what the dead have left goes back. */
function giveBack(memory: SteppedMemory, slots: Slots, fault?: RealQueueFault): void {
  for (const owner of slots.namedOwners()) {
    const isOwn = memory.tryLock(LOCKS + owner, slots.owner);
    if (!isOwn && fault !== "burial without the owner's lock") continue;
    slots.bury(owner);
    if (isOwn) memory.store(LOCKS + owner, 0);
  }
}

const producer =
  (owner: number, fault?: RealQueueFault): Program =>
  (memory, note) => {
    const slots = slotsOf(memory, owner);
    let slot = slots.claim();
    if (slot < 0) {
      giveBack(memory, slots, fault);
      slot = slots.claim();
    }
    if (slot < 0) return;
    const payload = wordOf(slots.payloadOffset(slot));
    memory.store(payload, owner);
    memory.store(payload + 1, owner);
    slots.publish(slot, 8);
    note({ what: "pushed", value: owner });
  };

/** Takes a job, if there is one, and does it. False: there is none. */
function work(memory: SteppedMemory, slots: Slots, note: (event: Event) => void): boolean {
  const slot = slots.take();
  if (slot < 0) return false;
  const { lease } = slots;
  const payload = wordOf(slots.payloadOffset(slot));
  const value = memory.load(payload);
  note({ what: memory.load(payload + 1) === value ? "worked" : "torn", value });
  note({ what: slots.done(slot, lease) ? "done" : "lost", value });
  return true;
}

const worker =
  (owner: number, fault?: RealQueueFault): Program =>
  (memory, note) => {
    const slots = slotsOf(memory, owner);
    if (work(memory, slots, note)) return;
    giveBack(memory, slots, fault);
    work(memory, slots, note);
  };

const rest: Program = (memory, note) => {
  const slots = slotsOf(memory, LAST_OWNER);
  giveBack(memory, slots);
  while (work(memory, slots, note));
  for (const slot of slots)
    if (stateOf(slots.word(slot)) !== FREE) note({ what: "stuck", value: slots.numberOf(slot) });
};

function whatIsWrong(events: readonly Event[], producers: number, deaths: number): string | undefined {
  const count = (what: string, value: number): number =>
    events.filter((event) => event.what === what && event.value === value).length;
  for (const { what, value } of events)
    if (what === "torn" || what === "stuck" || what === "lost") return `${what} ${value}`;
  for (let job = 1; job <= producers; job++) {
    const [pushed, worked, done] = [count("pushed", job), count("worked", job), count("done", job)];
    if (done > 1 || worked > 1 + deaths) return `job ${job} is done ${done} times, worked at ${worked} times`;
    if (pushed === 1 && done === 0) return `job ${job} is lost`;
  }
  return undefined;
}

export function realQueue({ producers, workers, deaths, fault }: RealQueueOptions): RealModel {
  // Opens the C library, before arrays are others.
  bootTime.readCoarse();
  const owners = producers + workers;
  return {
    words: LOCKS + owners + 1,
    isShared: (word) => word === TAIL || word >= LOCKS || inSlot(word) === 0 || inSlot(word) === PAYLOAD,
    isIgnored: (word) => inSlot(word) === TAKEN_AT || inSlot(word) === TAKEN_AT + 1,
    initial: (words) => {
      for (let owner = 1; owner <= owners; owner++) words[LOCKS + owner] = owner;
    },
    threads: [
      ...Array.from({ length: producers }, (_, i) => producer(i + 1, fault)),
      ...Array.from({ length: workers }, (_, i) => worker(producers + i + 1, fault)),
    ],
    deaths,
    onDeath: (words, thread) => {
      for (let lock = LOCKS; lock < words.length; lock++) if (words[lock] === thread + 1) words[lock] = 0;
    },
    check: (events, died, run, words) => {
      // All have ended: what they held is free.
      words.fill(0, LOCKS);
      return whatIsWrong([...events.flat(), ...run(rest)], producers, died);
    },
    fault: fault === "swaps do not compare" ? fault : undefined,
  };
}
