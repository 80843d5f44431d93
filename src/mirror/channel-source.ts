/** Channels: each message that is still there when its turn comes, several in one entry of the log. */
import { type ChannelContent, channelType } from "../channel/channel-content.ts";
import type { RingReader } from "../channel/ring.ts";
import { MirrorError } from "../errors/errors.ts";
import { ABI_TAG } from "../segment/abi.ts";
import { placeOfPath } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import type { Trust } from "../sys/trust.ts";
import { dataOf, FencedLog } from "./fenced-log.ts";
import { encodeFrame, type Head } from "./frame.ts";
import { Batch, batchBytes, decodeBatch } from "./messages.ts";
import type { Session, Source } from "./session.ts";
import type { Log } from "./transport.ts";
import { sleepOr } from "./wait.ts";

/** Bytes of an entry of small messages: more cost the server more than they save. */
const USUAL_BATCH_BYTES = 256 * 1024;

export const openChannel = (path: string, trust: Trust): Segment<ChannelContent> =>
  new Segment(placeOfPath(path), channelType(), { access: "read", makesLock: false, trust });

export class ChannelSource implements Source {
  readonly #segment: Segment<ChannelContent>;
  readonly #session: Session;
  readonly #maxHz: number | undefined;
  readonly #spinMs: number | undefined;
  readonly #log: Log;
  readonly #fenced: FencedLog;

  constructor(
    segment: Segment<ChannelContent>,
    session: Session,
    { maxHz, spinMs }: { readonly maxHz?: number | undefined; readonly spinMs?: number | undefined },
  ) {
    this.#segment = segment;
    this.#session = session;
    this.#maxHz = maxHz;
    this.#spinMs = spinMs;
    this.#log = session.transport.log(session.key, "channel");
    this.#fenced = new FencedLog(this.#log, session.lease);
  }

  get version(): number {
    return this.#current.version;
  }

  get #current(): ChannelContent {
    return this.#segment.current() ?? this.#segment.content;
  }

  async run(): Promise<void> {
    const { signal } = this.#session;
    const changes = this.#segment.changes({ signal, spinMs: this.#spinMs });
    for (;;) {
      const content = this.#current;
      const sent = await this.#session.retry(() => this.#begin(content));
      if (sent === undefined) return;
      const reader = content.reader("oldest");
      if (sent > 0) reader.cursor = sent;
      this.#session.confirm(reader.cursor);
      const batch = new Batch(this.#batchBytes(content));
      while (this.#current === content) {
        await this.#sendAll(reader, batch, lifeOf(content));
        if (this.#maxHz !== undefined) await sleepOr(signal, 1000 / this.#maxHz);
        if ((await changes.next()).done) return;
      }
      // What is left in a file that was replaced comes first.
      await this.#sendAll(reader, batch, lifeOf(content));
    }
  }

  #batchBytes({ geometry }: ChannelContent): number {
    const least = batchBytes(geometry.payloadBytes);
    const most = this.#session.transport.maxValueBytes - 1;
    if (least > most)
      throw new MirrorError(
        `messages of ${geometry.payloadBytes} bytes are not mirrored: the server takes ${most - batchBytes(0)}`,
      );
    return Math.min(Math.max(least, USUAL_BATCH_BYTES), most);
  }

  /** Says what the channel is, ends what the publisher before may send. @returns how many messages of this file are in the log */
  async #begin(content: ChannelContent): Promise<number> {
    const last = await this.#fenced.fence();
    await this.#session.put(encodeFrame(this.#head(content), content.file.schemaBytes));
    return this.#sentBefore(last, lifeOf(content));
  }

  #head({ file, geometry, version }: ChannelContent): Head {
    return {
      format: 2,
      epoch: this.#session.lease.epoch,
      version,
      sentAt: Date.now(),
      abi: ABI_TAG,
      kind: "channel",
      lockKind: "flock",
      transactional: false,
      contentBytes: geometry.payloadBytes,
      fingerprint: String(file.footer?.fingerprint ?? 0n),
      slots: geometry.slots,
      life: String(lifeOf({ file })),
    };
  }

  /** The publisher before may have sent some of the same file. */
  async #sentBefore(mark: number, life: bigint): Promise<number> {
    for (let number = mark - 1; number > 0; number--) {
      const entry = await this.#log.at(number);
      if (entry === undefined) return 0;
      const data = dataOf(entry);
      if (data === undefined) continue;
      const { head, messages } = decodeBatch(data);
      return head.life === life ? (messages.at(-1)?.index ?? -1) + 1 : 0;
    }
    return 0;
  }

  async #sendAll(reader: RingReader, batch: Batch, life: bigint): Promise<void> {
    const { lease } = this.#session;
    for (;;) {
      const entry = batch.take(reader, { epoch: lease.epoch, life });
      if (entry === undefined) return;
      await this.#session.retry(() => this.#fenced.append([entry]));
      if (this.#session.signal.aborted) return;
      this.#session.confirm(reader.cursor);
    }
  }

  close(): void {
    this.#segment.close();
  }
}

/** Tells the files of a name apart. */
const lifeOf = ({ file }: Pick<ChannelContent, "file">): bigint => file.footer?.createdAt ?? 0n;
