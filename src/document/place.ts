/** Where a document's files are, from the options that name it. */
import { type Place, placeBeside, refuseSideFile, sharedMemoryPlace } from "../segment/place.ts";
import { absolutePath, isPrintable } from "../sys/paths.ts";

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

/**
 * @throws TypeError when it names no document, or two, or impossible ones; RangeError for a name that is too long;
 *   UnsupportedError for `name` off Linux
 */
export function documentPlace({ file, dir, name }: PlaceOptions): Place {
  if ((file === undefined) === (name === undefined)) {
    throw new TypeError(
      'JsonMap needs either { file: "config.json.mmap" } or { name: "/config" } to know its document',
    );
  }
  return name === undefined ? placeBeside(filePath(file, dir)) : sharedMemoryPlace(name);
}

function filePath(file: string | undefined, dir = "."): string {
  if (typeof file !== "string" || file === "" || file.endsWith("/")) {
    throw new TypeError(`file must be the path of a file, not ${JSON.stringify(file)}`);
  }
  if (isPrintable(file)) return absolutePath(dir, refuseSideFile(file, "file"));
  throw new TypeError(
    `file must not contain control characters or lone surrogates, as ${JSON.stringify(file)} does`,
  );
}
