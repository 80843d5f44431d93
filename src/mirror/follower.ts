/** A machine that has a copy of another one's segment. */
import { readFileSync } from "node:fs";
import { MirrorError, WaitTimeoutError } from "../errors/errors.ts";
import { escapeText } from "../errors/show.ts";
import type { Content } from "../segment/content.ts";
import { installImage, type SegmentImage } from "../segment/create.ts";
import type { ContentKind } from "../segment/footer.ts";
import { type ListedSegment, segmentAt } from "../segment/list.ts";
import { mirrorPath } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import { absolutePath, directoryOf, makeDirectory } from "../sys/paths.ts";
import type { Trust } from "../sys/trust.ts";
import { type Mirrored, mirrored } from "./contents.ts";
import { DEFAULT_MAX_BYTES, decodeFrame, type Head, imageOf, tooLarge } from "./frame.ts";
import { leaseKey } from "./publisher.ts";
import { writeState } from "./state.ts";
import type { Entry, Transport } from "./transport.ts";
import { aborted, sleepOr } from "./wait.ts";

/** How a key is followed. */
export interface FollowOptions extends Trust {
  /** The key in the bucket. */
  readonly key: string;
  /** Permissions of the local file. Default 0o600. */
  readonly mode?: number | undefined;
  /** A larger content is refused. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
}

/** What is known of a follower. */
export interface FollowerInfo {
  readonly path: string;
  readonly key: string;
  /** Of the state that the local file has; undefined before the first. */
  readonly version: number | undefined;
  readonly epoch: number | undefined;
  /** Versions between that state and the newest one that has come; more than 0 only while it is being stored. */
  readonly lagVersions: number;
  /** Milliseconds between the publisher's send and the store here, by both machines' clocks. */
  readonly lagMs: number | undefined;
  /** When the publisher was last heard of, in ms since 1970. */
  readonly publisherSeenAt: number | undefined;
  /** Since when there is no connection, in ms since 1970; undefined while there is one. */
  readonly disconnectedSince: number | undefined;
  /** Why the newest value was not stored. */
  readonly problem: string | undefined;
}

/** How far the local file has come. */
export interface Progress {
  readonly epoch: number;
  readonly version: number;
}

const RETRY_MS = 200;
const TWO_TO_THE_32 = 2 ** 32;

/** Follows a key until it is disposed of. @example await using follower = await Mirror.follow(path, { … }); */
export class MirrorFollower implements AsyncDisposable {
  readonly path: string;
  readonly key: string;
  readonly #transport: Transport;
  readonly #options: FollowOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #first = Promise.withResolvers<void>();
  #progress: Progress | undefined;
  #newest: Head | undefined;
  #lagMs: number | undefined;
  #publisherSeenAt: number | undefined;
  #problem: string | undefined;
  #open: { mirrored: Mirrored; segment: Segment<Content> } | undefined;

