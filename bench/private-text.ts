/**
 * What it costs that text is copied before it is decoded, against a decoder on the shared bytes themselves, which crashes when another
 * process stores meanwhile (docs/internals/security.md): bun bench/private-text.ts
 */
import { chars, field, Struct, viewOf } from "../src/index.ts";
import { MemoryMap } from "../src/mmap/index.ts";

const SIZE = 256;
const TURNS = 200;
const ROUNDS = 4001;

class Label extends Struct {
  @field(chars(SIZE)) text!: string;
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
  const field = Buffer.from(map.bytes.buffer, map.bytes.byteOffset, SIZE);
  const ours = (): string => label.text;
  const inPlace = (): string => {
    const end = field.indexOf(0);
    return field.toString("utf8", 0, end < 0 ? SIZE : end);
  };
  const scratch = Buffer.alloc(SIZE);
  const byHand = (): string => {
    field.copy(scratch);
    const end = scratch.indexOf(0);
    return scratch.toString("utf8", 0, end < 0 ? SIZE : end);
  };
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
