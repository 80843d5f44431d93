/** What wakes an event loop when a commit was made: the kernel, or a thread that sleeps until then, or else a timer. */
import { ClosedError, SystemError } from "../errors/errors.ts";
import { OwnedFd } from "../sys/owned-fd.ts";
import { after, waitAsync } from "./deadline.ts";
import type { LockPage, PageHandle } from "./lock-page.ts";
import { makeRingWaker } from "./ring-waker.ts";

/**
 * One wake per request.
 *
 * | state | event | next | |
 * | --- | --- | --- | --- |
 * | idle | request | waiting | the process stays alive |
 * | waiting | commit, or a second without one | idle | calls `wake` |
 * | waiting | request | waiting | |
 * | waiting | calm | calm | the process does not stay alive for it |
 * | calm | request | waiting | |
 * | calm | commit | idle | calls `wake`, which finds no waiter |
 * | any | stop | stopped | never calls `wake` again |
 */
export interface Waker {
  /** Calls `wake` once when `changes` of the page is no longer `seen`, or perhaps sooner. The process stays alive meanwhile. */
  request(seen: number): void;
  /** No waiter is left; a wake may still come, but the process does not stay alive for it. */
  calm(): void;
  /** Ends the thread or the timer. */
  stop(): void;
}

/** What Bun's `Worker` has and the DOM's has not: both may be what the user's tsconfig.json means by the name. */
export interface BunThread {
  ref(): void;
  unref(): void;
}

/** How often changes are looked for where nothing can wake us. */
export const POLL_EVERY_MS = 5;

/**
 * The best waker to be had. The kernel's (ring-waker.ts) and a thread need a page that it may store to, as commits wake only those that
 * asked, and descriptors; where there are too few left, a timer looks instead.
 * @param wake called on the event loop
 */
export function makeWaker(page: LockPage | undefined, wake: () => void): Waker {
  const wanted = process.env[WAKER_VARIABLE];
  if (!page?.writable || wanted === "timer") return new TimerWaker(wake);
  const ring = wanted === "thread" ? undefined : makeRingWaker(page, wake, makeThreadOrTimer);
  return ring ?? makeThreadOrTimer(page, wake);
}

/** For tests, and for kernels whose io_uring is at fault: `"thread"` or `"timer"` instead of the best. */
const WAKER_VARIABLE = "SHMSTRUCT_WAKER";

function makeThreadOrTimer(page: LockPage, wake: () => void): Waker {
  return threadsStart && hasDescriptorsForThread(page) ? new ThreadWaker(page, wake) : new TimerWaker(wake);
}

/** False once a thread could not start: timers have to do then. */
let threadsStart = true;

/** A thread opens some descriptors of its own, and Bun ends the process when it cannot. */
const DESCRIPTORS_OF_THREAD = 12;

function hasDescriptorsForThread(page: LockPage): boolean {
  // Owned, as this thread may be terminated in between.
  const probes: OwnedFd[] = [];
  try {
    while (probes.length <= DESCRIPTORS_OF_THREAD) probes.push(new OwnedFd(page.duplicateFd()));
    return true;
  } catch (error) {
    if (error instanceof SystemError || error instanceof ClosedError) return false;
    throw error;
  } finally {
    for (const probe of probes) probe.close();
  }
}

class TimerWaker implements Waker {
  readonly #wake: () => void;
  #callOff: (() => void) | undefined;

  constructor(wake: () => void) {
    this.#wake = wake;
  }

  request(): void {
    this.calm();
    this.#callOff = after(POLL_EVERY_MS, this.#wake);
  }

  calm(): void {
    this.#callOff?.();
    this.#callOff = undefined;
  }

  stop(): void {
    this.calm();
  }
}

/** What the thread is told at its start. */
export interface WakerStart {
  handle: PageHandle;
  control: Int32Array<SharedArrayBuffer>;
}

/**
 * Shared between the event loop and its thread.
 *
 *     0          4          8          12         16
 *     | requests | seen     | wakes    | stopped  |
 *     | count    | of the newest one   |          |
 *
 * wakes: the newest request that was answered. The event loop waits for it with `Atomics.waitAsync`: 10 to 15 % sooner than a
 * message, and no fake timers are in between.
 */
export const CONTROL = { requests: 0, seen: 1, wakes: 2, stopped: 3, words: 4 } as const;

/**
 * A thread that sleeps on the page's futex and wakes the event loop. It sleeps only on request: while the
 * event loop is busy with one change, further commits cost their writers no system call, and no wakes pile up.
 */
class ThreadWaker implements Waker {
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL.words * 4));
  readonly #worker: Worker & BunThread;
  readonly #page: LockPage;
  readonly #wake: () => void;
  /** Takes over if the thread cannot start. */
  #substitute: TimerWaker | undefined;
  #isWaiting = false;
  #isStopped = false;

  constructor(page: LockPage, wake: () => void) {
    this.#page = page;
    this.#wake = wake;
    this.#worker = new Worker(new URL("./waker-thread.ts", import.meta.url), {
      ref: false,
      smol: true,
    }) as Worker & BunThread;
    this.#worker.onerror = (event) => {
      event.preventDefault();
      threadsStart = false;
      this.#substitute = new TimerWaker(wake);
      if (!this.#isStopped) wake();
    };
    const start: WakerStart = { handle: page.handle, control: this.#control };
    this.#worker.postMessage(start);
  }

  request(seen: number): void {
    if (this.#substitute === undefined) this.#requestOfThread(seen);
    else this.#substitute.request();
  }

  #requestOfThread(seen: number): void {
    this.#worker.ref();
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    Atomics.store(this.#control, CONTROL.seen, seen);
    const answered = Atomics.load(this.#control, CONTROL.wakes);
    this.#wakeThread();
    const wait = waitAsync(this.#control, CONTROL.wakes, answered);
    if (wait.async) void wait.value.then(this.#answered);
    else queueMicrotask(this.#answered);
  }

  readonly #answered = (): void => {
    this.#isWaiting = false;
    if (!this.#isStopped) this.#wake();
  };

  calm(): void {
    this.#substitute?.calm();
    this.#worker.unref();
  }

  stop(): void {
    this.#isStopped = true;
    this.calm();
    Atomics.store(this.#control, CONTROL.stopped, 1);
    this.#wakeThread();
    // Should the thread fall asleep just after this, it finds out when it looks, within a second.
    this.#page.wakeAllSleepers();
  }

  #wakeThread(): void {
    Atomics.add(this.#control, CONTROL.requests, 1);
    Atomics.notify(this.#control, CONTROL.requests);
  }
}
