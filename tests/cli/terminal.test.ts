/** The command in a pseudo-terminal: colours, screens and harmless text. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandAt } from "../support/programs.ts";
import { hasTool } from "../support/tools.ts";
import { whileItLasts } from "../support/while-it-lasts.ts";
import { EVIL, MAIN, makeFixtures, run } from "./fixtures.ts";

// Many processes, on a busy machine.
setDefaultTimeout(240_000);

const fixtures = makeFixtures();
const { robot, hostile, config, frames, tasks, dir, manager } = fixtures;
afterAll(() => fixtures[Symbol.dispose]());

/** Runs it under a terminal of 100 columns and 12 rows, prints all that comes, and ends it with Ctrl-C some time after the first output. */
const PTY = `
import fcntl, os, pty, select, signal, struct, sys, termios, time
seconds, command = float(sys.argv[1]), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    # Before the command looks.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 100, 0, 0))
    os.execvp(command[0], command)
end = float("inf")
while True:
    left = end - time.monotonic()
    if left <= 0:
        os.write(fd, b"\\x03")
        end += 1e9
    ready, _, _ = select.select([fd], [], [], min(max(left, 0), 1e3))
    if not ready:
        continue
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    if end == float("inf"):
        end = time.monotonic() + seconds
    os.write(1, data)
os.waitpid(pid, 0)
`;

async function inTerminal(
  args: readonly string[],
  env: Record<string, string> = {},
  seconds = 200,
): Promise<string> {
  const child = Bun.spawn(
    ["python3", "-c", PTY, String(seconds), process.execPath, commandAt(MAIN, args), ...args],
    {
      env: { ...process.env, TERM: "xterm", NO_COLOR: "", ...env },
      stdout: "pipe",
    },
  );
  return (await child.stdout.text()).replaceAll("\r\n", "\n");
}

