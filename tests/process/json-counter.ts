/** bun json-counter.ts <file> <times>: adds one to the document's number that often. */
import { JsonMap } from "../../src/document/index.ts";

const [file, times] = process.argv.slice(2);
using map = new JsonMap<{ n: number }>({ file, role: "master" });
for (let i = 0; i < Number(times); i++) map.update((before = { n: 0 }) => ({ n: before.n + 1 }));
