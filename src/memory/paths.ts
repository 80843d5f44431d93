/** What is at a path: node:fs, with its failures as `SystemError` like those of our own calls. */
import { lstatSync, mkdirSync, type Stats } from "node:fs";
import { systemError } from "../libc/call.ts";

/** Runs a call of node:fs. @throws SystemError with its call, errno and path */
function throughFs<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { errno, syscall, path } = error as NodeJS.ErrnoException;
    if (errno === undefined || syscall === undefined) throw error;
    // node:fs counts errno numbers downwards from zero.
    throw systemError(syscall, Math.abs(errno), path);
  }
}

/** What has the name, a link itself and not what it leads to; undefined when nothing has. @throws SystemError */
export const lookAt = (path: string): Stats | undefined =>
  throughFs(() => lstatSync(path, { throwIfNoEntry: false }));

/** Whether anything has that name, a dangling link included. @throws SystemError */
export const exists = (path: string): boolean => lookAt(path) !== undefined;

/** Makes the directory and those above it, where missing. @throws SystemError EACCES, ENOTDIR … */
export function makeDirectory(path: string): void {
  throughFs(() => mkdirSync(path, { recursive: true }));
}
