/** Sessions as objects: scopes, double releases, and what is left when something in them fails. */
import { describe, expect, test } from "bun:test";
import { ClosedError, Editor, Manager, Reader } from "../../src/index.ts";
import { SESSION_TRANSITIONS, type SessionState } from "../../src/record/session.ts";
import { thrownBy } from "../support/thrown.ts";
import { Robot } from "./structs.ts";
import { dieMidEdit, openRecord, TempDir } from "./support.ts";

describe("the table of states", () => {
  /** A session that has stored a 1, in the state wanted; what it is now, the file tells. */
  class Stage implements Disposable {
    readonly #temp = new TempDir();
    readonly #manager: Manager<Robot>;
    readonly editor: Editor<Robot>;
    readonly session: ReturnType<Editor<Robot>["lock"]>;

    constructor(from: SessionState, event: string) {
      const { dir } = this.#temp;
      const transactional = !event.endsWith("irreversible");
      this.#manager = new Manager(Robot, { dir, create: true, transactional });
      this.editor = new Editor(Robot, { dir });
      this.session = this.editor.lock();
      this.session.data.count = 1;
      if (from === "committed") this.session.release();
      if (from === "rolled back") this.session.rollback();
      if (from === "abandoned") this.die();
    }

    /** What a writer leaves that dies: the lock is free, the store is there, the sequence says that it was not committed. */
    die(): void {
      this.session.rollback();
      dieMidEdit(Robot, { dir: this.#temp.dir }, (data) => {
        data.count = 1;
      });
    }

    lockByAnother(): void {
      this.#manager.lock().rollback();
    }

    get state(): SessionState {
      if (!this.session.released) return "open";
      if (this.#isSequenceOdd()) return "abandoned";
      const { count } = this.#manager.snapshot();
      expect(this.#manager.version).toBe(count);
      return count === 1 ? "committed" : "rolled back";
    }

    #isSequenceOdd(): boolean {
      const { file } = openRecord(Robot, { dir: this.#temp.dir });
      using _ = file;
      return (file.load(file.at.sequence) & 1) === 1;
    }

    [Symbol.dispose](): void {
      this.editor.close();
      this.#manager.close();
      this.#temp[Symbol.dispose]();
    }
  }

  const EVENTS: Record<string, (stage: Stage) => void> = {
    use: ({ session }) => expect(session.get("count")).toBe(1),
    "a bad value": ({ session }) => session.set("count", 2 ** 40),
    release: ({ session }) => session.release(),
    "end of the scope": ({ session }) => session[Symbol.dispose](),
    rollback: ({ session }) => session.rollback(),
    "rollback, irreversible": ({ session }) => session.rollback(),
    "close of the role": ({ editor }) => editor.close(),
    "close of the role, irreversible": ({ editor }) => editor.close(),
    death: (stage) => stage.die(),
    "lock of another writer": (stage) => stage.lockByAnother(),
  };

  for (const [from, event, to, error] of SESSION_TRANSITIONS) {
    test(`a session that was ${from} is ${to} after ${event}${error === undefined ? "" : `, which throws ${error}`}`, () => {
      using stage = new Stage(from, event);
      expect(stage.state).toBe(from);
      if (error === undefined) EVENTS[event]!(stage);
      else expect(thrownBy(() => EVENTS[event]!(stage)).name).toBe(error);
      expect(stage.state).toBe(to);
    });
  }
});

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

test("a session that was released stays released", () => {
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

test("release restores the header code that another program wiped", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  manager.edit(({ header }) => {
    header.header_code = 7;
  });
  expect(manager.get("header.header_code")).toBe(0x1128);
});
