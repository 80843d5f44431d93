/** Where a role's files are, from its options. */
import { checkOptions } from "../errors/check-options.ts";
import { HeaderNotFoundError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import { classPlace, type Place } from "../segment/place.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import { structByName } from "../struct/functions.ts";
import { type Layout, layoutOfClass } from "../struct/layout/layout.ts";
import type { LockKind } from "../sync/file-lock.ts";
import { TRUST_OPTIONS, type Trust } from "../sys/trust.ts";
import { hasSharedHeader } from "./layouts.ts";
import type { Migrate } from "./migrate.ts";

/** Key of an option for the library's own use. */
export const AT_PLACE: unique symbol = Symbol("shmstruct:place");

/** Options of every role (`tag`, `dir` and `lockDir` are IPMMAP's `tag`, `mmapDir` and `fastenerDir`). @example new Reader(Robot, { dir: "/run/robot", tag: "left" }) */
export interface RoleOptions extends Trust {
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
  /** @internal The files themselves; a lock file that is missing is made. */
  readonly [AT_PLACE]?: Place | undefined;
}

/** Options of a Manager (`create` and `force` are IPMMAP's). @example new Manager(Robot, { create: true, mode: 0o660 }) */
export interface ManagerOptions extends RoleOptions {
  /** Make the file when it is missing. Default false. */
  readonly create?: boolean | undefined;
  /**
   * With `create`: replace a file that is there by an empty one, which erases its content. For tests; a program that does
   * so at each start loses its data. Default false.
   */
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
  /** Milliseconds for which the constructor waits for the writer lock, should it have a file to make. Default: no limit. */
  readonly timeoutMs?: number | undefined;
}

/** Options of `new Manager`, with what depends on the struct. @example { create: true, init: (robot) => { robot.mode = 1; } } */
export interface ManagerOptionsOf<T> extends ManagerOptions {
  /**
   * Fills a file that is being made, before any process can see it. When it throws, there is no file. Of many Managers at
   * once one runs it.
   */
  readonly init?: ((data: T) => void) | undefined;
  /**
   * With `create`: what to do when the file holds another struct. `true` carries over every field of the same path and
   * refuses (MigrationError) what would lose something; a function gets the new struct, filled as far as that goes, and a
   * read-only view of the old one. Default: LayoutMismatchError.
   */
  readonly migrate?: Migrate<T> | undefined;
}

/** Options of `Manager.restore`. @example { dir: "/run/robot", mode: 0o660 } */
export interface RestoreOptions<T>
  extends RoleOptions,
    Pick<ManagerOptionsOf<T>, "mode" | "lock" | "transactional" | "timeoutMs" | "migrate"> {}

/** Every option there is, and its type. All roles know those of a Manager, so that one object can serve them all. */
const known = {
  dir: "string",
  tag: "string",
  name: "string",
  className: "string",
  lockDir: "string",
  touch: "boolean",
  ...TRUST_OPTIONS,
  create: "boolean",
  force: "boolean",
  mode: "number",
  lock: "string",
  transactional: "boolean",
  timeoutMs: "number",
  init: "function",
  migrate: "any",
} as const;

/** @throws TypeError for an option that there is not, that is of another type, or that contradicts another one */
export function checkRoleOptions(where: string, options: RoleOptions): void {
  checkOptions(where, options, known);
  const { migrate } = options as ManagerOptionsOf<never>;
  if (migrate !== undefined && typeof migrate !== "boolean" && typeof migrate !== "function")
    throw new TypeError(`${where}: option migrate must be true or a function, got ${show(migrate)}`);
  if (options.name !== undefined && (options.dir !== undefined || options.tag !== undefined)) {
    throw new TypeError(`${where}: option name takes the place of dir and tag; give one or the other`);
  }
}

/** What only a Manager can do must not be asked of others in vain. @throws TypeError */
export function refuseManagerOptions(where: string, options: ManagerOptionsOf<never>): void {
  const { create, force, mode, timeoutMs, init, migrate } = options;
  for (const [name, value] of Object.entries({ create, force, mode, timeoutMs, init, migrate })) {
    if (value === undefined || value === false) continue;
    throw new TypeError(
      `${where}: option ${name} is for a Manager, which alone makes files; leave it out, or use new Manager`,
    );
  }
}

/**
 * @param layout needed where the options do not say the class's name
 * @throws TypeError, RangeError for names that cannot be file names, UnsupportedError for `name` off Linux
 */
export const recordPlace = (layout: Layout | undefined, options: RoleOptions): Place =>
  classPlace(options.className ?? layout?.name ?? "", options, "mmap");

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
