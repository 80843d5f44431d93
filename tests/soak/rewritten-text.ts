/**
 * Each kind of reader against each kind of writer:
 * bun tests/soak/rewritten-text.ts [SECONDS A PAIR, 60] [PAIRS AT A TIME, 1] [KIND OF READER, all …]
 * A pair is two busy processes; the last lines are the figures for docs/internals/security.md.
 */
import { READERS, readWhileRewritten, WRITERS } from "../security/rewritten-text.ts";

const seconds = Number(process.argv[2] ?? 60);
const lanes = Number(process.argv[3] ?? 1);
const chosen = process.argv.slice(4);
const unknown = chosen.filter((kind) => !READERS.includes(kind));
if (unknown.length > 0) throw new TypeError(`no such readers: ${unknown}; there are ${READERS}`);
const readers = chosen.length > 0 ? chosen : READERS;
const pairs = readers.flatMap((reader) => WRITERS.map((writer) => ({ reader, writer })));
const readsOf = new Map<string, number>();
let failures = 0;
let done = 0;

async function runPairs(): Promise<void> {
  for (let pair = pairs.shift(); pair; pair = pairs.shift()) {
    const { reader, writer } = pair;
    const { end, reads } = await readWhileRewritten({
      ms: 1000 * seconds,
      readers: [reader],
      writers: [writer],
    });
    const count = reads[reader] ?? 0;
    if (end !== "0" || count === 0) failures++;
    done++;
    readsOf.set(reader, (readsOf.get(reader) ?? 0) + count);
    console.log(`${reader} against ${writer}: ${end === "0" ? `${count} reads` : `DIED: ${end}`}`);
  }
}

await Promise.all(Array.from({ length: lanes }, runPairs));
for (const [reader, count] of readsOf) console.log(`${reader}: ${count} reads`);
const total = [...readsOf.values()].reduce((sum, count) => sum + count, 0);
console.log(
  `${new Date().toISOString()}: ${done} pairs, ${seconds} s each, ${lanes} at a time: ${total} reads, ${failures} pairs failed`,
);
process.exitCode = failures === 0 ? 0 : 1;
