/**
 * A C program stores every kind of field while we load it, and the other way around: whatever is seen must be a value
 * that was stored. Fields alternate between two values that differ in every byte.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemoryMap } from "../../src/mmap/memory-map.ts";
import {
  asNumber,
  bits,
  c_double,
  c_float,
  c_int8,
  c_int16,
  c_int32,
  c_int64,
  c_uint8,
  c_uint16,
  c_uint32,
  c_uint64,
  field,
  layoutOf,
  type MemberSpec,
  structOf,
  viewOf,
} from "../../src/struct/index.ts";
import { linesOf } from "./tools.ts";

type Value = number | bigint;

interface Kind {
  readonly spec: MemberSpec;
  /** Its declaration in C. */
  readonly c: string;
  readonly values: readonly [Value, Value];
}

const big = { endian: "big" } as const;
const WIDE = [0x0102030405060708n, 0x7060504030201000n] as const;

const swapped = (type: string, name: string): string =>
  `struct { ${type} one; } __attribute__((scalar_storage_order("big-endian"))) ${name};`;

/** In the order of the struct. */
const kinds: Readonly<Record<string, Kind>> = {
  i8: { spec: c_int8, c: "int8_t i8;", values: [0x55, -86] },
  u8: { spec: c_uint8, c: "uint8_t u8;", values: [0x55, 0xaa] },
  i16: { spec: c_int16, c: "int16_t i16;", values: [0x0102, -0x7061] },
  u16: { spec: c_uint16, c: "uint16_t u16;", values: [0x00ff, 0xff00] },
  i32: { spec: c_int32, c: "int32_t i32;", values: [0x01020304, -0x70605041] },
  u32: { spec: c_uint32, c: "uint32_t u32;", values: [0x00ff00ff, 0xff00ff00] },
  i64: { spec: c_int64, c: "int64_t i64;", values: [WIDE[0], -WIDE[1]] },
  u64: { spec: c_uint64, c: "uint64_t u64;", values: WIDE },
  safe: { spec: asNumber(c_uint64), c: "uint64_t safe;", values: [0x01020304050607, 0x10ff20ff30ff40] },
  f32: { spec: c_float, c: "float f32;", values: [1.5, -3.25] },
  f64: { spec: c_double, c: "double f64;", values: [1.1, -2.2e300] },
  be16: { spec: field(c_uint16, big), c: swapped("uint16_t", "be16"), values: [0x00ff, 0xff00] },
  be32: { spec: field(c_uint32, big), c: swapped("uint32_t", "be32"), values: [0x01020304, 0xf0e0d0c0] },
  be64: { spec: field(c_uint64, big), c: swapped("uint64_t", "be64"), values: WIDE },
  kind: { spec: bits(c_uint32, 4), c: "uint32_t kind : 4;", values: [5, 10] },
  index: { spec: bits(c_uint32, 16), c: "uint32_t index : 16;", values: [0x00ff, 0x0100] },
  gen: { spec: bits(c_uint32, 12), c: "uint32_t gen : 12;", values: [0x0ff, 0xf00] },
  twelve: { spec: bits(c_uint32, 12), c: "uint32_t twelve : 12;", values: [0x0ff, 0xf00] },
  after: { spec: c_uint8, c: "uint8_t after;", values: [1, 2] },
  low: { spec: bits(c_uint64, 20), c: "uint64_t low : 20;", values: [0x000ffn, 0xfff00n] },
  middle: { spec: bits(c_uint64, 30), c: "uint64_t middle : 30;", values: [0x00ffffn, 0x3fff0000n] },
  high: { spec: bits(c_uint64, 14), c: "uint64_t high : 14;", values: [0x00ffn, 0x3f00n] },
};

const names = Object.keys(kinds);
const kindOf = (name: string): Kind => kinds[name] as Kind;

class Exchange extends structOf(Object.fromEntries(names.map((name) => [name, kindOf(name).spec]))) {}

/** The word with these bits is stored by two sides at once, which C leaves to a lock: one of its fields is enough. */
const shared = new Set(["kind", "gen", "low", "high"]);
/** Fields that are written at the same time. */
const written = names.filter((name) => !shared.has(name));

const inC = (name: string): string => (name.startsWith("be") ? `p->${name}.one` : `p->${name}`);
const literal = (value: Value): string => (typeof value === "bigint" ? `${value}ll` : `${value}`);

