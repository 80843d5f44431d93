/** Making, replacing and removing data files: always whole, always under the writer lock. */
import { fchmodSync, lstatSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { FileFormatError } from "../errors.ts";
import { check, cstring } from "../libc/call.ts";
import { O_CREAT, O_EXCL, O_RDWR } from "../libc/constants.ts";
import { libc } from "../libc/symbols.ts";
import type { LockKind } from "../locks/file-lock.ts";
import type { RwLock } from "../locks/rw-lock.ts";
import { allocate, closeFile, openFile } from "../memory/file.ts";
import { Mapping } from "../memory/mapping.ts";
import { HEADER_CODE } from "../struct/header.ts";
import type { Layout } from "../struct/layout.ts";
import { openLock } from "./core.ts";
import { DataFile } from "./data-file.ts";
import { planFile, writeFormat } from "./file-format.ts";
import type { ManagerOptions, Place } from "./options.ts";

/** Makes the file if there is none, or anew when forced. */
export function createFile(layout: Layout, place: Place, options: ManagerOptions): void {
  const { lock: kind = "flock", force = false, mode = 0o600 } = options;
  checkMode(mode);
  const path = place.dataPath;
  if (!force && exists(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  for (let done = false; !done; ) {
    const kinds = new Set([kind, kindOfExisting(place) ?? kind]);
    using locks = new ExclusiveLocks(place, kinds, mode);
    using old = exists(path) ? openOld(place) : undefined;
    // Only now is it certain what there is: another creator may have been faster.
    if (!force && exists(path)) return;
    done = old === undefined || kinds.has(old.lockKind);
    if (!done) continue;
    const fresh = makeWhole(layout, place, options);
    old?.setRetired(true);
    publish(fresh, path);
    locks.announce();
  }
}

function kindOfExisting(place: Place): LockKind | undefined {
  using old = exists(place.dataPath) ? openOld(place) : undefined;
  return old?.lockKind;
}

/** All the locks that users of the old and of the new file go by, taken in one order. */
class ExclusiveLocks implements Disposable {
  readonly #locks: RwLock[] = [];

  constructor(place: Place, kinds: ReadonlySet<LockKind>, mode: number) {
    try {
      for (const kind of [...kinds].sort()) {
        const lock = openLock(place, kind, { create: true, mode });
        this.#locks.push(lock);
        lock.acquire("exclusive");
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Wakes those who wait for changes: there is another file now. */
  announce(): void {
    for (const lock of this.#locks) lock.page?.announceChange();
  }

  [Symbol.dispose](): void {
    for (const lock of this.#locks) lock.close();
  }
}

/** Removes the file; those who have it open find out at their next lock. The lock file stays, as others may hold it open. */
export function removeFile(file: DataFile): void {
  file.setRetired(true);
  unlink(file.path);
}

const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

function checkMode(mode: number): void {
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o777)
    throw new RangeError(`mode must be permissions from 0 to 0o777, got ${mode}`);
}

/**
 * The file that is to be replaced, to tell its users. Undefined when it is ours but damaged: nobody can open it.
 * @throws FileFormatError for what is no file of ours, which nobody asked us to destroy; SystemError
 */
function openOld(place: Place): DataFile | undefined {
  try {
    return DataFile.open(place, undefined, true);
  } catch (error) {
    if (error instanceof FileFormatError && error.isOurs) return undefined;
    throw error;
  }
}

/** A whole new file under another name in the same directory; storage is reserved, so that no store can fail later. */
function makeWhole(
  layout: Layout,
  place: Place,
  { lock = "flock", transactional = lock === "flock", mode = 0o600 }: ManagerOptions,
): string {
  const { format, schema } = planFile(layout, lock, transactional);
  const path = `${place.dataPath}.new`;
  // We hold the writer lock, so a file of this name was left by somebody who died.
  if (exists(path)) unlink(path);
  const fd = openFile(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
  try {
    reserve(fd, format.fileBytes, mode, path);
    using mapping = Mapping.map(fd, { byteLength: format.fileBytes, access: "write", path });
    new DataView(mapping.buffer).setInt16(0, HEADER_CODE, true);
    writeFormat(mapping.bytes, format, schema);
    return path;
  } catch (error) {
    unlink(path);
    throw error;
  }
}

function reserve(fd: number, byteLength: number, mode: number, path: string): void {
  try {
    fchmodSync(fd, mode);
    allocate(fd, byteLength, path);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

function publish(from: string, to: string): void {
  check("rename", libc().rename(cstring(from), cstring(to)), to);
}

function unlink(path: string): void {
  check("unlink", libc().unlink(cstring(path)), path);
}
