/** Structs of any size whose every word follows from the commit that wrote it. */
import { layoutOf, type MmapStructure, type StructClass, structFromSchema } from "../../src/index.ts";
import { Anything } from "./structs.ts";

/** A struct with `count` words behind the shared header. */
export interface Sized extends MmapStructure {
  words: Int32Array;
}

/** Bytes of the shared header. */
const HEADER_BYTES = 16;

export function sizedClass(words: number): StructClass<Sized> {
  const size = Math.ceil((HEADER_BYTES + words * 4) / 8) * 8;
  const cls = structFromSchema({
    name: `Sized${words}`,
    kind: "struct",
    size,
    align: 8,
    fields: {
      header: layoutOf(Anything).fields.header,
      words: { type: { array: "c_int32", length: words }, offset: HEADER_BYTES, size: words * 4 },
    },
  });
  return cls as unknown as StructClass<Sized>;
}

/** Word `i` of the state `first`; word 0 is the state itself. */
export const wordOf = (first: number, i: number): number =>
  i === 0 ? first : Math.imul(first, 0x9e3779b1) ^ i;

export function fillSized(words: Int32Array, first: number): void {
  for (let i = 0; i < words.length; i++) words[i] = wordOf(first, i);
}

/** Looks at every word of a small struct, and at some forty of a large one, elsewhere each time. */
export function isTorn(words: ArrayLike<number>, turn: number): boolean {
  const first = words[0] as number;
  const { length } = words;
  const step = turn % 64 === 0 ? 1 : Math.max(1, Math.floor(length / 32));
  for (let i = 1 + (turn % step); i < length; i += step) if (words[i] !== wordOf(first, i)) return true;
  return length > 1 && words[length - 1] !== wordOf(first, length - 1);
}
