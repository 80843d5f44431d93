import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { exportStruct } from "../../src/codegen/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import { Editor, LeaseLostError, Manager, Reader } from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { recordType } from "../../src/record/record-content.ts";
import { recordPlan } from "../../src/record/record-plan.ts";
import { createSegment } from "../../src/segment/create.ts";
import { classPlace } from "../../src/segment/place.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { run } from "../codegen/peers.ts";
import { isEmulated } from "../support/platform.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { whileItLasts } from "../support/while-it-lasts.ts";
import { Item, isWatched, isWhole, itemOf, killedWithAJob, Ledger, setBack, takeSoon } from "./shared.ts";

const header = join(import.meta.dir, "../../interop/c");
const source = join(import.meta.dir, "peer.c");
const STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", `-I${header}`];

const SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
/**
 * What the C program is compiled by; the first is used for all that follows. A compiler under emulation takes its time. One
 * optimizes: sanitizers find no less without that, and gcc needs a third of the time.
 */
const compilers: [command: string, flags: string[], language: "c" | "cpp"][] = [
  ["gcc", ["-std=c11", ...(isEmulated ? ["-O1"] : SANITIZERS)], "c"],
  ["clang", ["-std=c11", "-O1"], "c"],
  ["g++", ["-std=c++17"], "cpp"],
];
const used = isEmulated ? compilers.slice(0, 1) : compilers;

let root: string;
const peerOf = (compiler: string) => join(root, `peer-${compiler}`);

async function compile(
  [command, flags, language]: (typeof compilers)[number],
  ...output: string[]
): Promise<void> {
  const include = join(root, language);
  mkdirSync(include, { recursive: true });
  writeFileSync(join(include, "Ledger.h"), exportStruct(Ledger, language));
  writeFileSync(join(include, "Item.h"), exportStruct(Item, language));
  const input = language === "cpp" ? ["-x", "c++", source] : [source];
  const compiling = Bun.spawn(
    [command, ...flags, ...STRICT, `-I${include}`, ...input, ...output, "-pthread"],
    {
      stderr: "pipe",
    },
  );
  const text = await new Response(compiling.stderr).text();
  if ((await compiling.exited) !== 0) throw new Error(`${command}: ${text.slice(0, 4000)}`);
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "shmstruct-c-"));
  const present = used.filter(([command]) => hasTool(command));
  await Promise.all(present.map((one) => compile(one, "-o", peerOf(one[0]))));
}, 240_000);
afterAll(() => rmSync(root, { recursive: true, force: true }));

let directories = 0;
const newDirectory = (): string => {
  const dir = join(root, `d${directories++}`);
  mkdirSync(dir);
  return dir;
};

const ask = (command: string[], compiler = "gcc"): string => run([peerOf(compiler), ...command], root).trim();

const spawn = (command: string[], compiler = "gcc") =>
  Bun.spawn([peerOf(compiler), ...command], { stdout: "pipe", stderr: "inherit" });

