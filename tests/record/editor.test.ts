/** What an Editor does: all or nothing, checked, and with the lock given back whatever happens. */
import { describe, expect, test } from "bun:test";
import {
  ClosedError,
  create,
  DeadlockError,
  Editor,
  FileMissingError,
  LockTimeoutError,
  Manager,
  ShmError,
  toObject,
} from "../../src/index.ts";
import { thrownBy } from "../support/thrown.ts";
import { linesOf } from "../support/tools.ts";
import { Monitor, type Point, Robot } from "./structs.ts";
import { spawnBun, TempDir } from "./support.ts";

/** A file, its Manager and an Editor. */
class Pair extends TempDir {
  readonly manager: Manager<Robot>;
  readonly editor: Editor<Robot>;

  constructor(options: { transactional?: boolean; lock?: "flock" | "fcntl"; touch?: boolean } = {}) {
    super();
    this.manager = new Manager(Robot, { dir: this.dir, lockDir: this.dir, create: true, ...options });
    this.editor = new Editor(Robot, { dir: this.dir, lockDir: this.dir, touch: options.touch });
  }

  override [Symbol.dispose](): void {
    this.editor.close();
    this.manager.close();
    super[Symbol.dispose]();
  }
}

for (const lock of ["flock", "fcntl"] as const) {
  describe(`editing with ${lock}`, () => {
    test(`edit commits what its function stored, and returns what it returned (${lock})`, () => {
      using pair = new Pair({ lock });
      const before = pair.editor.edit((data) => {
        const old = data.count;
        data.count = old + 1;
        data.name = "one";
        data.pose = { x: 1, y: 2 } as Point;
        data.path.at(1).x = 5;
        data.cells.set([1, 2, 3, 4]);
        return old;
      });
      expect(before).toBe(0);
      expect(toObject(pair.manager.snapshot())).toMatchObject({
        count: 1,
        name: "one",
        pose: { x: 1, y: 2 },
        cells: [1, 2, 3, 4],
      });
      expect(pair.manager.version).toBe(1);
    });

    test(`edit undoes everything when its function throws (${lock})`, () => {
      using pair = new Pair({ lock });
      pair.editor.edit((data) => {
        data.count = 1;
        data.name = "kept";
      });
      const before = toObject(pair.manager.snapshot());
      expect(() =>
        pair.editor.edit((data) => {
          data.count = 2;
          data.name = "lost";
          data.path.at(0).x = 9;
          data.hits.add(1);
          throw new Error("stop");
        }),
      ).toThrow("stop");
      // Atomics are no part of a transaction: others may have changed them meanwhile.
      expect(toObject(pair.manager.snapshot())).toEqual({ ...before, hits: 1 });
      expect([pair.editor.version, pair.editor.get("name")]).toEqual([1, "kept"]);
    });

    test(`a refused value undoes the whole edit (${lock})`, () => {
      using pair = new Pair({ lock });
      const error = thrownBy(() =>
        pair.editor.edit((data) => {
          data.twin = 5;
          data.count = 2 ** 40;
        }),
      );
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain("Robot.count");
      expect(pair.manager.get("twin")).toBe(0);
    });

    test(`rollback ends the session with everything as before (${lock})`, () => {
      using pair = new Pair({ lock });
      pair.editor.set("count", 1);
      {
        using session = pair.editor.lock();
        session.data.count = 2;
        session.rollback();
        expect(session.released).toBe(true);
        expect(() => session.data).toThrow(ClosedError);
        expect(() => session.set("count", 3)).toThrow(ClosedError);
      }
      expect([pair.editor.get("count"), pair.editor.version]).toEqual([1, 1]);
      pair.editor.edit((data, session) => {
        data.count = 4;
        session.rollback();
      });
      expect([pair.editor.get("count"), pair.editor.version]).toEqual([1, 1]);
    });

    test(`close in the middle of a session rolls it back (${lock})`, () => {
      using pair = new Pair({ lock });
      pair.editor.set("count", 1);
      const session = pair.editor.lock();
      session.data.count = 2;
      pair.editor.close();
      expect(session.released).toBe(true);
      session.release();
      expect([pair.manager.get("count"), pair.manager.version]).toEqual([1, 1]);
      using other = new Editor(Robot, { dir: pair.dir, lockDir: pair.dir });
      const closing = () =>
        other.edit((data) => {
          data.count = 3;
          other.close();
        });
      expect(closing).toThrow("was rolled back: the role was closed before it ended");
      expect([pair.manager.get("count"), pair.manager.version]).toEqual([1, 1]);
    });

    test(`editAsync holds the lock until its promise is settled, and rolls back when it rejects (${lock})`, async () => {
      using pair = new Pair({ lock });
      const steps: string[] = [];
      const first = pair.editor.editAsync(async (data) => {
        steps.push("first in");
        data.count = 1;
        await Bun.sleep(10);
        data.twin = 1;
        steps.push("first out");
        return "done";
      });
      const second = pair.manager.editAsync((data) => {
        steps.push("second");
        data.count += 1;
      });
      expect(await first).toBe("done");
      await second;
      expect(steps).toEqual(["first in", "first out", "second"]);
      const failed = pair.editor.editAsync(async (data) => {
        data.count = 50;
        await Bun.sleep(1);
        throw new Error("stop");
      });
      expect(failed).rejects.toThrow("stop");
      await failed.catch(() => {});
      expect([pair.manager.get("count"), pair.manager.get("twin"), pair.manager.version]).toEqual([2, 1, 2]);
    });

    test(`sets and gets of a session or inside an edit see its stores and commit with it; the role's own are refused (${lock})`, () => {
      using pair = new Pair({ lock });
      const { editor } = pair;
      {
        using session = editor.lock();
        session.data.count = 1;
        expect(session.get("count")).toBe(1);
        session.set("twin", 1);
        session.set("pose.x", 3);
        session.touch();
        expect(session.get("twin")).toBe(1);
        // They may come from another task, whose stores a rollback would take back.
        const others = [
          () => editor.edit(() => {}),
          () => editor.read(() => {}),
          () => editor.get("count"),
          () => editor.set("twin", 2),
          () => editor.touch(),
          () => editor.clear(),
        ];
        for (const other of others) {
          expect(thrownBy(other)).toBeInstanceOf(DeadlockError);
          expect(thrownBy(other).message).toContain("use that session");
        }
      }
      expect(editor.version).toBe(1);
      editor.edit(() => {
        editor.set("twin", 2);
        expect(editor.get("twin")).toBe(2);
      });
      expect(editor.version).toBe(2);
      expect(toObject(pair.manager.snapshot())).toMatchObject({ count: 1, twin: 2, pose: { x: 3, y: 0 } });
    });

    test(`clear zeroes everything but the header code, alone or in a session (${lock})`, () => {
      using pair = new Pair({ lock });
      const { editor } = pair;
      editor.edit((data) => {
        data.count = 5;
        data.name = "x";
        data.hits.store(3);
      });
      editor.clear();
      const header = { header_code: 0x1128, time_stamp: 0 };
      expect(toObject(editor.snapshot())).toEqual({ ...toObject(create(Robot)), header });
      editor.set("count", 6);
      {
        using session = editor.lock();
        session.clear();
        session.data.twin = 1;
        session.rollback();
      }
      expect([editor.get("count"), editor.get("twin")]).toEqual([6, 0]);
    });
  });
}

