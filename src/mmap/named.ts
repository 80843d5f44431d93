/** Named memory for a `tagName`: whoever opens the name first makes it, everybody gets the same bytes. */

import { allocate, closeFile, fileSize } from "../sys/file.ts";
import { O_RDONLY, O_RDWR } from "../sys/libc/constants.ts";
import {
  openOrMakeSharedMemory,
  openSharedMemory,
  unless,
  unlinkSharedMemoryFile,
} from "../sys/shared-memory-file.ts";

/** How long an opener waits for a creator that is between making the name and giving it its size. */
const CREATION_TIMEOUT_MS = 1000;

/** The POSIX name: `objectName("weather") === "/weather"`. What is no text is left to be refused as a name. */
const objectName = (tagName: string): string =>
  typeof tagName !== "string" || tagName.startsWith("/") ? tagName : `/${tagName}`;

/** A descriptor, which the caller closes, and whether the memory was made just now. */
export interface NamedMemory {
  readonly fd: number;
  readonly made: boolean;
}

/**
 * Opens the memory of that name, and makes it when there is none, `byteLength` long and zeroed. Many processes may
 * do this at once: one makes it, all get the same. With `byteLength` 0 it must exist already.
 * @param mode permissions if it is made, before the umask
 * @throws TypeError, RangeError for an impossible name; SystemError ENOENT, EACCES, ENOSPC …
 */
export function openNamed(tagName: string, byteLength: number, mode?: number): NamedMemory {
  const name = objectName(tagName);
  if (byteLength === 0) return { fd: sized(openSharedMemory(name, O_RDWR), 0, name), made: false };
  const { fd, made } = openOrMakeSharedMemory(name, O_RDWR, mode);
  return { fd: made ? sizedByUs(fd, byteLength, name) : sized(fd, byteLength, name), made };
}

/**
 * Opens memory that exists, for reading only.
 * @throws TypeError, RangeError for an impossible name; SystemError ENOENT, EACCES
 */
export function openNamedReadOnly(tagName: string): NamedMemory {
  const name = objectName(tagName);
  return { fd: sized(openSharedMemory(name, O_RDONLY), 0, name), made: false };
}

/**
 * Removes the name. Whoever has the memory mapped keeps it; it goes when the last of them unmaps.
 * @returns whether there was one
 * @throws TypeError, RangeError for an impossible name; SystemError EACCES
 */
export function removeNamed(tagName: string): boolean {
  const remove = () => {
    unlinkSharedMemoryFile(objectName(tagName));
    return true;
  };
  return unless("ENOENT", remove) ?? false;
}

/** Gives new memory its size; without room for it the name goes again. */
function sizedByUs(fd: number, byteLength: number, name: string): number {
  try {
    allocate(fd, byteLength, name);
    return fd;
  } catch (error) {
    closeFile(fd);
    removeNamed(name);
    throw error;
  }
}

/** Waits until the maker has given the memory its size; if it died before, the size is ours to give. */
function sized(fd: number, byteLength: number, name: string): number {
  try {
    const deadline = performance.now() + CREATION_TIMEOUT_MS;
    while (fileSize(fd, name) === 0 && performance.now() < deadline) Bun.sleepSync(1);
    if (fileSize(fd, name) === 0) allocate(fd, byteLength, name);
    return fd;
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}
