/** Roles: who may do what with a shared struct. */

export type { ContentKind } from "../segment/footer.ts";
export type { LockInfo, SegmentInfo } from "../segment/info.ts";
export type { ListedSegment, SegmentState } from "../segment/list.ts";
export type { WaitForFileOptions } from "../segment/wait-for-file.ts";
export type { LockKind } from "../sync/file-lock.ts";
export type { ChangesOptions, SpinOptions, WaitOptions } from "../sync/notifier.ts";
export type { AsyncLockOptions, LockOptions } from "../sync/rw-lock.ts";
export type { FieldFate, MigratedField } from "./carry-over.ts";
export { Editor } from "./editor.ts";
export { listSegments, purgeSegments, segmentAt } from "./listing.ts";
export { Manager, type RemoveOptions } from "./manager.ts";
export type { Compatibility, Migrate } from "./migrate.ts";
export { type AnyStruct, type OpenReaderOptions, openEditor, openReader } from "./open-reader.ts";
export type { ManagerOptions, ManagerOptionsOf, RestoreOptions, RoleOptions } from "./options.ts";
export { Reader } from "./reader.ts";
export { Role } from "./role.ts";
export type { ReadSession, WriteSession } from "./session.ts";
