/** What `doctor` finds, and what it advises. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { segmentProblems } from "../../src/cli/doctor/files.ts";
import type { Problem } from "../../src/cli/doctor/problem.ts";
import {
  directoryProblems,
  type Machine,
  machineProblems,
  thisMachine,
} from "../../src/cli/doctor/system.ts";
import { segmentAt } from "../../src/segment/list.ts";
import { jsonLines, makeFixtures, run } from "./fixtures.ts";

const fixtures = makeFixtures();
const { dir, robot, queue } = fixtures;
afterAll(() => fixtures[Symbol.dispose]());

/** A copy of the robot's file with a lock, and the bytes changed. */
function copyOf(name: string, change: (bytes: Buffer) => Buffer = (bytes) => bytes): string {
  const path = join(dir, name);
  writeFileSync(path, change(Buffer.from(readFileSync(robot))), { mode: 0o600 });
  writeFileSync(path.replace(/\.mmap$/, ".lock"), "", { mode: 0o600 });
  return path;
}

const find = async (path: string): Promise<{ code: number | null; faults: Problem[] }> => {
  const ran = await run(["doctor", "--json", path]);
  const problems = jsonLines(ran) as Problem[];
  return { code: ran.code, faults: problems.filter(({ severity }) => severity === "fault") };
};

describe("files", () => {
  test("doctor finds nothing wrong with a sound file", async () => {
    expect(await find(robot)).toEqual({ code: 0, faults: [] });
  });

  const word = (at: number, value: number) => (bytes: Buffer) => {
    bytes.writeUInt32LE(value, bytes.length - 128 + at);
    return bytes;
  };
  test.each<[string, (bytes: Buffer) => Buffer, string, string]>([
    ["Damaged_.mmap", word(12, 1), "checksum", "shmstruct restore"],
    ["Truncated_.mmap", (bytes) => bytes.subarray(64), "", "shmstruct restore"],
    ["Dead_.mmap", word(112, 3), "last writer died", "rolls back"],
    ["Old_.mmap", word(8, 1), "format 1", "create: true, force: true"],
  ])("doctor finds %s, and says what helps", async (name, change, problem, advice) => {
    const path = copyOf(name, change);
    const { code, faults } = await find(path);
    expect(code).toBe(1);
    expect(faults).toMatchObject([{ path }]);
    expect(faults[0]!.problem).toContain(problem);
    expect(faults[0]!.advice).toContain(advice);
  });

  test("doctor says in text what ends the waits of programs", async () => {
    const { out } = await run(["doctor", robot]);
    expect(out).toMatch(
      /waits of programs in Bun are ended by (?:the kernel \(io_uring\)|a thread, as the kernel cannot: .+)\n$/,
    );
  });

  test("doctor finds a file that others may write to", async () => {
    const open = copyOf("Open_.mmap");
    chmodSync(open, 0o666);
    expect((await find(open)).faults[0]?.problem).toContain("other users can truncate it");
  });

  test("doctor says in text how a stopped holder goes on", async () => {
    const path = copyOf("Held_.mmap");
    const holder = Bun.spawn(
      ["flock", "--no-fork", "-x", path.replace(".mmap", ".lock"), "sh", "-c", "echo held; exec sleep 100"],
      {
        stdout: "pipe",
      },
    );
    try {
      await holder.stdout.getReader().read();
      holder.kill("SIGSTOP");
      const { out, code } = await run(["doctor", path]);
      expect(code).toBe(1);
      expect(out).toContain(
        `process ${holder.pid} holds its lock, and is stopped\n  → kill -CONT ${holder.pid}`,
      );
    } finally {
      holder.kill("SIGKILL");
      await holder.exited;
    }
  });

  test("doctor finds leftovers of a directory, and a dead worker's jobs", async () => {
    writeFileSync(join(dir, "Gone_.lock"), "");
    const worker = Bun.spawnSync([
      process.execPath,
      "-e",
      `import { Queue } from "${join(import.meta.dir, "../../src/queue/index.ts")}";
       import { Task } from "${join(import.meta.dir, "fixtures.ts")}";
       new Queue(Task, { dir: ${JSON.stringify(dir)} }).take(); process.kill(process.pid, "SIGKILL");`,
    ]);
    expect(worker.signalCode).toBe("SIGKILL");
    const problems = jsonLines(await run(["doctor", "--json", dir])) as Problem[];
    const risks = problems.filter(({ severity }) => severity === "risk").map(({ problem }) => problem);
    expect(risks).toContainEqual(expect.stringContaining("Gone_.lock"));
    expect(risks).toContainEqual(expect.stringMatching(/process \d+ has died: owner \d+ with 1 jobs, dead/));
    expect(queue.size).toBe(2);
  });
});

