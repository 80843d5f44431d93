/**
 * A queue's bytes: slots whose first word says who may touch the rest, changed by compare-and-swap only. Works on plain
 * memory and knows no files. docs/internals/queue-format.md draws it; tests/model/queue.ts and replacement.ts check it,
 * and tests/model/real-queue.ts this class.
 *
 *     0            32            36        40        48     64     128     192    256    firstByteOffset
 *     | geometry   | maxAttempts | leaseMs | boot id | 0    | tail | ready | head | free | slots
 *
 *     slot
 *     0      4        8        16          24         32       64
 *     | word | length | ticket | notBefore | takenAt  | user   | payload
 *     | u32  | u32    | u64    | u64 ns    | u64 ns   | 32 B   |
 *
 *     word: state 2 bits | owner 10 | attempt 8 | generation 12
 *
 * | state   | who owns the slot          | event                          | next                            |
 * | ------- | -------------------------- | ------------------------------ | ------------------------------- |
 * | FREE    | no one                     | push                           | WRITING(me, g)                  |
 * | WRITING | the producer               | publish                        | READY(0, g)                     |
 * |         |                            | its death                      | FREE(g + 1)                     |
 * | READY   | no one                     | take                           | TAKEN(me, a, g)                 |
 * | TAKEN   | the worker                 | done                           | FREE(g + 1)                     |
 * |         |                            | release                        | READY(a, g)                     |
 * |         |                            | fail, its death, lease is over | READY(a + 1, g)                 |
 * | any     | who replaces the file      | freeze                         | WRITING(1023, g), READY(1023, a, g) |
 *
 * tail and head say where to begin to look. They are hints: any value is right.
 */
import {
  contentBytesOf,
  readGeometry,
  type SlotGeometry,
  wordOf,
  writeGeometry,
} from "../segment/slot-geometry.ts";
import { barrier, loadFence } from "../struct/memory/barrier.ts";
import { bootId, bootMs, bootTime, nowMs, realtime, toMilliseconds } from "../sys/clock.ts";

/** States of a slot, see above. */
export const FREE = 0;
export const WRITING = 1;
export const READY = 2;
export const TAKEN = 3;

/** So many owners fit the word: 0 means no owner, 1023 says that the slot is frozen. */
export const MAX_OWNER = 1022;
const FROZEN = 1023;
export const MAX_QUEUE_SLOTS = 2 ** 20;
/** An attempt never gets beyond 254 while a job is taken. */
export const MAX_ATTEMPTS = 254;
const ATTEMPT_LIMIT = 255;

const OWNER_MASK = 0x3ff0_0000;
const GENERATION_MASK = 0xfff;

// Words of the content.
const MAX_ATTEMPTS_WORD = 32 / 4;
const LEASE_WORD = 36 / 4;
const BOOT_ID = 40 / 4;
const TAIL = 64 / 4;
/** Where takers sleep. */
export const READY_WORD = 128 / 4;
const HEAD = 192 / 4;
/** Where pushers sleep. */
export const FREE_WORD = 256 / 4;

// Words of a slot.
const LENGTH = 1;
const TICKET = 2;
const NOT_BEFORE = 4;
const TAKEN_AT = 6;
const USER_BYTE_OFFSET = 32;
const USER_BYTES = 32;
const PAYLOAD_BYTE_OFFSET = 64;

// What a look for a free slot may end with.
const FULL = -1;
const FAILED = -2;

const slotWord = (state: number, owner: number, attempt: number, generation: number): number =>
  (state << 30) | (owner << 20) | (attempt << 12) | (generation & GENERATION_MASK);

export const stateOf = (word: number): number => word >>> 30;
export const ownerOf = (word: number): number => (word >>> 20) & 1023;
export const attemptOf = (word: number): number => (word >>> 12) & 255;
const generationOf = (word: number): number => word & GENERATION_MASK;

/** What a dead owner's word becomes: a half-written job was never pushed, a taken one is tried once more. */
function buriedWord(word: number): number {
  if (stateOf(word) === WRITING) return slotWord(FREE, 0, 0, generationOf(word) + 1);
  return slotWord(READY, 0, Math.min(attemptOf(word) + 1, ATTEMPT_LIMIT), generationOf(word));
}

/** What all users of a queue agree on. */
export interface QueueLimits {
  /** Attempts before a job is a dead letter; 0: 254. */
  readonly maxAttempts: number;
  /** Milliseconds after which a job that is not done is given to another worker, though its worker lives; 0: never. */
  readonly leaseMs: number;
}

