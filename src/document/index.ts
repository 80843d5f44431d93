/** `shmstruct/json`: one JSON document that processes share. */

export {
  ClosedError,
  DeadlockError,
  FileFormatError,
  FileMissingError,
  InvalidDocumentError,
  LockTimeoutError,
  ShmError,
  SystemError,
  TooLargeError,
  UnsupportedError,
  WaitTimeoutError,
} from "../errors/errors.ts";
export type { SpinOptions } from "../sync/notifier.ts";
export type { LockOptions } from "../sync/rw-lock.ts";
export {
  type DocumentChangesOptions,
  type FollowerOptions,
  type JsonFollower,
  JsonMap,
  type JsonMapConstructor,
  type JsonMaster,
  type MasterOptions,
  type WaitForFirstOptions,
} from "./json-map.ts";
export type { Json } from "./json-value.ts";
export type { PlaceOptions } from "./place.ts";
export type { InputOf, OutputOf, SchemaIssue, SchemaResult, StandardSchema } from "./standard-schema.ts";
