/** What the document tests share: a directory of their own, and the content of a file as a JsonMap opens it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DocumentContent, documentPlan, documentType } from "../../src/document/document-content.ts";
import { documentWords, SLOT } from "../../src/document/document-format.ts";
import { createSegment } from "../../src/segment/create.ts";
import { AT, FOOTER_BYTES } from "../../src/segment/footer.ts";
import { placeBeside } from "../../src/segment/place.ts";
import { SegmentFile } from "../../src/segment/segment-file.ts";

/** How much further the version is in the file after the next. */
export const GENERATION = 2 ** 32;

/** A directory that is removed at the end of the scope, and new names in it. */
export class DocumentDir implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "shmstruct-document-"));
  #files = 0;

  newFile(): string {
    return join(this.dir, `d${this.#files++}`);
  }

  /** A file without a JsonMap: with `text`, or without a document. */
  make(maxBytes: number, text?: string): string {
    const path = this.newFile();
    createSegment(placeBeside(path), documentPlan(maxBytes, text), documentType, { mode: 0o600 });
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A content that closes its file at the end of the scope. */
export type OpenContent = DocumentContent & Disposable;

/** The document in a file, as JsonMaps open it. @throws FileMissingError, FileFormatError, SystemError */
export function openContent(path: string, access: "read" | "write" = "write"): OpenContent {
  const file = SegmentFile.open(path, { access, words: documentWords, leastBytes: 1 });
  try {
    const content = documentType.open(file);
    return Object.assign(content, { [Symbol.dispose]: () => file.close() });
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Where a field of the footer is in a file with these bytes. */
export const footerAt = (bytes: Uint8Array, field: keyof typeof AT): number =>
  bytes.byteLength - FOOTER_BYTES + AT[field];

/** Stores a version, as a slot and the footer have it. */
export function writeVersion(view: DataView, byteOffset: number, version: number): void {
  view.setUint32(byteOffset, version % GENERATION, true);
  view.setUint32(byteOffset + 4, Math.floor(version / GENERATION), true);
}

/** Gives the slot at an offset, with its text, another version, and the checksum that goes with it. */
export function forgeSlotVersion(bytes: Uint8Array, slotOffset: number, version: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + slotOffset);
  writeVersion(view, SLOT.version, version);
  const end = SLOT.text + view.getUint32(SLOT.textBytes, true);
  const covered = bytes.subarray(slotOffset + SLOT.textBytes, slotOffset + end);
  view.setUint32(SLOT.crc, Bun.hash.crc32(covered), true);
}
