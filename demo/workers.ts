/**
 * Eight workers that are killed at random, and no job is lost: bun demo/workers.ts [seconds]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { c_uint32, field, Struct } from "shmstruct";
import { Queue } from "shmstruct/queue";

class Job extends Struct {
  @field(c_uint32) id!: number;
}

const WORKERS = 8;
const JOBS = 1000;
const KILL_EVERY_MS = 300;
/** How long a job takes, in milliseconds. */
const WORK_MS = 10;

const [role, ...rest] = process.argv.slice(2);
if (role === "worker") await work(rest[0]!);
else await main(Number(role ?? 10));

async function work(dir: string): Promise<void> {
  using jobs = new Queue(Job, { dir });
  using done = new Queue(Job, { dir, tag: "done" });
  for await (const job of jobs) {
    await Bun.sleep(WORK_MS);
    done.push({ id: job.data.id });
    job.done();
  }
}

async function main(seconds: number): Promise<void> {
  if (!(seconds > 0)) throw new RangeError(`usage: bun demo/workers.ts [seconds], got ${role}`);
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-workers-"));
  try {
    using jobs = new Queue(Job, { dir, create: true, slots: 1024 });
    using done = new Queue(Job, { dir, tag: "done", create: true, slots: 2048 });
    for (let id = 0; id < JOBS; id++) jobs.push({ id });
    const report = await watch(dir, jobs, done, seconds);
    console.log(report);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function watch(dir: string, jobs: Queue<Job>, done: Queue<Job>, seconds: number): Promise<string> {
  const start = (): Bun.Subprocess =>
    Bun.spawn([process.execPath, import.meta.path, "worker", dir], { stdout: "inherit", stderr: "inherit" });
  const workers = Array.from({ length: WORKERS }, start);
  const times = new Map<number, number>();
  let kills = 0;
  const end = performance.now() + seconds * 1000;
  for (let killAt = performance.now() + 1000; times.size < JOBS && performance.now() < end; ) {
    await Bun.sleep(100);
    collect(done, times);
    show(jobs, times.size, kills);
    if (performance.now() < killAt) continue;
    killAt = performance.now() + KILL_EVERY_MS;
    const victim = Math.floor(Math.random() * WORKERS);
    workers[victim]!.kill(9);
    workers[victim] = start();
    kills++;
  }
  for (const worker of workers) worker.kill(9);
  await Promise.all(workers.map(({ exited }) => exited));
  collect(done, times);
  const twice = [...times.values()].filter((count) => count > 1).length;
  const left = idsIn(jobs);
  const again = left.filter((id) => times.has(id)).length;
  const lost = JOBS - new Set([...times.keys(), ...left]).size;
  return `\n${JOBS} jobs, ${kills} workers killed: ${times.size} done, ${left.length} left, ${twice + again} done twice or to be (killed between work and done), ${lost} lost`;
}

/** The jobs that are left, those of dead workers included. */
function idsIn(jobs: Queue<Job>): number[] {
  const ids: number[] = [];
  for (let job = jobs.tryTake(); job !== undefined; job = jobs.tryTake()) {
    ids.push(job.data.id);
    job.done();
  }
  return ids;
}

/** Counts how often each job was done. */
function collect(done: Queue<Job>, times: Map<number, number>): void {
  for (let job = done.tryTake(); job !== undefined; job = done.tryTake()) {
    times.set(job.data.id, (times.get(job.data.id) ?? 0) + 1);
    job.done();
  }
}

/** One line that is written over, on a terminal. */
function show(jobs: Queue<Job>, done: number, kills: number): void {
  if (!process.stdout.isTTY) return;
  const { ready, taken } = jobs.counts();
  const hands = jobs
    .owners()
    .map(({ pid, taken: count }) => `${pid}:${count}`)
    .join(" ");
  process.stdout.write(
    `\r\u001b[Kready ${ready}  in hand ${taken}  done ${done}  killed ${kills}  ${hands}`.slice(0, 100),
  );
}
