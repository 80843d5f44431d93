/**
 * A channel's bytes: a ring of slots, written by one publisher and read by any number of subscribers that leave no trace.
 * Works on plain memory and knows no files. docs/internals/channel-format.md draws it; tests/model/channel.ts
 * checks it, and tests/model/real-channel.ts these classes.
 *
 *     0            32     64     68      72       76    80     firstByteOffset
 *     | geometry   | 0    | next | epoch | closed | pid | 0    | slots
 *     |            |      | u32  | u32   | u32    | u32 |      |
 *
 *     slot
 *     0          4        8       16      24      28     32        64
 *     | sequence | length | index | time  | epoch | type | user    | payload
 *     | u32      | u32    | u64   | u64   | u32   | u32  | 32 B    |
 *
 * Message k lies in slot k mod slots. Its sequence is 2k + 1 while it is written and 2k + 2 from when it is whole; both
 * wrap, so the index tells apart what is 2^31 messages old.
 */
import {
  contentBytesOf,
  readGeometry,
  type SlotGeometry,
  wordOf,
  writeGeometry,
} from "../segment/slot-geometry.ts";
import { barrier, loadFence } from "../struct/memory/barrier.ts";
import { realtime } from "../sys/clock.ts";

const TWO_32 = 2 ** 32;

/** Of the upper 32 bits of an index: those below leave room for a whole turn of the lower ones. */
const MAX_HIGH = 2 ** 21 - 1;

/** As many as indices of an array of all words permit. */
export const MAX_RING_SLOTS = 2 ** 26;

// Words of the content.
const NEXT = 64 / 4;
const EPOCH = 68 / 4;
const CLOSED = 72 / 4;
const PID = 76 / 4;

// Words of a slot.
const LENGTH = 1;
const INDEX = 2;
const TIME = 4;
const SLOT_EPOCH = 6;
const TYPE = 7;
const USER_BYTE_OFFSET = 32;
const USER_BYTES = 32;
const PAYLOAD_BYTE_OFFSET = 64;

/** Tries to find where the publisher is, which may be at work meanwhile. */
const MAX_TRIES = 1000;

/** Where a subscriber begins: with the newest message that is there, with the oldest, or with the next one to come. */
export type From = "newest" | "oldest" | "next";

const isArm64 = process.arch === "arm64";
const isX64 = process.arch === "x64";

/**
 * A store that is not seen before what was stored earlier. On x86-64 no store is: there an atomic one would only wait until the line
 * has come from the processor of a subscriber that looks at it, which takes as long as all the rest of a message.
 */
const storeInOrder: (words: Int32Array, word: number, value: number) => void = isX64
  ? (words, word, value) => {
      words[word] = value;
    }
  : (words, word, value) => {
      Atomics.store(words, word, value);
    };

/** Zero, which the compiler does not know: it would drop a store of what was just read. */
const nothing = new Int32Array(1);

/** Reads a part of the ring's memory anew, where it is not mapped but a copy. */
export type TakeInPart = (byteOffset: number, byteLength: number) => void;

/** The ring's memory, as readers and the writer see it. */
class RingMemory {
  readonly takeIn: TakeInPart | undefined;
  readonly words: Int32Array;
  readonly slots: number;
  readonly payloadBytes: number;
  readonly mask: number;
  /** The first slot's and the distance of two, in words. */
  readonly first: number;
  readonly stride: number;
  readonly #bytes: Uint8Array;
  readonly #payloads: (Uint8Array | undefined)[] = [];

  constructor(bytes: Uint8Array, geometry: SlotGeometry, takeIn?: TakeInPart) {
    const { slots, payloadBytes, strideBytes, firstByteOffset } = geometry;
    this.takeIn = takeIn;
    this.#bytes = bytes;
    this.words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
    this.slots = slots;
    this.payloadBytes = payloadBytes;
    this.mask = slots - 1;
    this.first = wordOf(firstByteOffset);
    this.stride = wordOf(strideBytes);
  }

  /** The word at which the slot of the message with these lower 32 bits begins. */
  slotOf(low: number): number {
    return this.first + (low & this.mask) * this.stride;
  }

  /** Where a slot's payload begins, in bytes of the content. */
  payloadOffset(slot: number): number {
    return slot * 4 + PAYLOAD_BYTE_OFFSET;
  }

