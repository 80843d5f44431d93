/**
 * Runs code that works on shared words itself, one access at a time, in every interleaving of several threads with deaths before
 * each step. The code is compiled as it is: while it runs, `Int32Array`, `Float64Array` and `Atomics` are others, which
 * know the shared memory. A thread is stopped by an exception at its next access, and goes on by being run again from its start: the
 * accesses it has made before give what they gave then, and change nothing.
 *
 * All accesses are in one order (sequentially consistent); what other memory orders permit is checked in the models.
 */

/** What a thread's code does: `note` tells what it has achieved. */
export type Program = (memory: SteppedMemory, note: (event: Event) => void) => void;

/** An event, for the checks at the end. */
export interface Event {
  readonly what: string;
  readonly value: number;
  readonly by?: number;
  readonly count?: number;
}

export interface RealModel {
  readonly words: number;
  /** Words before each of whose accesses another thread may run; other accesses belong to the step before. */
  readonly isShared: (word: number) => boolean;
  /** Words whose values differ from run to run, such as times: they read as 0. */
  readonly isIgnored?: (word: number) => boolean;
  readonly initial: (words: Int32Array) => void;
  readonly threads: readonly Program[];
  readonly deaths: number;
  /** What a thread had that its death frees. */
  readonly onDeath: (words: Int32Array, thread: number) => void;
  /** At the end of an interleaving: what is wrong. `run` runs a program at once on what is there. */
  readonly check: (
    events: readonly (readonly Event[])[],
    deaths: number,
    run: (program: Program) => readonly Event[],
    words: Int32Array,
  ) => string | undefined;
  readonly fault?: AccessFault | undefined;
}

/** A fault to build in: swaps that store whatever is there. */
export type AccessFault = "swaps do not compare";

class Stopped extends Error {}
/** The access cannot be made now. */
class Blocked extends Error {}

/** The shared memory, as one thread sees it. */
export class SteppedMemory {
  readonly words: Int32Array;
  /** Of all accesses of the thread so far, what they gave. */
  readonly log: number[];
  readonly #model: RealModel;
  #at = 0;
  #stepsLeft: number;

  constructor(model: RealModel, words: Int32Array, log: readonly number[], steps: number) {
    this.#model = model;
    this.words = words;
    this.log = [...log];
    this.#stepsLeft = steps;
  }

  /** What the code under test takes for the bytes of a content. */
  get bytes(): Uint8Array {
    return { buffer: this, byteOffset: 0, byteLength: this.words.length * 4 } as unknown as Uint8Array;
  }

  load(word: number): number {
    return this.#access(word, () => this.words[word]!);
  }

  store(word: number, value: number): void {
    this.#access(word, () => {
      this.words[word] = value;
      return 0;
    });
  }

  swap(word: number, from: number, to: number): number {
    return this.#access(word, () => {
      const found = this.words[word]!;
      if (found === (from | 0)) this.words[word] = to;
      if (this.#model.fault !== "swaps do not compare") return found;
      this.words[word] = to;
      return from | 0;
    });
  }

  /** A kernel's lock: takes it, if it is free. */
  tryLock(word: number, self: number): boolean {
    return (
      this.#access(word, () => {
        if (this.words[word] !== 0) return 0;
        this.words[word] = self;
        return 1;
      }) === 1
    );
  }

  /** The same, and waits for it. */
  lock(word: number, self: number): void {
    this.#access(word, () => {
      if (this.words[word] !== 0) throw new Blocked();
      this.words[word] = self;
      return 1;
    });
  }

  #access(word: number, perform: () => number): number {
    if (this.#model.isIgnored?.(word)) return 0;
    const at = this.#at++;
    if (at < this.log.length) return this.log[at]!;
    if (this.#model.isShared(word) && this.#stepsLeft-- <= 0) throw new Stopped();
    const result = perform();
    this.log.push(result);
    return result;
  }
}

/** An array over stepped memory, with so many words for each element. */
function arrayOn(memory: SteppedMemory, wordsPerElement: number): object {
  const first = (key: string | symbol): number => Number(key) * wordsPerElement;
  return new Proxy(
    { memory },
    {
      get: (target, key) => (key === "memory" ? target.memory : memory.load(first(key))),
      set: (_, key, value: number) => {
        // Wide elements are only cleared.
        for (let i = 0; i < wordsPerElement; i++) memory.store(first(key) + i, value);
        return true;
      },
    },
  );
}

const memoryOf = (words: object): SteppedMemory => (words as { memory: SteppedMemory }).memory;

