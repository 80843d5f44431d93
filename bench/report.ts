/** Results as text: for the terminal, and as the tables of docs/internals/performance.md. */
import type { FigureResult, RowResult, Spread, SuiteResult } from "./compare.ts";
import type { Row } from "./harness.ts";

/** Nanoseconds in the unit that reads best. */
export function duration(ns: number): string {
  const units = [
    [1e9, "s"],
    [1e6, "ms"],
    [1e3, "µs"],
  ] as const;
  const [scale, unit] = units.find(([least]) => ns >= least) ?? [1, "ns"];
  return `${(ns / scale).toPrecision(3)} ${unit}`;
}

const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

/** A ratio in words, whichever way round it was taken. */
function inTimes(ratio: Spread, { aim }: Row): string {
  const faster = aim === undefined ? ratio.median < 0.5 : "atLeast" in aim;
  if (!faster) return `${range(ratio)} times`;
  if (aim !== undefined) return `${range(ratio)} times ${ratio.median < 1 ? "as fast" : "faster"}`;
  const turned = { median: 1 / ratio.median, least: 1 / ratio.most, most: 1 / ratio.least };
  return `${range(turned)} times faster`;
}

/** A median and its spread. */
export const range = ({ median, least, most }: Spread): string =>
  `${number(median)} (${number(least)}–${number(most)})`;

function aim({ aim }: Row): string {
  if (aim === undefined) return "";
  return "atLeast" in aim ? `≥ ${aim.atLeast} times faster` : `≤ ${aim.atMost} times`;
}

function verdict(met: boolean | undefined, floor: string | undefined): string {
  if (met === undefined) return "";
  return met ? "met" : floor === undefined ? "**missed**" : "missed, see the floor";
}

function rowCells(result: RowResult): string[] {
  const { row, ratio, ours, peer } = result;
  const head = [row.id, row.what, row.peer, aim(row)];
  if (ratio === undefined || ours === undefined || peer === undefined)
    return [...head, `left out: ${result.missing}`, "", "", ""];
  // Percentiles and the like are nanoseconds too.
  return [
    ...head,
    inTimes(ratio, row),
    duration(ours.median),
    duration(peer.median),
    verdict(result.met, row.floor),
  ];
}

const ROW_HEAD = ["#", "what", "against", "aim", "measured (spread)", "ours", "peer", "aim met"];

function figureCells({ figure, value }: FigureResult): string[] {
  const most =
    figure.atMost === undefined
      ? ""
      : `≤ ${figure.unit === "ns" ? duration(figure.atMost) : `${figure.atMost} ${figure.unit}`}`;
  if (value === undefined) return [figure.id, figure.what, most, "left out", ""];
  return [
    figure.id,
    figure.what,
    most,
    inUnit(value, figure.unit),
    verdict(figureMet({ figure, value }), figure.floor),
  ];
}

/** Whether a figure is what was hoped for; undefined where nothing was. */
export const figureMet = ({ figure, value }: FigureResult): boolean | undefined =>
  figure.atMost === undefined || value === undefined ? undefined : value.median <= figure.atMost;

const inUnit = (value: Spread, unit: string): string =>
  unit === "ns"
    ? `${duration(value.median)} (${duration(value.least)}–${duration(value.most)})`
    : `${range(value)} ${unit}`;

const FIGURE_HEAD = ["#", "what", "aim", "measured (spread)", "aim met"];

const table = (head: readonly string[], lines: readonly string[][]): string =>
  [head, head.map(() => "---"), ...lines]
    .map(
      (cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`,
    )
    .join("\n");

/** What a user asks first: the rows with a headline. */
export function headlineTable(results: readonly SuiteResult[]): string {
  const lines = results.flatMap(({ rows }) =>
    rows.flatMap(({ row, ratio, ours, peer, missing }) => {
      if (row.headline === undefined) return [];
      if (ratio === undefined || ours === undefined || peer === undefined)
        return [[row.headline, `left out: ${missing}`, row.peer, "", ""]];
      return [[row.headline, duration(ours.median), row.peer, duration(peer.median), inTimes(ratio, row)]];
    }),
  );
  return table(["operation", "time here", "peer", "its time", "in times of the peer"], lines);
}

/** One suite as a section of the page. */
export function suiteSection(result: SuiteResult): string {
  const { suite, rounds } = result;
  const missed = [
    ...result.rows.filter(({ met }) => met === false).map(({ row }) => row),
    ...result.figures.filter((one) => figureMet(one) === false).map(({ figure }) => figure),
  ];
  const floors = missed.filter(({ floor }) => floor !== undefined);
  return [
    `## ${suite.title}`,
    ...(result.rows.length > 0 ? [table(ROW_HEAD, result.rows.map(rowCells))] : []),
    ...(result.figures.length > 0 ? [table(FIGURE_HEAD, result.figures.map(figureCells))] : []),
    `Honest because: ${suite.honest} ${roundsOf(rounds)}; \`bun bench/${suite.file.split("/").at(-1)}\` runs this part alone.`,
    `While idle: ${suite.idle}`,
    ...new Set(floors.map(({ id, floor }) => `The floor of row ${id}: ${floor}`)),
  ].join("\n\n");
}

const roundsOf = ([least, most]: SuiteResult["rounds"]): string =>
  least === most ? `${most} round${most === 1 ? "" : "s"}` : `${least} to ${most} rounds`;

/** One suite for the terminal. */
export function printSuite(result: SuiteResult): void {
  console.log(`\n${result.suite.title} (${result.seconds.toFixed(0)} s)`);
  for (const row of result.rows) {
    const [id, what, against, wanted, ratio, ours, peer, met] = rowCells(row);
    console.log(
      `  ${id?.padEnd(3)} ${what} / ${against}: ${ratio}  aim ${wanted}  ${ours} / ${peer}  ${met}`,
    );
  }
  for (const figure of result.figures) console.log(`  ${figureCells(figure).join("  ")}`);
}
