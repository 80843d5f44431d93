/**
 * The document in a segment. It knows nothing of locks; the caller of `commit` and `repair` holds the exclusive one.
 *
 * A commit writes the slot that is not current, makes it current with one atomic store of the sequence, then writes the
 * text at the start. Killed before the store, a writer has changed nothing that a reader reads; after it, everything but
 * the text at the start and the footer's version, which the next writer sets right. A read takes the sequence, copies the
 * slot that it names, and takes the sequence again: as the current slot is never written to, the copy is whole when both
 * are equal.
 */
import type { Content, ContentCopy, ContentType } from "../segment/content.ts";
import type { NewSegment, SegmentPlan } from "../segment/create.ts";
import { wordIndices } from "../segment/footer.ts";
import type { SegmentFile } from "../segment/segment-file.ts";
import { readConsistent } from "../sync/seqlock.ts";
import { crc32 } from "../sys/crc32.ts";
import {
  type DocumentFormat,
  damaged,
  documentWords,
  formatFor,
  formatOf,
  NO_DOCUMENT_TEXT,
  SLOT,
  schemaFor,
} from "./document-format.ts";

/** A document as it was committed. Version 0 without a text: there has been none. */
export interface Committed {
  readonly version: number;
  readonly text: string | undefined;
}

const COLON = 0x3a;
const TWO_TO_THE_32 = 2 ** 32;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Which slot is current at a sequence. */
const slotAt = (sequence: number): 0 | 1 => ((sequence >> 1) & 1) as 0 | 1;

/** The bytes from one on. The last such array is kept, as a new one takes as long as all else that is done to a short text. */
class BytesFrom {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #start: number;
  #last: Uint8Array<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>, start: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#last = bytes.subarray(start, start);
  }

  to(end: number): Uint8Array<ArrayBuffer> {
    if (this.#last.length !== end - this.#start) this.#last = this.#bytes.subarray(this.#start, end);
    return this.#last;
  }
}

/** A slot, or a copy of one: its header and all its room. */
class Slot {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly header: DataView<ArrayBuffer>;
  readonly #whole: BytesFrom;
  readonly #checked: BytesFrom;
  readonly #text: BytesFrom;
  /** The room for the text. */
  readonly text: Uint8Array<ArrayBuffer>;

  constructor(buffer: ArrayBuffer, byteOffset: number, byteLength: number) {
    this.bytes = new Uint8Array(buffer, byteOffset, byteLength);
    this.header = new DataView(buffer, byteOffset, SLOT.text);
    this.text = this.bytes.subarray(SLOT.text);
    this.#whole = new BytesFrom(this.bytes, 0);
    this.#checked = new BytesFrom(this.bytes, SLOT.textBytes);
    this.#text = new BytesFrom(this.bytes, SLOT.text);
  }

  /** Header and text. */
  wholeOf(textBytes: number): Uint8Array<ArrayBuffer> {
    return this.#whole.to(SLOT.text + textBytes);
  }

  textOf(textBytes: number): Uint8Array<ArrayBuffer> {
    return this.#text.to(SLOT.text + textBytes);
  }

