import { afterAll, describe, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DocumentFile } from "../../src/document/document-file.ts";
import { AT, formatFor, SLOT } from "../../src/document/document-format.ts";
import { DocumentStore, type FileOptions } from "../../src/document/document-store.ts";
import { placeOf } from "../../src/document/place.ts";
import {
  ClosedError,
  DeadlockError,
  FileFormatError,
  FileMissingError,
  LockTimeoutError,
  SystemError,
  TooLargeError,
} from "../../src/errors/errors.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { hasTool } from "../support/tools.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(60_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-json-store-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const defaults: FileOptions = { create: true, force: false, grow: false, maxBytes: 20, mode: 0o600 };
let names = 0;
const newPlace = () => placeOf({ dir, file: `d${names++}` });

/** A store that tests may close by leaving the scope. */
class Store extends DocumentStore {
  [Symbol.dispose](): void {
    this.close();
  }
  set(text: string): number {
    return this.commit(() => text);
  }
}
const masterOf = (place: ReturnType<typeof newPlace>, options: Partial<FileOptions> = {}): Store =>
  new Store(place, { ...defaults, ...options });

describe("the file", () => {
  test("in a directory that cannot be made is a SystemError that names it", () => {
    const place = placeOf({ dir: "/proc/nope", file: "d" });
    expect(() => masterOf(place)).toThrow(SystemError);
    expect(() => masterOf(place)).toThrow("/proc/nope");
  });

  test("is made by the master, with its directory; a follower finds it then", () => {
    const place = placeOf({ dir: join(dir, "deep/er"), file: "d" });
    using follower = new Store(place);
    expect([follower.exists, follower.version, follower.maxBytes]).toEqual([false, 0, undefined]);
    expect(follower.read()).toEqual({ version: 0, text: undefined });
    using master = masterOf(place);
    expect([follower.exists, follower.version, follower.maxBytes]).toEqual([true, 0, 20]);
    expect(master.set("1")).toBe(1);
    expect(follower.read()).toEqual({ version: 1, text: "1" });
    expect(readdirSync(join(dir, "deep/er")).toSorted()).toEqual(["d", "d.lock", "d.lock-page"]);
  });

  test("is left alone by the next master, whatever its maxBytes", () => {
    const place = newPlace();
    using first = masterOf(place);
    first.set("1");
    using second = masterOf(place, { maxBytes: 1000 });
    expect(second.read()).toEqual({ version: 1, text: "1" });
    expect(second.maxBytes).toBe(20);
  });

  test("is not made with create: false, nor is anything else", () => {
    const place = placeOf({ dir: join(dir, "nowhere"), file: "d" });
    expect(() => masterOf(place, { create: false })).toThrow(FileMissingError);
    expect(existsSync(join(dir, "nowhere"))).toBeFalse();
  });

  test("is made anew with force; versions go on, and all others move there", () => {
    const place = newPlace();
    using first = masterOf(place);
    first.set("1");
    using follower = new Store(place);
    expect(follower.read().text).toBe("1");
    using second = masterOf(place, { force: true, maxBytes: 50 });
    for (const store of [first, second, follower]) {
      expect(store.read()).toEqual({ version: 2, text: undefined });
      expect(store.maxBytes).toBe(50);
    }
    expect(first.set("3")).toBe(3);
    expect(follower.read()).toEqual({ version: 3, text: "3" });
  });

  test("is made anew with force when it is damaged, but not when it is somebody else's", () => {
    const place = newPlace();
    masterOf(place).close();
    const bytes = readFileSync(place.dataPath);
    bytes[formatFor(20).footerOffset + AT.maxBytes + 4] = 1;
    writeFileSync(place.dataPath, bytes);
    expect(() => masterOf(place)).toThrow(/is damaged .* force: true \} makes it anew/);
    using again = masterOf(place, { force: true });
    expect(again.set("1")).toBe(1);

    const other = newPlace();
    writeFileSync(other.dataPath, "precious".repeat(100));
    expect(() => masterOf(other, { force: true })).toThrow(FileFormatError);
    expect(readFileSync(other.dataPath, "utf8")).toStartWith("precious");
  });

  test("that was removed is no document for followers, and made again by a master", () => {
    const place = newPlace();
    using master = masterOf(place);
    using follower = new Store(place);
    master.set("1");
    expect(follower.read().text).toBe("1");
    master.remove();
    expect(existsSync(place.dataPath)).toBeFalse();
    expect(follower.read()).toEqual({ version: 0, text: undefined });
    master.set("2");
    expect(follower.read().text).toBe("2");
  });

  test("that was damaged while followers have it open is left by them, once it is made anew", () => {
    const place = newPlace();
    using first = masterOf(place);
    first.set("1");
    using follower = new Store(place);
    const damage = formatFor(20);
    for (const offset of [damage.slotOffset[1] + SLOT.text, damage.footerOffset + AT.maxBytes]) {
      const fd = openSync(place.dataPath, "r+");
      writeSync(fd, "?", offset);
      closeSync(fd);
    }
    expect(() => follower.read()).toThrow("damaged");
    using second = masterOf(place, { force: true });
    second.set("2");
    expect(follower.read().text).toBe("2");
  });

  test("that was cut short is an error, not the end of the process", () => {
    const place = newPlace();
    using master = masterOf(place, { maxBytes: 50_000 });
    using follower = new Store(place);
    master.set("1");
    expect(follower.read().text).toBe("1");
    for (const byteLength of [64 * 1024, 100, 0]) {
      truncateSync(place.dataPath, byteLength);
      expect(() => follower.read()).toThrow(/cut short/);
      expect(() => follower.version).toThrow(FileFormatError);
      expect(() => master.commit((before) => `${before().text}`)).toThrow(FileFormatError);
    }
    rmSync(place.dataPath);
    expect(master.set("2")).toBe(3);
    expect(follower.read().text).toBe("2");
  });

  test("that was cut short while a master has it open can be written anew, and removed, but not updated", () => {
    const place = newPlace();
    using master = masterOf(place, { maxBytes: 50_000, mode: 0o640 });
    using other = masterOf(place);
    using follower = new Store(place);
    for (const [byteLength, version] of [
      [64 * 1024, 3],
      [100, 6],
      [0, 9],
    ] as const) {
      master.set("1");
      expect(follower.read().text).toBe("1");
      truncateSync(place.dataPath, byteLength);
      expect(() => master.commit((before) => `${before().text}`)).toThrow(/cut short/);
      expect(() => other.commit((before) => `${before().text}`)).toThrow(/cut short/);
      expect(master.set("2")).toBe(version);
      expect([follower.read().text, other.read().text]).toEqual(["2", "2"]);
      expect([master.maxBytes, statSync(place.dataPath).mode & 0o777]).toEqual([50_000, 0o640]);
    }
    truncateSync(place.dataPath, 100);
    master.remove();
    expect(existsSync(place.dataPath)).toBeFalse();
    expect(follower.read()).toEqual({ version: 0, text: undefined });
  });

  test("that was cut short is made anew with force, if it begins as a document and a lock page is beside it", () => {
    const cut = (text: string, byteLength: number) => {
      const place = newPlace();
      masterOf(place, { maxBytes: 10_000 }).set(text);
      truncateSync(place.dataPath, byteLength);
      return place;
    };
    for (const [text, byteLength] of [
      ["1", 64],
      ["1", 4096],
      [JSON.stringify("x".repeat(5000)), 4096],
    ] as const) {
      const place = cut(text, byteLength);
      expect(() => masterOf(place)).toThrow(/was cut short to \d+ bytes; .* force: true \} makes it anew/);
      using again = masterOf(place, { force: true });
      expect(again.set("2")).toBe(3);
    }
    const bare = cut("1", 100);
    rmSync(`${bare.lockPath}-page`);
    expect(() => masterOf(bare, { force: true })).toThrow(/or was cut short: .* delete it/);
    const replaced = cut("1", 100);
    writeFileSync(replaced.dataPath, "10:30 call Bob, who knows about numbers");
    expect(() => masterOf(replaced, { force: true })).toThrow(/is no file of a JsonMap, or was cut short/);
  });

  test("that is empty is nobody's yet: followers have no document, and a master makes one", () => {
    const place = newPlace();
    writeFileSync(place.dataPath, "");
    using follower = new Store(place);
    expect([follower.exists, follower.version]).toEqual([false, 0]);
    expect(() => masterOf(place, { create: false })).toThrow(FileMissingError);
    using master = masterOf(place);
    master.set("1");
    expect(follower.read().text).toBe("1");
    master.remove();
    writeFileSync(place.dataPath, "");
    master.remove();
    expect(existsSync(place.dataPath)).toBeTrue();
  });

  test("that is somebody else's stays as it is, and nothing is made beside it", () => {
    const own = mkdtempSync(join(dir, "own-"));
    writeFileSync(join(own, "notes"), "my notes");
    const place = placeOf({ dir: own, file: "notes" });
    for (const force of [false, true]) expect(() => masterOf(place, { force })).toThrow(FileFormatError);
    expect(readdirSync(own)).toEqual(["notes"]);
  });

  test("that was deleted by hand is missed by those who have it open", async () => {
    const place = newPlace();
    using first = masterOf(place);
    using follower = new Store(place);
    first.set("1");
    rmSync(place.dataPath);
    await Bun.sleep(150);
    expect(follower.read()).toEqual({ version: 0, text: undefined });
    using second = masterOf(place);
    expect(second.set("2")).toBe(3);
    expect(follower.read()).toEqual({ version: 3, text: "2" });
    expect(first.commit((before) => `[${before().text}]`)).toBe(4);
    for (const store of [first, second, follower]) expect(store.read()).toEqual({ version: 4, text: "[2]" });
    rmSync(place.dataPath);
    await Bun.sleep(150);
    expect(first.set("3")).toBeGreaterThan(4);
    expect(second.read().text).toBe("3");
  });

  test("that took the place of ours is neither removed nor replaced", () => {
    const place = newPlace();
    using master = masterOf(place, { grow: true });
    master.set("1");
    rmSync(place.dataPath);
    writeFileSync(place.dataPath, "my notes");
    expect(() => master.remove()).toThrow(FileFormatError);
    expect(() => master.set(JSON.stringify("x".repeat(50)))).toThrow(FileFormatError);
    expect(readFileSync(place.dataPath, "utf8")).toBe("my notes");
    rmSync(place.dataPath);
    master.remove();
    expect(master.set("2")).toBeGreaterThan(1);
  });

  test("that is not there is not made by remove()", () => {
    const place = newPlace();
    using master = masterOf(place);
    using fixed = masterOf(place, { create: false });
    master.remove();
    const made = spyOn(DocumentFile, "open");
    for (const store of [master, fixed]) store.remove();
    expect(made).toHaveBeenCalledTimes(2);
    expect(made.mock.results.map(({ value }) => value)).toEqual([undefined, undefined]);
    made.mockRestore();
    expect(existsSync(place.dataPath)).toBeFalse();
  });
});

