/** Gives `Atomic.wait` and `notify` the kernel: imported for its effect by the main module. */

import { loadPart } from "../errors/load.ts";
import { provideFutex } from "../struct/view/atomic.ts";

type Futex = typeof import("./libc/futex.ts");
let loaded: Futex | undefined;

/** Loaded by the first wait or wake, with the tables of libc. */
function futex(): Futex {
  loaded ??= loadPart(() => require("./libc/futex.ts") as Futex);
  return loaded;
}

/** The kernel looks at the four bytes only; which kind of array stands for them is all the same to it. */
const asInt32 = (words: Int32Array | Uint32Array): Int32Array =>
  words instanceof Int32Array ? words : new Int32Array(words.buffer, words.byteOffset, words.length);

provideFutex({
  wait(words, index, expected, timeoutMs = Infinity) {
    const result = futex().futexWait(asInt32(words), index, expected, timeoutMs);
    // A signal woke us: callers look at the value again, whatever woke them.
    return result === "interrupted" ? "ok" : result;
  },
  wake: (words, index, count) => futex().futexWake(asInt32(words), index, count),
});
