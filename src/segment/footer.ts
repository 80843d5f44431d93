/**
 * The footer: the last 128 bytes of every segment, whatever its content. All numbers are little-endian.
 *
 *     0               contentBytes                                                    size-128     size
 *     | content       | pad | pre-image | pad | marks | pad | schema (JSON) | pad     | footer     |
 *
 *     0        8         12         16        17     18      20    24         32         40        48       56
 *     | magic  | format  | checksum | content | lock | flags | abi | content  | pre-     | marks   | block  | schema |
 *     | u64    | u32 = 2 | u32      | u8      | u8   | u16   | u32 | bytes    | image    | offset  | bytes  | bytes  |
 *     |        |         |          |         |      |       |     | u64      | offset   | u64     | u32    | u32    |
 *     56         64            72           80       96        100          104        112        116          120     128
 *     | schema   | fingerprint | created at | zero   | commits | generation | before   | sequence | superseded | zero  |
 *     | offset   | u64         | ns, u64    | 16 B   | u32     | u32        | u64      | u32      | u32        | 8 B   |
 *
 * Bytes 16 to 96 are fixed at creation. The checksum (CRC-32 as in zlib) covers them, then the schema. Commits and
 * generation are one 64-bit number, the version. Everything is checked against the file's size before it is believed: a
 * file is hostile input.
 */
import { FileFormatError } from "../errors/errors.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { crc32 } from "../sys/crc32.ts";
import { ABI_TAG, describeAbi } from "./abi.ts";

/** "shmstrct" in ASCII. */
export const MAGIC = 0x7463_7274_736d_6873n;
/** "shmsjson": what documents of format 1 had. */
const DOCUMENT_MAGIC_1 = 0x6e6f_736a_736d_6873n;
const FORMAT = 2;
export const FOOTER_BYTES = 128;
/** The footer of format 1. */
const FOOTER_BYTES_1 = 64;

/** Offsets in the footer. */
export const AT = {
  magic: 0,
  format: 8,
  checksum: 12,
  content: 16,
  lock: 17,
  flags: 18,
  abi: 20,
  contentBytes: 24,
  preImageOffset: 32,
  marksOffset: 40,
  blockBytes: 48,
  schemaBytes: 52,
  schemaOffset: 56,
  fingerprint: 64,
  createdAt: 72,
  commits: 96,
  generation: 100,
  before: 104,
  sequence: 112,
  superseded: 116,
} as const;

/** The part that the checksum covers. */
const FIXED = { from: AT.content, to: AT.commits } as const;

const FLAG = { transactional: 1, blocks: 2, backup: 4 } as const;

/** What a segment may hold, by its number in the footer. */
const CONTENT_KINDS = ["", "record", "document", "channel", "queue"] as const;
/** What a segment holds. @example const kind: ContentKind = "record"; */
export type ContentKind = Exclude<(typeof CONTENT_KINDS)[number], "">;

const LOCK_KINDS: readonly LockKind[] = ["flock", "fcntl"];

/** The longest schema in bytes. */
export const MAX_SCHEMA_BYTES = 2 ** 24;

/** What a file says about itself and never changes. Offsets and lengths in bytes. */
export interface Footer {
  readonly content: ContentKind;
  readonly lockKind: LockKind;
  /** Writers keep the state before them in the file. */
  readonly transactional: boolean;
  /** A copy that is opened without a lock. */
  readonly isBackup: boolean;
  readonly contentBytes: number;
  /** 0 without a pre-image. */
  readonly preImageOffset: number;
  /** Of the marks of the blocks, one u32 each; 0 where the pre-image is kept as a whole. */
  readonly marksOffset: number;
  readonly blockBytes: number;
  readonly schemaOffset: number;
  readonly schemaBytes: number;
  readonly fingerprint: bigint;
  /** Nanoseconds since 1970. */
  readonly createdAt: bigint;
  readonly fileBytes: number;
}

/** Indices of the changing words, in the file seen as 32-bit words. */
export type WordIndices = Readonly<
  Record<"commits" | "generation" | "before" | "sequence" | "superseded", number>
>;

