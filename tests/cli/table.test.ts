/** Every command, within this process: its help, what it prints as text and as JSON, and what it makes of a hostile file. */
import { afterAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import "../../src/cli/backends.ts";
import { type Command, helpOf, type Options, parse, type Values } from "../../src/cli/command.ts";
import { commands } from "../../src/cli/commands.ts";
import { Output } from "../../src/cli/output.ts";
import { hasTool } from "../support/tools.ts";
import { makeFixtures } from "./fixtures.ts";

type Name = keyof typeof commands;

const fixtures = makeFixtures();
const { dir, robot, config, frames, tasks, hostile, manager } = fixtures;
afterAll(() => fixtures[Symbol.dispose]());

class Captured extends Output {
  text = "";
  override write(text: string): void {
    this.text += text;
  }
}

const header = join(dir, "wheel.h");
writeFileSync(header, "struct wheel { int turns; };");
const [backup, copy, recording] = ["robot.backup", "Copy_.mmap", "trial.zst"].map((name) => join(dir, name));
const source = `${join(import.meta.dir, "fixtures.ts")}#Robot`;

/** With which arguments each is tried, in this order; none: it goes on until it is interrupted, and has tests of its own. */
const CASES: Readonly<Record<Name, readonly (readonly string[])[]>> = {
  ls: [[dir]],
  show: [[robot], ["--layout", robot], ["--hex", robot], [config], ["--hex", tasks], [frames]],
  watch: [["-n", "1", "--hz", "50", robot, "speed"]],
  get: [
    [robot, "pose"],
    [robot, "name"],
  ],
  set: [[robot, "speed", "7"]],
  edit: [[config]],
  layout: [[robot]],
  diff: [
    [robot, hostile],
    ["--layout", robot, source],
  ],
  who: [[frames]],
  tail: [["--from", "oldest", "-n", "2", frames]],
  hz: [["--for", "0.02", frames, robot, tasks]],
  top: [["--every", "0.05", dir]],
  record: [["--for", "0.05", "-o", recording!, robot, frames]],
  replay: [["--speed", "0", recording!]],
  backup: [[robot, backup!]],
  restore: [[backup!, copy!]],
  migrate: [[robot, source]],
  rm: [["--purge", copy!]],
  purge: [[dir]],
  queue: [[tasks], [tasks, "requeue", "0"]],
  serve: [],
  export: [
    ["c", robot],
    ["python", robot],
  ],
  import: hasTool("gcc") ? [[header]] : [],
  doctor: [[dir]],
  completion: [["bash"], ["zsh"], ["fish"]],
  mirror: [],
};

/** These print nothing when all is well. */
const SILENT: readonly Name[] = ["set", "diff", "doctor", "purge"];

async function run(name: Name, words: readonly string[]): Promise<{ text: string; error: unknown }> {
  const command: Command = commands[name].load();
  const { args, values } = parse(name, command, words);
  const out = new Captured(values.json === true);
  try {
    await command.run(args, values as Values<Options>, out);
    return { text: out.text, error: undefined };
  } catch (error) {
    return { text: out.text, error };
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
const ORDER = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

describe.each(Object.keys(commands) as Name[])("%s", (name) => {
  test("its help has a usage, options with --json, and examples that are calls of it", () => {
    const command = commands[name].load();
    const help = helpOf(name, commands[name].summary, command);
    expect(help).toStartWith(`usage: shmstruct ${name} [options] `);
    expect(help).toMatch(/\noptions:\n[\s\S]*--json /);
    expect(command.examples.join("\n")).toContain(`shmstruct ${name}`);
  });
});

test("each prints text without orders to a terminal, and with --json one value of JSON a line", async () => {
  const timer = setInterval(
    () =>
      manager.edit((data) => {
        data.speed++;
      }),
    5,
  );
  const editor = process.env.VISUAL;
  process.env.VISUAL = "true";
  try {
    for (const [name, cases] of Object.entries(CASES) as [Name, string[][]][])
      for (const words of cases) {
        const plain = await run(name, words);
        if (name === "rm") await run("restore", [backup!, copy!]);
        const json = await run(name, ["--json", ...words]);
        const what = [name, ...words].join(" ");
        expect([what, plain.error, json.error]).toEqual([what, undefined, undefined]);
        expect([what, ORDER.test(plain.text + json.text)]).toEqual([what, false]);
        const lines = json.text.split("\n").filter(Boolean);
        expect([what, lines.length > 0 || SILENT.includes(name)]).toEqual([what, true]);
        for (const line of lines)
          expect([what, () => JSON.parse(line)]).toEqual([what, expect.any(Function)]);
        for (const line of lines) JSON.parse(line);
        if (name === "rm") await run("restore", [backup!, copy!]);
      }
  } finally {
    clearInterval(timer);
    if (editor === undefined) delete process.env.VISUAL;
    else process.env.VISUAL = editor;
  }
}, 240_000);

test("of a hostile file each prints text without orders, or an error", async () => {
  const of: Partial<Record<Name, readonly string[]>> = {
    show: [hostile],
    get: [hostile, "text"],
    layout: [hostile],
    diff: [hostile, robot],
    who: [hostile],
    hz: ["--for", "0.02", hostile],
    doctor: [hostile],
    export: ["python", hostile],
  };
  for (const [name, words] of Object.entries(of) as [Name, readonly string[]][])
    for (const flags of name === "get" ? [["--json"]] : [[], ["--json"]]) {
      const { text, error } = await run(name, [...flags, ...words]);
      expect([name, flags, error, ORDER.test(text)]).toEqual([name, flags, undefined, false]);
    }
}, 240_000);
