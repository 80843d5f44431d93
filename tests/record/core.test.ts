/** What all roles share: the file is current at every lock, cut files are found, threads exclude each other, nothing leaks. */
import { expect, setSystemTime, test } from "bun:test";
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  write,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { bytesOf, ClosedError, Editor, Manager, Reader, ShmError } from "../../src/index.ts";
import { rounds } from "../support/platform.ts";
import { descriptorsOf, mappingsOf } from "../support/resources.ts";
import { thrownBy } from "../support/thrown.ts";
import { linesOf } from "../support/tools.ts";
import { Robot } from "./structs.ts";
import { spawnBun, TempDir } from "./support.ts";

for (const lock of ["flock", "fcntl"] as const) {
  test(`a truncated file is an error at the next lock, and kills no process (${lock})`, async () => {
    using temp = new TempDir();
    const options = { dir: temp.dir, lockDir: temp.dir, create: true, lock };
    new Manager(Robot, options).close();
    const child = spawnBun("role-cut.ts", [temp.dir]);
    const lines = linesOf(child.stdout);
    const ask = async (): Promise<string[]> => {
      child.stdin.write("go\n");
      child.stdin.flush();
      return JSON.parse((await lines.next()).value as string);
    };
    expect((await lines.next()).value).toBe("ready");
    for (const byteLength of [143, 100, 10, 0]) {
      truncateSync(temp.file("Robot_.mmap"), byteLength);
      expect(new Set((await ask()).map((line) => line.split(" ")[1]))).toEqual(new Set(["FILE_FORMAT"]));
    }
    // An empty file might be any program's, so it is deleted by hand.
    rmSync(temp.file("Robot_.mmap"));
    using manager = new Manager(Robot, { ...options, force: true });
    manager.set("count", 41);
    expect(await ask()).toEqual([
      "get 41",
      "read 41",
      "lock undefined",
      "tryLock undefined",
      "edit 42",
      "set undefined",
      "touch undefined",
      "clear undefined",
    ]);
    child.stdin.end();
    expect([await child.exited, child.signalCode]).toEqual([0, null]);
  }, 240_000);
}

test("a file that grew is still the same file", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  const fd = openSync(manager.path, "a");
  writeSync(fd, "appended");
  closeSync(fd);
  manager.set("count", 2);
  expect(manager.get("count")).toBe(2);
});

test("workers of one process exclude each other, and the main thread", async () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  const rounds = 1000;
  const workers = Array.from(
    { length: 3 },
    () => new Worker(join(import.meta.dir, "../process/role-worker.ts")),
  );
  const done = workers.map((worker) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    worker.onmessage = () => resolve();
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage({ dir: temp.dir, rounds });
    return promise;
  });
  for (let round = 0; round < rounds; round++) {
    manager.edit((data) => {
      data.count += 1;
      data.twin = data.count;
    });
    const { count, twin } = manager.snapshot();
    if (count !== twin) throw new Error(`torn: ${count} ${twin}`);
  }
  await Promise.all(done);
  expect([manager.get("count"), manager.version]).toEqual([4 * rounds, 4 * rounds]);
  for (const worker of workers) worker.terminate();
}, 240_000);

test("memory that an asynchronous write still uses stays mapped, and close may be called again", async () => {
  using temp = new TempDir();
  new Manager(Robot, { dir: temp.dir, create: true }).close();
  const editor = new Editor(Robot, { dir: temp.dir });
  writeFileSync(temp.file("copy"), "");
  const fd = openSync(temp.file("copy"), "w");
  const { promise, resolve } = Promise.withResolvers<void>();
  write(fd, bytesOf(editor.live), 0, 144, 0, () => resolve());
  let busy: unknown;
  try {
    editor.close();
  } catch (error) {
    busy = error;
  }
  await promise;
  closeSync(fd);
  if (busy !== undefined) {
    expect(busy).toBeInstanceOf(ShmError);
    expect((busy as ShmError).code).toBe("BUSY");
    expect(editor.closed).toBe(false);
    expect(editor.get("count")).toBe(0);
    editor.close();
  }
  expect(editor.closed).toBe(true);
  expect(readFileSync(temp.file("copy")).readInt16LE(0)).toBe(0x1128);
});

/** Descriptors, mappings and resident memory: the first two of files in `dir`, as a removed file keeps its path. */
function resources(dir: string): { fds: number; maps: number; bytes: number } {
  return {
    fds: descriptorsOf(dir),
    maps: mappingsOf(dir),
    bytes: process.memoryUsage.rss(),
  };
}

// tests/soak/roles-leak.ts does it 100,000 times.
const ROUNDS = rounds(600);
const WARM_UP = 1000;

