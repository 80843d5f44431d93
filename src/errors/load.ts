import { ShmError } from "./errors.ts";

/** Calls of so many arguments: 300 KB of the stack together, more than the evaluation of a module takes. */
const FRAMES_OF_LOADING = 64;
const ARGUMENTS = Array<number>(600).fill(0) as unknown as [];

/**
 * Loads a part of the library that is needed only now.
 * @param load requires its module
 * @throws ShmError `"NOT_LOADED"` when its file is gone, or no descriptor is left; RangeError where the stack is full; a later call
 *   tries again
 */
export function loadPart<T>(load: () => T): T {
  // A module whose evaluation has met the end of the stack has failed for ever, so there must be room for it before it begins.
  framesLeft = FRAMES_OF_LOADING;
  reserveStack();
  try {
    return load();
  } catch (cause) {
    if (cause instanceof ShmError) throw cause;
    throw new ShmError(
      "NOT_LOADED",
      `a part of shmstruct cannot be loaded (${String(cause)}): its files must stay where they are as long as the program runs, and a descriptor must be free (ulimit -n)`,
      { cause },
    );
  }
}

let framesLeft = 0;

/**
 * Few calls of many arguments, as many calls would take a millisecond the first time. No call is the last thing a frame does, or it
 * would need no frame.
 * @throws RangeError where the stack has no room for them
 */
function reserveStack(): number {
  return framesLeft-- === 0 ? 0 : 1 + reserveStack.apply(undefined, ARGUMENTS);
}
