/** What mmap gives, checked, and memory that is unmapped by itself. */
import { type Hints, lastErrno, systemError } from "./call.ts";

export { addressOf, bufferAt } from "./ffi.ts";

/**
 * Returns the address that mmap gave.
 * @param hints advice for the message, by errno
 * @throws SystemError when it is MAP_FAILED, `(void *)-1`, which comes as a bigint
 */
export function checkAddress(syscall: string, result: unknown, path?: string, hints: Hints = {}): number {
  if (typeof result === "number") return result;
  const errno = lastErrno();
  throw systemError(syscall, errno, path, hints[errno]);
}