describe("versions grow", () => {
  test("beyond remove(), also for a master that comes later", () => {
    const place = newPlace();
    using follower = new Store(place);
    let last = 0;
    for (let i = 0; i < 3; i++) {
      using master = masterOf(place);
      const version = master.set(`${i}`);
      expect(version).toBeGreaterThan(last);
      expect(follower.read()).toEqual({ version, text: `${i}` });
      last = version;
      master.remove();
      expect(follower.version).toBe(0);
      last = master.set('"again"');
      expect(last).toBeGreaterThan(version);
      master.remove();
    }
  });

  test("beyond a file that was deleted by hand, or damaged", () => {
    const place = newPlace();
    masterOf(place).set("1");
    rmSync(place.dataPath);
    using second = masterOf(place);
    expect(second.set("2")).toBe(3);
    writeFileSync(place.dataPath, "");
    using third = masterOf(place);
    expect(third.set("3")).toBe(5);
  });

  test("beyond a writer that was killed before it had told the page", () => {
    const place = newPlace();
    using master = masterOf(place);
    master.set("1");
    {
      using file = DocumentFile.open(place.dataPath, true) as DocumentFile;
      file.commit("2");
    }
    rmSync(place.dataPath);
    using other = masterOf(place);
    expect(other.version).toBeGreaterThanOrEqual(2);
    expect(other.set("3")).toBeGreaterThan(2);
  });

  test("whatever nonsense stands on the page", () => {
    const place = newPlace();
    masterOf(place).close();
    for (const nonsense of [Number.NaN, -5, 1.5, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY]) {
      rmSync(place.dataPath);
      const page = readFileSync(`${place.lockPath}-page`);
      page.writeDoubleLE(nonsense, 136);
      writeFileSync(`${place.lockPath}-page`, page);
      using master = masterOf(place);
      expect(master.set("1")).toBe(1);
    }
  });
});

