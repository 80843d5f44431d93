/** Text of C's wchar_t. */
import type { Memory } from "../memory/memory.ts";
import { outOfRange, wrongType } from "../validation-error.ts";
import { type CType, ownType } from "./types.ts";

const UNIT_BYTES = 4;
/** As many as one call of `fromCodePoint` takes. */
const CODES = 1024;

/** A code point, or U+FFFD for what is no code point. */
const codePoint = (code: number): number =>
  code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0xfffd : code;

/**
 * `wchar_t[length]` as text up to the first NUL, a code point an element, as Linux has it (4 bytes; on Windows 2, see
 * `windows.wchars`). Text that fills the field has no NUL, as in C; the elements behind the text are zeroed. Longer text
 * is refused, and so are a NUL inside it and lone surrogates. Memory that holds no code point reads as U+FFFD.
 * @param length elements (code points) of the field
 * @throws RangeError for a length that is no positive whole number
 * @example @field(wchars(256)) name!: string
 */
export function wchars(length: number): CType<string> {
  if (!Number.isSafeInteger(length) || length < 1)
    throw new RangeError(`wchars(${length}): expected a positive whole number of characters`);
  return ownType(
    {
      kind: "text" as const,
      name: `wchars(${length})`,
      size: UNIT_BYTES * length,
      align: UNIT_BYTES,
      schema: { wchars: length },
      read: (memory: Memory, o: number) => readWide(memory, o, length),
      write: (memory: Memory, o: number, value: string) => writeWide(memory, o, length, value),
      check: (value: unknown) => checkWide(value, length),
    },
    String,
  );
}

function readWide({ view, littleEndian }: Memory, byteOffset: number, length: number): string {
  let text = "";
  let codes: number[] = [];
  for (let i = 0; i < length; i++) {
    const code = view.getUint32(byteOffset + UNIT_BYTES * i, littleEndian);
    if (code === 0) break;
    codes.push(codePoint(code));
    if (codes.length < CODES) continue;
    text += String.fromCodePoint(...codes);
    codes = [];
  }
  return text + String.fromCodePoint(...codes);
}

function writeWide({ view, littleEndian }: Memory, byteOffset: number, length: number, value: string): void {
  let i = 0;
  for (const letter of value)
    view.setUint32(byteOffset + UNIT_BYTES * i++, letter.codePointAt(0) as number, littleEndian);
  for (; i < length; i++) view.setUint32(byteOffset + UNIT_BYTES * i, 0, littleEndian);
}

function checkWide(value: unknown, length: number): string {
  if (typeof value !== "string") throw wrongType("a string", value);
  if (!value.isWellFormed()) throw outOfRange("well-formed text (no lone surrogate)", value);
  if (value.includes("\0"))
    throw outOfRange("text without NUL (U+0000), which would end it when read", value);
  // A pair of surrogates is one character.
  const count = value.length <= length ? value.length : [...value].length;
  if (count > length) throw outOfRange(`text of at most ${length} characters (this has ${count})`, value);
  return value;
}
