/**
 * The data file, as bytes. The struct comes first, exactly as C lays it out, so that any language can map the
 * file and ignore the rest; what we add stands behind it, found through the last 64 bytes.
 *
 *     0              sizeof(S)                                        size-64        size
 *     | live struct  | pad | pre-image (sizeof S) | schema (JSON) | pad | footer 64 B |
 *
 *     footer:
 *     0        8        12       16   17   18  20       24        32       40       48     52     56     60    64
 *     | magic  | format | crc32  |lock|tran|0 0| schema | struct  | schema | finger-| be-  | com- | se-   | re- |
 *     |        |        |        |kind|sact|   | bytes  | bytes   | offset | print  | fore | mits | quence| tired
 *
 * Everything but the last four words is fixed at creation and covered by the checksum, together with the schema.
 * `before` is to `commits` what the pre-image is to the struct: its value before the writer that is at work.
 * Everything is checked against the file's size before it is believed: a file is hostile input.
 */
import { FileFormatError, LayoutMismatchError, StructDefinitionError } from "../errors/errors.ts";
import { StructType } from "../struct/declare/composite.ts";
import { HEADER_CODE, MmapStructureHeader } from "../struct/declare/header.ts";
import { MAX_SCHEMA_BYTES } from "../struct/declare/limits.ts";
import { type Layout, layoutOfClass } from "../struct/layout/layout.ts";
import { atomicRanges } from "../struct/layout/plain-ranges.ts";
import {
  fingerprintOf,
  type Leaf,
  leavesOf,
  type SchemaOptions,
  type StructSchema,
  schemaOf,
} from "../struct/schema/schema.ts";
import { structFromSchema } from "../struct/schema/schema-reader.ts";
import type { LockKind } from "../sync/file-lock.ts";

/** "shmstrct" in ASCII, little-endian. */
const MAGIC = 0x7463_7274_736d_6873n;
const FORMAT = 1;
export const FOOTER_BYTES = 64;

const AT = {
  magic: 0,
  format: 8,
  crc: 12,
  lockKind: 16,
  transactional: 17,
  schemaBytes: 20,
  structBytes: 24,
  schemaOffset: 32,
  fingerprint: 40,
  before: 48,
  commits: 52,
  sequence: 56,
  retired: 60,
} as const;
/** The part of the footer that the checksum covers. */
const FIXED = { from: AT.lockKind, to: AT.before } as const;

const LOCK_KINDS: readonly LockKind[] = ["flock", "fcntl"];

/** What a file says about itself. Offsets and lengths in bytes. */
export interface FileFormat {
  readonly lockKind: LockKind;
  /** Writer sessions keep the state before them in the file, for the next writer should they die. */
  readonly transactional: boolean;
  readonly structBytes: number;
  /** 0 when the file is not transactional. */
  readonly preImageOffset: number;
  readonly schemaOffset: number;
  readonly schemaBytes: number;
  readonly fingerprint: bigint;
  readonly fileBytes: number;
}

/** The words of the footer that change, as indices into the file seen as 32-bit words. */
export function wordIndices(
  fileBytes: number,
): Record<"before" | "commits" | "sequence" | "retired", number> {
  const word = (offset: number) => (fileBytes - FOOTER_BYTES + offset) / 4;
  return {
    before: word(AT.before),
    commits: word(AT.commits),
    sequence: word(AT.sequence),
    retired: word(AT.retired),
  };
}

const align = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/**
 * The format of a new file for this layout.
 * @throws StructDefinitionError for a struct that a file cannot describe, or whose atomics are too scattered
 */
