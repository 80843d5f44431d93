/**
 * Waiting for a descriptor without blocking: Bun's event loop cannot watch a message queue, so one thread of the
 * process sleeps in epoll_wait and tells. It only tells, it never receives: nothing can be lost in it.
 */

import type { Pause } from "../sync/wait-line.ts";
import type { BunThread } from "../sync/waker.ts";
import { makeFd } from "../sys/descriptor.ts";
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLONESHOT,
  linuxEvents,
} from "../sys/libc/posix.ts";
import { epollEvent } from "./c-structs.ts";
import { posixCheck } from "./errors.ts";
import { nap } from "./waiting.ts";

/** What the thread is told at its start. */
export interface WatcherStart {
  epollFd: number;
}

interface Interest {
  events: number;
  wake: () => void;
}

/** The epoll set, the thread that sleeps on it, and whom to wake for which descriptor. One per process. */
class Watcher {
  readonly #epollFd = posixCheck("epoll_create1", makeFd(linuxEvents().epoll_create1, [EPOLL_CLOEXEC]));
  readonly #interests = new Map<number, Set<Interest>>();
  readonly #worker: Worker & BunThread;
  /** The thread did not start: all waits poll instead. */
  failed = false;

  constructor() {
    this.#worker = new Worker(new URL("./readiness-thread.ts", import.meta.url), {
      ref: false,
    }) as Worker & BunThread;
    this.#worker.onmessage = ({ data }: MessageEvent<number[]>) => {
      for (const fd of data) this.#wake(fd);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.failed = true;
      for (const fd of [...this.#interests.keys()]) this.#wake(fd);
    };
    this.#worker.postMessage({ epollFd: this.#epollFd } satisfies WatcherStart);
  }

  /** Calls `wake` once, when `fd` is ready for `events` or perhaps sooner; returns what calls that off. */
  watch(fd: number, events: number, wake: () => void): () => void {
    const interest = { events, wake };
    const interests = this.#interests.get(fd);
    if (interests === undefined) {
      this.#interests.set(fd, new Set([interest]));
      this.#control(EPOLL_CTL_ADD, fd, events);
      this.#worker.ref();
    } else {
      interests.add(interest);
      this.#rearm(fd, interests);
    }
    return () => this.#forget(fd, interest);
  }

  /** Wakes everybody who waits for the descriptor: who was not meant tries in vain and watches again. */
  #wake(fd: number): void {
    for (const interest of [...(this.#interests.get(fd) ?? [])]) {
      this.#forget(fd, interest);
      interest.wake();
    }
  }

  /** The number may belong to another queue by now: only what is still in the set is taken out. */
  #forget(fd: number, interest: Interest): void {
    const interests = this.#interests.get(fd);
    if (!interests?.delete(interest)) return;
    if (interests.size > 0) this.#rearm(fd, interests);
    else this.#remove(fd);
  }

  #remove(fd: number): void {
    this.#interests.delete(fd);
    this.#control(EPOLL_CTL_DEL, fd, 0);
    if (this.#interests.size === 0) this.#worker.unref();
  }

  #rearm(fd: number, interests: ReadonlySet<Interest>): void {
    let events = 0;
    for (const interest of interests) events |= interest.events;
    this.#control(EPOLL_CTL_MOD, fd, events);
  }

  #control(operation: number, fd: number, events: number): void {
    // SAFETY: the kernel reads one struct epoll_event, and copies it during the call.
    const event = epollEvent(events | EPOLLONESHOT, fd);
    posixCheck("epoll_ctl", linuxEvents().epoll_ctl(this.#epollFd, operation, fd, event), `fd ${fd}`);
  }
}

let watcher: Watcher | undefined;

/**
 * A pause until `fd` is ready for `events` (`POLLIN`, `POLLOUT`), or for a while where no thread can be had.
 * The process stays alive meanwhile. Call the pause off before closing `fd`.
 * @example new WaitLine(untilReady(fd, POLLIN));
 */
export const untilReady =
  (fd: number, events: number): Pause =>
  (wake, waitedMs) => {
    watcher ??= new Watcher();
    return watcher.failed ? nap(wake, waitedMs) : watcher.watch(fd, events, wake);
  };
