/**
 * bun tests/soak/json.ts [reads]: eight followers read a million documents (by default) while a master writes as fast
 * as it can, then a million more while masters are killed with kill -9 and replaced all the time.
 */
import { type Race, readWhileWritten } from "../document/whole-reads.ts";

const reads = Number(process.argv[2] ?? 1_000_000);

async function run(title: string, race: Race): Promise<void> {
  const started = performance.now();
  const result = await readWhileWritten(race);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const { documents, written, failures } = result;
  console.log(
    `${title}: ${result.reads} reads, ${documents} different documents of ${written} written, ${race.kills} masters killed, ${failures.length} failures, ${seconds} s`,
  );
  for (const failure of failures) console.log(`  ${failure.slice(0, 500)}`);
  if (failures.length > 0) process.exitCode = 1;
}

const race = { followers: 8, reads, maxBytes: 50 };
await run("one master", { ...race, kills: 0, writeMs: 0 });
await run("killed masters", { ...race, kills: Math.min(200, Math.ceil(reads / 5000)), writeMs: 60 });
