/**
 * Copies without a lock while two other processes write without rest, in structs of 8 bytes to 64 KiB behind the header:
 *
 *     bun tests/soak/roles-snapshot.ts [reads = 100000000]
 *
 * Then the controls: copies that leave out a part of the protocol, and writers that do not repair, must be caught.
 */
import { raceSnapshots, type SnapshotRun } from "../roles/snapshots.ts";

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

const controls: [string, SnapshotRun][] = [
  ["no second look at the sequence", { words: 64, reads: 1e6, how: "no-recheck" }],
  ["no barriers", { words: 8, reads: 1e6, how: "no-barrier" }],
  ["the live struct while it is written", { words: 64, reads: 1e6, how: "no-parity" }],
  ["no repair", { words: 1024, reads: 1e5, die: true, env: { WITHOUT_REPAIR: "1" } }],
];
for (const [what, run] of controls) {
  if ((await race(`control, ${what}`, run)) > 0) continue;
  console.error(`the control was not caught: ${what}`);
  wrong += 1;
}
if (wrong > 0) process.exit(1);
console.log("no torn copy, no older copy; every control was caught");
