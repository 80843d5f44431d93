/** What a mirror notes beside its file, where other programs' files have the name, or another user's traps. */
import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { c_int32, field, Manager, MmapStructure, purgeSegments, Reader } from "../../src/index.ts";
import { writeState } from "../../src/mirror/state.ts";
import { type MirrorState, readState } from "../../src/segment/mirror-state.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

class Robot extends MmapStructure {
  @field(c_int32) n!: number;
}

const STATE: MirrorState = {
  role: "publish",
  epoch: 1,
  version: 7,
  lift: 0,
  bucketLife: "b",
  pid: process.pid,
  at: 1,
};

function place() {
  const scope = temporaryDirectory();
  const dir = scope.path;
  const manager = new Manager(Robot, { dir, lockDir: dir, create: true });
  const close = (): void => {
    manager.close();
    scope[Symbol.dispose]();
  };
  return { dir, manager, path: manager.path, note: `${manager.path}.mirror`, [Symbol.dispose]: close };
}

describe("the note of a mirror", () => {
  test("a note is what was noted, and its name alone is left", () => {
    using at = place();
    const before = readdirSync(at.dir);
    expect(writeState(at.path, STATE)).toBe(true);
    expect(writeState(at.path, { ...STATE, version: 8 })).toBe(true);
    expect(readState(at.path)).toEqual({ ...STATE, version: 8 });
    expect(at.manager.info().mirror).toMatchObject({ role: "publish", epoch: 1 });
    expect(readdirSync(at.dir).sort()).toEqual([...before, "Robot_.mmap.mirror"].sort());
    expect(statSync(at.note).mode & 0o777).toBe(0o600);
  });

  test.skipIf(!hasTool("mkfifo"))("a pipe of that name keeps no one waiting (needs mkfifo)", () => {
    using at = place();
    execFileSync("mkfifo", [at.note]);
    expect(at.manager.info().mirror).toBeUndefined();
    expect(writeState(at.path, STATE)).toBe(false);
    expect(statSync(at.note).isFIFO()).toBe(true);
  });

  test.skipIf(process.getuid?.() !== 0)(
    "another user's note in a directory of all counts for those who trust that user (needs root)",
    () => {
      using at = place();
      expect(writeState(at.path, STATE)).toBe(true);
      chmodSync(at.dir, 0o1777);
      for (const file of [at.path, join(at.dir, "Robot_.lock"), at.note]) chownSync(file, 65_534, 65_534);
      using reader = new Reader(Robot, { dir: at.dir, lockDir: at.dir, trustOwner: 65_534 });
      expect(reader.info().mirror).toMatchObject({ role: "publish", epoch: 1 });
      expect(readState(at.path)).toBeUndefined();
    },
  );

  test("a link of that name, or of the name that a note once had meanwhile, is not followed", () => {
    using at = place();
    const other = join(at.dir, "other");
    writeFileSync(other, "precious");
    symlinkSync(other, `${at.note}.new`);
    expect(writeState(at.path, STATE)).toBe(true);
    symlinkSync(other, join(at.dir, "Copy_.mmap.mirror"));
    expect(writeState(join(at.dir, "Copy_.mmap"), STATE)).toBe(false);
    expect(readFileSync(other, "utf8")).toBe("precious");
  });

  test("another program's file of that name stays, and is not read to its end", () => {
    using at = place();
    writeFileSync(at.note, "precious");
    expect([writeState(at.path, STATE), readState(at.path)]).toEqual([false, undefined]);
    expect(readFileSync(at.note, "utf8")).toBe("precious");
    truncateSync(at.note, 2 ** 40);
    expect([writeState(at.path, STATE), at.manager.info().mirror]).toEqual([false, undefined]);
  });

  test("what killed mirrors left beside a note goes, other files stay", () => {
    using at = place();
    const left = (digit: string): string => `${at.note}.new-${digit.repeat(16)}`;
    writeFileSync(left("1"), JSON.stringify(STATE));
    writeFileSync(left("2"), "precious");
    writeState(at.path, STATE);
    const names = readdirSync(at.dir).filter((name) => name.includes(".new-"));
    expect(names).toEqual(["Robot_.mmap.mirror.new-2222222222222222"]);
  });

  test("purge takes notes and owners' files away, and leaves what only has their names", () => {
    using at = place();
    const [{ path, note }, owners] = [at, `${at.path}.owners`];
    at.manager.remove();
    for (const file of [note, owners]) writeFileSync(file, "precious");
    expect(purgeSegments(at.dir)).not.toContain(note);
    expect([readFileSync(note, "utf8"), readFileSync(owners, "utf8")]).toEqual(["precious", "precious"]);
    new Manager(Robot, { dir: at.dir, lockDir: at.dir, create: true }).remove();
    writeFileSync(note, JSON.stringify(STATE));
    writeFileSync(owners, Uint8Array.from(Buffer.alloc(4092, Uint8Array.of(1, 2, 0, 0))));
    expect(purgeSegments(at.dir)).toEqual(expect.arrayContaining([note, owners]));
    expect(readdirSync(at.dir).filter((name) => name.startsWith(path))).toEqual([]);
  });
});
