import { expect, test } from "bun:test";
import { hasTool } from "../support/tools.ts";
import { compareWithPython } from "./differential.ts";

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

test.skipIf(!hasTool("python3"))(
  `2,000 random sequences give what Python's mmap gives, SEED=${seed} (needs python3)`,
  async () => {
    expect(await compareWithPython(seed, 2000)).toBeGreaterThan(20_000);
  },
  120_000,
);
