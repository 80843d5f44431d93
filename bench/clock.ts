/** Clocks that Bun does not have: one that is the same in all processes, and one of the thread's own work. */
import { dlopen, FFIType } from "bun:ffi";

const CLOCK_MONOTONIC = process.platform === "darwin" ? 6 : 1;
const CLOCK_THREAD_CPUTIME_ID = process.platform === "darwin" ? 16 : 3;
const name = process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6";

const { clock_gettime } = dlopen(name, {
  // int clock_gettime(clockid_t clockid, struct timespec *tp);
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
}).symbols;

/** struct timespec: seconds and nanoseconds, 64 bits each; their low halves will do for a century. */
const time = new Uint32Array(4);

function read(clock: number): number {
  clock_gettime(clock, time);
  return time[0]! * 1e9 + time[2]!;
}

/** Nanoseconds since the machine started. */
export const now = (): number => read(CLOCK_MONOTONIC);

/** Nanoseconds that this thread has worked; it stands still while the thread waits or others have its processor. */
export const cpuTime = (): number => read(CLOCK_THREAD_CPUTIME_ID);

const neverWoken = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps, also for parts of a millisecond, which `Bun.sleepSync` leaves out. */
export function pause(ms: number): void {
  Atomics.wait(neverWoken, 0, 0, ms);
}