test(`${ROUNDS} rounds of opening and closing roles leave nothing behind`, () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  const round = (i: number): void => {
    using editor = new Editor(Robot, { dir: temp.dir });
    using reader = new Reader(Robot, { dir: temp.dir });
    editor.set("count", i);
    if (reader.get("count") !== i || reader.snapshot().count !== i || reader.live.count !== i)
      throw new Error("lost");
    if (i % 100 === 0) thrownBy(() => new Reader(Robot, { dir: temp.dir, tag: "none" }));
  };
  // Collected now and then: on a busy machine the collector's own threads come late, and the heap grows by what is garbage.
  const work = (count: number) => {
    for (let i = 0; i < count; i++) {
      round(i);
      if (i % 250 === 249) Bun.gc(true);
    }
    return resources(temp.dir);
  };
  const before = work(WARM_UP);
  const after = work(ROUNDS);
  expect([after.fds, after.maps]).toEqual([before.fds, before.maps]);
  // The engine's own memory comes and goes, which other test files in this process have filled; the soak looks at it more closely.
  expect(after.bytes - before.bytes).toBeLessThan(128 * 2 ** 20);
  expect(manager.version).toBe(ROUNDS + WARM_UP);
}, 240_000);

test("a file that grew and is replaced loses no commit: what was added hides the footer from the Manager", () => {
  using temp = new TempDir();
  using first = new Manager(Robot, { dir: temp.dir, create: true });
  using editor = new Editor(Robot, { dir: temp.dir });
  editor.set("count", 2);
  appendFileSync(first.path, "x");
  using second = new Manager(Robot, { dir: temp.dir, create: true, force: true });
  editor.set("count", 3);
  expect([editor.get("count"), second.get("count")]).toEqual([3, 3]);
});

test("a role moves on to a file that was put in the place of its own", async () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  manager.set("count", 1);
  renameSync(manager.path, temp.file("moved"));
  manager.set("count", 2); // moved away only: it still is the one that everybody has
  copyFileSync(temp.file("moved"), manager.path);
  await Bun.sleep(150);
  manager.set("count", 3);
  using other = new Editor(Robot, { dir: temp.dir });
  expect(other.get("count")).toBe(3);
});

test("with lock: fcntl, a wrong lockDir is an error and makes nothing", () => {
  using temp = new TempDir();
  const lockDir = temp.file("locks");
  using _manager = new Manager(Robot, { dir: temp.dir, create: true, lock: "fcntl", lockDir });
  new Editor(Robot, { dir: temp.dir, lockDir }).close();
  const elsewhere = temp.file("elsewhere");
  const options = { dir: temp.dir, lockDir: elsewhere };
  for (const open of [
    () => new Editor(Robot, options),
    () => new Reader(Robot, options),
    () => new Manager(Robot, options),
    () => new Manager(Robot, { ...options, create: true }),
  ]) {
    const error = thrownBy(open);
    expect([error.code, error.message]).toEqual(["FILE_MISSING", expect.stringContaining("lockDir")]);
  }
  expect(existsSync(elsewhere)).toBe(false);
});

test("the first waitForChange() counts from the opening of the role, a timeout forgets nothing", () => {
  using temp = new TempDir();
  for (const lock of ["flock", "fcntl"] as const) {
    using manager = new Manager(Robot, { dir: temp.dir, lockDir: temp.dir, create: true, force: true, lock });
    using reader = new Reader(Robot, { dir: temp.dir, lockDir: temp.dir });
    manager.set("count", 1);
    expect(reader.waitForChange({ timeoutMs: 1000 })).toBe(true);
    expect(reader.waitForChange({ timeoutMs: 0 })).toBe(false);
    manager.set("count", 2);
    expect(reader.waitForChange({ timeoutMs: 1000 })).toBe(true);
  }
});

test("a busy writer soon finds out that its file was deleted and created again", async () => {
  using temp = new TempDir();
  using first = new Manager(Robot, { dir: temp.dir, create: true });
  for (let i = 0; i < 20; i++) {
    first.set("count", 1);
    await Bun.sleep(5);
  }
  rmSync(first.path);
  using second = new Manager(Robot, { dir: temp.dir, create: true });
  for (let i = 0; i < 6000 && second.get("count") !== 2; i++) {
    first.set("count", 2);
    await Bun.sleep(5);
  }
  expect(second.get("count")).toBe(2);
});

test("a busy writer finds out that its file was deleted and created again even when the clock was set back by an hour", async () => {
  using temp = new TempDir();
  using first = new Manager(Robot, { dir: temp.dir, create: true });
  first.set("count", 1);
  try {
    setSystemTime(new Date(Date.now() - 3_600_000));
    rmSync(first.path);
    using second = new Manager(Robot, { dir: temp.dir, create: true });
    await Bun.sleep(150);
    first.set("count", 2);
    expect(second.get("count")).toBe(2);
  } finally {
    setSystemTime();
  }
});