/** What is on the screen in the end, of the orders that the command uses: home, clear, clear to the end. */
function screenOf(output: string): string[] {
  let screen: string[] = [];
  let row = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals get orders so
  for (const [part = ""] of output.matchAll(/\u001b\[[\d;?]*[A-Za-z]|\n|[^\u001b\n]+/g)) {
    if (part === "\u001b[H") row = 0;
    else if (part === "\u001b[2J") screen = [];
    else if (part === "\u001b[J") screen = screen.slice(0, row + 1);
    else if (part === "\n") screen[++row] = "";
    else if (!part.startsWith("\u001b")) screen[row] = (screen[row] ?? "") + part;
  }
  return screen.map((line) => line ?? "");
}

describe.skipIf(!hasTool("python3"))("in a terminal (needs python3)", () => {
  test("a terminal gets colours, but not with NO_COLOR or --json", async () => {
    const [colored, plain, json] = await Promise.all([
      inTerminal(["show", robot]),
      inTerminal(["show", robot], { NO_COLOR: "1" }),
      inTerminal(["show", "--json", robot]),
    ]);
    expect(colored).toContain("\u001b[1mspeed\u001b[0m \u001b[2mc_int32\u001b[0m = 7");
    expect(plain).toContain("speed c_int32 = 7");
    expect(plain + json).not.toContain("\u001b");
  });

  test("text of files is no order to the terminal", async () => {
    const shown = await Promise.all([
      inTerminal(["show", hostile]),
      inTerminal(["get", hostile, "text"]),
      inTerminal(["show", config]),
      inTerminal(["get", config, "hosts.1"]),
    ]);
    for (const output of shown) {
      expect(output).toContain("\\u001b[2J\\u202e\\u0007");
      expect(output).not.toContain(EVIL);
      expect(output).not.toContain("\u0007");
      expect(output).not.toContain("\u001b[2J");
    }
  });

  test("watch draws a screen that fits, and lights what has changed", async () => {
    const timer = setInterval(
      () =>
        manager.edit((data) => {
          data.speed++;
        }),
      5,
    );
    try {
      await whileItLasts(800, async (ms) => {
        const output = await inTerminal(["watch", "--hz", "50", robot], {}, ms / 1000);
        const screen = screenOf(output);
        expect(screen[0]).toMatch(/Robot_.mmap {2}version \d+ {2}[\d.]+\/s/);
        expect(screen.join("\n")).toMatch(/speed = \d+ [▁▂▃▄▅▆▇█]+/);
        expect(screen.length).toBeLessThanOrEqual(13);
        expect(output).toContain("\u001b[32mspeed = ");
      });
    } finally {
      clearInterval(timer);
    }
  });

  test("top and ls --watch go on until they are interrupted", async () => {
    await whileItLasts(800, async (ms) => {
      const [top, ls] = await Promise.all([
        inTerminal(["top", "--every", "0.1", dir], {}, ms / 1000),
        inTerminal(["ls", "--watch", "--every", "0.1", dir], {}, ms / 1000),
      ]);
      expect(top.split("segments,").length).toBeGreaterThan(2);
      expect(screenOf(ls).join("\n")).toMatch(/Robot_.mmap +record +Robot .* [\d.]+\/s/);
    });
  });

  test("serve and mirror say what they do until they are interrupted", async () => {
    const token = { XDG_RUNTIME_DIR: "" };
    const [page, mirror] = await Promise.all([
      inTerminal(["serve", "--port", "0", dir], token, 0.1),
      inTerminal(["mirror", "publish", robot, "--to", "nats://127.0.0.1:1"], {}, 0.1),
    ]);
    expect(page).toMatch(/http:\/\/127\.0\.0\.1:\d+\/[\w-]{32}\//);
    expect(mirror).toMatch(/nats:\/\/127\.0\.0\.1:1|refused|waiting/i);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals get orders so
    expect((page + mirror).replaceAll(/\u001b\[\d+m/g, "")).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  /** Those that print once and end, and what is on the screen then. */
  const once: readonly (readonly [args: readonly string[], shown: RegExp])[] = [
    [["--help"], /usage: shmstruct COMMAND/],
    [["ls", dir], /NAME +KIND +STRUCT[\s\S]*Robot_\.mmap +record +Robot/],
    [["layout", robot], /offset +size +member[\s\S]*16 +4 +speed c_int32/],
    [["show", "--hex", frames], /message \d+\n000000 {2}/],
    // Of the document: another of these commands stores into the robot meanwhile.
    [["diff", config, config], /^$/],
    [["who", robot], /PID +DOES +STATE[\s\S]*has it open/],
    [["hz", "--for", "0.1", frames], /FILE +KIND +COUNT[\s\S]*channel/],
    [["tail", "--from", "oldest", "-n", "1", frames], /#\d+ .* \{ width: /],
    [["set", robot, "mode", "idle"], /^$/],
    [["backup", robot, join(dir, "robot.backup")], /version \d+ in .*robot\.backup/],
    [["queue", tasks], /JOB +STATE +ATTEMPT[\s\S]*ready/],
    [["record", "--for", "0.1", "-o", join(dir, "t.zst"), robot], /\d+ in .*t\.zst/],
    [["export", "c", robot], /struct Robot/],
    [["doctor", robot], /nothing is wrong|Robot_\.mmap|risk/],
    [["completion", "zsh"], /#compdef shmstruct/],
    [["purge", dir], /^/],
  ];
  test("each command prints text, styles and nothing else on a terminal", async () => {
    const outputs = await Promise.all(once.map(([args]) => inTerminal(args)));
    for (const [i, output] of outputs.entries()) {
      const [args, shown] = once[i]!;
      // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals get orders so
      const plain = output.replaceAll(/\u001b\[\d+m/g, "");
      // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals get orders so
      expect([args, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(plain)]).toEqual([args, false]);
      expect(screenOf(output).join("\n")).toMatch(shown);
    }
  });

  test("restore, replay, migrate, edit, import and rm say on a terminal what they have done", async () => {
    const [copy, header] = [join(dir, "Copy_.mmap"), join(dir, "wheel.h")];
    writeFileSync(header, "struct wheel { int turns; };");
    const structs = `${join(import.meta.dir, "fixtures.ts")}#Robot`;
    await run(["backup", robot, join(dir, "b.backup")]);
    await run(["record", "--for", "0.05", "-o", join(dir, "r.zst"), robot]);
    const inTurn = async (): Promise<string[]> => [
      await inTerminal(["restore", join(dir, "b.backup"), copy]),
      await inTerminal(["migrate", copy, structs]),
      await inTerminal(["rm", "--purge", copy]),
    ];
    const [[restored, migrated, removed], ...others] = await Promise.all([
      inTurn(),
      inTerminal(["replay", "--speed", "0", join(dir, "r.zst")]),
      inTerminal(["edit", config], { VISUAL: "sed -i s/80/81/" }),
      inTerminal(["import", header, "--struct", "wheel"]),
    ]);
    const [replayed, edited, imported] = others;
    expect(restored).toContain(`record restored to ${copy}`);
    expect(migrated).toContain("it has that struct already");
    expect(removed).toContain(copy);
    expect(replayed).toMatch(/Robot_\.mmap.* \d+\.\d+s version \d+/);
    expect(edited).not.toContain("shmstruct:");
    expect(imported).toContain("export class wheel extends Struct");
  });
});
