/**
 * bun run bench: every benchmark, one after the other, and what came out in docs/internals/performance.md, .json and .svg.
 * With names it runs only those suites (`bun run bench view text`) and writes nothing; with `--quick` it makes one round of
 * short windows, in about a minute, and writes nothing either. Both say what moved since the committed run.
 */
import { writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { type About, comparedWithBefore } from "./before.ts";
import channel from "./channel.bench.ts";
import { type Chart, drawCharts, type Line } from "./chart.ts";
import { runSuites, type SuiteResult } from "./compare.ts";
import contend from "./contend.bench.ts";
import growth, { BYTES, READERS, STRUCTS } from "./growth.bench.ts";
import { isQuick, type Metrics } from "./harness.ts";
import large, { SIZES, WAITERS } from "./large.bench.ts";
import lock from "./lock.bench.ts";
import mirror from "./mirror.bench.ts";
import notify from "./notify.bench.ts";
import participants from "./participants.bench.ts";
import { installPackages, packageVersions } from "./prepare.ts";
import queue from "./queue.bench.ts";
import { duration, figureMet, headlineTable, printSuite, suiteSection } from "./report.ts";
import snapshot from "./snapshot.bench.ts";
import start from "./start.bench.ts";
import stores from "./stores.bench.ts";
import text from "./text.bench.ts";
import view from "./view.bench.ts";

const suites = {
  view,
  stores,
  text,
  lock,
  snapshot,
  notify,
  contend,
  start,
  growth,
  large,
  participants,
  channel,
  queue,
  mirror,
};
const docs = join(import.meta.dirname, "..", "docs", "internals");

const version = (command: string[]): string => {
  const { stdout, stderr, success } = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C" } });
  return success ? (stdout.toString() || stderr.toString()).split("\n")[0]!.trim() : "not installed";
};

function versions(): About {
  return {
    Date: new Date().toISOString().slice(0, 10),
    Machine: `${cpus()[0]?.model.trim()}, ${cpus().length} CPUs, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release()} ${process.arch}`,
    Bun: Bun.version,
    gcc: version(["gcc", "--version"]),
    Python: version(["python3", "--version"]),
    Packages: packageVersions().join(", "),
  };
}

/** The line of a metric over the sizes at which it was taken. */
const line = (
  name: string,
  metrics: Metrics | undefined,
  metric: string,
  sizes: readonly number[],
): Line => ({
  name,
  points: sizes.flatMap((size): [number, number][] => {
    const value = metrics?.[`${metric}@${size}`];
    // None has no place on a logarithmic axis: it stands where a tenth would, and is called 0 there.
    return value === undefined ? [] : [[Math.max(size, 0.1), value]];
  }),
});

const count = (value: number): string =>
  value < 1 ? "0" : value >= 1e6 ? `${value / 1e6} M` : value >= 1e3 ? `${value / 1e3} k` : `${value}`;
const time = (ns: number): string => duration(ns).replace(/\.?0+ /, " ");

function charts({
  readers,
  structs,
  sizes,
  waiting,
  publishing,
  growing,
}: Readonly<Record<string, Metrics>>): Chart[] {
  const drawn = { x: count, y: time };
  return [
    {
      ...drawn,
      title: "Processes that wait for changes",
      xTitle: "processes",
      yTitle: "time",
      lines: [line("an edit", readers, "edit", READERS), line("until all saw it", readers, "all", READERS)],
    },
    {
      ...drawn,
      title: "Structs in an array",
      xTitle: "structs",
      yTitle: "time",
      lines: [line("first access", structs, "first", STRUCTS), line("read of one", structs, "each", STRUCTS)],
    },
    {
      ...drawn,
      title: "Size of the struct, all of it used",
      xTitle: "bytes",
      yTitle: "time",
      lines: [
        line("open", sizes, "open", BYTES),
        line("edit of all", sizes, "edit", BYTES),
        line("snapshot of all", sizes, "snapshot", BYTES),
      ],
    },
    {
      ...drawn,
      title: "Processes in C that sleep for it: the writer's time",
      xTitle: "processes",
      yTitle: "time",
      lines: [line("an edit", waiting, "edit", WAITERS), line("a message", publishing, "send", WAITERS)],
    },
    {
      ...drawn,
      title: "Size of the struct, two fields or one part used",
      xTitle: "bytes",
      yTitle: "time",
      lines: [line("edit", growing, "edit", SIZES), line('snapshot("pose")', growing, "part", SIZES)],
    },
  ].filter(({ lines }) => lines.every(({ points }) => points.length > 0));
}

function page(results: readonly SuiteResult[], about: About, comparison: string): string {
  const verdicts = results.flatMap(({ rows, figures }) => [
    ...rows.map(({ met }) => met),
    ...figures.map(figureMet),
  ]);
  const aims = verdicts.filter((met) => met !== undefined);
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0);
  return `# Performance

${headlineTable(results)}

Printed and written by \`bun run bench\`, which took ${Math.round(seconds)} s. Not edited by hand; figures of one machine.

${Object.entries(about)
  .map(([key, value]) => `- ${key}: ${value}`)
  .join("\n")}

How to read the tables: each case runs in a process of its own, and the processes of a table take turns, round after round, the
rounds of all tables spread over the whole time. Each case runs twice; the time that is left goes to the rows whose rounds differ most. A ratio is taken within each round; the table gives the median and, in parentheses, the
least and the most of all rounds. "Times" is our time in
times of the peer's, "times faster" the other way round. What one thread does alone (rows 1 to 8, and the classes of row 12) is timed by the clock of its own
work, so that a busy machine adds little; what takes several processes (from row 9 on) by the clock on the wall, and is best measured
on a quiet one. ${aims.filter(Boolean).length} of ${aims.length} aims are met.

${comparison}

${results.map(suiteSection).join("\n\n")}

![Growth](performance.svg)
`;
}

const NOTHING_BEFORE =
  "The run before was on another machine or with other versions, so this one is not compared with it.";

const names = process.argv.slice(2).filter((name) => name !== "--quick");
const unknown = names.find((name) => !(name in suites));
if (unknown !== undefined)
  throw new Error(`no suite ${unknown}; there are ${Object.keys(suites).join(", ")}`);

installPackages();
const chosen = Object.entries(suites).filter(([name]) => names.length === 0 || names.includes(name));
const results = await runSuites(
  chosen.map(([, suite]) => suite),
  console.error,
);
results.forEach(printSuite);
const about = versions();
const json = join(docs, "performance.json");
const comparison = comparedWithBefore(json, about, results) ?? NOTHING_BEFORE;
console.log(`\n${comparison}`);
if (names.length === 0 && !isQuick) {
  const metrics = Object.fromEntries(results.map(({ suite, metrics }) => [suite.title, metrics]));
  writeFileSync(join(docs, "performance.md"), page(results, about, comparison));
  const data = results.map(({ suite, rounds, rows, figures }) => ({
    title: suite.title,
    rounds,
    rows,
    figures,
  }));
  writeFileSync(json, `${JSON.stringify({ about, suites: data, metrics }, undefined, 1)}\n`);
  writeFileSync(
    join(docs, "performance.svg"),
    drawCharts(charts({ ...metrics[growth.title], ...metrics[large.title] })),
  );
  console.log(
    "\nwritten to docs/internals/performance.md, docs/internals/performance.json and docs/internals/performance.svg",
  );
}
