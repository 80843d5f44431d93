import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FileLock, fileLock, type LockKind } from "../../src/sync/file-lock.ts";
import { hasTool } from "../support/tools.ts";

const dir = mkdtempSync(join(tmpdir(), "file-lock-"));
afterAll(() => rmSync(dir, { recursive: true }));

let files = 0;
/** Two locks of `kind` on one new file, each with its own open file. */
function pair(kind: LockKind): [FileLock, FileLock, path: string] {
  const path = join(dir, `file-${files++}`);
  writeFileSync(path, "");
  return [fileLock(kind, openSync(path, "r+"), path), fileLock(kind, openSync(path, "r+"), path), path];
}

describe.each(["flock", "fcntl"] as const)("kind %s", (kind) => {
  test("an exclusive lock excludes both modes, also inside one process", () => {
    const [a, b] = pair(kind);
    expect(a.tryLock("exclusive")).toBe(true);
    expect(b.tryLock("exclusive")).toBe(false);
    expect(b.tryLock("shared")).toBe(false);
    a.unlock();
    expect(b.tryLock("exclusive")).toBe(true);
  });

  test("shared locks exclude only an exclusive one", () => {
    const [a, b] = pair(kind);
    expect(a.tryLock("shared")).toBe(true);
    expect(b.tryLock("shared")).toBe(true);
    expect(b.tryLock("exclusive")).toBe(false);
    a.unlock();
    expect(b.tryLock("exclusive")).toBe(true);
  });

  test("lock() takes what is free at once, and unlock() without a lock does nothing", () => {
    const [a, b] = pair(kind);
    a.unlock();
    a.lock("exclusive");
    a.lock("shared");
    b.lock("shared");
    expect(a.tryLock("exclusive")).toBe(false);
  });

  test("closing the descriptor gives its lock back", () => {
    const path = join(dir, `file-${files++}`);
    const fd = openSync(path, "w+");
    fileLock(kind, fd, path).lock("exclusive");
    const other = fileLock(kind, openSync(path, "r+"), path);
    expect(other.tryLock("shared")).toBe(false);
    closeSync(fd);
    expect(other.tryLock("shared")).toBe(true);
  });

  test("a lock on a closed descriptor is a SystemError with the path", () => {
    const lock = fileLock(kind, 987654, "/somewhere");
    expect(() => lock.tryLock("shared")).toThrow(/'\/somewhere' failed: EBADF/);
    // Write permission would not help.
    expect(() => lock.lock("shared")).toThrow(/EBADF \(errno 9\)$/);
    expect(() => lock.unlock()).toThrow(/EBADF/);
  });

  test("a file lock survives the garbage collector", () => {
    const [a, b] = pair(kind);
    for (let round = 0; round < 20; round++) {
      Bun.gc(true);
      for (let i = 0; i < 1000; i++) new Int16Array(16).fill(7);
      expect(a.tryLock("exclusive")).toBe(true);
      expect(b.tryLock("shared")).toBe(false);
      a.unlock();
      expect(b.tryLock("shared")).toBe(true);
      b.unlock();
    }
  });
});

test("the two kinds of lock do not see each other, also on one descriptor", () => {
  const [a, b, path] = pair("flock");
  a.lock("exclusive");
  const record = fileLock("fcntl", openSync(path, "r+"), path);
  expect(record.tryLock("exclusive")).toBe(true);
  expect(b.tryLock("shared")).toBe(false);
});

test("an exclusive record lock needs write permission, a shared one and flock do not", () => {
  const path = join(dir, `file-${files++}`);
  writeFileSync(path, "");
  const fd = openSync(path, "r");
  expect(fileLock("fcntl", fd, path).tryLock("shared")).toBe(true);
  expect(() => fileLock("fcntl", fd, path).lock("exclusive")).toThrow(/EBADF.*needs write permission/);
  expect(fileLock("flock", fd, path).tryLock("exclusive")).toBe(true);
});

/** Runs a program that exits 0 when it got the lock without waiting and 1 when it did not. */
const gets = (...command: string[]): boolean => Bun.spawnSync(command, { stderr: "inherit" }).exitCode === 0;

/** A program that takes the lock, says "held" and keeps it until it is killed. */
async function holding<T>(command: string[], then: () => T): Promise<T> {
  const child = Bun.spawn(command, { stdout: "pipe", stdin: "pipe", stderr: "inherit" });
  const reader = child.stdout.getReader();
  await reader.read();
  try {
    return then();
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

test.skipIf(!hasTool("flock"))("flock(1) and kind flock exclude each other (needs flock)", async () => {
  const [a, , path] = pair("flock");
  const flock1 = (...options: string[]): boolean => gets("flock", "-n", ...options, path, "true");
  a.lock("shared");
  expect([flock1("-s"), flock1("-x")]).toEqual([true, false]);
  a.lock("exclusive");
  expect([flock1("-s"), flock1("-x")]).toEqual([false, false]);
  a.unlock();
  expect(flock1("-x")).toBe(true);

  const held = ["flock", "-o", path, "sh", "-c", "echo held; exec cat"];
  expect(await holding(held, () => a.tryLock("shared"))).toBe(false);
});

const PYTHON_TRY = `
import fcntl, sys
with open(sys.argv[1], "r+") as f:
    try: fcntl.lockf(f, (fcntl.LOCK_SH if sys.argv[2] == "shared" else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError: sys.exit(1)
`;
const PYTHON_HOLD = `
import fcntl, sys
f = open(sys.argv[1], "r+")
fcntl.lockf(f, fcntl.LOCK_SH if sys.argv[2] == "shared" else fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
`;

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

test.skipIf(!hasTool("python3"))(
  "Python's fcntl.lockf and kind fcntl exclude each other (needs python3)",
  async () => {
    const [a, , path] = pair("fcntl");
    const python = (mode: string): boolean => gets("python3", "-c", PYTHON_TRY, path, mode);
    a.lock("shared");
    expect([python("shared"), python("exclusive")]).toEqual([true, false]);
    a.lock("exclusive");
    expect([python("shared"), python("exclusive")]).toEqual([false, false]);
    a.unlock();
    expect(python("exclusive")).toBe(true);

    const attempts = (): boolean[] => [a.tryLock("shared"), a.tryLock("exclusive")];
    const hold = (mode: string): string[] => ["python3", "-c", PYTHON_HOLD, path, mode];
    expect(await holding(hold("shared"), attempts)).toEqual([true, false]);
    a.unlock();
    expect(await holding(hold("exclusive"), attempts)).toEqual([false, false]);
    expect(a.tryLock("exclusive")).toBe(true);
  },
);
