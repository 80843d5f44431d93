/**
 * Text from and to bytes, copies of bytes, and a hash of them. What every JavaScript has does it; a room that knows its runtime may
 * provide something faster.
 */

/** How `chars` stores text. @example chars(32, { encoding: "latin1" }) */
export type TextEncoding = "utf8" | "latin1" | "utf16le";

/** As many bytes as `readUtf8` takes. */
export const UTF8_BYTES_MAX = 1024;

/** What there is to do with bytes. */
export interface BytesBackend {
  /** The text of the first `end` bytes, of private memory; what is not valid reads as U+FFFD. */
  readonly decode: Readonly<Record<TextEncoding, (bytes: Uint8Array, end: number) => string>>;
  /**
   * The UTF-8 text of the `size` bytes from `start` on, up to the first NUL; `size` is at most `UTF8_BYTES_MAX`. The bytes may change at any time: each is
   * read once. Left out: `copy` and `decode` do it.
   */
  readonly readUtf8?: ((bytes: Uint8Array, start: number, size: number) => string) | undefined;
  /** Writes the text from `start` on into at most `length` bytes; returns how many it wrote. */
  readonly encode: Readonly<
    Record<TextEncoding, (text: string, bytes: Uint8Array, start: number, length: number) => number>
  >;
  /** Bytes of the text in UTF-8. */
  readonly utf8Length: (text: string) => number;
  /**
   * Copies the bytes from `start` up to `end` to `targetStart`, in one go and not byte by byte: who reads a number
   * meanwhile, without a lock, must not see half of it.
   */
  readonly copy: (
    source: Uint8Array,
    target: Uint8Array,
    targetStart: number,
    start: number,
    end: number,
  ) => void;
  /** The 32 bytes of SHA-256. Left out: in JavaScript, which takes 2 ms the first time. */
  readonly sha256?: ((bytes: Uint8Array) => Uint8Array) | undefined;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** As many units as one call of `fromCharCode` takes. */
const UNITS = 8192;

function textOfUnits(units: Uint8Array | Uint16Array): string {
  let text = "";
  for (let i = 0; i < units.length; i += UNITS) text += String.fromCharCode(...units.subarray(i, i + UNITS));
  return text;
}

/** The bytes may begin anywhere, and the machine may be big-endian. */
function unitsOf(bytes: Uint8Array, end: number): Uint16Array {
  return Uint16Array.from(
    { length: end >> 1 },
    (_, i) => (bytes[2 * i] as number) | ((bytes[2 * i + 1] as number) << 8),
  );
}

function putUtf8(text: string, bytes: Uint8Array, start: number, length: number): number {
  const encoded = encoder.encode(text).subarray(0, length);
  bytes.set(encoded, start);
  return encoded.length;
}

function putLatin1(text: string, bytes: Uint8Array, start: number, length: number): number {
  const count = Math.min(text.length, length);
  for (let i = 0; i < count; i++) bytes[start + i] = text.charCodeAt(i);
  return count;
}

function putUtf16(text: string, bytes: Uint8Array, start: number, length: number): number {
  const count = Math.min(text.length, length >> 1);
  for (let i = 0; i < count; i++) {
    const unit = text.charCodeAt(i);
    bytes[start + 2 * i] = unit & 0xff;
    bytes[start + 2 * i + 1] = unit >> 8;
  }
  return count * 2;
}

/** By what every JavaScript has. */
export const portable: BytesBackend = {
  decode: {
    utf8: (bytes, end) => decoder.decode(bytes.subarray(0, end)),
    latin1: (bytes, end) => textOfUnits(bytes.subarray(0, end)),
    utf16le: (bytes, end) => textOfUnits(unitsOf(bytes, end)),
  },
  encode: { utf8: putUtf8, latin1: putLatin1, utf16le: putUtf16 },
  utf8Length: (text) => encoder.encode(text).length,
  copy: (source, target, targetStart, start, end) => target.set(source.subarray(start, end), targetStart),
};

/** The one in use. */
export let bytesBackend: BytesBackend = portable;

/** Called by the room that knows the runtime; this one knows none. */
export function provideBytes(backend: BytesBackend): void {
  bytesBackend = backend;
}
