/**
 * The file of a document, as bytes. The document stands at the start the way jsonmmap writes it, for its followers
 * and for everybody else who can read `<length>:<json>`; our own followers read one of the two slots behind it,
 * which are written in turn, so that the newest whole document is never written to.
 *
 *     0                    T            T + S        T + 2 S      size
 *     | <length>:<json> …  | slot 0     | slot 1     | footer 64 B |
 *
 *     T: maxBytes and the length's 11 characters, S: maxBytes and the slot's header, both rounded up to 64
 *
 *     slot:
 *     0       4           8         16             16 + textBytes
 *     | crc32 | textBytes | version | text: <json> |         textBytes 0: there is no document yet
 *     | u32   | u32       | f64     |              |         the checksum covers all that follows it
 *
 *     footer:
 *     0       8        12      16         24        28         32        36     64
 *     | magic | format | crc32 | maxBytes | current | mirrored | retired | zero |
 *     | u64   | u32    | u32   | u64      | u32     | u32      | u32     |      |
 *
 * current: the low 32 bits of the newest version; its lowest bit says which slot holds it.  mirrored: what `current`
 * was when the text at the start was last written whole.  retired: not 0 when another file has the name now.
 *
 * All numbers are little-endian. Everything is checked before it is believed: a file is hostile input.
 */
import { FileFormatError } from "../errors/errors.ts";
import { lockPagePath } from "../sync/lock-page.ts";
import { exists } from "../sys/paths.ts";

const MAGIC = Buffer.from("shmsjson").readBigUInt64LE();
const FORMAT = 1;
const FOOTER_BYTES = 64;

/** Offsets in the footer, in bytes. */
export const AT = {
  magic: 0,
  format: 8,
  crc: 12,
  maxBytes: 16,
  current: 24,
  mirrored: 28,
  retired: 32,
} as const;

/** Offsets in a slot, in bytes. */
export const SLOT = { crc: 0, textBytes: 4, version: 8, text: 16 } as const;

/** The longest document, in bytes of UTF-8: three copies of it still fit into one mapping. */
export const MAX_DOCUMENT_BYTES = 2 ** 30;

/** The longest `<length>:`. */
const LENGTH_BYTES = `${MAX_DOCUMENT_BYTES}:`.length;

/** What stands at the start before the first write: jsonmmap's followers read None. */
export const NO_DOCUMENT_TEXT = "4:null";

/** Where things are in the file, in bytes. */
export interface DocumentFormat {
  readonly maxBytes: number;
  /** Of the slots. */
  readonly slotOffset: readonly [number, number];
  readonly footerOffset: number;
  readonly fileBytes: number;
}

const align = (value: number): number => Math.ceil(value / 64) * 64;

/** The format of a file for documents of up to `maxBytes`. */
export function formatFor(maxBytes: number): DocumentFormat {
  const first = align(maxBytes + LENGTH_BYTES);
  const second = first + align(SLOT.text + maxBytes);
  const footerOffset = second + align(SLOT.text + maxBytes);
  return {
    maxBytes,
    slotOffset: [first, second],
    footerOffset,
    fileBytes: footerOffset + FOOTER_BYTES,
  };
}

/** The footer of a file in memory. */
export const footerOf = (bytes: Uint8Array<ArrayBuffer>): DataView<ArrayBuffer> =>
  new DataView(bytes.buffer, bytes.byteLength - FOOTER_BYTES, FOOTER_BYTES);

const copyOfFooter = (bytes: Uint8Array<ArrayBuffer>): DataView<ArrayBuffer> =>
  new DataView(new Uint8Array(bytes.subarray(bytes.byteLength - FOOTER_BYTES)).buffer);

/** The checksum of a slot with a text of that length. */
export const slotChecksum = (slot: Uint8Array, textBytes: number): number =>
  Bun.hash.crc32(slot.subarray(SLOT.textBytes, SLOT.text + textBytes));

const fixedChecksum = (footer: DataView<ArrayBuffer>): number =>
  Bun.hash.crc32(new Uint8Array(footer.buffer, footer.byteOffset + AT.maxBytes, AT.current - AT.maxBytes));

