import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { nap, napMs, type Pause, timeoutMsOf, WaitLine } from "../../src/posix/waiting.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(60_000);

const busy = (timeoutMs: number) => new Error(`busy after ${timeoutMs}`);

/** A pause that ends when the test says so. */
function manualPause() {
  const state = { wake: () => {}, armed: 0 };
  const pause: Pause = (wake) => {
    state.armed += 1;
    state.wake = wake;
    return () => {
      state.armed -= 1;
      state.wake = () => {};
    };
  };
  return { state, pause };
}

describe("timeoutMsOf", () => {
  test("timeout and timeoutMs are one thing, and nothing means forever", () => {
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

describe("WaitLine", () => {
  test("tries at once, and does not pause for what succeeds", async () => {
    const { state, pause } = manualPause();
    expect(await new WaitLine(pause).wait(() => "done", {}, busy)).toBe("done");
    expect(state.armed).toBe(0);
  });

  test("pauses once for everybody, serves in order, and stops pausing with the last one", async () => {
    const { state, pause } = manualPause();
    const line = new WaitLine(pause);
    let units = 0;
    const take = () => (units > 0 ? units-- : undefined);
    const order: string[] = [];
    const waits = ["a", "b", "c"].map((who) => line.wait(take, {}, busy).then(() => order.push(who)));
    expect(state.armed).toBe(1);
    units = 2;
    state.wake();
    await Promise.all(waits.slice(0, 2));
    expect([order, state.armed]).toEqual([["a", "b"], 1]);
    units = 1;
    state.wake();
    await waits[2];
    expect([order, state.armed]).toEqual([["a", "b", "c"], 0]);
  });

  test("an attempt that throws rejects its own caller only", async () => {
    const { state, pause } = manualPause();
    const line = new WaitLine(pause);
    let broken = false;
    const first = line.wait(
      () => {
        if (broken) throw new Error("broken");
        return undefined;
      },
      {},
      busy,
    );
    const second = line.wait(() => (broken ? "fine" : undefined), {}, busy);
    broken = true;
    state.wake();
    await expect(first).rejects.toThrow("broken");
    expect(await second).toBe("fine");
  });

  test("who times out at the head tries once more first", async () => {
    const { pause } = manualPause();
    const line = new WaitLine(pause);
    let available = false;
    const wait = line.wait(() => (available ? "just in time" : undefined), { timeoutMs: 5 }, busy);
    available = true;
    expect(await wait).toBe("just in time");
    await expect(line.wait(() => undefined, { timeoutMs: 3 }, busy)).rejects.toThrow("busy after 3");
  });

  test("leaves no timer and no listener behind", async () => {
    const { state, pause } = manualPause();
    const line = new WaitLine(pause);
    const { signal } = new AbortController();
    let listeners = 0;
    signal.addEventListener = () => {
      listeners += 1;
    };
    signal.removeEventListener = () => {
      listeners -= 1;
    };
    let available = false;
    const wait = line.wait(() => available || undefined, { signal, timeoutMs: 1e12 }, busy);
    expect(listeners).toBe(1);
    available = true;
    state.wake();
    await wait;
    expect(listeners).toBe(0);
  });
});

describe("nap", () => {
  test("takes a sixteenth of the time waited, from 1 to 10 ms", () => {
    expect([0, 16, 80, 160, 1e9].map(napMs)).toEqual([1, 1, 5, 10, 10]);
  });

  test("can be called off", async () => {
    let woken = 0;
    nap(() => woken++, 0)();
    await new Promise<void>((resolve) => nap(resolve, 0));
    await Bun.sleep(5);
    expect(woken).toBe(0);
  });
});
