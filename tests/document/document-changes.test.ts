import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClosedError, FileFormatError, JsonMap, WaitTimeoutError } from "../../src/document/index.ts";
import { descriptorsOf, workers } from "../support/resources.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-json-changes-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let files = 0;
const newFile = (): string => join(dir, `d${files++}`);
const masterOf = (file: string) => new JsonMap<number>({ file, role: "master" });
const followerOf = (file: string) => new JsonMap<number>({ file, role: "follower" });

describe("changes", () => {
  test("changes tells every document that is new after the call, and the newest of a burst", async () => {
    const file = newFile();
    using master = masterOf(file);
    using follower = followerOf(file);
    master.write(1);
    await using changes = follower.changes();
    const next = changes.next();
    master.write(2);
    expect(await next).toEqual({ done: false, value: 2 });
    for (const n of [3, 4, 5]) master.write(n);
    expect(await changes.next()).toEqual({ done: false, value: 5 });
  });

  test("changes misses no write between the call and the first turn", async () => {
    const file = newFile();
    using master = masterOf(file);
    using follower = followerOf(file);
    await using changes = follower.changes();
    master.write(1);
    expect(await changes.next()).toEqual({ done: false, value: 1 });
  });

  test("changes begins with the document that is there when asked to", async () => {
    const file = newFile();
    using master = masterOf(file);
    using follower = followerOf(file);
    master.write(1);
    const seen: number[] = [];
    for await (const n of follower.changes({ initial: true })) {
      seen.push(n);
      if (n === 3) break;
      master.write(n + 1);
    }
    expect(seen).toEqual([1, 2, 3]);
  });

  test("changes come from other processes, also of a file that did not exist, and that grew", async () => {
    const file = newFile();
    using follower = new JsonMap<{ n: number }>({ file, role: "follower" });
    await using changes = follower.changes();
    const first = changes.next();
    const child = join(import.meta.dir, "../process/json-master.ts");
    const master = Bun.spawn([process.execPath, child, file, "120000", "50"], { stdout: "pipe" });
    let last = (await first).value!.n;
    while (last < 50) {
      const { n } = (await changes.next()).value!;
      expect(n).toBeGreaterThan(last);
      last = n;
    }
    expect(master.exitCode).toBeNull();
    master.kill("SIGKILL");
    await master.exited;
  }, 240_000);

  test("changes ends by return, also while a turn is waited for", async () => {
    const file = newFile();
    using _master = masterOf(file);
    for (const map of [followerOf(file), followerOf(newFile())]) {
      using follower = map;
      const changes = follower.changes();
      const turns = [changes.next(), changes.next()];
      await Bun.sleep(5);
      await changes.return?.();
      expect(await Promise.all(turns)).toEqual([
        { done: true, value: undefined },
        { done: true, value: undefined },
      ]);
      expect(await changes.next()).toEqual({ done: true, value: undefined });
    }
  });

  test("changes ends when the map is closed", async () => {
    const follower = followerOf(newFile());
    const waiting = follower.changes().next();
    follower.close();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  test("changes ends with the signal's reason", async () => {
    const file = newFile();
    using _master = masterOf(file);
    for (const map of [followerOf(file), followerOf(newFile())]) {
      using follower = map;
      const control = new AbortController();
      const waiting = follower.changes({ signal: control.signal }).next();
      await Bun.sleep(5);
      control.abort(new Error("enough"));
      expect(waiting).rejects.toThrow("enough");
      expect(() => follower.changes({ signal: control.signal })).toThrow("enough");
    }
  });

  test("changes ends with the error of a document that cannot be read", async () => {
    const file = newFile();
    using master = masterOf(file);
    const even = {
      "~standard": {
        version: 1 as const,
        vendor: "own",
        validate: (value: unknown) =>
          (value as number) % 2 === 0 ? { value: value as number } : { issues: [{ message: "is odd" }] },
      },
    };
    using follower = new JsonMap({ file, role: "follower", schema: even });
    const changes = follower.changes();
    const waiting = changes.next();
    master.write(1);
    await expect(waiting).rejects.toThrow("$: is odd");
    expect(await changes.next()).toEqual({ done: true, value: undefined });
  });

  test("changes come from a master that removes the file and makes it again, however few its documents are", async () => {
    const file = newFile();
    using follower = followerOf(file);
    {
      using master = masterOf(file);
      master.write(1);
    }
    await using changes = follower.changes();
    for (const n of [2, 3, 4]) {
      const turn = changes.next();
      await Bun.sleep(5);
      using master = masterOf(file);
      master.remove();
      master.write(n);
      expect((await turn).value).toBe(n);
    }
  });

  test("changes goes on when the lock file is deleted, with the next writer's lock", async () => {
    const file = newFile();
    using first = masterOf(file);
    using follower = followerOf(file);
    await using changes = follower.changes();
    let n = 0;
    const writtenBy = async (master: typeof first) => {
      const turn = changes.next();
      await Bun.sleep(5);
      master.write(++n);
      expect((await turn).value).toBe(n);
    };
    await writtenBy(first);
    rmSync(`${file}.lock`);
    using second = masterOf(file);
    await writtenBy(second);
    await writtenBy(first);
    rmSync(`${file}.lock`);
    rmSync(`${file}.lock-page`);
    await writtenBy(first);
    await writtenBy(second);
  });

  test.each(["the same", "another"])(
    "changes goes on when %s master makes deleted files again",
    async (which) => {
      const file = newFile();
      using first = masterOf(file);
      using follower = followerOf(file);
      await using changes = follower.changes({ initial: true });
      first.write(1);
      expect((await changes.next()).value).toBe(1);
      const turn = changes.next();
      for (const end of ["", ".lock", ".lock-page"]) rmSync(`${file}${end}`);
      await Bun.sleep(150);
      using other = which === "another" ? masterOf(file) : undefined;
      // Another master knows of no earlier file: its count begins again, and is news all the same.
      expect((other ?? first).write(2)).toBe(other === undefined ? 2 ** 32 + 1 : 1);
      expect((await turn).value).toBe(2);
      first.write(3);
      expect((await changes.next()).value).toBe(3);
    },
    240_000,
  );

  test("without a lock file changes says what is missing; reading does without", async () => {
    const file = newFile();
    masterOf(file).write(1);
    rmSync(`${file}.lock`);
    using follower = followerOf(file);
    expect(follower.read()).toBe(1);
    await expect(follower.changes().next()).rejects.toThrow(
      `the lock file '${file}.lock' of '${file}' does not exist: a wait for documents needs it; the next master makes it`,
    );
  });

  test("changes passes over a removed file", async () => {
    const file = newFile();
    using master = masterOf(file);
    using follower = followerOf(file);
    master.write(1);
    const waiting = follower.changes().next();
    master.remove();
    await Bun.sleep(5);
    master.write(2);
    expect(await waiting).toEqual({ done: false, value: 2 });
  });
});

test("with spinMs documents come without a thread that sleeps", async () => {
  const file = newFile();
  using master = masterOf(file);
  using follower = followerOf(file);
  const before = workers();
  const changes = follower.changes({ spinMs: 60_000 });
  for (let i = 0; i < 10; i++) {
    const turn = changes.next();
    setTimeout(() => master.write(i), 1);
    expect((await turn).value).toBe(i);
  }
  expect(workers()).toBeLessThanOrEqual(before);
  expect(() => follower.changes({ spinMs: -1 })).toThrow("spinMs must not be negative");
});

describe("waitForFirst", () => {
  test("waitForFirst gives the document that is there at once", async () => {
    const file = newFile();
    using master = masterOf(file);
    master.write(1);
    using follower = followerOf(file);
    expect(await follower.waitForFirst({ timeoutMs: 0 })).toBe(1);
  });

  test("waitForFirst waits for the first write, and for the file", async () => {
    const file = newFile();
    using early = followerOf(file);
    const first = early.waitForFirst();
    await Bun.sleep(5);
    using master = masterOf(file);
    using late = followerOf(file);
    const second = late.waitForFirst({ timeoutMs: 60_000 });
    await Bun.sleep(5);
    master.write(1);
    expect(await Promise.all([first, second])).toEqual([1, 1]);
  });

  test("waitForFirst waits no longer than asked", async () => {
    const file = newFile();
    using follower = followerOf(file);
    await expect(follower.waitForFirst({ timeoutMs: 20 })).rejects.toThrow(WaitTimeoutError);
    await expect(follower.waitForFirst({ timeoutMs: 20 })).rejects.toThrow(
      `there was no document in '${file}' within 20 ms`,
    );
    await expect(follower.waitForFirst({ timeoutMs: -1 })).rejects.toThrow(RangeError);
    await expect(follower.waitForFirst({ signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no");
    const control = new AbortController();
    const waiting = follower.waitForFirst({ signal: control.signal });
    control.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });

  test("waitForFirst fails when the map is closed meanwhile, or the file is not a document", async () => {
    const follower = followerOf(newFile());
    const waiting = follower.waitForFirst();
    follower.close();
    await expect(waiting).rejects.toThrow(ClosedError);
    const file = newFile();
    using late = followerOf(file);
    const failing = late.waitForFirst();
    await Bun.write(file, "no such document".repeat(40));
    await expect(failing).rejects.toThrow(FileFormatError);
  });
});

test("a process that has nothing left to wait for ends; no thread and no descriptor stays", async () => {
  const file = newFile();
  using master = masterOf(file);
  const once = async () => {
    using follower = followerOf(file);
    const changes = follower.changes();
    const turn = changes.next();
    master.write(1);
    await turn;
    await changes.return?.();
  };
  for (let i = 0; i < 3; i++) await once();
  await Bun.sleep(1200);
  const before = [workers(), descriptorsOf(dir)] as const;
  for (let i = 0; i < 5; i++) await once();
  // A thread that was told to stop looks once a second.
  for (let i = 0; i < 1200 && (workers() > before[0] || descriptorsOf(dir) > before[1]); i++)
    await Bun.sleep(50);
  expect(workers()).toBeLessThanOrEqual(before[0]);
  expect(descriptorsOf(dir)).toBeLessThanOrEqual(before[1]);
}, 240_000);
