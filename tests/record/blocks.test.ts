/** Large records keep the state before a transaction by blocks: every way to store must save them first. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  array,
  asNumber,
  assign,
  atomic,
  bits,
  bytes,
  bytesOf,
  type CArray,
  type CType,
  c_double,
  c_int16,
  c_int32,
  c_int64,
  c_uint8,
  c_uint32,
  chars,
  create,
  Editor,
  field,
  Manager,
  MmapStructure,
  nested,
  Reader,
  Struct,
  type StructArray,
  struct,
  Union,
} from "../../src/index.ts";
import { BlockPreImage } from "../../src/record/pre-image.ts";
import type { Role } from "../../src/record/role.ts";
import type { Atomic } from "../../src/struct/index.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";
import { dieMidEdit, openRecord, TempDir } from "./support.ts";

class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
}

class Flags extends Struct {
  @bits(c_uint32, 3) low!: number;
  @bits(c_uint32, 13) high!: number;
  @bits(c_int64, 40) wide!: bigint;
}

class Either extends Union {
  @field(c_double) number!: number;
  @field(array(c_uint8, 8)) raw!: Uint8Array;
}

class Big extends Struct {
  @field(c_int32) first!: number;
  @field(array(c_int32, 2000)) numbers!: CArray<number> | Int32Array;
}
struct({ endian: "big" })(Big as never);

class Packed extends Struct {
  @field(c_uint8) tag!: number;
  @field(c_double) value!: number;
  @field(chars(6)) name!: string;
}
struct({ pack: 1 })(Packed as never);

/** A type of another author, whose values are the memory itself. */
const window: CType<Uint8Array> = {
  name: "window",
  size: 16,
  align: 1,
  read: ({ view }, byteOffset) => new Uint8Array(view.buffer, view.byteOffset + byteOffset, 16),
  write: ({ bytes: all }, byteOffset, value) => all.set(value, byteOffset),
  check: (value) => value as Uint8Array,
};

class Large extends MmapStructure {
  @field(c_int32) count!: number;
  @field(c_int64) serial!: bigint;
  @field(asNumber(c_int64)) safe!: number;
  @field(chars(100)) name!: string;
  @nested(Flags) flags!: Flags;
  @nested(Either) either!: Either;
  @nested(Point, 2000) points!: StructArray<Point>;
  @field(array(c_double, 2000)) values!: Float64Array;
  @nested(Big) big!: Big;
  @nested(Packed, 1500) packed!: StructArray<Packed>;
  @field(bytes(9000)) blob!: Uint8Array;
  @field(window) window!: Uint8Array;
  @field(array(c_int16, 40, 50)) grid!: CArray<CArray<number> | Int16Array>;
  @field(array(chars(10), 500)) names!: CArray<string>;
  @field(atomic(c_int32)) hits!: Atomic<number>;
  @field(c_int32) last!: number;
}

const SIZE = layoutOfClass(Large).size;

