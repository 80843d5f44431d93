import { afterAll, describe, expect, test } from "bun:test";
import { MAX_TRIES, readConsistent } from "../../src/sync/seqlock.ts";

describe("readConsistent", () => {
  const words = new Int32Array(4);

  test("readConsistent returns what copy returned when the sequence stood still, even and odd alike", () => {
    for (const sequence of [0, 1, 2, 0x7fff_ffff, -1]) {
      words[1] = sequence;
      expect(readConsistent(words, 1, (seen) => `at ${seen}`)).toBe(`at ${sequence}`);
    }
  });

  test("readConsistent tries again when a writer came in between, and gives the copy of the undisturbed try", () => {
    words[0] = 2;
    let tries = 0;
    const copy = (sequence: number): number => {
      if (++tries < 4) words[0]! += 1;
      return sequence;
    };
    expect(readConsistent(words, 0, copy)).toBe(5);
    expect(tries).toBe(4);
  });

  test("readConsistent passes the argument through, so that one function serves every call", () => {
    words[2] = 6;
    const copy = (sequence: number, target: number[]): true => {
      target.push(sequence);
      return true;
    };
    const target: number[] = [];
    expect(readConsistent(words, 2, copy, target)).toBe(true);
    expect(target).toEqual([6]);
  });

  test("readConsistent gives up after a bounded number of tries with a writer that never rests", () => {
    let tries = 0;
    const copy = (): number => {
      tries++;
      words[0]! += 2;
      return 1;
    };
    expect(readConsistent(words, 0, copy)).toBeUndefined();
    expect(tries).toBe(MAX_TRIES);
  });

  test("readConsistent takes undefined from copy as a failed try", () => {
    let tries = 0;
    const copy = (): string | undefined => (++tries < 3 ? undefined : "whole");
    expect(readConsistent(words, 0, copy)).toBe("whole");
    expect(tries).toBe(3);
  });

  test("readConsistent lets what copy throws through", () => {
    expect(() =>
      readConsistent(words, 0, () => {
        throw new RangeError("no");
      }),
    ).toThrow("no");
  });
});

describe("against a writer in another thread", () => {
  const shared = new SharedArrayBuffer(4 * 66);
  const words = new Int32Array(shared);
  const source = `self.onmessage = ({ data }) => {
    const words = new Int32Array(data);
    for (let value = 1; Atomics.load(words, 65) === 0; value++) {
      Atomics.add(words, 64, 1);
      for (let i = 0; i < 64; i++) Atomics.store(words, i, value);
      Atomics.add(words, 64, 1);
      if (value % 8 === 0) for (let i = 0; i < 2000; i++) Atomics.load(words, 0);
    }
  };`;
  const writer = new Worker(URL.createObjectURL(new Blob([source])));
  afterAll(() => writer.terminate());

  test("no copy of readConsistent mixes two states of a writer in another thread", async () => {
    writer.postMessage(shared);
    while (Atomics.load(words, 64) === 0) await Bun.sleep(1);
    const live = words.subarray(0, 64);
    const target = new Int32Array(64);
    const copy = (sequence: number): true | undefined => {
      if ((sequence & 1) === 1) return undefined;
      target.set(live);
      return true;
    };
    let whole = 0;
    for (let turn = 0; turn < 100_000; turn++) {
      if (readConsistent(words, 64, copy) === undefined) continue;
      whole++;
      if (target[0] !== target[63] || target[0] !== target[31]) throw new Error(`torn: ${target.join(" ")}`);
    }
    Atomics.store(words, 65, 1);
    expect(whole).toBeGreaterThan(0);
  });
});
