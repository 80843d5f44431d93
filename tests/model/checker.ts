/**
 * An exhaustive interleaving checker for protocols in shared memory.
 *
 * A thread is a list of named steps; a step makes at most one access to shared words and names the step that follows.
 * The checker visits every state that any interleaving can reach, breadth first, so a violation comes with a shortest
 * trace. Threads may die before each of their steps; the kernel then frees their locks, once their stores have arrived.
 *
 * Memory orders:
 *   "sc"    every store is visible at once, every load sees the newest value
 *   "tso"   x86-64: the stores of a thread become visible late, but in their order
 *   "weak"  arm64: stores become visible late and in any order that fences, releases and coherence (stores to one
 *           word stay in order) permit; a load may see any value that its word had since the thread's last load fence,
 *           as if it had been done that early
 */

export type MemoryOrder = "sc" | "tso" | "weak";

/** One step: what the thread does, and the name of the next step. Undefined: it cannot go on now. */
export type Step = (cpu: Cpu) => string | undefined;

export interface ThreadSpec {
  name: string;
  registers: number;
  /** The first one is where the thread starts. */
  steps: Record<string, Step>;
  /**
   * The words that may be loaded from a step on before the next load fence: only their old values are remembered for
   * the thread. Steps that are not named here: all words. The checker refuses sets that leave out what follows.
   */
  loads?: Record<string, readonly number[]>;
  /** Whether it may die. Default: true. */
  dies?: boolean;
  /** Whether a new thread starts in its place after its death. Default: true. */
  restarts?: boolean;
}

export interface Model {
  order: MemoryOrder;
  /** Shared words. */
  words: number;
  /** Words that only the checker knows: locks, counters, what has been acknowledged. Always exact. */
  ghosts: number;
  threads: readonly ThreadSpec[];
  /** How many deaths there may be in all. */
  deaths: number;
  initial?: (words: Uint16Array) => void;
  /** Called for each new state with the shared words and the ghosts behind them. */
  invariant?: (words: Uint16Array, cpus: Cpu) => string | undefined;
  /** Called for a state from which no thread can go on. */
  onDeadlock?: (words: Uint16Array) => string | undefined;
  /** Called once a dead thread's stores have arrived. */
  onGone?: (words: Uint16Array, thread: number) => void;
  /** Entries of a store buffer, fences included: a thread whose buffer is full waits. Default: 4. */
  bufferEntries?: number;
  maxStates?: number;
}

export interface Result {
  holds: boolean;
  states: number;
  transitions: number;
  violation?: string;
  trace: string[];
}

const DEAD = 0xffff;
const DYING = 0xfffe;
const GONE = 0xfffd;
const FENCE = 0x3fff;
const RELEASE = 0x4000;
const MAX_STALE = 30;
/** A step stores once and fences once at most. */
const ENTRIES_PER_STEP = 2;

class Violation extends Error {}

/** What a step works with: the state that it changes, seen from one thread. */
export class Cpu {
  readonly state: Uint16Array;
  readonly #model: Model;
  readonly #bases: number[] = [];
  /** By thread, step and word: whether the thread there may yet load an old value of the word. */
  readonly #watching: boolean[][][];
  #hasFenced = false;
  readonly #bufferEntries: number;
  readonly #bufferSlots: number;
  readonly #staleSlots: number;
  readonly width: number;
  #thread = 0;
  #base = 0;
  readonly #digits: number[] = [];
  readonly #limits: number[] = [];
  #position = 0;