/** `exchange write|read FILE`: stores for ever; or loads until the last byte of the file is not 0, and prints what is wrong. */
const program = (): string => `
  #include <fcntl.h>
  #include <stdint.h>
  #include <stdio.h>
  #include <sys/mman.h>
  struct exchange { ${names.map((name) => kindOf(name).c).join(" ")} };
  int main(int count, char **words) {
    char *memory = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(words[2], O_RDWR), 0);
    volatile struct exchange *p = (volatile struct exchange *)memory;
    volatile char *end = memory + 4095;
    printf("%zu\\n", sizeof *p); fflush(stdout);
    long bad[${names.length}] = { 0 }, n = 0;
    while (words[1][0] == 'w') {
      ${written.map((name) => `${inC(name)} = ${literal(kindOf(name).values[0])};`).join(" ")}
      ${written.map((name) => `${inC(name)} = ${literal(kindOf(name).values[1])};`).join(" ")}
    }
    for (; *end == 0; n++) {
      ${names
        .map((name, i) => {
          const [a, b] = kindOf(name).values.map(literal);
          return `{ __typeof__(${name === "" ? "" : `(${inC(name)}) + 0`}) x = ${inC(name)}; if (x != ${a} && x != ${b} && x != 0) bad[${i}]++; }`;
        })
        .join("\n      ")}
    }
    ${names.map((name, i) => `if (bad[${i}]) printf("${name} %ld of %ld\\n", bad[${i}], n);`).join(" ")}
    printf("looked %ld\\n", n);
    return 0;
  }`;

/** Compiles the C program into the directory. */
export function compileExchange(dir: string): string {
  const source = join(dir, "exchange.c");
  writeFileSync(source, program());
  const { stderr, success } = Bun.spawnSync([
    "gcc",
    "-std=gnu11",
    "-O2",
    "-w",
    "-o",
    join(dir, "exchange"),
    source,
  ]);
  if (!success) throw new Error(stderr.toString());
  return join(dir, "exchange");
}

/** What was seen that was never stored: names of fields, with how often. */
export type Wrong = Record<string, number>;

/** C stores, we load each field `count` times. */
export async function loadWhileCStores(exchange: string, file: string, count: number): Promise<Wrong> {
  writeFileSync(file, new Uint8Array(4096));
  using map = new MemoryMap(file, 4096);
  const view = viewOf(Exchange, map);
  const child = Bun.spawn([exchange, "write", file], { stdout: "pipe" });
  try {
    await firstLine(child.stdout);
    const wrong: Wrong = {};
    for (const name of names) {
      const [a, b] = kindOf(name).values;
      // A loop each: one that took the name as a parameter would be compiled for all of them.
      const loop = new Function(
        "view",
        "count",
        "a",
        "b",
        `let bad = 0; for (let i = 0; i < count; i++) { const x = view.${name}; if (x !== a && x !== b && x != 0) bad++; } return bad;`,
      );
      const bad: number = loop(view, count, a, b);
      if (bad > 0) wrong[name] = bad;
    }
    return wrong;
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

/** We store each field `count` times, C loads all of them meanwhile. */
export async function storeWhileCLoads(exchange: string, file: string, count: number): Promise<string[]> {
  writeFileSync(file, new Uint8Array(4096));
  using map = new MemoryMap(file, 4096);
  const view = viewOf(Exchange, map);
  const child = Bun.spawn([exchange, "read", file], { stdout: "pipe" });
  const lines = linesOf(child.stdout);
  await lines.next();
  for (const name of names) {
    const [a, b] = kindOf(name).values;
    const loop = new Function(
      "view",
      "count",
      "a",
      "b",
      `for (let i = 0; i < count; i += 2) { view.${name} = a; view.${name} = b; }`,
    );
    loop(view, count, a, b);
  }
  map.set(-1, 1);
  const said = await Array.fromAsync(lines);
  await child.exited;
  return said.filter((line) => !line.startsWith("looked"));
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<void> {
  await stream.getReader().read();
}

/** No field of the exchange tears. */
export const tearing = (): string[] =>
  Object.entries(layoutOf(Exchange).fields)
    .filter(([, { tears }]) => tears)
    .map(([name]) => name);
