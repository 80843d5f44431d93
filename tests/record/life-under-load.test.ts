/** Migrations, restores and backups while writers and readers are at work, and while the process that does them is killed. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { Editor, LayoutMismatchError, Manager, openReader, Reader, toObject } from "../../src/index.ts";
import { LEDGER, makeLedger } from "./ledger.ts";
import { UnitNew, UnitOld } from "./life-structs.ts";
import { runBun, spawnBun, TempDir } from "./support.ts";

/** tests/soak/life.ts asks for more. */
const [MIGRATIONS, KILLS, BACKUPS] = process.env.LIFE === undefined ? [20, 12, 50] : [100, 500, 1000];
const LIMIT_MS = process.env.LIFE === undefined ? 240_000 : 3_600_000;

const init = (data: UnitOld | UnitNew): void => {
  data.marker = 7;
};

test(
  "migrations back and forth lose no increment, show no zeros and no older version",
  async () => {
    using temp = new TempDir();
    const { dir } = temp;
    new Manager(UnitOld, { dir, create: true, init }).close();
    const path = temp.file("ledger");
    const ledger = makeLedger(path);
    const children = ["writer", "writer", "reader"].map((what) =>
      runBun("life-writer.ts", [dir, path, what]),
    );
    while (Atomics.load(ledger, LEDGER.started) < 3) await Bun.sleep(1);
    for (let i = 0; i < MIGRATIONS; i++) {
      new Manager(i % 2 === 0 ? UnitNew : UnitOld, { dir, create: true, migrate: true }).close();
      await Bun.sleep(10);
    }
    Atomics.store(ledger, LEDGER.stop, 1);
    const [a, b, reader] = (await Promise.all(children)).map((output) => JSON.parse(output));
    using end = new Reader(UnitOld, { dir });
    expect([end.get("count"), end.get("twin")]).toEqual([
      a.increments + b.increments,
      a.increments + b.increments,
    ]);
    expect([reader.zeros, reader.torn, reader.older]).toEqual([0, 0, 0]);
    expect(Math.min(a.moves, b.moves, reader.looks)).toBeGreaterThan(5);
    expect(Math.floor(end.version / 2 ** 32)).toBe(MIGRATIONS);
  },
  LIMIT_MS,
);

test(
  "a kill at any instant of a migration or a restore leaves the old file or the new one, whole",
  async () => {
    using temp = new TempDir();
    const { dir } = temp;
    {
      using manager = new Manager(UnitOld, { dir, create: true, init });
      manager.set("count", 41);
      manager.backup(temp.file("backup"));
    }
    for (let i = 0; i < KILLS; i++) {
      const child = spawnBun("life-victim.ts", [dir, temp.file("backup")]);
      await child.stdout.getReader().read();
      await Bun.sleep(Math.random() * 8);
      child.kill("SIGKILL");
      await child.exited;
      const cls = Manager.canOpen(UnitOld, { dir }).verdict === "equal" ? UnitOld : UnitNew;
      using editor = new Editor(cls as typeof UnitOld, { dir });
      editor.edit((data) => expect([data.marker, data.count]).toEqual([7, 41]), { timeoutMs: 60_000 });
    }
    new Manager(UnitOld, { dir, create: true, migrate: true }).close();
    expect(readdirSync(dir).filter((name) => name.includes(".new-"))).toEqual([]);
  },
  LIMIT_MS,
);

test(
  "backups under a writer are whole",
  async () => {
    using temp = new TempDir();
    const { dir } = temp;
    using manager = new Manager(UnitOld, { dir, create: true, init });
    const path = temp.file("ledger");
    const ledger = makeLedger(path);
    const writer = runBun("life-writer.ts", [dir, path, "writer"]);
    while (Atomics.load(ledger, LEDGER.started) < 1) await Bun.sleep(1);
    let states = 0;
    let last = 0;
    // However seldom the writer gets a core: until it has written between them often enough.
    for (let i = 0; i < BACKUPS || states <= 10; i++) {
      const version = manager.backup(temp.file("backup"));
      using copy = openReader(temp.file("backup"));
      const { marker, count, twin } = copy.snapshot();
      expect([marker, twin, version, copy.version]).toEqual([7, count, count as number, count as number]);
      Manager.restore(UnitOld, temp.file("backup"), { dir, tag: "restored" });
      using restored = new Reader(UnitOld, { dir, tag: "restored" });
      expect(toObject(restored.snapshot())).toEqual(toObject(copy.snapshot()) as never);
      if (count !== last) states++;
      last = count as number;
    }
    Atomics.store(ledger, LEDGER.stop, 1);
    await writer;
    expect(states).toBeGreaterThan(10);
    Manager.restore(UnitOld, temp.file("backup"), { dir });
    expect([manager.get("count"), manager.version]).toEqual([last, 2 ** 32]);
    expect(() => new Reader(UnitNew, { dir })).toThrow(LayoutMismatchError);
  },
  LIMIT_MS,
);
