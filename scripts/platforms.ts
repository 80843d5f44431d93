/**
 * The platforms that the suite was run on:
 *
 *     bun run platforms                            prints the table of docs/internals/platforms.json
 *     bun run platforms --run [NAME…]              runs the suite on all of them, or on those named, and prints the table
 *     bun run platforms --run --record [NAME…]     the same, and writes the results into docs/internals and README.md
 *
 * A test file in which a test failed runs again by itself once, and is named when it passes then.
 * `--log NAME=FILE` counts a run that was made before. Ends with `N passed, N failed, N skipped`; the exit code is 1 when
 * a test failed on any platform. One that cannot be had here is shown as skipped, with the reason.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { failuresIn, passAlone } from "./alone.ts";

const root = join(import.meta.dir, "..");
const RECORD = join(root, "docs/internals/platforms.json");
const PAGES = ["docs/internals/platforms.md", "README.md"].map((page) => join(root, page));
/** The table stands between these. */
const [BEGIN, END] = ["<!-- platforms -->", "<!-- /platforms -->"];
/** What scripts/platform.sh ends with when a platform cannot be had. */
const NOT_HERE = 77;

interface Platform {
  readonly name: string;
  /** For the table. */
  readonly title: string;
  /** Which part of the suite, see scripts/platform/selection.ts. */
  readonly tests: string;
}

/** What a run printed, and how it ended. */
interface Run {
  log: string;
  exitCode: number;
}

const newest = bunVersion();
const PLATFORMS: readonly Platform[] = [
  { name: "x64", title: `Linux x64, glibc, Bun ${newest}`, tests: "all" },
  {
    name: "bun-1.4.3",
    title: "Linux x64, glibc, Bun 1.4.3 (the oldest supported)",
    tests: "all",
  },
  { name: "musl", title: `Linux x64, musl, Bun ${newest}`, tests: "all that depend on the libc" },
  {
    name: "arm64",
    title: `Linux arm64, glibc, Bun ${newest}, emulated by qemu`,
    tests:
      "what depends on the processor: structs, system calls, locks, mmap, posix, records, channels, queues, C and Python",
  },
];

interface Result {
  /** ISO date of the run. */
  date: string;
  kernel: string;
  passed: number;
  failed: number;
  skipped: number;
  /** Why it was not run. */
  notHere?: string;
}

/** What failed on which platform, for the end of the log. */
const failures: string[] = [];

type Results = Partial<Record<string, Result>>;

function bunVersion(): string {
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return devDependencies.bun;
}

const recorded = (): Results => (existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, "utf8")) : {});

/** The sum of the numbers before `word` in the summaries: " 12 pass", "12 passed, …". */
function count(log: string, word: "pass" | "fail" | "skip"): number {
  const own = [...log.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))];
  const sums = [...log.matchAll(/^\d+ passed, .*$/gm)].flatMap(([line]) => [
    ...line.matchAll(new RegExp(`(\\d+) ${word}(ed|ped)`, "g")),
  ]);
  // Where files ran one by one the last line is the sum of the others.
  return (sums.length > 0 ? sums : own).reduce((sum, match) => sum + Number(match[1]), 0);
}

function resultOf(log: string, exitCode: number): Result {
  const notHere = exitCode === NOT_HERE ? /^SKIPPED .*?: (.*)$/m.exec(log)?.[1] : undefined;
  const failed = count(log, "fail");
  return {
    date: new Date().toISOString().slice(0, 10),
    kernel: release(),
    passed: count(log, "pass"),
    // A run that ended badly without a failed test, such as a crash, has failed all the same.
    failed: exitCode === 0 || notHere !== undefined ? failed : Math.max(1, failed),
    skipped: count(log, "skip"),
    ...(notHere === undefined ? {} : { notHere }),
  };
}

