/** What assigning a whole struct stores: the bits of its members, and nothing between or behind them. */
import { describe, expect, test } from "bun:test";
import {
  type Atomic,
  assign,
  atomic,
  bits,
  bytesOf,
  c_double,
  c_int8,
  c_int16,
  c_int32,
  c_int64,
  c_uint8,
  c_uint32,
  chars,
  create,
  field,
  nested,
  Struct,
  type StructArray,
  type StructClass,
  sizeof,
  struct,
  structFromSchema,
  Union,
  viewOf,
} from "../../src/struct/index.ts";
import { Everything, EverythingBig } from "../support/everything.ts";

/** Copies a struct with 1 in every bit over memory full of 0; what of the memory was stored to, as hex. */
function stored<T extends Struct>(cls: StructClass<T>, byteLength: number): string {
  const memory = Buffer.alloc(byteLength);
  assign(viewOf(cls, memory), viewOf(cls, Buffer.alloc(byteLength, 255)) as never);
  return memory.toString("hex");
}

/** 0: d, 8: x, 12: padding up to 16, where a larger struct has its next member. */
class Inner extends Struct {
  @field(c_double) d!: number;
  @field(c_int32) x!: number;
}

describe("assigning a whole struct leaves alone what is not its own", () => {
  test("assigning a struct leaves the padding at its end alone, where a larger struct has its next member", () => {
    class Larger extends Struct {
      @field(c_double) d!: number;
      @field(c_int32) x!: number;
      @field(atomic(c_int32)) count!: Atomic<number>;
    }
    const larger = create(Larger, { d: 1, x: 2, count: 3 });
    const inner = viewOf(Inner, bytesOf(larger));
    assign(inner, create(Inner, { x: 7 }));
    expect([larger.d, larger.x, larger.count.load()]).toEqual([0, 7, 3]);
  });

  test("assigning a struct leaves alone the padding of nested structs and of the elements of arrays", () => {
    class Outer extends Struct {
      @field(c_int8) tag!: number;
      @nested(Inner) one!: Inner;
      @nested(Inner, 2) some!: StructArray<Inner>;
    }
    const [inner, gap] = ["ff".repeat(12), "00".repeat(4)];
    expect(stored(Outer, 56)).toBe(`ff${"00".repeat(7)}${(inner + gap).repeat(3)}`);
    const memory = Buffer.alloc(56);
    const outer = viewOf(Outer, memory);
    outer.some = viewOf(Outer, Buffer.alloc(56, 255)).some;
    expect(memory.toString("hex")).toBe("00".repeat(24) + (inner + gap).repeat(2));
    memory.fill(0);
    outer.some.fill(viewOf(Inner, Buffer.alloc(16, 255)));
    expect(memory.toString("hex")).toBe("00".repeat(24) + (inner + gap).repeat(2));
  });

  test("assigning a struct leaves alone gaps between members, in a layout that is another program's", () => {
    const Gaps = structFromSchema({
      name: "Gaps",
      kind: "struct",
      size: 8,
      align: 4,
      fields: {
        late: { type: "c_uint8", offset: 5, size: 1 },
        first: { type: "c_int16", offset: 1, size: 2 },
      },
    });
    expect(stored(Gaps, 8)).toBe("00ffff0000ff0000");
  });

  test("assigning a struct leaves alone the other bits of a byte that holds a bit-field", () => {
    class Bits extends Struct {
      @bits(c_uint32, 3) low!: number;
      @bits(c_uint32, 10) middle!: number;
    }
    expect(stored(Bits, 4)).toBe("ff1f0000");
    @struct({ endian: "big" })
    class Swapped extends Struct {
      @bits(c_uint8, 3) low!: number;
      @nested(Bits) inner!: Bits;
    }
    expect(stored(Swapped, 8)).toBe("e0000000fff80000");
  });

  test("assigning a union leaves alone the bytes that no member reaches", () => {
    @struct({ align: 8 })
    class Choice extends Union {
      @field(c_int16) number!: number;
      @field(chars(3)) text!: string;
      @bits(c_uint8, 4) nibble!: number;
    }
    expect(stored(Choice, 8)).toBe("ffffff0000000000");
  });
});

test.each<[string, StructClass]>([
  ["Everything", Everything],
  ["EverythingBig", EverythingBig],
])("assigning a struct copies every byte of a member of %s as it is", (_, cls) => {
  const byteLength = sizeof(cls);
  const source = Buffer.from(Array.from({ length: byteLength }, (_, i) => (i * 37) % 251));
  const target = viewOf(cls, Buffer.alloc(byteLength));
  assign(target, viewOf(cls, source) as never);
  const own = stored(cls, byteLength);
  const expected = source.map((byte, i) => byte & Number.parseInt(own.slice(i * 2, i * 2 + 2), 16));
  expect(Buffer.from(bytesOf(target)).toString("hex")).toBe(Buffer.from(expected).toString("hex"));
});

test("assigning a struct never half stores a number, as a reader without a lock sees it", async () => {
  class Gapped extends Struct {
    @field(c_int64) whole!: bigint;
    @field(c_int32) part!: number;
  }
  const memory = new SharedArrayBuffer(24);
  const reader = `onmessage = ({ data: memory }) => {
    const [words, stop] = [new BigInt64Array(memory, 0, 1), new Int32Array(memory, 16, 1)];
    const seen = new Set();
    postMessage("begun");
    while (Atomics.load(stop, 0) === 0) seen.add(words[0]);
    postMessage([...seen]);
  }`;
  const worker = new Worker(URL.createObjectURL(new Blob([reader])));
  const next = () =>
    new Promise((resolve) => worker.addEventListener("message", ({ data }) => resolve(data), { once: true }));
  try {
    const begun = next();
    worker.postMessage(memory);
    await begun;
    const [target, zeros, ones] = [viewOf(Gapped, memory), create(Gapped), create(Gapped, { whole: -1n })];
    const seen = next();
    for (const end = performance.now() + 200; performance.now() < end; ) {
      assign(target, zeros);
      assign(target, ones);
    }
    Atomics.store(new Int32Array(memory), 4, 1);
    expect(((await seen) as bigint[]).filter((word) => word !== 0n && word !== -1n)).toEqual([]);
  } finally {
    worker.terminate();
  }
});