describe("a document that is too large", () => {
  test("is refused with the bytes there are and needed, and the old one stays", () => {
    using master = masterOf(newPlace());
    master.set('"old"');
    const tooLong = JSON.stringify("ß".repeat(10));
    try {
      master.set(tooLong);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(TooLargeError);
      expect(error).toMatchObject({ bytesAvailable: 20, bytesNeeded: 22, code: "TOO_LARGE" });
      expect((error as Error).message).toEndWith(
        "has room for 20; open the JsonMap with grow: true, or make the file anew with force: true and a larger maxBytes",
      );
    }
    expect(master.read()).toEqual({ version: 1, text: '"old"' });
    expect(master.set('"123456789 12345678"')).toBe(2);
  });

  test("for any file is to be split, with grow and without it", () => {
    const huge = "x".repeat(2 ** 30 + 1);
    for (const grow of [false, true]) {
      using master = masterOf(newPlace(), { grow });
      expect(() => master.set(huge)).toThrow(/needs 1073741825 bytes, .*; split it into several/);
    }
  });

  test("makes the file grow if that is allowed; the mode stays, followers and masters move", () => {
    const place = newPlace();
    using master = masterOf(place, { grow: true, mode: 0o640 });
    using other = masterOf(place);
    using follower = new Store(place);
    master.set("1");
    expect(follower.read().text).toBe("1");
    const long = JSON.stringify("x".repeat(98));
    expect(master.set(long)).toBe(2);
    expect(follower.read()).toEqual({ version: 2, text: long });
    expect(other.set("3")).toBe(3);
    expect(follower.read()).toEqual({ version: 3, text: "3" });
    expect([master.maxBytes, other.maxBytes, follower.maxBytes]).toEqual([100, 100, 100]);
    expect(statSync(place.dataPath).mode & 0o777).toBe(0o640);
    // At least doubled, so that growing stays rare.
    expect(master.set(JSON.stringify("x".repeat(99)))).toBe(4);
    expect(follower.maxBytes).toBe(200);
  });
});

