/** Copies without a lock, against writers that never rest; and proof that the test would notice if they were torn. */
import { describe, expect, test } from "bun:test";
import { CONTROLS, isCaught, raceSnapshots } from "./snapshots.ts";

describe("snapshots are never torn nor older than the one before", () => {
  for (const [bytes, reads] of [
    // tests/soak/roles-snapshot.ts makes 10^8.
    [8, 60_000],
    [512, 30_000],
    [65_536, 1_500],
  ] as const) {
    test(`snapshots of ${bytes} bytes behind the header, by 4 processes, are never torn nor older than the one before`, async () => {
      const report = await raceSnapshots({ words: bytes / 4, reads });
      expect(report).toMatchObject({ reads: 2 * reads, torn: 0, older: 0 });
      expect(report.states).toBeGreaterThan(0);
    }, 240_000);
  }

  test("snapshots are never torn nor older than the one before, also after a writer was killed in the middle of an edit", async () => {
    const report = await raceSnapshots({ words: 128, reads: 20_000, die: true });
    expect(report).toMatchObject({ torn: 0, older: 0 });
  }, 240_000);
});

describe("a copy of the protocol", () => {
  test("a copy of the protocol that leaves nothing out is never torn", async () => {
    expect(await raceSnapshots({ words: 64, reads: 40_000, how: "protocol" })).toMatchObject({
      torn: 0,
      older: 0,
    });
  }, 240_000);

  for (const [fault, run] of Object.entries(CONTROLS)) {
    test(`a copy of the protocol with a fault is caught: ${fault}`, async () => {
      expect(await isCaught(run)).toBe(true);
    }, 240_000);
  }
});
