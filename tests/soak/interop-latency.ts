/**
 * How soon a commit is seen, from each language in each other one: `bun tests/soak/interop-latency.ts [seconds]`. A writer commits once a
 * millisecond; a watcher sleeps for changes (`changes()` in Bun and Node.js, the descriptor of shms_watch_start in C, `wait_for_change`
 * in Python), copies the record and compares the time that stands in it. Aims on an idle machine: median under 100 us and all within 1 ms;
 * from and in Node.js all within 5 ms, its first commit under a lock included.
 */
import { Manager } from "../../src/index.ts";
import { languages, participantEnvironment, participants } from "../interop/languages.ts";
import { Ledger } from "../interop/shared.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { linesOf } from "../support/tools.ts";

const commits = 1000 * Number(process.argv[2] ?? 5);
using root = temporaryDirectory();
const commands = participants(root.path);
const spawn = (command: string[]) =>
  Bun.spawn(command, { env: participantEnvironment(), stdout: "pipe", stderr: "inherit" });

/** The ages at which commits were seen, in microseconds, in ascending order. */
async function agesOf(
  watcher: (typeof languages)[number],
  writer: (typeof languages)[number],
): Promise<number[]> {
  using dir = temporaryDirectory();
  using _ = new Manager(Ledger, { dir: dir.path, create: true });
  const lines = linesOf(spawn(commands[watcher]("sees", dir.path, String(commits))).stdout);
  await lines.next();
  const writing = spawn(commands[writer]("ticks", dir.path, String(commits)));
  const ages: number[] = [];
  for await (const line of lines) if (line !== "") ages.push(Number(line));
  await writing.exited;
  return ages.toSorted((a, b) => a - b);
}

console.log(`${commits} commits, one a millisecond; the age in us at which they were seen`);
console.log(
  "| watcher | writer | seen | median | 99 % | 99.9 % | most | aim |\n| --- | --- | --- | --- | --- | --- | --- | --- |",
);
let missed = 0;
for (const watcher of languages) {
  for (const writer of languages) {
    const ages = await agesOf(watcher, writer);
    const at = (part: number): number =>
      Math.round(ages[Math.min(ages.length - 1, Math.floor(ages.length * part))] ?? 0);
    const hasNode = watcher === "Node.js" || writer === "Node.js";
    const isMet = ages.length > 0 && (hasNode ? at(1) <= 5000 : at(0.5) < 100 && at(1) <= 1000);
    if (!isMet) missed++;
    const figures = [at(0.5), at(0.99), at(0.999), at(1), isMet ? "met" : "missed"];
    console.log(`| ${[watcher, writer, ages.length, ...figures].join(" | ")} |`);
  }
}
console.log(missed === 0 ? "all aims met" : `${missed} of ${languages.length ** 2} aims missed`);
