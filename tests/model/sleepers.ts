/**
 * How takers sleep until there is a job (src/queue/sleepers.ts): no job is there while all takers sleep and no one will wake
 * them. The kernel's futex compares the counter and falls asleep in one step.
 *
 *     taker     asleep + 1; seen := wakes; look; nothing: futex(wakes, seen); asleep - 1
 *     pusher    ready; full fence; asleep > 0: wakes + 1, wake one
 */
import type { Cpu, MemoryOrder, Model, Step, ThreadSpec } from "./checker.ts";

/** Faults to build in, each of which the checker must find. */
export type SleepersFault =
  | "looked before it was counted"
  | "wakes read after the look"
  | "no fence before the count is read"
  | "woken without a wake counted";

export interface SleepersOptions {
  order: MemoryOrder;
  takers: number;
  jobs: number;
  fault?: SleepersFault;
}

const JOBS = 0;
const ASLEEP = 1;
const WAKES = 2;
const WORDS = 3;
/** Ghosts: threads in the kernel's queue, wakes that it has to hand out, jobs taken. */
const IN_KERNEL = 0;
const TO_WAKE = 1;
const TAKEN = 2;

const SEEN = 0;

/** Adds to a word in one step, as Atomics.add does. */
function add(cpu: Cpu, word: number, value: number): boolean {
  if (!cpu.isDrained) return false;
  const now = cpu.state[word]!;
  return cpu.cas(word, now, now + value) === true;
}

function taker({ fault }: SleepersOptions, number: number): ThreadSpec {
  const enter = (next: string) => (cpu: Cpu) => (add(cpu, ASLEEP, 1) ? next : undefined);
  const readWakes = (next: string) => (cpu: Cpu) => {
    cpu.set(SEEN, cpu.loadAcquire(WAKES));
    return next;
  };
  const look = (next: string) => (cpu: Cpu) => {
    const jobs = cpu.load(JOBS);
    if (jobs === 0) return next;
    if (!cpu.isDrained || cpu.cas(JOBS, jobs, jobs - 1) !== true) return undefined;
    cpu.setGhost(TAKEN, cpu.ghost(TAKEN) + 1);
    return "over";
  };
  const order: Record<string, Step> =
    fault === "looked before it was counted"
      ? { start: look("enter"), enter: enter("wakes"), wakes: readWakes("sleep") }
      : fault === "wakes read after the look"
        ? { start: enter("look"), look: look("wakes"), wakes: readWakes("sleep") }
        : { start: enter("wakes"), wakes: readWakes("look"), look: look("sleep") };
  return {
    name: `taker ${number}`,
    registers: 1,
    dies: false,
    steps: {
      ...order,
      sleep: (cpu) => {
        if (!cpu.isDrained) return undefined;
        if (cpu.state[WAKES] !== cpu.get(SEEN)) return "leave";
        cpu.setGhost(IN_KERNEL, cpu.ghost(IN_KERNEL) + 1);
        return "asleep";
      },
      asleep: (cpu) => {
        if (cpu.ghost(TO_WAKE) === 0) return undefined;
        cpu.setGhost(TO_WAKE, cpu.ghost(TO_WAKE) - 1);
        cpu.setGhost(IN_KERNEL, cpu.ghost(IN_KERNEL) - 1);
        cpu.loadFence();
        return "leave";
      },
      leave: (cpu) => (add(cpu, ASLEEP, -1) ? "start" : undefined),
      over: () => undefined,
    },
  };
}

function pusher({ fault, jobs }: SleepersOptions): ThreadSpec {
  return {
    name: "pusher",
    registers: 1,
    dies: false,
    steps: {
      // A job that is ready: a release store of its slot's word.
      push: (cpu) => {
        if (cpu.get(0) === jobs) return undefined;
        cpu.set(0, cpu.get(0) + 1);
        if (fault !== "no fence before the count is read") return add(cpu, JOBS, 1) ? "count" : undefined;
        cpu.storeRelease(JOBS, cpu.load(JOBS) + 1);
        return "count";
      },
      count: (cpu) => (cpu.load(ASLEEP) === 0 ? "push" : "wakes"),
      wakes: (cpu) => {
        if (fault === "woken without a wake counted") return "wake";
        return add(cpu, WAKES, 1) ? "wake" : undefined;
      },
      wake: (cpu) => {
        if (!cpu.isDrained) return undefined;
        if (cpu.ghost(IN_KERNEL) > cpu.ghost(TO_WAKE)) cpu.setGhost(TO_WAKE, cpu.ghost(TO_WAKE) + 1);
        return "push";
      },
    },
  };
}

export function sleepersModel(options: SleepersOptions): Model {
  return {
    order: options.order,
    words: WORDS,
    ghosts: 3,
    deaths: 0,
    threads: [
      pusher(options),
      ...Array.from({ length: options.takers }, (_, number) => taker(options, number)),
    ],
    // All jobs are pushed, and no thread can go on: then all that could be taken must be taken.
    onDeadlock: (state) => {
      const expected = Math.min(options.jobs, options.takers);
      const taken = state[WORDS + TAKEN]!;
      return taken === expected ? undefined : `${expected - taken} jobs are there while their takers sleep`;
    },
  };
}
