/**
 * Integers that processes change without a lock. The operations are JavaScript's `Atomics` on the shared bytes,
 * which are truly atomic between processes; on a read-only map loads are plain aligned loads behind a compiler
 * barrier, because `Atomics` on PROT_READ memory kills the process once compiled.
 */
import { checkOptions } from "../../errors/check-options.ts";
import { show } from "../../errors/show.ts";
import type { AtomicType } from "../declare/composite.ts";
import { type ConvertedType, type Inline, type IntegerArray, typedArrays } from "../declare/types.ts";
import { barrier } from "../memory/barrier.ts";
import { READ_ONLY, type Region } from "../memory/memory.ts";
import { at, outOfRange, readOnlyHere } from "../validation-error.ts";
import { elementPath, type Owner } from "./arrays.ts";

type IntegerAccessor = Exclude<Inline["accessor"], "Float32" | "Float64">;
type Operation = "store" | "add" | "sub" | "and" | "or" | "xor" | "exchange";
type Stored = number | bigint;
type AtomicsOn = Record<Operation, (array: IntegerArray, index: number, value: Stored) => Stored> & {
  load(array: IntegerArray, index: number): Stored;
  compareExchange(array: IntegerArray, index: number, expected: Stored, replacement: Stored): Stored;
};

/**
 * How a thread sleeps on a 32-bit word until another process wakes it; provided by the room that knows the kernel.
 */
export interface FutexBackend {
  wait(
    words: Int32Array | Uint32Array,
    index: number,
    expected: number,
    timeoutMs: number | undefined,
  ): "ok" | "not-equal" | "timed-out";
  wake(words: Int32Array | Uint32Array, index: number, count: number): number;
}

/** What the kernel takes for all of them. */
const MAX_SLEEPERS = 0x7fffffff;

let futex: FutexBackend | undefined;

/** Called once by the room that makes system calls; this one makes none. */
export function provideFutex(backend: FutexBackend): void {
  futex = backend;
}

let refuseStore: ((memory: ArrayBufferLike) => void) | undefined;

/**
 * Called once by a room whose memory may be a copy of a file: a store to an atomic in it would reach no other process.
 * @param refuse throws for such memory
 */
export function provideStoreGuard(refuse: (memory: ArrayBufferLike) => void): void {
  refuseStore = refuse;
}

const guards = new WeakMap<ArrayBufferLike, () => void>();

/** How often, in milliseconds, a sleeper looks whether the memory it sleeps in is still the one that others use. */
const LOOK_EVERY_MS = 100;

/**
 * Lets sleepers find out that no one will wake them any more.
 * @param check throws once others have left the memory
 */
export function guardSleepers(buffer: ArrayBufferLike, check: () => void): void {
  guards.set(buffer, check);
}

/** `Atomics` takes any integer array with operands of its kind; the constructor pairs them. */
const atomics = () => Atomics as unknown as AtomicsOn;

/**
 * One atomic value in shared memory, handed out by a field of type `atomic(…)`: a boolean, a member of an enum, or (an
 * `Atomic`) a number. All operations are sequentially consistent; `exchange` and `compareExchange` return the *old*
 * value, `store` the stored one. On a Reader's memory only `load` and `wait` work.
 * @throws TypeError from all of them once the memory is unmapped; from all that store, on a Reader's memory and for
 * an operand of another kind; RangeError for an operand that the type cannot hold
 * @example if (!data.ready.load()) data.ready.store(true);
 */
export class AtomicValue<T> {
  readonly #words: IntegerArray;
  readonly #type: AtomicType<T>;
  readonly #readOnly: boolean;

  readonly #owner: Owner;
  readonly #element: number;

  /**
   * @internal A field of type `atomic(…)` makes them.
   * @param owner the member it is, or the array whose `element` it is; for messages
   * @throws RangeError for memory that is not aligned to the integer's size
   */
  constructor(region: Region, byteOffset: number, type: AtomicType<T>, owner: Owner = "", element = 0) {
    const address = region.byteOffset + byteOffset;
    const { size, inline } = type.integer;
    if (address % size !== 0) {
      throw new RangeError(
        `an atomic must be aligned to its ${size} bytes; this one is at ${address} of its buffer`,
      );
    }
    const TypedArray = typedArrays[inline.accessor as IntegerAccessor];
    this.#words = new TypedArray(region.buffer as ArrayBuffer, address, 1);
    this.#type = type;
    this.#owner = owner;
    this.#element = element;
    this.#readOnly = (region.traits & READ_ONLY) !== 0;
  }

