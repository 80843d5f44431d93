/**
 * Searching memory that other processes may change meanwhile. The searches of the runtime may look at a byte more than
 * once and trust that it stays: so they get private copies, piece by piece.
 */

const NEWLINE = 10;

/** So much is copied and searched at once. A longer needle makes it more. */
const PIECE_BYTES = 65_536;

/** The first piece of a line is shorter, as most lines are. */
const LINE_BYTES = 256;

/** Index of the first match, or -1. `needle` must be private memory. */
export function findFirst(bytes: Uint8Array<ArrayBuffer>, needle: Uint8Array): number {
  const pieces = piecesOf(bytes.length, needle.length);
  for (let start = 0; ; start += pieces.step) {
    const index = privateCopy(bytes, start, start + pieces.length).indexOf(needle);
    if (index >= 0) return start + index;
    if (start + pieces.length >= bytes.length) return -1;
  }
}

/** Index of the last match, or -1; an empty needle is at the end. `needle` must be private memory. */
export function findLast(bytes: Uint8Array<ArrayBuffer>, needle: Uint8Array): number {
  if (needle.length === 0) return bytes.length;
  const pieces = piecesOf(bytes.length, needle.length);
  for (let end = bytes.length; ; end -= pieces.step) {
    const start = Math.max(0, end - pieces.length);
    const index = privateCopy(bytes, start, end).lastIndexOf(needle);
    if (index >= 0) return start + index;
    if (start === 0) return -1;
  }
}

/** Each piece begins so far before the end of the one before that a match on the border is in one of the two. */
function piecesOf(byteLength: number, needleLength: number): { length: number; step: number } {
  const length = Math.min(byteLength, Math.max(PIECE_BYTES, 4 * needleLength));
  return { length, step: length - Math.max(0, needleLength - 1) };
}

/** A copy of the bytes from `start` up to and with the next newline, or to the end. */
export function copyLine(bytes: Uint8Array<ArrayBuffer>, start: number): Uint8Array<ArrayBuffer> {
  for (let length = LINE_BYTES; ; length *= 16) {
    const copy = privateCopy(bytes, start, start + length);
    const newline = copy.indexOf(NEWLINE);
    if (newline >= 0) return Uint8Array.prototype.slice.call(copy, 0, newline + 1) as Uint8Array<ArrayBuffer>;
    if (start + length >= bytes.length) return new Uint8Array(copy.buffer);
  }
}

/** As a Buffer, which can search for several bytes. */
function privateCopy(bytes: Uint8Array<ArrayBuffer>, start: number, end: number): Buffer<ArrayBuffer> {
  return Buffer.from(bytes.slice(start, end).buffer);
}
