import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { nap, napMs, timeoutMsOf, waitFor } from "../../src/posix/waiting.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const busy = (timeoutMs: number) => new Error(`busy after ${timeoutMs}`);

describe("timeoutMsOf", () => {
  test("timeoutMsOf takes timeout and timeoutMs as one, and nothing means forever", () => {
    expect([{}, { timeoutMs: 5 }, { timeout: 6 }, { timeout: 7, timeoutMs: 7 }].map(timeoutMsOf)).toEqual([
      Number.POSITIVE_INFINITY,
      5,
      6,
      7,
    ]);
    expect(() => timeoutMsOf({ timeout: 1, timeoutMs: 2 })).toThrow(TypeError);
    expect(() => timeoutMsOf({ timeoutMs: -0.1 })).toThrow(RangeError);
  });
});

test("waitFor has the checked timeout and signal", () => {
  const { signal } = new AbortController();
  const wait = waitFor(() => 1, { timeout: 5, signal }, busy);
  expect([wait.attempt(), wait.deadline.timeoutMs]).toEqual([1, 5]);
  expect(wait.timeoutError()).toMatchObject({ message: "busy after 5" });
  expect(wait.signal).toBe(signal);
  expect(() => waitFor(() => 1, { signal: 5 as never }, busy)).toThrow(TypeError);
});

describe("nap", () => {
  test("nap takes a sixteenth of the time waited, from 1 to 10 ms", () => {
    expect([0, 16, 80, 160, 1e9].map(napMs)).toEqual([1, 1, 5, 10, 10]);
  });

  test("nap can be called off", async () => {
    let woken = 0;
    nap(() => woken++, 0)();
    await new Promise<void>((resolve) => nap(resolve, 0));
    await Bun.sleep(5);
    expect(woken).toBe(0);
  });
});
