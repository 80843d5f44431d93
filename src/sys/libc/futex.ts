/**
 * Sleeping until a word of shared memory changes: futex(2), for memory that several processes map. Linux only.
 *
 * `Atomics.wait` refuses memory that is not a `SharedArrayBuffer`; the kernel does not care who made it, and it
 * also waits on mappings that are read-only.
 */
import { lastErrno, systemError } from "./call.ts";
import {
  E,
  FUTEX_REQUEUE,
  FUTEX_WAIT,
  FUTEX_WAIT_BITSET,
  FUTEX_WAKE,
  FUTEX_WAKE_BITSET,
  INT_MAX,
  SYS_futex,
} from "./constants.ts";
import { addressOf } from "./ffi.ts";
import { linux } from "./symbols.ts";

/** How a wait ended: woken (or for no reason: look again), no need to wait, too late, or a signal came. */
export type FutexResult = "ok" | "not-equal" | "timed-out" | "interrupted";

/**
 * struct timespec, relative: one per thread, as a thread waits for one thing at a time.
 *
 *     0                8                16
 *     | tv_sec (i64)   | tv_nsec (i64)  |
 */
const timespec = new BigInt64Array(2);

function setTimespec(timeoutMs: number): BigInt64Array | null {
  // 24 days are as good as no timeout.
  return timeoutMs > INT_MAX ? null : timespecOf(timeoutMs);
}

function timespecOf(ms: number): BigInt64Array {
  const nanoseconds = BigInt(Math.ceil(ms * 1e6));
  timespec[0] = nanoseconds / 1_000_000_000n;
  timespec[1] = nanoseconds % 1_000_000_000n;
  return timespec;
}

const wordAddress = (words: Int32Array, index: number): number => {
  if (Number.isInteger(index) && index >= 0 && index < words.length) return addressOf(words, index * 4);
  throw new RangeError(`index ${index} is not within the array's ${words.length} elements`);
};

/**
 * Blocks this thread while `words[index]` is `expected`, until a `futexWake` or the timeout. The comparison and
 * the falling asleep are one step: a wake after a change of the word cannot be missed.
 * @param words any view on shared memory, also on a read-only mapping (nothing is written)
 * @param timeoutMs Infinity waits for good; 0 does not wait
 * @returns see `FutexResult`; after `"ok"` and `"interrupted"` look at the word again
 * @throws RangeError for an index outside the array; SystemError for what is no memory (EFAULT), or no futex (ENOSYS)
 * @example while (Atomics.load(words, 0) === 0) futexWait(words, 0, 0, 1000);
 */
export function futexWait(
  words: Int32Array,
  index: number,
  expected: number,
  timeoutMs: number,
): FutexResult {
  const address = wordAddress(words, index);
  const timeout = setTimespec(timeoutMs);
  // SAFETY: the kernel reads 4 bytes inside `words` and, if it waits at all, 16 bytes of `timespec`.
  const result = linux().syscall(SYS_futex, address, FUTEX_WAIT, expected >>> 0, timeout, null, 0);
  return waitResult(result, index);
}

function waitResult(result: number | bigint, index: number): FutexResult {
  if (Number(result) === 0) return "ok";
  const errno = lastErrno();
  if (errno === E.EAGAIN) return "not-equal";
  if (errno === E.ETIMEDOUT) return "timed-out";
  if (errno === E.EINTR) return "interrupted";
  throw systemError("futex", errno, undefined, `waiting for element ${index}`);
}

/**
 * Wakes up to `count` threads, of any process, that wait for `words[index]`. 270 ns when none does.
 * @returns how many were woken
 * @throws RangeError for an index outside the array; SystemError ENOSYS
 * @example Atomics.add(words, 0, 1); futexWake(words, 0);
 */
export function futexWake(words: Int32Array, index: number, count = INT_MAX): number {
  const address = wordAddress(words, index);
  // SAFETY: the address, of a word inside `words`, only tells the kernel which sleepers are meant.
  const result = linux().syscall(SYS_futex, address, FUTEX_WAKE, count, null, null, 0);
  if (result < 0) throw systemError("futex", lastErrno(), undefined, `waking element ${index}`);
  return Number(result);
}

/**
 * Like `futexWait`, but `futexWakeOf` wakes this sleeper only for bits that the two have in common. `futexWake` wakes it too.
 * @param until when to stop waiting, in milliseconds of CLOCK_MONOTONIC
 * @throws RangeError for an index outside the array; SystemError for what is no memory (EFAULT), or no futex (ENOSYS)
 * @example futexWaitAs(words, 0, 0, monotonicMs() + 8, 2);
 */
export function futexWaitAs(
  words: Int32Array,
  index: number,
  expected: number,
  until: number,
  bits: number,
): FutexResult {
  const address = wordAddress(words, index);
  // Also of a machine that has run for months.
  const time = timespecOf(until);
  // SAFETY: as in futexWait. The kernel takes this time for one of CLOCK_MONOTONIC, not for a duration.
  const result = linux().syscall(SYS_futex, address, FUTEX_WAIT_BITSET, expected >>> 0, time, null, bits);
  return waitResult(result, index);
}

/**
 * Like `futexWake`, but passes by those that `futexWaitAs` put to sleep with other bits.
 * @returns how many were woken
 * @throws RangeError for an index outside the array; SystemError ENOSYS
 * @example if (futexWakeOf(words, 0, 1, 1) === 0) futexWake(words, 0, 1);
 */
export function futexWakeOf(words: Int32Array, index: number, count: number, bits: number): number {
  const address = wordAddress(words, index);
  // SAFETY: as in futexWake.
  const result = linux().syscall(SYS_futex, address, FUTEX_WAKE_BITSET, count, null, null, bits);
  if (result < 0) throw systemError("futex", lastErrno(), undefined, `waking element ${index}`);
  return Number(result);
}

/**
 * Whether more than `own` threads, of any process, wait for `words[index]`. No thread is woken: the first ones are moved from this futex
 * to this futex. True where the kernel cannot tell.
 * @example if (futexHasSleepers(words, 0)) console.log("another one waits");
 */
export function futexHasSleepers(words: Int32Array, index: number, own = 0): boolean {
  const address = wordAddress(words, index);
  // SAFETY: as in futexWake. The fourth number is how many to wake, the fifth how many to move, the sixth where to.
  const found = Number(linux().syscall(SYS_futex, address, FUTEX_REQUEUE, 0, own + 1, address, 0));
  return found < 0 || found > own;
}
