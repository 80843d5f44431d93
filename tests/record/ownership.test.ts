/** Fields that say who owns something: claimed once, given back by a death. */
import { expect, test } from "bun:test";
import { Editor, layoutOf, Manager, openReader } from "../../src/index.ts";
import { thrownBy } from "../support/thrown.ts";
import { linesOf } from "../support/tools.ts";
import { Rack } from "./rack.ts";
import { spawnBun, TempDir } from "./support.ts";

test("one role claims a free owner field, and no other role can until it is freed", () => {
  using temp = new TempDir();
  using first = new Manager(Rack, { dir: temp.dir, create: true });
  using second = new Editor(Rack, { dir: temp.dir });
  expect([first.isAlive("boss"), first.claim("boss"), first.claim("boss")]).toEqual([false, true, true]);
  expect([second.claim("boss"), second.isAlive("boss"), second.disclaim("boss")]).toEqual([
    false,
    true,
    false,
  ]);
  expect(first.live.boss.load()).toBe(first.ownerId);
  expect([first.disclaim("boss"), second.claim("boss"), first.live.boss.load()]).toEqual([
    true,
    true,
    second.ownerId,
  ]);
  expect(thrownBy(() => first.claim("devices.0.uses" as never)).message).toContain("is no owner() field");
  expect(layoutOf(Rack).fields.boss.type).toEqual({ atomic: "c_uint32", owner: true });
  using reader = openReader(first.path);
  expect(Number(reader.snapshot().boss)).toBe(second.ownerId);
});

test("what a killed process owned can be claimed at once, and its number is not mistaken for a later owner", async () => {
  using temp = new TempDir();
  using manager = new Manager(Rack, { dir: temp.dir, create: true });
  const child = spawnBun("owner-child.ts", [temp.dir, 2]);
  const id = Number((await linesOf(child.stdout).next()).value);
  expect([manager.isAlive("devices.2.user"), manager.claim("devices.2.user")]).toEqual([true, false]);
  child.kill("SIGKILL");
  await child.exited;
  using other = new Editor(Rack, { dir: temp.dir });
  expect([other.ownerId === id, other.isAlive("devices.2.user")]).toEqual([false, false]);
  expect([other.claim("devices.2.user"), manager.claim("devices.2.user")]).toEqual([true, false]);
});

test("a role that is closed owns nothing any more", () => {
  using temp = new TempDir();
  using manager = new Manager(Rack, { dir: temp.dir, create: true });
  const other = new Editor(Rack, { dir: temp.dir });
  other.claim("devices.0.user");
  expect(manager.isAlive("devices.0.user")).toBe(true);
  other.close();
  expect([manager.isAlive("devices.0.user"), manager.claim("devices.0.user")]).toEqual([false, true]);
});
