/**
 * The class that keeps the state before a transaction by blocks (src/record/pre-image.ts) and the loop that reads without a lock
 * (src/sync/seqlock.ts) themselves, in every interleaving. A reader stores nothing that a writer reads, so an interleaving is no more
 * than the state of memory that each of its loads sees: first a program of writers runs and each of its stores is kept as a
 * state, then the reader runs once for each way to see these states, one load after the other. Of the states from now on, each value of
 * the loaded byte or word is tried at the earliest: later ones with the same value leave less to come.
 */
import { BlockPreImage } from "../../src/record/pre-image.ts";
import { readConsistent } from "../../src/sync/seqlock.ts";

const BLOCK_BYTES = 2;

/** Faults to build in, each of which must be found. */
export type RealFault = "a save is left out" | "the sequence stays even" | "no second look";

export interface RealOptions {
  blocks: number;
  /** What each writer does: the blocks that it stores to, in order, and how it ends. It dies at each of its steps in turn. */
  sessions: readonly { readonly stores: readonly number[]; readonly end: "commit" | "roll back" }[];
  fault?: RealFault;
}

class Killed extends Error {}

/** Memory: the struct, the saved blocks, marks, the sequence. Each store makes a new state of it. */
class Memory {
  readonly states: Uint8Array[];
  /** Of each state: the struct at the last commit. */
  readonly committed: string[];
  readonly size: number;
  readonly #now: Uint8Array;
  readonly #words: Int32Array;
  /** Steps until the writer dies. */
  left = Number.POSITIVE_INFINITY;
  readonly sequenceAt: number;

  constructor(readonly blocks: number) {
    this.size = blocks * BLOCK_BYTES;
    this.sequenceAt = (2 * this.size) / 4 + blocks;
    this.#now = new Uint8Array(2 * this.size + 4 * blocks + 4);
    this.#words = new Int32Array(this.#now.buffer);
    this.states = [this.#now.slice()];
    this.committed = [this.struct];
  }

  get struct(): string {
    return this.#now.subarray(0, this.size).join(" ");
  }

  #step(store: () => void, committed = this.committed.at(-1)!): void {
    if (this.left-- <= 0) throw new Killed();
    store();
    this.states.push(this.#now.slice());
    this.committed.push(committed);
  }

  storeByte(at: number, value: number): void {
    this.#step(() => {
      this.#now[at] = value;
    });
  }

  storeWord(at: number, value: number, committed?: string): void {
    this.#step(() => {
      this.#words[at] = value;
    }, committed);
  }

  loadByte(at: number): number {
    return this.#now[at]!;
  }

  loadWord(at: number): number {
    return this.#words[at]!;
  }
}

/** Bytes as the class uses them, each load and store by itself. */
function bytesOf(load: (at: number) => number, memory?: Memory): Uint8Array {
  const part = (start: number, end: number): object =>
    new Proxy(
      {},
      {
        get: (_, key) => (key === "length" ? end - start : load(start + Number(key))),
      },
    );
  const own = {
    subarray: part,
    copyWithin: (to: number, from: number, end: number) => {
      for (let i = 0; i < end - from; i++) memory?.storeByte(to + i, load(from + i));
    },
  };
  return own as unknown as Uint8Array;
}

/** Words from one on, the same way. */
function wordsOf(load: (at: number) => number, start: number, memory?: Memory): Int32Array {
  const fill = (value: number, from = 0, end = 0) => {
    for (let i = from; i < end; i++) memory?.storeWord(start + i, value);
  };
  const get = (_: object, key: string | symbol) => (key === "fill" ? fill : load(start + Number(key)));
  return new Proxy({}, { get }) as unknown as Int32Array;
}

function preImageOn(memory: Memory, bytes: Uint8Array, marks: Int32Array): BlockPreImage {
  return new BlockPreImage({
    bytes,
    structBytes: memory.size,
    preImageOffset: memory.size,
    atomics: [],
    marks,
    blockBytes: BLOCK_BYTES,
    publish: (block, mark) => memory.storeWord((2 * memory.size) / 4 + block, mark),
  });
}

/** As src/record/record-content.ts does it. */
class Writer {
  readonly #memory: Memory;
  readonly #pre: BlockPreImage;
  readonly #fault: RealFault | undefined;