test("asynchronous sessions that wait go on with the lock that replaces theirs", async () => {
  using temp = new TempDir();
  const options = { dir: temp.dir, lockDir: temp.dir, create: true };
  using first = new Manager(Robot, options);
  using editor = new Editor(Robot, { dir: temp.dir, lockDir: temp.dir });
  const held = first.lock();
  const waits = [editor.lockAsync(), editor.lockAsync(), editor.lockAsync()];
  await Bun.sleep(150);
  for (const path of [first.path, temp.file("Robot_.lock"), temp.file("Robot_.lock-page")]) rmSync(path);
  using second = new Manager(Robot, { ...options, lock: "fcntl" });
  held.release();
  for (const wait of waits) {
    using session = await wait;
    session.data.count += 1;
  }
  expect([editor.get("count"), second.get("count")]).toEqual([3, 3]);
});

test("close() rejects asynchronous sessions that wait for another role", async () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  const editor = new Editor(Robot, { dir: temp.dir });
  using _ = manager.lock();
  const wait = editor.lockAsync().catch((error: unknown) => error);
  await Bun.sleep(5);
  editor.close();
  expect(await wait).toBeInstanceOf(ClosedError);
});

test("a missing file is an error at every lock, until there is one again", async () => {
  using temp = new TempDir();
  using first = new Manager(Robot, { dir: temp.dir, create: true });
  using reader = new Reader(Robot, { dir: temp.dir });
  first.set("count", 1);
  rmSync(first.path);
  await Bun.sleep(150);
  for (let tries = 0; tries < 20; tries++) {
    expect(thrownBy(() => first.set("count", 2)).code).toBe("FILE_MISSING");
    expect(thrownBy(() => reader.get("count")).code).toBe("FILE_MISSING");
  }
  using second = new Manager(Robot, { dir: temp.dir, create: true });
  first.set("count", 3);
  expect([second.get("count"), reader.get("count")]).toEqual([3, 3]);
});

test("roles that have a damaged file open move on at once when a Manager replaces it", () => {
  using temp = new TempDir();
  for (const damage of ["schema", "magic", "everything"] as const) {
    using first = new Manager(Robot, { dir: temp.dir, create: true, force: true });
    using editor = new Editor(Robot, { dir: temp.dir });
    using reader = new Reader(Robot, { dir: temp.dir });
    editor.set("count", 1);
    const { size } = statSync(first.path);
    const fd = openSync(first.path, "r+");
    if (damage === "schema") writeSync(fd, "XX", size - 600);
    if (damage === "magic") writeSync(fd, "XX", size - 128);
    if (damage === "everything") writeSync(fd, Buffer.alloc(size - 2), 0, size - 2, 2);
    closeSync(fd);
    using second = new Manager(Robot, { dir: temp.dir, create: true, force: true });
    second.set("count", 100);
    expect([reader.snapshot().count, reader.live.count]).toEqual([100, 100]);
    editor.set("count", 7);
    expect(second.get("count")).toBe(7);
  }
});

test("a truncated file is an error for reads without a lock, too", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  using reader = new Reader(Robot, { dir: temp.dir });
  truncateSync(manager.path, 0);
  for (const use of [() => reader.lastUpdate, () => reader.version, () => manager.flush()])
    expect(thrownBy(use).code).toBe("FILE_FORMAT");
  // It is another state than before; what it is shows in the next call.
  expect(reader.waitForChange({ timeoutMs: 20 })).toBe(true);
});

test("a task that an editAsync has started may lock once the edit is over", async () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  const later = Promise.withResolvers<void>();
  await manager.editAsync(async (data) => {
    data.count = 1;
    setTimeout(() => {
      manager
        .editAsync((again) => {
          again.count += 1;
        })
        .then(later.resolve, later.reject);
    }, 20);
  });
  await later.promise;
  expect(manager.get("count")).toBe(2);
});

test("waitForChange() that could never end is a deadlock, whichever role of the thread holds the lock", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  using reader = new Reader(Robot, { dir: temp.dir });
  {
    using _ = manager.lock();
    expect(thrownBy(() => reader.waitForChange()).code).toBe("DEADLOCK");
  }
  manager.set("count", 1);
  expect(reader.waitForChange()).toBe(true);
});

test("Managers that make, replace and remove one file at once never see each other's half", async () => {
  using temp = new TempDir();
  const children = ["flock", "fcntl", "remove"].map((what) => spawnBun("role-managers.ts", [temp.dir, what]));
  const outputs = await Promise.all(children.map((child) => child.stdout.text()));
  expect(outputs.map((output) => JSON.parse(output).unexpected)).toEqual([[], [], []]);
}, 240_000);

test("a reader that only takes snapshots notices a file that was put in the place of its own", async () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  manager.set("count", 1);
  using reader = new Reader(Robot, { dir: temp.dir });
  const { live } = reader;
  expect([reader.snapshot().count, live.count]).toEqual([1, 1]);
  using other = new Manager(Robot, { dir: temp.dir, tag: "other", create: true });
  other.set("count", 2);
  renameSync(other.path, manager.path);
  await Bun.sleep(110);
  expect([reader.snapshot().count, reader.live.count, reader.get("count")]).toEqual([2, 2, 2]);
});
