/**
 * A C program stores every kind of field while we load it, and the other way around: whatever is seen must be a value
 * that was stored. Fields alternate between two values that differ in every byte. One kind at a time, so that both sides
 * do nothing else; each side goes on until the other one has done its count, too.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MemoryMap } from "../../src/mmap/memory-map.ts";
import {
  asNumber,
  bits,
  c_bool,
  c_char,
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
  c_void_p,
  c_wchar,
  convert,
  enumOf,
  field,
  layoutOf,
  type MemberSpec,
  structOf,
  viewOf,
} from "../../src/struct/index.ts";
import { linesOf } from "./tools.ts";

type Value = number | bigint | boolean | string;

interface Kind {
  readonly spec: MemberSpec;
  /** Its declaration in C. */
  readonly c: string;
  readonly values: readonly [Value, Value];
}

enum Mode {
  none = 0,
  low = 0x00ff00ff,
  high = 0xff00ff00,
  short = 0x0f0,
  narrow = 0xf0f,
}

const half = convert(c_uint16, {
  name: "half",
  decode: (stored) => stored / 2,
  encode: (value) => Number(value) * 2,
});

const big = { endian: "big" } as const;
const WIDE = [0x0102030405060708n, 0x7060504030201000n] as const;
const SAFE = [0x01020304050607, 0x10ff20ff30ff40] as const;

const swapped = (type: string, name: string): string =>
  `struct { ${type} one; } __attribute__((scalar_storage_order("big-endian"))) ${name};`;

/** In the order of the struct. */
const kinds: Readonly<Record<string, Kind>> = {
  i8: { spec: c_int8, c: "int8_t i8;", values: [0x55, -86] },
  u8: { spec: c_uint8, c: "uint8_t u8;", values: [0x55, 0xaa] },
  flag: { spec: c_bool, c: "_Bool flag;", values: [true, false] },
  letter: { spec: c_char, c: "uint8_t letter;", values: ["U", "*"] },
  i16: { spec: c_int16, c: "int16_t i16;", values: [0x0102, -0x7061] },
  u16: { spec: c_uint16, c: "uint16_t u16;", values: [0x00ff, 0xff00] },
  i32: { spec: c_int32, c: "int32_t i32;", values: [0x01020304, -0x70605041] },
  u32: { spec: c_uint32, c: "uint32_t u32;", values: [0x00ff00ff, 0xff00ff00] },
  mode: { spec: enumOf(c_uint32, Mode), c: "uint32_t mode;", values: [Mode.low, Mode.high] },
  sign: { spec: c_wchar, c: "uint32_t sign;", values: ["\u00e5", "\u{10f00f}"] },
  half: { spec: half, c: "uint16_t half;", values: [0x00ff / 2, 0xff00 / 2] },
  i64: { spec: c_int64, c: "int64_t i64;", values: [WIDE[0], -WIDE[1]] },
  u64: { spec: c_uint64, c: "uint64_t u64;", values: WIDE },
  pointer: { spec: c_void_p, c: "uint64_t pointer;", values: WIDE },
  safe: { spec: asNumber(c_uint64), c: "uint64_t safe;", values: SAFE },
  isafe: { spec: asNumber(c_int64), c: "int64_t isafe;", values: [SAFE[0], -SAFE[1]] },
  f32: { spec: c_float, c: "float f32;", values: [1.5, -3.25] },
  f64: { spec: c_double, c: "double f64;", values: [1.1, -2.2e300] },
  bi16: { spec: field(c_int16, big), c: swapped("int16_t", "bi16"), values: [0x0102, -0x7061] },
  bu16: { spec: field(c_uint16, big), c: swapped("uint16_t", "bu16"), values: [0x00ff, 0xff00] },
  bi32: { spec: field(c_int32, big), c: swapped("int32_t", "bi32"), values: [0x01020304, -0x70605041] },
  bu32: { spec: field(c_uint32, big), c: swapped("uint32_t", "bu32"), values: [0x01020304, 0xf0e0d0c0] },
  bmode: {
    spec: field(enumOf(c_uint32, Mode), big),
    c: swapped("uint32_t", "bmode"),
    values: [Mode.low, Mode.high],
  },
  bf32: { spec: field(c_float, big), c: swapped("float", "bf32"), values: [1.5, -3.25] },
  bi64: { spec: field(c_int64, big), c: swapped("int64_t", "bi64"), values: [WIDE[0], -WIDE[1]] },
  bu64: { spec: field(c_uint64, big), c: swapped("uint64_t", "bu64"), values: WIDE },
  bf64: { spec: field(c_double, big), c: swapped("double", "bf64"), values: [1.1, -2.2e300] },
  bsafe: { spec: field(asNumber(c_uint64), big), c: swapped("uint64_t", "bsafe"), values: SAFE },
  four: { spec: bits(c_uint32, 4), c: "uint32_t four : 4;", values: [5, 10] },
  index: { spec: bits(c_uint32, 16), c: "uint32_t index : 16;", values: [0x00ff, 0x0100] },
  gen: { spec: bits(c_uint32, 12), c: "uint32_t gen : 12;", values: [0x0ff, 0xf00] },
  twelve: { spec: bits(c_uint32, 12), c: "uint32_t twelve : 12;", values: [0x0ff, 0xf00] },
  after: { spec: c_uint8, c: "uint8_t after;", values: [1, 2] },
  low: { spec: bits(c_uint64, 20), c: "uint64_t low : 20;", values: [0x000ffn, 0xfff00n] },
  middle: { spec: bits(c_uint64, 30), c: "uint64_t middle : 30;", values: [0x00ffffn, 0x3fff0000n] },
  upper: { spec: bits(c_uint64, 14), c: "uint64_t upper : 14;", values: [0x00ffn, 0x3f00n] },
  signed: { spec: bits(c_int32, 20), c: "int32_t signed_ : 20;", values: [0x0ff00, -0x7ff01] },
  choice: {
    spec: bits(enumOf(c_uint32, Mode), 12),
    c: "uint32_t choice : 12;",
    values: [Mode.short, Mode.narrow],
  },
  word: { spec: bits(c_uint32, 32), c: "uint32_t word : 32;", values: [0x00ff00ff, 0xff00ff00] },
  forty: { spec: bits(c_int64, 40), c: "int64_t forty : 40;", values: [0x00ff00ff00n, -0x7f00ff00ffn] },
  number: { spec: bits(asNumber(c_uint64), 24), c: "uint64_t number : 24;", values: [0x00ff00, 0xff00ff] },
  quad: { spec: bits(c_uint64, 64), c: "uint64_t quad : 64;", values: WIDE },
  yes: { spec: bits(c_bool, 1), c: "_Bool yes : 1;", values: [true, false] },
  six: { spec: bits(c_int8, 6), c: "int8_t six : 6;", values: [21, -22] },
  eleven: { spec: bits(c_uint16, 11), c: "uint16_t eleven : 11;", values: [0x0f0, 0x70f] },
};