export function planFile(
  layout: Layout,
  lockKind: LockKind,
  transactional: boolean,
): { format: FileFormat; schema: Buffer } {
  const schema = Buffer.from(JSON.stringify(schemaOf(layout)));
  if (schema.length > MAX_SCHEMA_BYTES)
    throw new StructDefinitionError(
      `the schema of ${layout.name} takes ${schema.length} bytes; a file holds at most ${MAX_SCHEMA_BYTES}`,
    );
  // Whoever opens the file needs them.
  atomicRanges(layout);
  const preImageOffset = transactional ? align(layout.size, 8) : 0;
  const schemaOffset = align((transactional ? preImageOffset : 0) + layout.size, 8);
  const format: FileFormat = {
    lockKind,
    transactional,
    structBytes: layout.size,
    preImageOffset,
    schemaOffset,
    schemaBytes: schema.length,
    fingerprint: fingerprintOf(layout),
    fileBytes: align(schemaOffset + schema.length + FOOTER_BYTES, 64),
  };
  return { format, schema };
}

/** Writes schema and footer into the bytes of a new, zeroed file. */
export function writeFormat(bytes: Uint8Array<ArrayBuffer>, format: FileFormat, schema: Buffer): void {
  bytes.set(schema, format.schemaOffset);
  const footer = footerOf(bytes);
  footer.setUint8(AT.lockKind, LOCK_KINDS.indexOf(format.lockKind));
  footer.setUint8(AT.transactional, format.transactional ? 1 : 0);
  footer.setUint32(AT.schemaBytes, format.schemaBytes, true);
  footer.setBigUint64(AT.structBytes, BigInt(format.structBytes), true);
  footer.setBigUint64(AT.schemaOffset, BigInt(format.schemaOffset), true);
  footer.setBigUint64(AT.fingerprint, format.fingerprint, true);
  footer.setUint32(AT.format, FORMAT, true);
  footer.setUint32(AT.crc, checksum(bytes, footer, format), true);
  footer.setBigUint64(AT.magic, MAGIC, true);
}

const footerOf = (bytes: Uint8Array<ArrayBuffer>): DataView<ArrayBuffer> =>
  new DataView(bytes.buffer, bytes.byteOffset + bytes.byteLength - FOOTER_BYTES, FOOTER_BYTES);

/** What was checked must stay as it was. */
const copyOfFooter = (bytes: Uint8Array): DataView<ArrayBuffer> =>
  new DataView(new Uint8Array(bytes.subarray(bytes.byteLength - FOOTER_BYTES)).buffer);

/** Of a copy of the schema, as others may write to the file meanwhile. */
function checksum(
  bytes: Uint8Array,
  footer: DataView<ArrayBuffer>,
  { schemaOffset, schemaBytes }: FileFormat,
): number {
  return Bun.hash.crc32(
    new Uint8Array(bytes.subarray(schemaOffset, schemaOffset + schemaBytes)),
    Bun.hash.crc32(new Uint8Array(footer.buffer, footer.byteOffset + FIXED.from, FIXED.to - FIXED.from)),
  );
}

/**
 * The format of a file, from all its bytes; undefined when it has no footer (an IPMMAP file, or something else).
 * @throws FileFormatError when it has one that is damaged, from a newer version, or does not fit the file's size
 */
export function readFormat(bytes: Uint8Array, path: string): FileFormat | undefined {
  if (bytes.byteLength < FOOTER_BYTES || bytes.byteLength % 64 !== 0) return undefined;
  const footer = copyOfFooter(bytes);
  if (footer.getBigUint64(AT.magic, true) !== MAGIC) return undefined;
  const version = footer.getUint32(AT.format, true);
  if (version !== FORMAT) {
    throw new FileFormatError(
      path,
      `'${path}' has file format ${version}, this version of shmstruct reads ${FORMAT}: it is damaged or newer`,
      true,
    );
  }
  const structBytes = Number(footer.getBigUint64(AT.structBytes, true));
  const transactional = footer.getUint8(AT.transactional) === 1;
  const format: FileFormat = {
    lockKind: LOCK_KINDS[footer.getUint8(AT.lockKind)] ?? "flock",
    transactional,
    structBytes,
    preImageOffset: transactional ? align(structBytes, 8) : 0,
    schemaOffset: Number(footer.getBigUint64(AT.schemaOffset, true)),
    schemaBytes: footer.getUint32(AT.schemaBytes, true),
    fingerprint: footer.getBigUint64(AT.fingerprint, true),
    fileBytes: bytes.byteLength,
  };
  const damage = problemWith(format, bytes, footer);
  if (damage !== undefined) {
    throw new FileFormatError(
      path,
      `the footer of '${path}' is damaged (${damage}); a Manager with { create: true, force: true } makes the file anew`,
      true,
    );
  }
  return format;
}

