/** Where the files of a segment are. */

import { show } from "../errors/show.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { lockPagePath } from "../sync/lock-page.ts";
import { absolutePath, exists, isPrintable } from "../sys/paths.ts";
import { sharedMemoryPath } from "../sys/shared-memory-file.ts";

/** The names of all files of one segment. */
export interface Place {
  readonly dataPath: string;
  readonly lockPath: Readonly<Record<LockKind, string>>;
  /** The options that named it, as a hint repeats them. @example 'dir: "/run/robot", tag: "left"' */
  readonly given?: string | undefined;
}

/**
 * The options object of a hint: those that named the place, then others.
 * @example optionsFor(place, "create: true") // '{ dir: "/run/robot", create: true }'
 */
export const optionsFor = (place: Place | undefined, others: string): string =>
  `{ ${place?.given ? `${place.given}, ` : ""}${others} }`;

/** Where the owners of a segment prove that they live: a byte for each, locked by the kernel. */
export const ownersPath = (dataPath: string): string => `${dataPath}.owners`;

/** How far a segment that follows one of another machine has come. */
export const mirrorPath = (dataPath: string): string => `${dataPath}.mirror`;

/** What stands behind the name of a file that is being made: a dot, "new-" and 16 random hexadecimal digits. */
export const TEMPORARY_ENDING = /\.new-[0-9a-f]{16}$/;
const LONGEST_ENDING = `.new-${"0".repeat(16)}`;

/** NAME_MAX of <limits.h>. */
const FILE_NAME_BYTES_MAX = 255;

/** Names of the files beside a segment: none of them can be a segment's own. */
const SIDE_FILE = /\.(?:lock|lockfile|owners|mirror)$|\.(?:lock|lockfile)-page$/;

/** Whether a file with that name lies beside a segment, and is no segment itself. */
export const isSideFile = (name: string): boolean => SIDE_FILE.test(name);

/**
 * The name of the segment that a file with this name lies beside, if it is a lock file of the library's.
 * @example segmentOfSideFile("Robot_.lock") // "Robot_.mmap"
 */
export function segmentOfSideFile(name: string): string | undefined {
  const [, stem] = /^(.+)\.lock(?:-page)?$/.exec(name) ?? [];
  if (stem === undefined) return undefined;
  // Of records the lock file has no ending of its own, of all others it has the whole name.
  return /^[^_/.]+_[^/.]*$/.test(stem) ? `${stem}.mmap` : stem;
}

/** Whether a file has a name of one that is being made. */
export const isTemporary = (name: string): boolean => TEMPORARY_ENDING.test(name);

/** @throws TypeError for a name that a file beside another segment may have */
export function refuseSideFile(name: string, option: string): string {
  if (!isSideFile(name) && !isTemporary(name)) return name;
  throw new TypeError(
    `${option} ${JSON.stringify(name)} ends as the files beside a shared file do (.lock, .lock-page, .lockfile, .lockfile-page, .owners, .mirror, .new-…); choose another name`,
  );
}

/**
 * A part of a file's name, as it is.
 * @throws TypeError for what could leave the directory, or look like another file in a listing
 */
export function checkNamePart(part: string, option: string): string {
  if (typeof part !== "string") throw new TypeError(`${option} must be a string, got ${show(part)}`);
  if (part.includes("/") || !isPrintable(part))
    throw new TypeError(
      `${option} becomes part of a file name and must not contain a slash, NUL, another control character or half a surrogate pair, got ${JSON.stringify(part)}`,
    );
  return part;
}

/**
 * A file name without its ending, if it is short enough for that and all that is appended to it.
 * @throws RangeError
 */
export function checkNameLength(stem: string, ending: string): string {
  const byteLength = Buffer.byteLength(`${stem}.${ending}${LONGEST_ENDING}`);
  if (byteLength <= FILE_NAME_BYTES_MAX) return stem;
  throw new RangeError(
    `the file name '${stem}.${ending}' is too long: with what is appended it has ${byteLength} bytes, and the system takes ${FILE_NAME_BYTES_MAX} bytes; use a shorter tag or @struct({ name })`,
  );
}

