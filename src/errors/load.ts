import { ShmError } from "./errors.ts";

/** Calls of so many arguments: 300 KB of the stack together, more than the evaluation of a module takes. */
const FRAMES_OF_LOADING = 64;
const ARGUMENTS = Array<number>(600).fill(0) as unknown as [];

/**
 * Loads a part of the library that is needed only now. Where no descriptor is left to read it with, the one in reserve is given up
 * for that.
 * @param load requires its module
 * @throws ShmError `"NOT_LOADED"` when its file is gone, or no descriptor is left and none in reserve; RangeError where the stack is
 *   full; a later call tries again
 */
export function loadPart<T>(load: () => T): T {
  // A module whose evaluation has met the end of the stack has failed for ever, so there must be room for it before it begins.
  framesLeft = FRAMES_OF_LOADING;
  reserveStack();
  try {
    return load();
  } catch (cause) {
    return loadWithSpare(load, cause);
  }
}

/** A descriptor that is kept for the time when no other is left. */
export interface Spare {
  /** False when none is left. */
  giveUp(): boolean;
  takeBack(): void;
}

let spare: Spare | undefined;

/** For a higher layer, which knows descriptors. */
export function provideSpare(provided: Spare): void {
  spare = provided;
}

function loadWithSpare<T>(load: () => T, cause: unknown): T {
  if (!/\bE[MN]FILE\b/.test(String(cause)) || spare?.giveUp() !== true) throw notLoaded(cause);
  try {
    return load();
  } catch (again) {
    throw notLoaded(again);
  } finally {
    spare.takeBack();
  }
}

function notLoaded(cause: unknown): unknown {
  if (cause instanceof ShmError) return cause;
  return new ShmError(
    "NOT_LOADED",
    `a part of shmstruct cannot be loaded (${String(cause)}): its files must stay where they are as long as the program runs, and a descriptor must be free (ulimit -n)`,
    { cause },
  );
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
