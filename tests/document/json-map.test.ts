import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ClosedError,
  DeadlockError,
  InvalidDocumentError,
  type Json,
  type JsonFollower,
  JsonMap,
  type JsonMaster,
  type StandardSchema,
  WaitTimeoutError,
} from "../../src/document/index.ts";
import { readableCopy } from "../support/readable-copy.ts";
import { descriptorsOf, mappingsOf } from "../support/resources.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-json-map-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Config {
  port: number;
  hosts?: string[];
}

let files = 0;
function pair<T>(): { master: JsonMaster<T>; follower: JsonFollower<T>; file: string } & Disposable {
  const file = join(dir, `d${files++}`);
  const master = new JsonMap<T>({ file, role: "master" });
  const follower = new JsonMap<T>({ file, role: "follower" });
  const dispose = () => {
    master.close();
    follower.close();
  };
  return { master, follower, file, [Symbol.dispose]: dispose };
}

describe("wrong options", () => {
  test("wrong options of the constructor are TypeErrors that name them", () => {
    const make = (options?: unknown) => () => new JsonMap(options as { role: "master" });
    for (const wrong of [undefined, null, 5, "a"])
      expect(make(wrong)).toThrow(/^new JsonMap: expected options/);
    const file = join(dir, "none");
    expect(make({ maxbytes: 5 })).toThrow(/there is no option "maxbytes"/);
    expect(make({ file, role: "follower", maxBytes: 5 })).toThrow(/follower.*no option "maxBytes"/);
    expect(make({ file, role: "master", grow: "yes" })).toThrow(/option grow must be a boolean/);
    expect(make({ file: 5, role: "master" })).toThrow(/option file must be a string/);
    expect(readdirSync(dir)).not.toContain("none");
  });

  test("wrong options of the methods are TypeErrors that name them", async () => {
    using both = pair<number>();
    const { master, follower } = both;
    const wrong = { timeout: 5 } as object;
    expect(() => master.write(1, wrong)).toThrow(/^write: there is no option "timeout"/);
    expect(() => master.update(() => 1, 5 as unknown as object)).toThrow(/^update: expected options/);
    expect(() => master.remove(wrong)).toThrow(/^remove: there is no option/);
    const signal = AbortSignal.timeout(1);
    expect(() => follower.changes(signal as object)).toThrow(/^changes: expected options/);
    expect(() => follower.changes({ signal: 5 } as object)).toThrow(/signal must be an AbortSignal/);
    expect(follower.waitForFirst(signal as object)).rejects.toThrow(/^waitForFirst: expected options/);
    expect([master.version, await master.write(7)]).toEqual([0, 1]);
  });
});

describe("one document", () => {
  test("a document is undefined before the first write, then what was written, for master and follower", () => {
    using both = pair<Config>();
    const { master, follower } = both;
    expect([master.read(), follower.read(), follower.version]).toEqual([undefined, undefined, 0]);
    expect(master.write({ port: 80, hosts: ["ß", "漢😀"] })).toBe(1);
    expect(follower.read()).toEqual({ port: 80, hosts: ["ß", "漢😀"] });
    expect(master.read()).toEqual({ port: 80, hosts: ["ß", "漢😀"] });
    expect([master.version, follower.version]).toEqual([1, 1]);
  });

  test("a document may be any JSON value", () => {
    using both = pair<Json>();
    const values: Json[] = [
      null,
      true,
      0,
      -1.5e-7,
      "",
      "x\0y",
      [],
      {},
      [[[]]],
      { ["__proto__"]: 1 },
      "\ud800",
    ];
    for (const value of values) {
      both.master.write(value);
      expect(both.follower.read()).toEqual(value);
    }
  });

  test("a document that was read belongs to its reader", () => {
    using both = pair<Config>();
    const { master, follower } = both;
    master.write({ port: 80, hosts: ["a"] });
    const mine = follower.read()!;
    mine.port = 1;
    mine.hosts!.push("b");
    expect(follower.read()).toEqual({ port: 80, hosts: ["a"] });
    expect(master.read()).toEqual({ port: 80, hosts: ["a"] });
  });

  test("a document stands at the start of the file with its length in bytes", () => {
    using both = pair<string>();
    both.master.write("ß😀");
    expect(readFileSync(both.file, "utf8")).toStartWith('8:"ß😀"');
  });

  test("a document may live in shared memory by name", () => {
    const name = `/shmstruct-json-${process.pid}`;
    using master = new JsonMap({ name, role: "master" });
    using follower = new JsonMap({ name, role: "follower" });
    try {
      master.write([1]);
      expect(follower.read()).toEqual([1]);
      expect(master.path).toBe(`/dev/shm${name}`);
    } finally {
      master.remove();
      for (const ending of [".lock", ".lock-page"]) rmSync(`${master.path}${ending}`);
    }
  });

  test("a document that JSON cannot hold is refused with the path, and the old one stays", () => {
    using both = pair<unknown>();
    both.master.write(1);
    expect(() => both.master.write({ a: [0, 1, 2, { b: undefined }] })).toThrow(TypeError);
    expect(() => both.master.write({ a: [0, 1, 2, { b: undefined }] })).toThrow("$.a[3].b is undefined");
    expect(() => both.master.update(() => [1n])).toThrow("$[0] is a bigint");
    expect([both.follower.read(), both.follower.version]).toEqual([1, 1]);
  });
});

