/** The data file as bytes: what Python reads in it, what a changed class is told, and that no byte in it can hurt. */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import {
  array,
  c_double,
  c_float,
  c_int32,
  c_uint8,
  chars,
  Editor,
  enumOf,
  field,
  LayoutMismatchError,
  layoutOf,
  Manager,
  MmapStructure,
  nested,
  openReader,
  Reader,
  ShmError,
  Struct,
  type StructArray,
  type StructClass,
  struct,
  structFromSchema,
  toObject,
} from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { rounds } from "../support/platform.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";
import { thrownBy } from "../support/thrown.ts";
import { hasTool } from "../support/tools.ts";
import { BIT_FLIPS, mutateAndOpen, ROBOT_FILE, resealed } from "./mutations.ts";
import { Anything, Monitor, Point, Robot } from "./structs.ts";
import { dieMidEdit, TempDir } from "./support.ts";

const FOOTER_BYTES = 128;

describe("bytes", () => {
  test.skipIf(!hasTool("python3"))(
    "Python reads footer, schema and struct as documented (needs python3)",
    async () => {
      using temp = new TempDir();
      using manager = new Manager(Robot, { dir: temp.dir, create: true });
      manager.edit((data) => {
        data.count = 7;
      });
      manager.edit((data) => {
        data.count = 8;
      });
      const program = join(import.meta.dir, "../process/role-footer.py");
      const seen = await Bun.$`python3 ${program} ${manager.path}`.json();
      expect(seen).toMatchObject({
        magic: "shmstrct",
        format: 2,
        content: 1,
        lock: 0,
        flags: 1,
        abi: process.arch === "arm64" ? 0b0_0010 : 0b1_1000,
        blockBytes: 0,
        crcHolds: true,
        createdNow: true,
        structBytes: 144,
        schemaOffset: 288,
        before: 1,
        commits: 2,
        generation: 0,
        sequence: 4,
        superseded: 0,
      });
      expect(seen.size % 64).toBe(0);
      expect(seen.schema).toEqual(JSON.parse(JSON.stringify(layoutOf(Robot))));
      const countIn = (hex: string) => Buffer.from(hex, "hex").readInt32LE(16);
      expect([countIn(seen.live), countIn(seen.preImage)]).toEqual([8, 7]);
    },
  );

  test("the struct comes first in a file, and its header carries the code 0x1128", () => {
    using temp = new TempDir();
    new Manager(Robot, { dir: temp.dir, create: true }).close();
    const bytes = readFileSync(temp.file("Robot_.mmap"));
    expect(bytes.readInt16LE(0)).toBe(0x1128);
    expect(bytes.subarray(2, 144).every((byte) => byte === 0)).toBe(true);
  });

  test("a file without transactions has no pre-image, and neither has one with fcntl", () => {
    using temp = new TempDir();
    const schemaOffsets = [{ transactional: false }, { lock: "fcntl" as const }].map((options) => {
      new Manager(Robot, { dir: temp.dir, lockDir: temp.dir, create: true, force: true, ...options }).close();
      const bytes = readFileSync(temp.file("Robot_.mmap"));
      return bytes.readBigUInt64LE(bytes.length - FOOTER_BYTES + 56);
    });
    expect(schemaOffsets).toEqual([144n, 144n]);
  });
});