/** Where the changing words of a file of that length are. */
export function wordIndices(fileBytes: number): WordIndices {
  const word = (offset: number): number => Math.floor((fileBytes - FOOTER_BYTES + offset) / 4);
  return {
    commits: word(AT.commits),
    generation: word(AT.generation),
    before: word(AT.before),
    sequence: word(AT.sequence),
    superseded: word(AT.superseded),
  };
}

/** `value`, or the next multiple of `unit` above it. */
export const align = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** What a content wants of its file. */
export interface FooterPlan {
  readonly content: ContentKind;
  readonly lockKind: LockKind;
  readonly contentBytes: number;
  /** Keep a pre-image of the content. */
  readonly transactional?: boolean;
  /** Keep the pre-image by blocks of so many bytes, a power of two; 0: as a whole. Left out: what suits the size. */
  readonly blockBytes?: number;
  readonly isBackup?: boolean;
  readonly fingerprint: bigint;
  readonly schemaBytes: number;
  readonly createdAt: bigint;
}

/** From so many bytes on it is cheaper to save what is touched than everything (docs/internals/performance.md). */
export const LEAST_BLOCKS_BYTES = 65_536;
const BLOCK_BYTES = 4096;

/** The blocks by which a pre-image of that size is kept; 0: as a whole. */
export const blockBytesFor = (contentBytes: number): number =>
  contentBytes >= LEAST_BLOCKS_BYTES ? BLOCK_BYTES : 0;

/** Where everything goes in a new file. */
export function planFooter(plan: FooterPlan): Footer {
  const { contentBytes, transactional = false, isBackup = false, schemaBytes } = plan;
  const { blockBytes = transactional ? blockBytesFor(contentBytes) : 0 } = plan;
  const afterContent = align(contentBytes, 8);
  const preImageOffset = transactional ? afterContent : 0;
  const afterPreImage = align(transactional ? preImageOffset + contentBytes : contentBytes, 8);
  const marksOffset = blockBytes > 0 ? afterPreImage : 0;
  const marksBytes = blockBytes > 0 ? 4 * Math.ceil(contentBytes / blockBytes) : 0;
  const schemaOffset = align(afterPreImage + marksBytes, 8);
  return {
    content: plan.content,
    lockKind: plan.lockKind,
    transactional,
    isBackup,
    contentBytes,
    preImageOffset,
    marksOffset,
    blockBytes,
    schemaOffset,
    schemaBytes,
    fingerprint: plan.fingerprint,
    createdAt: plan.createdAt,
    fileBytes: align(schemaOffset + schemaBytes + FOOTER_BYTES, 64),
  };
}

/** Writes schema and footer into the bytes of a new, zeroed file. */
export function writeFooter(bytes: Uint8Array, footer: Footer, schema: Uint8Array): void {
  const fixed = new Uint8Array(FOOTER_BYTES);
  const view = new DataView(fixed.buffer);
  view.setUint8(AT.content, CONTENT_KINDS.indexOf(footer.content));
  view.setUint8(AT.lock, LOCK_KINDS.indexOf(footer.lockKind));
  view.setUint16(AT.flags, flagsOf(footer), true);
  view.setUint32(AT.abi, ABI_TAG, true);
  view.setBigUint64(AT.contentBytes, BigInt(footer.contentBytes), true);
  view.setBigUint64(AT.preImageOffset, BigInt(footer.preImageOffset), true);
  view.setBigUint64(AT.marksOffset, BigInt(footer.marksOffset), true);
  view.setUint32(AT.blockBytes, footer.blockBytes, true);
  view.setUint32(AT.schemaBytes, footer.schemaBytes, true);
  view.setBigUint64(AT.schemaOffset, BigInt(footer.schemaOffset), true);
  view.setBigUint64(AT.fingerprint, footer.fingerprint, true);
  view.setBigUint64(AT.createdAt, footer.createdAt, true);
  view.setUint32(AT.format, FORMAT, true);
  view.setUint32(AT.checksum, checksum(fixed, schema), true);
  view.setBigUint64(AT.magic, MAGIC, true);
  bytes.set(schema, footer.schemaOffset);
  bytes.set(fixed.subarray(0, AT.commits), bytes.length - FOOTER_BYTES);
}