  /**
   * A slot's whole payload. Kept, as making a view costs more than copying 64 bytes.
   * @param number the slot's, from 0: known to the caller, as to find it by division takes as long as to copy 64 bytes
   */
  payload(slot: number, number: number): Uint8Array {
    const known = this.#payloads[number];
    if (known !== undefined) return known;
    const start = this.payloadOffset(slot);
    const view = this.#bytes.subarray(start, start + this.payloadBytes);
    this.#payloads[number] = view;
    return view;
  }

  /** A slot's 32 bytes for the user. */
  user(slot: number): Uint8Array {
    const start = slot * 4 + USER_BYTE_OFFSET;
    return this.#bytes.subarray(start, start + USER_BYTES);
  }

  /** A word, read now. */
  read(word: number): number {
    this.takeIn?.(word * 4, 4);
    barrier();
    return this.words[word]!;
  }

  /** The index in a slot; -1, which no message has, for one beyond what can be counted exactly: the ring is damaged. */
  index(slot: number): number {
    this.takeIn?.((slot + INDEX) * 4, 8);
    const high = this.words[slot + INDEX + 1]! >>> 0;
    return high < MAX_HIGH ? high * TWO_32 + (this.words[slot + INDEX]! >>> 0) : -1;
  }
}

/** Makes an empty ring of zeroed bytes. */
export function initRing(bytes: Uint8Array, geometry: SlotGeometry): void {
  writeGeometry(new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2), geometry);
}

/** The ring's geometry, checked. @param refuse throws the error for a damaged one */
export const ringGeometry = (bytes: Uint8Array, refuse: (reason: string) => never): SlotGeometry =>
  readGeometry(
    new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2),
    MAX_RING_SLOTS,
    refuse,
  );

export { contentBytesOf as ringBytes };

/** A number with these lower 32 bits, as near to `near` as possible. */
const extend = (low: number, near: number): number => near + ((low - (near % TWO_32)) | 0);

/**
 * The index of the message that comes next, in 64 bits: `next` holds 32 of them, the slot before it all.
 * Undefined: a publisher that is at work did not let it be read.
 */
function findNext(ring: RingMemory): number | undefined {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const next = ring.read(NEXT);
    const slot = ring.slotOf(next - 1);
    loadFence();
    const sequence = ring.read(slot);
    loadFence();
    const index = ring.index(slot);
    loadFence();
    if (ring.read(slot) !== sequence) continue;
    if (sequence === 0 && next === 0 && index === 0) return 0;
    if (((index + 1) | 0) === next) return index + 1;
  }
  return undefined;
}

/** Looks at a slot that changes again and again, before it is left out of a copy. */
const MAX_COPIES = 3;

/**
 * A ring of its own with the messages that are there, while the publisher goes on. Messages that it overwrites meanwhile are
 * left out: those are the oldest.
 */
export function copyRing(
  bytes: Uint8Array,
  geometry: SlotGeometry,
  takeIn?: TakeInPart,
): { bytes: Uint8Array<ArrayBuffer>; version: number } {
  const ring = new RingMemory(bytes, geometry, takeIn);
  const copy = new Uint8Array(bytes.byteLength);
  initRing(copy, geometry);
  const target = new RingMemory(copy, geometry);
  let next = 0;
  for (let i = 0; i < geometry.slots; i++) {
    const index = copySlot(ring, bytes, copy, ring.slotOf(i));
    if (index !== undefined) next = Math.max(next, index + 1);
  }
  for (let i = 0; i < geometry.slots; i++) {
    const slot = target.slotOf(i);
    const isWhole = target.words[slot] !== 0 && target.index(slot) >= next - geometry.slots;
    if (!isWhole) copy.fill(0, slot * 4, slot * 4 + geometry.strideBytes);
  }
  target.words[NEXT] = next | 0;
  target.words[EPOCH] = ring.read(EPOCH);
  return { bytes: copy, version: next };
}

/** Copies a slot; undefined when there is no whole message in it. @returns the message's index */
function copySlot(ring: RingMemory, from: Uint8Array, to: Uint8Array, slot: number): number | undefined {
  const [start, end] = [slot * 4, (slot + ring.stride) * 4];
  for (let tries = 0; tries < MAX_COPIES; tries++) {
    const sequence = ring.read(slot);
    loadFence();
    ring.takeIn?.(start + 4, end - start - 4);
    to.set(from.subarray(start, end), start);
    const index = ring.index(slot);
    loadFence();
    if (ring.read(slot) === sequence && (sequence & 1) === 0 && sequence === ((2 * (index % TWO_32) + 2) | 0))
      return index;
  }
  to.fill(0, start, end);
  return undefined;
}

