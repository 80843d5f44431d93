/** What a Reader gives, and that it cannot write by any way. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import {
  Atomic,
  bytesOf,
  ClosedError,
  create,
  DeadlockError,
  FileMissingError,
  LockTimeoutError,
  Manager,
  Reader,
  type StructClass,
  toObject,
} from "../../src/index.ts";
import { thrownBy } from "../support/thrown.ts";
import { Pattern, Point, Robot } from "./structs.ts";
import { TempDir } from "./support.ts";

/** A Manager with some values in its file, and a Reader of it. */
class Pair extends TempDir {
  readonly manager = new Manager(Robot, { dir: this.dir, create: true });
  readonly reader = new Reader(Robot, { dir: this.dir });

  constructor() {
    super();
    this.manager.edit((data) => {
      data.count = 3;
      data.twin = 3;
      data.serial = 5n;
      data.name = "Zoë";
      data.cells[1] = 200;
      data.pose = { x: 3, y: 4 } as Point;
      data.path.at(2).y = 7;
      data.hits.add(9);
    });
  }

  override [Symbol.dispose](): void {
    this.reader.close();
    this.manager.close();
    super[Symbol.dispose]();
  }
}

describe("reading", () => {
  test("get gives every kind of field by path, structs and arrays as plain copies", () => {
    using pair = new Pair();
    const { reader } = pair;
    expect(reader.get("count")).toBe(3);
    expect(reader.get("serial")).toBe(5n);
    expect(reader.get("name")).toBe("Zoë");
    expect(reader.get("cells")).toEqual(new Uint8Array([0, 200, 0, 0]));
    expect(reader.get("cells.1")).toBe(200);
    expect(reader.get("pose")).toEqual({ x: 3, y: 4 });
    expect(reader.get("path")).toEqual([
      { x: 0, y: 0 },
      { x: 0, y: 0 },
      { x: 0, y: 7 },
    ]);
    expect(reader.get("path.2.y")).toBe(7);
    expect(reader.get("hits")).toBe(9);
    expect(reader.get("header.header_code")).toBe(0x1128);
    const kept = reader.get("pose");
    pair.manager.set("pose.x", 99);
    expect(kept.x).toBe(3);
  });

  test("paths that lead nowhere are refused by the compiler and at run time", () => {
    using pair = new Pair();
    const { reader } = pair;
    // @ts-expect-error no such field
    expect(() => reader.get("cuont")).toThrow('Robot has no member "cuont"');
    // @ts-expect-error a number has no members
    expect(() => reader.get("count.x")).toThrow(TypeError);
    expect(() => reader.get("path.3.x")).toThrow(RangeError);
    // @ts-expect-error not a path
    expect(() => reader.get(5)).toThrow("a path must be a string, got 5");
    const x: number = reader.get("pose.x");
    // @ts-expect-error x is a number
    const wrong: string = reader.get("pose.x");
    expect([x, wrong as unknown]).toEqual([3, 3]);
  });

  test("read, lock, snapshot and live show the struct with its methods", () => {
    using pair = new Pair();
    const { reader } = pair;
    expect(reader.read((data) => data.pose.norm())).toBe(5);
    expect(reader.snapshot().pose.norm()).toBe(5);
    expect(reader.live.pose.norm()).toBe(5);
    using session = reader.lock();
    expect(session.data.pose.norm()).toBe(5);
    expect(session.data).toBeInstanceOf(Robot);
    expect(session.get("path.2").y).toBe(7);
    expect(session.get("hits")).toBeInstanceOf(Atomic);
    expect(session.released).toBe(false);
  });

  test("a snapshot is a copy of one's own, live is not", () => {
    using pair = new Pair();
    const { manager, reader } = pair;
    const snapshot = reader.snapshot();
    const { live } = reader;
    manager.set("count", 4);
    expect([snapshot.count, live.count]).toEqual([3, 4]);
    snapshot.count = 1000;
    expect(reader.get("count")).toBe(4);
  });

  test("version counts commits, lastUpdate is the last one's time", () => {
    using pair = new Pair();
    const { manager, reader } = pair;
    expect(reader.version).toBe(1);
    manager.set("count", 1);
    manager.touch();
    expect(reader.version).toBe(3);
    expect(() =>
      manager.edit(() => {
        throw new Error("no");
      }),
    ).toThrow();
    expect(reader.version).toBe(3);
    expect(Math.abs(Number(reader.lastUpdate) - Date.now())).toBeLessThan(60_000);
    manager.clear();
    expect([reader.version, reader.lastUpdate]).toEqual([4, undefined]);
  });

  test("path, closed and console.log tell which role it is", () => {
    using pair = new Pair();
    expect(pair.reader.path).toBe(pair.file("Robot_.mmap"));
    expect(pair.reader.closed).toBe(false);
    expect(Bun.inspect(pair.reader)).toBe(`Reader of Robot '${pair.reader.path}'`);
    expect(JSON.parse(JSON.stringify(pair.reader))).toEqual({ path: pair.reader.path }); // not all that it is made of
    expect(new Proxy(pair.reader, {}).get("count")).toBe(pair.reader.get("count"));
    pair.manager.close();
    expect(Bun.inspect(pair.manager)).toBe(`Manager of Robot '${pair.reader.path}' (closed)`);
  });
});

