/**
 * Record locks for Node.js, which guard the queue in front of a lock. fs-ext makes them in its asynchronous call only, on a thread of
 * libuv's pool, and its callback would come too late, as a caller that waits for a lock keeps the event loop. So a second call is begun
 * behind the first: it changes a flag of the descriptor, which a look shows without the event loop. When the flag has changed, some
 * 60 us later, the first call was made too, and /proc/self/fdinfo tells whether it has the lock. (/proc/locks is no way to find out: the
 * kernel makes its reader, and every process that locks a file meanwhile, wait for some 10 ms.)
 *
 * Where other work keeps the pool busy, a call may take the lock after it was given up: the next attempt finds it taken. If none comes, the
 * call's callback gives it back, or the next look at the queue, which a program does that never comes back to its event loop.
 * They are locks of the process: two roles in one process may take each other's place in the queue, and closing any descriptor of the lock
 * file gives the place up. Both cost turns, nothing else.
 */

import { sleepMs } from "../sync/deadline.ts";
import { fs } from "../sys/builtin.ts";
import { monotonicMs } from "../sys/clock.ts";
import { F_GETFL, F_RDLCK, F_SETFL, F_UNLCK, F_WRLCK, O_NONBLOCK } from "../sys/libc/constants.ts";

/** What fs-ext has of fcntl(2): "setlk" with a type, or a command with its argument. */
export interface Fcntl {
  fcntl(fd: number, command: "setlk" | number, argument: number, done: (error: Error | null) => void): void;
  fcntlSync(fd: number, command: number, argument: number): number;
}

/** The line of a record lock of this process in fdinfo. */
const LINE = /^lock:.* POSIX +\S+ +(READ|WRITE) /m;
/** How long a call is waited for, in milliseconds; then the caller looks again later, or goes on. */
const MOST_MS = 5;
/** The first pause between two looks; each is twice as long as the one before. */
const PAUSE_MS = 0.02;
/** How long a lock that was taken late is kept for the next attempt, in milliseconds: others pass one that stands still for so long. */
const KEPT_MS = 20;
/** How long after a call was given up it may still take the lock, in milliseconds. */
const LATE_MS = 1000;

/** What a descriptor of a lock file is to hold. */
interface Wish {
  readonly calls: Fcntl;
  readonly inode: bigint;
  type: number;
  /** What the descriptor's flags will be once the call has been made that was begun last; undefined when it has. */
  marker: number | undefined;
  /** When an attempt last failed; 0 if none has. */
  failedAt: number;
  /** Closes the descriptor, once the calls that were begun have been made. */
  close?: () => void;
}

const wishes = new Map<number, Wish>();

let isTold: boolean | undefined;
/** Whether the kernel tells of locks at all. */
const tellsLocks = (): boolean => (isTold ??= fs().existsSync("/proc/locks"));

/** The record lock that was taken through this descriptor: F_UNLCK, F_RDLCK or F_WRLCK; undefined where the kernel does not tell. */
function ownLock(fd: number): number | undefined {
  if (!tellsLocks()) return undefined;
  let text: string;
  try {
    text = fs().readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
  } catch {
    return undefined;
  }
  const [, mode] = LINE.exec(text) ?? [];
  if (mode === undefined) return F_UNLCK;
  return mode === "WRITE" ? F_WRLCK : F_RDLCK;
}

const inodeOf = (fd: number): bigint => fs().fstatSync(fd, { bigint: true }).ino;

function wishOf(calls: Fcntl, fd: number): Wish {
  const inode = inodeOf(fd);
  const known = wishes.get(fd);
  if (known?.inode === inode) return known;
  const wish: Wish = { calls, inode, type: F_UNLCK, marker: undefined, failedAt: 0 };
  wishes.set(fd, wish);
  return wish;
}

/**
 * Takes a lock of that type on the whole file, or gives it back, if that is possible at once.
 * @returns false: another process is in the way, or the pool has not come to it yet
 */