const flagsOf = ({ transactional, blockBytes, isBackup }: Footer): number =>
  (transactional ? FLAG.transactional : 0) |
  (blockBytes > 0 ? FLAG.blocks : 0) |
  (isBackup ? FLAG.backup : 0);

const checksum = (footer: Uint8Array, schema: Uint8Array): number =>
  crc32(schema, crc32(footer.subarray(FIXED.from, FIXED.to)));

/** A footer that was read, and the schema that its checksum covers, both as private copies. */
export interface ReadFooter {
  readonly footer: Footer;
  readonly schema: Uint8Array;
}

/**
 * The footer of a file, from all its bytes; undefined when it has none (a file of another library).
 * @param advice what to do about a damaged file, for the message
 * @throws FileFormatError when the footer is damaged, of another format or another ABI, or does not fit the file's size
 */
export function readFooter(bytes: Uint8Array, path: string, advice: string): ReadFooter | undefined {
  const { byteLength } = bytes;
  if (byteLength % 64 !== 0) return undefined;
  refuseFormat1(bytes, path, advice);
  if (byteLength < FOOTER_BYTES) return undefined;
  // Private copies: other processes may write to the mapping while it is looked at.
  const end = bytes.slice(byteLength - FOOTER_BYTES);
  if (new DataView(end.buffer).getBigUint64(AT.magic, true) !== MAGIC) return undefined;
  const schemaAt = (offset: number, length: number): Uint8Array => bytes.slice(offset, offset + length);
  return parseFooter(end, byteLength, path, schemaAt, advice);
}

/** The format of the file whose last bytes these are; undefined when it is no segment. */
export function formatAtEnd(end: Uint8Array<ArrayBuffer>): number | undefined {
  const view = new DataView(end.buffer, end.byteOffset, end.byteLength);
  if (view.getBigUint64(AT.magic, true) === MAGIC) return view.getUint32(AT.format, true);
  const magic1 = view.getBigUint64(FOOTER_BYTES - FOOTER_BYTES_1, true);
  const isFormat1 = magic1 === MAGIC || magic1 === DOCUMENT_MAGIC_1;
  return isFormat1 ? view.getUint32(FOOTER_BYTES - FOOTER_BYTES_1 + AT.format, true) : undefined;
}

/**
 * The footer from the last bytes of a file, checked.
 * @param end a private copy of the last 128 bytes
 * @param schemaAt gives a private copy of bytes of the file
 * @throws FileFormatError
 */
export function parseFooter(
  end: Uint8Array<ArrayBuffer>,
  fileBytes: number,
  path: string,
  schemaAt: (byteOffset: number, byteLength: number) => Uint8Array,
  advice = "replace it with force: true, which erases its content",
): ReadFooter {
  const view = new DataView(end.buffer);
  const damaged = (what: string): FileFormatError =>
    new FileFormatError(path, `the footer of '${path}' is damaged (${what}); ${advice}`, true);
  const format = view.getUint32(AT.format, true);
  if (format !== FORMAT || view.getBigUint64(AT.magic, true) !== MAGIC)
    throw otherFormat(path, formatAtEnd(end) ?? format, advice);
  const footer = parse(view, fileBytes);
  const problem = footerProblem(footer, view);
  if (problem !== undefined) throw damaged(problem);
  const schema = schemaAt(footer.schemaOffset, footer.schemaBytes);
  if (view.getUint32(AT.checksum, true) !== checksum(end, schema)) throw damaged("checksum");
  const abi = view.getUint32(AT.abi, true);
  if (abi !== ABI_TAG) throw otherAbi(path, abi);
  return { footer, schema };
}

function refuseFormat1(bytes: Uint8Array, path: string, advice: string): void {
  if (bytes.byteLength < FOOTER_BYTES_1) return;
  const view = new DataView(bytes.slice(bytes.byteLength - FOOTER_BYTES_1).buffer);
  const magic = view.getBigUint64(AT.magic, true);
  if (magic !== MAGIC && magic !== DOCUMENT_MAGIC_1) return;
  const format = view.getUint32(AT.format, true);
  if (format === 1) throw otherFormat(path, 1, advice);
}

