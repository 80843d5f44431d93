import { expect, setDefaultTimeout, test } from "bun:test";
import { rounds } from "../support/platform.ts";
import { hasTool } from "../support/tools.ts";
import { compareWithPython } from "./differential.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

// tests/soak/memory-map.ts runs 100,000.
const sequences = rounds(1000);
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

test.skipIf(!hasTool("python3"))(
  `a MemoryMap does what Python's mmap does in ${sequences} random sequences, SEED=${seed} (needs python3)`,
  async () => {
    expect(await compareWithPython(seed, sequences)).toBeGreaterThan(10 * sequences);
  },
  240_000,
);
