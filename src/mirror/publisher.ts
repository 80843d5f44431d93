/** The machine that a segment is written on. */
import { FencedError, FileFormatError, MirrorError } from "../errors/errors.ts";
import { copyOf } from "../segment/backup.ts";
import type { Content } from "../segment/content.ts";
import type { SegmentImage } from "../segment/create.ts";
import { segmentAt } from "../segment/list.ts";
import { Segment } from "../segment/segment.ts";
import { absolutePath } from "../sys/paths.ts";
import type { Trust } from "../sys/trust.ts";
import { mirrored } from "./contents.ts";
import { DEFAULT_MAX_BYTES, decodeFrame, encodeFrame, headOf, tooLarge } from "./frame.ts";
import { Lease, LeaseTaken } from "./lease.ts";
import { ConflictError, type Transport } from "./transport.ts";
import { sleepOr } from "./wait.ts";

/** How a file is published. */
export interface PublishOptions extends Trust {
  /** The key in the bucket. Letters, digits, `-`, `_`, `.`, `/` and `=`. */
  readonly key: string;
  /** States a second at most; the newest wins. Default: as many as the server takes. */
  readonly maxHz?: number | undefined;
  /** Milliseconds after which a publisher that is silent may be replaced. Default 5000. */
  readonly leaseMs?: number | undefined;
  /** Milliseconds to wait for a publisher that is still there. Default: twice the lease. */
  readonly waitMs?: number | undefined;
  /** A larger content is refused. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
}

/** What is known of a publisher. */
export interface PublisherInfo {
  readonly path: string;
  readonly key: string;
  readonly epoch: number;
  /** Of the file, and the last one that the bucket has confirmed. */
  readonly version: number;
  readonly confirmedVersion: number | undefined;
  /** Since when there is no connection, in ms since 1970. */
  readonly disconnectedSince: number | undefined;
}

const DEFAULT_LEASE_MS = 5000;
/** Between two tries while the server is away. */
const RETRY_MS = 200;
/** How long what is on its way may take when the publisher ends. */
const CLOSING_MS = 1000;
/** Room for the head beside the content. */
const CHUNK_MARGIN = 4096;

/** Publishes a file until it is disposed of. @example await using publisher = await Mirror.publish(path, { … }); */
export class MirrorPublisher implements AsyncDisposable {
  readonly path: string;
  readonly key: string;
  /** Rejects when publishing has ended by itself: FencedError, MirrorError, FileFormatError. */
  readonly ended: Promise<void>;
  readonly #segment: Segment<Content>;
  readonly #transport: Transport;
  readonly #options: PublishOptions;
  readonly #stop = new AbortController();
  #lease: Lease;
  /** Of the value in the bucket. */
  #revision = 0;
  #confirmed: number | undefined;
  #sent = 0;
  /** Keys of chunks, by frame: those of the frame before may still be on their way to a follower. */
  #chunks: string[][] = [];

