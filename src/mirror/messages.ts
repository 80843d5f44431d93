/**
 * Messages of a channel on their way, several in one entry of a log; little-endian:
 *
 *     0       4      8       16      20
 *     | abi   | epoch| life  | 0     | messages
 *     | u32   | u32  | u64   | u32   |
 *
 *     message
 *     0        4      8       16     24      28   32        64
 *     | length | type | index | time | epoch | 0  | user    | payload, and zeros up to a multiple of 8
 *     | u32    | u32  | u64   | u64  | u32   |    | 32 B    |
 */
import type { RingReader } from "../channel/ring.ts";
import { MirrorError } from "../errors/errors.ts";
import { ABI_TAG } from "../segment/abi.ts";

const BATCH_BYTES = 24;
const MESSAGE_BYTES = 64;
const USER = 32;
const USER_BYTES = 32;

/** Who sends: which publisher of the key, and which file of the origin. */
export interface BatchHead {
  readonly abi: number;
  readonly epoch: number;
  readonly life: bigint;
}

/** A message as it was in the origin's channel. */
export interface SentMessage {
  readonly index: number;
  readonly type: number;
  /** The halves of a time. */
  readonly timeLow: number;
  readonly timeHigh: number;
  readonly user: Uint8Array;
  readonly payload: Uint8Array<ArrayBuffer>;
}

const rounded = (bytes: number): number => Math.ceil(bytes / 8) * 8;

/** Bytes of an entry with one message of that length. */
export const batchBytes = (payloadBytes: number): number =>
  BATCH_BYTES + MESSAGE_BYTES + rounded(payloadBytes);

/** Takes messages of a channel as long as there are some and they fit. */
export class Batch {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #end = BATCH_BYTES;

  constructor(byteLength: number) {
    this.#bytes = new Uint8Array(byteLength);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** @returns the bytes of an entry; undefined without a message */
  take(reader: RingReader, { epoch, life }: Omit<BatchHead, "abi">): Uint8Array | undefined {
    this.#end = BATCH_BYTES;
    this.#view.setUint32(0, ABI_TAG, true);
    this.#view.setUint32(4, epoch, true);
    this.#view.setBigUint64(8, life, true);
    for (let slot = reader.find(); slot >= 0; slot = reader.find()) {
      const next = this.#end + MESSAGE_BYTES + rounded(reader.length);
      if (next > this.#bytes.length) break;
      this.#write(reader, slot);
      // Otherwise it was overwritten meanwhile, and another one takes its place here.
      if (!reader.finish(slot)) continue;
      this.#view.setBigUint64(this.#end + 8, BigInt(reader.index), true);
      this.#end = next;
    }
    return this.#end === BATCH_BYTES ? undefined : this.#bytes.subarray(0, this.#end);
  }

  #write(reader: RingReader, slot: number): void {
    const view = this.#view;
    const at = this.#end;
    view.setUint32(at, reader.length, true);
    view.setUint32(at + 4, reader.type, true);
    view.setInt32(at + 16, reader.timeLow, true);
    view.setInt32(at + 20, reader.timeHigh, true);
    view.setUint32(at + 24, reader.epoch, true);
    view.setUint32(at + 28, 0, true);
    this.#bytes.set(reader.user(slot), at + USER);
    const payload = reader.part(slot);
    this.#bytes.set(payload, at + MESSAGE_BYTES);
    this.#bytes.fill(0, at + MESSAGE_BYTES + payload.length, at + MESSAGE_BYTES + rounded(payload.length));
  }
}

/** @throws MirrorError for what is no batch */
export function decodeBatch(entry: Uint8Array): { head: BatchHead; messages: SentMessage[] } {
  if (entry.length < BATCH_BYTES) throw notABatch(entry.length);
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  const head = {
    abi: view.getUint32(0, true),
    epoch: view.getUint32(4, true),
    life: view.getBigUint64(8, true),
  };
  const messages: SentMessage[] = [];
  for (let at = BATCH_BYTES; at < entry.length; ) {
    if (at + MESSAGE_BYTES > entry.length) throw notABatch(entry.length);
    const payloadAt = at + MESSAGE_BYTES;
    const length = view.getUint32(at, true);
    const index = Number(view.getBigUint64(at + 8, true));
    if (payloadAt + length > entry.length || !Number.isSafeInteger(index)) throw notABatch(entry.length);
    messages.push({
      index,
      type: view.getUint32(at + 4, true),
      timeLow: view.getInt32(at + 16, true),
      timeHigh: view.getInt32(at + 20, true),
      user: entry.subarray(at + USER, at + USER + USER_BYTES),
      payload: entry.slice(payloadAt, payloadAt + length) as Uint8Array<ArrayBuffer>,
    });
    at = payloadAt + rounded(length);
  }
  return { head, messages };
}

const notABatch = (bytes: number): MirrorError =>
  new MirrorError(`an entry of ${bytes} bytes in the log of a channel holds no messages`);