/** The publisher's side. Its user holds the writer's lock. */
export class RingWriter {
  readonly #ring: RingMemory;
  /** The message that comes next. */
  #low = 0;
  #high = 0;
  #epoch = 0;
  /** The word of the slot that is being written. */
  #slot = -1;

  constructor(bytes: Uint8Array, geometry: SlotGeometry) {
    this.#ring = new RingMemory(bytes, geometry);
  }

  /** The index of the message that comes next. */
  get index(): number {
    return this.#high * TWO_32 + (this.#low >>> 0);
  }

  get epoch(): number {
    return this.#epoch;
  }

  get payloadBytes(): number {
    return this.#ring.payloadBytes;
  }

  /** Goes on where the publisher before has stopped, wherever it died. With the writer's lock just taken. */
  takeOver(pid: number): void {
    const ring = this.#ring;
    let k = findNext(ring) ?? ring.read(NEXT) >>> 0;
    const slot = ring.slotOf(k | 0);
    const isWhole = ring.read(slot) === ((2 * (k % TWO_32) + 2) | 0) && ring.index(slot) === k;
    // It died after the message was whole and before it had counted it.
    if (isWhole) {
      k += 1;
      Atomics.store(ring.words, NEXT, (k % TWO_32) | 0);
    }
    this.#low = (k % TWO_32) | 0;
    this.#high = Math.floor(k / TWO_32);
    this.#epoch = (ring.words[EPOCH]! + 1) >>> 0;
    ring.words[PID] = pid;
    ring.words[CLOSED] = 0;
    Atomics.store(ring.words, EPOCH, this.#epoch | 0);
  }

  /** Says that this publisher has ended by itself. */
  close(): void {
    Atomics.store(this.#ring.words, CLOSED, 1);
  }

  /** Whether a message is being written. */
  get isLoaned(): boolean {
    return this.#slot >= 0;
  }

  /** Begins a message: from now on its slot may be written. Begins again when it has begun already. */
  loan(): number {
    const { words } = this.#ring;
    const low = this.#low;
    const slot = this.#ring.slotOf(low);
    storeInOrder(words, slot, (low << 1) | 1 | 0);
    // SAFETY of what follows: no store into the slot may become visible before the odd sequence.
    if (isArm64) Atomics.load(words, slot);
    words[slot + INDEX] = low;
    words[slot + INDEX + 1] = this.#high;
    words[slot + SLOT_EPOCH] = this.#epoch;
    this.#slot = slot;
    return slot;
  }

  /** The loaned slot's payload. */
  payload(slot: number): Uint8Array {
    return this.#ring.payload(slot, this.number);
  }

  /** The number of the slot that is loaned, from 0. */
  get number(): number {
    return this.#low & this.#ring.mask;
  }

  /** Where it begins, in bytes of the content. */
  payloadOffset(slot: number): number {
    return this.#ring.payloadOffset(slot);
  }

  user(slot: number): Uint8Array {
    return this.#ring.user(slot);
  }

  /** Makes the loaned message one that subscribers see. */
  send(length: number, type: number): void {
    realtime.read();
    this.sendAt(length, type, realtime.low, realtime.high);
  }

  /** Like `send`, with the time at which it was sent first, elsewhere. */
  sendAt(length: number, type: number, timeLow: number, timeHigh: number): void {
    const { words } = this.#ring;
    const slot = this.#slot;
    const low = this.#low;
    this.#slot = -1;
    words[slot + LENGTH] = length;
    words[slot + TIME] = timeLow;
    words[slot + TIME + 1] = timeHigh;
    words[slot + TYPE] = type;
    const next = (low + 1) | 0;
    Atomics.store(words, slot, next << 1);
    storeInOrder(words, NEXT, next);
    this.#low = next;
    if (next === 0) this.#high++;
    this.#fetch(next);
  }

  /**
   * Stores into the next slot what is there: its first lines then come from the processors of subscribers now, and not when the
   * next message waits for them.
   */
  #fetch(low: number): void {
    const { words } = this.#ring;
    const slot = this.#ring.slotOf(low);
    const none = nothing[0]!;
    words[slot] = words[slot]! ^ none;
    words[slot + PAYLOAD_BYTE_OFFSET / 4] = words[slot + PAYLOAD_BYTE_OFFSET / 4]! ^ none;
  }

  /** Leaves out the messages before this one, which never come: subscribers count them as missed. */
  skipTo(index: number): void {
    if (index <= this.index) return;
    this.#low = (index % TWO_32) | 0;
    this.#high = Math.floor(index / TWO_32);
  }

  /** Gives the loan back: the next one gets the same index. */
  giveBack(): void {
    this.#slot = -1;
  }
}

/**
 * A look for the next message moves the cursor at most so often, beside once for each message that was left out: a damaged ring
 * could send it to and fro for ever. The next look goes on.
 */
const MAX_TURNS = 100;

/** A subscriber's side: a cursor of its own, and no stores, so a read-only map is enough. */
export class RingReader {
  readonly #ring: RingMemory;
  /** The message that is wanted next. */
  #low = 0;
  #high = 0;
  /** The sequence that the last look has found in its slot. */
  #seen = 0;
  /** Messages that were lost since the message before. */
  missed = 0;
  // Of the message that was found last.
  index = 0;
  length = 0;
  type = 0;
  epoch = 0;
  timeLow = 0;
  timeHigh = 0;

