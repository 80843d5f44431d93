/**
 * What a schema may be at most. Files come from anywhere: opening one must give a class or an error, soon, and not run
 * out of memory. All of it is far above what most structs need.
 */
import { checkOptions } from "../../errors/check-options.ts";

/** Structs in structs, and arrays in arrays. */
export const MAX_DEPTH = 64;
/** Characters of all dotted paths together, which reports of differences and fingerprints spell out. */
export const MAX_PATH_CHARACTERS = 2 ** 22;
/** Characters of a member's or a type's name. */
export const MAX_NAME_LENGTH = 255;
/** Characters of a struct's name, which becomes part of a file's name. */
export const MAX_STRUCT_NAME_LENGTH = 200;
/** Characters of a label's value: the longest is -2^63. */
export const MAX_LABEL_DIGITS = 20;

/**
 * How much a schema may make. A file comes from anywhere, so its schema gets less than one that a program hands over.
 * Raise a limit for a file that you know; what a program declares itself has none.
 * @example openReader(path, { limits: { members: 50_000 } });
 */
export interface SchemaLimits {
  /** Bytes of its JSON in a file. Default 4 MiB. */
  readonly bytes?: number | undefined;
  /**
   * Members of all structs together, those of anonymous members counted again where they appear. Default 1024 in a
   * file, 100,000 in `structFromSchema`.
   */
  readonly members?: number | undefined;
  /**
   * Classes that its views need: one for each struct that is spelt out, and one for each level of an array whose elements
   * are not plain numbers. Default 128 in a file, 8192 in `structFromSchema`.
   */
  readonly classes?: number | undefined;
  /** Labels of all enums together. Default 16,384 in a file, 100,000 in `structFromSchema`. */
  readonly labels?: number | undefined;
}

type Limits = Required<{ readonly [K in keyof SchemaLimits]: number }>;

const GENEROUS: Limits = { bytes: 2 ** 24, members: 100_000, classes: 8192, labels: 100_000 };
const OF_FILES: Limits = { bytes: 2 ** 22, members: 1024, classes: 128, labels: 16_384 };

/**
 * Of files that a mirror or a tool shows, and of those with which a program's own struct is compared: a monitor of three
 * fields opens a struct of thousands. Members take 6 us each, classes many times that.
 */
export const OF_TOOLS = { members: 20_000, classes: 512 } as const satisfies SchemaLimits;

/** Of files with which a program's own struct is compared that has so many members: another version of it may have twice as many. */
export const limitsBeside = (members: number): SchemaLimits => ({
  members: Math.max(OF_TOOLS.members, 2 * members),
  classes: Math.max(OF_TOOLS.classes, 2 * members),
});

/**
 * The limits of a schema that a program hands over.
 * @throws TypeError for a limit there is not, and for what is no whole number from 0 on
 */
export const schemaLimits = (given?: SchemaLimits): Limits => limitsOf(given, GENEROUS);

/**
 * The limits of a schema in a file.
 * @throws TypeError for a limit there is not, and for what is no whole number from 0 on
 */
export const limitsInFile = (given?: SchemaLimits): Limits => limitsOf(given, OF_FILES);

function limitsOf(given: SchemaLimits = {}, defaults: Limits): Limits {
  checkOptions("option limits", given, {
    bytes: "number",
    members: "number",
    classes: "number",
    labels: "number",
  });
  const entries = Object.entries(given).filter((entry): entry is [string, number] => entry[1] !== undefined);
  for (const [name, value] of entries) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new TypeError(`option limits: ${name} must be a whole number from 0 on, got ${value}`);
  }
  return { ...defaults, ...Object.fromEntries(entries) };
}