describe("a master that was killed while it replaced the file", () => {
  const halfReplaced = () => {
    const place = newPlace();
    using master = masterOf(place);
    master.set("1");
    using file = DocumentFile.open(place.dataPath, true) as DocumentFile;
    file.isRetired = true;
    writeFileSync(`${place.dataPath}.new`, "half");
    return place;
  };

  test("disturbs no follower", () => {
    using follower = new Store(halfReplaced());
    expect(follower.read()).toEqual({ version: 1, text: "1" });
    expect(follower.read()).toEqual({ version: 1, text: "1" });
  });

  test("leaves nothing that is not taken away when the next opens the file, or removes it", () => {
    const place = halfReplaced();
    using master = masterOf(place);
    expect(existsSync(`${place.dataPath}.new`)).toBeFalse();
    writeFileSync(`${place.dataPath}.new`, "half");
    master.remove();
    expect(existsSync(`${place.dataPath}.new`)).toBeFalse();
  });

  test("is cleaned up after by the next", () => {
    const place = halfReplaced();
    using follower = new Store(place);
    using master = masterOf(place, { grow: true });
    using file = DocumentFile.open(place.dataPath, false) as DocumentFile;
    expect(file.isRetired).toBeFalse();
    expect(master.set(JSON.stringify("x".repeat(50)))).toBe(2);
    expect(follower.read().version).toBe(2);
    expect(existsSync(`${place.dataPath}.new`)).toBeFalse();
  });
});