/** What may go with a job. */
export interface PublishOptions {
  /** When it may be taken: the halves of a time. */
  readonly notBefore?: readonly [low: number, high: number];
  /** Its bytes for the user. */
  readonly note?: Uint8Array;
}

const NO_OPTIONS: PublishOptions = {};

/** How many slots are in which state. */
export interface SlotCounts {
  /** Without a job. */
  free: number;
  /** Being written by a producer. */
  writing: number;
  /** Jobs that may be taken. */
  ready: number;
  /** Jobs whose time has not come. */
  delayed: number;
  /** Jobs that workers have in hand. */
  taken: number;
}

/** Tickets wrap, so their order is by distance. */
const ticketOf = ({ header }: SavedJob): number =>
  new DataView(header.buffer, header.byteOffset).getInt32(TICKET * 4 - 4, true);

/** The jobs among these, the oldest first. */
export const inOrder = (jobs: readonly (SavedJob | undefined)[]): SavedJob[] =>
  jobs
    .filter((job) => job !== undefined)
    .filter(({ word }) => (stateOf(word) & 2) !== 0)
    .sort((a, b) => (ticketOf(a) - ticketOf(b)) | 0);

/** A job as it is moved to another file. */
export interface SavedJob {
  /** Its word; FREE for a slot without a job. */
  readonly word: number;
  /** length, ticket, notBefore, takenAt and the user's bytes. */
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
}

const asWords = (bytes: Uint8Array): Int32Array =>
  new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);

/** Makes an empty queue of zeroed bytes: FREE of generation 0 is the word 0. */
export function initSlots(bytes: Uint8Array, geometry: SlotGeometry, limits: QueueLimits): void {
  const words = asWords(bytes);
  words[MAX_ATTEMPTS_WORD] = limits.maxAttempts;
  words[LEASE_WORD] = limits.leaseMs;
  words.set(bootWords(), BOOT_ID);
  writeGeometry(words, geometry);
}

/** The two words of this machine's boot id. */
const bootWords = (): Int32Array => asWords(bootId());

/** The queue's geometry, checked. @param refuse throws the error for a damaged one */
export const slotsGeometry = (bytes: Uint8Array, refuse: (reason: string) => never): SlotGeometry =>
  readGeometry(asWords(bytes), MAX_QUEUE_SLOTS, refuse);

export { contentBytesOf as slotsBytes };

/** The slots, for one owner. A slot is named by the word at which it begins; -1 means no slot. */
export class Slots {
  readonly words: Int32Array;
  readonly payloadBytes: number;
  readonly slots: number;
  readonly #bytes: Uint8Array;
  /** The same memory by 8 bytes: a header is zeroed with half the stores. */
  readonly #wide: Float64Array;
  readonly #mask: number;
  readonly #first: number;
  readonly #stride: number;
  /** The word behind the last slot. The looks for the dead go from slot to slot by hand: they are rare, so their code is cold, and a generator's turns take twice as long. */
  readonly #end: number;
  readonly #hasLease: boolean;
  readonly #maxAttempts: number;
  readonly #payloads: (Uint8Array | undefined)[] = [];
  /** Upper half of the tickets given here, so that tickets of two files differ. */
  readonly #ticketHigh: number;
  /** This owner's number; 0 as long as nothing is pushed or taken. */
  owner = 0;
  /** The word that `take()` has given its slot: read again, it may be what a replacer has made of it meanwhile. */
  lease = 0;
  /** The number of the slot that `claim()` or `take()` gave last: to find it by division would take as long as a swap. */
  number = 0;
  /** The soonest time of a job that the last `take()` in vain found too early to take, in ms since 1970; Infinity: none. */
  dueMs = Number.POSITIVE_INFINITY;

  constructor(bytes: Uint8Array, geometry: SlotGeometry, ticketHigh = 0) {
    this.#bytes = bytes;
    this.words = asWords(bytes);
    this.#wide = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 3);
    this.slots = geometry.slots;
    this.payloadBytes = geometry.payloadBytes;
    this.#mask = geometry.slots - 1;
    this.#first = wordOf(geometry.firstByteOffset);
    this.#stride = wordOf(geometry.strideBytes);
    this.#end = this.#first + geometry.slots * this.#stride;
    this.#ticketHigh = ticketHigh;
    const { leaseMs, maxAttempts } = this.limits;
    this.#hasLease = leaseMs > 0;
    this.#maxAttempts = maxAttempts || MAX_ATTEMPTS;
  }

