/** Row 4: text in a fixed field, against TextDecoder and TextEncoder by hand. */
import {
  array,
  bytesOf,
  c_int32,
  chars,
  create,
  field,
  Manager,
  MmapStructure,
  nested,
  Struct,
  type StructArray,
  Union,
} from "../src/index.ts";
import { alone, type Case, type Row, type Suite, timed } from "./harness.ts";
import { inTempDir } from "./prepare.ts";

const SIZE = 256;
const TURNS = 500;

class Label extends Struct {
  @field(chars(SIZE)) text!: string;
}

class Either extends Union {
  @field(chars(SIZE)) text!: string;
  @field(c_int32) code!: number;
}

/** Texts in all places where a field may be. */
class Rack extends MmapStructure {
  @field(chars(SIZE)) text!: string;
  @nested(Label, 4) labels!: StructArray<Label>;
  @field(array(chars(SIZE), 4)) texts!: StructArray<string>;
  @nested(Either) either!: Either;
}

/** Two texts of each kind take turns, so that none can be remembered instead of being read or written. */
const texts = {
  "12 letters": ["hello world!", "world hello?"],
  "255 letters": ["a".repeat(255), `${"b".repeat(254)}!`],
  "60 signs beyond ASCII": ["größe → 42 € ".repeat(5).slice(0, 60), "→ €42 größen ".repeat(5).slice(0, 60)],
} as const;
type Kind = keyof typeof texts;

const total = (kind: Kind): number => (TURNS / 2) * (texts[kind][0].length + texts[kind][1].length);

/** Reads two fields in turns; `length` and a character of every text are used. */
const readBy = (kind: Kind, makeReaders: () => (() => string)[]): Case => {
  return () => {
    const [first, second] = makeReaders() as [() => string, () => string];
    const run = () => {
      let sum = 0;
      for (let i = 0; i < TURNS; i += 2) {
        const [a, b] = [first(), second()];
        sum += a.length + b.length + (a.charCodeAt(0) === b.charCodeAt(0) ? 1 : 0);
      }
      return sum;
    };
    return timed(TURNS, run, total(kind));
  };
};

const getOurs = (kind: Kind): Case =>
  readBy(kind, () => {
    const [a, b] = texts[kind].map((text) => create(Label, { text })) as [Label, Label];
    return [() => a.text, () => b.text];
  });

const getWith = (kind: Kind, decode: (bytes: Buffer, end: number) => string): Case =>
  readBy(kind, () => {
    const [a, b] = texts[kind].map((text) => {
      const bytes = Buffer.alloc(SIZE);
      bytes.write(text);
      return bytes;
    }) as [Buffer, Buffer];
    const read = (bytes: Buffer) => {
      const end = bytes.indexOf(0);
      return decode(bytes, end < 0 ? SIZE : end);
    };
    return [() => read(a), () => read(b)];
  });

const decoder = new TextDecoder();
const getByDecoder = (kind: Kind): Case =>
  getWith(kind, (bytes, end) => decoder.decode(end === SIZE ? bytes : bytes.subarray(0, end)));

const getByBuffer = (kind: Kind): Case => getWith(kind, (bytes, end) => bytes.toString("utf8", 0, end));

/** Writes two texts in turns; the byte behind the shorter one and the first are read back. */
const writeBy = (
  kind: Kind,
  makeWriter: () => { bytes: Uint8Array; write: (text: string) => void },
): Case => {
  return () => {
    const { bytes, write } = makeWriter();
    const [a, b] = texts[kind];
    const encoded = new TextEncoder().encode(b);
    const run = () => {
      let sum = 0;
      for (let i = 0; i < TURNS; i += 2) {
        write(a);
        sum += bytes[0]!;
        write(b);
        sum += bytes[0]! + bytes[encoded.length - 1]!;
      }
      return sum;
    };
    const bytesOfA = new TextEncoder().encode(a);
    return timed(TURNS, run, (TURNS / 2) * (bytesOfA[0]! + encoded[0]! + encoded.at(-1)!));
  };
};

const setOurs = (kind: Kind): Case =>
  writeBy(kind, () => {
    const label = create(Label);
    return {
      bytes: bytesOf(label),
      write: (text) => {
        label.text = text;
      },
    };
  });

const PLACES: Readonly<Record<string, (rack: Rack, text: string) => void>> = {
  "in an array of structs": (rack, text) => {
    rack.labels.at(3).text = text;
  },
  "in an array of texts, by set()": (rack, text) => {
    rack.texts.set([text], 3);
  },
  "in an array of texts, by [3] = (convenience only)": (rack, text) => {
    rack.texts[3] = text;
  },
  "in a union": (rack, text) => {
    rack.either.text = text;
  },
};
const STARTS = {
  "in an array of structs": 16 + 4 * SIZE,
  "in an array of texts, by set()": 16 + 8 * SIZE,
  "in an array of texts, by [3] = (convenience only)": 16 + 8 * SIZE,
  "in a union": 16 + 9 * SIZE,
};

const setIn = (place: keyof typeof STARTS, kind: Kind): Case =>
  writeBy(kind, () => {
    const rack = create(Rack);
    const store = PLACES[place] as (rack: Rack, text: string) => void;
    return { bytes: bytesOf(rack).subarray(STARTS[place]), write: (text) => store(rack, text) };
  });

