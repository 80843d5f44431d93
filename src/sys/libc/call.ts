/** The one gate between libc's return values and JavaScript: a failure becomes a `SystemError`. */
import { SystemError } from "../../errors/errors.ts";
import { errnoName } from "./constants.ts";
import { readInt32 } from "./ffi.ts";
import { errnoLocation } from "./symbols.ts";

/** The errno of the libc call made just before in this thread. Nothing else may be called in between. */
export function lastErrno(): number {
  return readInt32(errnoLocation());
}

/** What to do about a failure, by errno: a hint that does not fit the error misleads. */
export type Hints = { readonly [errno: number]: string | undefined };

/**
 * Returns `result` when it is not negative.
 * @throws SystemError with the call's name, errno and `path` when it is
 * @example const fd = check("open", libc().open(cstring(path), O_RDONLY, 0), path);
 */
export function check(syscall: string, result: number | bigint, path?: string, hints: Hints = {}): number {
  if (result >= 0) return Number(result);
  const errno = lastErrno();
  throw systemError(syscall, errno, path, hints[errno]);
}

/** The `SystemError` for a known errno (for calls that return it, and for errno values read earlier). */
export function systemError(syscall: string, errno: number, path?: string, hint?: string): SystemError {
  return new SystemError(syscall, errno, errnoName(errno), path, hint);
}

/**
 * A NUL-terminated C string in UTF-8.
 * @throws TypeError for text with a NUL inside, which C would silently truncate
 */
export function cstring(text: string): Buffer {
  if (text.includes("\0")) throw new TypeError(`${JSON.stringify(text)} contains a NUL character`);
  return Buffer.from(`${text}\0`);
}
