/** Named memory for a `tagName`: the first who opens the name makes it, all get the same bytes. */

import { Deadline, sleepMs } from "../sync/deadline.ts";
import { allocate, closeFile, fileSize } from "../sys/file.ts";
import { O_RDONLY, O_RDWR } from "../sys/libc/constants.ts";
import {
  openOrMakeSharedMemory,
  openSharedMemory,
  sharedMemoryFile,
  unless,
  unlinkSharedMemoryFile,
} from "../sys/shared-memory-file.ts";
import { statusOf } from "../sys/status.ts";
import { checkTrust, type Trust } from "../sys/trust.ts";

/** How long an opener waits for a creator that is between making the name and giving it its size. */
const CREATION_TIMEOUT_MS = 1000;

/** The POSIX name: `objectName("weather") === "/weather"`. What is no text is left to be refused as a name. */
const objectName = (tagName: string): string =>
  typeof tagName !== "string" || tagName.startsWith("/") ? tagName : `/${tagName}`;

/** How named memory is opened. */
export interface NamedOptions extends Trust {
  /** Permissions if it is made, before the umask. */
  readonly mode?: number | undefined;
}

/** A descriptor, which the caller closes, and whether the memory was made just now. */
export interface NamedMemory {
  readonly fd: number;
  readonly made: boolean;
}

/**
 * Opens the memory of that name, and makes it when it is missing, `byteLength` long and zeroed. Many processes may
 * do this at once: one makes it, all get the same. With `byteLength` 0 it must exist already.
 * @throws TypeError, RangeError for an impossible name; UntrustedFileError; SystemError ENOENT, EACCES, ENOSPC …
 */
export function openTagged(tagName: string, byteLength: number, options: NamedOptions = {}): NamedMemory {
  const name = objectName(tagName);
  if (byteLength === 0) return found(openSharedMemory(name, O_RDWR), 0, name, options);
  const { fd, made } = openOrMakeSharedMemory(name, O_RDWR, options.mode);
  return made ? { fd: sizedByUs(fd, byteLength, name), made } : found(fd, byteLength, name, options);
}

/**
 * Opens memory that exists, for reading only.
 * @throws TypeError, RangeError for an impossible name; UntrustedFileError; SystemError ENOENT, EACCES
 */
export function openTaggedReadOnly(tagName: string, options: NamedOptions = {}): NamedMemory {
  const name = objectName(tagName);
  return found(openSharedMemory(name, O_RDONLY), 0, name, options);
}

/**
 * Removes the name. Those who have the memory mapped keep it; it goes when the last of them unmaps.
 * @returns whether there was one
 * @throws TypeError, RangeError for an impossible name; SystemError EACCES
 */
export function removeTagged(tagName: string): boolean {
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
    removeTagged(name);
    throw error;
  }
}

/** Waits until the maker has given the memory its size; if it died before, the size is ours to give. */
function found(fd: number, byteLength: number, name: string, options: NamedOptions = {}): NamedMemory {
  try {
    const path = sharedMemoryFile(name);
    checkTrust({ path, status: statusOf(fd), wantedMode: options.mode }, options);
    const deadline = new Deadline(CREATION_TIMEOUT_MS);
    while (fileSize(fd, name) === 0 && !deadline.isOver) sleepMs(1);
    if (fileSize(fd, name) === 0) allocate(fd, byteLength, name);
    return { fd, made: false };
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}
