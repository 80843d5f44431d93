import { expect, setDefaultTimeout, test } from "bun:test";
import { readWhileWritten } from "./whole-reads.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

// The same with a million reads: bun tests/soak/json.ts
test("eight followers read only whole documents while a master writes and the file grows", async () => {
  const result = await readWhileWritten({ followers: 8, reads: 16_000, maxBytes: 50, kills: 0, writeMs: 0 });
  expect(result.failures).toEqual([]);
  expect(result.reads).toBeGreaterThanOrEqual(16_000);
  expect(result.documents).toBeGreaterThan(8);
}, 240_000);

test("eight followers read only whole documents while masters are killed and replaced", async () => {
  const result = await readWhileWritten({ followers: 2, reads: 4000, maxBytes: 50, kills: 8, writeMs: 40 });
  expect(result.failures).toEqual([]);
  expect(result.documents).toBeGreaterThan(2);
}, 240_000);
