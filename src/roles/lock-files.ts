/** The lock files beside a data file: who may use the data must be able to lock it. */
import { fs } from "../builtin.ts";
import { FileMissingError } from "../errors.ts";
import { O_NONBLOCK, O_RDONLY } from "../libc/constants.ts";
import type { LockKind } from "../locks/file-lock.ts";
import { lockPagePath } from "../locks/lock-page.ts";
import { RwLock } from "../locks/rw-lock.ts";
import { closeFile, openFile } from "../memory/file.ts";
import { directoryOf, exists, makeDirectory } from "../memory/paths.ts";
import { statusOf } from "../memory/status.ts";
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
      `the lock file '${path}' does not exist: give the lockDir that the Manager of '${place.dataPath}' was given (default ./.fasteners in its working directory)`,
    );
  }
}

/** The same; what is missing is made, with exactly these permissions. */
export function makeLock(place: Place, kind: LockKind, mode: number): RwLock {
  const path = place.lockPath[kind];
  makeDirectory(directoryOf(path));
  const isNew = !exists(path);
  const lock = new RwLock({ path, kind, create: true, mode });
  if (isNew) permit(lock, mode);
  return lock;
}

/**
 * Gives the files of a lock these permissions, exactly: the umask has no say, as it has none on the data file.
 * @throws SystemError EPERM for somebody else's lock file that grants less than is wanted
 */
export function permit({ path, page }: RwLock, mode: number): void {
  permitFile(path, mode);
  if (page !== undefined) permitFile(lockPagePath(path), mode);
}

function permitFile(path: string, mode: number): void {
  const fd = openFile(path, O_RDONLY | O_NONBLOCK);
  try {
    const granted = statusOf(fd).mode & 0o777;
    if (granted !== mode) fs().fchmodSync(fd, mode);
  } catch (error) {
    // That others may lock what they may not read does no harm.
    if ((statusOf(fd).mode & mode) !== mode) throw error;
  } finally {
    closeFile(fd);
  }
}
