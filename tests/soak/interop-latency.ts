/**
 * How soon a commit is seen, from each language in each other one: `bun tests/soak/interop-latency.ts [seconds]`. A writer commits once a
 * millisecond; a watcher sleeps for changes (`changes()` in Bun and Node.js, the descriptor of shms_watch_start in C, `wait_for_change`
 * in Python), copies the record and compares the time that stands in it. Aims on an idle machine: median under 100 us and all within 1 ms;
 * from and in Node.js all within 5 ms, its first commit under a lock included.
 *
 * What the machine itself does is measured between the rows: a time in shared memory under flock(2), and a bare futex, without any
 * library (tests/interop/bare-futex.c). What is later than 1 ms there as often as with the library is the machine's.
 */
import { join } from "node:path";
import { Manager } from "../../src/index.ts";
import { compilePeer, languages, participantEnvironment, participants } from "../interop/languages.ts";
import { Ledger } from "../interop/shared.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { linesOf } from "../support/tools.ts";

const commits = 1000 * Number(process.argv[2] ?? 5);
using root = temporaryDirectory();
const commands = participants(root.path);
const bare = compilePeer(root.path, ["-O2"], "bare-futex.c");
const spawn = (command: string[]) =>
  Bun.spawn(command, { env: participantEnvironment(), stdout: "pipe", stderr: "inherit" });

type Command = (words: "sees" | "ticks", where: string) => string[];
const commandOf =
  (language: (typeof languages)[number]): Command =>
  (word, where) =>
    commands[language](word, where, String(commits));
const bareCommand: Command = (word, where) => [bare, word, join(where, "futex"), String(commits)];

/** The ages at which commits were seen, in microseconds, in ascending order. */
async function agesOf(watcher: Command, writer: Command): Promise<number[]> {
  using dir = temporaryDirectory();
  using _ = new Manager(Ledger, { dir: dir.path, create: true });
  const lines = linesOf(spawn(watcher("sees", dir.path)).stdout);
  await lines.next();
  const writing = spawn(writer("ticks", dir.path));
  const ages: number[] = [];
  for await (const line of lines) if (line !== "") ages.push(Number(line));
  await writing.exited;
  return ages.toSorted((a, b) => a - b);
}

const at = (ages: readonly number[], part: number): number =>
  Math.round(ages[Math.min(ages.length - 1, Math.floor(ages.length * part))] ?? 0);
const late = (ages: readonly number[]): number => ages.filter((age) => age > 1000).length;

function row(names: string[], ages: readonly number[], aim: string): void {
  const figures = [at(ages, 0.5), at(ages, 0.99), at(ages, 0.999), at(ages, 1), late(ages), aim];
  console.log(`| ${[...names, ages.length, ...figures].join(" | ")} |`);
}

console.log(`${commits} commits, one a millisecond; the age in us at which they were seen`);
console.log(
  "| watcher | writer | seen | median | 99 % | 99.9 % | most | later than 1 ms | aim |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
);
let missed = 0;
const [withLibrary, control]: [number[], number[]] = [[], []];
for (const watcher of languages) {
  for (const writer of languages) {
    const ages = await agesOf(commandOf(watcher), commandOf(writer));
    const hasNode = watcher === "Node.js" || writer === "Node.js";
    const isMet =
      ages.length > 0 && (hasNode ? at(ages, 1) <= 5000 : at(ages, 0.5) < 100 && at(ages, 1) <= 1000);
    if (!isMet) missed++;
    row([watcher, writer], ages, isMet ? "met" : "missed");
    if (hasNode) continue;
    withLibrary.push(...ages);
    const bareAges = await agesOf(bareCommand, bareCommand);
    row(["flock and futex", "flock and futex"], bareAges, "");
    control.push(...bareAges);
  }
}
console.log(missed === 0 ? "all aims met" : `${missed} of ${languages.length ** 2} aims missed`);
for (const [name, ages] of [
  ["C, Python and Bun", withLibrary],
  ["flock and futex by hand", control],
] as const)
  console.log(
    `${name}: ${late(ages)} of ${ages.length} later than 1 ms, the latest after ${Math.round(Math.max(...ages))} us`,
  );
