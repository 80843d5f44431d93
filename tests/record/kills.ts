/** Kills writers by the hundred while others work on, and takes account. */
import { join } from "node:path";
import { Manager, Reader } from "../../src/index.ts";
import { recordPlace } from "../../src/record/options.ts";
import { recordType } from "../../src/record/record-content.ts";
import { recordPlan } from "../../src/record/record-plan.ts";
import { createSegment } from "../../src/segment/create.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { programAt } from "../support/programs.ts";
import { type Random, randomFrom } from "../support/random.ts";
import { LEDGER, makeLedger } from "./ledger.ts";
import { Pattern, stateOf } from "./structs.ts";
import { spawnBun, type TempDir } from "./support.ts";

/** Store boundaries of about three edits, one of them rolled back. */
const BOUNDARIES = 130;

export interface KillReport {
  kills: number;
  /** Writers found dead in the middle of their edit, by this process or by a competitor. */
  midEdit: number;
  snapshots: number;
  torn: number;
  older: number;
  /** States whose version was not the number of commits they contain. */
  miscounted: number;
  /** Commits that victims and competitors know of, and those that they at most made. */
  least: number;
  most: number;
  version: number;
  competitors: { commits: number; repairs: number; torn: number; miscounted: number }[];
}

type Environment = Record<string, string>;

const victim = programAt(join(import.meta.dir, "../process/role-victim.ts"));

/** One writer's life: half of them kill themselves at a store, half are killed at some instant. */
async function killOne(dir: string, ledger: string, random: Random, env: Environment): Promise<void> {
  const stores = random.oneIn(2) ? random.whole(1, BOUNDARIES) : 0;
  const child = Bun.spawn([process.execPath, victim, dir, ledger, String(stores)], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, ...env },
  });
  if (stores === 0) {
    await Bun.sleep(random.whole(25, 60) + random.whole(0, 1000) / 1000);
    child.kill("SIGKILL");
  }
  await child.exited;
  if (child.signalCode !== "SIGKILL")
    throw new Error(`a victim ended by itself: ${child.signalCode ?? child.exitCode}`);
}

/** Looks at the file through a Reader, without and with the lock, and notes what is wrong. */
class Auditor implements Disposable {
  readonly seen = { midEdit: 0, snapshots: 0, torn: 0, older: 0, miscounted: 0 };
  readonly #reader: Reader<Pattern>;
  #last = 0;

  constructor(dir: string) {
    this.#reader = new Reader(Pattern, { dir });
  }

  lookWithoutLock(): void {
    for (let i = 0; i < 100; i++) this.#note(stateOf(this.#reader.snapshot()));
  }

  /** Also proves that the lock is free. */
  lookUnderLock(): void {
    using session = this.#reader.lock({ timeoutMs: 60_000 });
    const state = stateOf(session.data);
    if (stateOf(this.#reader.live) !== state) this.seen.midEdit += 1;
    this.#note(state);
    // Nobody writes now, so version, copy and what the lock shows are of one state.
    if (state !== this.#reader.version || state !== stateOf(this.#reader.snapshot()))
      this.seen.miscounted += 1;
  }

  get isWrong(): boolean {
    return this.seen.torn + this.seen.older + this.seen.miscounted > 0;
  }

  #note(state: number | undefined): void {
    this.seen.snapshots += 1;
    if (state === undefined) this.seen.torn += 1;
    else if (state < this.#last) this.seen.older += 1;
    else this.#last = state;
  }

  [Symbol.dispose](): void {
    this.#reader.close();
  }
}

/** Waits until `count` processes said in the ledger that they have started. */
async function started(ledger: Int32Array, count: number): Promise<void> {
  while (Atomics.load(ledger, LEDGER.started) < count) await Bun.sleep(1);
}

export interface KillOptions {
  /** For the writers. */
  env?: Environment;
  /** The state before a transaction is kept by blocks of so many bytes; 0: as a whole. */
  blockBytes?: number;
  /** Ends as soon as this process has seen that something is wrong: for writers with a fault. */
  untilWrong?: boolean;
  /** Called now and then with the kills so far. */
  onProgress?: (kills: number) => void;
}

function makePattern(dir: string, blockBytes: number): void {
  const layout = layoutOfClass(Pattern);
  const place = recordPlace(layout, { dir });
  const plan = { ...recordPlan(layout, {}), blockBytes };
  createSegment(place, plan, recordType(layout, place), { mode: 0o600 });
}

/**
 * Kills `kills` writers of one file, two at a time, while two other processes edit it and this one watches.
 */
export async function killWriters(
  temp: TempDir,
  kills: number,
  seed: number,
  { env = {}, blockBytes = 0, untilWrong = false, onProgress }: KillOptions = {},
): Promise<KillReport> {
  const random = randomFrom(seed);
  const ledgerPath = temp.file("ledger");
  const ledger = makeLedger(ledgerPath);
  makePattern(temp.dir, blockBytes);
  using manager = new Manager(Pattern, { dir: temp.dir });
  const competitors = [1, 2].map(() => spawnBun("role-competitor.ts", [temp.dir, ledgerPath], env));
  await started(ledger, 2);
  using auditor = new Auditor(temp.dir);
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < kills && !(untilWrong && auditor.isWrong)) {
      begun += 1;
      if (begun % 1000 === 0) onProgress?.(begun);
      await killOne(temp.dir, ledgerPath, random, env);
      auditor.lookWithoutLock();
      auditor.lookUnderLock();
    }
  };
  await Promise.all([lane(), lane()]);
  Atomics.store(ledger, LEDGER.stop, 1);
  const accounts = await Promise.all(competitors.map(async ({ stdout }) => JSON.parse(await stdout.text())));
  const lived = accounts.reduce((sum, { commits }) => sum + commits, 0);
  auditor.lookUnderLock();
  return {
    kills,
    ...auditor.seen,
    midEdit: accounts.reduce((sum, { repairs }) => sum + repairs, auditor.seen.midEdit),
    torn: auditor.seen.torn + (ledger[LEDGER.torn] as number),
    least: lived + (ledger[LEDGER.done] as number),
    most: lived + (ledger[LEDGER.begun] as number),
    version: manager.version,
    competitors: accounts,
  };
}
