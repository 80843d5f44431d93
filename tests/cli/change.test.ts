/** The commands that change files, as processes in a pipe. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { hasTool } from "../support/tools.ts";
import { jsonLines, makeFixtures, run } from "./fixtures.ts";

// Each call starts a process, which takes its time on a busy machine.
setDefaultTimeout(240_000);

const fixtures = makeFixtures();
const { dir, robot, config, frames, tasks, manager, queue } = fixtures;
afterAll(() => fixtures[Symbol.dispose]());

const done = { out: "", err: "", code: 0 };

describe("set", () => {
  test("set stores numbers, labels, bigints, text and whole members", async () => {
    const values = [
      ["speed", "0x10"],
      ["mode", "idle"],
      ["serial", "-5"],
      ["name", "leg"],
      ["pose", '{"x":3,"y":4}'],
    ] as const;
    const runs = values.map(([path, value]) => run(["set", robot, path, "--", value]));
    expect(await Promise.all(runs)).toEqual(values.map(() => done));
    const { speed, mode, serial, name, pose } = manager.snapshot();
    expect({ speed, mode, serial, name, pose: [pose.x, pose.y] }).toEqual({
      speed: 16,
      mode: 0,
      serial: -5n,
      name: "leg",
      pose: [3, 4],
    });
  });

  test("a negative number needs no --, and is not taken for an option", async () => {
    for (const value of ["-5", "-0.5", "-1e3", "-Infinity"]) {
      expect(await run(["set", robot, "pose.y", value])).toEqual(done);
      expect(manager.get("pose.y")).toBe(Number(value));
    }
    expect(await run(["set", robot, "pose.y", "--timeout", "1000", "-2"])).toEqual(done);
    expect(manager.get("pose.y")).toBe(-2);
    const { code, err } = await run(["tail", frames, "-n", "-1"]);
    expect([code, err.includes("got '-1'")]).toEqual([2, true]);
    expect((await run(["set", robot, "-x", "1"])).err).toContain("option '-x'");
    for (const value of ["1e400", "[-1e400]"])
      expect((await run(["set", robot, "pose.y", "--", value])).err).toContain("beyond those of a double");
    manager.set("pose.y", 4);
  });

  test("set changes a document", async () => {
    expect(await run(["set", config, "port", "81"])).toEqual(done);
    expect(await run(["set", config, "hosts.0", "b"])).toEqual(done);
    expect((await run(["get", config, "port"])).out).toBe("81\n");
    expect((await run(["get", config, "hosts.0"])).out).toBe("b\n");
  });

  test("set refuses what does not fit, and changes nothing", async () => {
    const runs = ["many", "1e99", "1.5"].map((value) => run(["set", robot, "speed", value]));
    for (const { code, err } of await Promise.all(runs)) {
      expect(code).toBeGreaterThan(0);
      expect(err).not.toContain("    at ");
    }
    const wrongLabel = await run(["set", robot, "mode", "nope"]);
    expect(wrongLabel).toEqual({
      out: "",
      err: "shmstruct: 'nope' is no label and no number: the labels are idle, moving\n",
      code: 2,
    });
    expect((await run(["set", frames, "newest", "1"])).err).toContain("is a channel");
    expect(manager.get("speed")).toBe(16);
  });
});

describe("edit", () => {
  const editor = (name: string, script: string): Record<string, string> => {
    const path = join(dir, name);
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return { VISUAL: path };
  };

  test("edit stores what the editor leaves as one transaction", async () => {
    manager.edit((data) => {
      data.speed = 16;
      data.pose.x = 3;
    });
    const before = manager.version;
    const env = editor("sed", `sed -i 's/"speed": 16/"speed": 17/; s/"x": 3/"x": 30/' "$1"`);
    expect(await run(["edit", robot], { env })).toEqual(done);
    expect([manager.get("speed"), manager.get("pose.x"), manager.version]).toEqual([17, 30, before + 1]);
  });

  test("edit stores nothing when the file has changed meanwhile, or the editor fails", async () => {
    manager.set("pose.x", 30);
    expect((await run(["edit", robot], { env: { VISUAL: "true" } })).out).toBe("nothing changed\n");
    const words = [process.execPath, join(import.meta.dir, "../../src/cli/main.ts"), "set", robot];
    const other = `${words.map((word) => `'${word}'`).join(" ")} speed 18`;
    const { code, err } = await run(["edit", robot], {
      env: editor("both", `${other}\nsed -i 's/"x": 30/"x": 31/' "$1"`),
    });
    expect({ code, pose: manager.get("pose.x"), speed: manager.get("speed") }).toEqual({
      code: 1,
      pose: 30,
      speed: 18,
    });
    expect(err).toContain("has changed meanwhile");
    expect((await run(["edit", robot], { env: editor("fails", "exit 3") })).code).toBe(2);
  });
});

describe("backup, diff, restore and rm", () => {
  const kinds = ["record", "document", "queue"] as const;
  const files = { record: robot, document: config, queue: tasks };

  test.each(kinds)("a %s comes back as it was", async (kind) => {
    const [file, copy] = [files[kind], join(dir, `${kind}.backup`)];
    expect((await run(["backup", file, copy])).code).toBe(0);
    expect(await run(["diff", file, copy])).toEqual(done);
    const before = await run(["show", "--json", copy]);
    const changed = {
      record: ["set", robot, "speed", "1"],
      document: ["set", config, "port", "1"],
      queue: ["queue", tasks, "drop", "0"],
    };
    expect((await run(changed[kind])).code).toBe(0);
    expect((await run(["diff", file, copy])).code).toBe(1);
    expect((await run(["restore", copy, file])).out).toBe(`${kind} restored to ${file}\n`);
    expect(await run(["diff", file, copy])).toEqual(done);
    expect(jsonLines(await run(["show", "--json", file]))).toMatchObject([
      { value: (jsonLines(before) as { value: unknown }[])[0]!.value },
    ]);
  });

  test("a backup is restored under another name, also of a channel, and rm --purge removes all that is beside it", async () => {
    const [copy, file] = [join(dir, "frames.backup"), join(dir, "Frame_again.channel")];
    await run(["backup", frames, copy]);
    expect((await run(["restore", copy, file])).code).toBe(0);
    expect((await run(["get", file, "newest.value.width"])).out).toBe("3\n");
    expect((await run(["rm", "--purge", file])).out.split("\n")).toContain(file);
    expect([file, `${file}.lock`].filter(existsSync)).toEqual([]);
  });

  test("restore refuses what is no backup, and backup overwrites no other file", async () => {
    expect((await run(["restore", robot, join(dir, "Robot_2.mmap")])).code).toBe(4);
    expect((await run(["backup", robot, config])).code).toBe(4);
  });

  test("restore puts nothing in the place of a backup, be it the same one", async () => {
    const [copy, other] = [join(dir, "kept.backup"), join(dir, "other.backup")];
    for (const backup of [copy, other]) await run(["backup", robot, backup]);
    for (const to of [copy, other]) {
      const { code, err } = await run(["restore", copy, to]);
      expect([code, err]).toEqual([4, expect.stringContaining("is a backup")]);
    }
    expect((await run(["restore", copy, robot])).code).toBe(0);
  });

  test("no command writes its output over a segment, also through a link, and other files change in one step", async () => {
    const [link, source] = [join(dir, "link.h"), join(dir, "wheel.h")];
    symlinkSync(robot, link);
    writeFileSync(source, "struct wheel { int turns; };");
    const before = readFileSync(robot);
    for (const words of [
      ["export", "c", robot],
      ["import", source],
      ["record", "--for", "0.05", robot],
    ])
      for (const to of [robot, link]) {
        const { code, err } = await run([...words, "-o", to]);
        expect([words, code, err]).toEqual([words, 2, expect.stringContaining("is a segment (record)")]);
      }
    expect(Buffer.compare(readFileSync(robot), before)).toBe(0);
    const header = join(dir, "robot.h");
    writeFileSync(header, "old", { mode: 0o640 });
    const fd = openSync(header, "r");
    expect((await run(["export", "c", robot, "-o", header])).code).toBe(0);
    expect((await run(["export", "c", robot, "-o", "-"], { cwd: dir })).out).toBe(
      readFileSync(header, "utf8"),
    );
    expect(existsSync(join(dir, "-"))).toBe(false);
    expect([readFileSync(fd, "utf8"), statSync(header).mode & 0o777]).toEqual(["old", 0o640]);
    closeSync(fd);
    expect(readFileSync(header, "utf8")).toContain("struct Robot");
    expect((await run(["export", "c", robot, "-o", join(dir, "nowhere/x.h")])).err).toMatch(
      /^shmstruct: .*ENOENT/,
    );
  });

  test("a schema is exported as the file is that has it, and what is none is refused", async () => {
    const [schema, none] = [join(dir, "schema.json"), join(dir, "none.json")];
    writeFileSync(schema, (await run(["layout", "--json", robot])).out);
    const { out } = await run(["export", "c", robot]);
    expect((await run(["export", "c", schema])).out).toBe(out);
    for (const text of ['{"name":"X","kind":"struct","fields":{"a":5}}', "{"]) {
      writeFileSync(none, text);
      const { code, err } = await run(["export", "c", none]);
      expect([code, err]).toEqual([1, expect.stringContaining("has no schema of a struct")]);
    }
    const pipe = join(dir, "pipe.json");
    Bun.spawnSync(["mkfifo", pipe]);
    expect((await run(["export", "c", pipe])).code).toBe(4);
  });

  test.skipIf(!hasTool("gcc"))("import takes several structs, directories and macros", async () => {
    const header = join(dir, "several.h");
    for (const name of ["one", "two"]) {
      mkdirSync(join(dir, name), { recursive: true });
      writeFileSync(join(dir, name, `${name}.h`), `#define ${name.toUpperCase()} 2\n`);
    }
    writeFileSync(
      header,
      '#include "one.h"\n#include "two.h"\nstruct a { int x[ONE][A]; };\nstruct b { int y[TWO][B]; };\nstruct c { int z; };\n',
    );
    const flags = ["-I", "one", "-I", "two", "-D", "A=3", "-D", "B=4"];
    const { out, err } = await run(["import", header, ...flags, "--struct", "a", "--struct", "b"], {
      cwd: dir,
    });
    expect(err).toBe("");
    expect(out.match(/class \w+/g)).toEqual(["class a", "class b"]);
    expect(out).toContain("array(c_int32, 2, 3)");
    expect(out).toContain("array(c_int32, 2, 4)");
  });
});

describe("queue", () => {
  test("queue shows jobs, drops them, and takes them from a worker", async () => {
    const [first, ...others] = jsonLines(await run(["queue", "--json", tasks])) as {
      job: number;
      value: object;
    }[];
    expect(others.length).toBeGreaterThan(0);
    const job = queue.take();
    const [taken] = jsonLines(await run(["queue", "--json", tasks])) as object[];
    expect(taken).toMatchObject({
      job: first!.job,
      state: "taken",
      pid: process.pid,
      value: { id: job!.data.id },
    });
    expect((await run(["queue", tasks, "drop", String(first!.job)])).code).toBe(1);
    expect((await run(["queue", tasks, "requeue", String(first!.job)])).out).toBe(`${first!.job} is ready\n`);
    expect(() => job!.done()).toThrow("is not this worker's any more");
    queue.push({ id: 99 }, { delayMs: 1e6 });
    const { out } = await run(["queue", tasks]);
    expect(out).toMatch(/^ *JOB {2}STATE {4}ATTEMPT/);
    expect(out).toMatch(/delayed +0 +- +1[56]m +- +\{ id: 99 \}\n$/);
  });

  test("queue requeue --dead gives dead letters back", async () => {
    expect((await run(["queue", tasks, "dead"])).code).toBe(1);
    for (let i = 0; i < 12; i++) queue.tryTake()?.fail("no \u001b[2Janswer");
    const { out } = await run(["queue", tasks, "dead"]);
    expect(out).toContain("no \\u001b[2Janswer");
    const dead = queue.deadLetters.size;
    expect(dead).toBeGreaterThan(0);
    const before = queue.size;
    expect((await run(["queue", tasks, "requeue", "--dead", "all"])).code).toBe(0);
    expect([queue.deadLetters.size, queue.size]).toEqual([0, before + dead]);
  });

  test("who names the owners of a queue", async () => {
    const rows = jsonLines(await run(["who", "--json", tasks])) as { pid: number; does: string[] }[];
    expect(rows.find(({ pid }) => pid === process.pid)?.does.join()).toMatch(/owner \d+/);
  });
});

describe("migrate", () => {
  const source = `
import { c_double, c_int32, field, MmapStructure } from "${join(import.meta.dir, "../../src/index.ts")}";
export class Robot extends MmapStructure {
  @field(c_double) speed!: number;
  @field(c_int32) added!: number;
}
`;

  test("a class of another copy of the library is named as such", async () => {
    const module = join(dir, "other-copy.ts");
    writeFileSync(
      module,
      "class Struct {}\nclass MmapStructure extends Struct {}\nexport class Robot extends MmapStructure {}",
    );
    const { code, err } = await run(["migrate", robot, `${module}#Robot`]);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("of another copy of shmstruct than this command's: run"),
    ]);
  });

  test("migrate lists what would be lost, and drops it with --lossy", async () => {
    const module = join(dir, "structs.ts");
    writeFileSync(module, source);
    const { code, err } = await run(["migrate", robot, `${module}#Robot`]);
    expect(code).toBe(1);
    expect(err).toContain("  - serial: ");
    expect(err).not.toContain("[object Object]");
    expect(err).toEndWith("migrate: (data, old) => … })\n");
    expect(err).toContain("\n--lossy drops these fields; ");
    expect(err).not.toContain("Give migrate a function");
    const speed = manager.get("speed");
    expect(await run(["migrate", "--lossy", robot, `${module}#Robot`])).toEqual({
      ...done,
      out: "migrated\n",
    });
    expect((await run(["get", robot, "speed"])).out).toBe(`${speed}\n`);
    expect((await run(["migrate", robot, `${module}#Robot`])).out).toBe("it has that struct already\n");
    expect((await run(["migrate", config, `${module}#Robot`])).code).toBe(2);
  });
});