/** Every way by which a session's user can store. Each is rolled back, and lost with its process. */
const STORES: Record<string, (data: Large, session: { set(path: never, value: never): void }) => void> = {
  "a number": (data) => {
    data.last = 7;
  },
  "a bigint": (data) => {
    data.serial = 9n;
  },
  text: (data) => {
    data.name = "other";
  },
  "a bigint as a number": (data) => {
    data.safe = 9;
  },
  "bit-fields by assign": ({ flags }) => void assign(flags, { low: 5, high: 1234, wide: -9n }),
  "a bit-field": ({ flags }) => {
    flags.high = 77;
  },
  "a wide bit-field": ({ flags }) => {
    flags.wide = -5n;
  },
  "a member of a union": ({ either }) => {
    either.number = 1.5;
  },
  "bytes of a union": ({ either }) => {
    either.raw[3] = 8;
  },
  "a member of an element": ({ points }) => {
    points.at(-1).y = 4;
  },
  "an element by index": ({ points }) => {
    points[777] = { x: 1, y: 2 } as Point;
  },
  "elements by set": ({ points }) => points.set([{ x: 5 }, { y: 6 }], 255),
  "elements by fill": ({ points }) => void points.fill({ x: 5, y: 6 }),
  "elements by iteration": ({ points }) => {
    for (const point of points) point.x = 3;
  },
  "elements by forEach": ({ points }) =>
    points.forEach((point) => {
      point.y = 3;
    }),
  "a typed array that is handed out": ({ values }) => {
    values[1999] = 4;
  },
  "a typed array, in bulk": ({ values }) => void values.fill(3),
  "a part of a typed array": ({ values }) => {
    values.subarray(700)[3] = 4;
  },
  "a whole array of numbers": (data) => {
    data.values = new Float64Array(2000).fill(8);
  },
  "bytes that are handed out": ({ blob }) => {
    blob[8999] = 1;
  },
  "numbers of another byte order": ({ big }) => {
    (big.numbers as unknown as { set(v: number[], i: number): void }).set([1, 2, 3], 1500);
  },
  "a number of another byte order": ({ big }) => {
    big.first = 3;
  },
  "an array of another byte order": ({ big }) => {
    big.numbers = new Int32Array(2000).fill(5);
  },
  "packed members, which lie across blocks": ({ packed }) => {
    for (const element of packed) {
      element.tag = 1;
      element.value = 2;
      element.name = "six";
    }
  },
  "a packed struct": ({ packed }) => packed.set([{ tag: 3, value: 4, name: "x" }], 1499),
  "the memory that a type of another author hands out": (data) => {
    data.window[5] = 5;
  },
  "a value of a type of another author": (data) => {
    data.window = new Uint8Array(16).fill(6);
  },
  "a row": ({ grid }) => {
    (grid.at(39) as Int16Array)[49] = 3;
  },
  "rows by set": ({ grid }) => grid.set([new Int16Array(50).fill(2)], 20),
  "text in an array": ({ names }) => names.set(["a", "b"], 498),
  "texts by fill": ({ names }) => names.fill("same"),
  "a nested struct": (data) => {
    data.big = create(Big, { first: 4 }) as Big;
  },
  "a view of the same class": ({ points }) => {
    points.at(1000).x = 2;
    points.set([points.at(1000)], 3);
  },
  assign: (data) => void assign(data, { count: 3, points: Array(2000).fill({ x: 1, y: 1 }) } as never),
  "assign to an element": ({ points }) => void assign(points.at(1234), { x: 9 }),
  "assign of a whole struct": (data) => void assign(data, create(Large, { last: 4 }) as never),
  "Object.assign": (data) => void Object.assign(data, { count: 4, last: 5 }),
  "bytesOf the whole struct": (data) => void bytesOf(data).fill(9, 16, SIZE - 8),
  "bytesOf a part": ({ points }) => void bytesOf(points.at(1600)).fill(9),
  header: ({ header }) => {
    header.time_stamp = 5;
  },
  "set: a member": (_, session) => session.set("last" as never, 3 as never),
  "set: an element of numbers": (_, session) => session.set("values.1234" as never, 3 as never),
  "set: an element of another byte order": (_, session) =>
    session.set("big.numbers.1700" as never, 3 as never),
  "set: an element of a row": (_, session) => session.set("grid.30.3" as never, 3 as never),
  "set: a member of an element": (_, session) => session.set("points.1999.x" as never, 3 as never),
  "set: a struct": (_, session) => session.set("points.1000" as never, { x: 3 } as never),
  "set: text": (_, session) => session.set("names.450" as never, "text" as never),
  clear: (_, session) => (session as unknown as { clear(): void }).clear(),
};

function fill(data: Large): void {
  const all = bytesOf(data);
  for (let i = 16; i < SIZE - 8; i++) all[i] = (i * 7 + (i >> 8)) & 0x7f;
  data.name = "name";
}

/** The bytes of the committed struct. */
const committed = (role: Role<Large, unknown>): string =>
  Buffer.from(bytesOf(role.snapshot())).toString("latin1");

function makeLarge(temp: TempDir): Manager<Large> {
  const manager = new Manager(Large, { dir: temp.dir, create: true });
  manager.edit(fill);
  return manager;
}

test("the struct of these tests is kept by blocks, a small one is not", () => {
  using temp = new TempDir();
  using manager = makeLarge(temp);
  const content = openRecord(Large, { dir: temp.dir });
  using file = content.file;
  expect(file.footer?.blockBytes).toBe(4096);
  expect(manager.snapshot().last).not.toBe(undefined);
});

