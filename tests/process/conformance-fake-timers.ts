/** Run by `bun test`: time limits while the test runner's fake timers stand still. Another process holds the lock. */
import { expect, jest, test } from "bun:test";
import { LockTimeoutError } from "../../src/index.ts";
import { contentNamed, limitedCalls } from "../conformance/contents.ts";

const content = contentNamed(process.env.CONTENT);
const dir = process.env.DIR ?? "";

test("time limits end", async () => {
  jest.useFakeTimers();
  const now = Date.now();
  try {
    const wait = { timeoutMs: 60 };
    using limited = limitedCalls(content, dir);
    for (const call of limited.calls)
      expect(() => call(wait)).toThrow(
        expect.objectContaining({ name: expect.stringMatching(/TimeoutError$/) }),
      );
    if (content.isLockFree !== true) {
      using writer = content.openWriter(dir);
      if (writer.commitAsync !== undefined)
        await expect(writer.commitAsync(1, wait)).rejects.toThrow(LockTimeoutError);
    }
    // They stood still all the time.
    expect(Date.now()).toBe(now);
  } finally {
    jest.useRealTimers();
  }
});
