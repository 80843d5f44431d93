/** Producers and workers are killed 1,000 times: bun tests/soak/queue-kill.ts [KILLS]. Prints what was lost, torn and done twice. */
import { killRun } from "../queue/kills.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const kills = Number(process.argv[2] ?? 1000);
let isWrong = false;
for (const resizes of [0, 50]) {
  using dir = temporaryDirectory();
  const report = await killRun(dir.path, kills / 2, resizes);
  console.log(resizes === 0 ? "in one file" : `in ${resizes + 1} files`, JSON.stringify(report));
  isWrong ||= report.lost > 0 || report.torn > 0 || report.stuck > 0 || report.twice > report.workerKills + 3;
}
process.exit(isWrong ? 1 : 0);
