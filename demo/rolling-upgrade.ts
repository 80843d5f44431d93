/**
 * Old and new programs at work at once: a struct grows while programs that know only its first fields go on.
 *
 *     bun demo/rolling-upgrade.ts
 *
 * The parent makes a file of version 1 and starts two old workers. Then it deploys version 2: the first new worker
 * migrates the file, in one step and without losing an increment; the old workers keep counting, as their class is a
 * prefix of the new struct. At the end every increment is there.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  c_double,
  c_int32,
  chars,
  Editor,
  field,
  Manager,
  MmapStructure,
  Reader,
  struct,
} from "../src/index.ts";

@struct({ name: "Counter" })
class CounterV1 extends MmapStructure {
  @field(c_int32) hits!: number;
  @field(chars(16)) name!: string;
}

@struct({ name: "Counter" })
class CounterV2 extends MmapStructure {
  @field(c_int32) hits!: number;
  @field(chars(16)) name!: string;
  @field(c_double) latencyMs!: number;
}

const ROUNDS = 2000;

function work(version: string, dir: string): void {
  const cls = version === "2" ? CounterV2 : CounterV1;
  if (version === "2") new Manager(CounterV2, { dir, create: true, migrate: true }).close();
  using editor = new Editor<CounterV1>(cls, { dir });
  for (let i = 0; i < ROUNDS; i++) {
    editor.edit((data) => {
      data.hits += 1;
      if (data instanceof CounterV2) data.latencyMs = i / 10;
    });
  }
  console.log(
    `worker of version ${version}: ${ROUNDS} hits, the file is of generation ${editor.info().generation}`,
  );
}

async function main(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-upgrade-"));
  const init = (data: CounterV1): void => {
    data.name = "requests";
  };
  using manager = new Manager(CounterV1, { dir, create: true, init });
  const start = (version: string) =>
    Bun.spawn([process.execPath, import.meta.path, version, dir], { stdout: "inherit", stderr: "inherit" });
  const workers = [start("1"), start("1")];
  await Bun.sleep(30);
  console.log("deploying version 2");
  workers.push(start("2"), start("2"));
  await Promise.all(workers.map(({ exited }) => exited));
  using reader = new Reader(CounterV2, { dir });
  const { hits, name, latencyMs } = reader.snapshot();
  console.log(`${name}: ${hits} hits of ${4 * ROUNDS}, latency ${latencyMs} ms`);
  manager.remove({ purge: true });
  rmSync(dir, { recursive: true });
  if (hits !== 4 * ROUNDS) process.exit(1);
}

const [version, dir] = process.argv.slice(2);
if (version !== undefined && dir !== undefined) work(version, dir);
else await main();
