/** Making, replacing and removing files, by many at once, on full disks, and in places that are taken. */
import { describe, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  bytes,
  Editor,
  FileMissingError,
  field,
  Manager,
  type ManagerOptions,
  MmapStructure,
  Reader,
} from "../../src/index.ts";
import { isEmulated } from "../support/platform.ts";
import { thrownBy } from "../support/thrown.ts";
import { linesOf } from "../support/tools.ts";
import { Robot } from "./structs.ts";
import { openRecord, spawnBun, TempDir } from "./support.ts";

const FILE = "Robot_.mmap";
const permissions = (path: string): string => (statSync(path).mode & 0o777).toString(8);

/** Starts creators that wait for each other; `next()` is the next line of each. */
function startCreators(options: readonly ManagerOptions[]) {
  const children = options.map((each) => spawnBun("role-creator.ts", [JSON.stringify(each)]));
  const lines = children.map((child) => linesOf(child.stdout));
  return {
    next: () => Promise.all(lines.map(async (line) => (await line.next()).value as string)),
    go: () => {
      for (const { stdin } of children) {
        stdin.write("go\n");
        stdin.flush();
      }
    },
    finish: () => {
      for (const { stdin } of children) {
        stdin.write("go\n");
        stdin.end();
      }
    },
    ended: () => Promise.all(children.map(({ exited }) => exited)),
  };
}

describe.skipIf(isEmulated)("many creators at once (not under emulation)", () => {
  for (const force of [false, true]) {
    test(`16 processes${force ? " with force" : ""} make one file, and no reader sees half of one`, async () => {
      using temp = new TempDir();
      const creators = startCreators(
        Array.from({ length: 16 }, () => ({ dir: temp.dir, create: true, force })),
      );
      expect(new Set(await creators.next())).toEqual(new Set(["ready"]));
      creators.go();
      let isMade = false;
      const made = creators.next().finally(() => {
        isMade = true;
      });
      while (!isMade) {
        try {
          using reader = new Reader(Robot, { dir: temp.dir });
          expect(reader.get("count")).toBe(0);
        } catch (error) {
          // Before the first, and when the file is replaced just now.
          expect(error).toBeInstanceOf(FileMissingError);
        }
        await Bun.sleep(0);
      }
      expect(new Set(await made)).toEqual(new Set(["made"]));
      creators.finish();
      await creators.next();
      expect(await creators.ended()).toEqual(Array(16).fill(0));
      using reader = new Reader(Robot, { dir: temp.dir });
      // With force 16 files, one after another.
      const generation = force ? 15 : 0;
      expect([reader.get("count"), reader.version]).toEqual([16, generation * 2 ** 32 + 16]);
      expect(readdirSync(temp.dir).sort()).toEqual(["Robot_.lock", "Robot_.lock-page", FILE]);
    }, 240_000);
  }

  test("creators who want different kinds of lock agree on one", async () => {
    using temp = new TempDir();
    const kinds = ["flock", "fcntl", "flock", "fcntl", "flock", "fcntl"] as const;
    const creators = startCreators(
      kinds.map((lock) => ({ dir: temp.dir, lockDir: temp.dir, create: true, lock })),
    );
    await creators.next();
    creators.go();
    const results = await creators.next();
    creators.finish();
    await creators.ended();
    using reader = new Reader(Robot, { dir: temp.dir, lockDir: temp.dir });
    expect(reader.get("count")).toBe(3);
    const refused = results.filter((line) => line.startsWith("FILE_FORMAT"));
    expect(refused.length).toBe(3);
    expect(refused[0]).toContain("was made with lock:");
  }, 240_000);

  test("creators with force and different kinds of lock leave every role on one file", async () => {
    using temp = new TempDir();
    const kinds = ["flock", "fcntl", "flock", "fcntl", "flock", "fcntl"] as const;
    const options = { dir: temp.dir, lockDir: temp.dir, create: true, force: true };
    const creators = startCreators(kinds.map((lock) => ({ ...options, lock })));
    await creators.next();
    creators.go();
    const results = await creators.next();
    creators.finish();
    await creators.ended();
    using reader = new Reader(Robot, { dir: temp.dir, lockDir: temp.dir });
    // Some may find that between their making the file and opening it somebody else made another one.
    expect(reader.get("count")).toBe(results.filter((line) => line === "made").length);
  }, 240_000);
});

