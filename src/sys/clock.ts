/** Time by the kernel's clocks, which no test runner's fake timers stop. */

/** Nanoseconds since 1970 (CLOCK_REALTIME). */
export function nowNs(): bigint {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n;
}
