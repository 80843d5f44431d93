/** What a command of `shmstruct` is, and how its arguments are read. */
import { parseArgs } from "node:util";
import { escapeText } from "../errors/show.ts";
import type { Output } from "./output.ts";

/** Exit codes. */
export const EXIT = { done: 0, differs: 1, usage: 2, permission: 3, damaged: 4 } as const;

/** The arguments make no sense: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What was asked for is not there: exit code 1. */
export class NotFoundError extends Error {
  override readonly name = "NotFoundError";
}

/** One option of a command. */
export interface Option {
  readonly type: "boolean" | "string";
  readonly short?: string;
  /** May be given several times: the values, with commas between them. */
  readonly multiple?: true;
  /** What a string stands for, in the help. @example "DIR" */
  readonly value?: string;
  readonly help: string;
}

export type Options = Readonly<Record<string, Option>>;

/** What was given for options: undefined for those that were not. */
export type Values<O extends Options> = {
  readonly [K in keyof O]?: O[K]["type"] extends "boolean" ? boolean : string;
};

export interface Command<O extends Options = Options> {
  /** The arguments after the command's name. @example "FILE [PATH]" */
  readonly args: string;
  /** The least and most arguments. */
  readonly count: readonly [min: number, max: number];
  /** Lines of the help between usage and options. */
  readonly details?: string;
  readonly options: O;
  readonly examples: readonly string[];
  /** @returns the exit code; undefined is 0 */
  run(
    args: readonly string[],
    values: Values<O>,
    out: Output,
  ): number | undefined | Promise<number | undefined>;
}

/** A command; the types of its options are inferred. */
export const define = <const O extends Options>(parts: Command<O>): Command => parts as unknown as Command;

/** Options of all commands. */
export const COMMON = {
  json: { type: "boolean", help: "print JSON: one value, or one object a line" },
  help: { type: "boolean", short: "h", help: "print this" },
} as const satisfies Options;

/** Options of all commands that open a file. */
export const TRUST = {
  shared: { type: "boolean", help: "use a file that other users can truncate" },
  "trust-owner": { type: "string", value: "UID", help: "use files of this user as one's own" },
} as const satisfies Options;

/** The option of commands that take a lock. */
export const TIMEOUT = {
  timeout: { type: "string", value: "MS", help: "milliseconds to wait for the lock (default: no limit)" },
} as const satisfies Options;

/**
 * Reads the arguments of a command.
 * @throws UsageError
 */
export function parse(
  name: string,
  { options, count, args }: Command,
  words: readonly string[],
): { args: readonly string[]; values: Values<typeof COMMON> } {
  const config = Object.fromEntries(
    Object.entries<Option>({ ...options, ...COMMON }).map(([key, { type, short, multiple = false }]) => [
      key,
      { type, multiple, ...(short !== undefined && { short }) },
    ]),
  );
  try {
    const parsed = parseArgs({ args: words.map(hideMinus), options: config, allowPositionals: true });
    const positionals = parsed.positionals.map(showMinus);
    const values = Object.fromEntries(
      Object.entries(parsed.values).map(([key, value]) => [
        key,
        typeof value === "boolean" ? value : [value].flat().map(String).map(showMinus).join(","),
      ]),
    );
    const isEnough = positionals.length >= count[0] && positionals.length <= count[1];
    if (!isEnough && !values.help) throw new UsageError(`usage: shmstruct ${name} ${args}`);
    return { args: positionals, values: values as Values<typeof COMMON> };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `${escapeText((error instanceof Error ? error.message : String(error)).replaceAll("\n", " "))} (see shmstruct ${name} --help)`,
    );
  }
}

/** Begins a word that is a negative number, which would look like an option. No argument of a process has a NUL. */
const HIDDEN = "\0";
const hideMinus = (word: string): string => (/^-(\.?\d|Infinity$)/.test(word) ? HIDDEN + word : word);
const showMinus = (word: string): string => (word.startsWith(HIDDEN) ? word.slice(HIDDEN.length) : word);

/** The value of an option as a number. @throws UsageError */
export function numberOption(name: string, text: string | undefined, least = 0): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number) && number >= least) return number;
  throw new UsageError(`--${name} must be a number from ${least} on, got '${escapeText(text)}'`);
}

/** The help of one command. */
export function helpOf(name: string, summary: string, { args, details, options, examples }: Command): string {
  const rows = Object.entries<Option>({ ...options, ...COMMON }).map(([key, { short, value, help }]) => ({
    flag: `${short === undefined ? "    " : `-${short}, `}--${key}${value === undefined ? "" : ` ${value}`}`,
    help,
  }));
  const width = Math.max(...rows.map(({ flag }) => flag.length)) + 2;
  return [
    `usage: shmstruct ${name} [options] ${args}`.trimEnd(),
    "",
    `${summary[0]?.toUpperCase()}${summary.slice(1)}.`,
    ...(details === undefined ? [] : ["", details]),
    "",
    "options:",
    ...rows.map(({ flag, help }) => `  ${flag.padEnd(width)}${help}`),
    "",
    "examples:",
    ...examples.map((example) => `  ${example}`),
  ].join("\n");
}
