/** The record locks of Node.js, with a pool of threads whose calls are made when the test says so. */
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { closeAfterCalls, dropLateLocks, type Fcntl, setRecordLock } from "../../src/node/record-lock.ts";
import { fileLock } from "../../src/sync/file-lock.ts";
import { F_RDLCK, F_UNLCK, F_WRLCK } from "../../src/sys/libc/constants.ts";
import { libc } from "../../src/sys/libc/symbols.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const F_SETLK = 6;
const directory = temporaryDirectory();
let path = "";
let count = 0;
const opened: number[] = [];

// The library knows a lock by its descriptor and its file: each test has a file of its own.
beforeEach(() => {
  path = join(directory.path, `lock-${count++}`);
});
afterAll(() => directory[Symbol.dispose]());
afterEach(() => {
  for (const fd of opened.splice(0)) closeSync(fd);
});

function open(): number {
  const fd = openSync(path, "a+");
  opened.push(fd);
  return fd;
}

/** fs-ext's calls: as of a pool that is idle, or of one that is busy until `run()`. */
class Pool implements Fcntl {
  isBusy = false;
  readonly #calls: (() => void)[] = [];
  readonly #callbacks: (() => void)[] = [];

  get length(): number {
    return this.#calls.length;
  }

  fcntlSync(fd: number, command: number, argument: number): number {
    return libc().fcntl(fd, command, argument);
  }

  fcntl(fd: number, command: "setlk" | number, argument: number, done: (error: Error | null) => void): void {
    this.#calls.push(() => {
      if (command === "setlk") libc().fcntl(fd, F_SETLK, Int16Array.of(argument, ...new Int16Array(15)));
      else libc().fcntl(fd, command, argument);
      this.#callbacks.push(() => done(null));
    });
    if (!this.isBusy) this.run();
  }

  run(): void {
    for (const call of this.#calls.splice(0)) call();
  }

  /** What the event loop does once it runs. */
  callBack(): void {
    for (const callback of this.#callbacks.splice(0)) callback();
  }
}

const held = (fd: number): string | undefined =>
  / POSIX +\S+ +(READ|WRITE) /.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1];

/** Waits until the lock is no longer held; a lock that is never given back ends the test by its time limit. */
async function untilGivenBack(fd: number, look: () => void): Promise<void> {
  while (held(fd) !== undefined) {
    await Bun.sleep(5);
    look();
  }
}

test("takes a record lock, changes its type and gives it back", () => {
  const [pool, fd] = [new Pool(), open()];
  expect([setRecordLock(pool, fd, F_RDLCK), held(fd)]).toEqual([true, "READ"]);
  expect([setRecordLock(pool, fd, F_WRLCK), held(fd)]).toEqual([true, "WRITE"]);
  expect([setRecordLock(pool, fd, F_UNLCK), held(fd)]).toEqual([true, undefined]);
});

test("is refused while another holds it, and keeps what it had", () => {
  const [pool, fd, other] = [new Pool(), open(), fileLock("fcntl", open(), path)];
  expect(other.tryLock("shared")).toBe(true);
  expect(setRecordLock(pool, fd, F_RDLCK)).toBe(true);
  expect([setRecordLock(pool, fd, F_WRLCK), held(fd)]).toEqual([false, "READ"]);
  pool.callBack();
  expect(held(fd)).toBe("READ");
  expect([setRecordLock(pool, fd, F_UNLCK), held(fd)]).toEqual([true, undefined]);
  other.unlock();
});

test("a busy pool gets one call, and the next attempt finds what it took late", () => {
  const [pool, fd] = [new Pool(), open()];
  pool.isBusy = true;
  for (let i = 0; i < 3; i++) expect(setRecordLock(pool, fd, F_WRLCK)).toBe(false);
  // The lock, and the mark that tells of it.
  expect(pool.length).toBe(2);
  pool.run();
  expect([setRecordLock(pool, fd, F_WRLCK), held(fd), pool.length]).toEqual([true, "WRITE", 0]);
  pool.isBusy = false;
  expect([setRecordLock(pool, fd, F_UNLCK), held(fd)]).toEqual([true, undefined]);
});

test("what is taken after the attempt was given up is given back by the callback", async () => {
  const [pool, fd] = [new Pool(), open()];
  pool.isBusy = true;
  expect(setRecordLock(pool, fd, F_WRLCK)).toBe(false);
  pool.isBusy = false;
  pool.run();
  expect(held(fd)).toBe("WRITE");
  pool.callBack();
  // Some milliseconds later, as the next attempt may want it.
  await untilGivenBack(fd, () => pool.callBack());
});

test("a program that never comes back to its event loop gives it back at a look at the queue", async () => {
  const [pool, fd] = [new Pool(), open()];
  pool.isBusy = true;
  expect(setRecordLock(pool, fd, F_RDLCK)).toBe(false);
  pool.isBusy = false;
  pool.run();
  expect(held(fd)).toBe("READ");
  await untilGivenBack(fd, dropLateLocks);
});

test("what could not be given back at once is given back at the next look", async () => {
  const [pool, fd] = [new Pool(), open()];
  expect(setRecordLock(pool, fd, F_RDLCK)).toBe(true);
  pool.isBusy = true;
  expect([setRecordLock(pool, fd, F_WRLCK), setRecordLock(pool, fd, F_UNLCK)]).toEqual([false, true]);
  pool.isBusy = false;
  pool.run();
  expect(held(fd)).toBe("WRITE");
  await untilGivenBack(fd, dropLateLocks);
});

test("nothing is given back of another file that has the descriptor's number by now", () => {
  const [pool, fd] = [new Pool(), open()];
  pool.isBusy = true;
  expect(setRecordLock(pool, fd, F_WRLCK)).toBe(false);
  opened.splice(opened.indexOf(fd), 1);
  closeSync(fd);
  const another = openSync(join(directory.path, "another"), "a+");
  opened.push(another);
  expect(another).toBe(fd);
  pool.run();
  expect(held(another)).toBe("WRITE");
  pool.callBack();
  dropLateLocks();
  expect([held(another), pool.length]).toEqual(["WRITE", 0]);
});

test("a descriptor is closed when the calls that were begun on it have been made, which so meet no other file", () => {
  const [pool, fd] = [new Pool(), open()];
  opened.splice(opened.indexOf(fd), 1);
  const done: string[] = [];
  const close = (): void => {
    closeSync(fd);
    done.push("closed");
  };
  pool.isBusy = true;
  expect(setRecordLock(pool, fd, F_WRLCK)).toBe(false);
  closeAfterCalls(fd, close, () => done.push("unlocked"));
  const another = openSync(join(directory.path, "another"), "a+");
  opened.push(another);
  expect([another === fd, done]).toEqual([false, ["unlocked"]]);
  pool.run();
  expect([held(fd), held(another)]).toEqual(["WRITE", undefined]);
  pool.callBack();
  expect(done).toEqual(["unlocked", "closed"]);
});

test("a descriptor on which nothing is waited for is closed at once, also after a lock", () => {
  const [pool, fd] = [new Pool(), open()];
  opened.splice(opened.indexOf(fd), 1);
  expect(setRecordLock(pool, fd, F_WRLCK)).toBe(true);
  const done: string[] = [];
  closeAfterCalls(
    fd,
    () => done.push("closed"),
    () => done.push("unlocked"),
  );
  closeSync(fd);
  expect(done).toEqual(["closed"]);
  pool.callBack();
});
