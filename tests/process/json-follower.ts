/**
 * bun json-follower.ts <file> <reads> <stop>: reads at least that often, until there is a file `stop`, and until it met two
 * documents, however seldom the master gets a core. Prints how many different documents it met, or the first that was not as
 * written, or older than the one before.
 */
import { existsSync } from "node:fs";
import { JsonMap } from "../../src/document/index.ts";
import { isWhole, type Numbered } from "../document/documents.ts";

const [file, leastReads, stop = ""] = process.argv.slice(2);
using map = new JsonMap<Numbered>({ file, role: "follower" });
let last = (await map.waitForFirst({ timeoutMs: 200_000 })).n;
let documents = 1;
let reads = 0;

function readOnce(): void {
  const document = map.read();
  reads += 1;
  if (document === undefined || document.n < last || !isWhole(document)) {
    console.log(`after ${last}: ${JSON.stringify(document)}`);
    process.exit(1);
  }
  if (document.n > last) documents += 1;
  last = document.n;
}

do {
  for (let i = 0; i < 500; i++) readOnce();
} while (reads < Number(leastReads) || documents < 2 || !existsSync(stop));
console.log(JSON.stringify({ documents, reads }));