  /** How many jobs were pushed, as far as is known; a u32 that wraps. */
  get pushed(): number {
    return this.#read(TAIL) >>> 0;
  }

  /** A slot's number, from 0. */
  numberOf(slot: number): number {
    return (slot - this.#first) / this.#stride;
  }

  get limits(): QueueLimits {
    const attempts = this.#read(MAX_ATTEMPTS_WORD) >>> 0;
    return { maxAttempts: Math.min(attempts, MAX_ATTEMPTS), leaseMs: this.words[LEASE_WORD]! >>> 0 };
  }

  // ---- producers

  /** A free slot, which is then this owner's to write; -1: without one. */
  claim(): number {
    const { words } = this;
    for (;;) {
      const tail = this.#read(TAIL);
      const j = this.#claimFrom(tail);
      if (j === FULL) return -1;
      if (j === FAILED) continue;
      this.number = (tail + j) & this.#mask;
      const slot = this.#slotAt(tail + j);
      words[slot + TICKET] = (tail + j) | 0;
      words[slot + TICKET + 1] = this.#ticketHigh;
      Atomics.compareExchange(words, TAIL, tail, (tail + j + 1) | 0);
      return slot;
    }
  }

  /** How far from `tail` the slot is that has become this owner's. */
  #claimFrom(tail: number): number {
    const { words } = this;
    for (let j = 0; j < this.slots; j++) {
      const slot = this.#slotAt(tail + j);
      barrier();
      const word = words[slot]!;
      if (word >>> 30 !== FREE) continue;
      const writing = (WRITING << 30) | (this.owner << 20) | (word & GENERATION_MASK);
      return Atomics.compareExchange(words, slot, word, writing) === word ? j : FAILED;
    }
    return FULL;
  }

  /** Makes the written job one that can be taken. */
  publish(slot: number, length: number, { notBefore, note }: PublishOptions = NO_OPTIONS): void {
    const { words } = this;
    words[slot + LENGTH] = length;
    this.#clearHeader(slot >> 1);
    if (notBefore !== undefined) {
      words[slot + NOT_BEFORE] = notBefore[0];
      words[slot + NOT_BEFORE + 1] = notBefore[1];
    }
    if (note !== undefined) this.user(slot).set(note);
    Atomics.store(words, slot, (READY << 30) | (words[slot]! & GENERATION_MASK));
  }

