/** Row 19: single stores of each kind, and arrays of numbers that are only read, against the same written by hand. */
import { mkdtempSync, rmSync } from "node:fs";
import {
  array,
  asNumber,
  bits,
  bytes,
  c_double,
  c_float,
  c_int32,
  c_uint8,
  c_uint32,
  c_uint64,
  create,
  enumOf,
  field,
  Manager,
  MmapStructure,
  nested,
  Reader,
  type ReadonlyNumbers,
  Struct,
} from "../src/index.ts";
import { viewAt } from "../src/struct/functions.ts";
import { FRESH, Region } from "../src/struct/memory/memory.ts";
import { alone, type Case, isQuick, type Row, type Suite, timed } from "./harness.ts";
import { loop, TURNS } from "./many.ts";

enum Mode {
  none,
  run,
  rest = 9,
}

class Fields extends Struct {
  @field(c_float) f0!: number;
  @field(c_float) f1!: number;
  @field(c_int32) i0!: number;
  @field(c_int32) i1!: number;
  @bits(c_uint32, 20) bits0!: number;
  @bits(c_uint32, 12) bits1!: number;
  @bits(c_uint64, 20) big0!: bigint;
  @bits(enumOf(c_uint32, Mode), 6) mode0!: Mode;
  @bits(enumOf(c_uint32, Mode), 6) mode1!: Mode;
  @bits(c_uint64, 40) wide0!: bigint;
  @field(asNumber(c_uint64)) n0!: number;
  @field(asNumber(c_uint64)) n1!: number;
}
class Around extends Struct {
  @field(c_double) before!: number;
  @nested(Fields) fields!: Fields;
}

const here = (): Fields => create(Fields);
/** A view that does not begin where its memory does. */
const within = (): Fields => create(Around).fields;
const fresh = (): Fields => viewAt(Fields, new Region(new ArrayBuffer(128), 0, 128, FRESH), 0);

/** Two stores a turn; what the last one stored is the proof. */
const stores = (make: () => unknown, body: string, last: string): Case => {
  return () => {
    const [made, run] = [make(), loop(body, "")];
    const proof = new Function("v", `return Number(${last});`) as (v: unknown) => number;
    const store = () => {
      run(made, TURNS);
      return proof(made);
    };
    const expected = store();
    if (expected === 0) throw new Error(`${last} is still 0`);
    return timed(2 * TURNS, store, expected);
  };
};

const memory = (): DataView => new DataView(new ArrayBuffer(128));
const ours = (a: string, b: string, value: string) => `v.${a} = ${value}; v.${b} = ${value};`;

interface Kind {
  /** The two members, the value, and the same stores by hand. */
  readonly ours: string;
  readonly last: string;
  readonly byHand: string;
  readonly lastByHand: string;
}

const bitsByHand = (at: number, mask: number, shift: number, value: string) =>
  `v.setUint32(${at}, v.getUint32(${at}, true) & ${~(mask << shift)} | (${value} & ${mask}) << ${shift}, true);`;

const asBigInt = (at: number) => `v.setBigUint64(${at}, BigInt(i), true);`;

const kinds = {
  c_float: {
    ours: ours("f0", "f1", "i * 0.5"),
    last: "v.f1",
    byHand: "v.setFloat32(0, i * 0.5, true); v.setFloat32(4, i * 0.5, true);",
    lastByHand: "v.getFloat32(4, true)",
  },
  c_int32: {
    ours: ours("i0", "i1", "i"),
    last: "v.i1",
    byHand: "v.setInt32(8, i, true); v.setInt32(12, i, true);",
    lastByHand: "v.getInt32(12, true)",
  },
  "bit-field": {
    ours: "v.bits0 = i; v.bits1 = i & 4095;",
    last: "v.bits1",
    byHand: bitsByHand(16, 0xfffff, 0, "i") + bitsByHand(16, 0xfff, 20, "i"),
    lastByHand: "v.getUint32(16, true) >>> 20",
  },
  "bit-field of an enum": {
    ours: "v.mode0 = i & 1; v.mode1 = i & 1;",
    last: "v.mode1",
    byHand: bitsByHand(24, 0x3f, 0, "i & 1") + bitsByHand(24, 0x3f, 6, "i & 1"),
    lastByHand: "v.getUint32(24, true) >>> 6",
  },
  "bit-field of 20 bits as a bigint": {
    ours: "v.big0 = BigInt(i); v.big0 = BigInt(i);",
    last: "v.big0",
    byHand: bitsByHand(24, 0xfffff, 0, "Number(BigInt(i))") + bitsByHand(24, 0xfffff, 0, "Number(BigInt(i))"),
    lastByHand: "v.getUint32(24, true)",
  },
  "bit-field of 40 bits as a bigint": {
    ours: "v.wide0 = BigInt(i); v.wide0 = BigInt(i);",
    last: "v.wide0",
    byHand:
      "v.setBigUint64(32, v.getBigUint64(32, true) & 0xffffff0000000000n | BigInt.asUintN(40, BigInt(i)), true);".repeat(
        2,
      ),
    lastByHand: "v.getBigUint64(32, true)",
  },
  "asNumber(c_uint64)": {
    ours: ours("n0", "n1", "i"),
    last: "v.n1",
    byHand: asBigInt(40) + asBigInt(48),
    lastByHand: "v.getBigUint64(48, true)",
  },
} satisfies Readonly<Record<string, Kind>>;

