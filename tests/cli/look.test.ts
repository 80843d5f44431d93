/** The commands that look, as processes in a pipe. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { Manager } from "../../src/index.ts";
import { commandAt } from "../support/programs.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { jsonLines, MAIN, makeFixtures, Robot, run } from "./fixtures.ts";

// Each call starts a process, which takes its time on a busy machine.
setDefaultTimeout(240_000);

const fixtures = makeFixtures();
const { dir, robot, config, frames, tasks } = fixtures;
afterAll(() => fixtures[Symbol.dispose]());

describe("help and mistakes", () => {
  test("the usage names every command, and each has a help with examples", async () => {
    const { out, code } = await run(["--help"]);
    expect(code).toBe(0);
    for (const name of ["ls", "show", "watch", "who", "export"]) expect(out).toContain(`\n  ${name} `);
    const help = await run(["show", "--help"]);
    expect(help.out).toStartWith("usage: shmstruct show [options] FILE [PATH]\n");
    expect(help.out).toContain("examples:\n  shmstruct show Robot");
  });

  test("--version prints the version of the package", async () => {
    const { version } = await Bun.file(join(import.meta.dir, "../../package.json")).json();
    expect(await run(["--version"])).toEqual({ out: `${version}\n`, err: "", code: 0 });
  });

  test.each([
    [[]],
    [["nonsense"]],
    [["show"]],
    [["show", "--nonsense", "x"]],
    [["get", "a", "b", "c"]],
    [["watch", "--hz", "often", "x"]],
    [["tail", "--from", "somewhere", "x"]],
  ])("%p is wrong usage: 2", async (args) => {
    const { code, out, err } = await run(args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toStartWith("shmstruct: ");
  });
});

describe("ls", () => {
  test("ls lists all kinds with their versions and holders", async () => {
    const listed = jsonLines(await run(["ls", "--json", dir])) as Record<string, unknown>[];
    const rows = Object.fromEntries(listed.map((row) => [row.kind, row]));
    expect(rows.channel).toMatchObject({ path: frames, struct: "Frame", version: 3, holders: [process.pid] });
    expect(rows.queue).toMatchObject({ path: tasks, struct: "Task", version: 3, state: "ok" });
    expect(rows.document).toMatchObject({ path: config, version: 1 });
    const { out } = await run(["ls", dir]);
    expect(out).toMatch(/^NAME +KIND +STRUCT +BYTES +VERSION +RATE +AGE +HOLDER +STATE\n/);
    expect(out).toMatch(/\nRobot_.mmap +record +Robot +1.4 KiB +1 +- +\d+s +- +ok\n/);
  });

  test("ls of a missing directory ends with 1", async () => {
    expect((await run(["ls", join(dir, "missing")])).code).toBe(1);
  });
});

describe("show, get and layout", () => {
  test("show prints a record as a tree, with labels", async () => {
    const { out, code } = await run(["show", robot]);
    expect(code).toBe(0);
    expect(out).toContain("speed c_int32 = 7\nserial c_int64 = 1152921504606846976\n");
    expect(out).toContain("mode enumOf(c_int32) = 1 moving\n");
    expect(out).toContain("pose Point\n  x c_double = 1.5\n  y c_double = -2\n");
  });

  test("layout prints offsets and holes, show --hex prints bytes", async () => {
    const [layout, hex] = await Promise.all([run(["layout", robot]), run(["show", "--hex", robot])]);
    expect(layout.out).toContain("      20      4  (hole)\n      24      8  serial c_int64\n");
    expect(layout.out).toContain("size 120, align 8, cache lines 2, holes 2 (8 bytes)\n");
    expect(hex.out).toMatch(/000010 {2}07 00 00 00 .* {2}\+0 speed {2}\+8 serial\n/);
    expect(hex.out).toMatch(/000050 {2}.* {2}\+0 path\.0\.y {2}\+8 path\.1\.x\n/);
  });

  test("a module that is not there, and one that cannot be loaded, are said to be so", async () => {
    writeFileSync(join(dir, "lame.ts"), 'import "./gone.ts";\nexport class R {}\n');
    const [missing, lame] = await Promise.all([
      run(["layout", "./nope.ts#R"], { cwd: dir }),
      run(["layout", "./lame.ts#R"], { cwd: dir }),
    ]);
    expect(missing).toEqual({ out: "", err: "shmstruct: there is no file './nope.ts'\n", code: 1 });
    expect([lame.code, lame.err]).toEqual([1, expect.stringContaining("'./lame.ts' cannot be loaded: ")]);
    expect(lame.err).toContain("gone.ts");
    rmSync(join(dir, "lame.ts"));
  });

  test("show --hex and --layout take every kind: a message, each job, a text; a document has no layout", async () => {
    const shown = await Promise.all(
      [frames, tasks, config].flatMap((file) => [
        run(["show", "--hex", file]),
        run(["show", "--layout", file]),
      ]),
    );
    const [message, frame, jobs, task, text, document] = shown;
    expect(message!.out).toMatch(/\nmessage 2\n000000 {2}03 00 00 00 .* {2}\+0 width {2}\+4 pixels\n$/);
    expect(frame!.out).toContain("       0      4  width c_int32\n");
    expect(jobs!.out).toMatch(/\njob 0\n000000 {2}0a 00 00 00 .*\+0 id\njob 1\n[\s\S]*\njob 2\n/);
    expect(task!.out).toContain("       0      4  id c_int32\n");
    expect(text!.out).toContain(
      '000000  7b 22 70 6f 72 74 22 3a 38 30 2c 22 68 6f 73 74  {"port":80,"host\n',
    );
    expect([document!.code, document!.err]).toEqual([2, expect.stringContaining("it has no layout")]);
  });

  test("a name is looked for in ./.mmap, without its ending", async () => {
    const { out } = await run(["get", "Robot", "pose.x"], { cwd: join(dir, "app") });
    expect(out).toBe("1.5\n");
  });

  test.each([
    [robot, "speed", "7\n"],
    [robot, "mode", "moving\n"],
    [robot, "name", "arm\n"],
    [robot, "serial", "1152921504606846976\n"],
    [robot, "pose", '{"x":1.5,"y":-2}\n'],
    [config, "port", "80\n"],
    [frames, "newest.value.width", "3\n"],
    [tasks, "jobs.1.value.id", "11\n"],
  ])("get %s %s", async (file, path, expected) => {
    expect(await run(["get", file, path])).toEqual({ out: expected, err: "", code: 0 });
  });

  test("get of a missing member ends with 1, and says which there are", async () => {
    const { code, err } = await run(["get", robot, "pose.z"]);
    expect(code).toBe(1);
    expect(err).toBe("shmstruct: there is no 'pose.z': at 'z' there is x, y\n");
    expect((await run(["show", join(dir, "missing")])).code).toBe(1);
  });
});

test("a name that several files have ends with 2, and the message names them", async () => {
  const cwd = join(dir, "ambiguous");
  for (const file of ["Robot", ".mmap/Robot_.mmap"]) {
    mkdirSync(dirname(join(cwd, file)), { recursive: true });
    copyFileSync(robot, join(cwd, file));
  }
  writeFileSync(join(cwd, ".mmap", "Robot_.lock"), "");
  const { code, err } = await run(["get", "Robot", "speed"], { cwd });
  expect(code).toBe(2);
  expect(err).toContain(`'${join(cwd, "Robot")}' or '${join(cwd, ".mmap", "Robot_.mmap")}': give the path`);
  expect((await run(["get", ".mmap/Robot_.mmap", "speed"], { cwd })).out).toBe("7\n");
});

describe("files that must not be opened", () => {
  test("a file that others may truncate ends with 3, unless --shared accepts it", async () => {
    const open = join(dir, "Open_.mmap");
    copyFileSync(robot, open);
    writeFileSync(join(dir, "Open_.lock"), "");
    chmodSync(open, 0o666);
    const { code, err } = await run(["show", open]);
    expect(code).toBe(3);
    expect(err).toContain("other users can truncate it");
    expect((await run(["get", "--shared", open, "speed"])).out).toBe("7\n");
  });

  test("a damaged file, and one that is no segment, end with 4", async () => {
    const cut = join(dir, "Cut_.mmap");
    copyFileSync(robot, cut);
    // The footer stays whole, and does not fit the file.
    const bytes = Buffer.from(await Bun.file(cut).bytes());
    writeFileSync(cut, bytes.subarray(64));
    writeFileSync(join(dir, "text.mmap"), "no segment");
    truncateSync(join(dir, "text.mmap"), 4096);
    for (const file of [cut, join(dir, "text.mmap")]) expect((await run(["show", file])).code).toBe(4);
  });
});

describe("who", () => {
  test("who names the holder and its command line", async () => {
    const rows = jsonLines(await run(["who", "--json", frames])) as {
      pid: number;
      does: string[];
      command: string;
    }[];
    const publisher = rows.find(({ pid }) => pid === process.pid);
    expect(publisher?.does).toContain("holds (exclusive)");
    expect(publisher?.command).toContain("bun");
  });
});

type Who = { pid: number; does: string[]; command: string };

describe.skipIf(!hasTool("python3"))("who of locks that others take (needs python3)", () => {
  const cwd = join(dir, "fcntl");
  mkdirSync(cwd);
  using manager = new Manager(Robot, {
    dir: join(cwd, ".mmap"),
    lockDir: join(cwd, ".fasteners"),
    lock: "fcntl",
    create: true,
  });
  manager.set("speed", 1);
  test.each([
    ["fcntl.lockf", "LOCK_EX", join(cwd, ".fasteners/Robot_.lockfile"), manager.path, "exclusive"],
    ["fcntl.lockf", "LOCK_SH", join(cwd, ".fasteners/Robot_.lockfile"), manager.path, "shared"],
    ["fcntl.flock", "LOCK_EX", join(dir, "Robot_.lock"), robot, "exclusive"],
    ["fcntl.flock", "LOCK_SH", join(dir, "Robot_.lock"), robot, "shared"],
  ])("who names a program that holds the lock by %s with %s", async (call, mode, lock, file, how) => {
    const code = `import fcntl, sys\nf = open(sys.argv[1], "r+")\n${call}(f, fcntl.${mode})\nprint("held", flush=True)\nsys.stdin.read()`;
    const child = Bun.spawn(["python3", "-c", code, lock], { stdin: "pipe", stdout: "pipe" });
    try {
      expect((await linesOf(child.stdout).next()).value).toBe("held");
      const users = jsonLines(await run(["who", "--json", file], { cwd })) as Who[];
      const holder = users.find(({ pid }) => pid === child.pid);
      expect(holder?.does).toContain(`holds (${how})`);
      expect(holder?.command).toContain(" -c import fcntl");
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  });
});

// In a container /proc/locks leaves out the locks that an ended process took.
const isContainer = readlinkSync("/proc/self/ns/pid") !== "pid:[4026531836]";

test.skipIf(isContainer || !hasTool("flock"))(
  "who finds the script whose flock has ended (needs flock, and no container)",
  async () => {
    const lock = join(dir, "Robot_.lock");
    const script = Bun.spawn(["bash", "-c", 'exec 9<"$1"; flock 9; echo held; exec sleep 100', "sh", lock], {
      stdout: "pipe",
    });
    try {
      await linesOf(script.stdout).next();
      const rows = jsonLines(await run(["who", "--json", robot]));
      expect(rows).toContainEqual(
        expect.objectContaining({ pid: script.pid, command: "sleep 100", state: "running" }),
      );
    } finally {
      script.kill("SIGKILL");
      await script.exited;
    }
  },
);

describe("tail and watch", () => {
  test("tail prints messages from the oldest, and ends after so many", async () => {
    const { out } = await run(["tail", "-n", "2", "--from", "oldest", frames]);
    expect(out).toMatch(/^#0 \S+Z \{ width: 1, pixels: .* \}\n#1 \S+Z \{ width: 2, .*\}\n$/);
    const messages = jsonLines(await run(["tail", "--json", "-n", "1", frames]));
    expect(messages).toMatchObject([{ index: 2, missed: 0, value: { width: 3 } }]);
  });

  test("tail of a record ends with 2", async () => {
    expect((await run(["tail", robot])).code).toBe(2);
  });

  test.each([
    [`tail '${frames}'`, "head -n 1"],
    [`watch '${robot}'`, "true"],
  ])(
    "%s in a pipe ends once its reader has gone, though nothing comes",
    async (words, reader) => {
      const command = `'${process.execPath}' '${commandAt(MAIN, words.split(" "))}' ${words} | ${reader}`;
      // The shell waits for both: without the look at the pipe this does not end.
      const shell = Bun.spawn(["sh", "-c", command], { stdout: "pipe", stderr: "pipe" });
      expect([await shell.stderr.text(), await shell.exited]).toEqual(["", 0]);
    },
    240_000,
  );

  test("watch prints a line for a change", async () => {
    const child = Bun.spawn(
      [process.execPath, MAIN, "watch", "--json", "--hz", "100", "-n", "1", robot, "speed"],
      {
        stdout: "pipe",
      },
    );
    const writing = setInterval(
      () =>
        fixtures.manager.edit((data) => {
          data.speed++;
        }),
      5,
    );
    try {
      const { value } = await linesOf(child.stdout).next();
      expect(JSON.parse(value as string)).toMatchObject({ changed: { speed: expect.any(Number) } });
      expect(await child.exited).toBe(0);
    } finally {
      clearInterval(writing);
      fixtures.manager.set("speed", 7);
    }
  });
});
