/** Damaged records, documents, channels, queues and lock pages, before they are opened and while they are in use. */
import { expect, test } from "bun:test";
import { seedOfRun } from "../support/random.ts";
import { tryMutants } from "./mutations.ts";

const seed = seedOfRun();
console.log(`SEED=${seed}`);

test("a damaged file ends no process, hangs none, throws the library's errors, and leaves nothing open or behind", async () => {
  const report = await tryMutants(seed, 200);
  expect(report.problems).toEqual([]);
  expect([report.files, report.errors > 20]).toEqual([200, true]);
}, 240_000);