describe("a Reader cannot write", () => {
  test("a Reader cannot write through a session, read, live, or anything they hand out", () => {
    using pair = new Pair();
    const { reader } = pair;
    using session = reader.lock();
    for (const data of [session.data, reader.live] as unknown as Robot[]) {
      const attempts: (() => unknown)[] = [
        () => {
          data.count = 1;
        },
        () => {
          data.name = "x";
        },
        () => {
          data.pose = { x: 1, y: 1 } as Point;
        },
        () => {
          data.pose.x = 1;
        },
        () => {
          data.path.at(0).x = 1;
        },
        () => data.path.set([]),
        () => {
          data.path[0] = create(Point);
        },
        () => {
          data.cells[0] = 1;
        },
        () => data.cells.fill(1),
        () => data.cells.set([1]),
        () => data.hits.add(1),
        () => data.hits.store(1),
        () => {
          data.header.time_stamp = 1;
        },
      ];
      for (const attempt of attempts) expect(attempt).toThrow(TypeError);
      // What bytesOf gives is a copy.
      bytesOf(data).fill(255);
    }
    expect(thrownBy(() => Object.assign(session.data, { count: 2 })).message).toBe(
      "Robot.count is read-only here: this memory is open, or locked, for reading only; write in a writer's session, or to a map that is opened for writing",
    );
    session.release();
    expect(toObject(reader.snapshot())).toEqual(toObject(pair.manager.snapshot()));
    expect([reader.get("count"), reader.get("hits"), reader.get("cells.0")]).toEqual([3, 9, 0]);
  });

  test("the compiler refuses stores of a Reader, at any depth", () => {
    const neverRun = (reader: Reader<Robot>): void => {
      reader.read((data) => {
        // @ts-expect-error read-only
        data.count = 1;
        // @ts-expect-error read-only
        data.pose.x = 1;
        // @ts-expect-error read-only
        data.cells[0] = 1;
        // @ts-expect-error read-only
        data.path.at(0).x = 1;
        // @ts-expect-error only loads
        data.hits.add(1);
      });
      // @ts-expect-error read-only
      reader.lock().data.count = 1;
      // @ts-expect-error read-only
      reader.live.count = 1;
      // @ts-expect-error Readers have no such method
      reader.set("count", 1);
      // @ts-expect-error Readers have no such method
      reader.edit(() => {});
    };
    expect(neverRun).toBeFunction();
  });
});

describe("locks", () => {
  test("readers share a lock, and keep a writer out", () => {
    using pair = new Pair();
    using other = new Reader(Robot, { dir: pair.dir });
    const session = pair.reader.lock();
    const second = other.lock({ timeoutMs: 0 });
    expect([session.data.count, second.data.count]).toEqual([3, 3]);
    expect(pair.manager.tryLock()).toBeUndefined();
    second.release();
    session.release();
    using writer = pair.manager.tryLock();
    expect(writer).toBeDefined();
    expect(pair.reader.tryLock()).toBeUndefined();
  });

  test("a second lock of one role is a DeadlockError; get says so too, snapshot needs none", () => {
    using pair = new Pair();
    const { reader } = pair;
    using session = reader.lock();
    const calls = [
      () => reader.lock(),
      () => reader.tryLock(),
      () => reader.read(() => {}),
      () => reader.get("count"),
    ];
    for (const again of calls) {
      const error = thrownBy(again);
      expect(error).toBeInstanceOf(DeadlockError);
      expect(error.message).toContain("this role has a session open; use that session");
    }
    expect([reader.snapshot().count, session.get("count")]).toEqual([3, 3]);
    session.release();
    // Inside read(fn) nothing else can run: what the role does is part of it.
    expect(reader.read(() => reader.get("count"))).toBe(3);
  });

  test("two roles of one thread do not wait for each other for ever", () => {
    using pair = new Pair();
    using session = pair.manager.lock();
    session.data.count = 50;
    expect(thrownBy(() => pair.reader.lock())).toBeInstanceOf(DeadlockError);
    expect(thrownBy(() => pair.reader.get("count"))).toBeInstanceOf(DeadlockError);
    // Copies need no lock, and show what is committed.
    expect(pair.reader.snapshot().count).toBe(3);
  });

  test("asynchronous sessions wait for the lock, up to their timeout or signal", async () => {
    using pair = new Pair();
    const { manager, reader } = pair;
    const held = manager.lock();
    const timedOut = reader.lockAsync({ timeoutMs: 5 }).catch((error) => error);
    expect(await timedOut).toBeInstanceOf(LockTimeoutError);
    const abort = new AbortController();
    const aborted = reader.lockAsync({ signal: abort.signal }).catch((error) => error);
    abort.abort(new Error("enough"));
    expect(String(await aborted)).toBe("Error: enough");
    expect(await reader.lockAsync({ signal: AbortSignal.abort("at once") }).catch((error) => error)).toBe(
      "at once",
    );
    const waiting = reader.lockAsync();
    held.release();
    const session = await waiting;
    expect(session.data.count).toBe(3);
    const refusal = thrownBy(() => reader.get("count"));
    expect(refusal).toBeInstanceOf(DeadlockError);
    expect(refusal.message).toContain("an asynchronous session of this role holds it");
    expect(reader.snapshot().count).toBe(3);
    session.release();
    expect(reader.get("count")).toBe(3);
  });

  test("asynchronous sessions of one role take turns", async () => {
    using pair = new Pair();
    const order: string[] = [];
    const turn = async (name: string) => {
      using _ = await pair.manager.lockAsync();
      order.push(`${name} in`);
      await Bun.sleep(1);
      order.push(`${name} out`);
    };
    await Promise.all(["a", "b", "c"].map(turn));
    expect(order).toEqual(["a in", "a out", "b in", "b out", "c in", "c out"]);
  });

  test("read refuses a function that awaits, as the lock would be gone", () => {
    using pair = new Pair();
    expect(() => pair.reader.read(() => Promise.resolve(1) as never)).toThrow(
      "read(fn): fn returned a promise, but the lock is held only until fn returns; use lockAsync",
    );
    expect(pair.reader.get("count")).toBe(3);
  });
});

