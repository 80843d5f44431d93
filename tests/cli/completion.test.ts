/** The scripts of `shmstruct completion` in the shells that they are for: what the Tab key finds. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasTool } from "../support/tools.ts";
import { MAIN, makeFixtures, run } from "./fixtures.ts";

setDefaultTimeout(240_000);

const fixtures = makeFixtures();
const { dir } = fixtures;
afterAll(() => fixtures[Symbol.dispose]());

// A command of that name, as an installed package has.
const bin = join(dir, "bin");
mkdirSync(bin);
writeFileSync(join(bin, "shmstruct"), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
chmodSync(join(bin, "shmstruct"), 0o755);

/** Runs a script of the shell where the segments are found by name. */
async function inShell(command: readonly string[], script: string): Promise<string> {
  const child = Bun.spawn([...command], {
    cwd: join(dir, "app"),
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, TERM: "dumb", HOME: dir, ZDOTDIR: dir },
    stdin: Buffer.from(script),
    stdout: "pipe",
    stderr: "ignore",
  });
  const out = await child.stdout.text();
  await child.exited;
  return out;
}

const scriptOf = async (shell: string): Promise<string> => {
  const path = join(dir, `completion.${shell}`);
  writeFileSync(path, (await run(["completion", shell])).out);
  return path;
};

/** What is typed before the Tab key, and what it offers. */
const CASES: readonly (readonly [typed: readonly string[], offered: readonly string[]])[] = [
  [["who", "Ro"], ["Robot_.mmap"]],
  [["get", "Robot_.mmap", "po"], ["pose."]],
  [
    ["get", "Robot_.mmap", "pose."],
    ["pose.x", "pose.y"],
  ],
  [["set", "Robot_.mmap", "sp"], ["speed"]],
  [["resto"], ["restore"]],
];

describe.skipIf(!hasTool("bash"))("in bash", () => {
  test("Tab completes commands, segments and field paths", async () => {
    const script = await scriptOf("bash");
    const asked = CASES.map(
      ([typed]) =>
        `COMP_WORDS=(shmstruct ${typed.join(" ")}); COMP_CWORD=${typed.length}; _shmstruct; echo "\${COMPREPLY[*]}"`,
    );
    const out = await inShell(["bash", "-s"], `source '${script}'\n${asked.join("\n")}\n`);
    expect(out.trim().split("\n")).toEqual(CASES.map(([, offered]) => offered.join(" ")));
  });
});

describe.skipIf(!hasTool("fish"))("in fish (needs fish)", () => {
  test("Tab completes commands, segments and field paths", async () => {
    const script = await scriptOf("fish");
    const asked = CASES.map(
      ([typed]) => `echo (complete -C 'shmstruct ${typed.join(" ")}' | string split -f1 \\t)`,
    );
    const out = await inShell(["fish", "--private"], `source '${script}'\n${asked.join("\n")}\n`);
    expect(out.trim().split("\n")).toEqual(CASES.map(([, offered]) => offered.join(" ")));
  });
});

describe.skipIf(!hasTool("zsh"))("in zsh (needs zsh)", () => {
  /** An interactive shell in a pseudo-terminal of zsh's own; its line is read back after the key. */
  const typedInto = (script: string, words: readonly string[]): string => `
zmodload zsh/zpty
zpty shell 'zsh -f -i'
say() { zpty -w -n shell "$1"; }
await() { local line; while zpty -r shell line; do out+=$line; [[ $out == *$~1* ]] && return; done }
say $'PS1="> "; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -D -u; source ${script}; bindkey "^X" show-line; show-line() { print -r -- "<$BUFFER>" }; zle -N show-line; echo re""ady\\n'
await '*ready*'
out=
say $'shmstruct ${words.join(" ")}\\t\\x18'
await '*<*>*'
zpty -d shell
print -r -- \${\${out##*<}%%>*}
`;
  test("Tab completes commands, segments and field paths", async () => {
    const script = await scriptOf("zsh");
    // What is one word is put into the line at once.
    const single = CASES.filter(([, offered]) => offered.length === 1);
    const lines = await Promise.all(
      single.map(([typed]) => inShell(["zsh", "-f", "-s"], typedInto(script, typed))),
    );
    const expected = single.map(([typed, offered]) =>
      ["shmstruct", ...typed.slice(0, -1), ...offered].join(" "),
    );
    expect(lines.map((line) => line.trim())).toEqual(expected);
  });
});
