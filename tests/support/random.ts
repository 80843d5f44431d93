/** Random numbers that can be had again: tests print their seed and take it back through the environment. */

/** The seed of this run: the environment variable SEED, or a new one. */
export const seedOfRun = (): number => Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

export interface Random {
  /** A whole number from `least` to `most`. */
  whole(least: number, most: number): number;
  /** True once in `n` times. */
  oneIn(n: number): boolean;
  pick<T>(from: readonly T[]): T;
}

/** mulberry32: small, and good enough to reach the corners. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const whole = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  return {
    whole,
    oneIn: (n) => whole(1, n) === 1,
    pick: (from) => from[whole(0, from.length - 1)] as (typeof from)[number],
  };
}
