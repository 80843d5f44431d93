/** The structs of the role tests and of their child programs. */
import {
  array,
  atomic,
  c_double,
  c_int32,
  c_int64,
  c_uint8,
  chars,
  field,
  MmapStructure,
  nested,
  Struct,
  type StructArray,
} from "../../src/index.ts";
import type { Atomic } from "../../src/struct/index.ts";

export class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;

  norm(): number {
    return Math.hypot(this.x, this.y);
  }
}

/** One of every kind of member. `count` and `twin` are equal in every committed state. */
export class Robot extends MmapStructure {
  @field(c_int32) count!: number;
  @field(c_int32) twin!: number;
  @field(c_int64) serial!: bigint;
  @field(chars(32)) name!: string;
  @field(array(c_uint8, 4)) cells!: Uint8Array;
  @nested(Point) pose!: Point;
  @nested(Point, 3) path!: StructArray<Point>;
  @field(atomic(c_int32)) hits!: Atomic<number>;
}

/** Knows only the first fields of a Robot. */
export class Monitor extends MmapStructure {
  @field(c_int32) count!: number;
  @field(c_int32) twin!: number;
}

/** Only what every shared struct begins with. */
export class Anything extends MmapStructure {}

const WORDS = 128;

/** 512 bytes of payload that follow from `count`, so that any mix of two states shows. */
export class Pattern extends MmapStructure {
  @field(c_int32) count!: number;
  @field(array(c_int32, WORDS)) words!: Int32Array;
}

/** Word `i` of the pattern of state `count`. */
export const patternWord = (count: number, i: number): number => Math.imul(count + 1, 0x9e3779b1) ^ i;

/** Makes `data` the state `count`, store by store. */
export function fillPattern(data: Pattern, count: number): void {
  data.count = count;
  const { words } = data;
  for (let i = 0; i < WORDS; i++) words[i] = patternWord(count, i);
}

/** The state that `data` is in, or undefined when it is a mix. State 0 is the zeroed new file. */
export function stateOf(data: {
  readonly count: number;
  readonly words: ArrayLike<number>;
}): number | undefined {
  const { count, words } = data;
  for (let i = 0; i < WORDS; i++) {
    if (words[i] !== (count === 0 ? 0 : patternWord(count, i))) return undefined;
  }
  return count;
}
