/** What a hostile user tripped over: each of these once lost data, hung, or said yes to nonsense. */
import { expect, test } from "bun:test";
import { readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import {
  type Atomic,
  atomic,
  bytesOf,
  ClosedError,
  c_int32,
  c_uint32,
  DeadlockError,
  Editor,
  FileMissingError,
  field,
  Manager,
  MmapStructure,
  Reader,
  SystemError,
} from "shmstruct";
import { TempDir } from "./support.ts";

class World extends MmapStructure {
  @field(c_int32) a!: number;
  @field(atomic(c_uint32)) counter!: Atomic<number>;
  @field(c_int32) b!: number;
}

test("a rollback leaves atomics that other roles changed meanwhile", () => {
  using temp = new TempDir();
  using manager = new Manager(World, { dir: temp.dir, create: true });
  using editor = new Editor(World, { dir: temp.dir });
  using reader = new Reader(World, { dir: temp.dir });
  editor.edit((data) => {
    data.a = 1;
    data.b = 2;
  });
  const fail = () =>
    editor.edit((data) => {
      data.a = 10;
      manager.live.counter.add(7);
      data.b = 20;
      expect(reader.snapshot().counter.load()).toBe(7);
      throw new Error("no");
    });
  expect(fail).toThrow("no");
  expect(manager.live.counter.load()).toBe(7);
  expect(manager.snapshot()).toMatchObject({ a: 1, b: 2 });
});

test("an edit whose role is closed under it says that it was rolled back", async () => {
  using temp = new TempDir();
  using manager = new Manager(World, { dir: temp.dir, create: true });
  const editor = new Editor(World, { dir: temp.dir });
  const closing = () =>
    editor.edit((data) => {
      data.a = 9;
      editor.close();
    });
  expect(closing).toThrow(ClosedError);
  const other = new Editor(World, { dir: temp.dir });
  const closed = Promise.withResolvers<void>();
  const edit = other.editAsync(async (data) => {
    data.a = 9;
    await closed.promise;
  });
  await Bun.sleep(1);
  other.close();
  closed.resolve();
  expect(await edit.catch((error: unknown) => error)).toBeInstanceOf(ClosedError);
  expect(manager.get("a")).toBe(0);
});

test("an edit that stores after its role was closed under it says so too, with the runtime's error as the cause", async () => {
  using temp = new TempDir();
  using manager = new Manager(World, { dir: temp.dir, create: true });
  const editor = new Editor(World, { dir: temp.dir });
  const closing = () =>
    editor.edit((data) => {
      editor.close();
      data.a = 9;
    });
  expect(closing).toThrow(ClosedError);
  const other = new Editor(World, { dir: temp.dir });
  const [begun, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const edit = other.editAsync(async (data) => {
    begun.resolve();
    await closed.promise;
    data.a = 9;
  });
  await begun.promise;
  other.close();
  closed.resolve();
  const error = await edit.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ClosedError);
  expect(error).toMatchObject({ message: expect.stringContaining("closed"), cause: expect.any(TypeError) });
  expect(manager.get("a")).toBe(0);
});

test("a role whose memory was transferred away says so, and one that is opened again goes on", () => {
  using temp = new TempDir();
  using manager = new Manager(World, { dir: temp.dir, create: true });
  const editor = new Editor(World, { dir: temp.dir });
  const buffer = bytesOf(editor.live).buffer as ArrayBuffer;
  structuredClone(buffer, { transfer: [buffer] });
  const uses = [
    () => editor.live,
    () => editor.get("a"),
    () => editor.edit(() => {}),
    () => editor.snapshot(),
  ];
  for (const use of uses) {
    expect(use).toThrow(ClosedError);
    expect(use).toThrow(`the memory of '${editor.path}' was transferred away`);
  }
  editor.close();
  expect(manager.get("a")).toBe(0);
});

test("edit and read refuse an async function before it has done anything", async () => {
  using temp = new TempDir();
  using manager = new Manager(World, { dir: temp.dir, create: true });
  let ran = false;
  const wrong = async (): Promise<void> => {
    ran = true;
  };
  expect(() => manager.edit(wrong as never)).toThrow("fn is async");
  expect(() => manager.read(wrong as never)).toThrow("fn is async");
  expect(() => manager.edit(function* () {} as never)).toThrow("fn is a generator");
  expect(() => manager.edit(5 as never)).toThrow("expected a function, got 5");
  expect(ran).toBe(false);
});

test("an editAsync inside an editAsync of the same file is a deadlock, told at once", async () => {
  using temp = new TempDir();
  using manager = new Manager(World, { dir: temp.dir, create: true });
  const inner = () => manager.editAsync((data) => void data.a++);
  const outer = manager.editAsync(async () => await inner());
  expect(await outer.catch((error: unknown) => error)).toBeInstanceOf(DeadlockError);
  await Promise.all([inner(), inner(), inner()]);
  expect(manager.get("a")).toBe(3);
});

test("a worker that ends without closing gives its lock back", async () => {
  using temp = new TempDir();
  using manager = new Manager(World, { dir: temp.dir, create: true });
  const code = `
    import { Editor, MmapStructure, field, c_int32 } from "${import.meta.resolve("shmstruct")}";
    import { structFromSchema } from "${import.meta.resolve("shmstruct")}";
    const World = structFromSchema(${JSON.stringify((await import("shmstruct")).layoutOf(World))});
    const editor = new Editor(World, { dir: ${JSON.stringify(temp.dir)} });
    editor.lock();
    process.exit();`;
  await Bun.write(`${temp.dir}/worker.ts`, code);
  const worker = new Worker(`${temp.dir}/worker.ts`);
  await new Promise((resolve) => worker.addEventListener("close", resolve));
  using session = manager.lock({ timeoutMs: 60_000 });
  expect(session.released).toBe(false);
});

test("a replacement of the file by a Manager is a change, whatever the versions were", () => {
  using temp = new TempDir();
  const first = new Manager(World, { dir: temp.dir, create: true });
  using reader = new Reader(World, { dir: temp.dir });
  expect(reader.waitForChange({ timeoutMs: 0 })).toBe(false);
  first.set("a", 1);
  expect(reader.waitForChange({ timeoutMs: 50 })).toBe(true);
  first.close();
  using second = new Manager(World, { dir: temp.dir, create: true, force: true });
  expect(reader.waitForChange({ timeoutMs: 50 })).toBe(true);
  second.set("a", 2);
  expect(reader.waitForChange({ timeoutMs: 50 })).toBe(true);
  expect(reader.get("a")).toBe(2);
});

test("roles refuse options that are misspelt, mistyped or contradict each other", () => {
  using temp = new TempDir();
  const make = (options: unknown) => () => new Manager(World, options as never);
  expect(make({ directory: "x" })).toThrow(
    'new Manager: there is no option "directory"; the options are dir, tag',
  );
  expect(make({ dir: temp.dir, create: "false" })).toThrow("new Manager: option create must be a boolean");
  expect(make({ dir: 5 })).toThrow("new Manager: option dir must be a string, got 5");
  expect(make(null)).toThrow("new Manager: expected options such as { dir: … }, got null");
  expect(make({ dir: temp.dir, force: true })).toThrow("force replaces the file, so it needs create: true");
  expect(make({ name: "/x", dir: temp.dir })).toThrow("option name takes the place of dir and tag");
  expect(make({ dir: temp.dir, tag: "a\nb" })).toThrow(
    "must not contain a slash, NUL, another control character",
  );
  expect(() => new Reader(World, { timeout: 5 } as never)).toThrow(
    'new Reader: there is no option "timeout"',
  );
  expect(make({ dir: "a\ud800" })).toThrow("option dir");
  expect(make({ dir: temp.dir, tag: "t".repeat(250), create: true })).toThrow(/file name .* 255 bytes/);
  expect(readdirSync(temp.dir)).toEqual([]);
  using manager = new Manager(World, { dir: temp.dir, create: true });
  const others = {
    Editor: (options: object) => new Editor(World, { dir: temp.dir, ...options }).close(),
    Reader: (options: object) => new Reader(World, { dir: temp.dir, ...options }).close(),
  };
  for (const [name, role] of Object.entries(others)) {
    const open = (options: object) => () => role(options);
    for (const option of ["create", "force"])
      expect(open({ [option]: true })).toThrow(`new ${name}: option ${option} is for a Manager`);
    expect(open({ mode: 0o644 })).toThrow(`new ${name}: option mode is for a Manager`);
    expect(open({ lock: "fcntl" })).toThrow('was made with lock: "flock"');
    expect(open({ transactional: false })).toThrow("was made with transactional: true");
    open({ create: false, force: undefined, lock: "flock", transactional: true })();
  }
  expect(() => manager.changes(AbortSignal.abort() as never)).toThrow("changes: expected options");
});

test("a truncated file can still be removed", () => {
  using temp = new TempDir();
  const manager = new Manager(World, { dir: temp.dir, create: true });
  truncateSync(manager.path, 100);
  manager.remove();
  expect(manager.closed).toBe(true);
  using again = new Manager(World, { dir: temp.dir, create: true });
  expect(again.get("a")).toBe(0);
});

test("files deleted by hand are noticed at a later lock, by every role", async () => {
  using temp = new TempDir();
  using old = new Manager(World, { dir: temp.dir, create: true });
  old.set("a", 1);
  for (const name of readdirSync(temp.dir)) rmSync(temp.file(name));
  await Bun.sleep(110);
  expect(() => old.set("a", 2)).toThrow(FileMissingError);
  using fresh = new Manager(World, { dir: temp.dir, create: true });
  fresh.set("b", 3);
  await Bun.sleep(110);
  old.set("a", 4);
  expect(fresh.snapshot()).toMatchObject({ a: 4, b: 3 });
  rmSync(temp.file("World_.lock"));
  await Bun.sleep(110);
  old.set("a", 5);
  using session = old.lock();
  await Bun.sleep(110);
  expect(() => fresh.lock({ timeoutMs: 10 })).toThrow(DeadlockError);
  expect(session.data.a).toBe(5);
});

test("whatever the system refuses is a SystemError that names call and path", () => {
  using temp = new TempDir();
  writeFileSync(temp.file("file"), "");
  const places = ["/proc/nope", temp.file("file"), temp.file("n".repeat(300))];
  for (const dir of places) {
    for (const make of [() => new Manager(World, { dir, create: true }), () => new Reader(World, { dir })]) {
      try {
        make();
        throw new Error(`${dir} was accepted`);
      } catch (error) {
        const missing = error instanceof FileMissingError && dir === "/proc/nope";
        if (!missing) expect(error).toBeInstanceOf(SystemError);
      }
    }
  }
});
