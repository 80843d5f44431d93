/** Whether a run says the same as the one before it on this machine: what docs/internals/performance.json holds until it is replaced. */
import { readFileSync } from "node:fs";
import type { RowResult, Spread, SuiteResult } from "./compare.ts";
import type { Row } from "./harness.ts";
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
  const stated = ratiosOf(before.suites);
  const pairs = [...ratiosOf(results)].flatMap(([name, now]) => {
    const then = stated.get(name);
    return then === undefined ? [] : [{ name, now, then }];
  });
  const others = pairs.filter(({ now, then }) => !isWithin(now, then));
  const found = `Of ${pairs.length} ratios ${pairs.length - others.length} moved by no more than the spreads of this run and of the one before (${before.about.Date}), and a twentieth.`;
  if (others.length === 0) return found;
  const lines = others.map(({ name, now, then }) => `- ${name}: ${range(now)}, before ${range(then)}`);
  return `${found} These moved by more, as ours divided by theirs or the other way round:\n\n${lines.join("\n")}`;
}

/** By the name of the row. */
const ratiosOf = (suites: readonly { readonly rows: readonly RowResult[] }[]): Map<string, Spread> =>
  new Map(
    suites.flatMap(({ rows }) =>
      rows.flatMap(({ row, ratio }) => (ratio ? [[nameOf(row), ratio] as const] : [])),
    ),
  );

function read(path: string): Before | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

const nameOf = ({ id, what, peer, metric = "time" }: Row): string => `${id}, ${what} / ${peer} (${metric})`;

/** Whether the spreads of two runs meet. */
const isWithin = (now: Spread, then: Spread): boolean =>
  now.most * BEYOND >= then.least && now.least <= then.most * BEYOND;
