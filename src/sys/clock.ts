/**
 * Time by the kernel's clocks, which no test runner's fake timers stop: the time of day as files hold it, u64 nanoseconds of
 * CLOCK_REALTIME, and the time that passes.
 */
import { fs } from "./builtin.ts";
import { isLinux, isMacOS } from "./libc/constants.ts";
import { lazily } from "./libc/symbols.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = isMacOS ? 6 : 1;
/** Goes on while the machine is suspended, as macOS's monotonic clock does. */
const CLOCK_BOOTTIME = isMacOS ? CLOCK_MONOTONIC : 7;
/** Clocks as of the last tick, some milliseconds ago, for a fifth of the price. */
const CLOCK_REALTIME_COARSE = 5;
const CLOCK_MONOTONIC_COARSE = 6;
const TWO_32 = 2 ** 32;
/** Turned over, the order of signed words is that of unsigned ones. */
const SIGN = 1 << 31;

const clocks = lazily({
  // int clock_gettime(clockid_t clockid, struct timespec *tp);
  clock_gettime: { args: ["i32", "ptr"], returns: "i32", isTrusted: true },
});

/**
 * struct timespec.
 *
 *     0                8                16
 *     | tv_sec (i64)   | tv_nsec (i64)  |
 */
const timespec = new Int32Array(new ArrayBuffer(16));

/**
 * Reads a clock into `low` and `high`, without garbage.
 * @example realtime.read(); words[4] = realtime.low; words[5] = realtime.high;
 */
class KernelClock {
  readonly #clock: number;
  readonly #coarse: number;
  /** The lower 32 bits of the nanoseconds, as an int32. */
  low = 0;
  /** The upper 32 bits, as an int32. */
  high = 0;
  /** The whole seconds. */
  second = -1;
  /** `timespec`'s words of that second, and its nanoseconds, by halves. */
  #secondWord = 0;
  #secondHighWord = -1;
  #secondLow = 0;
  #secondHigh = 0;

  /** @param coarse the same clock as of the last tick */
  constructor(clock: number, coarse: number) {
    this.#clock = clock;
    this.#coarse = coarse;
  }

  read(): void {
    this.#read(this.#clock);
  }

  /** Like `read`, but up to 10 ms behind, and cheap. Linux only. */
  readCoarse(): void {
    this.#read(isLinux ? this.#coarse : this.#clock);
  }

  #read(clock: number): void {
    // SAFETY: the kernel writes 16 bytes into `timespec`.
    clocks().clock_gettime(clock, timespec);
    if (timespec[0] !== this.#secondWord || timespec[1] !== this.#secondHighWord) this.#startSecond();
    // In integers only: a reading is a part of each message and job.
    const start = this.#secondLow;
    const low = (start + timespec[2]!) | 0;
    this.low = low;
    this.high = (low ^ SIGN) < (start ^ SIGN) ? (this.#secondHigh + 1) | 0 : this.#secondHigh;
  }

  /** Once a second the product that no number can hold exactly. */
  #startSecond(): void {
    this.#secondWord = timespec[0]!;
    this.#secondHighWord = timespec[1]!;
    const second = (this.#secondWord >>> 0) + this.#secondHighWord * TWO_32;
    const nanoseconds = BigInt(second) * 1_000_000_000n;
    this.second = second;
    this.#secondLow = Number(BigInt.asIntN(32, nanoseconds));
    this.#secondHigh = Number(BigInt.asIntN(32, nanoseconds >> 32n));
  }
}

/** This thread's reading of the time of day. */
export const realtime = new KernelClock(CLOCK_REALTIME, CLOCK_REALTIME_COARSE);

/**
 * The time since the machine was started, which no one sets. Its coarse reading stands still while the machine is suspended, so
 * it is for people, not for leases.
 */
export const bootTime = new KernelClock(CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE);

/** Milliseconds since the machine was started, with a fraction. */
export function bootMs(): number {
  bootTime.read();
  return toMilliseconds(bootTime.low, bootTime.high);
}

let knownBootId: Uint8Array | undefined;

/** The first 8 bytes of the id that the kernel gave this start of the machine; zeros where it tells none. */
export function bootId(): Uint8Array {
  knownBootId ??= readBootId();
  return knownBootId;
}

function readBootId(): Uint8Array {
  try {
    const text = fs().readFileSync("/proc/sys/kernel/random/boot_id", "latin1").replaceAll("-", "");
    return new Uint8Array(
      Array.from({ length: 8 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)),
    );
  } catch {
    return new Uint8Array(8);
  }
}

/**
 * The halves of a time in a file as milliseconds since 1970, to some 0.3 µs.
 * @example new Date(toMilliseconds(words[4], words[5]))
 */
export const toMilliseconds = (low: number, high: number): number =>
  ((high >>> 0) * TWO_32 + (low >>> 0)) / 1e6;

/**
 * A time in milliseconds since 1970 as the halves of a time in a file.
 * @example const [low, high] = fromMilliseconds(Date.now() + 500);
 */
export function fromMilliseconds(milliseconds: number): [low: number, high: number] {
  const nanoseconds = BigInt(Math.round(milliseconds * 1e3)) * 1000n;
  return [Number(BigInt.asIntN(32, nanoseconds)), Number(BigInt.asIntN(32, nanoseconds >> 32n))];
}

/** Milliseconds since 1970, with a fraction, by the system's clock: fake timers of a test runner do not touch it. */
export function nowMs(): number {
  realtime.read();
  return toMilliseconds(realtime.low, realtime.high);
}

/** Nanoseconds since 1970 (CLOCK_REALTIME). */
export function nowNs(): bigint {
  realtime.read();
  return (BigInt(realtime.high >>> 0) << 32n) | BigInt(realtime.low >>> 0);
}

/**
 * Milliseconds since some moment, with fractions (CLOCK_MONOTONIC), for deadlines. About 50 ns. Fake timers of a test runner
 * freeze `performance.now()`, but not this clock.
 * @example const start = monotonicMs(); …; const tookMs = monotonicMs() - start;
 */
export const monotonicMs = (): number => millisecondsOf(CLOCK_MONOTONIC);

/** Milliseconds of that clock as of the last tick, up to 10 ms ago, for a third of the price; on macOS the exact ones. */
export const coarseMonotonicMs = (): number =>
  millisecondsOf(isLinux ? CLOCK_MONOTONIC_COARSE : CLOCK_MONOTONIC);

function millisecondsOf(clock: number): number {
  // SAFETY: the kernel writes 16 bytes into `timespec`. The call cannot fail for these clocks.
  clocks().clock_gettime(clock, timespec);
  return (timespec[0]! + timespec[1]! * TWO_32) * 1000 + timespec[2]! / 1e6;
}
