import type { Inspector, Look } from "../../segment/inspector.ts";
import { type Command, define, numberOption, TRUST } from "../command.ts";
import { openInspector } from "../open.ts";
import { escapeText, type Output } from "../output.ts";
import { follow } from "../paths.ts";
import { valueText } from "../tree.ts";

const DEFAULT_HZ = 10;
const SPARKS = "▁▂▃▄▅▆▇█";
/** Numbers of the past that are drawn. */
const HISTORY = 20;

export const command: Command = define({
  args: "FILE [PATH…]",
  count: [1, 1000],
  details:
    "Looks so many times a second, without a lock, and costs the writer nothing. On a terminal the changed values are lit;\nelsewhere each change is a line.",
  options: {
    hz: { type: "string", value: "N", help: `looks a second (default ${DEFAULT_HZ})` },
    count: { type: "string", short: "n", value: "N", help: "end after so many changes" },
    ...TRUST,
  },
  examples: [
    "shmstruct watch Robot",
    "shmstruct watch Robot pose.x pose.y",
    "shmstruct watch --json -n 1 Robot",
  ],
  async run([file = "", ...paths], { hz, count, ...trust }, out) {
    const pause = 1000 / (numberOption("hz", hz, 0.01) ?? DEFAULT_HZ);
    let left = numberOption("count", count, 1) ?? Number.POSITIVE_INFINITY;
    using inspector = openInspector(file, trust);
    const screen = new Screen(out, inspector, paths);
    screen.begin(inspector.look());
    out.endWithReader();
    while (left > 0) {
      await Bun.sleep(pause);
      const look = inspector.look();
      if (screen.show(look)) left -= 1;
    }
    return undefined;
  },
});

/** The values that are watched, and how they were before. */
class Screen {
  readonly #out: Output;
  readonly #inspector: Inspector;
  readonly #paths: readonly string[];
  #values = new Map<string, unknown>();
  #history = new Map<string, number[]>();
  #seen = { version: 0, at: 0 };

  constructor(out: Output, inspector: Inspector, paths: readonly string[]) {
    this.#out = out;
    this.#inspector = inspector;
    this.#paths = paths;
  }

  begin(look: Look): void {
    this.#seen = { version: look.version, at: performance.now() };
    this.#values = this.#leaves(look);
    if (this.#isScreen) this.#draw(look, new Set(), 0);
  }

  get #isScreen(): boolean {
    return this.#out.isTerminal && !this.#out.isJson;
  }

  /** @returns whether anything has changed */
  show(look: Look): boolean {
    const values = this.#leaves(look);
    const changed = [...values].filter(([path, value]) => !Object.is(value, this.#values.get(path)));
    const at = performance.now();
    const rate = ((look.version - this.#seen.version) * 1000) / (at - this.#seen.at);
    const isChanged = changed.length > 0;
    for (const [path, value] of values) this.#remember(path, value);
    this.#values = values;
    this.#seen = { version: look.version, at };
    if (this.#isScreen) this.#draw(look, new Set(changed.map(([path]) => path)), rate);
    else if (isChanged) this.#print(look, changed);
    return isChanged;
  }

  #remember(path: string, value: unknown): void {
    if (typeof value !== "number" && typeof value !== "bigint") return;
    const history = this.#history.get(path) ?? [];
    this.#history.set(path, [...history.slice(1 - HISTORY), Number(value)]);
  }

  #print({ version }: Look, changed: readonly [string, unknown][]): void {
    if (this.#out.isJson) this.#out.json({ version, changed: Object.fromEntries(changed) });
    else
      this.#out.line(
        `${version} ${changed.map(([path, value]) => `${escapeText(path)}=${valueText(value)}`).join(" ")}`,
      );
  }

  #draw({ version }: Look, changed: ReadonlySet<string>, rate: number): void {
    const out = this.#out;
    const lines = [...this.#values].slice(0, Math.max(1, out.rows - 2)).map(([path, value]) => {
      const text = `${escapeText(path)} = ${valueText(value)}`.slice(
        0,
        Math.max(10, out.columns - HISTORY - 2),
      );
      const spark = sparkline(this.#history.get(path) ?? []);
      return `${changed.has(path) ? out.paint("green", text) : text} ${out.paint("dim", spark)}\u001b[K`;
    });
    const head = `${escapeText(this.#inspector.path)}  version ${version}  ${rate.toFixed(1)}/s`;
    out.write(`\u001b[H${out.paint("bold", head)}\u001b[K\n${lines.join("\n")}\u001b[J\n`);
  }

  /** Every single value by its path. */
  #leaves({ value }: Look): Map<string, unknown> {
    const found = new Map<string, unknown>();
    const schema = this.#inspector.kind === "record" ? this.#inspector.schema : undefined;
    const roots = this.#paths.length > 0 ? this.#paths : [""];
    for (const path of roots) collect(follow(value, schema, path).value, path, found);
    return found;
  }
}

function collect(value: unknown, path: string, found: Map<string, unknown>): void {
  if (ArrayBuffer.isView(value)) found.set(path, valueText(value));
  else if (typeof value !== "object" || value === null) found.set(path, value);
  else
    for (const [key, item] of Object.entries(value))
      collect(item, path === "" ? key : `${path}.${key}`, found);
}

/** The course of a number, from its least value to its greatest. */
function sparkline(numbers: readonly number[]): string {
  const finite = numbers.filter(Number.isFinite);
  if (finite.length < 2) return "";
  const least = Math.min(...finite);
  const range = Math.max(...finite) - least || 1;
  return finite
    .map((number) => SPARKS[Math.round(((number - least) / range) * (SPARKS.length - 1))])
    .join("");
}
