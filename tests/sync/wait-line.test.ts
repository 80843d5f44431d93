import { expect, setDefaultTimeout, test } from "bun:test";
import { Deadline } from "../../src/sync/deadline.ts";
import { type Pause, type Wait, WaitLine } from "../../src/sync/wait-line.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

/** A wait without end, unless told otherwise. */
const waiting = <T>(attempt: () => T | undefined, options: Partial<Wait<T>> = {}): Wait<T> => ({
  attempt,
  deadline: new Deadline(undefined),
  timeoutError: () => new Error("too late"),
  signal: undefined,
  ...options,
});

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

test("the first in line tries at once, and does not pause for what succeeds", async () => {
  const { state, pause } = manualPause();
  expect(await new WaitLine(pause).wait(waiting(() => "done"))).toBe("done");
  expect(state.armed).toBe(0);
});

test("a line pauses once for all, serves in order, and stops pausing with the last one", async () => {
  const { state, pause } = manualPause();
  const line = new WaitLine(pause);
  let units = 0;
  const take = () => (units > 0 ? units-- : undefined);
  const order: string[] = [];
  const waits = ["a", "b", "c"].map((who) => line.wait(waiting(take)).then(() => order.push(who)));
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
    waiting(() => {
      if (broken) throw new Error("broken");
      return undefined;
    }),
  );
  const second = line.wait(waiting(() => (broken ? "fine" : undefined)));
  broken = true;
  state.wake();
  await expect(first).rejects.toThrow("broken");
  expect(await second).toBe("fine");
});

test("a caller that times out at the head tries once more first", async () => {
  const { pause } = manualPause();
  const line = new WaitLine(pause);
  let available = false;
  const wait = line.wait(
    waiting(() => (available ? "just in time" : undefined), { deadline: new Deadline(5) }),
  );
  available = true;
  expect(await wait).toBe("just in time");
  await expect(line.wait(waiting(() => undefined, { deadline: new Deadline(3) }))).rejects.toThrow(
    "too late",
  );
});

test("a line leaves no timer and no listener behind", async () => {
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
  const wait = line.wait(waiting(() => available || undefined, { signal, deadline: new Deadline(1e12) }));
  expect(listeners).toBe(1);
  available = true;
  state.wake();
  await wait;
  expect(listeners).toBe(0);
});

test("a timeout of 0 is over at once, without a pause, and gives up what the attempt gathered", async () => {
  const { state, pause } = manualPause();
  const line = new WaitLine(pause);
  let gaveUp = 0;
  const giveUp = () => void gaveUp++;
  await expect(line.wait(waiting(() => undefined, { deadline: new Deadline(0), giveUp }))).rejects.toThrow(
    "too late",
  );
  expect([gaveUp, state.armed]).toEqual([1, 0]);
});

test("only the head of the line gives up something, however it ends", async () => {
  const { state, pause } = manualPause();
  const line = new WaitLine(pause);
  const gaveUp: string[] = [];
  const control = new AbortController();
  const enter = (who: string, options: Partial<Wait<never>> = {}) =>
    line.wait(waiting(() => undefined, { giveUp: () => void gaveUp.push(who), ...options })).catch(String);
  const waits = [
    enter("a", { signal: control.signal }),
    enter("b", { deadline: new Deadline(5) }),
    enter("c"),
  ];
  await waits[1];
  expect(gaveUp).toEqual([]);
  expect(await enter("d", { deadline: new Deadline(0) })).toBe("Error: too late");
  control.abort("enough");
  expect([gaveUp, state.armed]).toEqual([["a"], 1]);
  line.failAll("closed");
  expect(await Promise.all(waits)).toEqual(["enough", "Error: too late", "closed"]);
  expect([gaveUp, state.armed]).toEqual([["a", "c"], 0]);
});
