/** A clock that is the same in all processes; Bun's own begin with the process. */
import { dlopen, FFIType } from "bun:ffi";

const CLOCK_MONOTONIC = process.platform === "darwin" ? 6 : 1;
const name = process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6";

const { clock_gettime } = dlopen(name, {
  // int clock_gettime(clockid_t clockid, struct timespec *tp);
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
}).symbols;

/** struct timespec: seconds and nanoseconds, 64 bits each; their low halves will do for a century. */
const time = new Uint32Array(4);

/** Nanoseconds since the machine started. */
export function now(): number {
  clock_gettime(CLOCK_MONOTONIC, time);
  return time[0]! * 1e9 + time[2]!;
}

const nobodyWakes = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps, also for parts of a millisecond, which `Bun.sleepSync` leaves out. */
export function pause(ms: number): void {
  Atomics.wait(nobodyWakes, 0, 0, ms);
}
