/**
 * Record locks of fcntl(2) on whole files, through fs-ext. It has those that belong to the process (F_SETLK) and not those of
 * an open file description, which other languages use. The two exclude each other, but within this process the former do not:
 * the table here does it instead, for one thread. And the kernel drops the process's lock when any descriptor of the file
 * is closed: so that waits until no other holds it.
 */
import { closeSync, fstatSync } from "node:fs";
import type { FsExt } from "./libc.ts";

type Mode = "shared" | "exclusive";

/** F_RDLCK, F_WRLCK, F_UNLCK. */
const TYPES = { shared: 0, exclusive: 1, none: 2 } as const;

/** The locks of this thread on one file. */
interface LockedFile {
  readonly holders: Map<number, Mode>;
  /** Descriptors to be closed once no lock is held. */
  readonly toClose: Set<number>;
}

const files = new Map<string, LockedFile>();
/** The file of each descriptor that was asked about, as long as a lock on that is held. */
const keys = new Map<number, string>();

function keyOf(fd: number): string {
  const known = keys.get(fd);
  if (known !== undefined && files.has(known)) return known;
  const { dev, ino } = fstatSync(fd, { bigint: true });
  const key = `${dev}:${ino}`;
  keys.set(fd, key);
  return key;
}

function fileOf(fd: number): LockedFile {
  const key = keyOf(fd);
  const file = files.get(key) ?? { holders: new Map(), toClose: new Set() };
  files.set(key, file);
  return file;
}

const strongest = (modes: Iterable<Mode>): Mode | undefined => {
  const all = [...modes];
  return all.includes("exclusive") ? "exclusive" : all[0];
};

/**
 * Takes the lock on the whole file, changes its mode, or gives it back.
 * @returns false when another holds one that excludes it
 * @throws what fs-ext throws for other failures
 */
export function setRecordLock(fsExt: FsExt, fd: number, mode: Mode | undefined): boolean {
  const file = fileOf(fd);
  const { holders } = file;
  const before = strongest(holders.values());
  const others = new Map(holders);
  others.delete(fd);
  if (mode !== undefined && excludes(mode, strongest(others.values()))) return false;
  if (mode !== undefined) others.set(fd, mode);
  const after = strongest(others.values());
  if (after !== before && !apply(fsExt, fd, after)) return false;
  if (mode === undefined) holders.delete(fd);
  else holders.set(fd, mode);
  if (holders.size === 0) forget(keyOf(fd), file);
  return true;
}

const excludes = (mode: Mode, other: Mode | undefined): boolean =>
  other === "exclusive" || (mode === "exclusive" && other !== undefined);

function apply(fsExt: FsExt, fd: number, mode: Mode | undefined): boolean {
  try {
    fsExt.fcntlSync(fd, F_SETLK, TYPES[mode ?? "none"]);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN" || code === "EACCES") return false;
    throw error;
  }
}

const F_SETLK = 6;

/** Closes a descriptor; if another one of this thread has a lock on the file, only once that is given back. */
export function closeRecordLocked(fsExt: FsExt | undefined, fd: number): undefined {
  if (fsExt === undefined || files.size === 0) {
    closeSync(fd);
    return;
  }
  const key = keyOf(fd);
  const file = files.get(key);
  if (file?.holders.has(fd)) setRecordLock(fsExt, fd, undefined);
  if (file !== undefined && file.holders.size > 0) {
    file.toClose.add(fd);
    return;
  }
  keys.delete(fd);
  closeSync(fd);
}

/** No lock is held on the file any more. */
function forget(key: string, { toClose }: LockedFile): void {
  files.delete(key);
  for (const fd of toClose) {
    keys.delete(fd);
    closeSync(fd);
  }
}
