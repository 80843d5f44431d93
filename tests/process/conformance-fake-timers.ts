/** Run by `bun test`: time limits while the test runner's fake timers stand still. Another process holds the lock. */
import { expect, jest, test } from "bun:test";
import { LockTimeoutError } from "../../src/index.ts";
import { contentNamed } from "../conformance/contents.ts";

const content = contentNamed(process.env.CONTENT);
const dir = process.env.DIR ?? "";

test("time limits end", async () => {
  jest.useFakeTimers();
  const now = Date.now();
  try {
    const wait = { timeoutMs: 60 };
    using writer = content.openWriter(dir);
    expect(() => writer.commit(1, wait)).toThrow(LockTimeoutError);
    expect(() => writer.hold(() => {}, wait)).toThrow(LockTimeoutError);
    expect(() => content.create(dir, { force: true, ...wait })).toThrow(LockTimeoutError);
    expect(() => writer.remove(wait)).toThrow(LockTimeoutError);
    if (writer.commitAsync !== undefined)
      await expect(writer.commitAsync(1, wait)).rejects.toThrow(LockTimeoutError);
    // They stood still all the time.
    expect(Date.now()).toBe(now);
  } finally {
    jest.useRealTimers();
  }
});