const otherFormat = (path: string, format: number, advice: string): FileFormatError =>
  new FileFormatError(
    path,
    format < FORMAT
      ? `'${path}' has file format ${format}, of an earlier version of shmstruct; this one reads format ${FORMAT}. Read it with that version, or: ${advice}`
      : `'${path}' has file format ${format}, this version of shmstruct reads format ${FORMAT}: it is damaged or newer`,
    true,
  );

const otherAbi = (path: string, abi: number): FileFormatError =>
  new FileFormatError(
    path,
    `'${path}' was made on a machine with another ABI (${describeAbi(abi)}; this one: ${describeAbi(ABI_TAG)}): the same bytes mean something else here. Copy its values there, by name, not its bytes`,
    true,
  );

function parse(view: DataView, fileBytes: number): Footer {
  const u64 = (offset: number): number => Number(view.getBigUint64(offset, true));
  const flags = view.getUint16(AT.flags, true);
  return {
    content: (CONTENT_KINDS[view.getUint8(AT.content)] || "record") as ContentKind,
    lockKind: LOCK_KINDS[view.getUint8(AT.lock)] ?? "flock",
    transactional: (flags & FLAG.transactional) !== 0,
    isBackup: (flags & FLAG.backup) !== 0,
    contentBytes: u64(AT.contentBytes),
    preImageOffset: u64(AT.preImageOffset),
    marksOffset: u64(AT.marksOffset),
    blockBytes: view.getUint32(AT.blockBytes, true),
    schemaOffset: u64(AT.schemaOffset),
    schemaBytes: view.getUint32(AT.schemaBytes, true),
    fingerprint: view.getBigUint64(AT.fingerprint, true),
    createdAt: view.getBigUint64(AT.createdAt, true),
    fileBytes,
  };
}

function footerProblem(footer: Footer, view: DataView): string | undefined {
  const { contentBytes, schemaOffset, schemaBytes, fileBytes } = footer;
  const end = fileBytes - FOOTER_BYTES;
  const content = view.getUint8(AT.content);
  if (content === 0 || content >= CONTENT_KINDS.length) return `content kind ${content}`;
  if (view.getUint8(AT.lock) >= LOCK_KINDS.length) return `lock kind ${view.getUint8(AT.lock)}`;
  if (contentBytes < 1 || contentBytes > end)
    return `content of ${contentBytes} bytes in a file of ${fileBytes}`;
  if (schemaBytes > MAX_SCHEMA_BYTES)
    return `schema of ${schemaBytes} bytes, of which there may be ${MAX_SCHEMA_BYTES}`;
  if (schemaOffset < contentBytes || schemaOffset + schemaBytes > end)
    return `schema at ${schemaOffset}, ${schemaBytes} bytes`;
  return problemWithPreImage(footer, (view.getUint16(AT.flags, true) & FLAG.blocks) !== 0);
}

function problemWithPreImage(footer: Footer, hasBlocks: boolean): string | undefined {
  const { contentBytes, preImageOffset, marksOffset, blockBytes, schemaOffset, transactional } = footer;
  if (!transactional) return hasBlocks || preImageOffset !== 0 ? "pre-image without its flag" : undefined;
  if (
    preImageOffset < contentBytes ||
    preImageOffset % 8 !== 0 ||
    preImageOffset + contentBytes > schemaOffset
  )
    return `pre-image at ${preImageOffset}`;
  if (!hasBlocks) return blockBytes !== 0 || marksOffset !== 0 ? "marks without their flag" : undefined;
  const isPowerOfTwo = blockBytes >= 64 && blockBytes <= 2 ** 30 && (blockBytes & (blockBytes - 1)) === 0;
  if (!isPowerOfTwo) return `blocks of ${blockBytes} bytes`;
  const marksBytes = 4 * Math.ceil(contentBytes / blockBytes);
  const fits =
    marksOffset % 4 === 0 &&
    marksOffset >= preImageOffset + contentBytes &&
    marksOffset + marksBytes <= schemaOffset;
  return fits ? undefined : `marks at ${marksOffset}`;
}
