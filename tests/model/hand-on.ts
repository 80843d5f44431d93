/**
 * How sleepers wake after a commit (src/sync/hand-on.ts): the writer wakes one, each that was woken wakes two, and one of them
 * watches. With one death at any step, none that lives sleeps on while there is a commit that it has not seen. The look that
 * each sleeper takes once a second is left out: no one may need it.
 *
 *     sleeper   seen := changes; last := sleeper, sleeper := me; watched: sleep; alone: sleep; watched := me: sleep as the watcher
 *               watcher, its time over for the first time: wake two, again; later: others sleep: again; else watched := 0, from the start
 *               woken: the watcher: sleeper := another, watched := 0; a commit, or the watcher: wake two
 *     writer    changes + 1; wake one that does not watch, or else the watcher
 */
import type { Cpu, Model, ThreadSpec } from "./checker.ts";

/** Faults to build in, each of which the checker must find. */
export type HandOnFault =
  | "none watches"
  | "the writer wakes the watcher too"
  | "each wakes one, and the writer one"
  | "the last sleeper leaves no number"
  | "a new watcher wakes none"
  | "the watcher forgets the others";

export interface HandOnOptions {
  sleepers: number;
  commits: number;
  deaths: number;
  fault?: HandOnFault;
}

const CHANGES = 0;
const WATCHED = 1;
const SLEEPER = 2;
const WORDS = 3;

/** No sleeper's number: there may be others. */
const OTHERS = 9;

/** Ghosts, one per sleeper: where the kernel has it; behind them, one per sleeper: the commits that it has seen. */
const AWAKE = 0;
const ASLEEP = 1;
const WATCHING = 2;
const WOKEN = 3;

const LAST = 0;
const HAS_WATCHED = 1;
const IS_ENTERING = 2;
const IS_NEW = 3;

/** The kernel's queue, in further ghosts: sleepers in the order in which they came, by their numbers. */
const queueAt = (sleepers: number): number => 2 * sleepers;

function enter(cpu: Cpu, sleepers: number, state: number): void {
  let at = queueAt(sleepers);
  while (cpu.ghost(at) !== 0) at++;
  cpu.setGhost(at, cpu.thread + 1);
  cpu.setGhost(cpu.thread, state);
}

/** Takes a sleeper out of the queue, if it is there. */
function leave(ghosts: Uint16Array, sleepers: number, sleeper: number, state: number): void {
  const queue = ghosts.subarray(queueAt(sleepers), queueAt(sleepers) + sleepers);
  const at = queue.indexOf(sleeper + 1);
  ghosts[sleeper] = state;
  if (at < 0) return;
  queue.copyWithin(at, at + 1);
  queue[sleepers - 1] = 0;
}

const ghostsOf = (cpu: Cpu): Uint16Array => cpu.state.subarray(WORDS);

/** Wakes the first of those that sleep so. False when there is none. */
function wake(cpu: Cpu, sleepers: number, states: readonly number[]): boolean {
  for (let at = queueAt(sleepers); at < queueAt(sleepers) + sleepers; at++) {
    const sleeper = cpu.ghost(at) - 1;
    if (sleeper < 0 || !states.includes(cpu.ghost(sleeper))) continue;
    leave(ghostsOf(cpu), sleepers, sleeper, WOKEN);
    return true;
  }
  return false;
}

const othersSleep = (cpu: Cpu, sleepers: number): boolean =>
  Array.from({ length: sleepers }, (_, i) => cpu.ghost(i)).some(
    (state, i) => i !== cpu.thread && (state === ASLEEP || state === WATCHING),
  );

/** The watcher goes on for three looks when it is alone: longer than another one takes to fall asleep. */
const othersEnter = (cpu: Cpu, sleepers: number): boolean =>
  Array.from({ length: sleepers }, (_, i) => i).some(
    (i) => i !== cpu.thread && cpu.isAlive(i) && cpu.peek(i, IS_ENTERING) !== 0,
  );

