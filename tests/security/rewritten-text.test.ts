import { expect, test } from "bun:test";
import { READERS, readWhileRewritten } from "./rewritten-text.ts";

test("no reader of text crashes while writers in another process rewrite it", async () => {
  const { end, reads } = await readWhileRewritten({ ms: 4500 });
  expect(end).toBe("0");
  expect(Object.keys(reads)).toEqual([...READERS]);
  for (const count of Object.values(reads)) expect(count).toBeGreaterThan(0);
}, 240_000);
