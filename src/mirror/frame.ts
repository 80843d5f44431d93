/**
 * A state on its way to another machine:
 *
 *     | bytes of the head, u32 little-endian | bytes of the schema, u32 | head, JSON | schema, JSON | content |
 *
 * What does not fit into one value goes ahead in chunks, entries of a log. The head then names them, and the frame has only the
 * blocks that have changed since. Of a channel or queue it says what the log has; it has no content.
 */
import { MirrorError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import { ABI_TAG } from "../segment/abi.ts";
import type { SegmentImage } from "../segment/create.ts";
import type { ContentKind } from "../segment/footer.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";

const FORMAT = 2;
const LENGTHS_BYTES = 8;
/** Of a head without its schema. */
const MAX_HEAD_BYTES = 2 ** 20;
/** A content larger than that is not mirrored. */
export const DEFAULT_MAX_BYTES = 64 * 2 ** 20;
/** Of a block, the unit in which changes of a large content are sent. */
export const BLOCK_BYTES = 4096;

/** Everything but schema and content. */
export interface Head {
  readonly format: typeof FORMAT;
  /** Which publisher of the key sends this, counted from 1. */
  readonly epoch: number;
  readonly version: number;
  /** Milliseconds since 1970 by the publisher's clock. */
  readonly sentAt: number;
  readonly abi: number;
  readonly kind: ContentKind;
  readonly lockKind: "flock" | "fcntl";
  readonly transactional: boolean;
  /** Of a message or job where the kind has those. */
  readonly contentBytes: number;
  /** A u64 as text. */
  readonly fingerprint: string;
  /** Entries of the log that have the content, in order. */
  readonly chunks?: readonly number[] | undefined;
  /** Of the whole content, where it is in chunks. */
  readonly crc?: number | undefined;
  /** The blocks that have changed since the chunks; they follow the head. */
  readonly blocks?: readonly number[] | undefined;
  /** Of a channel or queue: messages or jobs that the file holds. */
  readonly slots?: number | undefined;
  /** Of a channel: differs for each file that there ever was. A u64 as text. */
  readonly life?: string | undefined;
  /** Of a queue. */
  readonly maxAttempts?: number | undefined;
  readonly leaseMs?: number | undefined;
}

export interface Frame {
  readonly head: Head;
  /** JSON, not looked at yet. */
  readonly schema: Uint8Array<ArrayBuffer>;
  readonly content: Uint8Array<ArrayBuffer>;
}

/** The head of an image. */
export const headOf = (
  { plan, copy }: SegmentImage,
  { epoch, sentAt }: Pick<Head, "epoch" | "sentAt">,
): Head => ({
  format: FORMAT,
  epoch,
  version: copy.version,
  sentAt,
  abi: ABI_TAG,
  kind: plan.content,
  lockKind: plan.lockKind,
  transactional: plan.transactional === true,
  contentBytes: plan.contentBytes,
  fingerprint: String(plan.fingerprint),
});

export function encodeFrame(head: Head, schema: Uint8Array, ...content: readonly Uint8Array[]): Uint8Array {
  const text = Buffer.from(JSON.stringify(head));
  const start = new Uint8Array(LENGTHS_BYTES);
  const lengths = new DataView(start.buffer);
  lengths.setUint32(0, text.length, true);
  lengths.setUint32(4, schema.length, true);
  return Buffer.concat([start, text, schema, ...content]);
}

/** @throws MirrorError for anything but a frame of this version */
export function decodeFrame(frame: Uint8Array): Frame {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const isFrame = frame.length >= LENGTHS_BYTES;
  const headBytes = isFrame ? view.getUint32(0, true) : 0;
  const schemaBytes = isFrame ? view.getUint32(4, true) : 0;
  const schemaAt = LENGTHS_BYTES + headBytes;
  if (headBytes === 0 || headBytes > MAX_HEAD_BYTES || schemaAt + schemaBytes > frame.length)
    throw new MirrorError(`a value of ${frame.length} bytes in the bucket is no frame of a mirror`);
  const head = checkHead(parsed(frame.slice(LENGTHS_BYTES, schemaAt)));
  return {
    head,
    schema: frame.slice(schemaAt, schemaAt + schemaBytes),
    content: frame.slice(schemaAt + schemaBytes),
  };
}

function parsed(text: Uint8Array): unknown {
  try {
    return parseSchemaJson(text);
  } catch (cause) {
    throw new MirrorError(`the head of a value in the bucket cannot be read: ${cause}`);
  }
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
const isU64 = (value: unknown): boolean => typeof value === "string" && /^\d{1,20}$/.test(value);
const isCounts = (value: unknown): boolean => Array.isArray(value) && value.every(isCount);
const orMissing =
  (fits: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === undefined || fits(value);
const KINDS: readonly unknown[] = ["record", "document", "channel", "queue"];

/** What each member of a head must be. */
const MEMBERS: Readonly<Record<keyof Head, (value: unknown) => boolean>> = {
  format: (value) => value === FORMAT,
  epoch: isCount,
  version: isCount,
  sentAt: (value) => typeof value === "number",
  abi: isCount,
  kind: (value) => KINDS.includes(value),
  lockKind: (value) => value === "flock" || value === "fcntl",
  transactional: (value) => typeof value === "boolean",
  contentBytes: isCount,
  fingerprint: isU64,
  chunks: orMissing(isCounts),
  crc: orMissing(isCount),
  blocks: orMissing(isCounts),
  slots: orMissing(isCount),
  life: orMissing(isU64),
  maxAttempts: orMissing(isCount),
  leaseMs: orMissing(isCount),
};

function checkHead(value: unknown): Head {
  const head = (value ?? {}) as Head;
  for (const [name, fits] of Object.entries(MEMBERS))
    if (!fits(head[name as keyof Head]))
      throw new MirrorError(
        `a value in the bucket has ${name} ${show(head[name as keyof Head])}, which this version does not know`,
      );
  return head;
}

/** @throws MirrorError when the content is not as long as the head says, or longer than `maxBytes` */
export function imageOf(
  head: Head,
  schema: Uint8Array,
  bytes: Uint8Array<ArrayBuffer>,
  maxBytes: number,
): SegmentImage {
  const { contentBytes, version, kind, lockKind, transactional } = head;
  if (contentBytes > maxBytes) throw tooLarge(contentBytes, maxBytes);
  if (bytes.length !== contentBytes)
    throw new MirrorError(`a content of ${contentBytes} bytes came as ${bytes.length} bytes`);
  const fingerprint = BigInt.asUintN(64, BigInt(head.fingerprint));
  return {
    plan: { content: kind, lockKind, transactional, contentBytes, fingerprint },
    schema,
    copy: { bytes, version },
  };
}

/** @throws MirrorError for a content that is larger than is mirrored */
export function checkBytes(bytes: number, maxBytes = DEFAULT_MAX_BYTES): void {
  if (bytes > maxBytes) throw tooLarge(bytes, maxBytes);
}

export const tooLarge = (bytes: number, maxBytes: number): MirrorError =>
  new MirrorError(`a content of ${bytes} bytes is not mirrored: maxBytes is ${maxBytes}`);

/** The blocks in which two contents of one length differ. */
export function changedBlocks(before: Uint8Array, after: Uint8Array): number[] {
  const blocks: number[] = [];
  for (let start = 0; start < after.length; start += BLOCK_BYTES) {
    const end = Math.min(start + BLOCK_BYTES, after.length);
    if (Buffer.compare(before.subarray(start, end), after.subarray(start, end)) !== 0)
      blocks.push(start / BLOCK_BYTES);
  }
  return blocks;
}

/** One block of a content; the last one may be shorter. */
export const blockOf = (content: Uint8Array, block: number): Uint8Array =>
  content.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);

/**
 * A content with some blocks of its own.
 * @throws MirrorError when the blocks are not as many bytes
 */
export function withBlocks(
  base: Uint8Array,
  blocks: readonly number[],
  bytes: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const content = Uint8Array.from(base);
  let at = 0;
  for (const block of blocks) {
    const target = blockOf(content, block);
    const part = bytes.subarray(at, at + target.length);
    if (target.length === 0 || part.length !== target.length)
      throw new MirrorError(`block ${block} of a content of ${base.length} bytes is not in its frame`);
    target.set(part);
    at += target.length;
  }
  return content;
}
