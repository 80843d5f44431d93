/** The struct that a file describes, and what tells it from a class: a prefix of it, or another one field by field. */
import { FileFormatError, LayoutMismatchError, StructDefinitionError } from "../errors/errors.ts";
import { escapeText } from "../errors/show.ts";
import { optionsFor, type Place } from "../segment/place.ts";
import type { SegmentFile } from "../segment/segment-file.ts";
import { limitsBeside, limitsInFile, OF_TOOLS, type SchemaLimits } from "../struct/declare/limits.ts";
import { type Layout, layoutOfClass } from "../struct/layout/layout.ts";
import { atomicRanges } from "../struct/layout/plain-ranges.ts";
import { type Leaf, leavesOf, type SchemaOptions, type StructSchema } from "../struct/schema/schema.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";
import { structFromSchema } from "../struct/schema/schema-reader.ts";
import { hasSharedHeader } from "./layouts.ts";

/** At most this many differences are told one by one. */
const MAX_TOLD = 20;

/** The class must be a prefix of the file's struct. @throws LayoutMismatchError that lists what differs */
export function checkPrefix(layout: Layout, file: SegmentFile, place?: Place): void {
  const { path } = file;
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
    `'${path}' holds another struct than ${layout.name} describes:${told.join("")}${more}\nUse the class that the file was made with, or replace the file with new Manager(${layout.name}, ${optionsFor(place, "create: true, force: true")}), which erases its content.`,
  );
}

/** The layout of the struct in the file, by its schema. @throws FileFormatError when that is not sound */
export function layoutInFile(file: SegmentFile, limits: SchemaLimits = OF_TOOLS): Layout {
  return layoutOfClass(classInFile(schemaInFile(file, limits), file.path, { limits }));
}

/** The layout in a file that is compared with a program's own struct, or becomes one. @throws FileFormatError */
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
