import { expect, setDefaultTimeout, test } from "bun:test";
import { hasTool } from "../support/tools.ts";
import { compareWithPython } from "./differential.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(60_000);

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

test.skipIf(!hasTool("python3"))(
  `2,000 random sequences give what Python's mmap gives, SEED=${seed} (needs python3)`,
  async () => {
    expect(await compareWithPython(seed, 2000)).toBeGreaterThan(20_000);
  },
  120_000,
);