  /** @param takeIn where `bytes` are a copy */
  constructor(bytes: Uint8Array, geometry: SlotGeometry, from: From, takeIn?: TakeInPart) {
    this.#ring = new RingMemory(bytes, geometry, takeIn);
    this.start(from);
  }

  get payloadBytes(): number {
    return this.#ring.payloadBytes;
  }

  /** The index of the message that is wanted next. */
  get cursor(): number {
    return this.#high * TWO_32 + (this.#low >>> 0);
  }

  set cursor(index: number) {
    this.#low = (index % TWO_32) | 0;
    this.#high = Math.floor(index / TWO_32);
  }

  /** How many messages were published, in 64 bits. */
  get published(): number {
    return findNext(this.#ring) ?? extend(this.#ring.read(NEXT), this.cursor);
  }

  /** Publishers so far. */
  get publisherEpoch(): number {
    return this.#ring.read(EPOCH) >>> 0;
  }

  get publisherPid(): number {
    return this.#ring.read(PID) >>> 0;
  }

  /** Whether the last publisher has ended by itself. */
  get isClosed(): boolean {
    return this.#ring.read(CLOSED) !== 0;
  }

  /** Puts the cursor to one of the places where subscribers begin. */
  start(from: From): void {
    const next = this.published;
    this.missed = 0;
    if (from === "next") this.cursor = next;
    else if (from === "newest") this.cursor = Math.max(0, next - 1);
    else this.cursor = this.#oldest(next);
  }

  /** The oldest message: the publisher may be at work in the slot of the one that is a whole turn old. */
  #oldest(next: number): number {
    const ring = this.#ring;
    for (let back = Math.min(next, ring.slots); back > 0; back--) {
      const index = next - back;
      if (ring.read(ring.slotOf(index | 0)) === ((2 * (index % TWO_32) + 2) | 0)) return index;
    }
    return next;
  }

  /** Skips what is there but the newest message. */
  skipToNewest(): void {
    const newest = this.published - 1;
    const skipped = newest - this.cursor;
    if (skipped <= 0) return;
    this.missed += skipped;
    this.cursor = newest;
  }

  /** Copies the next message's payload into `target` and its header into the fields. False: without one. */
  receive(target: Uint8Array, byteOffset: number): boolean {
    for (;;) {
      const slot = this.find();
      if (slot < 0) return false;
      target.set(this.part(slot), byteOffset);
      if (this.finish(slot)) return true;
    }
  }

  /** The bytes of the message that was found, in the slot. */
  part(slot: number): Uint8Array {
    const payload = this.#ring.payload(slot, this.#low & this.#ring.mask);
    return this.length === payload.length ? payload : payload.subarray(0, this.length);
  }

  payloadOffset(slot: number): number {
    return this.#ring.payloadOffset(slot);
  }

  user(slot: number): Uint8Array {
    return this.#ring.user(slot);
  }

