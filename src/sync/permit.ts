/** Lock files with the permissions of what they protect: who may use the data must be able to lock it. */
import { fs } from "../sys/builtin.ts";
import { closeFile, openFile } from "../sys/file.ts";
import { O_NONBLOCK, O_RDONLY } from "../sys/libc/constants.ts";
import { exists, throughFs } from "../sys/paths.ts";
import { unless } from "../sys/shared-memory-file.ts";
import { statusAt, statusOf } from "../sys/status.ts";
import { lockPagePath } from "./lock-page.ts";
import { RwLock, type RwLockOptions } from "./rw-lock.ts";

/**
 * The lock; its files, where they are missing, are made with exactly these permissions.
 * @throws FileMissingError; FileFormatError for a FIFO or a device; UntrustedFileError; SystemError; UnsupportedError
 *   outside Linux
 * @example using lock = makeLock({ path: "data.lock", mode: 0o664 });
 */
export function makeLock(options: RwLockOptions & { mode: number }): RwLock {
  const isNew = !exists(options.path);
  const lock = new RwLock({ ...options, create: true });
  try {
    if (isNew) permit(lock, options.mode);
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/**
 * Gives the files of a lock these permissions, exactly: the umask has no say, as it has none on the data file.
 * @throws SystemError EPERM for another user's lock file that grants less than is wanted
 */
export function permit({ path, page }: RwLock, mode: number): void {
  // Ours are empty: what has content is another program's, though its name serves as a lock.
  if (statusAt(path)?.byteLength === 0) permitFile(path, mode);
  if (page !== undefined) permitFile(lockPagePath(path), mode);
}

function permitFile(path: string, mode: number): void {
  const fd = unless("ENOENT", () => openFile(path, O_RDONLY | O_NONBLOCK));
  // Purged meanwhile: the lock finds that out.
  if (fd === undefined) return;
  try {
    const granted = statusOf(fd).mode & 0o777;
    if (granted !== mode) throughFs(() => fs().fchmodSync(fd, mode), path);
  } catch (error) {
    // That others may lock what they may not read does no harm.
    if ((statusOf(fd).mode & mode) !== mode) throw error;
  } finally {
    closeFile(fd);
  }
}