describe("full disks", () => {
  const canMount = Bun.spawnSync(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/tmp"]).exitCode === 0;
  const child = `"${process.execPath}" "${join(import.meta.dir, "../process/role-full-disk.ts")}"`;
  // Where nothing can be mounted, a limit on the size of files makes the same call fail.
  const [place, code, command] = canMount
    ? [
        "a full tmpfs",
        "ENOSPC",
        (dir: string) => [
          "unshare",
          "-rm",
          "sh",
          "-c",
          `mount -t tmpfs -o size=128k none ${dir} && exec ${child} ${dir}`,
        ],
      ]
    : [
        "a file size limit",
        "EFBIG",
        (dir: string) => ["sh", "-c", `trap '' XFSZ; ulimit -f 100; exec ${child} ${dir}`],
      ];

  test(`${place} is a SystemError ${code} at creation; no process dies and nothing is left`, () => {
    using temp = new TempDir();
    const { stdout, exitCode } = Bun.spawnSync(command(temp.dir), { stderr: "inherit" });
    const [refusal, rest] = stdout.toString().trim().split("\n");
    expect(refusal).toStartWith(`SystemError ${code}: fallocate '${temp.file("Big_.mmap.new-")}`);
    expect([rest, exitCode]).toEqual(["Robot_.mmap 1", 0]);
  });

  test("a struct that no mapping can hold is refused before anything is written", () => {
    class Huge extends MmapStructure {
      @field(bytes(2 ** 31)) data!: Uint8Array;
    }
    using temp = new TempDir();
    const error = thrownBy(() => new Manager(Huge, { dir: temp.dir, create: true }));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toContain("transactional: false saves 2147483664");
    expect(readdirSync(temp.dir).sort()).toEqual(["Huge_.lock", "Huge_.lock-page"]);
  });
});

describe("places that are taken", () => {
  const options = (temp: TempDir, force: boolean) => ({ dir: temp.dir, create: true, force });

  /** What a refused creation must not have changed. */
  function fingerprint(temp: TempDir): unknown {
    return readdirSync(temp.dir, { withFileTypes: true, recursive: true })
      .filter(({ name }) => !name.includes(".lock"))
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        const { mode, ino, mtimeMs } = lstatSync(path);
        const content = entry.isFile()
          ? readFileSync(path, "hex")
          : entry.isSymbolicLink()
            ? readlinkSync(path)
            : "";
        return [entry.name, mode, ino, mtimeMs, content];
      });
  }

  const takers: Record<string, { code: string; take: (path: string) => void }> = {
    "a symbolic link": {
      code: "ELOOP",
      take: (path) => {
        writeFileSync(`${path}.target`, "precious");
        symlinkSync(`${path}.target`, path);
      },
    },
    "a dangling link": { code: "ELOOP", take: (path) => symlinkSync(`${path}.nowhere`, path) },
    "a FIFO": { code: "FILE_FORMAT", take: (path) => void Bun.spawnSync(["mkfifo", "-m", "640", path]) },
    "a directory": { code: "EISDIR", take: (path) => mkdirSync(path) },
    "a text file": { code: "FILE_FORMAT", take: (path) => writeFileSync(path, "precious\n".repeat(500)) },
    "a short text file": { code: "FILE_FORMAT", take: (path) => writeFileSync(path, "precious") },
    "a file of zeros": { code: "FILE_FORMAT", take: (path) => writeFileSync(path, new Uint8Array(4096)) },
  };

  for (const [what, { code, take }] of Object.entries(takers)) {
    for (const force of [false, true]) {
      test(`${what} in the place of the file is refused by a Manager${force ? " with force" : ""}, and stays as it is`, () => {
        using temp = new TempDir();
        take(temp.file(FILE));
        const before = fingerprint(temp);
        expect(thrownBy(() => new Manager(Robot, options(temp, force))).code).toBe(code);
        // A lock file beside it, of an earlier life, changes nothing.
        writeFileSync(temp.file("Robot_.lock"), "");
        expect(thrownBy(() => new Manager(Robot, options(temp, force))).code).toBe(code);
        expect(fingerprint(temp)).toEqual(before);
      });
    }
    test(`${what} in the place of the file is refused by Editor and Reader`, () => {
      using temp = new TempDir();
      take(temp.file(FILE));
      for (const Role of [Editor, Reader] as (typeof Reader)[])
        expect(thrownBy(() => new Role(Robot, { dir: temp.dir })).code).toBe(
          code === "EISDIR" && Role === Reader ? "FILE_FORMAT" : code,
        );
    });
  }

  for (const suffix of [".lock", ".lock-page"]) {
    for (const what of ["a symbolic link", "a FIFO", "a directory"]) {
      test(`${what} in the place of ${suffix} is refused`, () => {
        using temp = new TempDir();
        takers[what]?.take(temp.file(`Robot_${suffix}`));
        const before = lstatSync(temp.file(`Robot_${suffix}`));
        expect(thrownBy(() => new Manager(Robot, options(temp, true))).code).toMatch(
          /ELOOP|EISDIR|FILE_FORMAT/,
        );
        expect(lstatSync(temp.file(`Robot_${suffix}`)).mode).toBe(before.mode);
        expect(existsSync(temp.file(FILE))).toBe(false);
      });
    }
  }

  test("a symbolic link as the directory is followed: it is the user's to choose", () => {
    using temp = new TempDir();
    mkdirSync(temp.file("real"));
    symlinkSync(temp.file("real"), temp.file("link"));
    new Manager(Robot, { dir: temp.file("link"), create: true }).close();
    expect(existsSync(temp.file(`real/${FILE}`))).toBe(true);
  });

  test("a file of the library is replaced by force when it is damaged or truncated", () => {
    const damages: ((path: string) => void)[] = [
      (path) => truncateSync(path, 3),
      (path) => truncateSync(path, 100),
      (path) => truncateSync(path, 200),
      (path) => appendFileSync(path, "x"),
      (path) => writeFileSync(path, readFileSync(path).fill(255, 300, 310)),
      (path) =>
        writeFileSync(path, readFileSync(path).fill(255, statSync(path).size - 56, statSync(path).size - 40)),
    ];
    for (const damage of damages) {
      using temp = new TempDir();
      const both = { dir: temp.dir, lockDir: temp.dir };
      new Manager(Robot, { ...both, create: true }).close();
      damage(temp.file(FILE));
      expect(thrownBy(() => new Reader(Robot, both)).code).toBe("FILE_FORMAT");
      expect(thrownBy(() => new Manager(Robot, { ...both, create: true })).code).toBe("FILE_FORMAT");
      using manager = new Manager(Robot, { ...both, create: true, force: true });
      manager.set("count", 1);
      expect(manager.get("count")).toBe(1);
    }
  });
});

