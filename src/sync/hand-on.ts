/**
 * How sleepers are woken after a commit, so that the writer pays for one of them, however many there are: each that was woken
 * wakes two others. Should one die, or be stopped, before it does, another one notices: the *watcher*, which looks every 8 ms.
 *
 * | state of a sleeper | event | next | |
 * | --- | --- | --- | --- |
 * | awake | goes to sleep; another one watches, or no other one sleeps | asleep | |
 * | awake | goes to sleep; others sleep, or did, and none of them watches | watching | `watched` := now |
 * | asleep | commit, wake, time over | awake | after a commit: wakes 2 |
 * | watching | the first 8 ms without a commit | watching | wakes 2: none may have watched when a wake was lost |
 * | watching | 8 ms without a commit, others sleep | watching | `watched` := now |
 * | watching | three times 8 ms without a commit, no other one sleeps | awake, goes to sleep | `watched` := 0 |
 * | asleep, not watched over | 100 ms without a commit | asleep | looks whether a writer has come that cannot wake (`cannotWake`); awake if so |
 * | watching | 8 ms without a commit, and a writer has come that cannot wake | awake | wakes all |
 * | watching | commit, wake, time over | awake | `sleeper` := others, `watched` := 0, then wakes 2: one of them watches next |
 *
 * A commit wakes one sleeper that does not watch; the watcher is woken by another sleeper, or wakes by itself. So no single
 * process has both, the wake and the watch. (tests/model/hand-on.ts has every interleaving with a death.) A stopped process that sleeps in
 * futex(2) is no sleeper: the kernel takes it out of the futex's queue. One that sleeps by a ring (ring-waker.ts) is one, and may take a wake with it, as one that dies.
 */
import { monotonicMs } from "../sys/clock.ts";
import {
  type FutexResult,
  futexHasSleepers,
  futexWaitAs,
  futexWake,
  futexWakeOf,
} from "../sys/libc/futex.ts";
import { CANNOT_WAKE, CHANGES, LOOK_ALONE_MS, SLEEPER, WATCHED } from "./lock-page-format.ts";

/** How often the watcher looks, in milliseconds. */
const WATCH_EVERY_MS = 8;

/** A watcher that has not looked for so long is gone. */
const WATCH_LOST_MS = 24;

/** Looks of a watcher that is alone: longer than another one takes that is about to sleep, and counts on it. */
const LOOKS_ALONE = 3;

/** Instead of a sleeper's number: there may be others. */
const OTHERS = -1;

/** How many sleepers each woken one wakes: one of the two may be lost, and the other goes on. */
export const WAKES_PER_STEP = 2;

/** In which wakes a sleeper takes part: by default in all of them. */
const SLEEPER_BIT = 1;
const WATCHER_BIT = 2;

/** After a commit: wakes one sleeper, if there is any, and the watcher only if no other one sleeps. */
export function wakeFirstSleeper(words: Int32Array): void {
  if (Atomics.load(words, WATCHED) !== 0 && futexWakeOf(words, CHANGES, 1, SLEEPER_BIT) > 0) return;
  futexWake(words, CHANGES, 1);
}

/** One sleep on the page's count of commits: while it is `seen`, for wakes of these bits. */
export interface CommitNap {
  readonly words: Int32Array;
  readonly index: number;
  readonly seen: number;
  readonly bits: number;
  /** When it is over, in milliseconds of CLOCK_MONOTONIC. */
  readonly untilMs: number;
}

/** The sleeps of one wait for a commit, one after the other; each is told how the one before ended. Gives whether the last one was the watcher's. */
export type CommitNaps = Generator<CommitNap, boolean, FutexResult>;

/** For all wakes, as FUTEX_WAIT sleeps. */
export const ALL_BITS = 0xffff_ffff;

/** A sleep that goes on between two steps, of one who sleeps by other means than futex(2). */
export interface OwnSleep {
  readonly isAsleep: boolean;
  /** Before others are woken: it would take one of their wakes. */
  end(): void;
}

const NO_SLEEP: OwnSleep = { isAsleep: false, end() {} };

/** Whether a sleep is the watcher's. */
export const isWatchers = (nap: CommitNap): boolean => nap.bits === WATCHER_BIT;

/** One thread's sleeping for commits on one lock page. */
export class CommitSleep {
  readonly #words: Int32Array;
  /** Tells this sleeper's own traces on the page from those of others. */
  readonly #number = Math.floor(Math.random() * 2 ** 31) + 1;

  /** @param words the lock page, writable */
  constructor(words: Int32Array) {
    this.#words = words;
  }

