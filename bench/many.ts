/**
 * Twenty struct classes, all alive and all used, each by a loop compiled for it alone: as in a program that has
 * many structs, and unlike a benchmark that has one.
 */

/** What one turn of the loop does with struct `v`: three stores, three loads, each load of something just stored. */
const asProperties = "v.a = v.c + 1; v.b = v.a * 0.5; sum += v.b; v.c = i;";

/** The same for libraries that have `get` and `set` instead of properties. */
export const asMethods =
  'v.set("a", v.get("c") + 1); v.set("b", v.get("a") * 0.5); sum += v.get("b"); v.set("c", i);';

export type Loop = (v: unknown, turns: number) => number;

let made = 0;

/**
 * A new function each time, which shares no compiled code with any other: text that was compiled before would be
 * taken from a cache, so each has a number of its own in it.
 */
export function loop(body: string = asProperties, before = asProperties.slice(-8)): Loop {
  return new Function(
    "v",
    "turns",
    `"loop ${made++}"; let i = 0; ${before} let sum = 0; for (i = 0; i < turns; i++) { ${body} } return sum;`,
  ) as Loop;
}

/** What a loop returns. */
export const expectedSum = (turns: number): number => 0.5 * (1 + (turns * (turns - 1)) / 2);

/** Stores and loads in a turn. */
export const ACCESSES = 6;
export const TURNS = 2000;
