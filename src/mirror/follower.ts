/** A machine that has a copy of another one's segment. */
import { WaitTimeoutError } from "../errors/errors.ts";
import { escapeText } from "../errors/show.ts";
import { type MirrorState, readState } from "../segment/mirror-state.ts";
import { absolutePath, directoryOf, makeDirectory } from "../sys/paths.ts";
import type { Trust } from "../sys/trust.ts";
import { ChannelSink } from "./channel-sink.ts";
import { decodeFrame, type Frame, type Head } from "./frame.ts";
import { parseLease } from "./lease.ts";
import { backUpOwn, type FencedFile } from "./place.ts";
import { leaseKey } from "./publisher.ts";
import { QueueSink } from "./queue-sink.ts";
import type { Sink, SinkParts } from "./sink.ts";
import { writeState } from "./state.ts";
import { StateSink } from "./state-sink.ts";
import type { Entry, Transport } from "./transport.ts";
import { settled, sleepOr } from "./wait.ts";

/** How a key is followed. */
export interface FollowOptions extends Trust {
  /** The key in the bucket. */
  readonly key: string;
  /** Permissions of the local file. Default 0o600. */
  readonly mode?: number | undefined;
  /** A larger content is refused. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
  /** Of a queue: milliseconds after which a job of a machine that is silent goes to another one. Default 30,000. */
  readonly ackWaitMs?: number | undefined;
  /** Of a queue: jobs that this machine has in hand at most, those that wait for its workers included. Default 16. */
  readonly prefetch?: number | undefined;
  /** Called when the state becomes old, or is no longer, and when there is another problem or none. */
  readonly onChange?: ((info: FollowerInfo) => void) | undefined;
}

/** What is known of a follower. */
export interface FollowerInfo {
  readonly path: string;
  readonly key: string;
  /** Of the state that the local file has, by the origin's count; of a channel or queue: messages or jobs. Undefined before the first. */
  readonly version: number | undefined;
  readonly epoch: number | undefined;
  /** Versions between that state and the newest one that has come; more than 0 only while it is being stored. */
  readonly lagVersions: number;
  /** Milliseconds between the publisher's send and the store here, by both machines' clocks. */
  readonly lagMs: number | undefined;
  /** When the publisher was last heard of, in ms since 1970. */
  readonly publisherSeenAt: number | undefined;
  /** Since when the state may be old, in ms since 1970: no connection, or no publisher. Undefined: connected. */
  readonly staleSince: number | undefined;
  /** Since when there is no connection, in ms since 1970; undefined while there is one. */
  readonly disconnectedSince: number | undefined;
  /** Why the newest value was not stored, or why there is no server yet. */
  readonly problem: string | undefined;
  /** What the file had of its own before it followed: commits that only its backup has. */
  readonly fenced: FencedFile | undefined;
  /** Of a channel: messages that never came. */
  readonly missed: number | undefined;
  /** Of a queue: jobs in hand. */
  readonly jobs: number | undefined;
}

const RETRY_MS = 200;
const DEFAULT_ACK_WAIT_MS = 30_000;
const DEFAULT_PREFETCH = 16;
/** The age is looked at this often. */
const LOOK_EVERY_MS = 250;
/** What is stored is noted beside the file this often at most. */
const NOTE_EVERY_MS = 250;
/** A bucket that is another one now is found this often. */
const LIFE_EVERY_MS = 5000;

/** Follows a key until it is disposed of. @example await using follower = await Mirror.follow(path, { … }); */
export class MirrorFollower implements AsyncDisposable {
  readonly path: string;
  readonly key: string;
  readonly #transport: Transport;
  readonly #options: FollowOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #first = Promise.withResolvers<void>();
  readonly #states: StateSink;
  #sink: { readonly sink: Sink; readonly stop: AbortController; readonly ended: Promise<void> } | undefined;
  /** Of channels and queues, where the states' sink has none. */
  #streamed: Partial<MirrorState> = {};
  #streamedVersion: number | undefined;
  #fenced: FencedFile | undefined;
  #bucketLife = "";
  #newest: Head | undefined;
  #lagMs: number | undefined;
  #publisher: { readonly seenAt: number; readonly leaseMs: number; readonly isReleased: boolean } | undefined;
  #problem: string | undefined;
  #noted: { readonly at: number; readonly text: string } = { at: 0, text: "" };
  #told = "";

