/** A struct with a member of every kind, and a writer that never rests. */
import {
  type Atomic,
  array,
  asNumber,
  atomic,
  bits,
  bytes,
  type CArray,
  c_bool,
  c_double,
  c_int32,
  c_int64,
  c_uint8,
  c_uint16,
  c_uint32,
  c_uint64,
  chars,
  Editor,
  enumOf,
  field,
  MmapStructure,
  nested,
  Struct,
  type StructArray,
  struct,
} from "../../src/index.ts";

const Mode = { idle: 0, run: 5 } as const;

@struct({ endian: "big" })
class Wire extends Struct {
  @field(c_uint16) port!: number;
  @field(array(c_uint16, 3)) ports!: CArray<number>;
}

class Place extends Struct {
  @field(c_double) x!: number;
  @field(c_int32) n!: number;
  @field(atomic(c_uint32)) hits!: Atomic<number>;
}

export class All extends MmapStructure {
  @field(c_int64) big!: bigint;
  @field(asNumber(c_uint64)) far!: number;
  @field(c_bool) on!: boolean;
  @bits(c_uint32, 5) low!: number;
  @bits(c_uint32, 9) high!: number;
  @field(enumOf(c_uint8, Mode)) mode!: 0 | 5;
  @field(chars(12)) name!: string;
  @field(bytes(5)) raw!: Uint8Array;
  @field(array(c_double, 4)) numbers!: Float64Array;
  @field(array(c_int32, 2, 3)) grid!: CArray<Int32Array>;
  @field(array(chars(4), 2)) words!: CArray<string>;
  @nested(Place) place!: Place;
  @nested(Place, 3) places!: StructArray<Place>;
  @nested(Wire) wire!: Wire;
  @field(atomic(c_int32)) counter!: Atomic<number>;
}

export const fill = (data: All, n: number): void => {
  Object.assign(data, {
    big: -5n - BigInt(n),
    far: 2 ** 40 + n,
    on: n % 2 === 0,
    low: n % 32,
    high: 300 + n,
  });
  Object.assign(data, {
    mode: 5,
    name: `né ${n}`,
    raw: Uint8Array.of(1, 2, 3, 4, n),
    numbers: [n, 2, 3.5, -4],
  });
  Object.assign(data, {
    grid: [
      [1, 2, n],
      [4, 5, 6 + n],
    ],
    words: ["ab", `c${n}`],
  });
  Object.assign(data, { place: { x: n + 0.5, n } });
  data.places.at(2).n = n;
  Object.assign(data, { wire: { port: 8000 + n, ports: [1, 0x1234 + n, 3] } });
};

function write(dir: string): void {
  using editor = new Editor(All, { dir });
  console.log("ready");
  for (let n = 1; ; n++) {
    editor.edit((data) => {
      data.numbers.fill(n);
      data.place.x = n;
      data.place.n = n;
    });
  }
}

if (import.meta.main) write(process.argv[2]!);
