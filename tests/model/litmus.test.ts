/** The checker itself: the classic litmus tests, with the outcomes that each memory order permits and forbids. */
import { expect, test } from "bun:test";
import { type Cpu, check, type MemoryOrder, type Model, type ThreadSpec } from "./checker.ts";

const X = 0;
const Y = 1;
const RESULT = { a: 0, b: 1, done: 2 };

type Access = (cpu: Cpu) => void;

/** A thread that makes the accesses one after the other. */
function line(name: string, ...accesses: Access[]): ThreadSpec {
  const steps = Object.fromEntries(
    accesses.map((access, i) => [
      `${i}`,
      (cpu: Cpu) => {
        access(cpu);
        return `${i + 1}`;
      },
    ]),
  );
  const end = (cpu: Cpu) => {
    if (!cpu.isDrained) return undefined;
    cpu.setGhost(RESULT.done, cpu.ghost(RESULT.done) + 1);
    return "over";
  };
  return {
    name,
    registers: 0,
    dies: false,
    steps: { ...steps, [accesses.length]: end, over: () => undefined },
  };
}

/** Whether the outcome a, b can be reached. */
function canSee(order: MemoryOrder, threads: ThreadSpec[], a: number, b: number): boolean {
  const model: Model = {
    order,
    words: 2,
    ghosts: 3,
    deaths: 0,
    threads,
    invariant: (words) =>
      words[2 + RESULT.done] === threads.length && words[2] === a && words[3] === b ? "seen" : undefined,
  };
  return !check(model).holds;
}

const store = (word: number) => (cpu: Cpu) => cpu.store(word, 1);
const release = (word: number) => (cpu: Cpu) => cpu.storeRelease(word, 1);
const storeFence = (cpu: Cpu) => cpu.storeFence();
const loadFence = (cpu: Cpu) => cpu.loadFence();
const load = (word: number, result: number) => (cpu: Cpu) => cpu.setGhost(result, cpu.load(word));
const acquire = (word: number, result: number) => (cpu: Cpu) => cpu.setGhost(result, cpu.loadAcquire(word));

const orders: MemoryOrder[] = ["sc", "tso", "weak"];
const permitted = (threads: ThreadSpec[], a: number, b: number) =>
  orders.filter((order) => canSee(order, threads, a, b));

test("message passing without fences fails on arm64 only", () => {
  expect(permitted([line("w", store(X), store(Y)), line("r", load(Y, 0), load(X, 1))], 1, 0)).toEqual([
    "weak",
  ]);
});

test("message passing needs a fence on either side", () => {
  expect(permitted([line("w", store(X), release(Y)), line("r", load(Y, 0), load(X, 1))], 1, 0)).toEqual([
    "weak",
  ]);
  expect(permitted([line("w", store(X), store(Y)), line("r", acquire(Y, 0), load(X, 1))], 1, 0)).toEqual([
    "weak",
  ]);
  expect(permitted([line("w", store(X), release(Y)), line("r", acquire(Y, 0), load(X, 1))], 1, 0)).toEqual(
    [],
  );
  const fences = [line("w", store(X), storeFence, store(Y)), line("r", load(Y, 0), loadFence, load(X, 1))];
  expect(permitted(fences, 1, 0)).toEqual([]);
});

test("a later store may overtake a release", () => {
  expect(permitted([line("w", release(X), store(Y)), line("r", acquire(Y, 0), load(X, 1))], 1, 0)).toEqual([
    "weak",
  ]);
});

test("store buffering is seen on both machines, not under sequential consistency", () => {
  const threads = [line("p", store(X), load(Y, 0)), line("q", store(Y), load(X, 1))];
  expect(permitted(threads, 0, 0)).toEqual(["tso", "weak"]);
});

test("two loads of one word never go back", () => {
  expect(permitted([line("w", store(X)), line("r", load(X, 0), load(X, 1))], 1, 0)).toEqual([]);
});

test("a thread sees its own stores at once", () => {
  expect(permitted([line("p", store(X), load(X, 0), load(X, 1))], 0, 0)).toEqual([]);
});