/** Runs the suite on a platform, and what failed again by itself. */
async function run(platform: Platform): Promise<Result> {
  console.log(`\n== ${platform.title}`);
  const begun = performance.now();
  const first = await runTests(commandOf(platform));
  const result = resultOf(first.log, first.exitCode);
  const again = async (file: string) => (await runTests(commandOf(platform, file))).exitCode === 0;
  if (result.failed > 0 && (await passAlone(first.log, again))) {
    result.passed += result.failed;
    result.failed = 0;
  }
  if (result.failed > 0) failures.push(`\n== failed on ${platform.name}\n${failuresIn(first.log)}`);
  console.log(`${platform.name}: ${Math.round((performance.now() - begun) / 1000)} s`);
  return result;
}

function commandOf({ name }: Platform, ...files: string[]): string[] {
  if (name !== "x64") return [join(root, "scripts/platform.sh"), name, ...files];
  return [process.execPath, "test", "--parallel=2", "--timeout=60000", ...files];
}

/** Runs a command; shows what did not pass. */
async function runTests(command: readonly string[]): Promise<Run> {
  const child = Bun.spawn(["sh", "-c", 'exec "$0" "$@" 2>&1', ...command], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
  });
  let log = "";
  let pending = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    const lines = (pending + decoder.decode(chunk, { stream: true })).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) {
      log += `${line}\n`;
      if (!isQuiet(line)) console.log(line);
    }
  }
  return { log: log + pending, exitCode: await child.exited };
}

/** What passed, and the headings of files. */
const isQuiet = (line: string): boolean => line === "" || /^\(pass\)|^tests\/\S+:$/.test(line);

function table(results: Results): string {
  const rows = PLATFORMS.map(({ name, title, tests }) => {
    const { date, kernel, passed, failed, skipped, notHere } = results[name] ?? {};
    if (date === undefined) return `| ${title} | ${tests} | not run | |`;
    const outcome =
      notHere === undefined
        ? `${passed} passed, ${failed} failed, ${skipped} skipped`
        : `not here: ${notHere}`;
    return `| ${title} | ${tests} | ${outcome} | ${date}, kernel ${kernel} |`;
  });
  return ["| platform | tests | outcome | when |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** Puts the table into the pages that have a place for it. */
function writePages(results: Results): void {
  for (const page of PAGES) {
    const text = existsSync(page) ? readFileSync(page, "utf8") : "";
    const [before, rest] = text.split(BEGIN);
    const after = rest?.split(END)[1];
    if (after !== undefined) writeFileSync(page, `${before}${BEGIN}\n\n${table(results)}\n\n${END}${after}`);
  }
}

async function main(args: readonly string[]): Promise<number> {
  if (!args.includes("--run")) {
    console.log(table(recorded()));
    return 0;
  }
  const results: Results = {};
  const logs = args.filter((_, at) => args[at - 1] === "--log");
  for (const log of logs) {
    const [name = "", file = ""] = log.split("=");
    results[name] = resultOf(readFileSync(file, "utf8"), 0);
  }
  const names = args.filter((arg) => !arg.startsWith("--") && !logs.includes(arg));
  const unknown = names.filter((name) => !PLATFORMS.some((platform) => platform.name === name));
  if (unknown.length > 0) throw new TypeError(`there is no platform ${unknown.join(", ")}`);
  for (const platform of PLATFORMS) {
    if (results[platform.name] !== undefined) continue;
    if (names.length === 0 || names.includes(platform.name)) results[platform.name] = await run(platform);
  }
  for (const failure of failures) console.log(failure);
  console.log(`\n${table(results)}\n`);
  if (args.includes("--record")) record(results);
  return total(Object.values(results).filter((result) => result !== undefined));
}

function record(results: Results): void {
  const here = Object.entries(results).filter(([, result]) => result?.notHere === undefined);
  const all = { ...recorded(), ...Object.fromEntries(here) };
  writeFileSync(RECORD, `${JSON.stringify(all, null, 2)}\n`);
  writePages(all);
}

/** The last line, which also readers of logs understand. */
function total(results: readonly Result[]): number {
  const sum = (key: "passed" | "failed" | "skipped") => results.reduce((all, result) => all + result[key], 0);
  console.log(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
  return sum("failed") === 0 && sum("passed") > 0 ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
