/**
 * The queue in front of a lock: a lock of the other kind on the same file, which writers enter alone and readers together,
 * and the words of the lock page that belong to it. docs/internals/locking.md tells the protocol for other languages.
 */
import { monotonicMs } from "../sys/clock.ts";
import { sleepMs } from "./deadline.ts";
import type { FileLock, LockMode } from "./file-lock.ts";
import type { LockPage } from "./lock-page.ts";

/**
 * How long a caller that stood in the turnstile may overtake those who stand there now. Two processes that take
 * turns at every lock pay two context switches each time; in batches of this length they pay hardly anything.
 */
const OVERTAKE_MS = 1;

/** A waiter in the turnstile that runs looks every 5 ms. One that has not looked for so long does not run. */
const STUCK_MS = 20;

/** Without a page no looks can be counted: so long is a turnstile taken for stuck once it was found so. */
const STUCK_FOR_MS = 1000;

export interface TurnstileOptions {
  /** Whether writers can keep readers out of it. */
  readonly mayExclude: boolean;
  /** Whether a reader can find out that it is the last one in it. */
  readonly mayJudge: boolean;
}

export class Turnstile {
  readonly #gate: FileLock;
  readonly #page: LockPage | undefined;
  readonly #options: TurnstileOptions;
  /** How this object stands in it now. */
  #entered: LockMode | undefined;
  /** When it was last entered. */
  #enteredAt = Number.NEGATIVE_INFINITY;
  /** The count of looks when an attempt to enter last failed, and since when it has been that. */
  #looks = 0;
  #looksSince = Number.POSITIVE_INFINITY;
  /** The one who stands in it does not run, as long as the looks are still that many. */
  #isStuck = false;
  #stuckUntil = 0;
  #seenLeft = 0;
  #seenReleased = 0;

  constructor(gate: FileLock, page: LockPage | undefined, options: TurnstileOptions) {
    this.#gate = gate;
    this.#page = page;
    this.#options = options;
  }

  /** The mode in which this object stands in it. */
  get entered(): LockMode | undefined {
    return this.#entered;
  }

  /** Whether a caller may go straight for the lock. */
  isOpenTo(mode: LockMode): boolean {
    const page = this.#page;
    if (page !== undefined && !page.waiting && !page.hasSilentReaders) return true;
    if (this.#isPassed()) return true;
    // Readers that see the flag never overtake; without a flag to see, all behave as if there were a queue.
    if (page?.waiting && mode === "shared") return false;
    return monotonicMs() - this.#enteredAt < OVERTAKE_MS;
  }

  /** Enters it, if that is possible at once. */
  tryEnter(mode: LockMode): boolean {
    const gateMode = this.#options.mayExclude ? mode : "shared";
    if (!this.#gate.tryLock(gateMode)) {
      this.#judge();
      return false;
    }
    this.#entered = gateMode;
    this.#enteredAt = monotonicMs();
    this.#isStuck = false;
    this.#looksSince = Number.POSITIVE_INFINITY;
    if (this.#page !== undefined) this.#page.waiting = true;
    return true;
  }

  /** Tells the others that the waiter in it runs. */
  countLook(): void {
    this.#page?.countLook();
  }

  /** Leaves it, if this object stands in it, and wakes the next one. */
  leave(): void {
    if (this.#entered === undefined) return;
    const page = this.#page;
    const wasPolling = page?.polling;
    if (page?.waiting && this.#isAlone()) {
      page.waiting = false;
      // A waiter that looks from in front of it says so again at the next look.
      if (wasPolling) page.polling = false;
    }
    this.#gate.unlock();
    this.#entered = undefined;
    if (!wasPolling) page?.announceTurnstileLeft();
  }

  /** Leaves it whether or not this object knows that it stands in it: a call was interrupted. */
  heal(): void {
    this.#gate.unlock();
    this.#entered = undefined;
    this.#page?.announceTurnstileLeft();
  }

  /** The lock was given back: wakes those who wait for it. */
  tellReleased(): void {
    if (this.#page?.waiting) this.#page.announceRelease();
  }

  /** For a caller that will look again from in front of it, and cannot be woken. */
  announcePolling(): void {
    if (this.#page !== undefined && this.#entered === undefined) this.#page.polling = true;
  }

  /** To be called before the look that fails: what happens after this ends the sleep at once. */
  prepareSleep(): void {
    if (this.#page === undefined) return;
    this.#seenLeft = this.#page.turnstileLeft;
    this.#seenReleased = this.#page.released;
  }

  /** Sleeps until it is worth looking again, `milliseconds` at most. */
  sleep(milliseconds: number): void {
    const page = this.#page;
    if (page === undefined) sleepMs(milliseconds);
    else if (this.#entered === undefined && !this.#isStuck)
      page.sleepUntilTurnstileLeft(this.#seenLeft, milliseconds);
    else page.sleepUntilReleased(this.#seenReleased, milliseconds);
  }

  /** Writers are. Of the readers the last one out is, who gets the gate exclusively. */
  #isAlone(): boolean {
    return this.#entered === "exclusive" || (this.#options.mayJudge && this.#gate.tryLock("exclusive"));
  }

  /** Whether the one who stands in it is known not to run, and is passed. */
  #isPassed(): boolean {
    if (!this.#isStuck) return false;
    this.#isStuck =
      this.#page === undefined ? monotonicMs() < this.#stuckUntil : this.#page.looks === this.#looks;
    return this.#isStuck;
  }

  /** It could not be entered: does the one who stands in it run? */
  #judge(): void {
    const now = monotonicMs();
    const looks = this.#page?.looks ?? 0;
    if (looks !== this.#looks || now < this.#looksSince) {
      this.#looks = looks;
      this.#looksSince = now;
    } else if (now - this.#looksSince >= STUCK_MS) {
      this.#isStuck = true;
      this.#stuckUntil = now + STUCK_FOR_MS;
    }
  }
}
