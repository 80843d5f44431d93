/**
 * Record locks for Node.js, which guard the queue in front of a lock. fs-ext makes them in its asynchronous call only, on a thread of
 * libuv's pool. So the call is begun, and /proc/locks tells what came of it, some 40 us later; its callback would come too late,
 * as whoever waits for a lock keeps the event loop.
 *
 * They are locks of the process: two roles in one process do not keep each other out of the queue, and closing any descriptor of the lock
 * file gives them up. Both cost turns, nothing else.
 */
import { sleepMs } from "../sync/deadline.ts";
import { fs } from "../sys/builtin.ts";
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
  /** F_UNLCK, F_RDLCK or F_WRLCK. */
  readonly own: number;
  readonly isHeldByOthers: boolean;
  readonly isWrittenByOthers: boolean;
}

/** What is to be held on each descriptor; a call that was late and is not wanted any more is taken back. */
const wanted = new Map<number, number>();

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
  return { own, isHeldByOthers, isWrittenByOthers };
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
  begin(setLock, fd, type);
  for (let waitedMs = 0; waitedMs < MOST_MS; waitedMs += PAUSE_MS) {
    sleepMs(PAUSE_MS);
    const now = locksOn(fd);
    if (now === undefined || now.own === type) return true;
    if (isInTheWay(now)) break;
  }
  wanted.set(fd, F_UNLCK);
  return type === F_UNLCK;
}

function begin(setLock: SetLock, fd: number, type: number): void {
  wanted.set(fd, type);
  setLock(fd, "setlk", type, (error) => {
    if (error === null && type !== F_UNLCK && wanted.get(fd) === F_UNLCK)
      setLock(fd, "setlk", F_UNLCK, () => {});
  });
}
