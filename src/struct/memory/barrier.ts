import { isWeaklyOrdered } from "../layout/abi.ts";

/**
 * A barrier for the compiler, not the processor: JavaScriptCore hoists plain reads of shared memory out of loops
 * (`while (view.flag === 0);` would never end), and merges two of them in a row, unless a store to some typed array
 * comes before each. It must store something else each time: a store of what is there already is dropped first,
 * and the reads are merged then.
 */
export const barrierWord: Int32Array = new Int32Array(1);

/** The barrier as source text, for generated code that calls the word `B`. */
export const BARRIER_SOURCE = "B[0] = ~B[0]";

export function barrier(): void {
  barrierWord[0] = ~(barrierWord[0] as number);
}

// A browser page has shared memory only when it asked for it.
const Memory = typeof SharedArrayBuffer === "undefined" ? ArrayBuffer : SharedArrayBuffer;
const fenceWord = new Int32Array(new Memory(4));

/**
 * Keeps loads before it from being done after it, by the processor too. x86-64 never reorders loads; on arm64 a
 * store-release followed by a load-acquire of one word orders everything around them.
 */
export const loadFence: () => void = isWeaklyOrdered
  ? () => {
      Atomics.store(fenceWord, 0, 0);
      Atomics.load(fenceWord, 0);
    }
  : barrier;
