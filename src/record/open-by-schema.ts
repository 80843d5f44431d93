/** Opens a data file by the schema in it, for tools that do not have the class. */

import { checkOptions } from "../errors/check-options.ts";
import { FileFormatError } from "../errors/errors.ts";
import { show } from "../errors/show.ts";
import { type Place, placeOfPath } from "../segment/place.ts";
import { SegmentFile } from "../segment/segment-file.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import type { SchemaLimits } from "../struct/declare/limits.ts";
import type { StructSchema } from "../struct/schema/schema.ts";
import { TRUST_OPTIONS, type Trust } from "../sys/trust.ts";
import { Editor } from "./editor.ts";
import { classInFile, schemaInFile } from "./layout-in-file.ts";
import type { AnyStruct, OpenReaderOptions } from "./open-reader.ts";
import { AT_PLACE, type RoleOptions } from "./options.ts";
import { Reader } from "./reader.ts";
import { LEAST_BYTES, recordWords } from "./record-content.ts";

/** See `openReader`. */
export const openBySchema = (path: string, options: OpenReaderOptions): Reader<AnyStruct> =>
  new Reader(...found("openReader", path, options));

/** See `openEditor`. */
export const editBySchema = (path: string, options: OpenReaderOptions): Editor<AnyStruct> =>
  new Editor(...found("openEditor", path, options));

/** What a role is opened with. */
function found(
  caller: string,
  path: string,
  options: OpenReaderOptions,
): [cls: StructClass<AnyStruct>, options: RoleOptions] {
  checkOptions(caller, options, {
    lockDir: "string",
    types: "object",
    limits: "object",
    ...TRUST_OPTIONS,
  });
  if (typeof path !== "string") throw new TypeError(`${caller}: expected a path, got ${show(path)}`);
  const { lockDir, types, limits, ...trust } = options;
  const place = placeOfPath(path, lockDir);
  const cls = classInFile(readSchemaAt(place, trust, limits), place.dataPath, { types, limits });
  return [cls as unknown as StructClass<AnyStruct>, { [AT_PLACE]: place, ...trust }];
}

function readSchemaAt(place: Place, trust: Trust, limits?: SchemaLimits): StructSchema {
  using file = SegmentFile.open(place.dataPath, {
    access: "read",
    words: recordWords("Class"),
    leastBytes: LEAST_BYTES,
    trust,
  });
  if (file.footer !== undefined) return schemaInFile(file, limits);
  throw new FileFormatError(
    file.path,
    `'${file.path}' has no schema: if it was made by IPMMAP, open it with a class, new Reader(cls, { dir }); otherwise it is no shared file`,
  );
}
