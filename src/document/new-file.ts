/** Making the file of a document, and replacing it: always whole, always under the writer lock. */
import { SystemError } from "../errors/errors.ts";
import { makeWhole, rename, unlink } from "../sys/new-file.ts";
import { type Committed, DocumentFile, retire } from "./document-file.ts";
import { formatFor, writeFormat } from "./document-format.ts";

/** What a new file is like. */
export interface NewDocument {
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
export function putFile(path: string, { maxBytes, mode, start }: NewDocument, old?: DocumentFile): void {
  const format = formatFor(maxBytes);
  const fresh = freshPath(path);
  const fill = (bytes: Uint8Array<ArrayBuffer>): void => {
    writeFormat(bytes, format);
    writeDocument(fresh, start);
  };
  makeWhole(fresh, { byteLength: format.fileBytes, mode, fill });
  try {
    if (old === undefined) rename(fresh, path);
    else retire(old, () => rename(fresh, path));
  } catch (error) {
    unlink(fresh);
    throw error;
  }
}

/** Takes away what a master has left that was killed while it made the file. With the writer lock held. */
export function sweep(path: string): void {
  try {
    unlink(freshPath(path));
  } catch (error) {
    // There is nothing, or it is not ours to take away: it disturbs nobody.
    if (!(error instanceof SystemError)) throw error;
  }
}

/** Where a file is made before it gets its name. */
const freshPath = (path: string): string => `${path}.new`;

function writeDocument(path: string, { version, text }: Committed): void {
  using file = DocumentFile.open(path, true);
  file?.write(version, text);
}
