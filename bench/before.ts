/** Whether a run says the same as the one before it on this machine: what docs/performance.json holds until it is replaced. */
import { readFileSync } from "node:fs";
import type { RowResult, Spread, SuiteResult } from "./compare.ts";
import { range } from "./report.ts";

/** Versions and the like, as on the page. */
export type About = Readonly<Record<string, string>>;

interface Before {
  readonly about: About;
  readonly suites: readonly { readonly title: string; readonly rows: readonly RowResult[] }[];
}

/** Two runs also differ in where the system puts code and memory, which the rounds of one run share. */
const BEYOND = 1.05;

/** What must be equal for two runs to be comparable. */
const SAME = ["Machine", "Bun", "gcc", "Python"] as const;

/** A sentence and a list; undefined when there was no run before on this machine, with these versions. */
export function comparedWithBefore(
  path: string,
  about: About,
  results: readonly SuiteResult[],
): string | undefined {
  const before = read(path);
  if (before === undefined || SAME.some((key) => before.about[key] !== about[key])) return undefined;
  const spreads = new Map(
    before.suites.flatMap((suite) => suite.rows.map((one) => [nameOf(one), one.ratio])),
  );
  const rows = results.flatMap((result) =>
    result.rows.filter((one) => one.ratio && spreads.get(nameOf(one))),
  );
  const others = rows.filter((one) => !isWithin(one.ratio as Spread, spreads.get(nameOf(one)) as Spread));
  const lines = others.map(
    (one) => `- ${nameOf(one)}: ${range(one.ratio!)}, before ${range(spreads.get(nameOf(one))!)}`,
  );
  const found = `Of ${rows.length} ratios ${rows.length - others.length} are within the spread that the run before stated (${before.about.Date}), or a twentieth beyond it`;
  return [
    `${found}${others.length > 0 ? ". The others, as ours divided by theirs or the other way round:" : "."}`,
    lines.join("\n"),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function read(path: string): Before | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

const nameOf = ({ row: { id, what, peer, metric } }: RowResult): string =>
  `${id}, ${what} / ${peer}${metric === undefined || what.includes(metric) ? "" : ` (${metric})`}`;

const isWithin = ({ median }: Spread, { least, most }: Spread): boolean =>
  median >= least / BEYOND && median <= most * BEYOND;