describe("setting", () => {
  test("set takes every kind of field by path, checked by the compiler and at run time", () => {
    using pair = new Pair();
    const { editor } = pair;
    editor.set("count", -1);
    editor.set("serial", 2n ** 63n - 1n);
    editor.set("name", "ä".repeat(15));
    editor.set("cells", [1, 2, 3, 4]);
    editor.set("cells.3", 255);
    editor.set("pose", { x: 1 });
    editor.set("path.1", { y: 2 });
    editor.set("path.2.x", 3);
    editor.set("hits", 4);
    expect(toObject(editor.snapshot())).toMatchObject({ count: -1, cells: [1, 2, 3, 255], hits: 4 });
    const before = toObject(editor.snapshot());
    const refused: [() => void, string][] = [
      // @ts-expect-error a string
      [() => editor.set("count", "1"), "Robot.count"],
      [() => editor.set("count", 1.5), "Robot.count"],
      [() => editor.set("count", 2 ** 31), "Robot.count"],
      // @ts-expect-error a number
      [() => editor.set("serial", 1), "Robot.serial"],
      [() => editor.set("name", "x".repeat(33)), "Robot.name"],
      [() => editor.set("cells", [1, 2]), "Robot.cells"],
      [() => editor.set("cells.0", 256), "Robot.cells[0]: "],
      [() => editor.set("path.1.x", "1" as never), "Robot.path[1].x: "],
      [() => editor.set("header.header_code", 70000), "Robot.header.header_code: "],
      // @ts-expect-error no such member
      [() => editor.set("pose", { z: 1 }), "z"],
      [() => editor.set("path.3.x", 1), "path.3.x"],
      // @ts-expect-error no such field
      [() => editor.set("nope", 1), "nope"],
    ];
    for (const [attempt, place] of refused) {
      const error = thrownBy(attempt);
      expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
      expect(error.message).toContain(place);
    }
    expect({ ...toObject(editor.snapshot()), header: undefined }).toEqual({ ...before, header: undefined });
    expect(editor.version).toBe(9);
  });

  test("the header is stamped on release, unless touch: false", () => {
    using stamped = new Pair();
    stamped.editor.set("count", 1);
    expect(Math.abs(Number(stamped.editor.lastUpdate) - Date.now())).toBeLessThan(60_000);
    using silent = new Pair({ touch: false });
    silent.editor.set("count", 1);
    expect(silent.editor.lastUpdate).toBeUndefined();
    silent.editor.touch();
    expect(silent.editor.lastUpdate).toBeInstanceOf(Date);
  });

  test("an Editor's live writes at once, without a lock", () => {
    using pair = new Pair();
    pair.editor.live.count = 3;
    pair.editor.live.hits.add(2);
    expect([pair.manager.get("count"), pair.manager.get("hits"), pair.manager.version]).toEqual([3, 2, 0]);
  });

  test("an Editor's flush waits for the disk", () => {
    using pair = new Pair();
    pair.editor.set("count", 9);
    pair.editor.flush();
    pair.editor.close();
    expect(() => pair.editor.flush()).toThrow(ClosedError);
  });

  test("an Editor cannot write what read hands out", () => {
    using pair = new Pair();
    pair.editor.read((data) => {
      expect(() => {
        // @ts-expect-error the lock is a reader's
        data.count = 1;
      }).toThrow(TypeError);
    });
  });
});

