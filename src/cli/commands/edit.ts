import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Command, define, EXIT, NotFoundError, TIMEOUT, TRUST, UsageError } from "../command.ts";
import { openForWriting } from "../open.ts";
import { escapeText, toJson } from "../output.ts";
import { like } from "../paths.ts";

export const command: Command = define({
  args: "FILE",
  count: [1, 1],
  details:
    "Opens $VISUAL or $EDITOR on the value as JSON, and stores the result as one transaction, if nothing was committed\nmeanwhile. 64-bit integers stand there as text.",
  options: {
    ...TIMEOUT,
    ...TRUST,
  },
  examples: ["EDITOR=vi shmstruct edit Config"],
  run([file = ""], values, out) {
    using inspector = openForWriting(file, values);
    const { version, value } = inspector.look();
    const before = toJson(value, 2);
    const after = edited(before);
    if (after.trim() === before) {
      if (out.isJson) out.json({ path: inspector.path, isChanged: false });
      else out.line("nothing changed");
      return EXIT.done;
    }
    const next = like(parsed(after), value);
    if (inspector.replace(next, version)) return EXIT.done;
    throw new NotFoundError(
      `'${escapeText(inspector.path)}' has changed meanwhile (version ${version}, now ${inspector.version}): nothing was stored`,
    );
  },
});

function edited(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "shmstruct-"));
  const path = join(directory, "value.json");
  try {
    writeFileSync(path, `${text}\n`, { mode: 0o600 });
    const editor = process.env.VISUAL || process.env.EDITOR || "vi";
    // As git does: the variable may hold arguments.
    const { exitCode } = Bun.spawnSync(["sh", "-c", `${editor} "$1"`, editor, path], {
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    });
    if (exitCode !== 0)
      throw new UsageError(`${escapeText(editor)} ended with ${exitCode}: nothing was stored`);
    return readFileSync(path, "utf8");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`that is no JSON, nothing was stored: ${escapeText(String(error))}`);
  }
}
