import { checkOptions } from "../errors/check-options.ts";
import { ClosedError, FileFormatError, ShmError } from "../errors/errors.ts";
import { refuseAsync, refusePromise } from "../errors/sync-only.ts";
import { restoreSegment } from "../segment/backup.ts";
import { createSegment, removeSegment } from "../segment/create.ts";
import { type SegmentInfo, segmentInfo } from "../segment/info.ts";
import {
  type Message,
  type MessageInit,
  Payload,
  type PayloadClass,
  SLOTS_OPTIONS,
  type SlotsOptions,
} from "../segment/payload.ts";
import { classPlace } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import { checkMilliseconds, checkTimeout } from "../sync/deadline.ts";
import { LOCK_OPTIONS, type LockOptions } from "../sync/rw-lock.ts";
import { checkMode } from "../sys/arguments.ts";
import { realtime } from "../sys/clock.ts";
import { type ChannelContent, channelPlan, channelType } from "./channel-content.ts";
import type { RingWriter } from "./ring.ts";

/** Options of `new Publisher`. @example { dir, slots: 8, create: true, waitMs: 5000 } */
export interface PublisherOptions extends SlotsOptions {
  /** How many messages the ring holds: a power of two. Subscribers may be that far behind. Default 8. */
  readonly slots?: number | undefined;
  /** Milliseconds to wait for a publisher that is still there; 0: an error at once. A dead one is never waited for. Default 1000. */
  readonly waitMs?: number | undefined;
  /** Whether a message begins with zeros; false: with what the slot held before, which is faster for large messages. Default true. */
  readonly clear?: boolean | undefined;
}

/** What goes with a message. @example publisher.send(value, { type: 2 }) */
export interface SendOptions {
  /** A number for your own use, as a u32. Default 0. */
  readonly type?: number | undefined;
  /** Bytes of a message of raw bytes. Default: all of them. Needed where a function fills only a part. A struct takes none. */
  readonly length?: number | undefined;
}

const known = {
  ...SLOTS_OPTIONS,
  slots: "number",
  waitMs: "number",
  clear: "boolean",
} as const;

const sendKnown = { type: "number", length: "number" } as const;

const DEFAULT_SLOTS = 8;
const DEFAULT_WAIT_MS = 1000;
const NO_OPTIONS: SendOptions = {};

/**
 * The one publisher of a channel: it holds the channel's writer lock for its life, so a message costs no system call
 * unless a subscriber sleeps. Nothing blocks it: who is too slow loses messages, and is told how many.
 *
 * When it dies the next publisher goes on where it stopped. When its file is deleted or replaced by hand, it goes on in the
 * one that is there then; with `create` it makes one.
 * @throws FileMissingError without `create`; LayoutMismatchError; FileFormatError for a damaged file, or one made with other
 *   `slots`; LockTimeoutError that names the publisher that is still there; TypeError, RangeError for the options; SystemError
 * @example
 * using frames = new Publisher(Frame, { dir: "/dev/shm/camera", create: true });
 * frames.send((frame) => { frame.width = 1920; frame.pixels.set(image); });
 */
export class Publisher<T extends Message> implements Disposable {
  readonly #payload: Payload<T>;
  readonly #options: PublisherOptions;
  readonly #segment: Segment<ChannelContent>;
  #writer: RingWriter;
  /** Views on the slots, each made at its first use. */
  #views: (T | undefined)[] = [];
  #loan: Loan<T> | undefined;
  readonly #clear: boolean;
  readonly #structBytes: number;
  /** The second in which the file was looked at last. */
  #lookedAt = 0;
  /** A function of `send` is filling a message in its slot. */
  #isFilling = false;
  /** The file was deleted or replaced, and the current one is not open yet. */
  #isLost = false;

