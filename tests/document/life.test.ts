/** The life of a document's file: made, replaced, grown, removed, deleted or damaged by hand, and its lock. */
import { afterAll, describe, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
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
import { join } from "node:path";
import { DocumentContent, documentPlan } from "../../src/document/document-content.ts";
import { formatFor, SLOT } from "../../src/document/document-format.ts";
import { type MasterOptions as AllOptions, JsonMap, type JsonMaster } from "../../src/document/json-map.ts";
import {
  ClosedError,
  DeadlockError,
  FileFormatError,
  FileMissingError,
  LockTimeoutError,
  SystemError,
  TooLargeError,
} from "../../src/errors/errors.ts";
import { Manager } from "../../src/record/manager.ts";
import { putFile } from "../../src/segment/create.ts";
import { FOOTER_BYTES } from "../../src/segment/footer.ts";
import { lockPagePath } from "../../src/sync/lock-page.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { Robot } from "../record/structs.ts";
import { hasTool } from "../support/tools.ts";
import { DocumentDir, footerAt, GENERATION, openContent } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const temp = new DocumentDir();
const { dir } = temp;
afterAll(() => temp[Symbol.dispose]());

type Document = number | string;
type MasterOptions = Omit<AllOptions, "schema">;
const masterOf = (file: string, options: Partial<MasterOptions> = {}): JsonMaster<Document> =>
  new JsonMap<Document>({ maxBytes: 20, ...options, file, role: "master" });
const followerOf = (file: string) => new JsonMap<Document>({ file, role: "follower" });
const append = (master: JsonMaster<Document>, text: string) => master.update((before) => `${before}${text}`);

/** Name and permissions of what is in a directory. */
const beside = (path: string): string[] => readdirSync(join(path, "..")).toSorted();

/** Makes a directory of its own for one file, so that what appears beside it shows. */
const aloneIn = (): string => join(mkdtempSync(join(dir, "own-")), "d");

describe("the file", () => {
  test("a file in a directory that cannot be made is a SystemError that names it", () => {
    expect(() => masterOf("/proc/nope/d")).toThrow(SystemError);
    expect(() => masterOf("/proc/nope/d")).toThrow("/proc/nope");
  });

  test("the master makes the file, with its directory; a follower finds it then", () => {
    const file = join(dir, "deep/er/d");
    using follower = followerOf(file);
    expect([follower.read(), follower.version, follower.maxBytes]).toEqual([undefined, 0, undefined]);
    using master = masterOf(file);
    expect([follower.read(), follower.version, follower.maxBytes]).toEqual([undefined, 0, 20]);
    expect(master.write(1)).toBe(1);
    expect([follower.read(), follower.version]).toEqual([1, 1]);
    expect(beside(file)).toEqual(["d", "d.lock", "d.lock-page"]);
  });

  test("a new file is there whole, with its storage, its mode and nothing beside it", () => {
    const file = aloneIn();
    using master = masterOf(file, { initial: 5, mode: 0o640, maxBytes: 100_000 });
    const stat = statSync(file);
    expect([master.read(), master.version, stat.mode & 0o777]).toEqual([5, 1, 0o640]);
    expect(stat.blocks * 512).toBeGreaterThanOrEqual(stat.size);
    expect(beside(file)).toEqual(["d", "d.lock", "d.lock-page"]);
  });

  test("a file with an initial document that does not fit is not made", () => {
    const file = aloneIn();
    expect(() => masterOf(file, { initial: "x".repeat(19) })).toThrow(TooLargeError);
    expect(() => masterOf(file, { initial: () => 5 })).toThrow(TypeError);
    expect(beside(file)).toEqual([]);
  });

  test("the next master leaves the file alone, whatever its maxBytes and its initial document", () => {
    const file = temp.newFile();
    using first = masterOf(file);
    first.write(1);
    using second = masterOf(file, { maxBytes: 1000, initial: 7 });
    expect([second.read(), second.version, second.maxBytes]).toEqual([1, 1, 20]);
  });

  test("create: false makes no file, nor anything else", () => {
    expect(() => masterOf(join(dir, "nowhere/d"), { create: false })).toThrow(FileMissingError);
    expect(existsSync(join(dir, "nowhere"))).toBeFalse();
    const file = temp.newFile();
    masterOf(file).close();
    using fixed = masterOf(file, { create: false });
    fixed.remove();
    expect(() => fixed.write(1)).toThrow(FileMissingError);
    expect(existsSync(file)).toBeFalse();
  });

  test("a file is recreated with force; versions go on, and all others move there", () => {
    const file = temp.newFile();
    using first = masterOf(file);
    first.write(1);
    using follower = followerOf(file);
    expect(follower.read()).toBe(1);
    using second = masterOf(file, { force: true, maxBytes: 50 });
    for (const map of [first, second, follower])
      expect([map.read(), map.version, map.maxBytes]).toEqual([undefined, GENERATION, 50]);
    expect(first.write(3)).toBe(GENERATION + 1);
    expect([follower.read(), follower.version]).toEqual([3, GENERATION + 1]);
    using third = masterOf(file, { force: true, initial: "new" });
    expect([third.version, follower.read(), follower.version]).toEqual([
      2 * GENERATION + 1,
      "new",
      2 * GENERATION + 1,
    ]);
  });

  test("a file whose footer is damaged, at any place, is recreated with force", () => {
    for (const field of ["checksum", "content", "schemaOffset", "contentBytes", "abi"] as const) {
      const file = aloneIn();
      masterOf(file).write(1);
      const bytes = readFileSync(file);
      bytes[footerAt(bytes, field)]! ^= 0x40;
      writeFileSync(file, bytes);
      expect(() => masterOf(file)).toThrow(FileFormatError);
      expect(() => followerOf(file)).toThrow(FileFormatError);
      using again = masterOf(file, { force: true });
      expect(again.write(1)).toBe(GENERATION + 1);
      expect(beside(file)).toEqual(["d", "d.lock", "d.lock-page"]);
    }
  });

  test("a file of another program is refused, with force too, and nothing is made beside it", () => {
    const contents = [
      "my notes",
      "precious".repeat(100),
      "10:30 call Bob",
      "x".repeat(640),
      "{}".padEnd(128),
    ];
    for (const content of contents) {
      const file = aloneIn();
      writeFileSync(file, content);
      for (const force of [false, true]) expect(() => masterOf(file, { force })).toThrow(FileFormatError);
      expect(() => followerOf(file)).toThrow(FileFormatError);
      expect([readFileSync(file, "utf8"), beside(file)]).toEqual([content, ["d"]]);
    }
  });

  test("a file of a struct is refused, with force too, and so is a document for a struct", () => {
    const file = aloneIn();
    {
      using manager = new Manager(Robot, { dir: join(file, ".."), create: true });
      for (const force of [false, true])
        expect(() => masterOf(manager.path, { force })).toThrow(/holds a record, not a document/);
      using master = masterOf(join(file, "../Robot_x.mmap"));
      for (const force of [false, true])
        expect(() => new Manager(Robot, { dir: join(file, ".."), tag: "x", create: true, force })).toThrow(
          /holds a document, not a record/,
        );
      expect(master.write(1)).toBe(1);
      manager.set("count", 1);
      expect([manager.version, master.read()]).toEqual([1, 1]);
    }
  });

  test("a removed file is no document for followers, and made again by a master", () => {
    const file = temp.newFile();
    using master = masterOf(file);
    using follower = followerOf(file);
    master.write(1);
    expect(follower.read()).toBe(1);
    master.remove();
    expect(existsSync(file)).toBeFalse();
    expect([follower.read(), follower.version]).toEqual([undefined, 0]);
    expect(master.write(2)).toBe(GENERATION + 1);
    expect([follower.read(), follower.version]).toEqual([2, GENERATION + 1]);
  });

  test("followers leave the damaged file that they have open, once it is recreated", () => {
    const file = temp.newFile();
    using first = masterOf(file);
    first.write(1);
    using follower = followerOf(file);
    for (const offset of [
      formatFor(20).slotOffset[1] + SLOT.text,
      footerAt(readFileSync(file), "contentBytes"),
    ]) {
      const fd = openSync(file, "r+");
      writeSync(fd, "?", offset);
      closeSync(fd);
    }
    expect(() => follower.read()).toThrow("damaged");
    using second = masterOf(file, { force: true });
    second.write(2);
    expect(follower.read()).toBe(2);
    expect(first.read()).toBe(2);
  });

  test("a file whose document is damaged can be written by the masters that have it open, and by the next ones, but not updated", () => {
    const file = temp.newFile();
    using first = masterOf(file);
    first.write(1);
    const damage = () => {
      const bytes = readFileSync(file);
      const slot = (bytes.readInt32LE(footerAt(bytes, "sequence")) >> 1) & 1;
      const fd = openSync(file, "r+");
      writeSync(fd, "?", formatFor(20).slotOffset[slot]! + SLOT.text);
      closeSync(fd);
    };
    damage();
    using follower = followerOf(file);
    using second = masterOf(file);
    for (const map of [first, second, follower]) expect(() => map.read()).toThrow(/checksum of the document/);
    for (const master of [first, second])
      expect(() => append(master, "x")).toThrow(/is damaged .* a master can also write\(\) a new one/);
    expect(first.write(2)).toBe(2);
    expect([follower.read(), second.read()]).toEqual([2, 2]);
    damage();
    expect(second.write(3)).toBe(3);
    damage();
    second.remove();
    expect([follower.read(), existsSync(file)]).toEqual([undefined, false]);
  });

  test("a file that was truncated is an error, not the end of the process", () => {
    const file = temp.newFile();
    using master = masterOf(file, { maxBytes: 50_000 });
    using follower = followerOf(file);
    master.write(1);
    expect(follower.read()).toBe(1);
    for (const byteLength of [64 * 1024, 100, 0]) {
      truncateSync(file, byteLength);
      expect(() => follower.read()).toThrow(/truncated/);
      expect(() => follower.version).toThrow(FileFormatError);
      expect(() => master.flush()).toThrow(FileFormatError);
      expect(() => append(master, "x")).toThrow(FileFormatError);
    }
    rmSync(file);
    expect(master.write(2)).toBe(GENERATION + 1);
    expect([follower.read(), master.maxBytes]).toEqual([2, 50_000]);
  });

  test("a file that was truncated while a master has it open can be written, as large as it was, and removed, but not updated", () => {
    const file = temp.newFile();
    using master = masterOf(file, { maxBytes: 50_000, mode: 0o640 });
    using other = masterOf(file);
    using follower = followerOf(file);
    let generation = 0;
    for (const writer of [master, other])
      for (const byteLength of [64 * 1024, 100, 0]) {
        master.write(1);
        expect(follower.read()).toBe(1);
        truncateSync(file, byteLength);
        expect(() => append(master, "x")).toThrow(/truncated/);
        expect(() => append(other, "x")).toThrow(/truncated/);
        generation++;
        expect(writer.write(2)).toBe(generation * GENERATION + 1);
        expect([follower.read(), other.read(), master.read()]).toEqual([2, 2, 2]);
        expect([writer.maxBytes, statSync(file).mode & 0o777]).toEqual([50_000, 0o640]);
      }
    truncateSync(file, 100);
    master.remove();
    expect(existsSync(file)).toBeFalse();
    expect([follower.read(), follower.version]).toEqual([undefined, 0]);
  });

  test("a file that was truncated within an update stays as it is: the update fails", () => {
    const file = temp.newFile();
    using master = masterOf(file, { maxBytes: 50_000 });
    master.write(1);
    const truncating = () => {
      truncateSync(file, 64);
      return 2;
    };
    expect(() => master.update(truncating)).toThrow(FileFormatError);
    expect(statSync(file).size).toBe(64);
    expect(master.write(3)).toBe(GENERATION + 1);
  });

  test("a file that was truncated is recreated with force, if it begins as a document and a lock page is beside it", () => {
    const truncated = (document: Document, byteLength: number) => {
      const file = aloneIn();
      masterOf(file, { maxBytes: 10_000 }).write(document);
      truncateSync(file, byteLength);
      return file;
    };
    for (const [document, byteLength] of [
      [1, 3],
      [1, 64],
      [1, 4096],
      ["x".repeat(5000), 4096],
    ] as const) {
      const file = truncated(document, byteLength);
      expect(() => masterOf(file)).toThrow(
        /was truncated to \d+ bytes; .* force: true recreates it, which erases/,
      );
      using again = masterOf(file, { force: true });
      expect(again.write(2)).toBe(GENERATION + 1);
      expect(beside(file)).toEqual(["d", "d.lock", "d.lock-page"]);
    }
    const bare = truncated(1, 100);
    rmSync(`${bare}.lock-page`);
    expect(() => masterOf(bare, { force: true })).toThrow(/or was truncated: .* delete it/);
    const replaced = truncated(1, 100);
    writeFileSync(replaced, "10:30 call Bob, who knows about numbers");
    expect(() => masterOf(replaced, { force: true })).toThrow(/is no file of a JsonMap, or was truncated/);
  });

  test("an empty file may be another program's: it is refused, by force too, until it is deleted", () => {
    const file = aloneIn();
    writeFileSync(file, "");
    for (const options of [{}, { create: false }])
      expect(() => masterOf(file, options)).toThrow(FileFormatError);
    expect(() => followerOf(file)).toThrow(/is empty: .* delete it, then create/);
    expect([beside(file), readFileSync(file, "utf8")]).toEqual([["d"], ""]);
    expect(() => masterOf(file, { force: true })).toThrow(/is empty: .* delete it, then create/);
    expect(existsSync(file)).toBe(true);
    rmSync(file);
    using master = masterOf(file, { force: true });
    expect(master.write(1)).toBe(1);
  });

  test("a file with the name of one of another document's files is refused", () => {
    const names = [
      "d.lock",
      "d.lock-page",
      "d.lockfile",
      "d.lockfile-page",
      "d.owners",
      "d.new-0123456789abcdef",
    ];
    for (const name of names) {
      const file = join(aloneIn(), "..", name);
      for (const force of [false, true]) expect(() => masterOf(file, { force })).toThrow(TypeError);
      expect(() => followerOf(file)).toThrow(/choose another name/);
      expect(() => new JsonMap({ name: `/${name}`, role: "master" })).toThrow(TypeError);
      expect(beside(file)).toEqual([]);
    }
  });

  test("a file with a name like another document's old temporary one lives beside it", () => {
    const file = aloneIn();
    writeFileSync(`${file}.new`, "my thesis");
    using other = masterOf(`${file}.newer`);
    other.write(1);
    {
      using master = masterOf(file, { grow: true });
      master.write("x".repeat(100));
      master.remove();
    }
    expect([readFileSync(`${file}.new`, "utf8"), other.read()]).toEqual(["my thesis", 1]);
  });

  test("a file that was deleted by hand is missed by those who have it open", async () => {
    const file = temp.newFile();
    using first = masterOf(file);
    using follower = followerOf(file);
    first.write(1);
    rmSync(file);
    await Bun.sleep(150);
    expect([follower.read(), follower.version]).toEqual([undefined, 0]);
    using second = masterOf(file);
    expect(second.write(2)).toBe(GENERATION + 1);
    expect([follower.read(), follower.version]).toEqual([2, GENERATION + 1]);
    expect(append(first, "!")).toBe(GENERATION + 2);
    for (const map of [first, second, follower])
      expect([map.read(), map.version]).toEqual(["2!", GENERATION + 2]);
    rmSync(file);
    await Bun.sleep(150);
    expect(first.write(3)).toBe(2 * GENERATION + 1);
    expect(second.read()).toBe(3);
  });

  test("a file that took the place of ours is neither removed nor replaced", async () => {
    const file = temp.newFile();
    using master = masterOf(file, { grow: true });
    master.write(1);
    rmSync(file);
    writeFileSync(file, "my notes");
    expect(() => master.remove()).toThrow(FileFormatError);
    expect(() => master.write("x".repeat(50))).toThrow(FileFormatError);
    await Bun.sleep(150);
    expect(() => master.write(1)).toThrow(FileFormatError);
    expect(readFileSync(file, "utf8")).toBe("my notes");
    rmSync(file);
    master.remove();
    expect(master.write(2)).toBeGreaterThan(1);
  });

  test("a file that took the place of ours within an update that grows is not replaced either", () => {
    const file = temp.newFile();
    using master = masterOf(file, { grow: true });
    master.write(1);
    const replacing = () => {
      rmSync(file);
      writeFileSync(file, "my notes");
      return "x".repeat(50);
    };
    expect(() => master.update(replacing)).toThrow(FileFormatError);
    expect(readFileSync(file, "utf8")).toBe("my notes");
  });

  test("remove() of a file that is not there makes no file and no lock", () => {
    const file = aloneIn();
    using master = masterOf(file);
    using fixed = masterOf(file, { create: false });
    master.remove();
    for (const end of [".lock", ".lock-page"]) rmSync(`${file}${end}`);
    for (const map of [master, fixed]) map.remove();
    expect(beside(file)).toEqual([]);
  });
});

describe("versions grow", () => {
  test("versions grow beyond remove(), also for a master that comes later", () => {
    const file = temp.newFile();
    using follower = followerOf(file);
    let last = 0;
    for (let i = 0; i < 3; i++) {
      using master = masterOf(file);
      const version = master.write(i);
      expect(version).toBeGreaterThan(last);
      expect([follower.read(), follower.version]).toEqual([i, version]);
      last = version;
      master.remove();
      expect(follower.version).toBe(0);
      last = master.write("again");
      expect(last).toBeGreaterThan(version);
      master.remove();
    }
  });

  test("versions grow beyond a file that was deleted by hand, truncated to nothing before or not", () => {
    const file = temp.newFile();
    masterOf(file).write(1);
    rmSync(file);
    using second = masterOf(file);
    expect(second.write(2)).toBe(GENERATION + 1);
    truncateSync(file, 0);
    rmSync(file);
    using third = masterOf(file, { force: true });
    expect(third.write(3)).toBe(2 * GENERATION + 1);
  });

  test("versions grow beyond files that were deleted with their lock's page, for the masters that had them open", () => {
    const file = temp.newFile();
    using master = masterOf(file);
    master.write(1);
    using second = masterOf(file, { force: true });
    expect(second.write(2)).toBe(GENERATION + 1);
    for (const end of ["", ".lock", ".lock-page"]) rmSync(`${file}${end}`);
    expect(second.write(3)).toBe(2 * GENERATION + 1);
    expect([master.read(), master.version]).toEqual([3, 2 * GENERATION + 1]);
  });

  test("versions grow beyond a writer that was killed before it had told the page", () => {
    const file = temp.newFile();
    using master = masterOf(file);
    master.write(1);
    {
      using content = openContent(file);
      content.commit("2");
    }
    rmSync(file);
    using other = masterOf(file);
    expect(other.version).toBeGreaterThanOrEqual(2);
    expect(other.write(3)).toBeGreaterThan(2);
  });

  test("versions grow beyond an older copy that was put back in place, once the file is recreated", () => {
    const file = temp.newFile();
    using master = masterOf(file);
    master.write(1);
    const old = readFileSync(file);
    masterOf(file, { force: true }).close();
    const version = master.write(2);
    writeFileSync(file, old);
    using forced = masterOf(file, { force: true });
    expect(forced.version).toBeGreaterThan(version);
  });

  test("versions start again at 1 when the page of the lock has nonsense", () => {
    const file = temp.newFile();
    masterOf(file).close();
    for (const nonsense of [2 ** 21, 2 ** 31, 2 ** 32 - 1]) {
      rmSync(file);
      const page = readFileSync(lockPagePath(`${file}.lock`));
      page.writeUInt32LE(nonsense, 192);
      writeFileSync(lockPagePath(`${file}.lock`), page);
      using master = masterOf(file);
      expect(master.write(1)).toBe(1);
    }
  });
});

describe("a document that is too large", () => {
  test("a document that is too large is refused with the bytes there are and needed, and the old one stays", () => {
    using master = masterOf(temp.newFile());
    master.write("old");
    try {
      master.write("ß".repeat(10));
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(TooLargeError);
      expect(error).toMatchObject({ bytesAvailable: 20, bytesNeeded: 22, code: "TOO_LARGE" });
      expect((error as Error).message).toEndWith(
        "has room for 20; open the JsonMap with grow: true, or recreate the file with a larger maxBytes and force: true, which erases the document",
      );
    }
    expect([master.read(), master.version]).toEqual(["old", 1]);
    expect(master.write("123456789 12345678")).toBe(2);
  });

  test("a document that is too large for any file is to be split, with grow and without it", () => {
    const huge = "x".repeat(2 ** 30 - 1);
    for (const grow of [false, true]) {
      using master = masterOf(temp.newFile(), { grow });
      expect(() => master.write(huge)).toThrow(/needs 1073741825 bytes, .*; split it into several/);
    }
  });

  test("a document that is too large makes the file grow if that is allowed; the mode stays, followers and masters move", () => {
    const file = temp.newFile();
    using master = masterOf(file, { grow: true, mode: 0o640 });
    using other = masterOf(file);
    using follower = followerOf(file);
    master.write(1);
    expect(follower.read()).toBe(1);
    const long = "x".repeat(98);
    expect(master.write(long)).toBe(GENERATION + 1);
    expect([follower.read(), follower.version]).toEqual([long, GENERATION + 1]);
    expect(other.write(3)).toBe(GENERATION + 2);
    expect([follower.read(), follower.version]).toEqual([3, GENERATION + 2]);
    expect([master.maxBytes, other.maxBytes, follower.maxBytes]).toEqual([100, 100, 100]);
    expect(statSync(file).mode & 0o777).toBe(0o640);
    // At least doubled, so that growing stays rare.
    expect(master.write("x".repeat(99))).toBe(2 * GENERATION + 1);
    expect(follower.maxBytes).toBe(200);
  });

  test("a larger file that cannot be put in place leaves everything as it was, and nothing beside it", () => {
    const file = aloneIn();
    using master = masterOf(file, { maxBytes: 100 });
    master.write(1);
    using old = openContent(file);
    const plan = documentPlan(100, "2");
    const failing = () => {
      throw new Error("no text");
    };
    const options = { mode: 0o600, page: undefined, old: old.file, replaces: true };
    expect(() => putFile(file, { ...plan, fill: failing }, options)).toThrow("no text");
    expect([old.file.isSuperseded, beside(file)]).toEqual([false, ["d", "d.lock", "d.lock-page"]]);
    // A directory cannot be replaced by a file.
    const taken = join(file, "../directory");
    mkdirSync(taken);
    expect(() => putFile(taken, plan, options)).toThrow(SystemError);
    expect([old.file.isSuperseded, beside(file)]).toEqual([
      false,
      ["d", "d.lock", "d.lock-page", "directory"],
    ]);
    expect(master.write(2)).toBe(2);
  });

  // A file system of its own that is soon full.
  const inNamespace = (...command: string[]) =>
    Bun.spawnSync([
      "unshare",
      "-m",
      "sh",
      "-c",
      'mount -t tmpfs -o size=256k none /mnt && exec "$@"',
      "sh",
      ...command,
    ]);
  const canMount = Bun.which("unshare") !== null && inNamespace("true").success;

  test.skipIf(!canMount)(
    "a document that is too large for the disk leaves the old one, and the process alive (needs the right to mount)",
    () => {
      const { stdout, exitCode } = inNamespace(
        process.execPath,
        join(import.meta.dir, "../process/json-disk-full.ts"),
      );
      expect(stdout.toString().trim().split("\n")).toEqual([
        "ENOSPC at the creation, nothing left behind",
        "ENOSPC while growing, still first; beside it: d.lock, d.lock-page",
        "second after that",
      ]);
      expect(exitCode).toBe(0);
    },
  );
});

describe("a master that was killed while it replaced the file", () => {
  const temporaryOf = (file: string) => `${file}.new-0123456789abcdef`;
  const halfReplaced = () => {
    const file = temp.newFile();
    masterOf(file).write(1);
    using content = openContent(file);
    content.file.setSuperseded(true);
    writeFileSync(temporaryOf(file), "shmstrct, half of it");
    return file;
  };

  test("a master that was killed while it replaced the file disturbs no follower", () => {
    using follower = followerOf(halfReplaced());
    for (let i = 0; i < 2; i++) expect([follower.read(), follower.version]).toEqual([1, 1]);
  });

  test("what a master that was killed while it replaced the file leaves is taken away when the next opens the file, or removes it", () => {
    const file = halfReplaced();
    using master = masterOf(file);
    expect(existsSync(temporaryOf(file))).toBeFalse();
    writeFileSync(temporaryOf(file), "");
    chmodSync(temporaryOf(file), 0o1600);
    master.remove();
    expect(existsSync(temporaryOf(file))).toBeFalse();
  });

  test("the next master cleans up after one that was killed while it replaced the file", () => {
    const file = halfReplaced();
    using follower = followerOf(file);
    using master = masterOf(file, { grow: true });
    expect(master.write(2)).toBe(2);
    using content = openContent(file, "read");
    expect(content.file.isSuperseded).toBeFalse();
    expect(master.write("x".repeat(50))).toBe(GENERATION + 1);
    expect(follower.version).toBe(GENERATION + 1);
    expect(existsSync(temporaryOf(file))).toBeFalse();
  });

  test("files of others that have such a temporary name are left alone", () => {
    const file = temp.newFile();
    for (const text of ["my thesis", ""]) {
      writeFileSync(temporaryOf(file), text);
      using master = masterOf(file, { grow: true });
      master.write("x".repeat(50));
      master.remove();
      expect(readFileSync(temporaryOf(file), "utf8")).toBe(text);
    }
  });
});

describe("the lock", () => {
  test("writers take the lock and readers do not", () => {
    const file = temp.newFile();
    using master = masterOf(file);
    using follower = followerOf(file);
    master.write(1);
    using lock = new RwLock({ path: `${file}.lock` });
    lock.acquire("exclusive");
    expect([follower.read(), master.read()]).toEqual([1, 1]);
    expect(() => master.write(2)).toThrow(DeadlockError);
    lock.release();
    expect(master.write(2)).toBe(2);
  });

  test("a document that is whole opens without the lock", () => {
    const file = temp.newFile();
    masterOf(file).write(1);
    using lock = new RwLock({ path: `${file}.lock` });
    lock.acquire("exclusive");
    using master = masterOf(file);
    using follower = followerOf(file);
    expect([master.read(), follower.read()]).toEqual([1, 1]);
  });

  test("a reader that writers do not let through takes the lock", () => {
    using master = masterOf(temp.newFile());
    master.write(1);
    const busy = spyOn(DocumentContent.prototype, "tryRead").mockReturnValueOnce(undefined);
    const modes: (string | undefined)[] = [];
    const acquire = spyOn(RwLock.prototype, "acquire").mockImplementation(function (this: RwLock, mode) {
      modes.push(mode);
    });
    expect(master.read()).toBe(1);
    expect(modes).toEqual(["shared"]);
    for (const spy of [busy, acquire]) spy.mockRestore();
  });

  test.skipIf(!hasTool("flock"))("the lock is waited for no longer than asked (needs flock)", async () => {
    const file = temp.newFile();
    using master = masterOf(file);
    const holder = Bun.spawn(["flock", `${file}.lock`, "sh", "-c", "echo held; read line"], {
      stdin: "pipe",
      stdout: "pipe",
    });
    await holder.stdout.getReader().read();
    expect(() => master.write(1, { timeoutMs: 20 })).toThrow(LockTimeoutError);
    expect(() => master.update(() => 1, { timeoutMs: 20 })).toThrow(LockTimeoutError);
    expect(() => master.remove({ timeoutMs: 20 })).toThrow(LockTimeoutError);
    expect(() => masterOf(file, { force: true, timeoutMs: 20 })).toThrow(LockTimeoutError);
    holder.stdin.end();
    await holder.exited;
    expect(master.write(1, { timeoutMs: 60_000 })).toBe(1);
  });

  test("a lock file that was deleted is another lock: no master writes under the old one", () => {
    const file = temp.newFile();
    using first = masterOf(file);
    rmSync(`${file}.lock`);
    using second = masterOf(file);
    const blocked = () => first.write(1, { timeoutMs: 0 });
    second.update(() => {
      expect(blocked).toThrow(DeadlockError);
      return 2;
    });
    expect(first.write(3)).toBe(2);
    rmSync(`${file}.lock`);
    rmSync(`${file}.lock-page`);
    expect(first.write(4)).toBe(3);
    expect(second.write(5)).toBe(4);
    expect(existsSync(`${file}.lock-page`)).toBeTrue();
  });

  test("the lock is given back when the new text cannot be made, and nothing has changed", async () => {
    const file = temp.newFile();
    using master = masterOf(file);
    using follower = followerOf(file);
    master.write(1);
    const failing = () => {
      throw new Error("no idea");
    };
    await using changes = follower.changes();
    const turn = changes.next();
    expect(() => master.update(failing)).toThrow("no idea");
    expect([master.read(), master.version]).toEqual([1, 1]);
    expect(append(master, "2")).toBe(2);
    expect(master.read()).toBe("12");
    expect((await turn).value).toBe("12");
  });
});

test("a closed map stays closed, also when it was closed within an update", () => {
  const file = temp.newFile();
  const master = masterOf(file);
  const closing = () => {
    master.close();
    return 1;
  };
  expect(() => master.update(closing)).toThrow(ClosedError);
  master.close();
  expect(() => master.read()).toThrow(ClosedError);
  expect(() => master.version).toThrow(ClosedError);
  expect(() => master.maxBytes).toThrow(ClosedError);
  expect(() => master.write(1)).toThrow(ClosedError);
  expect(() => master.flush()).toThrow(ClosedError);
  expect(() => master.remove()).toThrow(ClosedError);
  // The lock is free, and the document was not written.
  using other = masterOf(file);
  expect([other.write(2, { timeoutMs: 0 }), statSync(file).size % 64]).toEqual([1, 0]);
  expect(readFileSync(file).length).toBeGreaterThan(FOOTER_BYTES);
});
