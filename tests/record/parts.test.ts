/** snapshot(path): a part of the committed state, as the whole snapshot has it. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Manager, Reader, Struct, toObject } from "../../src/index.ts";
import { thrownBy } from "../support/thrown.ts";
import { linesOf } from "../support/tools.ts";
import { All, fill } from "./parts.ts";
import { dieMidEdit, TempDir } from "./support.ts";

const PATHS = [
  "big",
  "far",
  "on",
  "low",
  "high",
  "mode",
  "name",
  "raw",
  "numbers",
  "numbers.2",
  "grid",
  "grid.1",
  "grid.1.2",
  "words",
  "words.1",
  "place",
  "place.x",
  "place.hits",
  "places",
  "places.2",
  "places.2.n",
  "wire",
  "wire.port",
  "wire.ports",
  "wire.ports.1",
  "counter",
  "header.header_code",
];

/** As text, so that views, arrays and atomics of two memories compare. */
const text = (value: unknown): string =>
  JSON.stringify(value instanceof Struct ? toObject(value) : value, (_, item: unknown) =>
    typeof item === "bigint" ? `${item}n` : item,
  );

const at = (value: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((node, step) => {
    const elements = node as { at(index: number): unknown };
    return /^\d+$/.test(step) ? elements.at(Number(step)) : (node as Record<string, unknown>)[step];
  }, value);

const part = (reader: Reader<All>, path: string): unknown => reader.snapshot(path as "place");

test("a snapshot of a part is as the whole snapshot has it, also while a writer is at work", () => {
  using dir = new TempDir();
  using manager = new Manager(All, { dir: dir.dir, create: true, init: (data) => fill(data, 1) });
  using reader = new Reader(All, { dir: dir.dir });
  const compare = (): void => {
    const whole = reader.snapshot();
    for (const path of PATHS) expect([path, text(part(reader, path))]).toEqual([path, text(at(whole, path))]);
  };
  compare();
  using session = manager.lock();
  fill(session.data, 2);
  session.data.counter.add(7);
  session.data.place.hits.add(8);
  compare();
  expect(part(reader, "place.n")).toBe(1);
  expect(Number(part(reader, "counter"))).toBe(7);
  expect(reader.snapshot("place").hits.load()).toBe(8);
  session.release();
  compare();
  expect(part(reader, "place.n")).toBe(2);
});

test("a snapshot of a part has the state before a writer that died", async () => {
  using dir = new TempDir();
  new Manager(All, { dir: dir.dir, create: true, init: (data) => fill(data, 1) }).close();
  using reader = new Reader(All, { dir: dir.dir });
  dieMidEdit(All, { dir: dir.dir }, (data) => fill(data, 9));
  expect(reader.snapshot("place").n).toBe(1);
  expect(reader.snapshot("name")).toBe("né 1");
});

test("a snapshot of a part is the caller's own copy", () => {
  using dir = new TempDir();
  using manager = new Manager(All, { dir: dir.dir, create: true, init: (data) => fill(data, 1) });
  const place = manager.snapshot("place");
  const numbers = manager.snapshot("numbers");
  place.x = 77;
  numbers[0] = 77;
  expect([manager.get("place.x"), manager.get("numbers.0")]).toEqual([1.5, 1]);
});

test("snapshot refuses a path that does not exist", () => {
  using dir = new TempDir();
  using manager = new Manager(All, { dir: dir.dir, create: true });
  expect(thrownBy(() => manager.snapshot("nope" as "place")).message).toContain('All has no member "nope"');
  expect(thrownBy(() => manager.snapshot("places.3.n")).message).toContain("index 3 is outside");
});

test("a snapshot of a part is read under the lock in a file without transactions", () => {
  using dir = new TempDir();
  using plain = new Manager(All, { dir: dir.dir, tag: "plain", create: true, transactional: false });
  plain.set("place.n", 4);
  expect(plain.snapshot("place.n")).toBe(4);
  expect(plain.snapshot("place").n).toBe(4);
});

test("a snapshot of a part is never torn by a writer in another process", async () => {
  using dir = new TempDir();
  new Manager(All, { dir: dir.dir, create: true }).close();
  const writer = Bun.spawn([process.execPath, join(import.meta.dir, "parts.ts"), dir.dir], {
    stdout: "pipe",
  });
  try {
    await linesOf(writer.stdout).next();
    using reader = new Reader(All, { dir: dir.dir });
    const seen = new Set<number>();
    for (let i = 0; i < 20_000; i++) {
      const numbers = reader.snapshot("numbers");
      const place = reader.snapshot("place");
      if (new Set(numbers).size !== 1 || place.x !== place.n)
        throw new Error(`${numbers} ${place.x} ${place.n}`);
      seen.add(place.n);
    }
    expect(seen.size).toBeGreaterThan(10);
  } finally {
    writer.kill(9);
    await writer.exited;
  }
});