function sleeper({ sleepers, fault }: HandOnOptions, me: number): ThreadSpec {
  const number = me + 1;
  const seen = (cpu: Cpu) => cpu.ghost(sleepers + me);
  const sleep = (state: number, next: string) => (cpu: Cpu) => {
    cpu.set(IS_ENTERING, 0);
    if (cpu.state[CHANGES] !== seen(cpu)) return "over";
    enter(cpu, sleepers, state);
    return next;
  };
  const wakes = fault === "each wakes one, and the writer one" ? 1 : 2;
  const lower = (cpu: Cpu) => {
    cpu.storeRelease(WATCHED, 0);
  };
  return {
    name: `sleeper ${number}`,
    registers: 4,
    restarts: false,
    steps: {
      start: (cpu) => {
        cpu.set(HAS_WATCHED, 0);
        cpu.setGhost(sleepers + me, cpu.load(CHANGES));
        return "number";
      },
      number: (cpu) => {
        cpu.set(IS_ENTERING, 1);
        if (fault === "none watches") return "sleep";
        if (fault === "the last sleeper leaves no number") return "look";
        cpu.set(LAST, cpu.load(SLEEPER));
        cpu.cas(SLEEPER, cpu.get(LAST), number);
        return "look";
      },
      look: (cpu) => {
        if (cpu.load(WATCHED) === 0) return "alone";
        cpu.set(LAST, 0);
        return "sleep";
      },
      alone: (cpu) => {
        const last = cpu.get(LAST);
        cpu.set(LAST, 0);
        return (last === 0 || last === number) && !othersSleep(cpu, sleepers) ? "sleep" : "take";
      },
      take: (cpu) => {
        if (!cpu.cas(WATCHED, 0, number)) return "sleep";
        cpu.set(IS_NEW, fault === "a new watcher wakes none" ? 0 : 1);
        return "watch";
      },
      watch: (cpu) => {
        cpu.set(HAS_WATCHED, 1);
        return sleep(WATCHING, "watching")(cpu);
      },
      watching: (cpu) => {
        if (cpu.ghost(me) === WOKEN) {
          cpu.setGhost(me, AWAKE);
          return "over";
        }
        // Its time is over. Where that would change nothing, the step is left out.
        const isAlone = !othersSleep(cpu, sleepers) && !othersEnter(cpu, sleepers);
        const isNew = cpu.get(IS_NEW) !== 0;
        if (cpu.state[CHANGES] === seen(cpu) && !isAlone && !isNew) return undefined;
        leave(ghostsOf(cpu), sleepers, me, AWAKE);
        cpu.set(IS_NEW, 0);
        if (isNew) return "first look";
        return isAlone ? "stop watching" : "watch";
      },
      "first look": (cpu) => {
        for (let i = 0; i < wakes; i++) wake(cpu, sleepers, [ASLEEP, WATCHING]);
        return "watch";
      },
      "stop watching": (cpu) => {
        lower(cpu);
        cpu.set(HAS_WATCHED, 0);
        return "number";
      },
      sleep: sleep(ASLEEP, "asleep"),
      asleep: (cpu) => {
        if (cpu.ghost(me) !== WOKEN) return undefined;
        cpu.setGhost(me, AWAKE);
        return "over";
      },
      over: (cpu) => {
        const hasWatched = cpu.get(HAS_WATCHED) !== 0;
        if (!hasWatched && cpu.state[CHANGES] === seen(cpu)) return "start";
        if (!hasWatched) return "wake";
        if (fault !== "the watcher forgets the others") cpu.storeRelease(SLEEPER, OTHERS);
        return "end the watch";
      },
      "end the watch": (cpu) => {
        lower(cpu);
        return "wake";
      },
      wake: (cpu) => {
        for (let i = 0; i < wakes; i++) wake(cpu, sleepers, [ASLEEP, WATCHING]);
        return "start";
      },
    },
  };
}

function writer({ commits, sleepers, fault }: HandOnOptions): ThreadSpec {
  const finds = fault === "the writer wakes the watcher too" ? [ASLEEP, WATCHING] : [ASLEEP];
  return {
    name: "writer",
    registers: 1,
    dies: false,
    steps: {
      commit: (cpu) => {
        if (cpu.state[CHANGES] === commits) return undefined;
        cpu.cas(CHANGES, cpu.state[CHANGES]!, cpu.state[CHANGES]! + 1);
        return "wake";
      },
      wake: (cpu) => (wake(cpu, sleepers, finds) ? "commit" : "wake the watcher"),
      "wake the watcher": (cpu) => {
        wake(cpu, sleepers, [ASLEEP, WATCHING]);
        return "commit";
      },
    },
  };
}

export function handOnModel(options: HandOnOptions): Model {
  const { sleepers, commits, deaths } = options;
  return {
    order: "sc",
    words: WORDS,
    ghosts: 3 * sleepers,
    deaths,
    threads: [...Array.from({ length: sleepers }, (_, i) => sleeper(options, i)), writer(options)],
    onGone: (state, thread) => {
      if (thread < sleepers) leave(state.subarray(WORDS), sleepers, thread, AWAKE);
    },
    // No thread can go on: those that sleep have seen all. A sleeper that saw the last commit sleeps again.
    onDeadlock: (state) => {
      const stuck = Array.from({ length: sleepers }, (_, i) => i).filter(
        (i) => state[WORDS + i] !== AWAKE && state[WORDS + sleepers + i] !== commits,
      );
      return stuck.length === 0 ? undefined : `sleeper ${stuck[0]! + 1} sleeps through a commit`;
    },
  };
}
