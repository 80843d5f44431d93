/** The struct in a file and the class that is to work on it: equal, a prefix, or told apart field by field. */

import { FileFormatError, LayoutMismatchError, StructDefinitionError } from "../errors/errors.ts";
import { escapeText } from "../errors/show.ts";
import type { SegmentFile } from "../segment/segment-file.ts";
import { StructType } from "../struct/declare/composite.ts";
import { MmapStructureHeader } from "../struct/declare/header.ts";
import { limitsBeside, limitsInFile, OF_TOOLS, type SchemaLimits } from "../struct/declare/limits.ts";
import { type Layout, layoutOfClass } from "../struct/layout/layout.ts";
import { atomicRanges } from "../struct/layout/plain-ranges.ts";
import {
  fingerprintOf,
  type Leaf,
  leavesOf,
  type SchemaOptions,
  type StructSchema,
} from "../struct/schema/schema.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";
import { structFromSchema } from "../struct/schema/schema-reader.ts";

/** A header made from a schema, or declared a second time, does as well: its bytes are what counts. */
export function hasSharedHeader({ members: [first] }: Layout): boolean {
  if (first?.name !== "header" || first.offset !== 0 || !(first.type instanceof StructType)) return false;
  if (first.type.cls === MmapStructureHeader) return true;
  return fingerprintOf(layoutOfClass(first.type.cls)) === fingerprintOf(layoutOfClass(MmapStructureHeader));
}

/** At most this many differences are told one by one. */
const MAX_TOLD = 20;

/**
 * Compares the struct in the file with the class. Equal fingerprints settle it; else the class must be a prefix of
 * the file's struct, field by field (a monitor that knows only the first fields may open every derived struct).
 * @throws LayoutMismatchError that lists what differs
 */
export function checkLayout(layout: Layout, file: SegmentFile): void {
  const { path, footer } = file;
  if (footer?.fingerprint === fingerprintOf(layout) && footer.contentBytes === layout.size) return;
  const inClass = leavesOf(layout);
  const inFile = leavesOf(layoutBeside(layout, file));
  const byPath = new Map(inFile.map((leaf) => [leaf.path, leaf]));
  const differences = inClass.flatMap((leaf, i) =>
    difference(leaf, byPath.get(leaf.path), inFile[i], layout.name),
  );
  const known = new Set(inClass.map((leaf) => leaf.path));
  // Fields that only the file has are no fault of a prefix; beside real differences they explain them.
  const missing = differences.length > 0 ? inFile.filter((leaf) => !known.has(leaf.path)) : [];
  const all = [
    ...differences,
    ...missing.map((leaf) => `${spell(leaf)} in the file, absent from ${layout.name}`),
  ];
  if (all.length === 0 && layout.size > file.contentBytes)
    all.push(`${layout.name} takes ${layout.size} bytes, the struct in the file ${file.contentBytes}`);
  if (all.length === 0) return;
  const told = all.slice(0, MAX_TOLD).map((text) => `\n  - ${escapeText(text)}`);
  const more = all.length > MAX_TOLD ? `\n  - and ${all.length - MAX_TOLD} more` : "";
  throw new LayoutMismatchError(
    path,
    all,
    `'${path}' holds another struct than ${layout.name} describes:${told.join("")}${more}\nUse the class that the file was made with, or replace the file with a Manager ({ create: true, force: true }), which erases its content.`,
  );
}

/** The layout of the struct in the file, by its schema. @throws FileFormatError when that is not sound */
export function layoutInFile(file: SegmentFile, limits: SchemaLimits = OF_TOOLS): Layout {
  return layoutOfClass(classInFile(schemaInFile(file, limits), file.path, { limits }));
}

/** The same of a file that is compared with a program's own struct, or becomes one. @throws FileFormatError */
export const layoutBeside = (layout: Layout, file: SegmentFile): Layout =>
  layoutInFile(file, limitsBeside(leavesOf(layout).length));

/**
 * The schema stored in a file, sound or not: `classInFile` decides.
 * @throws FileFormatError when it is not JSON (its checksum held, so it was made so), or more than the limits allow
 */
export function schemaInFile({ path, schemaBytes }: SegmentFile, limits?: SchemaLimits): StructSchema {
  try {
    return parseSchemaJson(schemaBytes, limits) as StructSchema;
  } catch (cause) {
    if (cause instanceof TypeError) throw cause;
    const reason = escapeText(String(cause));
    throw new FileFormatError(path, `the schema in '${path}' cannot be read: ${reason}`, false, { cause });
  }
}

/**
 * A class for the struct in a file.
 * @throws FileFormatError when the schema is not sound, or describes what no file can hold; TypeError for the options
 */
export function classInFile(
  schema: StructSchema,
  path: string,
  options: SchemaOptions = {},
): ReturnType<typeof structFromSchema> {
  try {
    const cls = structFromSchema(schema, { ...options, limits: limitsInFile(options.limits) });
    const layout = layoutOfClass(cls);
    if (!hasSharedHeader(layout)) throw new StructDefinitionError(`${layout.name} has no shared header`);
    if (layout.flexible) throw new StructDefinitionError(`${layout.name} ends in a flexible array`);
    atomicRanges(layout);
    return cls;
  } catch (cause) {
    if (!(cause instanceof StructDefinitionError)) throw cause;
    const reason = `the struct that '${path}' describes cannot be: ${cause.message}`;
    throw new FileFormatError(path, reason, false, { cause });
  }
}

const spell = ({ path, type, offset, size }: Leaf): string =>
  `${path} is ${type} at ${offset} (${size} bytes)`;

function difference(
  own: Leaf,
  sameName: Leaf | undefined,
  samePlace: Leaf | undefined,
  className: string,
): string[] {
  if (sameName !== undefined) {
    const equal = sameName.type === own.type && sameName.offset === own.offset && sameName.size === own.size;
    return equal
      ? []
      : [`${spell(sameName)} in the file, ${own.type} at ${own.offset} (${own.size} bytes) in ${className}`];
  }
  const instead = samePlace?.offset === own.offset ? `; the file has ${samePlace.path} there` : "";
  return [`${spell(own)} in ${className}, absent from the file${instead}`];
}
