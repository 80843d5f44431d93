/** The transaction protocol on the bytes: what is committed at every moment, and after a death at any of them. */
import { describe, expect, test } from "bun:test";
import { truncateSync } from "node:fs";
import { Editor, Manager, Reader } from "../../src/index.ts";
import type { RecordContent } from "../../src/record/record-content.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { thrownBy } from "../support/thrown.ts";
import { Anything, fillPattern, Pattern, Robot, stateOf } from "./structs.ts";
import { dieMidEdit, openRecord, TempDir } from "./support.ts";

const { size } = layoutOfClass(Pattern);

/** The state of a lock-free copy. */
function copied(file: RecordContent): number | undefined {
  const bytes = new Uint8Array(size);
  expect(file.copyTo(bytes)).toBe(true);
  const words = new Int32Array(bytes.buffer);
  return stateOf({ count: words[4] as number, words: words.subarray(5, 5 + 128) });
}

describe("transactions", () => {
  test("until the commit a copy gives the state before, then the one after", () => {
    using temp = new TempDir();
    new Manager(Pattern, { dir: temp.dir, create: true }).close();
    const file = openRecord(Pattern, temp);
    using _ = file.file;
    const data = file.view<Pattern>(layoutOfClass(Pattern), file.plain);
    for (let state = 1; state <= 3; state++) {
      file.begin();
      expect([copied(file), file.version]).toEqual([state - 1, state - 1]);
      fillPattern(data, state);
      expect([copied(file), file.version]).toEqual([state - 1, state - 1]);
      file.commit();
      expect([copied(file), file.version]).toEqual([state, state]);
    }
    file.begin();
    fillPattern(data, 9);
    file.rollBack();
    expect([copied(file), stateOf(data), file.version, file.file.sequence % 2]).toEqual([3, 3, 3, 0]);
  });

  test("the repair after a dead writer happens once, however often it is asked for", () => {
    using temp = new TempDir();
    new Manager(Pattern, { dir: temp.dir, create: true }).close();
    dieMidEdit(Pattern, temp, (data) => {
      data.count = 77;
    });
    const file = openRecord(Pattern, temp);
    using _ = file.file;
    const dead = file.file.sequence;
    expect(dead % 2).toBe(1);
    file.repair();
    file.repair();
    expect([file.file.sequence, copied(file), file.version]).toEqual([dead + 1, 0, 0]);
    // Killed after repairing but before telling so: the next one finds the same.
    dieMidEdit(Pattern, temp, (data) => {
      data.count = 78;
    });
    file.begin();
    file.rollBack();
    expect([copied(file), file.file.sequence % 2]).toEqual([0, 0]);
  });

  test("a commit that was counted but not published is not counted", () => {
    using temp = new TempDir();
    using manager = new Manager(Pattern, { dir: temp.dir, create: true });
    manager.edit((data) => fillPattern(data, 1));
    const words = new Int32Array(Bun.mmap(manager.path).buffer);
    const commits = words.length - 8;
    expect(words[commits]).toBe(1);
    dieMidEdit(Pattern, temp, (data) => {
      fillPattern(data, 2);
      words[commits] = 2;
    });
    expect(manager.version).toBe(1);
    manager.edit((data) => expect(stateOf(data)).toBe(1));
    expect([manager.version, stateOf(manager.snapshot())]).toEqual([2, 1]);
  });

  test("the header's time stamp of a dead writer is not seen", () => {
    using temp = new TempDir();
    using manager = new Manager(Pattern, { dir: temp.dir, create: true, touch: false });
    dieMidEdit(Pattern, temp, ({ header }) => {
      header.time_stamp = 1;
    });
    expect(manager.lastUpdate).toBeUndefined();
  });

  test("without transactions a dead writer's stores stay, and the next one goes on", () => {
    using temp = new TempDir();
    using manager = new Manager(Pattern, { dir: temp.dir, create: true, transactional: false });
    dieMidEdit(Pattern, temp, (data) => {
      data.count = 5;
    });
    expect([manager.get("count"), manager.snapshot().count, manager.version]).toEqual([5, 5, 0]);
    manager.touch();
    expect([manager.get("count"), manager.version]).toEqual([5, 1]);
  });
});

describe("after a writer died", () => {
  test("after a writer died, readers under a lock, copies and plain reads of fields all give the committed state", () => {
    using temp = new TempDir();
    using manager = new Manager(Pattern, { dir: temp.dir, create: true });
    manager.edit((data) => fillPattern(data, 1));
    dieMidEdit(Pattern, temp, (data) => fillPattern(data, 2));
    using reader = new Reader(Pattern, { dir: temp.dir });
    expect(reader.read(stateOf)).toBe(1);
    expect(manager.read(stateOf)).toBe(1);
    expect([reader.get("count"), reader.get("words.5"), manager.get("count")]).toEqual([
      1,
      reader.snapshot().words[5],
      1,
    ] as never);
    {
      using session = reader.lock();
      expect([stateOf(session.data), session.get("count")]).toEqual([1, 1]);
    }
    // A class that knows less sees the part of it that it knows.
    using monitor = new Reader(Anything, { dir: temp.dir, className: "Pattern" });
    expect(monitor.lastUpdate?.getTime()).toBe(manager.lastUpdate?.getTime() as number);
  });

  test("after a writer died, the next one begins from the committed state", () => {
    using temp = new TempDir();
    using manager = new Manager(Pattern, { dir: temp.dir, create: true });
    manager.edit((data) => fillPattern(data, 1));
    dieMidEdit(Pattern, temp, (data) => fillPattern(data, 2));
    using editor = new Editor(Pattern, { dir: temp.dir });
    editor.edit((data) => expect(stateOf(data)).toBe(1));
    expect([manager.read(stateOf), manager.version]).toEqual([1, 2]);
  });

  test("the header code is not lost when a writer dies that set it to zero", () => {
    using temp = new TempDir();
    new Manager(Robot, { dir: temp.dir, create: true }).close();
    dieMidEdit(Robot, temp, ({ header }) => {
      header.header_code = 0;
    });
    using reader = new Reader(Robot, { dir: temp.dir });
    expect(reader.get("header.header_code")).toBe(0x1128);
  });
});

test("a file of IPMMAP has no commits, no sequence and no transactions", () => {
  using temp = new TempDir();
  const bytes = new Uint8Array(size);
  bytes.set([0x28, 0x11]);
  Bun.write(temp.file("Pattern_.mmap"), bytes);
  const file = openRecord(Pattern, { dir: temp.dir, lockDir: temp.dir });
  using _ = file.file;
  expect([
    file.file.lockKind,
    file.transactional,
    file.isSequenced,
    file.version,
    file.file.sequence,
    file.schema,
  ]).toEqual(["fcntl", false, false, 0, 0, undefined]);
  file.begin();
  file.commit();
  file.file.setSuperseded(true);
  expect([file.file.isSuperseded, file.file.mode]).toEqual([false, 0o644 & ~process.umask()]);
});

test("the error for a file that is too short for the class names both sizes", () => {
  using temp = new TempDir();
  new Manager(Robot, { dir: temp.dir, lockDir: temp.dir, create: true, lock: "fcntl" }).close();
  truncateSync(temp.file("Robot_.mmap"), 100);
  const error = thrownBy(() => openRecord(Robot, { dir: temp.dir, lockDir: temp.dir }));
  expect(error.message).toContain("(100 bytes) has no footer of shmstruct");
  expect(error.message).toContain("too short for Robot (144 bytes)");
});
