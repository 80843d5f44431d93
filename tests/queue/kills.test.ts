import { expect, test } from "bun:test";
import { isEmulated } from "../support/platform.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { killRun } from "./kills.ts";

test.skipIf(isEmulated)(
  "when producers and workers are killed no job is lost or torn, and no slot is stuck (not under emulation)",
  async () => {
    using dir = temporaryDirectory();
    const { kills, jobs, done, lost, torn, stuck, twice, workerKills } = await killRun(dir.path, 25);
    expect({ lost, torn, stuck }).toEqual({ lost: 0, torn: 0, stuck: 0 });
    expect(kills).toBe(25);
    expect(done).toBeGreaterThan(25);
    expect(jobs - done).toBeLessThanOrEqual(kills);
    expect(twice).toBeLessThanOrEqual(workerKills + 3);
  },
  240_000,
);

test.skipIf(isEmulated)(
  "when producers and workers are killed while the queue is moved to other files no job is lost or torn either (not under emulation)",
  async () => {
    using dir = temporaryDirectory();
    const { lost, torn, stuck, twice, workerKills } = await killRun(dir.path, 12, 6);
    expect({ lost, torn, stuck }).toEqual({ lost: 0, torn: 0, stuck: 0 });
    expect(twice).toBeLessThanOrEqual(workerKills + 3);
  },
  240_000,
);
