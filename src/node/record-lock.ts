/**
 * Record locks for Node.js, which guard the queue in front of a lock. fs-ext makes them in its asynchronous call only, on a thread of
 * libuv's pool. So the call is begun, and /proc/locks tells what came of it, some 40 us later; its callback would come too late,
 * as a caller that waits for a lock keeps the event loop.
 *
 * They are locks of the process: two roles in one process do not keep each other out of the queue, and closing any descriptor of the lock
 * file gives them up. Both cost turns, nothing else.
 */

import { sleepMs } from "../sync/deadline.ts";
import { fs } from "../sys/builtin.ts";
import { monotonicMs } from "../sys/clock.ts";
import { F_RDLCK, F_UNLCK, F_WRLCK } from "../sys/libc/constants.ts";

/** fs-ext's, with a callback. */
export type SetLock = (
  fd: number,
  command: "setlk",
  type: number,
  done: (error: Error | null) => void,
) => void;

const LINE = /^\d+: (?:POSIX|OFDLCK) +\S+ +(READ|WRITE) +(-?\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /;
/** How long a thread of the pool may take, in milliseconds. */
const MOST_MS = 5;
const PAUSE_MS = 0.02;

interface Locks {
  readonly inode: string;
  /** F_UNLCK, F_RDLCK or F_WRLCK. */
  readonly own: number;
  readonly isHeldByOthers: boolean;
  readonly isWrittenByOthers: boolean;
}

/** How long after a call was given up it may still take the lock, in milliseconds. */
const LATE_MS = 1000;
/** Descriptors with a call that was given up, and until when it may come: what it takes is given back. */
const late = new Map<number, { setLock: SetLock; inode: string; untilMs: number }>();

/** The record locks on a file; undefined where the kernel does not tell. */
function locksOn(fd: number): Locks | undefined {
  let text: string;
  try {
    text = fs().readFileSync("/proc/locks", "latin1");
  } catch {
    return undefined;
  }
  const inode = String(fs().fstatSync(fd, { bigint: true }).ino);
  let own = F_UNLCK;
  let [isHeldByOthers, isWrittenByOthers] = [false, false];
  for (const line of text.split("\n")) {
    const [, mode, pid, ino] = LINE.exec(line) ?? [];
    if (ino !== inode) continue;
    if (Number(pid) === process.pid) own = mode === "WRITE" ? F_WRLCK : F_RDLCK;
    else {
      isHeldByOthers = true;
      isWrittenByOthers ||= mode === "WRITE";
    }
  }
  return { inode, own, isHeldByOthers, isWrittenByOthers };
}

/**
 * Takes a lock of that type on the whole file, or gives it back, if that is possible at once.
 * @returns false: another process is in the way
 */
export function setRecordLock(setLock: SetLock, fd: number, type: number): boolean {
  const isInTheWay = (locks: Locks): boolean =>
    type === F_WRLCK ? locks.isHeldByOthers : type === F_RDLCK && locks.isWrittenByOthers;
  const before = locksOn(fd);
  // As if there were no queue.
  if (before === undefined || before.own === type) return true;
  if (isInTheWay(before)) return false;
  setLock(fd, "setlk", type, ignore);
  late.delete(fd);
  for (let waitedMs = 0; waitedMs < MOST_MS; waitedMs += PAUSE_MS) {
    sleepMs(PAUSE_MS);
    const now = locksOn(fd);
    if (now === undefined || now.own === type) return true;
    if (isInTheWay(now)) break;
  }
  // It has failed, or the thread has not come to it yet.
  late.set(fd, { setLock, inode: before.inode, untilMs: monotonicMs() + LATE_MS });
  return type === F_UNLCK;
}

const ignore = (): void => {};

/** Gives back what calls have taken that came late. To be called before a look at the queue; costs nothing without such calls. */
export function dropLateLocks(): void {
  for (const [fd, { setLock, inode, untilMs }] of late) {
    try {
      const locks = locksOn(fd);
      // The descriptor is another file's by now.
      if (locks !== undefined && locks.inode !== inode) late.delete(fd);
      else if ((locks?.own ?? F_UNLCK) !== F_UNLCK) setLock(fd, "setlk", F_UNLCK, ignore);
      else if (monotonicMs() > untilMs) late.delete(fd);
    } catch {
      // It was closed, which gave the lock back.
      late.delete(fd);
    }
  }
}