/** The same checks as ours, and nothing else: a class around a DataView at an offset. */
const checked = (accessor: "Float32" | "Int32", refuses: string) => (): unknown => {
  const member = (name: string, at: number) =>
    `set ${name}(v) { if (${refuses}) throw new TypeError(v); this.#view.set${accessor}(this.#offset + ${at}, v, true); }`;
  const source = `return class { #view; #offset; constructor(view, offset) { this.#view = view; this.#offset = offset; } ${member("a", 0)} ${member("b", 4)} get last() { return this.#view.get${accessor}(this.#offset + 4, true); } }`;
  const Checked = new Function(source)() as new (view: DataView, offset: number) => unknown;
  return new Checked(memory(), 8);
};
const FLOAT_REFUSES =
  'typeof v !== "number" || (Math.abs(v) >= 3.4028235677973366e38 && Math.abs(v) !== Infinity)';
const checkedCases = {
  "c_float, by hand with its check": stores(
    checked("Float32", FLOAT_REFUSES),
    ours("a", "b", "i * 0.5"),
    "v.last",
  ),
  "c_int32, by hand with its check": stores(
    checked("Int32", 'typeof v !== "number" || (v | 0) !== v'),
    ours("a", "b", "i"),
    "v.last",
  ),
};

const storeCases = Object.fromEntries(
  Object.entries(kinds).flatMap(([name, kind]): [string, Case][] => [
    [`${name}`, stores(here, kind.ours, kind.last)],
    [`${name}, view within`, stores(within, kind.ours, kind.last)],
    [`${name}, fresh view`, stores(fresh, kind.ours, kind.last)],
    [`${name}, by hand`, stores(memory, kind.byHand, kind.lastByHand)],
  ]),
);

const COUNT = isQuick ? 100_000 : 1_000_000;
const PIXELS = 1920 * 1080 * 3;
class Numbers extends MmapStructure {
  @field(array(c_double, COUNT)) values!: Float64Array;
}
class Image extends MmapStructure {
  @field(array(c_uint8, PIXELS)) pixels!: Uint8Array;
  @field(bytes(8)) rest!: Uint8Array;
}

type Numeric = ReadonlyNumbers<number> | Float64Array;
const sums: Readonly<Record<string, (values: Numeric) => number>> = {
  ".at(i)": (values) => {
    let sum = 0;
    for (let i = 0; i < COUNT; i++) sum += values.at(i) as number;
    return sum;
  },
  "for of": (values) => {
    let sum = 0;
    for (const value of values) sum += value;
    return sum;
  },
  forEach: (values) => {
    let sum = 0;
    values.forEach((value: number) => {
      sum += value;
    });
    return sum;
  },
  reduce: (values) => (values as Float64Array).reduce((sum, value) => sum + value, 0),
  "[i]": (values) => {
    let sum = 0;
    for (let i = 0; i < COUNT; i++) sum += values[i] as number;
    return sum;
  },
};