describe("permissions", () => {
  test("data and lock files have mode 0600 by default, whatever the umask", () => {
    using temp = new TempDir();
    const before = process.umask(0);
    try {
      new Manager(Robot, { dir: temp.dir, create: true }).close();
    } finally {
      process.umask(before);
    }
    for (const name of readdirSync(temp.dir))
      expect([name, permissions(temp.file(name))]).toEqual([name, "600"]);
  });

  for (const lock of ["flock", "fcntl"] as const) {
    test(`mode is exact for the data file and its ${lock} files, whatever the umask`, () => {
      using temp = new TempDir();
      const before = process.umask(0o077);
      try {
        new Manager(Robot, { dir: temp.dir, lockDir: temp.dir, create: true, mode: 0o664, lock }).close();
      } finally {
        process.umask(before);
      }
      const names = readdirSync(temp.dir).sort();
      expect(names).toEqual(
        lock === "flock"
          ? ["Robot_.lock", "Robot_.lock-page", FILE]
          : ["Robot_.lockfile", "Robot_.lockfile-page", FILE],
      );
      for (const name of names) expect([name, permissions(temp.file(name))]).toEqual([name, "664"]);
    });
  }

  test("force with another mode changes the lock files too", () => {
    using temp = new TempDir();
    for (const mode of [0o600, 0o666, 0o640]) {
      new Manager(Robot, { dir: temp.dir, create: true, force: true, mode, shared: true }).close();
      for (const name of readdirSync(temp.dir)) expect(permissions(temp.file(name))).toBe(mode.toString(8));
    }
  });

  test("a Manager creates a removed lock file again, with the data file's permissions", () => {
    using temp = new TempDir();
    new Manager(Robot, { dir: temp.dir, create: true, mode: 0o660 }).close();
    rmSync(temp.file("Robot_.lock"));
    rmSync(temp.file("Robot_.lock-page"));
    const options = { dir: temp.dir, shared: true };
    expect(thrownBy(() => new Editor(Robot, options)).code).toBe("FILE_MISSING");
    new Manager(Robot, { ...options, create: true }).close();
    expect([permissions(temp.file("Robot_.lock")), permissions(temp.file("Robot_.lock-page"))]).toEqual([
      "660",
      "660",
    ]);
  });

  test("a Manager refuses options that make no sense before anything is touched", () => {
    using temp = new TempDir();
    const refusals: [ManagerOptions, typeof TypeError | typeof RangeError, string][] = [
      [{ mode: 0o1777 }, RangeError, "mode must be permissions from 0 to 0o777, got 1023"],
      [{ mode: Number.NaN }, RangeError, "got NaN"],
      [{ lock: "posix" as "flock" }, TypeError, 'lock must be "flock" or "fcntl", got "posix"'],
      [{ lock: "fcntl", transactional: true }, TypeError, 'transactional: true needs lock: "flock"'],
      [
        { tag: "a/b" },
        TypeError,
        'tag becomes part of a file name and must not contain a slash, NUL, another control character or half a surrogate pair, got "a/b"',
      ],
      [{ className: "../x" }, TypeError, "className becomes part of a file name"],
      [{ className: "" }, TypeError, "className is empty"],
      [{ tag: "\ud800" }, TypeError, "half a surrogate pair"],
    ];
    for (const [options, kind, message] of refusals) {
      const error = thrownBy(() => new Manager(Robot, { dir: temp.dir, create: true, ...options }));
      expect(error).toBeInstanceOf(kind);
      expect(error.message).toContain(message);
    }
    expect(readdirSync(temp.dir)).toEqual([]);
  });
});

