import type { MmapStructure } from "../struct/declare/header.ts";

import type { SchemaOptions } from "../struct/schema/schema.ts";
import type { Editor } from "./editor.ts";
import { files } from "./lazily.ts";
import type { RoleOptions } from "./options.ts";
import type { Reader } from "./reader.ts";

/** Options of `openReader`. */
export interface OpenReaderOptions
  extends SchemaOptions,
    Pick<RoleOptions, "lockDir" | "trustOwner" | "shared"> {}

/** A struct whose class is not at hand: its fields have the types that the file's schema says. */
export type AnyStruct = MmapStructure & Record<string, unknown>;

/**
 * Opens a data file whose class is not at hand, for tools: the struct is the one that the schema in the file
 * describes, without the methods of the original.
 * @param path the data file, `<dir>/<Class>_<tag>.mmap`, or `/dev/shm/<name>` of a role with `name`
 * @throws FileMissingError; FileFormatError for a file without a schema (Python's IPMMAP writes none) or with one that
 *   describes no struct; TypeError for a path that cannot be that of a data file; SystemError
 * @example using reader = openReader("./.mmap/Robot_.mmap"); console.log(reader.snapshot());
 */
export function openReader(path: string, options: OpenReaderOptions = {}): Reader<AnyStruct> {
  return files().openBySchema(path, options);
}

/**
 * The same to write, under the lock. Values are checked as the file's schema says.
 * @throws FileMissingError; FileFormatError for a file without a schema, with one that describes no struct, and for a
 *   backup, which is only read; TypeError for a path that cannot be that of a data file; SystemError
 * @example using editor = openEditor("./.mmap/Robot_.mmap"); editor.set("speed", 1.5);
 */
export function openEditor(path: string, options: OpenReaderOptions = {}): Editor<AnyStruct> {
  return files().editBySchema(path, options);
}
