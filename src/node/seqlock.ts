/**
 * For Node.js in the place of src/sync/seqlock.ts: reads the file between two looks at its sequence, so that the copy is made
 * from bytes that stand still.
 */
import { fileOfWords } from "./segment-file.ts";

/** Tries before the caller should take the lock, under which the sequence stands still. */
export const MAX_TRIES = 100;

/** See src/sync/seqlock.ts. */
export function readConsistent<R, A>(
  words: Int32Array,
  index: number,
  copy: (sequence: number, argument: A) => R,
  argument?: A,
): R | undefined {
  const file = fileOfWords(words);
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (!file.takeInWhole()) continue;
    const result = file.standingStill(() => copy(words[index] as number, argument as A));
    if (result !== undefined) return result;
  }
  return undefined;
}
