/** A local record or document that is kept like another machine's, state by state. */
import { MirrorError } from "../errors/errors.ts";
import { escapeText } from "../errors/show.ts";
import { layoutInFile } from "../record/layout-in-file.ts";
import type { Content } from "../segment/content.ts";
import { installImage, type SegmentImage } from "../segment/create.ts";
import { type ListedSegment, segmentAt } from "../segment/list.ts";
import type { MirrorState } from "../segment/mirror-state.ts";
import { Segment } from "../segment/segment.ts";
import { SegmentFile } from "../segment/segment-file.ts";
import type { Layout } from "../struct/layout/layout.ts";
import type { Trust } from "../sys/trust.ts";
import { type Localise, localForm, type Mirrored, mirrored } from "./contents.ts";
import { dataOf } from "./fenced-log.ts";
import { DEFAULT_MAX_BYTES, type Frame, type Head, imageOf, tooLarge, withBlocks } from "./frame.ts";
import { backUpOwn, type FencedFile } from "./place.ts";
import { LOCK_TIMEOUT_MS } from "./sink.ts";
import type { Transport } from "./transport.ts";

export interface StateSinkOptions extends Trust {
  readonly path: string;
  readonly key: string;
  readonly mode?: number | undefined;
  readonly maxBytes?: number | undefined;
}

/** How far the local file has come. */
export interface Progress {
  readonly bucketLife: string;
  readonly epoch: number;
  /** By the origin's count. */
  readonly version: number;
  /** Generations by which the local versions are higher. */
  readonly lift: number;
}

type LocalFile = Pick<ListedSegment, "kind" | "version">;

const TWO_TO_THE_32 = 2 ** 32;
/** Chunks that are asked for at once. */
const CHUNKS_AT_ONCE = 4;

export class StateSink {
  readonly #options: StateSinkOptions;
  readonly #transport: Transport;
  #progress: Progress | undefined;
  #own: MirrorState | undefined;
  #open: { readonly mirrored: Mirrored; readonly segment: Segment<Content> } | undefined;
  /** The last large content that came as chunks. */
  #base: { readonly name: string; readonly content: Uint8Array } | undefined;
  #form: { readonly abi: number; readonly schema: Uint8Array; readonly localise: Localise } | undefined;
  /** What the file had of its own before. */
  fenced: FencedFile | undefined;

  /** @param state what the mirror before has noted of the file */
  constructor(transport: Transport, options: StateSinkOptions, state: MirrorState | undefined) {
    this.#transport = transport;
    this.#options = options;
    if (state?.role === "follow") this.#progress = state;
    this.#own = state;
  }

  get progress(): Progress | undefined {
    return this.#progress;
  }

  /**
   * Stores a state, if it is a newer one than the file has.
   * @returns whether it did
   * @throws MirrorError, FileFormatError for what cannot be stored here; LockTimeoutError, SystemError
   */
  async take(frame: Frame, bucketLife: string, signal: AbortSignal): Promise<boolean> {
    const { head } = frame;
    const local = this.#local();
    if (!this.#isNews(head, bucketLife, local)) return false;
    const content = head.chunks === undefined ? frame.content : await this.#whole(frame, head.chunks);
    // Chunks that are gone were replaced by newer ones, which come next.
    if (content === undefined || signal.aborted) return false;
    const { maxBytes = DEFAULT_MAX_BYTES } = this.#options;
    this.#store(head, imageOf(head, frame.schema, content, maxBytes), bucketLife);
    return true;
  }

  /** What the local file is: by the open one where that is current, which takes no system call. */
  #local(): LocalFile | undefined {
    const { path } = this.#options;
    try {
      const version = this.#open?.segment.current()?.version;
      const kind = this.#open?.mirrored.type.kind;
      return version === undefined ? segmentAt(path) : { kind, version };
    } catch {
      return segmentAt(path);
    }
  }

