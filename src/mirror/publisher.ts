/** The machine that a segment is written on. */
import { FencedError, FileFormatError, ShmError } from "../errors/errors.ts";
import type { Content } from "../segment/content.ts";
import { segmentAt } from "../segment/list.ts";
import type { MirrorState } from "../segment/mirror-state.ts";
import { Segment } from "../segment/segment.ts";
import { absolutePath } from "../sys/paths.ts";
import type { Trust } from "../sys/trust.ts";
import { ChannelSource, openChannel } from "./channel-source.ts";
import { mirrored } from "./contents.ts";
import { checkBytes } from "./frame.ts";
import { Lease, LeaseTaken } from "./lease.ts";
import type { NatsOptions } from "./nats.ts";
import { openQueue, QueueSource } from "./queue-source.ts";
import { epochOf, Session, type Source } from "./session.ts";
import { writeState } from "./state.ts";
import { StateSource } from "./state-source.ts";
import { isFinal, type Transport } from "./transport.ts";
import { settled, sleepOr } from "./wait.ts";

/** How a file is published. */
export interface PublishOptions extends Trust {
  /** The key in the bucket. Letters, digits, `-`, `_`, `.`, `/` and `=`. */
  readonly key: string;
  /**
   * Puts a second at most. Of a state the newest wins; messages of a channel go together; of a queue it is jobs a second.
   * Default: as many as the server takes.
   */
  readonly maxHz?: number | undefined;
  /**
   * Milliseconds for which the next commit or message is looked for before the mirror sleeps: it is sent sooner, and costs
   * processor time. Not of queues. Default 0.
   */
  readonly spinMs?: number | undefined;
  /** Milliseconds after which a publisher that is silent may be replaced. Default 5000. */
  readonly leaseMs?: number | undefined;
  /** Milliseconds to wait for a publisher that is still there. Default: twice the lease. */
  readonly waitMs?: number | undefined;
  /**
   * Milliseconds to wait for the lock of the file, where a copy needs it: a record that was made with `transactional: false`
   * or with an fcntl lock. Then publishing ends with a LockTimeoutError. The lease is kept meanwhile. Default: no limit.
   */
  readonly timeoutMs?: number | undefined;
  /** A larger content is refused. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
}

/** What is known of a publisher. */
export interface PublisherInfo {
  readonly path: string;
  readonly key: string;
  readonly epoch: number;
  /** Of the file, and the last one that the bucket has confirmed; of channels and queues: messages and jobs. */
  readonly version: number;
  readonly confirmedVersion: number | undefined;
  /** Since when there is no connection, in ms since 1970. */
  readonly disconnectedSince: number | undefined;
}

const DEFAULT_LEASE_MS = 5000;
/** Between two tries to begin while the server is away. */
const RETRY_MS = 200;
/** How long what is on its way may take when the publisher ends. */
const CLOSING_MS = 1000;
/** What is noted beside the file is noted this often at most. */
const NOTE_EVERY_MS = 1000;

/** Publishes a file until it is disposed of. @example await using publisher = await Mirror.publish(path, { … }); */
export class MirrorPublisher implements AsyncDisposable {
  readonly path: string;
  readonly key: string;
  /** Rejects when publishing has ended by itself: FencedError, MirrorError, LockTimeoutError, FileFormatError. */
  readonly ended: Promise<void>;
  readonly #source: Source;
  readonly #transport: Transport;
  readonly #leaseMs: number;
  readonly #lease: Lease;
  readonly #bucketLife: string;
  readonly #trust: Trust;
  readonly #stop = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  #confirmed: number | undefined;
  #notedAt = 0;

