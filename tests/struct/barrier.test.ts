import { expect, test } from "bun:test";
import { viewOf } from "../../src/struct/index.ts";
import { FRESH } from "../../src/struct/memory/memory.ts";
import { REGION, type View } from "../../src/struct/view/internals.ts";
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

test.each(["map", "read-only map", "bytes of a map"])(
  "a view of a %s sees another process's write in a hot loop, and so does the map's at()",
  async (way) => {
    using file = new SharedFile();
    const bytes = file.map("write").bytes;
    const shared = viewOf(Shared, bytes);
    using spinner = file.run("struct-spinner.ts", way);
    const last = () => void bytes.set([13], bytes.length - 1);
    for (const [i, change] of [...changes, last].entries()) {
      // Long enough for the loop to have been compiled.
      await Bun.sleep(i === 0 ? 150 : 40);
      change(shared);
      expect(await spinner.line(60_000)).toBe(String(i + 1));
    }
  },
  240_000,
);

test("a view is fresh as its option says, and without one if its memory is mapped or shared by threads", () => {
  using file = new SharedFile();
  const { buffer } = file.map("write");
  const isFresh = (...at: Parameters<typeof viewOf<Shared>>): boolean =>
    ((viewOf(...at) as unknown as View)[REGION].traits & FRESH) !== 0;
  expect(isFresh(Shared, buffer)).toBe(true);
  expect(isFresh(Shared, new DataView(buffer, 8), 8)).toBe(true);
  expect(isFresh(Shared, new SharedArrayBuffer(1024))).toBe(true);
  expect(isFresh(Shared, new ArrayBuffer(1024))).toBe(false);
  expect(isFresh(Shared, buffer, { fresh: false })).toBe(false);
  expect(isFresh(Shared, new ArrayBuffer(1024), { fresh: true })).toBe(true);
});
