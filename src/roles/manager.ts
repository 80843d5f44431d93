import { FileFormatError } from "../errors.ts";
import type { StructClass } from "../struct/composite.ts";
import type { Struct } from "../struct/struct.ts";
import { Core } from "./core.ts";
import { Editor } from "./editor.ts";
import { checkRoleOptions, type ManagerOptions, placeOf, roleLayout } from "./options.ts";
import type { WriteSession } from "./session.ts";

/** Loaded by the first Manager: most processes only read and edit what is there. */
const creation = (): typeof import("./create.ts") => require("./create.ts");

/**
 * Makes the shared file, and is an Editor of it. With `create` the file is made when there is none; with `force`
 * it is made anew, and those who have the old one open move to the new one at their next lock.
 *
 * Files are made whole under another name and then renamed, so nobody ever sees half of one; their storage is
 * reserved, so that a full disk is an error here (`SystemError` ENOSPC) and not the death of a writer later.
 * @throws as Editor; SystemError when the file cannot be made; FileFormatError when the place is taken by
 *   something that is no file of ours, or by one with another kind of lock than `lock` asks for
 * @example using manager = new Manager(Robot, { dir: "/run/robot", create: true });
 */
export class Manager<T extends Struct> extends Editor<T> {
  constructor(cls: StructClass<T> | string, options: ManagerOptions = {}) {
    super(cls, options, openManaged<T>(cls, options));
  }

  /**
   * Removes the file and closes. Others find out at their next lock (FileMissingError). The lock file stays:
   * processes that wait for it would otherwise not meet those that come later.
   */
  remove(): void {
    const session = this.#lockToRemove();
    try {
      creation().removeFile(this.core.file);
      this.core.notify();
    } finally {
      session?.abandon();
      this.close();
    }
  }

  /** A file that was cut short cannot be worked on any more, but removed all the same. */
  #lockToRemove(): WriteSession<T> | undefined {
    try {
      return this.lock();
    } catch (error) {
      if (error instanceof FileFormatError) return undefined;
      throw error;
    }
  }
}

function openManaged<T extends Struct>(cls: StructClass<T> | string, options: ManagerOptions): Core<T> {
  checkRoleOptions("new Manager", options);
  if (options.force && !options.create)
    throw new TypeError("new Manager: force makes the file anew, so it needs create: true");
  const layout = roleLayout(cls);
  if (options.create) creation().createFile(layout, placeOf(layout, options), options);
  const core = new Core<T>(layout, options, true, true);
  const { lockKind, path } = core.file;
  if (options.lock === undefined || options.lock === lockKind) return core;
  core.close();
  throw new FileFormatError(
    path,
    `'${path}' was made with lock: "${lockKind}", not "${options.lock}"; leave the option out, or make it anew with force: true`,
  );
}
