import { checkOptions } from "../errors/check-options.ts";
import {
  ClosedError,
  FileFormatError,
  FileMissingError,
  ShmError,
  WaitTimeoutError,
} from "../errors/errors.ts";
import { refuseAsync, refusePromise } from "../errors/sync-only.ts";
import { backupSegment, restoreSegment } from "../segment/backup.ts";
import { createSegment, removeSegment, replaceSegment } from "../segment/create.ts";
import { type SegmentInfo, segmentInfo } from "../segment/info.ts";
import { closeAtWorkerEnd } from "../segment/lifetime.ts";
import { Owners } from "../segment/owners.ts";
import { type Message, type MessageInit, Payload, type PayloadClass } from "../segment/payload.ts";
import { classPlace, ownersPath, type Place } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import { WAIT_FOR_FILE_OPTIONS, waitForFile } from "../segment/wait-for-file.ts";
import { checkTimeout, Deadline, sleepMs } from "../sync/deadline.ts";
import { fromMilliseconds, monotonicMs, nowMs, realtime } from "../sys/clock.ts";
import { resized } from "./freeze.ts";
import { Job, type JobEnd, type JobOwner, type JobPlace } from "./job.ts";
import {
  checkPushOptions,
  checkQueueOptions,
  type OpenQueueOptions,
  PUSH_OPTIONS,
  type PushAsyncOptions,
  type PushOptions,
  type PushWaitOptions,
  QUEUE_OPTIONS,
  type QueueOptions,
  type ResizeOptions,
  type TakeAsyncOptions,
  type TakeOptions,
} from "./options.ts";
import { becomeOwner, giveBack, type OwnerInfo, oldestTakenAt, ownersOf } from "./owners.ts";
import { QueueContent, queuePlan, queueType } from "./queue-content.ts";
import type { SlotCounts } from "./slots.ts";
import { type Waiting, waitFor, waitForAsync } from "./waiting.ts";

/** What a queue holds. */
export interface QueueInfo extends SegmentInfo, SlotCounts {
  /** How many jobs there may be. */
  readonly slots: number;
  /** Attempts before a job is a dead letter; 0: 254. */
  readonly maxAttempts: number;
  /** Milliseconds of a lease; 0: leases do not end. */
  readonly leaseMs: number;
  /** Since when the job has been taken that was taken first: milliseconds since 1970. */
  readonly oldestTakenAt: number | undefined;
  readonly owners: readonly OwnerInfo[];
}

const DEFAULT_SLOTS = 1024;
const NO_OPTIONS = {};
/** The dead are looked for at most this often, in milliseconds. */
const RECOVER_EVERY_MS = 0.2;
/** How long a replacer that stands still is waited for, in milliseconds. */
const REPLACER_MS_MAX = 30_000;
/** Between two looks whether another process has gone on, in milliseconds. */
const REPLACER_REST_MS = 1;
/** A dead letter that found no room waits so long, in milliseconds. */
const NO_ROOM_MS = 1000;

/**
 * Jobs for workers in any process: many producers, many workers, bounded, at least once. A job belongs to one worker from
 * `take()` until `done()`; when that worker dies, the job goes back as soon as another process looks. All processes that wait
 * look at least once a second.
 * @throws FileMissingError without `create`; LayoutMismatchError; FileFormatError for a damaged file or one made with other
 *   options; LockTimeoutError after `timeoutMs`; TypeError, RangeError for the options; SystemError
 * @example
 * using jobs = new Queue(Job, { dir: "/run/app", slots: 1024, create: true, maxAttempts: 5 });
 * jobs.push({ id: 1 });
 * using job = jobs.take({ timeoutMs: 200 });
 * if (job) { work(job.data); job.done(); }
 */
