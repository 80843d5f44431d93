/** What may happen to a segment's files while they are in use, on every content. */
import { describe, expect, setDefaultTimeout } from "bun:test";
import {
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DeadlockError, FileFormatError, LockTimeoutError } from "../../src/errors/errors.ts";
import { CONTENTS } from "./contents.ts";
import { Bench, eventually, rounds, rowsOf, rowTimeout, within } from "./support.ts";

setDefaultTimeout(rowTimeout());

/** Longer than the 100 ms within which a deleted file is noticed. */
const NOTICED_MS = 150;

describe.each([...CONTENTS])("$name", (content) => {
  const row = rowsOf(content);
  row(
    "after the file was deleted by hand all users go on with the next file, and none writes into the old one",
    async () => {
      for (let i = 0; i < rounds(1); i++) {
        using bench = new Bench(content);
        const creator = bench.create();
        const writer = bench.writer();
        const reader = bench.reader();
        writer.commit(1);
        const before = reader.version;
        rmSync(bench.dataPath);
        await Bun.sleep(NOTICED_MS);
        expect([reader.newest(), creator.newest()]).toEqual([undefined, undefined]);
        const next = bench.create();
        expect([next.newest(), next.version > before]).toEqual([0, true]);
        writer.commit(2);
        for (const user of [creator, writer, reader, next])
          expect([user.newest(), user.peek()]).toEqual([2, 2]);
        expect(reader.version).toBe(next.version);
        expect(bench.files()).toEqual(bench.ownFiles());
      }
    },
  );

  row(
    "a truncated file is an error for its users, not their end; they all follow once it is recreated",
    () => {
      using bench = new Bench(content);
      const writer = bench.create();
      const reader = bench.reader();
      writer.commit(1);
      const size = statSync(bench.dataPath).size;
      const lengths = [0, 64, size - 128, size - 1];
      for (let i = 0; i < rounds(1); i++) lengths.push(64 + Math.floor(Math.random() * (size - 64)));
      for (const byteLength of lengths) {
        const before = reader.version;
        truncateSync(bench.dataPath, byteLength);
        for (const user of [reader, writer]) {
          expect(() => user.newest()).toThrow(FileFormatError);
          expect(() => user.version).toThrow(FileFormatError);
        }
        expect(() => writer.advance()).toThrow(/truncated/);
        expect(() => bench.create()).toThrow(FileFormatError);
        if (byteLength === 0) {
          expect(() => content.create(bench.dir, { force: true })).toThrow(/is empty: .* delete it, then/);
          rmSync(bench.dataPath);
        }
        using again = content.create(bench.dir, { force: true });
        again.commit(5);
        for (const user of [reader, writer]) expect([user.newest(), user.peek()]).toEqual([5, 5]);
        expect(reader.version).toBeGreaterThan(before);
        writer.advance();
        expect(reader.newest()).toBe(6);
      }
      expect(bench.files()).toEqual(bench.ownFiles());
    },
  );

  row(
    "while the owner replaces the file all writers and readers follow, versions grow, none is torn",
    async () => {
      using bench = new Bench(content);
      const writer = bench.create();
      const reader = bench.reader();
      const child = bench.child("churn");
      await child.line();
      let version = 0;
      for (let i = 0; i < rounds(20); i++) {
        using again = content.create(bench.dir, { force: true });
        for (const user of [reader, writer, again]) {
          user.newest();
          user.peek();
        }
        expect(reader.version).toBeGreaterThan(version);
        version = reader.version;
        await Bun.sleep(2);
      }
      const before = writer.version;
      await eventually(() => writer.version > before + 10);
      expect(child.process.exitCode).toBeNull();
      child.kill();
      await child.end();
      const next = (writer.newest() as number) + 1;
      writer.advance();
      expect([reader.newest(), bench.files()]).toEqual([next, bench.ownFiles()]);
    },
  );

  row(
    "after the file was replaced by mv users move to the other file, and those who wait for changes are told",
    async () => {
      using bench = new Bench(content);
      using elsewhere = new Bench(content);
      const writer = bench.create();
      const reader = bench.reader();
      writer.commit(1);
      // The same version, and another state.
      elsewhere.create().commit(9);
      const changes = reader.changes();
      const turn = changes.next();
      await Bun.sleep(NOTICED_MS);
      renameSync(elsewhere.dataPath, bench.dataPath);
      await Bun.sleep(NOTICED_MS);
      expect([reader.newest(), writer.newest()]).toEqual([9, 9]);
      writer.advance();
      await within(120_000, turn);
      expect([reader.newest(), reader.peek()]).toEqual([10, 10]);
      await changes.return?.();
    },
  );

  row(
    "after cp wrote an older copy over the file it holds the copy, and later commits are told",
    async () => {
      using bench = new Bench(content);
      const writer = bench.create();
      const reader = bench.reader();
      const changes = reader.changes();
      for (let i = 0; i < rounds(1); i++) {
        writer.commit(1);
        await within(120_000, changes.next());
        copyFileSync(bench.dataPath, join(bench.dir, "copy"));
        writer.commit(2);
        await within(120_000, changes.next());
        const version = reader.version;
        // As cp(1) does: O_TRUNC, then the bytes.
        Bun.spawnSync(["cp", join(bench.dir, "copy"), bench.dataPath]);
        expect([reader.newest(), reader.peek(), writer.newest()]).toEqual([1, 1, 1]);
        const turn = changes.next();
        // Its version comes round again.
        const next = content.isCounter ? 2 : 3;
        writer.commit(next);
        expect(writer.version).toBe(version);
        await within(120_000, turn);
        expect([reader.newest(), reader.peek()]).toEqual([next, next]);
      }
      await changes.return?.();
    },
  );

  row(
    "after the lock file or its page was deleted writers still exclude each other, and changes are told",
    async () => {
      const without = async (...missing: string[]): Promise<void> => {
        using bench = new Bench(content);
        const first = bench.create();
        const reader = bench.reader();
        first.commit(1);
        const changes = reader.changes();
        const turn = changes.next();
        await Bun.sleep(5);
        if (missing.includes("lock")) rmSync(bench.lockPath);
        if (missing.includes("page")) rmSync(`${bench.lockPath}-page`);
        await Bun.sleep(NOTICED_MS);
        const second = bench.create();
        for (const [one, other] of content.isLockFree
          ? []
          : [[first, second] as const, [second, first] as const])
          one.hold(() => expect(() => other.commit(2, { timeoutMs: 0 })).toThrow(DeadlockError));
        first.commit(3);
        await within(120_000, turn);
        const next = changes.next();
        second.commit(4);
        await within(120_000, next);
        expect([reader.newest(), first.newest()]).toEqual([4, 4]);
        expect(bench.files()).toEqual(bench.ownFiles());
        await changes.return?.();
      };
      await Promise.all([without("lock"), without("page"), without("lock", "page")]);
    },
  );

  row(
    "no two writers write at once after the lock file was deleted while another process holds it",
    async () => {
      using bench = new Bench(content);
      const writer = bench.create();
      const child = bench.child("hold");
      expect(await child.line()).toBe("held");
      rmSync(bench.lockPath);
      // Who comes now makes a new lock file, and cannot know of the old one. The old holder's commit is whole all the same.
      await Bun.sleep(NOTICED_MS);
      const second = bench.create();
      second.commit(5);
      child.say();
      expect([await child.line(), await child.end()]).toEqual(["released", 0]);
      const state = second.newest();
      expect([0, 5]).toContain(state as number);
      writer.advance();
      expect(second.newest()).toBe((state as number) + 1);
    },
  );

  row("an empty, a foreign and a half written file in the place of ours are refused and stay", () => {
    using bench = new Bench(content);
    const texts = ["", "my notes", "x".repeat(640), `${"y".repeat(512)}shmstrct${"\0".repeat(120)}`];
    for (const text of texts) {
      writeFileSync(bench.dataPath, text);
      expect(() => bench.create()).toThrow(FileFormatError);
      expect(() => bench.writer()).toThrow(FileFormatError);
      expect(() => bench.reader()).toThrow(FileFormatError);
      expect(readFileSync(bench.dataPath, "latin1")).toBe(text);
    }
    // No killed creator leaves an empty file: it may be another program's even where ours was before.
    writeFileSync(bench.dataPath, "");
    expect(() => content.create(bench.dir, { force: true })).toThrow(/is empty: .* delete it, then/);
    expect(readFileSync(bench.dataPath, "latin1")).toBe("");
    rmSync(bench.dataPath);
    expect(bench.create().newest()).toBe(0);
  });

  row("remove() leaves no file but the lock's, and the next life has a higher version", () => {
    using bench = new Bench(content);
    const reader = (() => {
      bench.create().commit(1);
      return bench.reader();
    })();
    const before = reader.version;
    using remover = content.create(bench.dir);
    remover.remove();
    expect([existsSync(bench.dataPath), reader.newest()]).toEqual([false, undefined]);
    expect(bench.files()).toEqual(bench.ownFiles().filter((name) => name !== content.file));
    const next = bench.create();
    expect([next.version > before, reader.newest(), reader.version]).toEqual([true, 0, next.version]);
  });

  row("every call with a time limit gives up on what a stopped writer holds", async () => {
    using bench = new Bench(content);
    const writer = bench.create();
    const reader = bench.reader();
    writer.commit(1);
    const child = bench.child("hold");
    await child.line();
    child.kill("SIGSTOP");
    const wait = { timeoutMs: 50 };
    expect(() => writer.commit(2, wait)).toThrow(LockTimeoutError);
    expect(() => writer.hold(() => {}, wait)).toThrow(LockTimeoutError);
    expect(() => content.create(bench.dir, { force: true, ...wait })).toThrow(LockTimeoutError);
    expect(() => writer.remove(wait)).toThrow(LockTimeoutError);
    // Without a lock there is nothing to wait for.
    using other = content.create(bench.dir);
    expect([reader.peek(), other.peek(), bench.writer().peek()]).toEqual([1, 1, 1]);
    child.kill("SIGKILL");
    await child.end();
    writer.commit(3, { timeoutMs: 20_000 });
    expect(reader.newest()).toBe(3);
  });
});
