/** The files that the mutation fuzz damages, and how it damages them. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Publisher } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import {
  type Atomic,
  array,
  atomic,
  c_double,
  c_int32,
  c_uint8,
  chars,
  enumOf,
  field,
  Manager,
  MmapStructure,
  nested,
  Struct,
  type StructArray,
} from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { AT, FOOTER_BYTES } from "../../src/segment/footer.ts";
import type { Random } from "../support/random.ts";

export class Pose extends Struct {
  @field(c_double) x!: number;
  @field(chars(8)) frame!: string;
}

const Mode = { idle: 0, busy: 1 } as const;

export class Robot extends MmapStructure {
  @field(c_int32) n!: number;
  @field(chars(24)) name!: string;
  @field(enumOf(c_uint8, Mode)) mode!: 0 | 1;
  @nested(Pose) pose!: Pose;
  @field(array(c_int32, 8)) samples!: Int32Array;
  @nested(Pose, 2) path!: StructArray<Pose>;
  @field(atomic(c_int32)) counter!: Atomic<number>;
}

export const KINDS = ["record", "document", "channel", "queue"] as const;
export type Kind = (typeof KINDS)[number];

/** A document's file, with the place of its two slots (docs/internals/file-format.md). */
export const MAX_DOCUMENT_BYTES = 300;
const SLOTS = [320, 640] as const;

/** Makes the files of a kind, with something in them. */
export const MAKE: Readonly<Record<Kind, (dir: string) => void>> = {
  record(dir) {
    using manager = new Manager(Robot, { dir, lockDir: dir, create: true });
    manager.edit((robot) => Object.assign(robot, { n: 7, name: "Ümit", mode: 1 }));
  },
  document(dir) {
    using map = new JsonMap({ dir, file: "d", role: "master", maxBytes: MAX_DOCUMENT_BYTES });
    for (let n = 0; n < 3; n++) map.write({ n, list: [1, "ü", null, { deep: [] }] });
  },
  channel(dir) {
    using publisher = new Publisher(Pose, { dir, create: true, slots: 4 });
    for (let x = 0; x < 6; x++) publisher.send({ x, frame: "base" });
  },
  queue(dir) {
    using queue = new Queue(Pose, { dir, create: true, slots: 8 });
    for (let x = 0; x < 5; x++) queue.push({ x, frame: "job" });
    queue.take()?.fail("once more");
  },
};

/** The file with the content. */
export const DATA: Readonly<Record<Kind, string>> = {
  record: "Robot_.mmap",
  document: "d",
  channel: "Pose_.channel",
  queue: "Pose_.queue",
};

export type Files = ReadonlyMap<string, Buffer>;

export const readFiles = (dir: string): Files =>
  new Map(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name))]));

/** Lets the directory hold these files and no others. */
export function putFiles(dir: string, files: Files): void {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  for (const [name, bytes] of files) writeFileSync(join(dir, name), bytes, { mode: 0o600 });
}