  constructor(memory: Memory, fault: RealFault | undefined) {
    const marks = wordsOf((at) => memory.loadWord(at), (2 * memory.size) / 4, memory);
    this.#memory = memory;
    this.#fault = fault;
    this.#pre = preImageOn(
      memory,
      bytesOf((at) => memory.loadByte(at), memory),
      marks,
    );
  }

  get #sequence(): number {
    return this.#memory.loadWord(this.#memory.sequenceAt);
  }

  #publish(sequence: number, committed?: string): void {
    this.#memory.storeWord(this.#memory.sequenceAt, sequence, committed);
  }

  repair(): void {
    const sequence = this.#sequence;
    if ((sequence & 1) === 0) return;
    this.#pre.restore(sequence);
    this.#publish((sequence | 1) + 1);
  }

  run({ stores, end }: RealOptions["sessions"][number], value: number): void {
    this.repair();
    const odd = this.#sequence + 1;
    this.#pre.prepare(odd);
    if (this.#fault !== "the sequence stays even") this.#publish(odd);
    this.#pre.open(odd);
    for (const block of stores) {
      const at = block * BLOCK_BYTES;
      if (this.#fault !== "a save is left out" || block !== stores.at(-1))
        this.#pre.willStore(at, BLOCK_BYTES);
      for (let i = 0; i < BLOCK_BYTES; i++) this.#memory.storeByte(at + i, value);
    }
    this.#pre.close();
    if (end === "roll back") this.#pre.restore(odd);
    const even = this.#fault === "the sequence stays even" ? this.#sequence : odd + 1;
    this.#publish(even, end === "commit" ? this.#memory.struct : undefined);
  }
}

/** The reader, once for each way to see the states. */
class Reader {
  readonly #memory: Memory;
  readonly #fault: RealFault | undefined;
  /** What was chosen at each load, and among how many. */
  readonly #choices: number[] = [];
  readonly #counts: number[] = [];
  #loads = 0;
  #at = 0;
  runs = 0;

  constructor(memory: Memory, fault: RealFault | undefined) {
    this.#memory = memory;
    this.#fault = fault;
  }

  /** Every interleaving. @returns what is wrong in the first that is */
  run(): string | undefined {
    do {
      const wrong = this.#once();
      if (wrong !== undefined) return wrong;
    } while (this.#next());
    return undefined;
  }

  #once(): string | undefined {
    this.runs++;
    this.#loads = this.#at = 0;
    const memory = this.#memory;
    const { size, sequenceAt } = memory;
    const bytes = bytesOf((at) => this.#see((state) => state[at]!));
    const word = (at: number) => this.#see((state) => new DataView(state.buffer).getInt32(4 * at, true));
    const pre = preImageOn(memory, bytes, wordsOf(word, (2 * size) / 4));
    const copy = (sequence: number): Uint8Array => {
      const target = new Uint8Array(size);
      if ((sequence & 1) === 0) target.set(bytes.subarray(0, size));
      else pre.copy(sequence, target, 0);
      return target;
    };
    let tries = 0;
    const result =
      this.#fault === "no second look"
        ? copy(word(sequenceAt))
        : // One try: another one is a reader that starts later.
          readConsistent(wordsOf(word, sequenceAt), 0, (sequence) =>
            tries++ === 0 ? copy(sequence) : new Uint8Array(),
          );
    if (result === undefined || result.length === 0 || tries > 1) return undefined;
    const committed = new Set(memory.committed.slice(0, this.#at + 1));
    if (committed.has(result.join(" "))) return undefined;
    return `copied ${result.join(" ")} while ${[...committed].join(" or ")} was committed`;
  }

  /** What a load sees. */
  #see(load: (state: Uint8Array) => number): number {
    const { states } = this.#memory;
    const values: number[] = [];
    const places: number[] = [];
    for (let i = this.#at; i < states.length; i++) {
      const value = load(states[i]!);
      if (values.includes(value)) continue;
      values.push(value);
      places.push(i);
    }
    const number = this.#loads++;
    if (number === this.#choices.length) {
      this.#choices.push(0);
      this.#counts.push(values.length);
    }
    const choice = this.#choices[number]!;
    this.#at = places[choice]!;
    return values[choice]!;
  }

  #next(): boolean {
    while (this.#choices.length > 0) {
      const last = this.#choices.length - 1;
      if (this.#choices[last]! + 1 < this.#counts[last]!) {
        this.#choices[last]!++;
        return true;
      }
      this.#choices.pop();
      this.#counts.pop();
    }
    return false;
  }
}

export interface RealResult {
  histories: number;
  readers: number;
  violation?: string;
}

/** Each session dies at each of its steps, or not at all; the next one repairs. After the last one there is a repair that may die, too. */
export function checkReal({ blocks, sessions, fault }: RealOptions): RealResult {
  const result: RealResult = { histories: 0, readers: 0 };
  const tryAll = (deaths: readonly number[]): void => {
    const memory = new Memory(blocks);
    let steps = 0;
    for (const [i, session] of [...sessions, undefined].entries()) {
      const before = memory.states.length;
      memory.left = deaths[i] ?? Number.POSITIVE_INFINITY;
      try {
        const writer = new Writer(memory, fault);
        if (session === undefined) writer.repair();
        else writer.run(session, i + 1);
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      }
      steps = memory.states.length - before;
      if (i === deaths.length) break;
    }
    const reader = new Reader(memory, fault);
    const violation = reader.run();
    result.histories++;
    result.readers += reader.runs;
    if (violation !== undefined) result.violation ??= `deaths at ${deaths.join(", ")}: ${violation}`;
    if (deaths.length > sessions.length) return;
    for (let death = 0; death < steps; death++)
      if (result.violation === undefined) tryAll([...deaths, death]);
    if (result.violation === undefined) tryAll([...deaths, Number.POSITIVE_INFINITY]);
  };
  tryAll([]);
  return result;
}
