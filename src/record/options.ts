/** Where a role's files are, from its options. */
import { checkOptions } from "../errors/check-options.ts";
import { HeaderNotFoundError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import { structByName } from "../struct/functions.ts";
import { type Layout, layoutOfClass } from "../struct/layout/layout.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { absolutePath, isPrintable } from "../sys/paths.ts";
import { sharedMemoryPath } from "../sys/shared-memory-file.ts";
import { hasSharedHeader } from "./file-format.ts";

/** Options of every role (`tag`, `dir` and `lockDir` are IPMMAP's `tag`, `mmapDir` and `fastenerDir`). @example new Reader(Robot, { dir: "/run/robot", tag: "left" }) */
export interface RoleOptions {
  /** Directory of the data file. Default `"./.mmap"`, as IPMMAP's. */
  readonly dir?: string | undefined;
  /** Tells several files of one class apart: `<dir>/<Class>_<tag>.mmap`. Default empty. */
  readonly tag?: string | undefined;
  /** Instead of a directory: the name of a POSIX shared memory object, `"/robot"` (Linux). */
  readonly name?: string | undefined;
  /** The class name in the file's name, where the class at hand is only a prefix of that one. Default: the class's own. */
  readonly className?: string | undefined;
  /** Directory of the lock file of kind `"fcntl"`. Default `"./.fasteners"`, as IPMMAP's. */
  readonly lockDir?: string | undefined;
  /** Whether writer sessions stamp the header with the time. Default true. */
  readonly touch?: boolean | undefined;
}

/** Options of a Manager (`create` and `force` are IPMMAP's). @example new Manager(Robot, { create: true, mode: 0o660 }) */
export interface ManagerOptions extends RoleOptions {
  /** Make the file when there is none. Default false. */
  readonly create?: boolean | undefined;
  /** With `create`: make the file anew even when there is one. Default false. */
  readonly force?: boolean | undefined;
  /** Permissions of the files made, not reduced by the umask. Default 0o600. */
  readonly mode?: number | undefined;
  /** `"flock"` (default), or `"fcntl"` when Python processes with IPMMAP take part. Fixed at creation. */
  readonly lock?: LockKind | undefined;
  /**
   * Keep the state before a writer session in the file, so that it can be rolled back, also by the next writer
   * when this one is killed. Default true for `"flock"`; switch it off for structs too large to copy at every edit.
   */
  readonly transactional?: boolean | undefined;
}

/** The names of all files of one shared struct. */
export interface Place {
  readonly dataPath: string;
  readonly lockPath: Readonly<Record<LockKind, string>>;
}

/** Every option there is, and its type. All roles know those of a Manager, so that one object can serve them all. */
const known = {
  dir: "string",
  tag: "string",
  name: "string",
  className: "string",
  lockDir: "string",
  touch: "boolean",
  create: "boolean",
  force: "boolean",
  mode: "number",
  lock: "string",
  transactional: "boolean",
} as const;

/** @throws TypeError for an option that there is not, that is of another type, or that contradicts another one */
export function checkRoleOptions(where: string, options: RoleOptions): void {
  checkOptions(where, options, known);
  if (options.name !== undefined && (options.dir !== undefined || options.tag !== undefined)) {
    throw new TypeError(`${where}: option name takes the place of dir and tag; give one or the other`);
  }
}

/** What only a Manager can do must not be asked of others in vain. @throws TypeError */
export function refuseManagerOptions(where: string, { create, force, mode }: ManagerOptions): void {
  for (const [name, value] of Object.entries({ create, force, mode })) {
    if (value === undefined || value === false) continue;
    throw new TypeError(
      `${where}: option ${name} is for a Manager, which alone makes files; leave it out, or use new Manager`,
    );
  }
}

/** File names are made of these; anything else could leave the directory, or look like another file in a listing. */
function checkPart(part: string, option: string): string {
  if (typeof part !== "string") throw new TypeError(`${option} must be a string, got ${show(part)}`);
  if (part.includes("/") || !isPrintable(part))
    throw new TypeError(
      `${option} becomes part of a file name and must not contain a slash, NUL, another control character or half a surrogate pair, got ${JSON.stringify(part)}`,
    );
  return part;
}

/** Before anything is made: the longest name is the one that a new file has before it gets its own. */
function checkLength(fileName: string): string {
  const byteLength = Buffer.byteLength(`${fileName}.mmap.new-flock`);
  if (byteLength <= FILE_NAME_BYTES_MAX) return fileName;
  throw new RangeError(
    `the file name '${fileName}.mmap' is too long: with what is appended it has ${byteLength} bytes, and the system takes ${FILE_NAME_BYTES_MAX} bytes; use a shorter tag or @struct({ name })`,
  );
}

function checkDirectory(directory: string, option: string): void {
  if (directory.isWellFormed() && !directory.includes("\0")) return;
  throw new TypeError(
    `option ${option} must be a path, without NUL and lone surrogates, got ${JSON.stringify(directory)}`,
  );
}

/** NAME_MAX of <limits.h>. */
const FILE_NAME_BYTES_MAX = 255;

/**
 * @param layout needed where the options do not say the class's name
 * @throws TypeError, RangeError for names that cannot be file names, UnsupportedError for `name` off Linux
 */
export function placeOf(layout: Layout | undefined, options: RoleOptions): Place {
  const { dir = "./.mmap", lockDir = "./.fasteners", tag = "", className = layout?.name ?? "" } = options;
  if (options.name !== undefined) return placeOfName(options.name, lockDir);
  if (className === "") throw new TypeError(`option className is empty: the file's name begins with it`);
  const fileName = checkLength(`${checkPart(className, "className")}_${checkPart(tag, "tag")}`);
  checkDirectory(dir, "dir");
  checkDirectory(lockDir, "lockDir");
  return {
    dataPath: absolutePath(dir, `${fileName}.mmap`),
    lockPath: {
      flock: absolutePath(dir, `${fileName}.lock`),
      fcntl: absolutePath(lockDir, `${fileName}.lockfile`),
    },
  };
}

function placeOfName(name: string, lockDir: string): Place {
  const path = sharedMemoryPath(name, ".lock-page");
  return {
    dataPath: path,
    lockPath: { flock: `${path}.lock`, fcntl: absolutePath(lockDir, `${name.slice(1)}.lockfile`) },
  };
}

/** The layout of the class, or of the one loaded under that name, if it can live in a shared file. */
export function roleLayout(cls: StructClass | string): Layout {
  const layout = layoutOfClass(typeof cls === "string" ? structByName(cls) : cls);
  if (!hasSharedHeader(layout)) {
    throw new HeaderNotFoundError(
      `${layout.name} has no shared header: declare it as \`class ${layout.name} extends MmapStructure\``,
    );
  }
  if (layout.flexible)
    throw new TypeError(
      `${layout.name} ends in a flexible array, which has no length in a file; use array(type, n)`,
    );
  return layout;
}
