import { checkOptions } from "../errors/check-options.ts";
import { ClosedError } from "../errors/errors.ts";
import { refuseAsync, refusePromise } from "../errors/sync-only.ts";
import { backupSegment } from "../segment/backup.ts";
import { type SegmentInfo, segmentInfo } from "../segment/info.ts";
import {
  type Message as Data,
  Payload,
  type PayloadClass,
  SLOTS_PLACE,
  type SlotsPlace,
} from "../segment/payload.ts";
import { classPlace } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import { WAIT_FOR_FILE_OPTIONS, type WaitForFileOptions, waitForFile } from "../segment/wait-for-file.ts";
import type { DeepReadonly } from "../struct/declare/type-utils.ts";
import { checkSignal, checkSpin, checkTimeout, Deadline } from "../sync/deadline.ts";
import type { Changes, WaitOptions } from "../sync/notifier.ts";
import { toMilliseconds } from "../sys/clock.ts";
import { type ChannelContent, channelType } from "./channel-content.ts";
import type { From, RingReader } from "./ring.ts";

/** Options of `new Subscriber`. @example { dir, tag: "left", from: "oldest" } */
export interface SubscriberOptions extends SlotsPlace {
  /**
   * Where to begin: `"newest"` (default), the newest message that is there; `"oldest"`, the oldest one; `"next"`, the
   * next one to come.
   */
  readonly from?: From | undefined;
}

/** Options of `Subscriber.open`. @example { dir, waitMs: 5000 } */
export interface OpenSubscriberOptions extends SubscriberOptions, WaitForFileOptions {}

/** How long to wait for a message. @example subscriber.receive({ timeoutMs: 100 }) */
export interface ReceiveOptions {
  /** Milliseconds to wait for a message. Default 0: do not wait. Infinity: no limit. */
  readonly timeoutMs?: number | undefined;
  /** Of these, milliseconds to look again and again before sleeping: less than 1 µs from publisher to subscriber, for a whole core. Default 0. */
  readonly spinMs?: number | undefined;
}

/** How long to wait for a message without blocking the event loop. */
export interface ReceiveAsyncOptions extends ReceiveOptions {
  /** Milliseconds to wait for a message. Default: no limit. */
  readonly timeoutMs?: number | undefined;
  /** Aborting it ends the wait with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `messages`. */
export interface MessagesOptions {
  /** Aborting it ends the iteration with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** As in `receive`. */
  readonly spinMs?: number | undefined;
}

/** What comes with a message. */
export interface MessageInfo {
  /** Which message of the channel it is, counted from 0. */
  readonly index: number;
  /** Messages between the one before and this that were not received: overwritten, or skipped by `latest()`. */
  readonly missed: number;
  /** When it was sent: milliseconds since 1970 by the publisher's clock, with a fraction. */
  readonly sentAt: number;
  /** The number that the publisher gave, 0 without one. */
  readonly type: number;
  /** Bytes of the message. */
  readonly length: number;
  /** Which publisher of the channel sent it, counted from 1. */
  readonly epoch: number;
}

/** A message as a private copy, which no publisher changes. */
export interface Message<T> extends MessageInfo {
  readonly data: T;
}

const known = { ...SLOTS_PLACE, from: "string" } as const;
const receiveKnown = { timeoutMs: "number", spinMs: "number" } as const;
/** Looks at a slot between two that also ask whether the message was left out or the channel has moved on: some 0.1 µs. */
const LOOKS_PER_FIND = 100;
/** Those between two looks at the clock: some 20 µs. */
const FINDS_PER_CLOCK = 200;

/** Whether `checkReceive` finds nothing, at half its price: `receive` asks it also where a message is there and no option is needed. */
function areTimes(options: ReceiveOptions): boolean {
  if (typeof options !== "object" || options === null || Array.isArray(options)) return false;
  for (const name in options) {
    if (name !== "timeoutMs" && name !== "spinMs") return false;
    const value: unknown = options[name];
    if (value !== undefined && !(typeof value === "number" && value >= 0)) return false;
  }
  return true;
}

/** @throws TypeError, RangeError */
function checkReceive(options: ReceiveOptions): void {
  checkOptions("receive", options, receiveKnown);
  checkTimeout(options.timeoutMs);
  checkSpin(options.spinMs);
}
const FROM: readonly string[] = ["newest", "oldest", "next"];

/**
 * Receives the messages of a channel. It leaves no trace in the channel and needs no permission to write: any number of
 * subscribers cost the publisher nothing. One that is more than the ring's slots behind loses messages and is told how many;
 * it goes on in the middle of what is there. When the channel is recreated it goes on there, from its first message.
 * @throws FileMissingError; LayoutMismatchError; FileFormatError; TypeError for the options; SystemError
 * @example
 * using frames = new Subscriber(Frame, { dir: "/dev/shm/camera" });
 * for await (const { data, index, missed } of frames) console.log(index, missed, data.width);
 */
export class Subscriber<T extends Data> implements Disposable, AsyncIterable<Message<T>> {
  readonly #payload: Payload<T>;
  readonly #segment: Segment<ChannelContent>;
  /** Undefined while there is no file, after it was deleted. */
  #content: ChannelContent | undefined;
  #reader: RingReader;
  /** Views on the slots for `peek`, each made at its first use. */
  #views = new Map<number, T>();

