/**
 * Reading without a lock what a writer may be changing: the one loop over a sequence word in the library.
 *
 *     read the sequence -> copy -> read the sequence again: the copy is whole when both are equal
 *
 * An even sequence means that no writer is at work; an odd one that a writer is, or died at it. `copy` learns the
 * sequence and copies what is committed then, for instance the pre-image while it is odd.
 */
import { barrier, loadFence } from "../struct/memory/barrier.ts";

/** Tries before the caller should take the lock, under which the sequence stands still. */
export const MAX_TRIES = 100;

/**
 * Calls `copy` until it ran without a change of the sequence word meanwhile, and returns what it returned.
 *
 * `copy` may read torn bytes: it only moves them into private memory, and nothing it read is looked at before this
 * function returns. It must not return `undefined` for a success; `undefined` from `copy` counts as a failed try, for
 * content that cannot be copied at that sequence.
 * @param words the mapped memory that holds the sequence; may be read-only
 * @param index which of `words` is the sequence
 * @param copy called with the sequence and `argument`; keep one function and pass what differs as `argument`, as a new
 *   closure at each call costs more than a small copy
 * @returns `undefined` after 100 tries, when writers are too busy or the word is damaged: take the lock and read then
 * @example
 * const copyTo = (sequence: number, target: Uint8Array): true => {
 *   target.set((sequence & 1) === 0 ? live : preImage);
 *   return true;
 * };
 * if (readConsistent(words, SEQUENCE, copyTo, target) === undefined) copyUnderLock(target);
 */
export function readConsistent<R>(
  words: Int32Array,
  index: number,
  copy: (sequence: number) => R,
): R | undefined;
export function readConsistent<R, A>(
  words: Int32Array,
  index: number,
  copy: (sequence: number, argument: A) => R,
  argument: A,
): R | undefined;
export function readConsistent<R, A>(
  words: Int32Array,
  index: number,
  copy: (sequence: number, argument: A) => R,
  argument?: A,
): R | undefined {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    // Without the barriers the compiler would merge the two reads of the word.
    barrier();
    const sequence = words[index] as number;
    loadFence();
    const result = copy(sequence, argument as A);
    loadFence();
    barrier();
    if (result !== undefined && words[index] === sequence) return result;
  }
  return undefined;
}
