/**
 * A state on its way to another machine:
 *
 *     | bytes of the head, u32 little-endian | head, JSON | content |
 *
 * What does not fit into one value goes ahead in chunks, keys of their own; the frame then names them instead of the content.
 */
import { MirrorError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import { ABI_TAG, describeAbi } from "../segment/abi.ts";
import type { SegmentImage } from "../segment/create.ts";
import type { ContentKind } from "../segment/footer.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";

const FORMAT = 1;
const LENGTH_BYTES = 4;
/** Of a head, which has the schema in it. */
const MAX_HEAD_BYTES = 2 ** 20;
/** A content larger than that is not mirrored. */
export const DEFAULT_MAX_BYTES = 64 * 2 ** 20;

/** Everything but the content. */
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
  readonly contentBytes: number;
  /** A u64 as text. */
  readonly fingerprint: string;
  readonly schema: unknown;
  /** Keys of the parts of the content, in order. */
  readonly chunks?: readonly string[];
}

/** The head of an image. */
export function headOf(
  { plan, schema, copy }: SegmentImage,
  { epoch, sentAt }: Pick<Head, "epoch" | "sentAt">,
): Head {
  return {
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
    schema: JSON.parse(Buffer.from(schema).toString()),
  };
}

export function encodeFrame(head: Head, content: Uint8Array): Uint8Array {
  const text = Buffer.from(JSON.stringify(head));
  const frame = new Uint8Array(LENGTH_BYTES + text.length + content.length);
  new DataView(frame.buffer).setUint32(0, text.length, true);
  frame.set(text, LENGTH_BYTES);
  frame.set(content, LENGTH_BYTES + text.length);
  return frame;
}

/** @throws MirrorError for anything but a frame of this version and machine */
export function decodeFrame(frame: Uint8Array): { head: Head; content: Uint8Array<ArrayBuffer> } {
  const end =
    frame.length < LENGTH_BYTES ? 0 : new DataView(frame.buffer, frame.byteOffset).getUint32(0, true);
  if (end === 0 || end > MAX_HEAD_BYTES || LENGTH_BYTES + end > frame.length)
    throw new MirrorError(`a value of ${frame.length} bytes in the bucket is no frame of a mirror`);
  const head = checkHead(parsed(frame.slice(LENGTH_BYTES, LENGTH_BYTES + end)));
  return { head, content: frame.slice(LENGTH_BYTES + end) };
}

function parsed(text: Uint8Array): unknown {
  try {
    return parseSchemaJson(text);
  } catch (cause) {
    throw new MirrorError(`the head of a value in the bucket cannot be read: ${cause}`);
  }
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

/** What each member of a head must be. */
const MEMBERS: Readonly<Record<Exclude<keyof Head, "chunks" | "schema">, (value: unknown) => boolean>> = {
  format: (value) => value === FORMAT,
  epoch: isCount,
  version: isCount,
  sentAt: (value) => typeof value === "number",
  abi: isCount,
  kind: (value) => value === "record" || value === "document",
  lockKind: (value) => value === "flock" || value === "fcntl",
  transactional: (value) => typeof value === "boolean",
  contentBytes: isCount,
  fingerprint: (value) => typeof value === "string" && /^\d{1,20}$/.test(value),
};

function checkHead(value: unknown): Head {
  const head = (value ?? {}) as Head;
  for (const [name, fits] of Object.entries(MEMBERS))
    if (!fits(head[name as keyof Head]))
      throw new MirrorError(
        `a value in the bucket has ${name} ${show(head[name as keyof Head])}, which this version does not know`,
      );
  const { chunks = [], abi } = head;
  if (!Array.isArray(chunks) || !chunks.every((key) => typeof key === "string"))
    throw new MirrorError("a value in the bucket names no chunks");
  if (abi !== ABI_TAG)
    throw new MirrorError(
      `the file was written on another kind of machine (${describeAbi(abi)}, here ${describeAbi(ABI_TAG)}): its bytes mean something else here`,
    );
  return head;
}

/** @throws MirrorError when the content is not as long as the head says, or longer than `maxBytes` */
export function imageOf(head: Head, bytes: Uint8Array<ArrayBuffer>, maxBytes: number): SegmentImage {
  const { contentBytes, version, kind, lockKind, transactional, fingerprint } = head;
  if (contentBytes > maxBytes) throw tooLarge(contentBytes, maxBytes);
  if (bytes.length !== contentBytes)
    throw new MirrorError(`a content of ${contentBytes} bytes came as ${bytes.length} bytes`);
  return {
    plan: {
      content: kind,
      lockKind,
      transactional,
      contentBytes,
      fingerprint: BigInt.asUintN(64, BigInt(fingerprint)),
    },
    schema: Buffer.from(JSON.stringify(head.schema)),
    copy: { bytes, version },
  };
}

export const tooLarge = (bytes: number, maxBytes: number): MirrorError =>
  new MirrorError(`a content of ${bytes} bytes is not mirrored: maxBytes is ${maxBytes}`);
