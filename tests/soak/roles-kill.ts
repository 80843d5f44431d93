/**
 * Kills writers at random instants and at every store, while others write and watch:
 *
 *     bun tests/soak/roles-kill.ts [kills = 100000] [blockBytes = 0]      some 30 kills a second and core; SEED=… repeats a run
 */
import { killWriters } from "../record/kills.ts";
import { TempDir } from "../record/support.ts";
import { seedOfRun } from "../support/random.ts";

const kills = Number(process.argv[2] ?? 100_000);
/** 0: the state before a transaction is kept as a whole. */
const blockBytes = Number(process.argv[3] ?? 0);
const seed = seedOfRun();
console.log(`SEED=${seed}, ${kills} kills`);
using temp = new TempDir();
const report = await killWriters(temp, kills, seed, {
  blockBytes,
  onProgress: (done) => console.log(`${done} kills`),
});
console.log(JSON.stringify(report, null, 2));

const wrong = [report, ...report.competitors].some(({ torn, miscounted }) => torn + miscounted > 0);
const lost = report.version < report.least || report.version > report.most;
if (wrong || lost || report.older > 0) {
  console.error("FAILED: see the report");
  process.exit(1);
}
console.log("no torn state, no stuck lock, no lost commit");
