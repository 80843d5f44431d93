/** Roles: who may do what with a shared struct. */
export type { ChangesOptions, SpinOptions, WaitOptions } from "../sync/commit-signal.ts";
export type { LockKind } from "../sync/file-lock.ts";
export type { AsyncLockOptions, LockOptions } from "../sync/rw-lock.ts";
export { Editor } from "./editor.ts";
export { Manager } from "./manager.ts";
export { type AnyStruct, type OpenReaderOptions, openReader } from "./open-reader.ts";
export type { ManagerOptions, ManagerOptionsOf, RoleOptions } from "./options.ts";
export { Reader } from "./reader.ts";
export { Role } from "./role.ts";
export type { ReadSession, WriteSession } from "./session.ts";