  /**
   * Sleeps while the count of commits is `seen`, for so long at most, and hands the wake on. It may end for no reason.
   * @param awake called before the wake is handed on, for what is waited for: it must be quick, and not throw
   */
  until(seen: number, timeoutMs: number, awake?: () => void): void {
    const naps = this.naps(seen, timeoutMs);
    let step = naps.next();
    while (step.done !== true) step = naps.next(this.#nap(step.value));
    awake?.();
    this.handOn(seen, step.value);
  }

  /**
   * The sleeps of `until`, for one who sleeps by other means; `handOn` is to follow.
   * @param own its own sleep, where that goes on between two steps
   */
  *naps(seen: number, timeoutMs: number, own = NO_SLEEP): CommitNaps {
    const until = monotonicMs() + timeoutMs;
    const hasWatched = yield* this.#watch(seen, until, own);
    if (!hasWatched) yield* this.#sleep(seen, until);
    else this.#endWatch();
    return hasWatched;
  }

  /** Also after a sleep that only the time ended: the wake of this commit may have been lost with a process. */
  handOn(seen: number, hasWatched: boolean): void {
    const words = this.#words;
    if (hasWatched || Atomics.load(words, CHANGES) !== seen) futexWake(words, CHANGES, WAKES_PER_STEP);
  }

  #nap({ words, index, seen, bits, untilMs }: CommitNap): FutexResult {
    return futexWaitAs(words, index, seen, untilMs, bits);
  }

  #napOf(seen: number, untilMs: number, bits: number): CommitNap {
    return { words: this.#words, index: CHANGES, seen, bits, untilMs };
  }

  /** Sleeps without watching. One that is alone finds out itself that a writer has come that cannot wake. */
  *#sleep(seen: number, until: number): Generator<CommitNap, void, FutexResult> {
    const words = this.#words;
    const isAlone = Atomics.load(words, WATCHED) === 0 && Atomics.load(words, CANNOT_WAKE) === 0;
    for (let now = monotonicMs(); now < until; now = monotonicMs()) {
      const lookAt = isAlone ? Math.min(until, now + LOOK_ALONE_MS) : until;
      const result = yield this.#napOf(seen, lookAt, ALL_BITS);
      if (result !== "timed-out" || !isAlone || Atomics.load(words, CANNOT_WAKE) !== 0) return;
    }
  }

  /** Sleeps as the watcher, as long as one is needed and there is no other. Gives whether the sleep is over. */
  *#watch(seen: number, until: number, own: OwnSleep): CommitNaps {
    let now = monotonicMs();
    const seesWriter = Atomics.load(this.#words, CANNOT_WAKE) !== 0;
    while (now + WATCH_EVERY_MS < until && this.#takesWatch(now, own)) {
      for (
        let alone = 0, isNew = true;
        alone < LOOKS_ALONE;
        alone = this.#areOthersAsleep(own) ? 0 : alone + 1, isNew = false
      ) {
        Atomics.store(this.#words, WATCHED, stampOf(now));
        const result = yield this.#napOf(seen, now + WATCH_EVERY_MS, WATCHER_BIT);
        now = monotonicMs();
        if (result !== "timed-out" || now >= until) return true;
        // The wake of a commit may have been lost while none watched.
        if (isNew) this.#wakeOthers(own);
        if (this.#cannotBeWoken(seesWriter)) return true;
      }
      // First this, then the look whether another one came: one of the two sees the other.
      Atomics.store(this.#words, WATCHED, 0);
    }
    return false;
  }

  #areOthersAsleep({ isAsleep }: OwnSleep): boolean {
    return futexHasSleepers(this.#words, CHANGES, Number(isAsleep));
  }

  #wakeOthers(own: OwnSleep): void {
    own.end();
    futexWake(this.#words, CHANGES, WAKES_PER_STEP);
  }

  /** Whether a writer has come that cannot wake: then all are to look for themselves from now on. */
  #cannotBeWoken(isKnown: boolean): boolean {
    if (isKnown || Atomics.load(this.#words, CANNOT_WAKE) === 0) return false;
    futexWake(this.#words, CHANGES);
    return true;
  }

  /** Before the wakes: one of those that are woken finds that none watches. One that was about to sleep may have counted on this watcher. */
  #endWatch(): void {
    Atomics.store(this.#words, SLEEPER, OTHERS);
    Atomics.store(this.#words, WATCHED, 0);
  }

  #takesWatch(now: number, own: OwnSleep): boolean {
    const words = this.#words;
    const last = Atomics.exchange(words, SLEEPER, this.#number);
    const watched = Atomics.load(words, WATCHED);
    if (watched !== 0 && isRecent(watched, now)) return false;
    const isAlone = (last === this.#number || last === 0) && !this.#areOthersAsleep(own);
    return !isAlone && Atomics.compareExchange(words, WATCHED, watched, stampOf(now)) === watched;
  }
}

/** A time as the page has it: milliseconds of CLOCK_MONOTONIC that wrap, never 0. */
const stampOf = (now: number): number => Math.floor(now % 2 ** 32) | 1;

const isRecent = (watched: number, now: number): boolean =>
  ((stampOf(now) - watched) | 0) >>> 0 <= WATCH_LOST_MS;