  /** @param cls a struct class, the name of one after `loadStructs`, or `Uint8Array` */
  constructor(cls: PayloadClass<T> | string, options: SubscriberOptions = {}) {
    checkOptions("new Subscriber", options, known);
    const { from = "newest", className } = options;
    if (!FROM.includes(from)) {
      throw new TypeError(`new Subscriber: from must be ${FROM.join(", ")}, got ${JSON.stringify(from)}`);
    }
    this.#payload = new Payload(cls);
    const place = classPlace(className ?? this.#payload.name, options, "channel");
    const type = channelType(this.#payload, place);
    this.#segment = new Segment(place, type, {
      access: "read",
      makesLock: false,
      mayBeMissing: true,
      trust: options,
    });
    try {
      this.#content = this.#segment.content;
      this.#reader = this.#content.reader(from);
    } catch (error) {
      this.#segment.close();
      throw error;
    }
  }

  /**
   * Opens a channel, and waits for it to be made.
   * @throws FileMissingError; FileFormatError, LayoutMismatchError for a file that holds something else;
   *   UntrustedFileError; SystemError; TypeError, RangeError for the options; WaitTimeoutError after `waitMs`; the signal's
   *   reason
   * @example const frames = await Subscriber.open(Frame, { dir, waitMs: 5000 });
   */
  static async open<T extends Data>(
    cls: PayloadClass<T> | string,
    options: OpenSubscriberOptions = {},
  ): Promise<Subscriber<T>> {
    checkOptions("Subscriber.open", options, { ...known, ...WAIT_FOR_FILE_OPTIONS });
    const { waitMs, signal, ...rest } = options;
    return waitForFile("Subscriber.open", () => new Subscriber<T>(cls, rest), { waitMs, signal });
  }

  /** The channel's file. */
  get path(): string {
    return this.#segment.path;
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#segment.closed;
  }

  /** The index of the message that comes next. */
  get index(): number {
    return this.#reader.cursor;
  }

  /** How many messages were published since the channel was made. @throws ClosedError */
  get published(): number {
    return this.#existing().version;
  }

  /** Whether the last publisher has closed the channel by itself, and no other has followed. @throws ClosedError */
  get isEnded(): boolean {
    return this.#existing().isClosed;
  }

  /**
   * The next message as a private copy; undefined without one (after `timeoutMs`). A message that is there costs no system call, so
   * a file that is truncated by hand kills the process that touches what is gone; only a wait looks at its length before.
   * @throws ClosedError; FileFormatError when a wait finds the file truncated, or another file in its place is damaged;
   *   DeadlockError for a wait in the thread of the publisher; TypeError, RangeError for the options
   * @example const message = subscriber.receive({ timeoutMs: 100 });
   */
  receive(options?: ReceiveOptions): Message<T> | undefined {
    if (options !== undefined && !areTimes(options)) checkReceive(options);
    const message = this.#tryReceive();
    if (message !== undefined || options === undefined) return message;
    const timeoutMs = checkTimeout(options.timeoutMs ?? 0);
    const spinMs = Math.min(checkSpin(options.spinMs), timeoutMs);
    return this.#spin(spinMs) ?? this.#await(timeoutMs - spinMs);
  }

  #spin(spinMs: number): Message<T> | undefined {
    if (spinMs === 0) return undefined;
    // The clock takes as long as several looks: at first none is there.
    let deadline: Deadline | undefined;
    do {
      for (let looks = 0; looks < FINDS_PER_CLOCK; looks++) {
        const slot = this.#find();
        if (slot >= 0) return this.#receive(slot);
        this.#reader.awaitChange(LOOKS_PER_FIND);
      }
      deadline ??= new Deadline(spinMs);
    } while (!deadline.isOver);
    return undefined;
  }

