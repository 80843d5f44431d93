/** Waiting for changes, whatever becomes of the file and of its lock meanwhile. */
import { expect, spyOn, test } from "bun:test";
import { openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Editor, Manager, type ManagerOptions, Reader, sizeof } from "../../src/index.ts";
import { until } from "../support/until.ts";
import { Robot } from "./structs.ts";
import { TempDir } from "./support.ts";

/** What the role sees from now on, until it is closed: a turn per change, then "ended". */
function turnsOf(role: Reader<Robot>): { seen: (number | "ended")[]; ended: Promise<void> } {
  const seen: (number | "ended")[] = [];
  const changes = role.changes();
  const loop = async (): Promise<void> => {
    for await (const version of changes) seen.push(version);
    seen.push("ended");
  };
  return { seen, ended: loop() };
}

test("two commits within one millisecond are two changes, also where only the header's time stamp tells them apart", async () => {
  using temp = new TempDir();
  const options = { dir: temp.dir, lockDir: temp.dir };
  // A file as IPMMAP makes it: no footer, the header code in front.
  const bytes = Buffer.alloc(sizeof(Robot));
  bytes.writeUInt16LE(0x1128);
  writeFileSync(temp.file("Robot_.mmap"), bytes);
  using editor = new Editor(Robot, options);
  using reader = new Reader(Robot, options);
  const changes = reader.changes();
  const clock = spyOn(Date, "now").mockReturnValue(1_800_000_000_000);
  try {
    for (let count = 1; count <= 20; count++) {
      const turn = changes.next();
      await Bun.sleep(count % 3);
      editor.set("count", count);
      const told = await Promise.race([turn.then(() => "told"), Bun.sleep(60_000).then(() => "not told")]);
      expect([count, told, reader.get("count")]).toEqual([count, "told", count]);
    }
    expect(reader.lastUpdate?.getTime()).toBe(1_800_000_000_000);
  } finally {
    clock.mockRestore();
  }
});

for (const [before, after] of [
  ["flock", "flock"],
  ["flock", "fcntl"],
  ["fcntl", "flock"],
] as const) {
  test(`changes() goes on when a Manager replaces a file with ${before} by one with ${after}`, async () => {
    using temp = new TempDir();
    const options: ManagerOptions = { dir: temp.dir, lockDir: temp.dir, create: true, force: true };
    using _first = new Manager(Robot, { ...options, lock: before });
    const reader = new Reader(Robot, { dir: temp.dir, lockDir: temp.dir });
    const { seen, ended } = turnsOf(reader);
    await Bun.sleep(30);
    using second = new Manager(Robot, { ...options, lock: after });
    await until(() => seen.length === 1);
    second.set("count", 5);
    await until(() => seen.length === 2);
    expect([seen.includes("ended"), reader.get("count")]).toEqual([false, 5]);
    reader.close();
    await ended;
    expect(seen.at(-1)).toBe("ended");
  });
}

test("changes() goes on when the files are deleted by hand and created again", async () => {
  using temp = new TempDir();
  using first = new Manager(Robot, { dir: temp.dir, create: true });
  const reader = new Reader(Robot, { dir: temp.dir });
  const { seen, ended } = turnsOf(reader);
  await Bun.sleep(150);
  for (const path of [first.path, temp.file("Robot_.lock"), temp.file("Robot_.lock-page")]) rmSync(path);
  using second = new Manager(Robot, { dir: temp.dir, create: true });
  expect(reader.get("count")).toBe(0); // a lock finds out
  second.set("count", 5);
  await until(() => seen.length > 0 && reader.get("count") === 5);
  expect(seen).not.toContain("ended");
  reader.close();
  await ended;
});

test("changes() that itself finds the file replaced watches the new lock, and no descriptor of another file", async () => {
  using temp = new TempDir();
  const options: ManagerOptions = { dir: temp.dir, lockDir: temp.dir, create: true };
  using _first = new Manager(Robot, options);
  using editor = new Editor(Robot, { dir: temp.dir, lockDir: temp.dir });
  editor.waitForChange({ timeoutMs: 1 });
  using second = new Manager(Robot, { ...options, force: true, lock: "fcntl" });
  const changes = editor.changes();
  // These get the numbers that the closed descriptors had.
  writeFileSync(temp.file("bystander"), new Uint8Array(8192));
  for (let i = 0; i < 4; i++) openSync(temp.file("bystander"), "r+");
  const turn = changes.next();
  await Bun.sleep(30);
  second.set("count", 7);
  expect(await turn).toMatchObject({ done: false });
  expect(editor.get("count")).toBe(7);
  expect(readFileSync(temp.file("bystander"))).toEqual(Buffer.alloc(8192));
});

test("waitForChange() reports each replacement of the file once", () => {
  using temp = new TempDir();
  const options: ManagerOptions = { dir: temp.dir, lockDir: temp.dir, create: true, force: true };
  const managers = [new Manager(Robot, options)];
  using reader = new Reader(Robot, { dir: temp.dir, lockDir: temp.dir });
  for (const lock of ["flock", "fcntl", "flock", "flock"] as const) {
    managers.push(new Manager(Robot, { ...options, lock }));
    expect(reader.waitForChange({ timeoutMs: 0 })).toBe(true);
    expect(reader.waitForChange({ timeoutMs: 0 })).toBe(false);
  }
  for (const manager of managers) manager.close();
});

test("changes() that is woken finds out by itself that the file was deleted by hand and created again", async () => {
  using temp = new TempDir();
  using first = new Manager(Robot, { dir: temp.dir, create: true });
  const reader = new Reader(Robot, { dir: temp.dir });
  const { seen, ended } = turnsOf(reader);
  await Bun.sleep(150);
  rmSync(first.path);
  using second = new Manager(Robot, { dir: temp.dir, create: true });
  let commits = 0;
  await until(() => {
    second.set("count", ++commits);
    return seen.length > 0;
  });
  expect(reader.snapshot().count).toBeGreaterThan(0);
  reader.close();
  await ended;
});