describe.skipIf(!hasTool("gcc"))("the C header", () => {
  for (const [compiler] of used) {
    test.skipIf(!hasTool(compiler))(
      `a C program compiled by ${compiler} edits, rolls back, and is read by Bun`,
      () => {
        const dir = newDirectory();
        using manager = new Manager(Ledger, { dir, create: true });
        ask(["edits", dir, "100"], compiler);
        const data = manager.snapshot();
        expect(isWhole(data)).toBe(true);
        expect(data.count).toBe(BigInt(100 - 14));
        // Atomics belong to no transaction: rolling back leaves them.
        expect(manager.live.hits.load()).toBe(100);
        expect(manager.version).toBe(86);
        expect(Math.abs(data.header.time_stamp * 1000 - Date.now())).toBeLessThan(60_000);
      },
    );
  }

  test.skipIf(!hasTool("clang++") || isEmulated)("clang++ takes the C header", async () => {
    await compile(["clang++", ["-std=c++17"], "cpp"], "-fsyntax-only");
  });

  test("C creates a file that Bun opens, with what init wrote, and replaces it under an open Reader", () => {
    const dir = newDirectory();
    expect(ask(["create", dir, "7"])).toBe("created");
    using reader = new Reader(Ledger, { dir });
    expect(reader.snapshot().count).toBe(7n);
    expect(() => ask(["create", dir, "8"])).toThrow("ended with 1");
    const { version } = reader;
    expect(ask(["replace", dir, "9"])).toBe("created");
    expect(reader.snapshot().count).toBe(9n);
    expect(reader.version).toBeGreaterThan(version);
  });

  test("C refuses a name or tag that could leave the directory", () => {
    expect(ask(["names", root])).toBe("1 1 1 1 1 0");
  });

  test("after a writer in C or Bun is killed anywhere either repairs the file, and no reader sees half an edit", async () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    const reader = spawn(["snapshots", dir, "2000"]);
    const kills = 12;
    for (let i = 0; i < kills; i++) {
      const writer = spawn(["edits", dir, "-1"], i % 2 === 0 ? "gcc" : "clang");
      for await (const _ of linesOf(writer.stdout)) break;
      await Bun.sleep(1 + ((i * 7) % 13));
      writer.kill("SIGKILL");
      await writer.exited;
      for (let look = 0; look < 100; look++) expect(isWhole(manager.snapshot())).toBe(true);
      if (i % 3 === 0) manager.edit((data) => expect(isWhole(data)).toBe(true));
    }
    const [copies, torn, older] = (await new Response(reader.stdout).text()).trim().split(" ").map(Number);
    expect(copies).toBeGreaterThan(1000);
    expect([torn, older]).toEqual([0, 0]);
  }, 240_000);

  test("C and Bun repair a file whose pre-image is kept by blocks after writers are killed, and copies are whole", async () => {
    const dir = newDirectory();
    const layout = layoutOfClass(Ledger);
    const place = classPlace("Ledger", { dir }, "mmap");
    const plan = { ...recordPlan(layout, {}), blockBytes: 64 };
    createSegment(place, plan, recordType(layout, place), { mode: 0o600 });
    ask(["blocks", dir, "14"]);
    ask(["edits", dir, "7"]);
    const reader = spawn(["snapshots", dir, "1000"]);
    for (let i = 0; i < 8; i++) {
      const writer = spawn([i % 3 === 0 ? "edits" : "blocks", dir, "-1"], i % 2 === 0 ? "gcc" : "clang");
      for await (const _ of linesOf(writer.stdout)) break;
      await Bun.sleep(1 + ((i * 7) % 13));
      writer.kill("SIGKILL");
      await writer.exited;
    }
    const [copies, torn, older] = (await new Response(reader.stdout).text()).trim().split(" ").map(Number);
    expect(copies).toBeGreaterThan(100);
    expect([torn, older]).toEqual([0, 0]);
    expect(ask(["snapshots", dir, "20"]).split(" ").slice(1)).toEqual(["0", "0"]);
  }, 240_000);

  test("C takes its turn: it waits for a lock that Bun holds, and gives up after the time limit", () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    using session = manager.lock();
    expect(session.data.count).toBe(0n);
    expect(ask(["timeout", dir, "30"])).toBe("not within the timeout");
    using plain = new Manager(Ledger, { dir: newDirectory(), create: true, transactional: false });
    using _ = plain.lock();
    // Its copies are made under the lock.
    expect(ask(["locked", dirname(plain.path), "30"])).toBe("not within the timeout");
  });

  test("of two sleepers in C one watches, and both are told", async () => {
    const dir = newDirectory();
    using editor = new Manager(Ledger, { dir, create: true });
    const sleepers = [0, 1].map(() => spawn(["waits", dir, "1"]));
    const lines = sleepers.map(({ stdout }) => linesOf(stdout));
    for (const line of lines) await line.next();
    while (!isWatched(dir)) await Bun.sleep(1);
    editor.touch();
    for (const line of lines) expect((await line.next()).value).toBe("1");
    expect(await Promise.all(sleepers.map(({ exited }) => exited))).toEqual([0, 0]);
  }, 240_000);

  test("C's waiter is woken by Bun's commits, and wakes Bun with its own", async () => {
    const dir = newDirectory();
    using editor = new Manager(Ledger, { dir, create: true });
    for (const command of ["waits", "watches"]) {
      const waiter = spawn([command, dir, "3"]);
      const lines = linesOf(waiter.stdout);
      await lines.next();
      // Commits in a burst are one change: go on until it has seen three.
      const answer = lines.next();
      while (waiter.exitCode === null && (await Promise.race([answer, Bun.sleep(20)])) === undefined) {
        editor.edit((data) => {
          data.writer++;
        });
      }
      const { value } = await answer;
      if (command === "waits") expect(Number(value)).toBeGreaterThanOrEqual(3);
      else expect(value).toBe("seen");
      await waiter.exited;
    }
    const { version } = editor;
    const versions = editor.changes();
    const turn = versions.next();
    ask(["edits", dir, "1"]);
    expect((await turn).value).toBe(version + 1);
    await versions.return?.();
  }, 240_000);

  test("a forked child of a C program keeps no lock of its parent", async () => {
    const dir = newDirectory();
    using editor = new Manager(Ledger, { dir, create: true });
    const parent = spawn(["fork", dir]);
    const lines: string[] = [];
    for await (const line of linesOf(parent.stdout)) if (lines.push(line) === 2) break;
    const child = Number(lines.find((line) => Number(line) > 1));
    try {
      expect(lines).toContain("1");
      using session = editor.lock({ timeoutMs: 60_000 });
      expect(session.data.count).toBe(0n);
    } finally {
      process.kill(child, "SIGKILL");
    }
  });

  test("C reads and writes documents", () => {
    const path = join(newDirectory(), "config.json");
    using master = new JsonMap({ file: path, role: "master" } as never);
    master.write({ from: "Bun" });
    expect(ask(["document", path])).toBe('1 {"from":"Bun"}');
    expect(ask(["document", path, '{"from":"C"}'])).toBe('2 {"from":"C"}');
    expect(master.read() as unknown).toEqual({ from: "C" });
  });

  test("Bun receives what C publishes to a channel, and C what Bun publishes", async () => {
    const dir = newDirectory();
    ask(["publishes", dir, "40"]);
    using subscriber = new Subscriber(Item, { dir, from: "oldest" });
    for (let i = 0; i < 40; i++) {
      const message = subscriber.receive();
      expect(message).toMatchObject({ index: i, missed: 0, type: 7, epoch: 1, length: 128 });
      expect(message?.data.number).toBe(BigInt(i));
      expect(Math.abs((message?.sentAt ?? 0) - Date.now())).toBeLessThan(60_000);
    }
    using publisher = new Publisher(Item, { dir });
    expect([publisher.index, publisher.epoch]).toEqual([40, 2]);
    const receiver = spawn(["receives", dir, "540"]);
    const lines = linesOf(receiver.stdout);
    await lines.next();
    for (let i = 40; i < 540; i++) {
      publisher.send(itemOf(i));
      if (i % 50 === 0) await Bun.sleep(1);
    }
    expect((await lines.next()).value).toBe("540 0");
  });

  test("a subscriber in C receives a channel's next messages after an older copy is written over it", async () => {
    const dir = newDirectory();
    expect(await setBack(dir, [peerOf("gcc"), "received", dir])).toEqual([
      "5 0 4",
      "7 5 11",
      "5 0 4",
      "0 0 0",
    ]);
  });

  test("after a publisher in C is killed anywhere Bun takes over, and no message is torn", async () => {
    const dir = newDirectory();
    ask(["publishes", dir, "1"]);
    using subscriber = new Subscriber(Item, { dir, from: "oldest" });
    let [next, torn] = [0, 0];
    const receive = (): void => {
      for (let message = subscriber.receive(); message !== undefined; message = subscriber.receive()) {
        next += 1 + message.missed;
        const { number, values } = message.data;
        if (number !== BigInt(message.index) || !values.every((value) => value === number)) torn++;
      }
    };
    for (let i = 0; i < 10; i++) {
      const publisher = spawn(["publishes", dir, "-1"], i % 2 === 0 ? "gcc" : "clang");
      for await (const line of linesOf(publisher.stdout)) {
        expect(line.split(" ")[1]).toBe(String(i + 2));
        break;
      }
      const end = performance.now() + 5 + (i % 7);
      while (performance.now() < end) receive();
      publisher.kill("SIGKILL");
      await publisher.exited;
    }
    receive();
    // The last one may have died after its message was whole and before it had counted it: the next publisher does.
    new Publisher(Item, { dir }).close();
    expect(next).toBe(subscriber.published);
    expect(torn).toBe(0);
  }, 240_000);

  test("when workers in C are killed the queue loses no job", async () => {
    const dir = newDirectory();
    ask(["pushes", dir, "0", "1"]);
    const producer = spawn(["pushes", dir, "1", "1499"], "clang");
    const log = join(dir, "done.txt");
    // Into a file: what a killed process has written to a pipe may be lost.
    const work = (compiler: string) => {
      const stdout = openSync(log, "a");
      const worker = Bun.spawn([peerOf(compiler), "takes", dir, "300"], { stdout, stderr: "inherit" });
      closeSync(stdout);
      return worker;
    };
    for (let i = 0; i < 10; i++) {
      const workers = [work("gcc"), work("clang")];
      await Bun.sleep(40 + ((i * 7) % 13));
      for (const worker of workers) worker.kill("SIGKILL");
      await Promise.all(workers.map((worker) => worker.exited));
    }
    const last = work("gcc");
    expect(await producer.exited).toBe(0);
    expect(await last.exited).toBe(0);
    expect(await work("gcc").exited).toBe(0);
    const seen = new Map<number, number>();
    for (const line of readFileSync(log, "utf8").trim().split("\n")) {
      const [number, whole] = line.split(" ").map(Number);
      expect(whole).toBe(1);
      seen.set(number!, (seen.get(number!) ?? 0) + 1);
    }
    expect(seen.size).toBe(1500);
    // Those in hand when a worker was killed are done twice, and no others.
    expect([...seen.values()].reduce((sum, count) => sum + count - 1, 0)).toBeLessThanOrEqual(20);
  }, 240_000);

  test("Bun works on jobs that C pushes, and C on those that Bun pushes; a dead worker's job goes to the other", async () => {
    const dir = newDirectory();
    ask(["pushes", dir, "0", "10"]);
    using queue = new Queue(Item, { dir });
    for (let i = 0; i < 10; i++) {
      using job = queue.take({ timeoutMs: 60_000 });
      expect(job?.data.number).toBe(BigInt(i));
      expect(job?.done()).toBeUndefined();
    }
    for (let i = 10; i < 30; i++) queue.push(itemOf(i));
    const lines = ask(["takes", dir, "100"]).split("\n");
    expect(lines).toEqual(Array.from({ length: 20 }, (_, i) => `${i + 10} 1`));
    queue.push(itemOf(30));
    const holder = spawn(["holds", dir]);
    for await (const _ of linesOf(holder.stdout)) break;
    expect(queue.take({ timeoutMs: 0 })).toBeUndefined();
    holder.kill("SIGKILL");
    await holder.exited;
    using back = queue.take({ timeoutMs: 60_000 });
    expect([back?.data.number, back?.attempt]).toEqual([30n, 2]);
  });

  test("a queue that is resized takes C along, with the job that it has in hand", async () => {
    const dir = newDirectory();
    ask(["pushes", dir, "0", "3"]);
    using queue = new Queue(Item, { dir });
    const holder = spawn(["holds", dir, "300"]);
    const lines = linesOf(holder.stdout);
    await lines.next();
    queue.resize({ slots: 128 });
    expect((await lines.next()).value).toBe("no error");
    expect(await holder.exited).toBe(0);
    expect(queue.info()).toMatchObject({ slots: 128, ready: 2, taken: 0 });
  });

  test("in C, a job whose attempts are used up goes to the dead letters with its note, and stays where these are full", () => {
    const dir = newDirectory();
    using queue = new Queue(Item, { dir, create: true, slots: 2, maxAttempts: 3 });
    queue.push(itemOf(1));
    expect(ask(["fails", dir])).toBe("3 no error");
    expect(queue.counts()).toMatchObject({ ready: 0, taken: 0 });
    // Made by C, in the shape in which Bun opens it.
    using letter = queue.deadLetters.tryTake();
    expect([letter?.data.number, letter?.attempt]).toEqual([1n, 1]);
    expect(new TextDecoder().decode(letter?.user)).toBe("from C, in a text that is longer");
    letter?.release();
    queue.deadLetters.push(itemOf(2));
    queue.push(itemOf(3));
    expect(ask(["fails", dir])).toBe("3 full, or the buffer is too small");
    expect([queue.counts().delayed, queue.deadLetters.counts().ready]).toEqual([1, 2]);
  });

  test("C pushes to a queue that was recreated meanwhile, and gets an error from one that was deleted", async () => {
    const dir = newDirectory();
    new Queue(Item, { dir, create: true, slots: 8 }).close();
    const peer = Bun.spawn([peerOf("gcc"), "lines", dir], {
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
    expect(await push()).toBe("there is no such file, or no lock file beside it");
  });

  test("a job whose lease C extends is kept, and lost once C does not", async () => {
    await whileItLasts(250, async (leaseMs) => {
      const dir = newDirectory();
      using queue = new Queue(Item, { dir, create: true, slots: 8, leaseMs });
      queue.push(itemOf(1));
      const peer = spawn(["leases", dir, String(leaseMs * 1.6)]);
      const lines = linesOf(peer.stdout);
      await lines.next();
      expect(queue.take({ timeoutMs: leaseMs * 1.4 })).toBeUndefined();
      expect((await lines.next()).value).toBe("no error");
      using again = await takeSoon(queue);
      expect([again.data.number, again.attempt]).toEqual([1n, 2]);
      expect((await lines.next()).value).toBe("the job was given to another worker");
    });
  });

  test("the job of a stuck or killed Bun worker goes to C, and done() of the stuck one says so", async () => {
    const dir = newDirectory();
    using queue = new Queue(Item, { dir, create: true, slots: 8, leaseMs: 60 });
    queue.push(itemOf(1));
    const stuck = queue.take()!;
    await Bun.sleep(80);
    expect(ask(["takes", dir, "500"])).toBe("1 1");
    expect(() => stuck.done()).toThrow(LeaseLostError);
    queue.push(itemOf(2));
    await killedWithAJob(dir);
    expect(ask(["takes", dir, "20"])).toBe("2 1");
  });

  test("C refuses a file that others may truncate unless it is trusted", () => {
    const dir = newDirectory();
    ask(["create", dir, "1"]);
    chmodSync(join(dir, "Ledger_.mmap"), 0o666);
    expect(() => ask(["edits", dir, "1"])).toThrow("ended with 1");
    run(["env", "TRUST=1", peerOf("gcc"), "edits", dir, "1"], root);
  });

  test("C reads a backup", () => {
    const dir = newDirectory();
    using manager = new Manager(Ledger, { dir, create: true });
    ask(["edits", dir, "3"]);
    manager.backup(join(dir, "saved"));
    expect(ask(["backup", join(dir, "saved")])).toBe("the segment was opened for reading only\n3 3");
  });

  test("C refuses a file of another struct", () => {
    const dir = newDirectory();
    writeFileSync(
      join(dir, "Ledger_.mmap"),
      "nothing of ours, but longer than sixty-four bytes, so that it could be one",
    );
    expect(() => ask(["edits", dir, "1"])).toThrow("ended with 1");
    const another = newDirectory();
    ask(["create", another, "1"]);
    using other = new Editor(Ledger, { dir: another });
    expect(other.snapshot().count).toBe(1n);
  });
});
