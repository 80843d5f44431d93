/** Where a document's files are, from the options that name it. */
import { lockPagePath } from "../sync/lock-page.ts";
import { absolutePath, isPrintable } from "../sys/paths.ts";
import { sharedMemoryPath } from "../sys/shared-memory-file.ts";
import { lockPathOf } from "./document-format.ts";

/**
 * Exactly one of `file` and `name` says which document.
 * @example const place: PlaceOptions = { dir: "/run/app", file: "config.json.mmap" };
 */
export interface PlaceOptions {
  /** The file, relative to `dir`. */
  readonly file?: string | undefined;
  /** Directory of `file`. Default: the current one. */
  readonly dir?: string | undefined;
  /** Instead of a file: the name of a POSIX shared memory object, `"/robot"` (Linux), at most 245 bytes after the slash. */
  readonly name?: string | undefined;
}

/** The names of all files of one document. */
export interface Place {
  readonly dataPath: string;
  readonly lockPath: string;
}

/** The longest of what is added to the document's name: the lock file and the page beside it. */
const LONGEST_ENDING = lockPagePath(lockPathOf(""));

/**
 * @throws TypeError when it names no document, or two, or impossible ones; RangeError for a name that is too long;
 *   UnsupportedError for `name` off Linux
 */
export function placeOf({ file, dir, name }: PlaceOptions): Place {
  if ((file === undefined) === (name === undefined)) {
    throw new TypeError(
      'JsonMap needs either { file: "config.json.mmap" } or { name: "/config" } to know its document',
    );
  }
  const dataPath = name === undefined ? filePath(file, dir) : sharedMemoryPath(name, LONGEST_ENDING);
  return { dataPath, lockPath: lockPathOf(dataPath) };
}

function filePath(file: string | undefined, dir = "."): string {
  if (typeof file !== "string" || file === "" || file.endsWith("/")) {
    throw new TypeError(`file must be the path of a file, not ${JSON.stringify(file)}`);
  }
  if (isPrintable(file)) return absolutePath(dir, file);
  throw new TypeError(
    `file must not contain control characters or lone surrogates, as ${JSON.stringify(file)} does`,
  );
}
