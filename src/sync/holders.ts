/** Who holds a lock, as far as the kernel tells: for the messages of timeouts. */
import { escapeText } from "../errors/show.ts";
import { fs } from "../sys/builtin.ts";
import { throughFs } from "../sys/paths.ts";
import type { LockKind, LockMode } from "./file-lock.ts";

/**
 * A line of /proc/locks, `1: FLOCK  ADVISORY  WRITE 4321 fe:00:123456 0 EOF`; blocked ones have `->` after the number.
 * In /proc/<pid>/fdinfo/<fd> it stands behind `lock:`.
 */
const LINE =
  /^(?:lock:\s+)?\d+: (FLOCK|POSIX|OFDLCK) +\S+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) /;

const TYPES: Readonly<Record<LockKind, readonly string[]>> = { flock: ["FLOCK"], fcntl: ["POSIX", "OFDLCK"] };

/**
 * The holders that are in the way of `mode`, as the end of a sentence. If there are none, those who stand in the queue.
 * @example "held by process 4321 (bun)"
 */
export function describeHolders(fd: number, kind: LockKind, mode: LockMode): string {
  const inTheWay = holders(fd, kind, mode);
  if (inTheWay.length > 0) return `held by ${describe(inTheWay)}`;
  // The gate is a lock of the other kind.
  const first = holders(fd, kind === "flock" ? "fcntl" : "flock", "exclusive").filter(
    (pid) => pid !== process.pid,
  );
  if (first.length > 0) return `it is free, but ${describe(first)} is first in the queue and does not run`;
  return "the kernel names no holder at this moment";
}

const describe = (pids: readonly number[]): string => [...new Set(pids)].map(describeProcess).join(" and ");

/** Process ids; -1 for a lock of an open file whose process we may not look at. */
function holders(fd: number, kind: LockKind, mode: LockMode): number[] {
  const { dev, ino } = throughFs(() => fs().fstatSync(fd, { bigint: true }));
  const found = matches(readLines("/proc/locks"), kind, mode, ino);
  // Layered file systems show another device to stat than to the lock table; then the inode has to do.
  const exact = found.filter((match) => match[4] === deviceName(dev));
  const pids = (exact.length > 0 ? exact : found).map((match) => Number(match[3]));
  if (!pids.includes(-1)) return pids;
  const open = holdersByOpenFile(kind, mode, ino);
  return open.length > 0 ? [...pids.filter((pid) => pid !== -1), ...open] : pids;
}

const matches = (lines: readonly string[], kind: LockKind, mode: LockMode, ino: bigint): RegExpExecArray[] =>
  lines
    .map((line) => LINE.exec(line))
    .filter((match) => match !== null)
    .filter(([, type, access, , , inode]) => {
      return (
        TYPES[kind].includes(type!) && inode === String(ino) && (mode === "exclusive" || access === "WRITE")
      );
    });

/** Locks of open files name no process, but the processes' open files name their locks. */
function holdersByOpenFile(kind: LockKind, mode: LockMode, ino: bigint): number[] {
  const pids = list("/proc").filter((name) => /^\d+$/.test(name));
  return pids
    .filter((pid) =>
      list(`/proc/${pid}/fdinfo`).some(
        (fd) => matches(readLines(`/proc/${pid}/fdinfo/${fd}`), kind, mode, ino).length > 0,
      ),
    )
    .map(Number);
}

/** Empty for what is gone, or not ours to see. */
function list(directory: string): string[] {
  try {
    return fs().readdirSync(directory);
  } catch {
    return [];
  }
}

function readLines(path: string): string[] {
  try {
    return fs().readFileSync(path, "latin1").split("\n");
  } catch {
    return [];
  }
}

/** `major:minor` in hexadecimal, from the number that stat gives (glibc's gnu_dev_major and gnu_dev_minor). */
function deviceName(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  return `${major.toString(16).padStart(2, "0")}:${minor.toString(16).padStart(2, "0")}`;
}

function describeProcess(pid: number): string {
  // -1: a lock that belongs to an open file, not to a process; 0: a process outside this pid namespace.
  if (pid <= 0) return "a process that the kernel does not name";
  if (pid === process.pid) return `process ${pid}, this one, in another thread or asynchronous task`;
  try {
    // A process can give itself any name.
    const name = fs().readFileSync(`/proc/${pid}/comm`, "utf8").replace(/\n$/, "");
    return `process ${pid} (${escapeText(name)})`;
  } catch {
    return `process ${pid}`;
  }
}