export class Queue<T extends Message> implements Disposable, AsyncIterable<Job<T>> {
  readonly #payload: Payload<T>;
  readonly #options: QueueOptions;
  readonly #segment: Segment<QueueContent>;
  readonly #owners: Owners;
  readonly #jobs: JobOwner<T>;
  readonly #waiting: Waiting;
  readonly #cls: PayloadClass<T> | string;
  #content: QueueContent;
  /** This queue's number among its owners; 0 until the first push or take. */
  #owner = 0;
  /** The jobs in hand, by the number of their slot. */
  #held: (JobPlace | undefined)[] = [];
  #views: (T | undefined)[] = [];
  #recoveredAt = Number.NEGATIVE_INFINITY;
  /** The second in which the files were looked at last, without an error: what is pushed to a deleted file is lost. */
  #lookedAt = 0;
  #deadLetters: Queue<T> | undefined;
  readonly #structBytes: number;

  /** @param cls a struct class, the name of one after `loadStructs`, or `Uint8Array` */
  constructor(cls: PayloadClass<T> | string, options: QueueOptions = {}) {
    checkOptions("new Queue", options, QUEUE_OPTIONS);
    checkQueueOptions(options);
    this.#cls = cls;
    this.#payload = new Payload(cls);
    this.#options = options;
    this.#structBytes = this.#payload.isVariable ? 0 : this.#payload.structBytes;
    const place = classPlace(options.className ?? this.#payload.name, options, "queue");
    if (options.create) this.#create(place);
    this.#segment = new Segment(place, queueType(this.#payload, place), {
      access: "write",
      makesLock: options.create === true,
      mode: options.mode,
      trust: options,
    });
    this.#content = this.#segment.content;
    try {
      this.#checkAgreement();
      this.#owners = new Owners(ownersPath(place.dataPath), this.#content.file.mode, options);
    } catch (error) {
      this.#segment.close();
      throw error;
    }
    this.#jobs = {
      path: place.dataPath,
      done: (job) => this.#done(job),
      end: (job, how, delayMs) => this.#end(job, how, delayMs),
      read: (job) => this.#read(job),
      note: (job, bytes) => this.#note(job, bytes),
      user: (job) => this.#current().slots.user(job.slot).slice(),
    };
    this.#waiting = {
      attached: () => this.#content,
      current: () => this.#current(),
      look: () => this.#look(),
      lookOnceASecond: () => this.#lookOnceASecond(),
      changes: (signal) => this.#segment.changes({ signal }),
      isClosed: () => this.closed,
    };
    closeAtWorkerEnd(this);
  }

  /**
   * Opens a queue, and waits for it to be made.
   * @throws FileMissingError; FileFormatError, LayoutMismatchError for a file that holds something else;
   *   UntrustedFileError; SystemError; TypeError, RangeError for the options; WaitTimeoutError after `waitMs`; the signal's
   *   reason
   * @example const jobs = await Queue.open(Job, { dir, waitMs: 5000 });
   */
  static async open<T extends Message>(
    cls: PayloadClass<T> | string,
    options: OpenQueueOptions = {},
  ): Promise<Queue<T>> {
    checkOptions("Queue.open", options, { ...QUEUE_OPTIONS, ...WAIT_FOR_FILE_OPTIONS });
    const { waitMs, signal, ...others } = options;
    return waitForFile("Queue.open", () => new Queue<T>(cls, others), { waitMs, signal });
  }

  #create(place: Place): void {
    const { slots = DEFAULT_SLOTS, payloadBytes, mode = 0o600, force, timeoutMs } = this.#options;
    const { maxAttempts = 0, leaseMs = 0 } = this.#options;
    const plan = queuePlan(this.#payload, { slots, payloadBytes, limits: { maxAttempts, leaseMs } });
    createSegment(place, plan, queueType(undefined, place), { force, mode, timeoutMs, trust: this.#options });
  }

  #checkAgreement(): void {
    const { geometry, limits } = this.#content;
    const made: Record<string, number> = { ...geometry, ...limits };
    for (const option of ["slots", "payloadBytes", "maxAttempts", "leaseMs"] as const) {
      const wanted = this.#options[option];
      if (wanted === undefined || wanted === made[option]) continue;
      throw new FileFormatError(
        this.path,
        `'${this.path}' was made with ${option}: ${made[option]}, not ${wanted}; leave the option out, or change it with resize()`,
      );
    }
  }

  /** The queue's file. */
  get path(): string {
    return this.#segment.path;
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#segment.closed;
  }

  /** Jobs that may be taken now. @throws ClosedError */
  get size(): number {
    return this.#latest().slots.counts().ready;
  }

  /** Jobs that workers have in hand. @throws ClosedError */
  get taken(): number {
    return this.#latest().slots.counts().taken;
  }

  /** Since when the job has been in hand that was taken first: milliseconds since 1970. Undefined: none is. @throws ClosedError */
  get oldest(): number | undefined {
    return oldestTakenAt(this.#latest().slots);
  }

  /** How many slots are in which state. @throws ClosedError */
  counts(): SlotCounts {
    return this.#latest().slots.counts();
  }

  /** The processes that have pushed or taken and live, and the dead whose jobs have not gone back yet. @throws ClosedError */
  owners(): OwnerInfo[] {
    return ownersOf(this.#latest(), this.#owners, this.#owner);
  }

  /**
   * All that is known of the queue and its users, after the jobs whose attempts are used up were moved to the dead letters. Looks through /proc, which takes some milliseconds; `counts` and `owners` do not.
   * @throws ClosedError; FileMissingError; FileFormatError for a truncated file
   */
  info(): QueueInfo {
    this.#latest();
    this.#buryUsedUp();
    const { slots, limits, geometry } = this.#content;
    return {
      ...segmentInfo(this.#segment),
      slots: geometry.slots,
      ...limits,
      ...slots.counts(),
      oldestTakenAt: oldestTakenAt(slots),
      owners: this.owners(),
    };
  }

  // ---- producers

  /**
   * Pushes a job, if there is room. When `fn` throws, or the value does not fit, there is no job. Whether the file was deleted or
   * truncated by hand is looked at once a second; a truncated one kills the process that touches what is gone before.
   * @param job a value (members that are not given are 0), or a function that fills the job in its slot. A function may
   *   return the length of raw bytes
   * @returns false when the queue is full
   * @throws TypeError, RangeError for a value that does not fit; ClosedError; TooManyOwnersError; FileMissingError or
   *   FileFormatError once the file was deleted or truncated
   */
  tryPush(job: MessageInit<T> | ((data: T) => unknown), options: PushOptions = NO_OPTIONS): boolean {
    if (options !== NO_OPTIONS) this.#check("tryPush", options, PUSH_OPTIONS);
    return this.#tryPush(job, options);
  }

  /**
   * Pushes a job, and waits while the queue is full.
   * @throws TypeError, RangeError for a value that does not fit; ClosedError; TooManyOwnersError; FileMissingError or
   *   FileFormatError once the file was deleted or truncated; WaitTimeoutError when it is full for longer than `timeoutMs`
   * @example jobs.push({ id: 7 }, { delayMs: 1000 })
   */
  push(job: MessageInit<T> | ((data: T) => unknown), options: PushWaitOptions = NO_OPTIONS): void {
    if (options !== NO_OPTIONS) {
      this.#check("push", options, { ...PUSH_OPTIONS, timeoutMs: "number" });
      checkTimeout(options.timeoutMs);
    }
    if (!this.#tryPush(job, options)) this.#pushLater(job, options);
  }

  /** A function of its own: one with a closure in it allocates at each call. */
  #pushLater(job: MessageInit<T> | ((data: T) => unknown), options: PushWaitOptions): void {
    const isPushed = waitFor(
      this.#waiting,
      "free",
      options.timeoutMs,
      () => this.#tryPush(job, options) || undefined,
    );
    if (!isPushed) throw this.#full(options.timeoutMs);
  }

  /**
   * The same without blocking the event loop.
   * @throws TypeError, RangeError for a value that does not fit; ClosedError; TooManyOwnersError; FileMissingError or
   *   FileFormatError once the file was deleted or truncated; WaitTimeoutError when it is full for longer than `timeoutMs`;
   *   the signal's reason
   */
  async pushAsync(
    job: MessageInit<T> | ((data: T) => unknown),
    options: PushAsyncOptions = NO_OPTIONS,
  ): Promise<void> {
    this.#check("pushAsync", options, { ...PUSH_OPTIONS, timeoutMs: "number", signal: "any" });
    const isPushed = await waitForAsync(
      this.#waiting,
      "pushAsync",
      options,
      () => this.#tryPush(job, options) || undefined,
    );
    if (!isPushed) throw this.#full(options.timeoutMs);
  }

  #check(where: string, options: PushWaitOptions, kinds: Parameters<typeof checkPushOptions>[2]): void {
    checkPushOptions(where, options, kinds);
    this.#payload.checkLength(where, options.length);
  }

  #full(timeoutMs = 0): WaitTimeoutError {
    return new WaitTimeoutError(
      this.path,
      timeoutMs,
      `the queue '${this.path}' is full, for ${timeoutMs} ms now`,
    );
  }

  /** In few calls, as is `#done`: the compiler inlines so many within each other only. */
  #tryPush(job: MessageInit<T> | ((data: T) => unknown), options: PushOptions): boolean {
    let slot = this.#ready().slots.claim();
    if (slot < 0) {
      // Full may mean that dead owners hold slots, or that another file has taken the place of this one.
      if (!this.#hasGivenBack()) return false;
      slot = this.#content.slots.claim();
      if (slot < 0) return false;
    }
    const { slots, ready } = this.#content;
    const byteLength = this.#fill(slot, job, options.length);
    const { delayMs = 0 } = options;
    if (delayMs === 0) slots.publish(slot, byteLength);
    else slots.publish(slot, byteLength, { notBefore: fromMilliseconds(nowMs() + delayMs) });
    ready.wake();
    this.#segment.notify();
    return true;
  }

  /** Writes the job into the claimed slot. @returns its length */
  #fill(slot: number, job: MessageInit<T> | ((data: T) => unknown), length: number | undefined): number {
    const { slots } = this.#content;
    const { number, payloadBytes } = slots;
    try {
      if (this.#structBytes > 0 || typeof job === "function") slots.payload(slot, number).fill(0);
      const stored = this.#store(slot, number, job);
      const byteLength = length ?? stored ?? (this.#structBytes || payloadBytes);
      const least = this.#payload.structBytes;
      if (byteLength >= least && byteLength <= payloadBytes && Number.isInteger(byteLength))
        return byteLength;
      throw new RangeError(
        `length must be a whole number from ${least} to ${payloadBytes}, not ${byteLength}`,
      );
    } catch (error) {
      slots.abandon(slot);
      throw error;
    }
  }

  #store(slot: number, number: number, job: MessageInit<T> | ((data: T) => unknown)): number | undefined {
    const view = this.#views[number] ?? this.#view(slot, number);
    if (typeof job !== "function") return this.#payload.assign(view, job);
    refuseAsync(job, "push");
    const result = refusePromise((job as (data: T) => unknown)(view), "push");
    return typeof result === "number" && this.#payload.isBytes ? result : undefined;
  }

  #view(slot: number, number: number): T {
    const { slots, bytes } = this.#content;
    const region = this.#payload.region(bytes, slots.payloadOffset(slot), slots.payloadBytes, "write");
    const view = this.#payload.view(region);
    this.#views[number] = view;
    return view;
  }

  // ---- workers

  /**
   * Takes a job, if there is one.
   * @returns undefined when no job's time has come
   * @throws ClosedError; TooManyOwnersError; FileMissingError or FileFormatError once the file was deleted or truncated
   */
  tryTake(): Job<T> | undefined {
    const content = this.#ready();
    const slot = content.slots.take();
    if (slot >= 0) return this.#taken(slot);
    if (!this.#hasGivenBack()) return undefined;
    const later = this.#content.slots.take();
    return later < 0 ? undefined : this.#taken(later);
  }

  /**
   * Takes a job, and waits for one.
   * @returns undefined after `timeoutMs`
   * @throws ClosedError; TooManyOwnersError; FileMissingError or FileFormatError once the file was deleted or truncated
   * @example using job = jobs.take({ timeoutMs: 200 });
   */
  take(options: TakeOptions = NO_OPTIONS): Job<T> | undefined {
    if (options !== NO_OPTIONS) {
      checkOptions("take", options, { timeoutMs: "number" });
      checkTimeout(options.timeoutMs);
    }
    const job = this.tryTake();
    if (job !== undefined) return job;
    return waitFor(this.#waiting, "ready", options.timeoutMs, () => this.tryTake());
  }

  /**
   * The same without blocking the event loop.
   * @throws ClosedError; TooManyOwnersError; FileMissingError or FileFormatError once the file was deleted or truncated;
   *   the signal's reason
   */
  async takeAsync(options: TakeAsyncOptions = {}): Promise<Job<T> | undefined> {
    checkOptions("takeAsync", options, { timeoutMs: "number", signal: "any" });
    return waitForAsync(this.#waiting, "takeAsync", options, () => this.tryTake());
  }

  /**
   * The jobs as they come, each to be ended by the loop's body. Ends with `break` or `close()`.
   * @example for await (using job of queue) { await work(job.data); job.done(); }
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Job<T>, undefined> {
    while (!this.closed) {
      const job = await this.takeAsync();
      if (job === undefined) return undefined;
      yield job;
    }
    return undefined;
  }

  #taken(slot: number): Job<T> | undefined {
    const { slots } = this.#content;
    const place = this.#hold(slot, slots.number, slots.lease);
    if (slots.hasNoAttemptLeft(place.lease)) {
      this.#bury(place);
      return this.tryTake();
    }
    return new Job(this.#jobs, place);
  }

  #hold(slot: number, number: number, lease: number): JobPlace {
    const { slots } = this.#content;
    const ticketLow = slots.ticketLow(slot);
    const ticketHigh = slots.ticketHigh(slot);
    const place: JobPlace = { slot, number, lease, ticketLow, ticketHigh };
    this.#held[number] = place;
    return place;
  }

  /** Moves all jobs whose attempts are used up, and whose time has come. Returns how many. */
  #buryUsedUp(): number {
    const content = this.#content;
    let count = 0;
    for (const slot of content.slots.usedUp()) {
      // In another file other bytes lie there.
      if (this.#ready() !== content) return count + this.#buryUsedUp();
      if (this.#buryAt(slot)) count++;
    }
    return count;
  }

  /** Takes the slot's job and moves it, if its attempts are used up; false also when another worker has it. */
  #buryAt(slot: number): boolean {
    const { slots } = this.#content;
    const word = slots.word(slot);
    const lease = slots.isUsedUp(word) ? slots.takeAt(slot, word) : undefined;
    if (lease === undefined) return false;
    this.#bury(this.#hold(slot, slots.numberOf(slot), lease));
    return true;
  }

  /** Moves a job whose attempts are used up to the dead letters. Killed in between, it is in both. */
  #bury(place: JobPlace): void {
    const { slots } = this.#content;
    const bytes = slots.payload(place.slot, place.number).slice(0, slots.length(place.slot));
    const note = slots.user(place.slot).slice();
    if (this.#letters().#pushCopy(bytes, note)) {
      this.#end(place, "done", 0);
      return;
    }
    process.emitWarning(
      `the dead letters of '${this.path}' are full: a job stays where it is`,
      "QueueWarning",
    );
    this.#end(place, "postpone", NO_ROOM_MS);
  }

  #pushCopy(bytes: Uint8Array, note: Uint8Array): boolean {
    const { slots } = this.#ready();
    const slot = slots.claim();
    if (slot < 0) return false;
    slots.payload(slot).set(bytes);
    slots.publish(slot, bytes.length, { note });
    this.#content.ready.wake();
    this.#segment.notify();
    return true;
  }

  /**
   * The jobs whose attempts are used up: a queue beside this one, with the tag `<tag>.dead`, made at the first use. Jobs that are
   * to go there and have not been moved yet are moved first: each use looks at all slots, some 1.2 ns for each. Use it once for a
   * loop.
   * @throws FileMissingError; FileFormatError, LayoutMismatchError for a file that holds something else;
   *   UntrustedFileError; SystemError; TypeError, RangeError for the options
   * @example const dead = queue.deadLetters; for (let job = dead.tryTake(); job; job = dead.tryTake()) { …; job.done(); }
   */
  get deadLetters(): Queue<T> {
    this.#current();
    this.#buryUsedUp();
    return this.#letters();
  }

  #letters(): Queue<T> {
    if (this.#deadLetters === undefined) {
      const { dir, tag = "", name, className, timeoutMs, trustOwner, shared } = this.#options;
      const { geometry, file } = this.#content;
      const where = name === undefined ? { dir, tag: `${tag}.dead` } : { name: `${name}.dead` };
      const { slots, payloadBytes } = geometry;
      this.#deadLetters = new Queue<T>(this.#cls, {
        ...where,
        className,
        timeoutMs,
        trustOwner,
        shared,
        create: true,
        mode: file.mode,
        slots,
        payloadBytes,
      });
    }
    return this.#deadLetters;
  }

  // ---- jobs in hand

  /** `#end` of almost every job, in fewer calls: the compiler inlines so many within each other only. */
  #done(place: JobPlace): boolean {
    const { slots, free } = this.#lately();
    const { slot, lease } = place;
    if (slot < 0 || !slots.done(slot, lease)) return this.#endInNewFile(place, "done", 0);
    this.#held[place.number] = undefined;
    free.wake();
    this.#segment.notify();
    return true;
  }

  #end(place: JobPlace, how: JobEnd, delayMs: number): boolean {
    // close() has given back what was in hand.
    if (how === "release" && this.closed) return true;
    // What goes back loses nothing: the end of a scope is no place to hear of a deleted file.
    if (how === "release") this.#current();
    else this.#lately();
    if (!this.#tryEnd(place, how, delayMs)) return this.#endInNewFile(place, how, delayMs);
    if (how !== "extend") this.#ended(place, how);
    return true;
  }

  /** The lease is lost, or the file is being replaced: then the job goes on in the new one, under the same ticket. */
  #endInNewFile(place: JobPlace, how: JobEnd, delayMs: number): boolean {
    const deadline = new Deadline(REPLACER_MS_MAX);
    while (place.slot >= 0 && this.#isBeingReplaced && !deadline.isOver) {
      this.#moveOver();
      if (!this.#tryEnd(place, how, delayMs)) continue;
      if (how !== "extend") this.#ended(place, how);
      return true;
    }
    // It may have been thawed, or moved, just before the last look.
    if (this.#tryEnd(place, how, delayMs)) {
      if (how !== "extend") this.#ended(place, how);
      return true;
    }
    if (place.slot >= 0) this.#held[place.number] = undefined;
    return false;
  }

  #tryEnd(place: JobPlace, how: JobEnd, delayMs: number): boolean {
    const { slots } = this.#content;
    const { slot, lease } = place;
    if (slot < 0) return false;
    if (how === "done") return slots.done(slot, lease);
    if (how === "release") return slots.release(slot, lease);
    if (how === "extend") return slots.extend(slot, lease);
    const [low, high] = delayMs === 0 ? [0, 0] : fromMilliseconds(nowMs() + delayMs);
    return how === "fail" ? slots.fail(slot, lease, low, high) : slots.postpone(slot, lease, low, high);
  }

  #ended({ slot, number }: JobPlace, how: JobEnd): void {
    this.#held[number] = undefined;
    if (how === "fail" && this.#buryAt(slot)) return;
    if (how === "done") this.#content.free.wake();
    else this.#content.ready.wake();
    this.#segment.notify();
  }

  #read(place: JobPlace): { data: T; isHeld: boolean } {
    const { slots } = this.#current();
    if (place.slot < 0) return { data: this.#payload.copy(0).view, isHeld: false };
    const length = slots.length(place.slot);
    const payload = slots.payload(place.slot, place.number);
    const data = this.#payload.copyOf(length === payload.length ? payload : payload.subarray(0, length));
    return { data, isHeld: slots.isHeld(place.slot, place.lease) };
  }

  #note(place: JobPlace, bytes: Uint8Array): boolean {
    const { slots } = this.#lately();
    if (place.slot < 0 || !slots.isHeld(place.slot, place.lease)) return false;
    const user = slots.user(place.slot);
    user.set(bytes);
    user.fill(0, bytes.length);
    this.#segment.notify();
    return slots.isHeld(place.slot, place.lease);
  }

  // ---- the dead, the stuck and the replaced

  /** The content for a push or take: this queue is one of its owners. */
  #ready(): QueueContent {
    const content = this.#current();
    // A queue that is recreated takes no more jobs in its old file. One that is resized goes on until its slots are frozen.
    if (content.isSuperseded) this.#moveOver();
    if (this.#owner === 0) this.#owner = becomeOwner(this.#content, this.#owners);
    this.#lookOnceASecond();
    return this.#content;
  }

  /** The content as it is attached: another file when the old one says that it is superseded. */
  #current(): QueueContent {
    if (!this.#segment.isAttached(this.#content)) this.#follow();
    return this.#content;
  }

  /** The same, after a look at the disk if there was none in this second. */
  #lately(): QueueContent {
    this.#current();
    this.#lookOnceASecond();
    return this.#content;
  }

  #follow(): void {
    if (this.#segment.closed) throw new ClosedError(`the queue '${this.path}' is closed`);
    this.#attach(this.#segment.content);
  }

  /** The content that is current by a look at the disk. */
  #latest(): QueueContent {
    this.#current();
    const content = this.#segment.whole() ?? this.#segment.content;
    if (content !== this.#content) this.#attach(content);
    return content;
  }

  /** The clock is read at each operation, in 10 ns: those who push once in a while lose no more jobs than those who push all the time. */
  #lookOnceASecond(): void {
    realtime.readCoarse();
    const { second } = realtime;
    if (second === this.#lookedAt) return;
    this.#look();
    this.#lookedAt = second;
  }

  /** Should the files have been deleted or truncated by hand. */
  #look(): void {
    this.#latest();
    if (this.#owners.isUnlinkedOrReplaced) {
      throw new FileMissingError(
        this.#owners.path,
        `'${this.#owners.path}' was deleted or replaced: its locks prove who is alive; close all users of the queue and open it again`,
      );
    }
  }

  /** Goes on in another file: jobs in hand are found again, and what else is in this owner's name goes back. */
  #attach(content: QueueContent): void {
    const held = this.#held.filter((place) => place !== undefined);
    this.#content = content;
    this.#held = [];
    this.#views = [];
    const { slots } = content;
    for (const place of held) {
      place.slot = slots.find(place);
      if (place.slot < 0) continue;
      place.number = slots.numberOf(place.slot);
      this.#held[place.number] = place;
    }
    if (this.#owner === 0) return;
    slots.owner = this.#owner;
    slots.bury(this.#owner, (slot) => this.#held[slots.numberOf(slot)] !== undefined);
  }

  /** Looks for what could make room, or jobs: whether to look once more. */
  #hasGivenBack(): boolean {
    const now = monotonicMs();
    if (now - this.#recoveredAt < RECOVER_EVERY_MS) return false;
    this.#recoveredAt = now;
    return this.#isBeingReplaced ? this.#moveOver() : this.#giveBack() > 0;
  }

  #giveBack(): number {
    return giveBack(this.#content, this.#owners) + this.#buryUsedUp();
  }

  get #isBeingReplaced(): boolean {
    return this.#content.isSuperseded || this.#content.slots.isFrozen;
  }

  /** Goes over to the new file; thaws this one, if its replacer has died. */
  #moveOver(): boolean {
    const content = this.#segment.current() ?? this.#segment.content;
    if (content !== this.#content) {
      this.#attach(content);
      return true;
    }
    if (!this.#segment.tryAcquire("exclusive")) {
      sleepMs(REPLACER_REST_MS);
      return true;
    }
    try {
      const current = this.#segment.content;
      if (current !== this.#content) this.#attach(current);
      else current.slots.thaw();
    } finally {
      this.#segment.releaseIfHeld();
    }
    return true;
  }

  // ---- files

  /**
   * Moves all jobs to a file of another shape, while producers and workers go on: they move over at their next call, and jobs
   * in hand are done in the new file.
   * @throws RangeError when there are more jobs than slots; LockTimeoutError; WaitTimeoutError when a producer stays in the middle of a push
   * @example queue.resize({ slots: 4096 })
   */
  resize(options: ResizeOptions): void {
    const shape = {
      slots: "number",
      payloadBytes: "number",
      maxAttempts: "number",
      leaseMs: "number",
    } as const;
    checkOptions("resize", options, { ...shape, timeoutMs: "number" }, true);
    checkQueueOptions(options);
    const { timeoutMs = 5000, ...changes } = options;
    const { file } = this.#ready();
    const { place } = this.#segment;
    const how = { mode: file.mode, timeoutMs, trust: this.#options };
    // The file that is there under the lock, which may be another one than this queue has open.
    const freezing = { owners: this.#owners, ownOwner: this.#owner, timeoutMs };
    replaceSegment(place, queueType(), how, (old) =>
      resized(new QueueContent(old, this.#payload), this.#payload, changes, freezing),
    );
    this.#moveOver();
  }

  /**
   * Writes the jobs that are there to a file of their own, while producers and workers go on; taken ones are ready there.
   * @throws FileFormatError when something else than a backup is at `path`; SystemError ENOSPC …
   * @example queue.backup("/var/backup/Job_.queue")
   */
  backup(path: string): void {
    this.#current();
    backupSegment(this.#segment, path);
  }

  /**
   * Makes the jobs of a backup those of a queue, instead of what is there.
   * @throws FileMissingError; FileFormatError, LayoutMismatchError for a file that holds something else; LockTimeoutError; SystemError
   * @example Queue.restore(Job, "/var/backup/Job_.queue", { dir: "/run/app" });
   */
  static restore<T extends Message>(
    cls: PayloadClass<T> | string,
    backup: string,
    options: QueueOptions = {},
  ): void {
    checkOptions("Queue.restore", options, QUEUE_OPTIONS);
    const payload = new Payload<T>(cls);
    const place = classPlace(options.className ?? payload.name, options, "queue");
    const { mode, timeoutMs } = options;
    restoreSegment(place, queueType(payload), backup, { mode, timeoutMs, trust: options });
  }

  /** One turn per change of the queue: a push, an end, a note. @throws ClosedError; the signal's reason */
  changes(options: { readonly signal?: AbortSignal | undefined } = {}): AsyncIterableIterator<number> {
    this.#current();
    return this.#segment.changes(options);
  }

  /**
   * Removes the queue's file with its jobs, and closes. Others find out at their next look (FileMissingError). The lock's files stay.
   * @throws LockTimeoutError; SystemError EACCES …
   */
  remove(options: { readonly timeoutMs?: number | undefined } = {}): void {
    checkOptions("remove", options, { timeoutMs: "number" });
    const { place } = this.#segment;
    const { mode, id: knownId } = this.#current().file;
    const { timeoutMs } = options;
    removeSegment(place, queueType(), { mode, timeoutMs, trust: this.#options, knownId });
    this.#held = [];
    this.close();
  }

  /**
   * Gives the jobs in hand back, and leaves the queue.
   * @throws ShmError `"BUSY"` while an asynchronous operation uses the memory: then the queue stays open
   */
  close(): void {
    if (this.#segment.closed) return;
    try {
      this.#giveBackAll();
      this.#deadLetters?.close();
    } finally {
      this.#views = [];
      this.#segment.close();
      closeAtWorkerEnd.forget(this);
      this.#owners.close();
    }
  }

  /**
   * In a file that is damaged, truncated or gone this may fail. Other processes then give the jobs back that are left, as this
   * owner is gone.
   */
  #giveBackAll(): void {
    try {
      if (!this.#content.file.isWhole) return;
      for (const place of this.#held) if (place !== undefined) this.#end(place, "release", 0);
    } catch (error) {
      if (!(error instanceof ShmError)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