describe("another ABI", () => {
  const X64 = 0b1_1000;
  const ARM64 = 0b0_0010;
  const [here, elsewhere] = process.arch === "arm64" ? [ARM64, X64] : [X64, ARM64];
  const words = (abi: number): string =>
    abi === X64
      ? "little-endian, long double x87, wchar_t signed, char signed"
      : "little-endian, long double binary128, wchar_t unsigned, char unsigned";

  test("a file of another ABI is refused by every opener, with both ABIs and what to do", () => {
    using temp = new TempDir();
    const { dir } = temp;
    const openers: [path: string, open: () => unknown][] = [];
    const add = (made: Disposable & { readonly path: string }, open: (path: string) => unknown): void => {
      made[Symbol.dispose]();
      writeFileSync(made.path, resealed(readFileSync(made.path), { abi: elsewhere }));
      openers.push([made.path, () => open(made.path)]);
    };
    add(new Manager(Robot, { dir, create: true }), () => new Reader(Robot, { dir }));
    openers.push([openers[0]![0], () => new Editor(Robot, { dir })]);
    openers.push([openers[0]![0], () => openReader(openers[0]![0])]);
    add(
      new JsonMap({ file: join(dir, "doc"), role: "master" }),
      (file) => new JsonMap({ file, role: "follower" }),
    );
    add(new Publisher(Point, { dir, create: true }), () => new Subscriber(Point, { dir }));
    add(new Queue(Point, { dir, create: true }), () => new Queue(Point, { dir }));
    for (const [path, open] of openers) {
      const error = thrownBy(open) as ShmError;
      expect([path, error.code]).toEqual([path, "FILE_FORMAT"]);
      expect(error.message).toContain(
        `was made on a machine with another ABI (${words(elsewhere)}; this one: ${words(here)})`,
      );
      expect(error.message).toContain("Copy its values there, by name, not its bytes");
    }
  });
});

