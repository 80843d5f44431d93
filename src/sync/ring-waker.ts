/** The waker that sleeps in the kernel on behalf of the event loop (io_uring): one wake, and no thread. */
import { SystemError } from "../errors/errors.ts";
import type { FutexResult } from "../sys/libc/futex.ts";
import { type CommitNap, type CommitNaps, isWatchers, type OwnSleep } from "./hand-on.ts";
import type { LockPage } from "./lock-page.ts";
import { RingSleeper, type ThreadRing, threadRing } from "./ring.ts";
import type { Waker } from "./waker.ts";

type MakeWaker = (page: LockPage, wake: () => void) => Waker;

/** Why this thread has no ring, if it tried and never will have one. */
let refusal: Error | undefined;

/** What may pass: descriptors and memory that are short now. */
const PASSING: readonly string[] = ["EMFILE", "ENFILE", "ENOMEM"];

/** @returns undefined where the kernel, a sandbox or Bun does not let us, or descriptors are short */
export function makeRingWaker(page: LockPage, wake: () => void, substitute: MakeWaker): Waker | undefined {
  const ring = ringIfPossible();
  return ring instanceof Error ? undefined : new RingWaker(page, wake, ring, substitute);
}

/** The ring of this thread, or why it has no ring. */
export function ringIfPossible(): ThreadRing | Error {
  if (refusal !== undefined) return refusal;
  try {
    return threadRing();
  } catch (error) {
    const reason = error instanceof Error ? error : new Error(String(error));
    const passes = reason instanceof SystemError && PASSING.includes(reason.code);
    if (!passes) refusal = reason;
    return reason;
  }
}

/** What wakes an event loop here, in words for a user. @param wanted SHMSTRUCT_WAKER */
export function wakerText(wanted: string | undefined): string {
  if (wanted === "thread" || wanted === "timer") return `a ${wanted}, as SHMSTRUCT_WAKER says`;
  const ring = ringIfPossible();
  return ring instanceof Error ? `a thread, as the kernel cannot: ${ring.message}` : "the kernel (io_uring)";
}

/**
 * | state | event | next | |
 * | --- | --- | --- | --- |
 * | idle | request | asleep | the process stays alive |
 * | idle | request; a commit came already | answering | |
 * | asleep | wake | idle | calls `wake`; the kernel, or else this waker, has handed it on |
 * | asleep | a sleep is over; others are to follow | asleep | |
 * | asleep | the last sleep is over | idle | calls `wake` |
 * | asleep | request | asleep | |
 * | asleep | calm | idle | the process does not stay alive for it |
 * | answering | the microtask | idle | calls `wake` |
 * | answering | calm | answering | calls `wake`, which finds no waiter |
 * | asleep | the ring is lost | idle | calls `wake`; another waker takes over |
 * | any | stop | stopped | never calls `wake` again |
 */
class RingWaker implements Waker, OwnSleep {
  readonly #page: LockPage;
  readonly #wake: () => void;
  readonly #ring: ThreadRing;
  readonly #sleeper: RingSleeper;
  readonly #makeSubstitute: MakeWaker;
  /** Takes over when the ring is lost. */
  #substitute: Waker | undefined;
  #seen = 0;
  /** The sleeps of the present request; undefined when it was answered. */
  #naps: CommitNaps | undefined;
  /** Whether the kernel hands on the wake that ends the present sleep. */
  #kernelHandsOn = false;
  /** The count for which the kernel has done so: once for each, as wakes without a commit would go round for ever. */
  #handedOnFor: number | undefined;
  #isAnswering = false;
  #isStopped = false;

  constructor(page: LockPage, wake: () => void, ring: ThreadRing, makeSubstitute: MakeWaker) {
    this.#page = page;
    this.#wake = wake;
    this.#ring = ring;
    this.#makeSubstitute = makeSubstitute;
    this.#sleeper = new RingSleeper(
      (result) => this.#onWake(result),
      () => this.#onLost(),
    );
    ring.enter(this.#sleeper);
  }

