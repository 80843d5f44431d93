import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monotonicMs } from "../../src/sys/clock.ts";
import { openFile } from "../../src/sys/file.ts";
import {
  futexHasSleepers,
  futexWait,
  futexWaitAs,
  futexWake,
  futexWakeOf,
} from "../../src/sys/libc/futex.ts";
import { Mapping } from "../../src/sys/mapping.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const dir = mkdtempSync(join(tmpdir(), "futex-"));
const path = join(dir, "words");
writeFileSync(path, new Uint8Array(4096));
const writable = new Int32Array(Mapping.map(openFile(path, 2), { byteLength: 4096 }).buffer);
const readOnly = new Int32Array(Mapping.map(openFile(path, 0), { byteLength: 4096, access: "read" }).buffer);
afterAll(() => rmSync(dir, { recursive: true }));

test("futexWait does not wait when the word differs, negative words included", () => {
  writable[3] = -5;
  expect(futexWait(writable, 3, 5, Number.POSITIVE_INFINITY)).toBe("not-equal");
  expect(futexWait(readOnly, 3, 5, Number.POSITIVE_INFINITY)).toBe("not-equal");
});

test("futexWait waits until the timeout when the word is as expected, on read-only memory too", () => {
  writable[3] = -5;
  expect(futexWait(writable, 3, -5, 2)).toBe("timed-out");
  expect(futexWait(readOnly, 3, -5, 0.25)).toBe("timed-out");
  expect(futexWait(readOnly, 3, -5, 0)).toBe("timed-out");
});

test("futexWaitAs waits until a time of the machine's clock, for wakes of some bits", async () => {
  writable[5] = 4;
  expect(futexWaitAs(writable, 5, 3, 2 ** 40, 2)).toBe("not-equal");
  expect(futexWaitAs(writable, 5, 4, monotonicMs() + 2, 2)).toBe("timed-out");
  expect(futexWaitAs(writable, 5, 4, 1, 2)).toBe("timed-out");
  expect(futexHasSleepers(writable, 5)).toBe(false);
  const script = `
    import { futexWaitAs } from ${JSON.stringify(join(import.meta.dir, "../../src/sys/libc/futex.ts"))};
    import { openFile } from ${JSON.stringify(join(import.meta.dir, "../../src/sys/file.ts"))};
    import { Mapping } from ${JSON.stringify(join(import.meta.dir, "../../src/sys/mapping.ts"))};
    const mapping = Mapping.map(openFile(${JSON.stringify(path)}, 2), { byteLength: 4096 });
    console.log(futexWaitAs(new Int32Array(mapping.buffer), 5, 4, 2 ** 40, 2)); // in 35 years
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  while (!futexHasSleepers(writable, 5) && child.exitCode === null) await Bun.sleep(5);
  expect(futexWakeOf(writable, 5, 1, 1)).toBe(0);
  expect(futexWakeOf(writable, 5, 1, 3)).toBe(1);
  expect(await child.stdout.text()).toBe("ok\n");
});

test("futexWake returns 0 when no process waits", () => {
  expect(futexWake(writable, 3)).toBe(0);
  expect(futexWake(readOnly, 3)).toBe(0);
});

test("futexWake wakes another process that waits on a read-only mapping, through a read-only mapping", async () => {
  writable[7] = 0;
  const script = `
    import { futexWait } from ${JSON.stringify(join(import.meta.dir, "../../src/sys/libc/futex.ts"))};
    import { openFile } from ${JSON.stringify(join(import.meta.dir, "../../src/sys/file.ts"))};
    import { Mapping } from ${JSON.stringify(join(import.meta.dir, "../../src/sys/mapping.ts"))};
    const mapping = Mapping.map(openFile(${JSON.stringify(path)}, 0), { byteLength: 4096, access: "read" });
    console.log(futexWait(new Int32Array(mapping.buffer), 7, 0, 60_000));
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  let woken = 0;
  while (woken === 0 && child.exitCode === null) {
    await Bun.sleep(5);
    woken = futexWake(readOnly, 7);
  }
  expect(woken).toBe(1);
  expect(await child.stdout.text()).toBe("ok\n");
});

test("futexWait and futexWake refuse an index outside the array with a RangeError", () => {
  expect(() => futexWait(writable, 1024, 0, 0)).toThrow(RangeError);
  expect(() => futexWait(writable, -1, 0, 0)).toThrow("index -1 is not within the array's 1024 elements");
  expect(() => futexWake(writable, 0.5)).toThrow(RangeError);
});