  /** @param cls a struct class, the name of one after `loadStructs`, or `Uint8Array` */
  constructor(cls: PayloadClass<T> | string, options: PublisherOptions = {}) {
    checkOptions("new Publisher", options, known);
    const { force, create, mode, waitMs = DEFAULT_WAIT_MS } = options;
    if (force && !create)
      throw new TypeError("new Publisher: force replaces the file, so it needs create: true");
    checkMode(mode);
    checkMilliseconds("waitMs", waitMs);
    this.#payload = new Payload(cls);
    this.#options = options;
    this.#clear = options.clear ?? true;
    this.#structBytes = this.#payload.isVariable ? 0 : this.#payload.structBytes;
    const place = classPlace(options.className ?? this.#payload.name, options, "channel");
    if (create) this.#create(place, force === true);
    this.#segment = new Segment(place, channelType(this.#payload, place), {
      access: "write",
      makesLock: create === true,
      mode,
      trust: options,
    });
    try {
      this.#segment.acquire("exclusive", { timeoutMs: waitMs });
      this.#checkAgreement();
      this.#writer = this.#takeOver();
    } catch (error) {
      this.#segment.close();
      throw error;
    }
  }

  #create(place: ReturnType<typeof classPlace>, force: boolean): void {
    const { slots = DEFAULT_SLOTS, payloadBytes, mode = 0o600, waitMs = DEFAULT_WAIT_MS } = this.#options;
    const plan = channelPlan(this.#payload, slots, payloadBytes);
    createSegment(place, plan, channelType(undefined, place), {
      force,
      mode,
      timeoutMs: waitMs,
      trust: this.#options,
    });
  }

  #checkAgreement(): void {
    const { geometry } = this.#segment.content;
    for (const option of ["slots", "payloadBytes"] as const) {
      const wanted = this.#options[option];
      if (wanted === undefined || wanted === geometry[option]) continue;
      throw new FileFormatError(
        this.path,
        `'${this.path}' was made with ${option}: ${geometry[option]}, not ${wanted}; leave the option out, or recreate it with force: true, which erases the messages that are there`,
      );
    }
  }

  #takeOver(): RingWriter {
    const writer = this.#segment.content.writer();
    writer.takeOver(process.pid);
    return writer;
  }

  /** The channel's file. */
  get path(): string {
    return this.#segment.path;
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#segment.closed;
  }

  /** The index of the message that comes next: how many were published since the channel was made. */
  get index(): number {
    return this.#writer.index;
  }

  /** Which publisher of the channel this is, counted from 1. */
  get epoch(): number {
    return this.#writer.epoch;
  }

  /** Bytes of a message at most. */
  get payloadBytes(): number {
    return this.#writer.payloadBytes;
  }

  /**
   * Publishes a message. When `fn` throws, or the value does not fit, there is no message.
   * @param message a value (members that are not given are 0, or as `clear` says), or a function that fills the message in
   *   its slot. A function may return the length of raw bytes
   * @throws TypeError, RangeError for a value that does not fit; ClosedError; ShmError `"BUSY"` while a loan is open;
   *   FileMissingError once the file was deleted
   * @example prices.send({ symbol: "ABC", price: 17.5 }, { type: 1 })
   */
  send(message: MessageInit<T> | ((data: T) => unknown), options: SendOptions = NO_OPTIONS): void {
    if (options !== NO_OPTIONS) this.#check(options);
    const writer = this.#begin();
    // Raw bytes that are given as such fill all of their message.
    const isFilled = this.#structBytes === 0 && typeof message !== "function";
    const view = this.#open(writer, isFilled);
    let length: number | undefined;
    try {
      if (typeof message === "function") {
        const result = this.#fill(message as (data: T) => unknown, view);
        if (typeof result === "number" && this.#payload.isBytes) length = result;
      } else length = this.#payload.assign(view, message);
    } catch (error) {
      writer.giveBack();
      throw error;
    }
    this.#send(writer, options, length);
  }

  #check(options: SendOptions): void {
    checkSendOptions(options);
    this.#payload.checkLength("send", options.length);
  }

  /** The slot is this message's until `fn` returns: a message within it would take the same one. */
  #fill(fn: (data: T) => unknown, view: T): unknown {
    refuseAsync(fn, "send");
    this.#isFilling = true;
    try {
      const result = refusePromise(fn(view), "send");
      if (this.#segment.closed) {
        throw new ClosedError(
          `no message was sent: the publisher of '${this.path}' was closed before it was filled`,
        );
      }
      return result;
    } finally {
      this.#isFilling = false;
    }
  }

  /**
   * A message to be filled in its slot, sent by `loan.send()`. There is one at a time; subscribers see nothing of it before.
   * @throws TypeError, RangeError for a value that does not fit; ClosedError; ShmError `"BUSY"` while a loan is open;
   *   FileMissingError once the file was deleted
   * @example { using loan = frames.loan(); loan.data.width = 1920; loan.send(); }
   */
  loan(): Loan<T> {
    const writer = this.#begin();
    const slot = writer.loan();
    const loan: Loan<T> = new Loan(this.#view(writer, slot), writer.user(slot), {
      check: (options) => this.#check(options),
      send: (options) => this.#sendLoan(writer, options),
      giveBack: () => this.#endLoan(writer),
    });
    if (this.#clear) writer.payload(slot).fill(0);
    this.#loan = loan;
    return loan;
  }

  #begin(): RingWriter {
    if (this.#segment.closed) throw new ClosedError(`the publisher of '${this.path}' is closed`);
    if (this.#loan !== undefined) {
      throw new ShmError("BUSY", `'${this.path}' has an open loan; send it or give it back first`);
    }
    if (this.#isFilling) {
      throw new ShmError(
        "BUSY",
        `a function of send() fills a message of '${this.path}'; let it return first`,
      );
    }
    if (this.#isLost) this.#moveOver();
    return this.#writer;
  }

  #open(writer: RingWriter, isFilled: boolean): T {
    const slot = writer.loan();
    if (this.#clear && !isFilled) writer.payload(slot).fill(0);
    return this.#view(writer, slot);
  }

  #view(writer: RingWriter, slot: number): T {
    return this.#views[writer.number] ?? this.#makeView(writer, slot);
  }

  #makeView(writer: RingWriter, slot: number): T {
    const { bytes } = this.#segment.content;
    const region = this.#payload.region(bytes, writer.payloadOffset(slot), writer.payloadBytes, "write");
    const view = this.#payload.view(region);
    this.#views[writer.number] = view;
    return view;
  }

  #sendLoan(writer: RingWriter, options: SendOptions): void {
    if (this.#segment.closed) throw new ClosedError(`the publisher of '${this.path}' is closed`);
    this.#loan = undefined;
    this.#send(writer, options, undefined);
  }

  #endLoan(writer: RingWriter): void {
    this.#loan = undefined;
    writer.giveBack();
  }

  #send(writer: RingWriter, { type = 0, length }: SendOptions, known: number | undefined): void {
    const byteLength = length ?? known ?? (this.#structBytes || writer.payloadBytes);
    const least = this.#payload.structBytes;
    if (!(byteLength >= least && byteLength <= writer.payloadBytes && Number.isInteger(byteLength))) {
      writer.giveBack();
      throw new RangeError(
        `length must be a whole number from ${least} to ${writer.payloadBytes}, not ${byteLength}`,
      );
    }
    writer.send(byteLength, type);
    this.#segment.notify();
    // The clock was just read: the file is looked at once a second.
    if (realtime.second !== this.#lookedAt) this.#look();
  }

  /** Should the file be deleted or replaced, the next message goes into the one that is there then. */
  #look(): void {
    this.#lookedAt = realtime.second;
    const { file } = this.#segment.content;
    if (file.isWhole && !file.isUnlinkedOrReplaced && !file.isSuperseded) return;
    this.#isLost = true;
    this.#segment.releaseIfHeld();
    this.#moveOver();
  }

  #moveOver(): void {
    const { create, waitMs = DEFAULT_WAIT_MS } = this.#options;
    if (create) this.#create(this.#segment.place, false);
    this.#segment.acquire("exclusive", { timeoutMs: waitMs });
    this.#views = [];
    this.#writer = this.#takeOver();
    this.#isLost = false;
  }

  /**
   * What is known of the channel and its users. Looks through /proc, which takes some milliseconds.
   * @throws ClosedError; FileMissingError; FileFormatError for a truncated file
   */
  info(): SegmentInfo {
    return segmentInfo(this.#segment);
  }

  /**
   * Makes the messages of a backup those of a channel, instead of what is there.
   * @throws FileMissingError; FileFormatError, LayoutMismatchError for a file that holds something else; LockTimeoutError while a
   *   publisher is there; SystemError
   * @example Publisher.restore(Frame, "/var/backup/Frame_.channel", { dir });
   */
  static restore<T extends Message>(
    cls: PayloadClass<T> | string,
    backup: string,
    options: PublisherOptions = {},
  ): void {
    checkOptions("Publisher.restore", options, known);
    const payload = new Payload<T>(cls);
    const place = classPlace(options.className ?? payload.name, options, "channel");
    const { mode, waitMs: timeoutMs = DEFAULT_WAIT_MS } = options;
    restoreSegment(place, channelType(payload), backup, { mode, timeoutMs, trust: options });
  }

  /**
   * Removes the channel's file, and closes. Subscribers wait for another one. The lock's files stay.
   * @param options how long to wait for a process that takes the lock in between. Default: as `waitMs` of the publisher
   * @throws LockTimeoutError: then the publisher is closed, and the file stays; ClosedError; SystemError EACCES …
   * @example frames.remove({ timeoutMs: 100 });
   */
  remove(options: LockOptions = {}): void {
    checkOptions("remove", options, LOCK_OPTIONS);
    checkTimeout(options.timeoutMs);
    if (this.closed) throw new ClosedError(`the publisher of '${this.path}' is closed`);
    const { waitMs = DEFAULT_WAIT_MS } = this.#options;
    const { timeoutMs = waitMs } = options;
    const { place } = this.#segment;
    const { mode } = this.#segment.content.file;
    this.close();
    removeSegment(place, channelType(), { mode, timeoutMs, trust: this.#options });
  }

  /**
   * Ends the publisher: the next one goes on with the next index. An open loan is given back.
   * @throws ShmError `"BUSY"` while an asynchronous operation uses the memory: then the publisher stays open
   */
  close(): void {
    if (this.#segment.closed) return;
    try {
      this.#sayGoodbye();
    } finally {
      this.#views = [];
      this.#segment.close();
    }
  }

  /** A file that was truncated or deleted has no one who would read it. */
  #sayGoodbye(): void {
    this.#loan?.[Symbol.dispose]();
    if (!this.#isLost && this.#segment.content.file.isWhole) this.#writer.close();
    this.#segment.notify();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function checkSendOptions(options: SendOptions): void {
  checkOptions("send", options, sendKnown);
  const { type = 0 } = options;
  if (type >>> 0 !== type)
    throw new RangeError(`type must be a whole number from 0 to 4294967295, not ${type}`);
}

interface LoanOwner {
  check(options: SendOptions): void;
  send(options: SendOptions): void;
  giveBack(): void;
}

/** A message that is being written in its slot. Given back unsent at the end of its scope. */
export class Loan<T extends Message> implements Disposable {
  readonly #data: T;
  readonly #user: Uint8Array;
  #owner: LoanOwner | undefined;

  /** @internal Made by `Publisher.loan()`. */
  constructor(data: T, user: Uint8Array, owner: LoanOwner) {
    this.#data = data;
    this.#user = user;
    this.#owner = owner;
  }

  /**
   * The message in shared memory. Do not keep it: what you have of it still reaches the slot after `send`.
   * @throws ClosedError once it is sent or given back
   */
  get data(): T {
    this.#check();
    return this.#data;
  }

  /** 32 bytes of the slot for your own use, beside the message. @throws ClosedError once it is sent or given back */
  get user(): Uint8Array {
    this.#check();
    return this.#user;
  }

  /** Publishes the message. @throws ClosedError once it is sent or given back; TypeError, RangeError for the options */
  send(options: SendOptions = NO_OPTIONS): void {
    const owner = this.#check();
    if (options !== NO_OPTIONS) owner.check(options);
    this.#owner = undefined;
    owner.send(options);
  }

  /** Gives the loan back unsent; nothing once it is sent. */
  [Symbol.dispose](): void {
    this.#owner?.giveBack();
    this.#owner = undefined;
  }

  #check(): LoanOwner {
    if (this.#owner === undefined)
      throw new ClosedError("the loan was sent or given back; its slot may hold another message");
    return this.#owner;
  }
}
