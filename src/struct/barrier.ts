/**
 * A barrier for the compiler, not the processor: JavaScriptCore hoists plain reads of shared memory out of loops
 * (`while (view.flag === 0);` would never end) unless a store to some typed array comes before each of them.
 */
export const barrierWord: Int32Array = new Int32Array(1);

export function barrier(): void {
  barrierWord[0] = 0;
}

const fenceWord = new Int32Array(new SharedArrayBuffer(4));

/**
 * Keeps loads before it from being done after it, by the processor too. x86-64 never reorders loads; on arm64 a
 * store-release followed by a load-acquire of one word orders everything around them.
 */
export const loadFence: () => void =
  process.arch === "arm64"
    ? () => {
        Atomics.store(fenceWord, 0, 0);
        Atomics.load(fenceWord, 0);
      }
    : barrier;
