/** The life of a file: initialised before it is seen, migrated, backed up, restored, listed, waited for. */
import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  type Atomic,
  array,
  asNumber,
  atomic,
  bits,
  type CArray,
  c_double,
  c_float,
  c_int32,
  c_int64,
  c_uint8,
  c_uint32,
  chars,
  Editor,
  enumOf,
  FileFormatError,
  FileMissingError,
  field,
  LayoutMismatchError,
  listSegments,
  Manager,
  MigrationError,
  MmapStructure,
  nested,
  openReader,
  purgeSegments,
  Reader,
  Struct,
  segmentAt,
  struct,
  toObject,
  WaitTimeoutError,
} from "../../src/index.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { rounds } from "../support/platform.ts";
import { thrownBy } from "../support/thrown.ts";
import { linesOf } from "../support/tools.ts";
import { Signal } from "./sleeper.ts";
import { Robot } from "./structs.ts";
import { dieMidEdit, runBun, TempDir } from "./support.ts";

const OldMode = { idle: 0, run: 1, stop: 2 } as const;
const NewMode = { stop: 0, idle: 5, run: 6 } as const;

class OldPoint extends Struct {
  @field(c_float) x!: number;
  @field(c_float) y!: number;
}
class NewPoint extends Struct {
  @field(c_double) y!: number;
  @field(c_double) z!: number;
  @field(c_double) x!: number;
}

@struct({ name: "Unit" })
class Old extends MmapStructure {
  @field(c_int32) count!: number;
  @field(c_int64) serial!: bigint;
  @field(chars(16)) name!: string;
  @field(enumOf(c_uint8, OldMode)) mode!: 0 | 1 | 2;
  @field(array(c_uint8, 4)) cells!: Uint8Array;
  @nested(OldPoint) pose!: OldPoint;
  @nested(OldPoint, 2) path!: CArray<OldPoint>;
  @field(atomic(c_int32)) hits!: Atomic<number>;
  @bits(c_uint32, 3) level!: number;
}

@struct({ name: "Unit" })
class New extends MmapStructure {
  @field(c_double) added!: number;
  @field(asNumber(c_int64)) serial!: number;
  @field(c_int64) count!: bigint;
  @field(chars(32)) name!: string;
  @field(enumOf(c_uint8, NewMode)) mode!: 0 | 5 | 6;
  @field(array(c_int32, 6)) cells!: Int32Array;
  @nested(NewPoint) pose!: NewPoint;
  @nested(NewPoint, 3) path!: CArray<NewPoint>;
  @field(atomic(c_int32)) hits!: Atomic<number>;
  @bits(c_uint32, 5) level!: number;
}

function fillOld(data: Old): void {
  data.count = 7;
  data.serial = 123n;
  data.name = "unit 7";
  data.mode = OldMode.run;
  data.cells.set([1, 2, 3, 255]);
  data.pose.x = 1.5;
  data.path.at(1).y = -2.25;
  data.hits.store(9);
  data.level = 5;
}

describe("init", () => {
  test("init fills a file before any process sees it; when it throws there is no file", () => {
    using temp = new TempDir();
    const fail = () =>
      new Manager(Old, {
        dir: temp.dir,
        create: true,
        init: () => {
          expect(existsSync(temp.file("Unit_.mmap"))).toBe(false);
          throw new Error("no");
        },
      });
    expect(fail).toThrow("no");
    expect(readdirSync(temp.dir).filter((name) => name.includes(".mmap"))).toEqual([]);
    using manager = new Manager(Old, { dir: temp.dir, create: true, init: fillOld });
    expect([manager.get("count"), manager.version, manager.lastUpdate?.getFullYear()]).toEqual([
      7,
      0,
      new Date().getFullYear(),
    ]);
    using second = new Manager(Old, { dir: temp.dir, create: true, init: () => expect.unreachable() });
    expect(second.get("count")).toBe(7);
  });

  test("one of sixteen creators at once runs init, and all get its file; with force each makes a whole one", async () => {
    using temp = new TempDir();
    const created = await Promise.all(
      Array.from({ length: 16 }, () => runBun("life-creator.ts", [temp.dir, "create"])),
    );
    expect(created.map((output) => JSON.parse(output).inits).reduce((sum, inits) => sum + inits)).toBe(1);
    expect(new Set(created.map((output) => JSON.parse(output).marker)).size).toBe(1);
    const forced = await Promise.all(
      Array.from({ length: 16 }, () => runBun("life-creator.ts", [temp.dir, "force"])),
    );
    expect(forced.map((output) => JSON.parse(output))).toEqual(
      forced.map(() => ({ inits: 1, marker: expect.any(Number), isWhole: true })),
    );
  }, 240_000);

  test("init must not be async, and its view ends with it", () => {
    using temp = new TempDir();
    const init = async () => {};
    expect(() => new Manager(Old, { dir: temp.dir, create: true, init })).toThrow("fn is async");
    let kept: Old | undefined;
    const keep = (data: Old) => {
      kept = data;
    };
    new Manager(Old, { dir: temp.dir, create: true, init: keep }).close();
    expect(() => kept?.count).toThrow(TypeError);
  });
});

