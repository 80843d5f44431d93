/** What a Manager does with files, but for what an Editor does. */

import { FileFormatError, FileMissingError } from "../errors/errors.ts";
import { backupSegment } from "../segment/backup.ts";
import { createSegment, type NewSegment } from "../segment/create.ts";
import { SegmentFile } from "../segment/segment-file.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import type { MmapStructure } from "../struct/declare/header.ts";
import type { Layout } from "../struct/layout/layout.ts";
import { checkTimeout } from "../sync/deadline.ts";
import type { LockOptions } from "../sync/rw-lock.ts";
import { absolutePath } from "../sys/paths.ts";
import type { Trust } from "../sys/trust.ts";
import { Core } from "./core.ts";
import { type Compatibility, compare, fillMigrated, migrateFile } from "./migrate.ts";
import {
  checkRoleOptions,
  type ManagerOptionsOf,
  type RestoreOptions,
  type RoleOptions,
  recordPlace,
  roleLayout,
} from "./options.ts";
import { LEAST_BYTES, recordType, recordWords } from "./record-content.ts";
import { recordPlan } from "./record-plan.ts";

/** How often a Manager makes its file that others remove or replace at once. */
const MAX_TRIES = 100;

/** Makes the file if told so, and opens it. */
export function openAsManager<T extends MmapStructure>(
  layout: Layout,
  options: ManagerOptionsOf<T>,
): Core<T> {
  if (options.force && !options.create)
    throw new TypeError("new Manager: force replaces the file, so it needs create: true");
  // Also where the file is there and no lock is waited for.
  checkTimeout(options.timeoutMs);
  if (!options.create) return new Core<T>(layout, options, "manager");
  const place = recordPlace(layout, options);
  const plan = recordPlan(layout, options);
  // What is replaced may hold another struct.
  const anyRecord = recordType(undefined, place, layout.name);
  const { force, mode = 0o600, timeoutMs } = options;
  for (let tries = 1; ; tries++) {
    let isMade = false;
    try {
      isMade = createSegment(place, plan, anyRecord, { force, mode, timeoutMs, trust: options });
      if (!isMade && options.migrate) migrateFile(layout, place, options, options.migrate);
      return new Core<T>(layout, options, "manager");
    } catch (error) {
      // Another Manager has removed it meanwhile, or put one with another kind of lock in its place.
      const isRemoved = error instanceof FileMissingError && error.path === place.dataPath;
      const isReplaced = isMade && options.force && error instanceof FileFormatError;
      if (tries === MAX_TRIES || !(isRemoved || isReplaced)) throw error;
    }
  }
}

/** See `Manager.canOpen`. */
export function canOpen<T extends MmapStructure>(
  cls: StructClass<T>,
  options: RoleOptions = {},
): Compatibility {
  checkRoleOptions("Manager.canOpen", options);
  const layout = roleLayout(cls);
  const { dataPath } = recordPlace(layout, options);
  using file = openToRead(dataPath, layout, options);
  return compare(layout, file);
}

/** See `Manager.restore`. */
export function restore<T extends MmapStructure>(
  cls: StructClass<T>,
  backup: string,
  options: RestoreOptions<T> = {},
): void {
  checkRoleOptions("Manager.restore", options);
  const layout = roleLayout(cls);
  const place = recordPlace(layout, options);
  using old = openToRead(backup, layout, options);
  const { mode = old.mode, timeoutMs, migrate = true } = options;
  const plan = recordPlan(layout, { ...options, lock: options.lock ?? old.lockKind, init: undefined });
  const fill = (file: NewSegment): void => fillMigrated(layout, { old, file, plan, migrate });
  const anyRecord = recordType(undefined, place, layout.name);
  createSegment(place, { ...plan, fill }, anyRecord, {
    force: true,
    mode,
    timeoutMs,
    trust: options,
  });
}

/** See `Role.backup`. */
export const backup = (core: Core<MmapStructure>, path: string, options?: LockOptions): number =>
  backupSegment(core.segment, absolutePath(".", path), options);

/** A file that is only looked at. */
function openToRead(path: string, { name }: Layout, trust: Trust): SegmentFile {
  const how = { access: "read", words: recordWords(name), leastBytes: LEAST_BYTES, trust } as const;
  const file = SegmentFile.open(path, how);
  if (file.footer?.content === "record") return file;
  file.close();
  throw new FileFormatError(path, `'${path}' holds no record that describes itself`);
}