describe("mismatch", () => {
  /** The differences that a class is told which opens the file of another. */
  function differences(
    inFile: StructClass<MmapStructure>,
    opened: StructClass<MmapStructure>,
  ): readonly string[] {
    using temp = new TempDir();
    new Manager(inFile, { dir: temp.dir, create: true }).close();
    const error = thrownBy(() => new Reader(opened, { dir: temp.dir }));
    expect(error).toBeInstanceOf(LayoutMismatchError);
    expect(error.code).toBe("LAYOUT_MISMATCH");
    const mismatch = error as LayoutMismatchError;
    expect(mismatch.path).toBe(temp.file("S_.mmap"));
    for (const difference of mismatch.differences.slice(0, 20))
      expect(mismatch.message).toContain(difference);
    return mismatch.differences;
  }

  @struct({ name: "S" })
  class AB extends MmapStructure {
    @field(c_int32) a!: number;
    @field(c_int32) b!: number;
  }

  test("a layout mismatch names two swapped fields of one type", () => {
    @struct({ name: "S" })
    class BA extends MmapStructure {
      @field(c_int32) b!: number;
      @field(c_int32) a!: number;
    }
    expect(differences(AB, BA)).toEqual([
      "b is c_int32 at 20 (4 bytes) in the file, c_int32 at 16 (4 bytes) in S",
      "a is c_int32 at 16 (4 bytes) in the file, c_int32 at 20 (4 bytes) in S",
    ]);
  });

  test("a layout mismatch names a changed type", () => {
    @struct({ name: "S" })
    class AFloat extends MmapStructure {
      @field(c_int32) a!: number;
      @field(c_float) b!: number;
    }
    expect(differences(AB, AFloat)).toEqual([
      "b is c_int32 at 20 (4 bytes) in the file, c_float at 20 (4 bytes) in S",
    ]);
  });

  test("a layout mismatch names a renamed field, with what stands in its place", () => {
    @struct({ name: "S" })
    class AC extends MmapStructure {
      @field(c_int32) a!: number;
      @field(c_int32) c!: number;
    }
    expect(differences(AB, AC)).toEqual([
      "c is c_int32 at 20 (4 bytes) in S, absent from the file; the file has b there",
      "b is c_int32 at 20 (4 bytes) in the file, absent from S",
    ]);
  });

  test("a layout mismatch names a field that the file lacks", () => {
    @struct({ name: "S" })
    class ABC extends MmapStructure {
      @field(c_int32) a!: number;
      @field(c_int32) b!: number;
      @field(chars(9)) c!: string;
    }
    expect(differences(AB, ABC)).toEqual(["c is chars(9) at 24 (9 bytes) in S, absent from the file"]);
  });

  test("a layout mismatch names differences inside nested structs by path", () => {
    class PointF extends Struct {
      @field(c_float) x!: number;
      @field(c_double) y!: number;
    }
    @struct({ name: "S" })
    class Old extends MmapStructure {
      @nested(Point, 2) path!: StructArray<Point>;
    }
    @struct({ name: "S" })
    class New extends MmapStructure {
      @nested(PointF, 2) path!: StructArray<PointF>;
    }
    expect(differences(Old, New)).toEqual([
      "path[].x is c_double at 16 (8 bytes) in the file, c_float at 16 (4 bytes) in S",
    ]);
  });

  test("a layout mismatch names an array of another length", () => {
    @struct({ name: "S" })
    class Three extends MmapStructure {
      @field(array(c_uint8, 3)) cells!: Uint8Array;
    }
    @struct({ name: "S" })
    class Four extends MmapStructure {
      @field(array(c_uint8, 4)) cells!: Uint8Array;
    }
    expect(differences(Four, Three).length).toBe(1);
    expect(differences(Three, Four).length).toBe(1);
  });

  test("a layout mismatch has the first differences in its message, and all of them in its list", () => {
    const classOf = (type: "c_int32" | "c_float") => {
      const header = layoutOf(Anything).fields.header;
      const fields = Array.from({ length: 50 }, (_, i) => [`f${i}`, { type, offset: 16 + i * 4, size: 4 }]);
      return {
        name: "S",
        kind: "struct",
        size: 216,
        align: 8,
        fields: { header, ...Object.fromEntries(fields) },
      } as const;
    };
    expect(
      differences(
        structFromSchema(classOf("c_int32")) as never,
        structFromSchema(classOf("c_float")) as never,
      ).length,
    ).toBe(50);
  });

  test("a class that knows only the first fields opens the file, by the name of the file's class", () => {
    using temp = new TempDir();
    using robot = new Manager(Robot, { dir: temp.dir, create: true });
    robot.edit((data) => {
      data.count = 5;
      data.twin = 5;
      data.name = "kept";
    });
    using monitor = new Reader(Monitor, { dir: temp.dir, className: "Robot" });
    expect([monitor.get("count"), monitor.snapshot().twin, monitor.version]).toEqual([5, 5, 1]);
    using anything = new Reader(Anything, { dir: temp.dir, className: "Robot" });
    expect(anything.lastUpdate).toBeInstanceOf(Date);
    using editor = new Editor(Monitor, { dir: temp.dir, className: "Robot" });
    expect(() => {
      editor.edit((data) => {
        data.count = 6;
        throw new Error("undo");
      });
    }).toThrow("undo");
    editor.set("count", 9);
    expect([robot.get("count"), robot.get("name")]).toEqual([9, "kept"]);
  });

  test("a class that goes on where the file's struct ends is refused, also one longer by padding alone", () => {
    using temp = new TempDir();
    new Manager(Monitor, { dir: temp.dir, create: true }).close();
    expect(thrownBy(() => new Reader(Robot, { dir: temp.dir, className: "Monitor" })).code).toBe(
      "LAYOUT_MISMATCH",
    );
    @struct({ align: 64 })
    class Wide extends MmapStructure {
      @field(c_int32) count!: number;
      @field(c_int32) twin!: number;
    }
    const error = thrownBy(() => new Reader(Wide, { dir: temp.dir, className: "Monitor" }));
    expect(error.message).toContain("Wide takes 64 bytes, the struct in the file 24");
  });
});

