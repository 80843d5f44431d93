/** Files of a stranger, with a right checksum, whose schemas describe much in few bytes. */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { MemoryMap } from "../../src/mmap/index.ts";
import { planFooter, writeFooter } from "../../src/segment/footer.ts";

/** So long is a file at least; holes take no room on the disk. */
export const FILE_BYTES = 2 ** 24;

const HEADER = {
  type: {
    struct: {
      name: "MmapStructureHeader",
      kind: "struct",
      size: 16,
      align: 8,
      fields: {
        header_code: { type: "c_int16", offset: 0, size: 2 },
        time_stamp: { type: "c_double", offset: 8, size: 8 },
      },
    },
  },
  offset: 0,
  size: 16,
};

interface Forged {
  readonly schema: string;
  readonly contentBytes: number;
}

const forged = (size: number, fields: object): Forged => ({
  schema: JSON.stringify({
    name: "X",
    kind: "struct",
    size,
    align: 8,
    fields: { header: HEADER, ...fields },
  }),
  contentBytes: size,
});

const text = (schema: string): Forged => ({ schema, contentBytes: 24 });

/** A struct whose member `n` has that JSON as its type, or with `rest` behind it. */
const withType = (type: string, rest = ""): Forged =>
  text(
    `{"name":"X","kind":"struct","size":24,"align":8,"fields":{"header":${JSON.stringify(HEADER)},"n":{"type":${type}${rest},"offset":16,"size":1}}}`,
  );

/** One member of all the content. */
const whole = (type: (length: number) => object): Forged => {
  const length = FILE_BYTES - 4096;
  return forged(16 + length, { a: { type: type(length), offset: 16, size: length } });
};

/** Members of 8 bytes each, as many as a schema of a file may have. */
const many = (
  type: (i: number) => object | string,
  size: number,
  count = 1000,
  bits?: (at: number) => object,
): Forged => {
  const fields: Record<string, object> = {};
  for (let i = 0; i < count; i++) {
    const offset = 16 + 8 * i;
    fields[`f${i}`] = { type: type(i), offset, size, ...(bits && { bits: bits(offset) }) };
  }
  return forged(16 + 8 * count, fields);
};

const nestedArray = (levels: number): object => {
  let type: object = { chars: 1 };
  for (let i = 0; i < levels; i++) type = { array: type, length: 1 };
  return type;
};
const structOf = (i: number): object => ({
  struct: {
    name: `S${i}`,
    kind: "struct",
    size: 8,
    align: 8,
    fields: { a: { type: "c_int8", offset: 0, size: 1 } },
  },
});
const enumOf = (labels: object): object => ({ converted: "enumOf(c_int8)", base: "c_int8", labels });
const deep = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);

/** Schemas, and what lies before them. */
export const HOSTILE: Readonly<Record<string, () => Forged>> = {
  bytes: () => whole((length) => ({ array: "c_uint8", length })),
  booleans: () => whole((length) => ({ array: "c_bool", length })),
  letters: () => whole((length) => ({ array: { chars: 1 }, length })),
  text: () => whole((length) => ({ chars: length })),
  structs: () => whole((length) => ({ array: structOf(0), length: length / 8 })),
  bigints: () => whole((length) => ({ array: "c_int64", length: length / 8 })),
  matrix: () => whole((length) => ({ array: { array: "c_uint8", length: 4 }, length: length / 4 })),
  manyText: () => many(() => ({ chars: 1 }), 1),
  manyNumbers: () => many(() => "c_int8", 1),
  manyBits: () =>
    many(
      () => "c_int32",
      4,
      1000,
      (at) => ({ offset: 8 * at, width: 3 }),
    ),
  manyCustom: () => many((i) => ({ custom: `t${i}`, size: 1, align: 1 }), 1),
  manyArrays: () => many(() => nestedArray(1), 1, 127),
  manyDeepArrays: () => many(() => nestedArray(60), 1),
  manyStructs: () => many(structOf, 8, 126),
  manyEnums: () => many(() => enumOf({ a: "1" }), 1),
  manyAtomics: () => many(() => ({ atomic: "c_int32" }), 4),
  tooMany: () => many(() => "c_int8", 1, 60_000),
  overlapping: () => {
    const fields: Record<string, object> = {};
    const length = FILE_BYTES - 2 ** 20;
    for (let i = 0; i < 1000; i++)
      fields[`f${i}`] = { type: { array: "c_uint8", length }, offset: 16, size: length };
    return forged(16 + length, fields);
  },
  everything: () => {
    const fields: Record<string, object> = {};
    const length = FILE_BYTES - 2 ** 18;
    for (let i = 0; i < 126; i++)
      fields[`a${i}`] = { type: { array: { chars: 8 }, length: 1 }, offset: 16 + 8 * i, size: 8 };
    for (let i = 0; i < 800; i++) fields[`f${i}`] = { type: enumOf({ a: "1" }), offset: 16 + 8 * i, size: 1 };
    const bigints = 100_000;
    fields.big = { type: { array: "c_int64", length: bigints }, offset: 16, size: 8 * bigints };
    return forged(16 + length, fields);
  },
  names: () => whole((length) => ({ array: { chars: 8 }, length: length / 8 })),
  someNames: () =>
    forged(FILE_BYTES - 4096, {
      a: { type: { array: { chars: 8 }, length: 200_000 }, offset: 16, size: 1_600_000 },
    }),
  someBigints: () =>
    forged(FILE_BYTES - 4096, {
      a: { type: { array: "c_int64", length: 262_000 }, offset: 16, size: 2_096_000 },
    }),
  longLabels: () => {
    const labels = Array.from({ length: 99_000 }, (_, i) => [`${"L".repeat(140)}${i}`, "1"]);
    return withType(JSON.stringify(enumOf(Object.fromEntries(labels))));
  },
  deepArrays: () => text(deep(7_000_000)),
  deepObjects: () => text(`${'{"a":'.repeat(1.5e6)}1${"}".repeat(1.5e6)}`),
  deepType: () => withType(deep(3_000_000)),
  deepBits: () => withType('"c_int8"', `,"bits":${deep(3_000_000)}`),
  deepName: () => text(`{"name":${deep(3_000_000)},"kind":"struct","size":24,"align":8,"fields":{}}`),
  nestedTypes: () => withType(`${'{"array":'.repeat(7e5)}"c_int8"${',"length":1}'.repeat(7e5)}`),
  nestedStructs: () =>
    withType(
      `${'{"struct":{"name":"Y","kind":"struct","size":1,"align":1,"fields":{"a":{"type":'.repeat(60)}"c_int8"${',"offset":0,"size":1}}}}'.repeat(60)}`,
    ),
  manyValues: () => text(`[${"0,".repeat(8_000_000)}0]`),
  nothing: () => text("null"),
  aNumber: () => text("1e999"),
};

/** Writes a file. Holes take no room on the disk. @returns its length */
export function writeHostile(path: string, { schema, contentBytes }: Forged): number {
  const json = new TextEncoder().encode(schema);
  const plan = {
    content: "record",
    lockKind: "flock",
    contentBytes,
    fingerprint: 1n,
    createdAt: 0n,
  } as const;
  const footer = planFooter({ ...plan, schemaBytes: json.length });
  const fd = openSync(path, "w", 0o600);
  ftruncateSync(fd, footer.fileBytes);
  closeSync(fd);
  using map = new MemoryMap(path, 0);
  writeFooter(map.bytes, footer, json);
  map.bytes.set([0x28, 0x11]);
  return footer.fileBytes;
}
