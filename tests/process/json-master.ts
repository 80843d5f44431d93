/**
 * bun json-master.ts <file> <milliseconds> [maxBytes]: writes numbered documents as fast as it can, one after the
 * other, going on where the last master was; prints a line before it begins, and how many it wrote at the end.
 */
import { JsonMap } from "../../src/document/index.ts";
import { documentOf, type Numbered } from "../document/documents.ts";

const [file, milliseconds, maxBytes = "65536"] = process.argv.slice(2);
using map = new JsonMap<Numbered>({ file, role: "master", maxBytes: Number(maxBytes), grow: true });
process.stdout.write("begins\n");
const end = performance.now() + Number(milliseconds);
let count = 0;
for (; performance.now() < end; count++) map.update((before) => documentOf((before?.n ?? 0) + 1));
process.stdout.write(`${count}\n`);
