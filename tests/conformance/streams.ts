/** Channels and queues as contents under test. Their state is how many messages or jobs there were, from 0. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { channelType } from "../../src/channel/channel-content.ts";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import {
  DeadlockError,
  FileFormatError,
  FileMissingError,
  LockTimeoutError,
  WaitTimeoutError,
} from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { queueInspector } from "../../src/queue/inspect.ts";
import { queueType } from "../../src/queue/queue-content.ts";
import type { Content, ContentType } from "../../src/segment/content.ts";
import type { Inspector, LookedAtJob } from "../../src/segment/inspector.ts";
import { SegmentFile } from "../../src/segment/segment-file.ts";
import type { ContentUnderTest, Opening, ReaderOf, Wait, WriterOf } from "./contents.ts";

const PAYLOAD_BYTES = 64;

/** As long as a row waits without a limit of its own. */
const NO_LIMIT_MS = 60_000;

/** All bytes of a message follow from its number, so that any mix of two shows. */
const wordAt = (i: number, number: number): number =>
  (i === 0 ? number : number ^ Math.imul(i, 0x9e3779b1)) >>> 0;

function fillMessage(bytes: Uint8Array, number: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, PAYLOAD_BYTES);
  for (let i = 0; i < PAYLOAD_BYTES / 4; i++) view.setUint32(4 * i, wordAt(i, number), true);
}

function messageOf(number: number): Uint8Array {
  const bytes = new Uint8Array(PAYLOAD_BYTES);
  fillMessage(bytes, number);
  return bytes;
}