describe("the lock", () => {
  test("is taken by writers and not by readers", () => {
    const place = newPlace();
    using master = masterOf(place);
    using follower = new Store(place);
    master.set("1");
    using lock = new RwLock({ path: place.lockPath });
    lock.acquire("exclusive");
    expect(follower.read().text).toBe("1");
    expect(master.read().text).toBe("1");
    expect(() => master.set("2")).toThrow(DeadlockError);
    lock.release();
    expect(master.set("2")).toBe(2);
  });

  test("is taken by a reader that writers do not let through", () => {
    using master = masterOf(newPlace());
    master.set("1");
    const busy = spyOn(DocumentFile.prototype, "tryRead").mockReturnValueOnce(undefined);
    const modes: (string | undefined)[] = [];
    const { lock } = master;
    const acquire = spyOn(lock, "acquire").mockImplementation((mode) => void modes.push(mode));
    const release = spyOn(lock, "release").mockImplementation(() => void modes.push("released"));
    expect(master.read()).toEqual({ version: 1, text: "1" });
    expect(modes).toEqual(["shared", "released"]);
    for (const spy of [busy, acquire, release]) spy.mockRestore();
  });

  test.skipIf(!hasTool("flock"))("is waited for no longer than asked (needs flock)", async () => {
    const place = newPlace();
    using master = masterOf(place);
    const holder = Bun.spawn(["flock", place.lockPath, "sh", "-c", "echo held; read line"], {
      stdin: "pipe",
      stdout: "pipe",
    });
    await holder.stdout.getReader().read();
    expect(() => master.commit(() => "1", { timeoutMs: 20 })).toThrow(LockTimeoutError);
    holder.stdin.end();
    await holder.exited;
    expect(master.commit(() => "1", { timeoutMs: 10_000 })).toBe(1);
  });

  test("is another one when somebody deleted its file: nobody writes under the old one", () => {
    const place = newPlace();
    using first = masterOf(place);
    const followed: string[] = [];
    first.onNewLock = (lock) => followed.push(lock.path);
    rmSync(place.lockPath);
    using second = masterOf(place);
    const blocked = () => first.commit(() => "1", { timeoutMs: 0 });
    second.commit(() => {
      expect(blocked).toThrow(DeadlockError);
      return "2";
    });
    expect(first.set("3")).toBe(2);
    expect(followed).toEqual([place.lockPath]);
    rmSync(place.lockPath);
    rmSync(`${place.lockPath}-page`);
    expect(first.set("4")).toBe(3);
    expect(second.set("5")).toBe(4);
    expect(existsSync(`${place.lockPath}-page`)).toBeTrue();
  });

  test("is given back when the new text cannot be made, and nothing has changed", () => {
    using master = masterOf(newPlace());
    master.set("1");
    const failing = () => {
      throw new Error("no idea");
    };
    expect(() => master.commit(failing)).toThrow("no idea");
    expect(master.read()).toEqual({ version: 1, text: "1" });
    expect(master.commit((before) => `${before().text}2`)).toBe(2);
    expect(master.read().text).toBe("12");
  });
});

test("closed is closed, also when it happens within a commit", () => {
  const master = masterOf(newPlace());
  const closing = () => {
    master.close();
    return "1";
  };
  expect(() => master.commit(closing)).toThrow(ClosedError);
  master.close();
  expect(() => master.read()).toThrow(ClosedError);
  expect(() => master.version).toThrow(ClosedError);
  expect(() => master.set("1")).toThrow(ClosedError);
  expect(() => master.lock).toThrow(ClosedError);
});
