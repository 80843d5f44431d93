/**
 * What runtimes other than Bun get as the main module: structs on memory of their own, in Node.js and in browser pages.
 * Shared files need Bun, and say so when they are asked for.
 */
import { UnsupportedError } from "./errors/errors.ts";

export * from "./errors/errors.ts";
export * from "./struct/index.ts";

function needsBun(what: string): never {
  throw new UnsupportedError(
    `${what}: shmstruct runs on Bun (https://bun.sh), as it calls libc through bun:ffi; only structs on memory of your own work elsewhere`,
  );
}

/** Needs Bun. */
export abstract class Role {
  constructor() {
    needsBun(`new ${new.target.name}`);
  }
}

/** Needs Bun. */
export class Reader extends Role {
  static open(): never {
    return needsBun("Reader.open");
  }
}

/** Needs Bun. */
export class Editor extends Role {
  static open(): never {
    return needsBun("Editor.open");
  }
}

/** Needs Bun. */
export class Manager extends Editor {
  static canOpen(): never {
    return needsBun("Manager.canOpen");
  }

  static restore(): never {
    return needsBun("Manager.restore");
  }
}

/** Needs Bun. */
export const openReader = (): never => needsBun("openReader");
/** Needs Bun. */
export const listSegments = (): never => needsBun("listSegments");
/** Needs Bun. */
export const segmentAt = (): never => needsBun("segmentAt");
/** Needs Bun. */
export const purgeSegments = (): never => needsBun("purgeSegments");