test("clear also clears what a class that is only a prefix of the file's does not know", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  manager.edit((data) => {
    data.count = 5;
    data.name = "x";
    data.path.at(2).y = 7;
  });
  using monitor = new Editor(Monitor, { dir: temp.dir, className: "Robot" });
  monitor.clear();
  const header = { header_code: 0x1128, time_stamp: 0 };
  expect(toObject(manager.snapshot())).toEqual({ ...toObject(create(Robot)), header });
});

test("a session that is committed cannot be rolled back, and says so", () => {
  using pair = new Pair();
  const session = pair.editor.lock();
  session.data.count = 1;
  session.release();
  expect(thrownBy(() => session.rollback())).toBeInstanceOf(ClosedError);
  const other = pair.editor.lock();
  other.data.count = 2;
  other.rollback();
  other.rollback();
  other.release();
  expect(pair.editor.get("count")).toBe(1);
});

test("editAsync refuses what cannot run before it takes the lock", async () => {
  using pair = new Pair();
  const generator = function* (data: Robot) {
    yield data.count;
  };
  for (const fn of [undefined, 5, generator] as unknown as (() => void)[]) {
    const error = await pair.editor.editAsync(fn).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toContain("editAsync(fn)");
  }
  expect(pair.editor.version).toBe(0);
});