describe("migrate", () => {
  test("migrate carries every field over by path, converting what fits, enums by label", () => {
    using temp = new TempDir();
    using old = new Manager(Old, { dir: temp.dir, create: true, init: fillOld });
    old.touch();
    const updated = old.lastUpdate;
    expect(thrownBy(() => new Manager(New, { dir: temp.dir, create: true }))).toBeInstanceOf(
      LayoutMismatchError,
    );
    const { verdict, fields } = Manager.canOpen(New, { dir: temp.dir });
    expect(verdict).toBe("migratable");
    expect(fields.find(({ path }) => path === "added")?.fate).toBe("new");
    expect(fields.find(({ path }) => path === "count")).toMatchObject({ fate: "converted" });
    using next = new Manager(New, { dir: temp.dir, create: true, migrate: true });
    const { header, ...values } = toObject(next.snapshot());
    expect(values).toEqual({
      added: 0,
      serial: 123,
      count: 7n,
      name: "unit 7",
      mode: NewMode.run,
      cells: [1, 2, 3, 255, 0, 0],
      pose: { x: 1.5, y: 0, z: 0 },
      path: [
        { x: 0, y: 0, z: 0 },
        { x: 0, y: -2.25, z: 0 },
        { x: 0, y: 0, z: 0 },
      ],
      hits: 9,
      level: 5,
    } as never);
    expect(header.header_code).toBe(0x1128);
    expect([next.lastUpdate, next.version]).toEqual([updated, 2 ** 32]);
    expect(thrownBy(() => old.get("count"))).toBeInstanceOf(LayoutMismatchError);
    expect(Manager.canOpen(New, { dir: temp.dir }).verdict).toBe("equal");
  });

  test("migrate refuses what would lose something, and leaves the file as it was", () => {
    using temp = new TempDir();
    using old = new Manager(New, { dir: temp.dir, create: true });
    old.edit((data) => {
      data.count = 2n ** 40n;
      data.name = "a name of twenty bytes";
      data.added = 0.5;
      data.cells[5] = 1;
    });
    const error = thrownBy(() => new Manager(Old, { dir: temp.dir, create: true, migrate: true }));
    expect(error).toBeInstanceOf(MigrationError);
    expect((error as MigrationError).losses.map((line) => line.split(":")[0]).sort()).toEqual([
      "added",
      "cells[4]",
      "count",
      "name",
    ]);
    expect(error.message).toContain("count: 1099511627776 does not fit (c_int64 to c_int32)");
    expect([old.get("count"), old.version]).toEqual([2n ** 40n, 1]);
    expect(Manager.canOpen(Old, { dir: temp.dir }).verdict).toBe("lossy");
  });

  test("migrate with a function fills what cannot be carried over; when it throws the file stays", () => {
    using temp = new TempDir();
    using old = new Manager(New, { dir: temp.dir, create: true });
    old.set("added", 2.5);
    const failing = () => {
      throw new Error("cannot");
    };
    expect(() => new Manager(Old, { dir: temp.dir, create: true, migrate: failing })).toThrow("cannot");
    expect(old.get("added")).toBe(2.5);
    using next = new Manager(Old, {
      dir: temp.dir,
      create: true,
      migrate: (data, before) => {
        data.count = Math.round(before.added as number);
        expect(() => {
          before.added = 1;
        }).toThrow(TypeError);
      },
    });
    expect(next.get("count")).toBe(3);
  });

  test("a program whose class is a prefix of the new struct keeps working after a migration", () => {
    @struct({ name: "Grows" })
    class Small extends MmapStructure {
      @field(c_int32) count!: number;
      @field(c_int32) twin!: number;
    }
    @struct({ name: "Grows" })
    class Large extends MmapStructure {
      @field(c_int32) count!: number;
      @field(c_int32) twin!: number;
      @field(c_double) more!: number;
    }
    using temp = new TempDir();
    using old = new Manager(Small, { dir: temp.dir, create: true });
    using reader = new Reader(Small, { dir: temp.dir });
    old.set("count", 1);
    expect(reader.snapshot().count).toBe(1);
    using next = new Manager(Large, { dir: temp.dir, create: true, migrate: true });
    old.set("count", 2);
    expect([next.get("count"), reader.snapshot().count, reader.get("count")]).toEqual([2, 2, 2]);
    expect(Manager.canOpen(Small, { dir: temp.dir }).verdict).toBe("prefix");
  });
});

