/** Programs that know nothing of this library but its lock file or its bytes. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Editor, LockTimeoutError, Manager, offsetof, Reader } from "../../src/index.ts";
import { hasNodePeer } from "../support/node-peer.ts";
import { isEmulated } from "../support/platform.ts";
import { thrownBy } from "../support/thrown.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { Robot } from "./structs.ts";
import { TempDir } from "./support.ts";

const processes = join(import.meta.dir, "../process");

/** A program that answers each line with a line. */
class Peer implements Disposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncGenerator<string>;

  constructor(command: string[]) {
    this.#child = Bun.spawn(command, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = linesOf(this.#child.stdout);
  }

  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
    this.#child.stdin.flush();
  }

  async answer(): Promise<string | undefined> {
    return (await this.#lines.next()).value as string | undefined;
  }

  async ask(line: string): Promise<string | undefined> {
    this.tell(line);
    return this.answer();
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

/** Counts a file up under the Editor's lock. */
function countUp(editor: Editor<Robot>, counter: string, rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    using _ = editor.lock();
    writeFileSync(counter, String(Number(readFileSync(counter, "utf8")) + 1));
  }
}

describe.skipIf(!hasNodePeer())("Node.js with fs-ext (needs node and fs-ext)", () => {
  test("Node.js with fs-ext and roles exclude each other, both ways and in both modes", async () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    using reader = new Reader(Robot, { dir: temp.dir });
    using peer = new Peer(["node", join(processes, "role-peer.cjs"), temp.file("Robot_.lock"), manager.path]);
    expect(await peer.answer()).toBe("ready");
    const written = manager.lock();
    expect([await peer.ask("try sh"), await peer.ask("try ex")]).toEqual(["busy", "busy"]);
    written.release();
    const read = reader.lock();
    expect([await peer.ask("try ex"), await peer.ask("try sh")]).toEqual(["busy", "got"]);
    read.release();
    expect(manager.tryLock()).toBeUndefined();
    reader.tryLock()?.release();
    expect(await peer.ask("try ex")).toBe("got");
    expect([manager.tryLock(), reader.tryLock()]).toEqual([undefined, undefined]);
    peer.tell("unlock");
    using session = manager.lock({ timeoutMs: 60_000 });
    expect(session.released).toBe(false);
  }, 240_000);

  test("10,000 contended edits of two fields by Node.js and Bun are not lost, and not seen half under a lock", async () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    using reader = new Reader(Robot, { dir: temp.dir });
    const places = [offsetof(Robot, "count"), offsetof(Robot, "twin")].map(String);
    const peer = join(processes, "role-peer.cjs");
    using node = new Peer(["node", peer, temp.file("Robot_.lock"), manager.path, ...places]);
    expect(await node.answer()).toBe("ready");
    const torn = node.ask("count 5000");
    for (let round = 0; round < 5000; round++) {
      manager.edit((data) => {
        data.count += 1;
        data.twin += 1;
      });
      const [count, twin] = reader.read((data) => [data.count, data.twin]);
      if (count !== twin) throw new Error(`seen half: ${count}, ${twin}`);
    }
    expect(await torn).toBe("0");
    expect([manager.get("count"), manager.get("twin")]).toEqual([10_000, 10_000]);
  }, 240_000);
});

describe.skipIf(!hasTool("flock"))("flock(1) (needs flock)", () => {
  test("flock(1) and roles exclude each other, both ways and in both modes", async () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    using reader = new Reader(Robot, { dir: temp.dir });
    const lock = temp.file("Robot_.lock");
    const attempt = (mode: string) => Bun.spawnSync(["flock", "-n", mode, lock, "true"]).exitCode === 0;
    const written = manager.lock();
    expect([attempt("-x"), attempt("-s")]).toEqual([false, false]);
    written.release();
    const read = reader.lock();
    expect([attempt("-x"), attempt("-s")]).toEqual([false, true]);
    read.release();
    using holder = new Peer(["flock", "-x", lock, "sh", "-c", "echo held; read _"]);
    expect(await holder.answer()).toBe("held");
    expect([manager.tryLock(), reader.tryLock()]).toEqual([undefined, undefined]);
    expect(reader.snapshot().count).toBe(0);
    const late = thrownBy(() => manager.lock({ timeoutMs: 20 }));
    expect(late).toBeInstanceOf(LockTimeoutError);
    expect(late.message).toMatch(/no exclusive lock on '.*' within 20 ms: held by process \d+/);
    holder.tell("go");
    manager.lock({ timeoutMs: 60_000 }).release();
  }, 240_000);

  test.skipIf(isEmulated)(
    "a shell that counts along under flock(1) loses no increment (not under emulation)",
    async () => {
      using temp = new TempDir();
      using manager = new Manager(Robot, { dir: temp.dir, create: true });
      const counter = temp.file("counter");
      writeFileSync(counter, "0");
      const script = `for i in $(seq 100); do flock -x "${temp.file("Robot_.lock")}" sh -c 'read n < "$0"; echo $((n + 1)) > "$0"' "${counter}"; done`;
      const shell = Bun.spawn(["sh", "-c", script], { stderr: "inherit" });
      for (let i = 0; i < 20; i++) {
        countUp(manager, counter, 50);
        await Bun.sleep(1);
      }
      expect(await shell.exited).toBe(0);
      expect(readFileSync(counter, "utf8").trim()).toBe("1100");
    },
    240_000,
  );
});

test.skipIf(!hasTool("python3"))(
  "Python with mmap and ctypes reads and writes the same fields live (needs python3)",
  async () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    using peer = new Peer(["python3", "-u", join(processes, "role-ctypes.py"), manager.path]);
    expect(JSON.parse((await peer.answer()) ?? "")).toEqual({ size: 144, header: 0x1128 });
    manager.edit((data) => {
      data.count = -7;
      data.serial = 2n ** 62n;
      data.name = "Grüße";
      data.cells.set([1, 2, 3, 255]);
      data.path.at(2).y = 0.25;
      data.hits.store(11);
    });
    expect(JSON.parse((await peer.ask("read")) ?? "")).toEqual({
      count: -7,
      serial: String(2n ** 62n),
      name: "Grüße",
      cells: [1, 2, 3, 255],
      y: 0.25,
      hits: 11,
      stamped: true,
    });
    using reader = new Reader(Robot, { dir: temp.dir });
    const { live } = reader;
    expect(await peer.ask('write {"count": 42, "twin": 43, "name": "né", "x": 1.5}')).toBe("written");
    expect([live.count, live.twin, live.name, live.pose.x]).toEqual([42, 43, "né", 1.5]);
    expect(reader.get("name")).toBe("né");
  },
);
