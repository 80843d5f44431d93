/** Followers that read while masters write, as fast as both can, in processes of their own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JsonMap } from "../../src/document/index.ts";
import { programAt } from "../support/programs.ts";
import { linesOf } from "../support/tools.ts";
import type { Numbered } from "./documents.ts";

export interface Race {
  followers: number;
  /** At least so many, of all followers together. */
  reads: number;
  /** What the file begins with; it grows. */
  maxBytes: number;
  /** So many masters are killed (kill -9) and replaced, each after up to `writeMs` milliseconds of writing. */
  kills: number;
  writeMs: number;
}

export interface RaceResult {
  /** What followers said that met something else than a whole document. */
  failures: string[];
  reads: number;
  /** Different documents that the followers met, all together. */
  documents: number;
  /** How many were written. */
  written: number;
}

const program = (name: string): string[] => [
  process.execPath,
  programAt(join(import.meta.dir, "../process", name)),
];

/** No master outlives a race that went wrong by more than this. */
const LIFE_MS = 300_000;

async function masterWrites(
  file: string,
  { maxBytes, writeMs }: Race,
  until?: Promise<unknown>,
): Promise<void> {
  const command = [...program("json-master.ts"), file, String(LIFE_MS), String(maxBytes)];
  const master = Bun.spawn(command, { stdout: "pipe" });
  await linesOf(master.stdout).next();
  await (until ?? Bun.sleep(Math.random() * writeMs));
  master.kill("SIGKILL");
  await master.exited;
}

/** The last master writes on until all followers have read enough. */
export async function readWhileWritten(race: Race): Promise<RaceResult> {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-json-race-"));
  const [file, stop] = [join(dir, "document"), join(dir, "stop")];
  const reads = String(Math.ceil(race.reads / race.followers));
  const followers = Array.from({ length: race.followers }, () =>
    Bun.spawn([...program("json-follower.ts"), file, reads, stop], { stdout: "pipe" }),
  );
  try {
    for (let kills = 0; kills < race.kills; kills++) await masterWrites(file, race);
    writeFileSync(stop, "");
    await masterWrites(file, race, Promise.all(followers.map((follower) => follower.exited)));
    const outputs = await Promise.all(followers.map((follower) => new Response(follower.stdout).text()));
    using map = new JsonMap<Numbered>({ file, role: "follower" });
    return summary(outputs, map.version);
  } finally {
    for (const follower of followers) follower.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  }
}

function summary(outputs: string[], written: number): RaceResult {
  const isGood = (output: string) => output.startsWith('{"documents"');
  const good: { documents: number; reads: number }[] = outputs
    .filter(isGood)
    .map((output) => JSON.parse(output));
  return {
    failures: outputs.filter((output) => !isGood(output)),
    reads: good.reduce((sum, { reads }) => sum + reads, 0),
    documents: good.reduce((sum, { documents }) => sum + documents, 0),
    written,
  };
}
