/**
 * Text is copied to private memory before it is decoded. The decoders of the runtime look at their bytes twice: they
 * measure, then they convert. When another process rewrites the text in between, they write past their memory, and
 * the process crashes. So the end of the text is found in the copy, too, and each byte of the field is read once.
 */
import { bytesBackend, type TextEncoding, UTF8_BYTES_MAX } from "./bytes-backend.ts";
import type { Memory } from "./memory.ts";

/** How text ends, and how its bytes are read. */
export interface TextFormat {
  /** Bytes of the terminating NUL. */
  readonly unit: 1 | 2;
  readonly encoding: TextEncoding;
}

/** Up to here a loop that copies and looks for the end at once is faster than two calls. */
const SHORT_BYTES = 128;
/** What longer text is copied in at first; when it does not end there, in 64 times as much. */
const FIRST_BYTES = 1024;
const SCRATCH_BYTES = 64 * FIRST_BYTES;

// One for the whole thread: between the copy and the string no other code runs.
const scratch = newCopy(SCRATCH_BYTES);
const scratchUnits = new Uint16Array(scratch.buffer);
const scratchWords = new Int32Array(scratch.buffer, 0, SCRATCH_BYTES / 4);

/** The text of the field at `start`, up to its first NUL or to the end of the field. */
export function readText(memory: Memory, start: number, size: number, format: TextFormat): string {
  const { bytes, view } = memory;
  // Only a hint: it decides which way is taken, not how long the text is.
  if (size > SHORT_BYTES && bytes[start + SHORT_BYTES - 2] !== 0)
    return readLonger(bytes, start, size, format);
  // A word has a zero byte (or half) exactly if subtracting 1 from each lane borrows in a lane whose top bit is clear.
  let seen = 0;
  const ones = format.unit === 1 ? 0x01010101 : 0x00010001;
  const tops = format.unit === 1 ? 0x80808080 : 0x80008000;
  const wordsEnd = Math.min(size, SHORT_BYTES) & ~7;
  for (let i = 0; i < wordsEnd; i += 8) {
    const low = view.getInt32(start + i, true);
    const high = view.getInt32(start + i + 4, true);
    scratchWords[i >> 2] = low;
    scratchWords[(i >> 2) + 1] = high;
    seen |= low | high;
    if (((((low - ones) & ~low) | ((high - ones) & ~high)) & tops) !== 0)
      return decodeSeen(seen, endOfText(scratch, i, i + 8, format.unit), format);
  }
  if (size > SHORT_BYTES) return readLong(bytes, start, size, format, FIRST_BYTES);
  for (let i = wordsEnd; i < size; i++) scratch[i] = bytes[start + i] as number;
  return bytesBackend.decode[format.encoding](scratch, endOfText(scratch, wordsEnd, size, format.unit));
}

/** Letters of ASCII alone, of which `seen` has all bits, are the same in Latin-1, whose decoder has less to look at. */
function decodeSeen(seen: number, end: number, { encoding }: TextFormat): string {
  const isAscii = (seen & 0x80808080) === 0 && encoding === "utf8";
  return bytesBackend.decode[isAscii ? "latin1" : encoding](scratch, end);
}

function readLonger(bytes: Uint8Array, start: number, size: number, format: TextFormat): string {
  const { readUtf8 } = bytesBackend;
  if (readUtf8 !== undefined && size <= UTF8_BYTES_MAX && format.encoding === "utf8")
    return readUtf8(bytes, start, size);
  return readLong(bytes, start, size, format, FIRST_BYTES);
}

/** Copies no more than it needs, give or take a factor: a field of 1 GiB may hold three letters. */
function readLong(bytes: Uint8Array, start: number, size: number, format: TextFormat, upTo: number): string {
  const length = Math.min(size, upTo);
  const copy = length <= SCRATCH_BYTES ? scratch : newCopy(length);
  bytesBackend.copy(bytes, copy, 0, start, start + length);
  const end = format.unit === 1 ? endOfBytes(copy, length) : endOfUnits(copy, length);
  if (end < length || length === size) return bytesBackend.decode[format.encoding](copy, end);
  return readLong(bytes, start, size, format, upTo * (SCRATCH_BYTES / FIRST_BYTES));
}

/** With room for the NUL that stops the search. */
function newCopy(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(byteLength + 2);
}

function endOfBytes(copy: Uint8Array, length: number): number {
  copy[length] = 0;
  return copy.indexOf(0);
}

function endOfUnits(copy: Uint8Array, length: number): number {
  const units = copy === scratch ? scratchUnits : new Uint16Array(copy.buffer, 0, length / 2 + 1);
  units[length / 2] = 0;
  return units.indexOf(0) * 2;
}

function endOfText(copy: Uint8Array, start: number, end: number, unit: 1 | 2): number {
  for (let i = start; i < end; i += unit) {
    if (copy[i] === 0 && (unit === 1 || copy[i + 1] === 0)) return i;
  }
  return end;
}