const WORDS = [0, 1, 2, 3, 64, 255, 1023, 0x7fff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
const TEXTS = ["", "null", "[[[[", '"\\ud800"', "{}", '{"n":1e999}', "\u0000", "[1,2", '{"__proto__":1}'];

/** Damages one file; `canResize`: also its length. */
export function mutate(bytes: Buffer, random: Random, canResize: boolean): Buffer {
  let mutant: Buffer = Buffer.from(bytes);
  for (let left = random.whole(1, 3); left > 0; left--) mutant = mutateOnce(mutant, random, canResize);
  if (!random.oneIn(3)) correctChecksum(mutant);
  return mutant;
}

function mutateOnce(bytes: Buffer, random: Random, canResize: boolean): Buffer {
  if (canResize && random.oneIn(5)) return resized(bytes, random);
  if (bytes.length < 8) return bytes;
  const at = placeIn(bytes, random);
  const change = random.pick([flip, setWord, setWord, scribble, copyAround, editSchema, editDocument]);
  change(bytes, at, random);
  return bytes;
}

function resized(bytes: Buffer, random: Random): Buffer {
  const length = random.pick([
    0,
    random.whole(0, bytes.length),
    64 * random.whole(0, bytes.length / 64),
    bytes.length + 64 * random.whole(0, 4),
    bytes.length + random.whole(1, 5000),
  ]);
  const longer = Buffer.alloc(length);
  bytes.copy(longer);
  if (length > bytes.length && bytes.length >= FOOTER_BYTES && random.oneIn(2))
    bytes.copy(longer, length - FOOTER_BYTES, bytes.length - FOOTER_BYTES);
  return longer;
}

/** Most often where the headers are. */
function placeIn(bytes: Buffer, random: Random): number {
  const last = bytes.length - 8;
  const place = random.pick([
    random.whole(0, last),
    random.whole(0, Math.min(last, 256)),
    last - random.whole(0, Math.min(last, FOOTER_BYTES - 8)),
  ]);
  return random.oneIn(3) ? place : place & ~3;
}

type Change = (bytes: Buffer, at: number, random: Random) => void;

const flip: Change = (bytes, at, random) => {
  bytes[at] = bytes[at]! ^ (1 << random.whole(0, 7));
};

const setWord: Change = (bytes, at, random) => {
  bytes.writeUInt32LE(random.pick([...WORDS, random.whole(0, 0xffff_ffff)]), at);
  if (random.oneIn(3)) bytes.writeUInt32LE(random.pick(WORDS), at + 4);
};

const scribble: Change = (bytes, at, random) => {
  const end = Math.min(bytes.length, at + random.whole(1, 64));
  const value = random.pick([0, 0xff, undefined]);
  for (let i = at; i < end; i++) bytes[i] = value ?? random.whole(0, 255);
};

const copyAround: Change = (bytes, at, random) => {
  const from = random.whole(0, bytes.length - 1);
  bytes.copyWithin(at, from, Math.min(bytes.length, from + random.whole(1, 200)));
};

/** A schema that is JSON still, most often, and says something else. */
const editSchema: Change = (bytes, _at, random) => {
  if (bytes.length < FOOTER_BYTES) return;
  const footer = bytes.length - FOOTER_BYTES;
  const offset = Number(bytes.readBigUInt64LE(footer + AT.schemaOffset));
  const length = bytes.readUInt32LE(footer + AT.schemaBytes);
  if (length < 4 || offset + length > footer) return;
  const text = bytes.toString("latin1", offset, offset + length);
  const words = text.match(/"[^"]*"|-?\d+/g) ?? ["0"];
  const old = random.pick(words);
  const other = random.pick([...words, String(random.pick(WORDS)), "null", "[]", "{}", '"__proto__"', "-1"]);
  bytes.write(text.replace(old, other).slice(0, length).padEnd(length), offset, length, "latin1");
};

/** A document whose checksum is right. */
const editDocument: Change = (bytes, _at, random) => {
  const slot = random.pick(SLOTS);
  if (bytes.length < SLOTS[1] + MAX_DOCUMENT_BYTES + FOOTER_BYTES) return;
  const text = Buffer.from(random.pick(TEXTS));
  text.copy(bytes, slot + 16);
  bytes.writeUInt32LE(text.length, slot + 4);
  bytes.writeUInt32LE(Bun.hash.crc32(bytes.subarray(slot + 4, slot + 16 + text.length)), slot);
};

/** So that what the checksum covers is believed, and looked at. */
function correctChecksum(bytes: Buffer): void {
  const footer = bytes.length - FOOTER_BYTES;
  if (footer < 0) return;
  const offset = Number(bytes.readBigUInt64LE(footer + AT.schemaOffset));
  const length = bytes.readUInt32LE(footer + AT.schemaBytes);
  if (offset + length > footer) return;
  const fixed = Bun.hash.crc32(bytes.subarray(footer + AT.content, footer + AT.commits));
  const crc = Bun.hash.crc32(bytes.subarray(offset, offset + length), fixed);
  bytes.writeUInt32LE(crc, footer + AT.checksum);
}

/** The length of a file; 0 without one. */
export function lengthOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
