/** The pages on C and Python work as pasted: from nothing to a running pair of programs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../codegen/peers.ts";
import { build, root } from "../support/built.ts";
import { hasTool, linesOf } from "../support/tools.ts";

let home: string;

build();

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "shmstruct-interop-"));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A directory with the files that a page shows: those code blocks whose first line names one. */
function directoryOf(page: string): string {
  const dir = join(home, page);
  mkdirSync(join(dir, "node_modules"), { recursive: true });
  symlinkSync(root, join(dir, "node_modules", "shmstruct"));
  writeFileSync(join(dir, "tsconfig.json"), '{ "compilerOptions": { "experimentalDecorators": true } }');
  const text = readFileSync(join(root, "docs/interop", `${page}.md`), "utf8");
  for (const [, code = ""] of text.matchAll(/^```\w+\n([\s\S]*?)^```/gm)) {
    const [, name] = /^(?:\/\/|\/\*|#) (\w+\.\w+)/.exec(code) ?? [];
    if (name !== undefined) writeFileSync(join(dir, name), code);
  }
  return dir;
}

const bun = process.execPath;

test.skipIf(!hasTool("gcc"))(
  "the example of docs/interop/c.md runs: a sensor in C, a dashboard in Bun (needs gcc)",
  async () => {
    const dir = directoryOf("c");
    const text = readFileSync(join(root, "docs/interop/c.md"), "utf8");
    // Its blocks for the shell, but for the last one's end, which starts both programs: these are killed here.
    const [prepare = "", running = ""] = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(
      ([, code]) => code,
    );
    const [compile, ...programs] = running.trim().split(/ && | & /);
    expect(programs).toEqual(["./sensor", "bun dashboard.ts"]);
    mkdirSync(join(dir, "bin"));
    symlinkSync(bun, join(dir, "bin", "bun"));
    for (const script of [prepare, compile ?? ""])
      run(["env", `PATH=${dir}/bin:${process.env.PATH}`, "sh", "-ec", script], dir);
    run(["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-o", "strict", "sensor.c", "-pthread", "-lm"], dir);
    const start = () => Bun.spawn([join(dir, "sensor")], { cwd: dir, stderr: "inherit" });
    let sensor = start();
    const dashboard = Bun.spawn([bun, "dashboard.ts"], { cwd: dir, stdout: "pipe", stderr: "inherit" });
    const lines = linesOf(dashboard.stdout);
    try {
      const ticks: number[] = [];
      for (let i = 0; i < 4; i++) {
        const { value = "" } = await lines.next();
        ticks.push(Number(/tick (\d+)/.exec(value)?.[1]));
        sensor.kill("SIGKILL");
        await sensor.exited;
        sensor = start();
      }
      expect(ticks[0]).toBeGreaterThan(0);
      expect(ticks).toEqual(ticks.toSorted((a, b) => a - b));
    } finally {
      sensor.kill("SIGKILL");
      dashboard.kill("SIGKILL");
    }
  },
  240_000,
);

test.skipIf(!hasTool("python3"))(
  "the example of docs/interop/python.md runs: a robot in Bun, moved from Python",
  async () => {
    const dir = directoryOf("python");
    const robot = Bun.spawn([bun, "robot.ts"], { cwd: dir, stdout: "pipe", stderr: "inherit" });
    const lines = linesOf(robot.stdout);
    // As a reader does who sees the file before starting the other program.
    while (!existsSync(join(dir, "Robot_.mmap")) && robot.exitCode === null) await Bun.sleep(20);
    const env = {
      ...process.env,
      PYTHONPATH: "node_modules/shmstruct/interop/python",
      PYTHONDONTWRITEBYTECODE: "1",
    };
    const python = Bun.spawn(["python3", "move.py"], { cwd: dir, env, stdout: "pipe", stderr: "inherit" });
    try {
      for (let i = 0; i < 5; i++) expect((await lines.next()).value).toMatch(/^1 [-\d]/);
    } finally {
      python.kill("SIGKILL");
      robot.kill("SIGKILL");
    }
  },
  240_000,
);

test("every function of the C header says what it returns, or that it never fails, and has an example; none exits or prints", () => {
  const header = readFileSync(join(root, "interop/c/shmstruct.h"), "utf8");
  const declarations = header.matchAll(
    /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)?\s*\nstatic inline [^\n(]*?\b(shms_(?!i_)\w+)\(/g,
  );
  const comments = new Map<string, string>();
  // A function that is declared first has its comment there.
  for (const [, comment = "", name = ""] of declarations) comments.set(name, comments.get(name) || comment);
  expect(comments.size).toBeGreaterThan(40);
  const incomplete = [...comments].filter(
    ([, comment]) => !comment.includes("@example") || !/@return|never fails/i.test(comment),
  );
  expect(incomplete.map(([name]) => name)).toEqual([]);
  const code = header.replace(/\/\*[\s\S]*?\*\//g, "");
  expect(code.match(/\b(exit|abort|f?printf|f?puts|perror|assert)\s*\(/g)).toBeNull();
});
