/**
 * The content of a document's segment, as bytes. The document stands at the start the way jsonmmap writes it, for its
 * followers and for all programs that can read `<length>:<json>`; our own followers read one of the two slots behind
 * it, which are written in turn, so that the newest whole document is never written to.
 *
 *     0                    T            T + S        T + 2 S           contentBytes
 *     | <length>:<json> …  | slot 0     | slot 1     | mirrored, zero  |
 *     |                    |            |            | u32, 60 B       |
 *
 *     T: maxBytes and the length's 11 characters, S: maxBytes and the slot's header, both rounded up to 64
 *
 *     slot:
 *     0       4           8         16             16 + textBytes
 *     | crc32 | textBytes | version | text: <json> |         textBytes 0: there is no document yet
 *     | u32   | u32       | u64     |              |         the checksum covers all that follows it
 *
 * The footer's sequence grows by 2 with each commit; its bit 1 says which slot is current. mirrored: the sequence when
 * the text at the start was last written whole. maxBytes stands in the schema.
 *
 * All numbers are little-endian. Everything is checked before it is believed: a file is hostile input.
 */

import { FileFormatError } from "../errors/errors.ts";
import { escapeText } from "../errors/show.ts";
import type { ContentWords } from "../segment/content.ts";
import type { SegmentFile } from "../segment/segment-file.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";
import { lockPagePath } from "../sync/lock-page.ts";
import { exists } from "../sys/paths.ts";

/** Offsets in a slot, in bytes. */
export const SLOT = { crc: 0, textBytes: 4, version: 8, text: 16 } as const;

/** The longest document, in bytes of UTF-8: three copies of it still fit into one mapping. */
export const MAX_DOCUMENT_BYTES = 2 ** 30;

/** The longest `<length>:`. */
const LENGTH_BYTES = `${MAX_DOCUMENT_BYTES}:`.length;

/** What stands at the start before the first write: jsonmmap's followers read None. */
export const NO_DOCUMENT_TEXT = "4:null";

const MIRRORED_BYTES = 64;

/** Where things are in the content, in bytes. */
export interface DocumentFormat {
  readonly maxBytes: number;
  /** Of the slots. */
  readonly slotOffset: readonly [number, number];
  readonly mirroredOffset: number;
  readonly contentBytes: number;
}

const align = (value: number): number => Math.ceil(value / 64) * 64;

/** The format of a file for documents of up to `maxBytes`. */
export function formatFor(maxBytes: number): DocumentFormat {
  const first = align(maxBytes + LENGTH_BYTES);
  const second = first + align(SLOT.text + maxBytes);
  const mirroredOffset = second + align(SLOT.text + maxBytes);
  return {
    maxBytes,
    slotOffset: [first, second],
    mirroredOffset,
    contentBytes: mirroredOffset + MIRRORED_BYTES,
  };
}

/** What the schema of a document's segment says. */
export const schemaFor = (maxBytes: number): { document: "json"; maxBytes: number } => ({
  document: "json",
  maxBytes,
});

const RECREATE =
  "a master that is opened with force: true recreates it, which erases the document; a master can also write() a new one, or remove() it";

/** The words of documents for the segment's messages. */
export const documentWords: ContentWords = {
  owner: "the JsonMap",
  file: "document",
  create: "leave out create: false to make it",
  recreate: RECREATE,
  lockFile: "a wait for documents needs it; the next master makes it (read() works without)",
  permit:
    'permission denied: the file has mode 0600 unless its master was told another one, new JsonMap({ role: "master", mode: 0o660, … }); check the directories too',
};

/**
 * Where things are in a file.
 * @throws FileFormatError when it is no document, is damaged or truncated
 */
export function formatOf(file: SegmentFile): DocumentFormat {
  if (file.footer === undefined) throw withoutFooter(file);
  const maxBytes = maxBytesIn(file.schemaBytes);
  const format = formatFor(maxBytes);
  const isPossible = Number.isInteger(maxBytes) && maxBytes >= 1 && maxBytes <= MAX_DOCUMENT_BYTES;
  if (!isPossible || format.contentBytes !== file.contentBytes)
    throw damaged(file.path, `maxBytes ${maxBytes} in a content of ${file.contentBytes} bytes`);
  return format;
}

function maxBytesIn(schema: Uint8Array): number {
  try {
    return Number((parseSchemaJson(schema) as { maxBytes?: unknown } | null)?.maxBytes);
  } catch {
    return Number.NaN;
  }
}

/** Both signs are asked for, as a forced recreation depends on it: another program's file may begin like that, or have the name. */
function withoutFooter({ path, bytes, byteLength }: SegmentFile): FileFormatError {
  const isOurs = exists(lockPagePath(`${path}.lock`)) && beginsAsDocument(bytes);
  return isOurs
    ? new FileFormatError(path, `'${path}' was truncated to ${byteLength} bytes; ${RECREATE}`, true)
    : new FileFormatError(
        path,
        `'${path}' is no file of a JsonMap, or was truncated: its ${byteLength} bytes lack the footer; if you need nothing of it, delete it`,
      );
}

/** Whether the text at the start is that of a document, as far as it is still there. */
export function beginsAsDocument(bytes: Uint8Array): boolean {
  const [start, digits] = /^(\d{1,10}):/.exec(latin1(bytes.slice(0, LENGTH_BYTES))) ?? [];
  if (start === undefined) return false;
  // A copy, as decoders must find the same when they look again.
  const text = bytes.slice(start.length, start.length + Number(digits));
  if (text.length < Number(digits)) return /^["[{\dtfn-]/.test(latin1(text.subarray(0, 1)));
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
    return true;
  } catch {
    return false;
  }
}

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** The error for a file that was made by this library and is not as it was left. */
export const damaged = (path: string, what: string): FileFormatError =>
  new FileFormatError(path, `'${path}' is damaged (${what}); ${RECREATE}`, true);

/** What the text of a document says. @throws FileFormatError for no JSON, as other programs may write it */
export function parseDocument(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw damaged(path, `a document that is no JSON: ${escapeText(String(cause))}`);
  }
}
