/** How commits are told to those who wait for one: in other processes, in other threads, and in this one. */
import { checkOptions } from "../errors/check-options.ts";
import { ClosedError } from "../errors/errors.ts";
import { monotonicMs } from "../sys/clock.ts";
import { checkSignal, checkSpin, Deadline, sleepMs, withResolvers } from "./deadline.ts";
import type { LockPage } from "./lock-page.ts";
import type { RwLock } from "./rw-lock.ts";
import { makeWaker, POLL_EVERY_MS, type Waker } from "./waker.ts";

export interface NotifierOptions {
  /** The lock under which the commits are made; its page carries the signal. Stays open until the signal is closed or follows another one. */
  lock: RwLock;
  /**
   * A number that differs after every commit (a sequence, a time stamp). Default: the page's count of `notify()` calls.
   * Needed for kind `"fcntl"`, whose other users count nothing there, and where there is no page.
   */
  read?: (() => number) | undefined;
}

/** How a waiter may trade processor time for speed. @example reader.changes({ spinMs: 5 }) */
export interface SpinOptions {
  /**
   * Milliseconds for which a waiter looks again and again before it sleeps. A commit that comes while it looks is
   * seen within some 10 µs, as no sleeper has to be woken, and its writer makes no system call for it. The price is a whole
   * core meanwhile; `changes()` serves other events every 20 µs. Default: 0.
   */
  spinMs?: number | undefined;
}

/** How long `waitForChange()` blocks. @example reader.waitForChange({ timeoutMs: 1000 }) */
export interface WaitOptions extends SpinOptions {
  /** Milliseconds. Default: no limit. */
  timeoutMs?: number | undefined;
}

/** What ends `changes()` early. @example reader.changes({ signal: AbortSignal.timeout(1000) }) */
export interface ChangesOptions extends SpinOptions {
  /** Aborting it ends the iteration with `signal.reason`. */
  signal?: AbortSignal | undefined;
}

/** Changes as they come; ends when the signal is closed. */
export interface Changes extends AsyncIterableIterator<number>, AsyncDisposable {
  return(): Promise<IteratorResult<number>>;
}

/** What a notifier does for its iterations. `"idle"`: none waits. `"looking"`: it looks again after other events. */
export type NotifierState = "idle" | "looking" | "asleep" | "closed";

/** All changes of state. A wake may come without a commit. */
export const NOTIFIER_TRANSITIONS: readonly (readonly [
  from: NotifierState,
  event: string,
  to: NotifierState,
])[] = [
  ["idle", "notify", "idle"],
  ["idle", "next: a new version", "idle"],
  ["idle", "next: the same version", "asleep"],
  ["idle", "next: the same version, spinMs", "looking"],
  ["looking", "look: a new version", "idle"],
  ["looking", "look: the same version", "looking"],
  ["looking", "look: the same version, spinMs are over", "asleep"],
  ["asleep", "next of another: spinMs", "looking"],
  ["asleep", "wake: a new version", "idle"],
  ["asleep", "wake: the same version", "asleep"],
  ["asleep", "follow", "looking"],
  ["asleep", "return of one of two", "asleep"],
  ["looking", "return", "idle"],
  ["asleep", "return", "idle"],
  ["looking", "abort", "idle"],
  ["asleep", "abort", "idle"],
  ["idle", "close", "closed"],
  ["looking", "close", "closed"],
  ["asleep", "close", "closed"],
  ["closed", "close", "closed"],
];

/** Looks of a spinning iteration between two turns of the event loop: some 20 µs. */
const LOOKS_PER_TURN = 40_000;

interface Waiter {
  lastSeen: number;
  /** Until when to look instead of sleeping, by `monotonicMs()`. */
  spinUntil: number;
  settle(version: number): void;
}

/**
 * Tells commits. Telling costs an atomic addition as long as no process waits, and one system call however many do;
 * waiting costs nothing until it ends, and ends within some 20 µs of the commit.
 *
 * Without a writable page (kind `"fcntl"`, or no write permission on the lock file) a waiter looks every 5 ms
 * instead, and `notify()` has no effect.
 * @example
 * const signal = new Notifier({ lock });
 * signal.notify();                                          // the writer, after its commit
 * for await (const version of signal.changes()) { … }       // all others
 */
