/** What wakes an event loop when a commit was made: a thread that sleeps until then, or else a timer. */
import type { LockPage } from "./lock-page.ts";

/** One ring per request. */
export interface ChangeBell {
  /** Rings once when `changes` of the page is no longer `seen`, or perhaps sooner. The process stays alive meanwhile. */
  request(seen: number): void;
  /** Nobody waits any more; a ring may still come, but the process does not stay alive for it. */
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
 * The best bell to be had. A thread needs a page that it may store to, as commits wake only those that asked.
 * @param ring called on the event loop
 */
export function changeBell(page: LockPage | undefined, path: string, ring: () => void): ChangeBell {
  return page?.writable && threadsStart ? new ThreadBell(page, path, ring) : new TimerBell(ring);
}

/** False once a thread could not start, as in a bundle that leaves its file out: timers have to do then. */
let threadsStart = true;

class TimerBell implements ChangeBell {
  readonly #ring: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  request(): void {
    this.calm();
    this.#timer = setTimeout(this.#ring, POLL_EVERY_MS);
  }

  calm(): void {
    clearTimeout(this.#timer);
  }

  stop(): void {
    this.calm();
  }
}

/** What the thread is told at its start. */
export interface BellStart {
  pageFd: number;
  path: string;
  control: Int32Array<SharedArrayBuffer>;
}

/**
 * Shared between the event loop and its thread.
 *
 *     0          4          8          12
 *     | requests | seen     | stopped  |
 *     | count    | of the newest one   |
 */
export const CONTROL = { requests: 0, seen: 1, stopped: 2, words: 3 } as const;

/**
 * A thread that sleeps on the page's futex and posts a message when it wakes. It sleeps only on request: while the
 * event loop is busy with one change, further commits cost their writers no system call, and no messages pile up.
 */
class ThreadBell implements ChangeBell {
  readonly #control = new Int32Array(new SharedArrayBuffer(CONTROL.words * 4));
  readonly #worker: Worker & BunThread;
  readonly #page: LockPage;
  /** Takes over if the thread cannot start. */
  #substitute: TimerBell | undefined;
  #isRequested = false;

  constructor(page: LockPage, path: string, ring: () => void) {
    this.#page = page;
    this.#worker = new Worker(new URL("./change-bell-thread.ts", import.meta.url), {
      ref: false,
      smol: true,
    }) as Worker & BunThread;
    this.#worker.onmessage = () => {
      this.#isRequested = false;
      ring();
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      threadsStart = false;
      this.#substitute = new TimerBell(ring);
      ring();
    };
    const start: BellStart = { pageFd: page.duplicateFd(), path, control: this.#control };
    this.#worker.postMessage(start);
  }

  request(seen: number): void {
    if (this.#substitute === undefined) this.#requestOfThread(seen);
    else this.#substitute.request();
  }

  #requestOfThread(seen: number): void {
    this.#worker.ref();
    if (this.#isRequested) return;
    this.#isRequested = true;
    Atomics.store(this.#control, CONTROL.seen, seen);
    this.#wakeThread();
  }

  calm(): void {
    this.#substitute?.calm();
    this.#worker.unref();
  }

  stop(): void {
    this.calm();
    this.#worker.onmessage = null;
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