  /** notBefore, takenAt and the user's bytes. A loop would take twice as long. */
  #clearHeader(at: number): void {
    const wide = this.#wide;
    wide[at + NOT_BEFORE / 2] = 0;
    wide[at + TAKEN_AT / 2] = 0;
    wide[at + USER_BYTE_OFFSET / 8] = 0;
    wide[at + USER_BYTE_OFFSET / 8 + 1] = 0;
    wide[at + USER_BYTE_OFFSET / 8 + 2] = 0;
    wide[at + USER_BYTE_OFFSET / 8 + 3] = 0;
  }

  /** Gives a claimed slot back unpublished. */
  abandon(slot: number): void {
    Atomics.store(this.words, slot, slotWord(FREE, 0, 0, generationOf(this.words[slot]!) + 1));
  }

  // ---- workers

  /** A job, which is then this owner's, with the word in `lease`; -1: no job's time has come. */
  take(): number {
    const { words } = this;
    const head = this.#read(HEAD);
    this.dueMs = Number.POSITIVE_INFINITY;
    for (let j = 0; j < this.slots; j++) {
      const slot = this.#slotAt(head + j);
      barrier();
      const word = words[slot]!;
      if (word >>> 30 !== READY || (word & OWNER_MASK) !== 0) continue;
      if (!this.#isDue(slot)) {
        this.dueMs = Math.min(this.dueMs, this.notBeforeMs(slot));
        continue;
      }
      const taken = word | (TAKEN << 30) | (this.owner << 20);
      if (Atomics.compareExchange(words, slot, word, taken) !== word) continue;
      // A hint: that another store comes between does no harm.
      words[HEAD] = (head + j + 1) | 0;
      this.lease = taken;
      this.number = (head + j) & this.#mask;
      this.#stampTaken(slot);
      return slot;
    }
    return -1;
  }

  /** Takes the job of this word, due or not: its new word, which is the lease; undefined when it has gone. */
  takeAt(slot: number, word: number): number | undefined {
    const taken = word | (TAKEN << 30) | (this.owner << 20);
    if (stateOf(word) !== READY || ownerOf(word) !== 0) return undefined;
    if (!this.#swap(slot, word, taken)) return undefined;
    this.#stampTaken(slot);
    return taken;
  }

  /** Whether a word tells of a job that has used up its attempts: it is for the dead letters. */
  isUsedUp(word: number): boolean {
    return word >>> 30 === READY && (word & OWNER_MASK) === 0 && this.hasNoAttemptLeft(word);
  }

  hasNoAttemptLeft(word: number): boolean {
    return attemptOf(word) >= this.#maxAttempts;
  }

  /** The slots of jobs that have used up their attempts and whose time has come. */
  *usedUp(): Generator<number> {
    for (let slot = this.#first; slot < this.#end; slot += this.#stride)
      if (this.isUsedUp(this.#read(slot)) && this.#isDue(slot)) yield slot;
  }

  /** Takes a job from its worker, who finds out when it ends it. */
  breakLease(slot: number, word: number): boolean {
    return stateOf(word) === TAKEN && this.#swap(slot, word, buriedWord(word));
  }

  #isDue(slot: number): boolean {
    const low = this.words[slot + NOT_BEFORE]!;
    const high = this.words[slot + NOT_BEFORE + 1]!;
    if (low === 0 && high === 0) return true;
    realtime.read();
    return toMilliseconds(low, high) <= toMilliseconds(realtime.low, realtime.high);
  }

  /** By the clock that runs from the machine's start: a lease does not end because the time of day is set. */
  #stampTaken(slot: number): void {
    if (this.#hasLease) bootTime.read();
    else bootTime.readCoarse();
    this.words[slot + TAKEN_AT] = bootTime.low;
    this.words[slot + TAKEN_AT + 1] = bootTime.high;
  }

  /** Whether the times of leases are of this start of the machine. */
  get isOfThisBoot(): boolean {
    const [low, high] = bootWords();
    const isUnknown = low === 0 && high === 0;
    return isUnknown || (this.#read(BOOT_ID) === low && this.#read(BOOT_ID + 1) === high);
  }

  /** From now on they are: a worker that had a job before the machine was started is dead, and its lock tells. */
  adoptBoot(): void {
    if (!this.isOfThisBoot) this.words.set(bootWords(), BOOT_ID);
  }

  /** Whether the slot still has the job of this lease; a frozen one has it in another file. */
  isHeld(slot: number, lease: number): boolean {
    // What was copied before must be older than this look.
    loadFence();
    const word = this.#read(slot);
    return word === lease || (ownerOf(word) === FROZEN && generationOf(word) === generationOf(lease));
  }

  /** The word of a slot, now. */
  word(slot: number): number {
    return this.#read(slot);
  }

  /** Ends a job: false when `lease` is not the slot's word any more. */
  done(slot: number, lease: number): boolean {
    return this.#swap(slot, lease, slotWord(FREE, 0, 0, generationOf(lease) + 1));
  }

  /** Gives a job back as it was. */
  release(slot: number, lease: number): boolean {
    if (this.#read(slot) !== lease) return false;
    this.#clearTaken(slot);
    return this.#swap(slot, lease, slotWord(READY, 0, attemptOf(lease), generationOf(lease)));
  }

  /** Gives a job back with the same attempt, not before the given time. */
  postpone(slot: number, lease: number, notBeforeLow: number, notBeforeHigh: number): boolean {
    if (this.#read(slot) !== lease) return false;
    this.words[slot + NOT_BEFORE] = notBeforeLow;
    this.words[slot + NOT_BEFORE + 1] = notBeforeHigh;
    return this.release(slot, lease);
  }

  /** Gives a job back for another attempt, not before the given time. */
  fail(slot: number, lease: number, notBeforeLow: number, notBeforeHigh: number): boolean {
    if (this.#read(slot) !== lease) return false;
    this.words[slot + NOT_BEFORE] = notBeforeLow;
    this.words[slot + NOT_BEFORE + 1] = notBeforeHigh;
    this.#clearTaken(slot);
    return this.#swap(slot, lease, buriedWord(lease));
  }

  /** Begins the lease again. */
  extend(slot: number, lease: number): boolean {
    if (this.#read(slot) !== lease) return false;
    this.#stampTaken(slot);
    return this.#read(slot) === lease;
  }

  #clearTaken(slot: number): void {
    this.words[slot + TAKEN_AT] = 0;
    this.words[slot + TAKEN_AT + 1] = 0;
  }

  // ---- what a slot holds

  /** Bytes of the job, clamped to the slot at each read. */
  length(slot: number): number {
    const length = this.#read(slot + LENGTH) >>> 0;
    return length <= this.payloadBytes ? length : this.payloadBytes;
  }

  /** The job's number, its lower half: the two halves are unique among all jobs that are there. */
  ticketLow(slot: number): number {
    return this.#read(slot + TICKET);
  }

  ticketHigh(slot: number): number {
    return this.#read(slot + TICKET + 1);
  }

  /** When the job was taken, in ms since 1970 by the clock as it is set now; 0: not known. */
  takenAtMs(slot: number): number {
    const takenAt = this.takenAtBootMs(slot);
    return takenAt === 0 || !this.isOfThisBoot ? 0 : nowMs() - bootMs() + takenAt;
  }

  /** The same in ms since the machine was started; 0: not known. */
  takenAtBootMs(slot: number): number {
    return toMilliseconds(this.#read(slot + TAKEN_AT), this.words[slot + TAKEN_AT + 1]!);
  }

  notBeforeMs(slot: number): number {
    return toMilliseconds(this.#read(slot + NOT_BEFORE), this.words[slot + NOT_BEFORE + 1]!);
  }

  payloadOffset(slot: number): number {
    return slot * 4 + PAYLOAD_BYTE_OFFSET;
  }

  payload(slot: number, number = this.numberOf(slot)): Uint8Array {
    const known = this.#payloads[number];
    if (known !== undefined) return known;
    const start = this.payloadOffset(slot);
    const view = this.#bytes.subarray(start, start + this.payloadBytes);
    this.#payloads[number] = view;
    return view;
  }

  user(slot: number): Uint8Array {
    const start = slot * 4 + USER_BYTE_OFFSET;
    return this.#bytes.subarray(start, start + USER_BYTES);
  }

  /** All slots, by the word at which each begins. */
  *[Symbol.iterator](): Iterator<number> {
    for (let slot = this.#first; slot < this.#end; slot += this.#stride) yield slot;
  }

  counts(): SlotCounts {
    const counts = { free: 0, writing: 0, ready: 0, delayed: 0, taken: 0 };
    for (const slot of this) {
      const word = this.#read(slot);
      const state = word >>> 30;
      if (state === FREE) counts.free++;
      else if (state === WRITING) counts[ownerOf(word) === FROZEN ? "free" : "writing"]++;
      else if (state === TAKEN) counts.taken++;
      else if (this.#isDue(slot)) counts.ready++;
      else counts.delayed++;
    }
    return counts;
  }

  /** Text that differs when any job has changed hands, or its note. */
  digest(): string {
    let digest = 0;
    for (const slot of this) {
      const word = this.#read(slot);
      digest = (Math.imul(digest, 31) + word) | 0;
      if (word >>> 30 !== TAKEN) continue;
      const user = slot + USER_BYTE_OFFSET / 4;
      for (let i = 0; i < USER_BYTES / 4; i++) digest = (Math.imul(digest, 31) + this.words[user + i]!) | 0;
    }
    return `${digest}`;
  }

  // ---- the dead and the stuck

  /** The owners that slots name, this one excepted. */
  namedOwners(): Set<number> {
    const owners = new Set<number>();
    for (let slot = this.#first; slot < this.#end; slot += this.#stride) {
      const owner = ownerOf(this.#read(slot));
      if (owner !== 0 && owner !== FROZEN && owner !== this.owner) owners.add(owner);
    }
    return owners;
  }

  /**
   * Gives back what a dead owner has left. The caller holds that owner's lock from before until after.
   * @param isHeld tells the jobs that this owner itself holds, when it buries what its own number says
   * @returns how many slots changed
   */
  bury(owner: number, isHeld: (slot: number, word: number) => boolean = () => false): number {
    let count = 0;
    for (let slot = this.#first; slot < this.#end; slot += this.#stride) {
      const word = this.#read(slot);
      if (ownerOf(word) !== owner || isHeld(slot, word)) continue;
      if (stateOf(word) === TAKEN) this.#clearTaken(slot);
      if (this.#swap(slot, word, buriedWord(word))) count++;
    }
    return count;
  }

  /**
   * Gives back jobs whose lease is over.
   * @param now in ms since the machine was started
   * @returns how many
   */
  breakLeases(leaseMs: number, now: number): number {
    let count = 0;
    for (const slot of this) {
      const word = this.#read(slot);
      if (stateOf(word) !== TAKEN) continue;
      const takenAt = this.takenAtBootMs(slot);
      // Just taken; or its taker, or one that broke the lease, died before the next store: then the lease begins now.
      if (takenAt === 0) this.#stampTaken(slot);
      if (takenAt === 0 || takenAt + leaseMs > now) continue;
      // First, as the next taker's lease would seem to be over until it has stamped it.
      this.#clearTaken(slot);
      if (this.#swap(slot, word, buriedWord(word))) count++;
    }
    return count;
  }

  // ---- another file takes the place of this one

  /**
   * Freezes the slot: no push, take or done succeeds in it any more. Undefined: its producer is at work; wait, or bury it.
   * @returns the job with the word that it has in the new file
   */
  freeze(slot: number): SavedJob | undefined {
    for (;;) {
      const word = this.#read(slot);
      const state = stateOf(word);
      const isFrozen = ownerOf(word) === FROZEN;
      if (state === WRITING && !isFrozen) return undefined;
      const frozen = slotWord(state === FREE ? WRITING : READY, FROZEN, attemptOf(word), generationOf(word));
      if (!isFrozen && !this.#swap(slot, word, frozen)) continue;
      return this.#save(slot, isFrozen ? this.#thawedWord(word) : word);
    }
  }

  get isFrozen(): boolean {
    for (const slot of this) if (ownerOf(this.#read(slot)) === FROZEN) return true;
    return false;
  }

  /** Undoes `freeze` for all slots: taken jobs are then ready. For the holder of the writer's lock, when the replacer has died. */
  thaw(): number {
    let count = 0;
    for (const slot of this) {
      const word = this.#read(slot);
      if (ownerOf(word) === FROZEN && this.#swap(slot, word, this.#thawedWord(word))) count++;
    }
    return count;
  }

  #thawedWord(word: number): number {
    if (stateOf(word) === WRITING) return slotWord(FREE, 0, 0, generationOf(word) + 1);
    return slotWord(READY, 0, attemptOf(word), generationOf(word));
  }

  /** The jobs for a file of their own, copied while this one is in use. Taken ones become ready. */
  copyJobs(): SavedJob[] {
    return inOrder([...this].map((slot) => this.#copyJob(slot)));
  }

  /** Undefined: there is no job, or it went meanwhile. */
  #copyJob(slot: number): SavedJob | undefined {
    const before = this.#read(slot);
    if ((stateOf(before) & 2) === 0) return undefined;
    loadFence();
    const job = this.#save(slot, slotWord(READY, 0, attemptOf(before), generationOf(before)));
    loadFence();
    const after = this.#read(slot);
    const isSame = (stateOf(after) & 2) !== 0 && generationOf(after) === generationOf(before);
    return isSame ? job : undefined;
  }

  #save(slot: number, word: number): SavedJob {
    loadFence();
    const start = slot * 4;
    return {
      word,
      header: this.#bytes.slice(start + 4, start + PAYLOAD_BYTE_OFFSET),
      payload: this.payload(slot).slice(0, this.length(slot)),
    };
  }

  /** Puts saved jobs into the slots of a file that no one else sees yet, the oldest first. */
  restore(jobs: readonly SavedJob[]): void {
    const all = [...this];
    for (const [i, { word, header, payload }] of jobs.entries()) {
      const slot = all[i]!;
      this.#bytes.set(header, slot * 4 + 4);
      this.payload(slot).set(payload);
      this.words[slot] = word;
    }
    // Beyond all tickets that are there, and at the first free slot.
    const last = jobs.length === 0 ? 0 : ticketOf(jobs[jobs.length - 1]!) + 1;
    this.words[TAIL] = (last + ((jobs.length - last) & this.#mask)) | 0;
  }

  /** The slot that holds the job of this lease and ticket; -1: none does. */
  find({ lease, ticketLow, ticketHigh }: { lease: number; ticketLow: number; ticketHigh: number }): number {
    for (const slot of this) {
      if (this.#read(slot) !== lease) continue;
      if (this.ticketLow(slot) === ticketLow && this.ticketHigh(slot) === ticketHigh) return slot;
    }
    return -1;
  }

  // ---- words

  #slotAt(number: number): number {
    return this.#first + (number & this.#mask) * this.#stride;
  }

  #read(word: number): number {
    barrier();
    return this.words[word]!;
  }

  #swap(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.words, slot, from, to) === from;
  }
}
