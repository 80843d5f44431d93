/** Producers and workers of a queue that are killed at any instant; what was pushed and done is noted beside the queue. */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import { Queue } from "../../src/queue/index.ts";
import { programAt } from "../support/programs.ts";
import { fillWork, isWhole, Work } from "./structs.ts";

/** Jobs of one run, at most. */
export const MAX_JOBS = 4_000_000;
const PROCESS = programAt(join(import.meta.dir, "../process/queue-kill-child.ts"));

/** The ledger: the next number, and a byte a job for "pushed" and one for the times it was done. */
export function openLedger(dir: string): { next: Int32Array; pushed: Uint8Array; done: Uint8Array } {
  const path = join(dir, "ledger");
  const fd = openSync(path, "a+");
  ftruncateSync(fd, 64 + 2 * MAX_JOBS);
  closeSync(fd);
  const map = Bun.mmap(path, { shared: true });
  const at = (offset: number, length: number) => new Uint8Array(map.buffer, map.byteOffset + offset, length);
  return {
    next: new Int32Array(map.buffer, map.byteOffset, 16),
    pushed: at(64, MAX_JOBS),
    done: at(64 + MAX_JOBS, MAX_JOBS),
  };
}

export interface KillReport {
  kills: number;
  jobs: number;
  done: number;
  /** Pushed, and never done. */
  lost: number;
  /** Done more than once. */
  twice: number;
  torn: number;
  /** Slots that are not free at the end. */
  stuck: number;
  /** Kills of workers between work and done: each may be a job done twice. */
  workerKills: number;
}

/** Kills until there were `kills`, then lets the queue run empty and counts. */
export async function killRun(dir: string, kills: number, resizes = 0): Promise<KillReport> {
  using queue = new Queue(Work, { dir, create: true, slots: 64 });
  const ledger = openLedger(dir);
  const children = [...Array(2).fill("produce"), ...Array(3).fill("work")].map((role) => start(dir, role));
  const counts = { killed: 0, workerKills: 0, torn: 0 };
  let seed = 11;
  const random = (): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed / 2 ** 32;
  };
  while (counts.killed < kills) {
    await Bun.sleep(2 + random() * 25);
    const i = Math.floor(random() * children.length);
    // Most are at work; a kill during the start tells little.
    const { pid } = children[i]!.process;
    if (!queue.owners().some((owner) => owner.pid === pid) && random() > 0.02) continue;
    const [{ role, process }] = children.splice(i, 1) as [ReturnType<typeof start>];
    process.kill(9);
    await process.exited;
    if (process.signalCode !== "SIGKILL") counts.torn++;
    counts.killed++;
    if (role === "work") counts.workerKills++;
    children.push(start(dir, role));
    if (resizes > 0 && counts.killed % Math.ceil(kills / resizes) === 0)
      queue.resize({ maxAttempts: 100 + (counts.killed % 100) });
  }
  for (const { process } of children) process.kill(9);
  await Promise.all(children.map(({ process }) => process.exited));
  for (let job = queue.tryTake(); job !== undefined; job = queue.tryTake()) {
    if (!isWhole(job.data)) counts.torn++;
    Atomics.add(ledger.done, job.data.id, 1);
    job.done();
  }
  return report(queue, ledger, counts);
}

function start(dir: string, role: string) {
  const process = Bun.spawn([globalThis.process.execPath, PROCESS, dir, role], {
    stdout: "ignore",
    stderr: "inherit",
  });
  return { role, process };
}

function report(
  queue: Queue<Work>,
  { next, pushed, done }: ReturnType<typeof openLedger>,
  { killed, workerKills, torn }: { killed: number; workerKills: number; torn: number },
): KillReport {
  const jobs = Math.min(next[0]!, MAX_JOBS);
  const result = { kills: killed, workerKills, jobs, done: 0, lost: 0, twice: 0, torn, stuck: 0 };
  for (let id = 0; id < jobs; id++) {
    if (pushed[id] === 1 && done[id] === 0) result.lost++;
    if (done[id]! > 1) result.twice++;
    result.done += Number(done[id]! > 0);
  }
  const { free, ...others } = queue.counts();
  result.stuck = Object.values(others).reduce((sum, count) => sum + count, 0);
  return result;
}

/** What the children do. */
export async function produce(dir: string): Promise<void> {
  const queue = new Queue(Work, { dir });
  const { next, pushed } = openLedger(dir);
  for (;;) {
    const id = Atomics.add(next, 0, 1);
    if (id >= MAX_JOBS) return;
    queue.push(fillWork(id));
    Atomics.store(pushed, id, 1);
  }
}

export function work(dir: string): void {
  const queue = new Queue(Work, { dir });
  const { done } = openLedger(dir);
  for (;;) {
    const job = queue.take()!;
    // Not a kill: the run counts it as a torn job.
    if (!isWhole(job.data)) process.exit(1);
    Atomics.add(done, job.data.id, 1);
    job.done();
  }
}