export class Notifier {
  #path: string;
  /** Undefined where commits may go untold: IPMMAP's processes make them too, and know nothing of pages. */
  #page: LockPage | undefined;
  readonly #read: () => number;
  readonly #waiters = new Set<Waiter>();
  readonly #open = new Set<ChangeIterator>();
  #waker: Waker | undefined;
  #nextLook: ReturnType<typeof setImmediate> | undefined;
  #closed = false;

  /** @throws TypeError when `read` is missing and needed */
  constructor(options: NotifierOptions) {
    checkOptions("new Notifier", options, { lock: "object", read: "function" });
    const { lock, read } = options;
    const page = pageOf(lock);
    if (read === undefined && page === undefined) {
      throw new TypeError(`the lock '${lock.path}' has no page that counts all commits: pass read()`);
    }
    this.#path = lock.path;
    this.#page = page;
    this.#read = read ?? (() => page!.changes);
  }

  /** The number that tells commits apart, now. */
  get version(): number {
    return this.#read();
  }

  get state(): NotifierState {
    if (this.#closed) return "closed";
    if (this.#waiters.size === 0) return "idle";
    return this.#nextLook === undefined ? "asleep" : "looking";
  }

  /** Tells all waiters that a commit was made: after the data is in place, with or without the lock. */
  notify(): void {
    this.#checkOpen();
    this.#page?.announceChange();
  }

  /**
   * Goes on with the lock that has taken the place of this one. To be called before the old one is closed.
   * @example signal.follow(next); old.close();
   */
  follow(lock: RwLock): void {
    this.#path = lock.path;
    this.#page = pageOf(lock);
    this.#waker?.stop();
    this.#waker = undefined;
    if (this.#waiters.size > 0) this.#lookSoon();
  }

  /**
   * Blocks this thread while `version` is `lastSeen`.
   * @returns whether it has changed: false after `timeoutMs`
   * @throws ClosedError after `close()`; TypeError or RangeError for a wrong timeout
   * @example const before = signal.version; …; signal.wait(before, { timeoutMs: 1000 });
   */
  wait(lastSeen: number, options: WaitOptions = {}): boolean {
    checkOptions("waitForChange", options, { timeoutMs: "number", spinMs: "number" });
    const deadline = new Deadline(options.timeoutMs);
    const spin = new Deadline(checkSpin(options.spinMs));
    this.#checkOpen();
    for (;;) {
      // First the count of the commits, then what they change: a commit in between ends the sleep at once.
      const seen = this.#seen();
      if (this.#read() !== lastSeen) return true;
      const { leftMs } = deadline;
      if (leftMs === 0) return false;
      if (spin.isOver) this.#sleep(seen, leftMs);
    }
  }

  /**
   * One turn per observed commit, beginning with the first after this call; commits in a burst become one turn.
   * An iteration that waits keeps the process alive. Ended by `return()` (as `break` does), `signal`, or `close()`.
   * @throws ClosedError after `close()`; the signal's reason when it is aborted; TypeError for other options
   * @example for await (const version of signal.changes({ signal: AbortSignal.timeout(1000) })) { … }
   */
  changes(options: ChangesOptions = {}): Changes {
    checkOptions("changes", options, { signal: "any", spinMs: "number" });
    const signal = checkSignal("changes", options.signal);
    const spinMs = checkSpin(options.spinMs);
    this.#checkOpen();
    signal?.throwIfAborted();
    const changes = new ChangeIterator(this.#read(), spinMs, signal, {
      wait: (waiter) => this.#wait(waiter),
      forget: (waiter) => this.#forget(waiter),
      end: () => this.#end(changes),
    });
    this.#open.add(changes);
    return changes;
  }

  /** Ends all iterations. The lock stays open. */
  close(): void {
    this.#closed = true;
    for (const changes of [...this.#open]) void changes.return();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new ClosedError(`the notifier of '${this.#path}' is closed`);
  }

  #seen(): number {
    return this.#page?.changes ?? 0;
  }

  #sleep(seen: number, timeoutMs: number): void {
    if (this.#page?.writable) this.#page.sleepUntilChange(seen, timeoutMs);
    else sleepMs(Math.min(POLL_EVERY_MS, timeoutMs));
  }

  #wait(waiter: Waiter): void {
    this.#waiters.add(waiter);
    this.#look();
  }

  #forget(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    if (this.#waiters.size > 0) return;
    this.#waker?.calm();
    this.#callOffLook();
  }

  /** Tells those for whom something is new, and asks to be woken for the others. */
  readonly #look = (): void => {
    this.#callOffLook();
    const page = this.#page;
    const seen = this.#seen();
    const version = this.#read();
    // To read may be to find another lock, on whose page other numbers stand: `follow` has us look again.
    if (page !== this.#page) return;
    for (const waiter of [...this.#waiters]) {
      if (version === waiter.lastSeen) continue;
      this.#forget(waiter);
      waiter.settle(version);
    }
    if (this.#waiters.size > 0) this.#lookAgain(seen);
  };

  /** Soon, as long as a waiter spins, and otherwise when `seen` has changed. */
  #lookAgain(seen: number): void {
    if (this.#isSpinning()) {
      // Other events have their turn only now and then: each costs a microsecond, and an object to be collected.
      for (let looks = 0; looks < LOOKS_PER_TURN && this.#page?.changes === seen; looks++);
      this.#lookSoon();
      return;
    }
    this.#callOffLook();
    this.#waker ??= makeWaker(this.#page, this.#look);
    this.#waker.request(seen);
  }

  #lookSoon(): void {
    this.#callOffLook();
    this.#nextLook = setImmediate(this.#look);
  }

  #callOffLook(): void {
    if (this.#nextLook === undefined) return;
    clearImmediate(this.#nextLook);
    this.#nextLook = undefined;
  }

  #isSpinning(): boolean {
    const now = monotonicMs();
    for (const { spinUntil } of this.#waiters) if (spinUntil > now) return true;
    return false;
  }

  #end(changes: ChangeIterator): void {
    this.#open.delete(changes);
    if (this.#open.size > 0) return;
    this.#waker?.stop();
    this.#waker = undefined;
  }
}

/** The page that counts all commits made under a lock. */
const pageOf = (lock: RwLock): LockPage | undefined => (lock.kind === "flock" ? lock.page : undefined);

/** What an iteration asks of its signal. */
interface Source {
  wait(waiter: Waiter): void;
  forget(waiter: Waiter): void;
  end(): void;
}

/** An iteration that can be ended from outside while a caller waits for its next turn. */
class ChangeIterator implements Changes {
  #ended = false;
  #reason: { error: unknown } | undefined;
  /** The turns asked for, one after the other; its head is what the signal knows. */
  readonly #turns: PromiseWithResolvers<IteratorResult<number>>[] = [];
  readonly #waiter: Waiter;
  readonly #spinMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #source: Source;

  constructor(lastSeen: number, spinMs: number, signal: AbortSignal | undefined, source: Source) {
    this.#spinMs = spinMs;
    this.#signal = signal;
    this.#source = source;
    this.#waiter = { lastSeen, spinUntil: 0, settle: (version) => this.#turn(version) };
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  next(): Promise<IteratorResult<number>> {
    if (this.#ended) return this.#afterEnd();
    const turn = withResolvers<IteratorResult<number>>();
    this.#turns.push(turn);
    if (this.#turns.length === 1) this.#wait();
    return turn.promise;
  }

  async return(): Promise<IteratorResult<number>> {
    this.#end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
  }

  #turn(version: number): void {
    this.#waiter.lastSeen = version;
    this.#turns.shift()!.resolve({ done: false, value: version });
    if (this.#turns.length > 0) this.#wait();
  }

  #wait(): void {
    if (this.#spinMs > 0) this.#waiter.spinUntil = monotonicMs() + this.#spinMs;
    this.#source.wait(this.#waiter);
  }

  readonly #onAbort = (): void => this.#end({ error: this.#signal?.reason });

  #end(reason?: { error: unknown }): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reason = reason;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#source.forget(this.#waiter);
    this.#source.end();
    for (const turn of this.#turns.splice(0)) void this.#afterEnd().then(turn.resolve, turn.reject);
  }

  /** The reason is told once, then the iteration is simply over. */
  #afterEnd(): Promise<IteratorResult<number>> {
    const reason = this.#reason;
    this.#reason = undefined;
    return reason === undefined
      ? Promise.resolve({ done: true, value: undefined })
      : Promise.reject(reason.error);
  }
}
