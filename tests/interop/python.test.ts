import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { exportStruct } from "../../src/codegen/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import {
  bits,
  c_bool,
  c_double,
  c_float,
  c_int8,
  c_int32,
  c_uint8,
  c_uint16,
  chars,
  enumOf,
  field,
  LeaseLostError,
  Manager,
  nested,
  Struct,
  type StructArray,
} from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { randomSchemas } from "../codegen/random.ts";
import { seedOfRun } from "../support/random.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { whileItLasts } from "../support/while-it-lasts.ts";
import { Item, isWatched, isWhole, itemOf, killedWithAJob, Ledger, setBack, takeSoon } from "./shared.ts";

const peerPath = join(import.meta.dir, "peer.py");
const root = mkdtempSync(join(tmpdir(), "shmstruct-py-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
// A copy, beside which Python keeps its bytecode: compiling the module takes as long as starting Python.
copyFileSync(join(import.meta.dir, "../../interop/python/shmstruct.py"), join(root, "shmstruct.py"));
const env = {
  ...process.env,
  PYTHONPATH: root,
  PYTHONDONTWRITEBYTECODE: "",
  MINE: root,
  COUNT: "20",
};

class Spot extends Struct {
  @field(c_double) x!: number;
}
/** A member of each kind. */
class Kinds extends Struct {
  @field(c_int8) small!: number;
  @field(c_bool) flag!: boolean;
  @field(c_float) real!: number;
  @field(chars(4)) name!: string;
  @nested(Spot) point!: Spot;
  @nested(Spot, 2) points!: StructArray<Spot>;
  @bits(c_uint8, 3) low!: number;
  @field(enumOf(c_int32, { idle: 0, moving: 1 })) mode!: 0 | 1;
  @field(c_uint16, { endian: "big" }) big!: number;
}

let directories = 0;
const newDirectory = (): string => {
  const dir = join(root, `d${directories++}`);
  mkdirSync(dir);
  return dir;
};

const spawn = (command: string[], more: Record<string, string> = {}) =>
  Bun.spawn(["python3", "-W", "error", peerPath, ...command], {
    env: { ...env, ...more },
    stdout: "pipe",
    stderr: "inherit",
  });

async function ask(command: string[], more: Record<string, string> = {}): Promise<string> {
  const child = spawn(command, more);
  const text = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return text.trim();
}

describe.skipIf(!hasTool("python3"))("the Python module", () => {
  test("Python refuses a lock for which its thread would wait for itself", async () => {
    const dir = newDirectory();
    using _manager = new Manager(Ledger, { dir, create: true });
    expect((await ask(["nested", dir])).split("\n")).toEqual([
      "True True",
      "True True True",
      "LockTimeoutError",
      "LockTimeoutError",
      "free again",
    ]);
  });

  test("an exception from a signal handler that strikes anywhere in a step keeps no lock beyond the object's next call", async () => {
    const dir = newDirectory();
    using _manager = new Manager(Ledger, { dir, create: true });
    using _map = new JsonMap({ file: join(dir, "document"), role: "master" });
    expect(await ask(["interrupted", dir, "250"])).toBe("kept 0 torn 0");
    expect(await ask(["handled", dir])).toBe("whole True");
  }, 240_000);

  test("Python refuses what JSON lacks, limits that are no time, names that are no file's, and a transaction that was closed", async () => {
    const dir = newDirectory();
    using _manager = new Manager(Ledger, { dir, create: true });
    using _map = new JsonMap({ file: join(dir, "document"), role: "master" });
    const limit = "a timeout must be a number of seconds or None, got";
    const name =
      "becomes part of a file name and must not contain a slash, NUL, another control character or half a surrogate pair, got";
    expect((await ask(["misuses", dir])).split("\n")).toEqual([
      "ValueError value.x: JSON has no nan",
      "ValueError value.a[1].b: JSON has no inf",
      "TypeError value: a key must be a str, got 1",
      "{'pair': [1, 2]}",
      "ClosedError 0",
      ...Array.from({ length: 6 }, () => `TypeError ${limit} 'soon' | ValueError ${limit} nan`),
      `ValueError the name of the struct ${name} '../x'`,
      "ValueError the name of the struct is empty: the file's name begins with it",
      `ValueError tag ${name} 'a/b'`,
      `ValueError tag ${name} 'a\\nb'`,
      "TypeError tag must be a str, got 5",
      "True True",
    ]);
  }, 240_000);

  test("Python edits, rolls back, and is read by Bun", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    expect(await ask(["edits", dir, "50"])).toBe("43");
    const data = manager.snapshot();
    expect(isWhole(data)).toBe(true);
    expect(data.count).toBe(43n);
    expect(manager.live.hits.load()).toBe(50);
    expect(await ask(["shared", dir])).toBe("43");
  });

  test("after a writer in Python or Bun is killed anywhere either repairs the file, and no reader sees half an edit", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    const reader = spawn(["snapshots", dir, "1500"]);
    for (let i = 0; i < 5; i++) {
      const writer = spawn(["edits", dir, "-1"]);
      for await (const _ of linesOf(writer.stdout)) break;
      await Bun.sleep(1 + ((i * 7) % 13));
      writer.kill("SIGKILL");
      await writer.exited;
      for (let look = 0; look < 100; look++) expect(isWhole(manager.snapshot())).toBe(true);
      if (i % 3 === 0) manager.edit((data) => expect(isWhole(data)).toBe(true));
    }
    const [copies, torn, older] = (await new Response(reader.stdout).text()).trim().split(" ").map(Number);
    expect(copies).toBeGreaterThan(100);
    expect([torn, older]).toEqual([0, 0]);
  }, 240_000);

  test("Python waits for a lock that Bun holds, and gives up after its time", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    using session = manager.lock();
    expect(session.data.count).toBe(0n);
    expect(await ask(["timeout", dir, "30"])).toBe("timeout");
  });

  test("Python copies a record without transactions under its lock, with a limit, and has its version without", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true, transactional: false });
    manager.edit((data) => {
      data.count = 1n;
    });
    using session = manager.lock();
    expect(session.data.count).toBe(1n);
    expect(await ask(["locked", dir, "30"])).toBe("1\ntimeout");
  });

  test("Python reads a document whose writers never pause under its lock, with a limit", async () => {
    const file = join(newDirectory(), "document");
    using map = new JsonMap({ file, role: "master" });
    map.write({ n: 1 });
    using lock = new RwLock({ path: `${file}.lock` });
    lock.acquire("exclusive");
    expect(await ask(["locked-document", file, "30"])).toBe("timeout");
  });

  test("Python's waiter is woken by Bun's commits, and wakes Bun with its own", async () => {
    const dir = newDirectory();
    using editor = new Manager(Ledger, { dir, create: true });
    const waiter = spawn(["waits", dir, "3"]);
    const lines = linesOf(waiter.stdout);
    await lines.next();
    // Commits in a burst are one change: go on until it has seen three.
    const answer = lines.next();
    while (waiter.exitCode === null && (await Promise.race([answer, Bun.sleep(20)])) === undefined)
      editor.touch();
    expect(Number((await answer).value)).toBeGreaterThanOrEqual(3);
    const { version } = editor;
    const versions = editor.changes();
    const turn = versions.next();
    await ask(["edits", dir, "1"]);
    expect((await turn).value).toBe(version + 1);
    await versions.return?.();
  }, 240_000);

  test("without libatomic Python edits, reads and waits all the same, and a Publisher and a Queue name the package", async () => {
    const without = { NO_ATOMICS: "1" };
    const dir = newDirectory();
    using editor = new Manager(Ledger, { dir, create: true });
    expect(await ask(["edits", dir, "20"], without)).toBe("17");
    expect(isWhole(editor.snapshot())).toBe(true);
    const waiter = spawn(["waits", dir, "1"], without);
    const lines = linesOf(waiter.stdout);
    await lines.next();
    editor.touch();
    expect((await lines.next()).value).toBe("18");
    const versions = editor.changes();
    const turn = versions.next();
    await ask(["edits", dir, "1"], without);
    expect((await turn).value).toBe(19);
    await versions.return?.();
    const [publisher, queue, ...reads] = (await ask(["needs", dir], without)).split("\n");
    for (const [what, message] of Object.entries({ Publisher: publisher, Queue: queue }))
      expect(message).toBe(
        `${what} needs libatomic.so.1, which is not here; on Debian and Ubuntu it is in the package libatomic1`,
      );
    expect(reads).toEqual(["5 True", "5"]);
  }, 240_000);

  test("Python takes a class that was exported, and refuses one that does not fit", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    manager.edit((data) => {
      data.count = 5n;
    });
    writeFileSync(join(root, "Ledger.py"), exportStruct(Ledger, "python"));
    expect(await ask(["mine", dir])).toBe("5\nmismatch True");
    manager.backup(join(dir, "saved"));
    expect(await ask(["backup", join(dir, "saved")])).toBe("5 5");
    chmodSync(join(dir, "Ledger_.mmap"), 0o666);
    expect(await ask(["untrusted", dir])).toBe("refused\n5");
    writeFileSync(join(dir, "Ledger_.mmap"), "x".repeat(256));
    chmodSync(join(dir, "Ledger_.mmap"), 0o600);
    expect(await ask(["damaged", dir])).toBe("refused");
  });

  test("a forked child of a Python program keeps no lock of its parent", async () => {
    const dir = newDirectory();
    using editor = new Manager(Ledger, { dir, create: true });
    const parent = spawn(["fork", dir]);
    const lines: string[] = [];
    for await (const line of linesOf(parent.stdout)) if (lines.push(line) === 2) break;
    const child = Number(lines.find((line) => /^\d+$/.test(line)));
    expect(lines.length, lines.join(" | ")).toBe(2);
    try {
      expect(lines).toContain("closed");
      using session = editor.lock({ timeoutMs: 60_000 });
      expect(session.data.count).toBe(0n);
    } finally {
      process.kill(child, "SIGKILL");
    }
  });

  const hasNumpy =
    hasTool("python3") &&
    Bun.spawnSync(["python3", "-c", "import numpy"], { stderr: "ignore" }).exitCode === 0;

  const hasAtomics =
    hasTool("python3") &&
    Bun.spawnSync(["python3", "-c", "import ctypes; ctypes.CDLL('libatomic.so.1')"], { stderr: "ignore" })
      .exitCode === 0;

  test.skipIf(!hasAtomics)(
    "of two sleepers in Python one watches, and both are told (needs libatomic)",
    async () => {
      const dir = newDirectory();
      using editor = new Manager(Ledger, { dir, create: true });
      const sleepers = [0, 1].map(() => spawn(["waits", dir, "1"]));
      const lines = sleepers.map(({ stdout }) => linesOf(stdout));
      for (const line of lines) await line.next();
      while (!isWatched(dir)) await Bun.sleep(1);
      editor.touch();
      for (const line of lines) expect((await line.next()).value).toBe("1");
      expect(await Promise.all(sleepers.map(({ exited }) => exited))).toEqual([0, 0]);
    },
    240_000,
  );

  test.skipIf(!hasAtomics)(
    "Bun receives what Python publishes to a channel, and Python what Bun publishes (needs libatomic)",
    async () => {
      const dir = newDirectory();
      new Publisher(Item, { dir, create: true, slots: 64 }).close();
      await ask(["publishes", dir, "40"]);
      using subscriber = new Subscriber(Item, { dir, from: "oldest" });
      for (let i = 0; i < 40; i++) {
        const message = subscriber.receive();
        expect(message).toMatchObject({ index: i, missed: 0, type: 7, epoch: 2, length: 128 });
        expect(message?.data.values.at(3)).toBe(BigInt(i));
        expect(Math.abs((message?.sentAt ?? 0) - Date.now())).toBeLessThan(60_000);
      }
      using publisher = new Publisher(Item, { dir });
      expect([publisher.index, publisher.epoch]).toEqual([40, 3]);
      const receiver = spawn(["receives", dir, "340"]);
      const lines = linesOf(receiver.stdout);
      await lines.next();
      for (let i = 40; i < 340; i++) {
        publisher.send(itemOf(i));
        if (i % 20 === 0) await Bun.sleep(1);
      }
      expect((await lines.next()).value).toBe("340 0");
    },
    240_000,
  );

  test("a subscriber in Python receives a channel's next messages after an older copy is written over it", async () => {
    const dir = newDirectory();
    expect(await setBack(dir, ["python3", peerPath, "received", dir], env)).toEqual([
      "5 0 4",
      "7 5 11",
      "5 0 4",
      "0 0 0",
    ]);
  });

  test.skipIf(!hasAtomics)(
    "after a publisher in Python is killed anywhere Bun takes over (needs libatomic)",
    async () => {
      const dir = newDirectory();
      new Publisher(Item, { dir, create: true, slots: 64 }).close();
      using subscriber = new Subscriber(Item, { dir, from: "oldest" });
      let [next, torn] = [0, 0];
      for (let i = 0; i < 4; i++) {
        const publisher = spawn(["publishes", dir, "-1"]);
        for await (const _ of linesOf(publisher.stdout)) break;
        await Bun.sleep(10 + i);
        publisher.kill("SIGKILL");
        await publisher.exited;
        for (let message = subscriber.receive(); message !== undefined; message = subscriber.receive()) {
          next += 1 + message.missed;
          if (!message.data.values.every((value) => value === BigInt(message.index))) torn++;
        }
      }
      // The last one may have died after its message was whole and before it had counted it: the next publisher does.
      new Publisher(Item, { dir }).close();
      expect(next).toBe(subscriber.published);
      expect(torn).toBe(0);
    },
    240_000,
  );

  test.skipIf(!hasAtomics)(
    "Bun and Python work on each other's jobs of a queue (needs libatomic)",
    async () => {
      const dir = newDirectory();
      using queue = new Queue(Item, { dir, create: true, slots: 64 });
      await ask(["pushes", dir, "0"]);
      for (let i = 0; i < 20; i++) {
        using job = queue.take({ timeoutMs: 60_000 });
        expect(job?.data.number).toBe(BigInt(i));
        expect(job?.done()).toBeUndefined();
      }
      for (let i = 20; i < 40; i++) queue.push(itemOf(i));
      const lines = (await ask(["takes", dir, "200"])).split("\n");
      expect(lines).toEqual(Array.from({ length: 20 }, (_, i) => `${i + 20} 1`));
      queue.push(itemOf(40));
      const holder = spawn(["holds", dir]);
      for await (const _ of linesOf(holder.stdout)) break;
      holder.kill("SIGKILL");
      await holder.exited;
      using back = queue.take({ timeoutMs: 60_000 });
      expect([back?.data.number, back?.attempt]).toEqual([40n, 2]);
    },
    240_000,
  );

  test.skipIf(!hasAtomics)(
    "Python's push and send refuse what is no struct of theirs, and say which member, value and type (needs libatomic)",
    async () => {
      const dir = newDirectory();
      using queue = new Queue(Item, { dir, create: true, slots: 64 });
      new Publisher(Item, { dir, create: true, slots: 64 }).close();
      using subscriber = new Subscriber(Item, { dir, from: "oldest" });
      const [pushed, sent, taken] = (await ask(["refuses", dir])).split("\n--\n");
      const u64 = "a c_uint64, an integer from 0 to 18446744073709551615";
      const item = "Item: expected a struct, a dict with members of Item or its 128 bytes, got";
      expect(pushed?.split("\n")).toEqual([
        `TypeError ${item} 5`,
        "ValueError Item: expected a struct of 128 bytes, got 3 bytes",
        `TypeError ${item} 'abc'`,
        `TypeError ${item} a list of 3`,
        `TypeError ${item} None`,
        "TypeError Item: has no member 'nope'; it has number, values",
        `ValueError Item.number: expected ${u64}, got -1`,
        `ValueError Item.number: expected ${u64}, got 18446744073709551616`,
        `TypeError Item.number: expected ${u64}, got '7'`,
        `TypeError Item.number: expected ${u64}, got 1.5`,
        "ValueError Item.values: expected an array of 15, got 2",
        "TypeError Item.values: expected an array of 15, got 5",
        `ValueError Item.values[0]: expected ${u64}, got -1`,
        "ValueError Item: expected a struct of 128 bytes, got 129 bytes",
        expect.stringMatching(/^TypeError Item: got a struct of another layout: Other\.id is not in /),
      ]);
      expect(sent?.replace(/\.channel'$/, ".queue'")).toBe(pushed!);
      expect(taken?.split("\n")).toEqual([
        ...Array.from({ length: 8 }, () => "taken"),
        "ValueError type must be a whole number from 0 to 4294967295, not -1",
      ]);
      expect([queue.size, subscriber.published]).toEqual([4, 4]);
      expect([1, 2, 3, 4].map(() => subscriber.receive()?.data.number)).toEqual([1n, 0n, 1n, 4n]);
    },
    240_000,
  );

  test.skipIf(!hasAtomics)(
    "Python's push refuses a value that a member of any kind cannot hold, and raw bytes take nothing but bytes (needs libatomic)",
    async () => {
      const dir = newDirectory();
      using queue = new Queue(Kinds, { dir, create: true, slots: 4 });
      const lines = (await ask(["refuses_members", dir])).split("\n");
      expect(lines).toEqual([
        "ValueError Kinds.small: expected a c_int8, an integer from -128 to 127, got 128",
        "TypeError Kinds.flag: expected a c_bool, True or False, got 2",
        "TypeError Kinds.flag: expected a c_bool, True or False, got 'yes'",
        "ValueError Kinds.real: expected a c_float, got 1e+39",
        "TypeError Kinds.real: expected a c_float, a number, got '1'",
        "ValueError Kinds.name: expected bytes of at most 4, got bytes of 5",
        "TypeError Kinds.name: expected bytes of at most 4, got 5",
        "TypeError Kinds.point: expected a dict with members of Spot, got 5",
        "TypeError Kinds.point.x: expected a c_double, a number, got '1'",
        "TypeError Kinds.point: has no member 'z'; it has x",
        "TypeError Kinds.points[1].x: expected a c_double, a number, got None",
        "ValueError Kinds.low: 8 does not fit into 3 bits, got 8",
        "ValueError Kinds.mode: expected one of idle (0), moving (1), got 7",
        "ValueError Kinds.big: expected a c_uint16, an integer from 0 to 65535, got 65536",
        expect.stringMatching(/^TypeError Kinds: has no member '_padding_9'; it has small, /),
        "taken",
      ]);
      using job = queue.take({ timeoutMs: 60_000 });
      const { small, flag, real, name, point, points, low, mode, big } = job!.data;
      expect([small, flag, real, name, point.x, low, mode, big]).toEqual([
        -128,
        true,
        1,
        "1234",
        2.5,
        7,
        1,
        65535,
      ]);
      expect([...points].map(({ x }) => x)).toEqual([1, 2]);
      using _raw = new Queue(Uint8Array, { dir, create: true, slots: 8, payloadBytes: 8 });
      expect((await ask(["refuses_bytes", dir])).split("\n")).toEqual([
        "TypeError expected bytes, got 5",
        "TypeError expected bytes, got a list of 2",
        "TypeError expected bytes, got 'abc'",
        "TypeError expected bytes, got a value of type dict",
        "ValueError 9 bytes in a slot of 8",
        ...["taken", "taken", "taken"],
      ]);
    },
    240_000,
  );

  test.skipIf(!hasAtomics)(
    "an exception from a signal handler leaves no slot of a queue half written, and no torn message (needs libatomic)",
    async () => {
      const dir = newDirectory();
      new Queue(Item, { dir, create: true, slots: 1024 }).close();
      new Publisher(Item, { dir, create: true, slots: 64 }).close();
      expect(await ask(["interrupted_slots", dir, "200"])).toBe("writing 0 bad 0");
    },
    240_000,
  );

  test.skipIf(!hasAtomics)(
    "a queue's dead letters and leases work in Python, also when it is recreated or deleted (needs libatomic)",
    async () => {
      const dir = newDirectory();
      {
        using queue = new Queue(Item, { dir, create: true, slots: 2, maxAttempts: 2 });
        queue.push(itemOf(1));
        expect(await ask(["fails", dir])).toBe("2");
        using letter = queue.deadLetters.tryTake();
        expect([letter?.data.number, letter?.attempt]).toEqual([1n, 1]);
        expect(new TextDecoder().decode(letter?.user)).toBe("from Python, in a text that is l");
        letter?.release();
        queue.deadLetters.push(itemOf(2));
        queue.push(itemOf(3));
        expect(await ask(["fails", dir])).toMatch(/^2 the dead letters of .* are full/);
        expect([queue.counts().delayed, queue.deadLetters.counts().ready]).toEqual([1, 2]);
      }
      await whileItLasts(250, async (leaseMs) => {
        using extended = new Queue(Item, { dir, create: true, force: true, slots: 8, leaseMs });
        extended.push(itemOf(1));
        const worker = linesOf(spawn(["leases", dir, String(leaseMs * 1.6)]).stdout);
        await worker.next();
        expect(extended.take({ timeoutMs: leaseMs * 1.4 })).toBeUndefined();
        expect((await worker.next()).value).toBe("extended");
        expect((await takeSoon(extended)).attempt).toBe(2);
        expect((await worker.next()).value).toBe("lost");
      });
      using leased = new Queue(Item, { dir, create: true, force: true, slots: 8, leaseMs: 60 });
      leased.push(itemOf(1));
      const stuck = leased.take()!;
      await Bun.sleep(80);
      expect(await ask(["takes", dir, "100"])).toBe("1 1");
      expect(() => stuck.done()).toThrow(LeaseLostError);
      leased.push(itemOf(2));
      await killedWithAJob(dir);
      expect(await ask(["takes", dir, "20"])).toBe("2 1");

      const peer = Bun.spawn(["python3", peerPath, "lines", dir], {
        env,
        stdin: "pipe",
        stdout: "pipe",
        stderr: "inherit",
      });
      const lines = linesOf(peer.stdout);
      const push = async (): Promise<unknown> => {
        peer.stdin.write("\n");
        peer.stdin.flush();
        return (await lines.next()).value;
      };
      expect(await push()).toBe("no error");
      using queue = new Queue(Item, { dir, create: true, force: true, slots: 8 });
      expect(await push()).toBe("no error");
      expect(queue.tryTake()?.data.number).toBe(1n);
      rmSync(queue.path);
      // Looked at every 100 ms.
      await Bun.sleep(150);
      expect(await push()).toBe("FileMissingError");
    },
    240_000,
  );

  test.skipIf(!hasNumpy)("a numpy view of an array writes to the struct (needs numpy)", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    expect(await ask(["numpy", dir])).toBe("float 60");
    expect(manager.snapshot().values.at(59)).toBe(7n);
  });

  test("Python makes a ctypes class of any layout, by its schema", async () => {
    const dir = newDirectory();
    const path = join(dir, "schemas.json");
    writeFileSync(path, JSON.stringify(await randomSchemas(seedOfRun(), 60, dir)));
    expect(await ask(["schemas", path])).toBe("60");
  });

  test("Python reads and writes documents", async () => {
    const path = join(newDirectory(), "config.json");
    using master = new JsonMap({ file: path, role: "master" });
    master.write({ from: "Bun" });
    expect(await ask(["document", path])).toBe("1 {'from': 'Bun'}");
    expect(await ask(["document", path, "Python"])).toBe("2 {'from': 'Python'}");
    expect(master.read() as unknown).toEqual({ from: "Python" });
  });
});
