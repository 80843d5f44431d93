/**
 * Writers in C, Python and Bun are killed at random instants while readers in all three look: `bun tests/soak/interop.ts [kills]`,
 * 1,000 by default. SEED repeats a run.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportStruct } from "../../src/codegen/index.ts";
import { Manager } from "../../src/index.ts";
import { run } from "../codegen/peers.ts";
import { Item, isWhole, Ledger } from "../interop/shared.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";
import { linesOf } from "../support/tools.ts";

const kills = Number(process.argv[2] ?? 1000);
const seed = seedOfRun();
const random = randomFrom(seed);
console.log(`${kills} kills from SEED=${seed}`);

const interop = join(import.meta.dir, "../../interop");
const peers = join(import.meta.dir, "../interop");
const dir = mkdtempSync(join(tmpdir(), "shmstruct-interop-soak-"));
writeFileSync(join(dir, "Ledger.h"), exportStruct(Ledger, "c"));
writeFileSync(join(dir, "Item.h"), exportStruct(Item, "c"));
const c = join(dir, "peer");
run(["gcc", "-O2", `-I${interop}/c`, `-I${dir}`, join(peers, "peer.c"), "-o", c, "-pthread"], dir);

const env = { ...process.env, PYTHONPATH: join(interop, "python"), PYTHONDONTWRITEBYTECODE: "1" };
const spawn = (command: string[]) => Bun.spawn(command, { env, stdout: "pipe", stderr: "inherit" });
const python = (...words: string[]) => ["python3", join(peers, "peer.py"), ...words];
const writers: Record<string, string[]> = {
  C: [c, "edits", dir, "-1"],
  Python: python("edits", dir, "-1"),
  Bun: [process.execPath, join(peers, "writer.ts"), dir],
};

using manager = new Manager(Ledger, { dir, create: true });
let [looks, torn, older, odd] = [0, 0, 0, 0];
let last = 0;
const look = (): void => {
  const { version } = manager;
  if (!isWhole(manager.snapshot())) torn++;
  if (version < last) older++;
  last = version;
  looks++;
};

/** Readers of the other two languages, begun again and again. */
const readings: number[][] = [];
let reading = true;
const read = async (command: string[]): Promise<void> => {
  while (reading) {
    const text = await new Response(spawn(command).stdout).text();
    readings.push(text.trim().split(" ").map(Number));
  }
};
const readers = [read([c, "snapshots", dir, "2000"]), read(python("snapshots", dir, "2000"))];

const names = Object.keys(writers);
const started = performance.now();
for (let i = 0; i < kills; i++) {
  const alive = [random.pick(names), random.pick(names)].map((name) => spawn(writers[name]!));
  for (const writer of alive) for await (const _ of linesOf(writer.stdout)) break;
  const end = performance.now() + random.whole(0, 8);
  while (performance.now() < end) look();
  for (const writer of alive) writer.kill("SIGKILL");
  await Promise.all(alive.map((writer) => writer.exited));
  look();
  if (random.oneIn(3)) manager.edit((data) => void (isWhole(data) || odd++));
  if (i % 100 === 99) console.log(`${i + 1} rounds, version ${manager.version}, ${looks} looks`);
}
reading = false;
await Promise.all(readers);
const [copies, tornThere, olderThere] = [0, 1, 2].map((i) =>
  readings.reduce((sum, one) => sum + (one[i] ?? 0), 0),
);
const seconds = Math.round((performance.now() - started) / 1000);
console.log(
  `${2 * kills} writers of ${names.join(", ")} killed in ${seconds} s; ${manager.version} commits; ${manager.live.hits.load()} edits begun`,
);
console.log(
  `Bun: ${looks} looks, ${torn} torn, ${older} older; C and Python: ${copies} copies, ${tornThere} torn, ${olderThere} older; ${odd} repairs not whole`,
);
rmSync(dir, { recursive: true, force: true });
if (torn + older + odd + (tornThere ?? 1) + (olderThere ?? 1) > 0) process.exit(1);