  /** @internal */
  private constructor(
    segment: Segment<Content>,
    transport: Transport,
    { lease, revision }: { lease: Lease; revision: number },
    options: PublishOptions,
  ) {
    this.#segment = segment;
    this.#transport = transport;
    this.#lease = lease;
    this.#revision = revision;
    this.#options = options;
    this.path = segment.path;
    this.key = options.key;
    this.ended = Promise.race([this.#run(), this.#keepLease()]).finally(() => this.#stop.abort());
    // Who does not ask is told by info(), and must not die of it.
    this.ended.catch(() => undefined);
  }

  /** @internal Opens the file and takes the lease. The transport is closed with the publisher, or when this throws. */
  static async start(path: string, transport: Transport, options: PublishOptions): Promise<MirrorPublisher> {
    const { key, leaseMs = DEFAULT_LEASE_MS, waitMs = 2 * leaseMs, trustOwner, shared } = options;
    const segment = openSegment(path, { trustOwner, shared });
    try {
      const entry = await transport.get(key);
      const leastEpoch = entry === undefined ? 0 : decodeFrame(entry.value).head.epoch;
      const lease = await Lease.take(transport, leaseKey(key), leastEpoch, { leaseMs, waitMs });
      const revision = (await transport.get(key))?.revision ?? 0;
      return new MirrorPublisher(segment, transport, { lease, revision }, options);
    } catch (error) {
      segment.close();
      await transport.close();
      throw error;
    }
  }

  info(): PublisherInfo {
    return {
      path: this.path,
      key: this.key,
      epoch: this.#lease.epoch,
      version: (this.#segment.current() ?? this.#segment.content).version,
      confirmedVersion: this.#confirmed,
      disconnectedSince: this.#transport.disconnectedSince,
    };
  }

  /** Every state that is there when the one before has been confirmed. */
  async #run(): Promise<void> {
    const { maxHz } = this.#options;
    const changes = this.#segment.changes({ signal: this.#stop.signal });
    const pauseMs = maxHz === undefined ? 0 : 1000 / maxHz;
    try {
      for (;;) {
        await this.#send();
        if (pauseMs > 0) await Bun.sleep(pauseMs);
        if ((await changes.next()).done) return;
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  /** Sends the newest state; tries again while the server is away. */
  async #send(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const image = this.#image();
      try {
        this.#revision = await this.#put(image);
        this.#confirmed = image.copy.version;
        return;
      } catch (error) {
        if (error instanceof MirrorError || error instanceof FencedError) throw error;
        if (error instanceof ConflictError) await this.#resolveConflict();
        else await Bun.sleep(RETRY_MS);
      }
    }
  }

  #image(): SegmentImage {
    const copy = copyOf(this.#segment);
    const { footer, schemaBytes } = (this.#segment.whole() ?? this.#segment.content).file;
    if (footer === undefined)
      throw new MirrorError(
        `'${this.path}' does not describe itself: files of other libraries are not mirrored`,
      );
    const { content, lockKind, transactional, contentBytes, fingerprint } = footer;
    const { maxBytes = DEFAULT_MAX_BYTES } = this.#options;
    if (contentBytes > maxBytes) throw tooLarge(contentBytes, maxBytes);
    return {
      plan: { content, lockKind, transactional, contentBytes, fingerprint },
      schema: schemaBytes,
      copy,
    };
  }

  async #put(image: SegmentImage): Promise<number> {
    const head = headOf(image, { epoch: this.#lease.epoch, sentAt: Date.now() });
    const { bytes } = image.copy;
    const whole = encodeFrame(head, bytes);
    if (whole.length <= this.#transport.maxValueBytes)
      return this.#transport.put(this.key, whole, this.#revision);
    const chunks = await this.#putChunks(bytes);
    const frame = encodeFrame({ ...head, chunks }, new Uint8Array());
    const revision = await this.#transport.put(this.key, frame, this.#revision);
    await this.#forgetChunks(chunks);
    return revision;
  }

  async #putChunks(bytes: Uint8Array): Promise<string[]> {
    const chunkBytes = this.#transport.maxValueBytes - CHUNK_MARGIN;
    const number = this.#sent++;
    const keys: string[] = [];
    for (let start = 0; start < bytes.length; start += chunkBytes) {
      const key = `${this.key}.chunk.${this.#lease.epoch}-${number}-${keys.length}`;
      await this.#transport.put(key, bytes.subarray(start, start + chunkBytes), 0);
      keys.push(key);
    }
    return keys;
  }

  /** The chunks before the last ones: a follower may just be fetching those. */
  async #forgetChunks(chunks: string[]): Promise<void> {
    this.#chunks.push(chunks);
    if (this.#chunks.length <= 2) return;
    for (const key of this.#chunks.shift() ?? []) await this.#transport.purge(key);
  }

  /** The value has another revision: a put of ours whose answer got lost, one of the publisher before us, or we are fenced. */
  async #resolveConflict(): Promise<void> {
    const entry = await this.#transport.get(this.key);
    const epoch = entry === undefined ? 0 : decodeFrame(entry.value).head.epoch;
    if (epoch > this.#lease.epoch) throw this.#fenced(epoch);
    this.#revision = entry?.revision ?? 0;
  }

  async #keepLease(): Promise<void> {
    const { leaseMs = DEFAULT_LEASE_MS } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sleepOr(signal, leaseMs / 3);
      if (signal.aborted) return;
      try {
        await this.#lease.renew();
      } catch (error) {
        if (error instanceof LeaseTaken) throw this.#fenced(undefined);
        // Cut off: if it lasts, another one takes over, and the next renewal says so.
      }
    }
  }

  #fenced(epoch: number | undefined): FencedError {
    const by = epoch === undefined ? "another process" : `the publisher of epoch ${epoch}`;
    const confirmed = this.#confirmed === undefined ? "nothing" : `version ${this.#confirmed}`;
    return new FencedError(
      this.path,
      this.#confirmed,
      `'${this.path}' is not published any more: ${by} has the key '${this.key}' now. ${confirmed} of it reached the bucket; what was committed since is only in the file. Back it up, then follow the key`,
    );
  }

  /** Ends publishing and gives the key back, so that another machine need not wait for the lease. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    // A put whose server is away is not waited for.
    await Promise.race([this.ended.catch(() => undefined), Bun.sleep(CLOSING_MS)]);
    if (this.#transport.disconnectedSince === undefined) await this.#lease.renew(true).catch(() => undefined);
    this.#segment.close();
    await this.#transport.close();
  }
}

/** The key of the lease beside a key. */
export const leaseKey = (key: string): string => `${key}.lease`;

function openSegment(path: string, trust: Trust): Segment<Content> {
  const absolute = absolutePath(".", path);
  const kind = segmentAt(absolute)?.kind;
  if (kind === undefined)
    throw new FileFormatError(
      absolute,
      `'${absolute}' is no file that can be published: it is missing or damaged`,
    );
  const { place, type } = mirrored(kind, absolute);
  return new Segment(place, type, { access: "read", makesLock: false, trust });
}
