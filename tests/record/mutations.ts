/** Damaged and hostile data files, by the thousand; also used by the soak run. */
import { readFileSync, writeFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { Editor, Manager, Reader, ShmError, toObject } from "../../src/index.ts";
import type { Random } from "../support/random.ts";
import { Robot } from "./structs.ts";

const FOOTER_BYTES = 128;
const FIXED_BYTES = { from: 16, to: 96 };

/** Changes the bytes in place, or returns others. */
type Mutation = (bytes: Buffer, turn: number) => Buffer;

const footerOf = (bytes: Buffer): Buffer => bytes.subarray(bytes.length - FOOTER_BYTES);

/** The file with other contents and, again, a checksum that holds. */
export function resealed(
  file: Buffer,
  change: { schema?: Buffer; fingerprint?: bigint; abi?: number } = {},
): Buffer {
  let bytes = Buffer.from(file);
  if (change.schema !== undefined) {
    const offset = Number(footerOf(bytes).readBigUInt64LE(56));
    const size = Math.ceil((offset + change.schema.length + FOOTER_BYTES) / 64) * 64;
    const larger = Buffer.alloc(size);
    bytes.copy(larger, 0, 0, offset);
    change.schema.copy(larger, offset);
    footerOf(bytes).copy(larger, size - FOOTER_BYTES);
    bytes = larger;
    footerOf(bytes).writeUInt32LE(change.schema.length, 52);
  }
  const footer = footerOf(bytes);
  if (change.abi !== undefined) footer.writeUInt32LE(change.abi, 20);
  if (change.fingerprint !== undefined) footer.writeBigUInt64LE(change.fingerprint, 64);
  const offset = Number(footer.readBigUInt64LE(56));
  const schema = bytes.subarray(offset, offset + footer.readUInt32LE(52));
  footer.writeUInt32LE(crc32(schema, crc32(footer.subarray(FIXED_BYTES.from, FIXED_BYTES.to))), 12);
  return bytes;
}

/** One per bit of the footer. */
export const BIT_FLIPS: readonly Mutation[] = Array.from(
  { length: FOOTER_BYTES * 8 },
  (_, bit) => (bytes) => {
    const at = bytes.length - FOOTER_BYTES + (bit >> 3);
    bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
    return bytes;
  },
);

const INTERESTING = [
  0n,
  1n,
  7n,
  16n,
  63n,
  64n,
  144n,
  288n,
  1n << 31n,
  (1n << 32n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
];

function randomBytesAt(bytes: Buffer, random: Random, from: number, to: number): Buffer {
  for (let n = random.whole(1, 8); n > 0; n--) bytes[random.whole(from, to - 1)] = random.whole(0, 255);
  return bytes;
}

/** A footer field set to a chosen or a random number. */
function fieldMutation(bytes: Buffer, random: Random): void {
  const footer = footerOf(bytes);
  const value = random.oneIn(2) ? random.pick(INTERESTING) : BigInt(random.whole(0, bytes.length));
  const at = random.pick([8, 16, 20, 24, 32, 40, 48, 52, 56, 60]);
  if (at === 24 || at === 32 || at === 40) footer.writeBigUInt64LE(value, at);
  else footer.writeUInt32LE(Number(value & 0xffff_ffffn), at);
}

/** The schema with one token replaced. */
function schemaMutation(bytes: Buffer, random: Random): Buffer {
  const footer = footerOf(bytes);
  const offset = Number(footer.readBigUInt64LE(56));
  const text = bytes.subarray(offset, offset + footer.readUInt32LE(52)).toString();
  const tokens = text.split(/(?<=[{}[\]:,])|(?=[{}[\]:,])/);
  const replacements = [
    "-1",
    "1e400",
    "null",
    '"c_int8"',
    '"c_double"',
    "{}",
    "[]",
    '"__proto__"',
    "4294967296",
    "0",
    '"union"',
    random.pick(tokens),
  ];
  tokens[random.whole(0, tokens.length - 1)] = random.pick(replacements);
  return resealed(bytes, { schema: Buffer.from(tokens.join("")), fingerprint: 3n });
}

const sealIfPossible = (bytes: Buffer): Buffer => {
  const footer = footerOf(bytes);
  return Number(footer.readBigUInt64LE(56)) + footer.readUInt32LE(52) <= bytes.length
    ? resealed(bytes)
    : bytes;
};

export const ROBOT_FILE = {
  randomMutation:
    (random: Random): Mutation =>
    (bytes) => {
      const footerAt = bytes.length - FOOTER_BYTES;
      switch (random.whole(0, 7)) {
        case 0:
          return randomBytesAt(bytes, random, footerAt, bytes.length);
        case 1:
          return randomBytesAt(bytes, random, 0, bytes.length);
        case 2:
          fieldMutation(bytes, random);
          return sealIfPossible(bytes);
        case 3:
          for (let n = random.whole(1, 4); n > 0; n--) fieldMutation(bytes, random);
          return sealIfPossible(bytes);
        case 4:
          return schemaMutation(bytes, random);
        case 5:
          randomBytesAt(bytes, random, 288, footerAt);
          return sealIfPossible(bytes);
        case 6:
          return bytes.subarray(0, random.whole(0, bytes.length));
        default:
          return Buffer.concat([bytes, Buffer.alloc(random.whole(1, 200), random.whole(0, 255))]);
      }
    },
};

/** Everything that can be done with a file that opened. Locks of a wrong kind go to `dir` too. */
function useFile(dir: string): void {
  using reader = new Reader(Robot, { dir, lockDir: dir });
  toObject(reader.snapshot());
  JSON.stringify([reader.get("path"), reader.version, reader.lastUpdate]);
  using editor = new Editor(Robot, { dir, lockDir: dir });
  editor.edit((data) => {
    data.count = 5;
    data.name = "mutant";
  });
  if (reader.get("count") !== 5 || reader.snapshot().name !== "mutant")
    throw new Error("an edit went nowhere");
}

/**
 * Damages a fresh file again and again and opens it each time.
 * @throws whatever is no error of the library
 */
export function mutateAndOpen(
  dir: string,
  turns: number,
  mutate: Mutation,
): { errors: number; opened: number } {
  const options = { dir, lockDir: dir };
  using manager = new Manager(Robot, { ...options, create: true });
  const { path } = manager;
  const whole = readFileSync(path);
  let errors = 0;
  for (let turn = 0; turn < turns; turn++) {
    const copy = Buffer.from(whole);
    writeFileSync(path, mutate(copy, turn));
    try {
      useFile(dir);
    } catch (error) {
      if (!(error instanceof ShmError)) throw new Error(`turn ${turn} gave no clear error`, { cause: error });
      errors += 1;
    }
  }
  return { errors, opened: turns - errors };
}