  /** What the checksum must be. Only of private memory: it is read twice. */
  checksum(textBytes: number): number {
    return crc32(this.#checked.to(SLOT.text + textBytes));
  }

  get version(): number {
    const { header } = this;
    const high = header.getUint32(SLOT.version + 4, true);
    return header.getUint32(SLOT.version, true) + high * TWO_TO_THE_32;
  }
}

/** The version of the first document in a file of that generation. */
export const firstVersion = (generation: number): number => generation * TWO_TO_THE_32 + 1;

/** How documents are opened. */
export const documentType: ContentType<DocumentContent> = {
  kind: "document",
  words: documentWords,
  leastBytes: 1,
  lockKinds: ["flock"],
  open: (file) => new DocumentContent(file),
};

/** The plan of a new file that begins with a document, or without one. */
export function documentPlan(maxBytes: number, text: string | undefined): SegmentPlan {
  const format = formatFor(maxBytes);
  return {
    content: "document",
    lockKind: "flock",
    contentBytes: format.contentBytes,
    fingerprint: 0n,
    schema: schemaFor(maxBytes),
    name: `a document of up to ${maxBytes} bytes`,
    fill: (file) => fill(file, format, text),
  };
}

function fill({ bytes, generation }: NewSegment, format: DocumentFormat, text: string | undefined): void {
  const count = text === undefined ? 0 : 1;
  new Int32Array(bytes.buffer)[wordIndices(bytes.byteLength).commits] = count;
  writeFirst(bytes, format, { version: generation * TWO_TO_THE_32 + count, text });
}

/** Writes what a content begins with: the slot of sequence 0 is the first one. */
function writeFirst(
  bytes: Uint8Array<ArrayBuffer>,
  format: DocumentFormat,
  { version, text }: Committed,
): void {
  const [slot] = slotsOf(bytes, format);
  const draft = draftFor(text?.length ?? 0, format.maxBytes);
  bytes[0] = writeMirrorTail(bytes, slot, writeSlot(slot, draft, version, text));
}

const slotsOf = (bytes: Uint8Array<ArrayBuffer>, format: DocumentFormat): readonly [Slot, Slot] => {
  const slot = (byteOffset: number): Slot => new Slot(bytes.buffer, byteOffset, SLOT.text + format.maxBytes);
  return [slot(format.slotOffset[0]), slot(format.slotOffset[1])];
};

/**
 * Composes a slot in private memory, as its checksum must be of what is stored, and copies it to its place.
 * @returns the bytes of the text
 */
function writeSlot(slot: Slot, draft: Slot, version: number, text: string | undefined): number {
  const { header } = draft;
  const textBytes = text === undefined ? 0 : encoder.encodeInto(text, draft.text).written;
  header.setUint32(SLOT.textBytes, textBytes, true);
  header.setUint32(SLOT.version, version % TWO_TO_THE_32, true);
  header.setUint32(SLOT.version + 4, Math.floor(version / TWO_TO_THE_32), true);
  header.setUint32(SLOT.crc, draft.checksum(textBytes), true);
  slot.bytes.set(draft.wholeOf(textBytes));
  return textBytes;
}

/** A slot in private memory with room for a text of `units` UTF-16 units, which takes at most three bytes for each. */
const draftFor = (units: number, maxBytes: number): Slot => {
  const byteLength = SLOT.text + Math.min(3 * units, maxBytes);
  return new Slot(new ArrayBuffer(byteLength), 0, byteLength);
};

/**
 * Writes the text at the start for jsonmmap's followers. A colon in the first place keeps them from reading it meanwhile:
 * they find an empty length, which is no number, and stay with what they have.
 */
function writeMirror(file: SegmentFile, slot: Slot, textBytes: number): void {
  file.publishByte(0, COLON);
  file.publishByte(0, writeMirrorTail(file.bytes, slot, textBytes));
}

/** Writes all but the first byte, and returns that. */
function writeMirrorTail(bytes: Uint8Array<ArrayBuffer>, slot: Slot, textBytes: number): number {
  const start = textBytes === 0 ? NO_DOCUMENT_TEXT : `${textBytes}:`;
  for (let i = 1; i < start.length; i++) bytes[i] = start.charCodeAt(i);
  const { byteOffset } = slot.text;
  bytes.copyWithin(start.length, byteOffset, byteOffset + textBytes);
  return start.charCodeAt(0);
}

export class DocumentContent implements Content {
  readonly file: SegmentFile;
  /** How long a document may be, in bytes of UTF-8. */
  readonly maxBytes: number;
  readonly #slots: readonly [Slot, Slot];
  /** Index of the word that says when the text at the start was written. */
  readonly #mirrored: number;
  #copy = new Slot(new ArrayBuffer(1024), 0, 1024);

  /** @throws FileFormatError when it is no document, or damaged */
  constructor(file: SegmentFile) {
    const format = formatOf(file);
    this.file = file;
    this.maxBytes = format.maxBytes;
    this.#slots = slotsOf(file.bytes, format);
    this.#mirrored = format.mirroredOffset / 4;
  }

