/** Replacing and removing files that others have open. */
import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { Editor, type LockKind, Manager, Reader, ShmError, toObject } from "../../src/index.ts";
import { mappingsOf } from "../support/resources.ts";
import { thrownBy } from "../support/thrown.ts";
import { Monitor, Robot } from "./structs.ts";
import { openRecord, runBun, TempDir } from "./support.ts";

describe("create", () => {
  test("create keeps a file that is there, with what is in it", () => {
    using temp = new TempDir();
    using first = new Manager(Robot, { dir: temp.dir, create: true });
    first.set("count", 5);
    using second = new Manager(Robot, { dir: temp.dir, create: true, mode: 0o666 });
    expect([second.get("count"), statSync(second.path).mode & 0o777]).toEqual([5, 0o600]);
  });

  test("a Manager without create is an Editor that may remove the file", () => {
    using temp = new TempDir();
    expect(thrownBy(() => new Manager(Robot, { dir: temp.dir })).code).toBe("FILE_MISSING");
    expect(readdirSync(temp.dir)).toEqual([]);
    new Manager(Robot, { dir: temp.dir, create: true }).close();
    using manager = new Manager(Robot, { dir: temp.dir });
    manager.set("count", 1);
    manager.remove();
    expect(existsSync(temp.file("Robot_.mmap"))).toBe(false);
  });

  test("a Manager refuses a kind of lock that the file does not have", () => {
    using temp = new TempDir();
    const both = { dir: temp.dir, lockDir: temp.dir };
    new Manager(Robot, { ...both, create: true, lock: "fcntl" }).close();
    const error = thrownBy(() => new Manager(Robot, { ...both, create: true, lock: "flock" }));
    expect(error.code).toBe("FILE_FORMAT");
    expect(error.message).toContain('was made with lock: "fcntl", not "flock"');
    using manager = new Manager(Robot, { ...both, create: true });
    manager.set("count", 1);
  });

  test("a file of another struct under the same name is refused, and replaced by force", () => {
    using temp = new TempDir();
    new Manager(Monitor, { dir: temp.dir, create: true, className: "Robot" }).close();
    expect(thrownBy(() => new Manager(Robot, { dir: temp.dir, create: true })).code).toBe("LAYOUT_MISMATCH");
    using manager = new Manager(Robot, { dir: temp.dir, create: true, force: true });
    expect(toObject(manager.snapshot()).name).toBe("");
  });
});

describe("force", () => {
  const kinds: [LockKind, LockKind][] = [
    ["flock", "flock"],
    ["fcntl", "fcntl"],
    ["flock", "fcntl"],
    ["fcntl", "flock"],
  ];
  for (const [before, after] of kinds) {
    test(`force moves roles that have the old file (${before}) open to the new one (${after}), and their views throw`, () => {
      using temp = new TempDir();
      const both = { dir: temp.dir, lockDir: temp.dir };
      using old = new Manager(Robot, { ...both, create: true, lock: before });
      old.set("count", 1);
      using reader = new Reader(Robot, both);
      using editor = new Editor(Robot, both);
      const looking = reader.lock();
      const views = [reader.live, looking.data, editor.live] as const;
      looking.release();
      editor.close();
      using late = new Editor(Robot, both);
      using fresh = new Manager(Robot, { ...both, create: true, force: true, lock: after });
      const { version } = fresh;
      fresh.set("count", 10);
      expect(late.get("count")).toBe(10);
      late.set("twin", 11);
      expect([reader.get("twin"), old.get("twin"), reader.version]).toEqual([11, 11, version + 2]);
      for (const view of views) expect(() => view.count).toThrow(TypeError);
      expect(reader.live.count).toBe(10);
      old.edit((data) => {
        data.count += 1;
      });
      expect([fresh.snapshot().count, fresh.version]).toEqual([11, version + 3]);
      {
        using session = reader.lock();
        expect([session.data.count, fresh.tryLock()]).toEqual([11, undefined]);
      }
    });
  }

  test("lock-free readers move on to a file made by force, without taking a lock", () => {
    using temp = new TempDir();
    using old = new Manager(Robot, { dir: temp.dir, create: true });
    old.set("count", 1);
    using reader = new Reader(Robot, { dir: temp.dir });
    expect(reader.snapshot().count).toBe(1);
    using fresh = new Manager(Robot, { dir: temp.dir, create: true, force: true });
    using _ = fresh.lock();
    expect([reader.snapshot().count, reader.live.count, reader.version, reader.lastUpdate]).toEqual([
      0,
      0,
      2 ** 32,
      undefined,
    ]);
  });

  test("force is a deadlock while a session of the same thread is open", () => {
    using temp = new TempDir();
    using old = new Manager(Robot, { dir: temp.dir, create: true });
    using session = old.lock();
    session.data.count = 1;
    expect(thrownBy(() => new Manager(Robot, { dir: temp.dir, create: true, force: true })).code).toBe(
      "DEADLOCK",
    );
    session.release();
    expect(old.get("count")).toBe(1);
  });

  test("roles that move on to a file made by force unmap the old one, and leave nothing", () => {
    using temp = new TempDir();
    using reader = (() => {
      new Manager(Robot, { dir: temp.dir, create: true }).close();
      return new Reader(Robot, { dir: temp.dir });
    })();
    for (let i = 0; i < 20; i++) {
      using manager = new Manager(Robot, { dir: temp.dir, create: true, force: true });
      manager.set("count", i);
      expect(reader.get("count")).toBe(i);
    }
    // The data file and the page of its lock.
    expect(mappingsOf(temp.dir)).toBe(2);
    reader.close();
    expect(mappingsOf(temp.dir)).toBe(0);
  });

  test("a file replaced by one of another struct is an error at the next lock, and views of the old one still work", () => {
    using temp = new TempDir();
    using old = new Manager(Robot, { dir: temp.dir, create: true });
    old.set("count", 1);
    const { live } = old;
    new Manager(Monitor, { dir: temp.dir, className: "Robot", create: true, force: true }).close();
    expect(thrownBy(() => old.get("count")).code).toBe("LAYOUT_MISMATCH");
    expect(thrownBy(() => old.snapshot()).code).toBe("LAYOUT_MISMATCH");
    expect(live.count).toBe(1);
    new Manager(Robot, { dir: temp.dir, create: true, force: true }).close();
    expect(old.get("count")).toBe(0);
  });
});

