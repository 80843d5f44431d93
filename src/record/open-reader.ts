import { checkOptions } from "../errors/check-options.ts";
import { FileFormatError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import { type Place, placeOfPath } from "../segment/place.ts";
import { SegmentFile } from "../segment/segment-file.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import type { MmapStructure } from "../struct/declare/header.ts";
import type { SchemaOptions, StructSchema } from "../struct/schema/schema.ts";
import { classInFile, schemaInFile } from "./layouts.ts";
import { AT_PLACE, type RoleOptions } from "./options.ts";
import { Reader } from "./reader.ts";
import { LEAST_BYTES, recordWords } from "./record-content.ts";

/** Options of `openReader`. */
export interface OpenReaderOptions extends SchemaOptions, Pick<RoleOptions, "lockDir"> {}

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
  checkOptions("openReader", options, { lockDir: "string", types: "object" });
  if (typeof path !== "string") throw new TypeError(`openReader: expected a path, got ${show(path)}`);
  const { lockDir, types } = options;
  const place = placeOfPath(path, lockDir);
  const cls = classInFile(readSchemaAt(place), place.dataPath, { types });
  return new Reader<AnyStruct>(cls as unknown as StructClass<AnyStruct>, { [AT_PLACE]: place });
}

function readSchemaAt(place: Place): StructSchema {
  using file = SegmentFile.open(place.dataPath, {
    access: "read",
    words: recordWords("Class"),
    leastBytes: LEAST_BYTES,
  });
  if (file.footer !== undefined) return schemaInFile(file);
  throw new FileFormatError(
    file.path,
    `'${file.path}' was made by IPMMAP and has no schema: open it with a class, new Reader(cls, { dir })`,
  );
}
