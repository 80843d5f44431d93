/** Gives structs the runtime's own ways with bytes, a Buffer's: imported for its effect by the main module. */
import { provideBytes, UTF8_BYTES_MAX } from "../struct/memory/bytes-backend.ts";

/**
 * What `toString` and `write` of a Buffer do once they know the encoding; for short text that takes most of the time.
 * They work on any Uint8Array.
 */
type BufferMethods = {
  [M in `${"utf8" | "latin1" | "ucs2"}Slice`]: (start: number, end: number) => string;
} & {
  [M in `${"utf8" | "latin1" | "ucs2"}Write`]: (text: string, start: number, length: number) => number;
} & {
  indexOf(value: number, start: number): number;
  copy(target: Uint8Array, targetStart: number, start: number, end: number): number;
};

const { utf8Slice, latin1Slice, ucs2Slice, utf8Write, latin1Write, ucs2Write, copy, indexOf } =
  Buffer.prototype as unknown as BufferMethods;

/** Private memory for text and a NUL behind it: from the copy to the string no other code runs. */
const scratch = new Uint8Array(UTF8_BYTES_MAX + 1);
/** As much of it as is looked through: a view for the text alone would take longer to make. */
const begins = { short: scratch.subarray(0, 256), long: scratch.subarray(0, UTF8_BYTES_MAX) };
let isAscii: typeof import("node:buffer").isAscii | undefined;

/** Latin-1 is the quicker decoder, the look whether it may be used included. Old bytes behind the text only make that look fail. */
function readUtf8(bytes: Uint8Array, start: number, size: number): string {
  isAscii ??= process.getBuiltinModule("node:buffer").isAscii;
  copy.call(bytes as never, scratch, 0, start, start + size);
  scratch[size] = 0;
  const end = indexOf.call(scratch as never, 0, 0);
  const begin = end <= begins.short.length ? begins.short : begins.long;
  return isAscii(begin)
    ? latin1Slice.call(scratch as never, 0, end)
    : utf8Slice.call(scratch as never, 0, end);
}

provideBytes({
  readUtf8,
  decode: {
    utf8: (bytes, end) => utf8Slice.call(bytes as never, 0, end),
    latin1: (bytes, end) => latin1Slice.call(bytes as never, 0, end),
    utf16le: (bytes, end) => ucs2Slice.call(bytes as never, 0, end),
  },
  encode: {
    utf8: (text, bytes, start, length) => utf8Write.call(bytes as never, text, start, length),
    latin1: (text, bytes, start, length) => latin1Write.call(bytes as never, text, start, length),
    utf16le: (text, bytes, start, length) => ucs2Write.call(bytes as never, text, start, length),
  },
  utf8Length: (text) => Buffer.byteLength(text),
  copy: (source, target, targetStart, start, end) =>
    void copy.call(source as never, target, targetStart, start, end),
  sha256:
    typeof Bun === "undefined" ? undefined : (bytes) => new Bun.CryptoHasher("sha256").update(bytes).digest(),
});