  /** @internal */
  private constructor(path: string, makeSource: (session: Session) => Source, parts: PublisherParts) {
    const { transport, key, lease, leaseMs, bucketLife, trust } = parts;
    this.path = path;
    this.key = key;
    this.#transport = transport;
    this.#lease = lease;
    this.#leaseMs = leaseMs;
    this.#bucketLife = bucketLife;
    this.#trust = trust;
    const session = new Session(parts, this.#stop.signal, (version) => this.#confirm(version));
    this.#source = makeSource(session);
    this.ended = Promise.race([this.#run(), this.#keepLease()]).finally(() => this.#stop.abort());
    // Who does not ask is told by info(), and must not die of it.
    this.ended.catch((error) => this.#first.reject(error));
    this.#first.promise.catch(() => undefined);
  }

  /**
   * @internal Opens the file, takes the lease, and waits until what the file has is in the bucket: from then on nothing of
   * the publisher before arrives there. The transport is closed with the publisher, or when this throws.
   */
  static async start(path: string, transport: Transport, options: StartOptions): Promise<MirrorPublisher> {
    const absolute = absolutePath(".", path);
    const { signal = new AbortController().signal } = options;
    let source: Opened | undefined;
    try {
      source = openSource(absolute, options);
      const parts = await whileAway(() => takeKey(transport, options), { ...options, signal });
      const publisher = new MirrorPublisher(absolute, source.make, parts);
      source = undefined;
      return await publisher.#begun(signal);
    } catch (error) {
      source?.close();
      await transport.close();
      throw error;
    }
  }

  async #begun(signal: AbortSignal): Promise<this> {
    try {
      await settled(signal, this.#first.promise);
      signal.throwIfAborted();
      return this;
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  info(): PublisherInfo {
    return {
      path: this.path,
      key: this.key,
      epoch: this.#lease.epoch,
      version: this.#source.version,
      confirmedVersion: this.#confirmed,
      disconnectedSince: this.#transport.disconnectedSince,
    };
  }

  async #run(): Promise<void> {
    try {
      await this.#source.run();
    } catch (error) {
      if (error instanceof LeaseTaken) throw this.#fenced();
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  #confirm(version: number): void {
    this.#confirmed = version;
    this.#first.resolve();
    if (Date.now() - this.#notedAt >= NOTE_EVERY_MS) this.#note();
  }

  /** For the next one that mirrors this file, and for those who ask. */
  #note(): void {
    this.#notedAt = Date.now();
    const version = this.#confirmed ?? 0;
    const staleSince = this.#transport.disconnectedSince;
    const state: MirrorState = {
      role: "publish",
      epoch: this.#lease.epoch,
      version,
      lift: 0,
      bucketLife: this.#bucketLife,
      pid: process.pid,
      at: Date.now(),
      lagVersions: Math.max(0, this.#source.version - version),
      ...(staleSince !== undefined && { staleSince }),
    };
    writeState(this.path, state, this.#trust);
  }

  async #keepLease(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sleepOr(signal, this.#leaseMs / 3);
      if (signal.aborted) return;
      if (this.#confirmed !== undefined) this.#note();
      try {
        await this.#lease.renew();
      } catch (error) {
        if (error instanceof LeaseTaken) throw this.#fenced();
        // Cut off: if it lasts, another one takes over, and the next renewal says so.
      }
    }
  }

  #fenced(): FencedError {
    const confirmed = this.#confirmed;
    const { version } = this.#source;
    if (confirmed !== undefined) this.#note();
    const reached = confirmed === undefined ? "nothing" : `version ${confirmed}`;
    const left = version - (confirmed ?? 0);
    return new FencedError(
      this.path,
      confirmed,
      `'${this.path}' is not published any more: another process has the key '${this.key}' now. ${reached} of it reached the bucket; ${left === 0 ? "nothing" : `what was committed since, up to version ${version} (${left} commits),`} is only in the file, which is backed up as '${this.path}.fenced-${this.#lease.epoch}' when it follows the key`,
    );
  }

  /** Ends publishing and gives the key back, so that another machine need not wait for the lease. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    // A put whose server is away is not waited for.
    await Promise.race([this.ended.catch(() => undefined), Bun.sleep(CLOSING_MS)]);
    if (this.#transport.disconnectedSince === undefined) await this.#lease.renew(true).catch(() => undefined);
    try {
      if (this.#confirmed !== undefined) this.#note();
    } finally {
      this.#source.close();
      await this.#transport.close();
    }
  }
}

/** How a publisher begins. */
export interface StartOptions extends PublishOptions, Pick<NatsOptions, "serverWaitMs" | "onWait"> {
  /** Ends the wait for a server, and for what the file has to arrive there; afterwards it has no effect. */
  readonly signal?: AbortSignal | undefined;
}

/** The lease of the key, and what the bucket has of it. */
async function takeKey(transport: Transport, options: PublishOptions): Promise<PublisherParts> {
  const { key, leaseMs = DEFAULT_LEASE_MS, waitMs = 2 * leaseMs, trustOwner, shared } = options;
  const bucketLife = await transport.life();
  const entry = await transport.get(key);
  const leastEpoch = entry === undefined ? 0 : epochOf(entry.value);
  const lease = await Lease.take(transport, leaseKey(key), leastEpoch, { leaseMs, waitMs });
  const revision = (await transport.get(key))?.revision ?? 0;
  return { transport, key, lease, revision, leaseMs, bucketLife, trust: { trustOwner, shared } };
}

/**
 * Again, when the server went away meanwhile.
 * @throws ShmError of `attempt`; what it throws last when `serverWaitMs` are over; the signal's reason
 */
async function whileAway<T>(
  attempt: () => Promise<T>,
  { serverWaitMs, onWait, signal }: StartOptions & { readonly signal: AbortSignal },
): Promise<T> {
  const [since, begun] = [Date.now(), performance.now()];
  let told: string | undefined;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const isOver = performance.now() - begun >= (serverWaitMs ?? Number.POSITIVE_INFINITY);
      if (error instanceof ShmError || isFinal(error) || isOver) throw error;
      const problem = `the server does not answer: ${String(error)}`;
      if (problem !== told) onWait?.({ since, problem });
      told = problem;
    }
    await sleepOr(signal, RETRY_MS);
    signal.throwIfAborted();
  }
}

interface PublisherParts {
  readonly transport: Transport;
  readonly key: string;
  readonly lease: Lease;
  readonly revision: number;
  readonly leaseMs: number;
  readonly bucketLife: string;
  readonly trust: Trust;
}

/** The key of the lease beside a key. */
export const leaseKey = (key: string): string => `${key}.lease`;

/** An open file, and how it is sent. */
interface Opened {
  make(session: Session): Source;
  close(): void;
}

/** Runs a check of what was opened, and closes that when it throws. */
function closing(opened: { close(): void }, check: () => void): void {
  try {
    check();
  } catch (error) {
    opened.close();
    throw error;
  }
}

/** @throws FileFormatError for what cannot be published; MirrorError */
function openSource(path: string, options: PublishOptions): Opened {
  const { trustOwner, shared, maxBytes } = options;
  const trust = { trustOwner, shared };
  const kind = segmentAt(path)?.kind;
  if (kind === undefined)
    throw new FileFormatError(path, `'${path}' is no file that can be published: it is missing or damaged`);
  if (kind === "channel") {
    const channel = openChannel(path, trust);
    closing(channel, () => checkBytes(channel.content.file.footer?.contentBytes ?? 0, maxBytes));
    return { make: (session) => new ChannelSource(channel, session, options), close: () => channel.close() };
  }
  if (kind === "queue") {
    const open = openQueue(path, trust);
    const close = (): void => [open.queue, open.segment].forEach((each) => void each.close());
    closing({ close }, () => checkBytes(open.segment.content.file.footer?.contentBytes ?? 0, maxBytes));
    return { make: (session) => new QueueSource(open, session, options), close };
  }
  const { place, type } = mirrored(kind, path);
  const segment = new Segment<Content>(place, type, { access: "read", makesLock: false, trust });
  return { make: (session) => new StateSource(segment, session, options), close: () => segment.close() };
}
