/**
 * The beginning of a content that consists of slots of one size, as channels and queues do. Little-endian.
 *
 *     0       4       8              16            24         32
 *     | slots | flags | payloadBytes | strideBytes | first    |
 *     | u32   | u32   | u64          | u64         | u64      |
 *
 * Slot i begins at first + i * strideBytes: 64 bytes of header, then the payload. The geometry is read once, checked
 * against the content's size and kept privately, so no later change of these words leads outside.
 */
import { FileFormatError } from "../errors/errors.ts";
import { lockPagePath } from "../sync/lock-page.ts";
import { MAX_MAPPING_BYTES } from "../sys/mapping.ts";
import { exists } from "../sys/paths.ts";
import type { SegmentFile } from "./segment-file.ts";

const TWO_32 = 2 ** 32;

/** Bytes of the geometry itself. */
const GEOMETRY_BYTES = 32;

/** Bytes of a slot before its payload. */
export const SLOT_HEADER_BYTES = 64;
/** Where the first slot begins. A multiple of 64; not of any machine's page size. */
const FIRST_BYTE_OFFSET = 4096;
const LINE_BYTES = 64;

/** Where slots are. */
export interface SlotGeometry {
  /** A power of two, at least 2. */
  readonly slots: number;
  /** Bytes that the payload of a slot has room for. */
  readonly payloadBytes: number;
  readonly strideBytes: number;
  readonly firstByteOffset: number;
}

const roundUp = (byteLength: number): number => Math.ceil(byteLength / LINE_BYTES) * LINE_BYTES;

const isPowerOfTwo = (n: number): boolean => Number.isInteger(Math.log2(n)) && 2 ** Math.log2(n) === n;

/**
 * The geometry of a new content.
 * @throws RangeError for a number of slots that is not a power of two from 2 to `maxSlots`, or a payload that is not a whole
 * number of bytes, from 1 to what leaves room for the footer in a file of 4 GiB
 */
export function planSlots(slots: number, payloadBytes: number, maxSlots: number): SlotGeometry {
  if (!isPowerOfTwo(slots) || slots < 2 || slots > maxSlots) {
    throw new RangeError(`slots must be a power of two from 2 to ${maxSlots}, not ${String(slots)}`);
  }
  const most = Math.floor((MAX_MAPPING_BYTES - 2 * FIRST_BYTE_OFFSET) / slots / LINE_BYTES) * LINE_BYTES;
  if (!Number.isInteger(payloadBytes) || payloadBytes < 1 || payloadBytes > most - SLOT_HEADER_BYTES) {
    throw new RangeError(
      `option payloadBytes must be a whole number from 1 to ${most - SLOT_HEADER_BYTES} with ${slots} slots, so that the file fits one mapping of 4 GiB; it is ${String(payloadBytes)}`,
    );
  }
  return {
    slots,
    payloadBytes,
    strideBytes: SLOT_HEADER_BYTES + roundUp(payloadBytes),
    firstByteOffset: FIRST_BYTE_OFFSET,
  };
}

/** The word at a byte offset of a content, which ends before 4 GiB. As an integer: see `asInteger`. */
export const wordOf = (byteOffset: number): number => (byteOffset / 4) | 0;

/** Bytes of a content with this geometry. */
export const contentBytesOf = ({ slots, strideBytes, firstByteOffset }: SlotGeometry): number =>
  firstByteOffset + slots * strideBytes;

/** Writes the geometry into a new content. */
export function writeGeometry(words: Int32Array, geometry: SlotGeometry, flags = 0): void {
  words[0] = geometry.slots;
  words[1] = flags;
  const wide = [geometry.payloadBytes, geometry.strideBytes, geometry.firstByteOffset];
  for (const [i, value] of wide.entries()) {
    words[2 + 2 * i] = value | 0;
    words[3 + 2 * i] = Math.floor(value / TWO_32);
  }
}

/**
 * Reads the geometry and checks that all slots lie within the content.
 * @param words the content, as int32
 * @param refuse throws the error for a content that is damaged, with the reason
 */
export function readGeometry(
  words: Int32Array,
  maxSlots: number,
  refuse: (reason: string) => never,
): SlotGeometry {
  if (words.byteLength < FIRST_BYTE_OFFSET)
    refuse(`its content has ${words.byteLength} bytes, too few for any slots`);
  const geometry = geometryIn(words);
  const reason = whatIsWrong(geometry, words.byteLength, maxSlots);
  if (reason !== undefined) refuse(reason);
  return geometry;
}

/** A product is a floating-point number to JavaScriptCore, and each place that is computed from one takes twice as long. */
const asInteger = (n: number): number => ((n | 0) === n ? n | 0 : n);

function geometryIn(words: Int32Array): SlotGeometry {
  const wide = (index: number): number =>
    asInteger((words[index + 1]! >>> 0) * TWO_32 + (words[index]! >>> 0));
  return {
    slots: words[0]! >>> 0,
    payloadBytes: wide(2),
    strideBytes: wide(4),
    firstByteOffset: wide(6),
  };
}

function whatIsWrong(geometry: SlotGeometry, byteLength: number, maxSlots: number): string | undefined {
  const { slots, payloadBytes, strideBytes, firstByteOffset } = geometry;
  if (!isPowerOfTwo(slots) || slots < 2 || slots > maxSlots) return `it says that it has ${slots} slots`;
  if (payloadBytes < 1 || strideBytes % LINE_BYTES !== 0 || strideBytes < SLOT_HEADER_BYTES + payloadBytes) {
    return `it says that a payload of ${payloadBytes} bytes is in a slot of ${strideBytes}`;
  }
  if (firstByteOffset % LINE_BYTES !== 0 || firstByteOffset < 512)
    return `it says that slots begin at ${firstByteOffset}`;
  if (!(contentBytesOf(geometry) <= byteLength)) {
    return `its ${slots} slots need ${contentBytesOf(geometry)} bytes, there are ${byteLength}`;
  }
  return undefined;
}

/** What messages say of a content with slots. */
export interface SlotWords {
  /** What it is. @example "channel" */
  readonly kind: string;
  readonly maxSlots: number;
  readonly recreate: string;
}

/**
 * The error for a file that lacks the footer. Two signs are asked for before it is taken for one that was truncated, as a forced
 * recreation depends on it: a geometry at its start, and the lock's page beside it.
 */
export function withoutFooter({ path, bytes, byteLength }: SegmentFile, words: SlotWords): FileFormatError {
  const { kind, maxSlots, recreate } = words;
  const isOurs = exists(lockPagePath(`${path}.lock`)) && beginsWithGeometry(bytes, maxSlots);
  return isOurs
    ? new FileFormatError(path, `'${path}' was truncated to ${byteLength} bytes; ${recreate}`, true)
    : new FileFormatError(
        path,
        `'${path}' has no footer, so it is no ${kind}, or was truncated; if you need nothing of it, delete it`,
      );
}

function beginsWithGeometry(bytes: Uint8Array, maxSlots: number): boolean {
  if (bytes.byteLength < GEOMETRY_BYTES) return false;
  // A copy, as others may change what is there.
  const words = new Int32Array(bytes.slice(0, GEOMETRY_BYTES).buffer);
  return whatIsWrong(geometryIn(words), Number.POSITIVE_INFINITY, maxSlots) === undefined;
}