/** Runs `use` with arrays and atomics that know stepped memory. */
function withSteppedGlobals<R>(use: () => R): R {
  const { Int32Array: Words, Float64Array: Wide, Atomics: real } = globalThis;
  const arrays = <C extends typeof Int32Array | typeof Float64Array>(Real: C, wordsPerElement: number): C =>
    new Proxy(Real, {
      construct: (target, args: unknown[], newTarget) =>
        args[0] instanceof SteppedMemory
          ? arrayOn(args[0], wordsPerElement)
          : Reflect.construct(target, args, newTarget),
    });
  const isReal = (words: unknown): boolean => ArrayBuffer.isView(words);
  const atomics = Object.assign(Object.create(real) as typeof Atomics, {
    load: (words: Int32Array, i: number) => (isReal(words) ? real.load(words, i) : memoryOf(words).load(i)),
    store: (words: Int32Array, i: number, value: number) => {
      if (isReal(words)) return real.store(words, i, value);
      memoryOf(words).store(i, value);
      return value;
    },
    compareExchange: (words: Int32Array, i: number, from: number, to: number) =>
      isReal(words) ? real.compareExchange(words, i, from, to) : memoryOf(words).swap(i, from, to),
  });
  Object.assign(globalThis, {
    Int32Array: arrays(Words, 1),
    Float64Array: arrays(Wide, 2),
    Atomics: atomics,
  });
  try {
    return use();
  } finally {
    Object.assign(globalThis, { Int32Array: Words, Float64Array: Wide, Atomics: real });
  }
}

/** The words of a state as text, whose lookup is quicker than that of their numbers. */
function keyOf(words: Int32Array, threads: readonly Thread[]): string {
  let length = words.length;
  for (const { log } of threads) length += log.length + 2;
  const all = new Int32Array(length);
  all.set(words);
  let at = words.length;
  for (const { log, state } of threads) {
    all[at++] = log.length;
    all[at++] = state.charCodeAt(0);
    all.set(log, at);
    at += log.length;
  }
  return Buffer.from(all.buffer).toString("latin1");
}

interface Thread {
  readonly log: readonly number[];
  readonly events: readonly Event[];
  readonly state: "runs" | "over" | "dead";
}

/** Every interleaving. @returns the first that goes wrong, as the numbers of the threads that made its steps */
export function checkInterleavings(model: RealModel): { states: number; violation?: string } {
  return withSteppedGlobals(() => new Search(model).run());
}

class Search {
  readonly #model: RealModel;
  readonly #seen = new Set<string>();
  readonly #path: string[] = [];

  constructor(model: RealModel) {
    this.#model = model;
  }

  run(): { states: number; violation?: string } {
    const words = new Int32Array(this.#model.words);
    this.#model.initial(words);
    const threads = this.#model.threads.map((): Thread => ({ log: [], events: [], state: "runs" }));
    const violation = this.#visit(words, threads, 0);
    const states = this.#seen.size;
    return violation === undefined
      ? { states }
      : { states, violation: `${violation}: ${this.#path.join(" ")}` };
  }

  #visit(words: Int32Array, threads: readonly Thread[], deaths: number): string | undefined {
    const key = keyOf(words, threads);
    if (this.#seen.has(key)) return undefined;
    this.#seen.add(key);
    let hasMoved = false;
    for (const [i, thread] of threads.entries()) {
      if (thread.state !== "runs") continue;
      const moved = this.#step(words.slice(), i, thread);
      if (moved === undefined) continue;
      hasMoved = true;
      const violation = this.#descend(`${i}`, moved.words, threads.with(i, moved.thread), deaths);
      if (violation !== undefined) return violation;
      if (deaths === this.#model.deaths) continue;
      const rest = words.slice();
      this.#model.onDeath(rest, i);
      const dead: Thread = { ...thread, state: "dead" };
      const after = this.#descend(`${i}†`, rest, threads.with(i, dead), deaths + 1);
      if (after !== undefined) return after;
    }
    return hasMoved ? undefined : this.#checkEnd(words, threads, deaths);
  }

  #descend(step: string, words: Int32Array, threads: readonly Thread[], deaths: number): string | undefined {
    this.#path.push(step);
    const violation = this.#visit(words, threads, deaths);
    if (violation === undefined) this.#path.pop();
    return violation;
  }

  /** One access, and those that belong to it. Undefined: the thread has to wait. */
  #step(words: Int32Array, i: number, { log }: Thread): { words: Int32Array; thread: Thread } | undefined {
    const memory = new SteppedMemory(this.#model, words, log, 1);
    const events: Event[] = [];
    try {
      this.#model.threads[i]!(memory, (event) => events.push(event));
      return { words, thread: { log: memory.log, events, state: "over" } };
    } catch (error) {
      if (error instanceof Blocked) return undefined;
      if (!(error instanceof Stopped)) throw error;
      return { words, thread: { log: memory.log, events, state: "runs" } };
    }
  }

  #checkEnd(words: Int32Array, threads: readonly Thread[], deaths: number): string | undefined {
    if (threads.some(({ state }) => state === "runs")) return "threads wait for ever";
    const run = (program: Program): Event[] => {
      const events: Event[] = [];
      const memory = new SteppedMemory(this.#model, words, [], Number.POSITIVE_INFINITY);
      program(memory, (event) => events.push(event));
      return events;
    };
    return this.#model.check(
      threads.map(({ events }) => events),
      deaths,
      run,
      words,
    );
  }
}
