/**
 * The main job of `npm start`: a Manager (this process), an Editor and two Readers (three more processes) on one
 * shared struct for a few seconds, live and then in a summary.
 *   bun demo/main.ts [seconds]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Editor, Manager, Reader } from "shmstruct";
import { DemoMmapStructure } from "./demo-struct.ts";

/** What a child tells when it is done. */
interface Report {
  commits?: number;
  snapshots?: number;
  torn?: number;
  wakeups?: number;
  medianDelayUs?: number;
  last: number;
}

const [job = "3", dir = ""] = process.argv.slice(2);
if (job === "editor") await edit(dir);
else if (job === "reader") await read(dir);
else await manage(Number(job));

/** Writes bursts of edits: every field of one edit carries the same number, so a torn read would show. */
async function edit(dir: string): Promise<void> {
  const stop = stopSignal();
  using editor = new Editor(DemoMmapStructure, { dir });
  let n = 0;
  while (!stop.aborted) {
    for (let burst = 0; burst < 100; burst++) {
      n++;
      editor.edit((data) => {
        data.data_int = n;
        data.data_string = `edit number ${n}`;
        data.data_xy = { x: n, y: performance.timeOrigin + performance.now() };
        data.multi_pts.multi_points.at(23).x = n;
      });
    }
    await Bun.sleep(10);
  }
  tell({ commits: n, last: n });
}

/** Wakes at every commit it can keep up with, copies the struct without a lock, and checks that the copy is whole. */
async function read(dir: string): Promise<void> {
  const stop = stopSignal();
  using reader = new Reader(DemoMmapStructure, { dir });
  const delays: number[] = [];
  let [snapshots, torn, last] = [0, 0, 0];
  const look = () => {
    const data = reader.snapshot();
    snapshots++;
    const n = data.data_int;
    const whole =
      n === 0 || (data.data_string === `edit number ${n}` && data.multi_pts.multi_points.at(23).x === n);
    if (!whole || n < last) torn++;
    last = n;
    return data;
  };
  const changes = reader.changes();
  stop.addEventListener("abort", () => void changes.return?.());
  for await (const _ of changes) {
    const writtenAt = look().data_xy.y;
    delays.push(performance.timeOrigin + performance.now() - writtenAt);
    for (let i = 0; i < 20; i++) look();
  }
  look();
  delays.sort((a, b) => a - b);
  const medianDelayUs = Math.round((delays[delays.length >> 1] ?? 0) * 1000);
  tell({ snapshots, torn, wakeups: delays.length, medianDelayUs, last });
}

function tell(report: Report): void {
  process.send?.(report);
  // The channel to the parent would keep this process alive.
  process.disconnect?.();
}

/** Aborted by Ctrl-C, SIGTERM, the word of the parent, or its end. */
function stopSignal(): AbortSignal {
  const abort = new AbortController();
  const stop = () => abort.abort();
  for (const event of ["SIGINT", "SIGTERM", "message", "disconnect"] as const) process.once(event, stop);
  return abort.signal;
}

async function manage(seconds: number): Promise<void> {
  if (!(seconds > 0)) throw new RangeError(`usage: bun demo/main.ts [seconds], got ${job}`);
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-demo-"));
  try {
    using manager = new Manager(DemoMmapStructure, { dir, create: true });
    console.log(`Manager  made ${manager.path}`);
    await watchChildren(manager, dir, seconds);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function watchChildren(
  manager: Manager<DemoMmapStructure>,
  dir: string,
  seconds: number,
): Promise<void> {
  const names = ["Editor", "Reader 1", "Reader 2"];
  const reports = new Map<string, Report>();
  const children = names.map((name) => {
    const role = name === "Editor" ? "editor" : "reader";
    const child = Bun.spawn([process.execPath, import.meta.path, role, dir], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (report: Report) => void reports.set(name, report),
    });
    console.log(`${name.padEnd(8)} is process ${child.pid}`);
    return child;
  });
  await showLive(manager, seconds);
  for (const child of children) if (!child.killed && child.exitCode === null) child.send("stop");
  const codes = await Promise.all(children.map((child) => child.exited));
  summarise(manager, reports);
  if (codes.some((code) => code !== 0)) throw new Error(`a child failed: exit codes ${codes.join(", ")}`);
}

async function showLive(manager: Manager<DemoMmapStructure>, seconds: number): Promise<void> {
  const interrupted = stopSignal();
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end && !interrupted.aborted) {
    await Bun.sleep(250);
    const { data_int, data_string } = manager.snapshot();
    console.log(
      `live     version ${manager.version}, data_int ${data_int}, data_string ${JSON.stringify(data_string)}`,
    );
  }
}

function summarise(manager: Manager<DemoMmapStructure>, reports: Map<string, Report>): void {
  const { data_int, data_string } = manager.snapshot();
  console.log(`\nManager  sees ${manager.version} commits, last ${data_int} ${JSON.stringify(data_string)}`);
  for (const [name, r] of reports) {
    if (r.commits !== undefined)
      console.log(`${name.padEnd(8)} wrote ${r.commits} edits of 4 fields in 3 structs, last ${r.last}`);
    else
      console.log(
        `${name.padEnd(8)} woke ${r.wakeups} times (median ${r.medianDelayUs} us after the edit), took ${r.snapshots} snapshots, ${r.torn} torn, last ${r.last}`,
      );
  }
}
