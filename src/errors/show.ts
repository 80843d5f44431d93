/** Values in messages. */

/**
 * What a terminal, a log or an editor may take as an order, or show in another order than it stands: control characters,
 * new lines, the marks of text direction, and halves of surrogate pairs.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const escapeCharacter = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/**
 * Text of a file or of another process as it may be printed: one line, each character of it visible.
 * @example escapeText("\u001b[2J") // "\\u001b[2J"
 */
export const escapeText = (text: string): string => text.replace(UNPRINTABLE, escapeCharacter);

/** The same for a message of several lines: new lines stay. */
export const escapeLines = (text: string): string => text.split("\n").map(escapeText).join("\n");

const HUGE = 10n ** 59n;

/** Short and safe text for any value, for messages. */
export function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length > 60 ? `${quote(value.slice(0, 60))}… (${value.length} characters)` : quote(value);
    case "bigint":
      return value > HUGE || value < -HUGE ? "a huge bigint" : `${value}n`;
    case "function":
      return `function ${escapeText(value.name)}`;
    case "object":
      return value === null
        ? "null"
        : `${Array.isArray(value) ? `an array of ${value.length}` : objectName(value)}`;
    default:
      return Object.is(value, -0) ? "-0" : escapeText(String(value));
  }
}

/** Text in quotation marks, as JavaScript writes it. */
export const quote = (text: string): string => escapeText(JSON.stringify(text));

function objectName(value: object): string {
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  if (typeof name !== "string" || name === "" || name === "Object") return "an object";
  return `${SPOKEN_WITH_AN.test(name) ? "an" : "a"} ${escapeText(name)}`;
}

/** Words that begin with a vowel, and single letters whose names do. */
const SPOKEN_WITH_AN = /^([AEIOaeio]|[AEFHILMNORSXaefhilmnorsx]$)/;