  /** The slot of the next message, whose header is then in the fields; -1: without one. What it holds counts after `finish`. */
  find(): number {
    const ring = this.#ring;
    const { words } = ring;
    for (let turns = 0; ; turns++) {
      const low = this.#low;
      const slot = ring.slotOf(low);
      const want = (low + 1) << 1;
      ring.takeIn?.(slot * 4, 4);
      barrier();
      const sequence = words[slot]!;
      this.#seen = sequence;
      loadFence();
      ring.takeIn?.(slot * 4 + 4, ring.stride * 4 - 4);
      if (sequence === want && words[slot + INDEX] === low && words[slot + INDEX + 1] === this.#high) {
        // The length is another process's word: clamped at each read.
        const length = words[slot + LENGTH]! >>> 0;
        this.length = length <= ring.payloadBytes ? length : ring.payloadBytes;
        this.timeLow = words[slot + TIME]!;
        this.timeHigh = words[slot + TIME + 1]!;
        this.type = words[slot + TYPE]! >>> 0;
        this.epoch = words[slot + SLOT_EPOCH]! >>> 0;
        return slot;
      }
      if (!this.#isLapped(slot, sequence, want) && !this.#isLeftOut(slot, sequence)) return -1;
      if (turns > ring.slots + MAX_TURNS) return -1;
    }
  }

  /**
   * Looks up to so many times whether there is another sequence in the slot of the next message than `find` has found, and more than
   * that it is being written: a look touches no other line of memory, which the publisher would have to wait for. Where memory is
   * not mapped a look is a call of the kernel, so there is one.
   */
  awaitChange(looks: number): void {
    const { words, takeIn } = this.#ring;
    const slot = this.#ring.slotOf(this.#low);
    const seen = this.#seen;
    const writing = (this.#low << 1) | 1;
    const most = takeIn === undefined ? looks : 1;
    for (let i = 0; i < most; i++) {
      takeIn?.(slot * 4, 4);
      barrier();
      const sequence = words[slot];
      if (sequence !== seen && sequence !== writing) return;
    }
  }

  /**
   * The publisher counts a message once it is whole. One that it has counted and that is neither in its slot nor overwritten
   * was left out: true when the cursor has moved on, or when the slot has changed meanwhile.
   */
  #isLeftOut(slot: number, sequence: number): boolean {
    const ring = this.#ring;
    const { cursor } = this;
    const next = extend(ring.read(NEXT), cursor);
    if (next <= cursor) return this.#isSetBack(next);
    loadFence();
    const isWritten = sequence === (this.#low + 1) << 1 && ring.index(slot) === cursor;
    if (ring.read(slot) !== sequence || isWritten) return true;
    const to = Math.max(cursor + 1, next - ring.slots);
    this.missed += to - cursor;
    this.cursor = to;
    return true;
  }

  /**
   * An older copy was written over the ring: as with another file, the messages that are there come next. Not so if the
   * message before the cursor is still there: its publisher has not counted it yet.
   */
  #isSetBack(next: number): boolean {
    const ring = this.#ring;
    const received = this.cursor - 1;
    if (next > received) return false;
    loadFence();
    const slot = ring.slotOf(received | 0);
    if (ring.read(slot) === ((2 * (received % TWO_32) + 2) | 0) && ring.index(slot) === received)
      return false;
    loadFence();
    // Overwritten in turn, if the publisher has gone on meanwhile.
    if (ring.read(NEXT) !== (next | 0)) return false;
    this.cursor = this.#oldest(Math.max(0, next));
    return true;
  }

  /** Whether the message at `slot` that `find` gave was whole all the time; if so, the cursor goes on. */
  finish(slot: number): boolean {
    loadFence();
    this.#ring.takeIn?.(slot * 4, 4);
    barrier();
    if (this.#ring.words[slot] !== (this.#low + 1) << 1) return false;
    this.index = this.cursor;
    this.#low = (this.#low + 1) | 0;
    if (this.#low === 0) this.#high++;
    return true;
  }

  /** Takes the number of lost messages, and begins to count again. */
  takeMissed(): number {
    const { missed } = this;
    this.missed = 0;
    return missed;
  }

  /**
   * The slot holds another message than the wanted one, perhaps with its sequence, a whole turn of 2^31 messages away: true
   * when it is newer and the cursor has moved on, or when the slot has changed meanwhile.
   */
  #isLapped(slot: number, sequence: number, want: number): boolean {
    if ((sequence & 1) === 1) return ((sequence - want) | 0) > 0 && this.#jump(this.cursor);
    const index = this.#ring.index(slot);
    loadFence();
    // It changes: look again, at the same place.
    if (this.#ring.read(slot) !== sequence) return true;
    return index > this.cursor && this.#jump(index);
  }

  /**
   * To the middle of what is there: at the oldest message the publisher would be again at once. False when that is not ahead,
   * as the publisher has not counted yet what it has written.
   */
  #jump(near: number): boolean {
    const next = extend(this.#ring.read(NEXT), near);
    const to = next - this.#ring.slots / 2;
    const lost = to - this.cursor;
    if (lost <= 0) return false;
    this.missed += lost;
    this.cursor = to;
    return true;
  }
}
