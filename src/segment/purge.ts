/** Taking away what segments leave behind: lock files, pages and owners' files that no process uses. */
import { ShmError } from "../errors/errors.ts";
import { lockPagePath } from "../sync/lock-page.ts";
import { beginsAsPage, PAGE_BYTES } from "../sync/lock-page-format.ts";
import { RwLock } from "../sync/rw-lock.ts";
import { fs } from "../sys/builtin.ts";
import { sweepTemporaries, unlink } from "../sys/new-file.ts";
import { absolutePath, exists, throughFs } from "../sys/paths.ts";
import { isOurTemporary } from "./create.ts";
import { readNoteFile } from "./mirror-state.ts";
import { readPids } from "./owners.ts";
import { mirrorPath, ownersPath, type Place, placeOfPath, segmentOfSideFile } from "./place.ts";
import { readSideFile } from "./side-file.ts";

/**
 * Removes the lock files, lock pages and owners' files of a segment that is gone, what its mirror noted, and what killed creators left. A lock
 * that is held or waited for stays with all its files, and so does everything of a segment that is there. A process that
 * is just opening the lock finds out that its file is gone, and takes the one that is there then.
 * @returns the paths that were removed
 * @throws SystemError EACCES …
 */
export function purgeSegment({ dataPath, lockPath: locks }: Place): string[] {
  const removed: string[] = [];
  for (const lockPath of Object.values(locks)) {
    if (exists(lockPath)) removed.push(...purgeLock(lockPath, dataPath));
  }
  return removed;
}

/** With the lock held, so that no process can be between looking at the lock file and making the segment. */
function purgeLock(lockPath: string, dataPath: string): string[] {
  using lock = openUnused(lockPath);
  if (lock === undefined || exists(dataPath) || lock.isUnlinkedOrReplaced) return [];
  sweepTemporaries(dataPath, isOurTemporary);
  const notes = [mirrorPath(dataPath), ownersPath(dataPath)].filter(isOurNote);
  const files = [...notes, lockPagePath(lockPath), lockPath].filter(exists);
  for (const file of files) unlink(file);
  // Who waits on the page looks, and goes on with the lock that is there then.
  lock.page?.announceChange();
  return files;
}

/** What only has the name stays, as it may be another program's, and so does what this user may not read. */
const isOurNote = (path: string): boolean =>
  isKnown(path, () => (path.endsWith(".owners") ? readPids(path) : readNoteFile(path)) !== undefined);

function isKnown(path: string, recognise: (path: string) => boolean): boolean {
  try {
    return recognise(path);
  } catch (error) {
    if (error instanceof ShmError) return false;
    throw error;
  }
}

/** The lock, taken; undefined when it is in use, or none of ours. */
function openUnused(path: string): RwLock | undefined {
  const kind = path.endsWith(".lockfile") ? "fcntl" : "flock";
  if (!isOurLock(path)) return undefined;
  let lock: RwLock | undefined;
  try {
    lock = new RwLock({ path, kind });
    if (lock.tryAcquire("exclusive")) return lock;
  } catch (error) {
    if (!(error instanceof ShmError)) throw error;
  }
  lock?.close();
  return undefined;
}

/** Ours are empty, with a lock page beside them: an empty file alone may be any program's, flock(1)'s for instance. */
function isOurLock(path: string): boolean {
  const status = throughFs(() => fs().statSync(path, { throwIfNoEntry: false }));
  // Gone: another purge was faster.
  if (status === undefined || status.size > 0) return false;
  return isKnown(lockPagePath(path), (page) => beginsAsPage(readSideFile(page, PAGE_BYTES)));
}

/**
 * `remove({ purge: true })` for all that is left in a directory: see there. Segments that are there keep all their files.
 * @returns the paths that were removed
 * @throws SystemError ENOENT, EACCES …
 * @example purgeSegments("./.mmap");
 */
export function purgeSegments(directory = "./.mmap"): string[] {
  const names = throughFs(() => fs().readdirSync(directory));
  const segments = new Set(names.map(segmentOfSideFile).filter((name) => name !== undefined));
  return [...segments].flatMap((name) => purgeSegment(placeOfPath(absolutePath(directory, name))));
}