describe.skipIf(isEmulated)("deaths of creators (not under emulation)", () => {
  test("creators killed at any instant leave a whole file, a free lock and at most one file behind", async () => {
    using temp = new TempDir();
    using reader = (() => {
      new Manager(Robot, { dir: temp.dir, create: true }).close();
      return new Reader(Robot, { dir: temp.dir });
    })();
    for (let i = 0; i < 30; i++) {
      const child = spawnBun("role-forcer.ts", [temp.dir]);
      await linesOf(child.stdout).next();
      await Bun.sleep(Math.random() * 5);
      child.kill("SIGKILL");
      await child.exited;
      expect(reader.read((data) => data.count, { timeoutMs: 60_000 })).toBeNumber();
      using editor = new Editor(Robot, { dir: temp.dir });
      editor.set("count", i);
      expect([reader.get("count"), reader.snapshot().count, reader.live.count]).toEqual([i, i, i]);
      const left = readdirSync(temp.dir).filter((name) => name.includes(".new"));
      expect(left.length).toBeLessThanOrEqual(1);
    }
  }, 240_000);

  test("a file that only has the name of a creator's file is left alone", () => {
    using temp = new TempDir();
    const strangers: Record<string, () => void> = {
      "new-flock": () => writeFileSync(temp.file(`${FILE}.new-flock`), "my thesis"),
      "new-0123456789abcdef": () => writeFileSync(temp.file(`${FILE}.new-0123456789abcdef`), "my thesis"),
      "new-1123456789abcdef": () => symlinkSync("/etc/passwd", temp.file(`${FILE}.new-1123456789abcdef`)),
    };
    for (const put of Object.values(strangers)) put();
    const manager = new Manager(Robot, { dir: temp.dir, create: true, force: true });
    manager.remove();
    const names = readdirSync(temp.dir);
    for (const name of Object.keys(strangers)) expect(names).toContain(`${FILE}.${name}`);
  });

  test("the next creator removes what a killed one left half made, and is not blocked by it", () => {
    using temp = new TempDir();
    const left = temp.file(`${FILE}.new-0123456789abcdef`);
    for (const leave of [
      () => {
        writeFileSync(left, "");
        chmodSync(left, 0o1600);
      },
      () => writeFileSync(left, `shmstrct${"\0".repeat(1000)}`),
      () => copyFileSync(temp.file(FILE), left),
      // Killed between giving the file its name and taking away the other one.
      () => linkSync(temp.file(FILE), left),
    ]) {
      new Manager(Robot, { dir: temp.dir, create: true }).close();
      leave();
      using manager = new Manager(Robot, { dir: temp.dir, create: true, force: true });
      manager.set("count", 1);
      expect(readdirSync(temp.dir).sort()).toEqual(["Robot_.lock", "Robot_.lock-page", FILE]);
    }
    expect(permissions("/etc/passwd")).toBe("644");
  });

  test("a file that a killed Manager retired but did not replace stays in use", () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    manager.set("count", 3);
    using reader = new Reader(Robot, { dir: temp.dir });
    const { live } = reader;
    const retire = (): void => {
      using file = openRecord(Robot, { dir: temp.dir }).file;
      file.setSuperseded(true);
    };
    retire();
    expect([reader.get("count"), reader.snapshot().count, reader.live.count, live.count]).toEqual([
      3, 3, 3, 3,
    ]);
    manager.set("count", 4);
    retire();
    expect(reader.get("count")).toBe(4);
    using editor = new Editor(Robot, { dir: temp.dir });
    editor.set("count", 5);
    expect([reader.get("count"), reader.snapshot().count, manager.get("count")]).toEqual([5, 5, 5]);
    retire();
    using later = new Manager(Robot, { dir: temp.dir, create: true });
    expect(later.get("count")).toBe(5);
  });

  test("a file that was moved away and back is still the same", () => {
    using temp = new TempDir();
    using manager = new Manager(Robot, { dir: temp.dir, create: true });
    renameSync(temp.file(FILE), temp.file("away"));
    manager.set("count", 1);
    expect(thrownBy(() => new Reader(Robot, { dir: temp.dir })).code).toBe("FILE_MISSING");
    renameSync(temp.file("away"), temp.file(FILE));
    expect(new Reader(Robot, { dir: temp.dir }).get("count")).toBe(1);
  });
});

test("a directory without write permission is a SystemError that names the file", () => {
  if (process.getuid?.() === 0) return; // root may write everywhere
  using temp = new TempDir();
  chmodSync(temp.dir, 0o500);
  expect(thrownBy(() => new Manager(Robot, { dir: temp.dir, create: true })).code).toBe("EACCES");
  chmodSync(temp.dir, 0o700);
});