describe("update", () => {
  test("update takes what fn returns, or what fn made of the document", () => {
    using both = pair<Config>();
    const { master, follower } = both;
    expect(master.update((config = { port: 80 }) => ({ ...config, hosts: [] }))).toBe(1);
    master.update((config) => {
      config!.port += 1;
    });
    expect(follower.read()).toEqual({ port: 81, hosts: [] });
  });

  test("update writes nothing when fn throws, is asynchronous, or gives nothing to write", () => {
    using both = pair<Config>();
    const { master } = both;
    const nothing = () => {};
    expect(() => master.update(nothing)).toThrow("$ is undefined");
    master.write({ port: 1 });
    const fail = () => {
      throw new RangeError("no");
    };
    expect(() => master.update(fail)).toThrow(RangeError);
    expect(() => master.update((async () => ({ port: 2 })) as never)).toThrow("update(fn): fn is async");
    expect(() => master.update((() => Promise.resolve(1)) as never)).toThrow("fn returned a promise");
    expect([master.read(), master.version]).toEqual([{ port: 1 }, 1]);
  });

  test("update holds the lock: within it reading is possible, writing is not", () => {
    using both = pair<Config>();
    const { master, follower } = both;
    master.write({ port: 1 });
    master.update((config) => {
      expect(follower.read()).toEqual({ port: 1 });
      expect(master.read()).toEqual({ port: 1 });
      expect(() => master.write({ port: 5 })).toThrow(DeadlockError);
      config!.port = 2;
    });
    expect(follower.read()).toEqual({ port: 2 });
  });

  test("update loses no change between processes", async () => {
    using both = pair<{ n: number }>();
    const child = join(import.meta.dir, "../process/json-counter.ts");
    const children = [1, 2, 3].map(() => Bun.spawn([process.execPath, child, both.file, "300"]));
    expect(await Promise.all(children.map((process) => process.exited))).toEqual([0, 0, 0]);
    expect(both.follower.read()).toEqual({ n: 900 });
    expect(both.follower.version).toBe(900);
  }, 240_000);
});

describe("a follower", () => {
  test("a follower cannot write: TypeErrors at run time, errors at compile time", () => {
    using both = pair<Config>();
    both.master.write({ port: 1 });
    const { follower } = both;
    expect("write" in follower).toBeTrue();
    // @ts-expect-error a follower has no write
    expect(() => follower.write({ port: 2 })).toThrow(
      new TypeError(
        `write: the JsonMap of '${both.file}' only reads; open it with { role: "master" } to write`,
      ),
    );
    // @ts-expect-error nor update
    expect(() => follower.update(() => ({ port: 2 }))).toThrow(TypeError);
    // @ts-expect-error nor flush
    expect(() => follower.flush()).toThrow(TypeError);
    // @ts-expect-error nor remove
    expect(() => follower.remove()).toThrow(TypeError);
    expect(follower.read()).toEqual({ port: 1 });
  });

  test("a follower stays one, whatever is stored to it", () => {
    using both = pair<Config>();
    both.master.write({ port: 1 });
    const follower = both.follower as unknown as { role: string; write(value: unknown): void };
    expect(() => {
      follower.role = "master";
    }).toThrow(TypeError);
    Object.defineProperty(follower, "role", { value: "master" });
    expect(() => follower.write(1)).toThrow("only reads");
  });

  test("a follower maps the file for reading only", () => {
    using both = pair<Config>();
    both.master.close();
    const maps = readFileSync("/proc/self/maps", "utf8").split("\n");
    const own = maps.filter((line) => line.endsWith(both.file));
    expect(own.map((line) => line.split(" ")[1])).toEqual(["r--s"]);
  });
});

/** A schema of our own, as any library makes them: { port: number, name = "none" }, unknown keys are dropped. */
const schema: StandardSchema<{ port: number; name?: string }, { port: number; name: string }> = {
  "~standard": {
    version: 1,
    vendor: "own",
    validate(value) {
      const { port, name = "none" } = value as { port?: unknown; name?: string };
      if (typeof port === "number") return { value: { port, name } };
      return { issues: [{ message: "Expected number", path: ["port"] }] };
    },
  },
};

