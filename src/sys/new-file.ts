/** Making a file whole under another name, before it gets its own: nobody ever sees half of one. */
import { fs } from "./builtin.ts";
import { allocate, closeFile, openFile } from "./file.ts";
import { check, cstring } from "./libc/call.ts";
import { O_CREAT, O_EXCL, O_RDWR } from "./libc/constants.ts";
import { libc } from "./libc/symbols.ts";
import { Mapping } from "./mapping.ts";
import { exists, throughFs } from "./paths.ts";

/** What a new file is like. */
export interface NewFile {
  readonly byteLength: number;
  /** Permissions, not reduced by the umask. */
  readonly mode: number;
  /** Writes the content into the zeroed bytes. */
  fill(bytes: Uint8Array<ArrayBuffer>): void;
}

/**
 * Makes the file, with storage behind every byte, so that no store can fail later. What has the name is removed: call
 * it with a lock held that all makers take, then it was left by one that died.
 * @returns `path`
 * @throws SystemError ENOSPC, EACCES …, what `fill` throws; nothing is left behind then
 * @example rename(makeWhole(`${path}.new`, { byteLength: 4096, mode: 0o600, fill: (bytes) => bytes.fill(7) }), path)
 */
export function makeWhole(path: string, { byteLength, mode, fill }: NewFile): string {
  if (exists(path)) unlink(path);
  const fd = openFile(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
  try {
    reserve(fd, byteLength, mode, path);
    using mapping = Mapping.map(fd, { byteLength, access: "write", path });
    fill(mapping.bytes);
    return path;
  } catch (error) {
    unlink(path);
    throw error;
  }
}

function reserve(fd: number, byteLength: number, mode: number, path: string): void {
  try {
    throughFs(() => fs().fchmodSync(fd, mode), path);
    allocate(fd, byteLength, path);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

/** Gives a file another name, in the place of what has it now. @throws SystemError EACCES … */
export function rename(from: string, to: string): void {
  check("rename", libc().rename(cstring(from), cstring(to)), to);
}

/** Removes a name. @throws SystemError ENOENT, EACCES … */
export function unlink(path: string): void {
  check("unlink", libc().unlink(cstring(path)), path);
}