function problemWith(
  format: FileFormat,
  bytes: Uint8Array,
  footer: DataView<ArrayBuffer>,
): string | undefined {
  const { structBytes, preImageOffset, schemaOffset, schemaBytes, fileBytes, transactional } = format;
  const end = fileBytes - FOOTER_BYTES;
  if (structBytes < 1 || structBytes > end) return `struct of ${structBytes} bytes in a file of ${fileBytes}`;
  if (schemaBytes > MAX_SCHEMA_BYTES)
    return `schema of ${schemaBytes} bytes, of which there may be ${MAX_SCHEMA_BYTES}`;
  if (schemaOffset < structBytes || schemaOffset + schemaBytes > end)
    return `schema at ${schemaOffset}, ${schemaBytes} bytes`;
  if (transactional && preImageOffset + structBytes > schemaOffset) return `pre-image at ${preImageOffset}`;
  if (footer.getUint8(AT.lockKind) >= LOCK_KINDS.length) return `lock kind ${footer.getUint8(AT.lockKind)}`;
  if (footer.getUint32(AT.crc, true) !== checksum(bytes, footer, format)) return "checksum";
  return undefined;
}

/** All that tells a file of IPMMAP from others. */
export function beginsWithHeaderCode(bytes: Uint8Array): boolean {
  return (((bytes[1] ?? 0) << 8) | (bytes[0] ?? 0)) === HEADER_CODE;
}

/**
 * The schema stored in the file, sound or not: `classInFile` decides.
 * @throws FileFormatError when it is not JSON (its checksum held, so somebody made it so)
 */
export function readSchema(
  bytes: Uint8Array,
  { schemaOffset, schemaBytes }: FileFormat,
  path: string,
): StructSchema {
  try {
    return JSON.parse(Buffer.from(bytes.subarray(schemaOffset, schemaOffset + schemaBytes)).toString());
  } catch (cause) {
    throw new FileFormatError(path, `the schema in '${path}' is not JSON: ${String(cause)}`, false, {
      cause,
    });
  }
}

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
export function checkLayout(layout: Layout, format: FileFormat, bytes: Uint8Array, path: string): void {
  if (format.fingerprint === fingerprintOf(layout) && format.structBytes === layout.size) return;
  const inFile = leavesOf(layoutInFile(bytes, format, path));
  const inClass = leavesOf(layout);
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
  if (all.length === 0 && layout.size > format.structBytes)
    all.push(`${layout.name} takes ${layout.size} bytes, the struct in the file ${format.structBytes}`);
  if (all.length === 0) return;
  const told = all.slice(0, MAX_TOLD).map((text) => `\n  - ${text}`);
  const more = all.length > MAX_TOLD ? `\n  - and ${all.length - MAX_TOLD} more` : "";
  throw new LayoutMismatchError(
    path,
    all,
    `'${path}' holds another struct than ${layout.name} describes:${told.join("")}${more}\nUse the class that the file was made with, or make the file anew with a Manager ({ create: true, force: true }).`,
  );
}

/** The layout of the struct in the file, by its schema. @throws FileFormatError when that is not sound */
export function layoutInFile(bytes: Uint8Array, format: FileFormat, path: string): Layout {
  return layoutOfClass(classInFile(readSchema(bytes, format, path), path));
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
    const cls = structFromSchema(schema, options);
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