describe("the machine", () => {
  const machine = (files: Record<string, string>, parts: Partial<Machine> = {}): Machine => ({
    ...thisMachine,
    read: (path) => files[path],
    list: (directory) =>
      Object.keys(files)
        .filter((path) => path.startsWith(`${directory}/`))
        .map((path) => path.slice(directory.length + 1)),
    ...parts,
  });
  const texts = (problems: readonly Problem[]): string[] => problems.map(({ problem }) => problem);

  test("doctor warns of few descriptors", () => {
    const limits = (soft: number): Machine =>
      machine({
        "/proc/self/limits": `Max open files            ${soft}                 4096                 files\n`,
      });
    expect(texts(machineProblems(limits(256)))).toEqual([expect.stringContaining("256 open files")]);
    expect(machineProblems(limits(1024))).toEqual([]);
  });

  const LOGGED_IN = { "/run/systemd/users/1000": "" };
  const removeIpc = (files: Record<string, string>, owner = 1000): Problem[] =>
    machineProblems(machine({ "/dev/shm/robot": "", ...files }, { owner: () => owner })).filter(
      ({ problem }) => problem.includes("RemoveIPC"),
    );

  test("doctor warns of RemoveIPC, which is on unless a file says no", () => {
    const [risk] = removeIpc(LOGGED_IN);
    expect(risk).toMatchObject({ severity: "risk", path: "/dev/shm" });
    expect(risk?.advice).toContain("RemoveIPC=no in /etc/systemd/logind.conf");
    const conf = "/etc/systemd/logind.conf";
    for (const no of ["no", "false", "0", "off"])
      expect(removeIpc({ ...LOGGED_IN, [conf]: `[Login]\n#RemoveIPC=yes\nRemoveIPC=${no}\n` })).toEqual([]);
    expect(removeIpc({ ...LOGGED_IN, [conf]: "[Login]\n#RemoveIPC=no\n" })).toHaveLength(1);
  });

  test("of RemoveIPC the last drop-in counts, and a main file in /etc hides the one in /usr/lib", () => {
    const [etc, lib] = ["/etc/systemd/logind.conf", "/usr/lib/systemd/logind.conf"];
    const found = (files: Record<string, string>): number => removeIpc({ ...LOGGED_IN, ...files }).length;
    expect(found({ [lib]: "RemoveIPC=no" })).toBe(0);
    expect(found({ [lib]: "RemoveIPC=no", [etc]: "[Login]" })).toBe(1);
    expect(found({ [etc]: "RemoveIPC=no", [`${lib}.d/10-ipc.conf`]: "RemoveIPC=yes" })).toBe(1);
    expect(found({ [`${etc}.d/20.conf`]: "RemoveIPC=no", [`${lib}.d/10.conf`]: "RemoveIPC=yes" })).toBe(0);
    expect(found({ [`${etc}.d/10.conf`]: "RemoveIPC=no", [`${lib}.d/10.conf`]: "RemoveIPC=yes" })).toBe(0);
    expect(found({ [etc]: "RemoveIPC=no", [`${etc}.d/notes.txt`]: "RemoveIPC=yes" })).toBe(0);
  });

  test("RemoveIPC takes nothing of system users, nor where logind does not run", () => {
    expect(removeIpc(LOGGED_IN, 999)).toEqual([]);
    expect(removeIpc({})).toEqual([]);
  });

  test("doctor warns of fs.protected_regular for another user's file in a sticky directory", () => {
    const sticky = join(dir, "sticky");
    mkdirSync(sticky);
    copyFileSync(robot, join(sticky, "Robot_.mmap"));
    writeFileSync(join(sticky, "Robot_.lock"), "", { mode: 0o600 });
    const segment = segmentAt(join(sticky, "Robot_.mmap"))!;
    const found = (mode: number, owner: number, level: string): Problem[] => {
      chmodSync(sticky, mode);
      const files = { "/proc/sys/fs/protected_regular": level };
      return segmentProblems({ ...segment, owner }, {}, machine(files));
    };
    const [problem, ...more] = found(0o1757, segment.owner + 1, "1\n");
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ severity: "risk", path: segment.path });
    expect(problem?.problem).toContain("fs.protected_regular is 1");
    expect(problem?.advice).toContain("open without O_CREAT first");
    expect(found(0o1777, segment.owner + 1, "0\n")).toEqual([]);
    expect(found(0o777, segment.owner + 1, "1\n")).toEqual([]);
    expect(found(0o1777, segment.owner, "1\n")).toEqual([]);
    expect(found(0o1775, segment.owner + 1, "1\n")).toEqual([]);
    expect(found(0o1775, segment.owner + 1, "2\n")).toHaveLength(1);
  });

  test("doctor finds a full file system, overlayfs and a network", () => {
    const on = (type: number, freeBytes: number): string[] =>
      texts(
        directoryProblems("/dev/shm", machine({}, { fileSystem: () => ({ type, bytes: 1000, freeBytes }) })),
      );
    expect(on(0x0102_1994, 500)).toEqual([]);
    expect(on(0x0102_1994, 10)).toEqual([expect.stringContaining("99 % full: 10 B of 1000 B are left")]);
    expect(on(0x794c_7630, 500)).toEqual([expect.stringContaining("overlayfs")]);
    expect(on(0x6969, 500)).toEqual([expect.stringContaining("network")]);
  });
});
