import { expect, test } from "bun:test";
import { READERS, readWhileRewritten } from "./rewritten-text.ts";

// Five seconds in all with the start of both; tests/soak/rewritten-text.ts lets each pair run for a minute.
const MS = 4500;

test("no reader of text crashes while writers in another process rewrite it", async () => {
  const { end, reads } = await readWhileRewritten({ ms: MS });
  expect(end).toBe("0");
  expect(Object.keys(reads)).toEqual([...READERS]);
  for (const count of Object.values(reads)) expect(count).toBeGreaterThan(0);
}, 240_000);
