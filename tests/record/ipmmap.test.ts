/** Python processes that work as IPMMAP's do, on files of either's making. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DemoMmapStructure } from "../../demo/demo-struct.ts";
import { c_double, Editor, field, Manager, Reader, toObject } from "../../src/index.ts";
import { withoutEmulator } from "../support/platform.ts";
import { thrownBy } from "../support/thrown.ts";
import { linesOf } from "../support/tools.ts";
import { runBun, spawnBun, TempDir } from "./support.ts";

const FILE = "DemoMmapStructure_.mmap";
const STRUCT_BYTES = 688;

/** The interpreter that has fasteners: Debian's, for which python3-fasteners is a package. */
const python = ["/usr/bin/python3", "python3"].find(
  (name) =>
    Bun.which(name) !== null &&
    Bun.spawnSync([name, "-c", "import fasteners"], { stderr: "ignore" }).exitCode === 0,
);
if (python === undefined && process.env.CI)
  throw new Error("python3-fasteners is missing, and in CI no test is skipped");

/** One such process. */
class Peer implements Disposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncGenerator<string>;

  private constructor(dir: string) {
    const program = join(import.meta.dir, "../process/role-ipmmap.py");
    this.#child = Bun.spawn([python ?? "python3", program, dir, dir], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = linesOf(this.#child.stdout);
  }

  static async start({ dir }: TempDir): Promise<Peer> {
    const peer = new Peer(dir);
    expect(await peer.#answer()).toBe("ready");
    return peer;
  }

  async ask(...job: unknown[]): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify(job)}\n`);
    this.#child.stdin.flush();
    return this.#answer();
  }

  async #answer(): Promise<unknown> {
    return JSON.parse((await this.#lines.next()).value as string);
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

class Longer extends DemoMmapStructure {
  @field(c_double) extra!: number;
}

const optionsIn = ({ dir }: TempDir) => ({ dir, lockDir: dir });

describe.skipIf(python === undefined)("IPMMAP's processes (needs python3 with fasteners)", () => {
  test("a file of IPMMAP's opens as it is, and each side sees what the other writes", async () => {
    using temp = new TempDir();
    using peer = await Peer.start(temp);
    await peer.ask("create");
    expect(statSync(temp.file(FILE)).size).toBe(STRUCT_BYTES);
    using editor = new Editor(DemoMmapStructure, optionsIn(temp));
    using reader = new Reader(DemoMmapStructure, optionsIn(temp));
    expect([reader.get("data_int"), reader.version]).toEqual([0, 0]);
    expect(Math.abs(Number(reader.lastUpdate) - Date.now())).toBeLessThan(60_000);
    await peer.ask("set", { data_int: 7, data_string: "from Python" });
    expect([reader.get("data_string"), reader.snapshot().data_int, reader.live.data_int]).toEqual([
      "from Python",
      7,
      7,
    ]);
    editor.edit((data) => {
      data.data_int = 8;
      data.data_string = "from Bun";
      data.multi_pts.multi_points.at(23).y = 0.5;
    });
    expect(await peer.ask("get")).toMatchObject({
      header_code: 0x1128,
      data_int: 8,
      data_string: "from Bun",
      last: 0.5,
    });
    expect(statSync(temp.file(FILE)).size).toBe(STRUCT_BYTES);
    expect(existsSync(temp.file("DemoMmapStructure_.lock"))).toBe(false);
  });

  test("edits of a file of IPMMAP's can be rolled back", async () => {
    using temp = new TempDir();
    using peer = await Peer.start(temp);
    await peer.ask("create");
    await peer.ask("set", { data_int: 7 });
    using editor = new Editor(DemoMmapStructure, optionsIn(temp));
    expect(() =>
      editor.edit((data) => {
        data.data_int = 9;
        throw new Error("undo");
      }),
    ).toThrow("undo");
    expect(await peer.ask("get")).toMatchObject({ data_int: 7 });
  });

  test("a Manager may keep a file of IPMMAP's, or replace it by one with a footer", async () => {
    using temp = new TempDir();
    using peer = await Peer.start(temp);
    await peer.ask("create");
    await peer.ask("set", { data_int: 7 });
    using keeper = new Manager(DemoMmapStructure, { ...optionsIn(temp), create: true });
    expect([keeper.get("data_int"), statSync(keeper.path).size]).toEqual([7, STRUCT_BYTES]);
    using maker = new Manager(DemoMmapStructure, {
      ...optionsIn(temp),
      create: true,
      force: true,
      lock: "fcntl",
    });
    const { version } = maker;
    maker.set("data_int", 1);
    expect(await peer.ask("get")).toMatchObject({ data_int: 1 });
    expect([keeper.get("data_int"), keeper.version]).toEqual([1, version + 1]);
  });

  test('a file made with lock: "fcntl" is usable by editors and readers of IPMMAP', async () => {
    using temp = new TempDir();
    using manager = new Manager(DemoMmapStructure, { ...optionsIn(temp), create: true, lock: "fcntl" });
    using peer = await Peer.start(temp);
    await peer.ask("set", { data_int: 3 });
    expect(manager.get("data_int")).toBe(3);
    manager.set("data_xy", { x: 1, y: 2 });
    expect(await peer.ask("get")).toMatchObject({ header_code: 0x1128, data_int: 3, x: 1, y: 2 });
    expect(readdirSync(temp.dir).sort()).toEqual([
      "DemoMmapStructure_.lockfile",
      "DemoMmapStructure_.lockfile-page",
      FILE,
    ]);
  });

  test("IPMMAP's locks and ours exclude each other, both ways and in both modes", async () => {
    using temp = new TempDir();
    using manager = new Manager(DemoMmapStructure, { ...optionsIn(temp), create: true, lock: "fcntl" });
    using reader = new Reader(DemoMmapStructure, optionsIn(temp));
    using peer = await Peer.start(temp);
    const written = manager.lock();
    expect([await peer.ask("try", "read"), await peer.ask("try", "write")]).toEqual([false, false]);
    written.release();
    const read = reader.lock();
    expect([await peer.ask("try", "read"), await peer.ask("try", "write")]).toEqual([true, false]);
    read.release();
    await peer.ask("hold", "write");
    expect([reader.tryLock(), manager.tryLock()]).toEqual([undefined, undefined]);
    const late = await manager.lockAsync({ timeoutMs: 20 }).catch((error) => error);
    expect(late.message).toContain("no exclusive lock");
    expect(withoutEmulator(late.message)).toMatch(/held by process \d+ \(\S*python3/);
    await peer.ask("release");
    await peer.ask("hold", "read");
    reader.tryLock()?.release();
    expect(manager.tryLock()).toBeUndefined();
    await peer.ask("release");
    manager.lock({ timeoutMs: 60_000 }).release();
  });

  for (const [maker, edits] of [
    ["Python", { theirs: 2000, ours: 4000 }],
    ["a Manager of ours", { theirs: 2000, ours: 4000 }],
  ] as const) {
    const total = edits.theirs + 2 * edits.ours;
    test(`${total} contended edits by IPMMAP and Bun are not lost and not seen half, in a file made by ${maker}`, async () => {
      using temp = new TempDir();
      using editor = await Peer.start(temp);
      using watcher = await Peer.start(temp);
      if (maker === "Python") await editor.ask("create");
      else new Manager(DemoMmapStructure, { ...optionsIn(temp), create: true, lock: "fcntl" }).close();
      const ourWatcher = spawnBun("role-ipmmap.ts", ["watch", temp.dir]);
      const torn = await Promise.all([
        editor.ask("edit", edits.theirs, 0),
        watcher.ask("watch", 200, 0.005),
        runBun("role-ipmmap.ts", ["edit", temp.dir, edits.ours]).then(Number),
        runBun("role-ipmmap.ts", ["edit", temp.dir, edits.ours]).then(Number),
      ]);
      ourWatcher.stdin.end();
      expect([...torn, Number(await ourWatcher.stdout.text())]).toEqual([0, 0, 0, 0, 0]);
      using reader = new Reader(DemoMmapStructure, optionsIn(temp));
      expect(reader.get("data_int")).toBe(total);
    }, 240_000);
  }

  test("IPMMAP's force, which truncates the file and writes it in place, kills no process that has it open", async () => {
    for (const lock of [undefined, "fcntl"] as const) {
      using temp = new TempDir();
      using peer = await Peer.start(temp);
      if (lock === undefined) await peer.ask("create");
      else new Manager(DemoMmapStructure, { ...optionsIn(temp), create: true, lock }).close();
      using editor = new Editor(DemoMmapStructure, optionsIn(temp));
      using reader = new Reader(DemoMmapStructure, optionsIn(temp));
      for (let i = 1; i <= 100; i++) {
        editor.set("data_int", i);
        expect(await peer.ask("get")).toMatchObject({ data_int: i });
        await peer.ask("create");
        expect([reader.get("data_int"), reader.snapshot().data_int, reader.live.data_int]).toEqual([0, 0, 0]);
      }
      expect(statSync(temp.file(FILE)).size).toBe(STRUCT_BYTES);
    }
  }, 240_000);

  test("IPMMAP's clear zeroes the header code; roles that have the file open go on, and put it back", async () => {
    using temp = new TempDir();
    using peer = await Peer.start(temp);
    await peer.ask("create");
    using editor = new Editor(DemoMmapStructure, optionsIn(temp));
    await peer.ask("set", { data_int: 5 });
    await peer.ask("clear");
    expect([editor.get("data_int"), editor.lastUpdate]).toEqual([0, undefined]);
    expect(thrownBy(() => new Reader(DemoMmapStructure, optionsIn(temp))).code).toBe("FILE_FORMAT");
    editor.set("data_int", 6);
    using reader = new Reader(DemoMmapStructure, optionsIn(temp));
    expect(toObject(reader.snapshot())).toMatchObject({ data_int: 6, header: { header_code: 0x1128 } });
    // A file of ours is known by its footer, and opens all the same.
    using other = new TempDir();
    new Manager(DemoMmapStructure, { ...optionsIn(other), create: true, lock: "fcntl" }).close();
    using otherPeer = await Peer.start(other);
    await otherPeer.ask("clear");
    using late = new Reader(DemoMmapStructure, optionsIn(other));
    expect(late.get("header.header_code")).toBe(0);
  });

  test("a file of IPMMAP's that is too short for the class is refused", async () => {
    using temp = new TempDir();
    using peer = await Peer.start(temp);
    await peer.ask("create");
    const error = thrownBy(() => new Reader(Longer, { ...optionsIn(temp), className: "DemoMmapStructure" }));
    expect(error.code).toBe("FILE_FORMAT");
    expect(error.message).toContain("(688 bytes) has no footer of shmstruct");
    expect(error.message).toContain("too short for Longer (696 bytes)");
  });
});
