/** Sleeps on futexes that end on this thread's event loop: the kernel itself wakes it, and no other thread is in between. */
import { monotonicMs } from "../sys/clock.ts";
import { closeFile } from "../sys/descriptor.ts";
import { IoRing } from "../sys/io-ring.ts";
import { check, systemError } from "../sys/libc/call.ts";
import {
  AF_UNIX,
  E,
  FUTEX2_SIZE_U32,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_FUTEX_WAKE,
  IORING_OP_SEND,
  IORING_OP_TIMEOUT,
  IORING_TIMEOUT_ABS,
  IORING_TIMEOUT_ETIME_SUCCESS,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from "../sys/libc/constants.ts";
import { addressOf } from "../sys/libc/ffi.ts";
import type { FutexResult } from "../sys/libc/futex.ts";
import { ioUring } from "../sys/libc/symbols.ts";
import { OwnedFd } from "../sys/owned-fd.ts";
import { afterInFact } from "./deadline.ts";
import { ALL_BITS, type CommitNap, WAKES_PER_STEP } from "./hand-on.ts";

/** What a sleep asks for beside the nap itself. */
export interface RingNap extends CommitNap {
  /** Whether the kernel itself hands a wake on, however busy the event loop is. */
  readonly handsOn: boolean;
}

/** One that sleeps, once at a time. */
export class RingSleeper {
  /** Of the present sleep; 0 while it is awake. */
  id = 0;
  /** The errno with which it ended; undefined while it sleeps. */
  errno: number | undefined;
  /** What the kernel was asked for. */
  nap: RingNap | undefined;
  /** When `woken` is to be told that the time is over, in milliseconds of CLOCK_MONOTONIC. */
  untilMs = 0;
  /** When its alarm goes off. One is kept over many sleeps, as most end long before it. */
  alarmAtMs = Number.POSITIVE_INFINITY;
  alarmId = 0;
  /**
   * The sleep has ended (`"ok"`), or its time is over (`"timed-out"`), and then it goes on until `end` or another `sleep`. Called on the
   * event loop, never by a method of the ring.
   */
  readonly woken: (result: FutexResult) => void;
  /** The ring is gone, and no sleep of it ends any more. */
  readonly lost: () => void;

  constructor(woken: (result: FutexResult) => void, lost: () => void) {
    this.woken = woken;
    this.lost = lost;
  }

  /** Whether the kernel has a sleep of it that no wake has ended. */
  get isAsleep(): boolean {
    return this.id !== 0 && this.errno === undefined;
  }
}

/** How long a ring without sleepers is kept for the next one, in milliseconds. */
const LINGER_MS = 1000;

/** The part of a socket of Bun's that is used here. */
interface Bell {
  ref(): void;
  unref(): void;
  terminate(): void;
}

const OPERATIONS = [
  IORING_OP_TIMEOUT,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_SEND,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_FUTEX_WAKE,
];

/** struct __kernel_timespec, which the kernel reads when a timeout is handed to it: two i64, seconds and nanoseconds. */
const timespec = new BigInt64Array(2);

/** The bytes that the kernel sends. One for all, as nothing is read from it but its length. */
const BYTE = new Uint8Array(1);

let ring: ThreadRing | undefined;

/** The ring of this thread. @throws SystemError where the kernel or a sandbox has none for us, or descriptors are short; others when Bun cannot listen to it */
export function threadRing(): ThreadRing {
  ring ??= new ThreadRing();
  return ring;
}

/**
 * A sleep is a chain of requests to the kernel:
 *
 *     FUTEX_WAIT, FUTEX_WAIT, FUTEX_WAKE of two others, SEND of one byte     with `handsOn`
 *     FUTEX_WAIT, SEND of one byte                                           without
 *     TIMEOUT, SEND of one byte                                              the alarm
 *
 * The byte goes to a socket on which the event loop sleeps. The second wait ends at once if the word has changed. If it has not,
 * the first wake was in vain, and is not handed on.
 *
 * | state of a sleeper | event | next | |
 * | --- | --- | --- | --- |
 * | awake | sleep; the word is as it was seen | asleep | |
 * | awake | sleep; the word has changed already | awake | the result comes at once |
 * | asleep | wake | woken | the kernel hands it on, and sends a byte |
 * | asleep | sleep for the same nap | asleep | until another time; no call of the kernel as a rule |
 * | asleep | sleep for another nap | asleep | as `end`, then `sleep` |
 * | asleep | the alarm; the time is not over | asleep | sets the alarm again |
 * | asleep | the alarm; the time is over | asleep | calls `woken("timed-out")` |
 * | asleep | end | awake | the result is "timed-out"; with `handsOn` two others may be woken in vain |
 * | woken | sleep | awake | the result is "ok" |
 * | woken | end | awake | the result is "ok" |
 * | woken | the byte arrives | awake | calls `woken("ok")` |
 * | any | the ring is lost | awake | calls `lost` |
 *
 * A byte may come for a sleeper that has ended already, and then means nothing.
 */
export class ThreadRing {
  readonly #ring: IoRing;
  /** The end of the pair to which the kernel writes. */
  readonly #end: OwnedFd;
  readonly #sleepers = new Set<RingSleeper>();
  readonly #asleep = new Map<number, RingSleeper>();
  /** Their results are there, and they were not told yet. */
  readonly #ended = new Set<RingSleeper>();
  readonly #holders = new Set<RingSleeper>();
  readonly #alarms = new Map<number, RingSleeper>();
  /** Their alarms have gone off, and they were not told yet. */
  readonly #due = new Set<RingSleeper>();
  #bell: Bell | undefined;
  #nextId = 2;
  #isLingering = false;
  #isClosed = false;

  constructor() {
    this.#ring = IoRing.open(OPERATIONS);
    try {
      this.#end = this.#listen();
    } catch (error) {
      // What Bun says of the socket later means nothing.
      this.#isClosed = true;
      this.#ring.close();
      throw error;
    }
  }

  /** Has Bun sleep on one end of a pair of sockets. @returns the other end */
  #listen(): OwnedFd {
    const pair = new Int32Array(2);
    // SAFETY: the kernel writes two numbers.
    const result = ioUring().socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
    check("socketpair", result);
    const end = new OwnedFd(pair[1]!);
    try {
      this.#hear(pair[0]!);
      return end;
    } catch (error) {
      end.close();
      throw error;
    }
  }

  /** Has the event loop sleep on a socket. Bun closes it, and does so at the end of a worker too. @throws where this Bun does not */
  #hear(fd: number): void {
    // Its types leave `fd` out.
    const connect = Bun.connect as unknown as (options: object) => Promise<unknown>;
    const lose = (): void => this.#lose();
    const open = (bell: Bell): void => {
      if (this.#isClosed) bell.terminate();
      else this.#bell = bell;
      bell.unref();
    };
    const socket = { open, data: () => this.#ringing(), close: lose, error: lose, connectError: lose };
    let opening: Promise<unknown>;
    try {
      opening = connect({ fd, socket });
    } catch (error) {
      closeFile(fd);
      throw error;
    }
    opening.catch(lose);
    if (this.#bell !== undefined) return;
    throw systemError("connect", E.EOPNOTSUPP, undefined, "this Bun does not open descriptors as sockets");
  }

  /** Keeps the ring open for a sleeper. */
  enter(sleeper: RingSleeper): void {
    this.#sleepers.add(sleeper);
  }

  /** The sleeper sleeps no more. */
  leave(sleeper: RingSleeper): void {
    try {
      this.end(sleeper);
    } catch {
      // The ring may be what has failed.
      this.#forget(sleeper);
    }
    this.#alarms.delete(sleeper.alarmId);
    this.#due.delete(sleeper);
    this.release(sleeper);
    this.#sleepers.delete(sleeper);
    if (this.#sleepers.size > 0 || this.#isLingering || this.#isClosed) return;
    this.#isLingering = true;
    afterInFact(LINGER_MS, () => {
      this.#isLingering = false;
      if (this.#sleepers.size === 0) this.close();
    });
  }

  /** From now on the process stays alive for this sleeper. */
  hold(sleeper: RingSleeper): void {
    if (this.#holders.size === 0) this.#bell?.ref();
    this.#holders.add(sleeper);
  }

  release(sleeper: RingSleeper): void {
    if (this.#holders.delete(sleeper) && this.#holders.size === 0) this.#bell?.unref();
  }

  /**
   * Puts a sleeper to sleep. The memory stays mapped until it is awake; if it does not, the kernel wakes others in vain.
   * @returns the result if it is there at once
   * @throws SystemError
   */
  sleep(sleeper: RingSleeper, nap: RingNap): FutexResult | undefined {
    if (sleeper.id !== 0) {
      if (sleeper.errno === undefined && isSame(sleeper.nap, nap)) {
        this.#extend(sleeper, nap.untilMs);
        return undefined;
      }
      if (this.end(sleeper) === "ok") return "ok";
    }
    sleeper.id = this.#nextId;
    // Two of them: the second wait is the next number.
    this.#nextId += 2;
    sleeper.nap = nap;
    sleeper.untilMs = nap.untilMs;
    this.#asleep.set(sleeper.id, sleeper);
    this.#ring.begin();
    this.#addWait(sleeper.id, nap);
    this.#addAlarm(sleeper);
    this.#ring.submit();
    return this.#resultOf(sleeper);
  }

  #extend(sleeper: RingSleeper, untilMs: number): void {
    sleeper.untilMs = untilMs;
    if (untilMs >= sleeper.alarmAtMs) return;
    this.#ring.begin();
    this.#addAlarm(sleeper);
    this.#ring.submit();
  }

  #addWait(id: number, { words, index, seen, bits, handsOn }: RingNap): void {
    // SAFETY: the word of a mapping. When it is unmapped all the same, FUTEX_WAIT ends with EFAULT, or waits for another word.
    const word = { fd: FUTEX2_SIZE_U32, address: addressOf(words, index * 4) };
    const wait = { ...word, operation: IORING_OP_FUTEX_WAIT, offset: seen >>> 0, mask: bits >>> 0 };
    if (handsOn) {
      this.#ring.add({ ...wait, id, flags: IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS });
      this.#ring.add({ ...wait, id: id + 1, flags: IOSQE_IO_HARDLINK });
      const flags = IOSQE_IO_HARDLINK | IOSQE_CQE_SKIP_SUCCESS;
      const count = { offset: WAKES_PER_STEP, mask: ALL_BITS };
      this.#ring.add({ ...word, ...count, operation: IORING_OP_FUTEX_WAKE, flags });
    } else {
      this.#ring.add({ ...wait, id, flags: IOSQE_IO_LINK });
    }
    this.#addSend();
  }

  #addSend(): void {
    this.#ring.add({
      operation: IORING_OP_SEND,
      flags: IOSQE_CQE_SKIP_SUCCESS,
      fd: this.#end.fd,
      address: addressOf(BYTE),
      byteLength: 1,
      // Where the buffer is full, bytes are there.
      operationFlags: MSG_DONTWAIT | MSG_NOSIGNAL,
    });
  }

  /** Unless one goes off soon enough. A later one that it replaces goes off in vain. */
  #addAlarm(sleeper: RingSleeper): void {
    if (sleeper.untilMs >= sleeper.alarmAtMs) return;
    this.#alarms.delete(sleeper.alarmId);
    sleeper.alarmAtMs = sleeper.untilMs;
    sleeper.alarmId = this.#nextId;
    this.#nextId += 2;
    this.#alarms.set(sleeper.alarmId, sleeper);
    const nanoseconds = BigInt(Math.ceil(sleeper.untilMs * 1e6));
    timespec[0] = nanoseconds / 1_000_000_000n;
    timespec[1] = nanoseconds % 1_000_000_000n;
    this.#ring.add({
      operation: IORING_OP_TIMEOUT,
      id: sleeper.alarmId,
      flags: IOSQE_IO_LINK,
      address: addressOf(timespec),
      byteLength: 1,
      operationFlags: IORING_TIMEOUT_ABS | IORING_TIMEOUT_ETIME_SUCCESS,
    });
    this.#addSend();
  }

  /** Ends a sleep. @returns "ok" when a wake was first, "timed-out" when none was, "interrupted" when there was no sleep */
  end(sleeper: RingSleeper): FutexResult {
    const { id, nap } = sleeper;
    if (id === 0) return "interrupted";
    if (sleeper.errno === undefined) this.#cancel(id);
    // The kernel goes on to the next request of the chain.
    if (sleeper.errno === undefined && nap?.handsOn === true) this.#cancel(id + 1);
    const { errno } = sleeper;
    this.#forget(sleeper);
    return errno === E.ECANCELED ? "timed-out" : "ok";
  }

  #cancel(id: number): void {
    this.#ring.begin();
    this.#ring.add({ operation: IORING_OP_ASYNC_CANCEL, address: id });
    this.#ring.submit();
    this.#ring.complete(this.#onCompletion);
  }

  #resultOf(sleeper: RingSleeper): FutexResult | undefined {
    this.#ring.complete(this.#onCompletion);
    const { errno } = sleeper;
    if (errno === undefined) return undefined;
    this.#forget(sleeper);
    if (errno === 0) return "ok";
    if (errno === E.EAGAIN) return "not-equal";
    throw systemError("io_uring futex", errno);
  }

  #forget(sleeper: RingSleeper): void {
    this.#asleep.delete(sleeper.id);
    this.#ended.delete(sleeper);
    sleeper.id = 0;
    sleeper.errno = undefined;
    sleeper.nap = undefined;
  }

  readonly #onCompletion = (id: number, result: number): void => {
    const alarmed = this.#alarms.get(id);
    if (alarmed !== undefined) {
      this.#alarms.delete(id);
      alarmed.alarmAtMs = Number.POSITIVE_INFINITY;
      this.#due.add(alarmed);
      return;
    }
    const isSecond = id % 2 === 1;
    const sleeper = this.#asleep.get(isSecond ? id - 1 : id);
    if (sleeper === undefined) return;
    this.#asleep.delete(sleeper.id);
    // There is a second wait only after a wake; it fails if the word had changed.
    sleeper.errno = isSecond && result !== -E.ECANCELED ? 0 : -result;
    this.#ended.add(sleeper);
  };

  /** A byte has come. */
  #ringing(): void {
    this.#ring.complete(this.#onCompletion);
    for (const sleeper of [...this.#ended]) {
      if (!this.#ended.has(sleeper)) continue;
      this.#forget(sleeper);
      tell(sleeper, "ok");
    }
    for (const sleeper of [...this.#due]) if (this.#due.delete(sleeper)) this.#alarm(sleeper);
  }

  #alarm(sleeper: RingSleeper): void {
    // Awake, or woken, and the byte comes.
    if (sleeper.id === 0 || sleeper.errno !== undefined || this.#isClosed) return;
    if (monotonicMs() >= sleeper.untilMs) tell(sleeper, "timed-out");
    else this.#extend(sleeper, sleeper.untilMs);
  }

  #lose(): void {
    if (this.#isClosed) return;
    this.close();
    for (const sleeper of [...this.#sleepers]) {
      this.#forget(sleeper);
      sleeper.lost();
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (ring === this) ring = undefined;
    this.#ring.close();
    this.#end.close();
    this.#bell?.terminate();
  }
}

function tell(sleeper: RingSleeper, result: FutexResult): void {
  try {
    sleeper.woken(result);
  } catch (error) {
    // As it would be for a promise that none awaits.
    void Promise.reject(error);
  }
}

const isSame = (nap: RingNap | undefined, other: RingNap): boolean =>
  nap?.seen === other.seen &&
  nap.bits === other.bits &&
  nap.handsOn === other.handsOn &&
  nap.index === other.index &&
  nap.words === other.words;