  #await(timeoutMs: number): Message<T> | undefined {
    const deadline = new Deadline(timeoutMs);
    while (!deadline.isOver) {
      const isChanged = this.#segment.waitForChange({ timeoutMs: deadline.leftMs });
      const message = this.#tryReceive();
      if (message !== undefined || !isChanged) return message;
    }
    return this.#tryReceive();
  }

  /**
   * The next message as a private copy, without blocking the event loop; undefined after `timeoutMs`. As `receive`, it looks at the
   * file's length only when it waits.
   * @throws ClosedError; FileFormatError when a wait finds the file truncated, or another file in its place is damaged;
   *   DeadlockError for a wait in the thread of the publisher; TypeError, RangeError for the options; the signal's reason
   * @example const message = await subscriber.receiveAsync({ signal });
   */
  async receiveAsync(options: ReceiveAsyncOptions = {}): Promise<Message<T> | undefined> {
    checkOptions("receiveAsync", options, { ...receiveKnown, signal: "any" });
    const timeoutMs = checkTimeout(options.timeoutMs);
    const { spinMs } = options;
    const deadline = Number.isFinite(timeoutMs) ? AbortSignal.timeout(timeoutMs) : undefined;
    const signals = [deadline, checkSignal("receiveAsync", options.signal)].filter(
      (signal) => signal !== undefined,
    );
    const signal = signals.length === 2 ? AbortSignal.any(signals) : signals[0];
    const messages = this.messages({ signal, spinMs });
    try {
      const { value } = await messages.next();
      return value as Message<T>;
    } catch (error) {
      if (deadline?.aborted && error === deadline.reason) return undefined;
      throw error;
    } finally {
      // Otherwise it would wait for changes as long as the subscriber is open.
      await messages.return(undefined);
    }
  }

  /**
   * The newest message, if it was not received yet, as a private copy. Those before it are skipped, and count as missed.
   * It does not look at the file's length: see `receive`.
   * @throws ClosedError; FileFormatError when another file in the place of this one is damaged
   * @example const pose = subscriber.latest()?.data ?? lastPose;
   */
  latest(): Message<T> | undefined {
    if (this.#current() !== undefined) this.#reader.skipToNewest();
    return this.#tryReceive();
  }

  /**
   * Shows the next message in place, without a copy: false without one, or when the publisher has overwritten it while
   * `fn` ran. Then throw away what `fn` has found: it may be half of one message and half of another. The next call goes on
   * with a later message. Never store into raw bytes: the memory is read-only, and a store kills the process.
   * @throws ClosedError; TypeError for an asynchronous function; what `fn` throws (the message is then not received)
   * @example const isWhole = frames.peek((frame) => { sum = frame.pixels.at(0); });
   */
  peek(fn: (view: T extends Uint8Array ? T : DeepReadonly<T>, message: MessageInfo) => unknown): boolean {
    refuseAsync(fn, "peek");
    const slot = this.#find();
    if (slot < 0) return false;
    const reader = this.#reader;
    const info = this.#info(reader, reader.cursor);
    refusePromise(fn(this.#view(slot) as never, info), "peek");
    if (!reader.finish(slot)) return false;
    reader.takeMissed();
    return true;
  }

  /**
   * The messages as they come. Ends with `break`, `signal` or `close()`; a publisher that ends does not end it, as the next one
   * goes on with the channel.
   * @throws ClosedError; the signal's reason; TypeError for the options
   * @example for await (const message of subscriber.messages({ signal })) { … }
   */
  async *messages(options: MessagesOptions = {}): AsyncGenerator<Message<T>, undefined> {
    checkOptions("messages", options, { signal: "any", spinMs: "number" });
    const { signal } = options;
    this.#current();
    signal?.throwIfAborted();
    // Begun before the first look: a message in between is a change.
    await using changes = this.#segment.changes(options);
    for (;;) {
      for (let message = this.#tryReceive(); message !== undefined; message = this.#tryReceive()) {
        yield message;
        signal?.throwIfAborted();
        if (this.closed) return undefined;
      }
      if ((await changes.next()).done) return undefined;
      if (this.closed) return undefined;
    }
  }

  /**
   * One turn per burst of messages, for those who look at them with `peek` or `latest`. Its value is how many were published.
   * Begins with the first message after this call; look once before. Ends with `break`, `signal` or `close()`.
   * @throws ClosedError; FileFormatError for a truncated file; the signal's reason; TypeError for the options
   * @example for await (const _ of frames.changes()) while (frames.peek(show));
   */
  changes(options: MessagesOptions = {}): Changes {
    checkOptions("changes", options, { signal: "any", spinMs: "number" });
    this.#look();
    return this.#segment.changes(options);
  }

  /**
   * Blocks this thread until a message was published since the last call (the first: since the channel was opened).
   * @returns false after `timeoutMs` (default: no limit)
   * @throws ClosedError; FileFormatError for a truncated file; DeadlockError in the thread of the publisher;
   *   TypeError, RangeError for the options
   * @example while (frames.waitForChange({ timeoutMs: 1000 })) while (frames.peek(show));
   */
  waitForChange(options: WaitOptions = {}): boolean {
    this.#look();
    return this.#segment.waitForChange(options);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Message<T>, undefined> {
    return this.messages();
  }

  /**
   * Writes the messages that are there to a file of their own, while the publisher goes on. A Subscriber opens it as any channel.
   * @returns how many were published until then
   * @throws FileFormatError when something else than a backup is at `path`; SystemError ENOSPC …
   * @example subscriber.backup("/var/backup/Price_.channel")
   */
  backup(path: string): number {
    this.#look();
    this.#existing();
    return backupSegment(this.#segment, path);
  }

  /**
   * What is known of the channel and its users: the publisher is who holds the lock. Looks through /proc, which takes some milliseconds.
   * @throws ClosedError; FileMissingError; FileFormatError for a truncated file
   */
  info(): SegmentInfo {
    this.#look();
    this.#existing();
    return segmentInfo(this.#segment);
  }

  /** Unmaps the channel. Views that `peek` gave throw from then on. */
  close(): void {
    this.#views.clear();
    this.#segment.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #tryReceive(): Message<T> | undefined {
    const slot = this.#find();
    return slot < 0 ? undefined : this.#receive(slot);
  }

  /** The message in the slot that was found, or one that came after it. */
  #receive(found: number): Message<T> | undefined {
    for (let slot = found; slot >= 0; slot = this.#find()) {
      const reader = this.#reader;
      const data = this.#payload.copyOf(reader.part(slot));
      if (!reader.finish(slot)) continue;
      // Member by member: to spread the info into it would take as long as all the rest.
      const { index, type, length, epoch } = reader;
      const sentAt = toMilliseconds(reader.timeLow, reader.timeHigh);
      return { data, index, missed: reader.takeMissed(), sentAt, type, length, epoch };
    }
    return undefined;
  }

  #info(reader: RingReader, index: number): MessageInfo {
    const { missed, type, length, epoch } = reader;
    return { index, missed, sentAt: toMilliseconds(reader.timeLow, reader.timeHigh), type, length, epoch };
  }

  /** The slot of the next message; -1: without one. What is left in a file that was replaced comes first. */
  #find(): number {
    if (this.#segment.closed) throw this.#closedError();
    // While it looks for changes the segment moves on by itself.
    const content = this.#segment.attached;
    if (content === undefined || content !== this.#content) return this.#findInCurrent();
    const slot = this.#reader.find();
    return slot >= 0 || !content.file.isSuperseded ? slot : this.#findInCurrent();
  }

  #findInCurrent(): number {
    return this.#current() === undefined ? -1 : this.#reader.find();
  }

  /** The content that is current; undefined without one. */
  #current(): ChannelContent | undefined {
    if (this.#segment.closed) throw this.#closedError();
    const content = this.#segment.current();
    if (content === this.#content) return content;
    this.#content = content;
    this.#views = new Map();
    if (content !== undefined) this.#reader = content.reader("oldest");
    return content;
  }

  /** For calls that have the time for a system call: a truncated file kills the process that touches it. */
  #look(): void {
    if (this.#segment.closed) throw this.#closedError();
    if (this.#segment.whole() !== this.#content) this.#current();
  }

  #existing(): ChannelContent {
    return this.#current() ?? this.#segment.content;
  }

  #closedError(): ClosedError {
    return new ClosedError(`the subscriber of '${this.path}' is closed`);
  }

  #view(slot: number): T {
    const known = this.#views.get(slot);
    if (known !== undefined) return known;
    const { bytes, geometry } = this.#existing();
    const offset = this.#reader.payloadOffset(slot);
    const view = this.#payload.view(this.#payload.region(bytes, offset, geometry.payloadBytes, "read"));
    this.#views.set(slot, view);
    return view;
  }
}
