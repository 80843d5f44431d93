/** Making, replacing and removing data files: always whole, always under the writer lock. */
import { FileFormatError } from "../errors/errors.ts";
import { HEADER_CODE } from "../struct/declare/header.ts";
import type { Layout } from "../struct/layout/layout.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { permit } from "../sync/permit.ts";
import type { RwLock } from "../sync/rw-lock.ts";
import { checkMode } from "../sys/arguments.ts";
import { cstring, lastErrno, systemError } from "../sys/libc/call.ts";
import { E } from "../sys/libc/constants.ts";
import { libc } from "../sys/libc/symbols.ts";
import { MAX_MAPPING_BYTES } from "../sys/mapping.ts";
import { makeWhole, rename, unlink } from "../sys/new-file.ts";
import { directoryOf, exists, makeDirectory } from "../sys/paths.ts";
import { DataFile, retireDamaged } from "./data-file.ts";
import { planFile, writeFormat } from "./file-format.ts";
import { makeLock } from "./lock-files.ts";
import type { ManagerOptions, Place } from "./options.ts";

/** Makes the file if there is none, or anew when forced. */
export function createFile(layout: Layout, place: Place, options: ManagerOptions): void {
  checkOptions(options);
  if (!options.force && exists(place.dataPath)) return;
  makeDirectory(directoryOf(place.dataPath));
  while (!tryCreate(layout, place, options));
}

/** False when a file with a kind of lock that we do not hold has appeared meanwhile. */
function tryCreate(layout: Layout, place: Place, options: ManagerOptions): boolean {
  const { lock: kind = "flock", force = false, mode = 0o600 } = options;
  const path = place.dataPath;
  const kinds = new Set([kind, ...kindsInUse(place)]);
  using locks = new ExclusiveLocks(place, kinds, mode);
  // Only now is it certain what there is: another creator may have been faster.
  const replaces = exists(path);
  if (replaces && !force) return true;
  using old = replaces ? openOld(place) : undefined;
  if (old !== undefined && !kinds.has(old.lockKind)) return false;
  locks.permit(kind, mode);
  const fresh = makeNew(layout, place, options);
  if (old !== undefined) old.setRetired(true);
  else if (replaces) retireDamaged(path);
  if (!publish(fresh, path, replaces)) return false;
  locks.announce();
  return true;
}

/** The locks that the users of the file go by which is there; if it is damaged, that cannot be known. */
function kindsInUse(place: Place): readonly LockKind[] {
  if (!exists(place.dataPath)) return [];
  using old = openOld(place);
  return old === undefined ? ["flock", "fcntl"] : [old.lockKind];
}

/** All the locks that users of the old and of the new file go by, taken in one order. */
class ExclusiveLocks implements Disposable {
  readonly #locks: RwLock[] = [];

  constructor(place: Place, kinds: ReadonlySet<LockKind>, mode: number) {
    try {
      for (const kind of [...kinds].sort()) {
        const lock = makeLock(place, kind, mode);
        this.#locks.push(lock);
        lock.acquire("exclusive");
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Gives the lock files of a kind these permissions. @throws SystemError EPERM for somebody else's */
  permit(kind: LockKind, mode: number): void {
    for (const lock of this.#locks) if (lock.kind === kind) permit(lock, mode);
  }

  /** Wakes those who wait for changes: there is another file now. */
  announce(): void {
    for (const lock of this.#locks) lock.page?.announceChange();
  }

  [Symbol.dispose](): void {
    for (const lock of this.#locks) lock.close();
  }
}

/**
 * Removes the file; those who have it open find out at their next lock. The lock file stays, as others may hold it open.
 * @throws FileFormatError when by now something is there that is none of ours; SystemError
 */
export function removeFile(file: DataFile, place: Place): void {
  openOld(place)?.close();
  // A file that was cut short is removed without a lock: another Manager may have been faster.
  if (file.isDisplaced)
    throw new FileFormatError(file.path, `'${file.path}' is another file by now, and is not removed`);
  const { isWhole } = file;
  if (isWhole) file.setRetired(true);
  try {
    unlink(file.path);
  } catch (error) {
    // It is still the one: marked, it would be looked for at every use.
    if (isWhole) file.setRetired(false);
    throw error;
  }
}

function checkOptions({ lock = "flock", transactional, mode }: ManagerOptions): void {
  if (lock !== "flock" && lock !== "fcntl")
    throw new TypeError(`lock must be "flock" or "fcntl", got ${JSON.stringify(lock)}`);
  if (lock === "fcntl" && transactional) {
    throw new TypeError(
      'transactional: true needs lock: "flock": an undo by the next writer could destroy what a Python peer wrote',
    );
  }
  checkMode(mode);
}

/**
 * The file that is to be replaced, to tell its users. Undefined when it is ours but damaged: nobody can open it.
 * @throws FileFormatError for what is no file of ours, which nobody asked us to destroy; SystemError
 */
function openOld(place: Place): DataFile | undefined {
  try {
    return DataFile.open(place, undefined, "write");
  } catch (error) {
    if (error instanceof FileFormatError && error.isOurs) return undefined;
    throw error;
  }
}

/** The whole new file, under another name in the same directory. */
function makeNew(
  layout: Layout,
  place: Place,
  { lock = "flock", transactional = lock === "flock", mode = 0o600 }: ManagerOptions,
): string {
  const { format, schema } = planFile(layout, lock, transactional);
  if (format.fileBytes > MAX_MAPPING_BYTES) {
    throw new RangeError(
      `a file for ${layout.name} takes ${format.fileBytes} bytes, and one mapping holds at most 4 GiB; transactional: false saves ${layout.size}`,
    );
  }
  // A name per kind of lock: we hold only the lock of ours against other makers.
  return makeWhole(`${place.dataPath}.new-${lock}`, {
    byteLength: format.fileBytes,
    mode,
    fill(bytes) {
      new DataView(bytes.buffer).setInt16(0, HEADER_CODE, true);
      writeFormat(bytes, format, schema);
    },
  });
}

/**
 * Gives the new file its name. Where nothing was it does not replace what has appeared meanwhile: a creator with
 * another kind of lock is not kept out by ours.
 * @returns false when something has
 */
function publish(from: string, to: string, replaces: boolean): boolean {
  if (replaces) {
    rename(from, to);
    return true;
  }
  const errno = libc().link(cstring(from), cstring(to)) < 0 ? lastErrno() : 0;
  // File systems without hard links: better without this protection than not at all.
  if (errno === E.EPERM || errno === E.EOPNOTSUPP) return publish(from, to, true);
  unlink(from);
  if (errno !== 0 && errno !== E.EEXIST) throw systemError("link", errno, to);
  return errno === 0;
}