async function inMemory<R>(use: (dir: string) => R | Promise<R>): Promise<R> {
  const dir = mkdtempSync("/dev/shm/shmstruct-bench-");
  try {
    return await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const sumOfReader = (sum: (values: Numeric) => number): Case => {
  return () =>
    inMemory(async (dir) => {
      using manager = new Manager(Numbers, { dir, create: true });
      manager.edit(({ values }) => values.fill(0.5));
      using reader = new Reader(Numbers, { dir });
      using session = reader.lock();
      const { values } = session.data;
      return await timed(COUNT, () => sum(values), COUNT / 2);
    });
};

const sumOfArray = (sum: (values: Numeric) => number): Case => {
  return () => {
    const values = new Float64Array(COUNT).fill(0.5);
    return timed(COUNT, () => sum(values), COUNT / 2);
  };
};

/** The least that `[i]` of anything but an array takes: a Proxy that looks its key up. */
const sumOfProxy: Case = () => {
  const values = new Proxy(new Float64Array(COUNT).fill(0.5), {
    get: (target, key) => target[key as unknown as number],
  });
  return timed(COUNT, () => sums["[i]"]?.(values), COUNT / 2);
};

const sumCases = Object.fromEntries(
  Object.entries(sums).flatMap(([name, sum]): [string, Case][] => [
    [`Reader ${name}`, sumOfReader(sum)],
    [`Float64Array ${name}`, sumOfArray(sum)],
  ]),
);

const getPixels: Case = () =>
  inMemory(async (dir) => {
    using manager = new Manager(Image, { dir, create: true });
    manager.edit(({ pixels }) => pixels.fill(7));
    using reader = new Reader(Image, { dir });
    return await timed(1, () => (reader.get("pixels") as Uint8Array)[PIXELS - 1], 7);
  });

/** Into new memory, as `get` does, and into the same again and again. */
const copyPixels = (copy: (source: Uint8Array) => Uint8Array): Case => {
  return () => {
    const source = new Uint8Array(PIXELS).fill(7);
    return timed(1, () => copy(source)[PIXELS - 1], 7);
  };
};
const target = new Uint8Array(PIXELS);

const against = (name: string, variant: string, aim?: Row["aim"], floor?: string): Row => ({
  id: "19",
  what: `store: ${name}${variant}`,
  ours: `${name}${variant}`,
  peer: `${name}, by hand`,
  ...(aim && { aim }),
  ...(floor && { floor }),
});

const CHECK_FLOOR =
  "the check of the value: a class written by hand with the same check (the rows below) takes about as long; without it a number that does not fit would be stored as another one.";

const names = Object.keys(kinds);

const suite: Suite = {
  title: "Stores, and arrays that are only read",
  file: import.meta.filename,
  isTimedByOwnWork: true,
  honest:
    "each case has a process of its own; what the last store left, or the sum, is compared with the right result. Ours checks each value, by hand nothing is checked. A fresh view sees, and shows at once, what other processes store.",
  idle: "nothing.",
  cases: {
    ...storeCases,
    ...checkedCases,
    ...sumCases,
    "Proxy [i]": sumOfProxy,
    'get("pixels")': getPixels,
    "one copy into new memory": copyPixels((source) => source.slice()),
    "one copy": copyPixels((source) => {
      target.set(source);
      return target;
    }),
  },
  rows: [
    against("c_float", "", { atMost: 1.2 }, CHECK_FLOOR),
    against("c_int32", ", view within", { atMost: 1.2 }, CHECK_FLOOR),
    against("c_float", ", by hand with its check"),
    against("c_int32", ", by hand with its check"),
    ...names.flatMap((name) => [against(name, ""), against(name, ", fresh view")]).slice(1),
    ...Object.keys(sums).map(
      (name): Row => ({
        id: "19",
        what: `a million numbers of a Reader, ${name}`,
        ours: `Reader ${name}`,
        peer: `Float64Array ${name}`,
        ...(name !== "[i]" && { aim: { atMost: 3 } }),
      }),
    ),
    {
      id: "19",
      what: "a million numbers of a Reader, [i], against the least that a Proxy takes",
      ours: "Reader [i]",
      peer: "Proxy [i]",
    },
    {
      id: "19",
      what: 'get("pixels") of 6 MB',
      ours: 'get("pixels")',
      peer: "one copy into new memory",
      aim: { atMost: 2 },
    },
    {
      id: "19",
      what: "that copy, against one into memory that is there",
      ours: "one copy into new memory",
      peer: "one copy",
    },
  ],
  figures: [
    ...[
      "bit-field",
      "bit-field of an enum",
      "bit-field of 20 bits as a bigint",
      "bit-field of 40 bits as a bigint",
    ].flatMap((name) =>
      ["", ", fresh view"].map((variant) => ({
        id: "19",
        what: `store: ${name}${variant}`,
        case: `${name}${variant}`,
        metric: "ns",
        unit: "ns",
        atMost: 5,
        ...(name.endsWith("bigint") && {
          floor: "the bigint: by hand, unchecked, the same takes as long (the rows above).",
        }),
      })),
    ),
    ...["", ", fresh view"].map((variant) => ({
      id: "19",
      what: `store: asNumber(c_uint64)${variant}`,
      case: `asNumber(c_uint64)${variant}`,
      metric: "ns",
      unit: "ns",
      atMost: 20,
    })),
    {
      id: "19",
      what: "a number of a Reader by p[i]",
      case: "Reader [i]",
      metric: "ns",
      floor: "the Proxy, and an index that becomes a string (the row above).",
      unit: "ns",
      atMost: 60,
    },
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
