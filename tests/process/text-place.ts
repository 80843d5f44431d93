/** What readers and writers share: a struct in shared memory, a copy of its file, a document that has lost its footer. */
import { join } from "node:path";
import { type CType, chars, field, MmapStructure, Struct } from "../../src/index.ts";

/** A type of one's own, which copies first. */
const words: CType<string> = {
  name: "words",
  size: 64,
  align: 1,
  check: (value) => String(value),
  read: ({ bytes }, byteOffset) => Buffer.from(bytes.slice(byteOffset, byteOffset + 64)).toString(),
  write: ({ bytes }, byteOffset, value) =>
    void Buffer.from(bytes.buffer, bytes.byteOffset).write(value, byteOffset, 64),
};

export class Notes extends MmapStructure {
  @field(chars(56)) short!: string;
  @field(chars(256)) text!: string;
  @field(chars(4096)) long!: string;
  @field(chars(64, { encoding: "latin1" })) latin1!: string;
  @field(chars(256, { encoding: "utf16le" })) utf16!: string;
  @field(words) own!: string;
}

/** What a channel's message and a queue's job hold. */
export class Line extends Struct {
  @field(chars(256)) text!: string;
}
/** By that the writers find the text in the files. */
export const LINE = "line".repeat(60);

/** What a decoder that measures first and converts then stumbles over: short to long characters and back. */
const texts = (byteLength: number): [string, string] => [
  "a".repeat(byteLength - 8),
  "\u{1f600}".repeat(Math.floor((byteLength - 8) / 4)),
];
const [short, text, long] = [texts(64), texts(256), texts(4096)];
const values = ([0, 1] as const).map((i) => ({
  short: short[i],
  text: text[i],
  long: long[i],
  latin1: ["a".repeat(60), "\u00e9\u00ff"][i] as string,
  utf16: ["a\u20ac".repeat(50), "\u{1f600}"][i] as string,
  own: short[i],
}));

/** In turn one thing and quite another. */
export const valuesAt = (step: number): (typeof values)[number] =>
  values[step & 1] as (typeof values)[number];

export const DOCUMENT_BYTES = 56;
const documentTexts = texts(DOCUMENT_BYTES + 8).map((t) => Buffer.from(t.padEnd(DOCUMENT_BYTES)));
export const documentTextAt = (step: number): Buffer => documentTexts[step & 1] as Buffer;

/** The arguments of both programs. */
export interface TextPlace {
  /** Of the shared memory with the struct. */
  name: string;
  dir: string;
  document: string;
  /** A copy of the struct's file. */
  record: string;
  /** Which readers or writers, by their names; all when there is none. */
  kinds: string[];
  endsAt: number;
}

export function placeFromArguments([name, dir, forMs, ...kinds]: string[]): TextPlace {
  if (name === undefined || dir === undefined)
    throw new TypeError("usage: NAME DIRECTORY MILLISECONDS [KIND …]");
  return {
    name,
    dir,
    document: join(dir, "document"),
    record: join(dir, "Copy_.mmap"),
    kinds,
    endsAt: performance.now() + Number(forMs),
  };
}

/** Lets each have its turn, of `turnMs`, until the time is over, and once at least. @returns how often each ran */
export function takeTurns(
  all: Record<string, (step: number) => void>,
  { kinds, endsAt }: TextPlace,
  turnMs: number,
): Record<string, number> {
  const chosen = Object.entries(all).filter(([kind]) => kinds.length === 0 || kinds.includes(kind));
  const steps = Object.fromEntries(chosen.map(([kind]) => [kind, 0]));
  do {
    for (const [kind, run] of chosen) {
      const turnEnds = performance.now() + turnMs;
      let step = 0;
      do for (let i = 0; i < 8; i++) run(step++);
      while (performance.now() < turnEnds);
      steps[kind] = (steps[kind] as number) + step;
    }
  } while (performance.now() < endsAt);
  return steps;
}
