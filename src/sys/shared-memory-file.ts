/** POSIX shared memory as a descriptor: what `MemoryMap`, the roles and `shmstruct/posix` build upon. */
import { SystemError, UnsupportedError } from "../errors/errors.ts";
import { makeFd } from "./descriptor.ts";
import { check, cstring } from "./libc/call.ts";
import { isLinux, isMacOS, O_CREAT, O_EXCL } from "./libc/constants.ts";
import { posixShm } from "./libc/symbols.ts";
import { isPrintable } from "./paths.ts";

/** Longest name of a shared memory object in bytes, without its slash. */
export const SHARED_MEMORY_NAME_BYTES_MAX = isMacOS ? 30 : 255;

/**
 * Checks the name of a POSIX object and returns it: a slash, then 1 to `maxBytes` bytes of UTF-8 without a slash.
 * @param kind for messages, e.g. `"shared memory"`
 * @throws TypeError for what is no such name, RangeError for one that is too long (with the limit)
 * @example checkObjectName("/robot", 255, "shared memory")
 */
export function checkObjectName(name: string, maxBytes: number, kind: string): string {
  if (typeof name !== "string") throw new TypeError(`a ${kind} name must be a string, not ${typeof name}`);
  const shown = JSON.stringify(name);
  if (name === "") throw new TypeError(`a ${kind} name must be a slash and a name, such as "/robot", not ""`);
  if (!name.startsWith("/")) {
    throw new TypeError(`${kind} name ${shown} must begin with a slash: ${JSON.stringify(`/${name}`)}`);
  }
  const rest = name.slice(1);
  if (rest === "" || rest === "." || rest === "..") {
    throw new TypeError(`${kind} name ${shown} names nothing after its slash`);
  }
  if (rest.includes("/")) throw new TypeError(`${kind} name ${shown} must not contain a second slash`);
  if (rest.includes("\0")) throw new TypeError(`${kind} name ${shown} contains a NUL character`);
  // UTF-8 has none: all of them would mean the same object.
  if (!rest.isWellFormed()) throw new TypeError(`${kind} name ${shown} contains a lone surrogate`);
  const byteLength = Buffer.byteLength(rest);
  if (byteLength > maxBytes) {
    throw new RangeError(
      `${kind} name ${shown} is ${byteLength} bytes long after its slash, the limit is ${maxBytes}`,
    );
  }
  return name;
}

/**
 * The file of a shared memory object: Linux keeps them as files, so that all that holds for files holds for them.
 * @param longestEnding what may be added to the path for the files beside it
 * @throws TypeError, RangeError for a wrong name; UnsupportedError off Linux
 * @example sharedMemoryPath("/robot", ".lock") // "/dev/shm/robot"
 */
export function sharedMemoryPath(name: string, longestEnding: string): string {
  if (!isLinux) throw new UnsupportedError("sharing by name needs Linux; name a file instead");
  checkObjectName(name, SHARED_MEMORY_NAME_BYTES_MAX - longestEnding.length, "shared memory");
  if (isPrintable(name)) return sharedMemoryFile(name);
  throw new TypeError(
    `name must not contain control characters or lone surrogates, as ${JSON.stringify(name)} does`,
  );
}

/** Where Linux keeps the object. Elsewhere there is no such file, and messages show the same. */
export const sharedMemoryFile = (name: string): string => `/dev/shm${name}`;

/**
 * Opens a POSIX shared memory object and returns its descriptor, which does not leak into child processes.
 * Nothing else happens: the size of a new object is 0. `closeFile(fd)` closes it.
 * @param flags `O_RDONLY` or `O_RDWR`, with `O_CREAT`, `O_EXCL`, `O_TRUNC` (shm_open(3))
 * @param mode permissions of an object that is created, before the umask
 * @throws TypeError, RangeError for a wrong name; SystemError ENOENT, EEXIST, EACCES …
 * @example const fd = openSharedMemory("/robot", O_RDWR | O_CREAT);
 */
export function openSharedMemory(name: string, flags: number, mode = 0o600): number {
  checkObjectName(name, SHARED_MEMORY_NAME_BYTES_MAX, "shared memory");
  return check("shm_open", makeFd(posixShm().shm_open, [cstring(name), flags, mode]), name);
}

/**
 * Opens what exists, or makes it, and tells which: O_CREAT alone does not say.
 * @param flags as for `openSharedMemory`, without `O_CREAT`
 * @throws TypeError, RangeError for a wrong name; SystemError EACCES …
 */
export function openOrMakeSharedMemory(
  name: string,
  flags: number,
  mode?: number,
): { fd: number; made: boolean } {
  for (;;) {
    const made = unless("EEXIST", () => openSharedMemory(name, flags | O_CREAT | O_EXCL, mode));
    if (made !== undefined) return { fd: made, made: true };
    const found = unless("ENOENT", () => openSharedMemory(name, flags));
    if (found !== undefined) return { fd: found, made: false };
    // Taken a moment ago, gone now: it was removed in between. Begin again.
  }
}

/** What `call` returns, or undefined when it fails with the errno `code`. */
export function unless<T>(code: string, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof SystemError && error.code === code) return undefined;
    throw error;
  }
}

/**
 * Removes the name; the memory itself lives until no process has it mapped or open.
 * @throws TypeError, RangeError for a wrong name; SystemError ENOENT, EACCES
 */
export function unlinkSharedMemoryFile(name: string): void {
  checkObjectName(name, SHARED_MEMORY_NAME_BYTES_MAX, "shared memory");
  check("shm_unlink", posixShm().shm_unlink(cstring(name)), name);
}
