/**
 * What a schema may be at most. Files come from anywhere: whoever opens one must get a class or an error, soon, and
 * not run out of memory. All of it is far above what structs need.
 */

/** Of the JSON in a file. */
export const MAX_SCHEMA_BYTES = 2 ** 24;
/** Structs in structs, and arrays in arrays. */
export const MAX_DEPTH = 64;
/** Members of all structs together, those of anonymous members counted again where they appear. */
export const MAX_MEMBERS = 100_000;
/** Characters of all dotted paths together, which reports of differences and fingerprints spell out. */
export const MAX_PATH_CHARACTERS = 2 ** 24;
/** Characters of a member's or a type's name. */
export const MAX_NAME_LENGTH = 255;
/** Characters of a struct's name, which becomes part of a file's name. */
export const MAX_STRUCT_NAME_LENGTH = 200;
/** Labels of all enums together. */
export const MAX_LABELS = 100_000;
/** Characters of a label's value: the longest is -2^63. */
export const MAX_LABEL_DIGITS = 20;
