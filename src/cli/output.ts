/** What a command prints: text for people, with colours on a terminal, or JSON for programs. */
import { fstatSync, readlinkSync, writeSync } from "node:fs";
import { escapeLines, escapeText } from "../errors/show.ts";

/** Loaded by the first value that is printed. */
const plain = (): typeof import("../struct/view/plain.ts") => require("../struct/view/plain.ts");

/** Select Graphic Rendition codes of ECMA-48. */
const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;
export type Style = keyof typeof STYLES;

const MAX_TRIES = 1000;

/** <poll.h>; the same on Linux and macOS. */
const POLLERR = 0x08;
const POLLHUP = 0x10;
const LOOK_FOR_READER_MS = 100;

/** Closed by its reader, as by `| head`: there is nothing more to do. */
export class ClosedPipeError extends Error {}

/** Asking `process.stdout` or node:tty takes 9 ms the first time, so they are asked only of what may be a terminal. */
function isTerminal(): boolean {
  try {
    if (!fstatSync(1).isCharacterDevice()) return false;
    const device = readlinkSync("/proc/self/fd/1");
    if (device === "/dev/null") return false;
    if (device.startsWith("/dev/pts/")) return true;
  } catch {
    // Closed, or without /proc: the runtime knows.
  }
  return process.stdout.isTTY === true;
}

export class Output {
  readonly isTerminal: boolean;
  readonly hasColor: boolean;
  readonly isJson: boolean;

  constructor(isJson: boolean) {
    this.isJson = isJson;
    this.isTerminal = isTerminal();
    // https://no-color.org: any value but the empty one.
    this.hasColor = this.isTerminal && !process.env.NO_COLOR && process.env.TERM !== "dumb" && !isJson;
  }

  /** Columns of the terminal; 80 for others. */
  get columns(): number {
    return process.stdout.columns || 80;
  }

  get rows(): number {
    return process.stdout.rows || 24;
  }

  /** Text from elsewhere, made harmless, perhaps in a style. */
  paint(style: Style, text: string): string {
    return this.hasColor ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
  }

  /** A line, or several. What comes from files must have been escaped. */
  line(text = ""): void {
    this.write(`${text}\n`);
  }

  /** One value as one line of JSON. */
  json(value: unknown): void {
    this.line(toJson(value));
  }

  /** Rows as columns: the header dim, numbers to the right. */
  table(
    header: readonly string[],
    rows: readonly (readonly string[])[],
    right: readonly number[] = [],
  ): void {
    const widths = header.map((title, i) =>
      Math.max(Bun.stringWidth(title), ...rows.map((row) => Bun.stringWidth(row[i] ?? ""))),
    );
    const format = (row: readonly string[]): string =>
      row
        .map((cell, i) => {
          const space = " ".repeat(widths[i]! - Bun.stringWidth(cell));
          return right.includes(i) ? space + cell : cell + space;
        })
        .join("  ")
        .trimEnd();
    this.line(this.paint("dim", format(header)));
    for (const row of rows) this.line(format(row));
  }

  /**
   * Ends the process once what reads stdout is gone, as `head` after its last line: where there is nothing to write no write tells.
   * For commands that only print, as nothing else is ended first.
   */
  endWithReader(): void {
    const status = fstatSync(1);
    if (!status.isFIFO() && !status.isSocket()) return;
    const { polling } = require("../sys/libc/posix.ts") as typeof import("../sys/libc/posix.ts");
    // struct pollfd: int fd, short events, short revents.
    const stdout = new Int16Array([1, 0, 0, 0]);
    const look = (): void => {
      // SAFETY: the kernel reads and writes the 8 bytes of `stdout`, which is passed as an array and so kept alive.
      if (polling().poll(stdout, 1, 0) > 0 && (stdout[3]! & (POLLERR | POLLHUP)) !== 0) process.exit(0);
    };
    setInterval(look, LOOK_FOR_READER_MS).unref();
  }

  /** Bytes to stdout, all of them, at once: a command may end right after. */
  write(text: string): void {
    let bytes = Buffer.from(text);
    for (let tries = 0; bytes.length > 0; ) {
      try {
        bytes = bytes.subarray(writeSync(1, bytes));
        tries = 0;
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === "EPIPE") throw new ClosedPipeError();
        // A pipe that is full, and was made non-blocking by someone.
        if (code !== "EAGAIN" || ++tries > MAX_TRIES) throw error;
        Bun.sleepSync(1);
      }
    }
  }
}

/**
 * JSON of plain values: bigints as text, bytes as arrays, what JSON has no form for as text. What a terminal would take as an
 * order is escaped, as JSON allows in text.
 */
export const toJson = (value: unknown, space?: number): string =>
  escapeLines(
    JSON.stringify(
      value,
      (_, item: unknown) =>
        typeof item === "number" && !Number.isFinite(item) ? String(item) : (plain().forJson(item) ?? null),
      space,
    ) ?? "null",
  );

/** A time of milliseconds since 1970; what is no time is shown as a number. */
export function timeText(ms: number | undefined): string {
  if (ms === undefined || ms === 0) return "never";
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
}

/** How long ago, in one unit. @example ageText(90_000) // "90s" */
export function ageText(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  for (const [unit, length] of AGES)
    if (seconds >= 2 * length) return `${Math.floor(seconds / length)}${unit}`;
  return "0s";
}

const AGES = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
] as const;

const UNITS = ["B", "KiB", "MiB", "GiB"];

/** @example bytesText(4096) // "4 KiB" */
export function bytesText(bytes: number): string {
  let unit = 0;
  let size = bytes;
  for (; size >= 1024 && unit < UNITS.length - 1; unit++) size /= 1024;
  return `${Number.isInteger(size) ? size : size.toFixed(1)} ${UNITS[unit]}`;
}

export { escapeText };