/** A struct with so many numbers. */
function many(count: number): typeof MmapStructure {
  @struct({ name: "Many" })
  class Many extends MmapStructure {}
  const add = field(c_int32) as (holder: object, name: string) => void;
  for (let i = 0; i < count; i++) add(Many.prototype, `f${i}`);
  return Many;
}

test.each([1500, 5000])(
  "structs of %p fields are compared, migrated, backed up and restored",
  (count) => {
    using temp = new TempDir();
    const { dir } = temp;
    const [Old, Next] = [many(count), many(count + 1)];
    new Manager(Old, { dir, create: true, init: (data) => Object.assign(data, { f7: 7 }) }).close();
    expect(thrownBy(() => new Reader(Next, { dir })).code).toBe("LAYOUT_MISMATCH");
    expect(Manager.canOpen(Next, { dir }).verdict).toBe("migratable");
    using next = new Manager(Next, { dir, create: true, migrate: true });
    next.backup(temp.file("backup"));
    Manager.restore(Next, temp.file("backup"), { dir });
    expect(next.snapshot()).toMatchObject({ f7: 7, [`f${count}`]: 0 });
    using older = new Reader(Old, { dir });
    expect(older.snapshot()).toMatchObject({ f7: 7 });
  },
  240_000,
);

describe("backup and restore", () => {
  test("a backup opens without a lock under any name, and restores in one step for all", () => {
    using temp = new TempDir();
    using manager = new Manager(Old, { dir: temp.dir, create: true, init: fillOld });
    using reader = new Reader(Old, { dir: temp.dir });
    manager.set("count", 8);
    const path = temp.file("any name at all");
    expect(manager.backup(path)).toBe(1);
    manager.set("count", 9);
    {
      using copy = openReader(path);
      expect([copy.get("count"), copy.snapshot().count, copy.version]).toEqual([8, 8, 1]);
      expect(() => copy.changes()).toThrow("is a backup");
      expect(readdirSync(temp.dir).filter((name) => name.startsWith("any"))).toEqual(["any name at all"]);
    }
    renameSync(path, temp.file("Unit_copy.mmap"));
    expect(() => new Editor(Old, { dir: temp.dir, tag: "copy" })).toThrow("is a backup");
    Manager.restore(Old, temp.file("Unit_copy.mmap"), { dir: temp.dir });
    expect([manager.get("count"), reader.snapshot().count, manager.get("hits")]).toEqual([8, 8, 9]);
    expect(manager.version).toBe(2 ** 32);
    Manager.restore(New, temp.file("Unit_copy.mmap"), { dir: temp.dir, tag: "new" });
    using grown = new Reader(New, { dir: temp.dir, tag: "new" });
    expect([grown.get("count"), statSync(grown.path).mode & 0o777]).toEqual([8n, 0o600]);
  });

  test("a backup replaces an earlier backup, and no other file", () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    const path = temp.file("backup");
    manager.backup(path);
    manager.set("count", 5);
    manager.backup(path);
    expect(openReader(path).get("count")).toBe(5);
    writeFileSync(temp.file("notes"), "my notes".repeat(100));
    expect(thrownBy(() => manager.backup(temp.file("notes")))).toBeInstanceOf(FileFormatError);
    expect(thrownBy(() => manager.backup(manager.path))).toBeInstanceOf(FileFormatError);
    expect(thrownBy(() => manager.backup("/nowhere/at/all")).message).toContain("/nowhere/at/all");
  });

  test("inside a session a backup is the last committed state", () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    manager.set("count", 1);
    manager.edit((data) => {
      data.count = 2;
      manager.backup(temp.file("backup"));
    });
    expect(openReader(temp.file("backup")).get("count")).toBe(1);
  });
});

