/** The command in a pseudo-terminal: colours, screens and harmless text. */
import { afterAll, describe, expect, test } from "bun:test";
import { hasTool } from "../support/tools.ts";
import { EVIL, MAIN, makeFixtures } from "./fixtures.ts";

const fixtures = makeFixtures();
const { robot, hostile, config, dir, manager } = fixtures;
afterAll(() => fixtures[Symbol.dispose]());

/** Runs it under a terminal of 100 columns and 12 rows, prints all that comes, and ends it with Ctrl-C after a time. */
const PTY = `
import fcntl, os, pty, select, signal, struct, sys, termios, time
seconds, command = float(sys.argv[1]), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 100, 0, 0))
end = time.monotonic() + seconds
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
    os.write(1, data)
os.waitpid(pid, 0)
`;

async function inTerminal(
  args: readonly string[],
  env: Record<string, string> = {},
  seconds = 20,
): Promise<string> {
  const child = Bun.spawn(["python3", "-c", PTY, String(seconds), process.execPath, MAIN, ...args], {
    env: { ...process.env, TERM: "xterm", NO_COLOR: "", ...env },
    stdout: "pipe",
  });
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
      const output = await inTerminal(["watch", "--hz", "50", robot], {}, 0.8);
      const screen = screenOf(output);
      expect(screen[0]).toMatch(/Robot_.mmap {2}version \d+ {2}[\d.]+\/s/);
      expect(screen.join("\n")).toMatch(/speed = \d+ [▁▂▃▄▅▆▇█]+/);
      expect(screen.length).toBeLessThanOrEqual(13);
      expect(output).toContain("\u001b[32mspeed = ");
    } finally {
      clearInterval(timer);
    }
  });

  test("top and ls --watch go on until they are interrupted", async () => {
    const [top, ls] = await Promise.all([
      inTerminal(["top", "--every", "0.1", dir], {}, 0.8),
      inTerminal(["ls", "--watch", "--every", "0.1", dir], {}, 0.8),
    ]);
    expect(top.split("segments,").length).toBeGreaterThan(2);
    expect(screenOf(ls).join("\n")).toMatch(/Robot_.mmap +record +Robot .* [\d.]+\/s/);
  });
});
