import { checkOptions } from "../errors/check-options.ts";
import { ClosedError, DeadlockError, FileMissingError, LockTimeoutError } from "../errors/errors.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import type { MmapStructure } from "../struct/declare/header.ts";
import type { Layout } from "../struct/layout/layout.ts";
import type { LockOptions } from "../sync/rw-lock.ts";

import type { Core } from "./core.ts";

import { Editor } from "./editor.ts";
import { files } from "./lazily.ts";
import type { Compatibility } from "./migrate.ts";
import type { ManagerOptionsOf, RestoreOptions, RoleOptions } from "./options.ts";

/** Options of `remove`. @example manager.remove({ purge: true }) */
export interface RemoveOptions extends LockOptions {
  /**
   * Remove the lock file, its page and the owners' file as well, unless a process uses them. Versions begin again with the
   * next file. Default false.
   */
  readonly purge?: boolean | undefined;
}

/**
 * Makes the shared file, and is an Editor of it (IPMMAP's `DataStructMmapManager`). With `create` the file is made when it is missing; with `force`
 * it is replaced by an empty one, and those who have the old one open move to the new one at their next lock.
 *
 * Files are made whole under another name and then renamed, so that no process ever sees half of one; their storage is
 * reserved, so that a full disk is an error here (`SystemError` ENOSPC) and not the death of a writer later.
 * @throws FileMissingError when no Manager has made the file; FileFormatError; LayoutMismatchError; HeaderNotFoundError
 *   for a class that does not extend MmapStructure; SystemError, also when the file cannot be made. FileFormatError
 *   when the place is taken by something that is no file of ours, or by one with another kind of lock than `lock` asks for
 * @example using manager = new Manager(Robot, { dir: "/run/robot", create: true });
 */
export class Manager<T extends MmapStructure> extends Editor<T> {
  /**
   * Makes the file if told so, and opens it for writing. Waits for the writer lock where there is something to make.
   * @param cls the class, or its name after `loadStructs`
   * @throws FileMissingError without `create`; FileFormatError; LayoutMismatchError; HeaderNotFoundError; MigrationError;
   *   LockTimeoutError; SystemError; TypeError for `force` without `create`, or `transactional: true` with `lock: "fcntl"`;
   *   RangeError for an impossible `mode`, or a file beyond 4 GiB; DeadlockError when this thread holds the lock
   * @example const manager = new Manager(Robot, { create: true, force: true });
   */
  constructor(cls: StructClass<T> | string, options: ManagerOptionsOf<T> = {}) {
    super(cls, options);
  }

  protected override open(layout: Layout, options: ManagerOptionsOf<T>): Core<T> {
    return files().openAsManager(layout, options);
  }

  /**
   * What opening the file with this class would mean, without opening or changing it: equal, a prefix, or what happens to
   * each field in a migration.
   * @throws FileMissingError, FileFormatError, SystemError; TypeError for wrong options
   * @example if (Manager.canOpen(Robot, { dir }).verdict === "lossy") …
   */
  static canOpen<T extends MmapStructure>(cls: StructClass<T>, options: RoleOptions = {}): Compatibility {
    return files().canOpen(cls, options);
  }

  /**
   * Puts the content of a backup in the place of the live file, in one step; the file's users move over. The file is made
   * if it is missing. A backup of another struct is migrated.
   * @param backup path of a file that `backup()` wrote
   * @throws FileMissingError, FileFormatError for what is no backup of a record; MigrationError for one that would lose
   *   something; LockTimeoutError; SystemError
   * @example Manager.restore(Robot, "/backups/robot", { dir: "/run/robot" });
   */
  static restore<T extends MmapStructure>(
    cls: StructClass<T>,
    backup: string,
    options: RestoreOptions<T> = {},
  ): void {
    files().restore(cls, backup, options);
  }

  /**
   * Removes the file and closes. Others find out at their next lock (FileMissingError). The lock file stays, so that
   * processes that wait for it meet those that come later; with `purge` it goes too, unless a process uses it.
   * @throws DeadlockError when this thread holds the lock
   * @throws FileFormatError when something else was put in its place; SystemError EACCES when the directory may
   *   not be changed. The role is closed then, and what is there stays
   * @example manager.remove({ purge: true });
   */
  remove(options: RemoveOptions = {}): void {
    checkOptions("remove", options, { timeoutMs: "number", purge: "boolean" });
    const { core } = this;
    if (this.closed) throw new ClosedError(`the role on '${this.path}' is closed`);
    core.refuseSecond();
    const { removeSegment, recordType } = files();
    const { segment } = core;
    const { mode, id } = segment.content.file;
    let isRemoved: boolean;
    try {
      isRemoved = removeSegment(segment.place, recordType(undefined, segment.place), {
        mode,
        timeoutMs: options.timeoutMs,
        trust: core.options,
        knownId: id,
      });
    } catch (error) {
      // Without the lock nothing was done, and another try may succeed.
      if (!(error instanceof LockTimeoutError || error instanceof DeadlockError)) this.close();
      throw error;
    }
    this.close();
    if (options.purge) files().purgeSegment(segment.place);
    if (!isRemoved)
      throw new FileMissingError(this.path, `'${this.path}' is gone already: it was removed before`);
  }
}