describe("a schema", () => {
  test("a schema types and validates what is written and read", () => {
    const file = join(dir, "schema");
    using master = new JsonMap({ file, role: "master", schema });
    using follower = new JsonMap({ file, role: "follower", schema });
    using plain = new JsonMap<Json>({ file, role: "master" });
    master.write({ port: 80 });
    expect(plain.read()).toEqual({ port: 80, name: "none" });
    const document: { port: number; name: string } | undefined = follower.read();
    expect(document).toEqual({ port: 80, name: "none" });
    // @ts-expect-error the compiler knows what the schema takes
    expect(() => master.write({ port: "80" })).toThrow(InvalidDocumentError);
    expect(master.version).toBe(1);
    plain.write({ port: "80" });
    expect(() => follower.read()).toThrow(
      `the document in '${file}' does not fit its own schema: $.port: Expected number`,
    );
    expect(() => master.update((config) => config!)).toThrow(InvalidDocumentError);
    plain.write({ port: 1, extra: true });
    expect(follower.read()).toEqual({ port: 1, name: "none" });
  });

  test("a schema's result that JSON cannot hold is refused at the write", () => {
    const dates: StandardSchema<number, Date> = {
      "~standard": { version: 1, vendor: "own", validate: (value) => ({ value: new Date(value as number) }) },
    };
    using master = new JsonMap({ file: join(dir, "dates"), role: "master", schema: dates });
    expect(() => master.write(0)).toThrow("$ is an instance of Date");
  });
});

test("options with impossible values are refused", () => {
  const open = (options: object) => () =>
    new JsonMap({ file: join(dir, "none"), role: "master", ...options } as never);
  expect(open({ role: "slave" })).toThrow('role must be "master" or "follower", not "slave"');
  for (const maxBytes of [0, -1, 1.5, 2 ** 30 + 1, Number.NaN])
    expect(open({ maxBytes })).toThrow(RangeError);
  for (const mode of [0o1000, -1, 1.5]) expect(open({ mode })).toThrow(RangeError);
  expect(open({ name: "/x" })).toThrow("needs either { file:");
  expect(open({ schema: {} })).toThrow("schema must be a Standard Schema");
  // @ts-expect-error a follower makes no file
  const options: ConstructorParameters<typeof JsonMap>[0] = { file: "x", role: "follower", maxBytes: 5 };
  expect(options.role).toBe("follower");
});

test("a master without a file tells the room of the one it would make", () => {
  using master = new JsonMap<number>({ file: join(dir, "room"), role: "master", maxBytes: 50 });
  using other = new JsonMap<number>({ file: join(dir, "room"), role: "master", maxBytes: 500 });
  using follower = new JsonMap<number>({ file: join(dir, "room"), role: "follower" });
  expect([master.maxBytes, other.maxBytes, follower.maxBytes]).toEqual([50, 50, 50]);
  master.remove();
  expect([master.maxBytes, other.maxBytes, follower.maxBytes]).toEqual([50, 500, undefined]);
});

test("a closed map reads, writes and waits no more", async () => {
  using both = pair<Config>();
  both.master.write({ port: 1 });
  for (const map of [both.master, both.follower]) {
    expect(map.closed).toBeFalse();
    map.close();
    map.close();
    expect(map.closed).toBeTrue();
    expect(() => map.read()).toThrow(ClosedError);
    expect(() => map.version).toThrow(ClosedError);
    expect(() => map.changes()).toThrow(ClosedError);
    await expect(map.waitForFirst()).rejects.toThrow(ClosedError);
  }
  expect(() => both.master.write({ port: 2 })).toThrow(ClosedError);
});

test("a closed map leaves no descriptor and no mapping open", () => {
  const count = () => ({
    fds: descriptorsOf(dir),
    maps: mappingsOf(dir),
  });
  const use = () => {
    using both = pair<string>();
    using growing = new JsonMap<string>({ file: both.file, role: "master", grow: true });
    both.master.write("x");
    growing.write("x".repeat(70_000));
    expect(both.follower.read()?.length).toBe(70_000);
  };
  use();
  const before = count();
  for (let i = 0; i < 30; i++) use();
  expect(count()).toEqual(before);
});

test("console.log shows a map on one line: what it is, and whether it is closed", () => {
  using both = pair<number>();
  expect(Bun.inspect(both.follower)).toBe(`JsonMap (follower) of '${both.file}'`);
  both.follower.close();
  expect(Bun.inspect(both.follower)).toBe(`JsonMap (follower) of '${both.file}' (closed)`);
});

