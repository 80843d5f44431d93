/** The lock files beside a data file: who may use the data must be able to lock it. */
import { FileMissingError } from "../errors/errors.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { makeLock as makeLockFiles } from "../sync/permit.ts";
import { RwLock } from "../sync/rw-lock.ts";
import { directoryOf, makeDirectory } from "../sys/paths.ts";
import type { Place } from "./options.ts";

/**
 * The lock that users of a file of that kind go by.
 * @throws FileMissingError, FileFormatError, SystemError
 */
export function openLock(place: Place, kind: LockKind): RwLock {
  const path = place.lockPath[kind];
  try {
    return new RwLock({ path, kind });
  } catch (error) {
    if (kind === "flock" || !(error instanceof FileMissingError)) throw error;
    throw new FileMissingError(
      path,
      `the lock file '${path}' does not exist: give the lockDir that the Manager of '${place.dataPath}' was given (default ./.fasteners in its working directory); if it was deleted there, make an empty one`,
    );
  }
}

/** The same; what is missing is made, with exactly these permissions. */
export function makeLock(place: Place, kind: LockKind, mode: number): RwLock {
  const path = place.lockPath[kind];
  makeDirectory(directoryOf(path));
  return makeLockFiles({ path, kind, mode });
}
