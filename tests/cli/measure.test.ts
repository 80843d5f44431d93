/** hz, top, record, replay and the shells' completion, as processes in a pipe. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RecordingWriter, readRecording } from "../../src/cli/recording.ts";
import { whileItLasts } from "../support/while-it-lasts.ts";
import { jsonLines, MAIN, makeFixtures, run } from "./fixtures.ts";

// Each call starts a process, which takes its time on a busy machine.
setDefaultTimeout(240_000);

const fixtures = makeFixtures();
const { dir, robot, config, frames, tasks, manager, publisher, queue } = fixtures;
afterAll(() => fixtures[Symbol.dispose]());

/** Commits and messages while the command runs. */
async function busy<T>(work: Promise<T>): Promise<T> {
  let width = 100;
  const timer = setInterval(() => {
    manager.edit((data) => {
      data.speed++;
      data.serial = 2n ** 62n;
    });
    publisher.send({ width: width++ }, { type: 7 });
  }, 2);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

describe("hz and top", () => {
  test("hz counts messages with their sizes, and commits", async () => {
    await whileItLasts(300, async (ms) => {
      const rows = jsonLines(
        await busy(run(["hz", "--json", "--for", String(ms / 1000), frames, robot, tasks])),
      );
      expect(rows).toMatchObject([
        { kind: "channel", rate: expect.any(Number) },
        { kind: "record" },
        { kind: "queue", count: 0, inside: { ready: 3, taken: 0 } },
      ]);
      const [channel, record] = rows as { count: number; bytes: number; missed: number }[];
      expect(channel!.bytes).toBe(8 * (channel!.count - channel!.missed));
      expect(Math.min(channel!.count, record!.count)).toBeGreaterThan(1);
    });
  });

  test("top in a pipe is one snapshot, the busiest first", async () => {
    await whileItLasts(200, async (ms) => {
      const { out, code } = await busy(run(["top", "--every", String(ms / 1000), dir]));
      expect(code).toBe(0);
      expect(out).toMatch(/^\d+ segments, .*\nNAME +KIND +RATE/);
      expect(out.split("\n")[2]).toMatch(/^(Frame|Robot)_/);
      expect(out).toContain("ready 3, delayed 0, taken 0");
    });
  });
});

describe("record and replay", () => {
  const recording = join(dir, "trial.zst");

  test("replay prints every message and each state that record has seen", async () => {
    type Item = {
      path: string;
      index: number;
      missed: number;
      version: number;
      skipped: number;
      value: { speed: number };
    };
    let items: Item[] = [];
    let messages: Item[] = [];
    await whileItLasts(300, async (ms) => {
      const forSeconds = String(ms / 1000);
      const ran = await busy(run(["record", "--for", forSeconds, "-o", recording, frames, robot, config]));
      expect(ran.code).toBe(0);
      items = jsonLines(await run(["replay", "--json", "--speed", "0", recording])) as Item[];
      messages = items.filter(({ path }) => path === frames);
      expect(messages.length).toBeGreaterThan(0);
    });
    const states = items.filter(({ path }) => path === robot);
    for (const [i, { index, missed }] of messages.entries())
      if (i > 0) expect(index - missed - 1).toBe(messages[i - 1]!.index);
    expect(messages[0]).toMatchObject({ type: 7, value: { width: expect.any(Number) } });
    // The versions and the skipped commits add up.
    for (const [i, { version, skipped }] of states.entries())
      if (i > 0) expect(version - skipped - 1).toBe(states[i - 1]!.version);
    expect(items.filter(({ path }) => path === config)).toHaveLength(1);
    expect((await run(["replay", "--speed", "0", recording])).out).toMatch(
      /Robot_\.mmap \d+\.\d+s version \d+/,
    );
  });

  test("replay --to puts a recording into other files", async () => {
    const states = join(dir, "states.zst");
    let recorded: { value: { speed: number } }[] = [];
    await whileItLasts(100, async (ms) => {
      await busy(run(["record", "--for", String(ms / 1000), "-o", states, robot]));
      recorded = jsonLines(await run(["replay", "--json", "--speed", "0", states])) as typeof recorded;
      expect(recorded.length).toBeGreaterThan(0);
    });
    manager.edit((data) => {
      data.speed = -1;
      data.serial = 0n;
    });
    expect((await run(["replay", "--speed", "0", "--to", robot, states])).code).toBe(0);
    expect([manager.get("speed"), manager.get("serial")]).toEqual([recorded.at(-1)!.value.speed, 2n ** 62n]);
    const [messages, copy] = [join(dir, "messages.zst"), join(dir, "Frame_copy.channel")];
    await whileItLasts(100, async (ms) => {
      await busy(run(["record", "--for", String(ms / 1000), "-o", messages, frames]));
      const sent = jsonLines(await run(["replay", "--json", "--speed", "0", messages]));
      expect(sent.length).toBeGreaterThan(0);
    });
    await run(["backup", frames, join(dir, "frames.backup")]);
    await run(["restore", join(dir, "frames.backup"), copy]);
    expect(await run(["replay", "--speed", "0", "--to", copy, messages])).toEqual({
      out: "",
      err: "",
      code: 0,
    });
    const [last] = (
      jsonLines(await run(["replay", "--json", "--speed", "0", messages])) as { value: object }[]
    ).slice(-1);
    expect(jsonLines(await run(["tail", "--json", "-n", "1", copy]))).toMatchObject([
      { type: 7, value: last!.value },
    ]);
  });

  test("what nothing follows is in the file soon, also where the program is killed then", async () => {
    const file = join(dir, "quiet.zst");
    using writer = new RecordingWriter(file, { recording: 1, startedAt: 1, segments: [] });
    const item = { segment: 0, at: 0, value: 7 };
    writer.add(item);
    while (readRecording(file).items.length === 0) await Bun.sleep(20);
    expect(readRecording(file).items).toEqual([item]);
  }, 240_000);

  test("a recorder that was killed leaves what it had written", async () => {
    const killed = join(dir, "killed.zst");
    const child = Bun.spawn([process.execPath, MAIN, "record", "-o", killed, frames], { stdout: "ignore" });
    await busy(
      (async () => {
        // The head alone has less.
        while ((statSync(killed, { throwIfNoEntry: false })?.size ?? 0) < 400) await Bun.sleep(20);
      })(),
    );
    child.kill("SIGKILL");
    await child.exited;
    expect(jsonLines(await run(["replay", "--json", "--speed", "0", killed])).length).toBeGreaterThan(0);
  });

  test("a recording is read up to its last whole line, and is refused when it has more bytes than it may", async () => {
    const file = join(dir, "frames.zst");
    const frames = [
      { recording: 1, startedAt: 1, segments: [] },
      { segment: 0, at: 0, value: 7 },
      { segment: 0, at: 1, value: 8 },
    ].map((line) => Bun.zstdCompressSync(Buffer.from(`${JSON.stringify(line)}\n`)));
    writeFileSync(file, Buffer.concat(frames).subarray(0, -3));
    expect(readRecording(file).items).toEqual([{ segment: 0, at: 0, value: 7 }]);
    writeFileSync(file, Buffer.concat([...frames, Bun.zstdCompressSync(Buffer.alloc(2 ** 24))]));
    expect(() => readRecording(file, 2 ** 20)).toThrow("--max-bytes takes more");
    writeFileSync(file, Bun.zstdCompressSync(Buffer.from('{"recording":1}\n')));
    expect(() => readRecording(file)).toThrow("is no recording");
    for (const name of ["version", "index", "missed", "skipped", "sentAt", "type"]) {
      const item = JSON.stringify({ segment: 0, at: 0, value: 7, [name]: "\u001b[2J" });
      const head = JSON.stringify({ recording: 1, startedAt: 1, segments: [] });
      writeFileSync(file, Bun.zstdCompressSync(Buffer.from(`${head}\n${item}\n`)));
      expect(() => readRecording(file), name).toThrow("is no recording");
    }
    expect((await run(["replay", "--max-bytes", "none", file])).code).toBe(2);
  });

  test("replay of what is no recording, and record without -o, end with 2", async () => {
    expect((await run(["replay", robot])).code).toBe(2);
    expect((await run(["record", robot])).code).toBe(2);
    expect(await run(["record", "-o", "-", robot], { cwd: dir })).toMatchObject({
      err: expect.stringContaining("not on stdout"),
      code: 2,
    });
  });
});

describe("completion", () => {
  const complete = async (...words: string[]): Promise<string[]> =>
    (await run(["__complete", ...words], { cwd: join(dir, "app") })).out.split("\n").filter(Boolean);

  test("completion offers commands, options, segments, members and choices", async () => {
    const cases: readonly (readonly [words: string[], found: string[]])[] = [
      [
        ["watch", "--h"],
        ["--hz", "--help"],
      ],
      [["show", "Ro"], ["Robot_.mmap"]],
      [["get", "Robot_.mmap", "po"], ["pose."]],
      [
        ["get", "Robot_.mmap", "pose."],
        ["pose.x", "pose.y"],
      ],
      [
        ["set", "--timeout", "5", robot, "s"],
        ["speed", "serial"],
      ],
      [
        ["completion", ""],
        ["bash", "zsh", "fish"],
      ],
      [["queue", tasks, "re"], ["requeue"]],
      [["show", join(dir, "Frame_.")], [frames]],
      [["get", "missing", ""], []],
    ];
    const found = await Promise.all(cases.map(([words]) => complete(...words)));
    expect(found).toEqual(cases.map(([, expected]) => expected));
    expect(await complete("re")).toContain("replay");
  });

  test("completion for an unknown shell ends with 2", async () => {
    expect((await run(["completion", "csh"])).code).toBe(2);
  });
});

test("looking leaves the queue as it was", () => {
  expect(queue.size).toBe(3);
});
