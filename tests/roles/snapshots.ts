/** Two writers and two readers on one struct of a given size: how many copies were torn. */
import { Manager } from "../../src/index.ts";
import { LEDGER, makeLedger } from "./ledger.ts";
import { fillSized, sizedClass } from "./sized.ts";
import { runBun, spawnBun, TempDir } from "./support.ts";

export interface SnapshotRun {
  /** Words behind the header. */
  words: number;
  /** Of each of the two readers. */
  reads: number;
  /** See tests/process/role-snapshots.ts. */
  how?: string;
  /** Kill a writer in the middle of an edit first. */
  die?: boolean;
  env?: Record<string, string>;
}

export interface SnapshotReport {
  reads: number;
  torn: number;
  older: number;
  /** Different states that readers saw. */
  states: number;
}

export async function raceSnapshots({
  words,
  reads,
  how = "snapshot",
  die = false,
  env = {},
}: SnapshotRun): Promise<SnapshotReport> {
  using temp = new TempDir();
  using manager = new Manager(sizedClass(words), { dir: temp.dir, create: true, touch: false });
  manager.edit((data) => fillSized(data.words, 1));
  const path = temp.file("ledger");
  const ledger = makeLedger(path);
  if (die) await spawnBun("role-snapshots.ts", ["write", temp.dir, words, path, "die"], env).exited;
  const writers = [1, 2].map(() => spawnBun("role-snapshots.ts", ["write", temp.dir, words, path], env));
  while (Atomics.load(ledger, LEDGER.started) < (die ? 3 : 2)) await Bun.sleep(1);
  try {
    const reports = await Promise.all(
      [1, 2].map(() => runBun("role-snapshots.ts", ["read", temp.dir, words, reads, how], env)),
    );
    return reports
      .map((report) => JSON.parse(report) as SnapshotReport)
      .reduce((a, b) => ({
        reads: a.reads + b.reads,
        torn: a.torn + b.torn,
        older: a.older + b.older,
        states: a.states + b.states,
      }));
  } finally {
    Atomics.store(ledger, LEDGER.stop, 1);
    await Promise.all(writers.map(({ exited }) => exited));
  }
}
