import { statfsSync } from "node:fs";
import { ShmError } from "../../errors/errors.ts";
import type { Inspector } from "../../segment/inspector.ts";
import { type Command, define, numberOption } from "../command.ts";
import { directoriesOf, type Listing, look, type Row, rateText, STATE_STYLES } from "../listing.ts";
import { DIRECTORIES, openInspector } from "../open.ts";
import { bytesText, escapeText, type Output } from "../output.ts";

const HEADER = ["NAME", "KIND", "RATE", "VERSION", "BYTES", "HOLDER", "STATE", "INSIDE"];
const RIGHT = [2, 3, 4];
const DEFAULT_SECONDS = 1;

export const command: Command = define({
  args: "[DIR…]",
  count: [0, 1000],
  details: `All segments of ${DIRECTORIES.join(" and ")} on one screen, the busiest first. In a pipe it is one snapshot, with rates of --every.`,
  options: {
    every: { type: "string", value: "SECONDS", help: `between two looks (default ${DEFAULT_SECONDS})` },
  },
  examples: ["shmstruct top", "shmstruct top --every 0.2 /run/robot | head"],
  async run(directories, { every }, out) {
    const pauseMs = (numberOption("every", every, 0.05) ?? DEFAULT_SECONDS) * 1000;
    const where = directoriesOf(directories);
    using gauges = new Gauges();
    const isScreen = out.isTerminal && !out.isJson;
    let listing = look(where, undefined);
    do {
      if (isScreen) draw(out, listing, gauges);
      await Bun.sleep(pauseMs);
      listing = look(where, listing);
    } while (isScreen);
    if (out.isJson) for (const row of sorted(listing)) out.json({ ...row, inside: gauges.of(row) });
    else draw(out, listing, gauges);
    return undefined;
  },
});

const sorted = ({ rows }: Listing): Row[] => rows.toSorted((a, b) => (b.rate ?? 0) - (a.rate ?? 0));

function draw(out: Output, listing: Listing, gauges: Gauges): void {
  const rows = sorted(listing);
  const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
  if (out.isTerminal) out.write("\u001b[H\u001b[2J");
  out.line(out.paint("bold", `${rows.length} segments, ${bytesText(bytes)}${sharedMemoryText()}`));
  const shown = out.isTerminal ? rows.slice(0, Math.max(1, out.rows - 4)) : rows;
  if (shown.length === 0) return;
  out.table(
    HEADER,
    shown.map((row) => cells(out, row, gauges)),
    RIGHT,
  );
  if (shown.length < rows.length) out.line(out.paint("dim", `… ${rows.length - shown.length} more`));
}

function cells(out: Output, row: Row, gauges: Gauges): string[] {
  const { path, kind, rate, version, bytes, holders, state } = row;
  const style = STATE_STYLES[state];
  const inside = Object.entries(gauges.of(row) ?? {}).map(([name, value]) => `${name} ${Math.round(value)}`);
  return [
    escapeText(path.slice(path.lastIndexOf("/") + 1)),
    kind ?? "-",
    rateText(rate),
    String(version),
    bytesText(bytes),
    holders.join(" ") || "-",
    style === undefined ? state : out.paint(style, state),
    inside.join(", ") || "-",
  ];
}

function sharedMemoryText(): string {
  try {
    const { blocks, bavail, bsize } = statfsSync("/dev/shm");
    return `; /dev/shm: ${bytesText((blocks - bavail) * bsize)} of ${bytesText(blocks * bsize)} used`;
  } catch {
    return "";
  }
}

/** What the segments tell of themselves; each is opened once. */
class Gauges implements Disposable {
  readonly #open = new Map<string, Inspector | undefined>();

  of({ path, kind }: Row): Readonly<Record<string, number>> | undefined {
    if (kind === undefined) return undefined;
    return this.#try(() => {
      if (!this.#open.has(path))
        this.#open.set(
          path,
          this.#try(() => openInspector(path, {})),
        );
      return this.#open.get(path)?.gauges?.();
    });
  }

  /** A file that cannot be opened, or has gone, tells nothing. */
  #try<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      if (error instanceof ShmError) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const inspector of this.#open.values()) inspector?.[Symbol.dispose]();
  }
}