const names = Object.keys(kinds);
const kindOf = (name: string): Kind => kinds[name] as Kind;

class Exchange extends structOf(Object.fromEntries(names.map((name) => [name, kindOf(name).spec]))) {}

/** Bytes of the file; what the two sides tell each other stands at its end. */
const FILE_BYTES = 8192;
const TOLD = 4096;

/** How a name is written in the C program. */
const inC = (name: string): string => {
  if (name === "signed") return "p->signed_";
  return kindOf(name).c.includes("scalar_storage_order") ? `p->${name}.one` : `p->${name}`;
};

/** A value as C has it in memory. */
const literal = (name: string, value: Value): string => {
  if (typeof value === "bigint") return `${value}ll`;
  if (typeof value === "string") return `${value.codePointAt(0)}`;
  if (typeof value === "number" && name === "half") return `${value * 2}`;
  return `${Number(value)}`;
};

/** The two things that C does with a field. */
const functions = (name: string): string => {
  const [a, b] = kindOf(name).values.map((value) => literal(name, value));
  const field = inC(name);
  return `
  static void store_${name}(void) {
    ${field} = ${a};
    ${field} = ${b};
  }
  static void load_${name}(void) {
    __typeof__(${field} + 0) x = ${field};
    seen[x == ${a} ? 0 : x == ${b} ? 1 : 2]++;
  }`;
};

/**
 * `exchange FILE`: what is told is the number of a kind, twice that for loads, plus one for stores; 1 is the end. It tells
 * how often it has done it, and what it saw: the one value, the other, anything else.
 */