  constructor(model: Model) {
    this.#model = model;
    this.#bufferEntries = model.bufferEntries ?? 4;
    this.#bufferSlots = model.order === "sc" ? 0 : 1 + 2 * this.#bufferEntries;
    this.#staleSlots = model.order === "weak" ? 1 + 2 * MAX_STALE : 0;
    let at = model.words + model.ghosts + 1;
    for (const { registers } of model.threads) {
      this.#bases.push(at);
      at += 1 + registers + this.#bufferSlots + this.#staleSlots;
    }
    this.width = at + (at & 1);
    this.state = new Uint16Array(this.width);
    this.#watching = model.threads.map(({ steps, loads }) =>
      Object.keys(steps).map((step) =>
        Array.from({ length: model.words }, (_, word) => loads?.[step]?.includes(word) ?? true),
      ),
    );
  }

  /** The running thread's number. */
  get thread(): number {
    return this.#thread;
  }

  get deaths(): number {
    return this.state[this.#model.words + this.#model.ghosts]!;
  }

  set deaths(count: number) {
    this.state[this.#model.words + this.#model.ghosts] = count;
  }

  /** @internal */
  select(thread: number): void {
    this.#thread = thread;
    this.#base = this.#bases[thread]!;
  }

  get pc(): number {
    return this.state[this.#base]!;
  }

  set pc(step: number) {
    this.state[this.#base] = step;
  }

  /** A private register of the thread. */
  get(register: number): number {
    return this.state[this.#base + 1 + register]!;
  }

  set(register: number, value: number): void {
    this.state[this.#base + 1 + register] = value;
  }

  clearRegisters(): void {
    this.state.fill(0, this.#base + 1, this.#base + 1 + this.#model.threads[this.#thread]!.registers);
  }

  /** What another thread has in a register, for invariants. */
  peek(thread: number, register: number): number {
    return this.state[this.#bases[thread]! + 1 + register]!;
  }

  /** Changes a register of another thread: for what only the checker knows of it. */
  poke(thread: number, register: number, value: number): void {
    this.state[this.#bases[thread]! + 1 + register] = value;
  }

  isAlive(thread: number): boolean {
    return this.state[this.#bases[thread]!]! < GONE;
  }

  ghost(index: number): number {
    return this.state[this.#model.words + index]!;
  }

  setGhost(index: number, value: number): void {
    this.state[this.#model.words + index] = value;
  }

  /** One of `count` possibilities: the checker takes them all. */
  choose(count: number): number {
    const at = this.#position++;
    if (at === this.#digits.length) {
      this.#digits.push(0);
      this.#limits.push(count);
    }
    return this.#digits[at]!;
  }

  /** @internal Begins with the first of all choices. */
  resetChoices(): void {
    this.#digits.length = this.#limits.length = this.#position = 0;
  }

  /** @internal */
  begin(): void {
    this.#hasFenced = false;
  }

  /** @internal Goes to the next combination of choices; false after the last. */
  nextChoices(): boolean {
    this.#position = 0;
    while (this.#digits.length > 0) {
      const last = this.#digits.length - 1;
      if (this.#digits[last]! + 1 < this.#limits[last]!) {
        this.#digits[last]!++;
        return true;
      }
      this.#digits.pop();
      this.#limits.pop();
    }
    return false;
  }

  fail(message: string): never {
    throw new Violation(message);
  }

  // ---- memory

  get #bufferAt(): number {
    return this.#base + 1 + this.#model.threads[this.#thread]!.registers;
  }

  get #staleAt(): number {
    return this.#bufferAt + this.#bufferSlots;
  }

  get isDrained(): boolean {
    return this.#bufferSlots === 0 || this.state[this.#bufferAt] === 0;
  }

  /** Whether all stores of all threads are visible. */
  get isAllDrained(): boolean {
    if (this.#bufferSlots === 0) return true;
    return this.#bases.every(
      (base, thread) => this.state[base + 1 + this.#model.threads[thread]!.registers] === 0,
    );
  }

  /** @internal Whether the next step's stores have room. */
  get hasRoom(): boolean {
    return this.#bufferSlots === 0 || this.state[this.#bufferAt]! + ENTRIES_PER_STEP <= this.#bufferEntries;
  }

  load(word: number): number {
    const own = this.#fromBuffer(word);
    if (own >= 0) return own;
    if (this.#staleSlots === 0) return this.state[word]!;
    if (!this.#watches(this.#thread, word)) throw new Error(`word ${word} is not among the step's loads`);
    return this.#loadPerhapsStale(word);
  }

  #watches(thread: number, word: number): boolean {
    const pc = this.state[this.#bases[thread]!]!;
    return pc < GONE && this.#watching[thread]![pc]![word]!;
  }

  /** @internal Goes on to a step, and forgets old values that it cannot see any more. */
  goTo(step: number): void {
    if (this.#staleSlots > 0) {
      const here = this.#watching[this.#thread]![this.pc]!;
      const there = this.#watching[this.#thread]![step]!;
      for (let word = 0; word < there.length; word++) {
        if (!there[word]) this.#forget(word, Number.POSITIVE_INFINITY);
        else if (!here[word] && !this.#hasFenced)
          throw new Error(`a step leaves out word ${word}, which is loaded later`);
      }
    }
    this.pc = step;
  }

  /** A load that no later load overtakes. */
  loadAcquire(word: number): number {
    const value = this.load(word);
    this.loadFence();
    return value;
  }

  store(word: number, value: number): void {
    this.#put(word, value, 0);
  }

  /** A store that becomes visible after all earlier ones. Later ones may overtake it. */
  storeRelease(word: number, value: number): void {
    this.#put(word, value, RELEASE);
  }

  /** Later stores become visible after earlier ones. */
  storeFence(): void {
    if (this.isDrained) return;
    this.#append(FENCE, 0);
  }

  /** Later loads are done after earlier ones. */
  loadFence(): void {
    this.#hasFenced = true;
    if (this.#staleSlots > 0) this.state.fill(0, this.#staleAt, this.#staleAt + this.#staleSlots);
  }

  /** Compare and swap. Undefined: cannot be done yet, as earlier stores are not visible. With `release: false` it does not wait for them. */
  cas(
    word: number,
    expected: number,
    value: number,
    { acquire = true, release = true } = {},
  ): boolean | undefined {
    if (release ? !this.isDrained : this.#fromBuffer(word) >= 0) return undefined;
    if (acquire) this.loadFence();
    if (this.state[word] !== expected) return false;
    this.#write(word, value);
    return true;
  }

  /** A kernel's lock, in a ghost. True when it is taken now. Taking and giving back are full fences. */
  tryLock(ghost: number): boolean {
    if (this.ghost(ghost) !== 0 || !this.isDrained) return false;
    this.setGhost(ghost, this.#thread + 1);
    this.loadFence();
    return true;
  }

  /** False: not yet, as there are stores that are not visible. */
  unlock(ghost: number): boolean {
    if (!this.isDrained) return false;
    this.setGhost(ghost, 0);
    return true;
  }

  /** @internal The words that the entries of the store buffer may now bring to memory: their indices. */
  drainable(): number[] {
    if (this.#bufferSlots === 0) return [];
    const at = this.#bufferAt;
    const count = this.state[at]!;
    const result: number[] = [];
    const seen: number[] = [];
    for (let i = 0; i < count; i++) {
      const tag = this.state[at + 1 + 2 * i]!;
      if (tag === FENCE) break;
      const word = tag & ~RELEASE;
      const isFirst =
        i === 0 || (this.#model.order === "weak" && (tag & RELEASE) === 0 && !seen.includes(word));
      if (isFirst) result.push(i);
      seen.push(word);
    }
    return result;
  }

  /** @internal */
  drain(index: number): number {
    const at = this.#bufferAt;
    const entry = at + 1 + 2 * index;
    const word = this.state[entry]! & ~RELEASE;
    const value = this.state[entry + 1]!;
    this.#remove(index);
    while (this.state[at]! > 0 && this.state[at + 1] === FENCE) this.#remove(0);
    this.#write(word, value);
    return word;
  }

  #remove(index: number): void {
    const at = this.#bufferAt;
    const count = this.state[at]!;
    const first = at + 1;
    this.state.copyWithin(first + 2 * index, first + 2 * index + 2, first + 2 * count);
    this.state[first + 2 * count - 2] = this.state[first + 2 * count - 1] = 0;
    this.state[at] = count - 1;
  }

  #fromBuffer(word: number): number {
    if (this.#bufferSlots === 0) return -1;
    const at = this.#bufferAt;
    for (let i = this.state[at]! - 1; i >= 0; i--) {
      if ((this.state[at + 1 + 2 * i]! & ~RELEASE) === word) return this.state[at + 2 + 2 * i]!;
    }
    return -1;
  }

  #put(word: number, value: number, flag: number): void {
    if (this.#bufferSlots === 0) this.state[word] = value;
    else this.#append(word | flag, value);
  }

  #append(tag: number, value: number): void {
    const at = this.#bufferAt;
    const count = this.state[at]!;
    if (count === this.#bufferEntries) throw new Error("a step stores and fences more than once");
    this.state[at + 1 + 2 * count] = tag;
    this.state[at + 2 + 2 * count] = value;
    this.state[at] = count + 1;
  }

  /** Brings a value to memory. The others may go on seeing the old one until their next load fence. */
  #write(word: number, value: number): void {
    const old = this.state[word]!;
    this.state[word] = value;
    if (this.#staleSlots === 0 || old === value) return;
    const self = this.#thread;
    for (let thread = 0; thread < this.#bases.length; thread++) {
      if (thread === self || !this.#watches(thread, word)) continue;
      this.select(thread);
      this.#remember(word, old);
    }
    this.select(self);
    this.#forget(word, Number.POSITIVE_INFINITY);
  }

  /** Kept in order of words, so that equal histories are equal states. */
  #remember(word: number, value: number): void {
    const at = this.#staleAt;
    const count = this.state[at]!;
    let i = count;
    while (i > 0 && this.state[at + 2 * i - 1]! > word) i--;
    if (i > 0 && this.state[at + 2 * i - 1] === word && this.state[at + 2 * i] === value) return;
    if (count === MAX_STALE) throw new Error("too many old values: raise MAX_STALE");
    const first = at + 1;
    this.state.copyWithin(first + 2 * i + 2, first + 2 * i, first + 2 * count);
    this.state[first + 2 * i] = word;
    this.state[first + 2 * i + 1] = value;
    this.state[at] = count + 1;
  }

  /** Removes the first `count` old values of a word. */
  #forget(word: number, count: number): void {
    const at = this.#staleAt;
    let left = count;
    for (let i = 0; i < this.state[at]! && left > 0; ) {
      if (this.state[at + 1 + 2 * i] !== word) {
        i++;
        continue;
      }
      const total = this.state[at]!;
      const first = at + 1;
      this.state.copyWithin(first + 2 * i, first + 2 * i + 2, first + 2 * total);
      this.state[first + 2 * total - 2] = this.state[first + 2 * total - 1] = 0;
      this.state[at] = total - 1;
      left--;
    }
  }

  #loadPerhapsStale(word: number): number {
    const at = this.#staleAt;
    const values: number[] = [];
    for (let i = 0; i < this.state[at]!; i++) {
      if (this.state[at + 1 + 2 * i] === word) values.push(this.state[at + 2 + 2 * i]!);
    }
    if (values.length === 0) return this.state[word]!;
    const choice = this.choose(values.length + 1);
    // Coherence: what was older than the value that is seen now is not seen any more.
    this.#forget(word, choice === values.length ? values.length : choice);
    return choice === values.length ? this.state[word]! : values[choice]!;
  }
}

/** All states that were seen, each once. */
class States {
  readonly #words: number;
  #table = new Int32Array(1 << 16).fill(-1);
  #arena: Uint32Array;
  #hashes = new Int32Array(1 << 15);
  parents = new Int32Array(1 << 15);
  count = 0;

  constructor(width: number) {
    this.#words = width / 2;
    this.#arena = new Uint32Array(this.#words << 15);
  }

  /** Adds a state, unless it is there. */
  add(state: Uint32Array, parent: number): boolean {
    if (this.count * 2 >= this.#table.length) this.#grow();
    const table = this.#table;
    const mask = table.length - 1;
    const hashed = hash(state);
    let at = hashed & mask;
    for (; table[at] !== -1; at = (at + 1) & mask) {
      const index = table[at]!;
      if (this.#hashes[index] === hashed && this.#isEqual(index, state)) return false;
    }
    if (this.count === this.parents.length) this.#enlarge();
    table[at] = this.count;
    this.#hashes[this.count] = hashed;
    copy(state, 0, this.#arena, this.count * this.#words, this.#words);
    this.parents[this.count++] = parent;
    return true;
  }

  read(index: number, into: Uint32Array): void {
    copy(this.#arena, index * this.#words, into, 0, this.#words);
  }

  #isEqual(index: number, state: Uint32Array): boolean {
    const arena = this.#arena;
    const at = index * this.#words;
    for (let i = 0; i < state.length; i++) if (arena[at + i] !== state[i]) return false;
    return true;
  }

  #enlarge(): void {
    const arena = new Uint32Array(this.#arena.length * 2);
    arena.set(this.#arena);
    this.#arena = arena;
    this.parents = doubled(this.parents);
    this.#hashes = doubled(this.#hashes);
  }

  #grow(): void {
    const table = new Int32Array(this.#table.length * 4).fill(-1);
    const mask = table.length - 1;
    for (let i = 0; i < this.count; i++) {
      let at = this.#hashes[i]! & mask;
      while (table[at] !== -1) at = (at + 1) & mask;
      table[at] = i;
    }
    this.#table = table;
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const twice = new Int32Array(array.length * 2);
  twice.set(array);
  return twice;
}

/** For as few words as a state has a call of `set` takes longer. */
function copy(from: Uint32Array, start: number, into: Uint32Array, at: number, count: number): void {
  for (let i = 0; i < count; i++) into[at + i] = from[start + i]!;
}

function hash(words: Uint32Array): number {
  let h = 0x9e3779b9 | 0;
  for (let i = 0; i < words.length; i++) {
    h = Math.imul(h ^ words[i]!, 0x85ebca6b);
    h ^= h >>> 15;
  }
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 13)) >>> 1;
}

class Exploration {
  readonly #model: Model;
  readonly #cpu: Cpu;
  readonly #words: Uint32Array;
  readonly #states: States;
  readonly #steps: { name: string; run: Step }[][];
  readonly #next: Map<string, number>[];
  readonly #before: Uint32Array;
  #transitions = 0;
  #isExploring = true;
  #violation: string | undefined;
  /** Called after each transition, with the thread and what it did. */
  #emit: (thread: number, what: string) => void;

  constructor(model: Model) {
    this.#model = model;
    this.#cpu = new Cpu(model);
    this.#words = new Uint32Array(this.#cpu.state.buffer);
    this.#before = new Uint32Array(this.#words.length);
    this.#states = new States(this.#cpu.width);
    this.#steps = model.threads.map(({ steps }) =>
      Object.entries(steps).map(([name, run]) => ({ name, run })),
    );
    this.#next = this.#steps.map((steps) => new Map(steps.map(({ name }, index) => [name, index])));
    this.#emit = () => {};
  }

  run(): Result {
    this.#model.initial?.(this.#cpu.state);
    this.#states.add(this.#words, -1);
    let parent = 0;
    this.#emit = () => {
      this.#transitions++;
      if (this.#states.add(this.#words, parent)) this.#checkInvariant();
    };
    const max = this.#model.maxStates ?? 4_000_000;
    try {
      for (; parent < this.#states.count; parent++) {
        if (parent > max) throw new Error(`more than ${max} states: lower the bounds`);
        this.#expand(parent);
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#violation = error.message;
    }
    const { count } = this.#states;
    const result = { states: count, transitions: this.#transitions };
    if (this.#violation === undefined) return { holds: true, ...result, trace: [] };
    return { holds: false, ...result, violation: this.#violation, trace: this.#trace(parent) };
  }

  #checkInvariant(): void {
    const message = this.#model.invariant?.(this.#cpu.state, this.#cpu);
    if (message !== undefined) throw new Violation(message);
  }

  /** All transitions from a state. */
  #expand(index: number): void {
    this.#states.read(index, this.#before);
    const before = this.#transitions;
    for (let thread = 0; thread < this.#model.threads.length; thread++) {
      this.#drains(thread);
      this.#restore(thread);
      const { pc } = this.#cpu;
      if (pc === DEAD) continue;
      if (pc === DYING) this.#bury(thread);
      else if (pc === GONE) this.#restart(thread);
      else {
        this.#die(thread);
        this.#step(thread, pc);
      }
    }
    if (this.#transitions === before && this.#isExploring) this.#deadlock();
  }

  #deadlock(): void {
    this.#words.set(this.#before);
    const message = this.#model.onDeadlock?.(this.#cpu.state);
    if (message !== undefined) throw new Violation(message);
  }

  #restore(thread: number): void {
    copy(this.#before, 0, this.#words, 0, this.#words.length);
    this.#cpu.select(thread);
  }

  #drains(thread: number): void {
    if (this.#model.order === "sc") return;
    this.#restore(thread);
    for (const index of this.#cpu.drainable()) {
      this.#restore(thread);
      const word = this.#cpu.drain(index);
      this.#emit(thread, this.#isExploring ? "" : `(word ${word} becomes visible)`);
    }
  }

  #die(thread: number): void {
    if (this.#model.threads[thread]!.dies === false || this.#cpu.deaths >= this.#model.deaths) return;
    this.#cpu.deaths++;
    this.#cpu.clearRegisters();
    this.#cpu.loadFence();
    this.#cpu.pc = DYING;
    this.#emit(thread, "DIES");
  }

  #bury(thread: number): void {
    if (!this.#cpu.isDrained) return;
    this.#model.onGone?.(this.#cpu.state, thread);
    this.#cpu.pc = this.#model.threads[thread]!.restarts === false ? DEAD : GONE;
    this.#emit(thread, "(is gone)");
  }

  #restart(thread: number): void {
    this.#cpu.pc = 0;
    this.#emit(thread, "(starts)");
  }

  #step(thread: number, pc: number): void {
    if (!this.#cpu.hasRoom) return;
    const { name, run } = this.#steps[thread]![pc]!;
    this.#cpu.resetChoices();
    do {
      this.#restore(thread);
      this.#cpu.begin();
      const next = run(this.#cpu);
      if (next === undefined) continue;
      const step = this.#next[thread]!.get(next);
      if (step === undefined) throw new Error(`step ${name} goes to ${next}, which does not exist`);
      this.#cpu.goTo(step);
      this.#emit(thread, name);
    } while (this.#cpu.nextChoices());
  }

  /** The way to a state, found again by expanding its ancestors. */
  #trace(last: number): string[] {
    const path: number[] = [];
    for (let index = last; index >= 0; index = this.#states.parents[index]!) path.unshift(index);
    const lines = path.slice(1).map((index, i) => this.#labelBetween(path[i]!, index));
    return [...lines, `VIOLATION: ${this.#violation}`];
  }

  #labelBetween(from: number, to: number): string {
    const target = new Uint32Array(this.#words.length);
    this.#states.read(to, target);
    let found = "?";
    this.#isExploring = false;
    this.#emit = (thread, what) => {
      if (found === "?" && target.every((word, i) => word === this.#words[i])) {
        const label = `${this.#model.threads[thread]!.name}: ${what}`;
        found = `${label.padEnd(36)} ${[...this.#cpu.state.subarray(0, this.#model.words)].join(" ")}`;
      }
    };
    try {
      this.#expand(from);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
    }
    return found;
  }
}

/** Visits all states of a model. */
export function check(model: Model): Result {
  return new Exploration(model).run();
}
