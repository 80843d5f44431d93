import { ShmError } from "./errors.ts";

/**
 * Loads a part of the library that is needed only now.
 * @param load requires its module
 * @throws ShmError `"NOT_LOADED"` when its file is gone, or no descriptor is left; a later call tries again
 */
export function loadPart<T>(load: () => T): T {
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