/** In a mapped file, without a lock: what other processes store is seen at once. */
const setFresh = (kind: Kind): Case => {
  return () =>
    inTempDir((dir) => {
      using manager = new Manager(Rack, { dir, create: true });
      const { live } = manager;
      const bytes = bytesOf(live).subarray(16);
      const write = (text: string) => {
        live.text = text;
      };
      return writeBy(kind, () => ({ bytes, write }))();
    });
};

/** Each case has a process of its own, in which `check` is one function, and compiled into the loop. */
const setWith = (check: (text: string) => void, kind: Kind): Case =>
  writeBy(kind, () => {
    const encoder = new TextEncoder();
    const bytes = new Uint8Array(SIZE);
    return {
      bytes,
      write: (text) => {
        check(text);
        const { written } = encoder.encodeInto(text, bytes);
        bytes.fill(0, written);
      },
    };
  });

const setByHand = (kind: Kind): Case => setWith(() => {}, kind);

/** By hand, with the checks that ours makes. */
const setCheckedByHand = (kind: Kind): Case =>
  setWith((text) => {
    if (!text.isWellFormed() || text.includes("\0")) throw new RangeError("not storable");
    if (text.length * 3 > SIZE && Buffer.byteLength(text) > SIZE) throw new RangeError("too long");
  }, kind);

/**
 * The same at a place inside of larger memory, as a program does it that has such a struct: the array's index is checked, and
 * the text goes through the write of a Buffer, which takes an offset.
 */
const setCheckedInside = (kind: Kind): Case =>
  writeBy(kind, () => {
    const start = STARTS["in an array of structs"] - 3 * SIZE;
    const bytes = Buffer.alloc(16 + 10 * SIZE);
    const fits = (text: string) => text.length * 3 <= SIZE || Buffer.byteLength(text) <= SIZE;
    const store = (index: number, text: string) => {
      if (!(index >= 0 && index < 4)) throw new RangeError("no such element");
      if (!text.isWellFormed() || text.includes("\0") || !fits(text)) throw new RangeError("not storable");
      const at = start + index * SIZE;
      const written = bytes.write(text, at, SIZE);
      bytes.fill(0, at + written, at + SIZE);
    };
    return { bytes: bytes.subarray(STARTS["in an array of structs"]), write: (text) => store(3, text) };
  });

const FLOOR =
  "text is refused when it is too long, has a NUL or a lone surrogate, and nothing is changed then, so it is looked at before it is written. What is beyond that is the setter of a view: it may be called with any value, on memory that is gone, in any order of bytes.";

const GET_FLOOR =
  "reading makes a string, which takes a Buffer by hand about as long (the row below). Most of it is new memory, which is in no cache as long as Bun collects its garbage late; that changes from hour to hour on one and the same machine. With `bun --smol`, which collects early, 255 letters take half the time, and TextDecoder as much as before.";

const kinds = Object.keys(texts) as Kind[];

const suite: Suite = {
  title: `Text in chars(${SIZE})`,
  file: import.meta.filename,
  isTimedByOwnWork: true,
  honest:
    "two texts take turns, the length of what is read and bytes of what was written are summed up and compared with the right sum. Ours checks for lone surrogates, NUL and length first; by hand nothing is checked.",
  idle: "nothing: text is read and written where the call is made.",
  cases: Object.fromEntries(
    kinds.flatMap((kind) => [
      [`get ${kind}`, getOurs(kind)],
      [`TextDecoder, ${kind}`, getByDecoder(kind)],
      [`Buffer, ${kind}`, getByBuffer(kind)],
      [`set ${kind}`, setOurs(kind)],
      ...Object.keys(STARTS).map((place) => [
        `set ${kind} ${place}`,
        setIn(place as keyof typeof STARTS, kind),
      ]),
      [`set ${kind} in a fresh view`, setFresh(kind)],
      [`TextEncoder, ${kind}`, setByHand(kind)],
      [`TextEncoder and checks, ${kind}`, setCheckedByHand(kind)],
      [`Buffer and checks inside of larger memory, ${kind}`, setCheckedInside(kind)],
    ]),
  ),
  rows: kinds.flatMap((kind): Row[] => [
    {
      id: "4",
      what: `get, ${kind}`,
      ours: `get ${kind}`,
      peer: `TextDecoder, ${kind}`,
      aim: { atMost: 1 },
      floor: GET_FLOOR,
    },
    { id: "4", what: `get, ${kind}`, ours: `get ${kind}`, peer: `Buffer, ${kind}` },
    {
      id: "4",
      what: `set, ${kind}`,
      ours: `set ${kind}`,
      peer: `TextEncoder, ${kind}`,
    },
    {
      id: "4",
      what: `set, ${kind}, against the same checks by hand`,
      ours: `set ${kind}`,
      peer: `TextEncoder and checks, ${kind}`,
      aim: { atMost: 1.2 },
      floor: FLOOR,
    },
    {
      id: "4",
      what: `set in a fresh view, ${kind}`,
      ours: `set ${kind} in a fresh view`,
      peer: `TextEncoder and checks, ${kind}`,
      aim: { atMost: 1.2 },
      floor: FLOOR,
    },
    ...Object.keys(STARTS).map(
      (place): Row => ({
        id: "4",
        what: `set ${place}, ${kind}`,
        ours: `set ${kind} ${place}`,
        peer: `Buffer and checks inside of larger memory, ${kind}`,
        // An index in brackets goes through a Proxy, whatever the elements are.
        ...(!place.includes("convenience") && { aim: { atMost: 1.2 }, floor: FLOOR }),
      }),
    ),
  ]),
};
export default suite;

if (import.meta.main) await alone(suite);
