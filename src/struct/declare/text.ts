/** Text in fixed-size fields. */
import { checkOptions } from "../../errors/check-options.ts";
import { bytesBackend, type TextEncoding } from "../memory/bytes-backend.ts";
import type { Memory } from "../memory/memory.ts";
import { readText, type TextFormat } from "../memory/private-text.ts";
import { outOfRange, wrongType } from "../validation-error.ts";
import { type CType, ownType } from "./types.ts";

interface Codec extends TextFormat {
  /** The most bytes that one unit of a JavaScript string takes. */
  readonly most: number;
  readonly byteLength: (text: string) => number;
  /** Why the encoding cannot hold the text, if it cannot. */
  readonly problem: (text: string) => string | undefined;
}

const malformed = (text: string) =>
  text.isWellFormed() ? undefined : "well-formed text (no lone surrogate)";

const codecs: Record<TextEncoding, Codec> = {
  utf8: {
    encoding: "utf8",
    unit: 1,
    most: 3,
    byteLength: (text) => bytesBackend.utf8Length(text),
    problem: malformed,
  },
  latin1: {
    encoding: "latin1",
    unit: 1,
    most: 1,
    byteLength: (text) => text.length,
    problem: (text) => (/^[\0-\xff]*$/.test(text) ? undefined : "characters up to U+00FF (Latin-1)"),
  },
  utf16le: {
    encoding: "utf16le",
    unit: 2,
    most: 2,
    byteLength: (text) => text.length * 2,
    problem: malformed,
  },
};

/**
 * `char[size]` as text up to the first NUL, in UTF-8 unless told otherwise.
 * Text that fills the field to its last byte has no NUL, as in C and ctypes; the bytes behind the text are zeroed.
 * Longer text is refused (never cut), and so are a NUL inside it and lone surrogates. Bytes that are not valid
 * in the encoding read as U+FFFD.
 * @param size bytes (not characters) of the field
 * @param options.encoding `"utf8"` unless given, `"latin1"` (a byte a character), or `"utf16le"` (two bytes a unit)
 * @throws TypeError for an option or encoding there is not, RangeError for a size that is none
 * @example @field(chars(32)) name!: string
 */
export function chars(size: number, options: { encoding?: TextEncoding | undefined } = {}): CType<string> {
  checkOptions(`chars(${size})`, options, { encoding: "string" });
  const { encoding = "utf8" } = options;
  const codec = Object.hasOwn(codecs, encoding) ? codecs[encoding] : undefined;
  if (codec === undefined)
    throw new TypeError(
      `chars: unknown encoding ${JSON.stringify(encoding)}; use ${Object.keys(codecs).join(", ")}`,
    );
  if (!Number.isSafeInteger(size) || size < 1 || size % codec.unit !== 0) {
    throw new RangeError(
      `chars(${size}): expected a positive whole number of bytes${codec.unit === 2 ? ", even for utf16le" : ""}`,
    );
  }
  const name = encoding === "utf8" ? `chars(${size})` : `chars(${size}, ${encoding})`;
  return ownType(
    {
      kind: "text" as const,
      name,
      size,
      align: 1,
      schema: { chars: size, ...(encoding !== "utf8" && { encoding }) },
      read: (memory: Memory, o: number) => readText(memory, o, size, codec),
      write: (memory: Memory, o: number, value: string) => {
        const { bytes } = memory;
        const written = bytesBackend.encode[encoding](value, bytes, o, size);
        bytes.fill(0, o + written, o + size);
      },
      check: (value: unknown) => checkText(value, size, codec),
    },
    String,
  );
}

function checkText(value: unknown, size: number, codec: Codec): string {
  if (typeof value !== "string") throw wrongType("a string", value);
  const problem = codec.problem(value);
  if (problem !== undefined) throw outOfRange(problem, value);
  if (value.includes("\0"))
    throw outOfRange("text without NUL (U+0000), which would end it when read", value);
  if (value.length * codec.most <= size) return value;
  const byteLength = codec.byteLength(value);
  if (byteLength > size) throw outOfRange(`text of at most ${size} bytes (this takes ${byteLength})`, value);
  return value;
}
