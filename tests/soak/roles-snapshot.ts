/**
 * Copies without a lock while two other processes write without rest, in structs of 8 bytes to 64 KiB behind the header:
 *
 *     bun tests/soak/roles-snapshot.ts [reads = 100000000]
 *
 * Then the controls: copies that leave out a part of the protocol, and writers that do not repair, must be caught.
 */
import { CONTROLS, isCaught, raceSnapshots, type SnapshotRun } from "../record/snapshots.ts";

const total = Number(process.argv[2] ?? 1e8);
/** Bytes behind the header, and their share of the reads. */
const sizes = [
  [8, 0.6],
  [64, 0.3],
  [512, 0.09],
  [4096, 0.009],
  [65_536, 0.001],
] as const;

let wrong = 0;

async function race(title: string, run: SnapshotRun): Promise<number> {
  const started = performance.now();
  const report = await raceSnapshots(run);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${title}: ${JSON.stringify(report)} in ${seconds} s`);
  return report.torn + report.older;
}

for (const die of [false, true]) {
  for (const [bytes, share] of sizes) {
    const reads = Math.ceil((total * share) / 4);
    wrong += await race(`${bytes} B${die ? ", a writer killed first" : ""}`, {
      words: bytes / 4,
      reads,
      die,
    });
  }
}

for (const [fault, run] of Object.entries(CONTROLS)) {
  const caught = await isCaught(run);
  console.log(`control, ${fault}: ${caught ? "caught" : "NOT CAUGHT"}`);
  if (!caught) wrong += 1;
}
if (wrong > 0) process.exit(1);
console.log("no torn copy, no older copy; every control was caught");