describe("waiting", () => {
  test("a role's open waits for the file, up to waitMs or the signal", async () => {
    using temp = new TempDir();
    const { dir } = temp;
    const late = Reader.open(Robot, { dir, waitMs: 60_000 });
    await Bun.sleep(30);
    using manager = new Manager(Robot, { dir, create: true });
    manager.set("count", 3);
    using reader = await late;
    expect(reader.get("count")).toBe(3);
    using editor = await Editor.open(Robot, { dir });
    editor.set("count", 4);
    const missing = Reader.open(Robot, { dir, tag: "x", waitMs: 20 });
    await expect(missing).rejects.toBeInstanceOf(WaitTimeoutError);
    await expect(Reader.open(Robot, { dir, tag: "x", waitMs: 0 })).rejects.toThrow("within 0 ms there is no");
    await expect(Reader.open(Robot, { dir, waitMs: -1 })).rejects.toThrow("waitMs must not be negative");
    const signal = AbortSignal.timeout(10);
    await expect(Editor.open(Robot, { dir, tag: "x", signal })).rejects.toThrow("timed out");
    await expect(Reader.open(Robot, { dir, tag: "x", waitMs: -1 })).rejects.toBeInstanceOf(RangeError);
    expect(thrownBy(() => new Reader(Robot, { dir, tag: "x" }))).toBeInstanceOf(FileMissingError);
  });
});

describe("listing", () => {
  test("listSegments tells kind, struct, version, bytes, age and state without opening anything", () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    manager.set("count", 1);
    manager.backup(temp.file("backup"));
    copyFileSync(manager.path, temp.file("Robot_.mmap.new-0123456789abcdef"));
    const damaged = new Uint8Array(statSync(manager.path).size);
    copyFileSync(manager.path, temp.file("Robot_damaged.mmap"));
    writeFileSync(temp.file("notes"), damaged);
    const fd = temp.file("Robot_damaged.mmap");
    const bytes = readFileSync(fd);
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] as number) ^ 1;
    writeFileSync(fd, bytes);
    const listed = listSegments(temp.dir);
    expect(listed.map(({ path, state }) => [path.slice(temp.dir.length + 1), state])).toEqual([
      ["Robot_.mmap", "ok"],
      ["Robot_.mmap.new-0123456789abcdef", "leftover"],
      ["Robot_damaged.mmap", "damaged"],
      ["backup", "backup"],
    ]);
    const [live] = listed;
    expect(live).toMatchObject({ kind: "record", struct: "Robot", version: 1, mode: 0o600 });
    expect(Math.abs((live?.createdAt as number) - Date.now())).toBeLessThan(60_000);
    manager.edit(() => expect(segmentAt(manager.path)).toMatchObject({ state: "busy", version: 1 }));
    dieMidEdit(Robot, { dir: temp.dir }, (data) => {
      data.count = 99;
    });
    expect(segmentAt(manager.path)).toMatchObject({ state: "dead writer", version: 2 });
    manager.set("count", 3);
    expect(segmentAt(manager.path)).toMatchObject({ state: "ok", version: 3 });
    expect(segmentAt(temp.file("notes"))).toBeUndefined();
  });
});