  /** The value now. @throws TypeError once the memory is unmapped @example data.counter.load() */
  load(): T {
    if (!this.#readOnly) return this.#type.decode(atomics().load(this.#words, 0));
    barrier();
    const value = this.#words[0];
    if (value === undefined) throw unmapped();
    return this.#type.decode(value);
  }

  /**
   * Replaces the value; returns `value`.
   * @throws TypeError on a Reader's memory, unmapped or for another kind of value, RangeError if it does not fit
   * @example data.counter.store(0)
   */
  store(value: T): T {
    this.change("store", value);
    return value;
  }

  /**
   * Replaces the value; returns the one before.
   * @throws TypeError on a Reader's memory, unmapped or for another kind of value, RangeError if it does not fit
   * @example data.counter.exchange(0)
   */
  exchange(value: T): T {
    return this.change("exchange", value);
  }

  /**
   * Stores `replacement` if the value is `expected`; returns the value before either way.
   * @throws TypeError on a Reader's memory, unmapped or for another kind of value, RangeError if it does not fit
   * @example if (data.owner.compareExchange(0, process.pid) === 0) takeOver();
   */
  compareExchange(expected: T, replacement: T): T {
    const wanted = this.#operand("compareExchange", expected);
    const given = this.#operand("compareExchange", replacement);
    return this.#type.decode(atomics().compareExchange(this.#words, 0, wanted, given));
  }

  /**
   * Sleeps until another process or thread calls `notify`, if the value still is `expected`. Only for 32-bit
   * integers. It blocks this thread; callers look at the value again, as with any futex (futex(2)).
   * @param options.timeoutMs at most this long, in milliseconds; for ever when left out
   * @returns `"ok"` when woken (by a signal, too), `"not-equal"` when the value was another one, `"timed-out"`
   * @throws TypeError for an atomic of another width, an option there is not, another kind of value and once the
   * memory is unmapped; RangeError for a timeout that is no time and a value that the type cannot hold
   * @throws SupersededError within some 100 ms when the file was replaced: take the atomic from `live` again
   * @example while (data.ready.load() === 0) data.ready.wait(0, { timeoutMs: 1000 });
   */
  wait(expected: T, options: { timeoutMs?: number | undefined } = {}): "ok" | "not-equal" | "timed-out" {
    checkOptions(this.#place("wait"), options, { timeoutMs: "number" });
    const { timeoutMs } = options;
    const words = this.#futexWords("wait");
    const wanted = this.#checked("wait", expected) as number;
    if (timeoutMs !== undefined && !(timeoutMs >= 0)) {
      throw at(this.#place("wait"), outOfRange("a timeoutMs of 0 or more milliseconds", timeoutMs));
    }
    const guard = guards.get(words.buffer);
    return guard === undefined
      ? kernel().wait(words, 0, wanted, timeoutMs)
      : sleepGuarded({ words, wanted, timeoutMs, guard });
  }

  /**
   * Wakes up to `count` sleepers in any process (all when left out); returns how many.
   * @throws TypeError for an atomic of another width, on a Reader's memory and once it is unmapped, RangeError for a
   * count that is not one
   * @example data.ready.store(1); data.ready.notify();
   */
  notify(count: number = MAX_SLEEPERS): number {
    const words = this.#futexWords("notify");
    this.#mayWrite();
    if (!Number.isInteger(count) || count < 0)
      throw at(this.#place("notify"), outOfRange("a whole number from 0 on", count));
    return kernel().wake(words, 0, Math.min(count, MAX_SLEEPERS));
  }

  /**
   * The value as `load()` gives it: sums and `<` use it, where `toString` would have them compare text.
   * @throws TypeError once the memory is unmapped
   * @example data.done > data.wanted
   */
  valueOf(): T {
    return this.load();
  }

  /**
   * The value as text, so that templates read well.
   * @throws TypeError once the memory is unmapped
   * @example `${data.counter}`
   */
  toString(): string {
    return String(this.load());
  }

  /**
   * The value for JSON, a 64-bit one as a string.
   * @throws TypeError once the memory is unmapped
   * @example JSON.stringify(data.counter)
   */
  toJSON(): number | string | boolean {
    const value: unknown = this.load();
    return typeof value === "bigint" ? value.toString() : (value as number | boolean);
  }

  /**
   * What console.log shows. Throws nothing, even when the memory is gone.
   * @example console.log(data.counter)   // Atomic(3)
   */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    if (this.#words.length === 0) return "Atomic(unmapped)";
    let value: T;
    try {
      value = this.load();
    } catch (error) {
      return `Atomic([${(error as Error).message}])`;
    }
    const { labels } = this.#type.declared as Partial<ConvertedType<T>>;
    const label = labels?.get(value);
    return `Atomic(${label === undefined ? show(value) : `${label} (${show(value)})`})`;
  }

  /** @internal Does one of `Atomics`' operations. */
  protected change(operation: Operation, value: T): T {
    const operand = this.#operand(operation, value);
    return this.#type.decode(atomics()[operation](this.#words, 0, operand));
  }

  #operand(operation: string, value: T): number | bigint {
    this.#mayWrite();
    return this.#checked(operation, value);
  }

  #mayWrite(): void {
    if (this.#readOnly) throw readOnlyHere(elementPath(this.#owner, this.#element));
    refuseStore?.(this.#words.buffer);
  }

  #checked(operation: string, value: T): number | bigint {
    try {
      return this.#type.check(value);
    } catch (error) {
      throw at(this.#place(operation), error);
    }
  }

  #place(operation: string): string {
    return `${elementPath(this.#owner, this.#element)}.${operation}`;
  }

  #futexWords(operation: string): Int32Array | Uint32Array {
    const words = this.#words;
    if (words.length === 0) throw unmapped();
    if (words instanceof Int32Array || words instanceof Uint32Array) return words;
    throw new TypeError(
      `${this.#place(operation)} needs a 32-bit atomic (c_int32 or c_uint32), this is a ${this.#type.declared.name}`,
    );
  }
}

interface GuardedSleep {
  readonly words: Int32Array | Uint32Array;
  readonly wanted: number;
  readonly timeoutMs: number | undefined;
  readonly guard: () => void;
}

/** Sleeps for a while at a time: the wake that belongs to a replacement may come before the sleep. */
function sleepGuarded({ words, wanted, timeoutMs = Infinity, guard }: GuardedSleep) {
  const end = performance.now() + timeoutMs;
  let left = timeoutMs;
  for (;;) {
    guard();
    const sleepMs = Math.max(0, Math.min(left, LOOK_EVERY_MS));
    const result = kernel().wait(words, 0, wanted, sleepMs);
    if (result !== "timed-out" || left <= LOOK_EVERY_MS) return result;
    // Fake timers of a test runner stop the clock, but not the sleeps.
    left = Math.min(left - sleepMs, end - performance.now());
  }
}

/**
 * One atomic number in shared memory, handed out by a field of type `atomic(…)`. `add`, `sub`, `and`, `or` and `xor`
 * return the value before, as `Atomics` does. Results wrap around as C's do; operands are checked.
 * @throws TypeError from all of them once the memory is unmapped; from all that store, on a Reader's memory and for
 * an operand of another kind; RangeError for an operand that the type cannot hold
 * @example editor.live.counter.add(1)
 */
export class Atomic<T extends number | bigint> extends AtomicValue<T> {
  /**
   * Adds; returns the value before.
   * @throws TypeError on a Reader's memory, unmapped or for another kind of value, RangeError if it does not fit
   * @example data.counter.add(1)
   */
  add(value: T): T {
    return this.change("add", value);
  }

  /**
   * Subtracts; returns the value before.
   * @throws TypeError on a Reader's memory, unmapped or for another kind of value, RangeError if it does not fit
   * @example data.counter.sub(1)
   */
  sub(value: T): T {
    return this.change("sub", value);
  }

  /**
   * Bitwise and; returns the value before.
   * @throws TypeError on a Reader's memory, unmapped or for another kind of value, RangeError if it does not fit
   * @example data.flags.and(0b1110)
   */
  and(value: T): T {
    return this.change("and", value);
  }

  /**
   * Bitwise or; returns the value before.
   * @throws TypeError on a Reader's memory, unmapped or for another kind of value, RangeError if it does not fit
   * @example data.flags.or(0b0001)
   */
  or(value: T): T {
    return this.change("or", value);
  }

  /**
   * Bitwise exclusive or; returns the value before.
   * @throws TypeError on a Reader's memory, unmapped or for another kind of value, RangeError if it does not fit
   * @example data.flags.xor(0b0001)
   */
  xor(value: T): T {
    return this.change("xor", value);
  }
}

const unmapped = () => new TypeError("the memory of this atomic was unmapped");

function kernel(): FutexBackend {
  if (futex === undefined)
    throw new TypeError("waiting needs the kernel: import atomics from the main module");
  return futex;
}
