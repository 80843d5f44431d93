/** Text in fixed-size fields. */
import { checkOptions } from "../../errors/check-options.ts";
import { show } from "../../errors/show.ts";
import { bytesBackend, type TextEncoding } from "../memory/bytes-backend.ts";
import type { Memory } from "../memory/memory.ts";
import { readText, type TextFormat } from "../memory/private-text.ts";
import { outOfRange, wrongType } from "../validation-error.ts";
import { type CType, madeSound, ownType } from "./types.ts";

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

/** What the text of a flexible `char name[]` adds to a type: how many bytes there are only its memory tells. */
export interface OpenText extends CType<string> {
  readonly open: true;
  /** @throws TypeError, RangeError for text that takes more than `room` bytes */
  checkIn(value: unknown, room: number): string;
}

export const isOpenText = (type: CType<unknown>): type is OpenText =>
  (type as Partial<OpenText>).open === true;

/**
 * A flexible `char[]` as text, last in its struct, which ends at its NUL or where the memory ends. Of the bytes behind the text
 * only the NUL is stored. All else is as for `chars(size)`.
 * @param options.encoding `"utf8"` unless given, `"latin1"` (a byte a character), or `"utf16le"` (two bytes a unit)
 * @throws TypeError for an option or encoding there is not
 * @example @field(chars()) name!: string   // last member: char name[]
 */
export function chars(options?: { encoding?: TextEncoding | undefined }): CType<string>;
/**
 * `char[size]` as text up to the first NUL, in UTF-8 unless told otherwise.
 * Text that fills the field to its last byte has no NUL, as in C and ctypes; the bytes behind the text are zeroed. Longer
 * text is refused (never cut), and so are a NUL inside it and lone surrogates. Bytes that are not valid in the encoding read as
 * U+FFFD. UTF-16 is aligned to 2 bytes, as `char16_t` is.
 * @param size bytes (not characters) of the field
 * @param options.encoding `"utf8"` unless given, `"latin1"` (a byte a character), or `"utf16le"` (two bytes a unit)
 * @throws TypeError for an option or encoding there is not, RangeError for a size that is not one
 * @example @field(chars(32)) name!: string
 */
export function chars(size: number, options?: { encoding?: TextEncoding | undefined }): CType<string>;
export function chars(
  sizeOrOptions?: number | { encoding?: TextEncoding | undefined },
  options: { encoding?: TextEncoding | undefined } = {},
): CType<string> {
  // In this order also a compiler without strictNullChecks knows which is which.
  if (typeof sizeOrOptions === "object") return textOf(undefined, sizeOrOptions ?? options);
  return textOf(sizeOrOptions, options);
}

function textOf(size: number | undefined, options: { encoding?: TextEncoding | undefined }): CType<string> {
  const where = `chars(${size === undefined ? "" : typeof size === "number" ? size : show(size)})`;
  checkOptions(where, options, { encoding: "string" });
  const { encoding = "utf8" } = options;
  const codec = Object.hasOwn(codecs, encoding) ? codecs[encoding] : undefined;
  if (codec === undefined)
    throw new TypeError(
      `chars: unknown encoding ${JSON.stringify(encoding)}; use ${Object.keys(codecs).join(", ")}`,
    );
  if (size === undefined) return openText(codec);
  if (!Number.isSafeInteger(size) || size < 1 || size % codec.unit !== 0) {
    throw new RangeError(
      `${where}: expected a positive whole number of bytes${codec.unit === 2 ? ", even for utf16le" : ""}`,
    );
  }
  return ownType(
    {
      kind: "text" as const,
      name: encoding === "utf8" ? where : `chars(${size}, ${encoding})`,
      size,
      align: codec.unit,
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

function openText(codec: Codec): OpenText {
  const { encoding, unit } = codec;
  const roomIn = (memory: Memory, o: number) => Math.max(0, memory.view.byteLength - o) & ~(unit - 1);
  const type: OpenText = {
    kind: "text",
    open: true,
    name: encoding === "utf8" ? "chars()" : `chars(${encoding})`,
    size: 0,
    align: unit,
    schema: { chars: null, ...(encoding !== "utf8" && { encoding }) },
    read: (memory, o) => readText(memory, o, roomIn(memory, o), codec),
    write: (memory, o, value) => {
      const room = roomIn(memory, o);
      const written = bytesBackend.encode[encoding](value, memory.bytes, o, room);
      memory.bytes.fill(0, o + written, o + Math.min(written + unit, room));
    },
    check: (value) => checkText(value, Infinity, codec),
    checkIn: (value, room) => checkText(value, room & ~(unit - 1), codec),
  };
  return madeSound(ownType(type, String));
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
