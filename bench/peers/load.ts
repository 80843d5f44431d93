/** Loads the files of dist/ that the first role of a process needs, and runs nothing of them. load.ts <dist> */
import { join } from "node:path";

const dist = process.argv[2] ?? "";
await import(join(dist, "index.js"));
const start = Bun.nanoseconds();
require(join(dist, "bytecode", "opening.cjs"));
console.log(JSON.stringify({ load: Bun.nanoseconds() - start }));
