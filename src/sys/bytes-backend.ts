/** Gives structs the runtime's own ways with bytes, a Buffer's: imported for its effect by the main module. */
import { provideBytes } from "../struct/memory/bytes-backend.ts";

/**
 * What `toString` and `write` of a Buffer do once they know the encoding; for short text that takes most of the time.
 * They work on any Uint8Array.
 */
type BufferMethods = {
  [M in `${"utf8" | "latin1" | "ucs2"}Slice`]: (start: number, end: number) => string;
} & {
  [M in `${"utf8" | "latin1" | "ucs2"}Write`]: (text: string, start: number, length: number) => number;
} & {
  copy(target: Uint8Array, targetStart: number, start: number, end: number): number;
};

const { utf8Slice, latin1Slice, ucs2Slice, utf8Write, latin1Write, ucs2Write, copy } =
  Buffer.prototype as unknown as BufferMethods;

provideBytes({
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