  #isNews({ epoch, version }: Head, bucketLife: string, local: LocalFile | undefined): boolean {
    const progress = this.#progress;
    if (progress === undefined || local?.kind === undefined || progress.bucketLife !== bucketLife)
      return true;
    if (epoch !== progress.epoch) return epoch > progress.epoch;
    return version > progress.version;
  }

  async #whole(
    { head, content }: Frame,
    chunks: readonly number[],
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const base = await this.#baseOf(head, chunks);
    if (base === undefined) return undefined;
    const whole = withBlocks(base, head.blocks ?? [], content);
    if (Bun.hash.crc32(whole) !== head.crc)
      throw new MirrorError(`the chunks of '${escapeText(this.#options.key)}' are not what its value says`);
    return whole;
  }

  async #baseOf({ contentBytes, epoch }: Head, chunks: readonly number[]): Promise<Uint8Array | undefined> {
    const name = `${epoch} ${contentBytes} ${chunks.join(" ")}`;
    if (this.#base?.name === name) return this.#base.content;
    const { maxBytes = DEFAULT_MAX_BYTES, key } = this.#options;
    if (contentBytes > maxBytes) throw tooLarge(contentBytes, maxBytes);
    const log = this.#transport.log(key, "chunks");
    const content = new Uint8Array(contentBytes);
    let end = 0;
    for (let i = 0; i < chunks.length; i += CHUNKS_AT_ONCE) {
      const entries = await Promise.all(chunks.slice(i, i + CHUNKS_AT_ONCE).map((chunk) => log.at(chunk)));
      for (const entry of entries) {
        const data = entry && dataOf(entry);
        if (data === undefined) return undefined;
        if (end + data.length > contentBytes)
          throw new MirrorError(`the chunks of '${escapeText(key)}' have more than ${contentBytes} bytes`);
        content.set(data, end);
        end += data.length;
      }
    }
    if (end !== contentBytes)
      throw new MirrorError(`a content of ${contentBytes} bytes came as ${end} bytes`);
    this.#base = { name, content };
    return content;
  }

  /** In place, as a transaction, where the file has that layout; else as a file that replaces it. */
  #store(head: Head, sent: SegmentImage, bucketLife: string): void {
    const { path } = this.#options;
    const image = this.#localise(sent, head.abi);
    const open = this.#open?.mirrored;
    const target = open?.type.kind === image.plan.content ? open : mirrored(image.plan.content, path);
    const fenced = this.#progress === undefined ? backUpOwn(path, this.#own, this.#options) : undefined;
    this.fenced ??= fenced;
    // The local one as it is now: other programs may have committed to it.
    const local = this.#local();
    const lift = this.#liftFor(head, bucketLife, local);
    const version = head.version + lift * TWO_TO_THE_32;
    const raised = { ...image, copy: { ...image.copy, version } };
    const isThere = this.#isSame(head, bucketLife) && local?.version === version;
    if (!isThere && (fenced !== undefined || !this.#storeInPlace(target, raised, local)))
      this.#replace(target, raised);
    this.#progress = { bucketLife, epoch: head.epoch, version: head.version, lift };
  }

  #isSame({ epoch }: Head, bucketLife: string): boolean {
    return this.#progress?.epoch === epoch && this.#progress.bucketLife === bucketLife;
  }

  /** Another origin may count from less, but versions of the local file never go back. */
  #liftFor(head: Head, bucketLife: string, local: LocalFile | undefined): number {
    const lift = this.#progress?.lift ?? 0;
    if (local?.kind === undefined) return lift;
    const version = head.version + lift * TWO_TO_THE_32;
    // One that was stored, and not noted.
    const isStored = this.#isSame(head, bucketLife) && version === local.version;
    if (version > local.version || isStored) return lift;
    const generations = Math.floor(local.version / TWO_TO_THE_32) + 1;
    return generations - Math.floor(head.version / TWO_TO_THE_32);
  }

  #localise(image: SegmentImage, abi: number): SegmentImage {
    const { path } = this.#options;
    const form = this.#form;
    const isKnown = form?.abi === abi && Buffer.compare(form.schema, image.schema) === 0;
    if (!isKnown || image.plan.content === "document") {
      const localise = localForm(image, abi, path, layoutAt(path));
      this.#form = { abi, schema: image.schema, localise };
    }
    return this.#form?.localise(image) ?? image;
  }

  #storeInPlace(target: Mirrored, image: SegmentImage, local: LocalFile | undefined): boolean {
    if (local?.kind !== image.plan.content) return false;
    const segment = this.#segment(target);
    segment.acquire("exclusive", { timeoutMs: LOCK_TIMEOUT_MS });
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
    installImage(place, image, type, {
      mode,
      timeoutMs: LOCK_TIMEOUT_MS,
      trust: { trustOwner, shared },
    });
  }

  close(): void {
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

/** The layout of the record that is there, if any: another machine's is converted into that. */
function layoutAt(path: string): Layout | undefined {
  if (segmentAt(path)?.kind !== "record") return undefined;
  const { place, type } = mirrored("record", path);
  using file = SegmentFile.open(place.dataPath, {
    access: "read",
    words: type.words,
    leastBytes: type.leastBytes,
  });
  return file.footer === undefined ? undefined : layoutInFile(file);
}
