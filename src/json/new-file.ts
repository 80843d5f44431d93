/** Making the file of a document, and replacing it: always whole, always under the writer lock. */
import { fchmodSync, lstatSync } from "node:fs";
import { check, cstring } from "../libc/call.ts";
import { O_CREAT, O_EXCL, O_RDWR } from "../libc/constants.ts";
import { libc } from "../libc/symbols.ts";
import { allocate, closeFile, openFile } from "../memory/file.ts";
import { Mapping } from "../memory/mapping.ts";
import { type Committed, DocumentFile } from "./document-file.ts";
import { formatFor, writeFormat } from "./document-format.ts";

/** What a new file is like. */
export interface NewFile {
  readonly maxBytes: number;
  /** Permissions, not reduced by the umask. */
  readonly mode: number;
  /** What it begins with. */
  readonly start: Committed;
}

/**
 * Puts a new file in the place of `path`, whole from the first moment on; its storage is reserved, so that no store
 * can fail later. Users of `old`, which has the name now, are told to look for the new one.
 * @throws SystemError ENOSPC, EACCES …; everything is as it was then
 */
export function putFile(path: string, file: NewFile, old?: DocumentFile): void {
  const fresh = makeWhole(`${path}.new`, file);
  if (old !== undefined) old.isRetired = true;
  check("rename", libc().rename(cstring(fresh), cstring(path)), path);
}

/** Removes a name. @throws SystemError EACCES … */
export function unlink(path: string): void {
  check("unlink", libc().unlink(cstring(path)), path);
}

function makeWhole(path: string, { maxBytes, mode, start }: NewFile): string {
  const format = formatFor(maxBytes);
  // We hold the writer lock, so a file of this name was left by somebody who died.
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) unlink(path);
  const fd = openFile(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
  try {
    reserve(fd, format.fileBytes, mode, path);
    using mapping = Mapping.map(fd, { byteLength: format.fileBytes, access: "write", path });
    writeFormat(mapping.bytes, format);
    fill(path, start);
    return path;
  } catch (error) {
    unlink(path);
    throw error;
  }
}

function reserve(fd: number, byteLength: number, mode: number, path: string): void {
  try {
    fchmodSync(fd, mode);
    allocate(fd, byteLength, path);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

function fill(path: string, { version, text }: Committed): void {
  using file = DocumentFile.open(path, true);
  file?.write(version, text);
}
