/** Which tests run on the other platforms, and which run again. */
import { expect, test } from "bun:test";
import { failedFiles, failuresIn, passAlone } from "../scripts/alone.ts";
import { linesOf, selectionOf } from "../scripts/platform/selection.ts";

const LOG = `tests/a.test.ts:
(pass) one [1ms]

tests/b.test.ts:
(fail) two [1ms]
tests/c.test.ts: 3 s, , exit code 139
tests/d.test.ts: 3 s, 2 pass 0 fail, exit code 0

1 tests failed:
(fail) two [1ms]
`;

test.each(["bun-1.4.3", "musl", "arm64"])("each row for %s names a test file that there is", (platform) => {
  expect(linesOf(selectionOf(platform)).length).toBeGreaterThan(30);
  expect(() => selectionOf("vax")).toThrow("there is no selection for vax");
});

test("a file that failed or died runs again by itself; one that fails by itself has failed", async () => {
  expect(failedFiles(LOG)).toEqual(["tests/b.test.ts", "tests/c.test.ts"]);
  expect(await passAlone(LOG, async () => true)).toBe(true);
  expect(await passAlone(LOG, async (file) => file !== "tests/c.test.ts")).toBe(false);
  expect(await passAlone("3 fail", async () => true)).toBe(false);
});

test("a file that failed by itself has a second try, and no third", async () => {
  const passesAt = (wanted: number) => {
    let tried = 0;
    return () => Promise.resolve(++tried === wanted);
  };
  const log = "tests/b.test.ts:\n(fail) two [1ms]\n";
  expect(await passAlone(log, passesAt(2))).toBe(true);
  expect(await passAlone(log, passesAt(3))).toBe(false);
});

test("what failed is told once, with what was printed before it", () => {
  const told = failuresIn(
    `${"(pass) x\n".repeat(40)}error: expected 3\n(fail) two [1ms]\n1 tests failed:\n(fail) two [1ms]\n`,
  );
  expect(told).toEndWith("error: expected 3\n(fail) two [1ms]");
  expect(told.split("\n").length).toBe(26);
});