const program = (): string => `
  #include <fcntl.h>
  #include <stdint.h>
  #include <stdio.h>
  #include <sched.h>
  #include <sys/mman.h>
  struct exchange { ${names.map((name) => kindOf(name).c).join(" ")} };
  static volatile struct exchange *p;
  static uint64_t seen[3];
  ${names.map(functions).join("")}
  #define REPEAT(WORK) for (int i = 0; i < 1000; i++) WORK();
  int main(int count, char **words) {
    char *memory = mmap(0, ${FILE_BYTES}, PROT_READ | PROT_WRITE, MAP_SHARED, open(words[1], O_RDWR), 0);
    p = (volatile struct exchange *)memory;
    volatile uint32_t *told = (volatile uint32_t *)(memory + ${TOLD});
    volatile uint64_t *done = (volatile uint64_t *)(memory + ${TOLD + 64});
    printf("%zu\\n", sizeof *p); fflush(stdout);
    uint32_t last = 0;
    for (;;) {
      uint32_t now = *told;
      if (now == 1) return 0;
      if (now != last && now != 0) { seen[0] = seen[1] = seen[2] = 0; done[0] = done[1] = done[2] = done[3] = 0; done[4] = last = now; }
      switch (now) {
        case 0: sched_yield(); last = 0; continue;
        ${names.map((name, i) => `case ${2 * i + 2}: REPEAT(load_${name}) break; case ${2 * i + 3}: REPEAT(store_${name}) done[0] += 1000; break;`).join("\n        ")}
      }
      done[0] += 1000; done[1] = seen[0]; done[2] = seen[1]; done[3] = seen[2];
    }
  }`;

/** Compiles the C program into the directory. */
export function compileExchange(dir: string): string {
  const source = join(dir, "exchange.c");
  writeFileSync(source, program());
  const command = ["gcc", "-std=gnu11", "-O2", "-w", "-o", join(dir, "exchange"), source];
  const { stderr, success } = Bun.spawnSync(command);
  if (!success) throw new Error(stderr.toString());
  return join(dir, "exchange");
}

/** What came of one kind in one direction. */
export interface Exchanged {
  readonly kind: string;
  readonly by: "C stores, we load" | "we store, C loads";
  readonly stores: number;
  readonly loads: number;
  /** How often the one value and the other were seen. */
  readonly seen: readonly [number, number];
  /** How often anything else was: a value that was never stored. */
  readonly wrong: number;
}

/** Each kind a function of its own: one that took the name as a parameter would be compiled for all of them. */
const loadingLoop = (name: string) =>
  new Function(
    "view",
    "count",
    "a",
    "b",
    "seen",
    `for (let i = 0; i < count; i++) { const x = view.${name}; if (x === a) seen[0]++; else if (x === b) seen[1]++; else seen[2]++; }`,
  );

const storingLoop = (name: string) =>
  new Function(
    "view",
    "count",
    "a",
    "b",
    `for (let i = 0; i < count; i += 2) { view.${name} = a; view.${name} = b; }`,
  );

/** Each kind in both directions, until either side has done it `count` times; `only` some, by name. */
export async function* exchangeAll(
  exchange: string,
  file: string,
  count: number,
  only: readonly string[] = names,
): AsyncGenerator<Exchanged, void> {
  writeFileSync(file, new Uint8Array(FILE_BYTES));
  using map = new MemoryMap(file, FILE_BYTES);
  const view = viewOf(Exchange, map);
  const told = new Uint32Array(map.bytes.buffer, map.bytes.byteOffset + TOLD, 1);
  const done = new BigUint64Array(map.bytes.buffer, map.bytes.byteOffset + TOLD + 64, 5);
  // Accesses between two looks at what the other side has done.
  const chunk = Math.min(count, 100_000);
  const child = Bun.spawn([exchange, file], { stdout: "pipe" });
  try {
    await linesOf(child.stdout).next();
    for (const kind of only) {
      const i = names.indexOf(kind);
      const [a, b] = kindOf(kind).values;
      const other = (word: number) => Number(Atomics.load(done, word));
      const tell = (what: number) => {
        Atomics.store(told, 0, what);
        while (what !== 0 && other(4) !== what) Bun.sleepSync(0.05);
      };
      (view as Record<string, unknown>)[kind] = a;
      tell(2 * i + 3);
      const seen: [number, number, number] = [0, 0, 0];
      const load = loadingLoop(kind);
      let loads = 0;
      for (; loads < count || other(0) < count; loads += chunk) load(view, chunk, a, b, seen);
      yield {
        kind,
        by: "C stores, we load",
        stores: other(0),
        loads,
        seen: [seen[0], seen[1]],
        wrong: seen[2],
      };
      tell(2 * i + 2);
      const store = storingLoop(kind);
      let stores = 0;
      for (; stores < count || other(0) < count; stores += chunk) store(view, chunk, a, b);
      tell(0);
      // The last thousand loads may be under way.
      await Bun.sleep(1);
      yield {
        kind,
        by: "we store, C loads",
        stores,
        loads: other(0),
        seen: [other(1), other(2)],
        wrong: other(3),
      };
    }
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

/** Fields of the exchange that tear: none. */
export const tearing = (): string[] =>
  Object.entries(layoutOf(Exchange).fields)
    .filter(([, { tears }]) => tears)
    .map(([name]) => name);