describe("a store is taken back, and seen by none before the commit:", () => {
  const own = new TempDir();
  const manager = makeLarge(own);
  const reader = new Reader(Large, { dir: own.dir });
  for (const [name, store] of Object.entries(STORES)) {
    test(`a store is taken back, and no reader sees it before the commit: ${name}`, () => {
      const before = committed(reader);
      const version = manager.version;
      manager.edit((data, session) => {
        store(data, session as never);
        // Something has changed, and readers see nothing of it.
        expect(Buffer.from(bytesOf(reader.live as never)).toString("latin1") === before).toBe(false);
        expect(committed(reader) === before).toBe(true);
        session.rollback();
      });
      expect(committed(reader) === before).toBe(true);
      expect(Buffer.from(bytesOf(reader.live as never)).toString("latin1") === before).toBe(true);
      expect(manager.version).toBe(version);
      // A writer that dies: readers with and without the lock, a part of it, and the next writer.
      dieMidEdit(Large, { dir: own.dir }, (data) =>
        store(data, {
          set: (path: string, value: unknown) => setByPath(data, path, value),
          clear: () => void bytesOf(data).fill(0, 2),
        } as never),
      );
      expect(committed(reader) === before).toBe(true);
      expect(reader.read((data) => Buffer.from(bytesOf(data as never)).toString("latin1") === before)).toBe(
        true,
      );
      expect(reader.snapshot("last")).toBe(reader.snapshot().last);
      expect(reader.get("points.1999.x")).toBe(reader.snapshot().points.at(-1).x);
      expect(
        Buffer.from(bytesOf(reader.snapshot("points.1234"))).equals(
          Buffer.from(bytesOf(reader.snapshot().points.at(1234))),
        ),
      ).toBe(true);
      manager.edit((_, session) => session.rollback());
      expect(Buffer.from(bytesOf(reader.live as never)).toString("latin1") === before).toBe(true);
    });
  }

  test("a save of a block that is left out is noticed", () => {
    const before = committed(reader);
    const { willStore } = BlockPreImage.prototype;
    // The block of the last members is not saved.
    BlockPreImage.prototype.willStore = function (byteOffset, byteLength) {
      if (byteOffset < SIZE - 4096) willStore.call(this, byteOffset, byteLength);
    };
    try {
      manager.edit((data, session) => {
        data.last = 99;
        data.count = 99;
        session.rollback();
      });
    } finally {
      BlockPreImage.prototype.willStore = willStore;
    }
    expect(committed(reader) === before).toBe(false);
    expect([reader.snapshot().count === 99, reader.snapshot().last === 99]).toEqual([false, true]);
    manager.edit(fill);
  });

  afterAll(() => {
    reader.close();
    manager.close();
    own[Symbol.dispose]();
  });
});

function setByPath(data: object, path: string, value: unknown): void {
  const { resolvePath, setPath } = require("../../src/struct/view/path.ts");
  setPath(data, resolvePath(layoutOfClass(Large), path), value);
}

test("atomics belong to no transaction, also in a block that is taken back", () => {
  using temp = new TempDir();
  using manager = makeLarge(temp);
  manager.live.hits.store(0);
  manager.edit((data, session) => {
    data.last = 3;
    data.hits.add(2);
    expect(manager.snapshot().hits.load()).toBe(2);
    session.rollback();
  });
  expect(manager.live.hits.load()).toBe(2);
});

test("reading a value, directly or by get, saves no block, and setting one element saves one", () => {
  using temp = new TempDir();
  using manager = makeLarge(temp);
  const content = openRecord(Large, { dir: temp.dir });
  using _ = content.file;
  const { footer, words } = content.file;
  const first = (footer?.marksOffset ?? 0) / 4;
  const saved = () => {
    const { sequence } = content.file;
    return words.subarray(first, first + Math.ceil(SIZE / 4096)).filter((mark) => mark === sequence).length;
  };
  manager.edit((data, session) => {
    expect([data.last, session.get("values.1500"), manager.get("values.3"), data.points.at(3).x].length).toBe(
      4,
    );
    expect(saved()).toBe(0);
    session.set("values.1500", 3);
    expect(saved()).toBe(1);
    void data.values;
    expect(saved()).toBeGreaterThanOrEqual(4);
  });
});

test("a view that outlived its session saves nothing: the blocks may be another writer's", () => {
  using temp = new TempDir();
  using manager = makeLarge(temp);
  let kept: Large | undefined;
  manager.edit((data) => {
    kept = data;
  });
  using editor = new Editor(Large, { dir: temp.dir });
  const before = committed(manager);
  editor.edit((data, session) => {
    data.points.at(5).x = 55;
    (kept as Large).points.at(5).y = 66;
    session.rollback();
  });
  expect(committed(manager) === before).toBe(true);
});

