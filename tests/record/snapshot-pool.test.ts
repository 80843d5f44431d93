/** A snapshot is memory of its own. */
import { expect, test } from "bun:test";
import { bytes, bytesOf, create, field, Manager, MmapStructure } from "../../src/index.ts";
import { Robot } from "./structs.ts";
import { TempDir } from "./support.ts";

class Large extends MmapStructure {
  @field(bytes(40_000)) data!: Uint8Array;
}

test("a hundred snapshots are a hundred states", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  const snapshots = Array.from({ length: 100 }, (_, i) => {
    manager.set("count", i);
    return manager.snapshot();
  });
  for (const snapshot of snapshots) snapshot.twin = snapshot.count;
  expect(snapshots.map(({ count }) => count)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(snapshots.every(({ count, twin }) => count === twin)).toBe(true);
});

test("a snapshot's buffer holds the struct and nothing else, and may be transferred", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  manager.set("count", 7);
  const [first, second] = [manager.snapshot(), manager.snapshot()];
  const { buffer } = bytesOf(first);
  expect(buffer.byteLength).toBe(144);
  structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  expect(() => first.count).toThrow(TypeError);
  expect([second.count, manager.snapshot().count]).toEqual([7, 7]);
});

test("large structs get a buffer each, so that one kept snapshot does not keep others alive", () => {
  using temp = new TempDir();
  using manager = new Manager(Large, { dir: temp.dir, create: true });
  const [first, second] = [manager.snapshot(), manager.snapshot()];
  expect(bytesOf(first).buffer).not.toBe(bytesOf(second).buffer);
});

test("an earlier snapshot can be overwritten by a later one", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  manager.set("count", 1);
  const first = manager.snapshot();
  const kept = manager.snapshot();
  manager.set("count", 2);
  expect(manager.snapshot(first)).toBe(first);
  expect([first.count, kept.count]).toEqual([2, 1]);
});

test("only snapshots are overwritten, never memory that may be shared", () => {
  using temp = new TempDir();
  using manager = new Manager(Robot, { dir: temp.dir, create: true });
  using large = new Manager(Large, { dir: temp.dir, create: true });
  manager.set("count", 1);
  const others = [manager.live, create(Robot), large.snapshot(), {}, null] as unknown as Robot[];
  for (const other of others) expect(() => manager.snapshot(other)).toThrow("an earlier snapshot of Robot");
  expect(manager.live.count).toBe(1);
});
