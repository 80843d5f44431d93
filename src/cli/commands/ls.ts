import { type ListedSegment, listSegments } from "../../segment/list.ts";
import { placeOfPath } from "../../segment/place.ts";
import { holdersByInode } from "../../sync/holders.ts";
import { exists } from "../../sys/paths.ts";
import { statusAt } from "../../sys/status.ts";
import { type Command, define, NotFoundError, numberOption } from "../command.ts";
import { DIRECTORIES, withVersion } from "../open.ts";
import { ageText, bytesText, escapeText, type Output, type Style } from "../output.ts";

const HEADER = ["NAME", "KIND", "STRUCT", "BYTES", "VERSION", "RATE", "AGE", "HOLDER", "STATE"];
const RIGHT = [3, 4, 5, 6];
const DEFAULT_SECONDS = 1;

interface Row extends ListedSegment {
  /** Commits a second since the look before; undefined in the first. */
  readonly rate: number | undefined;
  /** Processes that hold its lock. */
  readonly holders: readonly number[];
}

const STYLES: Partial<Record<ListedSegment["state"], Style>> = {
  damaged: "red",
  "other format": "red",
  leftover: "yellow",
  superseded: "yellow",
  busy: "cyan",
  backup: "dim",
};

export const command: Command = define({
  args: "[DIR…]",
  count: [0, 1000],
  details: `Without DIR: ${DIRECTORIES.join(" and ")}. Nothing is locked.`,
  options: {
    watch: { type: "boolean", short: "w", help: "go on, and show rates" },
    every: {
      type: "string",
      value: "SECONDS",
      help: `with --watch: between two looks (default ${DEFAULT_SECONDS})`,
    },
  },
  examples: ["shmstruct ls", "shmstruct ls --watch /run/robot", "shmstruct ls --json | jq .version"],
  async run(directories, { watch, every }, out) {
    const seconds = numberOption("every", every, 0.05) ?? DEFAULT_SECONDS;
    const where = directories.length > 0 ? directories : DIRECTORIES.filter((directory) => exists(directory));
    for (const directory of where)
      if (!exists(directory)) throw new NotFoundError(`there is no directory '${escapeText(directory)}'`);
    let before: { at: number; rows: readonly Row[] } | undefined;
    do {
      const at = performance.now();
      const rows = look(where, before, at);
      print(out, rows, { watch: watch === true, isMany: where.length > 1 });
      before = { at, rows };
      if (watch) await Bun.sleep(seconds * 1000);
    } while (watch);
    return undefined;
  },
});

function look(
  directories: readonly string[],
  before: { at: number; rows: readonly Row[] } | undefined,
  at: number,
): Row[] {
  const old = new Map(before?.rows.map((row) => [row.path, row.version]));
  const holders = holdersByInode();
  return directories
    .flatMap(listSegments)
    .map(withVersion)
    .map((segment) => {
      const last = old.get(segment.path);
      const rate = last === undefined ? undefined : ((segment.version - last) * 1000) / (at - before!.at);
      return { ...segment, rate, holders: holdersOf(segment.path, holders) };
    });
}

/** Of the lock beside a segment. */
function holdersOf(path: string, holders: ReadonlyMap<string, readonly number[]>): number[] {
  return Object.values(placeOfPath(path).lockPath).flatMap((lock) => {
    const inode = statusAt(lock)?.id.split(":").at(-1);
    return inode === undefined ? [] : [...(holders.get(inode) ?? [])];
  });
}

function print(
  out: Output,
  rows: readonly Row[],
  { watch, isMany }: { watch: boolean; isMany: boolean },
): void {
  if (out.isJson) {
    for (const row of rows) out.json(row);
    return;
  }
  if (watch && out.isTerminal) out.write("\u001b[H\u001b[2J");
  const shown = watch && out.isTerminal ? rows.slice(0, Math.max(1, out.rows - 3)) : rows;
  if (rows.length === 0) out.line(out.paint("dim", "no segments"));
  else
    out.table(
      HEADER,
      shown.map((row) => cells(out, row, isMany)),
      RIGHT,
    );
  if (shown.length < rows.length) out.line(out.paint("dim", `… ${rows.length - shown.length} more`));
}

function cells(out: Output, row: Row, isMany: boolean): string[] {
  const { path, kind, struct, bytes, version, rate, createdAt, holders, state } = row;
  const style = STYLES[state];
  return [
    escapeText(isMany ? path : path.slice(path.lastIndexOf("/") + 1)),
    kind ?? "-",
    escapeText(struct ?? "-").slice(0, 40),
    bytesText(bytes),
    String(version),
    rate === undefined ? "-" : `${rate.toFixed(rate < 10 ? 1 : 0)}/s`,
    createdAt === undefined ? "-" : ageText(Date.now() - createdAt),
    holders.join(" ") || "-",
    style === undefined ? state : out.paint(style, state),
  ];
}
