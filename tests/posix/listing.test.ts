import { afterEach, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import fs, { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  listPosixObjects,
  MessageQueue,
  O_CREX,
  type PosixObjectList,
  Semaphore,
  SharedMemory,
} from "../../src/posix/index.ts";
import { isMusl } from "../../src/sys/libc/symbols.ts";
import { freshName, unlinkNames } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

afterEach(unlinkNames);

test("shared memory and semaphores are listed until they are unlinked", () => {
  // One name for two kinds of objects, where libc has a name for each kind.
  const names = isMusl() ? [freshName(), freshName()] : Array(2).fill(freshName());
  using memory = new SharedMemory({ name: names[0], flags: O_CREX, size: 123, mode: 0o640 });
  using semaphore = new Semaphore({ name: names[1], flags: O_CREX });
  const mine = () => listPosixObjects().objects.filter(({ name }) => names.includes(name));
  expect(
    mine()
      .map(({ kind, mode }) => [kind, mode])
      .sort(),
  ).toEqual([
    ["semaphore", 0o600],
    ["shared memory", 0o640],
  ]);
  expect(mine().find(({ kind }) => kind === "shared memory")).toMatchObject({
    size: 123,
    uid: process.geteuid!(),
  });
  memory.unlink();
  expect(mine().map(({ kind }) => kind)).toEqual(["semaphore"]);
  semaphore.unlink();
  expect(mine()).toEqual([]);
});

function isToldByItsBytes(): void {
  const names = [1, 2, 3].map(freshName);
  using semaphore = new Semaphore({ name: names[0]!, flags: O_CREX, initialValue: 2 });
  using other = new SharedMemory({ name: names[1]!, flags: O_CREX, size: 32 });
  using map = other.map();
  map.bytes.fill(255);
  using larger = new SharedMemory({ name: names[2]!, flags: O_CREX, size: 33 });
  const kindOf = (name: string) => listPosixObjects().objects.find((object) => object.name === name)?.kind;
  expect(names.map(kindOf)).toEqual(["semaphore", "shared memory", "shared memory"]);
  // They share their names, so the second kind is in the way of the first.
  const clash = () => new SharedMemory({ name: semaphore.name, flags: O_CREX, size: 8 });
  expect(clash).toThrow(/EEXIST .*; with musl a semaphore and shared memory cannot have the same name/);
  expect(larger.size).toBe(33);
}

// scripts/platform.sh musl runs it.
if (isMusl())
  test("a semaphore of musl is recognized by its bytes, as nothing in its name tells", isToldByItsBytes);

test("the listing says what cannot be seen", () => {
  const { objects, unseen } = listPosixObjects();
  if (unseen.length > 0) expect(unseen[0]).toStartWith("message queues: no mqueue file system is mounted");
  else expect(objects).toBeArray();
});

test("the listing says so where /proc cannot be read", () => {
  const refused = () => {
    throw new Error("EACCES: permission denied, open '/proc/self/mounts'");
  };
  const read = spyOn(fs, "readFileSync").mockImplementation(refused);
  try {
    expect(listPosixObjects().unseen).toEqual([expect.stringMatching(/^message queues: .*EACCES/)]);
  } finally {
    read.mockRestore();
  }
});

test("a mount point is decoded: /proc/self/mounts writes spaces and the like as octal numbers", () => {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct queues\\ "));
  writeFileSync(join(dir, "job"), "");
  const line = `none ${dir.replaceAll("\\", "\\134").replaceAll(" ", "\\040")} mqueue rw 0 0\n`;
  const read = spyOn(fs, "readFileSync").mockReturnValue(`proc /proc proc rw 0 0\n${line}`);
  try {
    const { objects, unseen } = listPosixObjects();
    expect(objects.filter(({ kind }) => kind === "message queue").map(({ name }) => name)).toEqual(["/job"]);
    expect(unseen).toEqual([]);
  } finally {
    read.mockRestore();
    rmSync(dir, { recursive: true });
  }
});

// A mount namespace of its own, where the queues' file system may be mounted.
const lister = join(import.meta.dir, "..", "process", "posix-lister.ts");
const withMount = 'mount -t mqueue none /mnt && exec "$0" "$1"';
const inNamespace = (script: string) =>
  Bun.spawnSync(["unshare", "-m", "sh", "-c", script, process.execPath, lister]);
const canMount = Bun.which("unshare") !== null && inNamespace("mount -t mqueue none /mnt").success;

test.skipIf(!canMount)("message queues are listed where mqueue is mounted (needs the right to mount)", () => {
  using queue = new MessageQueue({ name: freshName(), flags: O_CREX, maxMessages: 2, maxMessageSize: 16 });
  const { objects, unseen } = JSON.parse(inNamespace(withMount).stdout.toString()) as PosixObjectList;
  expect(unseen).toEqual([]);
  expect(objects.find(({ name }) => name === queue.name)).toMatchObject({
    kind: "message queue",
    mode: 0o600,
  });
});
