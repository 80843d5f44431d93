/** Node.js with fs-ext and dist/node: the same files as Bun, C and Python. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Publisher } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import { FileMissingError, Manager, openReader, Reader } from "../../src/index.ts";
import { recordType } from "../../src/record/record-content.ts";
import { recordPlan } from "../../src/record/record-plan.ts";
import { createSegment } from "../../src/segment/create.ts";
import { classPlace } from "../../src/segment/place.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { build } from "../support/built.ts";
import { hasNodePeer, nodeEnvironment } from "../support/node-peer.ts";
import { linesOf } from "../support/tools.ts";
import { whileItLasts } from "../support/while-it-lasts.ts";
import { Item, isWhole, itemOf, Ledger } from "./shared.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "shmstruct-node-"));
  build();
}, 240_000);
afterAll(() => rmSync(root, { recursive: true, force: true }));

let directories = 0;
const newDirectory = (): string => {
  const dir = join(root, `d${directories++}`);
  mkdirSync(dir);
  return dir;
};

const spawn = (command: readonly string[]) =>
  Bun.spawn([...command], {
    env: {
      ...nodeEnvironment(),
      PYTHONPATH: join(import.meta.dir, "../../interop/python"),
      PYTHONDONTWRITEBYTECODE: "1",
    },
    stdout: "pipe",
    stderr: "inherit",
  });
const node = (...words: string[]): string[] => ["node", join(import.meta.dir, "peer.mjs"), ...words];

async function ask(...words: string[]): Promise<string> {
  const peer = spawn(node(...words));
  const text = await new Response(peer.stdout).text();
  expect([words[0], await peer.exited]).toEqual([words[0], 0]);
  return text.trim();
}

/** The first line of a peer, which goes on. */
async function started(peer: ReturnType<typeof spawn>): Promise<AsyncGenerator<string>> {
  const lines = linesOf(peer.stdout);
  await lines.next();
  return lines;
}

