/** Records and documents: each state that is there when the one before has been confirmed. */
import { MirrorError } from "../errors/errors.ts";
import { copyOfAsync } from "../segment/backup.ts";
import type { Content } from "../segment/content.ts";
import type { SegmentImage } from "../segment/create.ts";
import type { Segment } from "../segment/segment.ts";
import { FencedLog } from "./fenced-log.ts";
import {
  blockOf,
  changedBlocks,
  DEFAULT_MAX_BYTES,
  encodeFrame,
  type Head,
  headOf,
  tooLarge,
} from "./frame.ts";
import type { Session, Source } from "./session.ts";
import type { Log } from "./transport.ts";
import { sleepOr } from "./wait.ts";

/** Room for the head beside blocks or a chunk. */
const MARGIN_BYTES = 4096;
/** Digits of a block's number in the head. */
const BLOCK_NUMBER_BYTES = 8;

export interface StateOptions {
  readonly maxHz?: number | undefined;
  readonly maxBytes?: number | undefined;
  readonly spinMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
}

/** A content that is in the log as a whole. */
interface Base {
  readonly content: Uint8Array;
  readonly chunks: readonly number[];
}

export class StateSource implements Source {
  readonly #segment: Segment<Content>;
  readonly #session: Session;
  readonly #options: StateOptions;
  #log: { readonly entries: Log; readonly fenced: FencedLog } | undefined;
  #base: Base | undefined;
  /** The first entry of the base before: a follower may still fetch that. */
  #before = 0;

  constructor(segment: Segment<Content>, session: Session, options: StateOptions) {
    this.#segment = segment;
    this.#session = session;
    this.#options = options;
  }

  get version(): number {
    return (this.#segment.current() ?? this.#segment.content).version;
  }

  async run(): Promise<void> {
    const { maxHz, spinMs } = this.#options;
    const { signal } = this.#session;
    const changes = this.#segment.changes({ signal, spinMs });
    await this.#fenceChunks();
    for (;;) {
      await this.#session.retry(() => this.#send());
      if (maxHz !== undefined) await sleepOr(signal, 1000 / maxHz);
      if ((await changes.next()).done) return;
    }
  }

  /**
   * Chunks of the publisher before may be on their way, and must not arrive any more. One that has no log yet finds itself
   * without the lease before it appends to the log that it makes.
   */
  async #fenceChunks(): Promise<void> {
    const { lease, key, transport } = this.#session;
    const entries = transport.log(key, "chunks");
    await this.#session.retry(async () => {
      if (await entries.exists()) await new FencedLog(entries, lease).fence();
    });
  }

  async #send(): Promise<void> {
    const image = await this.#image();
    const { copy, schema } = image;
    const head = headOf(image, { epoch: this.#session.lease.epoch, sentAt: Date.now() });
    const whole = encodeFrame(head, schema, copy.bytes);
    if (whole.length <= this.#session.transport.maxValueBytes) await this.#session.put(whole);
    else await this.#sendLarge(head, image);
    this.#session.confirm(copy.version);
  }

  async #image(): Promise<SegmentImage> {
    const { maxBytes = DEFAULT_MAX_BYTES, timeoutMs } = this.#options;
    const { signal } = this.#session;
    const copy = await copyOfAsync(this.#segment, { timeoutMs, signal });
    const { footer, schemaBytes, path } = (this.#segment.whole() ?? this.#segment.content).file;
    if (footer === undefined)
      throw new MirrorError(`'${path}' does not describe itself: files of other libraries are not mirrored`);
    const { content, lockKind, transactional, contentBytes, fingerprint } = footer;
    if (contentBytes > maxBytes) throw tooLarge(contentBytes, maxBytes);
    const plan = { content, lockKind, transactional, contentBytes, fingerprint };
    return { plan, schema: schemaBytes, copy };
  }

  /** The blocks that differ from a content in the log, which is sent anew when those are too many. */
  async #sendLarge(head: Head, { copy: { bytes }, schema }: SegmentImage): Promise<void> {
    const crc = Bun.hash.crc32(bytes);
    const base = this.#base;
    const blocks = base?.content.length === bytes.length ? changedBlocks(base.content, bytes) : undefined;
    if (base !== undefined && blocks !== undefined && this.#isWorth(blocks, bytes, schema)) {
      const parts = blocks.map((block) => blockOf(bytes, block));
      await this.#session.put(encodeFrame({ ...head, chunks: base.chunks, crc, blocks }, schema, ...parts));
      return;
    }
    const chunks = await this.#putChunks(bytes);
    await this.#session.put(encodeFrame({ ...head, chunks, crc, blocks: [] }, schema));
    await this.#forgetBefore(chunks[0] ?? 0);
    this.#base = { content: bytes, chunks };
  }

  #isWorth(blocks: readonly number[], bytes: Uint8Array, schema: Uint8Array): boolean {
    const [first] = blocks;
    const blockBytes = first === undefined ? 0 : blockOf(bytes, first).length + BLOCK_NUMBER_BYTES;
    const changed = blocks.length * blockBytes;
    const room = this.#session.transport.maxValueBytes - MARGIN_BYTES - schema.length;
    return changed <= Math.min(room, bytes.length / 2);
  }

  async #putChunks(bytes: Uint8Array): Promise<number[]> {
    const { transport, key, lease } = this.#session;
    if (this.#log === undefined) {
      const entries = transport.log(key, "chunks");
      this.#log = { entries, fenced: new FencedLog(entries, lease) };
    }
    const chunkBytes = transport.maxValueBytes - MARGIN_BYTES;
    const chunks: number[] = [];
    for (let start = 0; start < bytes.length; start += chunkBytes)
      chunks.push(await this.#log.fenced.append([bytes.subarray(start, start + chunkBytes)]));
    return chunks;
  }

  async #forgetBefore(first: number): Promise<void> {
    const before = this.#before;
    this.#before = first;
    // What stays is removed with the next ones.
    if (before > 0) await this.#log?.entries.trim(before).catch(() => undefined);
  }

  close(): void {
    this.#segment.close();
  }
}