describe("remove", () => {
  for (const lock of ["flock", "fcntl"] as const) {
    test(`other roles with a ${lock} miss a removed file at their next lock, and go on with the next file`, () => {
      using temp = new TempDir();
      const both = { dir: temp.dir, lockDir: temp.dir };
      const manager = new Manager(Robot, { ...both, create: true, lock });
      manager.set("count", 1);
      using reader = new Reader(Robot, both);
      using editor = new Editor(Robot, both);
      manager.remove();
      expect(manager.closed).toBe(true);
      for (const use of [
        () => reader.get("count"),
        () => reader.snapshot(),
        () => editor.set("count", 2),
        () => editor.lock(),
        () => editor.tryLock(),
        () => editor.live,
      ])
        expect(thrownBy(use).code).toBe("FILE_MISSING");
      expect(editor.lockAsync()).rejects.toMatchObject({ code: "FILE_MISSING" });
      using next = new Manager(Robot, { ...both, create: true, lock });
      next.set("count", 3);
      expect([reader.get("count"), reader.snapshot().count]).toEqual([3, 3]);
      editor.set("count", 4);
      expect(next.get("count")).toBe(4);
    });
  }

  test("remove leaves alone what is no file of the library", () => {
    using temp = new TempDir();
    for (const put of [
      (path: string) => writeFileSync(path, "my precious notes\n"),
      (path: string) => mkdirSync(path),
      (path: string) => symlinkSync("/etc/passwd", path),
    ]) {
      const manager = new Manager(Robot, { dir: temp.dir, create: true, force: true });
      rmSync(manager.path);
      put(manager.path);
      expect(thrownBy(() => manager.remove())).toBeInstanceOf(ShmError);
      manager.close();
      expect(lstatSync(manager.path)).toBeDefined();
      rmSync(manager.path, { recursive: true });
    }
    const manager = new Manager(Robot, { dir: temp.dir, create: true });
    const { size } = lstatSync(manager.path);
    writeFileSync(manager.path, "x".repeat(size)); // the same file, but now it holds something else
    expect(thrownBy(() => manager.remove())).toBeInstanceOf(ShmError);
    expect(readFileSync(manager.path, "latin1")).toBe("x".repeat(size));
  });

  test("remove of a file that this user may not open is an error that says what to do", async () => {
    using temp = new TempDir();
    new Manager(Robot, { dir: temp.dir, create: true, mode: 0o600 }).close();
    mkdirSync(temp.file("warm"));
    chmodSync(temp.file("warm"), 0o777);
    chmodSync(temp.dir, 0o755);
    if (process.getuid?.() !== 0) chmodSync(temp.file("Robot_.mmap"), 0);
    const said = await runBun("role-remover.ts", [temp.dir]);
    expect(said).toMatch(/^SystemError EACCES: open '.*Robot_.mmap' failed: .*mode: 0o660/);
  });

  test("a file that could not be removed stays the current one", async () => {
    using temp = new TempDir();
    const manager = new Manager(Robot, { dir: temp.dir, create: true, mode: 0o666 });
    using reader = new Reader(Robot, { dir: temp.dir, shared: true });
    mkdirSync(temp.file("warm"));
    chmodSync(temp.dir, 0o555);
    expect(await runBun("role-remover.ts", [temp.dir])).toStartWith("SystemError EACCES: unlink");
    chmodSync(temp.dir, 0o700);
    using file = openRecord(Robot, { dir: temp.dir }, "read").file;
    expect(file.isSuperseded).toBe(false);
    manager.set("count", 4);
    expect(reader.snapshot().count).toBe(4);
    manager.close();
  });

  test("remove leaves the lock files, so that roles that wait and new ones share a lock", () => {
    using temp = new TempDir();
    new Manager(Robot, { dir: temp.dir, create: true }).remove();
    expect(readdirSync(temp.dir).sort()).toEqual(["Robot_.lock", "Robot_.lock-page"]);
  });

  test("remove by a second Manager of a file that is gone is an error", () => {
    using temp = new TempDir();
    using first = new Manager(Robot, { dir: temp.dir, create: true });
    using second = new Manager(Robot, { dir: temp.dir });
    first.remove();
    expect(thrownBy(() => second.remove()).code).toBe("FILE_MISSING");
    expect(thrownBy(() => first.remove()).code).toBe("CLOSED");
  });
});
