/** The types of C on Windows that are not those of Linux, for structs that its programs share. */
import { chars } from "./text.ts";
import { type CType, c_double, c_int32, c_uint32 } from "./types.ts";

/**
 * C's types by their sizes on Windows (LLP64): `long` has 4 bytes, `wchar_t` is UTF-16, `long double` a double. Layouts
 * are else the same, but for bit-fields, which Microsoft's compiler packs in another way.
 * @example class rF2Wheel extends Struct { @field(windows.c_long) mID!: number }
 */
export const windows = {
  /** `long`, 4 bytes. */
  c_long: c_int32,
  /** `unsigned long`, 4 bytes: also DWORD. */
  c_ulong: c_uint32,
  /** `long double`, 8 bytes. */
  c_longdouble: c_double,
  /** `wchar_t[length]` as text: UTF-16 in 2 bytes a unit. @example @field(windows.wchars(64)) name!: string */
  wchars: (length: number): CType<string> => chars(2 * length, { encoding: "utf16le" }),
} as const;
