/** Sessions as objects: scopes, double releases, and what is left when something in them fails. */
import { expect, test } from "bun:test";
import { ClosedError, Editor, Manager, Reader } from "../../src/index.ts";
import { Robot } from "./structs.ts";
import { TempDir, thrownBy } from "./support.ts";

test("a scope ends its session, also when it is left by an error", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  const fail = () => {
    using session = manager.lock();
    session.data.count = 1;
    throw new Error("left");
  };
  expect(fail).toThrow("left");
  // `using` cannot know of the error: what was stored is committed. edit(fn) undoes it.
  expect([manager.get("count"), manager.version]).toEqual([1, 1]);
});

test("a session that was released stays so", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  using reader = new Reader(Robot, { dir: temp.dir });
  const first = manager.lock();
  first.data.count = 1;
  first.release();
  const second = manager.lock();
  second.data.count = 2;
  first.release();
  expect(thrownBy(() => first.rollback())).toBeInstanceOf(ClosedError);
  expect([second.released, reader.snapshot().count, reader.version]).toEqual([false, 1, 1]);
  second.release();
  expect([reader.snapshot().count, reader.version]).toEqual([2, 2]);
  const read = reader.lock();
  read.release();
  read.release();
  const error = thrownBy(() => read.get("count"));
  expect(error).toBeInstanceOf(ClosedError);
  expect(error.message).toContain("was released");
});

test("a session over a file that was unmapped in its middle gives the lock back", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  using editor = new Editor(Robot, { dir: temp.dir });
  const session = editor.lock();
  const { data } = session;
  editor.close();
  expect(() => {
    data.count = 1;
  }).toThrow(TypeError);
  session[Symbol.dispose]();
  using _ = manager.tryLock();
  expect(_).toBeDefined();
});

test("release sets the header code right that somebody's program wiped", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  manager.edit(({ header }) => {
    header.header_code = 7;
  });
  expect(manager.get("header.header_code")).toBe(0x1128);
});