describe("hostile bytes", () => {
  test("each flipped bit of the footer gives a clear error or the right values", () => {
    using temp = new TempDir();
    const outcomes = mutateAndOpen(
      temp.dir,
      BIT_FLIPS.length,
      (bytes, i) => BIT_FLIPS[i]?.(bytes, i) ?? bytes,
    );
    // What is fixed at creation is covered by the checksum; only the last 32 bytes, which change, are not.
    expect(outcomes.errors).toBe((FOOTER_BYTES - 32) * 8);
    expect(outcomes.opened).toBe(32 * 8);
  });

  // tests/soak/roles-format.ts tries 100,000.
  const MUTATIONS = rounds(5000);

  test(`${MUTATIONS} random mutations of a file give a clear error or a role that works`, () => {
    const seed = seedOfRun();
    console.log(`mutations: SEED=${seed}`);
    using temp = new TempDir();
    const outcomes = mutateAndOpen(temp.dir, MUTATIONS, ROBOT_FILE.randomMutation(randomFrom(seed)));
    expect(outcomes.errors + outcomes.opened).toBe(MUTATIONS);
    expect(outcomes.opened).toBeGreaterThan(MUTATIONS / 40);
    expect(outcomes.errors).toBeGreaterThan(MUTATIONS / 40);
  }, 240_000);

  /** Opens a Robot file with this schema, sealed with the right checksum. */
  function openWithSchema(schema: string): Error & { code?: string } {
    using temp = new TempDir();
    const path = temp.file("Robot_.mmap");
    new Manager(Robot, { dir: temp.dir, create: true }).close();
    writeFileSync(path, resealed(readFileSync(path), { schema: Buffer.from(schema), fingerprint: 1n }));
    return thrownBy(() => new Reader(Robot, { dir: temp.dir }));
  }

  const deep = (open: string, close: string, n: number) => open.repeat(n) + close.repeat(n);
  for (const [what, schema] of Object.entries({
    nothing: "",
    "no JSON": "{",
    null: "null",
    "a number": "1e999",
    "an array": "[]",
    "100,000 nested arrays": deep("[", "]", 100_000),
    "a struct nested in itself 10,000 times": `${'{"name":"S","kind":"struct","size":8,"align":1,"fields":{"a":{"offset":0,"size":8,"type":{"struct":'.repeat(10_000)}1`,
    "a prototype":
      '{"__proto__":{"name":"S"},"name":"__proto__","kind":"struct","size":8,"align":1,"fields":{"__proto__":{"type":"c_int8","offset":0,"size":1}}}',
    "a field beyond the struct":
      '{"name":"S","kind":"struct","size":16,"align":8,"fields":{"a":{"type":"c_double","offset":12,"size":8}}}',
    "a name that is code":
      '{"name":"S{}; process.exit(1); class X","kind":"struct","size":8,"align":1,"fields":{"a":{"type":"c_int8","offset":0,"size":1}}}',
    "an array of 2^60 elements":
      '{"name":"S","kind":"struct","size":8,"align":1,"fields":{"a":{"type":{"array":"c_int8","length":1152921504606846976},"offset":0,"size":8}}}',
  })) {
    test(`a schema that is ${what} is refused`, () => {
      const error = openWithSchema(schema);
      expect(error).toBeInstanceOf(ShmError);
      expect(String(error.code)).toMatch(/^(FILE_FORMAT|LAYOUT_MISMATCH)$/);
    });
  }

  test("a schema of 1 GiB is refused before it is read", () => {
    using temp = new TempDir();
    const path = temp.file("Robot_.mmap");
    new Manager(Robot, { dir: temp.dir, create: true }).close();
    const footer = readFileSync(path).subarray(-FOOTER_BYTES);
    footer.writeUInt32LE(2 ** 30, 52);
    truncateSync(path, 0);
    truncateSync(path, 2 ** 30 + 64 * 1024);
    const fd = openSync(path, "r+");
    writeSync(fd, footer, 0, FOOTER_BYTES, 2 ** 30 + 64 * 1024 - FOOTER_BYTES);
    closeSync(fd);
    const error = thrownBy(() => new Reader(Robot, { dir: temp.dir }));
    expect(error.message).toContain("(schema of 1073741824 bytes, of which there may be 16777216)");
  });

  test("a schema of more than 16 MiB is never written", () => {
    const names = Array.from({ length: 40_000 }, (_, i) => `Label${"x".repeat(400)}${i}`);
    const Labels = Object.fromEntries(names.map((name, i) => [name, i]));
    class Wordy extends MmapStructure {
      @field(enumOf(c_int32, Labels)) mode!: number;
    }
    using temp = new TempDir();
    const error = thrownBy(() => new Manager(Wordy, { dir: temp.dir, create: true }));
    expect(error.message).toMatch(/^the schema of Wordy takes \d{8} bytes; a file holds at most 16777216$/);
    expect(readdirSync(temp.dir).filter((name) => name.endsWith(".mmap"))).toEqual([]);
  });

  test("the error for a file of a newer format names both formats", () => {
    using temp = new TempDir();
    const path = temp.file("Robot_.mmap");
    new Manager(Robot, { dir: temp.dir, create: true }).close();
    const bytes = readFileSync(path);
    bytes.writeUInt32LE(3, bytes.length - FOOTER_BYTES + 8);
    writeFileSync(path, bytes);
    expect(thrownBy(() => new Reader(Robot, { dir: temp.dir })).message).toContain(
      "has file format 3, this version of shmstruct reads format 2",
    );
  });

  test("truncated files of any length, and files of zeros, are refused", () => {
    using temp = new TempDir();
    const path = temp.file("Robot_.mmap");
    new Manager(Robot, { dir: temp.dir, create: true }).close();
    const whole = readFileSync(path);
    const codes = new Set<string | undefined>();
    for (let length = 0; length < whole.length; length += length < 300 ? 1 : 37) {
      writeFileSync(path, whole.subarray(0, length));
      codes.add(thrownBy(() => new Reader(Robot, { dir: temp.dir })).code);
      writeFileSync(path, new Uint8Array(length));
      codes.add(thrownBy(() => new Reader(Robot, { dir: temp.dir })).code);
    }
    expect([...codes]).toEqual(["FILE_FORMAT"]);
    truncateSync(path, 5 * 2 ** 30);
    expect(thrownBy(() => new Reader(Robot, { dir: temp.dir })).message).toContain("5368709120 bytes");
  });

  test("a sequence about to wrap goes on, in either half of its range", () => {
    for (const sequence of [2 ** 31 - 2, 2 ** 31 - 1, 2 ** 32 - 2, 2 ** 32 - 1]) {
      using temp = new TempDir();
      const path = temp.file("Robot_.mmap");
      new Manager(Robot, { dir: temp.dir, create: true }).close();
      const bytes = readFileSync(path);
      bytes.writeUInt32LE(sequence, bytes.length - 16);
      bytes.writeUInt32LE(2 ** 32 - 1, bytes.length - 32);
      bytes.writeUInt32LE(2 ** 32 - 1, bytes.length - 24);
      writeFileSync(path, bytes);
      using editor = new Editor(Robot, { dir: temp.dir });
      using reader = new Reader(Robot, { dir: temp.dir });
      expect(reader.version).toBe(2 ** 32 - 1);
      for (let i = 1; i <= 5; i++) {
        editor.set("count", i);
        // The count of commits carries into the generation: the version never goes back.
        expect([reader.snapshot().count, reader.get("count"), reader.version]).toEqual([
          i,
          i,
          2 ** 32 - 1 + i,
        ]);
      }
      dieMidEdit(Robot, { dir: temp.dir }, (data) => {
        data.count = 99;
      });
      expect([reader.snapshot().count, reader.get("count")]).toEqual([5, 5]);
      editor.touch();
      expect([reader.snapshot().count, toObject(reader.snapshot()).twin, reader.version]).toEqual([
        5,
        0,
        2 ** 32 + 5,
      ]);
    }
  });
});

test("the fingerprint in a file is of names, types, offsets and sizes", () => {
  using temp = new TempDir();
  new Manager(Monitor, { dir: temp.dir, create: true }).close();
  const bytes = readFileSync(temp.file("Monitor_.mmap"));
  const lines = [
    "24",
    "header struct 0 16",
    "header.header_code c_int16 0 2",
    "header.time_stamp c_double 8 8",
    "count c_int32 16 4",
    "twin c_int32 20 4",
  ];
  const hash = createHash("sha256")
    .update(lines.map((line) => `${line}\n`).join(""))
    .digest();
  expect(bytes.readBigUInt64LE(bytes.length - FOOTER_BYTES + 64)).toBe(hash.readBigUInt64LE(0));
});
