/** bun tests/soak/memory-map.ts [count]: the differential test against Python's mmap, 100,000 sequences long. */
import { compareWithPython } from "../mmap/differential.ts";

const count = Number(process.argv[2] ?? 100_000);
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const started = performance.now();
const operations = await compareWithPython(seed, count);
const seconds = ((performance.now() - started) / 1000).toFixed(1);
console.log(`SEED=${seed}: ${count} sequences, ${operations} operations, no difference, ${seconds} s`);
