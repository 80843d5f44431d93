#!/usr/bin/env bun
/** The command `shmstruct`. */
import { readFileSync, realpathSync, writeSync } from "node:fs";
import { join } from "node:path";
import { FileFormatError, ShmError, SystemError, UntrustedFileError } from "../errors/errors.ts";
import { escapeLines, escapeText } from "../errors/show.ts";
import {
  type Command,
  EXIT,
  helpOf,
  NotFoundError,
  type Options,
  parse,
  UsageError,
  type Values,
} from "./command.ts";
import { commands } from "./commands.ts";
import { ClosedPipeError, Output } from "./output.ts";

const usage = (): string =>
  [
    "usage: shmstruct COMMAND …",
    "",
    "Looks into shared files and works on them: records, documents, channels and queues, live ones and backups.",
    "",
    ...Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(11)}${summary}`),
    "",
    "A FILE is a path, or the name of a segment in ./.mmap or /dev/shm. shmstruct COMMAND --help tells more.",
    "shmstruct --version prints the version.",
    "Exit codes: 0 done, 1 differs or not found, 2 wrong usage, 3 no permission, 4 damaged.",
  ].join("\n");

function find(name: string): { summary: string; command: Command } {
  const entry = Object.hasOwn(commands, name) ? commands[name as keyof typeof commands] : undefined;
  if (entry !== undefined) return { summary: entry.summary, command: entry.load() };
  throw new UsageError(`there is no command '${escapeText(name)}': see shmstruct --help`);
}

function help(name: string): string {
  const { summary, command } = find(name);
  return helpOf(name, summary, command);
}

/** The package's: the command is two directories deep in it, as source and as compiled. */
function version(): string {
  const path = join(realpathSync(Bun.main), "../../../package.json");
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}

/** What views and messages need of the runtime: not loaded for a help text. */
const loadBackends = (): void => void (require("./backends.ts") as typeof import("./backends.ts"));

/** For the scripts of `shmstruct completion`. */
function completions(words: readonly string[]): number {
  loadBackends();
  const { complete }: typeof import("./complete.ts") = require("./complete.ts");
  const load = (name: string): Command | undefined =>
    Object.hasOwn(commands, name) ? find(name).command : undefined;
  for (const word of complete(words, { names: Object.keys(commands), load })) new Output(false).line(word);
  return EXIT.done;
}

async function run(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined) throw new UsageError(usage());
  if (name === "--help" || name === "-h" || name === "help") {
    const [topic] = rest;
    new Output(false).line(topic === undefined ? usage() : help(topic));
    return EXIT.done;
  }
  if (name === "--version" || name === "-V") {
    new Output(false).line(version());
    return EXIT.done;
  }
  if (name === "__complete") return completions(rest);
  const { command } = find(name);
  const { args, values } = parse(name, command, rest);
  const out = new Output(values.json === true);
  if (values.help) {
    out.line(help(name));
    return EXIT.done;
  }
  loadBackends();
  return (await command.run(args, values as Values<Options>, out)) ?? EXIT.done;
}

const PERMISSION: ReadonlySet<string> = new Set(["EACCES", "EPERM"]);

function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof UntrustedFileError) return EXIT.permission;
  if (error instanceof SystemError && PERMISSION.has(error.code)) return EXIT.permission;
  if (error instanceof FileFormatError) return EXIT.damaged;
  return EXIT.differs;
}

/** Faults of ours are shown with where they are; all else is for the user. */
function textOf(error: unknown): string {
  const isToldWhole =
    error instanceof ShmError ||
    error instanceof UsageError ||
    error instanceof NotFoundError ||
    error instanceof TypeError ||
    error instanceof RangeError;
  const text =
    error instanceof Error ? (isToldWhole ? error.message : (error.stack ?? error.message)) : `${error}`;
  return escapeLines(text);
}

function main(): void {
  run(process.argv.slice(2)).then(
    (code) => process.exit(code),
    (error) => {
      if (error instanceof ClosedPipeError) process.exit(EXIT.done);
      writeSync(2, `shmstruct: ${textOf(error)}\n`);
      process.exit(exitCodeOf(error));
    },
  );
}

main();