test("random programs of stores, committed and rolled back at random, do what a plain object does", () => {
  const seed = seedOfRun();
  console.log(`blocks: SEED=${seed}`);
  const random = randomFrom(seed);
  using temp = new TempDir();
  using manager = makeLarge(temp);
  using reader = new Reader(Large, { dir: temp.dir });
  const names = Object.keys(STORES);
  const model = create(Large);
  for (let turn = 0; turn < 60; turn++) {
    const bytesBefore = bytesOf(reader.snapshot()).slice();
    bytesOf(model).set(bytesBefore);
    const isRolledBack = random.oneIn(2);
    manager.edit((data, session) => {
      for (let n = random.whole(0, 6); n > 0; n--) {
        const store = STORES[random.pick(names)] as (data: Large, session: unknown) => void;
        store(data, session);
        const model_ = { set: (path: string, value: unknown) => setByPath(model, path, value) };
        store(model, { ...model_, clear: () => void bytesOf(model).fill(0, 2) });
        expect(Buffer.compare(bytesOf(reader.snapshot()), bytesBefore)).toBe(0);
      }
      if (isRolledBack) session.rollback();
    });
    const after = bytesOf(reader.snapshot());
    const expected = isRolledBack ? bytesBefore : bytesOf(model);
    // Behind the header, which a commit stamps.
    expect(Buffer.compare(after.subarray(16), expected.subarray(16))).toBe(0);
  }
});

describe("the protocol, on plain typed arrays", () => {
  const STRUCT = 8 * 64 + 24;
  const BLOCKS = 9;
  class Killed extends Error {}

  /** Runs a transaction that dies at its `death`-th step of a save, and says whether it did. */
  function die(death: number, stores: readonly (readonly [number, number])[], isRolledBack: boolean) {
    const all = new Uint8Array(2048);
    const marks = new Int32Array(all.buffer, 1536, BLOCKS);
    let steps = 0;
    const step = () => {
      if (++steps === death) throw new Killed();
    };
    const watched = new Proxy(all, {
      get: (target, key) => {
        if (key !== "copyWithin") {
          const value = Reflect.get(target, key, target);
          return typeof value === "function" ? value.bind(target) : value;
        }
        // In two halves, with a death between them.
        return (to: number, from: number, end: number) => {
          const half = (from + end) >> 1;
          step();
          target.copyWithin(to, from, half);
          step();
          target.copyWithin(to + half - from, half, end);
          step();
        };
      },
    });
    const plan = {
      bytes: watched,
      structBytes: STRUCT,
      preImageOffset: 768,
      atomics: [{ start: 100, end: 104 }],
      marks,
      blockBytes: 64,
      publish: (block: number, mark: number) => {
        step();
        marks[block] = mark;
        step();
      },
    };
    for (let i = 0; i < STRUCT; i++) all[i] = i & 0xff;
    const before = all.slice(0, STRUCT);
    const writer = new BlockPreImage(plan);
    const reader = new BlockPreImage({ ...plan, bytes: all });
    const check = () => {
      const copy = new Uint8Array(STRUCT);
      reader.copy(7, copy, 0);
      expect(Buffer.compare(copy, before)).toBe(0);
    };
    let isDead = false;
    try {
      writer.prepare(7);
      writer.open(7);
      for (const [start, length] of stores) {
        writer.willStore(start, length);
        step();
        for (let i = start; i < start + length; i++) if (i < 100 || i >= 104) all[i] = 0xee;
        check();
        step();
      }
      writer.close();
      if (isRolledBack) writer.restore(7);
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      isDead = true;
    }
    if (isDead || isRolledBack) {
      check();
      // The one who repairs may die, too: at any step, then another repairs.
      for (let again = 1; isDead; again++) {
        steps = death === 0 ? 0 : death - again;
        try {
          new BlockPreImage(plan).restore(7);
          break;
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          check();
          if (again > 40) death = 0;
        }
      }
      expect(Buffer.compare(all.subarray(0, STRUCT), before)).toBe(0);
    }
    return isDead;
  }

  const programs = [
    [[0, 1]],
    [[60, 8]],
    [[0, STRUCT]],
    [
      [64, 64],
      [0, 1],
      [90, 300],
    ],
    [
      [STRUCT - 1, 1],
      [0, 200],
      [STRUCT - 30, 30],
    ],
  ] as const;
  for (const [i, program] of programs.entries()) {
    test(`readers copy what was committed when program ${i} of stores dies at any step, or its repair does`, () => {
      for (const isRolledBack of [false, true]) {
        let death = 1;
        while (die(death, program as never, isRolledBack)) death++;
        expect(death).toBeGreaterThan(5);
      }
    });
  }

  test("marks of blocks from 2^32 sequences ago are not taken for those of now", () => {
    const marks = new Int32Array([1, 3, 1]);
    const pre = new BlockPreImage({
      bytes: new Uint8Array(1024),
      structBytes: 192,
      preImageOffset: 192,
      atomics: [],
      marks,
      blockBytes: 64,
      publish: () => {},
    });
    pre.prepare(3);
    expect([...marks]).toEqual([1, 3, 1]);
    pre.prepare(1);
    expect([...marks]).toEqual([0, 0, 0]);
  });
});