describe("info", () => {
  test("info names file, lock, holders, and whether the last writer died", async () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    manager.set("count", 1);
    expect(manager.info()).toMatchObject({
      path: manager.path,
      kind: "record",
      generation: 0,
      version: 1,
      bytes: statSync(manager.path).size,
      transactional: true,
      deadWriter: false,
      users: 1,
      lock: { path: temp.file("Robot_.lock"), kind: "flock", holders: [], waiting: [] },
    });
    expect((manager.info().schema as { name: string }).name).toBe("Robot");
    expect(Bun.inspect(manager.info())).toContain("users: 1,");
    {
      using _ = manager.lock();
      const [holder] = manager.info().lock?.holders ?? [];
      expect(holder).toMatchObject({ pid: process.pid, mode: "exclusive", state: "running" });
      expect([holder?.command.includes("bun"), manager.info().deadWriter]).toEqual([true, false]);
    }
    dieMidEdit(Robot, temp, (data) => {
      data.count = 5;
    });
    expect(manager.info().deadWriter).toBe(true);
    manager.set("count", 2);
    expect([manager.info().deadWriter, manager.info().version]).toEqual([false, 3]);
  });
});

describe("purge", () => {
  test("purge removes the files beside a removed one, unless they are in use", () => {
    using temp = new TempDir();
    const manager = new Manager(Robot, { dir: temp.dir, create: true });
    using stays = new Manager(Robot, { dir: temp.dir, tag: "stays", create: true });
    manager.remove({ purge: true });
    expect(readdirSync(temp.dir).sort()).toEqual([
      "Robot_stays.lock",
      "Robot_stays.lock-page",
      "Robot_stays.mmap",
    ]);
    new Manager(Robot, { dir: temp.dir, tag: "gone", create: true }).remove();
    writeFileSync(temp.file("Cargo.lock"), "[[package]]");
    using user = new RwLock({ path: temp.file("Robot_gone.lock") });
    user.acquire("shared");
    expect(purgeSegments(temp.dir)).toEqual([]);
    user.release();
    expect(purgeSegments(temp.dir).map((path) => path.slice(temp.dir.length + 1))).toEqual([
      "Robot_gone.lock-page",
      "Robot_gone.lock",
    ]);
    expect(readdirSync(temp.dir)).toContain("Cargo.lock");
    // What flock(1) makes, with and without a file of another program in the place of the page.
    for (const name of ["cron.lock", "cron_.lock", "cron_.lock-page"]) writeFileSync(temp.file(name), "");
    expect(purgeSegments(temp.dir)).toEqual([]);
    writeFileSync(temp.file("cron_.lock-page"), "notes");
    expect(purgeSegments(temp.dir)).toEqual([]);
    expect(readFileSync(temp.file("cron_.lock-page"), "utf8")).toBe("notes");
    expect(stays.get("count")).toBe(0);
  });

  test("no two openers hold the lock at once while purge runs against them", async () => {
    using temp = new TempDir();
    const children = Array.from({ length: 3 }, () => runBun("life-opener.ts", [temp.dir, rounds(50)]));
    const purging = setInterval(() => purgeSegments(temp.dir), 1);
    const outputs = await Promise.all(children);
    clearInterval(purging);
    expect(outputs.map((output) => JSON.parse(output).overlaps)).toEqual([0, 0, 0]);
  }, 240_000);
});

test("a process that sleeps on an atomic of a replaced file is told, and can go on in the new one", async () => {
  using dir = new TempDir();
  using manager = new Manager(Signal, { dir: dir.dir, create: true });
  const sleeper = Bun.spawn([process.execPath, join(import.meta.dir, "sleeper.ts"), dir.dir], {
    stdout: "pipe",
  });
  const lines = linesOf(sleeper.stdout);
  expect((await lines.next()).value).toBe("ready");
  const told = lines.next();
  // Again and again: on a busy machine it may not be asleep by then, and begins in the new file.
  do new Manager(Signal, { dir: dir.dir, create: true, force: true }).close();
  while ((await Promise.race([told, Bun.sleep(200)])) === undefined);
  expect((await told).value).toBe("SUPERSEDED");
  await Bun.sleep(50);
  manager.live.go.store(1);
  manager.live.go.notify();
  let last = await lines.next();
  while (last.value === "SUPERSEDED") last = await lines.next();
  expect(last.value).toBe("gone");
  expect(await sleeper.exited).toBe(0);
});
