import { describe, expect, test } from "bun:test";
import { viewOf } from "../../src/struct/index.ts";
import { FRESH, READ_ONLY } from "../../src/struct/memory/memory.ts";
import { Shared } from "../process/struct-shared.ts";
import { SharedFile } from "../support/shared-file.ts";

/** What the spinning process waits for, in its order. */
const changes: ((shared: Shared) => void)[] = [
  (s) => Object.assign(s, { plain: 1 }),
  (s) => Object.assign(s, { wide: 2 }),
  (s) => Object.assign(s, { big: 3n }),
  (s) => Object.assign(s.point, { x: 4 }),
  (s) => Object.assign(s.list, { 1: 5 }),
  (s) => Object.assign(s.list, { 1: 6 }),
  (s) => Object.assign(s, { flag: true }),
  (s) => Object.assign(s, { bits: 8 }),
  (s) => Object.assign(s.points.at(1), { x: 9 }),
  (s) => Object.assign(s.point, { x: 10 }),
  (s) => Object.assign(s, { text: "turn 11" }),
  (s) => s.counter.store(12),
];

describe("a fresh view sees another process's write in a hot loop", () => {
  test.each([
    ["writable", "write", FRESH],
    ["read-only", "read", FRESH | READ_ONLY],
  ])(
    "of %s memory",
    async (_, access, mode) => {
      using file = new SharedFile();
      const shared = viewOf(Shared, file.map("write").buffer);
      using spinner = file.run("struct-spinner.ts", access, String(mode));
      for (const [i, change] of changes.entries()) {
        // Long enough for the loop to have been compiled.
        await Bun.sleep(i === 0 ? 150 : 40);
        change(shared);
        expect(await spinner.line(20_000)).toBe(String(i + 1));
      }
    },
    60_000,
  );
});
