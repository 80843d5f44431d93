/**
 * What it costs that text is copied before it is decoded, against a decoder on the shared bytes themselves, which crashes when another
 * process stores meanwhile (docs/internals/security.md): bun bench/private-text.ts
 */
import { type CType, chars, field, Struct, viewOf } from "../src/index.ts";
import { MemoryMap } from "../src/mmap/index.ts";

const SIZE = 256;
const TURNS = 200;
const ROUNDS = 4001;

const { indexOf, utf8Slice, copy } = Buffer.prototype as unknown as {
  indexOf(this: Uint8Array, value: number, start: number): number;
  utf8Slice(this: Uint8Array, start: number, end: number): string;
  copy(this: Uint8Array, target: Uint8Array, targetStart: number, start: number, end: number): number;
};

const readOnly = { size: SIZE, align: 1, write: () => {}, check: () => "" } as const;

/** How `chars` read before it copied: the end is looked for, then the text is decoded, both in the shared bytes. */
const inPlaceText: CType<string> = {
  ...readOnly,
  name: "in place",
  read: ({ bytes }, start) => {
    const found = bytes[start + 16] === 0 ? endOfShort(bytes, start) : indexOf.call(bytes, 0, start);
    return utf8Slice.call(bytes, start, found < 0 || found > start + SIZE ? start + SIZE : found);
  },
};

function endOfShort(bytes: Uint8Array, start: number): number {
  let end = start;
  while (bytes[end] !== 0) end++;
  return end;
}

const scratch = new Uint8Array(SIZE + 1);

/** The least that a copy costs: three calls of the runtime. */
const copiedByHand: CType<string> = {
  ...readOnly,
  name: "copied by hand",
  read: ({ bytes }, start) => {
    copy.call(bytes, scratch, 0, start, start + SIZE);
    return utf8Slice.call(scratch, 0, scratch.indexOf(0));
  },
};

class Label extends Struct {
  @field(chars(SIZE)) text!: string;
}

class InPlace extends Struct {
  @field(inPlaceText) text!: string;
}

class ByHand extends Struct {
  @field(copiedByHand) text!: string;
}

const TEXTS = {
  "12 letters": "hello world!",
  "60 signs beyond ASCII": "größe → 42 € ".repeat(5).slice(0, 60),
  "255 letters": "a".repeat(255),
};

const medianOf = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

function nsOf(read: () => string): number {
  let sum = 0;
  const startedAt = Bun.nanoseconds();
  for (let i = 0; i < TURNS; i++) sum += read().length;
  const ns = (Bun.nanoseconds() - startedAt) / TURNS;
  if (sum === 0) throw new Error("nothing was read");
  return ns;
}

for (const [name, text] of Object.entries(TEXTS)) {
  using map = new MemoryMap(-1, 4096);
  const label = viewOf(Label, map.bytes, 0);
  label.text = text;
  const [old, hand] = [viewOf(InPlace, map.bytes, 0), viewOf(ByHand, map.bytes, 0)];
  const ours = (): string => label.text;
  const inPlace = (): string => old.text;
  const byHand = (): string => hand.text;
  const once = () => [nsOf(ours), nsOf(inPlace), nsOf(byHand)] as const;
  for (let i = 0; i < 200; i++) once();
  // In turns, so that all meet the same moments.
  const rounds = Array.from({ length: ROUNDS }, once);
  const [copied, direct] = [medianOf(rounds.map(([a]) => a)), medianOf(rounds.map(([, b]) => b))];
  const more = medianOf(rounds.map(([a, b]) => a - b));
  const floor = medianOf(rounds.map(([, b, c]) => c - b));
  console.log(
    `${name.padEnd(22)} copied ${copied.toFixed(0)} ns, in place ${direct.toFixed(0)} ns: ${more.toFixed(0)} ns more, ${((100 * more) / direct).toFixed(0)} %; copied by hand ${floor.toFixed(0)} ns more`,
  );
}