describe("close", () => {
  test("after close every method throws ClosedError and every view TypeError", () => {
    using pair = new Pair();
    const { reader } = pair;
    const session = reader.lock();
    const { data } = session;
    const { pose, path, hits, cells } = data;
    const point = path.at(0);
    session.release();
    const { live } = reader;
    const snapshot = reader.snapshot();
    reader.close();
    reader.close();
    expect(reader.closed).toBe(true);
    for (const use of [
      () => reader.lock(),
      () => reader.tryLock(),
      () => reader.read(() => {}),
      () => reader.get("count"),
      () => reader.snapshot(),
      () => reader.live,
      () => reader.version,
      () => reader.lastUpdate,
    ])
      expect(thrownBy(use)).toBeInstanceOf(ClosedError);
    expect(reader.lockAsync()).rejects.toBeInstanceOf(ClosedError);
    for (const look of [
      () => data.count,
      () => data.name,
      () => data.serial,
      () => pose.x,
      () => point.y,
      () => hits.load(),
      () => cells[0],
      () => cells.at(0),
      () => [...cells],
      () => live.count,
      () => live.path.at(0).x,
      () => toObject(data as unknown as Robot),
    ])
      expect(look).toThrow(TypeError);
    expect(Bun.inspect(data)).toContain("Robot");
    expect(snapshot.count).toBe(3);
  });

  test("close gives an open session's lock back", () => {
    using pair = new Pair();
    const session = pair.reader.lock();
    pair.reader.close();
    expect(session.released).toBe(true);
    expect(() => session.data).toThrow(ClosedError);
    session.release();
    using writer = pair.manager.tryLock();
    expect(writer).toBeDefined();
  });

  test("close rejects asynchronous sessions that wait", async () => {
    using pair = new Pair();
    using _ = pair.manager.lock();
    const waiting = pair.reader.lockAsync().catch((error) => error);
    pair.reader.close();
    expect(await waiting).toBeInstanceOf(ClosedError);
  });
});

test("a Reader without a file says who makes it", () => {
  using temp = new TempDir();
  const error = thrownBy(() => new Reader(Robot, { dir: temp.dir }));
  expect(error).toBeInstanceOf(FileMissingError);
  expect(error.message).toBe(
    `there is no shared file '${temp.file("Robot_.mmap")}'; a Manager makes it: new Manager(Robot, { dir: ${JSON.stringify(temp.dir)}, create: true })`,
  );
  expect(thrownBy(() => new Reader(Robot, { dir: temp.file("nowhere/deep") })).code).toBe("FILE_MISSING");
});

test("what a hint tells to write keeps the caller's dir, tag, name and className", () => {
  using temp = new TempDir();
  const { dir } = temp;
  const left = { dir, tag: "left", className: "Arm" };
  const given = `className: "Arm", dir: ${JSON.stringify(dir)}, tag: "left"`;
  const opening = (cls: StructClass, options: object) =>
    thrownBy(() => new Reader(cls as never, options)).message;
  expect(opening(Robot, left)).toEndWith(`new Manager(Robot, { ${given}, create: true })`);
  const name = `/shmstruct-none-${process.pid}`;
  expect(opening(Robot, { name })).toEndWith(`new Manager(Robot, { name: "${name}", create: true })`);
  using manager = new Manager(Robot, { ...left, create: true });
  expect(opening(Pattern, left)).toEndWith(
    `new Manager(Pattern, { ${given}, create: true, force: true }), which erases its content.`,
  );
  const bytes = readFileSync(manager.path);
  writeFileSync(manager.path, bytes.fill(0xff, bytes.length - 100));
  expect(opening(Robot, left)).toContain(
    `a Manager with { ${given}, create: true, force: true } recreates it, which erases its content`,
  );
});
