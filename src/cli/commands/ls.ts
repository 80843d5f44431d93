import { type Command, define, numberOption } from "../command.ts";
import { directoriesOf, type Listing, look, type Row, rateText, STATE_STYLES } from "../listing.ts";
import { DIRECTORIES } from "../open.ts";
import { ageText, bytesText, escapeText, type Output } from "../output.ts";

const HEADER = ["NAME", "KIND", "STRUCT", "BYTES", "VERSION", "RATE", "AGE", "HOLDER", "STATE"];
const RIGHT = [3, 4, 5, 6];
const DEFAULT_SECONDS = 1;

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
    const where = directoriesOf(directories);
    let before: Listing | undefined;
    do {
      before = look(where, before);
      print(out, before.rows, { watch: watch === true, isMany: where.length > 1 });
      if (watch) await Bun.sleep(seconds * 1000);
    } while (watch);
    return undefined;
  },
});

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
  const style = STATE_STYLES[state];
  return [
    escapeText(isMany ? path : path.slice(path.lastIndexOf("/") + 1)),
    kind ?? "-",
    escapeText(struct ?? "-").slice(0, 40),
    bytesText(bytes),
    String(version),
    rateText(rate),
    createdAt === undefined ? "-" : ageText(Date.now() - createdAt),
    holders.join(" ") || "-",
    style === undefined ? state : out.paint(style, state),
  ];
}