/** @throws Error for a mix of messages; FileFormatError for a damaged length, which a reader of raw bytes finds out itself */
function numberIn(bytes: Uint8Array): number {
  if (bytes.length !== PAYLOAD_BYTES) throw new FileFormatError("", `a message of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const number = view.getUint32(0, true);
  for (let i = 0; i < PAYLOAD_BYTES / 4; i++)
    if (view.getUint32(4 * i, true) !== wordAt(i, number))
      throw new Error(`a mix of states: message ${number}`);
  return number;
}

/** What `read` gives; undefined when there is no file. */
function unlessMissing<T>(read: () => T, path: string): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FileMissingError && error.path === path) return undefined;
    throw error;
  }
}

/** These contents count from 0 in each file; the footer has the file's generation. */
function versionOf(path: string, type: ContentType<Content>, trust: Opening, state: number): number {
  const { words, leastBytes } = type;
  using file = SegmentFile.open(path, { access: "read", words, leastBytes, trust });
  return file.generation * 2 ** 32 + state;
}

abstract class StreamReader implements ReaderOf {
  protected abstract readonly type: ContentType<Content>;
  protected readonly opening: Opening;

  constructor(opening: Opening) {
    this.opening = opening;
  }

  abstract readonly path: string;
  abstract newest(): number | undefined;
  abstract peek(): number | undefined;
  abstract changes(options?: { readonly signal?: AbortSignal }): AsyncIterator<unknown, unknown>;
  abstract close(): void;

  get version(): number {
    const state = this.newest();
    if (state === undefined) throw new FileMissingError(this.path, "no file");
    return versionOf(this.path, this.type, this.opening, state);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class ChannelReader extends StreamReader {
  protected readonly type: ContentType<Content> = channelType();
  protected readonly place: { readonly dir: string };
  readonly #subscriber: Subscriber<Uint8Array>;

  constructor(dir: string, options: Opening = {}) {
    super(options);
    this.place = { dir, ...options };
    this.#subscriber = new Subscriber(Uint8Array, { ...this.place, from: "newest" });
  }

  get path(): string {
    return this.#subscriber.path;
  }

  newest(): number | undefined {
    return unlessMissing(() => {
      // Looks at the file's length, which `latest()` does not.
      void this.#subscriber.changes().return?.();
      return stateOf(this.#subscriber);
    }, this.path);
  }

  peek(): number | undefined {
    return unlessMissing(() => stateOf(this.#subscriber), this.path);
  }

  changes(options?: { readonly signal?: AbortSignal }): AsyncIterator<unknown, unknown> {
    return this.#subscriber.changes(options);
  }

  close(): void {
    this.#subscriber.close();
  }
}

/** Of a subscriber that has received all messages but the newest, or all of them. */
function stateOf(subscriber: Subscriber<Uint8Array>): number {
  for (let tries = 0; tries < 1000; tries++) {
    const message = subscriber.latest();
    if (message !== undefined && numberIn(message.data) !== message.index)
      throw new Error(`message ${message.index} is another one`);
    // What a publisher that was killed has not counted any more is counted by the next one.
    if (message === undefined || message.index + 1 >= subscriber.published)
      return Math.max(subscriber.published, subscriber.index);
  }
  throw new Error("always another message");
}

/** Opens a publisher for each call: there is only one at a time. */
class ChannelWriter extends ChannelReader implements WriterOf {
  readonly #creation: object;

  /** @param creation of one that makes the lock's files again */
  constructor(dir: string, options?: Opening, creation: object = {}) {
    super(dir, options);
    this.#creation = creation;
  }

  #kept: Publisher<Uint8Array> | undefined;

  keepOpen(): void {
    this.#kept = this.#publisher();
  }

  override close(): void {
    this.#kept?.close();
    super.close();
  }

  #publisher({ timeoutMs = NO_LIMIT_MS }: Wait = {}): Publisher<Uint8Array> {
    return new Publisher(Uint8Array, { ...this.place, ...this.#creation, waitMs: timeoutMs });
  }

  commit(state: number, wait?: Wait): void {
    using publisher = this.#publisher(wait);
    while (publisher.index < state) publisher.send(messageOf(publisher.index));
  }

  advance(wait?: Wait): void {
    using opened = this.#kept === undefined ? this.#publisher(wait) : undefined;
    const publisher = (opened ?? this.#kept) as Publisher<Uint8Array>;
    publisher.send(messageOf(publisher.index));
  }

  hold(fn: () => void, wait?: Wait): void {
    using publisher = this.#publisher(wait);
    using loan = publisher.loan();
    fillMessage(loan.data, publisher.index + 1);
    fn();
  }

  holdOpen(wait?: Wait): { release(): void } {
    const publisher = this.#publisher(wait);
    return { release: () => publisher.close() };
  }

  remove(wait?: Wait): void {
    this.#publisher(wait).remove();
  }
}

export const channel: ContentUnderTest = {
  name: "channel",
  file: "Bytes_.channel",
  lockFile: "Bytes_.channel.lock",
  isCounter: true,
  create(dir, { large = false, timeoutMs = NO_LIMIT_MS, force = false, mode, ...opening } = {}) {
    const shape = { create: true, mode, slots: large ? 16_384 : 16, payloadBytes: PAYLOAD_BYTES };
    // Where there is a channel it is opened without waiting for its publisher.
    const waitMs = force || !existsSync(join(dir, channel.file)) ? timeoutMs : 0;
    try {
      new Publisher(Uint8Array, { dir, ...shape, force, waitMs, ...opening }).close();
    } catch (error) {
      const isInUse = error instanceof LockTimeoutError || error instanceof DeadlockError;
      if (!isInUse || waitMs > 0 || force) throw error;
    }
    return new ChannelWriter(dir, opening, shape);
  },
  openWriter: (dir, options) => new ChannelWriter(dir, options),
  openReader: (dir, options) => new ChannelReader(dir, options),
};

class QueueReader extends StreamReader {
  readonly path: string;
  protected readonly type: ContentType<Content> = queueType();
  readonly #inspector: Inspector;

  constructor(dir: string, opening: Opening = {}) {
    super(opening);
    this.path = join(dir, queue.file);
    this.#inspector = queueInspector.read(this.path, opening);
  }

  newest(): number | undefined {
    return unlessMissing(() => {
      this.#checkLength();
      const { jobs } = this.#inspector.look().value as { jobs: readonly LookedAtJob[] };
      for (const { value } of jobs) numberIn(value as Uint8Array);
      return jobs.length;
    }, this.path);
  }

  /** By opening the file anew. */
  #checkLength(): void {
    void this.#inspector.changes().return?.();
    queueInspector.read(this.path, this.opening)[Symbol.dispose]();
  }

  peek(): number | undefined {
    return unlessMissing(() => {
      const { ready = 0, taken = 0 } = this.#inspector.gauges?.() ?? {};
      return ready + taken;
    }, this.path);
  }

  changes(options?: { readonly signal?: AbortSignal }): AsyncIterator<unknown, unknown> {
    return this.#inspector.changes(options);
  }

  close(): void {
    this.#inspector[Symbol.dispose]();
  }
}

const SLOTS = 2048;

const NO_LOCK = "a push, a take and the end of a job hold no lock and wait for none";

/** Its state is how many jobs there are. No row takes one: queues have tests of their own for that. */
class QueueWriter extends QueueReader implements WriterOf {
  readonly #queue: Queue<Uint8Array>;

  constructor(dir: string, jobs: Queue<Uint8Array>, opening?: Opening) {
    super(dir, opening);
    this.#queue = jobs;
  }

  commit(state: number, wait?: Wait): void {
    for (let left = state - (this.newest() ?? 0); left > 0; left--) this.advance(wait);
  }

  advance({ timeoutMs = NO_LIMIT_MS }: Wait = {}): void {
    // Looks at the file, which a push does now and then only.
    void this.#queue.size;
    this.#queue.push(messageOf(this.peek() ?? 0), { timeoutMs });
  }

  /** Runs `fn` in the middle of a push, which then is none. */
  hold(fn: () => void): void {
    const inTheMiddle = new Error("given up in the middle of a push");
    try {
      this.#queue.push((bytes) => {
        fillMessage(bytes, 1);
        fn();
        throw inTheMiddle;
      });
    } catch (error) {
      if (error !== inTheMiddle) throw error;
    }
  }

  remove(wait?: Wait): void {
    this.#queue.remove(wait);
  }

  override close(): void {
    super.close();
    this.#queue.close();
  }
}

export const queue: ContentUnderTest = {
  name: "queue",
  file: "Bytes_.queue",
  lockFile: "Bytes_.queue.lock",
  sideFiles: ["Bytes_.queue.owners"],
  isCounter: true,
  isLockFree: true,
  without: {
    "no two writers write at once after the lock file was deleted while another process holds it": NO_LOCK,
    "every call with a time limit gives up on what a stopped writer holds": NO_LOCK,
    "time limits hold although the lock file is replaced meanwhile": NO_LOCK,
    "two copies of the library in one thread get a DeadlockError instead of a wait for oneself": NO_LOCK,
    "a worker that was terminated while it waits never gets the lock, and delays no other": NO_LOCK,
  },
  create(dir, { large = false, timeoutMs: _, force, mode, ...opening } = {}) {
    const shape = { create: true, force, mode, slots: large ? 16_384 : SLOTS, payloadBytes: PAYLOAD_BYTES };
    return new QueueWriter(dir, new Queue(Uint8Array, { dir, ...shape, ...opening }), opening);
  },
  openWriter: (dir, options) => new QueueWriter(dir, new Queue(Uint8Array, { dir, ...options }), options),
  openReader: (dir, options) => new QueueReader(dir, options),
  limited(dir) {
    const shape = { dir, create: true, slots: 2, payloadBytes: 1 };
    const jobs = new Queue(Uint8Array, { dir });
    const full = new Queue(Uint8Array, { ...shape, tag: "full" });
    const empty = new Queue(Uint8Array, { ...shape, tag: "empty" });
    while (full.tryPush(Uint8Array.of(1)));
    const calls = [
      (wait: Wait) => full.push(Uint8Array.of(2), wait),
      (wait: Wait) => {
        if (empty.take(wait) === undefined)
          throw new WaitTimeoutError(empty.path, wait.timeoutMs ?? 0, "no job");
      },
      (wait: Wait) => jobs.resize({ slots: 2 * SLOTS, ...wait }),
      (wait: Wait) => jobs.remove(wait),
    ];
    const close = () => {
      for (const each of [jobs, full, empty]) each.close();
    };
    return { calls, holder: "holdLockFile", [Symbol.dispose]: close };
  },
};