describe.skipIf(!hasNodePeer())("Node.js (needs node and fs-ext)", () => {
  test("Node.js edits and rolls back by the schema in the file, past numbers at which the sequence carries", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    manager.live.hits.store(5);
    expect(await ask("edits", dir, "700")).toBe("600");
    const data = manager.snapshot();
    expect([isWhole(data), data.count, data.hits.load(), manager.version]).toEqual([true, 600n, 5, 600]);
    expect(Math.abs(data.header.time_stamp * 1000 - Date.now())).toBeLessThan(60_000);
    expect(manager.info().deadWriter).toBe(false);
  });

  test("Node.js makes files that Bun opens, replaces them under an open Reader, migrates, backs up and removes them", async () => {
    const dir = newDirectory();
    expect(await ask("create", dir, "7")).toBe("0 7");
    using reader = new Reader(Ledger, { dir });
    expect(reader.snapshot().count).toBe(7n);
    expect(await ask("create", dir, "9")).toBe(`${2 ** 32} 9`);
    expect([reader.snapshot().count, reader.version]).toEqual([9n, 2 ** 32]);
    expect(await ask("migrate", dir)).toBe("true 0 0");
    expect([reader.snapshot().count, reader.version]).toEqual([9n, 2 * 2 ** 32]);
    using saved = openReader(join(dir, "saved"));
    expect(saved.snapshot().count).toBe(9n);
    using another = new Manager(Ledger, { dir: newDirectory(), create: true });
    await ask("remove", join(another.path, ".."));
    expect(() => another.lock()).toThrow(FileMissingError);
  });

  test("Node.js takes its turn in the queue for the lock, and gives up after the time limit with the holder's number", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    {
      using _ = manager.lock();
      expect(await ask("timeout", dir, "30")).toBe(`timeout ${process.pid}`);
    }
    await whileItLasts(300, async (ms) => {
      manager.set("count", 0n);
      const holder = spawn(node("holds", dir, String(ms)));
      const lines = await started(holder);
      // Nothing of its session is seen before its end, and no lock is had meanwhile.
      expect([manager.tryLock(), manager.snapshot().count]).toEqual([undefined, 0n]);
      using session = manager.lock({ timeoutMs: 60_000 });
      expect([(await lines.next()).value, session.data.count]).toEqual(["released", 99n]);
    });
  });

  test("readers in Node.js let a writer in, and a writer in Node.js gets its turn among readers", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    const readers = [spawn(node("shares", dir, "3")), spawn(node("shares", dir, "3"))];
    try {
      await Promise.all(readers.map(started));
      // Their holds overlap: without a queue the lock is never free.
      for (let i = 0; i < 5; i++) manager.set("writer", i, { timeoutMs: 60_000 });
      expect((await ask("waits-for-lock", dir, "5")).split("\n").length).toBe(5);
    } finally {
      for (const reader of readers) reader.kill("SIGKILL");
    }
  }, 240_000);

  test("after writers of a file whose pre-image is kept by blocks are killed Node.js repairs it as well", async () => {
    const dir = newDirectory();
    const [layout, place] = [layoutOfClass(Ledger), classPlace("Ledger", { dir }, "mmap")];
    const plan = { ...recordPlan(layout, {}), blockBytes: 64 };
    createSegment(place, plan, recordType(layout, place), { mode: 0o600 });
    using manager = new Manager(Ledger, { dir });
    expect(await ask("edits", dir, "140")).toBe("120");
    expect([isWhole(manager.snapshot()), manager.get("count")]).toEqual([true, 120n]);
    for (let i = 0; i < 3; i++) {
      const writer = spawn(node("edits", dir, "-1"));
      await started(writer);
      const end = performance.now() + 2 + 3 * i;
      while (performance.now() < end) expect(isWhole(manager.snapshot())).toBe(true);
      writer.kill("SIGKILL");
      await writer.exited;
      expect(isWhole(manager.snapshot())).toBe(true);
      const { count } = manager.snapshot();
      if (i === 0) manager.edit((data) => expect(data.count).toBe(count));
      else expect(BigInt(await ask("edits", dir, "1"))).toBe(BigInt(manager.version));
      expect(isWhole(manager.snapshot())).toBe(true);
    }
  }, 240_000);

  test("Node.js sees Bun's commits, and Bun sees those of Node.js", async () => {
    const dir = newDirectory();
    using editor = new Manager(Ledger, { dir, create: true });
    for (const command of ["waits", "changes"]) {
      const lines = await started(spawn(node(command, dir, "3")));
      const answer = lines.next();
      // Commits in a burst are one change: go on until it has seen three.
      while ((await Promise.race([answer, Bun.sleep(20)])) === undefined) editor.set("writer", 1);
      expect(Number((await answer).value)).toBeGreaterThanOrEqual(3);
    }
    const { version } = editor;
    const turn = editor.changes().next();
    await ask("edits", dir, "1");
    expect((await turn).value).toBe(version + 1);
  });

  test("what needs a mapping is an error in Node.js that says so", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    const lines = (await ask("unsupported", dir)).split("\n");
    for (const line of lines.slice(0, -1))
      expect(line).toMatch(
        /^\S+ UNSUPPORTED .* needs a mapping of the file, which Node\.js does not have: .*Bun/,
      );
    expect([lines.length, lines.at(-1), manager.version]).toEqual([8, "0 0", 0]);
  });

  test("Node.js and Bun write documents in turn and read them whole; killed masters leave a whole one", async () => {
    const path = join(newDirectory(), "config");
    using map = new JsonMap<Record<string, unknown>>({ file: path, role: "master" });
    map.write({ a: "grüße" });
    expect(await ask("document", path, "Node")).toBe('2 {"a":"grüße","from":"Node"}');
    expect([map.read(), map.version]).toEqual([{ a: "grüße", from: "Node" }, 2]);
    map.write({ n: 0, copies: Array.from({ length: 40 }, () => 0) });
    const counting = [spawn(node("counts", path, "120")), spawn(node("counts", path, "120"))];
    let torn = 0;
    while (counting.some(({ exitCode }) => exitCode === null)) {
      const { n, copies } = map.read() as { n: number; copies: number[] };
      if (copies.some((copy) => copy !== n)) torn++;
      await Bun.sleep(0);
    }
    expect([torn, (map.read() as { n: number }).n]).toEqual([0, 240]);
    for (let i = 0; i < 4; i++) {
      const victim = spawn(node("counts", path, "1000000"));
      const { version } = map;
      while (map.version < version + 3) await Bun.sleep(1);
      await Bun.sleep(i);
      victim.kill("SIGKILL");
      await victim.exited;
      map.update((found) => {
        const { n, copies } = found as { n: number; copies: number[] };
        expect(copies.every((copy) => copy === n)).toBe(true);
        return { n, copies };
      });
    }
  }, 240_000);

  test("a subscriber in Node.js receives, and peeks at, what Bun publishes", async () => {
    const dir = newDirectory();
    using publisher = new Publisher(Item, { dir, create: true, slots: 16 });
    const lines = await started(spawn(node("receives", dir, "400")));
    const answer = lines.next();
    let ended = false;
    void answer.then(() => {
      ended = true;
    });
    for (let i = 0; !ended; i++) {
      publisher.send(itemOf(i));
      if (i % 8 === 0) await Bun.sleep(1);
    }
    expect((await answer).value).toMatch(/^\d+ 0 true$/);
  });

  test("Node.js refuses a file of lock kind fcntl, and makes none", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, lockDir: join(dir, "locks"), create: true, lock: "fcntl" });
    const peer = Bun.spawn(node("python", dir, "1"), { env: nodeEnvironment(), stderr: "pipe" });
    expect(await new Response(peer.stderr).text()).toContain(
      'a lock of kind "fcntl", which Node.js cannot take',
    );
    expect(manager.get("count")).toBe(0n);
  });

  test("Node.js uses a file that others may truncate where that kills no reader, with Bun's check all the same", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    chmodSync(manager.path, 0o666);
    const peer = Bun.spawn(node("edits", dir, "1"), {
      env: nodeEnvironment(),
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await new Response(peer.stderr).text()).toContain("UntrustedFileError");
  });
});
