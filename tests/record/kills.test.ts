/** Writers killed with SIGKILL at random instants and at every store, while others write and watch. */
import { expect, test } from "bun:test";
import { isEmulated } from "../support/platform.ts";
import { seedOfRun } from "../support/random.ts";
import { killWriters } from "./kills.ts";
import { TempDir } from "./support.ts";

// tests/soak/roles-kill.ts kills by the thousand.
const KILLS = 24;

test.skipIf(isEmulated).each([
  [KILLS, "kept as a whole", 0],
  [KILLS, "kept by blocks", 64],
] as const)(
  "%i kills tear no state, leave no lock stuck and lose no commit, with the state before a transaction %s (not under emulation)",
  async (kills, _, blockBytes) => {
    const seed = seedOfRun();
    console.log(`kills: SEED=${seed}`);
    using temp = new TempDir();
    const report = await killWriters(temp, kills, seed, { blockBytes });
    console.log(JSON.stringify(report));
    expect(report).toMatchObject({ torn: 0, older: 0, miscounted: 0 });
    for (const competitor of report.competitors) expect(competitor).toMatchObject({ torn: 0, miscounted: 0 });
    expect(report.version).toBeGreaterThanOrEqual(report.least);
    expect(report.version).toBeLessThanOrEqual(report.most);
    // The test bites only if writers die in the middle of things.
    expect(report.midEdit).toBeGreaterThan(report.kills / 20);
  },
  240_000,
);

test.skipIf(isEmulated)(
  "writers that do not repair after a kill are noticed (not under emulation)",
  async () => {
    using temp = new TempDir();
    const { torn, miscounted, older } = await killWriters(temp, 40, 7, {
      env: { WITHOUT_REPAIR: "1" },
      untilWrong: true,
    });
    expect(torn + miscounted + older).toBeGreaterThan(0);
  },
  240_000,
);

test.skipIf(isEmulated)(
  "blocks that are not saved before they are stored to are noticed (not under emulation)",
  async () => {
    using temp = new TempDir();
    const { torn, miscounted, older } = await killWriters(temp, 20, 7, {
      env: { WITHOUT_SAVE: "1" },
      blockBytes: 64,
      untilWrong: true,
    });
    expect(torn + miscounted + older).toBeGreaterThan(0);
  },
  240_000,
);
