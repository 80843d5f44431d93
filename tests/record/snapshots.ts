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
  /** How many processes write; one alone commits most often. */
  writers?: number;
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
  writers: writerCount = 2,
  die = false,
  env = {},
}: SnapshotRun): Promise<SnapshotReport> {
  using temp = new TempDir();
  using manager = new Manager(sizedClass(words), { dir: temp.dir, create: true, touch: false });
  manager.edit((data) => fillSized(data.words, 1));
  const path = temp.file("ledger");
  const ledger = makeLedger(path);
  if (die) await spawnBun("role-snapshots.ts", ["write", temp.dir, words, path, "die"], env).exited;
  const writers = Array.from({ length: writerCount }, () =>
    spawnBun("role-snapshots.ts", ["write", temp.dir, words, path], env),
  );
  while (Atomics.load(ledger, LEDGER.started) < writerCount + Number(die)) await Bun.sleep(1);
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

/** Runs the race again and again until a copy was torn, for at most two minutes; true when one was. */
export async function isCaught(run: SnapshotRun): Promise<boolean> {
  const deadline = performance.now() + 120_000;
  while (performance.now() < deadline) {
    const env = { ...run.env, UNTIL_TORN: "1" };
    if ((await raceSnapshots({ writers: 1, ...run, env })).torn > 0) return true;
  }
  return false;
}

/** What must be caught: a copy that leaves out a part of the protocol, or writers that do. */
export const CONTROLS: Readonly<Record<string, SnapshotRun>> = {
  "no second look at the sequence": { words: 64, reads: 1e6, how: "no-recheck" },
  "no barriers": { words: 8, reads: 1e6, how: "no-barrier" },
  "the live struct while it is written": { words: 64, reads: 1e6, how: "no-parity" },
  "no repair after a death": { words: 1024, reads: 50_000, die: true, env: { WITHOUT_REPAIR: "1" } },
};