  /** @internal The transport is closed with the follower. */
  constructor(path: string, transport: Transport, options: FollowOptions) {
    this.path = absolutePath(".", path);
    this.key = options.key;
    this.#transport = transport;
    this.#options = options;
    const { trustOwner, shared, mode, maxBytes } = options;
    const sinkOptions = { path: this.path, key: this.key, trustOwner, shared, mode, maxBytes };
    this.#states = new StateSink(transport, sinkOptions, readState(this.path, options));
    makeDirectory(directoryOf(this.path));
    this.#first.promise.catch(() => undefined);
    this.#running = Promise.all([
      this.#follow(this.key, (entry) => this.#take(entry)),
      this.#follow(leaseKey(this.key), (entry) => this.#hear(entry)),
      this.#watchAge(),
      this.#watchLife(),
    ]).then(() => undefined);
  }

  /**
   * Waits until the local file has a state of the key.
   * @throws WaitTimeoutError
   * @example await follower.ready({ timeoutMs: 5000 });
   */
  async ready({ timeoutMs }: { readonly timeoutMs?: number | undefined } = {}): Promise<void> {
    if (timeoutMs === undefined) return this.#first.promise;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      const { problem } = this.info();
      const why = problem === undefined ? "" : `: ${problem}`;
      late.reject(
        new WaitTimeoutError(
          this.path,
          timeoutMs,
          `no state of '${escapeText(this.key)}' came within ${timeoutMs} ms${why}`,
        ),
      );
    }, timeoutMs);
    try {
      await Promise.race([this.#first.promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  info(): FollowerInfo {
    const { progress } = this.#states;
    const isStream = this.#sink !== undefined;
    const version = isStream ? this.#streamedVersion : progress?.version;
    const epoch = isStream ? this.#newest?.epoch : progress?.epoch;
    const isSameEpoch = this.#newest?.epoch === epoch && !isStream;
    const { missed, jobs } = this.#sink?.sink.figures ?? {};
    return {
      path: this.path,
      key: this.key,
      version,
      epoch,
      lagVersions: isSameEpoch ? Math.max(0, (this.#newest?.version ?? 0) - (version ?? 0)) : 0,
      lagMs: this.#lagMs,
      publisherSeenAt: this.#publisher?.seenAt,
      staleSince: this.#staleSince,
      disconnectedSince: this.#transport.disconnectedSince,
      problem: this.#transport.problem ?? this.#problem,
      fenced: this.#states.fenced ?? this.#fenced,
      missed,
      jobs,
    };
  }

  get #staleSince(): number | undefined {
    const { disconnectedSince } = this.#transport;
    if (disconnectedSince !== undefined || this.#publisher === undefined) return disconnectedSince;
    const { seenAt, leaseMs, isReleased } = this.#publisher;
    return isReleased || Date.now() - seenAt > 2 * leaseMs ? seenAt : undefined;
  }

  /** Watches a key again whenever the watch ends, as after a restart of the server. */
  async #follow(key: string, take: (entry: Entry) => void | Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        this.#bucketLife = await this.#transport.life();
        // A watch that was being set up when the connection was closed never ends.
        await settled(signal, this.#watch(key, take));
      } catch {
        // The connection is gone, or not there yet.
      }
      await sleepOr(signal, RETRY_MS);
    }
  }

  async #watch(key: string, take: (entry: Entry) => void | Promise<void>): Promise<void> {
    for await (const entry of this.#transport.watch(key)) {
      if (this.#stop.signal.aborted) return;
      await take(entry);
    }
  }

  #hear({ value }: Entry): void {
    const held = parseLease(value);
    if (held === undefined) return;
    const { leaseMs, isReleased } = held;
    this.#publisher = { seenAt: Date.now(), leaseMs, isReleased };
    this.#tell();
  }

  async #take({ value }: Entry): Promise<void> {
    try {
      const frame = decodeFrame(value);
      this.#newest = frame.head;
      const { kind } = frame.head;
      if (kind === "channel" || kind === "queue") await this.#stream(frame);
      else await this.#takeState(frame);
      this.#problem = undefined;
      if (this.#stop.signal.aborted || this.info().version === undefined) return;
      this.#first.resolve();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #takeState(frame: Frame): Promise<void> {
    await this.#endSink();
    const before = this.#states.progress;
    const isStored = await this.#states.take(frame, this.#bucketLife, this.#stop.signal);
    if (!isStored) return;
    this.#lagMs = Date.now() - frame.head.sentAt;
    const { progress } = this.#states;
    const isOther = before?.epoch !== progress?.epoch || before?.lift !== progress?.lift;
    this.#note(isOther);
  }

  /** Messages and jobs come by a log. What the key says is who sends them, and what they are. */
  async #stream(frame: Frame): Promise<void> {
    if (this.#sink?.sink.isFor(frame)) return;
    await this.#endSink();
    const state = readState(this.path, this.#options);
    const parts = this.#partsFor(frame, state);
    if (frame.head.kind === "channel") this.#fenced ??= backUpOwn(this.path, state, this.#options);
    const sink = frame.head.kind === "channel" ? new ChannelSink(parts) : new QueueSink(parts);
    const stop = new AbortController();
    const ended = this.#run(sink, frame, stop.signal);
    this.#sink = { sink, stop, ended };
    this.#streamedVersion ??= 0;
  }

  async #run(sink: Sink, frame: Frame, signal: AbortSignal): Promise<void> {
    try {
      await sink.run(signal);
    } catch (error) {
      this.#fail(error);
      if (signal.aborted) return;
      sink.close();
      await sleepOr(signal, RETRY_MS);
      if (signal.aborted || this.#stop.signal.aborted) return;
      this.#sink = undefined;
      await this.#stream(frame).catch((again) => this.#fail(again));
    }
  }

  #partsFor(frame: Frame, state: MirrorState | undefined): SinkParts {
    const { trustOwner, shared, mode = 0o600, maxBytes } = this.#options;
    const { ackWaitMs = DEFAULT_ACK_WAIT_MS, prefetch = DEFAULT_PREFETCH } = this.#options;
    return {
      path: this.path,
      key: this.key,
      mode,
      trust: { trustOwner, shared },
      transport: this.#transport,
      frame,
      state,
      ackWaitMs,
      prefetch,
      maxBytes,
      stored: (version, sentAt) => {
        this.#streamedVersion = version;
        if (sentAt !== undefined) this.#lagMs = Date.now() - sentAt;
        this.#problem = undefined;
      },
      failed: (error) => this.#fail(error),
      note: (noted) => {
        this.#streamed = noted;
        this.#note(true);
      },
    };
  }

  async #endSink(): Promise<void> {
    const running = this.#sink;
    if (running === undefined) return;
    this.#sink = undefined;
    running.stop.abort();
    running.sink.close();
    await running.ended;
  }

  #fail(error: unknown): void {
    if (this.#stop.signal.aborted || this.#transport.disconnectedSince !== undefined) return;
    this.#problem = error instanceof Error ? error.message : String(error);
    this.#tell();
  }

  /** Begins again in a bucket that has taken the place of this one. */
  async #watchLife(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sleepOr(signal, LIFE_EVERY_MS);
      if (!signal.aborted) await this.#transport.life().catch(() => undefined);
    }
  }

  async #watchAge(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sleepOr(signal, LOOK_EVERY_MS);
      this.#tell();
    }
  }

  /** Tells what has changed: beside the file, and to the hook. */
  #tell(): void {
    this.#note(false);
    const { onChange } = this.#options;
    const text = `${this.#staleSince} ${this.#transport.problem ?? this.#problem}`;
    if (text === this.#told) return;
    this.#told = text;
    onChange?.(this.info());
  }

  /** Notes how far the file has come, and since when it may be old, for the next follower and for those who open the file. */
  #note(isUrgent: boolean): void {
    const at = Date.now();
    if (!isUrgent && at - this.#noted.at < NOTE_EVERY_MS) return;
    const { progress } = this.#states;
    const isStream = this.#sink !== undefined || this.#streamed.life !== undefined;
    if (progress === undefined && !isStream) return;
    const { lagVersions, lagMs, staleSince } = this.info();
    const state = {
      role: "follow" as const,
      epoch: this.#newest?.epoch ?? 0,
      version: this.#streamedVersion ?? 0,
      lift: 0,
      bucketLife: this.#bucketLife,
      ...(isStream ? this.#streamed : progress),
      lagVersions,
      lagMs,
      staleSince,
    };
    const text = JSON.stringify(state);
    if (text === this.#noted.text) return;
    this.#noted = { at, text };
    writeState(this.path, { ...state, pid: process.pid, at }, this.#options);
  }

  /** Ends following; the local file stays as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    try {
      await this.#endSink();
      this.#note(true);
    } finally {
      await this.#transport.close();
      await this.#running;
      this.#states.close();
    }
  }
}