/** @throws TypeError for what can be no path */
export function checkDirectory(directory: string, option: string): string {
  if (directory.isWellFormed() && !directory.includes("\0")) return directory;
  throw new TypeError(
    `option ${option} must be a path, without NUL and lone surrogates, got ${JSON.stringify(directory)}`,
  );
}

/** Options that name a segment of a class. */
export interface ClassPlaceOptions {
  /** Instead of the class's own name; the caller has looked. */
  readonly className?: string | undefined;
  readonly dir?: string | undefined;
  readonly tag?: string | undefined;
  readonly name?: string | undefined;
  readonly lockDir?: string | undefined;
}

/**
 * The place of a segment that is named after a class: `<dir>/<Class>_<tag>.<ending>`, or the shared memory object `name`.
 * @param ending `"mmap"` for records; the lock file of another ending keeps it, so that a class may have a segment of each
 * @throws TypeError, RangeError for names that cannot be file names, UnsupportedError for `name` off Linux
 * @example classPlace("Robot", { dir: "/run/robot", tag: "left" }, "mmap")
 */
export function classPlace(className: string, options: ClassPlaceOptions, ending: string): Place {
  const { dir = "./.mmap", lockDir = "./.fasteners", tag = "" } = options;
  const given = givenOf(options);
  if (options.name !== undefined) return { ...sharedMemoryPlace(options.name, lockDir), given };
  if (className === "") throw new TypeError("option className is empty: the file's name begins with it");
  const stem = checkNameLength(
    `${checkNamePart(className, "className")}_${checkNamePart(tag, "tag")}`,
    ending,
  );
  checkDirectory(dir, "dir");
  checkDirectory(lockDir, "lockDir");
  const lockStem = ending === "mmap" ? stem : `${stem}.${ending}`;
  return {
    dataPath: absolutePath(dir, `${stem}.${ending}`),
    lockPath: {
      flock: absolutePath(dir, `${lockStem}.lock`),
      fcntl: absolutePath(lockDir, `${lockStem}.lockfile`),
    },
    given,
  };
}

const NAMING = ["className", "dir", "tag", "name", "lockDir"] as const;

const givenOf = (options: ClassPlaceOptions): string | undefined =>
  NAMING.filter((option) => options[option] !== undefined)
    .map((option) => `${option}: ${JSON.stringify(options[option])}`)
    .join(", ") || undefined;

/** The place of a POSIX shared memory object. @throws TypeError, RangeError, UnsupportedError */
export function sharedMemoryPlace(name: string, lockDir = "./.fasteners"): Place {
  const dataPath = sharedMemoryPath(name, lockPagePath(".lock"));
  refuseSideFile(name, "option name");
  return placeBeside(dataPath, absolutePath(lockDir, `${name.slice(1)}.lockfile`));
}

/**
 * The place of a file that is there, from its path alone.
 * @example placeOfPath("./.mmap/Robot_.mmap").lockPath.flock // ".../.mmap/Robot_.lock"
 */
export function placeOfPath(path: string, lockDir = "./.fasteners"): Place {
  const dataPath = absolutePath(".", path);
  const [, stem] = /^(.*\/[^/_]+_[^/]*)\.mmap$/.exec(dataPath) ?? [];
  const file = (stem ?? dataPath).slice((stem ?? dataPath).lastIndexOf("/") + 1);
  const beside = placeBeside(dataPath, absolutePath(lockDir, `${file}.lockfile`));
  // A shared memory object may be called as a file of a class is: the lock beside it tells.
  if (stem === undefined || (dataPath.startsWith("/dev/shm/") && exists(beside.lockPath.flock)))
    return beside;
  return { dataPath, lockPath: { flock: `${stem}.lock`, fcntl: beside.lockPath.fcntl } };
}

/** The place of a file whose lock file lies beside it. */
export function placeBeside(dataPath: string, fcntl = `${dataPath}.lockfile`): Place {
  return { dataPath, lockPath: { flock: `${dataPath}.lock`, fcntl } };
}
