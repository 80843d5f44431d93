/** Who holds a lock, as far as the kernel tells: for the messages of timeouts. */
import { fs } from "../builtin.ts";
import { throughFs } from "../memory/paths.ts";
import type { LockKind, LockMode } from "./file-lock.ts";

/** A line of /proc/locks, `1: FLOCK  ADVISORY  WRITE 4321 fe:00:123456 0 EOF`; blocked ones have `->` after the number. */
const LINE = /^\d+: (FLOCK|POSIX|OFDLCK) +\S+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) /;

const TYPES: Readonly<Record<LockKind, readonly string[]>> = { flock: ["FLOCK"], fcntl: ["POSIX", "OFDLCK"] };

/**
 * The holders that are in the way of `mode`, as the end of a sentence.
 * @example "held by process 4321 (bun)"
 */
export function describeHolders(fd: number, kind: LockKind, mode: LockMode): string {
  const pids = new Set(holders(fd, kind, mode));
  if (pids.size === 0) return "the kernel names no holder at this moment";
  return `held by ${[...pids].map(describeProcess).join(" and ")}`;
}

function holders(fd: number, kind: LockKind, mode: LockMode): number[] {
  const { dev, ino } = throughFs(() => fs().fstatSync(fd, { bigint: true }));
  const found = readLines()
    .map((line) => LINE.exec(line))
    .filter((match) => match !== null)
    .filter(([, type, access, , , inode]) => {
      return (
        TYPES[kind].includes(type!) && inode === String(ino) && (mode === "exclusive" || access === "WRITE")
      );
    });
  // Layered file systems show another device to stat than to the lock table; then the inode has to do.
  const exact = found.filter((match) => match[4] === deviceName(dev));
  return (exact.length > 0 ? exact : found).map((match) => Number(match[3]));
}

function readLines(): string[] {
  try {
    return fs().readFileSync("/proc/locks", "latin1").split("\n");
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
    return `process ${pid} (${fs().readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd()})`;
  } catch {
    return `process ${pid}`;
  }
}
