/** POSIX message queues: messages with a length and a priority, kept by the kernel between processes. */
import { checkOptions } from "../errors/check-options.ts";
import { ClosedError, UnsupportedError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import type { StructClass } from "../struct/index.ts";
import { Deadline } from "../sync/deadline.ts";
import { WaitLine } from "../sync/wait-line.ts";
import { closeFile } from "../sys/descriptor.ts";
import { cstring, lastErrno } from "../sys/libc/call.ts";
import { E, INT_MAX, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY } from "../sys/libc/constants.ts";
import { POLLIN, POLLOUT, polling, queues } from "../sys/libc/posix.ts";
import { OwnedFd } from "../sys/owned-fd.ts";
import { checkObjectName } from "../sys/shared-memory-file.ts";
import { pollfd, type QueueAttributes } from "./c-structs.ts";
import { MESSAGE_QUEUES_SUPPORTED, QUEUE_PRIORITY_MAX } from "./constants.ts";
import { letSignalThrough, posixCheck, posixError, timedOut } from "./errors.ts";
import { bytesCodec, type MessageCodec, type Sendable, structCodec } from "./messages.ts";
import { checkFlags, checkInteger, OBJECT_OPTIONS, type ObjectOptions, openObject } from "./names.ts";
import { Notification, type NotificationTarget } from "./notification.ts";
import { limitsOf, openQueue, QUEUE_NAME_BYTES_MAX, queueAttributes } from "./queue-file.ts";
import { untilReady } from "./readiness.ts";
import {
  ASYNC_WAIT_OPTIONS,
  type AsyncWait,
  TIMEOUT_OPTIONS,
  type Timeout,
  timeoutMsOf,
  waitFor,
} from "./waiting.ts";

/**
 * What `new MessageQueue` takes, as `posix_ipc.MessageQueue` does.
 * @example const options: MessageQueueOptions = { name: "/jobs", flags: O_CREAT, maxMessages: 10 };
 */
export interface MessageQueueOptions<M = Uint8Array> extends ObjectOptions {
  /** How many messages a queue that is created can hold, 1 and up; default QUEUE_MESSAGES_MAX_DEFAULT. */
  maxMessages?: number | undefined;
  /**
   * How many bytes a message in a queue that is created can have; default the size of the struct class in `message`,
   * else QUEUE_MESSAGE_SIZE_MAX_DEFAULT.
   */
  maxMessageSize?: number | undefined;
  /** A struct class: the queue then sends and receives structs instead of bytes. Default: bytes. */
  message?: (abstract new () => M) | undefined;
  /** Whether this handle may receive, default true. */
  read?: boolean | undefined;
  /** Whether this handle may send, default true. */
  write?: boolean | undefined;
}

/**
 * How to send.
 * @example const options: SendOptions = { priority: 5, timeoutMs: 100 };
 */
export interface SendOptions extends Timeout {
  /** 0 (default, lowest) to QUEUE_PRIORITY_MAX; the highest is received first. */
  priority?: number | undefined;
}

/**
 * What `receive` gives: the message, and its priority from 0 to QUEUE_PRIORITY_MAX.
 * @example const [message, priority]: Received<Uint8Array> = queue.receive();
 */
export type Received<M> = [message: M, priority: number];

/**
 * How to send without blocking.
 * @example const options: SendAsyncOptions = { priority: 5, signal: AbortSignal.timeout(100) };
 */
export interface SendAsyncOptions extends SendOptions, AsyncWait {}

const OPTIONS = {
  ...OBJECT_OPTIONS,
  maxMessages: "number",
  maxMessageSize: "number",
  message: "any",
  read: "boolean",
  write: "boolean",
} as const;
const SEND_OPTIONS = { ...TIMEOUT_OPTIONS, priority: "number" } as const;
const SEND_ASYNC_OPTIONS = { ...ASYNC_WAIT_OPTIONS, priority: "number" } as const;
const NONE = {};

/**
 * A handle to a message queue (mq_overview(7); `posix_ipc.MessageQueue`). Linux only.
 *
 * Messages come out by priority, the highest first, and in the order of sending within one priority.
 * Handles do not close themselves when they are garbage collected: use `using`, or call `close()`; afterwards what
 * sends, receives or asks throws `ClosedError`.
 * @example
 * using queue = new MessageQueue({ name: "/jobs", flags: O_CREAT });
 * queue.send("hello", { priority: 5 });
 * const [bytes, priority] = queue.receive({ timeoutMs: 1000 });
 * @example
 * using points = new MessageQueue({ name: "/points", flags: O_CREAT, message: Point2D });
 * points.send({ x: 1, y: 2 });
 * const [point] = points.receive(); // a Point2D in memory of its own
 */
export class MessageQueue<M = Uint8Array> {
  readonly #name: string;
  readonly #maxMessages: number;
  readonly #maxMessageSize: number;
  #block = true;
  readonly #access: number;
  readonly #codec: MessageCodec<M>;
  readonly #notification: Notification;
  readonly #receivers: WaitLine;
  readonly #senders: WaitLine;
  readonly #file: OwnedFd;
  #buffer: Uint8Array<ArrayBuffer> | undefined;

  /**
   * Opens or creates a queue.
   * @throws TypeError, RangeError for wrong options, or an existing queue whose messages are too short for the struct
   * @throws ExistentialError when it does not exist, or does although `O_EXCL` was given; PermissionsError
   * @throws PosixError, naming the limit, when the queue is larger than the system allows (EINVAL, EMFILE, ENOSPC)
   * @throws UnsupportedError on macOS
   * @example using queue = new MessageQueue({ name: "/jobs", flags: O_CREAT, maxMessageSize: 1024 });
   */
  constructor(options: MessageQueueOptions<M>) {
    if (!MESSAGE_QUEUES_SUPPORTED) throw new UnsupportedError("this system has no POSIX message queues");
    checkOptions("new MessageQueue", options, OPTIONS, true);
    checkFlags(options, O_CREAT | O_EXCL);
    this.#access = accessOf(options);
    this.#codec = codecOf(options.message);
    const limits = limitsOf(options, this.#codec.byteLength);
    const { name, opened: fd } = openObject(options, (name, flags) =>
      openQueue(name, flags | this.#access, options.mode, limits),
    );
    const attributes = this.#attributesOf(fd, name, options.message?.name);
    this.#name = name;
    this.#maxMessages = attributes.maxMessages;
    this.#maxMessageSize = attributes.maxMessageSize;
    this.#file = new OwnedFd(fd);
    this.#notification = new Notification(this.fd, name);
    this.#receivers = new WaitLine(untilReady(this.fd, POLLIN));
    this.#senders = new WaitLine(untilReady(this.fd, POLLOUT));
  }

  /** The name, the random one if none was given. Never throws. */
  get name(): string {
    return this.#name;
  }

  /** How many messages the queue can hold. Never throws. */
  get maxMessages(): number {
    return this.#maxMessages;
  }

  /** How many bytes a message can have. Never throws. */
  get maxMessageSize(): number {
    return this.#maxMessageSize;
  }

  /**
   * When false, `send` and `receive` throw BusyError instead of waiting, whatever their timeout. Default true.
   * The asynchronous forms never block and do not ask.
   * @throws (when it is set) TypeError for what is no boolean
   */
  get block(): boolean {
    return this.#block;
  }

  set block(value: boolean) {
    if (typeof value !== "boolean") throw new TypeError(`block must be a boolean, not ${show(value)}`);
    this.#block = value;
  }

  /**
   * Sends a message, waiting in this thread while the queue is full: the event loop stands still. See `sendAsync`. As
   * mq_send(3), which waits in poll(2) here.
   * @param message bytes, text (as UTF-8), or for a queue of structs a struct or its values
   * @throws BusyError when there is no room in time, or at once if `block` is false
   * @throws SignalError when a signal arrives that JavaScript listens for
   * @throws RangeError for a message longer than `maxMessageSize`, a wrong priority or a negative timeout; TypeError for
   *   what is no message, and for wrong options
   * @throws PermissionsError when the queue was opened with `write: false`; ClosedError after `close()`
   * @example queue.send("hello", { priority: 5, timeoutMs: 100 });
   */
  send(message: Sendable<M>, options?: SendOptions): void {
    checkOptions("send", options, SEND_OPTIONS);
    const bytes = this.#outgoing(message);
    const priority = priorityOf(options);
    this.#blocking("mq_send", POLLOUT, options, () => this.#trySend(bytes, priority) || undefined);
  }

  /**
   * The same without ever blocking the event loop. The bytes are copied first. Callers are served in order.
   * @throws (rejects with) BusyError when there is no room in time; RangeError for a message longer than `maxMessageSize`, a
   *   wrong priority or a negative timeout; TypeError; PermissionsError when the queue was opened with `write: false`;
   *   ClosedError; `signal.reason` when aborted: the message is then not sent
   * @example await queue.sendAsync("hello", { timeoutMs: 100 });
   */
  async sendAsync(message: Sendable<M>, options: SendAsyncOptions = NONE): Promise<void> {
    checkOptions("sendAsync", options, SEND_ASYNC_OPTIONS);
    const bytes = this.#outgoing(message).slice();
    const priority = priorityOf(options);
    const attempt = () => this.#trySend(bytes, priority) || undefined;
    await this.#senders.wait(waitFor(attempt, options, (ms) => timedOut("mq_send", this.#name, ms)));
  }

  /**
   * Takes the oldest message of the highest priority, waiting in this thread while the queue is empty. See `receiveAsync`.
   * As mq_receive(3), which waits in poll(2) here.
   * @throws BusyError when none comes in time, or at once if `block` is false
   * @throws SignalError when a signal arrives that JavaScript listens for
   * @throws MessageFormatError when a queue of structs received something else: it has the bytes
   * @throws PermissionsError when the queue was opened with `read: false`; ClosedError after `close()`; TypeError,
   *   RangeError for wrong options
   * @example const [bytes, priority] = queue.receive({ timeoutMs: 1000 });
   */
  receive(options?: Timeout): Received<M> {
    checkOptions("receive", options, TIMEOUT_OPTIONS);
    return this.#blocking("mq_receive", POLLIN, options, () => this.#tryReceive());
  }

  /**
   * The same without ever blocking the event loop. Callers are served in order. A message is taken only at the moment
   * the promise is resolved: aborting, a timeout or `close()` never loses one.
   * @throws (rejects with) BusyError when none comes in time; MessageFormatError; PermissionsError when the queue was opened
   *   with `read: false`; ClosedError; TypeError, RangeError for wrong options; `signal.reason` when aborted
   * @example const [bytes] = await queue.receiveAsync({ signal });
   */
  async receiveAsync(wait: AsyncWait = NONE): Promise<Received<M>> {
    checkOptions("receiveAsync", wait, ASYNC_WAIT_OPTIONS);
    const attempt = () => this.#tryReceive();
    return this.#receivers.wait(waitFor(attempt, wait, (ms) => timedOut("mq_receive", this.#name, ms)));
  }

  /**
   * Messages as they come, with their priorities, until `close()`. Nothing is received ahead: `break` leaves every
   * message that was not handed out in the queue.
   * @throws (while it iterates) `signal.reason` when aborted; MessageFormatError; PermissionsError when the queue was
   *   opened with `read: false`; TypeError for wrong options
   * @example for await (const [bytes, priority] of queue.entries({ signal })) work(bytes);
   */
  async *entries(options: Pick<AsyncWait, "signal"> = NONE): AsyncGenerator<Received<M>> {
    checkOptions("entries", options, { signal: "any" });
    while (!this.closed) {
      try {
        yield await this.receiveAsync({ signal: options.signal });
      } catch (error) {
        if (error instanceof ClosedError && this.closed) return;
        throw error;
      }
    }
  }

  /**
   * As `entries()`, without the priorities.
   * @throws (while it iterates) MessageFormatError; PermissionsError when the queue was opened with `read: false`;
   *   PosixError
   * @example for await (const bytes of queue) work(bytes);
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<M> {
    for await (const [message] of this.entries()) yield message;
  }

  /**
   * Asks to be told once, when a message comes into the empty queue and no process is waiting in mq_receive(3); ask again
   * for the next time. As mq_notify(3). One process at a time can have asked. A waiting receive of this class does not count
   * as one: the kernel sees no process waiting.
   * @param target a function, called from the event loop (the process stays alive for it); a signal by number or
   *   name, for `process.on`; null or nothing takes the request back, also when none is pending
   * @throws BusyError when a request stands already, ours or another process's; ClosedError after `close()`
   * @throws TypeError, RangeError for what is no signal; PosixError where a sandbox refuses the netlink socket that a
   *   function needs
   * @example queue.requestNotification(() => console.log("something came"));
   */
  requestNotification(target: NotificationTarget | null = null): void {
    this.#open();
    this.#notification.request(target);
  }

  /**
   * How many messages are in the queue, which may have changed by the time you look (mq_getattr(3)).
   * @throws ClosedError after `close()`
   */
  get currentMessages(): number {
    return queueAttributes(this.#open(), this.#name).currentMessages;
  }

  /** The queue's descriptor (posix_ipc: `mqd`), -1 after `close()`: never throws. Always non-blocking to the kernel. */
  get fd(): number {
    return this.#file.fd;
  }

  /** Whether `close()` was called. Never throws. */
  get closed(): boolean {
    return this.#file.fd < 0;
  }

  /**
   * Ends the use of this handle: what waits rejects with ClosedError, loops over it end. The queue lives on.
   * The kernel also drops a notification request this process has on the queue, from whatever handle. A second call
   * does nothing. As mq_close(3).
   * @throws PosixError EBADF when `fd` was closed elsewhere
   * @example queue.close();
   */
  close(): void {
    if (this.closed) return;
    this.#notification.close();
    this.#receivers.failAll(closedError(this.#name));
    this.#senders.failAll(closedError(this.#name));
    if (!this.#file.closeKnown()) throw posixError("mq_close", E.EBADF, this.#name);
  }

  /**
   * Removes the name, also after `close()`. Those who have the queue open keep it; a new one of that name is another one.
   * As mq_unlink(3).
   * @throws ExistentialError when it is gone, or never was, PermissionsError
   * @example queue.unlink();
   */
  unlink(): void {
    unlinkMessageQueue(this.#name);
  }

  /** `close()`, at the end of a scope that says `using`. @throws PosixError EBADF when `fd` was closed elsewhere */
  [Symbol.dispose](): void {
    this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    const { name, maxMessages, maxMessageSize, closed } = this;
    return `MessageQueue '${name}', ${maxMessages} messages of ${maxMessageSize} bytes${closed ? " (closed)" : ""}`;
  }

  /** The limits of the queue just opened, which must have room for the structs; else it is closed. */
  #attributesOf(fd: number, name: string, struct: string | undefined): QueueAttributes {
    try {
      const attributes = queueAttributes(fd, name);
      const { byteLength = 0 } = this.#codec;
      if (attributes.maxMessageSize >= byteLength) return attributes;
      throw tooNarrow(name, attributes.maxMessageSize, struct, byteLength);
    } catch (error) {
      closeFile(fd);
      throw error;
    }
  }

  /** Tries, then sleeps in poll(2), which no signal handler's SA_RESTART makes go on, until it works. */
  #blocking<T>(
    syscall: string,
    events: number,
    options: Timeout | undefined,
    attempt: () => T | undefined,
  ): T {
    const timeoutMs = timeoutMsOf(options ?? NONE);
    const deadline = new Deadline(timeoutMs);
    for (;;) {
      const result = attempt();
      if (result !== undefined) return result;
      const leftMs = this.#block ? deadline.leftMs : 0;
      if (leftMs <= 0) throw timedOut(syscall, this.#name, this.#block ? timeoutMs : 0);
      // What waits longer than 24 days waits again.
      const pollMs = Math.ceil(Math.min(leftMs, INT_MAX));
      // SAFETY: the kernel reads and writes the 8 bytes of one struct pollfd.
      if (polling().poll(pollfd(this.#file.fd, events), 1, pollMs) < 0) this.#pollFailed(syscall);
    }
  }

  #pollFailed(syscall: string): void {
    const errno = lastErrno();
    if (errno !== E.EINTR) throw posixError("poll", errno, this.#name);
    letSignalThrough(syscall, this.#name);
  }

  /** Whether there was room. */
  #trySend(bytes: Uint8Array, priority: number): boolean {
    const fd = this.#open();
    if (this.#access === O_RDONLY)
      throw posixError("mq_send", E.EACCES, this.#name, "opened with write: false");
    // bun:ffi has no address for empty arrays.
    const start = bytes.length > 0 ? bytes : NOTHING;
    // SAFETY: the kernel reads the bytes of `bytes` and is done with them when it returns.
    if (queues().mq_send(fd, start, bytes.length, priority) === 0) return true;
    const errno = lastErrno();
    if (errno === E.EAGAIN) return false;
    throw posixError("mq_send", errno, this.#name);
  }

  /** A message and its priority, if there was one. */
  #tryReceive(): Received<M> | undefined {
    const fd = this.#open();
    if (this.#access === O_WRONLY)
      throw posixError("mq_receive", E.EACCES, this.#name, "opened with read: false");
    this.#buffer ??= new Uint8Array(this.#maxMessageSize);
    const priority = new Uint32Array(1);
    // SAFETY: the kernel writes at most maxMessageSize bytes, which the buffer has, and 4 of `priority`.
    const received = queues().mq_receive(fd, this.#buffer, this.#maxMessageSize, priority);
    if (received >= 0) return this.#received(this.#buffer.slice(0, Number(received)), priority[0]!);
    const errno = lastErrno();
    if (errno === E.EAGAIN) return undefined;
    throw posixError("mq_receive", errno, this.#name);
  }

  #received(bytes: Uint8Array<ArrayBuffer>, priority: number): Received<M> {
    return [this.#codec.decode(bytes, priority), priority];
  }

  #outgoing(message: Sendable<M>): Uint8Array {
    const bytes = this.#codec.encode(message);
    if (bytes.length <= this.#maxMessageSize) return bytes;
    throw new RangeError(
      `the message has ${bytes.length} bytes, the queue '${this.#name}' takes at most ${this.#maxMessageSize} (maxMessageSize)`,
    );
  }

  #open(): number {
    if (this.#file.fd < 0) throw closedError(this.#name);
    return this.#file.fd;
  }
}

/**
 * Removes a message queue's name without opening it; see `MessageQueue.unlink`.
 * @throws ExistentialError, PermissionsError; TypeError, RangeError for a wrong name; UnsupportedError on macOS
 * @example unlinkMessageQueue("/jobs");
 */
export function unlinkMessageQueue(name: string): void {
  if (!MESSAGE_QUEUES_SUPPORTED) throw new UnsupportedError("this system has no POSIX message queues");
  checkObjectName(name, QUEUE_NAME_BYTES_MAX, "message queue");
  posixCheck("mq_unlink", queues().mq_unlink(cstring(name)), name);
}

const NOTHING = new Uint8Array(1);
const closedError = (name: string) => new ClosedError(`the message queue '${name}' is closed`);

function accessOf({
  read = true,
  write = true,
}: {
  read?: boolean | undefined;
  write?: boolean | undefined;
}): number {
  if (read && write) return O_RDWR;
  if (!read && !write) throw new TypeError("a queue opened with read: false and write: false is of no use");
  return read ? O_RDONLY : O_WRONLY;
}

const tooNarrow = (name: string, maxMessageSize: number, struct = "struct", structBytes = 0) =>
  new RangeError(
    `a ${struct} has ${structBytes} bytes, the queue '${name}' takes at most ${maxMessageSize} (maxMessageSize)`,
  );

/** The one place where the type parameter and the class given for it meet. */
function codecOf<M>(cls: (abstract new () => M) | undefined): MessageCodec<M> {
  const codec: unknown = cls === undefined ? bytesCodec : structCodec(cls as unknown as StructClass);
  return codec as MessageCodec<M>;
}

const priorityOf = ({ priority = 0 }: SendOptions = NONE): number =>
  checkInteger("priority", priority, 0, QUEUE_PRIORITY_MAX);