describe("permissions", () => {
  test("mode is exact for the document and its lock files, whatever the umask", () => {
    const before = process.umask(0o077);
    try {
      new JsonMap({ dir, file: "permitted", role: "master", mode: 0o644 }).close();
      new JsonMap({ dir, file: "permitted", role: "master", mode: 0o664, force: true }).close();
    } finally {
      process.umask(before);
    }
    for (const name of ["permitted", "permitted.lock", "permitted.lock-page"])
      expect([name, (statSync(join(dir, name)).mode & 0o777).toString(8)]).toEqual([name, "664"]);
  });

  test("lock files that are made again after they were deleted have the mode of the document", () => {
    new JsonMap({ dir, file: "unlocked", role: "master", mode: 0o664 }).close();
    rmSync(join(dir, "unlocked.lock"));
    rmSync(join(dir, "unlocked.lock-page"));
    new JsonMap({ dir, file: "unlocked", role: "master", shared: true }).close();
    for (const name of ["unlocked", "unlocked.lock", "unlocked.lock-page"])
      expect([name, (statSync(join(dir, name)).mode & 0o777).toString(8)]).toEqual([name, "664"]);
  });

  /** What the program prints, started in a directory of its own. Only root can become nobody. */
  const asNobody = (what: string): string[] => {
    const own = mkdtempSync(join(tmpdir(), "shmstruct-json-nobody-"));
    using copy = readableCopy();
    const program = copy.of(join(import.meta.dir, "../process/json-nobody.ts"));
    const { stdout, stderr } = Bun.spawnSync([process.execPath, program, own, what]);
    rmSync(own, { recursive: true });
    return `${stdout}${stderr}`.trim().split("\n");
  };
  const asRoot = test.skipIf(process.getuid!() !== 0);

  asRoot("who may read the document may wait for it too", () => {
    expect(asNobody("follow")).toEqual(["1", "1", '{"value":1,"done":false}']);
  });

  asRoot("a file that may not be removed stays in use", () => {
    expect(asNobody("remove")).toEqual(["unlink EPERM", "in use", "d d.lock d.lock-page"]);
  });

  asRoot("a file that may not be replaced stays in use, and nothing is left beside it", () => {
    expect(asNobody("grow")).toEqual(["rename EPERM", "in use", "d d.lock d.lock-page"]);
  });
});

describe("the life of a document", () => {
  test("a document begins with `initial`, which no follower ever misses", () => {
    using master = new JsonMap<{ port: number }>({
      dir,
      file: "begun",
      role: "master",
      initial: { port: 80 },
    });
    using follower = new JsonMap<{ port: number }>({ dir, file: "begun", role: "follower" });
    expect([master.version, follower.read(), follower.version]).toEqual([1, { port: 80 }, 1]);
    using again = new JsonMap({ dir, file: "begun", role: "master", initial: { port: 81 } });
    expect(again.read()).toEqual({ port: 80 });
    const tooLong = { dir, file: "never", role: "master", initial: "x".repeat(100), maxBytes: 50 } as const;
    expect(() => new JsonMap(tooLong)).toThrow("needs 102 bytes");
    expect(existsSync(join(dir, "never"))).toBeFalse();
  });

  test("a backup opens without a lock, and restores for all in one step", () => {
    using master = new JsonMap<number>({ dir, file: "lived", role: "master" });
    using follower = new JsonMap<number>({ dir, file: "lived", role: "follower" });
    master.write(1);
    expect(follower.backup(join(dir, "kept"))).toBe(1);
    master.write(2);
    using copy = new JsonMap<number>({ dir, file: "kept", role: "follower" });
    expect([copy.read(), copy.version, existsSync(join(dir, "kept.lock"))]).toEqual([1, 1, false]);
    expect(() => new JsonMap({ dir, file: "kept", role: "master" })).toThrow("is a backup");
    JsonMap.restore(join(dir, "kept"), { dir, file: "lived" });
    expect([master.read(), follower.read()]).toEqual([1, 1]);
    expect(master.write(3)).toBeGreaterThan(2);
    expect(follower.read()).toBe(3);
  });

  test("open waits for a document", async () => {
    const opened = JsonMap.open<number>({ dir, file: "late", role: "follower", waitMs: 60_000 });
    await Bun.sleep(20);
    using master = new JsonMap<number>({ dir, file: "late", role: "master", initial: 7 });
    using follower = await opened;
    expect([follower.read(), master.version]).toEqual([7, 1]);
    await expect(JsonMap.open({ dir, file: "never", role: "follower", waitMs: 10 })).rejects.toBeInstanceOf(
      WaitTimeoutError,
    );
  });
});
