import { expect, test } from "bun:test";
import { isEmulated } from "../support/platform.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { killRun, peekRun } from "./kills.ts";

test.skipIf(isEmulated)(
  "when publishers are killed no message is torn or lost, and the missed messages add up (not under emulation)",
  async () => {
    using dir = temporaryDirectory();
    const { received, ...report } = await killRun(dir.path, 15);
    expect(report).toMatchObject({ torn: 0, lost: 0, addsUp: true });
    expect(received).toBeGreaterThan(15);
  },
  240_000,
);

test.skipIf(isEmulated)(
  "a reader that does not look again afterwards sees torn messages, one that does sees none (not under emulation)",
  async () => {
    using dir = temporaryDirectory();
    const { torn, control, whole } = await peekRun(dir.path, 65_536, 0.5);
    expect(torn).toBe(0);
    expect(control).toBeGreaterThan(0);
    expect(whole + control).toBeGreaterThan(10);
  },
  240_000,
);
