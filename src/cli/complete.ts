/** What may stand where the cursor is: for the shells' completion. */
import { readdirSync } from "node:fs";
import { escapeText } from "../errors/show.ts";
import { isSideFile } from "../segment/place.ts";
import { COMMON, type Command, type Option } from "./command.ts";
import { DIRECTORIES, openInspector } from "./open.ts";

/** What the commands' arguments are, by the words of their usage. */
type Kind = "file" | "path" | "choice" | "other";

interface Table {
  readonly names: readonly string[];
  load(name: string): Command | undefined;
}

/** @param words those behind `shmstruct`; the last is being typed */
export function complete(words: readonly string[], table: Table): string[] {
  const [name = "", ...rest] = words;
  const typed = words.at(-1) ?? "";
  const all = words.length < 2 ? table.names : candidates(table.load(name), rest);
  return all.filter((word) => word.startsWith(typed) && escapeText(word) === word);
}

function candidates(command: Command | undefined, words: readonly string[]): readonly string[] {
  if (command === undefined) return [];
  const typed = words.at(-1) ?? "";
  if (typed.startsWith("-")) return Object.keys({ ...command.options, ...COMMON }).map((key) => `--${key}`);
  const args = positionals(command, words.slice(0, -1));
  const { kind, choices } = argumentAt(command.args, args.length);
  if (kind === "file") return files(typed);
  if (kind === "path") return paths(args[0] ?? "", typed);
  return choices;
}

/** The words that are no options and no values of options. */
function positionals({ options }: Command, words: readonly string[]): string[] {
  const all: Readonly<Record<string, Option>> = { ...options, ...COMMON };
  const takesValue = (word: string): boolean =>
    Object.entries(all).some(
      ([key, { type, short }]) => type === "string" && (word === `--${key}` || word === `-${short}`),
    );
  return words.filter((word, i) => !word.startsWith("-") && !takesValue(words[i - 1] ?? ""));
}

const KINDS: Readonly<Record<string, Kind>> = {
  FILE: "file",
  SOURCE: "file",
  A: "file",
  B: "file",
  BACKUP: "file",
  PATH: "path",
};

/** From a usage such as "FILE [PATH…]": what stands at an index; the last repeats. */
function argumentAt(args: string, index: number): { kind: Kind; choices: string[] } {
  const places = args.split(/ (?![|])(?<![|] )/).map((word) => word.replaceAll(/[[\]…]/g, ""));
  const place = places[Math.min(index, places.length - 1)] ?? "";
  const isRepeated = args.includes("…") || index < places.length;
  const choices = place.split(" | ").filter((word) => /^[a-z]+$/.test(word));
  return { kind: isRepeated ? (KINDS[place] ?? "choice") : "other", choices: isRepeated ? choices : [] };
}

/** Segments by name where they are as a rule, or files of the directory that was typed. */
function files(typed: string): string[] {
  const slash = typed.lastIndexOf("/") + 1;
  if (slash > 0) return namesIn(typed.slice(0, slash)).map((name) => typed.slice(0, slash) + name);
  return DIRECTORIES.flatMap(namesIn);
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter(({ name }) => !isSideFile(name))
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  } catch {
    return [];
  }
}

/** The members at the path that was typed so far. */
function paths(file: string, typed: string): string[] {
  const start = typed.slice(0, typed.lastIndexOf(".") + 1);
  try {
    using inspector = openInspector(file, {});
    let value = inspector.look().value;
    for (const step of start.split(".").slice(0, -1)) value = memberOf(value, step);
    if (typeof value !== "object" || value === null) return [];
    return Object.entries(value).map(([key, item]) => start + key + (isTree(item) ? "." : ""));
  } catch {
    // A file that cannot be read has nothing to offer.
    return [];
  }
}

const memberOf = (value: unknown, step: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, step)
    ? (value as Record<string, unknown>)[step]
    : undefined;

const isTree = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !ArrayBuffer.isView(value);
