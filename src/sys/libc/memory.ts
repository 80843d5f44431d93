/** Between raw addresses and `ArrayBuffer`s: the two conversions of bun:ffi that the other rooms need. */
import { type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import { lastErrno, systemError } from "./call.ts";

/**
 * An `ArrayBuffer` over memory that is already there. It copies nothing, and the garbage collector frees only
 * the JavaScript object, never the memory: whoever mapped it detaches the buffer before unmapping.
 */
export function bufferAt(address: number, byteLength: number): ArrayBuffer {
  // SAFETY: the caller owns [address, address + byteLength) and detaches the buffer before giving it up.
  return toArrayBuffer(address as Pointer, 0, byteLength);
}

/** Where the first byte of `view` lives. Valid as long as the view is alive and not detached. */
export function addressOf(view: NodeJS.TypedArray | DataView): number {
  return ptr(view);
}

/**
 * Returns the address that mmap gave.
 * @param hints advice for the message, by errno
 * @throws SystemError when it is MAP_FAILED, `(void *)-1`, which bun:ffi hands out as a bigint
 */
export function checkAddress(
  syscall: string,
  result: unknown,
  path?: string,
  hints: Record<number, string> = {},
): number {
  if (typeof result === "number") return result;
  const errno = lastErrno();
  throw systemError(syscall, errno, path, hints[errno]);
}
