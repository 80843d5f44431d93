/** Paths, and what is there: node:fs, with its failures as `SystemError` like those of our own calls. */
import { fs } from "./builtin.ts";
import { systemError } from "./libc/call.ts";

/**
 * Runs a call of node:fs.
 * @param about the path, where the call has only a descriptor
 * @throws SystemError with its call, errno and path
 * @example throughFs(() => fs().fchmodSync(fd, 0o644), path)
 */
export function throughFs<T>(call: () => T, about?: string): T {
  try {
    return call();
  } catch (error) {
    const { errno, syscall, path } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    // node:fs counts errno numbers downwards from zero. Of a path that is too long Bun says no call.
    throw systemError(syscall ?? "open", Math.abs(errno), path ?? about);
  }
}

/** Whether anything has that name, a dangling link included. @throws SystemError */
export const exists = (path: string): boolean =>
  throughFs(() => fs().lstatSync(path, { throwIfNoEntry: false })) !== undefined;

/**
 * Makes the directory and those above it, where missing. Their owner may use them, whatever the umask.
 * @throws SystemError EACCES, ENOTDIR …
 */
export function makeDirectory(path: string): void {
  if (isDirectory(path)) return;
  const parent = directoryOf(path);
  if (parent !== path) makeDirectory(parent);
  try {
    throughFs(() => fs().mkdirSync(path));
  } catch (error) {
    // Another process may have been faster.
    if (isDirectory(path)) return;
    throw error;
  }
  const { mode } = throughFs(() => fs().statSync(path));
  if ((mode & OWNER) !== OWNER) throughFs(() => fs().chmodSync(path, (mode & 0o7777) | OWNER));
}

/** All permissions of a file's owner. */
const OWNER = 0o700;

const isDirectory = (path: string): boolean =>
  throughFs(() => fs().statSync(path, { throwIfNoEntry: false }))?.isDirectory() === true;

/**
 * What `resolve` of node:path gives on the systems that we run on, without the time to load that.
 * @throws SystemError ENOENT when the working directory was removed
 * @example absolutePath("./.mmap", "Robot_.mmap")
 */
export function absolutePath(directory: string, name: string): string {
  const parts: string[] = [];
  for (const part of absolute(directory, name).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function absolute(directory: string, name: string): string {
  if (name.startsWith("/")) return name;
  if (directory.startsWith("/")) return `${directory}/${name}`;
  return `${throughFs(() => process.cwd())}/${directory}/${name}`;
}

/** Control characters would garble every message and listing, and half a surrogate pair is another file's name. */
export const isPrintable = (name: string): boolean =>
  // Most names are ASCII, and the tables of Unicode take 0.1 ms the first time.
  /^[ -~]*$/.test(name) || !/[\p{Cc}\p{Cs}]/u.test(name);

/** The directory that an absolute path is in. */
export const directoryOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf("/")));
