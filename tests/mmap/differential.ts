/** Random sequences of operations, run on MemoryMap here and on Python's mmap in a child, step by step the same. */
import { mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClosedError, SystemError } from "../../src/errors/errors.ts";
import { MemoryMap, type MemoryMapOptions, pageSize } from "../../src/mmap/index.ts";
import { linesOf } from "../support/tools.ts";

type Json = null | boolean | number | string;
type Operation = [which: number, name: string, arguments: Json[]];

export interface Sequence {
  /** null: anonymous memory. */
  fileBytes: number | null;
  /** The file is full of these bytes, in hex, over and over. */
  pattern: string;
  maps: { length: number; offset: number; access: NonNullable<MemoryMapOptions["access"]> }[];
  operations: Operation[];
}

// ---- making sequences ----

/** Small and good enough (mulberry32): a float in [0, 1) per call. */
export function randomSource(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ALPHABET = [0, 10, 97, 98];

class Maker {
  /** Roughly what the map's length is, so that most numbers are near an edge of something. */
  length = 1;
  constructor(readonly random: () => number) {}

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  data(longest: number): string {
    const bytes = Array.from({ length: this.below(longest + 1) }, () => this.pick(ALPHABET));
    return `x${Buffer.from(bytes).toString("hex")}`;
  }
  position(): number {
    const { length } = this;
    const edge = this.pick([
      0,
      0,
      length,
      -length,
      pageSize(),
      this.below(length + 1),
      -this.below(length + 1),
    ]);
    const far = this.random() < 0.02 ? this.pick([2 ** 31, -(2 ** 31), 2 ** 40, 1.5]) : 0;
    return edge + this.below(5) - 2 + far;
  }
  inside(): number {
    return this.random() < 0.8 ? this.below(this.length) : this.position();
  }
  byteValue(): Json {
    return this.random() < 0.9 ? this.below(256) : this.pick<Json>([256, -1, 1.5, "a"]);
  }
  maybe(value: number): Json {
    return this.random() < 0.2 ? null : value;
  }
  some(arguments_: Json[]): Json[] {
    return arguments_.slice(0, this.below(arguments_.length + 1));
  }
  subscript(): Json[] {
    const step = this.maybe(this.pick([1, 1, 2, -1, -2, 3, -7, 0, 100, -5000]));
    return this.some([this.maybe(this.position()), this.maybe(this.position()), step]);
  }

  arguments(name: string): Json[] {
    switch (name) {
      case "read":
        return this.some([this.pick<Json>([null, -1, 0, 1, 5, this.position(), this.inside()])]);
      case "write":
        return [this.random() < 0.03 ? 5 : this.data(20)];
      case "writeByte":
        return [this.byteValue()];
      case "find":
      case "rfind":
        return [this.data(3), ...this.some([this.position(), this.position()])];
      case "seek":
        return [this.inside(), ...this.some([this.pick(["set", "current", "end", "nowhere"])])];
      case "flush":
        return this.random() < 0.3 ? [] : [this.pick([0, pageSize(), this.position()]), this.position()];
      case "madvise":
        return [
          this.pick([0, 1, 2, 3, 12345]),
          ...this.some([this.pick([0, pageSize(), this.position()]), this.position()]),
        ];
      case "move":
        return [this.inside(), this.inside(), this.pick([0, 1, 10, this.inside()])];
      case "at":
        return [this.inside()];
      case "set":
        return [this.inside(), this.byteValue()];
      case "bytesSet":
        return [this.below(9000), this.below(256)];
      case "slice":
        return this.subscript();
      case "setSlice":
        return this.setSlice();
      case "resize":
        return [
          this.pick([
            0,
            -1,
            1,
            100,
            pageSize(),
            2 * pageSize() + 1,
            this.length + 1,
            this.below(9000) + 1,
            1.5,
          ]),
        ];
      case "growTo":
        return [this.pick([0, 1, 100, pageSize()])];
      default:
        return [];
    }
  }

  /** Now and then of the right length, as a slice assignment must be. */
  setSlice(): Json[] {
    if (this.random() < 0.4) return [this.data(5), ...this.subscript()];
    const start = this.below(this.length);
    const count = Math.min(this.below(10), this.length - start);
    const step = this.pick([1, 1, 2, 3]);
    const end = start + Math.floor(count / step) * step;
    const bytes = Array.from({ length: (end - start) / step }, () => this.pick(ALPHABET));
    return [`x${Buffer.from(bytes).toString("hex")}`, start, end, step];
  }
}

const NAMES = [
  ...[
    "read",
    "read",
    "readByte",
    "readLine",
    "write",
    "write",
    "writeByte",
    "find",
    "find",
    "rfind",
    "rfind",
  ],
  ...["seek", "seek", "seek", "tell", "size", "length", "flush", "madvise", "move", "at", "at", "set", "set"],
  ...[
    "slice",
    "slice",
    "slice",
    "setSlice",
    "setSlice",
    "setSlice",
    "iterate",
    "bytes",
    "bytesSet",
    "closed",
  ],
];

/** One random sequence; two maps of one file at times, whose stores the other one must see. */
export function makeSequence(random: () => number): Sequence {
  const maker = new Maker(random);
  const isFile = random() < 0.8;
  const fileBytes = isFile
    ? maker.pick([1, 50, 200, pageSize(), 2 * pageSize() + 77, maker.below(3 * pageSize()) + 1])
    : null;
  const count = isFile && random() < 0.4 ? 2 : 1;
  const maps = Array.from({ length: count }, () => makeMap(maker, fileBytes));
  const [first] = maps;
  maker.length = Math.max(1, first!.length || (fileBytes ?? 1) - first!.offset);
  const names = [...NAMES, "growTo", ...(count === 1 ? ["resize", "resize"] : [])];
  const operations = Array.from({ length: 5 + maker.below(25) }, (): Operation => {
    const which = maker.below(count);
    const name = random() < 0.01 ? "close" : maker.pick(names);
    // A read-only map hands out no bytes, where Python has a read-only memoryview.
    const usable = maps[which]!.access === "read" && name.startsWith("bytes") ? "tell" : name;
    return [which, usable, maker.arguments(usable)];
  });
  const pattern = Buffer.from(Array.from({ length: 1 + maker.below(40) }, () => maker.pick(ALPHABET)));
  return { fileBytes, pattern: pattern.toString("hex"), maps, operations };
}

function makeMap(maker: Maker, fileBytes: number | null): Sequence["maps"][number] {
  if (fileBytes === null) return { length: maker.pick([1, 100, 5000]), offset: 0, access: "write" };
  const access = maker.pick(["write", "write", "write", "read", "copy"] as const);
  const offset = fileBytes > pageSize() && maker.random() < 0.4 ? pageSize() : 0;
  const left = fileBytes - offset;
  const length =
    maker.random() < 0.5 ? 0 : maker.pick([left, 1 + maker.below(left), 1 + maker.below(left), left + 1]);
  return { length, offset, access };
}

// ---- running them here ----

const bytesOf = (value: Json) =>
  typeof value === "string" && value.startsWith("x") ? Buffer.from(value.slice(1), "hex") : (value as string);
const optional = (value: Json | undefined) => (value === null ? undefined : value) as number | undefined;

const RUN: Record<string, (map: MemoryMap, a: Json[]) => unknown> = {
  read: (map, a) => map.read(a[0] as number),
  readByte: (map) => map.readByte(),
  readLine: (map) => map.readLine(),
  write: (map, a) => map.write(bytesOf(a[0]!)),
  writeByte: (map, a) => map.writeByte(a[0] as number),
  find: (map, a) => map.find(bytesOf(a[0]!), optional(a[1]), optional(a[2])),
  rfind: (map, a) => map.rfind(bytesOf(a[0]!), optional(a[1]), optional(a[2])),
  seek: (map, a) => map.seek(a[0] as number, a[1] as "set"),
  tell: (map) => map.tell(),
  size: (map) => map.size(),
  length: (map) => map.length,
  flush: (map, a) => map.flush(optional(a[0]), optional(a[1])),
  madvise: (map, a) => map.madvise(a[0] as number, optional(a[1]), optional(a[2])),
  move: (map, a) => map.move(a[0] as number, a[1] as number, a[2] as number),
  at: (map, a) => map.at(a[0] as number),
  set: (map, a) => map.set(a[0] as number, a[1] as number),
  slice: (map, a) => map.slice(optional(a[0]), optional(a[1]), optional(a[2])),
  setSlice: (map, a) => map.setSlice(bytesOf(a[0]!), optional(a[1]), optional(a[2]), optional(a[3])),
  resize: (map, a) => map.resize(a[0] as number),
  growTo: (map, a) => map.resize(map.size() - map.offset + (a[0] as number)),
  iterate: (map) => Bun.hash.crc32(Uint8Array.from(map)),
  bytes: (map) => Bun.hash.crc32(map.bytes),
  bytesSet: (map, a) => {
    const { bytes } = map;
    bytes[(a[0] as number) % bytes.length] = a[1] as number;
  },
  closed: (map) => map.closed,
  close: (map) => map.close(),
};

function kindOf(error: unknown): string {
  if (error instanceof ClosedError) return "closed";
  if (error instanceof RangeError) return "range";
  if (error instanceof TypeError) return "type";
  if (error instanceof SystemError) return "system";
  throw error;
}

/** In the words of the oracle. */
function encode(result: unknown): unknown {
  if (!(result instanceof Uint8Array)) return result ?? null;
  return `x${result.length <= 64 ? Buffer.from(result).toString("hex") : Bun.hash.crc32(result)}`;
}

function step(map: MemoryMap, name: string, arguments_: Json[]): unknown[] {
  let result: unknown;
  try {
    result = encode(RUN[name]!(map, arguments_));
  } catch (error) {
    result = { error: kindOf(error) };
  }
  return [result, map.closed ? -1 : map.tell()];
}

/** Runs a sequence on MemoryMap, with a file in `directory`, and returns the same log as the oracle. */
export function runHere(sequence: Sequence, directory: string): unknown {
  const path = sequence.fileBytes === null ? undefined : join(directory, "file");
  if (path !== undefined) writeFileSync(path, Buffer.alloc(sequence.fileBytes!, sequence.pattern, "hex"));
  const maps: MemoryMap[] = [];
  try {
    for (const { length, ...options } of sequence.maps) {
      maps.push(path === undefined ? new MemoryMap(-1, length) : new MemoryMap(path, length, options));
    }
    const steps = sequence.operations.map(([which, name, rest]) => step(maps[which]!, name, rest));
    const final = maps.map((map) => (map.closed ? null : Bun.hash.crc32(map.slice())));
    return { steps, final, file: path === undefined ? null : fileState(path) };
  } catch (error) {
    if (maps.length === sequence.maps.length) throw error;
    return { opening: kindOf(error) };
  } finally {
    for (const map of maps) map.close();
    if (path !== undefined) unlinkSync(path);
  }
}

function fileState(path: string): [size: number, checksum: number] {
  const content = readFileSync(path);
  return [content.length, Bun.hash.crc32(content)];
}

// ---- comparing ----

const BATCH = 200;

/**
 * Runs `count` sequences from `seed` on both sides.
 * @returns how many operations were compared
 * @throws Error with the sequence and the first step that differs
 */
export async function compareWithPython(seed: number, count: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "shmstruct-mmap-"));
  const oracle = Bun.spawn(["python3", join(import.meta.dir, "../process/mmap-oracle.py")], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    const random = randomSource(seed);
    const answers = linesOf(oracle.stdout);
    let operations = 0;
    for (let done = 0; done < count; done += BATCH) {
      const batch = Array.from({ length: Math.min(BATCH, count - done) }, () => makeSequence(random));
      oracle.stdin.write(`${JSON.stringify(batch)}\n`);
      oracle.stdin.flush();
      const here = batch.map((sequence) => runHere(sequence, directory));
      const answer = await answers.next();
      if (answer.done) throw new Error(`the oracle ended with code ${await oracle.exited}`);
      const there: unknown[] = JSON.parse(answer.value);
      for (const [i, sequence] of batch.entries()) {
        expectSame(sequence, here[i], there[i], `SEED=${seed}, sequence ${done + i}`);
        operations += sequence.operations.length;
      }
    }
    return operations;
  } finally {
    oracle.stdin.end();
    await oracle.exited;
    rmSync(directory, { recursive: true });
  }
}

interface Log {
  steps?: unknown[];
}

function expectSame(sequence: Sequence, here: unknown, there: unknown, where: string): void {
  if (Bun.deepEquals(here, there)) return;
  const [ours, theirs] = [(here as Log).steps ?? [], (there as Log).steps ?? []];
  const first = sequence.operations.findIndex((_, i) => !Bun.deepEquals(ours[i], theirs[i]));
  const { operations, ...setup } = sequence;
  const story =
    first < 0
      ? `${JSON.stringify(operations)}\nhere  ${JSON.stringify(here)}\nthere ${JSON.stringify(there)}`
      : `${JSON.stringify(operations.slice(0, first + 1))}\nhere  ${JSON.stringify(ours[first])}\nthere ${JSON.stringify(theirs[first])}`;
  throw new Error(`${where}: MemoryMap and Python differ\n${JSON.stringify(setup)}\n${story}`);
}