describe("waiting", () => {
  test("every method that takes the lock takes a timeout, and checks it", async () => {
    using pair = new Pair();
    const holder = spawnBun("role-holder.ts", [pair.dir]);
    const lines = linesOf(holder.stdout);
    expect((await lines.next()).value).toBe("held");
    const { editor } = pair;
    const uses: ((options: { timeoutMs: number }) => unknown)[] = [
      (options) => editor.set("count", 1, options),
      (options) => editor.get("count", options),
      (options) => editor.touch(options),
      (options) => editor.clear(options),
      (options) => editor.edit(() => {}, options),
      (options) => editor.read(() => 0, options),
      (options) => editor.lock(options),
    ];
    for (const use of uses) {
      expect(thrownBy(() => use({ timeoutMs: 1 }))).toBeInstanceOf(LockTimeoutError);
      expect(thrownBy(() => use({ timeoutMs: -1 }))).toBeInstanceOf(RangeError);
      expect(thrownBy(() => use({ timeout: 1 } as never))).toBeInstanceOf(TypeError);
    }
    holder.kill("SIGKILL");
    await holder.exited;
    expect(editor.get("count", { timeoutMs: 60_000 })).toBe(0);
  });

  test("lock() is a DeadlockError while another role of the thread has the lock, and tryLock() returns undefined", () => {
    using pair = new Pair();
    using _ = pair.manager.lock();
    // In one thread it would be a deadlock; tryLock and asynchronous waits are not.
    expect(thrownBy(() => pair.editor.lock({ timeoutMs: 10 })).code).toBe("DEADLOCK");
    expect(pair.editor.tryLock()).toBeUndefined();
  });

  test("asynchronous edits time out and are aborted", async () => {
    using pair = new Pair();
    const held = pair.manager.lock();
    const late = (await pair.editor
      .editAsync(() => {}, { timeoutMs: 5 })
      .catch((error) => error)) as LockTimeoutError;
    expect(late).toBeInstanceOf(LockTimeoutError);
    expect([late.code, late.timeoutMs, late.path]).toEqual(["LOCK_TIMEOUT", 5, pair.file("Robot_.lock")]);
    expect(late.message).toContain(`process ${process.pid}`);
    const signal = AbortSignal.timeout(5);
    expect(await pair.editor.editAsync(() => {}, { signal }).catch((error) => error.name)).toBe(
      "TimeoutError",
    );
    held.release();
    pair.editor.set("count", 1);
    expect(pair.editor.get("count")).toBe(1);
  });

  test("edit refuses a function that awaits, and undoes what it did so far", () => {
    using pair = new Pair();
    const refused = () =>
      pair.editor.edit((data) => {
        data.count = 7;
        return Promise.resolve() as never;
      });
    expect(refused).toThrow("edit(fn): fn returned a promise");
    expect([pair.editor.get("count"), pair.editor.version]).toEqual([0, 0]);
  });

  test("methods that lock are refused while an asynchronous session of the same role is open", async () => {
    using pair = new Pair();
    const { editor } = pair;
    const session = await editor.lockAsync();
    for (const use of [
      () => editor.lock(),
      () => editor.set("count", 1),
      () => editor.get("count"),
      () => editor.clear(),
      () => editor.touch(),
    ])
      expect(thrownBy(use)).toBeInstanceOf(DeadlockError);
    session.set("count", 2);
    expect(editor.snapshot().count).toBe(0);
    session.release();
    expect(editor.snapshot().count).toBe(2);
  });
});

test("without transactions a rollback is refused, the stores stay, and the lock is given back", () => {
  using pair = new Pair({ transactional: false });
  const session = pair.editor.lock();
  session.data.count = 1;
  const error = thrownBy(() => session.rollback());
  expect(error).toBeInstanceOf(ShmError);
  expect(error.code).toBe("NOT_TRANSACTIONAL");
  expect([session.released, pair.editor.version]).toEqual([true, 1]);
  expect(() =>
    pair.editor.edit((data) => {
      data.count = 2;
      throw new Error("stop");
    }),
  ).toThrow("stop");
  expect(pair.manager.get("count")).toBe(2);
  expect(pair.manager.snapshot().count).toBe(2);
});

test("an Editor does not make files", () => {
  using temp = new TempDir();
  expect(thrownBy(() => new Editor(Robot, { dir: temp.dir }))).toBeInstanceOf(FileMissingError);
});