  request(seen: number): void {
    if (this.#substitute !== undefined) {
      this.#substitute.request(seen);
      return;
    }
    this.#ring.hold(this.#sleeper);
    if (this.#naps !== undefined || this.#isAnswering) return;
    this.#seen = seen;
    if (this.#sleepOn(this.#page.napsUntilChange(seen, this), undefined)) this.#answerSoon();
  }

  calm(): void {
    this.#substitute?.calm();
    this.#giveUp();
    this.#ring.release(this.#sleeper);
  }

  stop(): void {
    this.#isStopped = true;
    this.#giveUp();
    this.#substitute?.stop();
    this.#ring.leave(this.#sleeper);
  }

  /** @param ended how the sleep before ended; undefined for the first @returns whether all sleeps of the request are over */
  #sleepOn(naps: CommitNaps, ended: FutexResult | undefined): boolean {
    // Undefined again if an exception strikes, such as a stack overflow: the next request begins anew.
    this.#naps = undefined;
    // The first value goes nowhere.
    let step = naps.next(ended ?? "ok");
    while (step.done !== true) {
      const result = this.#nap(step.value);
      if (result === undefined) {
        this.#naps = naps;
        return false;
      }
      step = naps.next(result);
    }
    if (step.value || !this.#kernelHandsOn) this.#handOn(step.value);
    return true;
  }

  #handOn(hasWatched: boolean): void {
    if (hasWatched || this.#page.changes !== this.#seen) this.end();
    this.#page.handOn(this.#seen, hasWatched);
  }

  get isAsleep(): boolean {
    return this.#sleeper.isAsleep;
  }

  end(): void {
    this.#ring.end(this.#sleeper);
  }

  #nap(nap: CommitNap): FutexResult | undefined {
    const handsOn = !isWatchers(nap) && this.#handedOnFor !== nap.seen;
    this.#kernelHandsOn = false;
    try {
      const result = this.#ring.sleep(this.#sleeper, { ...nap, handsOn });
      this.#kernelHandsOn = handsOn && result === undefined;
      return result;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#takeSubstitute();
      return "interrupted";
    }
  }

  #onWake(result: FutexResult): void {
    const naps = this.#naps;
    if (result === "timed-out") this.#kernelHandsOn = false;
    if (this.#kernelHandsOn) this.#handedOnFor = this.#seen;
    else if (naps === undefined) this.#page.handOn(this.#seen, false);
    if (naps === undefined) return;
    if (this.#sleepOn(naps, result)) this.#answer();
  }

  /** Ends the present sleep without an answer. */
  #giveUp(): void {
    const naps = this.#naps;
    const isHandedOn = this.#ring.end(this.#sleeper) === "ok" && this.#kernelHandsOn;
    if (naps !== undefined) this.#endNaps(naps, isHandedOn);
  }

  /** What the sleeper leaves on the page is removed, and a wake that it may have taken is handed on. */
  #endNaps(naps: CommitNaps, isHandedOn: boolean): void {
    this.#naps = undefined;
    let step = naps.next("interrupted");
    while (step.done !== true) step = naps.next("interrupted");
    if (step.value || !isHandedOn) this.#page.handOn(this.#seen, step.value);
  }

  #answerSoon(): void {
    this.#isAnswering = true;
    queueMicrotask(() => {
      this.#isAnswering = false;
      this.#answer();
    });
  }

  #answer(): void {
    if (!this.#isStopped) this.#wake();
  }

  #onLost(): void {
    const naps = this.#naps;
    if (naps !== undefined) this.#endNaps(naps, false);
    this.#takeSubstitute();
    this.#answer();
  }

  #takeSubstitute(): void {
    if (this.#isStopped) return;
    this.#substitute ??= this.#makeSubstitute(this.#page, this.#wake);
    this.#ring.leave(this.#sleeper);
  }
}