  /** @internal The transport is closed with the follower. */
  constructor(path: string, transport: Transport, options: FollowOptions) {
    this.path = absolutePath(".", path);
    this.key = options.key;
    this.#transport = transport;
    this.#options = options;
    this.#progress = readProgress(this.path);
    makeDirectory(directoryOf(this.path));
    this.#first.promise.catch(() => undefined);
    this.#running = Promise.all([
      this.#follow(this.key, (entry) => this.#take(entry)),
      this.#follow(leaseKey(this.key), () => {
        this.#publisherSeenAt = Date.now();
      }),
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
      const why = this.#problem === undefined ? "" : `: ${this.#problem}`;
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
    const [version, epoch] = [this.#progress?.version, this.#progress?.epoch];
    const isSameEpoch = this.#newest?.epoch === epoch;
    return {
      path: this.path,
      key: this.key,
      version,
      epoch,
      lagVersions: isSameEpoch ? Math.max(0, (this.#newest?.version ?? 0) - (version ?? 0)) : 0,
      lagMs: this.#lagMs,
      publisherSeenAt: this.#publisherSeenAt,
      disconnectedSince: this.#transport.disconnectedSince,
      problem: this.#problem,
    };
  }

  /** Watches a key again whenever the watch ends, as after a restart of the server. */
  async #follow(key: string, take: (entry: Entry) => void | Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    const stopped = aborted(signal);
    while (!signal.aborted) {
      try {
        // A watch that was being set up when the connection was closed never ends.
        await Promise.race([this.#watch(key, take), stopped]);
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

  async #take({ value }: Entry): Promise<void> {
    try {
      const { head, content } = decodeFrame(value);
      this.#newest = head;
      const local = segmentAt(this.path);
      if (this.#isNews(head, local)) {
        const bytes = head.chunks === undefined ? content : await this.#fetch(head);
        // Chunks that are gone were replaced by newer ones, which come next.
        if (bytes === undefined || this.#stop.signal.aborted) return;
        this.#store(head, imageOf(head, bytes, this.#options.maxBytes ?? DEFAULT_MAX_BYTES), local);
      }
      this.#problem = undefined;
      this.#first.resolve();
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
    }
  }

  #isNews({ epoch, version }: Head, local: ListedSegment | undefined): boolean {
    if (this.#progress === undefined || local?.kind === undefined) return true;
    if (epoch !== this.#progress.epoch) return epoch > this.#progress.epoch;
    return version > this.#progress.version;
  }

  async #fetch({ chunks = [], contentBytes }: Head): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { maxBytes = DEFAULT_MAX_BYTES } = this.#options;
    if (contentBytes > maxBytes) throw tooLarge(contentBytes, maxBytes);
    const content = new Uint8Array(contentBytes);
    let end = 0;
    for (const key of chunks) {
      const chunk = (await this.#transport.get(key))?.value;
      if (chunk === undefined) return undefined;
      if (end + chunk.length > contentBytes)
        throw new MirrorError(`the chunks of '${escapeText(this.key)}' have more than ${contentBytes} bytes`);
      content.set(chunk, end);
      end += chunk.length;
    }
    return content.subarray(0, end);
  }

  /** In place, as a transaction, where the file has that layout; else as a file that replaces it. */
  #store(head: Head, image: SegmentImage, local: ListedSegment | undefined): void {
    const target = mirrored(image.plan.content, this.path);
    target.check(image);
    const isLower = local !== undefined && image.copy.version <= local.version;
    if (isLower || !this.#storeInPlace(target, image, local?.kind))
      this.#replace(target, isLower ? raised(image, local.version) : image);
    this.#progress = { epoch: head.epoch, version: head.version };
    this.#lagMs = Date.now() - head.sentAt;
    writeState(mirrorPath(this.path), this.#progress);
  }

  #storeInPlace(target: Mirrored, image: SegmentImage, kind: ContentKind | undefined): boolean {
    if (kind !== image.plan.content) return false;
    const segment = this.#segment(target);
    segment.acquire("exclusive");
    try {
      const { content } = segment;
      if (content.applyCommitted === undefined || !hasLayoutOf(content, image)) return false;
      content.applyCommitted(image.copy);
    } finally {
      segment.releaseIfHeld();
    }
    segment.notify();
    return true;
  }

  #segment(target: Mirrored): Segment<Content> {
    const open = this.#open;
    if (open !== undefined && open.mirrored.type.kind === target.type.kind) return open.segment;
    open?.segment.close();
    const { trustOwner, shared, mode } = this.#options;
    const segment = new Segment(target.place, target.type, {
      access: "write",
      makesLock: true,
      mode,
      trust: { trustOwner, shared },
    });
    this.#open = { mirrored: target, segment };
    return segment;
  }

  #replace({ place, type }: Mirrored, image: SegmentImage): void {
    const { trustOwner, shared, mode = 0o600 } = this.#options;
    installImage(place, image, type, { mode, trust: { trustOwner, shared } });
  }

  /** Ends following; the local file stays as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#transport.close();
    await this.#running;
    this.#open?.segment.close();
  }
}

/** Whether a file has the layout that the image is of, to the last byte of its description. */
function hasLayoutOf({ file }: Content, { plan, schema }: SegmentImage): boolean {
  const { footer } = file;
  return (
    footer?.fingerprint === plan.fingerprint &&
    footer.contentBytes === plan.contentBytes &&
    Buffer.from(file.schemaBytes).equals(Buffer.from(schema))
  );
}

/** The same content as a file of a higher generation: another origin counts from where it likes, but versions never go back. */
function raised(image: SegmentImage, above: number): SegmentImage {
  const generation = Math.floor(above / TWO_TO_THE_32) + 1;
  const { bytes, version } = image.copy;
  return {
    ...image,
    copy: { bytes, version: generation * TWO_TO_THE_32 + (version % TWO_TO_THE_32) },
  };
}

/** What an earlier follower of the same file has noted. */
function readProgress(path: string): Progress | undefined {
  try {
    const { epoch, version } = JSON.parse(readFileSync(mirrorPath(path), "utf8")) as Partial<Progress>;
    return Number.isSafeInteger(epoch) && Number.isSafeInteger(version)
      ? { epoch: Number(epoch), version: Number(version) }
      : undefined;
  } catch {
    return undefined;
  }
}