/** Writes what never changes into the bytes of a new, zeroed file. */
export function writeFormat(bytes: Uint8Array<ArrayBuffer>, { maxBytes }: DocumentFormat): void {
  const footer = footerOf(bytes);
  footer.setBigUint64(AT.maxBytes, BigInt(maxBytes), true);
  footer.setUint32(AT.format, FORMAT, true);
  footer.setUint32(AT.crc, fixedChecksum(footer), true);
  footer.setBigUint64(AT.magic, MAGIC, true);
}

/** The smallest and the largest file. */
const MIN_FILE_BYTES = formatFor(1).fileBytes;
export const MAX_FILE_BYTES: number = formatFor(MAX_DOCUMENT_BYTES).fileBytes;

/** Whether a file of that size could be one. */
export const isPossibleSize = (fileBytes: number): boolean =>
  fileBytes >= MIN_FILE_BYTES && fileBytes <= MAX_FILE_BYTES && fileBytes % 64 === 0;

/** Where the lock of a document's writers is. */
export const lockPathOf = (path: string): string => `${path}.lock`;

/**
 * The format of a file, from all its bytes.
 * @throws FileFormatError when it is no file of a JsonMap, is damaged or cut short, or comes from a newer version
 */
export function readFormat(bytes: Uint8Array<ArrayBuffer>, path: string): DocumentFormat {
  // A copy: what was checked must stay as it was.
  const footer = isPossibleSize(bytes.byteLength) ? copyOfFooter(bytes) : undefined;
  if (footer === undefined || footer.getBigUint64(AT.magic, true) !== MAGIC) {
    // Both signs, as force makes it anew then: somebody else's file may begin like that, or have the name of one of ours.
    const isOurs = exists(lockPagePath(lockPathOf(path))) && beginsAsDocument(bytes);
    throw isOurs ? cutShort(path, bytes.byteLength) : strange(path, bytes.byteLength);
  }
  const version = footer.getUint32(AT.format, true);
  if (version !== FORMAT) {
    throw damaged(path, `format ${version}, this version of shmstruct reads ${FORMAT}; or it is newer`);
  }
  if (footer.getUint32(AT.crc, true) !== fixedChecksum(footer)) throw damaged(path, "checksum of the footer");
  const maxBytes = Number(footer.getBigUint64(AT.maxBytes, true));
  const format = formatFor(maxBytes);
  if (maxBytes < 1 || maxBytes > MAX_DOCUMENT_BYTES || format.fileBytes !== bytes.byteLength) {
    throw damaged(path, `maxBytes ${maxBytes} in a file of ${bytes.byteLength} bytes`);
  }
  return format;
}

/** Whether the text at the start is that of a document, as far as it is still there. */
export function beginsAsDocument(bytes: Uint8Array): boolean {
  const [start, digits] = /^(\d{1,10}):/.exec(latin1(bytes.subarray(0, LENGTH_BYTES))) ?? [];
  if (start === undefined) return false;
  // A copy, as decoders must find the same when they look again.
  const text = new Uint8Array(bytes.subarray(start.length, start.length + Number(digits)));
  if (text.length < Number(digits)) return /^["[{\dtfn-]/.test(latin1(text.subarray(0, 1)));
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
    return true;
  } catch {
    return false;
  }
}

/** Each byte is read once. */
const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

const REMEDY = 'a JsonMap with { role: "master", force: true } makes it anew';

/** The error for a file that was made by us and is not as we left it. */
export const damaged = (path: string, what: string): FileFormatError =>
  new FileFormatError(path, `'${path}' is damaged (${what}); ${REMEDY}`, true);

/** The error for a file of ours that lacks its end. */
export const cutShort = (path: string, byteLength: number): FileFormatError =>
  new FileFormatError(path, `'${path}' was cut short to ${byteLength} bytes; ${REMEDY}`, true);

/** The error for a file that cannot be told to be ours. */
export const strange = (path: string, byteLength: number): FileFormatError =>
  new FileFormatError(
    path,
    `'${path}' is no file of a JsonMap, or was cut short: its ${byteLength} bytes lack the footer; if you need nothing of it, delete it`,
  );
