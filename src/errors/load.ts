import { ShmError } from "./errors.ts";

/** Each takes some 100 bytes: more of the stack together than the evaluation of a module. */
const FRAMES_OF_LOADING = 4000;

/**
 * Loads a part of the library that is needed only now.
 * @param load requires its module
 * @throws ShmError `"NOT_LOADED"` when its file is gone, or no descriptor is left; RangeError where the stack is full; a later call
 *   tries again
 */
export function loadPart<T>(load: () => T): T {
  // A module whose evaluation has met the end of the stack has failed for ever, so there must be room for it before it begins.
  reserveStack(FRAMES_OF_LOADING);
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

/** @throws RangeError where the stack has no room for so many calls. No call is the last thing a frame does, or it would need no frame */
function reserveStack(frames: number): number {
  return frames === 0 ? 0 : 1 + reserveStack(frames - 1);
}