  /** The newest version. @throws FileFormatError when the file contradicts itself */
  get version(): number {
    const { file } = this;
    const version = readConsistent(file.words, file.at.sequence, this.#versionOf);
    return this.#checkedVersion(version ?? this.#versionOf(file.sequence));
  }

  readonly #versionOf = (sequence: number): number => this.#slots[slotAt(sequence)].version;

  /**
   * The newest document, without a lock; undefined when writers were too busy for a whole copy.
   * @throws FileFormatError when it is not as it was written
   */
  tryRead(): Committed | undefined {
    const { words, at } = this.file;
    const textBytes = readConsistent(words, at.sequence, this.#copySlot);
    return textBytes === undefined ? undefined : this.#decode(textBytes);
  }

  /**
   * Copies the current slot and returns how long its text is, or would be: more than `maxBytes` is nonsense. Only the
   * copy is looked at: decoders and checksums look at their bytes twice and must find the same.
   */
  readonly #copySlot = (sequence: number): number => {
    const slot = this.#slots[slotAt(sequence)];
    const textBytes = slot.header.getUint32(SLOT.textBytes, true);
    if (textBytes > this.maxBytes) return textBytes;
    this.#reserve(SLOT.text + textBytes);
    this.#copy.bytes.set(slot.wholeOf(textBytes));
    return textBytes;
  };

  /** Makes the private slot at least so long. */
  #reserve(byteLength: number): void {
    if (byteLength <= this.#copy.bytes.length) return;
    const room = Math.min(2 * byteLength, SLOT.text + this.maxBytes);
    this.#copy = new Slot(new ArrayBuffer(room), 0, room);
  }

  /** The copied slot, checked. */
  #decode(textBytes: number): Committed {
    const { path } = this.file;
    const { header, version } = this.#copy;
    // The length stood in the mapping when it was taken; the copy has the one that goes with it.
    if (textBytes > this.maxBytes || header.getUint32(SLOT.textBytes, true) !== textBytes)
      throw damaged(path, `a document of ${textBytes} bytes in ${this.maxBytes}`);
    const bytes = this.#copy.textOf(textBytes);
    if (header.getUint32(SLOT.crc, true) !== this.#copy.checksum(textBytes))
      throw damaged(path, "checksum of the document");
    this.#checkedVersion(version);
    return { version, text: textBytes === 0 ? undefined : decode(bytes, path) };
  }

  /** A version belongs to the generation of its file, or to the next one when its commits have carried into it. */
  #checkedVersion(version: number): number {
    const ahead = Math.floor(version / TWO_TO_THE_32) - this.file.generation;
    if (Number.isSafeInteger(version) && (ahead === 0 || ahead === 1)) return version;
    throw damaged(this.file.path, `version ${version} in a file of generation ${this.file.generation}`);
  }

  /**
   * Makes `text`, of at most `maxBytes` bytes, the document. Under the exclusive lock; the document before may be damaged.
   * @returns its version
   */
  commit(text: string): number {
    const { file } = this;
    file.takeInToStore();
    const version = this.#newestVersion() + 1;
    // Even, whatever it was: the other slot than the current one.
    const sequence = ((file.sequence & ~1) + 2) | 0;
    const slot = this.#slots[slotAt(sequence)];
    this.#reserve(SLOT.text + Math.min(3 * text.length, this.maxBytes));
    const textBytes = writeSlot(slot, this.#copy, version, text);
    file.publish(file.at.sequence, sequence);
    this.#storeVersion(version);
    writeMirror(file, slot, textBytes);
    file.publish(this.#mirrored, sequence);
    file.giveOut();
    return version;
  }

  /** Of the document; where document and footer contradict each other, the higher one of what can be believed. */
  #newestVersion(): number {
    const { file } = this;
    const known = file.loadVersion(file.at.commits);
    const version = this.#versionOf(file.sequence);
    // A killed writer may have made the document current and not yet counted it.
    if (version === known || version === known + 1) return version;
    const believed = [0];
    if (Number.isSafeInteger(known)) believed.push(known + 1);
    if (this.#isSlotWhole() && Number.isSafeInteger(version)) believed.push(version);
    return Math.max(...believed);
  }

  #isSlotWhole(): boolean {
    const textBytes = this.#copySlot(this.file.sequence);
    if (textBytes > this.maxBytes) return false;
    const { header } = this.#copy;
    return header.getUint32(SLOT.crc, true) === this.#copy.checksum(textBytes);
  }

  #storeVersion(version: number): void {
    const { words, at } = this.file;
    words[at.before] = words[at.commits] as number;
    words[at.before + 1] = words[at.generation] as number;
    words[at.commits] = version % TWO_TO_THE_32;
    words[at.generation] = Math.floor(version / TWO_TO_THE_32);
  }

  /** Whether a writer is at work, or was killed before it had written all. */
  get needsRepair(): boolean {
    return this.file.load(this.#mirrored) !== this.file.sequence;
  }

  /**
   * Sets the text at the start and the footer's version right, if a writer was killed while it wrote them. Under the
   * exclusive lock.
   */
  repair(): void {
    const { file } = this;
    file.takeIn();
    const { sequence } = file;
    const slot = this.#slots[slotAt(sequence)];
    const textBytes = slot.header.getUint32(SLOT.textBytes, true);
    if (!this.needsRepair || textBytes > this.maxBytes) return;
    this.#storeVersion(this.#newestVersion());
    writeMirror(file, slot, textBytes);
    file.publish(this.#mirrored, sequence);
    file.giveOut();
  }

  copyCommitted(): ContentCopy | undefined {
    const committed = this.tryRead();
    if (committed === undefined) return undefined;
    const format = formatFor(this.maxBytes);
    const bytes = new Uint8Array(format.contentBytes);
    writeFirst(bytes, format, committed);
    return { bytes, version: committed.version };
  }
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw damaged(path, "a document that is no UTF-8");
  }
}