export function setRecordLock(calls: Fcntl, fd: number, type: number): boolean {
  // As if there were no queue.
  if (ownLock(fd) === undefined) return true;
  const wish = wishOf(calls, fd);
  const before = wish.type;
  wish.type = type;
  const isDone = isMade(fd, wish, MOST_MS) && makeAndSee(fd, wish);
  if (type === F_UNLCK) {
    // What comes late is to be given back, and not kept for an attempt.
    const keptSince = monotonicMs() - KEPT_MS;
    if (!isDone || wish.failedAt > keptSince) wish.failedAt = keptSince;
    return true;
  }
  if (isDone) return true;
  wish.type = before;
  wish.failedAt = monotonicMs();
  return false;
}

/** Makes the descriptor's lock what it is to be; whether it is. */
function makeAndSee(fd: number, wish: Wish): boolean {
  const isSo = (): boolean => ownLock(fd) === wish.type;
  if (isSo()) return true;
  begin(fd, wish);
  if (!isMade(fd, wish, MOST_MS)) return false;
  if (isSo()) return true;
  // The thread that makes the first call may be a little later than the one that makes the second.
  sleepMs(PAUSE_MS);
  return isSo();
}

function begin(fd: number, wish: Wish): void {
  const { calls, type } = wish;
  const marker = calls.fcntlSync(fd, F_GETFL, 0) ^ O_NONBLOCK;
  wish.marker = marker;
  const done = (): void => void correct(fd, wish);
  calls.fcntl(fd, "setlk", type, done);
  calls.fcntl(fd, F_SETFL, marker, done);
}

/** Waits until the call that was begun last has been made, for some time. */
function isMade(fd: number, wish: Wish, forMs: number): boolean {
  if (wish.marker === undefined) return true;
  const start = monotonicMs();
  for (let pauseMs = PAUSE_MS; ; pauseMs *= 2) {
    if (wish.calls.fcntlSync(fd, F_GETFL, 0) === wish.marker) break;
    const leftMs = forMs - (monotonicMs() - start);
    if (leftMs <= 0) return false;
    sleepMs(Math.min(pauseMs, leftMs));
  }
  wish.marker = undefined;
  return true;
}

/**
 * Gives back what a call has taken that was given up, unless an attempt may come that wants it: then later.
 * @returns false when the descriptor is another file's by now
 */
function correct(fd: number, wish: Wish): boolean {
  try {
    if (wishes.get(fd) !== wish || inodeOf(fd) !== wish.inode) return false;
  } catch {
    // It was closed, which gave the lock back.
    return false;
  }
  // Its own callback comes here again.
  if (!isMade(fd, wish, 0)) return true;
  if (wish.close !== undefined) {
    wishes.delete(fd);
    wish.close();
    return false;
  }
  const own = ownLock(fd) ?? F_UNLCK;
  if (own === F_UNLCK || own === wish.type) return true;
  const keptMs = wish.failedAt + KEPT_MS - monotonicMs();
  if (keptMs > 0) setTimeout(() => correct(fd, wish), keptMs).unref();
  else begin(fd, wish);
  return true;
}

/**
 * Closes a descriptor; where the pool has not come yet to a call that was begun on it, once that has been made: it would be made
 * on another file that has got the number by then.
 * @param giveUp called at once in that case, for what closing would give up
 */
export function closeAfterCalls(fd: number, close: () => void, giveUp: () => void): void {
  const wish = wishes.get(fd);
  if (wish === undefined || isMade(fd, wish, MOST_MS)) {
    wishes.delete(fd);
    close();
    return;
  }
  wish.close = close;
  giveUp();
}

/** For a look at the queue: gives back what was taken late. Costs nothing if no attempt failed in the last second. */
export function dropLateLocks(): void {
  if (wishes.size === 0) return;
  const now = monotonicMs();
  for (const [fd, wish] of wishes) {
    const failedMs = now - wish.failedAt;
    if (wish.failedAt === 0 || failedMs < KEPT_MS) continue;
    if (!correct(fd, wish)) wishes.delete(fd);
    else if (failedMs > LATE_MS && wish.marker === undefined) wish.failedAt = 0;
  }
}
